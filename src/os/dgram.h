/* os/dgram.h - a UDP socket that talks to one address, for whoever forwards single datagrams
 *
 * Packets leave unfragmented (DF) and not ECN-capable; what others send to the port never comes.
 */
#ifndef GH_OS_DGRAM_H
#define GH_OS_DGRAM_H

#include "os/sock.h"

#define GH_DGRAM_MAX 65527u /* bytes that a UDP datagram carries (RFC 9298, section 5) */

/* A descriptor, or what gh_sock_connect_tcp may return. Nothing is sent. */
int gh_dgram_connect(const struct gh_endpoint *to);
/* Bytes of one datagram, perhaps 0; GH_ERR_AGAIN; GH_ERR_CLOSED when the other end or the way to it said that it is not there;
 * GH_ERR_TOO_LONG: one that was sent before did not fit the path; GH_ERR_SYSTEM. */
ssize_t gh_dgram_receive(int fd, void *buf, size_t cap);
/* 0, or as above. */
int gh_dgram_send(int fd, struct gh_span payload);
/* One that whoever knows the port may send to: a descriptor bound to <at>, port 0 for a free one, and which datagram came from whom. What it sends
 * goes to the address that gh_dgram_join has named, once; what others have sent until then may still come. Errors as above. */
int gh_dgram_bind(const struct gh_endpoint *at);
int gh_dgram_join(int fd, const struct gh_endpoint *to);
ssize_t gh_dgram_receive_from(int fd, void *buf, size_t cap, struct gh_endpoint *ret_from);
/* Is <to> an address of this host? Asks the routing table, sends nothing. 0 when it cannot be reached at all. */
bool gh_dgram_is_own(const struct gh_ip *to);

#endif
