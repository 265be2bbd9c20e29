/* tests/fuzz/quic_packet/pair.h - two connections of ours in one process, and every key that they send with
 *
 * No network: what one end writes is handed to the other, as long as pair_connect lets it. Afterwards one end is spoken to by the
 * fuzzer in the name of the other. The program is linked with --wrap=gh_tls_create: secrets are seen on their way to the engine.
 */
#ifndef GH_FUZZ_PAIR_H
#define GH_FUZZ_PAIR_H

#include <stdlib.h>

#include "../../sim/packet_seal.h"
#include "proto/h3/h3.h"

#define REQUIRE(x)   \
    do {             \
        if (!(x))    \
            abort(); \
    } while (0)

#define PAIR_MS INT64_C(1000000)
#define PAIR_CIDS 32
#define PAIR_STREAMS 64

struct pair_end {
    struct pair *pair;
    bool server;
    struct gh_quic_addr addr;
    struct gh_quic *q;
    struct gh_h3 *h3;
    struct gh_h3_stream *streams[PAIR_STREAMS]; /* requests */
    struct gh_quic_cid cids[PAIR_CIDS];         /* that reach it, the first ones */
    size_t cid_count;
    uint8_t drawn[8];                           /* the last eight bytes that it asked of chance: what a path is asked with */
    struct {
        const struct gh_aead_suite *suite;      /* NULL: not there yet */
        uint8_t secret[GH_AEAD_SECRET_MAX];
    } sends[4];                                 /* by enum gh_tls_level */
    bool closed;
    struct gh_quic_close why;
    uint64_t bytes_in, bytes_out;
};

struct pair {
    int64_t now;
    uint64_t random;
    struct pair_end end[2]; /* client, server */
    struct gh_quic_cid first_dcid;
};

/* A client with a first flight, and a server that got at most <datagrams> between the two of them. */
void pair_connect(struct pair *p, unsigned datagrams);
void pair_fini(struct pair *p);
/* Hands over one datagram, in a block of exactly its size. */
void pair_deliver(struct pair_end *to, const struct gh_quic_addr *from, uint8_t ecn, struct gh_span payload);
/* Everything that it wants to send now; it goes nowhere. */
void pair_write(struct pair_end *e);
/* Time passes for one end, which writes what it wants to. */
void pair_pass(struct pair_end *e, int64_t time);
/* A request of the client's. False when it may not ask. */
bool pair_ask(struct pair_end *client);

#endif
