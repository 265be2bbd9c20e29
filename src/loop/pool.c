#include "loop/pool.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

#define ALIGN 64u

struct gh_packet_pool {
    struct gh_worker *owner;
    size_t headroom, stride, max;
    size_t born; /* buffers that were ever handed out; the memory behind them is not touched yet */
    size_t out;
    uint8_t *slab; /* max * stride: the struct, then its buffer */
    struct gh_packet *free;
    _Atomic uint64_t empty;
    /* Given back by other threads. They only push and the owner only takes all at once, so no node can come back between
     * a reader's look and its exchange. */
    _Alignas(ALIGN) _Atomic(struct gh_packet *) returned;
};

static size_t head_size(void)
{
    return (sizeof(struct gh_packet) + ALIGN - 1) / ALIGN * ALIGN;
}

int gh_packet_pool_create(const struct gh_packet_pool_config *cfg, struct gh_packet_pool **ret)
{
    struct gh_packet_pool *p;
    size_t buffer;

    if (cfg->size < 64 || cfg->size > (1u << 20) || cfg->headroom > 65536 || cfg->max == 0 || cfg->max > (1u << 24))
        return GH_ERR_RANGE;
    buffer = (cfg->size + cfg->headroom + ALIGN - 1) / ALIGN * ALIGN;
    p = aligned_alloc(ALIGN, (sizeof *p + ALIGN - 1) / ALIGN * ALIGN);
    if (!p)
        return GH_ERR_MEMORY;
    memset(p, 0, sizeof *p);
    p->owner = cfg->owner;
    p->headroom = cfg->headroom;
    p->max = cfg->max;
    p->stride = head_size() + buffer;
    p->slab = mmap(NULL, p->stride * p->max, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->slab == MAP_FAILED) {
        free(p);
        return GH_ERR_MEMORY;
    }
    *ret = p;
    return 0;
}

static void take_returned(struct gh_packet_pool *p)
{
    struct gh_packet *k = atomic_exchange_explicit(&p->returned, NULL, memory_order_acquire);

    while (k) {
        struct gh_packet *next = k->next;

        k->next = p->free;
        p->free = k;
        p->out--;
        k = next;
    }
}

void gh_packet_pool_destroy(struct gh_packet_pool *p)
{
    if (!p)
        return;
    munmap(p->slab, p->stride * p->max);
    free(p);
}

struct gh_packet *gh_packet_get(struct gh_packet_pool *p)
{
    struct gh_packet *k;

    if (!p->free)
        take_returned(p);
    k = p->free;
    if (k) {
        p->free = k->next;
    } else if (p->born < p->max) {
        k = (struct gh_packet *)(void *)(p->slab + p->born++ * p->stride);
        k->pool = p;
        k->start = (uint8_t *)k + head_size();
        k->end = (uint8_t *)k + p->stride;
    } else {
        atomic_fetch_add_explicit(&p->empty, 1, memory_order_relaxed);
        return NULL;
    }
    p->out++;
    k->next = NULL;
    k->owner = NULL;
    k->tag = 0;
    k->len = 0;
    k->data = k->start + p->headroom;
    return k;
}

void gh_packet_put(struct gh_packet *k, const struct gh_worker *here)
{
    struct gh_packet_pool *p;
    struct gh_packet *head;

    if (!k)
        return;
    p = k->pool;
    if (here && here == p->owner) {
        k->next = p->free;
        p->free = k;
        p->out--;
        return;
    }
    head = atomic_load_explicit(&p->returned, memory_order_relaxed);
    do
        k->next = head;
    while (!atomic_compare_exchange_weak_explicit(&p->returned, &head, k, memory_order_release, memory_order_relaxed));
}

uint64_t gh_packet_pool_empty(const struct gh_packet_pool *p)
{
    return atomic_load_explicit(&p->empty, memory_order_relaxed);
}

size_t gh_packet_pool_out(struct gh_packet_pool *p)
{
    take_returned(p);
    return p->out;
}
