#include "core/nearest.h"

#include <string.h>

#define WORD_MAX 64u

struct gh_nearest gh_nearest_of(const char *word, size_t len)
{
    size_t allowed = len / 3 > 2 ? len / 3 : 2;

    return (struct gh_nearest){ .word = word, .len = len, .distance = allowed + 1 };
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Letters to insert, remove, replace or swap with their neighbour. */
static size_t distance(const char *a, size_t alen, const char *b, size_t blen)
{
    size_t rows[3][WORD_MAX + 1], *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= blen; j++)
        last[j] = before[j] = j;
    for (size_t i = 1; i <= alen; i++) {
        size_t *spare = before;

        row[0] = i;
        for (size_t j = 1; j <= blen; j++) {
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        before = last;
        last = row;
        row = spare;
    }
    return last[blen];
}

void gh_nearest_offer(struct gh_nearest *n, const char *candidate)
{
    size_t len = strlen(candidate), d;

    if (n->len > WORD_MAX || len > WORD_MAX || n->len == 0)
        return;
    d = distance(n->word, n->len, candidate, len);
    if (d < n->distance && d < len) {
        n->distance = d;
        n->best = candidate;
    }
}
