/* proto/connect_ip/routes.h - lists of address ranges (RFC 9484, section 4.7.3)
 *
 * Ordered means: by family, then protocol, then address, without overlap inside one protocol. What a peer advertises is cut
 * down to what the local configuration allows before anything is installed.
 */
#ifndef GH_PROTO_CONNECT_IP_ROUTES_H
#define GH_PROTO_CONNECT_IP_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/ip_addr.h"
#include "wire/ip.h"

/* Every range well formed, and the list in the order that the RFC demands. */
bool gh_connect_ip_routes_ordered(const struct gh_ip_route *list, size_t count);
/* An ordered list in which protocol 0 covers addresses that another protocol names too, which must not be sent. */
bool gh_connect_ip_routes_overlap(const struct gh_ip_route *list, size_t count);
/* Sorts, and joins ranges of one protocol that overlap or touch. Returns the new count. */
size_t gh_connect_ip_order_routes(struct gh_ip_route *list, size_t count);
struct gh_ip_route gh_connect_ip_route_of(const struct gh_prefix *p, uint8_t protocol);

/* Does an ordered list carry packets to or from <addr> with <protocol>? ICMP goes wherever anything goes. */
bool gh_connect_ip_routes_contain(const struct gh_ip_route *list, size_t count, const struct gh_ip *addr, uint8_t protocol);

/* The parts of <list> inside <allowed>, less the address <outside> (NULL: none), to which the tunnel itself runs: a route to
 * it through the tunnel would be a loop. Ordered. Count, or GH_ERR_FULL above <cap>. */
int gh_connect_ip_limit_routes(const struct gh_ip_route *list, size_t count, const struct gh_prefix *allowed, size_t allowed_count,
                               const struct gh_ip *outside, struct gh_ip_route *ret, size_t cap);
/* The fewest prefixes that make up the range. Count, or GH_ERR_FULL. */
int gh_connect_ip_route_prefixes(const struct gh_ip_route *route, struct gh_prefix *ret, size_t cap);

#endif
