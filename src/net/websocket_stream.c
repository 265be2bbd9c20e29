#include "net/websocket_stream.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "net/http_capsule.h"
#include "wire/h1.h"
#include "wire/websocket.h"

#define FIELDS_MAX 16u /* of a client's request */

struct websocket {
    struct gh_http_stream base; /* first: what the handler has */
    struct gh_http_stream *below; /* NULL: gone */
    struct gh_ws_reader reader;
    const char *name;
    char accept[GH_WS_ACCEPT_TEXT]; /* "" on HTTP/2 (RFC 8441, section 5) */
    uint64_t datagrams;
    bool open;       /* 200 was answered */
    bool held;       /* the handler says what it has taken */
    bool said_close, heard_close, over;
    bool client;     /* masks what it sends (RFC 6455, section 5.3) */
    struct gh_http_field fields[FIELDS_MAX]; /* client: of the request, until it is sent */
    char key[GH_WS_KEY_TEXT];
    bool told;       /* on_closed */
    uint16_t code;   /* of an end that we agree with: what the peer said, if it did (section 5.5.1) */
    unsigned inside; /* events under way, in which it may not be freed */
    uint8_t *out;    /* one message */
    size_t out_cap;
};

static struct websocket *ws_of(const struct gh_http_stream *s)
{
    return (struct websocket *)(uintptr_t)s;
}

static void tell_closed(struct websocket *ws, uint64_t code)
{
    if (!ws->told && ws->base.events)
        ws->base.events->on_closed(ws->base.arg, &ws->base, code);
    ws->told = true;
    ws->base.events = NULL;
}

/* ---- out ---- */

/* A new one for each frame. NULL: none is wanted; false: there is no randomness. */
static bool next_mask(const struct websocket *ws, uint8_t buf[GH_WS_MASK], const uint8_t **ret)
{
    *ret = ws->client ? buf : NULL;
    return !ws->client || gh_random_bytes(buf, GH_WS_MASK) == 0;
}

/* One binary message. */
static int put_message(const struct websocket *ws, struct gh_writer *w, struct gh_span data)
{
    uint8_t buf[GH_WS_MASK];
    const uint8_t *mask;
    size_t at;

    if (!next_mask(ws, buf, &mask))
        return GH_ERR_CRYPTO;
    gh_ws_emit_head(w, GH_WS_BINARY, true, data.len, mask);
    at = gh_writer_len(w);
    gh_write_span(w, data);
    if (mask)
        gh_ws_mask(ws->out + at, data.len, mask, 0);
    return 0;
}

static int put_close(const struct websocket *ws, struct gh_writer *w, uint16_t code)
{
    uint8_t buf[GH_WS_MASK];
    const uint8_t *mask;

    if (!next_mask(ws, buf, &mask))
        return GH_ERR_CRYPTO;
    gh_ws_emit_close(w, code, gh_span_of(NULL, 0), mask);
    return 0;
}

static void put_control(struct websocket *ws, enum gh_ws_opcode opcode, struct gh_span data)
{
    uint8_t frame[GH_WS_HEAD_MAX + GH_WS_CONTROL_MAX], buf[GH_WS_MASK];
    struct gh_writer w = gh_writer_of(frame, sizeof frame);
    const uint8_t *mask;

    if (ws->said_close || !next_mask(ws, buf, &mask))
        return;
    gh_ws_emit_control(&w, opcode, data, mask);
    (void)gh_http_send(ws->below, gh_span_of(frame, gh_writer_len(&w)), false); /* one that finds no room is answered with the next (section 5.5.3) */
}

static int reserve(struct websocket *ws, size_t need)
{
    uint8_t *grown = need > ws->out_cap ? realloc(ws->out, need) : ws->out;

    if (!grown)
        return GH_ERR_MEMORY;
    ws->out = grown;
    ws->out_cap = need > ws->out_cap ? need : ws->out_cap;
    return 0;
}

static int say_close(struct websocket *ws, uint16_t code, bool end)
{
    uint8_t frame[GH_WS_HEAD_MAX + GH_WS_CONTROL_MAX];
    struct gh_writer w = gh_writer_of(frame, sizeof frame);
    int rc = 0;

    if (ws->said_close && !end)
        return 0;
    if (!ws->said_close)
        rc = put_close(ws, &w, code);
    if (rc == 0)
        rc = gh_http_send(ws->below, gh_span_of(frame, gh_writer_len(&w)), end);
    if (rc == 0)
        ws->said_close = true;
    if (rc == 0 && end)
        ws->over = true;
    return rc;
}

static int op_respond(struct gh_http_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end)
{
    struct websocket *ws = ws_of(s);
    struct gh_http_field all[GH_HTTP_FIELDS_MAX];
    size_t n = 0;
    int rc;

    if (!ws->below || ws->open)
        return GH_ERR_STATE;
    if (status < 200 || status > 299)
        return gh_http_respond(ws->below, status, fields, count, end);
    if (ws->accept[0])
        all[n++] = (struct gh_http_field){ gh_span_str("sec-websocket-accept"), gh_span_str(ws->accept) };
    all[n++] = (struct gh_http_field){ gh_span_str("sec-websocket-protocol"), gh_span_str(ws->name) };
    for (size_t i = 0; i < count && n < GH_HTTP_FIELDS_MAX; i++)
        if (!gh_span_equals(fields[i].name, gh_span_str("capsule-protocol"))) /* the messages hold capsules, the stream does not */
            all[n++] = fields[i];
    rc = gh_http_respond(ws->below, status, all, n, false);
    ws->open = rc == 0;
    return rc == 0 && end ? say_close(ws, GH_WS_NORMAL, true) : rc;
}

static int op_send(struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct websocket *ws = ws_of(s);
    struct gh_writer w;
    int rc;

    if (!ws->below || !ws->open || ws->said_close)
        return GH_ERR_STATE;
    rc = reserve(ws, data.len + 2 * GH_WS_HEAD_MAX);
    if (rc < 0)
        return rc;
    w = gh_writer_of(ws->out, ws->out_cap);
    if (data.len)
        rc = put_message(ws, &w, data);
    if (rc == 0 && end)
        rc = put_close(ws, &w, ws->code);
    if (rc < 0)
        return rc;
    /* after our close the peer's is waited for, and then the stream ends (section 7.1.1) */
    rc = gh_http_send(ws->below, gh_span_of(ws->out, gh_writer_len(&w)), end && ws->heard_close);
    if (rc == 0 && end) {
        ws->said_close = true;
        ws->over = ws->heard_close;
    }
    return rc;
}

static int op_send_datagram(struct gh_http_stream *s, struct gh_span payload, uint32_t flow)
{
    struct websocket *ws = ws_of(s);
    int rc;

    (void)flow;
    if (!ws->below || !ws->open || ws->said_close)
        return GH_ERR_STATE;
    rc = gh_http_capsule_send_datagram(s, payload, gh_http_queued(ws->below));
    ws->datagrams += rc == 0;
    return rc;
}

static size_t op_datagram_max(const struct gh_http_stream *s)
{
    return ws_of(s)->open ? GH_HTTP_CAPSULE_DATAGRAM_MAX : 0;
}

static void op_reset(struct gh_http_stream *s, enum gh_http_reset why)
{
    struct websocket *ws = ws_of(s);

    if (ws->below)
        gh_http_reset(ws->below, why);
}

static const struct gh_http_peer *op_peer(const struct gh_http_stream *s)
{
    return gh_http_peer(ws_of(s)->below);
}

static size_t op_plpmtu(const struct gh_http_stream *s)
{
    return ws_of(s)->below ? gh_http_plpmtu(ws_of(s)->below) : 0;
}

static void op_hold(struct gh_http_stream *s)
{
    struct websocket *ws = ws_of(s);

    ws->held = true;
    if (ws->below)
        gh_http_hold(ws->below);
}

static void op_consume(struct gh_http_stream *s, size_t bytes)
{
    if (ws_of(s)->below)
        gh_http_consume(ws_of(s)->below, bytes);
}

static void op_path(const struct gh_http_stream *s, struct gh_http_path *ret)
{
    if (ws_of(s)->below)
        gh_http_path(ws_of(s)->below, ret);
    ret->datagrams_out += ws_of(s)->datagrams;
}

static void op_close_connection(struct gh_http_stream *s, const char *reason)
{
    if (ws_of(s)->below)
        gh_http_close_connection(ws_of(s)->below, reason);
}

static const struct gh_http_ops ops = { op_respond, op_send,    op_send_datagram, op_datagram_max, op_reset, op_peer,
                                        op_plpmtu,  op_hold,    op_consume,       op_path,         op_close_connection };

/* ---- in ---- */

static void destroy(struct websocket *ws)
{
    free(ws->out);
    free(ws);
}

/* RFC 6455, section 7.1.7: say why, and end. What still comes is not read. */
static void fail(struct websocket *ws, uint16_t code)
{
    int rc = say_close(ws, code, true);

    ws->over = true;
    tell_closed(ws, gh_http_code(GH_HTTP_MESSAGE_ERROR));
    if (rc < 0 && ws->below)
        gh_http_reset(ws->below, GH_HTTP_MESSAGE_ERROR);
}

static void on_close_frame(struct websocket *ws, uint16_t code)
{
    ws->heard_close = true;
    ws->code = code;
    if (ws->base.events)
        ws->base.events->on_body(ws->base.arg, &ws->base, gh_span_of(NULL, 0), true);
    if (ws->below && !ws->over && say_close(ws, code, true) < 0)
        gh_http_reset(ws->below, GH_HTTP_EXCESSIVE_LOAD); /* it does not read, and has said that it sends no more */
}

static void on_event(struct websocket *ws, const struct gh_ws_event *e)
{
    switch (e->opcode) {
    case GH_WS_BINARY:
        if (ws->base.events && e->data.len)
            ws->base.events->on_body(ws->base.arg, &ws->base, e->data, false);
        break;
    case GH_WS_PING:
        put_control(ws, GH_WS_PONG, e->data);
        break;
    case GH_WS_CLOSE:
        on_close_frame(ws, e->code);
        break;
    case GH_WS_PONG:
        break;
    default:
        fail(ws, GH_WS_UNSUPPORTED_DATA);
    }
}

static bool is_alive(const struct websocket *ws)
{
    return ws->below && !ws->over;
}

static void below_body(void *arg, struct gh_http_stream *below, struct gh_span data, bool end)
{
    struct websocket *ws = arg;
    struct gh_ws_bytes in = { (uint8_t *)(uintptr_t)data.data, data.len }; /* ours to write over */
    size_t passed = 0;
    struct gh_ws_event e;
    int rc = 0;

    if (!ws->open && ws->client) { /* why it was refused */
        if (ws->base.events)
            ws->base.events->on_body(ws->base.arg, &ws->base, data, end);
        return;
    }
    ws->inside++;
    while (is_alive(ws)) {
        rc = gh_ws_next(&ws->reader, &in, &e);
        if (rc <= 0)
            break;
        if (e.opcode == GH_WS_BINARY)
            passed += e.data.len;
        on_event(ws, &e);
    }
    if (is_alive(ws) && rc < 0)
        fail(ws, gh_ws_code_of(rc));
    if (ws->below && ws->held && data.len > passed) /* heads and control frames are ours; what is no longer read as well */
        gh_http_consume(below, data.len - passed);
    if (ws->below && end && !ws->heard_close) {
        tell_closed(ws, gh_http_code(GH_HTTP_REQUEST_CANCELLED)); /* section 7.1.5: not closed cleanly */
        gh_http_reset(ws->below, GH_HTTP_REQUEST_CANCELLED);
    }
    if (--ws->inside == 0 && !ws->below)
        destroy(ws);
}

static void below_writable(void *arg, struct gh_http_stream *below)
{
    struct websocket *ws = arg;

    (void)below;
    if (ws->base.events && ws->base.events->on_writable)
        ws->base.events->on_writable(ws->base.arg, &ws->base);
}

static void below_closed(void *arg, struct gh_http_stream *below, uint64_t code)
{
    struct websocket *ws = arg;

    (void)below;
    ws->inside++;
    /* section 7.1.4: clean when both have said so, however a proxy in between ends what is below */
    tell_closed(ws, ws->heard_close && ws->said_close ? 0 : code);
    ws->below = NULL;
    if (--ws->inside == 0)
        destroy(ws);
}

static const struct gh_http_events below_events = { NULL, below_body, NULL, below_writable, below_closed };

/* ---- the opening handshake ---- */

const struct gh_websocket_protocol gh_websocket_connect_ip = { "gatehouse-connect-ip", "connect-ip" };

static bool is_protocol(struct gh_span s)
{
    static const char word[] = "websocket";

    return s.len == sizeof word - 1 && strncasecmp((const char *)s.data, word, s.len) == 0;
}

bool gh_websocket_is_asked(const struct gh_http_head *head, const struct gh_websocket_protocol *p)
{
    if (!gh_span_equals(head->method, gh_span_str("CONNECT")) || !is_protocol(head->protocol))
        return false;
    for (size_t i = 0; i < head->field_count; i++) /* the list may come in several lines */
        if (gh_span_equals(head->fields[i].name, gh_span_str("sec-websocket-protocol")) && gh_h1_list_has(head->fields[i].value, p->name))
            return true;
    return false;
}

/* 0 or the status of a refusal. HTTP/2 has neither an Upgrade nor a key (RFC 8441, section 5). */
static unsigned check(const struct gh_http_head *head, char ret_accept[GH_WS_ACCEPT_TEXT])
{
    struct gh_span key = gh_http_field_find(head, "sec-websocket-key");
    bool upgrade = gh_http_field_find(head, "upgrade").len > 0;

    ret_accept[0] = 0;
    if (!gh_span_equals(gh_http_field_find(head, "sec-websocket-version"), gh_span_str("13")))
        return 426;
    if (!upgrade)
        return 0;
    if (!gh_ws_key_valid(key))
        return 400;
    return gh_ws_accept(key, gh_sha1, ret_accept) < 0 ? 500 : 0;
}

int gh_websocket_accept(struct gh_http_stream *below, const struct gh_http_head *head, const struct gh_websocket_protocol *p,
                        struct gh_http_handler handler)
{
    const struct gh_http_field version = { gh_span_str("sec-websocket-version"), gh_span_str("13") };
    struct gh_http_head inner = *head;
    struct websocket *ws;
    char accept[GH_WS_ACCEPT_TEXT];
    unsigned status = check(head, accept);

    if (status) {
        gh_http_respond(below, status, &version, status == 426 ? 1 : 0, true);
        return GH_ERR_PROTOCOL;
    }
    ws = calloc(1, sizeof *ws);
    if (!ws) {
        gh_http_respond(below, 503, NULL, 0, true);
        return GH_ERR_MEMORY;
    }
    ws->base.ops = &ops;
    ws->base.id = below->id;
    ws->below = below;
    ws->name = p->name;
    ws->code = GH_WS_NORMAL;
    memcpy(ws->accept, accept, sizeof accept);
    gh_ws_reader_init(&ws->reader, true, 0);
    below->events = &below_events;
    below->arg = ws;
    inner.protocol = gh_span_str(p->protocol);
    ws->inside++;
    handler.on_request(handler.arg, &ws->base, &inner);
    if (--ws->inside == 0 && !ws->below)
        destroy(ws);
    return 0;
}

/* ---- a client's ---- */

/* Is it what a server answers that speaks our protocol? (section 4.1, what a client does with the answer) */
static bool is_granted(const struct websocket *ws, const struct gh_http_head *head)
{
    if (ws->accept[0] && !gh_span_equals(gh_http_field_find(head, "sec-websocket-accept"), gh_span_str(ws->accept)))
        return false;
    return gh_span_equals(gh_http_field_find(head, "sec-websocket-protocol"), gh_span_str(ws->name)) &&
           gh_http_field_find(head, "sec-websocket-extensions").len == 0;
}

static void client_answer(void *arg, struct gh_http_stream *below, const struct gh_http_head *head)
{
    struct websocket *ws = arg;
    bool good = head->status >= 200 && head->status <= 299;

    if (ws->open)
        return;
    if (good && !is_granted(ws, head)) {
        gh_http_reset(below, GH_HTTP_MESSAGE_ERROR);
        return;
    }
    ws->open = good;
    ws->inside++;
    if (ws->base.events && ws->base.events->on_answer)
        ws->base.events->on_answer(ws->base.arg, &ws->base, head);
    if (--ws->inside == 0 && !ws->below)
        destroy(ws);
}

const struct gh_http_events gh_websocket_client_events = { client_answer, below_body, NULL, below_writable, below_closed };

static void add(struct websocket *ws, size_t *n, const char *name, const char *value)
{
    if (*n < FIELDS_MAX)
        ws->fields[*n] = (struct gh_http_field){ gh_span_str(name), gh_span_str(value) };
    (*n)++;
}

static int make_request(struct websocket *ws, const struct gh_http_head *head, bool h1, struct gh_http_head *ret)
{
    uint8_t random[16];
    size_t n = 0;
    int rc = h1 ? gh_random_bytes(random, sizeof random) : 0;

    if (rc < 0)
        return rc;
    add(ws, &n, "sec-websocket-version", "13");
    if (h1) {
        gh_ws_key_emit(random, ws->key);
        rc = gh_ws_accept(gh_span_str(ws->key), gh_sha1, ws->accept);
        add(ws, &n, "sec-websocket-key", ws->key);
    }
    add(ws, &n, "sec-websocket-protocol", ws->name);
    for (size_t i = 0; i < head->field_count; i++) {
        if (gh_span_equals(head->fields[i].name, gh_span_str("capsule-protocol")))
            continue;
        if (n < FIELDS_MAX)
            ws->fields[n] = head->fields[i];
        n++;
    }
    if (n > FIELDS_MAX)
        return GH_ERR_TOO_LONG;
    *ret = *head;
    ret->protocol = gh_span_str("websocket");
    ret->fields = ws->fields;
    ret->field_count = n;
    return rc;
}

int gh_websocket_create(const struct gh_http_head *head, const struct gh_websocket_protocol *p, bool h1, struct gh_http_stream **ret, struct gh_http_head *ret_head)
{
    struct websocket *ws = calloc(1, sizeof *ws);
    int rc;

    if (!ws)
        return GH_ERR_MEMORY;
    ws->base.ops = &ops;
    ws->code = GH_WS_NORMAL;
    ws->client = true;
    ws->name = p->name;
    gh_ws_reader_init(&ws->reader, false, 0);
    rc = make_request(ws, head, h1, ret_head);
    if (rc < 0) {
        destroy(ws);
        return rc;
    }
    *ret = &ws->base;
    return 0;
}

void gh_websocket_attach(struct gh_http_stream *s, struct gh_http_stream *below)
{
    ws_of(s)->below = below;
    s->id = below->id;
}

void gh_websocket_discard(struct gh_http_stream *s)
{
    destroy(ws_of(s));
}

void gh_websocket_ping(struct gh_http_stream *s)
{
    if (ws_of(s)->below && ws_of(s)->open)
        put_control(ws_of(s), GH_WS_PING, gh_span_of(NULL, 0));
}
