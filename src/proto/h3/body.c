#include "proto/h3/body.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct gh_h3_chunk {
    struct gh_h3_chunk *next;
    size_t len;
    uint8_t data[];
};

int gh_h3_body_append(struct gh_h3_body *b, struct gh_span data)
{
    struct gh_h3_chunk *c;

    if (data.len == 0)
        return 0;
    c = malloc(sizeof *c + data.len);
    if (!c)
        return GH_ERR_MEMORY;
    c->next = NULL;
    c->len = data.len;
    memcpy(c->data, data.data, data.len);
    if (b->last)
        b->last->next = c;
    else
        b->first = c;
    b->last = c;
    if (!b->unsent)
        b->unsent = c;
    b->buffered += data.len;
    return 0;
}

size_t gh_h3_body_next(struct gh_h3_body *b, nghttp3_vec *vec, size_t cap)
{
    size_t n = 0;

    for (; b->unsent && n < cap; b->unsent = b->unsent->next, n++)
        vec[n] = (nghttp3_vec){ b->unsent->data, b->unsent->len };
    return n;
}

void gh_h3_body_acknowledge(struct gh_h3_body *b, size_t bytes)
{
    struct gh_h3_chunk *c;

    b->acked += bytes;
    while (b->first && b->acked >= b->first->len && b->first != b->unsent) {
        c = b->first;
        b->acked -= c->len;
        b->buffered -= c->len;
        b->first = c->next;
        if (!b->first)
            b->last = NULL;
        free(c);
    }
}

void gh_h3_body_fini(struct gh_h3_body *b)
{
    struct gh_h3_chunk *next;

    for (struct gh_h3_chunk *c = b->first; c; c = next) {
        next = c->next;
        free(c);
    }
    *b = (struct gh_h3_body){ 0 };
}
