#include "services/door/door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "os/process.h"
#include "ports/tunnel_acceptor.h"
#include "services/door/door_internal.h"
#include "services/door/door_udp.h"

#define ACCEPT_BATCH 64
#define AGAIN INT64_C(100000000) /* ns */
#define DESCRIPTORS_KEPT 256u    /* for everything that is no connection */
#define CONNECTIONS_LEAST 64u

static const char *const ways[] = { "route", "camouflage", "nowhere", "tunnel", NULL };
static const char *const hellos[] = { "named", "nameless", "not_tls", "malformed", "too_long", "late", "ech", NULL };
static const char *const handshakes[] = { "known", "unknown", "failed", NULL };
static const char *const tokens[] = { "accepted", "refused", "busy", "unanswered", NULL };
static const char *const udp_drops[] = { "source", "pressed", "late", "full", "unsent", NULL };
static const char *const dials[] = { "done", "refused", "timed_out", "no_address", NULL };
static const char *const directions[] = { "from_clients", "to_clients", NULL };
static const char *const manners[] = { "copied", "spliced", NULL };

const struct gh_metric door_metrics[] = {
    [DOOR_METRIC_CONNECTIONS] = { "gatehouse_door_connections_total", GH_METRIC_COUNTER, "Connections by where they were carried.", "way", ways },
    [DOOR_METRIC_ACTIVE] = { "gatehouse_door_active_connections", GH_METRIC_GAUGE, "Connections now." },
    [DOOR_METRIC_PEEKING] = { "gatehouse_door_waiting_connections", GH_METRIC_GAUGE, "Connections now that are not carried yet." },
    [DOOR_METRIC_PARKED] = { "gatehouse_door_parked_total", GH_METRIC_COUNTER, "Connections that had to wait because max_connections were there." },
    [DOOR_METRIC_HELLOS] = { "gatehouse_door_hellos_total", GH_METRIC_COUNTER, "First flights by what they were.", "kind", hellos },
    [DOOR_METRIC_HANDSHAKES] = { "gatehouse_door_handshakes_total", GH_METRIC_COUNTER, "TLS handshakes that ended here, by whom with.", "client", handshakes },
    [DOOR_METRIC_TOKENS] = { "gatehouse_door_tokens_total", GH_METRIC_COUNTER, "Tokens that requests for tunnels showed.", "result", tokens },
    [DOOR_METRIC_REPLAYS] = { "gatehouse_door_replays_total", GH_METRIC_COUNTER, "First flights for the tunnel that had come before, and went where strangers go." },
    [DOOR_METRIC_DIALS] = { "gatehouse_door_dials_total", GH_METRIC_COUNTER, "Attempts to connect to a backend or the camouflage.", "result", dials },
    [DOOR_METRIC_RESETS] = { "gatehouse_door_resets_total", GH_METRIC_COUNTER, "Connections that ended with a reset of either side." },
    [DOOR_METRIC_BYTES] = { "gatehouse_door_bytes_total", GH_METRIC_COUNTER, "Bytes of connections that have ended.", "direction", directions },
    [DOOR_METRIC_MOVED] = { "gatehouse_door_moved_bytes_total", GH_METRIC_COUNTER, "Bytes by how they were moved.", "manner", manners },
    [DOOR_METRIC_PIPES] = { "gatehouse_door_pipes", GH_METRIC_GAUGE, "Pipes open for splicing." },
    [DOOR_METRIC_PIPES_MISSING] = { "gatehouse_door_pipes_missing_total", GH_METRIC_COUNTER, "Times that bytes were copied because no pipe was to be had." },
    [DOOR_METRIC_ACCEPT_FAILED] = { "gatehouse_door_accept_failed_total", GH_METRIC_COUNTER, "Connections that could not be taken, or only later." },
    [DOOR_METRIC_BACKENDS_DOWN] = { "gatehouse_door_backends_down", GH_METRIC_GAUGE, "Backends that did not accept when they were last tried." },
    [DOOR_METRIC_UDP_FLIGHTS] = { "gatehouse_door_udp_flights_total", GH_METRIC_COUNTER, "First flights over UDP, and strangers' datagrams, by where they went.", "way", ways },
    [DOOR_METRIC_UDP_HALF_SEEN] = { "gatehouse_door_udp_half_seen", GH_METRIC_GAUGE, "First flights over UDP now that have come in part." },
    [DOOR_METRIC_UDP_FLOWS] = { "gatehouse_door_udp_flows", GH_METRIC_GAUGE, "UDP flows now that are carried to a backend or the camouflage." },
    [DOOR_METRIC_UDP_DATAGRAMS] = { "gatehouse_door_udp_datagrams_total", GH_METRIC_COUNTER, "Datagrams that were carried.", "direction", directions },
    [DOOR_METRIC_UDP_DROPPED] = { "gatehouse_door_udp_dropped_total", GH_METRIC_COUNTER, "What was not looked into or not carried, by why.", "why", udp_drops },
    { 0 },
};

/* ---- accepting ---- */

static unsigned limit_of(const struct door_worker *dw, const struct door_table *t)
{
    return (t->max_connections ? t->max_connections : dw->d->connections_limit) + t->reserve;
}

/* Edges are told once: a listener that was left with connections is visited again. */
static void accept_some(struct door_listener *l)
{
    struct door_worker *dw = l->dw;
    const struct door_table *t = gh_snapshot_refresh(&dw->d->table, &dw->table);
    struct gh_endpoint peer;

    l->waiting = true;
    for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
        int fd;

        if (atomic_load_explicit(&dw->d->connections, memory_order_relaxed) >= limit_of(dw, t)) {
            door_count(dw, DOOR_METRIC_ACCEPT_FAILED, 0);
            break; /* they wait in the kernel's queue */
        }
        fd = gh_sock_accept(l->fd, &peer);
        if (fd == GH_ERR_AGAIN) {
            l->waiting = false;
            return;
        }
        if (fd < 0) {
            door_count(dw, DOOR_METRIC_ACCEPT_FAILED, 0);
            break;
        }
        door_flow_open(dw, fd, &peer, l->port);
        if (i == ACCEPT_BATCH - 1) { /* the others have their turn; then on at once */
            gh_worker_deadline_start(dw->w, &dw->again, gh_worker_now(dw->w));
            return;
        }
    }
}

static void on_listener(struct gh_edge *e, unsigned events)
{
    (void)events;
    accept_some(gh_container_of(e, struct door_listener, edge));
}

static void publish(struct door_worker *dw)
{
    const struct gh_pump_counters *c = gh_pump_pool_counters(dw->pool);
    struct gh_metric_set *m = dw->d->metrics;

    for (unsigned i = 0; i < 2; i++)
        gh_metric_set_value(m, dw->index, DOOR_METRIC_BYTES, i, (int64_t)dw->bytes[i]);
    gh_metric_set_value(m, dw->index, DOOR_METRIC_MOVED, 0, (int64_t)c->copied);
    gh_metric_set_value(m, dw->index, DOOR_METRIC_MOVED, 1, (int64_t)c->spliced);
    gh_metric_set_value(m, dw->index, DOOR_METRIC_PIPES, 0, (int64_t)c->pipes);
    gh_metric_set_value(m, dw->index, DOOR_METRIC_PIPES_MISSING, 0, (int64_t)c->pipes_missing);
    if (dw->index > 0)
        return;
    gh_metric_set_value(m, 0, DOOR_METRIC_ACTIVE, 0, atomic_load(&dw->d->connections));
    gh_metric_set_value(m, 0, DOOR_METRIC_PEEKING, 0, (int64_t)atomic_load(&dw->d->connections) - (int64_t)atomic_load(&dw->d->placed));
}

static void on_again(void *arg, int64_t now)
{
    struct door_worker *dw = arg;

    gh_worker_deadline_start(dw->w, &dw->again, now + AGAIN);
    door_flow_unpark(dw);
    door_udp_tick(dw, now, gh_snapshot_refresh(&dw->d->table, &dw->table));
    for (size_t i = 0; i < dw->d->listen_count; i++)
        if (dw->listeners[i].waiting && dw->listeners[i].fd >= 0)
            accept_some(&dw->listeners[i]);
    if (dw->index == 0)
        door_replay_tick(dw, now);
    publish(dw);
}

/* ---- a worker's life ---- */

static void close_listeners(struct door_worker *dw)
{
    for (size_t i = 0; i < DOOR_LISTEN_MAX; i++) {
        struct door_listener *l = &dw->listeners[i];

        if (l->fd < 0)
            continue;
        gh_edges_forget(gh_pump_pool_edges(dw->pool), &l->edge);
        gh_sock_close(l->fd);
        l->fd = -1;
    }
}

static void stop(void *state, struct gh_worker *w)
{
    struct door *d = state;
    struct door_worker *dw = d->at[gh_worker_index(w)];

    if (!dw)
        return;
    if (dw->index == 0)
        door_health_stop(d);
    if (dw->pool)
        close_listeners(dw);
    door_flow_close_all(dw);
    door_udp_stop(dw);
    door_tls_stop(dw);
    gh_worker_deadline_stop(w, &dw->again);
    gh_pump_pool_destroy(dw->pool);
    gh_snapshot_release(&dw->table);
    d->at[dw->index] = NULL;
    free(dw);
}

static int start(void *state, struct gh_worker *w)
{
    struct door *d = state;
    struct door_worker *dw = calloc(1, sizeof *dw);
    int rc;

    if (!dw)
        return GH_ERR_MEMORY;
    dw->d = d;
    dw->w = w;
    dw->index = gh_worker_index(w);
    gh_list_init(&dw->flows);
    gh_list_init(&dw->parked);
    gh_deadline_init(&dw->again, on_again, dw);
    for (size_t i = 0; i < DOOR_LISTEN_MAX; i++)
        dw->listeners[i].fd = -1;
    d->at[dw->index] = dw;
    rc = gh_pump_pool_create(w, d->pipes, &dw->pool);
    if (rc == 0)
        rc = door_tls_start(dw);
    if (rc == 0)
        rc = door_udp_start(dw);
    for (size_t i = 0; rc == 0 && i < d->listen_count; i++) {
        struct door_listener *l = &dw->listeners[i];

        *l = (struct door_listener){ .edge = { on_listener }, .dw = dw, .fd = d->fds[i][dw->index], .port = d->listens[i].port };
        d->fds[i][dw->index] = -1;
        rc = gh_edges_add(gh_pump_pool_edges(dw->pool), l->fd, &l->edge);
    }
    if (rc == 0 && dw->index == 0)
        rc = door_health_start(d, w);
    if (rc < 0) {
        gh_log_event(d->log, GH_LOG_ERROR, "door", "worker cannot start", gh_log_uint("worker", dw->index), gh_log_result("error", rc));
        stop(state, w);
        return rc;
    }
    gh_worker_deadline_start(w, &dw->again, gh_worker_now(w) + AGAIN);
    return 0;
}

/* ---- the node's ---- */

static void unload(void *state)
{
    struct door *d = state;

    for (size_t i = 0; i < DOOR_LISTEN_MAX; i++)
        for (size_t k = 0; k < GH_WORKERS_MAX; k++) {
            gh_sock_close(d->fds[i][k]);
            gh_sock_close(d->udp_fds[i][k]);
        }
    door_directory_fini(&d->directory);
    gh_snapshot_fini(&d->table);
    door_replay_close(d);
    if (d->run->users == &d->users)
        d->run->users = NULL;
    door_camouflage_conf_destroy(d->camouflage);
    free(d);
}

void door_lookup(void *door, const char *host, uint16_t port, struct gh_resolved *ret)
{
    struct door *d = door;

    gh_privileged_lookup(d->run->privileged, host, port, ret);
    if (ret->count == 0)
        gh_log_event(d->log, GH_LOG_WARN, "door", "a backend's name was not found; it is looked up again", gh_log_str("host", host), gh_log_str("reason", ret->error));
}

/* An address that means both families becomes one listener each. What the sockets have is passed on to the connections that they accept. */
static int open_listeners(struct door *d, const struct gh_door_conf *c)
{
    struct gh_priv_socket s = { .count = (uint16_t)d->workers };
    char text[GH_ENDPOINT_TEXT];

    for (size_t i = 0; i < c->listen_count; i++) {
        const struct gh_conf_addr *a = &c->listen[i];

        for (uint8_t family = 4; family <= 6; family += 2) {
            int rc;

            if (a->ip.family && a->ip.family != family)
                continue;
            s.addr = a->ip;
            s.addr.family = family;
            s.port = a->port;
            rc = gh_privileged_open_tcp(d->run->privileged, &s, d->fds[d->listen_count]);
            if (rc < 0) {
                gh_endpoint_emit(&(struct gh_endpoint){ .ip = s.addr, .port = s.port }, text);
                gh_log_event(d->log, GH_LOG_ERROR, "door", "address cannot be listened on", gh_log_str("address", text),
                             gh_log_str("reason", gh_privileged_why(d->run->privileged)), gh_log_result("error", rc));
                return rc;
            }
            for (unsigned k = 0; k < d->workers; k++) {
                gh_sock_set_nodelay(d->fds[d->listen_count][k]);
                gh_sock_set_keepalive(d->fds[d->listen_count][k], 0, 0, 0);
            }
            d->listens[d->listen_count++] = (struct gh_conf_addr){ s.addr, s.port };
        }
    }
    return 0;
}

static int open_hop(struct door *d, const struct gh_door_conf *c)
{
    int rc;

    if (!c->hop[0])
        return 0;
    rc = gh_privileged_hop_set(d->run->privileged, c->listen[0].port, c->hop[0], c->hop[1]);
    if (rc < 0)
        gh_log_event(d->log, GH_LOG_ERROR, "door", "hop ports cannot be set up", gh_log_uint("first", c->hop[0]), gh_log_uint("last", c->hop[1]),
                     gh_log_str("reason", gh_privileged_why(d->run->privileged)), gh_log_result("error", rc));
    return rc;
}

static int open_firewall(struct door *d, const struct gh_door_conf *c)
{
    struct gh_priv_firewall f = { 0 };
    char name[GH_PRIV_DEVICE];
    int rc;

    if (!c->firewall)
        return 0;
    for (size_t i = 0; i < c->listen_count; i++) {
        bool again = c->listen[i].port == 0; /* 0: the system's choice, for tests */

        for (size_t k = 0; k < i; k++)
            again = again || c->listen[k].port == c->listen[i].port;
        if (!again)
            f.ports[f.count].first = f.ports[f.count].last = c->listen[i].port;
        f.count += !again;
    }
    if (c->hop[0]) {
        f.ports[f.count].first = c->hop[0];
        f.ports[f.count++].last = c->hop[1];
    }
    if (f.count == 0)
        return 0;
    rc = gh_privileged_firewall_open(d->run->privileged, &f, name);
    if (rc < 0)
        gh_log_event(d->log, GH_LOG_ERROR, "door", "the host's firewall cannot be opened", gh_log_str("reason", gh_privileged_why(d->run->privileged)),
                     gh_log_result("error", rc));
    else if (*name)
        gh_log_event(d->log, GH_LOG_INFO, "door", "the host's firewall is open for us until the end", gh_log_str("firewall", name), gh_log_uint("ranges", f.count));
    else
        gh_log_event(d->log, GH_LOG_INFO, "door", "no firewall of this host filters what comes in: nothing to open");
    return rc;
}

/* Two descriptors a connection, two a pipe. */
static unsigned connections_for(unsigned descriptors, unsigned workers, unsigned pipes, unsigned reserve)
{
    uint64_t used = DESCRIPTORS_KEPT + reserve + UINT64_C(2) * workers * pipes;

    return descriptors > used + UINT64_C(2) * CONNECTIONS_LEAST ? (unsigned)((descriptors - used) / 2) : CONNECTIONS_LEAST;
}

static int load_table(struct door *d, const struct gh_door_conf *c)
{
    struct door_table *t;
    int rc = door_table_create(c, door_lookup, d, &t);

    if (rc < 0)
        return rc;
    rc = door_keys_load(d, c, t);
    if (rc == 0)
        rc = door_token_load(d, c, t);
    if (rc == 0)
        rc = door_camouflage_load(d, c, NULL, &d->camouflage);
    if (rc == 0)
        rc = gh_snapshot_swap(&d->table, t, door_table_put);
    if (rc < 0)
        door_table_put(t);
    else
        door_keys_tell(d, t);
    return rc;
}

static void watch_files(struct door *d, const struct gh_door_conf *c)
{
    const char *const paths[] = { c->ech_keys_file, c->users_file, c->certificate, c->key, c->has_proxy && c->proxy.secure ? c->camouflage_ca : "",
                                  c->has_callback && c->callback.secure ? c->callback_ca : "" };

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (*paths[i] && gh_run_watch(d->run, paths[i]) < 0)
            gh_log_event(d->log, GH_LOG_WARN, "door", "changes of a file will not be noticed, only SIGHUP will", gh_log_str("file", paths[i]),
                         gh_log_str("reason", gh_privileged_why(d->run->privileged)));
}

static int load(struct gh_node *node, const struct gh_conf *conf, void **ret_state)
{
    struct door *d = calloc(1, sizeof *d);
    struct gh_door_conf c = { 0 };
    int rc;

    if (!d)
        return GH_ERR_MEMORY;
    d->node = node;
    d->run = gh_run_of(node);
    d->log = gh_node_log(node);
    d->metrics = gh_node_service_metrics(node, "door");
    d->workers = gh_node_workers(node);
    d->ready = gh_node_ready(node);
    d->check = gh_ready_register(d->ready, "door");
    gh_ready_set(d->ready, d->check, false, "starting");
    memset(d->fds, -1, sizeof d->fds);
    memset(d->udp_fds, -1, sizeof d->udp_fds);
    rc = gh_snapshot_init(&d->table);
    if (rc == 0)
        rc = door_directory_init(&d->directory);
    if (rc == 0)
        rc = gh_door_conf_load(conf, &c);
    if (rc == 0) {
        d->pipes = c.pipes;
        d->connections_limit = connections_for(gh_process_descriptors(), d->workers, c.pipes, c.reserve);
        rc = load_table(d, &c);
    }
    if (rc == 0)
        rc = open_listeners(d, &c);
    if (rc == 0)
        rc = open_hop(d, &c);
    if (rc == 0)
        rc = open_firewall(d, &c);
    if (rc == 0)
        rc = door_udp_load(d, &c);
    if (rc == 0)
        rc = door_replay_open(d, &c);
    if (rc == 0) {
        door_token_publish(d);
        watch_files(d, &c);
    }
    if (rc == 0)
        gh_log_event(d->log, GH_LOG_INFO, "door", "routes loaded", gh_log_uint("routes", c.target_count), gh_log_str("camouflage", c.has_relay ? "relay" : c.has_proxy ? "proxy" : *c.site ? "site" : "page"),
                     gh_log_uint("max_connections", c.max_connections ? c.max_connections : d->connections_limit));
    gh_door_conf_fini(&c);
    if (rc < 0) {
        unload(d);
        return rc;
    }
    gh_ready_set(d->ready, d->check, true, NULL);
    *ret_state = d;
    return 0;
}

struct next {
    struct door_table *table;
    struct door_camouflage_conf *camouflage;
};

static void discard(void *state, void *arg)
{
    struct next *n = arg;

    (void)state;
    door_table_put(n->table);
    door_camouflage_conf_destroy(n->camouflage);
    free(n);
}

static int prepare(void *state, const struct gh_conf *conf, void **ret_next)
{
    struct door *d = state;
    struct gh_door_conf c = { 0 };
    struct next *n = calloc(1, sizeof *n);
    int rc = n ? gh_door_conf_load(conf, &c) : GH_ERR_MEMORY;

    if (rc == 0)
        rc = door_table_create(&c, door_lookup, d, &n->table);
    if (rc == 0)
        rc = door_keys_load(d, &c, n->table);
    if (rc == 0)
        rc = door_token_load(d, &c, n->table);
    if (rc == 0)
        rc = door_camouflage_load(d, &c, d->camouflage, &n->camouflage);
    if (rc == 0) {
        watch_files(d, &c);
        door_udp_reloaded(d, &c);
        *ret_next = n;
    } else if (n) {
        discard(d, n);
    }
    gh_door_conf_fini(&c);
    return rc;
}

static void refresh(struct gh_worker *w, void *arg)
{
    struct door *d = arg;
    struct door_worker *dw = d->at[gh_worker_index(w)];

    if (dw)
        door_tls_refresh(dw);
}

/* Connections go on by the table that routed them, requests by the camouflage that they met. */
static void commit(void *state, void *arg)
{
    struct door *d = state;
    struct next *n = arg;
    struct door_camouflage_conf *old = d->camouflage;

    (void)door_keys_renew(d, n->table); /* the relay has taken its own next before; what fails was logged, and the former certificate stays */
    if (gh_snapshot_swap(&d->table, n->table, door_table_put) < 0) {
        gh_log_event(d->log, GH_LOG_ERROR, "door", "out of memory: routes stay as they were");
        door_table_put(n->table);
    } else {
        door_keys_tell(d, n->table);
        if (d->run->tunnels)
            d->run->tunnels->rejudge(d->run->tunnels->self);
    }
    d->camouflage = n->camouflage;
    for (unsigned i = 0; i < d->workers; i++)
        gh_worker_call(gh_workers_at(d->run->workers, i), refresh, d);
    door_camouflage_conf_destroy(old);
    free(n);
}

/* ---- the end ---- */

static void stop_accepting(struct gh_worker *w, void *arg)
{
    struct door *d = arg;
    struct door_worker *dw = d->at[gh_worker_index(w)];

    if (!dw)
        return;
    close_listeners(dw);
    door_udp_drain(dw);
    door_tls_drain(dw);
}

static void end_connections(struct gh_worker *w, void *arg)
{
    struct door *d = arg;
    struct door_worker *dw = d->at[gh_worker_index(w)];

    if (dw)
        door_flow_close_all(dw);
}

static void release(void *state, enum gh_release stage)
{
    struct door *d = state;

    if (stage != GH_RELEASE_GOAWAY && stage != GH_RELEASE_SESSIONS)
        return;
    for (unsigned i = 0; i < d->workers; i++)
        gh_worker_call(gh_workers_at(d->run->workers, i), stage == GH_RELEASE_GOAWAY ? stop_accepting : end_connections, d);
}

static bool drained(const void *state)
{
    const struct door *d = state;

    return atomic_load(&d->connections) == 0;
}

static void describe(void *state, struct gh_description *desc)
{
    const struct door *d = state;
    char text[GH_ENDPOINT_TEXT];

    for (size_t i = 0; i < d->listen_count; i++)
        gh_describe_listener(desc, "door", "tcp", gh_endpoint_emit(&(struct gh_endpoint){ .ip = d->listens[i].ip, .port = d->listens[i].port }, text));
    for (size_t i = 0; i < d->udp_count; i++)
        gh_describe_listener(desc, "door", "udp", gh_endpoint_emit(&d->udp_listens[i], text));
}

const struct gh_service gh_service_door = {
    .name = "door",
    .section = &gh_door_conf_section,
    .metrics = door_metrics,
    .load = load,
    .unload = unload,
    .start = start,
    .stop = stop,
    .prepare = prepare,
    .commit = commit,
    .discard = discard,
    .drained = drained,
    .release = release,
    .describe = describe,
    .connects = true,
    .keeps_state = true,
};
