/* wire/proxy_status.h - the field Proxy-Status (RFC 9209), as far as somebody asks for it
 *
 * A list of proxies, each with parameters (RFC 8941): gatehouse; error=connection_refused, other; next-hop="192.0.2.1:53"
 */
#ifndef GH_WIRE_PROXY_STATUS_H
#define GH_WIRE_PROXY_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

#define GH_PROXY_STATUS_VALUE 128u

/* The first parameter <name> of any of the proxies, without its quotes; false when there is none, or one that does not fit or is not printable. */
bool gh_proxy_status_find(struct gh_span field, const char *name, char ret[GH_PROXY_STATUS_VALUE]);

#endif
