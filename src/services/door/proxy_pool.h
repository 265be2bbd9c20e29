/* services/door/proxy_pool.h - connections of one worker to one origin: opened, kept, used again */
#ifndef GH_SERVICES_DOOR_PROXY_POOL_H
#define GH_SERVICES_DOOR_PROXY_POOL_H

#include "base/list.h"
#include "loop/worker.h"
#include "os/resolve.h"
#include "services/door/door_conf.h"

struct gh_http1_origin;
struct gh_tls_ctx;
struct door_proxy_pool;
struct door_proxy_dial;

#define DOOR_PROXY_IDLE_MAX 32u                  /* connections that are kept */
#define DOOR_PROXY_IDLE INT64_C(60000000000)     /* ns */
#define DOOR_PROXY_CONNECTIONS_MAX 1024u         /* of a worker */
#define DOOR_PROXY_FRESH INT64_C(30000000000)    /* ns for which an address is believed */

struct door_proxy_pool_conf {
    struct door_origin origin;
    struct gh_tls_ctx *tls; /* of a client, for https: a reference is taken; NULL: none */
    int64_t connect_timeout; /* ns */
    void (*lookup)(void *arg, const char *host, uint16_t port, struct gh_resolved *ret); /* blocks: called in the pool of threads */
    void *lookup_arg;
};

/* A connection that carries one request at a time. */
struct door_proxy_link {
    struct door_proxy_pool *pool;
    struct gh_list link;
    struct gh_deadline idle;
    struct gh_http1_origin *origin;
    bool used;  /* it carried a request before */
    bool kept;  /* it waits for one now */
};

/* Somebody who wants one. */
struct door_proxy_wish {
    struct gh_list link;
    struct door_proxy_dial *dial;
    /* Once: 0 and a link, on which a request is to be made at once; or GH_ERR_CLOSED (nobody there), GH_ERR_TIMEOUT, GH_ERR_FULL (too many),
     * GH_ERR_MEMORY. */
    void (*ready)(void *arg, int rc, struct door_proxy_link *l);
    void *arg;
};

int door_proxy_pool_create(struct gh_worker *w, const struct door_proxy_pool_conf *conf, struct door_proxy_pool **ret);
/* Idle connections are closed; those that carry something go on until it is over. Accepts NULL. */
void door_proxy_pool_put(struct door_proxy_pool *p);
/* <ready> is called now or later. <fresh>: not one that was kept. */
void door_proxy_pool_ask(struct door_proxy_pool *p, struct door_proxy_wish *wish, bool fresh);
/* Nothing happens when <ready> was called. */
void door_proxy_pool_forget(struct door_proxy_wish *wish);
/* Connections, and attempts. */
unsigned door_proxy_pool_count(const struct door_proxy_pool *p);

#endif
