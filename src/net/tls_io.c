#include "net/tls_io.h"

#include <stdlib.h>

#include "base/error.h"
#include "loop/worker.h"

#define LINGER INT64_C(30000000000) /* ns for the last records to be taken */
#define BACKLOG_MAX 65536u          /* ciphertext that waits while nobody reads */

struct tls_io {
    struct gh_byte_stream base; /* first */
    struct gh_worker *w;
    struct gh_tls_stream *engine;
    struct gh_byte_stream *below;
    struct gh_deadline timer;
    gh_tls_io_done_fn done; /* NULL once it was told */
    void *arg;
    bool reading, writing;  /* wanted */
    bool ended;             /* on_end was told */
    bool below_ended;
    bool broken;            /* on_closed was told, or done with an error */
    bool shut;              /* close_notify is to be, or was, sent */
    bool below_shut;
    bool closing;           /* its user is gone; the last records are still sent */
    unsigned busy;          /* inside an event of the user's: it may close us */
    bool gone;              /* it did */
};

static struct tls_io *of(const struct gh_byte_stream *s)
{
    return (struct tls_io *)(uintptr_t)s;
}

static void destroy(struct tls_io *t)
{
    gh_worker_deadline_stop(t->w, &t->timer);
    gh_tls_stream_destroy(t->engine);
    gh_byte_stream_close(t->below);
    t->engine = NULL;
    t->below = NULL;
    if (t->busy)
        t->gone = true;
    else
        free(t);
}

/* Records to the stream below. 0, 1 when not all was taken, or an error. */
static int flush(struct tls_io *t)
{
    for (;;) {
        struct gh_span out = gh_tls_stream_pending(t->engine);
        ssize_t n;

        if (out.len == 0)
            break;
        n = gh_byte_stream_write(t->below, out);
        if (n < 0)
            return (int)n;
        gh_tls_stream_consume(t->engine, (size_t)n);
        if ((size_t)n < out.len)
            return 1;
    }
    if (t->shut && !t->below_shut) {
        t->below_shut = true;
        gh_byte_stream_shutdown_write(t->below);
    }
    return 0;
}

static void set_reading(struct tls_io *t)
{
    bool backlog = gh_tls_stream_backlog(t->engine) >= BACKLOG_MAX;

    gh_byte_stream_want_read(t->below, !t->broken && !t->closing && !backlog && (t->done || t->reading));
}

/* ---- told to the user; false when it closed us */

static bool leave(struct tls_io *t)
{
    if (--t->busy == 0 && t->gone) {
        free(t);
        return false;
    }
    return !t->gone;
}

static bool tell_done(struct tls_io *t, int rc)
{
    gh_tls_io_done_fn done = t->done;

    t->done = NULL;
    gh_worker_deadline_stop(t->w, &t->timer);
    t->broken = rc < 0;
    t->busy++;
    done(t->arg, &t->base, rc);
    return leave(t);
}

static bool tell_closed(struct tls_io *t, int why)
{
    if (t->broken || t->closing)
        return true;
    if (t->done)
        return tell_done(t, why);
    t->broken = true;
    t->busy++;
    t->base.events->on_closed(t->base.arg, why);
    return leave(t);
}

static bool tell_bytes(struct tls_io *t, struct gh_span bytes)
{
    t->busy++;
    t->base.events->on_bytes(t->base.arg, bytes);
    return leave(t);
}

static bool tell_end(struct tls_io *t)
{
    t->ended = true;
    t->busy++;
    t->base.events->on_end(t->base.arg);
    return leave(t);
}

/* Plaintext to the user, as long as it wants it. */
static bool deliver(struct tls_io *t)
{
    uint8_t buf[GH_BYTE_STREAM_PIECE];

    while (t->reading && !t->ended && !t->broken) {
        int n = gh_tls_stream_read(t->engine, buf, sizeof buf);

        if (n == 0)
            return true;
        if (n == GH_ERR_CLOSED)
            return tell_end(t);
        if (n < 0) {
            (void)flush(t); /* the alert */
            return tell_closed(t, n == GH_ERR_CRYPTO ? GH_ERR_PROTOCOL : n);
        }
        if (!tell_bytes(t, gh_span_of(buf, (size_t)n)))
            return false;
    }
    return true;
}

/* Whatever can go on goes on. */
static bool advance(struct tls_io *t)
{
    int rc = 1;

    if (t->closing) {
        if (flush(t) != 1) {
            destroy(t);
            return false;
        }
        return true;
    }
    if (t->done)
        rc = gh_tls_stream_handshake(t->engine);
    if (rc < 0) {
        (void)flush(t);
        return tell_done(t, rc);
    }
    if (rc == 1 && t->done && !tell_done(t, 0))
        return false;
    if (rc == 1 && !deliver(t))
        return false;
    rc = flush(t);
    if (rc < 0)
        return tell_closed(t, rc);
    return true;
}

/* ---- the stream below */

static void below_bytes(void *arg, struct gh_span data)
{
    struct tls_io *t = arg;

    if (gh_tls_stream_feed(t->engine, data) < 0) {
        tell_closed(t, GH_ERR_PROTOCOL);
        return;
    }
    if (!advance(t))
        return;
    if (gh_tls_stream_settle(t->engine) < 0)
        tell_closed(t, GH_ERR_MEMORY);
    else
        set_reading(t);
}

static void below_end(void *arg)
{
    struct tls_io *t = arg;

    t->below_ended = true;
    gh_tls_stream_feed_end(t->engine);
    advance(t);
}

static void below_writable(void *arg)
{
    struct tls_io *t = arg;

    if (!advance(t))
        return;
    if (t->writing && !t->broken && !t->done && gh_tls_stream_pending(t->engine).len == 0) {
        t->writing = false;
        t->busy++;
        t->base.events->on_writable(t->base.arg);
        if (!leave(t))
            return;
    }
    set_reading(t);
}

static void below_closed(void *arg, int why)
{
    struct tls_io *t = arg;

    if (t->closing)
        destroy(t);
    else
        tell_closed(t, why);
}

static const struct gh_byte_stream_events below_events = { below_bytes, below_end, below_writable, below_closed };

static void on_timer(void *arg, int64_t now)
{
    struct tls_io *t = arg;

    (void)now;
    if (t->closing)
        destroy(t);
    else
        tell_done(t, GH_ERR_TIMEOUT);
}

/* ---- operations */

static ssize_t op_write(struct gh_byte_stream *s, struct gh_span data)
{
    struct tls_io *t = of(s);
    int n, rc;

    if (t->broken || t->shut)
        return GH_ERR_CLOSED;
    n = gh_tls_stream_write(t->engine, data);
    if (n < 0)
        return n == GH_ERR_MEMORY ? GH_ERR_SYSTEM : GH_ERR_CLOSED;
    rc = flush(t);
    if (rc < 0)
        return rc;
    if ((size_t)n < data.len)
        t->writing = true;
    if (t->writing && rc == 0) /* it was full and is not any more: a turn of its own */
        gh_byte_stream_want_write(t->below);
    return n;
}

static void op_shutdown_write(struct gh_byte_stream *s)
{
    struct tls_io *t = of(s);

    if (t->shut || t->broken)
        return;
    (void)gh_tls_stream_close(t->engine);
    t->shut = true;
    (void)flush(t);
}

static void op_close(struct gh_byte_stream *s)
{
    struct tls_io *t = of(s);

    if (!t->broken && !t->done)
        op_shutdown_write(s);
    if (t->below_ended || gh_tls_stream_pending(t->engine).len == 0) {
        destroy(t);
        return;
    }
    t->closing = true;
    t->reading = t->writing = false;
    gh_byte_stream_want_read(t->below, false);
    gh_byte_stream_want_write(t->below);
    gh_worker_deadline_start(t->w, &t->timer, gh_worker_now(t->w) + LINGER);
}

static void op_reset(struct gh_byte_stream *s)
{
    struct tls_io *t = of(s);

    gh_byte_stream_reset(t->below);
    t->below = NULL;
    destroy(t);
}

static void op_want_read(struct gh_byte_stream *s, bool on)
{
    struct tls_io *t = of(s);

    t->reading = on;
    set_reading(t);
    if (on && !t->busy) /* what is decrypted already, or was fed */
        gh_byte_stream_want_write(t->below);
}

static void op_want_write(struct gh_byte_stream *s)
{
    struct tls_io *t = of(s);

    t->writing = true;
    gh_byte_stream_want_write(t->below);
}

static void op_addresses(const struct gh_byte_stream *s, struct gh_endpoint *ret_local, struct gh_endpoint *ret_remote)
{
    gh_byte_stream_addresses(of(s)->below, ret_local, ret_remote);
}

static const struct gh_byte_stream_ops ops = { op_write, op_shutdown_write, op_close, op_reset, op_want_read, op_want_write, op_addresses };

int gh_tls_io_create(struct gh_worker *w, struct gh_tls_stream *engine, struct gh_byte_stream *below, int64_t timeout, gh_tls_io_done_fn done,
                     void *arg, struct gh_byte_stream **ret)
{
    struct tls_io *t = calloc(1, sizeof *t);

    if (!t) {
        gh_tls_stream_destroy(engine);
        gh_byte_stream_close(below);
        return GH_ERR_MEMORY;
    }
    t->base.ops = &ops;
    t->base.secure = true;
    t->w = w;
    t->engine = engine;
    t->below = below;
    t->done = done;
    t->arg = arg;
    gh_deadline_init(&t->timer, on_timer, t);
    gh_worker_deadline_start(w, &t->timer, gh_worker_now(w) + timeout);
    below->events = &below_events;
    below->arg = t;
    gh_byte_stream_want_read(below, true);
    gh_byte_stream_want_write(below); /* a client's first flight */
    *ret = &t->base;
    return 0;
}

struct gh_tls_stream *gh_tls_io_engine(struct gh_byte_stream *s)
{
    return of(s)->engine;
}
