#include "services/capture/capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "os/dgram.h"
#include "services/capture/capture_internal.h"

#define ACCEPTS 64 /* of one turn and listener */
#define PAUSE INT64_C(100000000)
#define HEADROOM (GH_SOCKS5_UDP_HEAD_MAX + 64u)

static const char *const protocols[] = { "tcp", "udp", NULL };
static const char *const results[] = { "opened", "denied", "failed", NULL };
static const char *const reasons[] = { "limit", "login", "protocol", "late", NULL };
static const char *const directions[] = { "out", "in", NULL };

static const struct gh_metric capture_metrics[] = {
    [CAPTURE_METRIC_CONNECTIONS] = { "gatehouse_capture_connections", GH_METRIC_GAUGE, "Connections of programs now." },
    [CAPTURE_METRIC_TUNNELS] = { "gatehouse_capture_tunnels", GH_METRIC_GAUGE, "Tunnels of theirs that are open now.", "protocol", protocols },
    [CAPTURE_METRIC_REQUESTS] = { "gatehouse_capture_requests_total", GH_METRIC_COUNTER, "Tunnels that were asked for, by what became of them.", "result", results },
    [CAPTURE_METRIC_REFUSED] = { "gatehouse_capture_refused_total", GH_METRIC_COUNTER, "Connections that asked for nothing that could be done, by why.", "why", reasons },
    [CAPTURE_METRIC_BYTES] = { "gatehouse_capture_bytes_total", GH_METRIC_COUNTER, "Bytes into tunnels and out of them.", "direction", directions },
    { 0 },
};

static void unload(void *state);

/* ---- what listens ---- */

static int listen_at(struct capture *c, const struct gh_conf_addr *at)
{
    struct gh_priv_socket s = { .addr = at->ip, .port = at->port, .count = 1 };
    struct capture_listener *l = &c->listeners[c->listener_count];
    struct gh_endpoint bound = { .ip = at->ip, .port = at->port };
    int rc = gh_privileged_open_tcp(c->run->privileged, &s, &l->fd);

    if (rc < 0) {
        gh_log_event(c->log, GH_LOG_ERROR, "capture", "proxy.listen cannot be listened on", gh_log_str("address", gh_endpoint_emit(&bound, l->address)),
                     gh_log_str("reason", gh_privileged_why(c->run->privileged)), gh_log_result("error", rc));
        return rc;
    }
    (void)gh_sock_local(l->fd, &bound);
    gh_endpoint_emit(&bound, l->address);
    l->c = c;
    c->listener_count++;
    gh_log_event(c->log, GH_LOG_INFO, "capture", "listening", gh_log_str("address", l->address));
    return 0;
}

static void poll_all(struct capture *c, int events)
{
    for (size_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].poll)
            gh_poll_change(c->listeners[i].poll, events);
}

static void on_listener(void *arg, int events)
{
    struct capture_listener *l = arg;
    struct capture *c = l->c;

    (void)events;
    for (int i = 0; i < ACCEPTS; i++) {
        int fd = gh_sock_accept(l->fd, NULL);

        if (fd >= 0) {
            capture_conn_accept(c, fd);
        } else if (fd == GH_ERR_FULL) { /* without a descriptor it would be told for ever */
            poll_all(c, 0);
            gh_worker_deadline_start(c->w, &c->pause, gh_worker_now(c->w) + PAUSE);
            return;
        } else {
            return;
        }
    }
}

static void on_pause_end(void *arg, int64_t now)
{
    (void)now;
    poll_all(arg, GH_POLL_READ);
}

static void on_retry(void *arg, int64_t now)
{
    (void)now;
    capture_conn_retry(arg);
}

static void on_ready(void *arg)
{
    struct capture *c = arg;

    /* in a turn of its own: whoever tells is in the middle of something */
    if (!gh_list_empty(&c->waiting))
        gh_worker_deadline_start(c->w, &c->retry, gh_worker_now(c->w));
}

static void on_sweep(void *arg, int64_t now)
{
    capture_udp_sweep(arg, now);
}

/* ---- life ---- */

static int load_conf(struct capture *c, const struct gh_capture_conf *conf)
{
    int rc = gh_secret_init(&c->user, conf->user, strlen(conf->user));

    if (rc == 0 && conf->password)
        rc = gh_secret_init(&c->password, conf->password->data, conf->password->len);
    c->login = (struct gh_capture_login){ gh_span_of(c->user.data, c->user.len), gh_span_of(c->password.data, c->password.len) };
    c->max_connections = conf->max_connections;
    c->max_destinations = conf->max_destinations;
    c->ask_timeout = conf->ask_timeout;
    c->connect_timeout = conf->connect_timeout;
    c->udp_timeout = conf->udp_timeout;
    for (size_t i = 0; i < conf->listen_count && i < GH_CAPTURE_LISTEN && rc == 0; i++)
        rc = listen_at(c, &conf->listen[i]);
    return rc;
}

static int load(struct gh_node *node, const struct gh_conf *conf, void **ret_state)
{
    struct capture *c = calloc(1, sizeof *c);
    struct gh_capture_conf given;
    int rc = 0;

    if (!c)
        return GH_ERR_MEMORY;
    c->run = gh_run_of(node);
    c->log = gh_node_log(node);
    c->metrics = gh_node_service_metrics(node, "capture");
    c->drops = gh_metrics_drops(gh_node_metrics(node), 0);
    c->opener = c->run->opener;
    for (size_t i = 0; i < GH_CAPTURE_LISTEN; i++)
        c->listeners[i].fd = -1;
    if (c->opener) { /* else there is nothing to capture for */
        gh_capture_conf_load(conf, &given);
        rc = load_conf(c, &given);
    }
    if (rc < 0) {
        unload(c);
        return rc;
    }
    *ret_state = c;
    return 0;
}

static void unload(void *state)
{
    struct capture *c = state;

    for (size_t i = 0; i < GH_CAPTURE_LISTEN; i++)
        gh_sock_close(c->listeners[i].fd);
    gh_secret_fini(&c->user);
    gh_secret_fini(&c->password);
    free(c);
}

static void stop(void *state, struct gh_worker *w)
{
    struct capture *c = state;

    if (!c->opener || gh_worker_index(w) != 0)
        return;
    c->opener->watch(c->opener->self, NULL, NULL);
    for (size_t i = 0; i < c->listener_count; i++) {
        gh_poll_close(c->listeners[i].poll);
        c->listeners[i].poll = NULL;
    }
    gh_list_each(it, &c->conns)
        capture_conn_destroy(gh_container_of(it, struct capture_conn, link));
    gh_worker_deadline_stop(w, &c->retry);
    gh_worker_deadline_stop(w, &c->sweep);
    gh_worker_deadline_stop(w, &c->pause);
    free(c->in);
    free(c->out);
    c->in = c->out = NULL;
}

static int start(void *state, struct gh_worker *w)
{
    struct capture *c = state;
    int rc = 0;

    if (!c->opener || gh_worker_index(w) != 0)
        return 0;
    c->w = w;
    gh_list_init(&c->conns);
    gh_list_init(&c->waiting);
    gh_list_init(&c->associations);
    gh_deadline_init(&c->retry, on_retry, c);
    gh_deadline_init(&c->sweep, on_sweep, c);
    gh_deadline_init(&c->pause, on_pause_end, c);
    c->in = malloc(GH_DGRAM_MAX + HEADROOM);
    c->out = malloc(GH_DGRAM_MAX + HEADROOM);
    if (!c->in || !c->out)
        rc = GH_ERR_MEMORY;
    for (size_t i = 0; i < c->listener_count && rc == 0; i++)
        rc = gh_poll_open(w, c->listeners[i].fd, GH_POLL_READ, on_listener, &c->listeners[i], &c->listeners[i].poll);
    if (rc < 0)
        stop(c, w);
    else
        c->opener->watch(c->opener->self, on_ready, c);
    return rc;
}

static void describe(void *state, struct gh_description *d)
{
    const struct capture *c = state;

    for (size_t i = 0; i < c->listener_count; i++)
        gh_describe_listener(d, "proxy", "tcp", c->listeners[i].address);
}

/* Nobody new; what goes on ends with the agent's connections, which are closed in order. */
static void stop_accepting(struct gh_worker *w, void *arg)
{
    struct capture *c = arg;

    gh_worker_deadline_stop(w, &c->pause);
    poll_all(c, 0);
}

static void drain(void *state)
{
    struct capture *c = state;

    if (c->w)
        (void)gh_worker_run(c->w, stop_accepting, c);
}

const struct gh_service gh_service_capture = {
    .name = "capture",
    .section = &gh_capture_conf_section,
    .metrics = capture_metrics,
    .load = load,
    .unload = unload,
    .start = start,
    .stop = stop,
    .drain = drain,
    .describe = describe,
};
