/* HTTP/2: streams between services and the engine. */
#include <stdlib.h>

#include "base/error.h"
#include "net/http2_conn.h"
#include "net/http_capsule.h"

struct stream {
    struct gh_http_stream base; /* first: the services' pointer */
    struct gh_http2_conn *conn;
    struct gh_h2_stream *s;
    bool capsules; /* its body is a sequence of them */
};

static struct stream *stream_of(const struct gh_http_stream *s)
{
    return (struct stream *)(uintptr_t)s;
}

/* By name and not by number (RFC 9113, section 7). Of two names for one code the first is what it means when it comes in. */
static const struct {
    enum gh_http_reset why;
    uint32_t code;
} codes[] = {
    { GH_HTTP_REQUEST_CANCELLED, GH_H2_CANCEL },
    { GH_HTTP_REQUEST_REJECTED, GH_H2_REFUSED_STREAM },
    { GH_HTTP_MESSAGE_ERROR, GH_H2_PROTOCOL_ERROR },
    { GH_HTTP_DATAGRAM_ERROR, GH_H2_PROTOCOL_ERROR },
    { GH_HTTP_CONNECT_ERROR, GH_H2_CONNECT_ERROR },
    { GH_HTTP_EXCESSIVE_LOAD, GH_H2_ENHANCE_YOUR_CALM },
    { GH_HTTP_INTERNAL_ERROR, GH_H2_INTERNAL_ERROR },
};

#define CODES (sizeof codes / sizeof *codes)

static uint32_t reset_code(enum gh_http_reset why)
{
    for (size_t i = 0; i < CODES; i++)
        if (codes[i].why == why)
            return codes[i].code;
    return GH_H2_NO_ERROR;
}

static uint64_t closed_code(uint32_t code)
{
    if (code == GH_H2_NO_ERROR)
        return 0;
    for (size_t i = 0; i < CODES; i++)
        if (codes[i].code == code)
            return gh_http_code(codes[i].why);
    return gh_http_code(GH_HTTP_INTERNAL_ERROR);
}

/* What services do to a stream. */

static int op_respond(struct gh_http_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end)
{
    struct stream *st = stream_of(s);

    gh_http2_conn_wake(st->conn);
    return gh_h2_respond(st->s, status, fields, count, end);
}

static int op_send(struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct stream *st = stream_of(s);

    gh_http2_conn_wake(st->conn);
    return gh_h2_send(st->s, data, end);
}

static int op_send_datagram(struct gh_http_stream *s, struct gh_span payload, uint32_t flow)
{
    struct stream *st = stream_of(s);
    int rc = st->capsules ? gh_http_capsule_send_datagram(s, payload, gh_h2_queued(st->s)) : GH_ERR_UNSUPPORTED;

    (void)flow; /* one stream of bytes: all are in order */
    if (rc == GH_ERR_AGAIN)
        gh_h2_want_writable(st->s, GH_HTTP_CAPSULE_QUEUE / 2);
    st->conn->datagrams += rc == 0;
    return rc;
}

static size_t op_datagram_max(const struct gh_http_stream *s)
{
    return stream_of(s)->capsules ? GH_HTTP_CAPSULE_DATAGRAM_MAX : 0;
}

static void op_reset(struct gh_http_stream *s, enum gh_http_reset why)
{
    struct stream *st = stream_of(s);

    gh_http2_conn_wake(st->conn);
    gh_h2_reset(st->s, reset_code(why));
}

static const struct gh_http_peer *op_peer(const struct gh_http_stream *s)
{
    return &stream_of(s)->conn->peer;
}

static size_t op_plpmtu(const struct gh_http_stream *s)
{
    return stream_of(s)->conn->gone ? 0 : SIZE_MAX;
}

static void op_path(const struct gh_http_stream *s, struct gh_http_path *ret)
{
    ret->pieces = stream_of(s)->conn->pieces;
    ret->datagrams_out = stream_of(s)->conn->datagrams;
}

static size_t op_queued(const struct gh_http_stream *s)
{
    return gh_h2_queued(stream_of(s)->s);
}

static void op_hold(struct gh_http_stream *s)
{
    gh_h2_hold(stream_of(s)->s);
}

static void op_widen(struct gh_http_stream *s)
{
    struct stream *st = stream_of(s);

    gh_http2_conn_wake(st->conn);
    gh_h2_widen(st->s, GH_HTTP_WIDE);
}

static void op_consume(struct gh_http_stream *s, size_t bytes)
{
    struct stream *st = stream_of(s);

    gh_http2_conn_wake(st->conn);
    gh_h2_consume(st->s, bytes);
}

static const struct gh_http_ops ops = {
    .respond = op_respond,
    .send = op_send,
    .send_datagram = op_send_datagram,
    .datagram_max = op_datagram_max,
    .reset = op_reset,
    .peer = op_peer,
    .plpmtu = op_plpmtu,
    .hold = op_hold,
    .consume = op_consume,
    .widen = op_widen,
    .path = op_path,
    .queued = op_queued,
};

/* What the engine tells. */

static struct stream *stream_create(struct gh_http2_conn *c, struct gh_h2_stream *s, const struct gh_http_head *head)
{
    struct stream *st = calloc(1, sizeof *st);

    if (!st)
        return NULL;
    st->base.ops = &ops;
    st->base.id = (uint64_t)gh_h2_stream_id(s);
    st->conn = c;
    st->s = s;
    st->capsules = gh_h2_stream_is_tunnel(s) && gh_http_capsule_is_used(head->protocol);
    gh_h2_stream_set_user(s, st);
    return st;
}

static void on_settings(void *arg)
{
    struct gh_http2_conn *c = arg;

    if (c->events)
        c->events->on_ready(c->arg, c);
}

static void on_request(void *arg, struct gh_h2_stream *s, const struct gh_http_head *head)
{
    struct gh_http2_conn *c = arg;
    struct stream *st = stream_create(c, s, head);

    if (!st) {
        gh_h2_reset(s, GH_H2_ENHANCE_YOUR_CALM);
        return;
    }
    c->set->counters.requests++;
    c->set->handler.on_request(c->set->handler.arg, &st->base, head);
}

static void on_answer(void *arg, struct gh_h2_stream *s, const struct gh_http_head *head)
{
    (void)arg;
    gh_http_tell_answer(gh_h2_stream_user(s), head); /* the user is a stream, or nobody */
}

static void on_body(void *arg, struct gh_h2_stream *s, struct gh_span data, bool end)
{
    (void)arg;
    gh_http_tell_body(gh_h2_stream_user(s), data, end); /* the user is a stream, or nobody */
}

static void on_writable(void *arg, struct gh_h2_stream *s)
{
    (void)arg;
    gh_http_tell_writable(gh_h2_stream_user(s)); /* the user is a stream, or nobody */
}

static void on_closed(void *arg, struct gh_h2_stream *s, uint32_t code)
{
    struct stream *st = gh_h2_stream_user(s);

    (void)arg;
    if (!st)
        return;
    gh_h2_stream_set_user(s, NULL);
    gh_http_tell_closed(&st->base, closed_code(code));
    free(st);
}

static void on_goaway(void *arg)
{
    struct gh_http2_conn *c = arg;

    if (c->events && c->events->on_goaway)
        c->events->on_goaway(c->arg, c);
}

const struct gh_h2_events gh_http2_engine_events = { on_settings, on_request, on_answer, on_body, on_writable, on_closed, on_goaway };

int gh_http2_conn_request(struct gh_http2_conn *c, const struct gh_http_head *head, const struct gh_http_events *events, void *arg, bool end,
                          struct gh_http_stream **ret)
{
    struct gh_h2_stream *s;
    struct stream *st;
    int rc = gh_h2_request(c->h2, head, end, &s);

    if (rc < 0)
        return rc;
    gh_http2_conn_wake(c);
    st = stream_create(c, s, head);
    if (!st) {
        gh_h2_reset(s, GH_H2_CANCEL);
        return GH_ERR_MEMORY;
    }
    c->set->counters.requests++;
    st->base.events = events;
    st->base.arg = arg;
    *ret = &st->base;
    return 0;
}

struct gh_http2_conn *gh_http2_conn_of(const struct gh_http_stream *s)
{
    return s->ops == &ops ? stream_of(s)->conn : NULL;
}
