/* services/agent/agent_internal.h - the agent's parts, for the files of this folder
 *
 * Everything but the TUN queues of the other workers lives on worker 0: endpoints, connection, tunnel, forwarding engine.
 *
 *   WAITING --delay over--> RESOLVING --addresses--> CONNECTING --SETTINGS--> REQUESTING --2xx--> ASSIGNING --address--> UP
 *      ^  `--addresses of the last time are tried first--^                                                             |
 *      `------------------------ CLOSING (the connection says good-bye) <----- any failure, any end ------------------'
 *   STOPPED: the node drains; nothing is tried any more.
 *
 * A packet: kernel -> TUN queue of a worker -> [mailbox, in order] -> worker 0: agent_packet_out -> tunnel; and back:
 * tunnel -> agent_packet_in -> TUN queue 0.
 */
#ifndef GH_SERVICES_AGENT_AGENT_INTERNAL_H
#define GH_SERVICES_AGENT_AGENT_INTERNAL_H

#include <stdatomic.h>

#include "core/run.h"
#include "crypto/tls.h"
#include "loop/worker.h"
#include "net/http_endpoint.h"
#include "net/tun_port.h"
#include "os/resolve.h"
#include "proto/forward/forward.h"
#include "services/agent/agent_backoff.h"
#include "services/agent/agent_conf.h"
#include "services/agent/agent_route.h"
#include "services/agent/agent_tunnel.h"

#define AGENT_FAMILIES 2u /* endpoints: IPv4, IPv6 */

enum agent_state {
    AGENT_WAITING,
    AGENT_RESOLVING,
    AGENT_CONNECTING,
    AGENT_REQUESTING,
    AGENT_ASSIGNING,
    AGENT_UP,
    AGENT_CLOSING,
    AGENT_STOPPED,
};

/* agent_metrics: rows of the table in agent.c */
enum { AGENT_METRIC_UP, AGENT_METRIC_TUNNELS, AGENT_METRIC_PACKETS, AGENT_METRIC_BYTES, AGENT_METRIC_QUEUE, AGENT_METRIC_HANDED_OVER };
enum { AGENT_OUT, AGENT_IN };

struct agent;
struct agent_handover;
struct gh_http_listener;

/* One TUN queue and the worker that reads it. */
struct agent_queue {
    struct agent *a;
    struct gh_worker *worker;
    unsigned index;
    struct gh_tun_port *port;
    struct agent_handover *handover; /* a reference; NULL on worker 0 */
    struct agent_batch *batch;       /* being filled, NULL for none */
    struct gh_turn_hook hook;
    _Atomic uint64_t *drops;
    _Atomic uint64_t packets; /* read from the kernel; for status */
};

struct agent {
    struct gh_node *node;
    struct gh_run *run;
    struct gh_log *log;
    struct gh_agent_conf conf; /* strings and lists are the agent's own; what names files is NULL */
    struct gh_tls_ctx *tls;
    struct gh_udp_features features;
    struct gh_quic_group groups[AGENT_FAMILIES];
    int udp[AGENT_FAMILIES], tun_fds[GH_WORKERS_MAX], socket;
    char tun[GH_PRIV_DEVICE];
    unsigned workers;
    struct agent_queue queues[GH_WORKERS_MAX];
    int check;
    struct gh_metric_set *metrics;
    uint8_t instance[16];
    struct gh_agent_request request;
    _Atomic bool stopped; /* the tunnel is closed for good: drained */

    /* worker 0 */
    struct gh_worker *w;
    struct gh_http_endpoint *http[AGENT_FAMILIES];
    enum agent_state state;
    struct gh_deadline timer;     /* the next attempt, or the assignment's time-out */
    struct gh_deadline mtu_timer;
    struct gh_agent_backoff backoff;
    struct gh_resolved resolved; /* of the last look-up that worked */
    size_t candidate;
    bool cached, looking_up;      /* <resolved> is from an earlier attempt; a look-up is under way */
    struct gh_http_conn *conn;
    struct gh_endpoint remote;
    struct gh_http_identity identity;
    struct gh_agent_tunnel tunnel;
    int64_t up_since;             /* monotonic, 0: the tunnel is not up */
    int64_t up_wall;
    uint64_t tunnels, attempts;
    char tls_group[32], cipher[48], why[GH_AGENT_WORDS];
    struct gh_forward forward;
    struct gh_forward_session session;
    struct gh_forward_verdict verdict;
    struct gh_agent_routes routes;
    struct gh_prefix assigned[GH_FORWARD_PREFIXES]; /* what the kernel has */
    size_t assigned_count;
    size_t mtu;                   /* what the device has */
    uint8_t *out;                 /* one packet, with room before it */
    struct agent_handover *handover;
    struct gh_http_listener *status;
};

/* agent_link.c: the connection */
int agent_link_start(struct agent *a);
/* Closes what is open and tries nothing any more; a->stopped follows. */
void agent_link_stop(struct agent *a);
void agent_link_fini(struct agent *a);
/* New certificates or allowed routes. Takes both over; <allow> is an array of <count>. */
void agent_link_reconfigure(struct agent *a, struct gh_tls_ctx *tls, struct gh_prefix *allow, size_t count);
const char *agent_state_name(enum agent_state s);

/* agent_network.c: addresses, routes and size of the device */
void agent_network_assigned(struct agent *a, const struct gh_prefix *list, size_t count);
/* 0, or an error after a log line. */
int agent_network_routes(struct agent *a, const struct gh_ip_route *list, size_t count);
/* Follows the tunnel's size. */
void agent_network_refresh_mtu(struct agent *a);

/* agent_packet.c */
int agent_packet_start(struct agent *a);
void agent_packet_stop(struct agent *a);
void agent_packet_in(struct agent *a, struct gh_span packet);
int agent_queue_start(struct agent_queue *q, struct gh_worker *w);
void agent_queue_stop(struct agent_queue *q);

/* agent_identity.c: 0, or GH_ERR_DENIED and the like with words in <ret_why>. */
#define AGENT_WHY 384u
int agent_identity_of_relay(struct gh_span der, const char *trust_domain, struct gh_http_identity *ret, char ret_why[AGENT_WHY]);

/* agent_status.c: what the unix socket answers */
int agent_status_start(struct agent *a);
void agent_status_stop(struct agent *a);
void agent_status_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head);

#endif
