/* tests/sim/host.h - what the services have below them, in virtual time: a worker, a UDP endpoint, a queue of a TUN
 *
 * Takes the place of loop/worker.c, net/quic_endpoint.c and net/tun_port.c at link time, and of the node's metrics. A server's
 * endpoint becomes the simulator's server end, a client's the client end. One connection each.
 */
#ifndef GH_SIM_HOST_H
#define GH_SIM_HOST_H

#include "base/list.h"
#include "net/quic_endpoint.h"
#include "sim.h"

struct gh_metrics;

struct gh_worker {
    struct sim *sim;
    void (*on_network)(void *arg, struct gh_span packet); /* a packet that was written to the TUN */
    void *arg;
    struct gh_list hooks; /* all zeroes until there is one */
    uint64_t ticks;
};

/* The end of a turn. */
void host_turn(struct gh_worker *w);

struct gh_node {
    struct gh_metrics *metrics;
};

#define SIM_WALL INT64_C(1700000000) /* seconds of the wall clock at the monotonic clock's zero */

#endif
