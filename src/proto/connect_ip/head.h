/* proto/connect_ip/head.h - what RFC 9297 and RFC 9484 demand of the heads of request and answer */
#ifndef GH_PROTO_CONNECT_IP_HEAD_H
#define GH_PROTO_CONNECT_IP_HEAD_H

#include <stdbool.h>

#include "base/error.h"
#include "base/span.h"

/* A field (lower-case name) of a message whose content is capsules: 0, or GH_ERR_MALFORMED for Content-Length, Content-Type
 * and Transfer-Encoding (RFC 9297, section 3.2). */
int gh_connect_ip_check_field(struct gh_span name);
/* The value of Capsule-Protocol: true for the Structured Fields Boolean ?1 with any parameters; all else counts as absent. */
bool gh_connect_ip_capsule_protocol(struct gh_span value);
/* May an answer with this status carry Capsule-Protocol (RFC 9297, section 3.4)? */
bool gh_connect_ip_status_may_carry(unsigned status);
/* The client's reading of an answer: 1 the tunnel is open; 0 interim, wait; GH_ERR_DENIED for 3xx, 4xx, 5xx; GH_ERR_MALFORMED
 * for 204, 205, 206 and what is no status; GH_ERR_PROTOCOL for 101 above HTTP/1. On HTTP/1 (<upgrade>) 101 opens, 2xx does not. */
int gh_connect_ip_check_status(unsigned status, bool upgrade);

#endif
