/* A parcel is a buffer of its sender's pool: records one after the other, in the order in which they were read, each with room before the
 * packet. It is posted when it is full and at the end of the turn; whoever delivers it gives the buffer back. */
#include "services/relay/relay_parcel.h"

#include "base/error.h"
#include "services/relay/relay_internal.h"

#define PARCEL_BYTES 66000u /* the longest packet fits */
#define PARCELS_MAX 96u     /* of one worker, on their way: some 4,000 packets */

struct relay_parcel {
    struct gh_message message; /* weight: packets */
    struct relay_worker *to;
    struct gh_packet *buffer;  /* that this lies in */
    uint8_t *end;              /* behind the last record */
};

struct record {
    struct gh_session_handle session;
    uint32_t len;
    uint16_t flags; /* GH_FORWARD_… */
    bool from_peer;
    uint8_t room[17]; /* headroom of the packet, which follows */
};

static size_t size_of(size_t len)
{
    return (sizeof(struct record) + len + 7) & ~(size_t)7;
}

static void deliver_one(struct relay_worker *to, struct record *r)
{
    struct session *s = relay_session_find(to, r->session);
    uint8_t *packet = (uint8_t *)(r + 1);

    if (s && r->from_peer)
        relay_packet_from_peer(s, packet, r->len);
    else if (s)
        relay_packet_to_peer(s, packet, r->len, r->flags);
    else
        relay_drop(to, GH_DROP_NO_SESSION, 1);
}

static void deliver(struct gh_worker *w, struct gh_message *m)
{
    struct relay_parcel *p = gh_container_of(m, struct relay_parcel, message);
    uint8_t *at = (uint8_t *)(p + 1);

    if (p->to->slot_count > 0) /* there are sessions: none after it has stopped */
        relay_policy_refresh(p->to);
    while (at < p->end) {
        struct record *r = (struct record *)(void *)at;

        at += size_of(r->len);
        deliver_one(p->to, r);
    }
    gh_packet_put(p->buffer, w);
}

static void post(struct relay_worker *rw, unsigned worker)
{
    struct relay_parcel *p = rw->parcels.at[worker];
    uint32_t packets;

    if (!p)
        return;
    rw->parcels.at[worker] = NULL;
    packets = p->message.weight;
    if (gh_mailbox_post(p->to->w, &p->message) < 0) {
        gh_packet_put(p->buffer, rw->w);
        relay_drop(rw, GH_DROP_MAILBOX_FULL, packets);
        return;
    }
    gh_metric_add(rw->r->metrics, rw->index, RELAY_METRIC_HANDED_OVER, 0, packets);
}

static void post_all(void *arg, int64_t now)
{
    struct relay_worker *rw = arg;

    (void)now;
    for (unsigned i = 0; rw->parcels.open; i++, rw->parcels.open >>= 1)
        if (rw->parcels.open & 1)
            post(rw, i);
}

int relay_parcels_init(struct relay_worker *rw)
{
    struct gh_packet_pool_config cfg = { .owner = rw->w, .size = PARCEL_BYTES, .max = PARCELS_MAX };
    int rc = gh_packet_pool_create(&cfg, &rw->parcels.pool);

    if (rc < 0)
        return rc;
    rw->parcels.hook.fn = post_all;
    rw->parcels.hook.arg = rw;
    gh_worker_hook_add(rw->w, &rw->parcels.hook);
    return 0;
}

void relay_parcels_stop(struct relay_worker *rw)
{
    gh_worker_hook_remove(&rw->parcels.hook);
}

void relay_parcels_fini(struct relay_worker *rw)
{
    gh_packet_pool_destroy(rw->parcels.pool);
}

static struct relay_parcel *begin(struct relay_worker *rw, struct relay_worker *to)
{
    struct gh_packet *buffer = gh_packet_get(rw->parcels.pool);
    struct relay_parcel *p;

    if (!buffer)
        return NULL;
    p = (struct relay_parcel *)(void *)buffer->start;
    *p = (struct relay_parcel){ .message = { .deliver = deliver }, .to = to, .buffer = buffer, .end = (uint8_t *)(p + 1) };
    rw->parcels.at[to->index] = p;
    rw->parcels.open |= UINT64_C(1) << to->index;
    return p;
}

void relay_packet_hand_over(struct relay_worker *rw, const struct gh_directory_found *found, const uint8_t *packet, size_t len, unsigned flags,
                            bool from_peer)
{
    struct relay_worker *to = rw->r->at[found->worker];
    struct relay_parcel *p;
    struct record *r;

    if (!to) {
        relay_drop(rw, GH_DROP_NO_SESSION, 1);
        return;
    }
    p = rw->parcels.at[found->worker];
    if (p && p->end + size_of(len) > p->buffer->end) {
        post(rw, found->worker);
        p = NULL;
    }
    if (!p)
        p = begin(rw, to);
    if (!p || p->end + size_of(len) > p->buffer->end) {
        relay_drop(rw, p ? GH_DROP_TOO_BIG : GH_DROP_POOL_EMPTY, 1);
        return;
    }
    r = (struct record *)(void *)p->end;
    *r = (struct record){ .session = found->session, .len = (uint32_t)len, .flags = (uint16_t)flags, .from_peer = from_peer };
    memcpy(r + 1, packet, len);
    p->end += size_of(len);
    p->message.weight++;
}
