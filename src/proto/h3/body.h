/* proto/h3/body.h - body bytes of a stream from when the application gives them until the peer has acknowledged them
 *
 * Starts as zeros. The bytes stay where they are meanwhile, so that the library may send them again.
 */
#ifndef GH_PROTO_H3_BODY_H
#define GH_PROTO_H3_BODY_H

#include <nghttp3/nghttp3.h>

#include "base/span.h"

struct gh_h3_chunk;

struct gh_h3_body {
    struct gh_h3_chunk *first, *last; /* from the oldest unacknowledged on */
    struct gh_h3_chunk *unsent;
    size_t acked;    /* bytes of <first> that were acknowledged */
    size_t buffered; /* bytes of all chunks */
};

/* Copies. 0 or GH_ERR_MEMORY. */
int gh_h3_body_append(struct gh_h3_body *b, struct gh_span data);
/* Up to <cap> pieces that were not sent yet; they count as sent. The number. */
size_t gh_h3_body_next(struct gh_h3_body *b, nghttp3_vec *vec, size_t cap);
void gh_h3_body_acknowledge(struct gh_h3_body *b, size_t bytes);
void gh_h3_body_fini(struct gh_h3_body *b);

#endif
