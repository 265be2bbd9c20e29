#include "core/lifecycle.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct unit {
    const struct gh_service *service;
    void *state;
    struct gh_metric_set *metrics;
    void *next; /* what prepare made */
    bool prepared;
};

struct gh_node {
    struct gh_node_setup setup;
    struct gh_metrics *metrics;
    struct gh_ready *ready;
    _Atomic int state;
    _Atomic uint64_t generation;
    unsigned released; /* a bit for each stage */
    size_t count;      /* units that are loaded */
    struct unit units[];
};

static struct gh_log *log_of(const struct gh_node *node)
{
    return node->setup.log;
}

int gh_node_create(const struct gh_node_setup *setup, struct gh_node **ret)
{
    size_t services = 0;
    struct gh_node *node;
    int rc;

    while (setup->services[services])
        services++;
    node = calloc(1, sizeof *node + services * sizeof *node->units);
    if (!node)
        return GH_ERR_MEMORY;
    atomic_init(&node->state, GH_NODE_STARTING);
    atomic_init(&node->generation, 1);
    rc = gh_metrics_create(setup->workers, &node->metrics);
    if (rc == 0)
        rc = gh_ready_create(&node->ready);
    if (rc < 0) {
        gh_node_destroy(node);
        return rc;
    }
    node->setup = *setup; /* owns the configuration from here on */
    *ret = node;
    return 0;
}

void gh_node_destroy(struct gh_node *node)
{
    if (!node)
        return;
    gh_node_unload(node);
    gh_ready_destroy(node->ready);
    gh_metrics_destroy(node->metrics);
    gh_conf_destroy(node->setup.conf);
    free(node);
}

static int load_one(struct gh_node *node, const struct gh_service *service)
{
    struct unit *u = &node->units[node->count];
    int rc = 0;

    *u = (struct unit){ .service = service };
    if (service->metrics)
        rc = gh_metrics_register(node->metrics, service->metrics, &u->metrics);
    /* a service finds its own metrics while it loads */
    node->count++;
    if (rc == 0)
        rc = service->load(node, node->setup.conf, &u->state);
    if (rc < 0) {
        node->count--;
        gh_log_event(log_of(node), GH_LOG_ERROR, "core", "Service cannot load", gh_log_str("service", service->name),
                     gh_log_result("error", rc));
    }
    return rc;
}

int gh_node_load(struct gh_node *node)
{
    for (const struct gh_service *const *s = node->setup.services; *s; s++) {
        int rc;

        if ((*s)->section && !gh_conf_has(node->setup.conf, (*s)->section))
            continue;
        rc = load_one(node, *s);
        if (rc < 0) {
            gh_node_unload(node);
            return rc;
        }
    }
    return 0;
}

void gh_node_unload(struct gh_node *node)
{
    while (node->count > 0) {
        struct unit *u = &node->units[--node->count];

        if (u->service->unload)
            u->service->unload(u->state);
    }
    atomic_store(&node->state, GH_NODE_STOPPED);
}

static void stop_first(struct gh_node *node, struct gh_worker *worker, size_t count)
{
    while (count > 0) {
        struct unit *u = &node->units[--count];

        if (u->service->stop)
            u->service->stop(u->state, worker);
    }
}

int gh_node_start(struct gh_node *node, struct gh_worker *worker)
{
    for (size_t i = 0; i < node->count; i++) {
        struct unit *u = &node->units[i];
        int rc = u->service->start ? u->service->start(u->state, worker) : 0;

        if (rc < 0) {
            gh_log_event(log_of(node), GH_LOG_ERROR, "core", "Service cannot start", gh_log_str("service", u->service->name),
                         gh_log_result("error", rc));
            stop_first(node, worker, i);
            return rc;
        }
    }
    return 0;
}

void gh_node_stop(struct gh_node *node, struct gh_worker *worker)
{
    stop_first(node, worker, node->count);
}

void gh_node_started(struct gh_node *node)
{
    int starting = GH_NODE_STARTING;

    atomic_compare_exchange_strong(&node->state, &starting, GH_NODE_READY);
}

/* What a reload cannot apply is said, one line an option. */
static void tell_changes(struct gh_node *node, const struct gh_conf *next)
{
    struct gh_conf_change changes[64];
    size_t count = gh_conf_diff(node->setup.conf, next, changes, 64);

    for (size_t i = 0; i < count && i < 64; i++) {
        const struct gh_conf_change *c = &changes[i];
        const char *option = c->row < 0 ? NULL : c->section->rows[c->row].name;

        gh_log_event(log_of(node), c->reload ? GH_LOG_INFO : GH_LOG_WARN, "core",
                     c->reload ? "Option changed" : "Option changed, a restart applies it",
                     gh_log_str("section", c->section->name), gh_log_str(option ? "option" : NULL, option));
    }
}

static int prepare_all(struct gh_node *node, const struct gh_conf *next, const char *cause)
{
    for (size_t i = 0; i < node->count; i++) {
        struct unit *u = &node->units[i];
        int rc;

        /* a section that went needs a restart: its service goes on as it is */
        if (!u->service->prepare || (u->service->section && !gh_conf_has(next, u->service->section)))
            continue;
        u->next = NULL;
        rc = u->service->prepare(u->state, next, &u->next);
        if (rc < 0) {
            gh_log_event(log_of(node), GH_LOG_ERROR, "core", "Reload refused, the last good configuration stays", gh_log_str("service", u->service->name),
                         gh_log_result("error", rc), gh_log_str("cause", cause));
            return rc;
        }
        u->prepared = true;
    }
    return 0;
}

int gh_node_reload(struct gh_node *node, struct gh_conf *next, const char *cause)
{
    int rc = prepare_all(node, next, cause);

    for (size_t i = 0; i < node->count; i++) {
        struct unit *u = &node->units[i];

        if (u->prepared && rc == 0 && u->service->commit)
            u->service->commit(u->state, u->next);
        else if (u->prepared && rc < 0 && u->service->discard)
            u->service->discard(u->state, u->next);
        u->prepared = false;
        u->next = NULL;
    }
    if (rc < 0) {
        gh_conf_destroy(next);
        return rc;
    }
    tell_changes(node, next);
    gh_conf_destroy(node->setup.conf);
    node->setup.conf = next;
    atomic_fetch_add(&node->generation, 1);
    gh_log_event(log_of(node), GH_LOG_INFO, "core", "Configuration reloaded", gh_log_uint("generation", gh_node_generation(node)), gh_log_str("cause", cause));
    return 0;
}

void gh_node_drain(struct gh_node *node)
{
    int before = atomic_load(&node->state);

    do {
        if (before == GH_NODE_DRAINING || before == GH_NODE_STOPPED)
            return;
    } while (!atomic_compare_exchange_weak(&node->state, &before, GH_NODE_DRAINING));
    gh_node_release(node, GH_RELEASE_READY, GH_RELEASE_READY);
    for (size_t i = 0; i < node->count; i++)
        if (node->units[i].service->drain)
            node->units[i].service->drain(node->units[i].state);
}

bool gh_node_drained(const struct gh_node *node)
{
    for (size_t i = 0; i < node->count; i++)
        if (node->units[i].service->drained && !node->units[i].service->drained(node->units[i].state))
            return false;
    return true;
}

void gh_node_release(struct gh_node *node, enum gh_release first, enum gh_release last)
{
    static const char *const names[] = { "ready", "goaway", "sessions", "policy", "addresses", "audit", "tun" };

    for (unsigned stage = first; stage <= (unsigned)last && stage < GH_RELEASE_COUNT; stage++) {
        if (node->released & 1u << stage)
            continue;
        node->released |= 1u << stage;
        gh_log_event(log_of(node), GH_LOG_INFO, "core", "drain", gh_log_str("stage", names[stage]));
        for (size_t i = 0; i < node->count; i++)
            if (node->units[i].service->release)
                node->units[i].service->release(node->units[i].state, (enum gh_release)stage);
    }
}

enum gh_node_state gh_node_state(const struct gh_node *node)
{
    return (enum gh_node_state)atomic_load(&node->state);
}

const char *gh_node_state_name(enum gh_node_state s)
{
    static const char *const names[] = { "starting", "ready", "draining", "stopped" };

    return (unsigned)s < 4 ? names[s] : "unknown";
}

bool gh_node_is_ready(const struct gh_node *node)
{
    return gh_node_state(node) == GH_NODE_READY && gh_ready_all(node->ready);
}

uint64_t gh_node_generation(const struct gh_node *node)
{
    return atomic_load(&node->generation);
}

const struct gh_conf *gh_node_conf_current(const struct gh_node *node)
{
    return node->setup.conf;
}

struct gh_log *gh_node_log(const struct gh_node *node)
{
    return node->setup.log;
}

struct gh_audit *gh_node_audit(const struct gh_node *node)
{
    return node->setup.audit;
}

struct gh_metrics *gh_node_metrics(const struct gh_node *node)
{
    return node->metrics;
}

struct gh_ready *gh_node_ready(const struct gh_node *node)
{
    return node->ready;
}

unsigned gh_node_workers(const struct gh_node *node)
{
    return node->setup.workers;
}

void *gh_node_user(const struct gh_node *node)
{
    return node->setup.user;
}

void gh_node_emit_metrics(struct gh_node *node, struct gh_text *out)
{
    static const struct gh_metric own[] = {
        { "gatehouse_ready", GH_METRIC_GAUGE, "1 when the node may be sent work." },
        { "gatehouse_config_generation", GH_METRIC_GAUGE, "Generation of the configuration that counts." },
        { "gatehouse_log_lost_total", GH_METRIC_COUNTER, "Log lines that could not be written." },
        { "gatehouse_audit_written_total", GH_METRIC_COUNTER, "Audit records written." },
    };
    const struct gh_log *log = log_of(node);
    _Atomic uint64_t *drops = gh_metrics_drops(node->metrics, node->setup.workers);

    /* the audit counts its losses itself, on whatever thread they happen */
    atomic_store_explicit(&drops[GH_DROP_AUDIT_LOST], gh_audit_lost(node->setup.audit), memory_order_relaxed);
    gh_metrics_emit(node->metrics, out);
    gh_metrics_emit_value(out, &own[0], gh_node_is_ready(node));
    gh_metrics_emit_value(out, &own[1], gh_node_generation(node));
    gh_metrics_emit_value(out, &own[2], log ? atomic_load_explicit(&log->lost, memory_order_relaxed) : 0);
    gh_metrics_emit_value(out, &own[3], gh_audit_written(node->setup.audit));
}

void gh_node_describe(const struct gh_node *node, struct gh_description *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->worker_count = node->setup.workers < GH_DESCRIBE_WORKERS ? node->setup.workers : GH_DESCRIBE_WORKERS;
    for (uint32_t i = 0; i < ret->worker_count; i++)
        ret->workers[i].index = i;
    for (size_t i = 0; i < node->count; i++)
        if (node->units[i].service->describe)
            node->units[i].service->describe(node->units[i].state, ret);
    if (node->setup.describe)
        node->setup.describe(node->setup.user, ret);
}

static const struct unit *unit_of(const struct gh_node *node, const char *name)
{
    for (size_t i = 0; i < node->count; i++)
        if (strcmp(node->units[i].service->name, name) == 0)
            return &node->units[i];
    return NULL;
}

void *gh_node_service_state(const struct gh_node *node, const char *name)
{
    const struct unit *u = unit_of(node, name);

    return u ? u->state : NULL;
}

struct gh_metric_set *gh_node_service_metrics(const struct gh_node *node, const char *name)
{
    const struct unit *u = unit_of(node, name);

    return u ? u->metrics : NULL;
}
