#include "priv/heap.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/heap.h"

static bool wipes; /* written while the process has one thread */

static void *take(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(len);
}

static void give(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    if (wipes && p)
        explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

static void *resize(void *p, size_t len, const char *file, int line)
{
    size_t old;
    void *other;

    if (!wipes || !p)
        return realloc(p, len);
    if (len == 0) {
        give(p, file, line);
        return NULL;
    }
    old = malloc_usable_size(p);
    other = malloc(len);
    if (!other)
        return NULL;
    memcpy(other, p, old < len ? old : len);
    give(p, file, line);
    return other;
}

int gh_heap_wipe(void)
{
    static const struct gh_crypto_heap heap = { take, resize, give };

    wipes = true;
    return gh_crypto_heap_set(&heap);
}

void gh_heap_wipe_no_more(void)
{
    wipes = false;
}
