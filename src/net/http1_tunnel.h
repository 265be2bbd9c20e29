/* net/http1_tunnel.h - a client that asks for one tunnel over HTTP/1.1, on a byte stream of its own
 *
 * The request is given as for HTTP/2 and HTTP/3: CONNECT and a protocol, which goes out as GET with an Upgrade (RFC 9484, section 4.2;
 * RFC 6455, section 4.1); or CONNECT without one, to <authority>. An upgrade that is granted is told as 200. After any other answer
 * than a grant the body is over at once, whatever came: only the head matters then.
 */
#ifndef GH_NET_HTTP1_TUNNEL_H
#define GH_NET_HTTP1_TUNNEL_H

#include "net/http.h"

struct gh_byte_stream;
struct gh_http_identity;

#define GH_HTTP1_TUNNEL_OUT 65536u /* bytes that the byte stream has not taken yet; above it gh_http_send says GH_ERR_AGAIN */

/* Takes <io> over, on failure too. <identity>: who a certificate says that the peer is; it is copied into <peer>'s place; may be NULL. How
 * long to wait is for the caller to say, with gh_http_reset. 0, GH_ERR_MEMORY, or GH_ERR_MALFORMED: what cannot be sent. */
int gh_http1_tunnel_open(struct gh_byte_stream *io, const struct gh_http_peer *peer, const struct gh_http_identity *identity,
                         const struct gh_http_head *head, struct gh_http_stream **ret);
/* Closes it now; on_closed before this returns. For when the worker ends. Not from inside an event. */
void gh_http1_tunnel_close(struct gh_http_stream *s);

#endif
