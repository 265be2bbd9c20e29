/* services/relay/relay_internal.h - the relay's parts, for the files of this folder
 *
 * struct relay        the node's: configuration, policy, addresses, directory
 * struct relay_worker one worker's: HTTP/3 endpoints, TUN queue, forwarding engine, sessions
 * struct session      one instance of an agent: addresses, flows, counters; belongs to one worker
 * struct tunnel       one request, then one stream of a session
 *
 * The life of a packet:
 *   from an agent   http3 -> session_datagram -> connect_ip -> relay_packet_from_peer -> TUN, or another session
 *   to an agent     tun_port -> relay_packet_in -> directory -> relay_packet_to_peer -> http3
 * A packet for a session of another worker goes to that worker's mailbox and is judged there.
 */
#ifndef GH_SERVICES_RELAY_RELAY_INTERNAL_H
#define GH_SERVICES_RELAY_RELAY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/list.h"
#include "core/node_key.h"
#include "core/run.h"
#include "core/self.h"
#include "crypto/random.h"
#include "crypto/tls.h"
#include "loop/worker.h"
#include "net/http_endpoint.h"
#include "net/tun_port.h"
#include "os/resolve.h"
#include "policy/policy.h"
#include "ports/session_directory.h"
#include "ports/tunnel_acceptor.h"
#include "proto/connect_ip/connect_ip.h"
#include "proto/forward/forward.h"
#include "services/relay/directory.h"
#include "services/relay/pool.h"
#include "services/relay/relay_announced.h"
#include "services/relay/relay_audit.h"
#include "services/relay/relay_card.h"
#include "services/relay/relay_conf.h"
#include "services/relay/relay_metrics.h"
#include "services/relay/relay_packet.h"
#include "services/relay/relay_parcel.h"
#include "services/relay/relay_trace.h"
#include "store/store.h"

#define RELAY_LISTEN_MAX 16u
#define RELAY_HTTP_MAX (RELAY_LISTEN_MAX + 16u) /* the relay's own, then those on sockets of the door */
#define RELAY_REQUEST_ID 34u /* CONNECTION-STREAM in hex, NUL included */

/* A policy and what the sessions need to know of it. Held by workers through a snapshot. */
struct relay_policy {
    struct gh_policy *policy;
    uint64_t generation;
};

enum relay_check { RELAY_CHECK_TLS, RELAY_CHECK_POLICY, RELAY_CHECK_POOL, RELAY_CHECK_TUN, RELAY_CHECK_CRL, RELAY_CHECKS };

struct relay {
    struct gh_node *node;
    struct gh_run *run;
    struct gh_log *log;
    struct gh_audit *audit;
    struct gh_relay_conf conf; /* of the thread that runs the node; workers have copies */
    struct gh_ech_keys *ech;     /* of the door of this node, for hellos that come by the relay's own port; NULL: none */
    struct gh_tls_ctx *tls;      /* of the thread that runs the node; workers hold their own */
    struct gh_snapshot policy;   /* struct relay_policy */
    uint64_t policy_generation;
    struct gh_snapshot trust;    /* struct relay_trust */
    struct gh_pool *pool;        /* under the directory's lock */
    struct gh_directory *directory;
    struct gh_store *store;
    struct gh_quic_group groups[RELAY_LISTEN_MAX];
    uint8_t key[GH_NODE_KEY];
    struct gh_udp_features features;
    char tun[GH_PRIV_DEVICE];
    unsigned workers;
    size_t listen_count;
    struct gh_endpoint listens[RELAY_LISTEN_MAX];
    struct gh_prefix pools[GH_POOL_PREFIXES_MAX];
    const struct gh_relay_conf *next_conf; /* while a reload is told to the workers */
    int udp[RELAY_LISTEN_MAX][GH_WORKERS_MAX], tun_fds[GH_WORKERS_MAX];
    struct relay_worker *at[GH_WORKERS_MAX], *stopped[GH_WORKERS_MAX]; /* until unload: messages to them may be under way */
    struct gh_ready *ready;
    int checks[RELAY_CHECKS];
    struct gh_metric_set *metrics;
    _Atomic uint64_t next_session;
    _Atomic unsigned sessions;
    _Atomic unsigned lookups; /* names that are looked up */
    _Atomic unsigned proxied, proxy; /* tunnels of relay_proxy.h; which kinds are served: what conf says, for every worker */
    _Atomic bool draining;
    pthread_mutex_t cards_lock; /* of what an operator sees */
    struct gh_list cards;       /* struct relay_card */
    struct gh_self self;
    struct gh_port_sessions port;
    struct gh_port_tunnels tunnels;
    struct relay_trace trace;
};

struct session;

struct slot {
    struct session *session; /* NULL: free */
    uint32_t generation;
};

struct relay_worker {
    struct relay *r;
    struct gh_relay_conf conf; /* the worker's own copy of the node's */
    struct gh_worker *w;
    unsigned index;
    struct gh_http_endpoint *http[RELAY_HTTP_MAX]; /* NULL where there is none */
    struct gh_tun_port *tun;
    struct gh_forward forward;
    struct gh_snapshot_reader policy, trust;
    bool crl_was_stale;
    int64_t dumped; /* when an assertion was, last; 0: never */
    struct relay_announced ech; /* what the node's door announces: for agents */
    int64_t policy_looked; /* wall seconds of the last look at rules that expire */
    int64_t expires; /* wall seconds: no certificate of a session ends before */
    int64_t measure_at, hurried_until; /* paths are looked at again: once a second, or more often while a tunnel waits for what its path carries */
    struct slot *slots;
    uint32_t slot_count, free_slot; /* next free, UINT32_MAX for none; free slots are chained through generation's neighbour */
    uint32_t *next_free;
    struct gh_deadline sweep;
    int64_t look_at; /* when all sessions are looked at again; flows are swept more often where there are many */
    _Atomic uint64_t *drops;
    struct gh_list sessions, waiting, leaving, proxies; /* struct session; struct tunnel without one yet, or no more; struct relay_proxy */
    unsigned session_count;
    struct gh_forward_verdict verdict; /* large; one packet at a time */
    struct gh_forward_verdict inner;   /* of a packet that goes to a session */
    struct relay_piece piece;          /* of the TUN's last read */
    uint32_t flow_number;              /* of the packet in <inner>, for the fair queue */
    struct relay_parcels parcels;
    uint8_t *out;                      /* one packet with a context id before it */
};

/* What a tunnel is for, when it is not for everything. */
struct relay_scope {
    struct gh_ip_route routes[GH_RESOLVE_ADDRESSES];
    size_t count;
};

enum session_end { SESSION_CLOSED, SESSION_TAKEN_OVER, SESSION_KICKED, SESSION_DRAINED, SESSION_EXPIRED, SESSION_MOVED, SESSION_REVOKED };

#define RELAY_INSTANCE 16u

/* One request for a tunnel, and later one CONNECT-IP stream of a session.
 *
 *   WAITING --a session is found or made--> OPEN --the session ends--> LEAVING (the agent reads why, and closes) --> gone
 */
enum tunnel_state { TUNNEL_WAITING, TUNNEL_OPEN, TUNNEL_LEAVING };

struct tunnel {
    struct gh_list link;           /* in session->tunnels, rw->waiting or rw->leaving */
    struct relay_worker *rw;
    struct gh_http_stream *stream;
    struct session *session;       /* while OPEN; while WAITING, perhaps the one that is being moved here */
    enum tunnel_state state;
    struct tunnel **held;          /* WAITING: somebody else's pointer to this object, cleared when it goes */
    struct gh_connect_ip ip;
    struct gh_rate capsules;       /* that the agent may send */
    struct gh_deadline deadline;   /* LEAVING: the end of patience */
    struct relay_scope scope;      /* count 0: for everything */
    uint64_t ids[2];               /* request ids that the assignment answers */
    uint8_t instance[RELAY_INSTANCE];
    uint8_t *early;                /* WAITING: capsules that came before the answer */
    size_t early_len;
    bool early_end;
    bool peer_narrow;              /* the agent says that its direction carries no IPv6 */
    bool narrow;                   /* the path carries no IPv6, or nobody knows yet: none is assigned */
    int64_t assign_at;             /* when addresses are told though it is not known yet; 0: they were told */
    int64_t measured_at;           /* when nobody's knowing is over; 0: it is */
    uint64_t ech_told;             /* version of the worker's announcement that the agent has; 0: none */
    bool asked_already;            /* another worker had its chance to give a session */
};

struct session {
    struct gh_forward_session forward; /* first: what the engine hands back */
    struct gh_list link;
    struct relay_worker *rw;
    uint32_t slot;
    struct gh_list tunnels;        /* the newest last */
    struct tunnel *carrier;        /* the newest: what goes to the agent goes through it; NULL when there is none */
    uint8_t instance[RELAY_INSTANCE];
    struct gh_directory_found moved_to; /* SESSION_MOVED: where what still comes here goes on */
    bool listed, announced;
    uint64_t measured; /* packets of the carrier when its path was looked at */
    int64_t awaited_until; /* its tunnel was aborted for a reason that another one may not have; 0: nobody is waited for */
    char name[RELAY_NAME_MAX], id[17];
    char request[RELAY_REQUEST_ID]; /* of the newest tunnel, for records */
    struct gh_ip addrs[2]; /* IPv4, IPv6; family 0 for none */
    size_t addr_count;
    struct gh_ip peer;
    uint16_t peer_port;
    int64_t opened;        /* wall seconds */
    int64_t not_after;
    enum session_end why;
    struct relay_card card;
    struct relay_scope scope;
};

/* relay_request.c */
void relay_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head);
bool relay_request_is_tunnel(const struct gh_http_head *head); /* for CONNECT-IP, in a WebSocket too */
/* What the request is called in records; returns <ret>. */
const char *relay_request_id(const struct gh_http_stream *stream, char ret[RELAY_REQUEST_ID]);
/* Answers 503: <rc> is GH_ERR_FULL when addresses ran out, another error when there is no room for a session. */
void relay_refuse_full(struct tunnel *t, int rc);

/* relay_tunnel.c */
/* Takes over a request: its stream's events are the tunnel's. NULL when memory is out, and the request was answered. */
struct tunnel *relay_tunnel_create(struct relay_worker *rw, struct gh_http_stream *stream);
/* Refuses a request that waits. The tunnel is gone. */
void relay_tunnel_refuse(struct tunnel *t, unsigned status, const char *proxy_status);
/* What the paths of the sessions carry now: with or without IPv6. */
void relay_tunnel_measure(struct relay_worker *rw);
/* Becomes the newest of <s>: 200, addresses, routes, then what came early. It may be gone when this returns. */
void relay_tunnel_join(struct tunnel *t, struct session *s);
/* Another tunnel of the session carries now: this one delivers what is under way, and is closed after a while. */
void relay_tunnel_age(struct tunnel *t);
/* Says why and closes; the session is told nothing more. */
void relay_tunnel_leave(struct tunnel *t, enum session_end why);
const char *relay_end_reason(enum session_end why, uint64_t code);

/* relay_session.c */
/* Finds or makes the session that a waiting tunnel belongs to. The tunnel may be gone when this returns. */
void relay_session_open(struct tunnel *t);
struct session *relay_session_find(struct relay_worker *rw, struct gh_session_handle h);
struct gh_session_handle relay_session_handle(const struct session *s);
/* Without tunnels and unknown to anybody. NULL when memory is out. */
struct session *relay_session_create(struct relay_worker *rw, const struct gh_http_peer *peer, const uint8_t instance[RELAY_INSTANCE]);
/* Addresses and a place in the directory; an older session of the identity ends. 0, GH_ERR_FULL and others. */
int relay_session_enlist(struct session *s);
/* Log, audit and list: once in a session's life, wherever it lives then. <moved>: it was told elsewhere already. */
void relay_session_announce(struct session *s, bool moved);
/* The tunnel is a connection more of a session that goes on. */
void relay_session_rejoin(struct session *s, struct tunnel *t);
/* Forgets a session that was never announced. */
void relay_session_discard(struct session *s);
/* The session goes on at another worker: its tunnels here hand over what they still bring. */
void relay_session_moved(struct session *s, const struct gh_directory_found *to);
/* Ends the session and its tunnels, which say why. It is gone when this returns. */
void relay_session_end(struct session *s, enum session_end why);
/* The last tunnel was closed with <code>. */
void relay_session_left(struct session *s, uint64_t code);
/* Every session whose agent's certificate is no longer valid ends. */
void relay_session_expire(struct relay_worker *rw);
int relay_peer(void *arg, const struct gh_cert *cert, const struct gh_endpoint *remote, struct gh_http_identity *ret);
void relay_refused(void *arg, const struct gh_endpoint *remote, const char *why);

/* relay_move.c */
/* Asks the worker of <held> for the session, if it is of the tunnel's instance; else the tunnel gets a session of its own. */
void relay_move_ask(struct tunnel *t, const struct gh_directory_found *held);

/* relay_directory.c */
void relay_directory_publish(struct relay *r);
/* Listeners, offloads, sessions and flows, what each worker carries. */
void relay_describe(void *state, struct gh_description *d);
void relay_card_add(struct session *s);
void relay_card_remove(struct session *s);
void relay_card_measure(struct session *s); /* which has a carrier */
void relay_card_refresh(struct session *s); /* the agent is somewhere else now */

/* relay_policy.c */
struct gh_policy_query relay_policy_query(const struct gh_forward_session *fs, enum gh_direction d, const struct gh_ip_packet *p, int64_t wall);
int relay_policy_load(struct relay *r, const char *path, struct relay_policy **ret);
void relay_policy_destroy(void *policy);
extern const struct gh_forward_events relay_forward_events;
/* Takes the current policy if it is newer: every session's flows are decided again. */
void relay_policy_refresh(struct relay_worker *rw);
/* A rule of the policy expired since the last call: every flow is decided again. */
void relay_policy_expire(struct relay_worker *rw);
void relay_session_bind_policy(struct session *s);
/* What the policy that the worker holds says of a connection that <client> asks the relay to make. */
struct gh_policy_verdict relay_policy_judge(struct relay_worker *rw, const char *client, const struct gh_endpoint *to, uint8_t protocol);

#endif
