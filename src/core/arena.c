#include "core/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 16384u

struct gh_arena_chunk {
    struct gh_arena_chunk *next;
    size_t used, size;
    alignas(max_align_t) uint8_t data[];
};

void *gh_arena_alloc(struct gh_arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    struct gh_arena_chunk *c = a->chunks;
    void *p;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + align - 1) / align * align;
    if (!c || c->size - c->used < size) {
        size_t want = size > CHUNK ? size : CHUNK;

        c = calloc(1, sizeof *c + want);
        if (!c)
            return NULL;
        c->size = want;
        c->next = a->chunks;
        a->chunks = c;
    }
    p = c->data + c->used;
    c->used += size;
    return p;
}

char *gh_arena_copy(struct gh_arena *a, const void *data, size_t len)
{
    char *p = gh_arena_alloc(a, len + 1);

    if (p && len)
        memcpy(p, data, len);
    return p;
}

void gh_arena_fini(struct gh_arena *a)
{
    for (struct gh_arena_chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        explicit_bzero(c->data, c->used);
        free(c);
    }
    a->chunks = NULL;
}
