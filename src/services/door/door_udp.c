/* UDP of the door: a datagram of nobody that we know is a first flight of ours, a routed name's, or a stranger's. Nobody is told which. */
#include "services/door/door_udp.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "core/node_key.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "os/clock.h"
#include "os/udp.h"
#include "ports/tunnel_acceptor.h"

#define HALF_SEEN_MAX 512u       /* first flights in part, of one worker */
#define HALF_SEEN_PER_SOURCE 32u
#define FLIGHTS_PER_SECOND 50u   /* that a source may begin and we look into; net/source_budget.h says how many at once */
#define HALF_OPEN_MAX 256u       /* handshakes with strangers, of one worker and socket */
#define SOCKET_BUFFER (8u << 20)

static void drop(struct door_worker *dw, enum door_udp_drop why)
{
    door_count(dw, DOOR_METRIC_UDP_DROPPED, why);
}

/* ---- the decision ---- */

/* What was kept, then <last>, which may be empty. */
static void carry(struct door_gate *g, struct door_flight *f, const struct door_flight_key *client, struct door_table *t, struct door_target *target,
                  const struct gh_quic_stranger *last)
{
    struct door_udp_flow *flow = door_udp_flow_open(g->dw->udp, g, client, t, target, f ? &f->key.dcid : NULL);

    if (!flow)
        return;
    if (f) {
        gh_list_each(it, &f->kept) {
            struct door_datagram *d = gh_container_of(it, struct door_datagram, link);

            door_udp_flow_send(flow, gh_span_of(d->data, d->len), d->ecn);
        }
    }
    if (last)
        door_udp_flow_send(flow, last->payload, last->ecn);
}

/* Who says no hello, or is cut short: to the camouflage if that is somewhere else. */
static void decide_stranger(struct door_gate *g, struct door_flight *f, const struct door_flight_key *client, struct door_table *t,
                            const struct gh_quic_stranger *last)
{
    if (!t->relay_udp || t->relay.count == 0) {
        door_count(g->dw, DOOR_METRIC_UDP_FLIGHTS, DOOR_NOWHERE);
        return;
    }
    door_count(g->dw, DOOR_METRIC_UDP_FLIGHTS, DOOR_STRANGER);
    carry(g, f, client, t, &t->relay, last);
}

/* The endpoint takes the connection, with the certificate and the keys of ECH as they are now. */
static void replay(struct door_gate *g, struct door_flight *f, struct gh_tls_ctx *tls, bool inside)
{
    gh_http_endpoint_set_tls(g->http, tls);
    gh_http_endpoint_set_inside(g->http, inside);
    gh_list_each(it, &f->kept) {
        struct door_datagram *d = gh_container_of(it, struct door_datagram, link);
        const struct gh_quic_stranger s = { f->key.local, f->key.remote, d->ecn, { d->data, d->len } };

        gh_quic_endpoint_replay(g->quic, &s);
    }
}

/* Did it come before, from somebody else or for another connection? If not it is remembered. <last> is the last of its datagrams. */
static bool is_replay(struct door_gate *g, struct door_flight *f, const struct gh_tls_hello *hello, struct door_table *t, const struct gh_quic_stranger *last)
{
    struct door_udp *u = g->dw->udp;
    struct door_replay *replay = g->dw->d->replay;
    int64_t now = gh_worker_now(g->dw->w);
    struct gh_quic_cid first = f->key.dcid;
    uint8_t digest[DOOR_REPLAY_DIGEST];
    struct door_again_flight flight = { digest, &f->key.local, &f->key.remote, &first };
    struct gh_quic_stranger begin = *last;

    if (!replay || t->replay_window <= 0 || door_replay_digest(replay, hello->body, digest) < 0)
        return false;
    if (!gh_list_empty(&f->kept)) {
        struct door_datagram *d = gh_container_of(f->kept.next, struct door_datagram, link);

        begin.payload = gh_span_of(d->data, d->len);
    }
    if (f->peek.token)
        gh_quic_endpoint_proves(g->quic, &begin, &first);
    if (door_again_is(u->again, &flight, now))
        return false;
    if (door_replay_came(replay, digest, gh_worker_wall(g->dw->w), t->replay_window / GH_NANOSECONDS))
        return true;
    door_again_remember(u->again, &flight, now);
    return false;
}

/* True: the endpoint's. */
static bool decide(struct door_gate *g, struct door_flight *f, const struct gh_tls_hello *hello, struct door_table *t, const struct gh_quic_stranger *last)
{
    bool opened, ours = door_keys_open(t, hello, gh_worker_wall(g->dw->w), &opened);
    int target = opened ? -1 : door_routes_find(t->routes, hello->sni, g->port, hello->alpn);
    bool named = target >= 0 && t->targets[target].tunnel;
    bool own = t->relay.count == 0 && t->site_quic && f->peek.version == GH_QUIC_VERSION_1;
    bool carried = t->tunnel_quic && f->peek.version == GH_QUIC_VERSION_1;

    ours = ours && carried;
    if (ours && is_replay(g, f, hello, t, last)) {
        door_count(g->dw, DOOR_METRIC_REPLAYS, 0);
        ours = false;
    }
    if (ours || (named && carried)) {
        door_count(g->dw, DOOR_METRIC_UDP_FLIGHTS, DOOR_TUNNEL);
        replay(g, f, t->tunnel_quic, true);
        return true;
    }
    if (own && (target < 0 || !t->targets[target].udp)) {
        door_count(g->dw, DOOR_METRIC_UDP_FLIGHTS, DOOR_STRANGER);
        replay(g, f, t->site_quic, false);
        return true;
    }
    if (target < 0 || !t->targets[target].udp) {
        decide_stranger(g, f, &f->key, t, last);
        return false;
    }
    door_count(g->dw, DOOR_METRIC_UDP_FLIGHTS, DOOR_ROUTED);
    carry(g, f, &f->key, t, &t->targets[target], last);
    return false;
}

/* ---- first flights ---- */

static void give_up(struct door_udp *u, struct door_flight *f, struct door_table *t, enum door_udp_drop why)
{
    drop(u->dw, why);
    decide_stranger(&u->gates[f->socket], f, &f->key, t, NULL);
    door_flight_end(&u->flights, f);
}

static int begin(struct door_gate *g, const struct door_flight_key *key, struct gh_span first, struct door_table *t, struct door_flight **ret)
{
    struct door_udp *u = g->dw->udp;
    int64_t now = gh_worker_now(g->dw->w);
    struct door_flight *oldest;
    int rc;

    if (first.len < GH_QUIC_PEEK_DATAGRAM_MIN || !(first.data[0] & 0x80))
        return GH_ERR_UNSUPPORTED;
    if (gh_source_budget_take(&u->sources, &key->remote.ip, false, now) != GH_SOURCE_GO) {
        drop(g->dw, DOOR_UDP_SOURCE);
        return GH_ERR_FULL;
    }
    if (door_flights_of(&u->flights, &key->remote.ip, &oldest) >= HALF_SEEN_PER_SOURCE)
        give_up(u, oldest, t, DOOR_UDP_PRESSED);
    else if (u->flights.count >= HALF_SEEN_MAX)
        give_up(u, door_flights_oldest(&u->flights), t, DOOR_UDP_PRESSED);
    rc = door_flight_begin(&u->flights, key, first, now, ret);
    if (rc == 0)
        (*ret)->socket = g->index;
    return rc;
}

static bool admit(void *arg, const struct gh_quic_stranger *d)
{
    struct door_gate *g = arg;
    struct door_udp *u = g->dw->udp;
    struct door_flight_key key = { .local = d->local, .remote = d->remote };
    struct door_table *t = gh_snapshot_refresh(&g->dw->d->table, &g->dw->table);
    struct gh_tls_hello hello;
    struct door_flight *f;
    bool taken = false, is_long;
    int rc;

    if (d->payload.len == 0 || door_udp_flow_feed(u, g, d) || u->draining)
        return false;
    rc = gh_quic_peek_dcid(d->payload, &key.dcid, &is_long);
    f = rc < 0 ? NULL : door_flights_find(&u->flights, &key);
    if (rc == 0 && !f)
        rc = begin(g, &key, d->payload, t, &f);
    if (rc < 0) {
        decide_stranger(g, NULL, &key, t, d);
        return false;
    }
    rc = door_flight_feed(f, d->payload, d->ecn, &hello);
    if (rc == 0)
        return false;
    if (rc > 0)
        taken = decide(g, f, &hello, t, d);
    else
        decide_stranger(g, f, &key, t, d);
    door_flight_end(&u->flights, f);
    return taken;
}

/* ---- endpoints ---- */

static void on_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    door_tls_answer(arg, s, head);
}

/* What an endpoint of our own tells, without a relay: nobody has an identity. */

static int nobody(void *arg, const struct gh_cert *cert, const struct gh_endpoint *remote, struct gh_http_identity *ret)
{
    (void)arg, (void)cert, (void)remote, (void)ret;
    return GH_ERR_DENIED;
}

static void ignore_refusal(void *arg, const struct gh_endpoint *remote, const char *why)
{
    (void)arg, (void)remote, (void)why;
}

static void ignore_drop(void *arg, enum gh_drop why, uint64_t count)
{
    (void)arg, (void)why, (void)count;
}

static const struct gh_http_endpoint_events own_events = { .on_peer = nobody, .on_refused = ignore_refusal, .on_drop = ignore_drop };

static int open_gate(struct door_udp *u, unsigned index)
{
    struct door *d = u->dw->d;
    const struct gh_port_tunnels *tunnels = d->run->tunnels;
    struct door_gate *g = &u->gates[index];
    struct gh_http_endpoint_config cfg = { .endpoint = { .worker = u->dw->w, .group = &d->groups[index], .index = u->dw->index, .server = true,
                                                         .fd = d->udp_fds[index][u->dw->index], .admit = admit, .admit_arg = g },
                                           .handler = { on_request, u->dw },
                                           .anybody = true };
    int rc;

    *g = (struct door_gate){ .dw = u->dw, .index = index, .port = d->udp_listens[index].port };
    if (tunnels) {
        rc = tunnels->open(tunnels->self, &cfg, &g->http);
    } else {
        gh_quic_config_default(&cfg.endpoint.quic);
        cfg.endpoint.quic.max_streams_bidi = GH_QUIC_STREAMS_OF_A_SITE;
        cfg.endpoint.max_half_open = HALF_OPEN_MAX;
        cfg.endpoint.handshakes_per_source = FLIGHTS_PER_SECOND;
        cfg.events = &own_events;
        rc = gh_http_endpoint_create(&cfg, &g->http);
    }
    if (rc < 0)
        return rc;
    g->quic = gh_http_endpoint_quic(g->http);
    d->udp_fds[index][u->dw->index] = -1;
    return 0;
}

int door_udp_start(struct door_worker *dw)
{
    struct door_udp *u;
    struct gh_hash_seed seed;
    int rc;

    if (dw->d->udp_count == 0)
        return 0;
    u = calloc(1, sizeof *u);
    if (!u)
        return GH_ERR_MEMORY;
    u->dw = dw;
    dw->udp = u;
    rc = gh_random_bytes(&seed, sizeof seed);
    if (rc < 0)
        return rc;
    u->seed = seed;
    gh_source_budget_init(&u->sources, &u->seed, FLIGHTS_PER_SECOND);
    rc = door_flights_init(&u->flights, &seed);
    if (rc == 0)
        rc = door_again_create(&u->again);
    if (rc == 0)
        rc = door_udp_flows_init(u);
    for (unsigned i = 0; rc == 0 && i < dw->d->udp_count; i++)
        rc = open_gate(u, i);
    return rc;
}

void door_udp_tick(struct door_worker *dw, int64_t now, struct door_table *t)
{
    struct door_udp *u = dw->udp;
    struct door_flight *f;

    if (!u)
        return;
    for (f = door_flights_oldest(&u->flights); f && now - f->began >= t->peek_timeout; f = door_flights_oldest(&u->flights))
        give_up(u, f, t, DOOR_UDP_LATE);
    door_udp_flows_expire(u, now, t);
    gh_metric_set_value(dw->d->metrics, dw->index, DOOR_METRIC_UDP_FLOWS, 0, u->flow_count);
    gh_metric_set_value(dw->d->metrics, dw->index, DOOR_METRIC_UDP_HALF_SEEN, 0, u->flights.count);
}

void door_udp_drain(struct door_worker *dw)
{
    struct door_udp *u = dw->udp;

    if (!u)
        return;
    u->draining = true;
    for (unsigned i = 0; i < dw->d->udp_count && !dw->d->run->tunnels; i++) /* the relay drains its own */
        gh_http_endpoint_drain(u->gates[i].http);
}

void door_udp_stop(struct door_worker *dw)
{
    const struct gh_port_tunnels *tunnels = dw->d->run->tunnels;
    struct door_udp *u = dw->udp;

    if (!u)
        return;
    dw->udp = NULL;
    door_udp_flows_fini(u);
    for (unsigned i = 0; i < DOOR_LISTEN_MAX; i++) {
        if (u->gates[i].http && tunnels)
            tunnels->close(tunnels->self, dw->w, u->gates[i].http);
        else
            gh_http_endpoint_destroy(u->gates[i].http);
    }
    door_flights_fini(&u->flights);
    door_again_destroy(u->again);
    gh_source_budget_fini(&u->sources);
    free(u);
}

/* ---- the node's ---- */

static bool has_something(const struct door *d, const struct gh_door_conf *c)
{
    bool some = (d->run->tunnels && *c->ech_keys_file) || c->relay_udp;

    for (size_t i = 0; i < c->target_count; i++)
        some |= c->targets[i].udp || (c->targets[i].tunnel && d->run->tunnels);
    return some;
}

static int open_one(struct door *d, const struct gh_endpoint *at, const uint8_t *key)
{
    const struct gh_priv_socket s = { .addr = at->ip, .port = at->port, .count = (uint16_t)d->workers, .buffer = SOCKET_BUFFER };
    struct sock_filter program[GH_QUIC_STEERING_LEN];
    char text[GH_ENDPOINT_TEXT];
    unsigned i = d->udp_count;
    int rc;

    if (d->run->tunnels && d->run->tunnels->listens(d->run->tunnels->self, at)) {
        gh_log_event(d->log, GH_LOG_WARN, "door", "UDP of this address is the relay's own, and stays so: agents do not need the door there",
                     gh_log_str("address", gh_endpoint_emit(at, text)));
        return 0;
    }
    rc = gh_privileged_open_udp(d->run->privileged, &s, d->udp_fds[i]);
    if (rc < 0) {
        gh_log_event(d->log, GH_LOG_ERROR, "door", "address cannot be listened on", gh_log_str("address", gh_endpoint_emit(at, text)),
                     gh_log_str("transport", "udp"), gh_log_str("reason", gh_privileged_why(d->run->privileged)), gh_log_result("error", rc));
        return rc;
    }
    rc = gh_quic_group_init(&d->groups[i], d->workers, key);
    if (rc < 0)
        return rc;
    gh_udp_attach_steering(d->udp_fds[i][0], program, gh_quic_group_steering(&d->groups[i], program));
    d->udp_listens[i] = *at;
    d->udp_count++;
    return 0;
}

int door_udp_load(struct door *d, const struct gh_door_conf *c)
{
    uint8_t key[GH_NODE_KEY];
    bool has_key;
    int rc = 0;

    if (!c->udp || !has_something(d, c))
        return 0;
    has_key = gh_node_key_load(d->run->conf.state_dir, key) == 0;
    for (size_t i = 0; i < d->listen_count && rc == 0; i++)
        rc = open_one(d, &(struct gh_endpoint){ .ip = d->listens[i].ip, .port = d->listens[i].port }, has_key ? key : NULL);
    gh_wipe(key, sizeof key);
    return rc;
}

void door_udp_reloaded(struct door *d, const struct gh_door_conf *c)
{
    if (c->udp && d->udp_count == 0 && has_something(d, c))
        gh_log_event(d->log, GH_LOG_WARN, "door", "there is something to serve over UDP now: restart, to open its sockets");
}
