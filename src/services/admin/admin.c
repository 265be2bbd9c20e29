#include "services/admin/admin.h"

#include <stdlib.h>

#include "base/error.h"
#include "core/run.h"
#include "core/trace_text.h"
#include "loop/worker.h"
#include "net/http_listener.h"
#include "os/clock.h"
#include "os/process.h"
#include "os/sock.h"
#include "ports/lifecycle.h"
#include "ports/metrics.h"
#include "ports/node_status.h"
#include "ports/readiness.h"
#include "ports/session_directory.h"
#include "ports/trace.h"
#include "services/admin/handler.h"

#define METRICS_MAX (16u << 20)

/* A reload that somebody waits for: the answer goes back to the worker. */
struct wish {
    struct gh_worker *worker;
    gh_reload_done_fn done;
    void *arg;
    struct gh_reload_result result;
    struct gh_run_reload last;
};

struct admin {
    struct gh_node *node;
    struct gh_run *run;
    struct gh_log *log;
    struct gh_worker *worker;
    int tcp, local; /* listening; -1 once given away */
    struct gh_admin *handler;
    struct gh_http_listener *servers[2]; /* apart, so that nobody on TCP locks the operator out */
    struct gh_port_readiness readiness;
    struct gh_port_status status;
    struct gh_port_metrics metrics;
    struct gh_port_lifecycle lifecycle;
    struct gh_port_trace trace;
    uint64_t drops[GH_DROP_COUNT];
    char policy[80];
    struct gh_run_reload last;
    struct gh_description description;
    char listens[GH_ENDPOINT_TEXT], socket[GH_DESCRIBE_ADDRESS]; /* "": not there */
};

/* Ports. */

static bool draining(void *self)
{
    struct admin *a = self;

    return gh_node_state(a->node) == GH_NODE_DRAINING || gh_node_state(a->node) == GH_NODE_STOPPED;
}

static bool alive(void *self)
{
    struct admin *a = self;

    return gh_pulse_alive(&a->run->pulse, gh_clock_now());
}

static void checks(void *self, gh_readiness_fn fn, void *arg)
{
    struct admin *a = self;
    struct gh_ready_check list[GH_READY_MAX];
    size_t n = gh_ready_list(gh_node_ready(a->node), list, GH_READY_MAX);

    for (size_t i = 0; i < n; i++)
        fn(arg, list[i].name, list[i].ok, list[i].why);
}

/* <buf> is what the result's detail points to. */
static void fill_reload(const struct admin *a, struct gh_run_reload *buf, struct gh_reload_result *ret)
{
    gh_run_last_reload(a->run, buf);
    *ret = (struct gh_reload_result){ .at = buf->wall, .ok = buf->ok, .generation = gh_node_generation(a->node), .detail = buf->why };
}

static void read_status(void *self, struct gh_node_status *ret)
{
    struct admin *a = self;

    ret->generation = gh_node_generation(a->node);
    ret->policy_version = a->run->policy_version ? a->run->policy_version(a->run->policy_arg, a->policy, sizeof a->policy) : "";
    fill_reload(a, &a->last, &ret->reload);
    gh_node_describe(a->node, &a->description);
    ret->identity = a->description.identity;
    ret->not_after = a->description.not_after;
    ret->cert_pin = a->description.cert_pin;
    ret->sessions = a->description.sessions;
    ret->flows = a->description.flows;
    ret->listeners = a->description.listeners;
    ret->listener_count = a->description.listener_count;
    ret->workers = a->description.workers;
    ret->worker_count = a->description.worker_count;
    ret->features = a->description.features;
    ret->feature_count = a->description.feature_count;
    for (int i = 0; i < GH_DROP_COUNT; i++)
        a->drops[i] = gh_metrics_dropped(gh_node_metrics(a->node), (enum gh_drop)i);
    ret->drops = a->drops;
}

static void emit_metrics(void *self, gh_metrics_write_fn write, void *arg)
{
    struct admin *a = self;
    struct gh_text text;

    gh_text_init(&text, METRICS_MAX);
    gh_node_emit_metrics(a->node, &text);
    write(arg, gh_text_string(&text), text.len);
    gh_text_fini(&text);
}

static void answer_wish(struct gh_worker *w, void *arg)
{
    struct wish *wish = arg;

    (void)w;
    wish->done(wish->arg, &wish->result);
    free(wish);
}

struct pending {
    struct admin *admin;
    struct wish *wish;
};

static void reloaded(void *arg, bool ok)
{
    struct pending *p = arg;

    fill_reload(p->admin, &p->wish->last, &p->wish->result);
    p->wish->result.ok = ok;
    if (gh_worker_run(p->wish->worker, answer_wish, p->wish) < 0)
        free(p->wish);
    free(p);
}

static int ask_reload(void *self, gh_reload_done_fn done, void *arg)
{
    struct admin *a = self;
    struct pending *p = malloc(sizeof *p);
    struct wish *w = calloc(1, sizeof *w);
    int rc = GH_ERR_MEMORY;

    if (p && w) {
        *w = (struct wish){ .worker = a->worker, .done = done, .arg = arg };
        *p = (struct pending){ a, w };
        rc = a->run->ask_reload(a->run, reloaded, p);
    }
    if (rc < 0) {
        free(p);
        free(w);
    }
    return rc;
}

static int ask_stop(void *self)
{
    struct admin *a = self;

    if (draining(a))
        return GH_ERR_STATE;
    a->run->quit(a->run);
    return 0;
}

/* What the workers recorded. */
struct recorded {
    gh_recorded_fn fn;
    void *arg;
    unsigned worker;
    int64_t offset; /* from the monotonic to the wall clock */
};

static void on_record(void *arg, const struct gh_trace_record *r)
{
    struct recorded *to = arg;
    char text[GH_TRACE_TEXT];
    const struct gh_recorded row = { to->worker, r->at + to->offset, gh_trace_event_name(r->event), gh_trace_text(r, text), r->session };

    to->fn(to->arg, &row);
}

static void each_recorded(void *self, size_t max, gh_recorded_fn fn, void *arg)
{
    struct admin *a = self;
    struct recorded to = { fn, arg, 0, gh_clock_wall_nanoseconds() - gh_clock_now() };

    for (; to.worker < gh_workers_count(a->run->workers); to.worker++)
        gh_trace_read(gh_worker_trace(gh_workers_at(a->run->workers, to.worker)), max, on_record, &to);
}

/* Packets are watched where they pass: services that load later may have them. */
static int watch(void *self, const struct gh_watch_filter *f, uint64_t *ret_id)
{
    const struct gh_port_trace *port = ((struct admin *)self)->run->trace;

    return port ? port->watch(port->self, f, ret_id) : GH_ERR_UNSUPPORTED;
}

static int read_watched(void *self, uint64_t id, gh_watched_fn fn, void *arg, uint64_t *ret_lost)
{
    const struct gh_port_trace *port = ((struct admin *)self)->run->trace;

    return port ? port->read(port->self, id, fn, arg, ret_lost) : GH_ERR_NOT_FOUND;
}

static int unwatch(void *self, uint64_t id)
{
    const struct gh_port_trace *port = ((struct admin *)self)->run->trace;

    return port ? port->unwatch(port->self, id) : GH_ERR_NOT_FOUND;
}

static int64_t now(void *self)
{
    (void)self;
    return gh_clock_now();
}

static int64_t wall(void *self)
{
    (void)self;
    return gh_clock_wall();
}

static void on_action(void *self, const struct gh_admin_action *action)
{
    struct admin *a = self;

    gh_log_event(a->log, GH_LOG_INFO, "admin", "operator", gh_log_str("verb", action->verb), gh_log_str("object", action->object),
                 gh_log_uint("uid", action->uid), gh_log_result("result", action->rc));
}

/* Life. */

static void unload(void *state)
{
    struct admin *a = state;

    gh_sock_close(a->tcp);
    gh_sock_close(a->local);
    gh_admin_destroy(a->handler);
    free(a);
}

static int open_sockets(struct admin *a)
{
    const struct gh_node_conf *c = &a->run->conf;
    struct gh_priv_socket s = { .addr = c->admin_listen.ip, .port = c->admin_listen.port, .count = 1 };
    int rc = 0;

    if (c->admin_tcp)
        rc = gh_privileged_open_tcp(a->run->privileged, &s, &a->tcp);
    if (rc == 0 && *c->admin_socket)
        rc = gh_privileged_open_unix(a->run->privileged, c->admin_socket, 0660, &a->local);
    if (a->tcp >= 0)
        {
        struct gh_endpoint e = { .ip = c->admin_listen.ip, .port = c->admin_listen.port };

        gh_endpoint_emit(&e, a->listens);
    }
    if (a->local >= 0)
        snprintf(a->socket, sizeof a->socket, "%s", c->admin_socket);
    if (rc < 0)
        gh_log_event(a->log, GH_LOG_ERROR, "admin", "cannot listen", gh_log_str("socket", c->admin_socket), gh_log_uint("port", c->admin_listen.port),
                     gh_log_str("reason", gh_privileged_why(a->run->privileged)));
    return rc;
}

static void describe(void *state, struct gh_description *d)
{
    const struct admin *a = state;

    if (*a->listens)
        gh_describe_listener(d, "admin", "tcp", a->listens);
    if (*a->socket)
        gh_describe_listener(d, "admin", "unix", a->socket);
}

static int load(struct gh_node *node, const struct gh_conf *conf, void **ret_state)
{
    struct admin *a = calloc(1, sizeof *a);
    struct gh_admin_config cfg = { .version = GH_VERSION, .now = now, .wall = wall, .on_action = on_action };
    int rc;

    (void)conf;
    if (!a)
        return GH_ERR_MEMORY;
    a->node = node;
    a->run = gh_run_of(node);
    a->log = gh_node_log(node);
    a->tcp = a->local = -1;
    a->readiness = (struct gh_port_readiness){ .each = checks, .draining = draining, .alive = alive, .self = a };
    a->status = (struct gh_port_status){ read_status, a };
    a->metrics = (struct gh_port_metrics){ emit_metrics, a };
    a->lifecycle = (struct gh_port_lifecycle){ ask_reload, ask_stop, a };
    a->trace = (struct gh_port_trace){ each_recorded, watch, read_watched, unwatch, a };
    cfg.self = a;
    cfg.readiness = &a->readiness;
    cfg.status = &a->status;
    cfg.metrics = &a->metrics;
    cfg.lifecycle = &a->lifecycle;
    cfg.trace = &a->trace;
    cfg.sessions = a->run->sessions;
    cfg.operator_uid = gh_process_user();
    rc = gh_admin_create(&cfg, &a->handler);
    if (rc == 0)
        rc = open_sockets(a);
    if (rc < 0) {
        unload(a);
        return rc;
    }
    *ret_state = a;
    return 0;
}

static int serve(struct admin *a, int *fd, struct gh_http_listener **ret)
{
    int rc;

    if (*fd < 0)
        return 0;
    rc = gh_http_listener_create(a->worker, &(struct gh_http_listener_config){ 0 }, gh_admin_handler(a->handler), ret);
    if (rc == 0) {
        rc = gh_http_listener_add(*ret, *fd);
        *fd = -1; /* the listener's, on failure too */
    }
    return rc;
}

static void stop(void *state, struct gh_worker *worker)
{
    struct admin *a = state;

    if (worker != a->worker)
        return;
    for (int i = 0; i < 2; i++) {
        gh_http_listener_destroy(a->servers[i]);
        a->servers[i] = NULL;
    }
}

static int start(void *state, struct gh_worker *worker)
{
    struct admin *a = state;
    int rc;

    if (gh_worker_index(worker) != 0)
        return 0;
    a->worker = worker;
    rc = serve(a, &a->tcp, &a->servers[0]);
    if (rc == 0)
        rc = serve(a, &a->local, &a->servers[1]);
    if (rc < 0)
        stop(state, worker);
    return rc;
}

const struct gh_service gh_service_admin = {
    .name = "admin",
    .section = &gh_conf_section_admin,
    .load = load,
    .unload = unload,
    .start = start,
    .stop = stop,
    .describe = describe,
};
