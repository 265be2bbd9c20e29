/* net/http_tcp.h - a client of HTTP over TLS and TCP, as net/http.h wants it
 *
 *   CONNECTING --socket--> GREETING --TLS--> [HTTP/2: SETTINGS] --> READY --> CLOSED
 *
 * What net/http_endpoint.h is for QUIC. The version is what the server chooses of those that the context offers: h2, or http/1.1, where a
 * connection carries one tunnel and is over with it.
 *
 * A set belongs to one worker.
 */
#ifndef GH_NET_HTTP_TCP_H
#define GH_NET_HTTP_TCP_H

#include "crypto/tls.h"
#include "net/http.h"
#include "net/http_identity.h"
#include "os/sock.h"
#include "os/tcp_state.h"

struct gh_http_tcp;      /* a set */
struct gh_http_tcp_conn; /* a connection */
struct gh_worker;

#define GH_HTTP_TCP_WORDS 320u

/* Why a connection is over. */
struct gh_http_tcp_end {
    bool local;                    /* we closed it */
    bool refused;                  /* by on_peer, which knows why */
    bool ech_rejected;             /* the server did not open our hello */
    struct gh_span ech_retry;      /* the ECHConfigList that it gave instead, when its certificate was believed; else empty */
    char words[GH_HTTP_TCP_WORDS]; /* for a person */
};

struct gh_http_tcp_events {
    /* The handshake is complete: who is it? <cert> is the server's leaf. 0 and <ret>, or a refusal: the connection ends. */
    int (*on_peer)(void *arg, const struct gh_cert *cert, struct gh_http_identity *ret);
    /* Requests may be sent. */
    void (*on_ready)(void *arg);
    void (*on_goaway)(void *arg);
    /* Last event: the connection is gone when this returns, and its streams before. */
    void (*on_closed)(void *arg, const struct gh_http_tcp_end *why);
};

struct gh_http_tcp_config {
    struct gh_worker *worker;
    int64_t handshake_timeout; /* ns, from the first SYN to the end of TLS */
    int64_t keep_alive;        /* ns of silence after which the peer is asked for a sign of life; 0: a minute */
    int64_t answer_timeout;    /* ns for that to come */
};

struct gh_http_tcp_target {
    int fd; /* of gh_sock_open_tcp, perhaps marked; taken over, on failure too */
    struct gh_endpoint remote;
    struct gh_tls_ctx *tls;  /* ALPN h2, http/1.1 */
    struct gh_tls_name name; /* copied */
};

/* For logs and status; "" before they are known. */
struct gh_http_tcp_facts {
    const char *version; /* "h2", "http/1.1" */
    char group[32], cipher[48];
    bool resumed, ech;
};

int gh_http_tcp_create(const struct gh_http_tcp_config *cfg, struct gh_http_tcp **ret);
/* Closes everything: on_closed for each. Accepts NULL. */
void gh_http_tcp_destroy(struct gh_http_tcp *h);

/* 0, GH_ERR_MEMORY, GH_ERR_MALFORMED or GH_ERR_UNSUPPORTED (the ECHConfigList), GH_ERR_SYSTEM (errno: no way to it). Events come later. */
int gh_http_tcp_connect(struct gh_http_tcp *h, const struct gh_http_tcp_target *to, const struct gh_http_tcp_events *events, void *arg,
                        struct gh_http_tcp_conn **ret);
/* As gh_http2_conn_request: as many as the server takes, else GH_ERR_FULL. With HTTP/1.1 one alone: GH_ERR_STATE. */
int gh_http_tcp_request(struct gh_http_tcp_conn *c, const struct gh_http_head *head, const struct gh_http_events *events, void *arg,
                        struct gh_http_stream **ret);
/* Ends requests that are open, and the connection with them, in order, which takes a second at most: an end is sent on the first of them, the owner
 * sees to others. A WebSocket must have said its close before. on_closed follows, not before this returns. */
void gh_http_tcp_close(struct gh_http_tcp_conn *c);
const struct gh_http_tcp_facts *gh_http_tcp_facts(const struct gh_http_tcp_conn *c);
/* What is said of a rejection; <told>: with another key; <verify> as gh_tls_verify_error has it. */
void gh_http_tcp_ech_words(bool told, const char *verify, char *buf, size_t cap);
/* 0, or GH_ERR_STATE: it is not connected. */
int gh_http_tcp_state(const struct gh_http_tcp_conn *c, struct gh_tcp_state *ret);

#endif
