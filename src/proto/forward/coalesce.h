/* proto/forward/coalesce.h - merges the packets of a batch into pieces that a TUN takes with one write
 *
 * Consecutive TCP segments of one flow, and UDP datagrams of one flow and size, become one packet with an offload descriptor;
 * cutting it again (segment.h, or the kernel) yields the same packets. One liberty is taken: the identification of an IPv4
 * packet that must not be fragmented means nothing (RFC 6864, section 4.1), so it may differ. Everything else (fragments, IP
 * options, extension headers, packets with a wrong checksum, other protocols) passes as it is.
 *
 * Packets of one flow never overtake each other. Packets stay where they are, and must, until the batch has been read; a
 * merged packet's first header is rewritten in place.
 */
#ifndef GH_PROTO_FORWARD_COALESCE_H
#define GH_PROTO_FORWARD_COALESCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/offload.h"
#include "base/span.h"
#include "proto/forward/layout.h"

#define GH_COALESCE_BATCH 512u  /* packets of a batch */
#define GH_COALESCE_FLOWS 64u   /* flows that can grow at a time; one more ends one of them */
#define GH_COALESCE_PIECES 64u  /* packets in a merged one: UDP_MAX_SEGMENTS of older kernels */
#define GH_COALESCE_BYTES 65535u

/* What may be merged; from what the TUN takes. */
enum gh_coalesce_kind { GH_COALESCE_TCP4 = 1, GH_COALESCE_TCP6 = 2, GH_COALESCE_UDP4 = 4, GH_COALESCE_UDP6 = 8 };

/* A packet to be written: its pieces one after the other. Borrowed from the packets that were added. */
struct gh_super {
    struct gh_offload offload;
    size_t len; /* of all pieces */
    size_t packet_count;
    size_t piece_count;
    struct gh_span pieces[GH_COALESCE_PIECES];
};

struct gh_coalesce_packet {
    uint8_t *data;
    size_t len;
    uint32_t payload;  /* bytes behind the headers */
    uint32_t total;    /* head of a merged packet: its length so far */
    uint16_t next;     /* the packet whose payload follows */
    uint16_t tail;     /* head: the last one */
    uint16_t pieces;   /* head: how many; 0: merged into another */
    uint8_t verified;  /* checksums: not looked at, good, bad */
    struct gh_layout layout;
};

struct gh_coalesce_flow {
    uint32_t hash;
    uint16_t head;
};

struct gh_coalescer {
    unsigned kinds;
    bool reading;
    uint16_t count, cursor;
    uint16_t open, victim; /* flows[] in use; the one to replace next */
    struct gh_coalesce_flow flows[GH_COALESCE_FLOWS];
    struct gh_coalesce_packet packets[GH_COALESCE_BATCH];
};

void gh_coalesce_init(struct gh_coalescer *c, unsigned kinds);
/* Adds the next packet of a batch. 0, GH_ERR_FULL, or GH_ERR_STATE while a batch is being read. */
int gh_coalesce_add(struct gh_coalescer *c, uint8_t *packet, size_t len);
/* Ends the batch and hands out what became of it, in the order in which the first packet of each was added.
 * 1, or 0 after the last: then the next batch may be added. */
int gh_coalesce_next(struct gh_coalescer *c, struct gh_super *ret);

#endif
