#include "core/ready.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct gh_ready {
    pthread_mutex_t lock;
    size_t count;
    struct gh_ready_check checks[GH_READY_MAX];
};

int gh_ready_create(struct gh_ready **ret)
{
    struct gh_ready *r = calloc(1, sizeof *r);

    if (!r)
        return GH_ERR_MEMORY;
    pthread_mutex_init(&r->lock, NULL);
    *ret = r;
    return 0;
}

void gh_ready_destroy(struct gh_ready *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* Locking changes no check. */
static pthread_mutex_t *lock_of(const struct gh_ready *r)
{
    return &((struct gh_ready *)(uintptr_t)r)->lock;
}

int gh_ready_register(struct gh_ready *r, const char *name)
{
    int n = GH_ERR_FULL;

    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->count && n < 0; i++)
        if (strcmp(r->checks[i].name, name) == 0)
            n = (int)i;
    if (n < 0 && r->count < GH_READY_MAX) {
        n = (int)r->count++;
        r->checks[n].name = name;
        snprintf(r->checks[n].why, GH_READY_WHY, "not up yet");
    }
    pthread_mutex_unlock(&r->lock);
    return n;
}

void gh_ready_set(struct gh_ready *r, int check, bool ok, const char *why)
{
    pthread_mutex_lock(&r->lock);
    if (check >= 0 && (size_t)check < r->count) {
        r->checks[check].ok = ok;
        snprintf(r->checks[check].why, GH_READY_WHY, "%s", !ok && why ? why : "");
    }
    pthread_mutex_unlock(&r->lock);
}

bool gh_ready_all(const struct gh_ready *r)
{
    bool all = true;

    pthread_mutex_lock(lock_of(r));
    for (size_t i = 0; i < r->count; i++)
        all = all && r->checks[i].ok;
    pthread_mutex_unlock(lock_of(r));
    return all;
}

size_t gh_ready_list(const struct gh_ready *r, struct gh_ready_check *ret, size_t max)
{
    size_t count;

    pthread_mutex_lock(lock_of(r));
    count = r->count < max ? r->count : max;
    memcpy(ret, r->checks, count * sizeof *ret);
    pthread_mutex_unlock(lock_of(r));
    return count;
}
