#include "loop/counters.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define LINE 64u /* bytes of a cache line: two workers never write to the same one */

int gh_counters_create(unsigned workers, unsigned count, struct gh_counters **ret)
{
    struct gh_counters *c;
    size_t row = (count * sizeof(uint64_t) + LINE - 1) / LINE * LINE, bytes = row * workers;

    if (workers == 0 || count == 0)
        return GH_ERR_RANGE;
    c = calloc(1, sizeof *c);
    if (!c)
        return GH_ERR_MEMORY;
    c->slots = aligned_alloc(LINE, bytes);
    if (!c->slots) {
        free(c);
        return GH_ERR_MEMORY;
    }
    memset(c->slots, 0, bytes);
    c->stride = row / sizeof(uint64_t);
    c->workers = workers;
    c->count = count;
    *ret = c;
    return 0;
}

void gh_counters_destroy(struct gh_counters *c)
{
    if (!c)
        return;
    free(c->slots);
    free(c);
}

uint64_t gh_counters_sum(const struct gh_counters *c, unsigned id)
{
    uint64_t sum = 0;

    if (id >= c->count)
        return 0;
    for (unsigned w = 0; w < c->workers; w++)
        sum += __atomic_load_n(&c->slots[w * c->stride + id], __ATOMIC_RELAXED);
    return sum;
}
