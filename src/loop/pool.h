/* loop/pool.h - packet buffers of one size, with headroom, up to a fixed number
 *
 * A pool belongs to a worker: only that worker takes buffers; any thread gives them back. The memory is touched only as
 * far as it was ever needed.
 */
#ifndef GH_LOOP_POOL_H
#define GH_LOOP_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "loop/worker.h"

struct gh_packet_pool;

struct gh_packet {
    struct gh_packet *next; /* the holder's, to chain batches */
    struct gh_packet_pool *pool;
    uint8_t *data;      /* where the packet begins: buffer + headroom at first */
    uint32_t len;       /* bytes of the packet */
    uint32_t tag;       /* the holder's */
    void *owner;        /* the holder's: a session, say */
    uint8_t *start, *end; /* the whole buffer, headroom included */
};

struct gh_packet_pool_config {
    struct gh_worker *owner;
    size_t size;     /* bytes behind the headroom, 64..2^20 */
    size_t headroom; /* bytes before <data> */
    size_t max;      /* buffers */
};

int gh_packet_pool_create(const struct gh_packet_pool_config *cfg, struct gh_packet_pool **ret);
/* Every buffer must be back. Accepts NULL. */
void gh_packet_pool_destroy(struct gh_packet_pool *p);
/* NULL when all are out: counted, and the caller counts GH_DROP_POOL_EMPTY. */
struct gh_packet *gh_packet_get(struct gh_packet_pool *p);
/* Gives one back; <here> is the caller's worker, NULL for another thread. Accepts a NULL packet. */
void gh_packet_put(struct gh_packet *k, const struct gh_worker *here);
/* Any thread: how often gh_packet_get found nothing. */
uint64_t gh_packet_pool_empty(const struct gh_packet_pool *p);
/* Buffers out, as the owner knows it: those returned by other threads count until the owner takes them back. */
size_t gh_packet_pool_out(struct gh_packet_pool *p);

static inline size_t gh_packet_headroom(const struct gh_packet *k)
{
    return (size_t)(k->data - k->start);
}

static inline size_t gh_packet_tailroom(const struct gh_packet *k)
{
    return (size_t)(k->end - k->data) - k->len;
}

#endif
