/* services/door/door_table.h - routes, and the backends behind them, as one version of the configuration has them
 *
 * Shared by all workers. A connection holds the version by which it was routed, so that a reload takes nothing from under it.
 */
#ifndef GH_SERVICES_DOOR_DOOR_TABLE_H
#define GH_SERVICES_DOOR_DOOR_TABLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "crypto/ech.h"
#include "crypto/tls.h"
#include "os/resolve.h"
#include "services/door/door_conf.h"
#include "services/door/door_users.h"

struct door_callback_conf;

struct door_backend {
    struct door_origin origin;
    bool is_name;              /* looked up again and again */
    pthread_mutex_t lock;      /* of the addresses */
    struct gh_resolved addrs;
    _Atomic uint32_t connections; /* now */
    _Atomic bool down;         /* it did not take a connection when it was last tried */
};

struct door_target {
    struct door_backend *backends;
    size_t count;
    bool proxy_protocol;
    bool udp;
    bool tunnel; /* this node's own */
    int64_t health_check;
    _Atomic uint32_t turn; /* of equals, one after the other */
};

struct door_table {
    _Atomic uint32_t refs;
    struct door_routes *routes;
    struct door_target *targets; /* one for each pattern */
    size_t target_count;
    struct door_target relay; /* the camouflage; no backends: there is none */
    bool relay_udp;           /* it gets strangers' datagrams, too */
    int64_t peek_timeout, connect_timeout, udp_timeout;
    size_t max_hello;
    unsigned max_connections, reserve, max_udp_flows;
    struct gh_ech_keys *ech;           /* NULL: no ECH */
    struct gh_tls_ctx *site;           /* of strangers; NULL: all of them are carried to the relay above */
    struct gh_tls_ctx *tunnel;         /* of the tunnel's name; NULL: this node has no tunnels */
    struct gh_tls_ctx *tunnel_quic;
    struct gh_tls_ctx *site_quic;      /* strangers over UDP, where TLS ends here; NULL: silence */
    char tunnel_name[GH_TLS_NAME_MAX]; /* inside ECH alone */
    int64_t replay_window;
    struct door_users *users;          /* who have tokens; NULL: nobody */
    struct door_callback_conf *callback; /* who is asked about other tokens; NULL: nobody */
};

/* How a name becomes addresses; blocks. */
typedef void (*door_lookup_fn)(void *arg, const char *host, uint16_t port, struct gh_resolved *ret);

/* Looks names up; one that is not found has no addresses until door_table_refresh finds some. 0 or GH_ERR_MEMORY. */
int door_table_create(const struct gh_door_conf *conf, door_lookup_fn lookup, void *arg, struct door_table **ret);
struct door_table *door_table_get(struct door_table *t);
void door_table_put(void *t); /* accepts NULL */
/* Looks all names up again. Any thread; blocks. Addresses stay when a look-up fails. */
void door_table_refresh(struct door_table *t, door_lookup_fn lookup, void *arg);
/* The targets of the routes, and of the camouflage as the last one; NULL behind it. */
struct door_target *door_table_target(struct door_table *t, size_t index);

/* Of those that are not in the bits <tried>: one that is up, with the fewest connections; when none is up, one that is down. -1: all were tried. */
int door_target_choose(struct door_target *t, uint32_t tried);
/* The address <index> of the backend. False behind the last one. */
bool door_backend_addr(struct door_backend *b, size_t index, struct gh_endpoint *ret);

#endif
