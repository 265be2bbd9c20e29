/* tests/sim/congestion_world.h - one bulk transfer of TCP over a bottleneck, bare or through a tunnel
 *
 * The road has a rate, a delay, a buffer and a loss in each direction. Through the tunnel the packets of the model are datagrams of two
 * production engines with their queues, over the same road.
 */
#ifndef GH_SIM_CONGESTION_WORLD_H
#define GH_SIM_CONGESTION_WORLD_H

#include "raw_peer.h"
#include "tcp_model.h"

#define ROAD_BUFFER_MIN 15000u /* bytes: no device holds less than ten packets */

struct road {
    int64_t rtt;   /* of the empty road */
    double loss;   /* 0..1, each packet for itself */
    uint64_t rate; /* bits a second */
    double buffer; /* bandwidth-delay products */
    size_t mtu;    /* of the road: 1500 */
};

struct transfer {
    uint64_t bytes;      /* that arrived in order */
    uint64_t sent_again, recoveries, timeouts;
    uint64_t lost;       /* by the road */
    uint64_t waited_out; /* dropped in the tunnel's queues */
    uint64_t packets;
    int64_t rtt;         /* smoothed, that the tunnel's sender has in the end */
    uint64_t holes;      /* times at which an end believed that the path shrank */
};

typedef void tune_fn(void *arg, struct gh_quic_config *cfg);

size_t road_buffer(const struct road *r);
/* <time> of the transfer, its beginning included. */
void transfer_bare(const struct road *r, enum tcp_control control, uint64_t seed, int64_t time, struct transfer *ret);
/* The same through a tunnel that is up already; <tune> may change both ends. False when there was no tunnel in the end. */
bool transfer_tunnel(const struct road *r, enum tcp_control control, uint64_t seed, int64_t time, tune_fn *tune, void *tune_arg,
                     struct transfer *ret);

#endif
