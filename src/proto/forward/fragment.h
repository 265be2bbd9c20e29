/* proto/forward/fragment.h - which fragments may follow a first one
 *
 * Nothing is reassembled. The first fragment of a packet is decided like a whole packet and noted here; the later ones follow
 * it by (source, destination, id, protocol) within the time limit. Pieces that overlap (RFC 1858, RFC 5722) never pass, so
 * no receiver can be made to put another packet together than the one that was decided.
 */
#ifndef GH_PROTO_FORWARD_FRAGMENT_H
#define GH_PROTO_FORWARD_FRAGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/drop.h"
#include "base/list.h"
#include "base/map.h"
#include "wire/ip.h"

#define GH_FRAGMENT_RANGES 16u /* gaps between the pieces of one packet that we can remember */

/* Hashed and compared as bytes: no padding. */
struct gh_fragment_key {
    uint64_t owner;
    uint8_t src[16], dst[16];
    uint32_t id;
    uint8_t family, protocol, direction, zero;
};

/* The packets under way of one session. */
struct gh_fragment_owner {
    struct gh_list packets; /* oldest first */
    uint32_t count;
};

/* One packet under way. */
struct gh_fragment {
    struct gh_map_node node;
    struct gh_list by_age, in_owner;
    struct gh_fragment_key key;
    struct gh_fragment_owner *owner;
    int64_t since;
    struct {
        uint32_t from, to;
    } ranges[GH_FRAGMENT_RANGES]; /* ordered, apart from each other */
    uint8_t range_count;
    uint32_t end;      /* length of the whole, once the last piece told it; 0 before */
    void *flow;        /* the caller's reference */
    uint64_t serial;
};

struct gh_fragment_table {
    struct gh_map map;
    struct gh_hash_seed seed;
    struct gh_fragment *slots;
    struct gh_fragment *free; /* linked through node.next */
    struct gh_list by_age;
    uint32_t count, max, max_per_owner;
    int64_t timeout;
};

/* 0 or GH_ERR_MEMORY. */
int gh_fragment_table_init(struct gh_fragment_table *t, uint32_t max, uint32_t max_per_owner, int64_t timeout,
                           const struct gh_hash_seed *seed);
void gh_fragment_table_fini(struct gh_fragment_table *t);
void gh_fragment_owner_init(struct gh_fragment_owner *o);
void gh_fragment_owner_fini(struct gh_fragment_table *t, struct gh_fragment_owner *o);

void gh_fragment_key_of(const struct gh_fragment_owner *o, unsigned direction, const struct gh_ip_packet *p, struct gh_fragment_key *ret);
/* Notes a first fragment that was decided. An owner at its share loses its oldest; a full table the oldest of all.
 * GH_DROP_NONE, GH_DROP_FRAGMENT_LIMIT, GH_DROP_FRAGMENT_OVERLAP (the same packet is under way). */
enum gh_drop gh_fragment_first(struct gh_fragment_table *t, struct gh_fragment_owner *o, const struct gh_fragment_key *key,
                               const struct gh_ip_packet *p, void *flow, uint64_t serial, int64_t now);
/* May a later fragment follow? Fills flow and serial of the first. GH_DROP_NONE, GH_DROP_FRAGMENT_ORPHAN, …_OVERLAP, …_LIMIT. */
enum gh_drop gh_fragment_next(struct gh_fragment_table *t, const struct gh_fragment_key *key, const struct gh_ip_packet *p, int64_t now,
                              void **ret_flow, uint64_t *ret_serial);
/* Forgets at most <budget> packets whose time is over; the next deadline, INT64_MAX without any. */
int64_t gh_fragment_sweep(struct gh_fragment_table *t, int64_t now, unsigned budget);

#endif
