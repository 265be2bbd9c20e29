#include "world.h"

static int open_tunnel(void *self, const struct gh_host_target *to, bool udp, const struct gh_http_events *events, void *arg, struct gh_http_stream **ret)
{
    struct world *w = self;
    unsigned i = w->opened;

    if (w->refuse < 0)
        return w->refuse;
    assert_true(i < TUNNELS);
    w->opened++;
    w->to[i] = *to;
    w->udp[i] = udp;
    gh_fake_stream_init(&w->tunnels[i]);
    w->tunnels[i].status = 200;
    w->tunnels[i].stream.events = events;
    w->tunnels[i].stream.arg = arg;
    *ret = &w->tunnels[i].stream;
    return 0;
}

static void forget(void *self, struct gh_http_stream *s)
{
    struct world *w = self;

    for (unsigned i = 0; i < w->opened; i++)
        if (&w->tunnels[i].stream == s)
            w->forgotten[i] = true;
    s->events = NULL;
}

static void watch(void *self, void (*fn)(void *arg), void *arg)
{
    struct world *w = self;

    w->ready = fn;
    w->ready_arg = arg;
}

static int parent_call(void *client, const struct gh_priv_request *q, struct gh_priv_reply *ret, int *ret_fds, size_t fd_cap, size_t *ret_count)
{
    struct gh_endpoint at = { q->socket.addr, q->socket.port, 0 };

    (void)client;
    assert_true(fd_cap >= 1);
    assert_int_equal(q->kind, GH_PRIV_OPEN_TCP);
    *ret = (struct gh_priv_reply){ 0 };
    ret_fds[0] = gh_sock_listen_tcp(&at, 0);
    assert_true(ret_fds[0] >= 0);
    if (ret_count)
        *ret_count = 1;
    return 0;
}

static struct gh_conf *parse_conf(void)
{
    static const struct gh_conf_section *const sections[] = { &gh_conf_section_node,  &gh_conf_section_log,   &gh_conf_section_audit,
                                                              &gh_conf_section_admin, &gh_capture_conf_section, NULL };
    static const char yaml[] = "proxy: { listen: '127.0.0.1:0', max_connections: 3, max_destinations: 2, ask_timeout: 300ms, connect_timeout: 300ms }\n";
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;

    gh_conf_errors_init(&errors);
    assert_int_equal(gh_conf_parse(&(struct gh_conf_input){ gh_span_str(yaml), "a.yaml", NULL, sections }, &errors, &conf), 0);
    gh_conf_errors_fini(&errors);
    return conf;
}

int world_setup(void **state)
{
    static const struct gh_service *const services[] = { &gh_service_capture, NULL };
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->opener = (struct gh_port_opener){ open_tunnel, forget, watch, w };
    w->privileged = (struct gh_privileged){ .call = parent_call, .client = w };
    gh_log_init(&w->log, STDERR_FILENO, GH_LOG_JSON, GH_LOG_ERROR);
    assert_int_equal(gh_workers_create(&(struct gh_workers_config){ .count = 1, .name = "capture" }, &w->workers), 0);
    w->worker = gh_workers_at(w->workers, 0);
    w->run = (struct gh_run){ .privileged = &w->privileged, .workers = w->workers, .opener = &w->opener };
    assert_int_equal(gh_node_create(&(struct gh_node_setup){ services, parse_conf(), &w->log, NULL, 1, &w->run }, &w->node), 0);
    assert_int_equal(gh_node_load(w->node), 0);
    assert_int_equal(gh_node_start(w->node, w->worker), 0);
    w->c = gh_node_service_state(w->node, "capture");
    assert_int_equal(gh_sock_local(w->c->listeners[0].fd, &w->at), 0);
    *state = w;
    return 0;
}

int world_teardown(void **state)
{
    struct world *w = *state;

    gh_node_stop(w->node, w->worker);
    assert_int_equal(world_count(w, CAPTURE_METRIC_CONNECTIONS, 0), 0);
    assert_int_equal(world_count(w, CAPTURE_METRIC_TUNNELS, CAPTURE_TCP), 0);
    assert_int_equal(world_count(w, CAPTURE_METRIC_TUNNELS, CAPTURE_UDP), 0);
    for (unsigned i = 0; i < w->opened; i++) {
        assert_true(w->tunnels[i].closed || w->forgotten[i]); /* none is left alone */
        gh_fake_stream_fini(&w->tunnels[i]);
    }
    gh_node_unload(w->node);
    gh_workers_destroy(w->workers);
    gh_node_destroy(w->node);
    gh_log_fini(&w->log);
    free(w);
    return 0;
}

int world_connect(struct world *w)
{
    unsigned before = (unsigned)(world_count(w, CAPTURE_METRIC_CONNECTIONS, 0) + world_count(w, CAPTURE_METRIC_REFUSED, CAPTURE_LIMIT));
    int fd = gh_sock_connect_tcp(&w->at);

    assert_true(fd >= 0);
    TURN_UNTIL(w, world_count(w, CAPTURE_METRIC_CONNECTIONS, 0) + world_count(w, CAPTURE_METRIC_REFUSED, CAPTURE_LIMIT) > before);
    return fd;
}

ssize_t world_read(struct world *w, int fd, void *buf, size_t len)
{
    size_t got = 0;

    for (unsigned i = 0; i < TURNS && got < len; i++) {
        ssize_t n = recv(fd, (char *)buf + got, len - got, 0);

        if (n > 0)
            got += (size_t)n;
        else if (n == 0)
            return (ssize_t)got;
        else if (errno != EAGAIN)
            return -1;
        else
            gh_worker_turn(w->worker, true);
    }
    assert_int_equal(got, len);
    return (ssize_t)got;
}

void world_write(struct world *w, int fd, const void *data, size_t len)
{
    (void)w;
    assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

void world_answer(struct world *w, unsigned tunnel, unsigned status, const char *proxy_status)
{
    const struct gh_http_field field = { gh_span_str("proxy-status"), gh_span_str(proxy_status ? proxy_status : "") };
    const struct gh_http_head head = { .status = status, .fields = &field, .field_count = proxy_status ? 1 : 0 };
    struct gh_http_stream *s = &w->tunnels[tunnel].stream;

    assert_non_null(s->events);
    s->events->on_answer(s->arg, s, &head);
}

uint64_t world_count(struct world *w, unsigned row, unsigned label)
{
    return gh_metric_sum(gh_node_service_metrics(w->node, "capture"), row, label);
}

uint64_t world_drops(struct world *w, enum gh_drop why)
{
    return gh_metrics_dropped(gh_node_metrics(w->node), why);
}

int world_tunnel(struct world *w)
{
    unsigned i = w->opened;
    int fd = world_connect(w);
    char buf[12];

    world_write(w, fd, "\x05\x01\x00\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50", 13);
    TURN_UNTIL(w, w->opened > i);
    world_answer(w, i, 200, NULL);
    assert_int_equal(world_read(w, fd, buf, sizeof buf), 12);
    assert_memory_equal(buf, "\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0", 12);
    return fd;
}
