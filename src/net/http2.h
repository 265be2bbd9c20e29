/* net/http2.h - HTTP/2 on byte streams, as net/http.h wants it: a server side and a client side
 *
 * A set belongs to one worker. Its connections were accepted or opened elsewhere, TLS and ALPN included. What streams send leaves at the
 * end of the worker's turn, all of a connection in one go.
 */
#ifndef GH_NET_HTTP2_H
#define GH_NET_HTTP2_H

#include <stdint.h>

#include "net/http.h"

struct gh_byte_stream;
struct gh_http2;      /* a set */
struct gh_http2_conn; /* a connection of it */
struct gh_http_identity;
struct gh_worker;

/* A field that is 0 means its default. Times are milliseconds. */
struct gh_http2_config {
    unsigned connections_max;  /* 4096; one more is closed */
    unsigned max_streams;      /* 100: of a peer at once */
    unsigned settings_timeout; /* 10000: from the start to the peer's SETTINGS and its word that it has ours */
    unsigned idle_timeout;     /* 60000 of silence: a server closes a connection without streams; else the peer is asked with a PING */
    unsigned ping_timeout;     /* 15000 for anything to come after that */
    unsigned write_timeout;    /* 30000 for the byte stream to take something */
};

struct gh_http2_counters {
    uint64_t accepted, opened, requests;
    uint64_t refused_connections; /* over connections_max, or draining */
    uint64_t malformed;           /* messages: their streams were reset */
    uint64_t broken;              /* connections that ended by an error of ours or the peer's, floods among them */
    uint64_t floods;
    uint64_t timed_out;           /* idle ones without streams not counted */
    uint64_t library_assert;
};

struct gh_http2_client_events {
    /* The peer's SETTINGS are here, requests may be sent. */
    void (*on_ready)(void *arg, struct gh_http2_conn *c);
    /* The peer takes no new requests. May be NULL. */
    void (*on_goaway)(void *arg, struct gh_http2_conn *c);
    /* The connection is over, its streams are closed; it is gone when this returns. <code>: of RFC 9113, section 7. */
    void (*on_closed)(void *arg, struct gh_http2_conn *c, uint32_t code);
};

/* 0 or GH_ERR_MEMORY. <config> is copied, and so is <handler>, which a set without a server leaves empty. */
int gh_http2_create(struct gh_worker *worker, const struct gh_http2_config *config, struct gh_http_handler handler, struct gh_http2 **ret);
/* Serves <io>, and takes it over, on failure too. <identity>: who a certificate says that the peer is; it is copied into <peer>'s place; may
 * be NULL. 0, GH_ERR_FULL, GH_ERR_STATE (draining) or GH_ERR_MEMORY. */
int gh_http2_take(struct gh_http2 *h, struct gh_byte_stream *io, const struct gh_http_peer *peer, const struct gh_http_identity *identity);
/* GOAWAY on every connection, no new connections; requests that run go on. */
void gh_http2_drain(struct gh_http2 *h);
/* Closes everything; open streams get on_closed before this returns. Not from inside an event. Accepts NULL. */
void gh_http2_destroy(struct gh_http2 *h);
unsigned gh_http2_connections(const struct gh_http2 *h);
const struct gh_http2_counters *gh_http2_counters(const struct gh_http2 *h);

/* Client: as gh_http2_take. */
int gh_http2_open(struct gh_http2 *h, struct gh_byte_stream *io, const struct gh_http_peer *peer, const struct gh_http_identity *identity,
                  const struct gh_http2_client_events *events, void *arg, struct gh_http2_conn **ret);
/* GH_ERR_STATE before SETTINGS allow it or after a GOAWAY, GH_ERR_FULL when the peer takes no more streams now. */
int gh_http2_conn_request(struct gh_http2_conn *c, const struct gh_http_head *head, const struct gh_http_events *events, void *arg, bool end,
                          struct gh_http_stream **ret);
/* Closes without an error; on_closed follows, not before this returns. */
void gh_http2_conn_close(struct gh_http2_conn *c);
/* The same once its streams are through; none are begun any more. */
void gh_http2_conn_drain(struct gh_http2_conn *c);
/* Now, and what waits is lost; on_closed before this returns. Not from inside an event. */
void gh_http2_conn_abort(struct gh_http2_conn *c);
/* The connection below a stream; NULL when the stream is not one of HTTP/2. */
struct gh_http2_conn *gh_http2_conn_of(const struct gh_http_stream *s);

#endif
