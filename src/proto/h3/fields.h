/* proto/h3/fields.h - names and values that make a message malformed (RFC 9114, sections 4.2 and 10.3)
 *
 * The library leaves a field out when its name or value has a character that none may have, and tells nobody. So the sections of
 * every stream are decoded here first; what is wrong with them otherwise is the library's to say.
 */
#ifndef GH_PROTO_H3_FIELDS_H
#define GH_PROTO_H3_FIELDS_H

#include <nghttp3/nghttp3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* Of one stream. Starts as zeros. */
struct gh_h3_fields {
    uint8_t head[16]; /* type and length of a frame that is not whole yet */
    uint8_t len;
    uint64_t left;    /* bytes of its payload to come */
    nghttp3_qpack_stream_context *section; /* while a field section arrives */
};

/* Bytes of a request stream, before the library gets them; <dec> is for this alone and has no dynamic table.
 * 0, GH_ERR_MALFORMED or GH_ERR_MEMORY. */
int gh_h3_fields_feed(struct gh_h3_fields *f, nghttp3_qpack_decoder *dec, int64_t stream, struct gh_span data);
void gh_h3_fields_fini(struct gh_h3_fields *f);

#endif
