/* loop/counters.h - numbers that only grow: one slot a worker, summed on read
 *
 * A slot has one writer, its worker; readers may be any thread.
 */
#ifndef GH_LOOP_COUNTERS_H
#define GH_LOOP_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

struct gh_counters {
    uint64_t *slots; /* workers rows of <stride> */
    size_t stride;
    unsigned workers, count;
};

int gh_counters_create(unsigned workers, unsigned count, struct gh_counters **ret);
void gh_counters_destroy(struct gh_counters *c);
uint64_t gh_counters_sum(const struct gh_counters *c, unsigned id); /* 0 for an unknown <id> */

static inline void gh_counters_add(struct gh_counters *c, unsigned worker, unsigned id, uint64_t n)
{
    uint64_t *slot = &c->slots[worker * c->stride + id];

    __atomic_store_n(slot, __atomic_load_n(slot, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED); /* single writer */
}

#endif
