#include "net/http1_tunnel.h"

#include <stdlib.h>

#include "base/error.h"
#include "net/http1_ask.h"
#include "net/http_capsule.h"
#include "net/http_identity.h"

#define UNTAKEN_MAX 65536u /* bytes that a service holds before no more are read */

struct gh_http1_tunnel {
    struct gh_http_stream stream; /* first: what services hold */
    struct gh_byte_stream *io;
    struct gh_http_peer peer;
    struct gh_http_identity identity; /* that <peer> points to */
    char token[GH_HTTP1_ASK_TOKEN];   /* of the upgrade; "" for CONNECT */
    struct gh_h1_reader reader;
    bool granted;
    bool turning;  /* inside turn() */
    bool closing;  /* to be closed at the end of the turn */
    bool cut;      /* with a reset */
    bool in_ended; /* on_body was told the end */
    bool ended;    /* we send no more after what waits */
    bool shut;     /* ... and have said so */
    bool blocked, held;
    uint64_t code; /* for on_closed */
    size_t untaken;
    uint64_t pieces;    /* of bytes that came and went */
    uint64_t datagrams; /* that went */
    struct gh_http1_ask_out wait; /* in <out> */
    uint8_t out[GH_HTTP1_TUNNEL_OUT + 4096];
};

static struct gh_http1_tunnel *tunnel_of(const struct gh_http_stream *s)
{
    return (struct gh_http1_tunnel *)(uintptr_t)s;
}

static void want_turn(struct gh_http1_tunnel *t)
{
    if (!t->turning)
        gh_byte_stream_want_write(t->io);
}

/* What services do. Nothing here calls an event: a turn does. */

static void append(struct gh_http1_tunnel *t, struct gh_span data)
{
    gh_http1_ask_settle(&t->wait, t->out);
    if (data.len > 0)
        memcpy(t->out + t->wait.len, data.data, data.len);
    t->wait.len += data.len;
}

static int op_send(struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct gh_http1_tunnel *t = tunnel_of(s);

    if (!t->granted || t->ended || t->closing)
        return GH_ERR_STATE; /* what is sent before the answer could be read as a request (RFC 9110, section 7.8) */
    if (data.len > GH_HTTP1_TUNNEL_OUT)
        return GH_ERR_TOO_LONG;
    if (t->wait.len + data.len > GH_HTTP1_TUNNEL_OUT) {
        t->blocked = true;
        want_turn(t);
        return GH_ERR_AGAIN;
    }
    append(t, data);
    t->ended = end;
    want_turn(t);
    return 0;
}

static bool has_capsules(const struct gh_http1_tunnel *t)
{
    return t->granted && gh_http_capsule_is_used(gh_span_str(t->token));
}

static int op_send_datagram(struct gh_http_stream *s, struct gh_span payload, uint32_t flow)
{
    struct gh_http1_tunnel *t = tunnel_of(s);
    int rc = has_capsules(t) ? gh_http_capsule_send_datagram(s, payload, t->wait.len) : GH_ERR_UNSUPPORTED;

    (void)flow; /* one stream of bytes: all are in order */
    if (rc == GH_ERR_AGAIN) {
        t->blocked = true;
        want_turn(t);
    }
    t->datagrams += rc == 0;
    return rc;
}

static size_t op_datagram_max(const struct gh_http_stream *s)
{
    return has_capsules(tunnel_of(s)) ? GH_HTTP_CAPSULE_DATAGRAM_MAX : 0;
}

static void op_reset(struct gh_http_stream *s, enum gh_http_reset why)
{
    struct gh_http1_tunnel *t = tunnel_of(s);

    if (t->closing)
        return;
    t->closing = t->cut = true;
    t->code = gh_http_code(why);
    want_turn(t);
}

static const struct gh_http_peer *op_peer(const struct gh_http_stream *s)
{
    return &tunnel_of(s)->peer;
}

static void op_path(const struct gh_http_stream *s, struct gh_http_path *ret)
{
    ret->pieces = tunnel_of(s)->pieces;
    ret->datagrams_out = tunnel_of(s)->datagrams;
}

static void op_hold(struct gh_http_stream *s)
{
    tunnel_of(s)->held = true;
}

static void op_consume(struct gh_http_stream *s, size_t bytes)
{
    struct gh_http1_tunnel *t = tunnel_of(s);

    t->untaken -= bytes < t->untaken ? bytes : t->untaken;
    want_turn(t);
}

static const struct gh_http_ops ops = {
    .respond = gh_http1_ask_respond,
    .send = op_send,
    .send_datagram = op_send_datagram,
    .datagram_max = op_datagram_max,
    .reset = op_reset,
    .peer = op_peer,
    .hold = op_hold,
    .consume = op_consume,
    .path = op_path,
};

/* The byte stream's turns. */

static void tunnel_destroy(struct gh_http1_tunnel *t)
{
    t->closing = t->turning = true; /* what on_closed does to it is in vain */
    gh_http_tell_closed(&t->stream, t->code);
    if (t->cut)
        gh_byte_stream_reset(t->io);
    else
        gh_byte_stream_close(t->io);
    free(t);
}

static void flush(struct gh_http1_tunnel *t)
{
    int n = gh_http1_ask_flush(&t->wait, t->io, t->out);

    if (n < 0) {
        t->closing = true;
        t->code = gh_http_code(GH_HTTP_REQUEST_CANCELLED);
    } else {
        t->pieces += (unsigned)n;
    }
}

static void turn(struct gh_http1_tunnel *t)
{
    t->turning = true;
    if (!t->closing)
        flush(t);
    if (t->blocked && !t->closing && t->wait.len <= GH_HTTP1_TUNNEL_OUT / 2) {
        t->blocked = false;
        gh_http_tell_writable(&t->stream);
    }
    if (!t->closing)
        flush(t);
    if (t->ended && t->wait.len == 0 && !t->shut && !t->closing) {
        t->shut = true;
        gh_byte_stream_shutdown_write(t->io);
    }
    t->closing |= t->shut && t->in_ended;
    t->turning = false;
    if (t->closing) {
        tunnel_destroy(t);
        return;
    }
    gh_byte_stream_want_read(t->io, !t->in_ended && t->untaken < UNTAKEN_MAX);
    if (t->wait.len > 0 || t->blocked)
        gh_byte_stream_want_write(t->io);
}

static void tell_body(struct gh_http1_tunnel *t, struct gh_span data, bool end)
{
    t->in_ended = end;
    if (t->held)
        t->untaken += data.len;
    if (!t->closing && (data.len > 0 || end))
        gh_http_tell_body(&t->stream, data, end);
}

static void fail(struct gh_http1_tunnel *t, enum gh_http_reset why)
{
    t->closing = true;
    t->code = gh_http_code(why);
}

/* The answer that counts. */
static void take_answer(struct gh_http1_tunnel *t, const struct gh_h1_head *h1)
{
    struct gh_http_field fields[GH_H1_FIELDS_MAX];
    struct gh_http_head head = gh_http1_ask_head(h1, fields);

    t->granted = t->token[0] ? h1->status == 101 : h1->status < 300;
    if (t->granted)
        head.status = 200;
    else if (head.status < 300)
        head.status = 501; /* an answer to GET itself, which knows nothing of the upgrade */
    gh_http_tell_answer(&t->stream, &head);
    if (t->granted)
        return;
    tell_body(t, gh_span_of(NULL, 0), true);
    t->closing = true;
}

static void take_head(struct gh_http1_tunnel *t, struct gh_span *in)
{
    struct gh_h1_head head;

    while (in->len > 0 && !t->granted && !t->closing) {
        int rc = gh_http1_ask_feed(&t->reader, GH_H1_ANSWER, t->token, in, &head);

        if (rc < 0)
            fail(t, GH_HTTP_MESSAGE_ERROR);
        else if (rc == 1)
            take_answer(t, &head);
    }
}

static void on_bytes(void *arg, struct gh_span data)
{
    struct gh_http1_tunnel *t = arg;

    t->turning = true;
    t->pieces++;
    if (!t->granted)
        take_head(t, &data);
    if (t->granted)
        tell_body(t, data, false);
    turn(t);
}

static void on_end(void *arg)
{
    struct gh_http1_tunnel *t = arg;

    t->turning = true;
    if (t->granted)
        tell_body(t, gh_span_of(NULL, 0), true);
    else
        fail(t, GH_HTTP_REQUEST_CANCELLED);
    turn(t);
}

static void on_writable(void *arg)
{
    turn(arg);
}

static void on_broken(void *arg, int why)
{
    struct gh_http1_tunnel *t = arg;

    (void)why;
    if (!t->closing)
        fail(t, GH_HTTP_REQUEST_CANCELLED);
    tunnel_destroy(t);
}

static const struct gh_byte_stream_events io_events = { on_bytes, on_end, on_writable, on_broken };

static int emit_request(struct gh_http1_tunnel *t, const struct gh_http_head *head)
{
    struct gh_writer w = gh_writer_of(t->out, sizeof t->out);

    gh_h1_emit_request_line(&w, t->token[0] ? "GET" : "CONNECT", t->token[0] ? head->path : head->authority);
    gh_h1_emit_field(&w, gh_span_str("host"), head->authority);
    gh_http1_ask_emit_upgrade(&w, t->token);
    gh_http1_ask_emit_fields(&w, head);
    t->wait.len = gh_writer_len(&w);
    return w.failed ? GH_ERR_MALFORMED : 0;
}

int gh_http1_tunnel_open(struct gh_byte_stream *io, const struct gh_http_peer *peer, const struct gh_http_identity *identity,
                         const struct gh_http_head *head, struct gh_http_stream **ret)
{
    struct gh_http1_tunnel *t = calloc(1, sizeof *t);
    int rc = GH_ERR_MEMORY;

    if (!t)
        goto fail;
    rc = GH_ERR_MALFORMED;
    if (head->protocol.len >= sizeof t->token || !gh_span_equals(head->method, gh_span_str("CONNECT")))
        goto fail;
    memcpy(t->token, head->protocol.data ? head->protocol.data : (const uint8_t *)"", head->protocol.len);
    rc = emit_request(t, head);
    if (rc < 0)
        goto fail;
    t->io = io;
    t->peer = *peer;
    if (identity) {
        t->identity = *identity;
        t->peer.identity = t->identity.name;
        t->peer.certificate = &t->identity.certificate;
        t->peer.not_after = t->identity.not_after;
    }
    gh_h1_reader_reset(&t->reader, GH_H1_ANSWER);
    t->stream.ops = &ops;
    io->events = &io_events;
    io->arg = t;
    gh_byte_stream_want_read(io, true);
    gh_byte_stream_want_write(io);
    *ret = &t->stream;
    return 0;
fail:
    gh_byte_stream_close(io);
    free(t);
    return rc;
}

void gh_http1_tunnel_close(struct gh_http_stream *s)
{
    struct gh_http1_tunnel *t = tunnel_of(s);

    if (!t->closing)
        t->code = gh_http_code(GH_HTTP_REQUEST_CANCELLED);
    tunnel_destroy(t);
}
