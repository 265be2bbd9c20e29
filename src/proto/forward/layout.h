/* proto/forward/layout.h - where the headers of a TCP or UDP packet are
 *
 * What cutting and merging need to know of a packet; whatever else they meet they leave alone.
 */
#ifndef GH_PROTO_FORWARD_LAYOUT_H
#define GH_PROTO_FORWARD_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#define GH_LAYOUT_TCP 6u
#define GH_LAYOUT_UDP 17u

/* Offsets inside a TCP header (RFC 9293, section 3.1) and a UDP header (RFC 768). */
#define GH_TCP_SEQ 4u
#define GH_TCP_FLAGS 13u
#define GH_TCP_CHECKSUM 16u
#define GH_TCP_FIN 0x01u
#define GH_TCP_SYN 0x02u
#define GH_TCP_RST 0x04u
#define GH_TCP_PSH 0x08u
#define GH_TCP_URG 0x20u
#define GH_TCP_CWR 0x80u
#define GH_UDP_LENGTH 4u
#define GH_UDP_CHECKSUM 6u

struct gh_layout {
    uint8_t family;         /* 4 or 6 */
    uint8_t protocol;       /* GH_LAYOUT_TCP or GH_LAYOUT_UDP */
    uint8_t addresses;      /* offset of source and destination */
    uint8_t address_len;    /* of one address */
    uint16_t transport;     /* offset of the transport header */
    uint16_t header_len;    /* of IP and transport header */
    uint16_t checksum;      /* offset of the transport checksum */
    uint32_t stated_len;    /* what the IP header says of the packet's length */
};

/* Reads the headers of <packet>: IPv4 with options or not, IPv6 with hop-by-hop and destination options or none (an address
 * that a routing header moves would change the pseudo header). The length fields of IP and UDP are not compared with <len>:
 * those of a packet above 64 KiB cannot be right.
 * 0, GH_ERR_MALFORMED, or GH_ERR_UNSUPPORTED for a fragment or another protocol. */
int gh_layout_parse(const uint8_t *packet, size_t len, struct gh_layout *ret);

static inline uint16_t gh_layout_load16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t gh_layout_load32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void gh_layout_store16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void gh_layout_store32(uint8_t *p, uint32_t v)
{
    gh_layout_store16(p, v >> 16);
    gh_layout_store16(p + 2, v);
}

#endif
