/* base/tally.h - numbers that one thread changes while others look
 *
 * A number has one writer, which may read it as it is; anybody else reads it with gh_tally_read*. None of them says anything about another.
 */
#ifndef GH_BASE_TALLY_H
#define GH_BASE_TALLY_H

#include <stdint.h>

static inline void gh_tally_add(uint64_t *n, uint64_t by)
{
    __atomic_store_n(n, *n + by, __ATOMIC_RELAXED);
}

static inline uint64_t gh_tally_read(const uint64_t *n)
{
    return __atomic_load_n(n, __ATOMIC_RELAXED);
}

static inline void gh_tally_set32(uint32_t *n, uint32_t to)
{
    __atomic_store_n(n, to, __ATOMIC_RELAXED);
}

static inline uint32_t gh_tally_read32(const uint32_t *n)
{
    return __atomic_load_n(n, __ATOMIC_RELAXED);
}

#endif
