#include "host.h"

#include <stdlib.h>

#include "core/ready.h"
#include "core/run.h"
#include "net/tun_port.h"

/* The worker. */

struct gh_trace *gh_worker_trace(struct gh_worker *w)
{
    (void)w;
    return NULL; /* nobody records */
}

int64_t gh_worker_now(struct gh_worker *w)
{
    return w->sim->now;
}

int64_t gh_worker_wall(struct gh_worker *w)
{
    return SIM_WALL + w->sim->now / SIM_S;
}

unsigned gh_worker_index(const struct gh_worker *w)
{
    (void)w;
    return 0;
}

void gh_worker_deadline_start(struct gh_worker *w, struct gh_deadline *d, int64_t at)
{
    gh_deadline_start(&w->sim->deadlines, d, at);
}

void gh_worker_deadline_stop(struct gh_worker *w, struct gh_deadline *d)
{
    gh_deadline_stop(&w->sim->deadlines, d);
}

void gh_worker_hook_add(struct gh_worker *w, struct gh_turn_hook *h)
{
    if (!w->hooks.next)
        gh_list_init(&w->hooks);
    gh_list_append(&w->hooks, &h->link);
}

void gh_worker_hook_remove(struct gh_turn_hook *h)
{
    gh_list_unlink(&h->link);
}

void host_turn(struct gh_worker *w)
{
    if (!w->hooks.next)
        return;
    gh_list_each(it, &w->hooks)
    {
        struct gh_turn_hook *h = gh_container_of(it, struct gh_turn_hook, link);

        h->fn(h->arg, w->sim->now);
    }
    w->ticks++;
}

uint64_t gh_worker_ticks(const struct gh_worker *w)
{
    return w->ticks;
}

/* One worker: nothing is ever handed over. */

int gh_mailbox_post(struct gh_worker *to, struct gh_message *m)
{
    m->deliver(to, m);
    return 0;
}

int gh_worker_run(struct gh_worker *w, void (*fn)(struct gh_worker *w, void *arg), void *arg)
{
    fn(w, arg);
    return 0;
}

/* What blocks takes 20 ms. */

struct job {
    struct gh_deadline done_at;
    struct gh_worker *w;
    void (*work)(void *arg);
    void (*done)(struct gh_worker *w, void *arg);
    void *arg;
};

static void job_done(void *arg, int64_t now)
{
    struct job *j = arg;

    (void)now;
    j->work(j->arg);
    j->done(j->w, j->arg);
    free(j);
}

int gh_worker_offload(struct gh_worker *w, void (*work)(void *arg), void (*done)(struct gh_worker *w, void *arg), void *arg)
{
    struct job *j = malloc(sizeof *j);

    if (!j)
        abort();
    *j = (struct job){ .w = w, .work = work, .done = done, .arg = arg };
    gh_deadline_init(&j->done_at, job_done, j);
    gh_deadline_start(&w->sim->deadlines, &j->done_at, w->sim->now + 20 * SIM_MS);
    return 0;
}

struct gh_worker *gh_workers_at(struct gh_workers *ws, unsigned index)
{
    (void)index;
    return (struct gh_worker *)ws;
}

struct gh_metrics *gh_node_metrics(const struct gh_node *node)
{
    return node->metrics;
}

void gh_run_reload_note(struct gh_run *run, const char *line)
{
    (void)run;
    (void)line;
}

/* The endpoint. */

struct gh_quic_link {
    struct gh_quic_endpoint *e;
    const struct gh_quic_app *app;
    void *app_arg;
    struct gh_tls_ctx *tls;
};

struct gh_quic_endpoint {
    struct gh_quic_endpoint_config cfg;
    struct sim_end *end;
    struct gh_quic_link link;
    struct gh_quic_endpoint_counters counters;
    bool refuse_new;
};

static int open_link(void *arg, const struct gh_quic_app **ret_app, void **ret_app_arg, struct gh_tls_ctx **ret_tls)
{
    struct gh_quic_endpoint *e = arg;
    int rc = 0;

    if (e->refuse_new)
        return -1;
    if (e->cfg.server)
        rc = e->cfg.events->on_accept(e->cfg.arg, &e->link, &e->link.app, &e->link.app_arg, &e->link.tls);
    *ret_app = e->link.app;
    *ret_app_arg = e->link.app_arg;
    *ret_tls = e->link.tls;
    return rc;
}

static void attached(void *arg, struct gh_quic *q)
{
    struct gh_quic_endpoint *e = arg;

    e->cfg.events->on_attached(e->link.app_arg, q);
}

static void closed(void *arg, const struct gh_quic_close *why)
{
    struct gh_quic_endpoint *e = arg;

    e->cfg.events->on_closed(e->link.app_arg, &e->link, why);
}

int gh_quic_endpoint_create(const struct gh_quic_endpoint_config *cfg, struct gh_quic_endpoint **ret)
{
    struct gh_quic_endpoint *e = calloc(1, sizeof *e);
    struct sim *s = cfg->worker->sim;

    if (!e)
        abort();
    e->cfg = *cfg;
    e->end = cfg->server ? &s->server : &s->client;
    e->end->config = cfg->quic;
    e->end->config.random = sim_random_source(s);
    e->end->stack = (struct sim_stack){ open_link, attached, closed, e };
    e->link.e = e;
    *ret = e;
    return 0;
}

void gh_quic_endpoint_destroy(struct gh_quic_endpoint *e)
{
    if (!e)
        return;
    sim_end_drop(e->end);
    e->end->stack = (struct sim_stack){ 0 };
    free(e);
}

void gh_quic_endpoint_flush(struct gh_quic_endpoint *e)
{
    (void)e; /* every step of the simulator writes what waits */
}

void gh_quic_endpoint_set_handshakes_per_source(struct gh_quic_endpoint *e, unsigned per_second)
{
    e->cfg.handshakes_per_source = per_second;
}

void gh_quic_endpoint_set_retry(struct gh_quic_endpoint *e, enum gh_quic_retry_mode mode)
{
    e->cfg.retry = mode;
}

void gh_quic_endpoint_refuse_new(struct gh_quic_endpoint *e)
{
    e->refuse_new = true;
}

int gh_quic_endpoint_connect(struct gh_quic_endpoint *e, const struct gh_endpoint *remote, struct gh_tls_ctx *tls, const struct gh_tls_name *name,
                             const struct gh_quic_app *app, void *app_arg, struct gh_quic_link **ret)
{
    (void)remote;
    (void)name;
    e->link.app = app;
    e->link.app_arg = app_arg;
    e->link.tls = tls;
    *ret = &e->link;
    return sim_open(e->cfg.worker->sim);
}

const struct gh_quic_endpoint_counters *gh_quic_endpoint_counters(const struct gh_quic_endpoint *e)
{
    return &e->counters;
}

unsigned gh_quic_endpoint_links(const struct gh_quic_endpoint *e)
{
    return e->end->quic != NULL;
}

void gh_quic_endpoint_set_max_half_open(struct gh_quic_endpoint *e, unsigned max)
{
    e->cfg.max_half_open = max;
}

struct gh_endpoint gh_quic_link_remote(struct gh_quic_link *l)
{
    struct gh_quic_path p = gh_quic_current_path(l->e->end->quic);

    return (struct gh_endpoint){ .ip = p.remote.ip, .port = p.remote.port };
}

void gh_quic_link_wake(struct gh_quic_link *l)
{
    (void)l;
}

/* Nobody asks whether the node is ready. */

void gh_ready_set(struct gh_ready *r, int check, bool ok, const char *why)
{
    (void)r;
    (void)check;
    (void)ok;
    (void)why;
}

/* The queue of a TUN: what the worker's owner wants to see. */

struct gh_tun_port {
    struct gh_worker *worker;
};

int gh_tun_port_create(const struct gh_tun_port_config *cfg, struct gh_tun_port **ret)
{
    *ret = calloc(1, sizeof **ret);
    if (!*ret)
        abort();
    (*ret)->worker = cfg->worker;
    return 0;
}

void gh_tun_port_destroy(struct gh_tun_port *p)
{
    free(p);
}

void gh_tun_port_send(struct gh_tun_port *p, struct gh_span packet)
{
    p->worker->on_network(p->worker->arg, packet);
}

unsigned gh_tun_port_offloads(const struct gh_tun_port *p)
{
    (void)p;
    return 0;
}
