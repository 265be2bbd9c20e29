/* services/door/door_internal.h - what the files of the door share */
#ifndef GH_SERVICES_DOOR_DOOR_INTERNAL_H
#define GH_SERVICES_DOOR_DOOR_INTERNAL_H

#include <pthread.h>

#include "base/map.h"
#include "core/run.h"
#include "loop/worker.h"
#include "net/pump.h"
#include "net/quic_endpoint.h"
#include "os/sock.h"
#include "ports/user_directory.h"
#include "services/door/camouflage.h"
#include "services/door/door_replay.h"
#include "services/door/door_table.h"

#define DOOR_LISTEN_MAX 16u /* sockets of one worker: two families of each address */

/* rows of door_metrics */
enum {
    DOOR_METRIC_CONNECTIONS, /* by enum door_way */
    DOOR_METRIC_ACTIVE,
    DOOR_METRIC_PEEKING,
    DOOR_METRIC_PARKED,
    DOOR_METRIC_HELLOS,      /* by enum door_hello */
    DOOR_METRIC_HANDSHAKES,  /* by enum door_handshake */
    DOOR_METRIC_TOKENS,      /* by enum door_token */
    DOOR_METRIC_REPLAYS,
    DOOR_METRIC_DIALS,       /* by enum door_dial */
    DOOR_METRIC_RESETS,
    DOOR_METRIC_BYTES,       /* by direction: from clients, to clients */
    DOOR_METRIC_MOVED,       /* by manner: copied, spliced */
    DOOR_METRIC_PIPES,
    DOOR_METRIC_PIPES_MISSING,
    DOOR_METRIC_ACCEPT_FAILED,
    DOOR_METRIC_BACKENDS_DOWN,
    DOOR_METRIC_UDP_FLIGHTS,   /* by enum door_way */
    DOOR_METRIC_UDP_HALF_SEEN,
    DOOR_METRIC_UDP_FLOWS,
    DOOR_METRIC_UDP_DATAGRAMS, /* by direction */
    DOOR_METRIC_UDP_DROPPED,   /* by enum door_udp_drop */
};

enum door_way { DOOR_ROUTED, DOOR_STRANGER, DOOR_NOWHERE, DOOR_TUNNEL };
enum door_hello { DOOR_HELLO_NAMED, DOOR_HELLO_NAMELESS, DOOR_HELLO_NOT_TLS, DOOR_HELLO_MALFORMED, DOOR_HELLO_TOO_LONG, DOOR_HELLO_LATE, DOOR_HELLO_ECH };
enum door_handshake { DOOR_HANDSHAKE_KNOWN, DOOR_HANDSHAKE_UNKNOWN, DOOR_HANDSHAKE_FAILED };
enum door_token { DOOR_TOKEN_ACCEPTED, DOOR_TOKEN_REFUSED, DOOR_TOKEN_BUSY, DOOR_TOKEN_UNANSWERED };
enum door_udp_drop { DOOR_UDP_SOURCE, DOOR_UDP_PRESSED, DOOR_UDP_LATE, DOOR_UDP_FULL, DOOR_UDP_UNSENT };
enum door_dial { DOOR_DIAL_DONE, DOOR_DIAL_REFUSED, DOOR_DIAL_TIMED_OUT, DOOR_DIAL_NO_ADDRESS };

extern const struct gh_metric door_metrics[];

struct door_worker;
struct door_health;
struct door_udp;
struct gh_http1_server;
struct gh_http2;
struct gh_http_head;
struct gh_http_stream;

/* Who carries the datagrams of a 4-tuple, and where the ids lead that servers behind us chose; shared by the workers. */
struct door_directory {
    pthread_mutex_t lock;
    struct gh_map map, ids;
    struct gh_hash_seed seed;
};

struct door {
    struct gh_node *node;
    struct gh_run *run;
    struct gh_log *log;
    struct gh_metric_set *metrics;
    struct gh_ready *ready;
    int check;
    unsigned workers;
    struct gh_conf_addr listens[DOOR_LISTEN_MAX];
    size_t listen_count;
    int fds[DOOR_LISTEN_MAX][GH_WORKERS_MAX]; /* -1: a worker's */
    struct gh_endpoint udp_listens[DOOR_LISTEN_MAX];
    unsigned udp_count;
    int udp_fds[DOOR_LISTEN_MAX][GH_WORKERS_MAX];
    struct gh_quic_group groups[DOOR_LISTEN_MAX]; /* of the sockets for UDP */
    struct door_directory directory;
    unsigned connections_limit;               /* what the descriptors are enough for */
    unsigned pipes;
    struct gh_snapshot table;                 /* struct door_table */
    struct door_camouflage_conf *camouflage;  /* of the thread that runs the node */
    struct door_worker *at[GH_WORKERS_MAX];
    struct door_health *health;               /* of worker 0 */
    struct gh_port_users users;               /* what others may ask */
    struct door_replay *replay;               /* NULL: there is no node.key, and no ECH */
    int64_t replay_due;                       /* of worker 0 */
    _Atomic bool replay_writing, replay_failed;
    _Atomic uint32_t verifying;               /* tokens, now */
    _Atomic uint32_t connections;             /* now, of all workers */
    _Atomic uint32_t placed;                  /* of them, those that count against max_connections */
    _Atomic bool draining;
};

struct door_listener {
    struct gh_edge edge; /* first */
    struct door_worker *dw;
    int fd;
    uint16_t port;
    bool waiting; /* there may be more to accept */
};

struct door_worker {
    struct door *d;
    struct gh_worker *w;
    unsigned index;
    struct gh_pump_pool *pool;
    struct gh_snapshot_reader table;
    struct door_listener listeners[DOOR_LISTEN_MAX];
    struct door_udp *udp;       /* NULL: no socket for UDP */
    struct gh_http1_server *h1; /* of connections whose TLS ends here */
    struct gh_http2 *h2;
    struct door_camouflage *camouflage;
    struct door_callback *callback; /* of the table that asked last; NULL: none did */
    struct gh_list guests;      /* struct door_guest: shaking hands */
    struct gh_list flows;
    struct gh_list parked;     /* wait for a place */
    struct gh_deadline again;  /* accepting goes on, and what is counted is published */
    uint64_t bytes[2];
};

static inline void door_count(struct door_worker *dw, unsigned row, unsigned label)
{
    gh_metric_add(dw->d->metrics, dw->index, row, label, 1);
}

/* door_flow.c: a connection from its first byte to its last. Takes <fd> over. */
void door_flow_open(struct door_worker *dw, int fd, const struct gh_endpoint *client, uint16_t port);
void door_flow_close_all(struct door_worker *dw);
/* A connection that is parked has its place now. */
void door_flow_unpark(struct door_worker *dw);

/* door_tls.c: what ends here instead of being carried. */
int door_tls_start(struct door_worker *dw);
void door_tls_refresh(struct door_worker *dw); /* the camouflage as it is configured now */
void door_tls_drain(struct door_worker *dw);
void door_tls_stop(struct door_worker *dw);
/* Takes <fd> over; <early> was read from it. <inside>: it is for the tunnel's name. */
void door_tls_take(struct door_worker *dw, int fd, const struct gh_endpoint *client, struct gh_tls_ctx *ctx, bool inside, struct gh_span early);

/* What strangers meet. */
void door_stranger(struct door_worker *dw, struct gh_http_stream *s, const struct gh_http_head *head);

/* door_token.c: a request for a tunnel, of a peer without an identity, that has an authorization. True: it is taken care of. */
bool door_token_take(struct door_worker *dw, struct gh_http_stream *s, const struct gh_http_head *head);
void door_token_publish(struct door *d);
/* Reads the file of users into the table; on the thread that runs the node. 0, or an error that was logged. */
int door_token_load(struct door *d, const struct gh_door_conf *c, struct door_table *t);
/* When no stream is left. */
void door_token_stop(struct door_worker *dw);
/* What strangers meet, or the relay. */
void door_tls_answer(struct door_worker *dw, struct gh_http_stream *s, const struct gh_http_head *head);

/* door_udp.c */
int door_udp_load(struct door *d, const struct gh_door_conf *c);
void door_udp_reloaded(struct door *d, const struct gh_door_conf *c);
int door_udp_start(struct door_worker *dw);
void door_udp_tick(struct door_worker *dw, int64_t now, struct door_table *t);
void door_udp_drain(struct door_worker *dw);
void door_udp_stop(struct door_worker *dw);

/* door_keys.c: on the thread that runs the node. Actions; errors are logged. */
int door_keys_load(struct door *d, const struct gh_door_conf *c, struct door_table *t);
/* The relay has another certificate. */
int door_keys_renew(struct door *d, struct door_table *t);
/* The relay learns which keys count. */
void door_keys_tell(struct door *d, const struct door_table *t);
/* Any thread: did our keys open it and is it meant for the tunnel? Whatever else they open, as <ret_opened> says, stays a stranger's. */
bool door_keys_open(const struct door_table *t, const struct gh_tls_hello *hello, int64_t wall, bool *ret_opened);

/* door_replay_file.c: first flights that were taken, kept over a restart. Action; errors are logged. */
int door_replay_open(struct door *d, const struct gh_door_conf *c);
/* Writes what came since; worker 0, once in a while. */
void door_replay_tick(struct door_worker *dw, int64_t now);
/* When no worker runs any more. */
void door_replay_close(struct door *d);

/* door_health.c: names are looked up again, and backends are tried. Worker 0. */
int door_health_start(struct door *d, struct gh_worker *w);
void door_health_stop(struct door *d);

void door_lookup(void *door, const char *host, uint16_t port, struct gh_resolved *ret);

#endif
