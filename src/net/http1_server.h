/* net/http1_server.h - HTTP/1.1 on listening sockets, for a handler that knows net/http.h only
 *
 * The sockets are opened elsewhere. One server belongs to one worker; everything happens on its thread. Requests of one
 * connection are handled one after the other, in order. Upgrade and CONNECT reach the handler but cannot be accepted yet.
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

struct gh_http1_server;
struct gh_worker;

/* 0 or GH_ERR_MEMORY. <config> is copied; so is <handler>, whose <arg> must outlive the server. */
int gh_http1_server_create(struct gh_worker *worker, const struct gh_http1_config *config, struct gh_http_handler handler,
                           struct gh_http1_server **ret);
/* Accepts on <fd>, a listening non-blocking TCP or unix stream socket; the server closes it, on failure too.
 * 0, GH_ERR_MEMORY or GH_ERR_SYSTEM. */
int gh_http1_server_listen(struct gh_http1_server *s, int fd);
/* Stops accepting, closes idle connections, and ends the others after their current answer. */
void gh_http1_server_drain(struct gh_http1_server *s);
/* Closes everything; open streams get on_closed before this returns. Not from inside an event of a stream. Accepts NULL. */
void gh_http1_server_destroy(struct gh_http1_server *s);

const struct gh_http1_counters *gh_http1_server_counters(const struct gh_http1_server *s);
/* Connections now, lingering ones included. */
unsigned gh_http1_server_connections(const struct gh_http1_server *s);

#endif
