/* net/websocket_stream.h - capsules through a WebSocket: a tunnel where nothing else passes (RFC 6455, RFC 8441)
 *
 * The request for a WebSocket comes in as CONNECT with the protocol "websocket", from HTTP/1.1 (GET with Upgrade) as from HTTP/2, and
 * offers a sub-protocol that stands for a protocol of capsules. What the handler then gets is a request for that protocol, on a stream
 * like any other: its body is what binary messages carry, in which the borders of messages and frames mean nothing, and its datagrams
 * are DATAGRAM capsules.
 *
 * A client says what it would ask for, gets the request for a WebSocket, sends it, and brings the stream on which it did.
 */
#ifndef GH_NET_WEBSOCKET_STREAM_H
#define GH_NET_WEBSOCKET_STREAM_H

#include "net/http.h"

struct gh_websocket_protocol {
    const char *name; /* in Sec-WebSocket-Protocol */
    const char *protocol; /* that the handler sees, such as "connect-ip" */
};

/* Of a CONNECT-IP tunnel of ours. */
extern const struct gh_websocket_protocol gh_websocket_connect_ip;

/* Is it a request for a WebSocket that offers <p>? Whether its handshake is right is another matter. */
bool gh_websocket_is_asked(const struct gh_http_head *head, const struct gh_websocket_protocol *p);
/* Answers such a request when it is not right (RFC 6455, section 4.2.1), else calls the handler, which gets a stream of its own above <below>.
 * <below>'s events are taken. 0, or an error: it was answered. */
int gh_websocket_accept(struct gh_http_stream *below, const struct gh_http_head *head, const struct gh_websocket_protocol *p,
                        struct gh_http_handler handler);

/* Client. <head>: of the request as it would be without a WebSocket; it is copied in part, and what its spans point to must stay. <h1>: it goes out over
 * HTTP/1.1. <ret_head> is to be sent with gh_websocket_client_events and <ret> as their argument, then gh_websocket_attach; when it was not, gh_websocket_discard.
 * 0, GH_ERR_MEMORY, GH_ERR_CRYPTO (no randomness) or GH_ERR_TOO_LONG (too many fields). */
int gh_websocket_create(const struct gh_http_head *head, const struct gh_websocket_protocol *p, bool h1, struct gh_http_stream **ret, struct gh_http_head *ret_head);
extern const struct gh_http_events gh_websocket_client_events;
void gh_websocket_attach(struct gh_http_stream *s, struct gh_http_stream *below);
void gh_websocket_discard(struct gh_http_stream *s);
/* Something goes over the connection, and something comes back (section 5.5.2): whoever is in between sees that it is used. */
void gh_websocket_ping(struct gh_http_stream *s);

#endif
