/* net/websocket_stream.h - capsules through a WebSocket: a tunnel where nothing else passes (RFC 6455, RFC 8441)
 *
 * The request for a WebSocket comes in as CONNECT with the protocol "websocket", from HTTP/1.1 (GET with Upgrade) as from HTTP/2, and
 * offers a sub-protocol that stands for a protocol of capsules. What the handler then gets is a request for that protocol, on a stream
 * like any other: its body is what binary messages carry, in which the borders of messages and frames mean nothing, and its datagrams
 * are DATAGRAM capsules. Server side only.
 */
#ifndef GH_NET_WEBSOCKET_STREAM_H
#define GH_NET_WEBSOCKET_STREAM_H

#include "net/http.h"

struct gh_websocket_protocol {
    const char *name; /* in Sec-WebSocket-Protocol */
    const char *protocol; /* that the handler sees, such as "connect-ip" */
};

/* Is it a request for a WebSocket that offers <p>? Whether its handshake is right is another matter. */
bool gh_websocket_is_asked(const struct gh_http_head *head, const struct gh_websocket_protocol *p);
/* Answers such a request when it is not right (RFC 6455, section 4.2.1), else calls the handler, which gets a stream of its own above <below>.
 * <below>'s events are taken. 0, or an error: it was answered. */
int gh_websocket_accept(struct gh_http_stream *below, const struct gh_http_head *head, const struct gh_websocket_protocol *p,
                        struct gh_http_handler handler);

#endif
