#include "pair.h"

#include <stdio.h>
#include <string.h>

#include "../../sim/certs.h"
#include "proto/h3/internal.h"
#include "proto/quic/internal.h"

#define ROUNDS 12

int __real_gh_tls_create(struct gh_tls_ctx *ctx, const char *server_name, const struct gh_tls_events *events, void *arg, struct gh_tls **ret);
int __wrap_gh_tls_create(struct gh_tls_ctx *ctx, const char *server_name, const struct gh_tls_events *events, void *arg, struct gh_tls **ret);

/* What stays from one input to the next. */
static struct gh_tls_ctx *contexts[2];
static const struct gh_tls_events *engine_events;
static struct pair *current;

/* What an assertion of a library made an engine give up: kept, so that it is no leak. */
static void **given_up;
static size_t given_up_count;

static void give_up(void *memory)
{
    given_up = reallocarray(given_up, given_up_count + 1, sizeof *given_up);
    REQUIRE(given_up);
    given_up[given_up_count++] = memory;
}

/* Secrets. */

static int on_secret(void *arg, enum gh_tls_level level, bool write, const struct gh_aead_suite *suite, const uint8_t *secret)
{
    struct pair_end *e = &current->end[((struct gh_quic *)arg)->server];

    if (write) {
        e->sends[level].suite = suite;
        memcpy(e->sends[level].secret, secret, gh_aead_suite_secret_len(suite));
    }
    return engine_events->on_secret(arg, level, write, suite, secret);
}

static int on_send(void *arg, enum gh_tls_level level, struct gh_span bytes)
{
    return engine_events->on_send(arg, level, bytes);
}

static int on_transport_params(void *arg, struct gh_span params)
{
    return engine_events->on_transport_params(arg, params);
}

static void on_alert(void *arg, uint8_t alert)
{
    engine_events->on_alert(arg, alert);
}

static void on_tls_session(void *arg, struct gh_tls_session *s)
{
    engine_events->on_session(arg, s);
}

int __wrap_gh_tls_create(struct gh_tls_ctx *ctx, const char *server_name, const struct gh_tls_events *events, void *arg, struct gh_tls **ret)
{
    static const struct gh_tls_events watched = { on_secret, on_send, on_transport_params, on_alert, on_tls_session };

    engine_events = events;
    return __real_gh_tls_create(ctx, server_name, &watched, arg, ret);
}

static void know_initial_secrets(struct pair *p)
{
    uint8_t client[32], server[32];

    REQUIRE(gh_aead_initial_secrets(gh_span_of(p->first_dcid.data, p->first_dcid.len), client, server) == 0);
    for (int i = 0; i < 2; i++) {
        p->end[i].sends[GH_TLS_INITIAL].suite = gh_aead_suite_initial(GH_AEAD_OPENSSL);
        memcpy(p->end[i].sends[GH_TLS_INITIAL].secret, i ? server : client, sizeof client);
    }
}

/* What an engine is given. */

static int fill_random(void *arg, void *buf, size_t len)
{
    struct pair_end *e = arg;
    uint8_t *at = buf;

    for (size_t i = 0; i < len; i++) {
        e->pair->random ^= e->pair->random << 13;
        e->pair->random ^= e->pair->random >> 7;
        e->pair->random ^= e->pair->random << 17;
        at[i] = (uint8_t)(e->pair->random >> 32);
    }
    if (len == sizeof e->drawn)
        memcpy(e->drawn, buf, len);
    return 0;
}

static int make_cid(void *arg, struct gh_quic_cid *ret, uint8_t ret_token[GH_QUIC_RESET_TOKEN])
{
    struct pair_end *e = arg;

    REQUIRE(!e->closed);
    ret->len = GH_QUIC_CID_LEN;
    fill_random(e, ret->data, ret->len);
    if (e->cid_count < PAIR_CIDS)
        e->cids[e->cid_count++] = *ret;
    return fill_random(e, ret_token, GH_QUIC_RESET_TOKEN);
}

static void retire_cid(void *arg, const struct gh_quic_cid *cid)
{
    (void)arg;
    REQUIRE(cid->len == GH_QUIC_CID_LEN);
}

static void on_closed(void *arg, const struct gh_quic_close *why)
{
    struct pair_end *e = arg;

    REQUIRE(!e->closed); /* once */
    e->closed = true;
    e->why = *why;
}

static int make_token(void *arg, uint8_t ret[GH_QUIC_NEW_TOKEN_MAX])
{
    fill_random(arg, ret, 32);
    return 32;
}

static void on_token(void *arg, struct gh_span token)
{
    volatile uint8_t last = 0;

    (void)arg;
    for (size_t i = 0; i < token.len; i++) /* every byte is there */
        last = token.data[i];
    (void)last;
}

static void on_session(void *arg, struct gh_tls_session *s)
{
    (void)arg;
    gh_tls_session_put(s);
}

static const struct gh_quic_host host = { make_cid, retire_cid, on_closed, make_token, on_token, on_session };

/* A service that answers everything and sends back what it is sent. */

static void on_end_event(void *arg)
{
    REQUIRE(!((struct pair_end *)arg)->closed);
}

static void keep(struct pair_end *e, struct gh_h3_stream *s)
{
    for (size_t i = 0; i < PAIR_STREAMS; i++)
        if (!e->streams[i]) {
            e->streams[i] = s;
            return;
        }
    REQUIRE(!"more requests than were allowed");
}

static void on_request(void *arg, struct gh_h3_stream *s, const struct gh_http_head *head)
{
    struct pair_end *e = arg;

    REQUIRE(!e->closed && e->server);
    keep(e, s);
    gh_h3_respond(s, head->protocol.len ? 200 : 404, NULL, 0, !head->protocol.len);
}

static void on_answer(void *arg, struct gh_h3_stream *s, const struct gh_http_head *head)
{
    (void)s;
    REQUIRE(!((struct pair_end *)arg)->closed && head->status >= 100 && head->status <= 999);
}

static void on_body(void *arg, struct gh_h3_stream *s, struct gh_span data, bool end)
{
    struct pair_end *e = arg;

    REQUIRE(!e->closed);
    if (e->server)
        gh_h3_send(s, data, end);
}

static bool on_datagram(void *arg, struct gh_h3_stream *s, struct gh_span payload)
{
    struct pair_end *e = arg;

    REQUIRE(!e->closed);
    gh_h3_send_datagram(s, payload, 0, e->pair->now);
    return true;
}

static void on_writable(void *arg, struct gh_h3_stream *s)
{
    (void)s;
    REQUIRE(!((struct pair_end *)arg)->closed);
}

static void on_stream_closed(void *arg, struct gh_h3_stream *s, uint64_t code)
{
    struct pair_end *e = arg;

    (void)code;
    for (size_t i = 0; i < PAIR_STREAMS; i++)
        if (e->streams[i] == s) {
            e->streams[i] = NULL;
            return;
        }
    REQUIRE(!"a stream that nobody knew");
}

static const struct gh_h3_events events = { on_end_event, on_end_event, on_request, on_answer, on_body,
                                            on_datagram,  on_writable,  on_stream_closed, on_end_event, NULL };

bool pair_ask(struct pair_end *client)
{
    const struct gh_http_head head = { gh_span_str("CONNECT"), gh_span_str("https"), gh_span_str("relay"), gh_span_str("/"),
                                       gh_span_str("connect-ip"), 0, NULL, 0 };
    struct gh_h3_stream *s;

    if (client->closed || gh_h3_request(client->h3, &head, false, &s) < 0)
        return false;
    keep(client, s);
    return true;
}

/* Life. */

static struct gh_tls_ctx *context(bool server)
{
    struct gh_tls_config cfg = { .alpn = "h3", .server = server, .ca = gh_span_str(SIM_CA) };
    char err[200];

    cfg.certificate = gh_span_str(server ? SIM_RELAY_CRT : SIM_AGENT_CRT);
    cfg.key = gh_span_str(server ? SIM_RELAY_KEY : SIM_AGENT_KEY);
    if (!contexts[server] && gh_tls_ctx_create(&cfg, &contexts[server], err, sizeof err) < 0)
        abort();
    return contexts[server];
}

static struct gh_quic_owner prepare(struct pair_end *e, struct gh_quic_config *cfg)
{
    struct gh_h3_config h3;

    gh_quic_config_default(cfg);
    cfg->random = (struct gh_random_source){ fill_random, e };
    cfg->key_update_packets = 40; /* soon */
    h3 = (struct gh_h3_config){ e->server, cfg->max_streams_bidi, &events, e };
    REQUIRE(gh_h3_create(&h3, &e->h3) == 0);
    return (struct gh_quic_owner){ &host, e, &gh_h3_app, e->h3 };
}

static void accept_first(struct pair *p, struct gh_span payload)
{
    struct pair_end *e = &p->end[1];
    const struct gh_quic_path path = { e->addr, p->end[0].addr };
    struct gh_quic_initial first;
    struct gh_quic_config cfg;
    struct gh_quic_owner owner;

    REQUIRE(gh_quic_accept(payload, &first) == 1);
    owner = prepare(e, &cfg);
    REQUIRE(gh_quic_create_server(&cfg, &owner, context(true), &first, &path, p->now, &e->q) == 0);
    gh_h3_attach(e->h3, e->q);
}

void pair_deliver(struct pair_end *to, const struct gh_quic_addr *from, uint8_t ecn, struct gh_span payload)
{
    const struct gh_quic_path path = { to->addr, *from };
    uint8_t *copy = malloc(payload.len ? payload.len : 1);

    REQUIRE(copy);
    if (payload.len)
        memcpy(copy, payload.data, payload.len);
    to->bytes_in += payload.len;
    if (!to->q)
        accept_first(to->pair, gh_span_of(copy, payload.len));
    gh_quic_recv(to->q, &path, ecn, gh_span_of(copy, payload.len), to->pair->now);
    free(copy);
}

/* One batch of <e>, and what the other end is to get of it. */
static bool write_batch(struct pair_end *e, unsigned *datagrams)
{
    static uint8_t buf[GH_QUIC_BATCH_MAX];
    struct gh_quic_batch b = { .buf = buf };
    struct pair_end *other = &e->pair->end[!e->server];

    if (!e->q || gh_quic_write(e->q, &b, e->pair->now) != 1)
        return false;
    REQUIRE(b.len > 0 && b.len <= GH_QUIC_BATCH_MAX && b.segment > 0 && b.segment <= GH_QUIC_PAYLOAD_MAX);
    e->bytes_out += b.len;
    for (size_t at = 0; at < b.len && *datagrams; at += b.segment, --*datagrams)
        pair_deliver(other, &e->addr, b.ecn, gh_span_of(buf + at, b.len - at < b.segment ? b.len - at : b.segment));
    return true;
}

void pair_write(struct pair_end *e)
{
    unsigned none = 0, batches = 0;

    while (write_batch(e, &none))
        REQUIRE(++batches < 10000);
}

void pair_pass(struct pair_end *e, int64_t time)
{
    int64_t end = e->pair->now + time;
    unsigned turns = 0;

    pair_write(e);
    while (e->q && gh_quic_deadline(e->q) <= end) {
        if (gh_quic_deadline(e->q) > e->pair->now)
            e->pair->now = gh_quic_deadline(e->q);
        gh_quic_expire(e->q, e->pair->now);
        pair_write(e);
        REQUIRE(++turns < 10000); /* a deadline that stays where it is would be an endless loop */
    }
    e->pair->now = end;
}

void pair_connect(struct pair *p, unsigned datagrams)
{
    struct gh_quic_target to = { .tls = context(false), .server_name = "relay.gatehouse.example" };
    struct pair_end *client = &p->end[0];
    struct gh_quic_config cfg;
    struct gh_quic_owner owner;
    struct gh_quic_path path;

    memset(p, 0, sizeof *p);
    current = p;
    p->now = 1000 * 1000 * PAIR_MS;
    p->random = 88172645463325252u;
    for (int i = 0; i < 2; i++) {
        p->end[i].pair = p;
        p->end[i].server = i;
        p->end[i].addr = (struct gh_quic_addr){ gh_ip_v4(i ? "\xc0\x00\x02\x02" : "\xc0\x00\x02\x01"), i ? 4433 : 40000 };
    }
    path = (struct gh_quic_path){ client->addr, p->end[1].addr };
    owner = prepare(client, &cfg);
    REQUIRE(gh_quic_create_client(&cfg, &owner, &to, &path, p->now, &client->q) == 0);
    gh_h3_attach(client->h3, client->q);
    p->first_dcid = *gh_quic_first_dcid(client->q);
    know_initial_secrets(p);
    datagrams = datagrams ? datagrams : 1; /* a server begins with the client's first */
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 2; i++)
            while (write_batch(&p->end[i], &datagrams))
                ;
        p->now += round < ROUNDS / 2 ? PAIR_MS : 30 * PAIR_MS;
        for (int i = 0; i < 2; i++)
            if (datagrams && p->end[i].q && gh_quic_deadline(p->end[i].q) <= p->now)
                gh_quic_expire(p->end[i].q, p->now);
    }
}

static void end_fini(struct pair_end *e)
{
    if (e->closed) { /* nothing else happens */
        uint8_t buf[2048] = { 0 };
        struct gh_quic_batch b = { .buf = buf };
        const struct gh_quic_path path = { e->addr, e->addr };

        REQUIRE(gh_quic_deadline(e->q) == GH_QUIC_NEVER && gh_quic_write(e->q, &b, e->pair->now) == 0);
        gh_quic_recv(e->q, &path, 0, gh_span_of(buf, 100), e->pair->now);
        gh_quic_expire(e->q, e->pair->now);
    }
    if (e->q)
        gh_h3_close_streams(e->h3, GH_H3_INTERNAL_ERROR);
    for (size_t i = 0; i < PAIR_STREAMS; i++)
        REQUIRE(!e->streams[i]);
    if (e->q && gh_quic_is_abandoned(e->q)) {
        REQUIRE(e->closed && e->why.kind == GH_QUIC_CLOSED_ASSERTION);
        fprintf(stderr, "given up: %s\n", e->why.reason);
        give_up(e->q->conn);
        give_up(e->q->tls);
        give_up(e->h3->conn);
        give_up(e->h3->fields);
    }
    gh_h3_destroy(e->h3);
    gh_quic_destroy(e->q);
}

void pair_fini(struct pair *p)
{
    end_fini(&p->end[0]);
    end_fini(&p->end[1]);
}
