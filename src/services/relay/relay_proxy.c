/* Tunnels to one host: what is asked for, who may, which addresses, and their end. */
#include "services/relay/relay_proxy.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "core/audit.h"
#include "services/relay/relay_trust.h"
#include "wire/ip.h"

enum { ANSWER_OPENED, ANSWER_DENIED, ANSWER_FAILED, ANSWER_REFUSED };

struct relay_proxy_lookup {
    struct relay_worker *rw;
    struct relay_proxy *proxy; /* NULL: it was closed meanwhile */
    char name[254];
    uint16_t port;
    struct gh_resolved found;
};

enum proxy_kind relay_proxy_kind(unsigned served, const struct gh_http_head *head)
{
    if (!gh_span_equals(head->method, gh_span_str("CONNECT")))
        return PROXY_NONE;
    if (head->protocol.len == 0)
        return served & GH_RELAY_PROXY_CONNECT ? PROXY_TCP : PROXY_NONE;
    return served & GH_RELAY_PROXY_CONNECT_UDP && gh_span_equals(head->protocol, gh_span_str("connect-udp")) ? PROXY_UDP : PROXY_NONE;
}

/* ---- records ---- */

static uint8_t protocol_of(const struct relay_proxy *p)
{
    return p->kind == PROXY_TCP ? GH_IP_TCP : GH_IP_UDP;
}

static void note_answer(struct relay_proxy *p, unsigned answer)
{
    gh_metric_add(p->rw->r->metrics, p->rw->index, RELAY_METRIC_PROXY_REQUESTS, answer, 1);
}

static void gauge(struct relay_proxy *p, int64_t by)
{
    gh_metric_add(p->rw->r->metrics, p->rw->index, RELAY_METRIC_PROXIED, p->kind - PROXY_TCP, (uint64_t)by);
}

static void audit(struct relay_proxy *p, const struct gh_endpoint *to, const char *message, const char *reason, enum gh_audit_action action)
{
    const struct relay_audit_proxy a = { p->name, p->request, p->peer, *to, protocol_of(p), p->rule, message, reason, action == GH_AUDIT_ALLOW,
                                         p->bytes[0] + p->bytes[1], p->packets[0] + p->packets[1] };

    relay_audit_proxy(p->rw, &a);
}

void relay_proxy_count(struct relay_proxy *p, unsigned way, size_t bytes)
{
    p->bytes[way] += bytes;
    p->packets[way]++;
    p->active_at = gh_worker_now(p->rw->w);
    gh_metric_add(p->rw->r->metrics, p->rw->index, RELAY_METRIC_PROXY_BYTES, way, bytes);
}

/* ---- life ---- */

static void destroy(struct relay_proxy *p)
{
    if (p->lookup)
        p->lookup->proxy = NULL;
    gh_worker_deadline_stop(p->rw->w, &p->timer);
    gh_list_unlink(&p->link);
    atomic_fetch_sub(&p->rw->r->proxied, 1);
    gauge(p, -1);
    gh_capsule_reader_fini(&p->capsules);
    gh_tunnel_pump_fini(&p->pump);
    free(p);
}

void relay_proxy_refuse(struct relay_proxy *p, unsigned status, const char *error, enum gh_drop drop)
{
    struct gh_http_stream *stream = p->stream;
    struct gh_http_field fields[2];
    char text[128];
    size_t n = 0;

    if (drop != GH_DROP_NONE)
        relay_drop(p->rw, drop, 1);
    if (error) {
        snprintf(text, sizeof text, "gatehouse; error=%s", error);
        fields[n++] = (struct gh_http_field){ gh_span_str("proxy-status"), gh_span_str(text) };
    }
    if (status == 503)
        fields[n++] = (struct gh_http_field){ gh_span_str("retry-after"), gh_span_str("5") };
    note_answer(p, status == 403 ? ANSWER_DENIED : status == 502 || status == 504 ? ANSWER_FAILED : ANSWER_REFUSED);
    if (p->kind == PROXY_TCP)
        relay_proxy_tcp_close(p);
    else
        relay_proxy_udp_close(p);
    stream->events = NULL;
    destroy(p);
    gh_http_respond(stream, status, fields, n, true);
}

void relay_proxy_wait(struct relay_proxy *p, void (*fire)(void *arg, int64_t now), int64_t until)
{
    gh_worker_deadline_stop(p->rw->w, &p->timer);
    gh_deadline_init(&p->timer, fire, p);
    gh_worker_deadline_start(p->rw->w, &p->timer, until);
}

static void silence(void *arg, int64_t now)
{
    struct relay_proxy *p = arg;
    int64_t limit = p->kind == PROXY_TCP ? p->rw->conf.proxy_tcp_timeout : p->rw->conf.proxy_udp_timeout;

    if (now - p->active_at >= limit)
        relay_proxy_end(p, "idle", p->kind == PROXY_TCP ? GH_HTTP_CONNECT_ERROR : GH_HTTP_NO_ERROR);
    else
        relay_proxy_wait(p, silence, p->active_at + limit);
}

int relay_proxy_accept(struct relay_proxy *p)
{
    char at[GH_ENDPOINT_TEXT], status[GH_ENDPOINT_TEXT + 32];
    struct gh_http_field fields[2] = { { gh_span_str("proxy-status"), gh_span_of(status, 0) },
                                       { gh_span_str("capsule-protocol"), gh_span_str("?1") } };
    int rc;

    snprintf(status, sizeof status, "gatehouse; next-hop=\"%s\"", gh_endpoint_emit(&p->to, at));
    fields[0].value = gh_span_str(status);
    p->state = PROXY_OPEN;
    rc = gh_http_respond(p->stream, 200, fields, p->kind == PROXY_UDP ? 2 : 1, false);
    if (rc < 0) {
        relay_proxy_end(p, "aborted", GH_HTTP_INTERNAL_ERROR);
        return rc;
    }
    note_answer(p, ANSWER_OPENED);
    if (p->log != GH_POLICY_LOG_NONE)
        audit(p, &p->to, "flow opened", p->kind == PROXY_TCP ? "connect" : "connect-udp", GH_AUDIT_ALLOW);
    p->active_at = gh_worker_now(p->rw->w);
    silence(p, p->active_at);
    return 0;
}

void relay_proxy_end(struct relay_proxy *p, const char *reason, enum gh_http_reset why)
{
    struct gh_http_stream *stream = p->stream;
    bool opened = p->state == PROXY_OPEN || p->state == PROXY_LINGER, cut = strcmp(reason, gh_drop_name(GH_DROP_POLICY_CHANGED)) == 0;

    if (cut)
        relay_drop(p->rw, GH_DROP_POLICY_CHANGED, 1);
    if (opened && (p->log != GH_POLICY_LOG_NONE || cut))
        audit(p, &p->to, "flow closed", reason, GH_AUDIT_ALLOW);
    if (p->kind == PROXY_TCP)
        relay_proxy_tcp_close(p);
    else
        relay_proxy_udp_close(p);
    if (stream)
        stream->events = NULL;
    destroy(p);
    if (stream && (why != GH_HTTP_NO_ERROR || gh_http_send(stream, gh_span_of(NULL, 0), true) < 0))
        gh_http_reset(stream, why);
}

/* ---- who may ---- */

/* A rule that names one address means it; a wider one says nothing about the node behind which the networks lie. */
static bool names(const struct gh_policy_rule *rule, const struct gh_ip *ip)
{
    for (size_t i = 0; rule && i < rule->destination_count; i++)
        if (rule->destinations[i].len == gh_ip_bits(ip) && gh_ip_equals(&rule->destinations[i].addr, ip))
            return true;
    return false;
}

static bool is_loopback(const struct gh_ip *ip)
{
    static const struct gh_ip six = { .family = 6, .bytes = { [15] = 1 } };

    return ip->family == 4 ? ip->bytes[0] == 127 : gh_ip_equals(ip, &six);
}

enum gh_drop relay_proxy_judge(struct relay_proxy *p, const struct gh_endpoint *to)
{
    struct gh_policy_verdict v = relay_policy_judge(p->rw, p->name, to, protocol_of(p));
    bool local = is_loopback(&to->ip) || gh_ip_is_link_local(&to->ip);

    p->rule = v.rule;
    p->log = v.log;
    if (v.action != GH_POLICY_ALLOW)
        return gh_policy_verdict_drop(&v);
    /* there is no interface to send to with a link-local IPv6 address */
    if (to->ip.family == 6 && gh_ip_is_link_local(&to->ip))
        return GH_DROP_LINK_LOCAL;
    if (!local && !gh_ip_is_unicast(&to->ip))
        return GH_DROP_LOCAL_TARGET;
    if (names(v.rule, &to->ip))
        return GH_DROP_NONE;
    return local || gh_dgram_is_own(&to->ip) ? GH_DROP_LOCAL_TARGET : GH_DROP_NONE;
}

/* Which of the addresses may be reached: each is decided, before any of them is tried. */
static void admit(struct relay_proxy *p, const struct gh_endpoint *list, size_t count)
{
    enum gh_drop why = GH_DROP_POLICY;

    for (size_t i = 0; i < count; i++) {
        struct gh_endpoint to = list[i];
        enum gh_drop no;

        gh_host_target_unmap(&to.ip);
        no = relay_proxy_judge(p, &to);
        if (no == GH_DROP_NONE) {
            p->addrs[p->addr_count++] = to;
            continue;
        }
        why = no;
        relay_drop(p->rw, no, 1);
        if (p->log != GH_POLICY_LOG_NONE)
            audit(p, &to, "connection denied", gh_drop_name(no), GH_AUDIT_DENY);
    }
    if (p->addr_count == 0)
        relay_proxy_refuse(p, 403, why == GH_DROP_POLICY || why == GH_DROP_UNKNOWN_CLIENT ? "http_request_denied" : "destination_ip_prohibited", GH_DROP_NONE);
    else if (p->kind == PROXY_TCP)
        relay_proxy_tcp_start(p);
    else
        relay_proxy_udp_start(p);
}

/* ---- names ---- */

static void look_up(void *arg)
{
    struct relay_proxy_lookup *l = arg;

    gh_privileged_lookup(l->rw->r->run->privileged, l->name, l->port, &l->found);
}

static void looked_up(struct gh_worker *w, void *arg)
{
    struct relay_proxy_lookup *l = arg;
    struct relay_proxy *p = l->proxy;

    (void)w;
    atomic_fetch_sub(&l->rw->r->lookups, 1);
    if (p) {
        p->lookup = NULL;
        for (size_t i = 0; i < l->found.count; i++)
            l->found.list[i].port = l->port;
        relay_policy_refresh(p->rw);
        if (l->found.count == 0)
            relay_proxy_refuse(p, 502, "dns_error", GH_DROP_NONE);
        else
            admit(p, l->found.list, l->found.count);
    }
    free(l);
}

static void request_name(struct relay_proxy *p)
{
    struct relay_worker *rw = p->rw;
    struct relay_proxy_lookup *l = atomic_load(&rw->r->lookups) < RELAY_LOOKUPS_MAX ? calloc(1, sizeof *l) : NULL;

    if (l) {
        l->rw = rw;
        l->proxy = p;
        l->port = p->target.port;
        memcpy(l->name, p->target.name, sizeof l->name);
    }
    if (!l || gh_worker_offload(rw->w, look_up, looked_up, l) < 0) {
        free(l);
        relay_proxy_refuse(p, 503, "connection_limit_reached", GH_DROP_PROXY_LIMIT);
        return;
    }
    p->lookup = l;
    atomic_fetch_add(&rw->r->lookups, 1);
}

/* ---- requests ---- */

static struct relay_proxy *create(struct relay_worker *rw, struct gh_http_stream *stream, enum proxy_kind kind)
{
    static const uint64_t kept[] = { GH_CAPSULE_DATAGRAM };
    const struct gh_http_peer *peer = gh_http_peer(stream);
    struct relay_proxy *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->rw = rw;
    p->stream = stream;
    p->kind = kind;
    p->fd = -1;
    p->peer = peer->addr;
    p->not_after = peer->not_after;
    p->log = GH_POLICY_LOG_ALL;
    snprintf(p->name, sizeof p->name, "%s", peer->identity);
    relay_request_id(stream, p->request);
    gh_deadline_init(&p->timer, silence, p);
    gh_capsule_reader_init(&p->capsules, kept, 1, 0);
    gh_list_init(&p->link);
    gh_list_append(&rw->proxies, &p->link);
    atomic_fetch_add(&rw->r->proxied, 1);
    gauge(p, 1);
    stream->events = kind == PROXY_TCP ? &relay_proxy_tcp_events : &relay_proxy_udp_events;
    stream->arg = p;
    if (kind == PROXY_TCP)
        gh_tunnel_pump_init(&p->pump, stream, &relay_proxy_pump_events, p);
    return p;
}

static bool is_one_too_many(struct relay_proxy *p)
{
    const struct gh_relay_conf *conf = &p->rw->conf;
    unsigned own = 0;

    if (atomic_load(&p->rw->r->proxied) > conf->max_proxied)
        return true;
    gh_list_each(it, &p->rw->proxies)
        own += strcmp(gh_container_of(it, struct relay_proxy, link)->name, p->name) == 0;
    return own > conf->max_proxied_per_client;
}

void relay_proxy_request(struct relay_worker *rw, struct gh_http_stream *stream, const struct gh_http_head *head)
{
    const struct gh_http_peer *peer = gh_http_peer(stream);
    struct relay_proxy *p = create(rw, stream, relay_proxy_kind(rw->conf.proxy, head));
    char why[GH_IDENTITY_WHY];
    int rc;

    if (!p) {
        gh_http_respond(stream, 503, NULL, 0, true);
        return;
    }
    relay_policy_refresh(rw);
    rc = p->kind == PROXY_TCP ? gh_host_target_of_authority(head->authority, &p->target) : gh_host_target_of_path(head->path, &p->target);
    if (rc < 0) {
        relay_proxy_refuse(p, rc == GH_ERR_NOT_FOUND ? 404 : 400, NULL, GH_DROP_NONE);
    } else if (relay_trust_judge(rw, peer, true, why) < 0) {
        relay_audit_auth(rw->r, false, peer->identity, &(struct gh_endpoint){ peer->addr, peer->port, 0 }, why);
        relay_proxy_refuse(p, 403, NULL, GH_DROP_NONE);
    } else if (atomic_load(&rw->r->draining)) {
        relay_proxy_refuse(p, 503, NULL, GH_DROP_DRAINING);
    } else if (is_one_too_many(p)) {
        relay_audit_refused(rw->r, p->name, p->request, "no room for the tunnel", gh_drop_name(GH_DROP_PROXY_LIMIT));
        relay_proxy_refuse(p, 503, "connection_limit_reached", GH_DROP_PROXY_LIMIT);
    } else if (p->target.ip.family) {
        const struct gh_endpoint to = { p->target.ip, p->target.port, 0 };

        admit(p, &to, 1);
    } else {
        request_name(p);
    }
}

/* ---- what changes ---- */

void relay_proxy_recheck(struct relay_worker *rw)
{
    gh_list_each(it, &rw->proxies)
    {
        struct relay_proxy *p = gh_container_of(it, struct relay_proxy, link);

        p->rule = NULL; /* of the policy that goes */
        if (p->state == PROXY_LOOKUP || relay_proxy_judge(p, &p->to) == GH_DROP_NONE)
            continue;
        if (p->state == PROXY_DIAL)
            relay_proxy_refuse(p, 403, "destination_ip_prohibited", GH_DROP_POLICY_CHANGED);
        else
            relay_proxy_end(p, gh_drop_name(GH_DROP_POLICY_CHANGED), GH_HTTP_CONNECT_ERROR);
    }
}

static void cut(struct relay_proxy *p, const char *reason)
{
    if (p->state == PROXY_LOOKUP || p->state == PROXY_DIAL)
        relay_proxy_refuse(p, 403, NULL, GH_DROP_NONE);
    else
        relay_proxy_end(p, reason, GH_HTTP_REQUEST_CANCELLED);
}

void relay_proxy_retrust(struct relay_worker *rw)
{
    char why[GH_IDENTITY_WHY];

    gh_list_each(it, &rw->proxies)
    {
        struct relay_proxy *p = gh_container_of(it, struct relay_proxy, link);
        const struct gh_http_peer *peer = p->stream ? gh_http_peer(p->stream) : NULL;
        int rc = peer ? relay_trust_judge(rw, peer, false, why) : 0;

        if (rc == 0)
            continue;
        relay_audit_auth(rw->r, false, p->name, &(struct gh_endpoint){ peer->addr, peer->port, 0 }, why);
        cut(p, rc == GH_ERR_TIMEOUT ? "certificate_expired" : "revoked");
    }
}

void relay_proxy_expire(struct relay_worker *rw)
{
    int64_t wall = gh_worker_wall(rw->w);

    gh_list_each(it, &rw->proxies)
    {
        struct relay_proxy *p = gh_container_of(it, struct relay_proxy, link);

        if (p->not_after <= wall)
            cut(p, "certificate_expired");
    }
}

void relay_proxy_end_all(struct relay_worker *rw, const char *reason)
{
    gh_list_each(it, &rw->proxies)
    {
        struct relay_proxy *p = gh_container_of(it, struct relay_proxy, link);

        if (p->state == PROXY_LOOKUP || p->state == PROXY_DIAL)
            relay_proxy_refuse(p, 503, NULL, GH_DROP_DRAINING);
        else
            relay_proxy_end(p, reason, GH_HTTP_REQUEST_CANCELLED);
    }
}
