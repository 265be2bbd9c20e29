/* crypto/heap.h - where the library of crypto/ gets its memory */
#ifndef GH_CRYPTO_HEAP_H
#define GH_CRYPTO_HEAP_H

#include <stddef.h>

struct gh_crypto_heap {
    void *(*take)(size_t len, const char *file, int line); /* the last two say who asks, and may be NULL and 0 */
    void *(*resize)(void *p, size_t len, const char *file, int line);
    void (*give)(void *p, const char *file, int line);
};

/* Once, before anything of crypto/ is used in the process. 0 or GH_ERR_STATE. */
int gh_crypto_heap_set(const struct gh_crypto_heap *h);

#endif
