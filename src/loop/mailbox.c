#include "loop/mailbox.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct slot {
    _Atomic size_t turn;
    void *item;
};

struct gh_ring {
    size_t mask;
    struct slot *slots;
    _Alignas(64) _Atomic size_t tail; /* where the next one is put */
    _Alignas(64) size_t head;         /* the taker's */
};

int gh_ring_create(size_t slots, struct gh_ring **ret)
{
    struct gh_ring *r;
    size_t n = 2;

    while (n < slots && n < (1u << 24))
        n *= 2;
    r = aligned_alloc(64, (sizeof *r + 63) / 64 * 64);
    if (!r)
        return GH_ERR_MEMORY;
    memset(r, 0, sizeof *r);
    r->mask = n - 1;
    r->slots = calloc(n, sizeof *r->slots);
    if (!r->slots) {
        free(r);
        return GH_ERR_MEMORY;
    }
    for (size_t i = 0; i < n; i++)
        atomic_init(&r->slots[i].turn, i);
    *ret = r;
    return 0;
}

void gh_ring_destroy(struct gh_ring *r)
{
    if (!r)
        return;
    free(r->slots);
    free(r);
}

size_t gh_ring_slots(const struct gh_ring *r)
{
    return r->mask + 1;
}

bool gh_ring_put(struct gh_ring *r, void *item)
{
    size_t at = atomic_load_explicit(&r->tail, memory_order_relaxed);

    for (;;) {
        struct slot *s = &r->slots[at & r->mask];
        size_t turn = atomic_load_explicit(&s->turn, memory_order_acquire);

        if (turn == at) { /* free in this round: claim the position, then fill it */
            if (!atomic_compare_exchange_weak_explicit(&r->tail, &at, at + 1, memory_order_relaxed, memory_order_relaxed))
                continue;
            s->item = item;
            atomic_store_explicit(&s->turn, at + 1, memory_order_release);
            return true;
        }
        if ((ptrdiff_t)(turn - at) < 0) /* still holds what was put a round ago */
            return false;
        at = atomic_load_explicit(&r->tail, memory_order_relaxed);
    }
}

void *gh_ring_take(struct gh_ring *r)
{
    struct slot *s = &r->slots[r->head & r->mask];
    void *item;

    if (atomic_load_explicit(&s->turn, memory_order_acquire) != r->head + 1)
        return NULL;
    item = s->item;
    atomic_store_explicit(&s->turn, r->head + r->mask + 1, memory_order_release); /* free for the next round */
    r->head++;
    return item;
}

size_t gh_ring_mark(const struct gh_ring *r)
{
    return atomic_load_explicit(&r->tail, memory_order_acquire);
}

bool gh_ring_passed(const struct gh_ring *r, size_t mark)
{
    return (ptrdiff_t)(r->head - mark) >= 0;
}
