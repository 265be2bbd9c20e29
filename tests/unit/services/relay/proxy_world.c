#include "proxy_world.h"

/* ---- no TUN ---- */

struct gh_tun_port {
    char none;
};

int gh_tun_port_create(const struct gh_tun_port_config *cfg, struct gh_tun_port **ret)
{
    (void)cfg;
    *ret = calloc(1, sizeof **ret);
    return *ret ? 0 : GH_ERR_MEMORY;
}

void gh_tun_port_destroy(struct gh_tun_port *p)
{
    free(p);
}

void gh_tun_port_send(struct gh_tun_port *p, struct gh_span packet)
{
    (void)p;
    (void)packet;
}

void gh_tun_port_flush(struct gh_tun_port *p)
{
    (void)p;
}

const struct gh_tun_port_counters *gh_tun_port_counters(const struct gh_tun_port *p)
{
    (void)p;
    return NULL;
}

unsigned gh_tun_port_offloads(const struct gh_tun_port *p)
{
    (void)p;
    return 0;
}

/* ---- the relay ---- */

static int parent_call(void *client, const struct gh_priv_request *q, struct gh_priv_reply *ret, int *ret_fds, size_t fd_cap, size_t *ret_count)
{
    struct world *w = client;
    int pair[2];

    assert_true(fd_cap >= 1);
    *ret = (struct gh_priv_reply){ 0 };
    if (q->kind == GH_PRIV_LOOKUP) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
        assert_int_equal(gh_fdpass_send(pair[1], &w->names, sizeof w->names, NULL, 0), 0);
        close(pair[1]);
        ret_fds[0] = pair[0];
    } else {
        assert_int_equal(q->kind, GH_PRIV_OPEN_FILE);
        ret_fds[0] = open(q->path, O_RDONLY | O_CLOEXEC);
    }
    assert_true(ret_fds[0] >= 0);
    if (ret_count)
        *ret_count = 1;
    return 0;
}

void proxy_world_policy(struct world *w, const char *text)
{
    struct relay_policy *p = NULL;

    assert_int_equal(ftruncate(w->policy_fd, 0), 0);
    assert_int_equal(pwrite(w->policy_fd, text, strlen(text), 0), (ssize_t)strlen(text));
    assert_int_equal(relay_policy_load(&w->r, w->policy_path, &p), 0);
    assert_int_equal(gh_snapshot_swap(&w->r.policy, p, relay_policy_destroy), 0);
    if (w->rw)
        relay_policy_refresh(w->rw);
}

static struct gh_conf *parse_conf(void)
{
    static const struct gh_conf_section *const sections[] = { &gh_conf_section_node,  &gh_conf_section_log,   &gh_conf_section_audit,
                                                              &gh_conf_section_admin, &gh_relay_conf_section, NULL };
    static const char yaml[] = "relay: { certificate: /c, key: /k, client_ca: /a, trust_domain: example.org, policy: /p, "
                               "proxy: [connect, connect-udp], max_proxied_per_client: 3, proxy_connect_timeout: 1s }\n";
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;

    gh_conf_errors_init(&errors);
    assert_int_equal(gh_conf_parse(&(struct gh_conf_input){ gh_span_str(yaml), "r.yaml", NULL, sections }, &errors, &conf), 0);
    gh_conf_errors_fini(&errors);
    return conf;
}

static void create_relay(struct world *w)
{
    static const struct gh_service *const services[] = { NULL };
    struct gh_pool_conf pc = { .leases_max = 64 };
    struct gh_directory_conf dc = { .sessions_max = 64, .readers = 1 };
    struct relay *r = &w->r;
    struct gh_conf *conf = parse_conf();
    struct relay_trust *trust = NULL;

    assert_int_equal(gh_relay_conf_load(conf, &r->conf), 0);
    assert_int_equal(r->conf.proxy, GH_RELAY_PROXY_CONNECT | GH_RELAY_PROXY_CONNECT_UDP);
    memcpy(r->pools, r->conf.pools, r->conf.pool_count * sizeof *r->pools);
    gh_log_init(&w->log, w->audit_fd, GH_LOG_JSON, GH_LOG_ERROR);
    assert_int_equal(gh_audit_create(&(struct gh_audit_setup){ .fd = dup(w->audit_fd), .records = 256 }, &r->audit), 0);
    assert_int_equal(gh_workers_create(&(struct gh_workers_config){ .count = 1, .name = "proxy" }, &w->workers), 0);
    assert_int_equal(gh_node_create(&(struct gh_node_setup){ services, conf, &w->log, r->audit, 1, &w->run }, &r->node), 0);
    assert_int_equal(gh_metrics_register(gh_node_metrics(r->node), gh_service_relay.metrics, &r->metrics), 0);
    w->privileged.call = parent_call;
    w->privileged.client = w;
    w->run = (struct gh_run){ .privileged = &w->privileged, .workers = w->workers, .node = r->node };
    r->run = &w->run;
    r->log = &w->log;
    r->workers = 1;
    memset(r->tun_fds, -1, sizeof r->tun_fds);
    assert_int_equal(gh_snapshot_init(&r->policy), 0);
    assert_int_equal(gh_snapshot_init(&r->trust), 0);
    assert_int_equal(relay_trust_load(r, &r->conf, &trust), 0);
    assert_int_equal(gh_snapshot_swap(&r->trust, trust, relay_trust_destroy), 0);
    assert_int_equal(pthread_mutex_init(&r->cards_lock, NULL), 0);
    relay_trace_init(&r->trace);
    gh_list_init(&r->cards);
    pc.prefixes = r->pools;
    pc.prefix_count = r->conf.pool_count;
    assert_int_equal(gh_pool_create(&pc, &r->pool), 0);
    assert_int_equal(gh_directory_create(&dc, &r->directory), 0);
    proxy_world_policy(w, LOCAL);
    w->worker = gh_workers_at(w->workers, 0);
    assert_int_equal(relay_worker_start(r, w->worker), 0);
    w->rw = r->at[0];
}

int proxy_world_socket(int type, uint16_t *ret_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), small = 4096;

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

int proxy_world_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->policy_fd = memfd_create("policy", 0);
    w->audit_fd = memfd_create("audit", 0);
    w->host = -1;
    snprintf(w->policy_path, sizeof w->policy_path, "/proc/self/fd/%d", w->policy_fd);
    create_relay(w);
    w->listener = proxy_world_socket(SOCK_STREAM, &w->port);
    assert_int_equal(listen(w->listener, 8), 0);
    *state = w;
    return 0;
}

void proxy_world_stop(struct world *w)
{
    if (!w->workers)
        return;
    gh_fake_stream_fini(&w->s);
    relay_worker_stop(&w->r, w->worker);
    assert_int_equal(atomic_load(&w->r.proxied), 0);
    assert_int_equal(gh_audit_destroy(w->r.audit, INT64_C(20000000000)), 0);
    assert_true(pread(w->audit_fd, w->audit, sizeof w->audit - 1, 0) >= 0);
    gh_directory_destroy(w->r.directory);
    gh_pool_destroy(w->r.pool);
    gh_snapshot_fini(&w->r.policy);
    gh_snapshot_fini(&w->r.trust);
    gh_workers_destroy(w->workers);
    w->workers = NULL;
    relay_parcels_fini(w->r.stopped[0]); /* as unload does */
    free(w->r.stopped[0]);
    gh_node_destroy(w->r.node);
    gh_log_fini(&w->log);
    relay_trace_fini(&w->r.trace);
    pthread_mutex_destroy(&w->r.cards_lock);
}

int proxy_world_teardown(void **state)
{
    struct world *w = *state;

    proxy_world_stop(w);
    close(w->listener);
    if (w->host >= 0)
        close(w->host);
    close(w->policy_fd);
    close(w->audit_fd);
    free(w);
    return 0;
}

uint64_t proxy_world_drops(struct world *w, enum gh_drop why)
{
    return gh_metrics_dropped(gh_node_metrics(w->r.node), why);
}

/* ---- the client ---- */

static void begin(struct gh_fake_stream *s, const char *client)
{
    static const struct gh_cert_id certificate = { .serial = "01" };

    gh_fake_stream_init(s);
    s->peer.identity = client;
    s->peer.certificate = &certificate;
    s->peer.not_after = INT64_MAX;
    s->peer.connection = 0xabcdef;
}

void proxy_world_ask_tcp(struct world *w, struct gh_fake_stream *s, const char *client, const char *authority)
{
    struct gh_http_head head = { .method = gh_span_str("CONNECT"), .authority = gh_span_str(authority) };

    begin(s, client);
    gh_fake_stream_head(s, (struct gh_http_handler){ relay_request, w->rw }, &head);
}

void proxy_world_ask_udp(struct world *w, struct gh_fake_stream *s, const char *client, const char *path)
{
    struct gh_http_head head = { .method = gh_span_str("CONNECT"), .scheme = gh_span_str("https"), .authority = gh_span_str("relay"),
                                 .path = gh_span_str(path), .protocol = gh_span_str("connect-udp") };

    begin(s, client);
    gh_fake_stream_head(s, (struct gh_http_handler){ relay_request, w->rw }, &head);
}

void proxy_world_open_tcp(struct world *w)
{
    char authority[32];

    snprintf(authority, sizeof authority, "127.0.0.1:%u", w->port);
    proxy_world_ask_tcp(w, &w->s, "c", authority);
    TURN_UNTIL(w, w->s.status);
    assert_int_equal(w->s.status, 200);
    w->host = accept(w->listener, NULL, NULL);
    assert_true(w->host >= 0);
    assert_int_equal(fcntl(w->host, F_SETFL, O_NONBLOCK), 0);
}

ssize_t proxy_world_read(struct world *w, void *buf, size_t cap)
{
    for (unsigned i = 0; i < TURNS; i++) {
        ssize_t n = recv(w->host, buf, cap, 0);

        if (n >= 0 || errno != EAGAIN)
            return n;
        gh_worker_turn(w->worker, true);
    }
    fail();
    return -1;
}

