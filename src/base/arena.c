#include "base/arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE 65536u

struct gh_arena_chunk {
    struct gh_arena_chunk *next;
    size_t used, size;
    alignas(max_align_t) unsigned char bytes[];
};

static struct gh_arena_chunk *chunk_create(size_t size)
{
    struct gh_arena_chunk *c;

    c = calloc(1, sizeof *c + size);
    if (c)
        c->size = size;
    return c;
}

void *gh_arena_alloc(struct gh_arena *a, size_t size)
{
    struct gh_arena_chunk *c = a->chunks;
    const size_t align = alignof(max_align_t);
    void *at;

    if (size > PTRDIFF_MAX / 2) /* no allocator has it, and the sums below cannot overflow */
        return NULL;
    size = size ? (size + align - 1) / align * align : align;
    if (!c || c->size - c->used < size) {
        bool own = size > CHUNK_SIZE / 4;

        c = chunk_create(own ? size : CHUNK_SIZE);
        if (!c)
            return NULL;
        if (own && a->chunks) { /* a large object does not end the chunk that small ones are filling */
            c->next = a->chunks->next;
            a->chunks->next = c;
        } else {
            c->next = a->chunks;
            a->chunks = c;
        }
    }
    at = c->bytes + c->used;
    c->used += size;
    return at;
}

void *gh_arena_array(struct gh_arena *a, size_t count, size_t size)
{
    size_t all;

    return __builtin_mul_overflow(count, size, &all) ? NULL : gh_arena_alloc(a, all);
}

char *gh_arena_copy(struct gh_arena *a, const void *data, size_t len)
{
    char *s = len < SIZE_MAX ? gh_arena_alloc(a, len + 1) : NULL;

    if (s && len)
        memcpy(s, data, len);
    return s;
}

void gh_arena_fini(struct gh_arena *a)
{
    if (!a)
        return;
    while (a->chunks) {
        struct gh_arena_chunk *c = a->chunks;

        a->chunks = c->next;
        explicit_bzero(c->bytes, c->used);
        free(c);
    }
}
