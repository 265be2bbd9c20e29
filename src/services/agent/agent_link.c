/* The connection to the relay: look up, connect, ask for a tunnel, keep it, and begin again. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "crypto/random.h"
#include "services/agent/agent_internal.h"

#define SECOND INT64_C(1000000000)
#define EXIT_TAKEN_OVER 5 /* DESIGN 5: denied */
#define MTU_INTERVAL (SECOND / 4)

static const struct gh_agent_tunnel_events tunnel_events;

static void begin(struct agent *a);
static void try_next(struct agent *a);

const char *agent_state_name(enum agent_state s)
{
    static const char *const names[] = { "waiting", "resolving", "connecting", "requesting", "assigning", "up", "closing", "stopped" };

    return names[s];
}

static void say_why(struct agent *a, const char *why)
{
    snprintf(a->why, sizeof a->why, "%s", why);
}

static const char *remote_text(const struct agent *a, char buf[GH_ENDPOINT_TEXT])
{
    return gh_endpoint_emit(&a->remote, buf);
}

static void stop_timers(struct agent *a)
{
    gh_worker_deadline_stop(a->w, &a->timer);
    gh_worker_deadline_stop(a->w, &a->mtu_timer);
}

static void set_down(struct agent *a)
{
    stop_timers(a);
    gh_ready_set(gh_node_ready(a->node), a->check, false, a->why[0] ? a->why : "no tunnel");
    gh_metric_set_value(a->metrics, 0, AGENT_METRIC_UP, 0, 0);
    if (a->up_since && gh_worker_now(a->w) - a->up_since >= GH_AGENT_STABLE)
        gh_agent_backoff_reset(&a->backoff);
    a->up_since = a->up_wall = 0;
}

/* Nothing is open any more: wait, or stop. */
static void rest(struct agent *a)
{
    uint64_t random = 0;
    int64_t delay;

    gh_agent_tunnel_fini(&a->tunnel);
    a->conn = NULL;
    if (a->state == AGENT_STOPPED) {
        atomic_store(&a->stopped, true);
        return;
    }
    set_down(a);
    a->state = AGENT_WAITING;
    if (gh_random_bytes(&random, sizeof random) < 0)
        random = (uint64_t)gh_worker_now(a->w);
    delay = gh_agent_backoff_next(&a->backoff, random);
    gh_log_event(a->log, GH_LOG_INFO, "agent", "reconnecting", gh_log_duration("delay", delay), gh_log_uint("attempt", a->attempts));
    gh_worker_deadline_start(a->w, &a->timer, gh_worker_now(a->w) + delay);
}

/* ---- looking up ---- */

struct lookup {
    struct agent *a;
    char host[256];
    uint16_t port;
    struct gh_resolved result;
};

static void look_up(void *arg)
{
    struct lookup *l = arg;

    gh_resolve(l->host, l->port, &l->result);
}

static void looked_up(struct gh_worker *w, void *arg)
{
    struct lookup *l = arg;
    struct agent *a = l->a;

    (void)w;
    a->looking_up = false;
    if (a->state != AGENT_RESOLVING) {
        free(l);
        return;
    }
    if (l->result.count == 0) {
        gh_log_event(a->log, GH_LOG_WARN, "agent", "the relay's name cannot be resolved", gh_log_str("relay", l->host),
                     gh_log_str("reason", l->result.error));
        say_why(a, "the relay's name cannot be resolved");
        free(l);
        rest(a);
        return;
    }
    a->resolved = l->result;
    a->cached = false;
    a->candidate = 0;
    free(l);
    try_next(a);
}

static void start_lookup(struct agent *a)
{
    struct lookup *l = a->looking_up ? NULL : calloc(1, sizeof *l);
    int rc = GH_ERR_MEMORY;

    a->state = AGENT_RESOLVING;
    if (a->looking_up) /* an earlier one still runs: its answer will do */
        return;
    if (l) {
        l->a = a;
        memcpy(l->host, a->conf.relay_host, sizeof l->host);
        l->port = a->conf.relay_port;
        rc = gh_worker_offload(a->w, look_up, looked_up, l);
    }
    if (rc < 0) {
        free(l);
        say_why(a, "the relay's name cannot be looked up now");
        rest(a);
        return;
    }
    a->looking_up = true;
}

/* ---- connecting ---- */

/* A look-up would go through the tunnel that is down: what worked before is tried first. */
static void begin(struct agent *a)
{
    a->attempts++;
    a->candidate = 0;
    a->cached = a->resolved.count > 0;
    if (a->cached)
        try_next(a);
    else
        start_lookup(a);
}

static bool is_address(const char *host)
{
    struct gh_ip ip;

    return gh_ip_parse(host, strlen(host), &ip) == 0;
}

static void try_next(struct agent *a)
{
    const char *name = a->conf.server_name[0] ? a->conf.server_name : is_address(a->conf.relay_host) ? "" : a->conf.relay_host;
    char text[GH_ENDPOINT_TEXT];
    struct gh_http_endpoint *http;
    int rc;

    while (a->candidate < a->resolved.count) {
        a->remote = a->resolved.list[a->candidate++];
        http = a->http[a->remote.ip.family == 4 ? 0 : 1];
        if (!http)
            continue;
        a->state = AGENT_CONNECTING;
        a->identity = (struct gh_http_identity){ 0 };
        gh_log_event(a->log, GH_LOG_INFO, "agent", "connecting", gh_log_str("relay", a->conf.relay_host), gh_log_str("remote", remote_text(a, text)));
        rc = gh_http_endpoint_connect(http, &a->remote, name, &a->conn);
        if (rc == 0)
            return;
        gh_log_event(a->log, GH_LOG_WARN, "agent", "connection failed", gh_log_str("remote", text), gh_log_result("error", rc));
        say_why(a, gh_error_text(rc));
    }
    if (a->cached) {
        start_lookup(a);
        return;
    }
    rest(a);
}

static int on_peer(void *arg, struct gh_span der, const struct gh_endpoint *remote, struct gh_http_identity *ret)
{
    struct agent *a = arg;
    char why[AGENT_WHY] = "", text[GH_ENDPOINT_TEXT];
    int rc = agent_identity_of_relay(der, a->conf.trust_domain, ret, why);

    if (rc < 0) {
        gh_log_event(a->log, GH_LOG_ERROR, "agent", "the relay's certificate is refused", gh_log_str("remote", gh_endpoint_emit(remote, text)),
                     gh_log_str("reason", why));
        say_why(a, why);
        return rc;
    }
    a->identity = *ret;
    return 0;
}

static void on_refused(void *arg, const struct gh_endpoint *remote, const char *why)
{
    struct agent *a = arg;
    char text[GH_ENDPOINT_TEXT];

    gh_log_event(a->log, GH_LOG_WARN, "agent", "handshake failed", gh_log_str("remote", gh_endpoint_emit(remote, text)), gh_log_str("reason", why));
}

static void on_ready(void *arg, struct gh_http_conn *c)
{
    struct agent *a = arg;
    struct gh_tls *tls = gh_quic_tls(gh_http_conn_quic(c));
    struct gh_http_stream *s;
    char text[GH_ENDPOINT_TEXT];
    int rc;

    if (c != a->conn || a->state != AGENT_CONNECTING)
        return;
    snprintf(a->tls_group, sizeof a->tls_group, "%s", gh_tls_group(tls));
    snprintf(a->cipher, sizeof a->cipher, "%s", gh_tls_cipher(tls));
    gh_log_event(a->log, GH_LOG_INFO, "agent", "connected", gh_log_str("remote", remote_text(a, text)), gh_log_str("relay_id", a->identity.name),
                 gh_log_str("tls_group", a->tls_group), gh_log_str("cipher", a->cipher),
                 gh_log_bool("resumed", gh_tls_resumed(tls)));
    gh_agent_tunnel_init(&a->tunnel, &tunnel_events, a);
    rc = gh_http_conn_request(c, &a->request.head, &gh_agent_tunnel_http_events, &a->tunnel, false, &s);
    if (rc < 0) {
        say_why(a, rc == GH_ERR_STATE ? "the relay does not offer extended CONNECT and datagrams" : gh_error_text(rc));
        gh_log_event(a->log, GH_LOG_ERROR, "agent", "the tunnel cannot be asked for", gh_log_str("reason", a->why));
        a->state = AGENT_CLOSING;
        gh_http_conn_close(c, "no tunnel");
        return;
    }
    a->state = AGENT_REQUESTING;
    gh_agent_tunnel_start(&a->tunnel, s);
    gh_worker_deadline_start(a->w, &a->timer, gh_worker_now(a->w) + a->conf.assign_timeout);
}

/* Words about a connection that is over. */
static void closed_words(struct gh_http_conn *c, const struct gh_quic_close *why, char *buf, size_t cap)
{
    static const char *const kinds[] = { "closed here", "closed by the relay", "nothing heard for the idle time-out", "handshake failed",
                                         "the relay does not know the connection", "an assertion failed" };
    struct gh_quic *q = gh_http_conn_quic(c);
    const char *verify = q && !gh_quic_is_abandoned(q) ? gh_tls_verify_error(gh_quic_tls(q)) : "";

    snprintf(buf, cap, "%s (code 0x%llx)%s%s%s%s", kinds[why->kind], (unsigned long long)why->code, why->reason[0] ? ": " : "", why->reason,
             *verify ? ": " : "", verify);
}

static void on_closed(void *arg, struct gh_http_conn *c, const struct gh_quic_close *why)
{
    struct agent *a = arg;
    char words[GH_AGENT_WORDS], text[GH_ENDPOINT_TEXT];
    enum agent_state state = a->state;

    if (c != a->conn)
        return;
    closed_words(c, why, words, sizeof words);
    a->conn = NULL;
    if (state == AGENT_CONNECTING) {
        gh_log_event(a->log, GH_LOG_WARN, "agent", "connection failed", gh_log_str("remote", remote_text(a, text)), gh_log_str("reason", words));
        if (!a->why[0] || why->kind != GH_QUIC_CLOSED_LOCAL)
            say_why(a, words);
        try_next(a);
        return;
    }
    gh_log_event(a->log, state == AGENT_STOPPED ? GH_LOG_INFO : GH_LOG_WARN, "agent", "disconnected",
                 gh_log_str("remote", remote_text(a, text)), gh_log_str("reason", words));
    if (!a->why[0])
        say_why(a, words);
    rest(a);
}

static void on_goaway(void *arg, struct gh_http_conn *c)
{
    struct agent *a = arg;

    if (c == a->conn)
        gh_log_event(a->log, GH_LOG_INFO, "agent", "the relay takes no new tunnels; this one goes on until it is closed");
}

static void on_drop(void *arg, enum gh_drop why, uint64_t count)
{
    struct agent *a = arg;

    gh_counter_add(&a->queues[0].drops[why], count);
}

static const struct gh_http_endpoint_events http_events = { on_peer, on_refused, on_ready, on_closed, on_goaway, on_drop };

/* ---- the tunnel ---- */

static void on_open(void *arg)
{
    struct agent *a = arg;

    a->state = AGENT_ASSIGNING;
    gh_worker_deadline_start(a->w, &a->timer, gh_worker_now(a->w) + a->conf.assign_timeout);
}

static void set_up(struct agent *a)
{
    a->state = AGENT_UP;
    gh_worker_deadline_stop(a->w, &a->timer);
    gh_worker_deadline_start(a->w, &a->mtu_timer, gh_worker_now(a->w) + MTU_INTERVAL);
    if (a->up_since)
        return;
    a->up_since = gh_worker_now(a->w);
    a->up_wall = gh_worker_wall(a->w);
    a->tunnels++;
    a->why[0] = 0;
    gh_metric_add(a->metrics, 0, AGENT_METRIC_TUNNELS, 0, 1);
    gh_metric_set_value(a->metrics, 0, AGENT_METRIC_UP, 0, 1);
    gh_ready_set(gh_node_ready(a->node), a->check, true, NULL);
}

static void on_assigned(void *arg, const struct gh_prefix *list, size_t count, size_t refused)
{
    struct agent *a = arg;

    if (a->state != AGENT_ASSIGNING && a->state != AGENT_UP)
        return;
    if (refused)
        gh_log_event(a->log, GH_LOG_INFO, "agent", "the relay refused an address", gh_log_uint("requests", refused));
    if (count == 0 && a->state == AGENT_ASSIGNING)
        return; /* another list may follow, until the time is up */
    agent_network_assigned(a, list, count);
    if (count) {
        set_up(a);
        return;
    }
    gh_log_event(a->log, GH_LOG_WARN, "agent", "the relay took the addresses back");
    a->state = AGENT_ASSIGNING;
    gh_ready_set(gh_node_ready(a->node), a->check, false, "no address");
    gh_worker_deadline_start(a->w, &a->timer, gh_worker_now(a->w) + a->conf.assign_timeout);
}

static void on_routes(void *arg, const struct gh_ip_route *list, size_t count)
{
    struct agent *a = arg;

    if (agent_network_routes(a, list, count) < 0)
        gh_agent_tunnel_end(&a->tunnel, GH_HTTP_EXCESSIVE_LOAD, "too many routes");
}

static void on_packet(void *arg, struct gh_span packet)
{
    agent_packet_in(arg, packet);
}

/* Two agents with one identity would take the session from each other for ever: the older one stays away (DESIGN 4, decision 12). */
static void give_way(struct agent *a)
{
    gh_log_event(a->log, GH_LOG_ERROR, "agent",
                 "another agent with the same identity has taken over; this one ends. Give each machine a certificate of its own, and start "
                 "this one again when the other is not meant to run");
    a->state = AGENT_STOPPED;
    gh_run_leave(a->run, EXIT_TAKEN_OVER);
}

/* Device and routes stay as they are: what should go through the tunnel waits for the next one, and nothing leaves in clear. */
static void on_end(void *arg, const struct gh_agent_tunnel_end *end)
{
    struct agent *a = arg;

    gh_log_event(a->log, a->state == AGENT_STOPPED ? GH_LOG_INFO : GH_LOG_WARN, "agent",
                 a->up_since ? "tunnel lost" : "the tunnel was not opened", gh_log_str("reason", end->words),
                 gh_log_uint("status", end->status), gh_log_uint("code", end->code));
    say_why(a, end->words);
    set_down(a);
    if (end->farewell == GH_FAREWELL_TAKEN_OVER && a->state != AGENT_STOPPED)
        give_way(a);
    if (a->state != AGENT_STOPPED)
        a->state = AGENT_CLOSING;
    if (a->conn)
        gh_http_conn_close(a->conn, "tunnel ended");
}

static const struct gh_agent_tunnel_events tunnel_events = { on_open, on_assigned, on_routes, on_packet, on_end };

/* ---- time ---- */

static void on_timer(void *arg, int64_t now)
{
    struct agent *a = arg;

    (void)now;
    if (a->state == AGENT_WAITING)
        begin(a);
    else if (a->state == AGENT_REQUESTING)
        gh_agent_tunnel_end(&a->tunnel, GH_HTTP_REQUEST_CANCELLED, "the relay did not answer the request in time");
    else if (a->state == AGENT_ASSIGNING)
        gh_agent_tunnel_end(&a->tunnel, GH_HTTP_REQUEST_CANCELLED, "the relay assigned no usable address in time");
}

static void on_mtu_timer(void *arg, int64_t now)
{
    struct agent *a = arg;

    if (a->state != AGENT_UP)
        return;
    agent_network_refresh_mtu(a);
    /* a path is measured in its first seconds; later changes are rare */
    gh_worker_deadline_start(a->w, &a->mtu_timer, now + (now - a->up_since < 10 * SECOND ? MTU_INTERVAL : 8 * MTU_INTERVAL));
}

/* ---- life ---- */

static int open_http(struct agent *a, unsigned i)
{
    struct gh_http_endpoint_config c = { .tls = a->tls, .events = &http_events, .arg = a };
    int rc = gh_quic_group_init(&a->groups[i], 1, NULL);

    c.endpoint = (struct gh_quic_endpoint_config){ .worker = a->w, .group = &a->groups[i], .fd = a->udp[i], .features = a->features };
    gh_quic_config_default(&c.endpoint.quic);
    c.endpoint.quic.idle_timeout = a->conf.idle_timeout;
    c.endpoint.quic.keep_alive = a->conf.keep_alive;
    if (rc == 0)
        rc = gh_http_endpoint_create(&c, &a->http[i]);
    if (rc == 0)
        a->udp[i] = -1; /* the endpoint's now */
    return rc;
}

int agent_link_start(struct agent *a)
{
    int rc = 0;

    gh_deadline_init(&a->timer, on_timer, a);
    gh_deadline_init(&a->mtu_timer, on_mtu_timer, a);
    gh_agent_backoff_init(&a->backoff, a->conf.reconnect_min, a->conf.reconnect_max);
    for (unsigned i = 0; i < AGENT_FAMILIES && rc == 0; i++)
        if (a->udp[i] >= 0)
            rc = open_http(a, i);
    if (rc < 0) {
        gh_log_event(a->log, GH_LOG_ERROR, "agent", "the connection's socket cannot be used", gh_log_result("error", rc));
        agent_link_fini(a);
        return rc;
    }
    begin(a);
    return 0;
}

void agent_link_stop(struct agent *a)
{
    if (a->state == AGENT_STOPPED)
        return;
    a->state = AGENT_STOPPED;
    stop_timers(a);
    gh_agent_tunnel_close(&a->tunnel, "the agent ends");
    if (a->conn)
        gh_http_conn_close(a->conn, "the agent ends");
    else
        rest(a);
}

void agent_link_fini(struct agent *a)
{
    a->state = AGENT_STOPPED;
    stop_timers(a);
    for (unsigned i = 0; i < AGENT_FAMILIES; i++) {
        if (a->http[i])
            gh_http_endpoint_close_all(a->http[i], "the agent ends");
        gh_http_endpoint_destroy(a->http[i]);
        a->http[i] = NULL;
    }
    gh_agent_tunnel_fini(&a->tunnel);
    gh_agent_routes_fini(&a->routes);
    a->session.routes = NULL;
    a->session.route_count = 0;
}

void agent_link_reconfigure(struct agent *a, struct gh_tls_ctx *tls, struct gh_prefix *allow, size_t count)
{
    for (unsigned i = 0; i < AGENT_FAMILIES; i++)
        if (a->http[i])
            gh_http_endpoint_set_tls(a->http[i], tls);
    gh_tls_ctx_put(a->tls);
    a->tls = tls;
    free((void *)(uintptr_t)a->conf.allow_routes);
    a->conf.allow_routes = allow;
    a->conf.allow_route_count = count;
}
