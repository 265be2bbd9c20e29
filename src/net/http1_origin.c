#include "net/http1_origin.h"

#include <stdlib.h>

#include "base/error.h"
#include "net/http1_ask.h"

#define HEAD_ROOM 20480u /* for a request line and fields of GH_HTTP_HEAD_MAX */
#define CHUNK_ROOM 32u
#define METHOD_MAX 32u

struct gh_http1_origin {
    struct gh_http_stream stream; /* first: what services hold */
    struct gh_byte_stream *io;
    const struct gh_http1_origin_events *events;
    void *arg;
    struct gh_http_peer peer;
    bool turning; /* inside an event of <io> */
    bool closing; /* to be closed at the end of the turn */
    bool cut;     /* with a reset */
    uint64_t code; /* for the stream's on_closed */

    bool busy;    /* a request is under way */
    char token[GH_HTTP1_ASK_TOKEN]; /* of the upgrade that it asks for */
    enum gh_http1_origin_body body;
    uint64_t out_left;
    bool out_done, shut;
    bool blocked, held;
    size_t untaken;
    enum gh_h1_kind kind;
    struct gh_h1_reader reader;
    struct gh_h1_chunked chunked;
    enum gh_h1_framing framing;
    uint64_t in_left;
    bool answered, tunnel, in_done, keep_alive;

    struct gh_http1_ask_out wait; /* in <out> */
    uint8_t out[GH_HTTP1_ORIGIN_OUT + HEAD_ROOM];
};

static struct gh_http1_origin *origin_of(const struct gh_http_stream *s)
{
    return (struct gh_http1_origin *)(uintptr_t)s;
}

static void want_turn(struct gh_http1_origin *c)
{
    if (!c->turning)
        gh_byte_stream_want_write(c->io);
}

static void fail(struct gh_http1_origin *c, enum gh_http_reset why)
{
    if (c->closing)
        return;
    c->closing = true;
    c->code = gh_http_code(why);
}

/* ---- what services do; nothing here calls an event ---- */

static struct gh_writer writer_at_end(struct gh_http1_origin *c)
{
    gh_http1_ask_settle(&c->wait, c->out);
    return gh_writer_of(c->out + c->wait.len, sizeof c->out - c->wait.len);
}

static bool may_send(const struct gh_http1_origin *c, size_t len, bool end)
{
    if (!c->busy || c->out_done || c->closing)
        return false;
    if (c->token[0])
        return c->tunnel;
    return c->body != GH_HTTP1_ORIGIN_LENGTH || (len <= c->out_left && (!end || len == c->out_left));
}

static int op_send(struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct gh_http1_origin *c = origin_of(s);
    bool chunked = c->body == GH_HTTP1_ORIGIN_CHUNKED && !c->tunnel;
    struct gh_writer w;

    if (!may_send(c, data.len, end))
        return GH_ERR_STATE;
    if (data.len > GH_HTTP1_ORIGIN_OUT)
        return GH_ERR_TOO_LONG;
    if (data.len > 0 && c->wait.len > 0 && c->wait.len + data.len > GH_HTTP1_ORIGIN_OUT) {
        c->blocked = true;
        want_turn(c);
        return GH_ERR_AGAIN;
    }
    w = writer_at_end(c);
    if (chunked && data.len > 0)
        gh_h1_emit_chunk_size(&w, data.len);
    gh_write_span(&w, data);
    if (chunked && data.len > 0)
        gh_h1_emit_end(&w);
    if (chunked && end)
        gh_h1_emit_last_chunk(&w);
    if (w.failed)
        return GH_ERR_INTERNAL;
    c->wait.len += gh_writer_len(&w);
    c->out_left -= c->body == GH_HTTP1_ORIGIN_LENGTH ? data.len : 0;
    c->out_done = end;
    want_turn(c);
    return 0;
}

static int op_send_datagram(struct gh_http_stream *s, struct gh_span payload, uint32_t flow)
{
    (void)s;
    (void)payload;
    (void)flow;
    return GH_ERR_UNSUPPORTED;
}

static size_t op_datagram_max(const struct gh_http_stream *s)
{
    (void)s;
    return 0;
}

static void op_reset(struct gh_http_stream *s, enum gh_http_reset why)
{
    struct gh_http1_origin *c = origin_of(s);

    if (!c->busy)
        return;
    fail(c, why);
    c->cut = true;
    want_turn(c);
}

static const struct gh_http_peer *op_peer(const struct gh_http_stream *s)
{
    return &origin_of(s)->peer;
}

static void op_hold(struct gh_http_stream *s)
{
    origin_of(s)->held = true;
}

static void op_consume(struct gh_http_stream *s, size_t bytes)
{
    struct gh_http1_origin *c = origin_of(s);

    c->untaken -= bytes < c->untaken ? bytes : c->untaken;
    want_turn(c);
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
};

/* ---- the byte stream's turns ---- */

static void end_stream(struct gh_http1_origin *c, uint64_t code)
{
    const struct gh_http_events *events = c->stream.events;

    if (!c->busy)
        return;
    c->busy = false;
    c->stream.events = NULL; /* it may be another's by the time it returns */
    if (events && events->on_closed)
        events->on_closed(c->stream.arg, &c->stream, code);
}

static void origin_destroy(struct gh_http1_origin *c)
{
    c->closing = c->turning = true; /* what events do to it is in vain */
    end_stream(c, c->code);
    if (c->cut)
        gh_byte_stream_reset(c->io);
    else
        gh_byte_stream_close(c->io);
    c->events->on_closed(c->arg, c);
    free(c);
}

static void flush(struct gh_http1_origin *c)
{
    if (c->closing || gh_http1_ask_flush(&c->wait, c->io, c->out) >= 0)
        return;
    c->wait = (struct gh_http1_ask_out){ 0 }; /* an answer that it sent before may still be there to be read */
    c->keep_alive = false;
}

/* The request is over in both directions, or what is left of it does not matter any more. */
static void finish(struct gh_http1_origin *c)
{
    if (c->tunnel) {
        c->closing |= c->shut;
        return;
    }
    if (!c->keep_alive || !c->out_done || c->wait.len > 0) {
        c->closing = true;
        return;
    }
    end_stream(c, 0);
    if (!c->closing)
        c->events->on_idle(c->arg, c);
}

static void turn(struct gh_http1_origin *c)
{
    c->turning = true;
    flush(c);
    if (c->blocked && !c->closing && c->wait.len <= GH_HTTP1_ORIGIN_OUT / 2) {
        c->blocked = false;
        if (c->busy)
            gh_http_tell_writable(&c->stream);
        flush(c);
    }
    if (c->tunnel && c->out_done && c->wait.len == 0 && !c->shut && !c->closing) {
        c->shut = true;
        gh_byte_stream_shutdown_write(c->io);
    }
    if (c->busy && c->in_done && !c->closing)
        finish(c);
    flush(c); /* of a request that was made just now */
    c->turning = false;
    if (c->closing) {
        origin_destroy(c);
        return;
    }
    gh_byte_stream_want_read(c->io, !c->held || c->untaken == 0);
    if (c->wait.len > 0 || c->blocked)
        gh_byte_stream_want_write(c->io);
}

static void tell_body(struct gh_http1_origin *c, struct gh_span data, bool end)
{
    c->in_done |= end;
    if (c->held)
        c->untaken += data.len;
    if (!c->closing && c->busy && (data.len > 0 || end))
        gh_http_tell_body(&c->stream, data, end);
}

static void take_answer(struct gh_http1_origin *c, const struct gh_h1_head *h1)
{
    struct gh_http_field fields[GH_H1_FIELDS_MAX];
    struct gh_http_head head = gh_http1_ask_head(h1, fields);

    c->tunnel = h1->status == 101;
    c->answered = true;
    c->keep_alive = h1->keep_alive && !c->tunnel;
    c->out_done |= c->token[0] && !c->tunnel; /* it was a GET, then */
    c->framing = c->tunnel ? GH_H1_BODY_UNTIL_CLOSE : h1->framing;
    c->in_left = h1->content_length;
    c->chunked = (struct gh_h1_chunked){ 0 };
    gh_http_tell_answer(&c->stream, &head);
    if (c->framing == GH_H1_BODY_NONE)
        tell_body(c, gh_span_of(NULL, 0), true);
}

static void take_head(struct gh_http1_origin *c, struct gh_span *in)
{
    struct gh_h1_head head;
    int rc = gh_http1_ask_feed(&c->reader, c->kind, c->token, in, &head);

    if (rc < 0)
        fail(c, GH_HTTP_MESSAGE_ERROR);
    if (rc == 1)
        take_answer(c, &head);
}

static void take_body(struct gh_http1_origin *c, struct gh_span *in)
{
    struct gh_span piece = *in;
    int rc;

    if (c->framing == GH_H1_BODY_CHUNKED) {
        rc = gh_h1_chunked_next(&c->chunked, in, &piece);
        if (rc < 0)
            fail(c, GH_HTTP_MESSAGE_ERROR);
        else if (rc == 1)
            tell_body(c, piece, piece.len == 0);
        return;
    }
    if (c->framing == GH_H1_BODY_LENGTH) {
        piece.len = piece.len < c->in_left ? piece.len : (size_t)c->in_left;
        c->in_left -= piece.len;
    }
    *in = gh_span_of(in->data + piece.len, in->len - piece.len);
    tell_body(c, piece, c->framing == GH_H1_BODY_LENGTH && c->in_left == 0);
}

static void on_bytes(void *arg, struct gh_span data)
{
    struct gh_http1_origin *c = arg;

    c->turning = true;
    while (data.len > 0 && c->busy && !c->in_done && !c->closing) {
        if (c->answered)
            take_body(c, &data);
        else
            take_head(c, &data);
    }
    /* the end of a chunked body may come with its last byte */
    if (c->busy && c->answered && !c->in_done && !c->closing && c->framing == GH_H1_BODY_CHUNKED)
        take_body(c, &data);
    if (data.len > 0) { /* more than was asked for: what follows is nobody's */
        c->keep_alive = false;
        if (!c->busy)
            fail(c, GH_HTTP_MESSAGE_ERROR);
    }
    turn(c);
}

static void on_end(void *arg)
{
    struct gh_http1_origin *c = arg;

    c->turning = true;
    c->keep_alive = false;
    if (c->busy && c->answered && c->framing == GH_H1_BODY_UNTIL_CLOSE)
        tell_body(c, gh_span_of(NULL, 0), true);
    else
        fail(c, GH_HTTP_REQUEST_CANCELLED);
    turn(c);
}

static void on_writable(void *arg)
{
    turn(arg);
}

static void on_broken(void *arg, int why)
{
    (void)why;
    fail(arg, GH_HTTP_REQUEST_CANCELLED);
    origin_destroy(arg);
}

static const struct gh_byte_stream_events io_events = { on_bytes, on_end, on_writable, on_broken };

/* ---- requests ---- */

static bool find_length(const struct gh_http_head *head, uint64_t *ret)
{
    struct gh_span s = gh_http_field_find(head, "content-length");
    uint64_t n = 0;

    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < '0' || s.data[i] > '9' || __builtin_mul_overflow(n, (uint64_t)10, &n)
            || __builtin_add_overflow(n, (uint64_t)(s.data[i] - '0'), &n))
            return false;
    *ret = n;
    return s.len > 0;
}

/* RFC 9110, section 8.6: that there is none is said. */
static bool expects_body(struct gh_span method)
{
    return gh_span_equals(method, gh_span_str("POST")) || gh_span_equals(method, gh_span_str("PUT")) || gh_span_equals(method, gh_span_str("PATCH"));
}

static int emit_request(struct gh_http1_origin *c, const struct gh_http_head *head, enum gh_http1_origin_body body)
{
    char method[METHOD_MAX] = "GET";
    struct gh_writer w = writer_at_end(c);
    uint64_t length;

    if (!c->token[0]) {
        if (head->method.len >= sizeof method)
            return GH_ERR_MALFORMED;
        memcpy(method, head->method.data, head->method.len);
        method[head->method.len] = 0;
    }
    gh_h1_emit_request_line(&w, method, head->path);
    gh_h1_emit_field(&w, gh_span_str("host"), head->authority);
    gh_http1_ask_emit_upgrade(&w, c->token);
    if (!c->token[0] && body == GH_HTTP1_ORIGIN_CHUNKED)
        gh_h1_emit_field(&w, gh_span_str("transfer-encoding"), gh_span_str("chunked"));
    else if (!c->token[0] && body == GH_HTTP1_ORIGIN_NO_BODY && expects_body(head->method) && !find_length(head, &length))
        gh_h1_emit_field(&w, gh_span_str("content-length"), gh_span_str("0"));
    gh_http1_ask_emit_fields(&w, head);
    if (w.failed)
        return GH_ERR_MALFORMED;
    c->wait.len += gh_writer_len(&w);
    return 0;
}

int gh_http1_origin_request(struct gh_http1_origin *c, const struct gh_http_head *head, enum gh_http1_origin_body body,
                            const struct gh_http_events *events, void *arg, struct gh_http_stream **ret)
{
    bool tunnel = gh_span_equals(head->method, gh_span_str("CONNECT"));
    uint64_t length = 0;
    int rc;

    if (c->busy || c->closing)
        return GH_ERR_STATE;
    if (tunnel != (head->protocol.len > 0) || head->protocol.len >= sizeof c->token || (body == GH_HTTP1_ORIGIN_LENGTH && !find_length(head, &length)))
        return GH_ERR_MALFORMED;
    memset(c->token, 0, sizeof c->token);
    if (tunnel)
        memcpy(c->token, head->protocol.data, head->protocol.len);
    rc = emit_request(c, head, body);
    if (rc < 0)
        return rc;
    c->kind = gh_span_equals(head->method, gh_span_str("HEAD")) ? GH_H1_ANSWER_TO_HEAD : GH_H1_ANSWER;
    gh_h1_reader_reset(&c->reader, c->kind);
    c->busy = true;
    c->body = body;
    c->out_left = length;
    c->out_done = !tunnel && body == GH_HTTP1_ORIGIN_NO_BODY;
    c->answered = c->tunnel = c->in_done = c->blocked = c->held = c->shut = false;
    c->untaken = 0;
    c->keep_alive = true;
    c->stream.events = events;
    c->stream.arg = arg;
    want_turn(c);
    *ret = &c->stream;
    return 0;
}

int gh_http1_origin_open(struct gh_byte_stream *io, const struct gh_http1_origin_events *events, void *arg, struct gh_http1_origin **ret)
{
    struct gh_http1_origin *c = calloc(1, sizeof *c);

    if (!c) {
        gh_byte_stream_close(io);
        return GH_ERR_MEMORY;
    }
    c->stream.ops = &ops;
    c->io = io;
    c->events = events;
    c->arg = arg;
    c->peer.identity = "";
    c->peer.uid = UINT32_MAX;
    io->events = &io_events;
    io->arg = c;
    gh_byte_stream_want_read(io, true);
    *ret = c;
    return 0;
}

void gh_http1_origin_close(struct gh_http1_origin *c)
{
    fail(c, GH_HTTP_REQUEST_CANCELLED);
    if (!c->turning)
        origin_destroy(c);
}
