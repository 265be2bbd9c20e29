/* net/http1_server.h - HTTP/1.1 on listening sockets, for a handler that knows net/http.h only
 *
 * The sockets are opened elsewhere. One server belongs to one worker; everything happens on its thread. Requests of one
 * connection are handled one after the other, in order.
 *
 * A request for a tunnel looks as it does in HTTP/2 and HTTP/3: method CONNECT and the protocol, whether it came as GET with an Upgrade that
 * is offered (RFC 9484, section 4.2) or as CONNECT (no protocol then). The handler accepts it with 200, which the client reads as 101 where
 * it asked for an upgrade; the body is the tunnel from then on, both ways. What is not offered is no upgrade: the request is an ordinary one.
 *
 * What a stranger can hold is bounded: connections, the time for a head, for a body, between requests and for taking an
 * answer, and the bytes of each. The limit of connections is a server's own: give the unix socket a server of its own, so
 * that nobody on TCP locks the operator out.
 */
#ifndef GH_NET_HTTP1_SERVER_H
#define GH_NET_HTTP1_SERVER_H

#include <stdint.h>

#include "net/http.h"

/* A field that is 0 means its default. */
struct gh_http1_config {
    const char *const *upgrades; /* tokens that are offered, then NULL; borrowed. None when NULL */
    /* Answers, with its end, what the handler cannot be asked, because it is malformed, too long or late: with <status>, before this returns.
     * <arg> is the handler's. NULL: a few words of JSON are the answer. */
    void (*on_refused)(void *arg, struct gh_http_stream *s, unsigned status);
    bool capitals;            /* names of fields are written as servers of the web write them: Content-Type, ETag */
    unsigned connections_max; /* 64; one more is answered with 503 and closed */
    unsigned header_timeout;  /* 5000 ms from the first byte of a head (from accept for the first one) to its end */
    unsigned idle_timeout;    /* 30000 ms between requests; also for the peer to take 16 KiB of an answer */
    unsigned body_timeout;    /* 30000 ms from the end of the head to the end of the body */
    size_t body_max;          /* 1 MiB */
    size_t out_max;           /* 64 KiB of answer not yet taken by the socket; above it gh_http_send says GH_ERR_AGAIN.
                               * One piece longer than this is GH_ERR_TOO_LONG. */
};

struct gh_http1_counters {
    uint64_t accepted, requests;
    uint64_t refused_connections; /* over connections_max */
    uint64_t refused_malformed;   /* 400, 417, 501, 505 */
    uint64_t refused_too_long;    /* 413, 431 */
    uint64_t timed_out;           /* closed by one of the time-outs, idle keep-alive not counted */
    uint64_t accept_failed;       /* out of descriptors or memory; accepting pauses for 100 ms */
};

struct gh_byte_stream;
struct gh_http1_server;
struct gh_http_identity;
struct gh_worker;

/* 0 or GH_ERR_MEMORY. <config> is copied; so is <handler>, whose <arg> must outlive the server. */
int gh_http1_server_create(struct gh_worker *worker, const struct gh_http1_config *config, struct gh_http_handler handler,
                           struct gh_http1_server **ret);
/* Accepts on <fd>, a listening non-blocking TCP or unix stream socket; the server closes it, on failure too.
 * 0, GH_ERR_MEMORY or GH_ERR_SYSTEM. */
int gh_http1_server_listen(struct gh_http1_server *s, int fd);
/* Serves a connection that was accepted elsewhere, and takes it over, on failure too. <identity>: who a certificate says that the peer is;
 * it is copied into <peer>'s place; may be NULL. 0, GH_ERR_FULL (connections_max) or GH_ERR_MEMORY. */
int gh_http1_server_take(struct gh_http1_server *s, struct gh_byte_stream *io, const struct gh_http_peer *peer,
                         const struct gh_http_identity *identity);
/* Stops accepting, closes idle connections, and ends the others after their current answer. */
void gh_http1_server_drain(struct gh_http1_server *s);
/* Closes everything; open streams get on_closed before this returns. Not from inside an event of a stream. Accepts NULL. */
void gh_http1_server_destroy(struct gh_http1_server *s);

const struct gh_http1_counters *gh_http1_server_counters(const struct gh_http1_server *s);
/* Connections now, lingering ones included. */
unsigned gh_http1_server_connections(const struct gh_http1_server *s);

#endif
