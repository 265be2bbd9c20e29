/* Sessions: who asks for a tunnel, what it gets, and how it ends. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "crypto/identity.h"
#include "proto/connect_ip/routes.h"
#include "services/relay/relay_internal.h"

#define NO_SLOT UINT32_MAX

/* Slots: a handle that outlives its session finds nothing. */

static int slots_grow(struct relay_worker *rw)
{
    uint32_t before = rw->slot_count, after = before ? before * 2 : 64;
    struct slot *slots = realloc(rw->slots, after * sizeof *slots);
    uint32_t *next;

    if (!slots)
        return GH_ERR_MEMORY;
    rw->slots = slots;
    next = realloc(rw->next_free, after * sizeof *next);
    if (!next)
        return GH_ERR_MEMORY;
    rw->next_free = next;
    for (uint32_t i = before; i < after; i++) {
        slots[i] = (struct slot){ .generation = 1 };
        next[i] = i + 1 < after ? i + 1 : NO_SLOT;
    }
    rw->free_slot = before;
    rw->slot_count = after;
    return 0;
}

static int slot_take(struct relay_worker *rw, struct session *s)
{
    if (rw->free_slot == NO_SLOT && slots_grow(rw) < 0)
        return GH_ERR_MEMORY;
    s->slot = rw->free_slot;
    rw->free_slot = rw->next_free[s->slot];
    rw->slots[s->slot].session = s;
    return 0;
}

static void slot_return(struct relay_worker *rw, uint32_t slot)
{
    rw->slots[slot].session = NULL;
    rw->slots[slot].generation++;
    rw->next_free[slot] = rw->free_slot;
    rw->free_slot = slot;
}

struct session *relay_session_find(struct relay_worker *rw, struct gh_session_handle h)
{
    if (h.index >= rw->slot_count || rw->slots[h.index].generation != h.generation)
        return NULL;
    return rw->slots[h.index].session;
}

static struct gh_session_handle handle_of(const struct session *s)
{
    return (struct gh_session_handle){ s->slot, s->rw->slots[s->slot].generation };
}

/* Leases are written where blocking is allowed. */

struct lease_job {
    struct relay *r;
    struct gh_store_lease_change change;
    int rc;
    char why[GH_STORE_WHY];
};

static void lease_write(void *arg)
{
    struct lease_job *j = arg;

    j->rc = j->r->store->ops->leases_write(j->r->store, &j->change, 1, j->why);
}

static void lease_written(struct gh_worker *w, void *arg)
{
    struct lease_job *j = arg;

    (void)w;
    if (j->rc < 0)
        gh_log_event(j->r->log, GH_LOG_WARN, "relay", "lease is not on disk: after a restart the agent may get another address",
                     gh_log_str("client_id", j->change.lease.identity), gh_log_str("reason", j->why));
    free(j);
}

static void lease_keep(struct session *s, const struct gh_pool_lease *lease)
{
    struct lease_job *j = s->rw->r->store ? calloc(1, sizeof *j) : NULL;

    if (!j)
        return;
    j->r = s->rw->r;
    j->change.verb = GH_STORE_PUT;
    j->change.lease = (struct gh_store_lease){
        .addr = lease->addr, .pool = lease->prefix, .first_seen = lease->first_seen, .last_seen = lease->last_seen
    };
    snprintf(j->change.lease.identity, sizeof j->change.lease.identity, "%s", s->name);
    if (gh_worker_offload(s->rw->w, lease_write, lease_written, j) < 0)
        free(j);
}

/* Addresses. The directory's lock serialises pool and take-over. */

static void addresses_release(struct session *s)
{
    struct relay *r = s->rw->r;

    for (size_t i = 0; i < s->addr_count; i++)
        gh_pool_release(r->pool, &s->addrs[i], gh_worker_wall(s->rw->w));
    s->addr_count = 0;
}

static int addresses_acquire(struct session *s)
{
    static const uint8_t families[] = { 4, 6 };
    struct relay *r = s->rw->r;
    struct gh_pool_request req = { .identity = gh_span_str(s->name), .wall = gh_worker_wall(s->rw->w) };
    struct gh_pool_lease lease;
    bool wanted = false;
    int rc = 0;

    for (size_t i = 0; i < 2 && rc == 0; i++) {
        req.family = families[i];
        if (gh_pool_usage(r->pool, req.family).capacity == 0)
            continue; /* no pool of this family */
        wanted = true;
        rc = gh_pool_acquire(r->pool, &req, &lease);
        if (rc < 0)
            break;
        s->addrs[s->addr_count++] = lease.addr;
        lease_keep(s, &lease);
    }
    if (rc == 0 && !wanted)
        rc = GH_ERR_FULL;
    if (rc < 0)
        addresses_release(s);
    return rc;
}

struct end_message {
    struct gh_message message;
    struct relay_worker *to;
    struct gh_session_handle session;
    enum session_end why;
};

static void deliver_end(struct gh_worker *w, struct gh_message *m)
{
    struct end_message *e = gh_container_of(m, struct end_message, message);
    struct session *s = relay_session_find(e->to, e->session);

    (void)w;
    if (s)
        relay_session_end(s, e->why);
    free(e);
}

/* Ends a session wherever it lives. */
static void end_found(struct relay_worker *rw, const struct gh_directory_found *found, enum session_end why)
{
    struct relay_worker *to = rw->r->at[found->worker];
    struct end_message *e;
    struct session *s;

    if (found->worker == rw->index) {
        s = relay_session_find(rw, found->session);
        if (s)
            relay_session_end(s, why);
        return;
    }
    e = to ? malloc(sizeof *e) : NULL;
    if (!e)
        return;
    *e = (struct end_message){ { deliver_end }, to, found->session, why };
    if (gh_mailbox_post(to->w, &e->message) < 0) {
        relay_drop(rw, GH_DROP_MAILBOX_FULL, 1);
        free(e);
    }
}

static int enlist(struct session *s)
{
    struct relay *r = s->rw->r;
    struct gh_directory_entry entry = { .worker = s->rw->index, .session = handle_of(s), .identity = gh_span_str(s->name) };
    struct gh_directory_found displaced;
    int rc;

    gh_directory_lock(r->directory);
    rc = addresses_acquire(s);
    if (rc == 0) {
        entry.addrs = s->addrs;
        entry.addr_count = s->addr_count;
        rc = gh_directory_insert(r->directory, &entry, &displaced);
        if (rc < 0)
            addresses_release(s);
    }
    gh_directory_unlock(r->directory);
    if (rc == 1)
        end_found(s->rw, &displaced, SESSION_TAKEN_OVER);
    s->listed = rc >= 0;
    return rc < 0 ? rc : 0;
}

static void delist(struct session *s)
{
    struct relay *r = s->rw->r;
    struct gh_directory_found self = { s->rw->index, handle_of(s) };

    if (!s->listed)
        return;
    gh_directory_lock(r->directory);
    gh_directory_remove(r->directory, 0, gh_span_str(s->name), &self);
    addresses_release(s);
    gh_directory_unlock(r->directory);
    s->listed = false;
}

/* The tunnel's events. */

static int tunnel_send(void *arg, struct gh_span capsules)
{
    struct session *s = arg;

    return s->stream ? gh_http_send(s->stream, capsules, false) : GH_ERR_STATE;
}

static int assign(struct session *s)
{
    struct gh_connect_ip_address list[2];

    for (size_t i = 0; i < s->addr_count; i++)
        list[i] = (struct gh_connect_ip_address){ s->ids[i], { s->addrs[i], (uint8_t)gh_ip_bits(&s->addrs[i]) } };
    return gh_connect_ip_assign(&s->tunnel, list, s->addr_count, true);
}

static void on_assign(void *arg, const struct gh_connect_ip_address *list, size_t count)
{
    (void)arg; /* an agent that assigns addresses to the relay is told nothing: the relay sends from its own */
    (void)list;
    (void)count;
}

static void on_request(void *arg, const struct gh_connect_ip_address *list, size_t count)
{
    struct session *s = arg;

    /* whatever is wished for, an identity has its one address a family; a second request of the family is refused */
    for (size_t i = 0; i < s->addr_count; i++)
        s->ids[i] = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < s->addr_count; k++)
            if (list[i].prefix.addr.family == s->addrs[k].family && s->ids[k] == 0)
                s->ids[k] = list[i].request_id;
    if (assign(s) < 0)
        gh_http_reset(s->stream, GH_HTTP_INTERNAL_ERROR);
}

static void on_routes(void *arg, const struct gh_ip_route *list, size_t count)
{
    (void)arg; /* networks behind an agent are not served yet: nothing is installed, which RFC 9484 section 4.7.3 leaves to us */
    (void)list;
    (void)count;
}

static void on_packet(void *arg, struct gh_span packet)
{
    struct session *s = arg;

    /* the datagram lies in the engine's own buffer and is ours until we return */
    relay_packet_from_peer(s, (uint8_t *)(uintptr_t)packet.data, packet.len);
}

static const struct gh_connect_ip_events tunnel_events = { tunnel_send, on_assign, on_request, on_routes, on_packet };

static int advertise(struct session *s)
{
    const struct gh_relay_conf *conf = &s->rw->r->conf;
    struct gh_ip_route routes[GH_CONNECT_IP_ROUTES];
    size_t count = 0;

    if (s->forward.scope) { /* no more than was asked for */
        int n = gh_connect_ip_limit_routes(s->forward.scope, s->forward.scope_count, conf->routes, conf->route_count, NULL, routes,
                                           GH_CONNECT_IP_ROUTES);

        return n < 0 ? n : gh_connect_ip_advertise(&s->tunnel, routes, (size_t)n);
    }
    for (size_t i = 0; i < conf->route_count && count < GH_CONNECT_IP_ROUTES; i++)
        routes[count++] = gh_connect_ip_route_of(&conf->routes[i], 0);
    count = gh_connect_ip_order_routes(routes, count);
    return gh_connect_ip_advertise(&s->tunnel, routes, count);
}

/* The stream's events. */

static void tunnel_failed(struct session *s, int rc)
{
    gh_log_event(s->rw->r->log, GH_LOG_WARN, "relay", "the agent broke the protocol, its tunnel is aborted", gh_log_str("client_id", s->name),
                 gh_log_str("session_id", s->id), gh_log_result("error", rc));
    gh_http_reset(s->stream, rc == GH_ERR_TOO_LONG ? GH_HTTP_EXCESSIVE_LOAD : GH_HTTP_MESSAGE_ERROR);
}

static void on_body(void *arg, struct gh_http_stream *stream, struct gh_span data, bool end)
{
    struct session *s = arg;
    uint64_t before = s->tunnel.counters.capsule_drops;
    int rc;

    if (s->why != SESSION_CLOSED)
        return;
    rc = gh_connect_ip_feed(&s->tunnel, data, end);
    if (s->tunnel.counters.capsule_drops != before)
        relay_drop(s->rw, GH_DROP_CAPSULE_LIMIT, s->tunnel.counters.capsule_drops - before);
    if (rc < 0)
        tunnel_failed(s, rc);
    else if (end)
        gh_http_send(stream, gh_span_of(NULL, 0), true); /* RFC 9484, section 4.1: closing a direction ends the tunnel */
}

static void on_datagram(void *arg, struct gh_http_stream *stream, struct gh_span payload)
{
    struct session *s = arg;
    uint64_t before = s->tunnel.counters.context_drops;

    (void)stream;
    relay_policy_refresh(s->rw);
    gh_connect_ip_feed_datagram(&s->tunnel, payload);
    if (s->tunnel.counters.context_drops != before)
        relay_drop(s->rw, GH_DROP_CONTEXT, 1);
}

static const char *end_reason(const struct session *s, uint64_t code)
{
    static const char *const reasons[] = { NULL, "taken_over", "kicked", "drained" };

    if (reasons[s->why])
        return reasons[s->why];
    return code && code != 0x100 ? "aborted" : "closed"; /* 0x100: H3_NO_ERROR */
}

/* Nothing finds the session any more; flows close, which audits them; then memory goes. */
static void session_destroy(struct session *s, uint64_t code)
{
    struct relay_worker *rw = s->rw;

    s->stream = NULL;
    relay_card_remove(s);
    delist(s);
    gh_forward_session_close(&rw->forward, &s->forward);
    relay_audit_session(s, false, end_reason(s, code));
    gh_log_event(rw->r->log, GH_LOG_INFO, "relay", "session closed", gh_log_str("client_id", s->name), gh_log_str("session_id", s->id),
                 gh_log_str("reason", end_reason(s, code)), gh_log_uint("code", code));
    gh_list_unlink(&s->link);
    slot_return(rw, s->slot);
    gh_connect_ip_fini(&s->tunnel);
    atomic_fetch_sub(&rw->r->sessions, 1);
    gh_metric_set_value(rw->r->metrics, rw->index, RELAY_METRIC_SESSIONS, 0, --rw->session_count);
    free(s);
}

static void on_closed(void *arg, struct gh_http_stream *stream, uint64_t code)
{
    (void)stream;
    session_destroy(arg, code);
}

static const struct gh_http_events stream_events = { NULL, on_body, on_datagram, NULL, on_closed };

void relay_session_end(struct session *s, enum session_end why)
{
    if (!s->stream || s->why != SESSION_CLOSED)
        return;
    s->why = why;
    gh_http_reset(s->stream, why == SESSION_DRAINED ? GH_HTTP_NO_ERROR : GH_HTTP_REQUEST_CANCELLED);
    gh_http_endpoint_stream_close(s->stream, end_reason(s, 0));
}

/* Opening. */

static struct session *session_create(struct relay_worker *rw, struct gh_http_stream *stream)
{
    const struct gh_http_peer *peer = gh_http_peer(stream);
    struct session *s = calloc(1, sizeof *s);
    uint64_t id = atomic_fetch_add(&rw->r->next_session, 1);

    if (!s)
        return NULL;
    s->rw = rw;
    s->stream = stream;
    s->peer = peer->addr;
    s->peer_port = peer->port;
    s->not_after = peer->not_after;
    s->opened = gh_worker_wall(rw->w);
    snprintf(s->name, sizeof s->name, "%s", peer->identity);
    snprintf(s->id, sizeof s->id, "%016llx", (unsigned long long)id);
    gh_forward_session_init(&rw->forward, &s->forward, id);
    if (slot_take(rw, s) < 0) {
        free(s);
        return NULL;
    }
    gh_list_append(&rw->sessions, &s->link);
    atomic_fetch_add(&rw->r->sessions, 1);
    return s;
}

static void session_discard(struct session *s)
{
    gh_forward_session_close(&s->rw->forward, &s->forward);
    gh_list_unlink(&s->link);
    slot_return(s->rw, s->slot);
    atomic_fetch_sub(&s->rw->r->sessions, 1);
    free(s);
}

static void announce(struct session *s)
{
    struct relay *r = s->rw->r;

    for (size_t i = 0; i < s->addr_count; i++) {
        s->forward.assigned[s->forward.assigned_count++] =
            (struct gh_prefix){ s->addrs[i], (uint8_t)gh_ip_bits(&s->addrs[i]) };
        gh_log_event(r->log, GH_LOG_INFO, "relay", "Virtual IP assigned", gh_log_str("client_id", s->name),
                     gh_log_ip("address", &s->addrs[i]), gh_log_str("session_id", s->id), gh_log_ip("peer", &s->peer),
                     gh_log_uint("worker", s->rw->index));
    }
    relay_audit_session(s, true, NULL);
    relay_card_add(s);
    gh_metric_set_value(r->metrics, s->rw->index, RELAY_METRIC_SESSIONS, 0, ++s->rw->session_count);
}

static int open_tunnel(struct session *s)
{
    static const struct gh_http_field fields[] = { { { (const uint8_t *)"capsule-protocol", 16 }, { (const uint8_t *)"?1", 2 } } };
    int rc = gh_http_respond(s->stream, 200, fields, 1, false);

    gh_connect_ip_init(&s->tunnel, &tunnel_events, s);
    gh_connect_ip_limit(&s->tunnel, s->rw->r->conf.max_capsule_bytes);
    s->open = true;
    if (rc == 0)
        rc = assign(s);
    if (rc == 0)
        rc = advertise(s);
    return rc;
}

void relay_session_open(struct relay_worker *rw, struct gh_http_stream *stream, const struct relay_scope *scope)
{
    const char *client = gh_http_peer(stream)->identity;
    struct session *s = session_create(rw, stream);
    int rc = s ? enlist(s) : GH_ERR_MEMORY;

    if (rc < 0) {
        if (s)
            session_discard(s);
        relay_refuse_full(rw, stream, client, rc);
        return;
    }
    if (scope) {
        s->scope = *scope;
        s->forward.scope = s->scope.routes;
        s->forward.scope_count = s->scope.count;
    }
    relay_policy_refresh(rw);
    relay_session_bind_policy(s);
    announce(s);
    stream->events = &stream_events;
    stream->arg = s;
    if (open_tunnel(s) < 0)
        gh_http_reset(stream, GH_HTTP_INTERNAL_ERROR);
}

/* Who is it? */

static size_t sources_of(unsigned bits, enum gh_identity_source ret[GH_IDENTITY_SOURCE_COUNT])
{
    size_t n = 0;

    if (bits & GH_RELAY_IDENTITY_SAN_URI)
        ret[n++] = GH_IDENTITY_SAN_URI;
    if (bits & GH_RELAY_IDENTITY_SAN_DNS)
        ret[n++] = GH_IDENTITY_SAN_DNS;
    if (bits & GH_RELAY_IDENTITY_CN)
        ret[n++] = GH_IDENTITY_CN;
    return n;
}

static void why_unpinned(const struct gh_identity *id, char ret[GH_IDENTITY_WHY])
{
    char hex[65];

    for (size_t i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", id->spki_sha256[i]);
    snprintf(ret, GH_IDENTITY_WHY, "relay.pins does not have \"%s=sha256:%s\"", id->name, hex);
}

int relay_peer(void *arg, struct gh_span der, const struct gh_endpoint *remote, struct gh_http_identity *ret)
{
    struct relay_worker *rw = arg;
    struct gh_identity_rules rules = { .trust_domain = rw->r->conf.trust_domain, .roles = GH_ROLE_BIT(GH_ROLE_AGENT) };
    struct gh_identity id;
    struct gh_cert *cert = NULL;
    char why[GH_IDENTITY_WHY] = "the certificate cannot be read";
    int rc = gh_cert_parse_der(der, &cert);

    rules.source_count = sources_of(rw->r->conf.identity, rules.sources);
    if (rc == 0)
        rc = gh_identity_of_cert(cert, &rules, &id, why);
    gh_cert_destroy(cert);
    if (rc == 0 && rw->r->conf.pin_required && !gh_relay_conf_pinned(&rw->r->conf, id.name, id.spki_sha256)) {
        rc = GH_ERR_DENIED;
        why_unpinned(&id, why);
    }
    if (rc < 0) {
        relay_audit_auth(rw->r, false, NULL, remote, why);
        gh_log_event(rw->r->log, GH_LOG_WARN, "relay", "certificate refused", gh_log_ip("peer", &remote->ip), gh_log_str("reason", why));
        return rc;
    }
    snprintf(ret->name, sizeof ret->name, "%s", id.name);
    ret->not_after = id.not_after;
    relay_audit_auth(rw->r, true, id.name, remote, NULL);
    gh_metric_add(rw->r->metrics, rw->index, RELAY_METRIC_IDENTITIES, 0, 1);
    return 0;
}

void relay_refused(void *arg, const struct gh_endpoint *remote, const char *why)
{
    struct relay_worker *rw = arg;

    relay_audit_auth(rw->r, false, NULL, remote, why);
    gh_log_event(rw->r->log, GH_LOG_WARN, "relay", "handshake refused", gh_log_ip("peer", &remote->ip), gh_log_str("reason", why));
}
