/* proto/quic/pmtu.h - what size of packets a path carries (RFC 8899; RFC 9000, section 14; RFC 9484, section 7.2)
 *
 * The library's own prober raises the size, once for each path, and never lowers it. Here is what it lacks:
 *
 * First flight. Datagrams that carry handshake packets of full size are made GH_QUIC_PAYLOAD_IPV6 long; after one time-out without an
 * answer they are 1200 bytes long. A handshake that succeeded without such a time-out proves the size before any probe.
 *
 * Black holes. Datagrams tell when they are acknowledged or lost, with the least size that their packet had: what stands before them in
 * it, and they themselves. Those of eight large packets or more, lost in three batches or more while nothing as large arrives, mean that the
 * path shrank: packets become 1200 bytes long and the path is measured again, from below, by datagrams that nobody wants; each size is
 * tried three times. What fails is tried again after ten minutes. A size that arrives excuses the loss of what is not larger, and of
 * what was sent before it: losses are told late, when a full queue of the path has let the rest through.
 */
#ifndef GH_PROTO_QUIC_PMTU_H
#define GH_PROTO_QUIC_PMTU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GH_QUIC_PAYLOAD_BASE 1200u /* that every path carries */
#define GH_QUIC_PAYLOAD_IPV6 1331u /* RFC 9484, section 7.2: an IPv6 packet of 1280 bytes fits, with the longest overhead */

struct gh_quic_pmtu {
    size_t ceiling;  /* no packet is longer */
    size_t cap;      /* found after a black hole; the ceiling as long as none was seen */
    size_t proven;   /* by the handshake; 0: nothing yet */
    bool fell_back;  /* the first flight was not answered */
    /* large packets lost since one of the largest of them was last acknowledged */
    unsigned lost, batches;
    size_t smallest, largest;
    size_t arrived; /* the largest that was acknowledged meanwhile */
    int64_t lost_at;
    size_t last_size;     /* of an arrival, one of the largest */
    uint64_t last_order;
    /* the search after a black hole */
    bool searching, in_flight;
    unsigned step, tries;
    int64_t raise_at; /* when the sizes that failed are tried again; INT64_MAX: never */
    unsigned holes;   /* seen so far */
    int64_t unknown_until; /* a path that is new: nobody knows yet */
};

void gh_quic_pmtu_init(struct gh_quic_pmtu *p, size_t ceiling);
/* Size of a datagram that carries handshake packets. */
size_t gh_quic_pmtu_first_flight(const struct gh_quic_pmtu *p);
void gh_quic_pmtu_on_timeout(struct gh_quic_pmtu *p);  /* no answer to the first flight */
void gh_quic_pmtu_on_answer(struct gh_quic_pmtu *p);   /* what it was sent for came about */

void gh_quic_pmtu_on_acked(struct gh_quic_pmtu *p, size_t size);
/* True when that shows a black hole: what is longer than the cap will not arrive. */
bool gh_quic_pmtu_on_lost(struct gh_quic_pmtu *p, size_t size, int64_t now);

/* The same with the order in which they were sent: what arrives is noted as well; is a loss no sign, since something as large arrived that was
 * sent later? */
void gh_quic_pmtu_note(struct gh_quic_pmtu *p, size_t size, uint64_t order);
bool gh_quic_pmtu_excuses(const struct gh_quic_pmtu *p, size_t size, uint64_t order);

/* The size of a probe to send now, or 0. */
size_t gh_quic_pmtu_probe(const struct gh_quic_pmtu *p, int64_t now);
void gh_quic_pmtu_on_probe_sent(struct gh_quic_pmtu *p);
void gh_quic_pmtu_on_probe_acked(struct gh_quic_pmtu *p, size_t size, int64_t now);
void gh_quic_pmtu_on_probe_lost(struct gh_quic_pmtu *p, int64_t now);
/* The path is another one: what was found is of the old one, and the library measures the new one. */
void gh_quic_pmtu_reset(struct gh_quic_pmtu *p, int64_t now);

/* What the path carries, given what the library found. While a path that shrank or is new is being measured, what is not disproved
 * counts. */
size_t gh_quic_pmtu_carries(const struct gh_quic_pmtu *p, size_t library, int64_t now);

#endif
