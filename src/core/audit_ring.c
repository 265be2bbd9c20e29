#include "core/audit_ring.h"

#include <stdlib.h>

#include "base/error.h"

int gh_audit_ring_init(struct gh_audit_ring *r, size_t records)
{
    size_t n = 2;

    while (n < records)
        n *= 2;
    r->slots = calloc(n, sizeof *r->slots);
    if (!r->slots)
        return GH_ERR_MEMORY;
    r->mask = n - 1;
    for (size_t i = 0; i < n; i++)
        atomic_init(&r->slots[i].turn, i);
    atomic_init(&r->tail, 0);
    atomic_init(&r->head, 0);
    return 0;
}

void gh_audit_ring_fini(struct gh_audit_ring *r)
{
    free(r->slots);
    r->slots = NULL;
}

struct gh_audit_slot *gh_audit_ring_claim(struct gh_audit_ring *r, size_t *ret)
{
    size_t number = atomic_load_explicit(&r->tail, memory_order_relaxed);

    for (;;) {
        struct gh_audit_slot *slot = &r->slots[number & r->mask];
        ptrdiff_t ahead = (ptrdiff_t)(atomic_load_explicit(&slot->turn, memory_order_acquire) - number);

        if (ahead < 0)
            return NULL; /* still holds the line of a round ago */
        if (ahead > 0) {
            number = atomic_load_explicit(&r->tail, memory_order_relaxed); /* another thread was faster */
            continue;
        }
        if (atomic_compare_exchange_weak_explicit(&r->tail, &number, number + 1, memory_order_relaxed, memory_order_relaxed)) {
            *ret = number;
            return slot;
        }
    }
}

void gh_audit_ring_publish(struct gh_audit_slot *slot, size_t number)
{
    atomic_store_explicit(&slot->turn, number + 1, memory_order_seq_cst);
}

struct gh_audit_slot *gh_audit_ring_peek(struct gh_audit_ring *r)
{
    size_t number = atomic_load_explicit(&r->head, memory_order_relaxed);
    struct gh_audit_slot *slot = &r->slots[number & r->mask];

    return atomic_load_explicit(&slot->turn, memory_order_seq_cst) == number + 1 ? slot : NULL;
}

void gh_audit_ring_consume(struct gh_audit_ring *r)
{
    size_t number = atomic_load_explicit(&r->head, memory_order_relaxed);

    atomic_store_explicit(&r->slots[number & r->mask].turn, number + r->mask + 1, memory_order_release);
    atomic_store_explicit(&r->head, number + 1, memory_order_relaxed);
}

size_t gh_audit_ring_count(const struct gh_audit_ring *r)
{
    return atomic_load_explicit(&r->tail, memory_order_relaxed) - atomic_load_explicit(&r->head, memory_order_relaxed);
}
