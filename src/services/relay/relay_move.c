/* A session changes its worker: an instance came back over a connection that another worker accepted.
 *
 *   asker                                   holder
 *     relay_move_ask ------- question ------> is it the session of this instance? Its flows and counts leave the engine;
 *     (the request waits)                     from now on what still comes here is handed over
 *     adopt, enlist, join <-- the same, answered --
 *
 * The mailbox keeps the order, so no packet overtakes the session that it belongs to. Nothing is told to audit or log
 * as closed or opened: to them, and to flows, nothing happened.
 */
#include <stdlib.h>

#include "base/error.h"
#include "services/relay/relay_internal.h"

struct move {
    struct gh_message message;
    struct relay_worker *asker, *holder;
    struct gh_directory_found held;
    struct gh_session_handle fresh; /* at the asker: takes what comes */
    struct tunnel *tunnel;   /* at the asker; NULL: it went */
    uint8_t instance[RELAY_INSTANCE];
    bool granted;
    struct gh_flow *flows;
    size_t flow_count;
    uint64_t packets[2], bytes[2];
    int64_t opened;
    char id[17];
};

static void move_free(struct move *m)
{
    free(m->flows);
    free(m);
}

static void adopt(struct move *m, struct session *s)
{
    struct relay_worker *rw = m->asker;
    struct gh_forward_clock clock = { gh_worker_now(rw->w), gh_worker_wall(rw->w) };

    memcpy(s->id, m->id, sizeof s->id);
    s->opened = m->opened;
    for (int d = 0; d < 2; d++) {
        s->forward.packets[d] += m->packets[d];
        s->forward.bytes[d] += m->bytes[d];
    }
    relay_policy_refresh(rw);
    relay_session_bind_policy(s);
    gh_forward_adopt(&rw->forward, &s->forward, &clock, m->flows, m->flow_count);
}

/* The asker again. */
static void answered(struct gh_worker *w, struct gh_message *message)
{
    struct move *m = gh_container_of(message, struct move, message);
    struct session *s = relay_session_find(m->asker, m->fresh);
    struct tunnel *t = m->tunnel;
    int rc;

    (void)w;
    if (t)
        t->held = NULL;
    if (!s || !m->granted) { /* without <s> the relay ends */
        if (s)
            relay_session_discard(s);
        if (s && t)
            relay_session_open(t);
        move_free(m);
        return;
    }
    rc = relay_session_enlist(s);
    adopt(m, s);
    relay_session_announce(s, true);
    if (!t || rc < 0) { /* the connection went meanwhile: so does the session, with all that it carries */
        if (t)
            relay_refuse_full(t, rc);
        relay_session_end(s, SESSION_CLOSED);
    } else {
        relay_session_rejoin(s, t);
    }
    move_free(m);
}

static void send_back(struct gh_worker *w, void *arg)
{
    struct move *m = arg;

    answered(w, &m->message);
}

/* The holder. */
static void asked(struct gh_worker *w, struct gh_message *message)
{
    struct move *m = gh_container_of(message, struct move, message);
    struct session *s = relay_session_find(m->holder, m->held.session);

    (void)w;
    if (s && s->why == SESSION_CLOSED && !atomic_load(&m->holder->r->draining) && memcmp(s->instance, m->instance, RELAY_INSTANCE) == 0 &&
        gh_forward_export(&m->holder->forward, &s->forward, &m->flows, &m->flow_count) == 0) {
        m->granted = true;
        m->opened = s->opened;
        memcpy(m->id, s->id, sizeof m->id);
        memcpy(m->packets, s->forward.packets, sizeof m->packets);
        memcpy(m->bytes, s->forward.bytes, sizeof m->bytes);
        relay_session_moved(s, &(struct gh_directory_found){ m->asker->index, m->fresh });
    }
    m->message.deliver = answered;
    if (gh_mailbox_post(m->asker->w, &m->message) == 0)
        return;
    /* a full mailbox costs the order of a few packets, not the session */
    relay_drop(m->holder, GH_DROP_MAILBOX_FULL, 1);
    if (gh_worker_run(m->asker->w, send_back, m) < 0)
        move_free(m);
}

void relay_move_ask(struct tunnel *t, const struct gh_directory_found *held)
{
    struct relay_worker *rw = t->rw, *holder = rw->r->at[held->worker];
    struct session *fresh = holder ? relay_session_create(rw, gh_http_peer(t->stream), t->instance) : NULL;
    struct move *m = holder ? calloc(1, sizeof *m) : NULL;

    t->asked_already = true; /* whatever goes wrong, the next step is a session of its own */
    if (!m || !fresh) {
        free(m);
        if (fresh)
            relay_session_discard(fresh);
        relay_session_open(t);
        return;
    }
    m->message.deliver = asked;
    m->asker = rw;
    m->holder = holder;
    m->held = *held;
    m->fresh = relay_session_handle(fresh);
    m->tunnel = t;
    memcpy(m->instance, t->instance, sizeof m->instance);
    t->held = &m->tunnel;
    if (gh_mailbox_post(holder->w, &m->message) < 0) {
        relay_drop(rw, GH_DROP_MAILBOX_FULL, 1);
        t->held = NULL;
        relay_session_discard(fresh);
        free(m);
        relay_session_open(t);
    }
}
