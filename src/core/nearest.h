/* core/nearest.h - "did you mean …?" */
#ifndef GH_CORE_NEAREST_H
#define GH_CORE_NEAREST_H

#include <stddef.h>

struct gh_nearest {
    const char *word;
    size_t len;
    const char *best; /* NULL when nothing offered is near enough: a third of the word's letters, two at least */
    size_t distance;
};

struct gh_nearest gh_nearest_of(const char *word, size_t len);
void gh_nearest_offer(struct gh_nearest *n, const char *candidate);

#endif
