/* net/http_capsule.h - HTTP datagrams where there is no frame for them: as capsules in the body (RFC 9297, section 3.5)
 *
 * Shared by HTTP/1 and HTTP/2. What comes in needs nothing here: services read the capsules of a body anyway.
 */
#ifndef GH_NET_HTTP_CAPSULE_H
#define GH_NET_HTTP_CAPSULE_H

#include "net/http.h"

/* Longest payload: a context id and a packet of 1500 bytes, which is what peers and the links behind them take. */
#define GH_HTTP_CAPSULE_DATAGRAM_MAX 1501u
/* Bytes of a body that may wait before datagrams are dropped: less than what bodies may have, so that capsules which must arrive always
 * find room, and no more than adds some milliseconds to a fast path. */
#define GH_HTTP_CAPSULE_QUEUE 49152u

/* True when the body of a tunnel for <protocol> is a sequence of capsules: it has frames of its own in a WebSocket, and none in a
 * plain CONNECT. */
bool gh_http_capsule_is_used(struct gh_span protocol);
/* Sends with gh_http_send. <queued>: bytes of the body that wait. 0, GH_ERR_AGAIN (queue full, dropped), GH_ERR_TOO_LONG, or what
 * gh_http_send returned. */
int gh_http_capsule_send_datagram(struct gh_http_stream *s, struct gh_span payload, size_t queued);

#endif
