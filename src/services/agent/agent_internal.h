/* services/agent/agent_internal.h - the agent's parts, for the files of this folder
 *
 * Everything but the TUN queues of the other workers lives on worker 0: endpoints, connections, tunnel, forwarding engine.
 *
 * With mode proxy there is no tunnel for packets: a link is UP as soon as requests may be sent, and carries tunnels to single hosts (agent_opener.c),
 * which stay with it when another one carries.
 *
 * A packet: kernel -> TUN queue of a worker -> [mailbox, in order] -> worker 0: packet_out -> the carrier's tunnel; and back:
 * any link's tunnel -> agent_packet_in -> TUN queue 0.
 */
#ifndef GH_SERVICES_AGENT_AGENT_INTERNAL_H
#define GH_SERVICES_AGENT_AGENT_INTERNAL_H

#include <stdatomic.h>
#include <stdio.h>

#include "base/list.h"
#include "core/run.h"
#include "core/self.h"
#include "crypto/tls.h"
#include "loop/trace.h"
#include "loop/worker.h"
#include "net/http_endpoint.h"
#include "net/http_tcp.h"
#include "net/tun_port.h"
#include "os/netlink.h"
#include "os/resolve.h"
#include "proto/forward/forward.h"
#include "services/agent/agent_backoff.h"
#include "services/agent/agent_conf.h"
#include "services/agent/agent_ech.h"
#include "services/agent/agent_link.h"
#include "services/agent/agent_opener.h"
#include "services/agent/agent_route.h"
#include "services/agent/agent_tunnel.h"

#define AGENT_FAMILIES 2u /* endpoints: IPv4, IPv6 */

enum agent_search { AGENT_SEARCH_NONE, AGENT_SEARCH_WAITING, AGENT_SEARCH_RESOLVING, AGENT_SEARCH_TRYING };

#define AGENT_EXIT_TAKEN_OVER 5 /* DESIGN 5: denied */

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

/* NULL where the transport is not used. */
struct gh_agent_tls {
    struct gh_tls_ctx *quic;
    struct gh_tls_ctx *tcp; /* "h2,http/1.1" */
    struct gh_tls_ctx *h1;  /* of a WebSocket where HTTP/2 is none of use */
};

struct agent {
    struct gh_node *node;
    struct gh_run *run;
    struct gh_log *log;
    struct gh_agent_conf conf; /* strings and lists are the agent's own; what names files is NULL */
    struct gh_agent_tls tls;
    struct gh_agent_ech ech;
    bool ech_saving, ech_again;       /* its file is being written; and has to be once more */
    struct gh_self self; /* worker 0 */
    struct gh_udp_features features;
    struct gh_quic_group groups[AGENT_FAMILIES];
    struct gh_quic_memory memory; /* of relays, for whatever endpoint comes next */
    int udp[AGENT_FAMILIES], tun_fds[GH_WORKERS_MAX], socket;
    char tun[GH_PRIV_DEVICE];
    unsigned workers;
    struct agent_queue queues[GH_WORKERS_MAX];
    int check;
    struct gh_metric_set *metrics;
    uint8_t instance[16];
    _Atomic bool stopped; /* the tunnel is closed for good: drained */

    /* worker 0 */
    struct gh_worker *w;
    struct gh_http_endpoint *http[AGENT_FAMILIES];
    struct gh_http_tcp *tcp;
    struct gh_list links;         /* struct agent_link */
    struct agent_link *carrier;   /* carries the tunnel's packets; NULL: none does */
    struct agent_link *next;      /* of the search: the first that answered */
    enum agent_search search;
    bool stopping;                /* nothing is tried any more */
    struct gh_deadline timer;     /* of the search */
    struct gh_deadline watch;     /* looks at the carrier */
    struct gh_deadline settle;    /* the network changed */
    struct gh_deadline prefer;    /* is a preferred relay back? */
    struct gh_deadline quic_again; /* does UDP get through now? */
    bool tcp_first;               /* it did not when it was last tried */
    bool websocket_first;         /* nor did what TCP has without a WebSocket */
    bool websocket_h1;            /* HTTP/2 has no tunnels there */
    bool quic_only;               /* what the search looks for */
    struct gh_agent_backoff backoff;
    struct {
        struct gh_resolved resolved;     /* of the last look-up that worked */
        struct gh_agent_request request; /* for a tunnel */
    } relays[GH_AGENT_RELAYS];
    size_t at, candidate;         /* where the search stands: a relay, the next of its addresses */
    size_t limit, skip;           /* relays from here on, and this one, are none of the search's */
    bool fresh, looking_up;       /* the search looked up the relay's name itself; a look-up is under way */
    int monitor, tun_index;
    struct gh_poll *monitor_poll;
    struct gh_netlink *netlink;   /* to ask for routes; NULL: cannot */
    int64_t up_since;             /* monotonic, 0: no tunnel */
    int64_t up_wall, mtu_looked;
    uint64_t tunnels, attempts, connections;
    const char *noted_state;      /* the last in the flight recorder */
    int64_t dumped;               /* monotonic: after an assertion */
    char why[GH_AGENT_WORDS];
    char no_ipv6[GH_AGENT_WORDS]; /* why none is assigned; "": nothing was said */
    struct gh_forward forward;
    struct gh_forward_session session;
    struct gh_forward_verdict verdict; /* of a packet from the tunnel */
    struct gh_forward_verdict outward; /* of the kernel's last packet */
    uint32_t flow_number;              /* that one's, for the fair queue */
    struct gh_agent_routes routes;
    struct gh_prefix assigned[GH_FORWARD_PREFIXES]; /* what the kernel has */
    size_t assigned_count;
    bool announced;               /* since the last tunnel was lost */
    struct agent_families {
        bool ipv4, ipv6;
    } blocked;                    /* what is taken over of these is unreachable */
    size_t blocked_count;         /* networks */
    size_t mtu;                   /* what the device has */
    uint8_t *dns;                 /* the last DNS_ASSIGN, well-formed */
    size_t dns_len;
    struct gh_prefix pref64[GH_PREF64_PREFIXES];
    size_t pref64_count;
    int dns_file;                 /* where it is written; -1: nowhere */
    struct agent_opener opener;
    uint8_t *out;                 /* one packet, with room before it */
    struct agent_handover *handover;
    struct gh_http_listener *status;
};

/* agent.c: accepts what is half made */
void agent_tls_put(struct gh_agent_tls *t);

static inline bool agent_is_proxy(const struct agent *a)
{
    return a->conf.mode == GH_AGENT_PROXY;
}

/* agent_search.c: which connection carries */
/* The carrier is none, also while it asks for another tunnel. */
bool agent_search_is_attempt(const struct agent *a, const struct agent_link *l);
int agent_search_start(struct agent *a);
/* Closes what is open and tries nothing any more; a->stopped follows. */
void agent_search_stop(struct agent *a);
void agent_search_fini(struct agent *a);
/* What may change while it runs; takes over what <n> points to. */
struct agent_change {
    struct agent *a;
    struct gh_agent_tls tls;
    struct gh_agent_ech_list ech;
    char *tunnel_name;
    bool has_ca;
    struct gh_self self;
    struct gh_prefix *allow;
    size_t allow_count;
};
void agent_search_reconfigure(struct agent *a, struct agent_change *n);
const char *agent_state_name(const struct agent *a);
/* What links tell: the relay answered; the tunnel has an address; it is over (from which state); the object is gone. */
void agent_search_reached(struct agent_link *l);
void agent_search_up(struct agent_link *l);
void agent_search_lost(struct agent_link *l, enum agent_link_state before);
void agent_search_gone(struct agent *a);
void agent_search_goaway(struct agent_link *l);

/* agent_trace.c: into the flight recorder of the worker; the state, when it is another one; a drop, which is counted, too */
void agent_note_link(const struct agent_link *l, enum gh_trace_event event, unsigned detail);
void agent_note_end(const struct agent_link *l, const char *word);
void agent_note(struct agent *a, enum gh_trace_event event, uint64_t value);
void agent_note_state(struct agent *a);
void agent_note_drop(struct agent_queue *q, enum gh_drop why, uint64_t count);
/* The last <max> events of each worker as JSON. */
void agent_trace_emit(const struct agent *a, size_t max, struct gh_text *t);

/* agent_network.c: addresses, routes and size of the device */
void agent_network_assigned(struct agent *a, const struct gh_prefix *list, size_t count);
/* 0, or an error after a log line. */
int agent_network_routes(struct agent *a, const struct gh_ip *relay, const struct gh_ip_route *list, size_t count);
bool agent_network_has_ipv6(const struct agent *a);
/* What is taken over and carried: an address of the family is assigned. */
struct gh_agent_prefixes agent_network_carried(const struct agent *a);
/* What is taken over and unreachable, because no address of the family is assigned. */
struct gh_agent_prefixes agent_network_blocked(const struct agent *a);
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
int agent_identity_of_relay(const struct gh_cert *cert, const char *trust_domain, struct gh_http_identity *ret, char ret_why[AGENT_WHY]);

/* agent_ech_file.c: what relays tell of their ECH, kept over restarts; the first before there are workers */
void agent_ech_load(struct agent *a);
void agent_ech_save(struct agent *a);
void agent_ech_told(struct agent *a, struct gh_span list);

/* agent_dns.c: what the relay tells of nameservers stays until it tells something else */
void agent_dns_told(struct agent *a, struct gh_span value);
void agent_dns_told_pref64(struct agent *a, const struct gh_prefix *list, size_t count);
/* What a resolver reads: nameservers that know all names, without encryption and through the tunnel. */
void agent_dns_emit_file(const struct agent *a, const struct gh_dns_config *list, size_t count, struct gh_text *t);
void agent_dns_emit_status(const struct agent *a, struct gh_text *t);

/* agent_status.c: what the unix socket answers */
int agent_status_start(struct agent *a);
void agent_status_stop(struct agent *a);
void agent_status_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head);

#endif
