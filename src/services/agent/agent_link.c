/* One connection to the relay and the tunnel on it: from the first packet to the last. What to connect to, and when, is agent_search.c's. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "crypto/random.h"
#include "services/agent/agent_internal.h"

#define SECOND INT64_C(1000000000)
#define MEASURING (3 * SECOND)    /* how long it may take to find out that a path carries IPv6 */
#define AGAIN_AFTER SECOND        /* a tunnel that is aborted sooner after the last one is a lost one */
#define CONNECT_ERROR 0x10fu       /* RFC 9484, section 7.2: the path does not carry IPv6 (RFC 9114, section 8.1: H3_CONNECT_ERROR) */
#define HOP_FIRST (SECOND / 2)     /* before a first flight that nobody answers is sent to another port as well, so often */
#define FLIGHTS 4u
#define HOP_AWAY (SECOND / 2)      /* when the carrier is not heard */
#define LEAVING_TIME (2 * SECOND) /* what is under way on an older connection still arrives */

static const struct gh_agent_tunnel_events tunnel_events;
static void request_again(struct agent_link *l);

const char *agent_link_state_name(enum agent_link_state s)
{
    static const char *const names[] = { "connecting", "requesting", "assigning", "up", "leaving", "closing" };

    return names[s];
}

static const char *remote_text(const struct agent_link *l, char buf[GH_ENDPOINT_TEXT])
{
    return gh_endpoint_emit(&l->remote, buf);
}

static const char *way_name(const struct agent_link *l)
{
    return l->websocket ? "websocket" : l->tcp ? "tcp" : "quic";
}

static void say_why(struct agent_link *l, const char *why)
{
    snprintf(l->why, sizeof l->why, "%s", why);
}

static struct agent_link *link_of(struct agent *a, const struct gh_http_conn *c)
{
    gh_list_each(it, &a->links)
    {
        struct agent_link *l = gh_container_of(it, struct agent_link, node);

        if (l->conn == c)
            return l;
    }
    return NULL;
}

static void link_free(struct agent_link *l)
{
    gh_worker_deadline_stop(l->a->w, &l->timer);
    gh_worker_deadline_stop(l->a->w, &l->hop);
    gh_list_unlink(&l->node);
    gh_agent_tunnel_fini(&l->tunnel);
    free(l);
}

/* Nobody waits for it any more; the connection says good-bye, and then it is gone. */
static void close_conn(struct agent_link *l, const char *words)
{
    l->state = AGENT_LINK_CLOSING;
    gh_worker_deadline_stop(l->a->w, &l->timer);
    agent_carrier_close(l, words);
}

/* The tunnel or the connection is over: whoever hoped for it is told, once. */
static void lost(struct agent_link *l)
{
    enum agent_link_state before = l->state;

    l->state = AGENT_LINK_CLOSING;
    if (before != AGENT_LINK_LEAVING && before != AGENT_LINK_CLOSING)
        agent_search_lost(l, before);
}

void agent_link_end(struct agent_link *l, const char *words)
{
    if (l->state == AGENT_LINK_CLOSING)
        return;
    l->state = AGENT_LINK_CLOSING; /* the tunnel's end below is nobody's loss */
    gh_agent_tunnel_close(&l->tunnel, words);
    close_conn(l, words);
}

void agent_link_leave(struct agent_link *l)
{
    if (l->state != AGENT_LINK_UP)
        return;
    l->state = AGENT_LINK_LEAVING;
    if (l->requests == 0) /* else the last of them ends it */
        gh_worker_deadline_start(l->a->w, &l->timer, gh_worker_now(l->a->w) + LEAVING_TIME);
}

/* Time-outs of what the relay owes, and the end of leaving. */
static void on_timer(void *arg, int64_t now)
{
    struct agent_link *l = arg;

    (void)now;
    if (l->state == AGENT_LINK_LEAVING)
        agent_link_end(l, "another connection carries the tunnel");
    else if (l->state == AGENT_LINK_REQUESTING && l->tunnel.state == GH_AGENT_TUNNEL_ENDED)
        request_again(l);
    else if (l->state == AGENT_LINK_REQUESTING)
        gh_agent_tunnel_end(&l->tunnel, GH_HTTP_REQUEST_CANCELLED, "the relay did not answer the request in time");
    else if (l->state == AGENT_LINK_ASSIGNING)
        gh_agent_tunnel_end(&l->tunnel, GH_HTTP_REQUEST_CANCELLED, "the relay assigned no usable address in time");
}

/* ---- hop ports ---- */

static void hop_later(struct agent_link *l, int64_t now)
{
    uint64_t random = (uint64_t)now;

    (void)gh_random_bytes(&random, sizeof random);
    gh_worker_deadline_start(l->a->w, &l->hop, now + (l->state == AGENT_LINK_CONNECTING ? HOP_FIRST : gh_agent_hop_wait(l->a->conf.hop_interval, random)));
}

static void hop(struct agent_link *l, int64_t now)
{
    char text[GH_ENDPOINT_TEXT];

    agent_carrier_hop(l);
    l->hops++;
    l->hopped_at = now;
    gh_log_event(l->a->log, GH_LOG_DEBUG, "agent", "to another port", gh_log_str("remote", remote_text(l, text)), gh_log_uint("port", l->port));
    hop_later(l, now);
}

static int open_again(struct agent_link *l);

/* Proxies end what is silent, and HTTP/1.1 has nothing of its own to say. */
static void ping_later(struct agent_link *l, int64_t now)
{
    if (l->a->conf.keep_alive > 0)
        gh_worker_deadline_start(l->a->w, &l->hop, now + l->a->conf.keep_alive);
}

/* A first flight comes in several datagrams, and the library would repeat one at a time, each later than the one before: another connection begins beside
 * it, at another port. Whichever is answered first counts. */
static void on_hop(void *arg, int64_t now)
{
    struct agent_link *l = arg;

    if (l->websocket && l->state <= AGENT_LINK_LEAVING) {
        agent_carrier_ping(l);
        ping_later(l, now);
    }
    if (!l->conn || l->state > AGENT_LINK_UP)
        return;
    if (l->state != AGENT_LINK_CONNECTING)
        hop(l, now);
    else if (agent_carrier_pulse(l).heard == 0 && l->hops < FLIGHTS)
        (void)open_again(l);
}

void agent_link_hop_away(struct agent_link *l, int64_t now)
{
    if (l->conn && l->a->conf.hop[0] && now - l->hopped_at >= HOP_AWAY)
        hop(l, now);
}

/* <like>: what came before it, at the same address; NULL: nothing. */
static int link_open(struct agent *a, size_t relay, const struct gh_endpoint *remote, enum agent_way way, const struct agent_link *like)
{
    struct agent_link *l = calloc(1, sizeof *l);
    char text[GH_ENDPOINT_TEXT];
    int rc;

    if (!l)
        return GH_ERR_MEMORY;
    if (like) {
        l->again = like->again;
        l->port = like->port; /* not this one, where there are others */
        l->hops = like->hops;
    }
    l->a = a;
    l->number = ++a->connections;
    l->relay = relay;
    l->remote = *remote;
    l->kind = way;
    l->tcp = way != AGENT_QUIC;
    l->websocket = way == AGENT_WEBSOCKET || way == AGENT_WEBSOCKET_HOP;
    l->transport = "";
    if (a->netlink)
        (void)gh_netlink_route_get(a->netlink, &remote->ip, a->conf.fwmark, &l->way);
    gh_deadline_init(&l->timer, on_timer, l);
    gh_deadline_init(&l->hop, on_hop, l);
    gh_list_init(&l->node);
    gh_list_append(&a->links, &l->node);
    gh_log_event(a->log, GH_LOG_INFO, "agent", "connecting", gh_log_str("relay", a->conf.relays[relay].host), gh_log_str("remote", remote_text(l, text)),
                 gh_log_str("transport", way_name(l)));
    agent_note_link(l, GH_TRACE_CONNECT, l->tcp);
    rc = agent_carrier_open(l);
    if (rc == 0 && l->conn && a->conf.hop[0])
        hop_later(l, gh_worker_now(a->w));
    if (rc == 0)
        return 0;
    if (rc != GH_ERR_UNSUPPORTED)
        gh_log_event(a->log, GH_LOG_WARN, "agent", "connection failed", gh_log_str("remote", text), gh_log_result("error", rc));
    link_free(l);
    return rc;
}

int agent_link_open(struct agent *a, size_t relay, const struct gh_endpoint *remote, enum agent_way way)
{
    if (way == AGENT_QUIC && !a->http[remote->ip.family == 4 ? 0 : 1])
        return GH_ERR_UNSUPPORTED;
    return link_open(a, relay, remote, way, NULL);
}

static int open_again(struct agent_link *l)
{
    l->hops++;
    return link_open(l->a, l->relay, &l->remote, l->kind, l);
}

/* ---- what the connection tells ---- */

/* Handshakes of several connections may be under way: the peer's address says whose this is. */
static struct agent_link *connecting_to(struct agent *a, const struct gh_endpoint *remote)
{
    gh_list_each(it, &a->links)
    {
        struct agent_link *l = gh_container_of(it, struct agent_link, node);

        if (!l->tcp && l->state == AGENT_LINK_CONNECTING && l->remote.port == remote->port && gh_ip_equals(&l->remote.ip, &remote->ip))
            return l;
    }
    return NULL;
}

int agent_link_judge(struct agent *a, struct agent_link *l, const struct gh_endpoint *remote, const struct gh_cert *cert, struct gh_http_identity *ret)
{
    char why[AGENT_WHY] = "", text[GH_ENDPOINT_TEXT];
    int rc = 0;

    if (a->conf.has_ca)
        rc = agent_identity_of_relay(cert, a->conf.trust_domain, ret, why);
    else /* its key is pinned: nobody vouches for the names in it */
        *ret = (struct gh_http_identity){ .name = "pinned" };
    if (rc < 0) {
        gh_log_event(a->log, GH_LOG_ERROR, "agent", "the relay's certificate is refused", gh_log_str("remote", gh_endpoint_emit(remote, text)),
                     gh_log_str("reason", why));
        if (l)
            say_why(l, why);
        return rc;
    }
    if (l)
        l->identity = *ret;
    return 0;
}

static int on_peer(void *arg, const struct gh_cert *cert, const struct gh_endpoint *remote, struct gh_http_identity *ret)
{
    struct agent *a = arg;

    return agent_link_judge(a, connecting_to(a, remote), remote, cert, ret);
}

static void on_refused(void *arg, const struct gh_endpoint *remote, const char *why)
{
    struct agent *a = arg;
    char text[GH_ENDPOINT_TEXT];

    gh_log_event(a->log, GH_LOG_WARN, "agent", "handshake failed", gh_log_str("remote", gh_endpoint_emit(remote, text)), gh_log_str("reason", why));
}

/* Asks for a tunnel. After an error the link is on its way out. */
static int request(struct agent_link *l)
{
    struct agent *a = l->a;
    struct gh_http_head head = gh_agent_request_head(&a->relays[l->relay].request, l->narrow);
    struct gh_http_stream *s;
    int rc;

    gh_agent_tunnel_init(&l->tunnel, &tunnel_events, l);
    rc = agent_carrier_request(l, &head, &gh_agent_tunnel_http_events, &l->tunnel, &s);
    if (rc < 0) {
        if (rc == GH_ERR_STATE && l->tcp)
            agent_way_no_extended_connect(l);
        say_why(l, rc == GH_ERR_STATE ? "the relay does not offer extended CONNECT and datagrams" : gh_error_text(rc));
        gh_log_event(a->log, rc == GH_ERR_STATE && l->tcp ? GH_LOG_INFO : GH_LOG_ERROR, "agent", "the tunnel cannot be asked for", gh_log_str("reason", l->why));
        lost(l);
        close_conn(l, "no tunnel");
        return rc;
    }
    l->state = AGENT_LINK_REQUESTING;
    gh_agent_tunnel_start(&l->tunnel, s, l->narrow);
    gh_worker_deadline_start(a->w, &l->timer, gh_worker_now(a->w) + a->conf.assign_timeout);
    return 0;
}

/* There is nothing to ask for but what others will ask for. */
static void carry(struct agent_link *l)
{
    if (l->tcp && strcmp(l->transport, "h2") != 0) {
        say_why(l, "the relay speaks HTTP/1.1 alone over TCP, of which a connection carries one tunnel; mode proxy needs HTTP/2 or QUIC");
        gh_log_event(l->a->log, GH_LOG_ERROR, "agent", "the connection carries no tunnels", gh_log_str("reason", l->why));
        lost(l);
        close_conn(l, "no HTTP/2");
        return;
    }
    l->state = AGENT_LINK_UP;
    l->up_at = gh_worker_now(l->a->w);
    agent_search_reached(l);
    agent_search_up(l);
}

void agent_link_ready(struct agent_link *l)
{
    struct agent *a = l->a;
    char text[GH_ENDPOINT_TEXT];
    bool resumed;

    if (l->state != AGENT_LINK_CONNECTING)
        return;
    agent_note_link(l, GH_TRACE_HANDSHAKE, 1);
    l->spoken = true;
    resumed = agent_carrier_learn(l);
    if (l->conn && a->conf.hop[0])
        hop_later(l, gh_worker_now(a->w));
    if (l->websocket)
        ping_later(l, gh_worker_now(a->w));
    gh_log_event(a->log, GH_LOG_INFO, "agent", "connected", gh_log_str("remote", remote_text(l, text)), gh_log_str("transport", l->transport),
                 gh_log_str("relay_id", l->identity.name), gh_log_str("tls_group", l->tls_group), gh_log_str("cipher", l->cipher),
                 gh_log_bool("ech", l->ech), gh_log_bool("resumed", resumed));
    if (agent_is_proxy(a))
        carry(l);
    else if (request(l) == 0)
        agent_search_reached(l);
}

static void on_ready(void *arg, struct gh_http_conn *c)
{
    struct agent_link *l = link_of(arg, c);

    if (l)
        agent_link_ready(l);
}

/* The tunnel before it was aborted because of the path's size. The stream's events have returned: nobody looks at it any more. */
static void request_again(struct agent_link *l)
{
    gh_agent_tunnel_fini(&l->tunnel);
    (void)request(l);
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

/* A server that could not open our hello may have said what it can open, or another of the keys that we know may be right. */
static void try_other_key(struct agent_link *l, const struct agent_link_end *why)
{
    struct agent *a = l->a;
    bool other;

    if (!why->ech_rejected || l->state != AGENT_LINK_CONNECTING || a->stopping)
        return;
    other = gh_agent_ech_rejected(&a->ech, l->ech_turn, why->ech_retry);
    if (other && why->ech_retry.len)
        agent_ech_save(a);
    if (!other || l->again)
        return;
    gh_log_event(a->log, GH_LOG_INFO, "agent", "ECH was rejected, another key is tried at once", gh_log_bool("told", why->ech_retry.len > 0));
    l->again = true;
    (void)link_open(a, l->relay, &l->remote, l->kind, l);
}

void agent_link_closed(struct agent_link *l, const struct agent_link_end *why)
{
    struct agent *a = l->a;
    char text[GH_ENDPOINT_TEXT];
    bool never = l->state == AGENT_LINK_CONNECTING, quiet = a->stopping || l->state == AGENT_LINK_CLOSING || l->state == AGENT_LINK_LEAVING;

    quiet |= never && a->carrier && a->search == AGENT_SEARCH_NONE; /* a look at whether it would work */
    if (never)
        agent_note_link(l, GH_TRACE_HANDSHAKE, 0);
    gh_log_event(a->log, quiet ? GH_LOG_INFO : GH_LOG_WARN, "agent", never ? "connection failed" : "disconnected",
                 gh_log_str("remote", remote_text(l, text)), gh_log_str("transport", way_name(l)), gh_log_str("reason", why->words));
    if (!l->why[0] || why->ech_rejected || (never && !why->local))
        say_why(l, why->words);
    try_other_key(l, why);
    lost(l);
    link_free(l);
    agent_search_gone(a);
}

static void on_closed(void *arg, struct gh_http_conn *c, const struct gh_quic_close *why)
{
    struct agent_link *l = link_of(arg, c);
    struct gh_quic *q = gh_http_conn_quic(c);
    const struct gh_tls *tls = q && !gh_quic_is_abandoned(q) ? gh_quic_tls(q) : NULL;
    char words[GH_AGENT_WORDS];
    struct agent_link_end e = { .words = words, .local = why->kind == GH_QUIC_CLOSED_LOCAL };
    uint8_t *retry = NULL;
    size_t len = 0;

    if (!l)
        return;
    closed_words(c, why, words, sizeof words);
    /* what failed is TLS: an alert of ours or theirs (RFC 9001, section 4.8), not time */
    e.ech_rejected = tls && !why->application && why->code >= 0x100 && why->code <= 0x1ff && l->state == AGENT_LINK_CONNECTING && gh_agent_ech_now(&l->a->ech).len > 0 && gh_tls_ech(tls) == GH_TLS_ECH_REJECTED;
    if (e.ech_rejected && gh_tls_ech_retry(tls, &retry, &len) == 0)
        e.ech_retry = gh_span_of(retry, len);
    if (e.ech_rejected)
        gh_http_tcp_ech_words(e.ech_retry.len > 0, gh_tls_verify_error(tls), words, sizeof words);
    l->conn = NULL;
    agent_link_closed(l, &e);
    free(retry);
}

static void on_goaway(void *arg, struct gh_http_conn *c)
{
    struct agent_link *l = link_of(arg, c);

    if (l)
        agent_search_goaway(l);
}

static void on_drop(void *arg, enum gh_drop why, uint64_t count)
{
    struct agent *a = arg;

    agent_note_drop(&a->queues[0], why, count);
}

const struct gh_http_endpoint_events agent_link_events = { on_peer, on_refused, on_ready, on_closed, on_goaway, on_drop };

/* ---- what the tunnel tells ---- */

static void on_open(void *arg)
{
    struct agent_link *l = arg;

    l->state = AGENT_LINK_ASSIGNING;
    agent_note_state(l->a);
    gh_worker_deadline_start(l->a->w, &l->timer, gh_worker_now(l->a->w) + l->a->conf.assign_timeout);
}

static void say_no_ipv6(struct agent *a, const char *words)
{
    if (strcmp(a->no_ipv6, words) == 0)
        return;
    snprintf(a->no_ipv6, sizeof a->no_ipv6, "%s", words);
    gh_log_event(a->log, GH_LOG_WARN, "agent", "no IPv6 through this tunnel", gh_log_str("reason", words));
}

static void on_narrow(void *arg, const char *words)
{
    struct agent_link *l = arg;

    l->peer_narrow = true;
    if (l->state != AGENT_LINK_LEAVING && !l->narrow)
        say_no_ipv6(l->a, words);
}

/* Why there is no IPv6, or that there is. */
static void note_ipv6(struct agent_link *l, const struct gh_prefix *list, size_t count, size_t refused)
{
    struct agent *a = l->a;
    bool has = false;

    for (size_t i = 0; i < count; i++)
        has |= list[i].addr.family == 6;
    l->peer_narrow &= !has;
    if (has && a->no_ipv6[0]) {
        gh_log_event(a->log, GH_LOG_INFO, "agent", "IPv6 is assigned now");
        a->no_ipv6[0] = 0;
    } else if (!has && l->narrow) {
        say_no_ipv6(a, "the path to the relay does not carry what IPv6 needs: UDP payloads of 1314 bytes do not arrive there");
    } else if (!has && count && refused && !a->no_ipv6[0]) {
        say_no_ipv6(a, "the relay refused an IPv6 address");
    }
}

static void on_assigned(void *arg, const struct gh_prefix *list, size_t count, size_t refused)
{
    struct agent_link *l = arg;
    struct agent *a = l->a;

    if (l->state != AGENT_LINK_ASSIGNING && l->state != AGENT_LINK_UP)
        return;
    if (refused)
        gh_log_event(a->log, GH_LOG_INFO, "agent", "the relay refused an address", gh_log_uint("requests", refused));
    note_ipv6(l, list, count, refused);
    if (count == 0 && l->state == AGENT_LINK_ASSIGNING)
        return; /* another list may follow, until the time is up */
    if (count) {
        gh_worker_deadline_stop(a->w, &l->timer);
        if (l->state != AGENT_LINK_UP)
            l->up_at = gh_worker_now(a->w);
        l->state = AGENT_LINK_UP;
        agent_search_up(l);
        agent_network_assigned(a, list, count);
        return;
    }
    gh_log_event(a->log, GH_LOG_WARN, "agent", "the relay took the addresses back");
    agent_network_assigned(a, list, 0);
    l->state = AGENT_LINK_ASSIGNING;
    gh_ready_set(gh_node_ready(a->node), a->check, false, "no address");
    gh_worker_deadline_start(a->w, &l->timer, gh_worker_now(a->w) + a->conf.assign_timeout);
}

static void on_routes(void *arg, const struct gh_ip_route *list, size_t count)
{
    struct agent_link *l = arg;

    if (l->state == AGENT_LINK_LEAVING)
        return;
    if (agent_network_routes(l->a, &l->remote.ip, list, count) < 0)
        gh_agent_tunnel_end(&l->tunnel, GH_HTTP_EXCESSIVE_LOAD, "too many routes");
}

static void on_packet(void *arg, struct gh_span packet)
{
    struct agent_link *l = arg;

    agent_packet_in(l->a, packet);
}

/* Two agents with one identity would take the session from each other for ever: the older one stays away (DESIGN 4, decision 12). */
static void give_way(struct agent *a)
{
    gh_log_event(a->log, GH_LOG_ERROR, "agent",
                 "another agent with the same identity has taken over; this one ends. Give each machine a certificate of its own, and start "
                 "this one again when the other is not meant to run");
    a->stopping = true;
    gh_run_leave(a->run, AGENT_EXIT_TAKEN_OVER);
}

/* Was the tunnel aborted because of the path's size, and not the connection? Then it is replaced at once, on the same connection and for the same
 * session: what flows through it goes on. */
static bool is_renewed(struct agent_link *l, const struct gh_agent_tunnel_end *end)
{
    struct agent *a = l->a;
    int64_t now = gh_worker_now(a->w);

    if (a->stopping || l != a->carrier || l->state != AGENT_LINK_UP || !l->conn || end->farewell) /* over TCP no path is too narrow */
        return false;
    if (!l->renewing && (end->code != CONNECT_ERROR || (l->again_at && now - l->again_at < AGAIN_AFTER)))
        return false;
    l->again_at = now;
    l->renewing = false;
    l->state = AGENT_LINK_REQUESTING;
    gh_worker_deadline_start(a->w, &l->timer, now);
    return true;
}

bool agent_link_is_narrow(struct agent_link *l, int64_t now)
{
    bool narrow = agent_carrier_udp_payload(l) < GH_QUIC_PLPMTU_IPV6;

    l->was_wide |= !narrow;
    return narrow && (l->was_wide || now - l->up_at >= MEASURING);
}

void agent_link_renew(struct agent_link *l, bool narrow)
{
    if (l->state != AGENT_LINK_UP || (l->again_at && gh_worker_now(l->a->w) - l->again_at < AGAIN_AFTER))
        return;
    l->narrow = narrow;
    l->renewing = true;
    gh_agent_tunnel_end(&l->tunnel, GH_HTTP_CONNECT_ERROR,
                        narrow ? "the path became too narrow for IPv6, a tunnel without is asked for" : "the path carries IPv6 again, a tunnel with it is asked for");
}

/* Device and routes stay as they are: what should go through the tunnel waits for the next one, and nothing leaves in clear. */
static void on_end(void *arg, const struct gh_agent_tunnel_end *end)
{
    struct agent_link *l = arg;
    struct agent *a = l->a;
    bool quiet = a->stopping || l->state == AGENT_LINK_LEAVING || l->state == AGENT_LINK_CLOSING;

    quiet |= a->carrier && l != a->carrier && a->search == AGENT_SEARCH_NONE; /* a look at whether a better way works */
    if (is_renewed(l, end)) {
        gh_log_event(a->log, GH_LOG_INFO, "agent", "the tunnel was aborted because of the path, another one is asked for at once",
                     gh_log_str("reason", end->words), gh_log_uint("udp_payload", agent_carrier_udp_payload(l)));
        return;
    }
    agent_note_end(l, end->status ? "refused" : end->farewell == GH_FAREWELL_TAKEN_OVER ? "replaced" : l == a->carrier ? "lost" : "closed");
    gh_log_event(a->log, quiet ? GH_LOG_INFO : GH_LOG_WARN, "agent", l == a->carrier ? "tunnel lost" : l->was_up ? "tunnel closed" : "the tunnel was not opened",
                 gh_log_str("reason", end->words), gh_log_uint("status", end->status), gh_log_uint("code", end->code));
    say_why(l, end->words);
    if (end->farewell == GH_FAREWELL_TAKEN_OVER && l == a->carrier && !a->stopping)
        give_way(a);
    lost(l);
    if (l->conn || l->stream)
        close_conn(l, "tunnel ended");
}

static void on_dns(void *arg, struct gh_span value)
{
    struct agent_link *l = arg;

    if (l->state != AGENT_LINK_LEAVING)
        agent_dns_told(l->a, value);
}

static void on_pref64(void *arg, const struct gh_prefix *list, size_t count)
{
    struct agent_link *l = arg;

    if (l->state != AGENT_LINK_LEAVING)
        agent_dns_told_pref64(l->a, list, count);
}

static void on_ech(void *arg, struct gh_span list)
{
    struct agent_link *l = arg;

    agent_ech_told(l->a, list);
}

static const struct gh_agent_tunnel_events tunnel_events = { on_open, on_assigned, on_routes, on_packet, on_end, on_dns, on_pref64, on_narrow, on_ech };
