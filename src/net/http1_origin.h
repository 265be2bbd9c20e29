/* net/http1_origin.h - a client's connection for requests of HTTP/1.1, one after the other, on a byte stream
 *
 * For who hands requests on: bodies go both ways in pieces, and what is not taken holds the other side back. A request for a tunnel is CONNECT
 * with a protocol, and goes out as GET with an Upgrade (RFC 9110, section 7.8): its answer has the status 101 when it is granted, and the body
 * is the tunnel from then on; any other is the answer to that GET. Other interim answers are not told, nor are trailers. How long to wait is
 * for the caller to say.
 */
#ifndef GH_NET_HTTP1_ORIGIN_H
#define GH_NET_HTTP1_ORIGIN_H

#include "net/http.h"

struct gh_byte_stream;
struct gh_http1_origin;

#define GH_HTTP1_ORIGIN_OUT 32768u /* bytes that the byte stream has not taken yet; above it gh_http_send says GH_ERR_AGAIN */

struct gh_http1_origin_events {
    /* The request is over, its stream gone; another one may be made. */
    void (*on_idle)(void *arg, struct gh_http1_origin *c);
    /* The connection is over; it is gone when this returns. A request that was under way is told first. */
    void (*on_closed)(void *arg, struct gh_http1_origin *c);
};

enum gh_http1_origin_body {
    GH_HTTP1_ORIGIN_NO_BODY,
    GH_HTTP1_ORIGIN_LENGTH,  /* as the field content-length says */
    GH_HTTP1_ORIGIN_CHUNKED,
};

/* Takes <io> over, on failure too. 0 or GH_ERR_MEMORY. */
int gh_http1_origin_open(struct gh_byte_stream *io, const struct gh_http1_origin_events *events, void *arg, struct gh_http1_origin **ret);
/* <head> needs no more than it would on another version, and no field of a connection; its authority is sent as Host. 0, GH_ERR_STATE (one is
 * under way) or GH_ERR_MALFORMED (it cannot be sent: too long, or bytes that would end it early). */
int gh_http1_origin_request(struct gh_http1_origin *c, const struct gh_http_head *head, enum gh_http1_origin_body body,
                            const struct gh_http_events *events, void *arg, struct gh_http_stream **ret);
/* Ends it, with its request: both are told, now or, from inside an event, at the end of the turn. */
void gh_http1_origin_close(struct gh_http1_origin *c);

#endif
