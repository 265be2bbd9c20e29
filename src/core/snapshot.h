/* core/snapshot.h - an immutable value that all workers read and one thread replaces
 *
 * A reader (one a worker) holds the version that it uses; refreshing costs one atomic load while nothing changes. A version is
 * destroyed when the last of its holders has let go, on that holder's thread.
 *
 *     struct policy *p = gh_snapshot_refresh(&node->policy, &worker->policy);   once a batch; p is good until the next
 */
#ifndef GH_CORE_SNAPSHOT_H
#define GH_CORE_SNAPSHOT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gh_snapshot_version; /* counted */

struct gh_snapshot {
    pthread_mutex_t lock;
    struct gh_snapshot_version *current;
    _Atomic uint64_t generation; /* of <current>; 0: none yet */
};

/* Zero-initialised before its first refresh. */
struct gh_snapshot_reader {
    struct gh_snapshot_version *held;
    uint64_t generation;
};

int gh_snapshot_init(struct gh_snapshot *s);
/* Lets go of the current version; readers keep theirs. */
void gh_snapshot_fini(struct gh_snapshot *s);
/* Takes <value> over; <destroy> runs when its last holder lets go. 0 or GH_ERR_MEMORY, <value> then stays the caller's. */
int gh_snapshot_swap(struct gh_snapshot *s, void *value, void (*destroy)(void *value));
/* The current value, NULL before the first swap. The reader's former version is let go. */
void *gh_snapshot_refresh(struct gh_snapshot *s, struct gh_snapshot_reader *r);
/* The version that the reader holds, whatever came since; NULL for none. */
void *gh_snapshot_held(const struct gh_snapshot_reader *r);
/* The reader holds nothing any more. */
void gh_snapshot_release(struct gh_snapshot_reader *r);

static inline bool gh_snapshot_changed(const struct gh_snapshot *s, const struct gh_snapshot_reader *r)
{
    return atomic_load_explicit(&s->generation, memory_order_acquire) != r->generation;
}

static inline uint64_t gh_snapshot_generation(const struct gh_snapshot *s)
{
    return atomic_load_explicit(&s->generation, memory_order_acquire);
}

#endif
