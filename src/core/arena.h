/* core/arena.h - memory that is given back all at once, and wiped then, because it may have held a secret */
#ifndef GH_CORE_ARENA_H
#define GH_CORE_ARENA_H

#include <stddef.h>

struct gh_arena_chunk;

struct gh_arena {
    struct gh_arena_chunk *chunks;
};

/* Zeroed and aligned for every type; NULL without memory. */
void *gh_arena_alloc(struct gh_arena *a, size_t size);
/* <len> bytes and a NUL. */
char *gh_arena_copy(struct gh_arena *a, const void *data, size_t len);
void gh_arena_fini(struct gh_arena *a);

#endif
