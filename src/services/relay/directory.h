/* services/relay/directory.h - the session directory: address and identity -> worker and session
 *
 * Every worker looks addresses up for every packet; sessions come and go rarely. So readers take no lock and never wait, and
 * writers share one mutex, which is also what take-over and the address pool (pool.h) are serialised by.
 *
 *   reader (a worker, once a batch)              writer (any worker, rarely)
 *     gh_directory_enter(d, worker);               gh_directory_lock(d);
 *     gh_directory_find_addr(d, &dst, &found);     gh_pool_acquire(...);
 *     ...                                          gh_directory_insert(d, &entry, &displaced);
 *     gh_directory_leave(d, worker);               gh_directory_unlock(d);
 *
 * Answers are values: nothing points into the directory. A session handle may be stale the moment it is read; the worker that
 * owns the session compares the generation.
 *
 * Memory is bounded: <sessions_max> entries, and as many that wait for readers to pass.
 */
#ifndef GH_SERVICES_RELAY_DIRECTORY_H
#define GH_SERVICES_RELAY_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/map.h"
#include "base/span.h"

#define GH_DIRECTORY_READERS_MAX 64u
#define GH_DIRECTORY_ADDRS_MAX 8u      /* addresses of one session */
#define GH_DIRECTORY_IDENTITY_MAX 128u /* longest NAME in bytes */

struct gh_directory;

/* A session in its worker's table. The worker gives a slot a new generation each time it is used again. */
struct gh_session_handle {
    uint32_t index;
    uint32_t generation;
};

struct gh_directory_found {
    uint32_t worker;
    struct gh_session_handle session;
};

struct gh_directory_entry {
    uint32_t tenant;
    uint32_t worker;
    struct gh_session_handle session;
    struct gh_span identity;   /* 1 to 128 bytes; copied */
    const struct gh_ip *addrs; /* copied */
    size_t addr_count;
};

struct gh_directory_conf {
    uint32_t sessions_max;
    uint32_t readers; /* numbers 0 to readers - 1 may enter */
    struct gh_hash_seed seed;
};

/* 0, GH_ERR_RANGE (no session, no reader or too many) or GH_ERR_MEMORY. */
int gh_directory_create(const struct gh_directory_conf *conf, struct gh_directory **ret);
/* No reader is inside and nobody holds the lock. */
void gh_directory_destroy(struct gh_directory *d);

/* Readers. Each number belongs to one thread, which never nests enter. Look-ups outside are a bug that ends in freed memory.
 * A reader inside holds back reclamation: leave before going to sleep. */
void gh_directory_enter(struct gh_directory *d, uint32_t reader);
void gh_directory_leave(struct gh_directory *d, uint32_t reader);
/* True and fills <ret>, or false. Wait-free: the chain is walked once. */
bool gh_directory_find_addr(const struct gh_directory *d, const struct gh_ip *addr, struct gh_directory_found *ret);
bool gh_directory_find_identity(const struct gh_directory *d, uint32_t tenant, struct gh_span identity,
                                struct gh_directory_found *ret);

/* Writers. Everything below is called between lock and unlock, and returns GH_ERR_STATE otherwise. */
void gh_directory_lock(struct gh_directory *d);
void gh_directory_unlock(struct gh_directory *d);

/* Publishes a session. A session of the same identity is displaced (take-over, or the same session with other addresses): readers
 * find the old one or the new one at every moment. Returns 1 and fills <ret_displaced> then, 0 when there was none;
 * GH_ERR_EXISTS: an address belongs to another identity; GH_ERR_FULL: sessions_max; GH_ERR_AGAIN: readers hold back too much
 * memory, try again after a turn; GH_ERR_RANGE: identity or addresses too long; GH_ERR_MEMORY. On error nothing has changed. */
int gh_directory_insert(struct gh_directory *d, const struct gh_directory_entry *entry, struct gh_directory_found *ret_displaced);
/* Removes the identity if <session> of <worker> still is its session: the end of a session that was displaced removes nothing.
 * 0, GH_ERR_NOT_FOUND. */
int gh_directory_remove(struct gh_directory *d, uint32_t tenant, struct gh_span identity, const struct gh_directory_found *session);
/* Calls <fn> for every session until it returns false. <fn> changes nothing in the directory. 0. */
int gh_directory_each(struct gh_directory *d, bool (*fn)(void *arg, const struct gh_directory_entry *entry), void *arg);
/* Frees what no reader can see any more; insert and remove do it too. The number still waiting, or GH_ERR_STATE. */
int gh_directory_reclaim(struct gh_directory *d);
/* Sessions now. Any thread. */
uint32_t gh_directory_count(const struct gh_directory *d);

#endif
