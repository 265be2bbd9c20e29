/* services/relay/relay_parcel.h - packets for sessions of other workers, gathered for a turn: one message for many
 *
 * Packets of one flow never overtake each other: there is one parcel at a time for a worker, and mailboxes keep the order. What may be under
 * way is bounded by the pool; a packet more is dropped (pool_empty).
 */
#ifndef GH_RELAY_PARCEL_H
#define GH_RELAY_PARCEL_H

#include "loop/pool.h"
#include "services/relay/directory.h"

struct relay_worker;
struct relay_parcel;

/* Of a worker that sends. */
struct relay_parcels {
    struct gh_packet_pool *pool;
    struct relay_parcel *at[GH_WORKERS_MAX]; /* for each other worker, until the end of the turn */
    uint64_t open;                           /* a bit each */
    struct gh_turn_hook hook;
};

/* 0 or GH_ERR_MEMORY. */
int relay_parcels_init(struct relay_worker *rw);
/* On its worker: nothing leaves any more. */
void relay_parcels_stop(struct relay_worker *rw);
/* When nothing is under way any more. */
void relay_parcels_fini(struct relay_worker *rw);
/* A packet of another worker's tunnel or TUN queue goes to the worker of its session. <from_peer>: an agent sent it. Leaves with others when the
 * turn ends, before its other hooks: they take long, and the other worker can begin meanwhile. */
void relay_packet_hand_over(struct relay_worker *rw, const struct gh_directory_found *found, const uint8_t *packet, size_t len, unsigned flags,
                            bool from_peer);

#endif
