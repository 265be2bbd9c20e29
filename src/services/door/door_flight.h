/* services/door/door_flight.h - first flights of QUIC clients that have come in part; no I/O, no clock
 *
 * A flight is what one 4-tuple sends under one connection id that the client chose, until its ClientHello is complete. What came is kept as
 * it came, so that it can still go anywhere. The table is bounded by the caller, who gives up the oldest flight to make room for a new one.
 */
#ifndef GH_SERVICES_DOOR_DOOR_FLIGHT_H
#define GH_SERVICES_DOOR_DOOR_FLIGHT_H

#include "base/list.h"
#include "base/map.h"
#include "os/sock.h"
#include "proto/quic/initial_peek.h"

#define DOOR_FLIGHT_DATAGRAMS 16u  /* that one flight is worth */
#define DOOR_FLIGHT_BYTES 32768u

struct door_datagram {
    struct gh_list link;
    uint8_t ecn;
    size_t len;
    uint8_t data[];
};

struct door_flight_key {
    struct gh_endpoint local, remote;
    struct gh_quic_cid dcid;
};

struct door_flight {
    struct gh_map_node node;
    struct gh_list age;
    struct door_flight_key key;
    int64_t began;
    unsigned socket;          /* the caller's: where it comes in */
    struct gh_quic_peek peek;
    struct gh_list kept;      /* struct door_datagram, in the order in which they came */
    unsigned datagrams;
    size_t bytes;
};

struct door_flights {
    struct gh_map map;
    struct gh_list age; /* the oldest first */
    struct gh_hash_seed seed;
    unsigned count;
};

/* <seed> is random: clients choose their ids. 0 or GH_ERR_MEMORY. */
int door_flights_init(struct door_flights *t, const struct gh_hash_seed *seed);
void door_flights_fini(struct door_flights *t); /* ends them all; accepts one that is all zeroes */

struct door_flight *door_flights_find(const struct door_flights *t, const struct door_flight_key *key);
struct door_flight *door_flights_oldest(const struct door_flights *t); /* NULL: there is none */
/* How many a source has, and the oldest of them. A source is an IPv4 address or an IPv6 /64. */
unsigned door_flights_of(const struct door_flights *t, const struct gh_ip *source, struct door_flight **ret_oldest);

/* <first> must be fed then. 0; GH_ERR_UNSUPPORTED when it is no Initial packet that we can read; GH_ERR_CRYPTO, GH_ERR_MEMORY. */
int door_flight_begin(struct door_flights *t, const struct door_flight_key *key, struct gh_span first, int64_t now, struct door_flight **ret);
/* 1: <ret> is the hello, borrowed until the flight ends. 0: more is needed, and the datagram was kept. Else there will be no hello, for this is no client,
 * or one that takes too much: a GH_ERR_. Only what gave 0 is kept. */
int door_flight_feed(struct door_flight *f, struct gh_span datagram, uint8_t ecn, struct gh_tls_hello *ret);
void door_flight_end(struct door_flights *t, struct door_flight *f);

#endif
