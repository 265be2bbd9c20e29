/* core/lifecycle.h - what a service is, and the order in which services start, change and end
 *
 * A service is a descriptor. A node has the services whose section is in its configuration (or whose section is always
 * there). Calls come in this order:
 *
 *     load                       once, before any worker runs, in the order of the table
 *     start (each worker)        on the worker's thread, in the order of the table
 *     prepare, commit | discard  for each reload, on the thread that runs the node
 *     drain                      once; from then on ready is false and new work is refused
 *     release                    for each stage, in the order of enum gh_release
 *     stop (each worker)         on the worker's thread, in reverse order
 *     unload                     once, after every worker has stopped, in reverse order
 *
 * Every function but load may be NULL.
 */
#ifndef GH_CORE_LIFECYCLE_H
#define GH_CORE_LIFECYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/audit.h"
#include "core/conf.h"
#include "core/describe.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/ready.h"
#include "core/snapshot.h"

struct gh_node;
struct gh_worker; /* loop's */

/* What is let go after the drain, in this order; each stage writes one log line, "drain" with its name. */
enum gh_release {
    GH_RELEASE_READY,     /* "ready": false from here on */
    GH_RELEASE_GOAWAY,    /* "goaway": clients are told */
    GH_RELEASE_SESSIONS,  /* "sessions" */
    GH_RELEASE_POLICY,    /* "policy" */
    GH_RELEASE_ADDRESSES, /* "addresses" */
    GH_RELEASE_AUDIT,     /* "audit" */
    GH_RELEASE_TUN,       /* "tun" */
    GH_RELEASE_COUNT
};

struct gh_service {
    const char *name;
    const struct gh_conf_section *section; /* NULL: always on */
    const struct gh_metric *metrics;       /* registered before load; NULL for none */
    /* 0 or an error, after a log line that says why; <ret_state> is what the other calls get. */
    int (*load)(struct gh_node *node, const struct gh_conf *conf, void **ret_state);
    void (*unload)(void *state);
    int (*start)(void *state, struct gh_worker *worker);
    void (*stop)(void *state, struct gh_worker *worker);
    /* Two phases, so that a reload that one service refuses changes nothing anywhere. */
    int (*prepare)(void *state, const struct gh_conf *next, void **ret_next);
    void (*commit)(void *state, void *next);
    void (*discard)(void *state, void *next);
    void (*drain)(void *state);
    bool (*drained)(const void *state); /* true when nothing is under way any more */
    void (*release)(void *state, enum gh_release stage);
    /* Any thread, between load and unload: adds listeners, features, and what it has of each worker. */
    void (*describe)(void *state, struct gh_description *d);
    bool keeps_state; /* it opens files in node.state_dir by name */
    bool (*may_keep_state)(const struct gh_conf *conf); /* instead, when that depends: the section is there */
    bool connects;    /* it connects to others by TCP, and has many connections */
    bool (*may_connect)(const struct gh_conf *conf); /* instead, when that depends: the section is there */
};

enum gh_node_state { GH_NODE_STARTING, GH_NODE_READY, GH_NODE_DRAINING, GH_NODE_STOPPED };

struct gh_node_setup {
    const struct gh_service *const *services; /* ends with NULL */
    struct gh_conf *conf;                     /* the node takes it over */
    struct gh_log *log;                       /* outlives the node */
    struct gh_audit *audit;                   /* outlives the node; may be NULL */
    unsigned workers;
    void *user;                               /* what bin wants services to find: descriptors from the parent, loop */
    void (*describe)(void *user, struct gh_description *d); /* what is of no service; any thread; may be NULL */
};

int gh_node_create(const struct gh_node_setup *setup, struct gh_node **ret);
void gh_node_destroy(struct gh_node *node);

/* Loads every service; when one refuses, those before it are unloaded and its error comes back. */
int gh_node_load(struct gh_node *node);
void gh_node_unload(struct gh_node *node);
/* On the worker's thread. Services that started before the one that failed are stopped again. */
int gh_node_start(struct gh_node *node, struct gh_worker *worker);
void gh_node_stop(struct gh_node *node, struct gh_worker *worker);
/* All workers have started: starting becomes ready. */
void gh_node_started(struct gh_node *node);
/* Takes over <next>. On failure nothing changed and <next> is gone. Either way it is logged, with its <cause>. */
int gh_node_reload(struct gh_node *node, struct gh_conf *next, const char *cause);
/* Ready turns false and every service is told; the second call does nothing. */
void gh_node_drain(struct gh_node *node);
bool gh_node_drained(const struct gh_node *node);
/* Runs the stages from <first> to <last>, each once whatever is asked, with its log line. */
void gh_node_release(struct gh_node *node, enum gh_release first, enum gh_release last);

enum gh_node_state gh_node_state(const struct gh_node *node); /* from any thread */
const char *gh_node_state_name(enum gh_node_state s);
/* May this node be sent work: state ready and every check ok. */
bool gh_node_is_ready(const struct gh_node *node);
uint64_t gh_node_generation(const struct gh_node *node); /* of the configuration: 1, then one more a reload */

const struct gh_conf *gh_node_conf_current(const struct gh_node *node); /* on the thread that runs the node */
struct gh_log *gh_node_log(const struct gh_node *node);
struct gh_audit *gh_node_audit(const struct gh_node *node);
struct gh_metrics *gh_node_metrics(const struct gh_node *node);
struct gh_ready *gh_node_ready(const struct gh_node *node);
unsigned gh_node_workers(const struct gh_node *node);
void *gh_node_user(const struct gh_node *node);
/* All metrics, with the node's own: state, generation, lost log lines and audit records. From any one thread at a time. */
void gh_node_emit_metrics(struct gh_node *node, struct gh_text *out);
/* Asks every service. */
void gh_node_describe(const struct gh_node *node, struct gh_description *ret);
/* The state and the registered metrics of a service by name; NULL when it is not on. */
void *gh_node_service_state(const struct gh_node *node, const char *name);
struct gh_metric_set *gh_node_service_metrics(const struct gh_node *node, const char *name);

#endif
