/* base/arena.h - memory that is given back all at once
 *
 * For thousands of small objects that live and die together. A zeroed struct gh_arena is an empty arena. What it held is wiped, since
 * it may have been a secret.
 */
#ifndef GH_BASE_ARENA_H
#define GH_BASE_ARENA_H

#include <stddef.h>

struct gh_arena_chunk;

struct gh_arena {
    struct gh_arena_chunk *chunks;
};

/* Zeroed, aligned for every type; valid until gh_arena_fini. Never NULL for 0 bytes; NULL without memory. */
void *gh_arena_alloc(struct gh_arena *a, size_t size);
/* The same for <count> objects of <size> bytes; NULL also when the product overflows. */
void *gh_arena_array(struct gh_arena *a, size_t count, size_t size);
/* A copy of <len> bytes with a NUL behind them. */
char *gh_arena_copy(struct gh_arena *a, const void *data, size_t len);
void gh_arena_fini(struct gh_arena *a);

#endif
