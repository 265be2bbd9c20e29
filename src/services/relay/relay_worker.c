/* One worker's part of the relay: its endpoints, its TUN queue, its timers. */
#include <stdlib.h>

#include "base/error.h"
#include "services/relay/relay_internal.h"
#include "services/relay/relay_proxy.h"
#include "services/relay/relay_trust.h"
#include "services/relay/relay_worker.h"

#define SWEEP_BUDGET 256u
#define SWEEP_SECOND INT64_C(1000000000)
#define SWEEP_LATEST (SWEEP_SECOND / 4) /* a rule that expired, a policy that changed: within a second */

static void ignore_ready(void *arg, struct gh_http_conn *c)
{
    (void)arg;
    (void)c;
}

static const struct gh_http_endpoint_events http_events = { relay_peer, relay_refused, ignore_ready, NULL, NULL, relay_drop };
static const struct gh_tun_port_events tun_events = { relay_packet_in, relay_drop };

static struct gh_quic_config quic_config(const struct gh_relay_conf *c)
{
    struct gh_quic_config q;

    gh_quic_config_default(&q);
    q.idle_timeout = c->idle_timeout;
    q.keep_alive = c->keep_alive;
    q.queue_packets = c->queue_packets;
    q.queue_bytes = c->queue_bytes;
    q.queue_time = c->queue_time;
    q.max_payload = gh_quic_max_payload(c->mtu);
    q.queue_target = c->queue_target;
    q.queue_interval = c->queue_interval;
    if (c->proxy) /* each tunnel to a host is a request */
        q.max_streams_bidi += c->max_proxied_per_client;
    return q;
}

static struct gh_forward_config forward_config(const struct relay *r)
{
    const struct gh_relay_conf *c = &r->conf;
    struct gh_forward_config f = gh_forward_config_default;
    struct gh_ip own;

    f.flows = c->max_flows;
    f.flows_per_session = c->max_flows_per_session;
    f.fragments = c->max_fragments;
    f.fragment_timeout = c->fragment_timeout;
    f.timeouts.tcp_new = c->tcp_syn_timeout;
    f.timeouts.tcp_established = c->tcp_established_timeout;
    f.timeouts.tcp_closing = c->tcp_closing_timeout;
    f.timeouts.udp_new = c->udp_new_timeout;
    f.timeouts.udp = c->udp_timeout;
    f.timeouts.icmp = c->icmp_timeout;
    for (size_t i = 0; i < c->pool_count; i++) {
        own = gh_pool_relay_addr(r->pool, i);
        if (own.family == 4 && f.node4.family == 0)
            f.node4 = own;
        if (own.family == 6 && f.node6.family == 0)
            f.node6 = own;
    }
    return f;
}

static void sweep(void *arg, int64_t now)
{
    struct relay_worker *rw = arg;
    struct gh_forward_clock clock = { now, gh_worker_wall(rw->w) };
    int64_t next;

    relay_policy_refresh(rw);
    if (now >= rw->look_at) {
        rw->look_at = now + SWEEP_LATEST;
        relay_policy_expire(rw);
        relay_session_expire(rw);
        relay_proxy_expire(rw);
        if (now >= rw->measure_at || now < rw->hurried_until) {
            rw->measure_at = now + SWEEP_SECOND;
            relay_tunnel_measure(rw);
        }
        if (rw->index == 0)
            relay_trust_watch(rw);
        relay_metrics_publish(rw);
    }
    next = gh_forward_sweep(&rw->forward, &clock, SWEEP_BUDGET);
    if (next > now + SWEEP_LATEST)
        next = now + SWEEP_LATEST;
    else if (next <= now)
        next = now + SWEEP_SECOND / 1000;
    gh_worker_deadline_start(rw->w, &rw->sweep, next);
}

/* What is the same of every endpoint. */
static void describe_endpoint(const struct relay_worker *rw, const struct gh_relay_conf *conf, struct gh_http_endpoint_config *cfg)
{
    cfg->endpoint.features = rw->r->features;
    cfg->endpoint.server = true;
    cfg->endpoint.max_half_open = conf->max_half_open;
    cfg->endpoint.retry = conf->retry;
    cfg->endpoint.handshakes_per_source = conf->handshakes_per_source;
    cfg->endpoint.quic = quic_config(conf);
    cfg->events = &http_events;
}

static int open_endpoints(struct relay_worker *rw)
{
    struct relay *r = rw->r;
    struct gh_http_endpoint_config cfg = {
        .endpoint = { .worker = rw->w, .index = rw->index }, .tls = r->tls, .handler = { relay_request, rw }, .arg = rw,
    };
    int rc = 0;

    describe_endpoint(rw, &r->conf, &cfg);
    for (size_t i = 0; i < r->listen_count && rc == 0; i++) {
        cfg.endpoint.group = &r->groups[i];
        cfg.endpoint.fd = r->udp[i][rw->index];
        rc = gh_http_endpoint_create(&cfg, &rw->http[i]);
        if (rc == 0)
            r->udp[i][rw->index] = -1; /* the endpoint's now */
    }
    return rc;
}

int relay_worker_open_door(struct relay_worker *rw, struct gh_http_endpoint_config *cfg, struct gh_http_endpoint **ret)
{
    size_t i = RELAY_LISTEN_MAX;
    int rc;

    while (i < RELAY_HTTP_MAX && rw->http[i])
        i++;
    if (i == RELAY_HTTP_MAX)
        return GH_ERR_FULL;
    describe_endpoint(rw, &rw->conf, cfg);
    cfg->endpoint.quic.max_streams_bidi = GH_QUIC_STREAMS_OF_A_SITE; /* it is told before anybody knows who has come */
    cfg->tls = rw->r->tls; /* until the first connection brings its own */
    cfg->arg = rw;
    rc = gh_http_endpoint_create(cfg, &rw->http[i]);
    if (rc == 0)
        *ret = rw->http[i];
    return rc;
}

void relay_worker_close_door(struct relay_worker *rw, struct gh_http_endpoint *endpoint)
{
    for (size_t i = RELAY_LISTEN_MAX; i < RELAY_HTTP_MAX; i++)
        if (rw->http[i] == endpoint)
            rw->http[i] = NULL;
    gh_http_endpoint_destroy(endpoint);
}

static int open_tun(struct relay_worker *rw)
{
    struct gh_tun_port_config cfg = {
        .worker = rw->w, .fd = rw->r->tun_fds[rw->index], .offload = rw->conf.offload_tun, .events = &tun_events, .arg = rw
    };
    int rc = gh_tun_port_create(&cfg, &rw->tun);

    if (rc == 0)
        rw->r->tun_fds[rw->index] = -1;
    return rc;
}

int relay_worker_start(void *state, struct gh_worker *w)
{
    struct relay *r = state;
    struct relay_worker *rw = calloc(1, sizeof *rw);
    struct gh_forward_config fc;
    struct gh_hash_seed seed;
    int rc = GH_ERR_MEMORY;

    if (!rw)
        return rc;
    rw->r = r;
    rw->w = w;
    rw->index = gh_worker_index(w);
    rw->conf = r->conf;
    rw->free_slot = UINT32_MAX;
    rw->drops = gh_metrics_drops(gh_node_metrics(r->node), rw->index);
    gh_list_init(&rw->sessions);
    gh_list_init(&rw->waiting);
    gh_list_init(&rw->leaving);
    gh_list_init(&rw->proxies);
    gh_deadline_init(&rw->sweep, sweep, rw);
    rw->out = malloc(65536 + 64);
    fc = forward_config(r);
    if (rw->out)
        rc = gh_random_bytes(&seed, sizeof seed);
    if (rc == 0)
        rc = gh_forward_init(&rw->forward, &fc, &seed, &relay_forward_events, rw);
    if (rc == 0)
        rc = relay_parcels_init(rw);
    if (rc < 0) {
        gh_forward_fini(&rw->forward);
        free(rw->out);
        free(rw);
        return rc;
    }
    r->at[rw->index] = rw;
    relay_policy_refresh(rw);
    relay_tunnel_use_ech(rw);
    rc = open_tun(rw);
    if (rc == 0)
        rc = open_endpoints(rw);
    if (rc < 0) {
        gh_log_event(r->log, GH_LOG_ERROR, "relay", "worker cannot start", gh_log_uint("worker", rw->index), gh_log_result("error", rc));
        relay_worker_stop(state, w);
        return rc;
    }
    gh_worker_deadline_start(w, &rw->sweep, gh_worker_now(w) + SWEEP_LATEST);
    return 0;
}

void relay_worker_end_sessions(struct relay_worker *rw, enum session_end why)
{
    gh_list_each(it, &rw->sessions)
        relay_session_end(gh_container_of(it, struct session, link), why);
    relay_proxy_end_all(rw, relay_end_reason(why, 0));
    for (size_t i = 0; i < RELAY_HTTP_MAX; i++)
        if (rw->http[i])
            gh_http_endpoint_close_all(rw->http[i], "drained");
}

void relay_worker_goaway(struct relay_worker *rw)
{
    for (size_t i = 0; i < RELAY_HTTP_MAX; i++) {
        if (!rw->http[i])
            continue;
        gh_http_endpoint_drain(rw->http[i]);
        gh_quic_endpoint_flush(gh_http_endpoint_quic(rw->http[i]));
    }
}

void relay_worker_set_tls(struct relay_worker *rw, struct gh_tls_ctx *tls)
{
    for (size_t i = 0; i < rw->r->listen_count; i++)
        gh_http_endpoint_set_tls(rw->http[i], tls);
}

void relay_worker_set_limits(struct relay_worker *rw, const struct gh_relay_conf *conf)
{
    for (size_t i = 0; i < RELAY_HTTP_MAX; i++) {
        if (!rw->http[i])
            continue;
        gh_http_endpoint_set_max_requests(rw->http[i], quic_config(conf).max_streams_bidi);
        gh_quic_endpoint_set_max_half_open(gh_http_endpoint_quic(rw->http[i]), conf->max_half_open);
        gh_quic_endpoint_set_retry(gh_http_endpoint_quic(rw->http[i]), conf->retry);
        gh_quic_endpoint_set_handshakes_per_source(gh_http_endpoint_quic(rw->http[i]), conf->handshakes_per_source);
    }
}

void relay_worker_stop(void *state, struct gh_worker *w)
{
    struct relay *r = state;
    struct relay_worker *rw = r->at[gh_worker_index(w)];

    if (!rw)
        return;
    relay_worker_end_sessions(rw, SESSION_DRAINED);
    for (size_t i = 0; i < RELAY_HTTP_MAX; i++)
        gh_http_endpoint_destroy(rw->http[i]);
    gh_worker_deadline_stop(w, &rw->sweep);
    relay_parcels_stop(rw);
    gh_tun_port_destroy(rw->tun);
    gh_forward_fini(&rw->forward);
    gh_snapshot_release(&rw->policy);
    gh_snapshot_release(&rw->trust);
    r->at[rw->index] = NULL;
    free(rw->slots);
    free(rw->next_free);
    free(rw->out);
    rw->slots = NULL;
    rw->next_free = NULL;
    rw->slot_count = 0; /* messages that still come find no session */
    r->stopped[rw->index] = rw;
}
