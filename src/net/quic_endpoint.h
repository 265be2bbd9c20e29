/* net/quic_endpoint.h - a UDP socket of one worker, and the QUIC connections on it
 *
 * The endpoints of a node's workers form a group: they share a port (SO_REUSEPORT) and keys, so that a packet which the kernel
 * gave to the wrong worker finds its connection. Our connection ids are 8 bytes: seven random, the last holds (generation:2,
 * worker:6) masked with a keyed mix of the others (DESIGN 3); a classic BPF program reads it in the kernel.
 *
 * Everything happens on the endpoint's worker. A link is one connection at an endpoint.
 */
#ifndef GH_NET_QUIC_ENDPOINT_H
#define GH_NET_QUIC_ENDPOINT_H

#include <linux/filter.h>

#include "base/drop.h"
#include "loop/worker.h"
#include "net/quic_memory.h"
#include "os/udp.h"
#include "proto/quic/quic.h"

struct gh_quic_endpoint;
struct gh_quic_link;

#define GH_QUIC_STEERING_LEN 16
#define GH_QUIC_GROUP_KEY 32

/* Shared by the endpoints of a group, and constant while they run. */
struct gh_quic_group {
    uint32_t mix[2];       /* odd numbers: key of the mask in the last byte of an id */
    uint8_t reset_key[GH_QUIC_GROUP_KEY]; /* stateless reset tokens (RFC 9000, section 10.3.2) */
    uint8_t token_key[GH_QUIC_GROUP_KEY]; /* tokens that prove an address (proto/quic/token.h) */
    unsigned count;        /* endpoints */
    struct gh_quic_endpoint *endpoints[GH_WORKERS_MAX];
};

/* The group's keys follow from <key>: a process that starts again with the same one can end the connections of its forerunner.
 * NULL: fresh ones. 0 or GH_ERR_CRYPTO. */
int gh_quic_group_init(struct gh_quic_group *g, unsigned count, const uint8_t key[GH_QUIC_GROUP_KEY]);
/* What gh_tls_ctx_set_tickets wants, from the same key. */
int gh_quic_group_ticket_key(const uint8_t key[GH_QUIC_GROUP_KEY], uint8_t ret[GH_TLS_TICKET_KEY]);
/* The program for gh_udp_attach_steering; the number of instructions. */
size_t gh_quic_group_steering(const struct gh_quic_group *g, struct sock_filter ret[GH_QUIC_STEERING_LEN]);
/* The worker inside an id of ours. */
unsigned gh_quic_group_worker_of(const struct gh_quic_group *g, const uint8_t cid[GH_QUIC_CID_LEN]);

/* When strangers must prove their address before anything is kept for them (RFC 9000, section 8.1.2). */
enum gh_quic_retry_mode {
    GH_QUIC_RETRY_AUTO,   /* while a quarter of the handshakes allowed are under way */
    GH_QUIC_RETRY_ALWAYS, /* unless a token of an earlier connection proves it */
    GH_QUIC_RETRY_NEVER,
};

/* What runs above the connections. */
struct gh_quic_endpoint_events {
    /* A stranger's first packet was accepted. Fills app, its argument and TLS; 0 or a refusal. */
    int (*on_accept)(void *arg, struct gh_quic_link *l, const struct gh_quic_app **ret_app, void **ret_app_arg, struct gh_tls_ctx **ret_tls);
    /* The connection is made: <app_arg> may use it. */
    void (*on_attached)(void *app_arg, struct gh_quic *q);
    /* The connection is over; the link is destroyed when this returns. */
    void (*on_closed)(void *app_arg, struct gh_quic_link *l, const struct gh_quic_close *why);
    /* Something was not served. */
    void (*on_drop)(void *arg, enum gh_drop why, uint64_t count);
};

/* A datagram of no connection that the endpoint has. */
struct gh_quic_stranger {
    struct gh_endpoint local, remote;
    uint8_t ecn;
    struct gh_span payload; /* borrowed */
};

struct gh_quic_endpoint_config {
    struct gh_worker *worker;
    struct gh_quic_group *group; /* outlives the endpoint */
    unsigned index;              /* in the group */
    int fd;                      /* taken over, with the buffers that its maker gave it: without rights we could only make them smaller */
    struct gh_udp_features features;
    bool server;                 /* accept strangers */
    unsigned max_half_open;      /* handshakes under way */
    enum gh_quic_retry_mode retry;
    unsigned handshakes_per_source; /* a second (net/source_budget.h); 0: no limit */
    struct gh_quic_config quic;
    struct gh_quic_memory *memory; /* client: shared with other endpoints of the worker, and outlives them; NULL: its own */
    const struct gh_quic_endpoint_events *events;
    void *arg;
    /* Server, may be NULL: sees every such datagram before anything is answered. True: it is a client's of ours, and may begin a connection. False: the
     * callee has it, or nobody is to hear of it; gh_quic_endpoint_replay takes it later. With it this endpoint sends no Version Negotiation and no
     * stateless reset: they would tell who is here. */
    bool (*admit)(void *arg, const struct gh_quic_stranger *d);
    void *admit_arg;
};

struct gh_quic_endpoint_counters {
    uint64_t datagrams_in, datagrams_out, bytes_in, bytes_out, sends, receives;
    uint64_t handed_over; /* datagrams that another worker read */
    uint64_t assertions;  /* connections lost to an assertion of the library */
    uint64_t resets_out;  /* stateless resets: answers to packets of connections that are no more */
    uint64_t retries_out;
    uint64_t tokens_invalid; /* Initials refused with INVALID_TOKEN */
    uint64_t handshakes_done, handshakes_failed; /* of strangers */
    uint64_t black_holes; /* paths that shrank */
    uint64_t probes;      /* of silent paths, sooner than the library would */
    uint64_t key_updates; /* begun here */
    uint64_t resumed; /* of the handshakes done */
    uint64_t datagrams_lost; /* DATAGRAM frames in packets that were declared lost */
};

int gh_quic_endpoint_create(const struct gh_quic_endpoint_config *cfg, struct gh_quic_endpoint **ret);
/* Closes every connection without a word (on_closed for each). */
void gh_quic_endpoint_destroy(struct gh_quic_endpoint *e);
/* Has <d> a token of a Retry of ours that is good now, from there? <ret> is the id that it chose before that. */
bool gh_quic_endpoint_proves(struct gh_quic_endpoint *e, const struct gh_quic_stranger *d, struct gh_quic_cid *ret);
/* A datagram that <admit> kept goes on as one that it let in. */
void gh_quic_endpoint_replay(struct gh_quic_endpoint *e, const struct gh_quic_stranger *d);
/* Sends a datagram that is no connection's, from the endpoint's socket. As gh_udp_send: what the socket does not take now is lost. */
ssize_t gh_quic_endpoint_send(struct gh_quic_endpoint *e, const struct gh_udp_send *m);
/* Sends what waits, now. */
void gh_quic_endpoint_flush(struct gh_quic_endpoint *e);
void gh_quic_endpoint_set_max_half_open(struct gh_quic_endpoint *e, unsigned max);
void gh_quic_endpoint_set_max_streams(struct gh_quic_endpoint *e, uint64_t bidi); /* of a peer; on connections from now on */
void gh_quic_endpoint_set_handshakes_per_source(struct gh_quic_endpoint *e, unsigned per_second);
void gh_quic_endpoint_set_retry(struct gh_quic_endpoint *e, enum gh_quic_retry_mode mode);
void gh_quic_endpoint_refuse_new(struct gh_quic_endpoint *e); /* draining: no new connections */
const struct gh_quic_endpoint_counters *gh_quic_endpoint_counters(const struct gh_quic_endpoint *e);
struct gh_worker *gh_quic_endpoint_worker(const struct gh_quic_endpoint *e);
unsigned gh_quic_endpoint_links(const struct gh_quic_endpoint *e);

/* Client: opens a connection. <remote> is where to. */
int gh_quic_endpoint_connect(struct gh_quic_endpoint *e, const struct gh_endpoint *remote, struct gh_tls_ctx *tls, const struct gh_tls_name *name,
                             const struct gh_quic_app *app, void *app_arg, struct gh_quic_link **ret);

/* Ports of the server that lead to the one that was connected to. */
struct gh_quic_hop {
    uint16_t first, last;
    uint16_t port; /* packets go there; 0: to the one that was connected to */
};

/* Client: from now on packets go to another port, and those that come from the range are taken for the server's. The connection does not notice. */
void gh_quic_link_hop(struct gh_quic_link *l, const struct gh_quic_hop *hop);

struct gh_quic *gh_quic_link_quic(struct gh_quic_link *l);
struct gh_quic_endpoint *gh_quic_link_endpoint(struct gh_quic_link *l);
struct gh_endpoint gh_quic_link_remote(struct gh_quic_link *l);
/* The connection has something to send: it is written at the end of this turn. Cheap. */
void gh_quic_link_wake(struct gh_quic_link *l);

#endif
