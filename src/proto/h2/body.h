/* proto/h2/body.h - body bytes from when the application gives them until they are in a frame
 *
 * Starts as zeros.
 */
#ifndef GH_PROTO_H2_BODY_H
#define GH_PROTO_H2_BODY_H

#include "base/span.h"

struct gh_h2_body {
    uint8_t *buf;
    size_t at, len, cap; /* <len> bytes from <at> on wait */
};

/* Copies. 0 or GH_ERR_MEMORY. */
int gh_h2_body_append(struct gh_h2_body *b, struct gh_span data);
/* Moves up to <cap> bytes to <buf>: how many. */
size_t gh_h2_body_take(struct gh_h2_body *b, uint8_t *buf, size_t cap);
void gh_h2_body_fini(struct gh_h2_body *b);

#endif
