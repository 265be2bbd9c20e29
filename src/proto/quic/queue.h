/* proto/quic/queue.h - datagrams that wait for the congestion window
 *
 * Fair queueing with CoDel (RFC 8290, RFC 8289), bounded in packets, bytes and time. A flow is a number that the caller gives;
 * flows take turns by deficit round robin, one that was silent comes first. Each flow is judged by how long its own datagrams
 * waited; when there is no room, the fullest flow loses its oldest. Nothing is marked: the ECN field inside is not ours to
 * change (RFC 9484, section 10.2).
 *
 * Datagrams lie in cells of slabs that are kept while the queue is in use: no allocation for each of them.
 */
#ifndef GH_PROTO_QUIC_QUEUE_H
#define GH_PROTO_QUIC_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define GH_QUIC_QUEUE_FLOWS 128u   /* at a time; more share */
#define GH_QUIC_QUEUE_QUANTUM 1500 /* bytes of one turn, at least */
#define GH_QUIC_QUEUE_QUANTUM_MAX 16384
#define GH_QUIC_QUEUE_CELL 2024u   /* bytes; a longer datagram takes several */
#define GH_QUIC_QUEUE_PIECES 33u   /* the longest datagram, 65,535 bytes */

struct gh_quic_queue_limits {
    size_t packets;
    size_t bytes;     /* whole cells count */
    int64_t time;     /* the longest that a datagram waits, ns; 0: for ever */
    int64_t target;   /* CoDel: a wait that may last, at least, ns; 0: no CoDel */
    int64_t interval; /* CoDel: how long a wait above the target is borne, at least, ns */
};

struct gh_quic_queue_flow;
struct gh_quic_queue_slab;

struct gh_quic_queue {
    struct gh_quic_queue_limits limits;
    struct gh_quic_queue_flow *flows;      /* NULL until the first datagram */
    struct gh_quic_queue_slab **slabs;
    uint32_t slab_count, slab_room;
    uint32_t free;                         /* first free cell */
    uint32_t cells, max_cells;             /* in use */
    uint32_t first[2], last[2];            /* lists of flows: new, old */
    uint32_t current;                      /* flow that peek chose */
    int32_t quantum;                       /* bytes of one turn */
    int64_t target, interval;              /* of CoDel on this path */
    size_t count, bytes;                   /* datagrams that wait */
    int64_t emptied;                       /* when the last one left */
    uint64_t dropped_full, dropped_delay;  /* so far */
};

void gh_quic_queue_init(struct gh_quic_queue *q, const struct gh_quic_queue_limits *limits);
void gh_quic_queue_fini(struct gh_quic_queue *q); /* what was dropped stays counted; takes nothing more */
/* Copies. What there is no room for is dropped from the fullest flow, perhaps this one. 0, GH_ERR_MEMORY, or GH_ERR_FULL for what could
 * never be queued. */
int gh_quic_queue_append(struct gh_quic_queue *q, struct gh_span head, struct gh_span body, uint32_t flow, int64_t now);
/* The datagram that goes next, in pieces; what waited too long is dropped before. 0: nothing waits. Valid until consume or append. */
size_t gh_quic_queue_peek(struct gh_quic_queue *q, int64_t now, struct gh_span ret[GH_QUIC_QUEUE_PIECES]);
/* Takes away what peek gave. */
void gh_quic_queue_consume(struct gh_quic_queue *q);
/* How many bytes leave in a second, about: where that is much, a flow's turn is several datagrams long, so that whoever merges them again
 * finds neighbours. A turn takes 0.2 ms at most, or one datagram. */
void gh_quic_queue_set_rate(struct gh_quic_queue *q, uint64_t bytes_per_second);
/* The round-trip time of the path: whoever sends can answer a drop no sooner, so CoDel bears a wait for two of them at least, and a twentieth of that is
 * one that may last (RFC 8289, sections 4.2 and 4.3). */
void gh_quic_queue_set_rtt(struct gh_quic_queue *q, int64_t rtt);
/* Gives memory back that nothing has needed for a while. */
void gh_quic_queue_trim(struct gh_quic_queue *q, int64_t now);

#endif
