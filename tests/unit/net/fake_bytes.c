#include "fake_bytes.h"

#include "../test.h"
#include "base/error.h"

static struct fake_bytes *fake_of(const struct gh_byte_stream *s)
{
    return (struct fake_bytes *)(uintptr_t)s;
}

static void append(uint8_t **buf, size_t *len, struct gh_span data)
{
    *buf = realloc(*buf, *len + data.len + 1);
    assert_non_null(*buf);
    if (data.len > 0)
        memcpy(*buf + *len, data.data, data.len);
    *len += data.len;
    (*buf)[*len] = 0;
}

static ssize_t op_write(struct gh_byte_stream *s, struct gh_span data)
{
    struct fake_bytes *f = fake_of(s);
    size_t held = f->peer ? f->peer->in_len : f->out_len, n = data.len;

    assert_false(f->closed || f->shut);
    if (f->peer && f->peer->closed)
        return GH_ERR_CLOSED;
    if (f->room && held + n > f->room)
        n = held < f->room ? f->room - held : 0;
    if (f->peer)
        fake_bytes_feed(f->peer, gh_span_of(data.data, n));
    else
        append(&f->out, &f->out_len, gh_span_of(data.data, n));
    f->writing |= n < data.len;
    return (ssize_t)n;
}

static void op_shutdown_write(struct gh_byte_stream *s)
{
    struct fake_bytes *f = fake_of(s);

    assert_false(f->closed || f->shut);
    f->shut = true;
    if (f->peer)
        f->peer->end = true;
}

static void op_close(struct gh_byte_stream *s)
{
    struct fake_bytes *f = fake_of(s);

    assert_false(f->closed);
    f->closed = true;
    if (f->gone)
        *f->gone = true;
    if (f->peer)
        f->peer->end = true;
}

static void op_reset(struct gh_byte_stream *s)
{
    fake_of(s)->reset = true;
    if (fake_of(s)->peer)
        fake_of(s)->peer->broken = true;
    op_close(s);
}

static void op_want_read(struct gh_byte_stream *s, bool on)
{
    assert_false(fake_of(s)->closed);
    fake_of(s)->reading = on;
}

static void op_want_write(struct gh_byte_stream *s)
{
    assert_false(fake_of(s)->closed);
    fake_of(s)->writing = true;
}

static void op_addresses(const struct gh_byte_stream *s, struct gh_endpoint *ret_local, struct gh_endpoint *ret_remote)
{
    (void)s;
    *ret_local = *ret_remote = (struct gh_endpoint){ .port = 0 };
}

static const struct gh_byte_stream_ops ops = { op_write, op_shutdown_write, op_close, op_reset, op_want_read, op_want_write, op_addresses };

struct fake_bytes *fake_bytes_create(void)
{
    struct fake_bytes *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->base.ops = &ops;
    append(&f->out, &f->out_len, gh_span_of(NULL, 0));
    return f;
}

void fake_bytes_join(struct fake_bytes *a, struct fake_bytes *b)
{
    a->peer = b;
    b->peer = a;
}

void fake_bytes_feed(struct fake_bytes *f, struct gh_span data)
{
    append(&f->in, &f->in_len, data);
}

static bool can_write(const struct fake_bytes *f)
{
    return !f->room || (f->peer ? f->peer->in_len : f->out_len) < f->room;
}

bool fake_bytes_turn(struct fake_bytes *f)
{
    size_t most = f->piece ? f->piece : GH_BYTE_STREAM_PIECE;
    bool gone = false, told = false;

    if (f->closed)
        return false;
    if (f->broken) {
        told = !f->broken_told;
        f->broken_told = true;
        if (told)
            f->base.events->on_closed(f->base.arg, GH_ERR_CLOSED);
        return told;
    }
    f->gone = &gone;
    while (!gone && f->reading && f->in_len > 0) {
        size_t n = f->in_len < most ? f->in_len : most;
        uint8_t *piece = malloc(n); /* exactly: a sanitizer sees who reads on */

        assert_non_null(piece);
        memcpy(piece, f->in, n);
        memmove(f->in, f->in + n, f->in_len - n);
        f->in_len -= n;
        told = true;
        f->base.events->on_bytes(f->base.arg, gh_span_of(piece, n));
        free(piece);
    }
    if (!gone && f->reading && f->end && !f->end_told && f->in_len == 0) {
        told = f->end_told = true;
        f->base.events->on_end(f->base.arg);
    }
    if (!gone && f->writing && can_write(f)) {
        f->writing = false;
        told = true;
        f->base.events->on_writable(f->base.arg);
    }
    f->gone = NULL;
    return told;
}

void fake_bytes_take(struct fake_bytes *f)
{
    f->out_len = 0;
}

void fake_bytes_destroy(struct fake_bytes *f)
{
    assert_true(f->closed);
    free(f->in);
    free(f->out);
    free(f);
}
