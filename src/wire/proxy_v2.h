/* wire/proxy_v2.h - the binary header of the PROXY protocol: who the client of a forwarded connection is
 *
 * Numbers as in HAProxy's proxy-protocol.txt, section 2.2. The header is the first thing on a connection to a backend, sent
 * once; it says nothing about itself that a stranger could not write, so a backend believes it only from where it expects it.
 */
#ifndef GH_WIRE_PROXY_V2_H
#define GH_WIRE_PROXY_V2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/ip_addr.h"
#include "base/span.h"

#define GH_PROXY_V2_HEAD 16u
#define GH_PROXY_V2_EMIT_MAX 576u /* what gh_proxy_v2_emit writes at most, with an ALPN name and a host name of 255 bytes each */

struct gh_proxy_v2 {
    bool local;                      /* the proxy's own connection, a health check: there is no client, and no addresses */
    bool datagram;                   /* UDP */
    struct gh_ip source, destination; /* both of one family; family 0: not known, or sockets that have no such address */
    uint16_t source_port, destination_port;
    struct gh_span alpn;             /* the client's protocol, when it was seen; empty otherwise */
    struct gh_span authority;        /* the host name that the client asked for; empty otherwise */
};

/* Writes the header. An IPv4 address beside an IPv6 one is written as IPv4-mapped; with one of the two unknown both are.
 * GH_ERR_RANGE: <alpn> or <authority> is longer than 255 bytes. A writer without room is marked failed, as always. */
int gh_proxy_v2_emit(struct gh_writer *w, const struct gh_proxy_v2 *p);

/* Reads a header from the start of a stream. 1: <ret> (its spans borrowed from <in>) and how many bytes it has. 0: more bytes
 * are needed. GH_ERR_UNSUPPORTED: the stream does not begin with one. GH_ERR_MALFORMED: one that must not be believed. */
int gh_proxy_v2_parse(struct gh_span in, struct gh_proxy_v2 *ret, size_t *ret_len);

#endif
