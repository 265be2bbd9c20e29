#include "core/snapshot.h"

#include <stdlib.h>

#include "base/error.h"

struct gh_snapshot_version {
    _Atomic unsigned holders;
    uint64_t generation;
    void *value;
    void (*destroy)(void *value);
};

int gh_snapshot_init(struct gh_snapshot *s)
{
    s->current = NULL;
    atomic_init(&s->generation, 0);
    return pthread_mutex_init(&s->lock, NULL) == 0 ? 0 : GH_ERR_SYSTEM;
}

static void version_put(struct gh_snapshot_version *v)
{
    /* release: what this holder did with the value comes before its end; acquire: the last one sees it */
    if (!v || atomic_fetch_sub_explicit(&v->holders, 1, memory_order_acq_rel) != 1)
        return;
    if (v->destroy)
        v->destroy(v->value);
    free(v);
}

void gh_snapshot_fini(struct gh_snapshot *s)
{
    version_put(s->current);
    s->current = NULL;
    pthread_mutex_destroy(&s->lock);
}

int gh_snapshot_swap(struct gh_snapshot *s, void *value, void (*destroy)(void *value))
{
    struct gh_snapshot_version *v = malloc(sizeof *v), *before;

    if (!v)
        return GH_ERR_MEMORY;
    atomic_init(&v->holders, 1);
    v->value = value;
    v->destroy = destroy;
    pthread_mutex_lock(&s->lock);
    v->generation = atomic_load_explicit(&s->generation, memory_order_relaxed) + 1;
    before = s->current;
    s->current = v;
    atomic_store_explicit(&s->generation, v->generation, memory_order_release);
    pthread_mutex_unlock(&s->lock);
    version_put(before);
    return 0;
}

void *gh_snapshot_refresh(struct gh_snapshot *s, struct gh_snapshot_reader *r)
{
    struct gh_snapshot_version *before = r->held;

    if (!gh_snapshot_changed(s, r))
        return r->held ? r->held->value : NULL;
    /* Under the lock the current version cannot lose its last holder before it is counted here. */
    pthread_mutex_lock(&s->lock);
    r->held = s->current;
    atomic_fetch_add_explicit(&r->held->holders, 1, memory_order_relaxed);
    r->generation = r->held->generation;
    pthread_mutex_unlock(&s->lock);
    version_put(before);
    return r->held->value;
}

void *gh_snapshot_held(const struct gh_snapshot_reader *r)
{
    return r->held ? r->held->value : NULL;
}

void gh_snapshot_release(struct gh_snapshot_reader *r)
{
    version_put(r->held);
    *r = (struct gh_snapshot_reader){ 0 };
}
