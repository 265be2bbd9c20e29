#include "services/door/door_callback.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/tls.h"
#include "net/http1_origin.h"

#define WAYS 4u
#define DIGEST 16u
#define BODY_MAX (sizeof "user=&token=" + GH_IDENTITY_NAME_MAX + 3 * GH_TOKEN_MAX)

struct known {
    uint8_t digest[DIGEST];
    int64_t until; /* 0: free */
    bool good;
};

struct door_callback_conf {
    _Atomic uint32_t refs, calls;
    struct door_callback_options o;
    char *path;
    uint64_t credential;
    uint8_t key[32];
    pthread_mutex_t lock; /* of what is below */
    struct known known[DOOR_CALLBACK_KNOWN];
};

struct door_callback {
    unsigned refs;
    struct gh_worker *w;
    struct door_callback_conf *conf;
    struct door_proxy_pool *pool;
};

/* BEGIN --its turn--> ASKING for a connection --> ANSWERING --> over */
struct door_callback_call {
    struct door_callback *c;
    struct door_credentials who;
    struct door_proxy_wish wish;
    struct door_proxy_link *link;
    struct gh_http_stream *stream;
    struct gh_deadline timer;
    void (*done)(void *arg, int rc);
    void *arg;
    enum { BEGIN, ASKING, ANSWERING } state;
    unsigned status;
    size_t answer_len, body_len;
    bool late, used, again;
    char body[BODY_MAX];
};

/* ---- what was answered before ---- */

int door_callback_conf_create(const struct door_callback_options *o, struct door_callback_conf **ret)
{
    struct door_callback_conf *c = calloc(1, sizeof *c);
    uint8_t hash[GH_SHA256_LEN];
    int rc = GH_ERR_MEMORY;

    if (!c)
        return rc;
    c->o = *o;
    c->o.tls = NULL;
    c->path = strdup(o->path);
    if (c->path)
        rc = gh_random_bytes(c->key, sizeof c->key);
    if (rc == 0)
        rc = gh_hmac_sha256(gh_span_str("gatehouse callback"), gh_span_of(o->url.authority, strlen(o->url.authority) + 1), gh_span_str(o->path), hash);
    if (rc < 0) {
        free(c->path);
        free(c);
        return rc;
    }
    memcpy(&c->credential, hash, sizeof c->credential);
    c->credential |= 1;
    c->o.tls = o->tls ? gh_tls_ctx_get(o->tls) : NULL;
    c->o.path = c->path;
    pthread_mutex_init(&c->lock, NULL);
    atomic_init(&c->refs, 1);
    *ret = c;
    return 0;
}

struct door_callback_conf *door_callback_conf_get(struct door_callback_conf *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void door_callback_conf_put(struct door_callback_conf *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
        return;
    gh_tls_ctx_put(c->o.tls);
    pthread_mutex_destroy(&c->lock);
    free(c->path);
    gh_wipe(c, sizeof *c);
    free(c);
}

uint64_t door_callback_credential(const struct door_callback_conf *c)
{
    return c->credential;
}

static struct known *places_of(struct door_callback_conf *c, const struct door_credentials *who, uint8_t digest[GH_SHA256_LEN])
{
    uint32_t n;

    if (gh_hmac_sha256(gh_span_of(c->key, sizeof c->key), gh_span_of(who->name, strlen(who->name) + 1), gh_span_of(who->token, who->token_len), digest) < 0)
        return NULL;
    memcpy(&n, digest + DIGEST, sizeof n);
    return &c->known[n % (DOOR_CALLBACK_KNOWN / WAYS) * WAYS];
}

int door_callback_recall(struct door_callback_conf *c, const struct door_credentials *who, int64_t now)
{
    uint8_t digest[GH_SHA256_LEN];
    const struct known *at = places_of(c, who, digest);
    int rc = 0;

    if (!at)
        return 0;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < WAYS; i++)
        if (at[i].until > now && gh_hash_equals(at[i].digest, digest, DIGEST))
            rc = at[i].good ? 1 : GH_ERR_DENIED;
    pthread_mutex_unlock(&c->lock);
    return rc;
}

/* Guesses take each other's places, not those of users, as long as there is another. */
static bool goes_sooner(const struct known *a, const struct known *b, int64_t now)
{
    bool a_counts = a->good && a->until > now, b_counts = b->good && b->until > now;

    return a_counts != b_counts ? b_counts : a->until < b->until;
}

void door_callback_remember(struct door_callback_conf *c, const struct door_credentials *who, bool good, int64_t now)
{
    uint8_t digest[GH_SHA256_LEN];
    struct known *at = places_of(c, who, digest), *chosen = at;
    int64_t life = good ? c->o.good_for : c->o.refused_for;

    if (!at)
        return;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < WAYS; i++) {
        if (gh_hash_equals(at[i].digest, digest, DIGEST)) {
            chosen = &at[i];
            break;
        }
        if (goes_sooner(&at[i], chosen, now))
            chosen = &at[i];
    }
    memcpy(chosen->digest, digest, DIGEST);
    chosen->until = life ? now + life : 0;
    chosen->good = good;
    pthread_mutex_unlock(&c->lock);
}

/* ---- a call ---- */

static void unref(struct door_callback *c)
{
    if (--c->refs > 0)
        return;
    door_proxy_pool_put(c->pool);
    door_callback_conf_put(c->conf);
    free(c);
}

static void destroy(struct door_callback_call *call)
{
    struct door_callback *c = call->c;

    gh_worker_deadline_stop(c->w, &call->timer);
    atomic_fetch_sub(&c->conf->calls, 1);
    gh_wipe(call, sizeof *call);
    free(call);
    unref(c);
}

static int verdict(const struct door_callback_call *call)
{
    static const unsigned refusals[] = { 400, 401, 403, 404, 422 };

    if (call->status == 200 || call->status == 204)
        return 0;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (call->status == refusals[i])
            return GH_ERR_DENIED;
    return call->late ? GH_ERR_TIMEOUT : GH_ERR_CLOSED;
}

static void end(struct door_callback_call *call)
{
    int rc = verdict(call);

    if (call->done && (rc == 0 || rc == GH_ERR_DENIED))
        door_callback_remember(call->c->conf, &call->who, rc == 0, gh_worker_now(call->c->w));
    if (call->done)
        call->done(call->arg, rc);
    destroy(call);
}

static void ask(struct door_callback_call *call, bool fresh)
{
    call->state = ASKING;
    door_proxy_pool_ask(call->c->pool, &call->wish, fresh); /* the call may be gone when this returns */
}

static void on_answer(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    (void)s;
    ((struct door_callback_call *)arg)->status = head->status;
}

static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool last)
{
    struct door_callback_call *call = arg;

    (void)s;
    call->answer_len += data.len;
    if (!last && call->answer_len > DOOR_CALLBACK_ANSWER)
        gh_http1_origin_close(call->link->origin); /* what it said counts */
}

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct door_callback_call *call = arg;

    (void)s;
    (void)code;
    call->stream = NULL;
    call->link = NULL;
    if (call->status == 0 && call->used && !call->late && !call->again && call->done) { /* a connection that was kept, and closed there meanwhile */
        call->again = true;
        ask(call, true);
        return;
    }
    end(call);
}

static const struct gh_http_events events = { .on_answer = on_answer, .on_body = on_body, .on_closed = on_closed };

static int request(struct door_callback_call *call)
{
    const struct door_callback_options *o = &call->c->conf->o;
    char length[12];
    struct gh_http_field fields[] = { { gh_span_str("content-type"), gh_span_str("application/x-www-form-urlencoded") },
                                      { gh_span_str("content-length"), { (const uint8_t *)length, 0 } } };
    const struct gh_http_head head = { .method = gh_span_str("POST"), .scheme = gh_span_str(o->tls ? "https" : "http"), .authority = gh_span_str(o->url.authority),
                                       .path = gh_span_str(o->path), .fields = fields, .field_count = 2 };
    int rc;

    fields[1].value.len = (size_t)snprintf(length, sizeof length, "%zu", call->body_len);
    rc = gh_http1_origin_request(call->link->origin, &head, GH_HTTP1_ORIGIN_LENGTH, &events, call, &call->stream);
    if (rc < 0)
        call->stream = NULL;
    return rc < 0 ? rc : gh_http_send(call->stream, gh_span_of(call->body, call->body_len), true);
}

static void on_ready(void *arg, int rc, struct door_proxy_link *l)
{
    struct door_callback_call *call = arg;

    if (rc < 0) {
        call->late |= rc == GH_ERR_TIMEOUT;
        end(call);
        return;
    }
    call->state = ANSWERING;
    call->link = l;
    call->used = l->used;
    rc = request(call);
    if (rc == 0)
        return;
    if (call->stream) { /* it is told of its end */
        gh_http1_origin_close(l->origin);
        return;
    }
    call->link = NULL;
    gh_http1_origin_close(l->origin);
    end(call);
}

static void on_timer(void *arg, int64_t now)
{
    struct door_callback_call *call = arg;

    if (call->state == BEGIN) {
        gh_worker_deadline_start(call->c->w, &call->timer, now + call->c->conf->o.timeout);
        ask(call, false);
        return;
    }
    call->late = true;
    if (call->state == ASKING) {
        door_proxy_pool_forget(&call->wish);
        end(call);
    } else {
        gh_http1_origin_close(call->link->origin);
    }
}

/* Letters, digits and three marks as they are, all else as %XX: no byte is lost, whatever a token is made of. */
static size_t append_encoded(char *to, const char *data, size_t len)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._", hex[] = "0123456789ABCDEF";
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)data[i];

        if (memchr(plain, c, sizeof plain - 1)) {
            to[n++] = (char)c;
            continue;
        }
        to[n++] = '%';
        to[n++] = hex[c >> 4];
        to[n++] = hex[c & 15];
    }
    return n;
}

struct door_callback_call *door_callback_ask(struct door_callback *c, const struct door_credentials *who, void (*done)(void *arg, int rc), void *arg)
{
    struct door_callback_call *call = atomic_fetch_add(&c->conf->calls, 1) < c->conf->o.calls ? calloc(1, sizeof *call) : NULL;
    size_t n;

    if (!call) {
        atomic_fetch_sub(&c->conf->calls, 1);
        return NULL;
    }
    call->c = c;
    c->refs++;
    call->who = *who;
    call->done = done;
    call->arg = arg;
    call->wish.ready = on_ready;
    call->wish.arg = call;
    gh_list_init(&call->wish.link);
    n = (size_t)snprintf(call->body, sizeof call->body, "user=%s&token=", who->name); /* a name needs no encoding */
    call->body_len = n + append_encoded(call->body + n, who->token, who->token_len);
    gh_deadline_init(&call->timer, on_timer, call);
    gh_worker_deadline_start(c->w, &call->timer, gh_worker_now(c->w));
    return call;
}

void door_callback_forget(struct door_callback_call *call)
{
    call->done = NULL;
    if (call->state == ANSWERING) {
        gh_http1_origin_close(call->link->origin);
        return;
    }
    if (call->state == ASKING)
        door_proxy_pool_forget(&call->wish);
    destroy(call);
}

/* ---- of a worker ---- */

int door_callback_create(struct gh_worker *w, struct door_callback_conf *conf, int64_t connect_timeout,
                         void (*lookup)(void *arg, const char *host, uint16_t port, struct gh_resolved *ret), void *arg, struct door_callback **ret)
{
    const struct door_proxy_pool_conf pool = { .origin = conf->o.url.origin, .tls = conf->o.tls, .connect_timeout = connect_timeout, .lookup = lookup, .lookup_arg = arg };
    struct door_callback *c = calloc(1, sizeof *c);
    int rc = c ? door_proxy_pool_create(w, &pool, &c->pool) : GH_ERR_MEMORY;

    if (rc < 0) {
        free(c);
        return rc;
    }
    c->refs = 1;
    c->w = w;
    c->conf = door_callback_conf_get(conf);
    *ret = c;
    return 0;
}

void door_callback_put(struct door_callback *c)
{
    if (c)
        unref(c);
}

struct door_callback_conf *door_callback_of(const struct door_callback *c)
{
    return c->conf;
}
