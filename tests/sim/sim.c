#include "sim.h"

#include <stdlib.h>
#include <string.h>

#include "certs.h"

#define SIM_LARGE 1000u

struct flying {
    struct gh_list link;
    int64_t at;
    uint64_t order;
    bool to_server;
    uint8_t ecn;
    size_t len;
    uint8_t data[];
};

static uint64_t turn(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static double part(uint64_t random)
{
    return (double)(random >> 11) / 9007199254740992.0;
}

uint64_t sim_random(struct sim *s)
{
    return turn(&s->random);
}

double sim_chance(struct sim *s)
{
    return part(sim_random(s));
}

bool sim_link_loses(struct sim_link *l, size_t len, double chance)
{
    if (l->fate && len >= SIM_LARGE)
        chance = part(turn(&l->fate));
    return chance < l->loss;
}

static int fill_random(void *arg, void *buf, size_t len)
{
    uint8_t *p = buf;

    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(sim_random(arg) >> 32);
    return 0;
}

static void trace(struct sim *s, uint64_t v)
{
    s->trace = (s->trace ^ v) * UINT64_C(0x100000001b3);
}

void sim_credentials(bool server, struct gh_tls_config *ret)
{
    ret->server = server;
    ret->certificate = gh_span_str(server ? SIM_RELAY_CRT : SIM_AGENT_CRT);
    ret->key = gh_span_str(server ? SIM_RELAY_KEY : SIM_AGENT_KEY);
    ret->ca = gh_span_str(SIM_CA);
}

static struct gh_tls_ctx *make_tls(bool server)
{
    struct gh_tls_config cfg = { .alpn = "h3" };
    struct gh_tls_ctx *ctx;
    char err[200];

    sim_credentials(server, &cfg);
    if (gh_tls_ctx_create(&cfg, &ctx, err, sizeof err) < 0)
        abort();
    return ctx;
}

void sim_init(struct sim *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    s->trace = UINT64_C(0xcbf29ce484222325);
    s->now = 1000 * SIM_S;
    for (int i = 0; i < 2; i++) {
        gh_list_init(&s->flying[i]);
        s->link[i].delay = 5 * SIM_MS;
    }
    s->tokens.random = sim_random_source(s);
    memset(s->tokens.key, 7, sizeof s->tokens.key);
    s->client = (struct sim_end){ .sim = s, .addr = { gh_ip_v4("\xc0\x00\x02\x01"), 40000 }, .tls = make_tls(false) };
    s->server = (struct sim_end){ .sim = s, .server = true, .addr = { gh_ip_v4("\xc0\x00\x02\x02"), 4433 }, .tls = make_tls(true) };
    for (int i = 0; i < 2; i++) {
        struct sim_end *e = i ? &s->server : &s->client;

        gh_quic_config_default(&e->config);
        e->config.random = sim_random_source(s);
    }
}

struct gh_random_source sim_random_source(struct sim *s)
{
    return (struct gh_random_source){ fill_random, s };
}

static void free_flying(struct sim *s)
{
    for (int i = 0; i < 2; i++) {
        gh_list_each(l, &s->flying[i])
            free(gh_container_of(l, struct flying, link));
        gh_list_init(&s->flying[i]);
    }
}

void sim_forget(struct sim *s)
{
    free_flying(s);
    sim_end_drop(&s->client);
    sim_end_drop(&s->server);
    s->client.closed = s->server.closed = false;
}

void sim_end_drop(struct sim_end *e)
{
    struct gh_quic_close none = { .kind = GH_QUIC_CLOSED_LOCAL };
    struct gh_quic *q = e->quic;

    if (q && e->stack.open)
        e->stack.closed(e->stack.arg, e->closed ? &e->why : &none);
    gh_h3_destroy(e->h3);
    gh_quic_destroy(q);
    e->h3 = NULL;
    e->quic = NULL;
}

static void end_fini(struct sim_end *e)
{
    sim_end_drop(e);
    gh_tls_session_put(e->session);
    gh_tls_ctx_put(e->tls);
}

void sim_fini(struct sim *s)
{
    free_flying(s);
    end_fini(&s->client);
    end_fini(&s->server);
}

static int make_cid(void *arg, struct gh_quic_cid *ret, uint8_t ret_token[GH_QUIC_RESET_TOKEN])
{
    struct sim_end *e = arg;

    ret->len = GH_QUIC_CID_LEN;
    fill_random(e->sim, ret->data, ret->len);
    return fill_random(e->sim, ret_token, GH_QUIC_RESET_TOKEN);
}

static void retire_cid(void *arg, const struct gh_quic_cid *cid)
{
    (void)arg;
    (void)cid;
}

static void on_closed(void *arg, const struct gh_quic_close *why)
{
    struct sim_end *e = arg;

    e->closed = true;
    e->why = *why;
}

int64_t sim_wall(const struct sim *s)
{
    return INT64_C(1700000000) + s->now / SIM_S;
}

static int make_token(void *arg, uint8_t ret[GH_QUIC_NEW_TOKEN_MAX])
{
    struct sim_end *e = arg;

    return gh_quic_token_new(&e->sim->tokens, &e->sim->client.addr, sim_wall(e->sim), ret);
}

static void on_token(void *arg, struct gh_span token)
{
    struct sim_end *e = arg;

    if (token.len > sizeof e->token)
        abort();
    memcpy(e->token, token.data, token.len);
    e->token_len = token.len;
}

static void on_session(void *arg, struct gh_tls_session *session)
{
    struct sim_end *e = arg;

    gh_tls_session_put(e->session);
    e->session = session;
}

static const struct gh_quic_host host = { make_cid, retire_cid, on_closed, make_token, on_token, on_session };

/* What the engine of a new connection is made with. */
static int prepare(struct sim_end *e, struct gh_quic_owner *ret, struct gh_tls_ctx **ret_tls)
{
    *ret = (struct gh_quic_owner){ .host = &host, .host_arg = e };
    *ret_tls = e->tls;
    if (e->stack.open)
        return e->stack.open(e->stack.arg, &ret->app, &ret->app_arg, ret_tls);
    if (gh_h3_create(&e->h3_config, &e->h3) < 0)
        abort();
    ret->app = &gh_h3_app;
    ret->app_arg = e->h3;
    return 0;
}

static void attach(struct sim_end *e)
{
    if (e->stack.open)
        e->stack.attached(e->stack.arg, e->quic);
    else
        gh_h3_attach(e->h3, e->quic);
}

int sim_open(struct sim *s)
{
    struct gh_quic_path path = { s->client.addr, s->server.addr };
    struct gh_quic_owner owner;
    struct gh_quic_target to = { .server_name = "relay.gatehouse.example" };
    int rc = prepare(&s->client, &owner, &to.tls);

    if (s->name) {
        to.server_name = s->name->server_name;
        to.certificate_name = s->name->certificate_name;
        to.ech = s->name->ech;
        to.ech_list = s->name->ech_list;
    }
    to.token = gh_span_of(s->client.token, s->client.token_len);
    to.session = s->client.session;
    s->client.closed = false;
    if (rc == 0)
        rc = gh_quic_create_client(&s->client.config, &owner, &to, &path, s->now, &s->client.quic);
    if (rc == 0)
        attach(&s->client);
    return rc;
}

void sim_connect(struct sim *s, const struct gh_h3_events *client, void *client_arg, const struct gh_h3_events *server, void *server_arg)
{
    s->client.h3_config = (struct gh_h3_config){ false, s->client.config.max_streams_bidi, client, client_arg };
    s->server.h3_config = (struct gh_h3_config){ true, s->server.config.max_streams_bidi, server, server_arg };
    if (sim_open(s) < 0)
        abort();
}

static void put(struct sim *s, bool to_server, struct gh_span payload, uint8_t ecn, int64_t delay)
{
    struct flying *f = malloc(sizeof *f + payload.len);
    struct gh_list *road = &s->flying[!to_server], *at = road->prev;

    if (!f)
        abort();
    f->at = s->now + delay;
    f->order = s->order++;
    f->to_server = to_server;
    f->ecn = ecn;
    f->len = payload.len;
    memcpy(f->data, payload.data, payload.len);
    while (at != road && gh_container_of(at, struct flying, link)->at > f->at)
        at = at->prev;
    f->link.next = at->next;
    f->link.prev = at;
    at->next->prev = &f->link;
    at->next = &f->link;
}

/* What a broken link makes of a datagram: its new length. */
static size_t spoil(struct sim *s, const struct sim_link *l, struct gh_span payload, uint8_t *buf)
{
    size_t len = payload.len;

    memcpy(buf, payload.data, len);
    if (sim_chance(s) < l->truncate)
        len = (size_t)(sim_random(s) % len);
    if (len && sim_chance(s) < l->corrupt)
        buf[sim_random(s) % len] ^= (uint8_t)(1u << sim_random(s) % 8);
    return len;
}

/* When the last bit of it is out; 0 when the queue has no room. */
static int64_t serialize(struct sim *s, struct sim_link *l, size_t len)
{
    int64_t at = l->busy > s->now ? l->busy : s->now, bit = SIM_S / (int64_t)l->rate;

    if ((at - s->now) / bit / 8 > (int64_t)l->queue)
        return 0;
    l->busy = at + (int64_t)(len + 28) * 8 * bit;
    return l->busy - s->now;
}

/* More waits than a queue should hold. */
static bool stands(const struct sim *s, const struct sim_link *l)
{
    return l->rate && l->mark_above && l->busy > s->now &&
           (l->busy - s->now) / (SIM_S / (int64_t)l->rate) / 8 > (int64_t)l->mark_above;
}

static void send_payload(struct sim *s, bool from_server, struct gh_span payload, uint8_t ecn)
{
    struct sim_link *l = &s->link[from_server];
    uint8_t buf[GH_QUIC_PAYLOAD_JUMBO];
    int64_t delay = l->delay;

    trace(s, (uint64_t)s->now);
    trace(s, payload.len * 2 + from_server);
    if (s->on_wire)
        s->on_wire(s->on_wire_arg, from_server, payload);
    l->ecn[ecn]++;
    if (ecn && l->ecn_fault == SIM_ECN_DROPPED) {
        s->lost++;
        return;
    }
    if (ecn && l->ecn_fault)
        ecn = l->ecn_fault == SIM_ECN_SWAPPED;
    if (ecn && (l->congested || stands(s, l)))
        ecn = 3;
    if (l->down || (l->max_payload && payload.len > l->max_payload) || sim_link_loses(l, payload.len, sim_chance(s))) {
        s->lost++;
        return;
    }
    if (l->rate) {
        int64_t wait = serialize(s, l, payload.len);

        if (wait == 0) {
            s->lost++;
            return;
        }
        delay += wait;
    }
    payload = gh_span_of(buf, spoil(s, l, payload, buf));
    if (sim_chance(s) < l->reorder)
        delay += (int64_t)((1 + sim_chance(s) * 2) * (double)l->delay);
    put(s, !from_server, payload, ecn, delay);
    if (sim_chance(s) < l->duplicate)
        put(s, !from_server, payload, ecn, delay + l->delay / 2);
}

void sim_inject(struct sim *s, bool from_server, struct gh_span payload)
{
    put(s, !from_server, payload, 0, s->link[from_server].delay);
}

static void answer_retry(struct sim *s, const struct gh_quic_initial *first)
{
    uint8_t token[GH_QUIC_TOKEN_MAX], buf[256];
    struct gh_quic_cid scid;
    int len;

    make_cid(&s->server, &scid, token);
    len = gh_quic_token_retry(&s->tokens, first, &scid, &s->client.addr, sim_wall(s), token);
    if (len > 0)
        len = gh_quic_retry(first, &scid, gh_span_of(token, (size_t)len), buf, sizeof buf);
    if (len < 0)
        return;
    s->retries++;
    send_payload(s, true, gh_span_of(buf, (size_t)len), 0);
}

/* As net/quic_answer.c does it. */
static bool admits(struct sim *s, struct gh_quic_initial *first)
{
    uint8_t buf[256];
    int len;

    if (gh_quic_token_check(&s->tokens, first, &s->client.addr, sim_wall(s)) < 0) {
        len = gh_quic_refuse(first, GH_QUIC_INVALID_TOKEN, buf, sizeof buf);
        send_payload(s, true, gh_span_of(buf, (size_t)len), 0);
        return false;
    }
    if (first->proof != GH_QUIC_PROOF_NONE || !s->retry)
        return true;
    answer_retry(s, first);
    return false;
}

static struct gh_quic_addr seen(const struct sim_end *e)
{
    return e->nat.port ? e->nat : e->addr;
}

static void accept_first(struct sim *s, const struct flying *f)
{
    struct gh_quic_initial first;
    struct gh_quic_path path = { s->server.addr, seen(&s->client) };
    struct gh_quic_owner owner;
    struct gh_tls_ctx *tls;

    if (gh_quic_accept(gh_span_of(f->data, f->len), &first) != 1 || !admits(s, &first) || prepare(&s->server, &owner, &tls) < 0)
        return;
    if (gh_quic_create_server(&s->server.config, &owner, tls, &first, &path, s->now, &s->server.quic) < 0)
        abort();
    s->server.closed = false;
    attach(&s->server);
}

/* One server connection at a time: one that a client left behind, when it followed a Retry, makes room. */
static bool left_behind(struct sim *s, const struct flying *f)
{
    struct gh_quic_initial first;
    const struct gh_quic_cid *dcid = s->server.quic ? gh_quic_first_dcid(s->server.quic) : NULL;

    if (!dcid || gh_quic_handshake_complete(s->server.quic) || gh_quic_accept(gh_span_of(f->data, f->len), &first) != 1 ||
        gh_quic_token_check(&s->tokens, &first, &s->client.addr, sim_wall(s)) < 0 || first.proof != GH_QUIC_PROOF_RETRY)
        return false;
    return first.dcid.len != dcid->len || memcmp(first.dcid.data, dcid->data, dcid->len) != 0;
}

static void deliver(struct sim *s, struct flying *f)
{
    struct sim_end *to = f->to_server ? &s->server : &s->client, *from = f->to_server ? &s->client : &s->server;
    struct gh_quic_path path = { to->addr, seen(from) };
    struct gh_quic_initial first;

    s->delivered++;
    if (to->server && to->closed && to->why.kind == GH_QUIC_CLOSED_HANDSHAKE)
        sim_end_drop(to); /* what came first was no first packet: the next one may be */
    if (to->server && left_behind(s, f)) {
        sim_end_drop(to);
        to->closed = false;
    }
    if (!to->quic && to->server && (!to->closed || to->why.kind == GH_QUIC_CLOSED_HANDSHAKE))
        accept_first(s, f);
    if (to->quic)
        gh_quic_recv(to->quic, &path, f->ecn, gh_span_of(f->data, f->len), s->now);
    if (to->server && to->closed && to->why.retry && gh_quic_accept(gh_span_of(f->data, f->len), &first) == 1)
        answer_retry(s, &first);
    free(f);
}

static bool same(const struct gh_quic_addr *a, const struct gh_quic_addr *b)
{
    return a->port == b->port && gh_ip_equals(&a->ip, &b->ip);
}

/* An address that an end had is nobody's. */
static bool leads_somewhere(const struct sim *s, const struct sim_end *from, const struct gh_quic_path *path)
{
    const struct gh_quic_addr there = seen(from->server ? &s->client : &s->server);

    return same(&path->local, &from->addr) && same(&path->remote, &there);
}

static void flush(struct sim *s, struct sim_end *e)
{
    static uint8_t buf[GH_QUIC_BATCH_MAX];
    struct gh_quic_batch b = { .buf = buf };

    while (e->quic && gh_quic_write(e->quic, &b, s->now) == 1)
        for (size_t at = 0; at < b.len && leads_somewhere(s, e, &b.path); at += b.segment)
            send_payload(s, e->server, gh_span_of(buf + at, b.len - at < b.segment ? b.len - at : b.segment), b.ecn);
}

/* What arrives next; of two at the same time, what was sent first. NULL: nothing. */
static struct flying *first_flying(const struct sim *s)
{
    struct flying *first = NULL;

    for (int i = 0; i < 2; i++) {
        struct flying *f = gh_list_empty(&s->flying[i]) ? NULL : gh_container_of(s->flying[i].next, struct flying, link);

        if (f && (!first || f->at < first->at || (f->at == first->at && f->order < first->order)))
            first = f;
    }
    return first;
}

static int64_t next_event(struct sim *s)
{
    const struct flying *first = first_flying(s);
    int64_t next = GH_QUIC_NEVER, t;
    struct sim_end *ends[] = { &s->client, &s->server };

    t = gh_deadlines_next(&s->deadlines);
    next = t < next ? t : next;
    if (first && first->at < next)
        next = first->at;
    for (int i = 0; i < 2; i++) {
        t = ends[i]->quic ? gh_quic_deadline(ends[i]->quic) : GH_QUIC_NEVER;
        next = t < next ? t : next;
    }
    return next;
}

bool sim_run(struct sim *s, int64_t limit, bool (*done)(void *arg), void *arg)
{
    struct sim_end *ends[] = { &s->client, &s->server };
    int64_t end = s->now + limit, next;
    struct flying *f;

    for (;;) {
        for (int i = 0; i < 2; i++) {
            flush(s, ends[i]);
            if (ends[i]->closed && ends[i]->stack.open)
                sim_end_drop(ends[i]);
        }
        if (done && done(arg))
            return true;
        next = next_event(s);
        if (next > end) {
            s->now = end;
            return false;
        }
        if (next > s->now)
            s->now = next;
        gh_deadlines_fire(&s->deadlines, s->now);
        while ((f = first_flying(s)) != NULL && f->at <= s->now) {
            gh_list_unlink(&f->link);
            deliver(s, f);
        }
        for (int i = 0; i < 2; i++)
            if (ends[i]->quic && gh_quic_deadline(ends[i]->quic) <= s->now)
                gh_quic_expire(ends[i]->quic, s->now);
    }
}
