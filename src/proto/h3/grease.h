/* proto/h3/grease.h - reserved settings, frames and streams, so that peers keep ignoring what they do not know (RFC 9114, sections 6.2.3,
 * 7.2.4.1 and 7.2.8)
 *
 * The library writes SETTINGS and hides how. Its first bytes of the control stream are replaced by longer ones: a reserved setting at
 * the end of the frame, a reserved frame behind it; what it is told of bytes sent and acknowledged is corrected. A reserved stream
 * is opened beside those that the protocol needs when the peer allows one more.
 */
#ifndef GH_PROTO_H3_GREASE_H
#define GH_PROTO_H3_GREASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct gh_h3_grease {
    int64_t control, stream; /* ids; stream -1: none */
    uint64_t noise;
    uint8_t head[192]; /* of the control stream */
    size_t head_len, theirs, head_sent, head_acked; /* <theirs>: bytes of the library that head stands for; 0: not replaced */
    uint8_t extra[32];
    size_t extra_len, extra_sent;
    bool asked; /* the library's first bytes were seen */
};

void gh_h3_grease_init(struct gh_h3_grease *g, int64_t control, int64_t stream, uint64_t noise);
/* What the library wants to send on a stream: perhaps replaced. The number of spans. */
int gh_h3_grease_replace(struct gh_h3_grease *g, int64_t stream, struct gh_span *spans, int count);
/* Bytes of the reserved stream; empty when all are sent. */
struct gh_span gh_h3_grease_extra(const struct gh_h3_grease *g);
void gh_h3_grease_give_up(struct gh_h3_grease *g); /* the reserved stream cannot be sent on */
/* Of <bytes> sent or acknowledged, those that the library must be told. */
size_t gh_h3_grease_sent(struct gh_h3_grease *g, int64_t stream, size_t bytes);
size_t gh_h3_grease_acked(struct gh_h3_grease *g, int64_t stream, size_t bytes);

#endif
