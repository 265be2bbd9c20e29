/* tests/sim/relay_world.h - the production relay, from HTTP/3 down to its TUN, as the simulator's server
 *
 * Pools 10.100.0.0/24 and fd00:100::/64, everything advertised, one identity in the agent's certificate: client-1.
 */
#ifndef GH_SIM_RELAY_WORLD_H
#define GH_SIM_RELAY_WORLD_H

#include "core/log.h"
#include "core/metrics.h"
#include "host.h"
#include "services/relay/relay_worker.h"

#define WORLD_AGENT4 "10.100.0.2"
#define WORLD_AGENT6 "fd00:100::2"

struct relay_world {
    struct sim sim;
    struct gh_worker worker;
    struct gh_node node;
    struct gh_run run;
    struct gh_privileged parent;
    struct gh_log log;
    struct relay relay;
    struct gh_prefix pools[2], routes[2];
};

/* <policy> is the text of a policy file; NULL allows everything. Packets for the network go to <on_network>. */
void relay_world_init(struct relay_world *w, uint64_t seed, const char *policy, void (*on_network)(void *arg, struct gh_span packet), void *arg);
void relay_world_fini(struct relay_world *w);
/* Another policy, as a reload brings it; it must be a good one. */
void relay_world_reload(struct relay_world *w, const char *policy);
struct relay_worker *relay_world_worker(struct relay_world *w);
uint64_t relay_world_drops(const struct relay_world *w, enum gh_drop why);

#endif
