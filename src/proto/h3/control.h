/* proto/h3/control.h - the frames of the peer's control stream, one after the other (RFC 9114, section 7.1)
 *
 * PRIORITY_UPDATE frames (RFC 9218, section 7) are left out: nothing here has priorities, so to us their type is an unknown one,
 * which is skipped (RFC 9114, section 9); and the library fails an assertion when a piece ends right behind the element's id.
 */
#ifndef GH_PROTO_H3_CONTROL_H
#define GH_PROTO_H3_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* Starts as zeros, behind the stream's type. */
struct gh_h3_control {
    uint8_t head[16]; /* type and length of a frame that is not whole yet */
    uint8_t len;
    bool body, skip; /* in a frame's payload; one that is left out */
    bool begun;      /* a frame came before */
    bool number;     /* the payload is one number, and begins here */
    uint8_t push;    /* CANCEL_PUSH or MAX_PUSH_ID, whose number is <value> so far */
    uint64_t value, max_push_id;
    uint64_t left;   /* bytes of it to come */
};

/* Progress: takes bytes from <in>, advancing it. 1: <ret> is to be read next, good until the following call. 0: <in> is empty.
 * GH_ERR_MALFORMED: a frame of one number that is shorter or longer than the number, which the library would take.
 * GH_ERR_RANGE: a push is cancelled though none is ever promised or allowed here, or the largest push id went down. */
int gh_h3_control_next(struct gh_h3_control *c, struct gh_span *in, struct gh_span *ret);

#endif
