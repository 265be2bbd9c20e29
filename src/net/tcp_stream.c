#include "net/tcp_stream.h"

#include <stdlib.h>

#include "base/error.h"
#include "loop/worker.h"

#define PIECES 4 /* read in one turn before others have theirs */

/* A peer that is gone without a word is noticed after a minute. */
#define KEEPALIVE_IDLE 30
#define KEEPALIVE_INTERVAL 10
#define KEEPALIVE_PROBES 3

struct gh_tcp_stream {
    struct gh_byte_stream base; /* first */
    struct gh_poll *poll;
    int fd, mask;
    bool reading, writing; /* wanted */
    bool ended;            /* the peer sends no more */
    bool broken;           /* on_closed was told */
    bool *gone;            /* set when it is closed inside one of its events */
    size_t early_at, early_len;
    uint8_t early[];
};

static struct gh_tcp_stream *tcp_of(const struct gh_byte_stream *s)
{
    return (struct gh_tcp_stream *)(uintptr_t)s;
}

static void set_poll(struct gh_tcp_stream *t)
{
    int mask = 0;

    if (t->reading && !t->ended && t->early_len == 0)
        mask |= GH_POLL_READ;
    if (t->writing || (t->reading && t->early_len > 0)) /* a socket that can be written to gives us the turn for bytes that we have */
        mask |= GH_POLL_WRITE;
    if (t->broken)
        mask = 0;
    if (mask == t->mask)
        return;
    t->mask = mask;
    gh_poll_change(t->poll, mask);
}

static ssize_t op_write(struct gh_byte_stream *s, struct gh_span data)
{
    struct gh_tcp_stream *t = tcp_of(s);
    ssize_t n = t->broken ? GH_ERR_CLOSED : gh_sock_send(t->fd, data);

    if (n == GH_ERR_AGAIN)
        n = 0;
    if (n >= 0 && (size_t)n < data.len) {
        t->writing = true;
        set_poll(t);
    }
    return n;
}

static void op_shutdown_write(struct gh_byte_stream *s)
{
    gh_sock_shutdown_write(tcp_of(s)->fd);
}

static void op_close(struct gh_byte_stream *s)
{
    struct gh_tcp_stream *t = tcp_of(s);

    if (t->gone)
        *t->gone = true;
    gh_poll_close(t->poll);
    gh_sock_close(t->fd);
    free(t);
}

static void op_reset(struct gh_byte_stream *s)
{
    gh_sock_reset_on_close(tcp_of(s)->fd);
    op_close(s);
}

static void op_want_read(struct gh_byte_stream *s, bool on)
{
    struct gh_tcp_stream *t = tcp_of(s);

    t->reading = on;
    set_poll(t);
}

static void op_want_write(struct gh_byte_stream *s)
{
    struct gh_tcp_stream *t = tcp_of(s);

    t->writing = true;
    set_poll(t);
}

static void op_addresses(const struct gh_byte_stream *s, struct gh_endpoint *ret_local, struct gh_endpoint *ret_remote)
{
    *ret_local = *ret_remote = (struct gh_endpoint){ .port = 0 };
    gh_sock_local(tcp_of(s)->fd, ret_local);
    gh_sock_remote(tcp_of(s)->fd, ret_remote);
}

static const struct gh_byte_stream_ops ops = { op_write, op_shutdown_write, op_close, op_reset, op_want_read, op_want_write, op_addresses };

static void fail(struct gh_tcp_stream *t, int why)
{
    t->broken = true;
    set_poll(t);
    t->base.events->on_closed(t->base.arg, why);
}

static void tell_early(struct gh_tcp_stream *t)
{
    uint8_t *at = t->early + t->early_at;
    size_t n = t->early_len < GH_BYTE_STREAM_PIECE ? t->early_len : GH_BYTE_STREAM_PIECE;

    t->early_at += n;
    t->early_len -= n;
    t->base.events->on_bytes(t->base.arg, gh_span_of(at, n));
}

/* One piece. True when there may be more. */
static bool read_one(struct gh_tcp_stream *t)
{
    uint8_t buf[GH_BYTE_STREAM_PIECE];
    ssize_t n = gh_sock_receive(t->fd, buf, sizeof buf);

    if (n == GH_ERR_AGAIN)
        return false;
    if (n == GH_ERR_CLOSED) {
        t->ended = true;
        t->base.events->on_end(t->base.arg);
        return false;
    }
    if (n < 0) {
        fail(t, n == GH_ERR_SYSTEM ? GH_ERR_CLOSED : (int)n); /* of a connected socket: reset, or timed out */
        return false;
    }
    t->base.events->on_bytes(t->base.arg, gh_span_of(buf, (size_t)n));
    return n == (ssize_t)sizeof buf;
}

static void on_poll(void *arg, int events)
{
    struct gh_tcp_stream *t = arg;
    bool gone = false, more = events & GH_POLL_READ;

    t->gone = &gone;
    if (t->reading && t->early_len > 0)
        tell_early(t);
    if (!gone && events & GH_POLL_ERROR)
        fail(t, GH_ERR_CLOSED);
    else if (!gone && events & GH_POLL_WRITE && t->writing) {
        t->writing = false;
        t->base.events->on_writable(t->base.arg);
    }
    for (int i = 0; i < PIECES && more && !gone && t->reading && !t->broken && t->early_len == 0; i++)
        more = read_one(t);
    if (gone)
        return;
    t->gone = NULL;
    set_poll(t);
}

int gh_tcp_stream_create(struct gh_worker *worker, int fd, struct gh_span early, struct gh_byte_stream **ret)
{
    struct gh_tcp_stream *t = calloc(1, sizeof *t + early.len);
    int rc = GH_ERR_MEMORY;

    if (!t)
        goto out;
    t->base.ops = &ops;
    t->fd = fd;
    t->early_len = early.len;
    if (early.len > 0)
        memcpy(t->early, early.data, early.len);
    rc = gh_poll_open(worker, fd, 0, on_poll, t, &t->poll);
    if (rc < 0)
        goto out;
    gh_sock_set_nodelay(fd); /* neither of these exists on a unix socket, which needs neither */
    gh_sock_set_keepalive(fd, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES);
    *ret = &t->base;
    t = NULL;
    fd = -1;
out:
    free(t);
    gh_sock_close(fd);
    return rc;
}
