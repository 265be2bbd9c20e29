/* ports/tunnel_acceptor.h - tunnels that come in by another service's door
 *
 * The relay offers it when it loads. Calls that name a worker are made on that worker's thread, between the start and the stop of its services.
 */
#ifndef GH_PORTS_TUNNEL_ACCEPTOR_H
#define GH_PORTS_TUNNEL_ACCEPTOR_H

#include <stdbool.h>

struct gh_cert;
struct gh_ech_keys;
struct gh_endpoint;
struct gh_http_endpoint;
struct gh_http_endpoint_config;
struct gh_http_head;
struct gh_http_identity;
struct gh_http_stream;
struct gh_tls_ctx;
struct gh_worker;

struct gh_port_tunnels {
    /* A context for streams of bytes (ALPN h2 and http/1.1) with the relay's certificate as it is now, which asks clients for theirs and goes on
     * without; <keys> open its ECH. On the thread that runs the node. 0, or an error that was logged. */
    int (*tls)(void *self, const struct gh_ech_keys *keys, struct gh_tls_ctx **ret);
    /* The same for QUIC. */
    int (*tls_quic)(void *self, const struct gh_ech_keys *keys, struct gh_tls_ctx **ret);
    /* Is this UDP address the relay's own? On the thread that runs the node. */
    bool (*listens)(void *self, const struct gh_endpoint *at);
    /* HTTP/3 on a UDP socket of the caller's, on the worker that <cfg> names: what <cfg> says of socket, group, index, admission and handler counts, what is
     * the relay's to say is filled in. Reloads, drains and metrics reach it as they reach the relay's own. 0 or an error; the descriptor is taken over by
     * the first. */
    int (*open)(void *self, struct gh_http_endpoint_config *cfg, struct gh_http_endpoint **ret);
    void (*close)(void *self, struct gh_worker *w, struct gh_http_endpoint *endpoint);
    /* Who the certificate is. 0 and <ret>, or a refusal that was logged. */
    int (*judge)(void *self, struct gh_worker *w, const struct gh_cert *cert, const struct gh_endpoint *remote, struct gh_http_identity *ret);
    /* Is the request one for a tunnel, whoever sends it? */
    bool (*wants)(void *self, const struct gh_http_head *head);
    /* Serves it: the stream's peer has an identity. */
    void (*serve)(void *self, struct gh_worker *w, struct gh_http_stream *s, const struct gh_http_head *head);
    void *self;
    /* These keys count from now on, NULL: none do: what they open is opened on the ports that are the acceptor's own, too. On the thread that runs the node. */
    void (*use_keys)(void *self, const struct gh_ech_keys *keys);
};

#endif
