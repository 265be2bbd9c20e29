/* wire/utf8.h - is this UTF-8? (RFC 3629), asked of a text that comes in pieces */
#ifndef GH_WIRE_UTF8_H
#define GH_WIRE_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* Zeroes are the beginning of a text. */
struct gh_utf8 {
    uint8_t left;      /* bytes that the character under way still has */
    uint8_t low, high; /* what the next of them may be */
};

/* False as soon as no text can begin with what came so far; the state is of no use then. */
bool gh_utf8_feed(struct gh_utf8 *u, struct gh_span piece);

/* True when no character is cut. */
static inline bool gh_utf8_done(const struct gh_utf8 *u)
{
    return u->left == 0;
}

static inline bool gh_utf8_valid(struct gh_span text)
{
    struct gh_utf8 u = { 0 };

    return gh_utf8_feed(&u, text) && gh_utf8_done(&u);
}

#endif
