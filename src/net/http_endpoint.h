/* net/http_endpoint.h - HTTP on QUIC endpoints, as net/http.h wants it: a server side and a client side
 *
 * The version is the implementation's affair (http3.c).
 *
 * A set of these belongs to one endpoint and so to one worker.
 */
#ifndef GH_NET_HTTP_ENDPOINT_H
#define GH_NET_HTTP_ENDPOINT_H

#include "net/http.h"
#include "net/http_identity.h"
#include "net/quic_endpoint.h"

struct gh_http_endpoint;      /* what runs on one endpoint */
struct gh_http_conn; /* a connection */

struct gh_http_endpoint_events {
    /* The handshake is complete: who is it? <cert> is the peer's leaf. 0 and <ret>, or a refusal: the connection is closed with
     * the TLS alert bad_certificate before any request is served. */
    int (*on_peer)(void *arg, const struct gh_cert *cert, const struct gh_endpoint *remote, struct gh_http_identity *ret);
    /* A handshake failed or was refused; <why> are words. */
    void (*on_refused)(void *arg, const struct gh_endpoint *remote, const char *why);
    /* Client: the peer's SETTINGS are here, requests may be sent. */
    void (*on_ready)(void *arg, struct gh_http_conn *c);
    /* Client: the connection is over; it is gone when this returns. */
    void (*on_closed)(void *arg, struct gh_http_conn *c, const struct gh_quic_close *why);
    void (*on_goaway)(void *arg, struct gh_http_conn *c);
    void (*on_drop)(void *arg, enum gh_drop why, uint64_t count);
};

struct gh_http_endpoint_config {
    struct gh_quic_endpoint_config endpoint; /* its events and arg are filled here */
    struct gh_tls_ctx *tls;                  /* another reference is taken; a server may bring it later, before the first connection */
    struct gh_http_handler handler;          /* server */
    const struct gh_http_endpoint_events *events;
    void *arg;
    bool anybody; /* server: who has no identity, or none that counts, is served as well, and its requests have none; <tls> may then let it in */
};

int gh_http_endpoint_create(const struct gh_http_endpoint_config *cfg, struct gh_http_endpoint **ret);
void gh_http_endpoint_destroy(struct gh_http_endpoint *h);
/* New connections use <tls> from now on. */
void gh_http_endpoint_set_tls(struct gh_http_endpoint *h, struct gh_tls_ctx *tls);
/* Peers of connections that begin from now on have <inside> (net/http.h). */
void gh_http_endpoint_set_inside(struct gh_http_endpoint *h, bool inside);
/* So many requests a client may have open at a time, on connections from now on. */
void gh_http_endpoint_set_max_requests(struct gh_http_endpoint *h, uint64_t max);
/* GOAWAY on every connection, no new connections; requests that run go on. */
void gh_http_endpoint_drain(struct gh_http_endpoint *h);
/* Closes every connection without an error and sends that. */
void gh_http_endpoint_close_all(struct gh_http_endpoint *h, const char *reason);
unsigned gh_http_endpoint_connections(const struct gh_http_endpoint *h);
struct gh_quic_endpoint *gh_http_endpoint_quic(struct gh_http_endpoint *h);

/* Client. <name> is copied. */
int gh_http_endpoint_connect(struct gh_http_endpoint *h, const struct gh_endpoint *remote, const struct gh_tls_name *name, struct gh_http_conn **ret);
int gh_http_conn_request(struct gh_http_conn *c, const struct gh_http_head *head, const struct gh_http_events *events, void *arg,
                     bool end, struct gh_http_stream **ret);
/* Closes without an error; on_closed follows at the end of the turn. */
void gh_http_conn_close(struct gh_http_conn *c, const char *reason);
struct gh_quic *gh_http_conn_quic(struct gh_http_conn *c);
/* gh_quic_link_hop. */
void gh_http_conn_hop(struct gh_http_conn *c, const struct gh_quic_hop *hop);
/* gh_quic_probe, at once. */
void gh_http_conn_probe(struct gh_http_conn *c);

#endif
