/* Sessions: an instance of an agent, what it has, and how it ends. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "core/trace_text.h"
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

struct gh_session_handle relay_session_handle(const struct session *s)
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

int relay_session_enlist(struct session *s)
{
    struct relay *r = s->rw->r;
    struct gh_directory_entry entry = { .worker = s->rw->index, .session = relay_session_handle(s), .identity = gh_span_str(s->name) };
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
    s->listed = rc >= 0;
    if (rc == 1)
        end_found(s->rw, &displaced, SESSION_TAKEN_OVER);
    return rc < 0 ? rc : 0;
}

static void delist(struct session *s)
{
    struct relay *r = s->rw->r;
    struct gh_directory_found self = { s->rw->index, relay_session_handle(s) };

    if (!s->listed)
        return;
    gh_directory_lock(r->directory);
    gh_directory_remove(r->directory, 0, gh_span_str(s->name), &self);
    addresses_release(s);
    gh_directory_unlock(r->directory);
    s->listed = false;
}

/* Life. */

static void good_until(struct relay_worker *rw, int64_t not_after)
{
    if (not_after < rw->expires)
        rw->expires = not_after;
}

struct session *relay_session_create(struct relay_worker *rw, const struct gh_http_peer *peer, const uint8_t instance[RELAY_INSTANCE])
{
    struct session *s = calloc(1, sizeof *s);
    uint64_t id = atomic_fetch_add(&rw->r->next_session, 1);

    if (!s)
        return NULL;
    s->rw = rw;
    s->peer = peer->addr;
    s->peer_port = peer->port;
    s->not_after = peer->not_after;
    good_until(rw, s->not_after);
    s->opened = gh_worker_wall(rw->w);
    gh_list_init(&s->tunnels);
    gh_list_init(&s->card.link);
    memcpy(s->instance, instance, sizeof s->instance);
    snprintf(s->name, sizeof s->name, "%s", peer->identity);
    snprintf(s->id, sizeof s->id, "%016llx", (unsigned long long)id);
    gh_forward_session_init(&rw->forward, &s->forward, id);
    if (slot_take(rw, s) < 0) {
        free(s);
        return NULL;
    }
    gh_list_append(&rw->sessions, &s->link);
    atomic_fetch_add(&rw->r->sessions, 1);
    gh_metric_add(rw->r->metrics, rw->index, RELAY_METRIC_SESSIONS, 0, 1); /* a worker counts its own: they are summed */
    return s;
}

/* Nothing finds the session any more; flows close, which audits them; then memory goes. */
static void session_destroy(struct session *s, uint64_t code)
{
    struct relay_worker *rw = s->rw;
    const char *reason = relay_end_reason(s->why, code);

    delist(s);
    gh_forward_session_close(&rw->forward, &s->forward);
    if (s->announced) {
        relay_card_remove(s);
        relay_audit_session(s, false, reason);
        relay_note(rw, GH_TRACE_SESSION_CLOSE, s->forward.id, 0, gh_trace_word(reason), 0);
        gh_log_event(rw->r->log, GH_LOG_INFO, "relay", "session closed", gh_log_str("client_id", s->name), gh_log_str("session_id", s->id),
                     gh_log_str("reason", reason), gh_log_uint("code", code));
    }
    gh_list_unlink(&s->link);
    slot_return(rw, s->slot);
    atomic_fetch_sub(&rw->r->sessions, 1);
    gh_metric_add(rw->r->metrics, rw->index, RELAY_METRIC_SESSIONS, 0, (uint64_t)-1);
    free(s);
}

void relay_session_announce(struct session *s, bool moved)
{
    struct relay *r = s->rw->r;

    for (size_t i = 0; i < s->addr_count; i++) {
        s->forward.assigned[s->forward.assigned_count++] = (struct gh_prefix){ s->addrs[i], (uint8_t)gh_ip_bits(&s->addrs[i]) };
        if (!moved)
            gh_log_event(r->log, GH_LOG_INFO, "relay", "Virtual IP assigned", gh_log_str("client_id", s->name),
                         gh_log_ip("address", &s->addrs[i]), gh_log_str("session_id", s->id), gh_log_ip("peer", &s->peer),
                         gh_log_uint("worker", s->rw->index));
    }
    if (!moved)
        relay_audit_session(s, true, NULL);
    relay_note(s->rw, GH_TRACE_SESSION_OPEN, s->forward.id, 0, gh_trace_addr(&s->peer), gh_trace_port(&s->peer, 0, s->peer_port));
    relay_card_add(s);
    s->announced = true;
}

void relay_session_end(struct session *s, enum session_end why)
{
    if (s->why == SESSION_MOVED && why == SESSION_TAKEN_OVER)
        return; /* by itself, on another worker: what is under way in its tunnels still arrives, and nobody else has come */
    if (s->why == SESSION_CLOSED)
        s->why = why;
    gh_list_each(it, &s->tunnels)
        relay_tunnel_leave(gh_container_of(it, struct tunnel, link), why);
    s->carrier = NULL;
    session_destroy(s, 0);
}

void relay_session_left(struct session *s, uint64_t code)
{
    session_destroy(s, code);
}

void relay_session_discard(struct session *s)
{
    session_destroy(s, 0);
}

void relay_session_moved(struct session *s, const struct gh_directory_found *to)
{
    s->why = SESSION_MOVED;
    s->moved_to = *to;
    relay_card_remove(s);
    s->announced = false; /* its end here is told to nobody */
    gh_list_each(it, &s->tunnels)
        relay_tunnel_age(gh_container_of(it, struct tunnel, link));
    if (gh_list_empty(&s->tunnels))
        session_destroy(s, 0);
}

void relay_session_expire(struct relay_worker *rw)
{
    int64_t wall = gh_worker_wall(rw->w);

    if (wall < rw->expires)
        return;
    rw->expires = INT64_MAX;
    gh_list_each(it, &rw->sessions)
    {
        struct session *s = gh_container_of(it, struct session, link);

        if (s->why != SESSION_CLOSED)
            continue; /* is going anyway */
        if (s->not_after <= wall)
            relay_session_end(s, SESSION_EXPIRED);
        else
            good_until(rw, s->not_after);
    }
}

/* Opening. */

void relay_session_rejoin(struct session *s, struct tunnel *t)
{
    const struct gh_http_peer *peer = gh_http_peer(t->stream);

    s->peer = peer->addr;
    s->peer_port = peer->port;
    s->not_after = peer->not_after;
    good_until(s->rw, s->not_after);
    relay_card_refresh(s);
    relay_note(s->rw, GH_TRACE_PATH, s->forward.id, 0, gh_trace_addr(&s->peer), gh_trace_port(&s->peer, 0, s->peer_port));
    gh_log_event(s->rw->r->log, GH_LOG_INFO, "relay", "session goes on over a new connection", gh_log_str("client_id", s->name),
                 gh_log_str("session_id", s->id), gh_log_ip("peer", &s->peer), gh_log_uint("worker", s->rw->index));
    relay_tunnel_join(t, s);
}

static void open_new(struct tunnel *t)
{
    struct session *s = relay_session_create(t->rw, gh_http_peer(t->stream), t->instance);
    int rc = s ? relay_session_enlist(s) : GH_ERR_MEMORY;

    if (rc < 0) {
        if (s)
            relay_session_discard(s);
        relay_refuse_full(t, rc);
        return;
    }
    relay_policy_refresh(t->rw);
    relay_session_bind_policy(s);
    relay_request_id(t->stream, s->request);
    relay_session_announce(s, false);
    relay_tunnel_join(t, s);
}

void relay_session_open(struct tunnel *t)
{
    struct relay *r = t->rw->r;
    struct gh_directory_found held;
    struct session *s;
    bool found;

    gh_directory_enter(r->directory, t->rw->index);
    found = gh_directory_find_identity(r->directory, 0, gh_span_str(gh_http_peer(t->stream)->identity), &held);
    gh_directory_leave(r->directory, t->rw->index);
    if (!found || t->asked_already) {
        open_new(t);
        return;
    }
    if (held.worker != t->rw->index) {
        relay_move_ask(t, &held);
        return;
    }
    s = relay_session_find(t->rw, held.session);
    if (s && s->why == SESSION_CLOSED && memcmp(s->instance, t->instance, RELAY_INSTANCE) == 0)
        relay_session_rejoin(s, t);
    else
        open_new(t);
}
