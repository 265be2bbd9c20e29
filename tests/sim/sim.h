/* tests/sim/sim.h - a network in virtual time: two ends, delay, loss, reordering and duplication, all from one seed
 *
 * Same seed, same trace hash: every datagram that enters or leaves the network goes into the hash with its time and size.
 */
#ifndef GH_SIM_H
#define GH_SIM_H

#include <stdbool.h>

#include "base/list.h"
#include "crypto/random.h"
#include "loop/deadline.h"
#include "proto/h3/h3.h"
#include "proto/quic/token.h"

#define SIM_MS INT64_C(1000000)
#define SIM_S INT64_C(1000000000)

struct sim_link {
    int64_t delay;        /* one way */
    double loss, duplicate, reorder; /* 0..1; a reordered datagram takes one to three delays more */
    uint64_t fate;        /* 0: none; else what decides of the loss of large datagrams alone: the same ones, whatever is between them */
    double truncate, corrupt;        /* 0..1; bytes cut off the end; bits flipped */
    bool down;            /* everything is lost */
    uint64_t rate;        /* bits a second; 0: no limit */
    size_t queue;         /* bytes that wait for it */
    int64_t busy;         /* until when it sends what it has */
    size_t max_payload;   /* larger datagrams vanish; 0: no limit */
    bool congested;       /* what may be marked arrives with CE (RFC 3168) */
    size_t mark_above;    /* with a rate: bytes that wait, above which what may be marked arrives with CE; 0: never */
    enum sim_ecn { SIM_ECN_KEPT, SIM_ECN_CLEARED, SIM_ECN_SWAPPED, SIM_ECN_DROPPED } ecn_fault; /* ECT(0) gone, made ECT(1), lost */
    uint64_t ecn[4];      /* datagrams sent, by the two bits of ECN */
};

struct sim;

/* What runs above QUIC at one end, when it is not the simulator's own HTTP/3. */
struct sim_stack {
    /* A connection begins: fills what the engine is made with; <ret_tls> keeps the end's own when left alone. 0 or a refusal. */
    int (*open)(void *arg, const struct gh_quic_app **ret_app, void **ret_app_arg, struct gh_tls_ctx **ret_tls);
    void (*attached)(void *arg, struct gh_quic *q);
    void (*closed)(void *arg, const struct gh_quic_close *why); /* the engine is destroyed when it returns */
    void *arg;
};

struct sim_end {
    struct sim *sim;
    bool server;
    struct sim_stack stack; /* open NULL: HTTP/3 */
    struct gh_quic_config config;
    struct gh_quic_addr addr;
    struct gh_quic_addr nat; /* what the other end sees instead; port 0: no NAT */
    struct gh_quic *quic;
    struct gh_h3 *h3;
    struct gh_h3_config h3_config;
    struct gh_tls_ctx *tls;
    uint8_t token[GH_QUIC_NEW_TOKEN_MAX]; /* client: the last one that a server gave */
    size_t token_len;
    struct gh_tls_session *session;
    bool closed;
    struct gh_quic_close why; /* of the last connection that ended */
};

struct sim {
    int64_t now;
    uint64_t random, trace; /* the generator's state; the hash so far */
    struct sim_link link[2]; /* from client, from server */
    struct sim_end client, server;
    struct gh_list flying[2]; /* from client, from server; by the time at which they arrive */
    uint64_t order;
    const struct gh_tls_name *name; /* whom the client asks for; NULL: the relay of certs.h */
    bool retry;  /* the server wants addresses proved */
    struct gh_quic_tokens tokens;
    unsigned retries;
    struct gh_deadlines deadlines; /* of whatever else runs in virtual time */
    void (*on_wire)(void *arg, bool from_server, struct gh_span payload); /* sees every datagram that is sent; may be NULL */
    void *on_wire_arg;
    uint64_t delivered, lost;
};

void sim_init(struct sim *s, uint64_t seed);
void sim_fini(struct sim *s);
/* The certificate, key and CA of an end. */
void sim_credentials(bool server, struct gh_tls_config *ret);
uint64_t sim_random(struct sim *s);
double sim_chance(struct sim *s); /* 0 <= x < 1 */
/* Does the link lose the next datagram of so many bytes? <chance> decides where it has no fate. */
bool sim_link_loses(struct sim_link *l, size_t len, double chance);
int64_t sim_wall(const struct sim *s); /* seconds */
/* Opens the client's connection with what its end says; the server's comes with the first datagram. 0 or an error. */
int sim_open(struct sim *s);
/* The same with our HTTP/3 at both ends; <events> and <arg> for each. */
void sim_connect(struct sim *s, const struct gh_h3_events *client, void *client_arg, const struct gh_h3_events *server, void *server_arg);
/* Ends the connection of an end without a word, as when its owner goes away. */
void sim_end_drop(struct sim_end *e);
/* Both ends and what is on the wire vanish; what the client was given stays. */
void sim_forget(struct sim *s);
struct gh_random_source sim_random_source(struct sim *s);
/* Puts a payload on the wire towards the other end, as the end that is not <from_server> would. */
void sim_inject(struct sim *s, bool from_server, struct gh_span payload);
/* Lets time pass until <done> says so or <limit> is reached. True when <done> did. */
bool sim_run(struct sim *s, int64_t limit, bool (*done)(void *arg), void *arg);

#endif
