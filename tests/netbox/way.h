/* tests/netbox/way.h - one direction of a cable that can be spoilt
 *
 * Packets go in with the time at which they came and come out when they are due. Order is kept, whatever the jitter, but for
 * the packets that "reorder" picks. The same seed and the same packets give the same fate.
 */
#ifndef GH_NETBOX_WAY_H
#define GH_NETBOX_WAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/offload.h"
#include "base/span.h"

#define WAY_PACKETS_MAX 65536u /* in flight */
#define WAY_NEVER INT64_MAX

struct way_settings {
    double delay, jitter;             /* milliseconds; jitter is added, 0 to <jitter> */
    double loss;                      /* 0..1, each packet for itself */
    double burst, burst_length;       /* chance that a burst of losses begins with a packet; packets of a burst, on average */
    double reorder, reorder_delay;    /* 0..1; milliseconds more, so that others overtake */
    double duplicate;                 /* 0..1 */
    double rate, queue;               /* bits per second, 0: no limit; bytes that may wait for it */
    double mtu;                       /* bytes of an IP packet, 0: no limit */
    double icmp;                      /* 1: the sender of a larger packet is told; 0: a black hole */
};

struct way_counters {
    uint64_t packets_in, bytes_in, packets_out, bytes_out;
    uint64_t lost, burst_lost, blackout, queue_full, too_big, icmp, duplicated, reordered, refused;
};

struct way_packet {
    int64_t at;     /* when it is due */
    uint64_t order;
    struct gh_offload offload;
    uint32_t len;
    uint8_t data[];
};

struct way {
    struct way_settings set;
    struct way_counters counters;
    uint64_t random, order;
    bool in_burst;
    int64_t blackout_until; /* what comes before is lost */
    int64_t link_free;      /* when the last packet has left a link of <rate> */
    int64_t last_due;
    struct way_packet **heap;
    size_t count, cap;
};

void way_init(struct way *w, uint64_t seed);
void way_fini(struct way *w);
/* Nothing is spoilt and nothing is in flight: packets may pass by. */
bool way_is_clear(const struct way *w, int64_t now);
/* A packet goes in. False when its sender has to be told that it is too big. */
bool way_put(struct way *w, const struct gh_offload *o, struct gh_span packet, int64_t now);
/* When way_take gives something; WAY_NEVER when nothing is in flight. */
int64_t way_due(const struct way *w);
/* The next packet that is due, or NULL; the caller frees it. */
struct way_packet *way_take(struct way *w, int64_t now);
/* An ICMP or ICMPv6 message that tells the sender of <packet> the MTU; bytes in <buf>, 0 when none may be sent. */
size_t way_too_big(struct gh_span packet, unsigned mtu, uint8_t buf[1280]);

#endif
