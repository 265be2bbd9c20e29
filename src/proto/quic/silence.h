/* proto/quic/silence.h - when a path that answers nothing is asked again
 *
 * The library doubles the pause between its probes (RFC 9002, section 6.2.1): after a few dark seconds the next one may be seconds
 * away, while packets wait. While datagrams are in flight and none is acknowledged, a probe goes out at least every <interval>, for the
 * first sixteen; then pauses double here too.
 */
#ifndef GH_PROTO_QUIC_SILENCE_H
#define GH_PROTO_QUIC_SILENCE_H

#include <stdint.h>

struct gh_quic_silence {
    int64_t since;        /* of the last acknowledgement, or of the first datagram after that; 0: nothing in flight */
    int64_t asked;        /* when the last probe was sent */
    uint64_t outstanding; /* datagrams neither acknowledged nor lost */
    unsigned probes;      /* since then */
};

void gh_quic_silence_on_sent(struct gh_quic_silence *s, int64_t now);
/* A datagram was acknowledged or declared lost: either way the peer said something. */
void gh_quic_silence_on_told(struct gh_quic_silence *s, int64_t now);
void gh_quic_silence_on_probe(struct gh_quic_silence *s, int64_t now);
/* When to probe, INT64_MAX for never. <interval> 0: never. */
int64_t gh_quic_silence_deadline(const struct gh_quic_silence *s, int64_t interval);

#endif
