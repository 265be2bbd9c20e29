/* Tunnels: a request that waits, then a stream with capsules and packets, then a farewell (RFC 9484, section 4). */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "proto/connect_ip/routes.h"
#include "services/relay/relay_internal.h"

#define EARLY_MAX 16384u                    /* bytes of capsules that may come before the answer */
#define PATIENCE INT64_C(1000000000)        /* for an agent that was told why, to close by itself */

#define MEASURING INT64_C(3000000000)       /* how long it may take to find out that a path carries IPv6 */
#define ASSIGN_WITHIN INT64_C(300000000)    /* many know one assignment alone: it waits a moment for what belongs into it */
#define AWAITED INT64_C(10000000000)        /* for the tunnel that follows an aborted one */
#define CONNECT_ERROR 0x10fu                /* H3_CONNECT_ERROR (RFC 9114, section 8.1) */
#define AGE INT64_C(10000000000)            /* for what is under way in an older tunnel of a session */

/* What CONNECT-IP tells. */

static int tunnel_send(void *arg, struct gh_span capsules)
{
    struct tunnel *t = arg;

    return gh_http_send(t->stream, capsules, false);
}

static bool is_narrow(const struct tunnel *t)
{
    return t->peer_narrow || gh_http_plpmtu(t->stream) < GH_QUIC_PLPMTU_IPV6;
}

/* RFC 9484, section 7.2: a path that does not carry 1280 bytes carries no IPv6; a wish for it is refused. While the path is being measured
 * the wish waits. */
static int assign(struct tunnel *t)
{
    struct session *s = t->session;
    struct gh_connect_ip_address list[2];
    size_t count = 0;

    for (size_t i = 0; i < s->addr_count; i++) {
        if (t->narrow && s->addrs[i].family == 6)
            t->ids[i] = t->measured_at ? t->ids[i] : 0;
        else
            list[count++] = (struct gh_connect_ip_address){ t->ids[i], { s->addrs[i], (uint8_t)gh_ip_bits(&s->addrs[i]) } };
    }
    if (t == s->carrier)
        s->forward.assigned_count = count; /* IPv4 first: what is not assigned is nobody's */
    return gh_connect_ip_assign(&t->ip, list, count, t->measured_at == 0);
}

static void on_assign(void *arg, const struct gh_connect_ip_address *list, size_t count)
{
    (void)arg; /* an agent that assigns addresses to the relay is told nothing: the relay sends from its own */
    (void)list;
    (void)count;
}

static void on_request(void *arg, const struct gh_connect_ip_address *list, size_t count)
{
    struct tunnel *t = arg;
    const struct session *s = t->session;
    int rc;

    /* whatever is wished for, an identity has its one address a family; a second request of the family is refused */
    for (size_t i = 0; i < s->addr_count; i++)
        t->ids[i] = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < s->addr_count; k++)
            if (list[i].prefix.addr.family == s->addrs[k].family && t->ids[k] == 0)
                t->ids[k] = list[i].request_id;
    rc = t->assign_at == 0 ? assign(t) : 0;
    if (rc == GH_ERR_AGAIN) { /* the agent asks and does not read the answers */
        relay_drop(t->rw, GH_DROP_CAPSULE_LIMIT, 1);
        gh_http_reset(t->stream, GH_HTTP_EXCESSIVE_LOAD);
    } else if (rc < 0) {
        gh_http_reset(t->stream, GH_HTTP_INTERNAL_ERROR);
    }
}

static void on_routes(void *arg, const struct gh_ip_route *list, size_t count)
{
    (void)arg; /* networks behind an agent are not served yet: nothing is installed, which RFC 9484 section 4.7.3 leaves to us */
    (void)list;
    (void)count;
}

static void on_packet(void *arg, struct gh_span packet)
{
    struct tunnel *t = arg;

    /* the datagram lies in the engine's own buffer and is ours until we return */
    relay_packet_from_peer(t->session, (uint8_t *)(uintptr_t)packet.data, packet.len);
}

static const struct gh_connect_ip_events tunnel_events = { tunnel_send, on_assign, on_request, on_routes, on_packet, NULL };

static void say_narrow(const struct tunnel *t, const char *what)
{
    struct relay_worker *rw = t->rw;

    gh_log_event(rw->r->log, GH_LOG_INFO, "relay", what, gh_log_str("client_id", t->session->name), gh_log_str("session_id", t->session->id),
                 gh_log_uint("udp_payload", gh_http_plpmtu(t->stream)));
    gh_metric_add(rw->r->metrics, rw->index, RELAY_METRIC_NARROW, 0, 1);
}

/* <routes> are ordered: IPv4 first. An agent is told what is kept from it (RFC 9484, section 7.2), so that it does not send that beside the tunnel. */
static int advertise_routes(struct tunnel *t, const struct gh_ip_route *routes, size_t count)
{
    size_t kept = count;
    int rc = 0;

    while (t->narrow && kept && routes[kept - 1].start.family == 6)
        kept--;
    if (kept < count)
        rc = gh_connect_ip_withhold(&t->ip, routes + kept, count - kept);
    return rc < 0 ? rc : gh_connect_ip_advertise(&t->ip, routes, kept);
}

/* Nameservers, after the routes that lead to them (draft-ietf-masque-connect-ip-dns, security considerations). */
static int advertise_dns(struct tunnel *t)
{
    const struct gh_relay_conf *conf = &t->rw->conf;
    struct gh_dns_config *c = calloc(1, sizeof *c);
    int rc = 0;

    if (!c)
        return GH_ERR_MEMORY;
    for (size_t i = 0; i < conf->dns_count && i < GH_DNS_NAMESERVERS; i++) {
        struct gh_dns_nameserver *n = &c->nameservers[c->nameserver_count];

        if (gh_ip_parse(conf->dns[i], strlen(conf->dns[i]), &n->addrs[0]) < 0 || (t->narrow && n->addrs[0].family == 6))
            continue;
        n->addr_count = 1;
        n->priority = (uint16_t)++c->nameserver_count;
    }
    for (size_t i = 0; i < conf->dns_domain_count && i < GH_DNS_DOMAINS; i++)
        c->internal[c->internal_count++] = gh_span_str(conf->dns_domains[i]);
    if (c->internal_count == 0)
        c->internal[c->internal_count++] = gh_span_of(NULL, 0); /* all names */
    for (size_t i = 0; i < conf->dns_search_count && i < GH_DNS_DOMAINS; i++)
        c->search[c->search_count++] = gh_span_str(conf->dns_search[i]);
    if (conf->dns_count)
        rc = gh_connect_ip_assign_dns(&t->ip, c, c->nameserver_count ? 1 : 0);
    free(c);
    if (rc == 0 && conf->pref64_count && !t->narrow)
        rc = gh_connect_ip_assign_pref64(&t->ip, conf->pref64, conf->pref64_count);
    return rc;
}

/* Where a stranger's site answers what our keys do not open, nobody but a tunnel can tell an agent of newer ones. */
static int tell_ech(struct tunnel *t)
{
    const struct relay_worker *rw = t->rw;

    if (rw->ech.len == 0 || t->ech_told == rw->ech.version)
        return 0;
    t->ech_told = rw->ech.version;
    return gh_connect_ip_tell_ech(&t->ip, gh_span_of(rw->ech.list, rw->ech.len));
}

static int advertise_network(struct tunnel *t)
{
    const struct gh_relay_conf *conf = &t->rw->conf;
    const struct gh_forward_session *f = &t->session->forward;
    struct gh_ip_route routes[GH_CONNECT_IP_ROUTES];
    size_t count = 0;
    int rc;

    if (f->scope) { /* no more than was asked for */
        int n = gh_connect_ip_limit_routes(f->scope, f->scope_count, conf->routes, conf->route_count, NULL, routes, GH_CONNECT_IP_ROUTES);

        return n < 0 ? n : advertise_routes(t, routes, (size_t)n);
    }
    for (size_t i = 0; i < conf->route_count && count < GH_CONNECT_IP_ROUTES; i++)
        routes[count++] = gh_connect_ip_route_of(&conf->routes[i], 0);
    rc = advertise_routes(t, routes, gh_connect_ip_order_routes(routes, count));
    return rc < 0 ? rc : advertise_dns(t); /* a tunnel for one target is no network with names */
}

static int advertise(struct tunnel *t)
{
    int rc = advertise_network(t);

    return rc < 0 ? rc : tell_ech(t);
}

/* What the stream tells. */

static void abort_tunnel(struct tunnel *t, int rc)
{
    gh_log_event(t->rw->r->log, GH_LOG_WARN, "relay", "the agent broke the protocol, its tunnel is aborted",
                 gh_log_str("client_id", t->session->name), gh_log_str("session_id", t->session->id), gh_log_result("error", rc));
    gh_http_reset(t->stream, rc == GH_ERR_TOO_LONG ? GH_HTTP_EXCESSIVE_LOAD : GH_HTTP_MESSAGE_ERROR);
}

static void keep_early(struct tunnel *t, struct gh_span data, bool end)
{
    if (!t->early)
        t->early = malloc(EARLY_MAX);
    if (!t->early || data.len > EARLY_MAX - t->early_len) {
        relay_drop(t->rw, GH_DROP_CAPSULE_LIMIT, 1);
        gh_http_reset(t->stream, GH_HTTP_EXCESSIVE_LOAD);
        return;
    }
    if (data.len > 0)
        memcpy(t->early + t->early_len, data.data, data.len);
    t->early_len += data.len;
    t->early_end |= end;
}

static bool within_rate(struct tunnel *t, uint64_t count)
{
    int64_t now = gh_worker_now(t->rw->w);

    while (count-- && t->capsules.interval) {
        if (!gh_rate_may(&t->capsules, now))
            return false;
        gh_rate_take(&t->capsules, now);
    }
    return true;
}

static void on_body(void *arg, struct gh_http_stream *stream, struct gh_span data, bool end)
{
    struct tunnel *t = arg;
    uint64_t before = t->ip.counters.capsule_drops, capsules = t->ip.counters.capsules, contexts = t->ip.counters.context_drops;
    int rc;

    if (t->state == TUNNEL_WAITING)
        keep_early(t, data, end);
    if (t->state != TUNNEL_OPEN)
        return;
    relay_policy_refresh(t->rw); /* where the version has no datagrams, packets come this way too */
    rc = gh_connect_ip_feed(&t->ip, data, end);
    if (t->ip.counters.context_drops != contexts)
        relay_drop(t->rw, GH_DROP_CONTEXT, t->ip.counters.context_drops - contexts);
    if (t->ip.counters.capsule_drops != before)
        relay_drop(t->rw, GH_DROP_CAPSULE_LIMIT, t->ip.counters.capsule_drops - before);
    if (rc == 0 && !within_rate(t, t->ip.counters.capsules - capsules)) {
        relay_drop(t->rw, GH_DROP_CAPSULE_RATE, 1);
        rc = GH_ERR_TOO_LONG;
    }
    if (rc < 0)
        abort_tunnel(t, rc);
    else if (end)
        gh_http_send(stream, gh_span_of(NULL, 0), true); /* RFC 9484, section 4.1: closing a direction ends the tunnel */
}

static void on_datagram(void *arg, struct gh_http_stream *stream, struct gh_span payload)
{
    struct tunnel *t = arg;
    uint64_t before = t->ip.counters.context_drops;

    (void)stream;
    if (t->state != TUNNEL_OPEN) /* nothing was promised before the answer, and nothing is after the farewell */
        return;
    relay_policy_refresh(t->rw);
    gh_connect_ip_feed_datagram(&t->ip, payload);
    if (t->ip.counters.context_drops != before)
        relay_drop(t->rw, GH_DROP_CONTEXT, 1);
}

/* The tunnel goes; its stream, when there still is one, tells it nothing more. */
static void tunnel_destroy(struct tunnel *t)
{
    gh_worker_deadline_stop(t->rw->w, &t->deadline);
    if (t->held)
        *t->held = NULL;
    gh_list_unlink(&t->link);
    if (t->state != TUNNEL_WAITING)
        gh_connect_ip_fini(&t->ip);
    free(t->early);
    free(t);
}

static void on_closed(void *arg, struct gh_http_stream *stream, uint64_t code)
{
    struct tunnel *t = arg;
    struct session *s = t->state == TUNNEL_OPEN ? t->session : NULL;

    (void)stream;
    if (s && t == s->carrier && code == CONNECT_ERROR) /* the agent's direction: the next one comes at once */
        s->awaited_until = gh_worker_now(t->rw->w) + AWAITED;
    tunnel_destroy(t);
    if (!s)
        return;
    s->carrier = gh_list_empty(&s->tunnels) ? NULL : gh_container_of(s->tunnels.prev, struct tunnel, link);
    if (s->carrier)
        relay_request_id(s->carrier->stream, s->request);
    else if (s->awaited_until == 0 || s->why != SESSION_CLOSED)
        relay_session_left(s, code);
}

static const struct gh_http_events stream_events = { NULL, on_body, on_datagram, NULL, on_closed };

/* Life. */

/* An older tunnel of a session had its time, or the agent did not close what was said to be over. */
static void impatient(void *arg, int64_t now)
{
    struct tunnel *t = arg;
    struct session *s = t->session;

    (void)now;
    if (t->state == TUNNEL_OPEN) {
        relay_tunnel_leave(t, SESSION_MOVED);
        if (gh_list_empty(&s->tunnels))
            relay_session_left(s, 0);
        return;
    }
    gh_http_reset(t->stream, GH_HTTP_REQUEST_CANCELLED);
    gh_http_close_connection(t->stream, "told why, and still there");
}

struct tunnel *relay_tunnel_create(struct relay_worker *rw, struct gh_http_stream *stream)
{
    struct tunnel *t = calloc(1, sizeof *t);

    if (!t) {
        gh_http_respond(stream, 503, NULL, 0, true);
        return NULL;
    }
    t->rw = rw;
    t->stream = stream;
    gh_deadline_init(&t->deadline, impatient, t);
    gh_list_init(&t->link);
    gh_list_append(&rw->waiting, &t->link);
    stream->events = &stream_events;
    stream->arg = t;
    return t;
}

void relay_tunnel_refuse(struct tunnel *t, unsigned status, const char *proxy_status)
{
    struct gh_http_stream *stream = t->stream;
    struct gh_http_field fields[2];
    size_t n = 0;

    if (proxy_status)
        fields[n++] = (struct gh_http_field){ gh_span_str("proxy-status"), gh_span_str(proxy_status) };
    if (status == 503 || status == 429)
        fields[n++] = (struct gh_http_field){ gh_span_str("retry-after"), gh_span_str("5") };
    stream->events = NULL;
    tunnel_destroy(t);
    gh_http_respond(stream, status, fields, n, true);
}

/* The agent is told why. */
static int tell_narrow(struct tunnel *t)
{
    char text[GH_FAREWELL_TEXT];

    if (t->session->addrs[t->session->addr_count - 1].family != 6)
        return 0;
    say_narrow(t, "the path of the agent is too narrow for IPv6, which is not assigned");
    if (t->peer_narrow)
        return 0; /* it knows */
    snprintf(text, sizeof text, "the path from the relay carries UDP payloads of %zu bytes, and IPv6 needs %u", gh_http_plpmtu(t->stream), GH_QUIC_PLPMTU_IPV6);
    return gh_connect_ip_notice(&t->ip, GH_NOTICE_NARROW, text);
}

/* <known>: how wide the path is was found out before. */
static int open_stream(struct tunnel *t, bool known)
{
    static const struct gh_http_field fields[] = { { { (const uint8_t *)"capsule-protocol", 16 }, { (const uint8_t *)"?1", 2 } } };
    int rc = gh_http_respond(t->stream, 200, fields, 1, false);

    gh_connect_ip_init(&t->ip, &tunnel_events, t);
    gh_connect_ip_limit(&t->ip, t->rw->conf.max_capsule_bytes);
    gh_rate_init(&t->capsules, t->rw->conf.capsules_per_second, 10 * t->rw->conf.capsules_per_second);
    t->narrow = is_narrow(t);
    known |= t->peer_narrow || t->session->addrs[t->session->addr_count - 1].family != 6; /* no IPv6 to wait with */
    t->measured_at = t->narrow && !known ? gh_worker_now(t->rw->w) + MEASURING : 0;
    t->assign_at = t->narrow && !known ? gh_worker_now(t->rw->w) + ASSIGN_WITHIN : 0;
    if (t->measured_at)
        t->rw->hurried_until = t->measured_at + ASSIGN_WITHIN;
    if (rc == 0 && t->narrow && known)
        rc = tell_narrow(t);
    if (rc == 0 && t->assign_at == 0)
        rc = assign(t);
    if (rc == 0 && t->assign_at == 0)
        rc = advertise(t);
    return rc;
}

/* What waited for the path to be measured: first what nobody asked for, then the answer to who asked meanwhile. */
static int assign_late(struct tunnel *t)
{
    uint64_t ids[2] = { t->ids[0], t->ids[1] };
    int64_t measured_at = t->measured_at;
    bool asked = t->assign_at && (ids[0] || ids[1]);
    int rc;

    t->assign_at = 0;
    if (asked) {
        t->ids[0] = t->ids[1] = 0;
        t->measured_at = INT64_MAX; /* no answer yet */
    }
    rc = assign(t);
    if (rc == 0)
        rc = advertise(t);
    if (!asked || rc < 0)
        return rc;
    memcpy(t->ids, ids, sizeof ids);
    t->measured_at = measured_at;
    return assign(t);
}

/* A path that was wide and is not: the stream is aborted (RFC 9484, section 7.2), and the agent may ask for another one, which gets IPv4 alone
 * and the same address. One that turns out to be wide gets what was kept from it. */
static void measure(struct tunnel *t)
{
    bool narrow = is_narrow(t), decided = t->measured_at && (!narrow || gh_worker_now(t->rw->w) >= t->measured_at), was = t->narrow;

    if (t->state != TUNNEL_OPEN || gh_http_plpmtu(t->stream) == 0) /* the connection is over, which we are about to hear */
        return;
    if (t->assign_at && narrow && gh_worker_now(t->rw->w) >= t->assign_at) { /* IPv4 first, then */
        if (assign_late(t) < 0)
            gh_http_reset(t->stream, GH_HTTP_INTERNAL_ERROR);
        return;
    }
    if (narrow == was && !decided)
        return;
    t->narrow = narrow;
    if (decided)
        t->measured_at = 0;
    if (narrow && was) {
        if (tell_narrow(t) < 0 || assign(t) < 0)
            gh_http_reset(t->stream, GH_HTTP_INTERNAL_ERROR);
    } else if (narrow) {
        say_narrow(t, "the path of the agent became too narrow for IPv6, its tunnel is aborted");
        t->session->awaited_until = gh_worker_now(t->rw->w) + AWAITED;
        gh_http_reset(t->stream, GH_HTTP_CONNECT_ERROR);
    } else if (assign_late(t) < 0) {
        gh_http_reset(t->stream, GH_HTTP_INTERNAL_ERROR);
    }
}

/* Nothing is learnt of a path on which nothing came and went. */
static bool has_news(struct session *s)
{
    uint64_t pieces = gh_http_pieces(s->carrier->stream);

    if (pieces == s->measured && !s->carrier->assign_at && !s->carrier->measured_at)
        return false;
    s->measured = pieces;
    return true;
}

void relay_tunnel_measure(struct relay_worker *rw)
{
    gh_list_each(it, &rw->sessions)
    {
        struct session *s = gh_container_of(it, struct session, link);

        if (s->why == SESSION_MOVED)
            continue;
        if (s->carrier && has_news(s)) {
            relay_card_measure(s);
            if (s->addrs[s->addr_count - 1].family == 6)
                measure(s->carrier);
        }
        if (s->awaited_until && !s->carrier && gh_worker_now(rw->w) >= s->awaited_until)
            relay_session_left(s, 0);
    }
}

void relay_tunnel_use_ech(struct relay_worker *rw)
{
    struct gh_ech_key_info newest = { .list = { .len = 0 } };

    if (rw->r->ech)
        gh_ech_keys_info(rw->r->ech, 0, &newest);
    if (newest.list.len > sizeof rw->ech.list || gh_span_equals(newest.list, gh_span_of(rw->ech.list, rw->ech.len)))
        return;
    if (newest.list.len)
        memcpy(rw->ech.list, newest.list.data, newest.list.len);
    rw->ech.len = newest.list.len;
    rw->ech.version++;
    gh_list_each(it, &rw->sessions)
    {
        struct tunnel *t = gh_container_of(it, struct session, link)->carrier;

        if (t && t->assign_at == 0 && tell_ech(t) < 0) /* else they come with what waits */
            gh_http_reset(t->stream, GH_HTTP_INTERNAL_ERROR);
    }
}

void relay_tunnel_join(struct tunnel *t, struct session *s)
{
    struct gh_span early = gh_span_of(t->early, t->early_len);
    bool known = s->awaited_until != 0; /* the one before was aborted because of it */

    t->session = s;
    t->state = TUNNEL_OPEN;
    t->held = NULL;
    gh_list_unlink(&t->link);
    gh_list_append(&s->tunnels, &t->link);
    s->awaited_until = 0;
    if (s->carrier)
        relay_tunnel_age(s->carrier);
    s->carrier = t;
    relay_request_id(t->stream, s->request);
    s->scope = t->scope;
    s->forward.scope = s->scope.count ? s->scope.routes : NULL;
    s->forward.scope_count = s->scope.count;
    if (open_stream(t, known) < 0)
        gh_http_reset(t->stream, GH_HTTP_INTERNAL_ERROR);
    else if (early.len > 0 || t->early_end)
        on_body(t, t->stream, early, t->early_end);
}

void relay_tunnel_age(struct tunnel *t)
{
    gh_worker_deadline_start(t->rw->w, &t->deadline, gh_worker_now(t->rw->w) + AGE);
}

const char *relay_end_reason(enum session_end why, uint64_t code)
{
    static const char *const reasons[] = { NULL, "taken_over", "kicked", "drained", "certificate_expired", "moved", "revoked" };

    if (reasons[why])
        return reasons[why];
    return code && code != 0x100 ? "aborted" : "closed"; /* 0x100: H3_NO_ERROR */
}

static int say_farewell(struct tunnel *t, enum session_end why)
{
    static const struct {
        enum gh_farewell code;
        const char *text;
    } words[] = {
        [SESSION_TAKEN_OVER] = { GH_FAREWELL_TAKEN_OVER, "another instance with this identity has connected" },
        [SESSION_KICKED] = { GH_FAREWELL_KICKED, "an operator ended the session" },
        [SESSION_DRAINED] = { GH_FAREWELL_DRAINED, "the relay ends" },
        [SESSION_REVOKED] = { GH_FAREWELL_REVOKED, "the certificate is revoked" },
        [SESSION_EXPIRED] = { GH_FAREWELL_EXPIRED, "the certificate is no longer valid" },
    };

    if ((size_t)why >= sizeof words / sizeof *words || !words[why].text)
        return 0;
    return gh_connect_ip_farewell(&t->ip, words[why].code, words[why].text);
}

void relay_tunnel_leave(struct tunnel *t, enum session_end why)
{
    struct relay_worker *rw = t->rw;
    int rc = say_farewell(t, why);

    gh_list_unlink(&t->link);
    gh_list_append(&rw->leaving, &t->link);
    t->state = TUNNEL_LEAVING;
    t->session = NULL;
    if (rc == 0)
        rc = gh_http_send(t->stream, gh_span_of(NULL, 0), true);
    if (rc < 0)
        gh_http_reset(t->stream, why == SESSION_DRAINED ? GH_HTTP_NO_ERROR : GH_HTTP_REQUEST_CANCELLED);
    gh_worker_deadline_start(rw->w, &t->deadline, gh_worker_now(rw->w) + PATIENCE);
}
