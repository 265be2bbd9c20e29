#include "services/door/proxy.h"

#include <stdlib.h>

#include "base/base64.h"
#include "base/error.h"
#include "crypto/random.h"
#include "net/http1_origin.h"
#include "services/door/page.h"
#include "services/door/proxy_head.h"

#define PIECE 16384u         /* bytes that are handed on at once */
#define WAITING_MAX 2097152u /* bytes of a body that wait: more than the windows of HTTP/2 and HTTP/3 let a client send */
#define WAITING_ALL (64u << 20) /* of all requests of a worker: who comes when these are there is refused */
#define FAREWELL INT64_C(2000000000) /* ns that the end of a tunnel may take */

struct door_proxy {
    struct gh_worker *w;
    struct door_proxy_pool *pool;
    unsigned refs, requests;
    size_t waiting; /* bytes, of all requests */
    bool keep_host, forwarded;
    const char *scheme;
    char *authority, *server;
    int64_t timeout;
};

/* Bytes that the other side did not take yet. */
struct waiting {
    uint8_t *data;
    size_t at, len, cap;
    bool end; /* nothing comes behind them */
};

/* A request and its answer. Gone when both streams are, and no connection is asked for. */
struct exchange {
    struct door_proxy *p;
    struct gh_http_stream *s;     /* the client's; NULL: gone */
    struct gh_http_stream *u;     /* the origin's; NULL: none */
    struct door_proxy_link *link; /* of <u> */
    struct door_proxy_wish wish;
    bool asking;
    struct door_proxy_head *ask;
    enum gh_http1_origin_body body;
    bool head, tunnel, body_known, idempotent, retried;
    bool sent;      /* some of the body was */
    bool up_done;   /* all of it was */
    bool answered, granted;
    bool down_done; /* the answer is complete */
    bool down_ended; /* that direction of a tunnel is */
    struct waiting up, down;
    struct gh_deadline start; /* whether there is a body is known by then */
    struct gh_deadline timer;
};

static void begin(struct exchange *x, bool fresh);

/* ---- bytes that wait ---- */

static int keep(struct door_proxy *p, struct waiting *q, struct gh_span data)
{
    if (data.len == 0)
        return 0;
    if (q->len + data.len > WAITING_MAX || p->waiting + data.len > WAITING_ALL)
        return GH_ERR_FULL;
    if (q->at > 0)
        memmove(q->data, q->data + q->at, q->len);
    q->at = 0;
    if (q->len + data.len > q->cap) {
        size_t cap = q->cap ? q->cap : PIECE;
        uint8_t *bigger;

        while (cap < q->len + data.len)
            cap *= 2;
        bigger = realloc(q->data, cap);
        if (!bigger)
            return GH_ERR_MEMORY;
        q->data = bigger;
        q->cap = cap;
    }
    memcpy(q->data + q->len, data.data, data.len);
    q->len += data.len;
    p->waiting += data.len;
    return 0;
}

static void forget(struct door_proxy *p, struct waiting *q)
{
    p->waiting -= q->len;
    free(q->data);
    *q = (struct waiting){ .end = q->end };
}

/* Sends what waits to <to>, and tells <from> of each piece. 0 when all of it went, else as gh_http_send. */
static int push(struct door_proxy *p, struct waiting *q, struct gh_http_stream *to, struct gh_http_stream *from)
{
    while (q->len > 0) {
        size_t n = q->len < PIECE ? q->len : PIECE;
        int rc = gh_http_send(to, gh_span_of(q->data + q->at, n), q->end && n == q->len);

        if (rc < 0)
            return rc;
        q->at += n;
        q->len -= n;
        p->waiting -= n;
        if (from)
            gh_http_consume(from, n);
    }
    forget(p, q);
    return 0;
}

/* ---- a request's life ---- */

static void release(struct exchange *x)
{
    struct door_proxy *p = x->p;

    if (x->s || x->u || x->asking)
        return;
    gh_worker_deadline_stop(p->w, &x->start);
    gh_worker_deadline_stop(p->w, &x->timer);
    forget(p, &x->up);
    forget(p, &x->down);
    free(x->ask);
    free(x);
    p->requests--;
    door_proxy_put(p);
}

static void touch(struct exchange *x)
{
    gh_worker_deadline_start(x->p->w, &x->timer, gh_worker_now(x->p->w) + x->p->timeout);
}

/* Nothing more is wanted of the origin. */
static void leave_origin(struct exchange *x)
{
    if (x->asking)
        door_proxy_pool_forget(&x->wish);
    x->asking = false;
    if (x->u)
        gh_http1_origin_close(x->link->origin);
}

/* The answer is complete: what else the client sends goes nowhere. */
static void end_answer(struct exchange *x)
{
    x->answered = x->down_done = true;
    gh_http_consume(x->s, x->up.len);
    forget(x->p, &x->up);
    gh_worker_deadline_stop(x->p->w, &x->timer);
}

/* An answer of our own; <x> may be gone after it. */
static void refuse(struct exchange *x, unsigned status)
{
    struct door_answer a;

    end_answer(x);
    door_answer_begin(&a, x->p->server, gh_worker_wall(x->p->w));
    door_page_respond(x->s, &a, status, x->head);
}

static void on_late(void *arg, int64_t now)
{
    struct exchange *x = arg;

    if (x->granted && !x->down_ended && x->down.len == 0) { /* a silent tunnel ends in order, when its client does, too */
        x->down_ended = true;
        leave_origin(x);
        gh_worker_deadline_start(x->p->w, &x->timer, now + FAREWELL);
        (void)gh_http_send(x->s, gh_span_of(NULL, 0), true);
        return;
    }
    if (x->answered) {
        gh_http_reset(x->s, GH_HTTP_INTERNAL_ERROR);
        return;
    }
    end_answer(x); /* so that the origin's end is not the client's */
    leave_origin(x);
    refuse(x, 504);
}

/* ---- from the client to the origin ---- */

static void push_up(struct exchange *x)
{
    int rc;

    if (!x->u || x->up_done || x->down_done || (x->tunnel && !x->granted))
        return;
    x->sent |= x->up.len > 0;
    rc = x->up.len > 0 ? push(x->p, &x->up, x->u, x->s) : 0;
    if (rc == 0 && x->up.end) {
        /* the last piece had the end with it, unless there was none */
        rc = x->body == GH_HTTP1_ORIGIN_NO_BODY && !x->tunnel ? 0 : gh_http_send(x->u, gh_span_of(NULL, 0), true);
        x->up_done = rc == 0 || rc == GH_ERR_STATE;
        rc = 0;
    }
    if (rc < 0 && rc != GH_ERR_AGAIN)
        gh_http_reset(x->s, GH_HTTP_MESSAGE_ERROR); /* not as long as it said */
}

static void know_body(struct exchange *x, enum gh_http1_origin_body body)
{
    x->body_known = true;
    x->body = body;
    gh_worker_deadline_stop(x->p->w, &x->start);
    begin(x, false);
}

static void on_start(void *arg, int64_t now)
{
    struct exchange *x = arg;

    (void)now;
    if (!x->body_known && x->s)
        know_body(x, GH_HTTP1_ORIGIN_CHUNKED);
}

static void on_client_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct exchange *x = arg;

    if (x->down_done || (x->answered && !x->u)) { /* nobody is there who would want it */
        gh_http_consume(s, data.len);
        return;
    }
    if (keep(x->p, &x->up, data) < 0) {
        gh_http_reset(s, GH_HTTP_EXCESSIVE_LOAD);
        return;
    }
    x->up.end |= end;
    if (x->asking || x->u)
        touch(x);
    if (!x->body_known)
        know_body(x, end && x->up.len == 0 ? GH_HTTP1_ORIGIN_NO_BODY : GH_HTTP1_ORIGIN_CHUNKED);
    else
        push_up(x);
}

/* ---- from the origin to the client ---- */

/* A tunnel may go on in the other direction. */
static void end_down(struct exchange *x)
{
    if (x->granted)
        x->down_ended = true;
    else
        end_answer(x);
}

static void push_down(struct exchange *x)
{
    int rc = push(x->p, &x->down, x->s, x->u);

    if (rc == GH_ERR_AGAIN)
        return;
    if (rc < 0)
        gh_http_reset(x->s, GH_HTTP_INTERNAL_ERROR);
    else if (x->down.end)
        end_down(x);
}

static void on_client_writable(void *arg, struct gh_http_stream *s)
{
    struct exchange *x = arg;

    (void)s;
    if (x->down.len == 0)
        return;
    touch(x);
    push_down(x);
}

static void on_client_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct exchange *x = arg;

    (void)s;
    (void)code;
    x->s = NULL;
    gh_worker_deadline_stop(x->p->w, &x->timer);
    gh_worker_deadline_stop(x->p->w, &x->start);
    if (x->u) {
        leave_origin(x); /* <x> may be gone with it */
        return;
    }
    leave_origin(x);
    release(x);
}

static const struct gh_http_events client_events = { .on_body = on_client_body, .on_writable = on_client_writable, .on_closed = on_client_closed };

static void answer(struct exchange *x, const struct gh_http_head *head)
{
    const struct door_proxy_head_rules rules = { .scheme = x->p->scheme, .authority = x->p->authority };
    struct gh_http_field fields[GH_HTTP_FIELDS_MAX + 1];
    char date[GH_HTTP_DATE_TEXT];
    size_t count = door_proxy_head_answer(head, &rules, x->granted, x->ask->made_key, gh_http_date_emit(gh_worker_wall(x->p->w), date), fields);
    bool bodiless = x->head || head->status == 204 || head->status == 304 || gh_span_equals(gh_http_field_find(head, "content-length"), gh_span_str("0"));
    int rc;

    if (count > GH_HTTP_FIELDS_MAX)
        count = GH_HTTP_FIELDS_MAX; /* the date of a server that sends so many is left out */
    rc = gh_http_respond(x->s, x->granted ? 200 : head->status, fields, count, bodiless && !x->granted);
    if (bodiless && !x->granted)
        end_answer(x);
    if (rc < 0)
        gh_http_reset(x->s, GH_HTTP_INTERNAL_ERROR);
}

static void on_answer(void *arg, struct gh_http_stream *u, const struct gh_http_head *head)
{
    struct exchange *x = arg;

    (void)u;
    if (!x->s || x->answered)
        return;
    x->answered = true;
    x->granted = x->tunnel && head->status == 101;
    /* where it cannot be the answer to a GET, one that is good would open a tunnel */
    if (x->tunnel && !x->granted && !gh_http_decline(x->s) && head->status < 300) {
        leave_origin(x);
        refuse(x, 502);
        return;
    }
    touch(x);
    answer(x, head);
    if (x->granted && x->s)
        push_up(x);
}

static void on_origin_body(void *arg, struct gh_http_stream *u, struct gh_span data, bool end)
{
    struct exchange *x = arg;
    int rc = GH_ERR_AGAIN;

    if (!x->s || x->down_done) {
        gh_http_consume(u, data.len);
        return;
    }
    touch(x);
    if (x->down.len == 0)
        rc = gh_http_send(x->s, data, end);
    if (rc == 0) {
        gh_http_consume(u, data.len);
        if (end)
            end_down(x);
        return;
    }
    if (rc == GH_ERR_AGAIN) {
        rc = keep(x->p, &x->down, data);
        x->down.end |= end;
    }
    if (rc < 0)
        gh_http_reset(x->s, GH_HTTP_INTERNAL_ERROR);
}

static void on_origin_writable(void *arg, struct gh_http_stream *u)
{
    struct exchange *x = arg;

    (void)u;
    if (!x->s)
        return;
    touch(x);
    push_up(x);
}

static void on_origin_closed(void *arg, struct gh_http_stream *u, uint64_t code)
{
    struct exchange *x = arg;
    bool again = x->link->used && !x->answered && !x->sent && !x->retried && x->idempotent;

    (void)u;
    x->u = NULL;
    x->link = NULL;
    if (x->s && again) { /* one that was kept may end as a request comes (RFC 9112, section 9.3.1) */
        x->retried = true;
        begin(x, true);
    } else if (x->s && !x->answered) {
        refuse(x, 502);
    } else if (x->s && !x->down_done && !x->down_ended && !x->down.end) {
        gh_http_reset(x->s, code ? GH_HTTP_INTERNAL_ERROR : GH_HTTP_NO_ERROR);
    } else {
        release(x);
    }
}

static const struct gh_http_events origin_events = { .on_answer = on_answer, .on_body = on_origin_body, .on_writable = on_origin_writable,
                                                     .on_closed = on_origin_closed };

/* ---- asking ---- */

static void on_ready(void *arg, int rc, struct door_proxy_link *l)
{
    struct exchange *x = arg;

    x->asking = false;
    if (rc < 0) {
        refuse(x, rc == GH_ERR_TIMEOUT ? 504 : rc == GH_ERR_CLOSED ? 502 : 503);
        return;
    }
    x->link = l;
    rc = gh_http1_origin_request(l->origin, &x->ask->head, x->body, &origin_events, x, &x->u);
    if (rc < 0) {
        x->u = NULL;
        x->link = NULL;
        gh_http1_origin_close(l->origin);
        refuse(x, 400);
        return;
    }
    gh_http_hold(x->u);
    touch(x);
    push_up(x);
}

static void begin(struct exchange *x, bool fresh)
{
    x->asking = true;
    x->up_done = false;
    touch(x);
    door_proxy_pool_ask(x->p->pool, &x->wish, fresh);
}

static bool is_method(const struct gh_http_head *head, const char *name)
{
    return gh_span_equals(head->method, gh_span_str(name));
}

static int make_ask(struct exchange *x, const struct gh_http_head *head)
{
    const struct door_proxy_head_rules rules = { x->p->scheme, x->p->authority, x->p->keep_host, x->p->forwarded, gh_http_peer(x->s)->addr };
    uint8_t random[16];
    char key[GH_BASE64_TEXT(sizeof random)];
    struct gh_http_head get = *head;
    int rc = gh_random_bytes(random, sizeof random);

    if (rc < 0)
        return rc;
    gh_base64_encode(gh_span_of(random, sizeof random), key);
    if (is_method(head, "CONNECT"))
        get.method = gh_span_str("GET");
    return door_proxy_head_ask(&get, &rules, x->tunnel, key, &x->ask);
}

/* 0, or the status that refuses it. */
static unsigned judge(struct exchange *x, const struct gh_http_head *head)
{
    static const char *const again[] = { "GET", "HEAD", "OPTIONS", "PUT", "DELETE" };
    bool websocket = gh_span_equals(head->protocol, gh_span_str("websocket"));
    int rc;

    if (websocket && gh_http_field_find(head, "sec-websocket-key").len == 0 && gh_http_decline(x->s))
        websocket = false; /* of HTTP/1, which has a key for each: this is none */
    else if (is_method(head, "CONNECT") && !websocket && !gh_http_decline(x->s))
        return 405;
    if (is_method(head, "TRACE"))
        return 405;
    x->tunnel = websocket && is_method(head, "CONNECT");
    for (size_t i = 0; i < sizeof again / sizeof *again; i++)
        x->idempotent |= is_method(head, again[i]);
    x->idempotent |= is_method(head, "CONNECT");
    rc = make_ask(x, head);
    return rc == 0 ? 0 : rc == GH_ERR_TOO_LONG || rc == GH_ERR_MALFORMED ? 400 : 500;
}

static void start(struct exchange *x, const struct gh_http_head *head)
{
    if (is_method(head, "CONNECT")) {
        x->up.end = !x->tunnel;
        know_body(x, GH_HTTP1_ORIGIN_NO_BODY);
    } else if (x->ask->has_length) {
        know_body(x, GH_HTTP1_ORIGIN_LENGTH);
    } else {
        gh_worker_deadline_start(x->p->w, &x->start, gh_worker_now(x->p->w));
    }
}

void door_proxy_serve(struct door_proxy *p, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct exchange *x = p->requests < DOOR_PROXY_REQUESTS_MAX ? calloc(1, sizeof *x) : NULL;
    struct door_answer a;
    unsigned status;

    if (!x) {
        door_answer_begin(&a, p->server, gh_worker_wall(p->w));
        door_page_respond(s, &a, 503, is_method(head, "HEAD"));
        return;
    }
    x->p = p;
    x->s = s;
    x->head = is_method(head, "HEAD");
    x->wish.ready = on_ready;
    x->wish.arg = x;
    gh_list_init(&x->wish.link);
    gh_deadline_init(&x->start, on_start, x);
    gh_deadline_init(&x->timer, on_late, x);
    p->refs++;
    p->requests++;
    s->events = &client_events;
    s->arg = x;
    gh_http_hold(s);
    status = judge(x, head);
    if (status > 0)
        refuse(x, status);
    else
        start(x, head);
}

/* ---- the whole ---- */

static void proxy_free(struct door_proxy *p)
{
    door_proxy_pool_put(p->pool);
    free(p->authority);
    free(p->server);
    free(p);
}

int door_proxy_create(struct gh_worker *w, const struct door_proxy_conf *conf, struct door_proxy **ret)
{
    struct door_proxy *p = calloc(1, sizeof *p);
    int rc = GH_ERR_MEMORY;

    if (!p)
        return rc;
    p->w = w;
    p->refs = 1;
    p->keep_host = conf->keep_host;
    p->forwarded = conf->forwarded;
    p->timeout = conf->timeout;
    p->scheme = conf->pool.tls ? "https" : "http";
    p->authority = strdup(conf->authority);
    p->server = strdup(conf->server);
    if (p->authority && p->server)
        rc = door_proxy_pool_create(w, &conf->pool, &p->pool);
    if (rc < 0) {
        proxy_free(p);
        return rc;
    }
    *ret = p;
    return 0;
}

void door_proxy_put(struct door_proxy *p)
{
    if (p && --p->refs == 0)
        proxy_free(p);
}

unsigned door_proxy_requests(const struct door_proxy *p)
{
    return p->requests;
}
