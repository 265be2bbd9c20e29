/* proto/quic/congestion.h - how much may be in flight where the packets inside govern themselves
 *
 * What goes through a tunnel is mostly TCP and QUIC, which answer losses themselves. A second controller that answers the same losses takes from them
 * what they would reach without a tunnel (docs/internals/congestion.md has the figures), so RFC 9484, section 10, lets it be left out for datagrams. It
 * is not left out here, it is loose: losses are borne, and the window is a multiple of what the path is seen to deliver in its shortest round trip.
 * More than that would only stand in a queue of the path; it waits in ours, where flows take turns.
 *
 * What does not answer losses shows: they go on. After three spells in a row of more than a tenth lost, or a mark of congestion, the controller is strict,
 * which means CUBIC (congestion_glue.c), and tries again later to be loose.
 *
 * A round is a smoothed round-trip time. Nanoseconds and bytes. No ngtcp2 in here.
 */
#ifndef GH_PROTO_QUIC_CONGESTION_H
#define GH_PROTO_QUIC_CONGESTION_H

#include <stdbool.h>
#include <stdint.h>

struct gh_quic_congestion {
    bool strict;
    int64_t strict_until, strict_time; /* how long the next time */
    int64_t rtt_min, round_rtt_min;    /* of the path; of this round. INT64_MAX: not known */
    int64_t round_end;
    unsigned long_rounds;              /* in a row, in which no packet was as fast as the window should let all be */
    uint64_t rate[2];                  /* the highest of these rounds and of those before, bytes a second */
    unsigned rate_rounds;
    unsigned spell_rounds, bad_spells;
    uint64_t delivered;                /* since the beginning, or since silence */
    uint64_t spell_delivered, spell_lost;
};

/* What an acknowledgement told. */
struct gh_quic_delivery {
    int64_t rtt, smoothed_rtt; /* <rtt> INT64_MAX: none */
    uint64_t rate;             /* bytes a second, at which the newest packet of it was delivered; 0: not known */
    uint64_t delivered;        /* bytes */
};

/* Also for a path that is new. */
void gh_quic_congestion_init(struct gh_quic_congestion *c);
void gh_quic_congestion_on_ack(struct gh_quic_congestion *c, const struct gh_quic_delivery *d, int64_t now);
/* Bytes that are given up, whether an acknowledgement or time says so. */
void gh_quic_congestion_on_lost(struct gh_quic_congestion *c, uint64_t bytes);
/* A packet came out of the path with a mark (RFC 3168). */
void gh_quic_congestion_on_mark(struct gh_quic_congestion *c, int64_t now);
/* Nothing arrived for long (RFC 9002, section 7.6). */
void gh_quic_congestion_on_silence(struct gh_quic_congestion *c);
/* While loose; <payload> is the largest UDP payload of the path. */
uint64_t gh_quic_congestion_window(const struct gh_quic_congestion *c, uint64_t payload);

#endif
