/* Which connection carries the tunnel, and where the next one is looked for.
 *
 *   NONE      the carrier is well
 *   WAITING   nothing is open: the next attempt comes after a delay
 *   RESOLVING the relay's name is looked up
 *   TRYING    candidates are connected to, one after the other and overlapping (RFC 8305): the first that answers is asked for a tunnel
 *
 * Each address is tried in several ways (agent_way.c), a moment apart. Whoever answers first carries.
 *
 * Relays are in order of preference, each with its addresses. An agent at another than the first looks for a preferred one now and then.
 * A search begins when there is no carrier, and when the carrier's path seems dead: then it stays until another one is up, and
 * the session goes on there; flows notice nothing. A path is dead when nothing was heard for a while although something was
 * sent. A change of the machine's addresses or routes makes us look at once.
 */
#include <stdlib.h>

#include "base/error.h"
#include "crypto/random.h"
#include "services/agent/agent_internal.h"

#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)
#define STAGGER (300 * MILLISECOND)  /* before the next candidate is tried beside the last (RFC 8305, section 5: 250 recommended) */
#define RELAY_STAGGER (2 * SECOND)   /* before the next relay is tried beside one that is silent */
#define HANDSHAKE (10 * SECOND)      /* over TCP */
#define WATCH (250 * MILLISECOND)
#define PROBE_AFTER (750 * MILLISECOND) /* unheard for so long: ask for a sign of life */
#define DEAD_AFTER (2500 * MILLISECOND)
#define SETTLE (50 * MILLISECOND)    /* changes of the network come in bunches */
#define MTU_INTERVAL (SECOND / 4)
#define RAISE (600 * SECOND)         /* a narrow path is measured again (RFC 8899, section 5.1.1) */
#define QUEUE_TIME (200 * MILLISECOND) /* the longest that a packet waits for the window */
#define QUEUE_TARGET (5 * MILLISECOND) /* CoDel: RFC 8290, section 5.2.1 */

static void try_next(struct agent *a, bool impatient);
static void look_for_preferred(struct agent *a);

const char *agent_state_name(const struct agent *a)
{
    static const char *const names[] = { "idle", "waiting", "resolving", "connecting" };

    if (a->stopping)
        return "stopped";
    if (a->carrier)
        return a->search == AGENT_SEARCH_NONE ? "up" : "roaming";
    return a->next ? agent_link_state_name(a->next->state) : names[a->search];
}

bool agent_search_is_attempt(const struct agent *a, const struct agent_link *l)
{
    return l->state <= AGENT_LINK_ASSIGNING && l != a->carrier;
}

static size_t trying(const struct agent *a)
{
    size_t n = 0;

    gh_list_each(it, (struct gh_list *)(uintptr_t)&a->links)
        n += agent_search_is_attempt(a, gh_container_of(it, struct agent_link, node));
    return n;
}

static void end_attempts(struct agent *a, const struct agent_link *but)
{
    gh_list_each(it, &a->links)
    {
        struct agent_link *l = gh_container_of(it, struct agent_link, node);

        if (l != but && agent_search_is_attempt(a, l) && !agent_way_may_take_over(l, but))
            agent_link_end(l, "another connection was faster");
    }
}

static void search_end(struct agent *a)
{
    a->search = AGENT_SEARCH_NONE;
    a->next = NULL;
    gh_worker_deadline_stop(a->w, &a->timer);
    agent_note_state(a);
}

/* Nothing came of the search: wait, and begin again. */
static void rest(struct agent *a)
{
    uint64_t random = 0;
    int64_t delay;

    a->next = NULL;
    a->search = AGENT_SEARCH_WAITING;
    agent_note_state(a);
    if (gh_random_bytes(&random, sizeof random) < 0)
        random = (uint64_t)gh_worker_now(a->w);
    delay = gh_agent_backoff_next(&a->backoff, random);
    gh_log_event(a->log, GH_LOG_INFO, "agent", "reconnecting", gh_log_duration("delay", delay), gh_log_uint("attempt", a->attempts));
    gh_worker_deadline_start(a->w, &a->timer, gh_worker_now(a->w) + delay);
}

/* ---- looking up ---- */

struct lookup {
    struct agent *a;
    size_t relay;
    struct gh_agent_relay what;
    struct gh_resolved result;
};

static void look_up(void *arg)
{
    struct lookup *l = arg;

    gh_privileged_lookup(l->a->run->privileged, l->what.host, l->what.port, &l->result);
}

static void looked_up(struct gh_worker *w, void *arg)
{
    struct lookup *l = arg;
    struct agent *a = l->a;

    (void)w;
    a->looking_up = false;
    if (l->result.count > 0) {
        a->relays[l->relay].resolved = l->result;
    } else {
        gh_log_event(a->log, GH_LOG_WARN, "agent", "the relay's name cannot be resolved", gh_log_str("relay", l->what.host),
                     gh_log_str("reason", l->result.error));
        if (!a->carrier)
            snprintf(a->why, sizeof a->why, "%s", "the relay's name cannot be resolved");
    }
    if (a->search == AGENT_SEARCH_RESOLVING && !a->stopping && !a->next) {
        a->candidate = l->relay == a->at && l->result.count > 0 ? 0 : SIZE_MAX;
        a->fresh = true;
        try_next(a, false);
    }
    free(l);
}

static int start_lookup(struct agent *a)
{
    struct lookup *l = a->looking_up ? NULL : calloc(1, sizeof *l);
    int rc = l ? 0 : GH_ERR_MEMORY;

    a->search = AGENT_SEARCH_RESOLVING;
    agent_note_state(a);
    if (a->looking_up) /* an earlier one still runs: we go on when it is over */
        return 0;
    if (l) {
        *l = (struct lookup){ .a = a, .relay = a->at, .what = a->conf.relays[a->at] };
        rc = gh_worker_offload(a->w, look_up, looked_up, l);
    }
    if (rc < 0)
        free(l);
    else
        a->looking_up = true;
    return rc;
}

/* ---- trying ---- */

/* Nobody answered. A carrier that is well goes on as before. */
static void give_up(struct agent *a)
{
    if (a->carrier && !a->carrier->unanswered_since) {
        search_end(a);
        look_for_preferred(a);
    } else {
        gh_agent_ech_unanswered(&a->ech);
        rest(a);
    }
}

/* One step of the search: the next address of a relay, its name once more when all of them were silent, the next relay. <impatient>: what
 * is under way had its time, the next may be tried beside it. */
static void try_next(struct agent *a, bool impatient)
{
    while (a->at < a->limit) {
        a->search = AGENT_SEARCH_TRYING;
        if (a->at != a->skip && agent_way_try(a) == 0) {
            bool more = a->candidate < agent_way_steps(a);

            agent_note_state(a);
            gh_worker_deadline_start(a->w, &a->timer, gh_worker_now(a->w) + (more ? STAGGER : RELAY_STAGGER));
            return;
        }
        if (a->at != a->skip && !a->fresh && a->conf.relays[a->at].address_count == 0 && (trying(a) == 0 || a->relays[a->at].resolved.count == 0) && start_lookup(a) == 0)
            return;
        if (trying(a) > 0 && !impatient) {
            gh_worker_deadline_start(a->w, &a->timer, gh_worker_now(a->w) + RELAY_STAGGER);
            return;
        }
        a->at++;
        a->candidate = 0;
        a->fresh = false;
    }
    if (trying(a) > 0)
        gh_worker_deadline_stop(a->w, &a->timer);
    else
        give_up(a);
}

/* A look-up would go through the tunnel that is down: what worked before is tried first. Relays from <first> to before <limit>, <skip>
 * left out. */
static void begin_among(struct agent *a, size_t first, size_t limit, size_t skip, bool quic_only)
{
    a->attempts++;
    a->quic_only = quic_only;
    a->at = first;
    a->candidate = 0;
    a->limit = limit;
    a->skip = skip;
    a->fresh = false;
    try_next(a, false);
}

static void begin(struct agent *a)
{
    begin_among(a, 0, a->conf.relay_count, SIZE_MAX, false);
}

/* ---- back to a preferred relay ---- */

static void look_for_preferred(struct agent *a)
{
    if (a->carrier && a->carrier->relay > 0 && a->conf.return_after > 0)
        gh_worker_deadline_start(a->w, &a->prefer, gh_worker_now(a->w) + a->conf.return_after);
    else
        gh_worker_deadline_stop(a->w, &a->prefer);
}

static void on_prefer(void *arg, int64_t now)
{
    struct agent *a = arg;

    (void)now;
    if (a->stopping || !a->carrier || a->carrier->relay == 0 || a->search != AGENT_SEARCH_NONE)
        return; /* a search under way ends with another look */
    begin_among(a, 0, a->carrier->relay, SIZE_MAX, false);
}

void agent_search_goaway(struct agent_link *l)
{
    struct agent *a = l->a;

    if (l != a->carrier)
        return;
    gh_log_event(a->log, GH_LOG_INFO, "agent", "the relay takes no new tunnels; this one goes on until it is closed");
    if (a->conf.relay_count > 1 && a->search == AGENT_SEARCH_NONE && !a->stopping)
        begin_among(a, 0, a->conf.relay_count, l->relay, false);
}

void agent_search_reached(struct agent_link *l)
{
    struct agent *a = l->a;

    if (a->next && a->next != l)
        return; /* two answered at once: the tunnels race, and the relay keeps one session */
    a->next = l;
    agent_note_state(a);
    if (a->search == AGENT_SEARCH_TRYING)
        gh_worker_deadline_stop(a->w, &a->timer);
    end_attempts(a, l);
}

static void set_down(struct agent *a, const struct agent_link *l)
{
    snprintf(a->why, sizeof a->why, "%s", l->why);
    gh_worker_deadline_stop(a->w, &a->watch);
    gh_ready_set(gh_node_ready(a->node), a->check, false, a->why[0] ? a->why : "no tunnel");
    gh_metric_set_value(a->metrics, 0, AGENT_METRIC_UP, 0, 0);
    if (gh_worker_now(a->w) - a->up_since >= GH_AGENT_STABLE)
        gh_agent_backoff_reset(&a->backoff);
    a->up_since = a->up_wall = 0;
    a->announced = false;
}

void agent_search_lost(struct agent_link *l, enum agent_link_state before)
{
    struct agent *a = l->a;

    if (l == a->carrier) {
        a->carrier = NULL;
        set_down(a, l);
        agent_way_look(a);
    } else if (a->search != AGENT_SEARCH_NONE || !a->carrier) {
        snprintf(a->why, sizeof a->why, "%s", l->why);
    }
    agent_way_failed(l, before);
    if (l == a->next)
        a->next = NULL;
    agent_note_state(a);
    if (a->stopping)
        return;
    if (a->search == AGENT_SEARCH_NONE && a->carrier)
        return; /* an attempt beside a tunnel that is well */
    if (a->search == AGENT_SEARCH_NONE)
        rest(a);
    else if (a->search == AGENT_SEARCH_TRYING && trying(a) == 0) {
        if (before == AGENT_LINK_CONNECTING)
            try_next(a, true); /* the others may be there */
        else
            give_up(a);
    }
}

void agent_search_gone(struct agent *a)
{
    if (a->stopping && gh_list_empty(&a->links))
        atomic_store(&a->stopped, true);
}

/* ---- the carrier ---- */

void agent_search_up(struct agent_link *l)
{
    struct agent *a = l->a;
    struct agent_link *old = a->carrier;

    l->was_up = true;
    gh_ready_set(gh_node_ready(a->node), a->check, true, NULL);
    if (old == l)
        return;
    a->carrier = l;
    a->why[0] = 0;
    agent_note_link(l, old ? GH_TRACE_PATH : GH_TRACE_SESSION_OPEN, 0);
    search_end(a);
    end_attempts(a, l);
    l->heard_at = gh_worker_now(a->w);
    l->unanswered_since = 0;
    a->tunnels++;
    gh_metric_add(a->metrics, 0, AGENT_METRIC_TUNNELS, 0, 1);
    gh_metric_set_value(a->metrics, 0, AGENT_METRIC_UP, 0, 1);
    gh_worker_deadline_start(a->w, &a->watch, gh_worker_now(a->w) + WATCH);
    a->mtu_looked = 0;
    agent_way_up(a, l);
    look_for_preferred(a);
    agent_way_look(a);
    if (old) {
        agent_link_leave(old);
    } else {
        a->up_since = gh_worker_now(a->w);
        a->up_wall = gh_worker_wall(a->w);
    }
    agent_opener_ready(a);
}

/* The carrier's path is dead, or has no way any more: another connection of the same session. */
static void roam(struct agent *a, const char *why)
{
    char text[GH_ENDPOINT_TEXT];

    if (a->search != AGENT_SEARCH_NONE || !a->carrier)
        return;
    gh_log_event(a->log, GH_LOG_WARN, "agent", "the path to the relay seems dead, looking for another", gh_log_str("reason", why),
                 gh_log_str("remote", gh_endpoint_emit(&a->carrier->remote, text)));
    begin(a);
}

/* The path lives after all. */
static void recovered(struct agent *a)
{
    gh_log_event(a->log, GH_LOG_INFO, "agent", "the path to the relay is alive again");
    search_end(a);
    end_attempts(a, a->carrier);
    look_for_preferred(a);
}

static void watch_carrier(struct agent *a, int64_t now)
{
    struct agent_link *l = a->carrier;
    const struct agent_pulse p = agent_carrier_pulse(l);

    if (p.heard != l->heard) {
        bool again = l->unanswered_since && now - l->unanswered_since >= DEAD_AFTER;

        l->heard = p.heard;
        l->packets_out = p.sent;
        l->heard_at = now;
        l->unanswered_since = 0;
        if (again && a->search != AGENT_SEARCH_NONE && !a->next)
            recovered(a);
        return;
    }
    if (p.sent == l->packets_out && !l->unanswered_since)
        return; /* nothing was asked */
    if (!l->unanswered_since)
        l->unanswered_since = now;
    if (now - l->unanswered_since >= DEAD_AFTER)
        roam(a, "nothing heard although packets were sent");
    else if (now - l->unanswered_since >= PROBE_AFTER) {
        agent_link_hop_away(l, now);
        agent_carrier_probe(l);
    }
}

/* QUIC measures a path when it begins and does not see that what is behind our own address is another path: a new connection to the same relay
 * measures it, and carries when it is up. */
static void measure_anew(struct agent *a, const char *why)
{
    if (a->search != AGENT_SEARCH_NONE || a->stopping)
        return;
    gh_log_event(a->log, GH_LOG_INFO, "agent", "the path was too narrow for IPv6 and may not be any more, another connection measures it",
                 gh_log_str("reason", why));
    begin_among(a, a->carrier->relay, a->carrier->relay + 1, SIZE_MAX, true);
}

static bool is_narrow_somewhere(struct agent_link *l, int64_t now)
{
    return l->narrow || l->peer_narrow || agent_link_is_narrow(l, now);
}

/* RFC 9484, section 7.2, for what we send: IPv6 goes when the path gets too narrow, and comes back. */
static void watch_width(struct agent *a, int64_t now)
{
    struct agent_link *l = a->carrier;
    bool narrow;

    if (l->state != AGENT_LINK_UP)
        return;
    narrow = agent_link_is_narrow(l, now);
    if (narrow && !l->narrow && agent_network_has_ipv6(a))
        agent_link_renew(l, true);
    else if (l->narrow && l->was_wide && !narrow)
        agent_link_renew(l, false);
    else if (is_narrow_somewhere(l, now) && now - l->up_at >= RAISE)
        measure_anew(a, "ten minutes are over");
}

static void on_watch(void *arg, int64_t now)
{
    struct agent *a = arg;

    if (!a->carrier)
        return;
    watch_carrier(a, now);
    if (agent_is_proxy(a)) { /* what it carries has no width */
        gh_worker_deadline_start(a->w, &a->watch, now + WATCH);
        return;
    }
    if (a->carrier)
        watch_width(a, now);
    if (!a->carrier)
        return;
    /* a path is measured in its first seconds; later changes are rare */
    if (now - a->mtu_looked >= (now - a->carrier->heard_at < 10 * SECOND ? MTU_INTERVAL : 8 * MTU_INTERVAL)) {
        a->mtu_looked = now;
        agent_network_refresh_mtu(a);
    }
    gh_worker_deadline_start(a->w, &a->watch, now + WATCH);
}

/* ---- the machine's network ---- */

static bool is_same_way(const struct gh_nl_route *a, const struct gh_nl_route *b)
{
    return a->ifindex == b->ifindex && gh_ip_equals(&a->via, &b->via) && gh_ip_equals(&a->source, &b->source);
}

/* The relay learns where we are now; a path that is another one may be a wider one. */
static void look_from_here(struct agent *a, const struct gh_nl_route *way, int64_t now)
{
    struct agent_link *l = a->carrier;

    agent_carrier_probe(l);
    if (a->netlink && !is_same_way(way, &l->way)) {
        if (l->tcp) { /* UDP may get through here */
            agent_way_forget(a);
            agent_way_try_better(a);
        } else if (!agent_is_proxy(a) && is_narrow_somewhere(l, now)) {
            measure_anew(a, "the way to the relay is another one");
        }
    }
    l->way = *way;
}

static void network_changed(void *arg, int64_t now)
{
    struct agent *a = arg;
    struct gh_nl_route r = { 0 };

    agent_note(a, GH_TRACE_NETWORK, 0);
    if (a->stopping)
        return;
    if (a->search != AGENT_SEARCH_NONE && a->search != AGENT_SEARCH_RESOLVING && !a->next) {
        /* what was tried from where we were would only wait longer and longer */
        end_attempts(a, NULL);
        gh_agent_backoff_reset(&a->backoff);
        begin(a);
        return;
    }
    if (!a->carrier)
        return;
    if (a->netlink && gh_netlink_route_get(a->netlink, &a->carrier->remote.ip, a->conf.fwmark, &r) == GH_ERR_NOT_FOUND)
        roam(a, "the machine has no route to it");
    else
        look_from_here(a, &r, now);
}

static void on_netlink(void *arg, int events)
{
    struct agent *a = arg;

    (void)events;
    if (gh_netlink_monitor_read(a->monitor, a->tun_index))
        gh_worker_deadline_start(a->w, &a->settle, gh_worker_now(a->w) + SETTLE);
}

static void monitor_start(struct agent *a)
{
    int fds[2];

    if (gh_privileged_open_netlink(a->run->privileged, fds) == 0) {
        a->monitor = fds[0];
        if (gh_netlink_create_on(fds[1], &a->netlink) < 0)
            a->netlink = NULL;
    }
    a->tun_index = a->netlink && a->tun[0] ? gh_netlink_link_index(a->netlink, a->tun) : -1;
    if (a->monitor < 0 || gh_poll_open(a->w, a->monitor, GH_POLL_READ, on_netlink, a, &a->monitor_poll) < 0)
        gh_log_event(a->log, GH_LOG_WARN, "agent", "changes of the network will be noticed late: netlink cannot be listened to");
}

/* ---- time ---- */

static void on_timer(void *arg, int64_t now)
{
    struct agent *a = arg;

    (void)now;
    if (a->search == AGENT_SEARCH_WAITING) {
        if (a->carrier && !a->carrier->unanswered_since) {
            search_end(a);
            look_for_preferred(a);
        } else {
            begin(a);
        }
    } else if (a->search == AGENT_SEARCH_TRYING && !a->next) {
        try_next(a, true);
    }
}

/* ---- life ---- */

/* Over TCP. */
static int open_tcp(struct agent *a)
{
    const struct gh_http_tcp_config c = { .worker = a->w,
                                          .handshake_timeout = HANDSHAKE,
                                          .keep_alive = a->conf.keep_alive,
                                          .answer_timeout = a->conf.idle_timeout - a->conf.keep_alive };

    return a->conf.transport == GH_AGENT_QUIC ? 0 : gh_http_tcp_create(&c, &a->tcp);
}

static int open_http(struct agent *a, unsigned i)
{
    struct gh_http_endpoint_config c = { .tls = a->tls.quic, .events = &agent_link_events, .arg = a };
    int rc = gh_quic_group_init(&a->groups[i], 1, NULL);

    c.endpoint = (struct gh_quic_endpoint_config){ .worker = a->w, .group = &a->groups[i], .fd = a->udp[i], .features = a->features,
                                                  .memory = &a->memory };
    gh_quic_config_default(&c.endpoint.quic);
    c.endpoint.quic.idle_timeout = a->conf.idle_timeout;
    c.endpoint.quic.keep_alive = a->conf.keep_alive;
    c.endpoint.quic.max_payload = gh_quic_max_payload(a->conf.mtu);
    c.endpoint.quic.queue_time = QUEUE_TIME;
    c.endpoint.quic.queue_target = QUEUE_TARGET;
    if (rc == 0)
        rc = gh_http_endpoint_create(&c, &a->http[i]);
    if (rc == 0)
        a->udp[i] = -1; /* the endpoint's now */
    return rc;
}

int agent_search_start(struct agent *a)
{
    int rc = 0;

    gh_list_init(&a->links);
    gh_deadline_init(&a->timer, on_timer, a);
    gh_deadline_init(&a->watch, on_watch, a);
    gh_deadline_init(&a->settle, network_changed, a);
    gh_deadline_init(&a->prefer, on_prefer, a);
    gh_deadline_init(&a->quic_again, agent_way_again, a);
    gh_agent_backoff_init(&a->backoff, a->conf.reconnect_min, a->conf.reconnect_max);
    for (unsigned i = 0; i < AGENT_FAMILIES && rc == 0; i++)
        if (a->udp[i] >= 0)
            rc = open_http(a, i);
    if (rc == 0)
        rc = open_tcp(a);
    if (rc < 0) {
        gh_log_event(a->log, GH_LOG_ERROR, "agent", "the connection's socket cannot be used", gh_log_result("error", rc));
        agent_search_fini(a);
        return rc;
    }
    monitor_start(a);
    begin(a);
    return 0;
}

static void stop_timers(struct agent *a)
{
    gh_worker_deadline_stop(a->w, &a->timer);
    gh_worker_deadline_stop(a->w, &a->watch);
    gh_worker_deadline_stop(a->w, &a->settle);
    gh_worker_deadline_stop(a->w, &a->prefer);
    gh_worker_deadline_stop(a->w, &a->quic_again);
}

void agent_search_stop(struct agent *a)
{
    a->stopping = true;
    agent_note_state(a);
    stop_timers(a);
    gh_list_each(it, &a->links)
        agent_link_end(gh_container_of(it, struct agent_link, node), "the agent ends");
    if (a->carrier) {
        a->carrier = NULL;
        gh_ready_set(gh_node_ready(a->node), a->check, false, "the agent ends");
        gh_metric_set_value(a->metrics, 0, AGENT_METRIC_UP, 0, 0);
    }
    a->next = NULL;
    agent_search_gone(a);
}

void agent_search_fini(struct agent *a)
{
    a->stopping = true;
    stop_timers(a);
    gh_poll_close(a->monitor_poll);
    a->monitor_poll = NULL;
    gh_sock_close(a->monitor);
    a->monitor = -1;
    gh_netlink_destroy(a->netlink);
    a->netlink = NULL;
    for (unsigned i = 0; i < AGENT_FAMILIES; i++) {
        if (a->http[i])
            gh_http_endpoint_close_all(a->http[i], "the agent ends");
        gh_http_endpoint_destroy(a->http[i]);
        a->http[i] = NULL;
    }
    gh_http_tcp_destroy(a->tcp);
    a->tcp = NULL;
    gh_quic_memory_fini(&a->memory);
    a->carrier = a->next = NULL;
    gh_agent_routes_fini(&a->routes);
    a->session.routes = NULL;
    a->session.route_count = 0;
}

void agent_search_reconfigure(struct agent *a, struct agent_change *n)
{
    for (unsigned i = 0; i < AGENT_FAMILIES; i++)
        if (a->http[i])
            gh_http_endpoint_set_tls(a->http[i], n->tls.quic);
    agent_tls_put(&a->tls);
    a->tls = n->tls;
    gh_agent_ech_set(&a->ech, gh_span_of(n->ech.bytes, n->ech.len));
    free((void *)(uintptr_t)a->conf.tunnel_name);
    a->conf.tunnel_name = n->tunnel_name;
    a->conf.has_ca = n->has_ca;
    free((void *)(uintptr_t)a->conf.allow_routes);
    a->conf.allow_routes = n->allow;
    a->conf.allow_route_count = n->allow_count;
}
