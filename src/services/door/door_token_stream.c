#include "services/door/door_token_stream.h"

#include <stdlib.h>

#include "crypto/identity.h"

struct door_token_stream {
    struct gh_http_stream outer; /* first: what services see */
    struct gh_http_stream *inner;
    struct gh_http_peer peer;
    char name[GH_IDENTITY_NAME_MAX + 1];
    struct gh_http_head_store *head; /* until it is opened */
    void (*on_gone)(void *arg);
    void *arg;
    uint8_t *body;
    size_t body_len;
    bool opened, ended, opening, closed;
};

/* ---- to the stream ---- */

static struct gh_http_stream *inner_of(const struct gh_http_stream *s)
{
    return ((const struct door_token_stream *)s)->inner;
}

static int respond(struct gh_http_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end)
{
    return gh_http_respond(inner_of(s), status, fields, count, end);
}

static int send(struct gh_http_stream *s, struct gh_span data, bool end)
{
    return gh_http_send(inner_of(s), data, end);
}

static int send_datagram(struct gh_http_stream *s, struct gh_span payload, uint32_t flow)
{
    return gh_http_send_datagram(inner_of(s), payload, flow);
}

static size_t datagram_max(const struct gh_http_stream *s)
{
    return gh_http_datagram_max(inner_of(s));
}

static void reset(struct gh_http_stream *s, enum gh_http_reset why)
{
    gh_http_reset(inner_of(s), why);
}

static const struct gh_http_peer *peer(const struct gh_http_stream *s)
{
    return &((const struct door_token_stream *)s)->peer;
}

static size_t plpmtu(const struct gh_http_stream *s)
{
    return gh_http_plpmtu(inner_of(s));
}

static void hold(struct gh_http_stream *s)
{
    gh_http_hold(inner_of(s));
}

static void consume(struct gh_http_stream *s, size_t bytes)
{
    gh_http_consume(inner_of(s), bytes);
}

static void widen(struct gh_http_stream *s)
{
    gh_http_widen(inner_of(s));
}

static void path(const struct gh_http_stream *s, struct gh_http_path *ret)
{
    gh_http_path(inner_of(s), ret);
}

static void close_connection(struct gh_http_stream *s, const char *reason)
{
    gh_http_close_connection(inner_of(s), reason);
}

static size_t queued(const struct gh_http_stream *s)
{
    return gh_http_queued(inner_of(s));
}

static bool decline(struct gh_http_stream *s)
{
    return gh_http_decline(inner_of(s));
}

static const struct gh_http_ops ops = {
    .respond = respond,
    .send = send,
    .send_datagram = send_datagram,
    .datagram_max = datagram_max,
    .reset = reset,
    .peer = peer,
    .plpmtu = plpmtu,
    .hold = hold,
    .consume = consume,
    .widen = widen,
    .queued = queued,
    .path = path,
    .close_connection = close_connection,
    .decline = decline,
};

/* ---- from the stream ---- */

static void destroy(struct door_token_stream *t)
{
    free(t->body);
    free(t->head);
    free(t);
}

static void on_answer(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    (void)arg; /* it is a server's */
    (void)s;
    (void)head;
}

static void keep(struct door_token_stream *t, struct gh_span data, bool end)
{
    uint8_t *all = t->body;

    if (data.len)
        all = t->body_len + data.len <= DOOR_TOKEN_BODY_MAX ? realloc(t->body, t->body_len + data.len) : NULL;
    if (data.len && !all) {
        gh_http_reset(t->inner, GH_HTTP_EXCESSIVE_LOAD);
        return;
    }
    if (data.len)
        memcpy(all + t->body_len, data.data, data.len);
    t->body = all;
    t->body_len += data.len;
    t->ended |= end;
}

static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct door_token_stream *t = arg;

    (void)s;
    if (!t->opened)
        keep(t, data, end);
    else if (t->outer.events && t->outer.events->on_body)
        t->outer.events->on_body(t->outer.arg, &t->outer, data, end);
}

static void on_datagram(void *arg, struct gh_http_stream *s, struct gh_span payload)
{
    struct door_token_stream *t = arg;

    (void)s;
    if (!t->opened || !t->outer.events)
        return; /* datagrams may be lost */
    if (t->outer.events->on_datagram)
        t->outer.events->on_datagram(t->outer.arg, &t->outer, payload);
    else
        gh_http_reset(t->inner, GH_HTTP_DATAGRAM_ERROR);
}

static void on_writable(void *arg, struct gh_http_stream *s)
{
    struct door_token_stream *t = arg;

    (void)s;
    if (t->opened && t->outer.events && t->outer.events->on_writable)
        t->outer.events->on_writable(t->outer.arg, &t->outer);
}

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct door_token_stream *t = arg;

    (void)s;
    if (!t->opened)
        t->on_gone(t->arg);
    else if (t->outer.events && t->outer.events->on_closed)
        t->outer.events->on_closed(t->outer.arg, &t->outer, code);
    t->closed = true;
    if (!t->opening) /* else whoever opens it does it */
        destroy(t);
}

static const struct gh_http_events events = { on_answer, on_body, on_datagram, on_writable, on_closed };

/* ---- its life ---- */

static struct gh_http_head_store *copy(const struct gh_http_head *head)
{
    struct gh_http_head_store *b = calloc(1, sizeof *b);
    const struct {
        const char *name;
        struct gh_span value;
    } pseudo[] = { { ":method", head->method }, { ":scheme", head->scheme }, { ":authority", head->authority }, { ":path", head->path }, { ":protocol", head->protocol } };

    if (!b)
        return NULL;
    for (size_t i = 0; i < sizeof pseudo / sizeof *pseudo; i++)
        if (pseudo[i].value.len)
            gh_http_head_add(b, gh_span_str(pseudo[i].name), pseudo[i].value);
    for (size_t i = 0; i < head->field_count; i++)
        gh_http_head_add(b, head->fields[i].name, head->fields[i].value);
    if (!b->overflow)
        return b;
    free(b);
    return NULL;
}

struct door_token_stream *door_token_stream_create(struct gh_http_stream *inner, const struct gh_http_head *head, void (*on_gone)(void *arg), void *arg)
{
    struct door_token_stream *t = calloc(1, sizeof *t);

    if (t)
        t->head = copy(head);
    if (!t || !t->head) {
        free(t);
        return NULL;
    }
    t->outer = (struct gh_http_stream){ .ops = &ops, .id = inner->id };
    t->inner = inner;
    t->peer = *gh_http_peer(inner);
    t->on_gone = on_gone;
    t->arg = arg;
    inner->events = &events;
    inner->arg = t;
    return t;
}

void door_token_stream_open(struct door_token_stream *t, const char *name, uint64_t credential,
                            void (*serve)(void *arg, struct gh_http_stream *s, const struct gh_http_head *head), void *arg)
{
    uint8_t *body = t->body;
    size_t len = t->body_len;

    if (name) {
        memcpy(t->name, name, strnlen(name, GH_IDENTITY_NAME_MAX));
        t->peer.identity = t->name;
        t->peer.certificate = NULL;
        t->peer.not_after = INT64_MAX;
        t->peer.credential = credential;
    }
    t->opened = t->opening = true;
    serve(arg, &t->outer, &t->head->head);
    t->body = NULL;
    if (!t->closed && (len || t->ended) && t->outer.events && t->outer.events->on_body)
        t->outer.events->on_body(t->outer.arg, &t->outer, gh_span_of(body, len), t->ended);
    free(body);
    free(t->head);
    t->head = NULL;
    t->opening = false;
    if (t->closed)
        destroy(t);
}
