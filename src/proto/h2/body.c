#include "proto/h2/body.h"

#include <stdlib.h>

#include "base/error.h"

#define KEPT 32768u /* an empty buffer above this is given back */

int gh_h2_body_append(struct gh_h2_body *b, struct gh_span data)
{
    size_t cap = b->cap ? b->cap : 4096;
    uint8_t *buf;

    if (data.len == 0)
        return 0;
    if (b->at + b->len + data.len > b->cap) {
        if (b->at > 0 && b->len > 0)
            memmove(b->buf, b->buf + b->at, b->len);
        b->at = 0;
        while (cap < b->len + data.len)
            cap *= 2;
        if (b->cap > 0 && b->len + data.len > b->cap / 2) /* else one byte at a time would move all the others each time */
            cap = cap > b->cap ? cap : b->cap * 2;
        if (cap > b->cap) {
            buf = realloc(b->buf, cap);
            if (!buf)
                return GH_ERR_MEMORY;
            b->buf = buf;
            b->cap = cap;
        }
    }
    memcpy(b->buf + b->at + b->len, data.data, data.len);
    b->len += data.len;
    return 0;
}

size_t gh_h2_body_take(struct gh_h2_body *b, uint8_t *buf, size_t cap)
{
    size_t n = b->len < cap ? b->len : cap;

    if (n == 0)
        return 0;
    memcpy(buf, b->buf + b->at, n);
    b->at += n;
    b->len -= n;
    if (b->len == 0) {
        b->at = 0;
        if (b->cap > KEPT)
            gh_h2_body_fini(b);
    }
    return n;
}

void gh_h2_body_fini(struct gh_h2_body *b)
{
    free(b->buf);
    *b = (struct gh_h2_body){ 0 };
}
