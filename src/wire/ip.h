/* wire/ip.h - reading IPv4 and IPv6 packets, and the internet checksum
 *
 * A packet is read as far as a gateway must understand it: addresses, the upper protocol behind extension headers, ports,
 * ICMP type, fragment. What a gateway cannot judge is malformed: a header that runs out of the packet, a first fragment
 * without its whole transport header (RFC 7112, RFC 1858), a source route that names another destination than the one that
 * policy sees (IPv4 options 131 and 137; IPv6 routing headers with segments left).
 */
#ifndef GH_WIRE_IP_H
#define GH_WIRE_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/ip_addr.h"
#include "base/span.h"

#define GH_IP_EXTENSIONS_MAX 8u /* IPv6 extension headers that we walk; a packet with more is malformed */

enum gh_ip_protocol {
    GH_IP_HOP_BY_HOP = 0,
    GH_IP_ICMP = 1,
    GH_IP_TCP = 6,
    GH_IP_UDP = 17,
    GH_IP_DCCP = 33,
    GH_IP_ROUTING = 43,
    GH_IP_FRAGMENT = 44,
    GH_IP_ESP = 50, /* opaque: the walk stops here */
    GH_IP_AH = 51,  /* likewise: what it protects must not be touched */
    GH_IP_ICMPV6 = 58,
    GH_IP_NO_NEXT = 59,
    GH_IP_DESTINATION = 60,
    GH_IP_SCTP = 132,
    GH_IP_UDPLITE = 136,
};

#define GH_TCP_FIN 0x01u
#define GH_TCP_SYN 0x02u
#define GH_TCP_RST 0x04u
#define GH_TCP_ACK 0x10u

struct gh_ip_packet {
    struct gh_ip src, dst;
    uint8_t version;
    uint8_t protocol; /* upper protocol; of a later fragment what its fragment header says */
    uint8_t ttl;      /* or hop limit */
    bool fragment;    /* a piece; an IPv6 "atomic" fragment is not (RFC 6946) */
    bool first_fragment, more, dont_fragment;
    uint8_t frag_protocol; /* next header of the fragment header; <protocol> on IPv4 */
    uint32_t frag_id;
    uint16_t frag_off;     /* bytes */
    uint16_t l4_off;       /* from the packet's start to the upper header, or to a later fragment's bytes */
    uint16_t frag_data;    /* from the packet's start to the fragmentable part; what frag_off counts from */
    uint32_t total_len;
    bool has_ports;
    uint16_t src_port, dst_port;
    uint8_t icmp_type, icmp_code;
    uint16_t icmp_id; /* of an echo or timestamp */
    uint8_t tcp_flags;
    uint32_t tcp_seq, tcp_ack;
    uint32_t tcp_len; /* sequence space that this segment takes: payload, SYN, FIN */
};

/* A range of addresses for one protocol: an entry of ROUTE_ADVERTISEMENT (RFC 9484, section 4.7.3). */
struct gh_ip_route {
    struct gh_ip start, end; /* both included */
    uint8_t protocol;        /* 0: any */
};

/* Reads a whole packet; <len> must be its exact length. 0, or GH_ERR_MALFORMED: <ret> has version 0, and nothing else in it counts. */
int gh_ip_packet_parse(const uint8_t *data, size_t len, struct gh_ip_packet *ret);
/* Reads what an ICMP error quotes: the packet may be cut behind eight bytes of its upper header, its checksum may be stale.
 * TCP flags, sequence of a packet cut there are what the bytes tell. 0 or GH_ERR_MALFORMED, as above. */
int gh_ip_quoted_parse(const uint8_t *data, size_t len, struct gh_ip_packet *ret);

/* Bytes behind the IP headers; of a fragment its piece. */
static inline uint32_t gh_ip_fragment_len(const struct gh_ip_packet *p)
{
    return p->total_len - p->frag_data;
}

static inline bool gh_ip_is_icmp(const struct gh_ip_packet *p)
{
    return p->protocol == (p->version == 4 ? GH_IP_ICMP : GH_IP_ICMPV6);
}

/* Does the protocol begin with two ports: TCP, UDP, UDP-Lite, SCTP, DCCP? */
bool gh_ip_protocol_has_ports(uint8_t protocol);
/* An ICMP message that reports an error, and so must never be answered with one (RFC 1122 3.2.2, RFC 4443 2.4). */
bool gh_ip_is_icmp_error(const struct gh_ip_packet *p);
/* True for an address that may be answered: not zero, loopback, multicast or broadcast, nor an IPv4 address in IPv6. */
bool gh_ip_is_unicast(const struct gh_ip *a);

/* Internet checksum (RFC 1071). <sum> is a running sum that starts at 0; every piece but the last has even length. */
uint64_t gh_ip_checksum_add(uint64_t sum, const void *data, size_t len);
uint16_t gh_ip_checksum_finish(uint64_t sum); /* folded, inverted, host order */
uint16_t gh_ip_checksum(const void *data, size_t len);
/* Checksum of an upper-layer message with its pseudo-header; the field itself must be zero, or the result is 0 when right. */
uint16_t gh_ip_checksum_upper(const struct gh_ip *src, const struct gh_ip *dst, uint8_t protocol, const void *data, size_t len);
/* RFC 1624, equation 3: the checksum after a 16 or 32 bit word at an even offset changed. Host order. */
uint16_t gh_ip_checksum_update(uint16_t check, uint16_t before, uint16_t after);
uint16_t gh_ip_checksum_update32(uint16_t check, uint32_t before, uint32_t after);

/* A number for the flow of a packet: the same for packets with the same addresses, protocol and ports, of fragments and of what has no
 * ports the same without them. Any bytes will do. <key> is random: whoever sends cannot aim at another's number. */
uint32_t gh_ip_flow_number(const uint8_t *packet, size_t len, uint64_t key);

/* Lowers TTL or hop limit of a packet that parsed, with the IPv4 checksum. False, and nothing changed, when it would reach 0. */
bool gh_ip_ttl_decrement(uint8_t *packet);

#endif
