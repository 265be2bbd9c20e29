/* services/door/door_udp.h - UDP of the door, for its own files
 *
 * door_udp.c      a datagram of nobody that we know: whose is it?
 * door_udp_flow.c what a backend or the camouflage gets: datagrams as they came, both ways
 *
 * A gate is a UDP socket of one worker, with the QUIC endpoint on it. The endpoint asks the gate about every datagram that is none of its
 * connections'. A flow is what one client's 4-tuple sends to one target, through a socket of its own. A client may have several at a time: its
 * datagrams are told apart by the connection ids that can be seen. The kernel spreads packets with a short header by what would be an id of
 * ours, so those of one flow may come in at any worker; the directory says whose they are.
 */
#ifndef GH_SERVICES_DOOR_DOOR_UDP_H
#define GH_SERVICES_DOOR_DOOR_UDP_H

#include "net/http_endpoint.h"
#include "net/source_budget.h"
#include "services/door/door_again.h"
#include "services/door/door_flight.h"
#include "services/door/door_internal.h"

#define DOOR_FLOW_IDS 6u

struct door_gate {
    struct door_worker *dw;
    unsigned index;                /* of d->udp */
    uint16_t port;
    struct gh_http_endpoint *http; /* the relay's, or without one our own */
    struct gh_quic_endpoint *quic;
};

struct door_udp {
    struct door_worker *dw;
    struct door_gate gates[DOOR_LISTEN_MAX];
    struct door_flights flights;
    struct door_again *again;           /* flights that were taken */
    struct gh_source_budget sources;
    struct gh_map flows;                /* by 4-tuple */
    struct gh_list answered, unheard;   /* flows; whoever was silent longest comes first */
    struct gh_hash_seed seed;
    unsigned flow_count;
    uint8_t *slab;
    bool draining;
};

int door_directory_init(struct door_directory *dir);
void door_directory_fini(struct door_directory *dir);

/* door_udp_flow.c */
int door_udp_flows_init(struct door_udp *u);
void door_udp_flows_fini(struct door_udp *u);
/* True when a flow that is there, of this worker or another, takes it, or one that goes on from another address. */
bool door_udp_flow_feed(struct door_udp *u, struct door_gate *g, const struct gh_quic_stranger *d);
/* The flow of this client to <target>, a new one if need be; <dcid> leads to it from now on, may be NULL. NULL: there is no room, or nobody to carry to. */
struct door_udp_flow *door_udp_flow_open(struct door_udp *u, struct door_gate *g, const struct door_flight_key *client, struct door_table *t,
                                         struct door_target *target, const struct gh_quic_cid *dcid);
void door_udp_flow_send(struct door_udp_flow *f, struct gh_span datagram, uint8_t ecn);
void door_udp_flows_expire(struct door_udp *u, int64_t now, const struct door_table *t);

#endif
