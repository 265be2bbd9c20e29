/* tests/sim/sim.h - a network in virtual time: two ends, delay, loss, reordering and duplication, all from one seed
 *
 * Same seed, same trace hash: every datagram that enters or leaves the network goes into the hash with its time and size.
 */
#ifndef GH_SIM_H
#define GH_SIM_H

#include <stdbool.h>

#include "base/list.h"
#include "crypto/random.h"
#include "proto/h3/h3.h"
#include "proto/quic/quic.h"

#define SIM_MS INT64_C(1000000)
#define SIM_S INT64_C(1000000000)

struct sim_link {
    int64_t delay;        /* one way */
    double loss, duplicate, reorder; /* 0..1; a reordered datagram takes one to three delays more */
    bool down;            /* everything is lost */
    size_t max_payload;   /* larger datagrams vanish; 0: no limit */
};

struct sim;

struct sim_end {
    struct sim *sim;
    bool server;
    struct gh_quic_addr addr;
    struct gh_quic *quic;
    struct gh_h3 *h3;
    struct gh_h3_config h3_config;
    struct gh_tls_ctx *tls;
    bool closed;
    struct gh_quic_close why;
    void *user;
};

struct sim {
    int64_t now;
    uint64_t random, trace; /* the generator's state; the hash so far */
    struct sim_link link[2]; /* from client, from server */
    struct sim_end client, server;
    struct gh_list flying;
    struct gh_quic_config quic;
    uint64_t delivered, lost;
};

void sim_init(struct sim *s, uint64_t seed);
void sim_fini(struct sim *s);
uint64_t sim_random(struct sim *s);
double sim_chance(struct sim *s); /* 0 <= x < 1 */
/* Creates both ends; the server's connection comes with the first datagram. <events> and <arg> for each. */
void sim_connect(struct sim *s, const struct gh_h3_events *client, void *client_arg, const struct gh_h3_events *server, void *server_arg);
/* Puts a payload on the wire towards the other end, as the end that is not <from_server> would. */
void sim_inject(struct sim *s, bool from_server, struct gh_span payload);
/* Lets time pass until <done> says so or <limit> is reached. True when <done> did. */
bool sim_run(struct sim *s, int64_t limit, bool (*done)(void *arg), void *arg);

#endif
