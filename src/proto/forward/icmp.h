/* proto/forward/icmp.h - messages that a gateway makes itself: ICMP errors, an echo reply, TCP resets
 *
 * RFC 792, RFC 1812 section 4.3, RFC 4443. Lengths of 0 mean that nothing may or can be said.
 */
#ifndef GH_PROTO_FORWARD_ICMP_H
#define GH_PROTO_FORWARD_ICMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rate.h"
#include "wire/ip.h"

#define GH_ICMP_MAX 1280u  /* longest ICMPv6 error (RFC 4443, section 2.4) */
#define GH_ICMP4_MAX 576u  /* longest ICMPv4 error (RFC 1812, section 4.3.2.3) */

/* What is to be said; family by family the types and codes of RFC 9484, section 7.2.1. */
enum gh_icmp_error {
    GH_ICMP_ADMIN,        /* a rule forbids it: 3/13, 1/1 */
    GH_ICMP_SOURCE,       /* source failed policy: 3/13, 1/5 */
    GH_ICMP_NO_ROUTE,     /* 3/0, 1/0 */
    GH_ICMP_TTL,          /* 11/0, 3/0 */
    GH_ICMP_TOO_BIG       /* 3/4, 2/0, with the MTU */
};

/* May a packet be answered with an error? Not ICMP errors, redirects, later fragments, nor to or about addresses that are
 * not one host's (ICMPv6 Packet Too Big excepted, RFC 4443 2.4 (e.3)). */
bool gh_icmp_may_answer(const struct gh_ip_packet *p, enum gh_icmp_error e);

/* An error about <packet> from <node> to its source. <mtu> matters for GH_ICMP_TOO_BIG. */
size_t gh_icmp_emit_error(const uint8_t *packet, const struct gh_ip_packet *p, enum gh_icmp_error e, size_t mtu,
                          const struct gh_ip *node, uint8_t *buf, size_t cap);
/* The reply of <node> to an ICMPv6 echo request. */
size_t gh_icmp_emit_echo_reply(const uint8_t *packet, const struct gh_ip_packet *p, const struct gh_ip *node, uint8_t *buf, size_t cap);

/* A packet of the tuple <p> with eight bytes of its upper header (TCP: 20): what an ICMP error about a flow quotes. */
size_t gh_icmp_emit_quoted(const struct gh_ip_packet *p, uint8_t *buf, size_t cap);
/* A TCP reset as if <src> sent it. */
size_t gh_tcp_emit_reset(const struct gh_ip_packet *tuple, uint32_t seq, bool has_ack, uint32_t ack, uint8_t *buf, size_t cap);

#endif
