/* proto/forward/segment.h - cuts what a TUN handed over in one piece into packets that a tunnel carries
 *
 * The payload never moves. A segment's header is written over the tail of the segment before it, which therefore must have
 * been used up (sealed into a datagram, or copied):
 *
 *     buffer   | header | payload 1 | payload 2 | payload 3 |
 *     first    [ header   payload 1 ]
 *     second              [   header' payload 2 ]               the end of payload 1 is gone
 *
 * All bytes in front of a returned segment, from the buffer's start, may be overwritten by the caller.
 */
#ifndef GH_PROTO_FORWARD_SEGMENT_H
#define GH_PROTO_FORWARD_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/offload.h"
#include "base/span.h"
#include "proto/forward/layout.h"

/* IPv6 with the longest options that layout.h walks, and the longest TCP header. */
#define GH_SEGMENT_HEADER_MAX 576u

struct gh_segment {
    uint8_t *packet;
    size_t len;
    size_t at;       /* offset of the next payload byte */
    size_t size;     /* payload bytes of a segment */
    uint32_t number; /* of the next segment */
    bool whole;      /* kind none: one packet, the checksum is finished by init */
    bool done;
    struct gh_layout layout;
    uint64_t address_sum; /* pseudo header without its length */
    uint8_t header[GH_SEGMENT_HEADER_MAX];
};

/* <packet> is written to. A packet of kind none comes out once, its checksum finished when <o> asks for it. For TCP the caller
 * may lower <o>'s segment_size first, when the tunnel carries less than the TUN promised; for UDP never.
 * 0, GH_ERR_MALFORMED when headers and <o> disagree, GH_ERR_UNSUPPORTED for headers that layout.h does not walk. */
int gh_segment_init(struct gh_segment *it, uint8_t *packet, size_t len, const struct gh_offload *o);
/* How many segments init prepared; at least 1. */
size_t gh_segment_count(const struct gh_segment *it);
/* The next packet, complete with checksums, contiguous in the buffer, valid until the next call. 1, or 0 after the last. */
int gh_segment_next(struct gh_segment *it, struct gh_span *ret);

#endif
