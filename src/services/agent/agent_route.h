/* services/agent/agent_route.h - from what a relay advertises to what the kernel gets (RFC 9484, section 4.7.3)
 *
 * Pure. Routes outside of the local allow list are ignored. A network that holds the relay's own address and is narrower
 * than half of a family loses that address: it would be a better route to the relay than the one below the tunnel. The two
 * halves of everything stay whole, because marked packets never look at the agent's table.
 */
#ifndef GH_SERVICES_AGENT_AGENT_ROUTE_H
#define GH_SERVICES_AGENT_AGENT_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/ip_addr.h"
#include "wire/ip.h"

#define GH_AGENT_RANGES 4096u   /* of one advertisement, after it was limited */
#define GH_AGENT_PREFIXES 4096u /* that the kernel gets */

struct gh_agent_routes {
    struct gh_ip_route *ranges; /* ordered: what may be sent into the tunnel and come out of it */
    size_t range_count;
    struct gh_prefix *prefixes; /* each once; no default route, but its two halves */
    size_t prefix_count, ipv4_count; /* IPv4 comes first */
};

/* <list> is ordered, as it came from the relay. 0, GH_ERR_FULL or GH_ERR_MEMORY; <relay> may be NULL. */
int gh_agent_routes_create(const struct gh_ip_route *list, size_t count, const struct gh_prefix *allowed, size_t allowed_count,
                           const struct gh_ip *relay, struct gh_agent_routes *ret);
void gh_agent_routes_fini(struct gh_agent_routes *r);

/* Those of the families that are wanted. */
struct gh_agent_prefixes {
    const struct gh_prefix *list;
    size_t count;
};
struct gh_agent_prefixes gh_agent_routes_of(const struct gh_agent_routes *r, bool ipv4, bool ipv6);

/* The address that the device gets for an assigned prefix: the only one, or the first that is a host's. */
struct gh_prefix gh_agent_device_address(const struct gh_prefix *assigned);

#endif
