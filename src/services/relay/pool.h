/* services/relay/pool.h - which address belongs to which identity
 *
 * One pool holds several prefixes of both families. An identity gets one address a family and keeps it: a lease that nobody
 * holds stays reserved until every other address is used, and then the one released longest ago goes to somebody else.
 *
 *   held      one or more sessions of the identity use the address
 *   released  reserved for an identity that is absent
 *   free      no identity has it
 *
 * The relay takes the first host address of every prefix (.1, ::1). Leases are, of a /24, .2 to .254; of a /64, ::2 onwards.
 * Of a /31 (RFC 3021) and a /127 (RFC 6164) the relay takes the lower address and the upper one is a lease; a /32 and a /128 are
 * the relay's alone.
 *
 * No I/O, no clock, no lock: the writer of the session directory calls it (directory.h). Every call is O(1) (amortised over
 * addresses that clients asked for by name) times the number of prefixes. Memory: at most <leases_max> records a prefix.
 */
#ifndef GH_SERVICES_RELAY_POOL_H
#define GH_SERVICES_RELAY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/map.h"
#include "base/span.h"

#define GH_POOL_PREFIXES_MAX 16u
#define GH_POOL_IDENTITY_MAX 128u /* longest NAME in bytes */

struct gh_pool;

struct gh_pool_conf {
    const struct gh_prefix *prefixes; /* copied; earlier ones are used first */
    size_t prefix_count;
    uint32_t leases_max;       /* records a prefix; at least 1 */
    struct gh_hash_seed seed;  /* random: identities are chosen by others */
};

struct gh_pool_lease {
    struct gh_ip addr;
    struct gh_prefix prefix; /* the pool's prefix that <addr> is in */
    int64_t first_seen;      /* wall seconds: when the identity first had this address */
    int64_t last_seen;       /* wall seconds: last acquire or release */
    uint32_t holds;          /* sessions that use it */
    bool fresh;              /* the identity did not have this address before this call */
};

struct gh_pool_usage {
    uint64_t capacity; /* leases that can exist at once */
    uint64_t held, released;
};

/* 0; GH_ERR_RANGE: no prefix, too many, bits below a length, or leases_max is 0; GH_ERR_EXISTS: two prefixes overlap;
 * GH_ERR_MEMORY. */
int gh_pool_create(const struct gh_pool_conf *conf, struct gh_pool **ret);
void gh_pool_destroy(struct gh_pool *p);

/* The relay's own address in prefix number <index>; family 0 when there is no such prefix. */
struct gh_ip gh_pool_relay_addr(const struct gh_pool *p, size_t index);

/* Puts back a reservation that the store kept. Call it in the order of <last_seen>, the longest absent first, before the first
 * acquire. 0; GH_ERR_RANGE: no prefix has <addr> as a lease; GH_ERR_EXISTS: the address, or an address of that family for the
 * identity, is taken; GH_ERR_FULL; GH_ERR_MEMORY. */
int gh_pool_restore(struct gh_pool *p, uint32_t tenant, struct gh_span identity, const struct gh_ip *addr, int64_t first_seen,
                    int64_t last_seen);

struct gh_pool_request {
    uint32_t tenant;
    uint8_t family; /* 4 or 6 */
    struct gh_span identity;
    /* Asked for by name (RFC 9484, section 4.7.2), or family 0. Honoured when no identity has it; else the answer is the identity's
     * own address, or any. An identity that holds its address keeps it whatever is asked. */
    struct gh_ip wanted;
    int64_t wall; /* seconds */
};

/* Adds one hold on the identity's address of the family. 0; GH_ERR_FULL: every address is held by somebody else, or the pool
 * has no prefix of the family; GH_ERR_RANGE: identity empty or too long; GH_ERR_MEMORY. */
int gh_pool_acquire(struct gh_pool *p, const struct gh_pool_request *req, struct gh_pool_lease *ret);
/* Gives one hold back; the reservation stays. 0, GH_ERR_NOT_FOUND or GH_ERR_STATE (nobody held it). */
int gh_pool_release(struct gh_pool *p, const struct gh_ip *addr, int64_t wall);
/* Ends a reservation, when an operator removes an identity. 0, GH_ERR_NOT_FOUND or GH_ERR_STATE (still held). */
int gh_pool_forget(struct gh_pool *p, const struct gh_ip *addr);

/* 0 or GH_ERR_NOT_FOUND. <fresh> is false. */
int gh_pool_find(const struct gh_pool *p, uint32_t tenant, struct gh_span identity, uint8_t family, struct gh_pool_lease *ret);
/* <family> 4, 6, or 0 for both. */
struct gh_pool_usage gh_pool_usage(const struct gh_pool *p, uint8_t family);

#endif
