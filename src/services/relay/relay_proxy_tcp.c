/* CONNECT: one TCP connection, and the bytes both ways. Whoever does not take what comes holds back who sends it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/tcp_stream.h"
#include "services/relay/relay_proxy.h"

#define LINGER INT64_C(30000000000) /* for what the client sent before it closed */

static void dial(struct relay_proxy *p);

void relay_proxy_tcp_close(struct relay_proxy *p, bool reset)
{
    gh_poll_close(p->poll);
    p->poll = NULL;
    gh_sock_close(p->fd);
    p->fd = -1;
    if (p->io && reset)
        gh_byte_stream_reset(p->io);
    else
        gh_byte_stream_close(p->io);
    p->io = NULL;
}

/* ---- from the client to the host ---- */

/* True while the proxy lives. */
static bool pass_in(struct relay_proxy *p)
{
    while (p->in_at < p->in_len) {
        ssize_t n = gh_byte_stream_write(p->io, gh_span_of(p->in + p->in_at, p->in_len - p->in_at));

        if (n < 0)
            return true; /* on_closed says why */
        if (n == 0)
            return true;
        p->in_at += (size_t)n;
        if (p->stream)
            gh_http_consume(p->stream, (size_t)n);
    }
    p->in_at = p->in_len = 0;
    if (p->in_cap > GH_BYTE_STREAM_PIECE) {
        free(p->in);
        p->in = NULL;
        p->in_cap = 0;
    }
    if (p->in_end && !p->in_ended) {
        p->in_ended = true;
        gh_byte_stream_shutdown_write(p->io);
    }
    if (p->state != PROXY_LINGER)
        return true;
    relay_proxy_end(p, "finished", GH_HTTP_NO_ERROR);
    return false;
}

static bool keep_in(struct relay_proxy *p, struct gh_span data)
{
    size_t need = p->in_len - p->in_at + data.len;
    uint8_t *grown;

    if (need > RELAY_PROXY_PENDING)
        return false;
    if (p->in_at && p->in_len + data.len > p->in_cap) {
        memmove(p->in, p->in + p->in_at, p->in_len - p->in_at);
        p->in_len -= p->in_at;
        p->in_at = 0;
    }
    if (p->in_len + data.len > p->in_cap) {
        grown = realloc(p->in, 2 * need);
        if (!grown)
            return false;
        p->in = grown;
        p->in_cap = 2 * need;
    }
    memcpy(p->in + p->in_len, data.data, data.len);
    p->in_len += data.len;
    return true;
}

static void on_body(void *arg, struct gh_http_stream *stream, struct gh_span data, bool end)
{
    struct relay_proxy *p = arg;

    p->in_end |= end;
    if (data.len) {
        relay_proxy_count(p, 0, data.len);
        if (p->state == PROXY_OPEN && p->in_len == 0) { /* nothing waits: straight through */
            ssize_t n = gh_byte_stream_write(p->io, data);

            if (n > 0) {
                gh_http_consume(stream, (size_t)n);
                data = gh_span_of(data.data + n, data.len - (size_t)n);
            }
        }
        if (data.len && !keep_in(p, data)) {
            relay_drop(p->rw, GH_DROP_PROXY_QUEUE, 1);
            relay_proxy_end(p, "aborted", GH_HTTP_EXCESSIVE_LOAD);
            return;
        }
    }
    if (p->state == PROXY_OPEN)
        (void)pass_in(p);
}

/* ---- from the host to the client ---- */

static void pass_end(struct relay_proxy *p)
{
    if (p->out_end && !p->out_ended && p->out_len == 0)
        p->out_ended = gh_http_send(p->stream, gh_span_of(NULL, 0), true) == 0;
}

static void on_bytes(void *arg, struct gh_span data)
{
    struct relay_proxy *p = arg;
    int rc;

    relay_proxy_count(p, 1, data.len);
    if (p->state == PROXY_LINGER)
        return; /* nobody is there to read it */
    rc = gh_http_send(p->stream, data, false);
    if (rc == GH_ERR_AGAIN) {
        if (!p->out)
            p->out = malloc(GH_BYTE_STREAM_PIECE);
        if (p->out && data.len <= GH_BYTE_STREAM_PIECE) {
            memcpy(p->out, data.data, data.len);
            p->out_len = data.len;
            gh_byte_stream_want_read(p->io, false);
            return;
        }
    }
    if (rc < 0)
        relay_proxy_end(p, "aborted", GH_HTTP_INTERNAL_ERROR);
}

static void on_http_writable(void *arg, struct gh_http_stream *stream)
{
    struct relay_proxy *p = arg;

    if (p->state != PROXY_OPEN)
        return;
    if (p->out_len) {
        if (gh_http_send(stream, gh_span_of(p->out, p->out_len), false) < 0)
            return;
        p->out_len = 0;
        if (!p->out_end)
            gh_byte_stream_want_read(p->io, true);
    }
    pass_end(p);
}

static void on_end(void *arg)
{
    struct relay_proxy *p = arg;

    p->out_end = true;
    if (p->state == PROXY_OPEN)
        pass_end(p);
}

static void on_io_writable(void *arg)
{
    (void)pass_in(arg);
}

static void on_io_closed(void *arg, int why)
{
    struct relay_proxy *p = arg;

    /* RFC 9114, section 4.4; RFC 9113, section 8.5: an error of the TCP connection is one of the stream */
    relay_proxy_end(p, why == GH_ERR_CLOSED ? "reset" : "timed_out", GH_HTTP_CONNECT_ERROR);
}

static const struct gh_byte_stream_events io_events = { on_bytes, on_end, on_io_writable, on_io_closed };

static void lingered(void *arg, int64_t now)
{
    (void)now;
    relay_proxy_end(arg, "idle", GH_HTTP_CONNECT_ERROR);
}

static void on_closed(void *arg, struct gh_http_stream *stream, uint64_t code)
{
    struct relay_proxy *p = arg;

    (void)stream;
    p->stream = NULL;
    if (code == 0 && p->state == PROXY_OPEN && p->in_end && p->in_len) {
        p->state = PROXY_LINGER;
        gh_byte_stream_want_read(p->io, true);
        relay_proxy_wait(p, lingered, gh_worker_now(p->rw->w) + LINGER);
        return;
    }
    relay_proxy_end(p, code == 0 ? "finished" : "aborted", code == 0 ? GH_HTTP_NO_ERROR : GH_HTTP_CONNECT_ERROR);
}

const struct gh_http_events relay_proxy_tcp_events = { NULL, on_body, NULL, on_http_writable, on_closed };

/* ---- the connection ---- */

static void connected(struct relay_proxy *p)
{
    int fd = p->fd;

    gh_poll_close(p->poll);
    p->poll = NULL;
    p->fd = -1;
    gh_worker_deadline_stop(p->rw->w, &p->timer);
    (void)gh_sock_set_nodelay(fd);
    if (gh_tcp_stream_create(p->rw->w, fd, gh_span_of(NULL, 0), &p->io) < 0) {
        relay_proxy_refuse(p, 503, "proxy_internal_error", GH_DROP_PROXY_LIMIT);
        return;
    }
    p->io->events = &io_events;
    p->io->arg = p;
    if (relay_proxy_accept(p) < 0)
        return;
    gh_byte_stream_want_read(p->io, true);
    (void)pass_in(p);
}

/* RFC 9209, section 2.3 */
static const char *error_of(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return "connection_refused";
    case ETIMEDOUT:
        return "connection_timeout";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "destination_ip_unroutable";
    default:
        return "destination_unavailable";
    }
}

static void failed(struct relay_proxy *p, const char *error)
{
    gh_poll_close(p->poll);
    p->poll = NULL;
    gh_sock_close(p->fd);
    p->fd = -1;
    p->dial_error = error;
    dial(p);
}

static void on_poll(void *arg, int events)
{
    struct relay_proxy *p = arg;
    int rc = gh_sock_connected(p->fd);

    (void)events;
    if (rc == 0)
        connected(p);
    else if (rc != GH_ERR_AGAIN)
        failed(p, error_of(errno));
}

static void timed_out(void *arg, int64_t now)
{
    (void)now;
    failed(arg, "connection_timeout");
}

/* The next address. Policy is asked again: it may have changed while the one before was tried. */
static void dial(struct relay_proxy *p)
{
    int64_t now = gh_worker_now(p->rw->w);

    while (p->addr_next < p->addr_count && p->dial_until > now) {
        size_t left = p->addr_count - p->addr_next;

        p->to = p->addrs[p->addr_next++];
        if (relay_proxy_judge(p, &p->to) != GH_DROP_NONE)
            continue;
        p->fd = gh_sock_connect_tcp(&p->to);
        if (p->fd < 0) {
            p->dial_error = error_of(errno);
        } else if (gh_poll_open(p->rw->w, p->fd, GH_POLL_WRITE, on_poll, p, &p->poll) < 0) {
            gh_sock_close(p->fd);
            p->dial_error = "proxy_internal_error";
        } else {
            relay_proxy_wait(p, timed_out, now + (p->dial_until - now) / (int64_t)left);
            return;
        }
        p->fd = -1;
    }
    gh_worker_deadline_stop(p->rw->w, &p->timer);
    relay_proxy_refuse(p, strcmp(p->dial_error, "connection_timeout") == 0 ? 504 : 502, p->dial_error, GH_DROP_NONE);
}

void relay_proxy_tcp_start(struct relay_proxy *p)
{
    p->state = PROXY_DIAL;
    p->dial_error = "destination_unavailable";
    p->dial_until = gh_worker_now(p->rw->w) + p->rw->conf.proxy_connect_timeout;
    dial(p);
}
