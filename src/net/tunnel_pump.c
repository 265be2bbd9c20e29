#include "net/tunnel_pump.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

void gh_tunnel_pump_init(struct gh_tunnel_pump *p, struct gh_http_stream *stream, const struct gh_tunnel_pump_events *events, void *arg)
{
    *p = (struct gh_tunnel_pump){ .events = events, .arg = arg, .stream = stream };
    gh_http_hold(stream);
}

void gh_tunnel_pump_fini(struct gh_tunnel_pump *p)
{
    free(p->in);
    free(p->out);
    p->in = p->out = NULL;
    p->in_at = p->in_len = p->in_cap = p->out_len = 0;
}

static void tell(struct gh_tunnel_pump *p, unsigned way, size_t bytes)
{
    if (p->events->on_bytes)
        p->events->on_bytes(p->arg, way, bytes);
}

/* Nothing of the pump may be touched after this. */
static void finish(struct gh_tunnel_pump *p, enum gh_tunnel_pump_end why)
{
    if (p->over)
        return;
    p->over = true;
    if (p->io && why != GH_TUNNEL_PUMP_FINISHED)
        gh_byte_stream_reset(p->io);
    else
        gh_byte_stream_close(p->io);
    p->io = NULL;
    p->events->on_end(p->arg, why, p->stream);
}

void gh_tunnel_pump_abort(struct gh_tunnel_pump *p)
{
    p->over = true;
    if (p->io)
        gh_byte_stream_reset(p->io);
    p->io = NULL;
}

/* ---- from the tunnel to the byte stream ---- */

static void forget_in(struct gh_tunnel_pump *p)
{
    p->in_at = p->in_len = 0;
    if (p->in_cap > GH_BYTE_STREAM_PIECE) { /* one that was slow once does not keep the memory */
        free(p->in);
        p->in = NULL;
        p->in_cap = 0;
    }
}

static void pass_in(struct gh_tunnel_pump *p)
{
    while (p->in_at < p->in_len) {
        ssize_t n = gh_byte_stream_write(p->io, gh_span_of(p->in + p->in_at, p->in_len - p->in_at));

        if (n <= 0)
            return; /* on_writable follows, or on_closed, which says why */
        p->in_at += (size_t)n;
        if (p->stream)
            gh_http_consume(p->stream, (size_t)n);
    }
    forget_in(p);
    if (p->in_end && !p->in_ended) {
        p->in_ended = true;
        gh_byte_stream_shutdown_write(p->io);
    }
    if (!p->stream) /* it ended well, and this was the rest of it */
        finish(p, GH_TUNNEL_PUMP_FINISHED);
}

static bool keep_in(struct gh_tunnel_pump *p, struct gh_span data)
{
    size_t need = p->in_len - p->in_at + data.len;
    uint8_t *grown;

    if (need > GH_TUNNEL_PUMP_PENDING)
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

void gh_tunnel_pump_on_body(struct gh_tunnel_pump *p, struct gh_span data, bool end)
{
    if (p->over || p->flooded)
        return;
    p->in_end |= end;
    if (data.len) {
        tell(p, 1, data.len);
        if (p->io && p->in_len == 0) { /* nothing waits: straight through */
            ssize_t n = gh_byte_stream_write(p->io, data);

            if (n > 0) {
                gh_http_consume(p->stream, (size_t)n);
                data = gh_span_of(data.data + n, data.len - (size_t)n);
            }
        }
        p->flooded = data.len && !keep_in(p, data);
    }
    if (!p->io)
        return; /* the start looks */
    if (p->flooded)
        finish(p, GH_TUNNEL_PUMP_FLOODED);
    else
        pass_in(p);
}

/* ---- from the byte stream to the tunnel ---- */

static void pass_end(struct gh_tunnel_pump *p)
{
    if (p->stream && p->out_end && !p->out_ended && p->out_len == 0)
        p->out_ended = gh_http_send(p->stream, gh_span_of(NULL, 0), true) == 0;
}

/* False when the pump is over, and perhaps its owner gone. */
static bool pass_out(struct gh_tunnel_pump *p, struct gh_span data)
{
    int rc;

    if (!p->stream)
        return true; /* the tunnel is over, what came out of it is still written: nobody reads this */
    tell(p, 0, data.len);
    rc = gh_http_send(p->stream, data, false);
    if (rc == GH_ERR_AGAIN) {
        if (!p->out)
            p->out = malloc(GH_BYTE_STREAM_PIECE);
        if (p->out && data.len <= GH_BYTE_STREAM_PIECE) {
            memcpy(p->out, data.data, data.len);
            p->out_len = data.len;
            gh_byte_stream_want_read(p->io, false);
            return true;
        }
    }
    if (rc < 0)
        finish(p, rc == GH_ERR_STATE ? GH_TUNNEL_PUMP_TUNNEL : GH_TUNNEL_PUMP_FAILED);
    return rc == 0;
}

static void on_bytes(void *arg, struct gh_span data)
{
    (void)pass_out(arg, data);
}

void gh_tunnel_pump_on_writable(struct gh_tunnel_pump *p)
{
    if (p->over || !p->io || !p->stream)
        return;
    if (p->out_len) {
        if (gh_http_send(p->stream, gh_span_of(p->out, p->out_len), false) < 0)
            return;
        p->out_len = 0;
        if (!p->out_end)
            gh_byte_stream_want_read(p->io, true);
    }
    pass_end(p);
}

static void on_end(void *arg)
{
    struct gh_tunnel_pump *p = arg;

    p->out_end = true;
    pass_end(p);
}

static void on_io_writable(void *arg)
{
    pass_in(arg);
}

static void on_io_closed(void *arg, int why)
{
    struct gh_tunnel_pump *p = arg;

    p->error = why;
    finish(p, GH_TUNNEL_PUMP_LOCAL);
}

static const struct gh_byte_stream_events io_events = { on_bytes, on_end, on_io_writable, on_io_closed };

/* ---- both ---- */

void gh_tunnel_pump_on_closed(struct gh_tunnel_pump *p, uint64_t code)
{
    p->stream = NULL;
    if (p->over)
        return;
    if (code != 0 || !p->io || !p->in_end)
        finish(p, GH_TUNNEL_PUMP_TUNNEL);
    else if (p->in_len == 0)
        finish(p, GH_TUNNEL_PUMP_FINISHED);
    else
        gh_byte_stream_want_read(p->io, true); /* so that it is seen when nobody is there to take the rest */
}

void gh_tunnel_pump_start(struct gh_tunnel_pump *p, struct gh_byte_stream *io, struct gh_span early, bool early_end)
{
    p->io = io;
    io->events = &io_events;
    io->arg = p;
    p->out_end = early_end;
    gh_http_widen(p->stream);
    if (p->flooded) {
        finish(p, GH_TUNNEL_PUMP_FLOODED);
        return;
    }
    while (early.len) {
        struct gh_span piece = gh_span_of(early.data, early.len < GH_BYTE_STREAM_PIECE ? early.len : GH_BYTE_STREAM_PIECE);

        if (p->out_len) { /* more than the tunnel takes at its start */
            finish(p, GH_TUNNEL_PUMP_FAILED);
            return;
        }
        if (!pass_out(p, piece))
            return;
        early = gh_span_of(early.data + piece.len, early.len - piece.len);
    }
    if (p->out_len == 0 && !early_end)
        gh_byte_stream_want_read(io, true);
    pass_end(p);
    pass_in(p);
}
