/* CONNECT and CONNECT-UDP: the production relay between a fake stream and sockets of the loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../test.h"
#include "base/error.h"
#include "core/node_conf.h"
#include "fake_stream.h"
#include "os/fdpass.h"
#include "services/relay/relay.h"
#include "services/relay/relay_internal.h"
#include "services/relay/relay_proxy.h"
#include "services/relay/relay_trust.h"
#include "services/relay/relay_worker.h"

#define TURNS 2000u

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

#define HEAD "version: \"1.0\"\ndefault_action: deny\nlog: all\nclients:\n"
#define LOCAL                                                                                                                             \
    HEAD "  c: { rules: [ { id: local, type: ip_cidr, action: allow, destinations: [127.0.0.1/32] } ] }\n"                              \
         "  wide: { rules: [ { id: all, type: default, action: allow } ] }\n"                                                             \
         "  net: { rules: [ { id: net, type: ip_cidr, action: allow, destinations: [127.0.0.0/8] } ] }\n"
#define NOBODY HEAD "  c: { rules: [ { id: none, type: default, action: deny } ] }\n"

struct world {
    struct relay r;
    struct gh_run run;
    struct gh_privileged privileged;
    struct gh_workers *workers;
    struct gh_worker *worker;
    struct relay_worker *rw;
    struct gh_log log;
    struct gh_fake_stream s;
    int policy_fd, audit_fd;
    char policy_path[64];
    struct gh_resolved names; /* that a look-up gives */
    int listener, host;       /* the other end */
    uint16_t port;
    char audit[16384];
};

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

static void load_policy(struct world *w, const char *text)
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
    load_policy(w, LOCAL);
    w->worker = gh_workers_at(w->workers, 0);
    assert_int_equal(relay_worker_start(r, w->worker), 0);
    w->rw = r->at[0];
}

static int loopback_socket(int type, uint16_t *ret_port)
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

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->policy_fd = memfd_create("policy", 0);
    w->audit_fd = memfd_create("audit", 0);
    w->host = -1;
    snprintf(w->policy_path, sizeof w->policy_path, "/proc/self/fd/%d", w->policy_fd);
    create_relay(w);
    w->listener = loopback_socket(SOCK_STREAM, &w->port);
    assert_int_equal(listen(w->listener, 8), 0);
    *state = w;
    return 0;
}

/* The audit is complete after this, in <audit>. */
static void stop_relay(struct world *w)
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
    free(w->r.stopped[0]);
    gh_node_destroy(w->r.node);
    gh_log_fini(&w->log);
    relay_trace_fini(&w->r.trace);
    pthread_mutex_destroy(&w->r.cards_lock);
}

static int teardown(void **state)
{
    struct world *w = *state;

    stop_relay(w);
    close(w->listener);
    if (w->host >= 0)
        close(w->host);
    close(w->policy_fd);
    close(w->audit_fd);
    free(w);
    return 0;
}

static uint64_t drops(struct world *w, enum gh_drop why)
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

static void ask_tcp(struct world *w, struct gh_fake_stream *s, const char *client, const char *authority)
{
    struct gh_http_head head = { .method = gh_span_str("CONNECT"), .authority = gh_span_str(authority) };

    begin(s, client);
    gh_fake_stream_head(s, (struct gh_http_handler){ relay_request, w->rw }, &head);
}

static void ask_udp(struct world *w, struct gh_fake_stream *s, const char *client, const char *path)
{
    struct gh_http_head head = { .method = gh_span_str("CONNECT"), .scheme = gh_span_str("https"), .authority = gh_span_str("relay"),
                                 .path = gh_span_str(path), .protocol = gh_span_str("connect-udp") };

    begin(s, client);
    gh_fake_stream_head(s, (struct gh_http_handler){ relay_request, w->rw }, &head);
}

#define TURN_UNTIL(w, what)                                  \
    do {                                                     \
        for (unsigned turn_ = 0; !(what); turn_++) {         \
            assert_true(turn_ < TURNS);                      \
            gh_worker_turn((w)->worker, true);               \
        }                                                    \
    } while (0)

static void open_tcp(struct world *w)
{
    char authority[32];

    snprintf(authority, sizeof authority, "127.0.0.1:%u", w->port);
    ask_tcp(w, &w->s, "c", authority);
    TURN_UNTIL(w, w->s.status);
    assert_int_equal(w->s.status, 200);
    w->host = accept(w->listener, NULL, NULL);
    assert_true(w->host >= 0);
    assert_int_equal(fcntl(w->host, F_SETFL, O_NONBLOCK), 0);
}

/* What the host reads: bytes, 0 the end, -1 a reset. */
static ssize_t host_read(struct world *w, void *buf, size_t cap)
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

/* ---- CONNECT ---- */

static void bytes_pass_both_ways_and_each_end_by_itself(void **state)
{
    struct world *w = *state;
    char buf[64];

    open_tcp(w);
    assert_true(w->s.held);
    snprintf(buf, sizeof buf, "gatehouse; next-hop=\"127.0.0.1:%u\"", w->port); /* RFC 9209, section 2.1.2 */
    assert_string_equal(gh_fake_stream_field(&w->s, "proxy-status"), buf);
    gh_fake_stream_body(&w->s, "hello", 5, false);
    assert_int_equal(host_read(w, buf, sizeof buf), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(w->s.consumed, 5);
    gh_fake_stream_body(&w->s, NULL, 0, true);
    assert_int_equal(host_read(w, buf, sizeof buf), 0); /* the client's end alone */
    assert_int_equal(send(w->host, "and back", 8, 0), 8);
    TURN_UNTIL(w, w->s.body_len == 8);
    assert_false(w->s.ended);
    shutdown(w->host, SHUT_WR);
    TURN_UNTIL(w, w->s.ended);
    assert_string_equal(w->s.body, "and back");
    gh_fake_stream_close(&w->s, 0);
    stop_relay(w);
    assert_non_null(strstr(w->audit, "\"flow opened\""));
    assert_non_null(strstr(w->audit, "\"reason\":\"finished\""));
    assert_non_null(strstr(w->audit, "\"rule_id\":\"local\""));
    assert_non_null(strstr(w->audit, "\"bytes\":13"));
    assert_non_null(strstr(w->audit, "\"protocol\":\"tcp\""));
}

static void what_came_before_the_connection_goes_first(void **state)
{
    struct world *w = *state;
    char authority[32], buf[16];

    snprintf(authority, sizeof authority, "127.0.0.1:%u", w->port);
    ask_tcp(w, &w->s, "c", authority);
    assert_int_equal(w->s.status, 0);
    gh_fake_stream_body(&w->s, "early", 5, false);
    assert_int_equal(w->s.consumed, 0);
    TURN_UNTIL(w, w->s.status == 200);
    gh_fake_stream_body(&w->s, "+late", 5, true);
    w->host = accept(w->listener, NULL, NULL);
    assert_int_equal(recv(w->host, buf, 10, MSG_WAITALL), 10);
    assert_memory_equal(buf, "early+late", 10);
    assert_int_equal(w->s.consumed, 10);
}

static void a_host_that_does_not_read_holds_back_the_client(void **state)
{
    struct world *w = *state;
    char piece[16384] = { 1 };
    size_t sent = 0, read = 0;

    open_tcp(w);
    while (w->s.consumed == sent && sent < 64u << 20) {
        gh_fake_stream_body(&w->s, piece, sizeof piece, false);
        sent += sizeof piece;
    }
    assert_true(w->s.consumed < sent); /* credit is given for what the host took alone */
    gh_fake_stream_body(&w->s, NULL, 0, true);
    while (read < sent) {
        ssize_t n = host_read(w, piece, sizeof piece);

        assert_true(n > 0);
        read += (size_t)n;
    }
    assert_int_equal(host_read(w, piece, sizeof piece), 0);
    assert_int_equal(w->s.consumed, sent);
}

static void what_a_client_sent_reaches_the_host_after_it_has_gone(void **state)
{
    struct world *w = *state;
    char piece[16384] = { 1 };
    size_t sent = 0, read = 0;

    open_tcp(w);
    while (w->s.consumed == sent && sent < 64u << 20) {
        gh_fake_stream_body(&w->s, piece, sizeof piece, false);
        sent += sizeof piece;
    }
    gh_fake_stream_body(&w->s, NULL, 0, true);
    gh_fake_stream_close(&w->s, 0);
    while (read < sent) {
        ssize_t n = host_read(w, piece, sizeof piece);

        assert_true(n > 0);
        read += (size_t)n;
    }
    assert_int_equal(host_read(w, piece, sizeof piece), 0);
}

static void a_client_that_sends_beyond_its_credit_is_aborted(void **state)
{
    struct world *w = *state;
    char *piece = calloc(1, RELAY_PROXY_PENDING);

    assert_non_null(piece);
    open_tcp(w);
    for (unsigned i = 0; i < 32 && !w->s.reset; i++)
        gh_fake_stream_body(&w->s, piece, RELAY_PROXY_PENDING, false);
    free(piece);
    assert_true(w->s.reset);
    assert_int_equal(w->s.why, GH_HTTP_EXCESSIVE_LOAD);
    assert_int_equal(drops(w, GH_DROP_PROXY_QUEUE), 1);
}

static void a_client_that_does_not_read_holds_back_the_host(void **state)
{
    struct world *w = *state;
    char piece[4096] = { 1 };
    size_t sent = 0;
    ssize_t n = 1;

    open_tcp(w);
    w->s.room = 10000;
    for (unsigned i = 0; i < TURNS && n > 0; i++) {
        n = send(w->host, piece, sizeof piece, 0);
        sent += n > 0 ? (size_t)n : 0;
    }
    assert_true(n < 0 && errno == EAGAIN);
    TURN_UNTIL(w, w->s.body_len > 0 || w->s.room < 10000 || w->s.reset || gh_list_empty(&w->rw->proxies) ||
                      gh_container_of(w->rw->proxies.next, struct relay_proxy, link)->out_len);
    assert_true(w->s.body_len <= 10000);
    shutdown(w->host, SHUT_WR);
    gh_fake_stream_writable(&w->s, SIZE_MAX);
    TURN_UNTIL(w, w->s.ended);
    assert_int_equal(w->s.body_len, sent); /* none lost, none twice */
}

static void a_reset_of_the_host_is_one_of_the_stream(void **state)
{
    struct world *w = *state;
    struct linger now = { 1, 0 };

    open_tcp(w);
    assert_int_equal(setsockopt(w->host, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(w->host);
    w->host = -1;
    TURN_UNTIL(w, w->s.reset);
    assert_int_equal(w->s.why, GH_HTTP_CONNECT_ERROR); /* RFC 9114, section 4.4 */
}

static void an_abort_of_the_stream_is_a_reset_for_the_host(void **state)
{
    struct world *w = *state;
    char buf[8];

    open_tcp(w);
    gh_fake_stream_close(&w->s, 0x10c);
    assert_int_equal(host_read(w, buf, sizeof buf), -1);
    assert_int_equal(errno, ECONNRESET);
}

static void who_is_denied_gets_403_and_no_connection_is_made(void **state)
{
    static const struct {
        const char *client, *host;
        enum gh_drop why;
    } rows[] = {
        { "c", "127.0.0.2", GH_DROP_POLICY },           { "stranger", "127.0.0.1", GH_DROP_UNKNOWN_CLIENT },
        { "wide", "127.0.0.1", GH_DROP_LOCAL_TARGET },  { "net", "127.0.0.1", GH_DROP_LOCAL_TARGET },
        { "wide", "[::1]", GH_DROP_LOCAL_TARGET },      { "wide", "[::ffff:127.0.0.1]", GH_DROP_LOCAL_TARGET },
        { "wide", "169.254.169.254", GH_DROP_LOCAL_TARGET }, { "wide", "[fe80::1]", GH_DROP_LINK_LOCAL },
        { "wide", "0.0.0.0", GH_DROP_LOCAL_TARGET },    { "wide", "[::]", GH_DROP_LOCAL_TARGET },
        { "wide", "224.0.0.1", GH_DROP_LOCAL_TARGET },  { "wide", "255.255.255.255", GH_DROP_LOCAL_TARGET },
    };
    struct world *w = *state;
    char authority[64];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct gh_fake_stream s;
        uint64_t before = drops(w, rows[i].why);

        snprintf(authority, sizeof authority, "%s:%u", rows[i].host, w->port);
        ask_tcp(w, &s, rows[i].client, authority);
        assert_int_equal(s.status, 403);
        assert_true(s.ended);
        assert_int_equal(drops(w, rows[i].why), before + 1);
        gh_fake_stream_fini(&s);
    }
    assert_int_equal(fcntl(w->listener, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(accept(w->listener, NULL, NULL), -1);
    stop_relay(w);
    assert_non_null(strstr(w->audit, "acl.deny"));
    assert_non_null(strstr(w->audit, "\"reason\":\"local_target\""));
    assert_null(strstr(w->audit, "acl.allow"));
}

static void requests_that_make_no_sense_get_400_or_404(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream s;

    ask_tcp(w, &s, "c", "127.0.0.1");
    assert_int_equal(s.status, 400);
    gh_fake_stream_fini(&s);
    ask_udp(w, &s, "c", "/.well-known/masque/udp/127.0.0.1/0/");
    assert_int_equal(s.status, 400);
    gh_fake_stream_fini(&s);
    ask_udp(w, &s, "c", "/elsewhere");
    assert_int_equal(s.status, 404);
    gh_fake_stream_fini(&s);
}

static void a_host_that_refuses_is_502(void **state)
{
    struct world *w = *state;
    char authority[32];

    close(w->listener);
    w->listener = socket(AF_INET, SOCK_STREAM, 0);
    snprintf(authority, sizeof authority, "127.0.0.1:%u", w->port);
    ask_tcp(w, &w->s, "c", authority);
    TURN_UNTIL(w, w->s.status);
    assert_int_equal(w->s.status, 502);
    assert_string_equal(gh_fake_stream_field(&w->s, "proxy-status"), "gatehouse; error=connection_refused");
}

static void a_name_leads_to_its_addresses_that_policy_allows(void **state)
{
    struct world *w = *state;
    char authority[32];

    /* of three the first is denied, the second refuses */
    for (unsigned i = 0; i < 3; i++) {
        uint8_t ip[4] = { 127, 0, 0, i == 0 ? 2 : 1 };

        w->names.list[i].ip = gh_ip_v4(ip);
    }
    w->names.count = 3;
    snprintf(authority, sizeof authority, "host.example:%u", w->port);
    ask_tcp(w, &w->s, "c", authority);
    assert_int_equal(w->s.status, 0);
    TURN_UNTIL(w, w->s.status);
    assert_int_equal(w->s.status, 200);
    assert_int_equal(drops(w, GH_DROP_POLICY), 1);
}

static void a_name_without_addresses_is_502(void **state)
{
    struct world *w = *state;

    ask_tcp(w, &w->s, "c", "nowhere.example:80");
    TURN_UNTIL(w, w->s.status);
    assert_int_equal(w->s.status, 502);
    assert_string_equal(gh_fake_stream_field(&w->s, "proxy-status"), "gatehouse; error=dns_error");
}

static void a_client_that_goes_while_its_name_is_looked_up_is_forgotten(void **state)
{
    struct world *w = *state;

    ask_tcp(w, &w->s, "c", "nowhere.example:80");
    gh_fake_stream_close(&w->s, 0x10c);
    assert_int_equal(atomic_load(&w->r.proxied), 0);
    TURN_UNTIL(w, atomic_load(&w->r.lookups) == 0);
}

static void a_rule_that_changes_cuts_what_lives(void **state)
{
    struct world *w = *state;
    char buf[8];

    open_tcp(w);
    load_policy(w, NOBODY);
    assert_true(w->s.reset);
    assert_int_equal(host_read(w, buf, sizeof buf), -1);
    assert_int_equal(drops(w, GH_DROP_POLICY_CHANGED), 1);
    stop_relay(w);
    assert_non_null(strstr(w->audit, "\"reason\":\"policy_changed\""));
}

static void a_rule_that_stays_cuts_nothing(void **state)
{
    struct world *w = *state;
    char buf[8];

    open_tcp(w);
    load_policy(w, HEAD "  c: { rules: [ { id: other, type: ip_cidr, action: allow, destinations: [127.0.0.1/32] } ] }\n");
    assert_false(w->s.reset);
    gh_fake_stream_body(&w->s, "x", 1, false);
    assert_int_equal(host_read(w, buf, sizeof buf), 1);
    gh_fake_stream_close(&w->s, 0);
    stop_relay(w);
    assert_non_null(strstr(w->audit, "\"rule_id\":\"other\"")); /* the rule that it was last allowed by */
}

static void an_identity_whose_time_is_over_is_cut(void **state)
{
    struct world *w = *state;

    open_tcp(w);
    gh_container_of(w->rw->proxies.next, struct relay_proxy, link)->not_after = 1;
    relay_proxy_expire(w->rw);
    assert_true(w->s.reset);
    stop_relay(w);
    assert_non_null(strstr(w->audit, "\"reason\":\"certificate_expired\""));
}

static void an_identity_that_is_no_longer_trusted_is_cut(void **state)
{
    struct world *w = *state;

    open_tcp(w);
    w->s.peer.not_after = 1; /* what the judge looks at */
    relay_trust_apply(w->rw);
    assert_true(w->s.reset);
    assert_int_equal(atomic_load(&w->r.proxied), 0);
}

static void an_identity_has_no_more_than_its_share(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream s[4];
    char authority[32];

    snprintf(authority, sizeof authority, "127.0.0.1:%u", w->port);
    for (unsigned i = 0; i < 4; i++)
        ask_tcp(w, &s[i], "c", authority);
    assert_int_equal(s[3].status, 503);
    assert_int_equal(drops(w, GH_DROP_PROXY_LIMIT), 1);
    TURN_UNTIL(w, s[0].status && s[1].status && s[2].status);
    for (unsigned i = 0; i < 4; i++)
        gh_fake_stream_fini(&s[i]);
}

static void nothing_is_begun_while_the_node_drains(void **state)
{
    struct world *w = *state;

    atomic_store(&w->r.draining, true);
    ask_tcp(w, &w->s, "c", "127.0.0.1:80");
    assert_int_equal(w->s.status, 503);
    assert_int_equal(drops(w, GH_DROP_DRAINING), 1);
}

static void without_the_option_a_connect_is_what_it_was(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream s;

    w->rw->conf.proxy = GH_RELAY_PROXY_CONNECT_UDP;
    ask_tcp(w, &s, "c", "127.0.0.1:80");
    assert_int_equal(s.status, 400);
    gh_fake_stream_fini(&s);
    w->rw->conf.proxy = GH_RELAY_PROXY_CONNECT;
    ask_udp(w, &s, "c", "/.well-known/masque/udp/127.0.0.1/80/");
    assert_int_equal(s.status, 501);
    gh_fake_stream_fini(&s);
}

/* ---- P13: CONNECT-UDP (RFC 9298) ---- */

static struct sockaddr_in open_udp(struct world *w)
{
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    uint16_t port;
    char path[80], buf[8];

    w->host = loopback_socket(SOCK_DGRAM, &port);
    assert_int_equal(fcntl(w->host, F_SETFL, O_NONBLOCK), 0);
    snprintf(path, sizeof path, "/.well-known/masque/udp/127.0.0.1/%u/", port);
    ask_udp(w, &w->s, "c", path);
    assert_int_equal(w->s.status, 200);
    assert_true(gh_fake_stream_datagram(&w->s, "\0ping", 5));
    assert_int_equal(recvfrom(w->host, buf, sizeof buf, 0, (struct sockaddr *)&from, &len), 4);
    assert_memory_equal(buf, "ping", 4);
    return from;
}

static void P13_datagrams_of_context_0_are_udp_payloads(void **state)
{
    struct world *w = *state;
    struct sockaddr_in from = open_udp(w);

    assert_string_equal(gh_fake_stream_field(&w->s, "capsule-protocol"), "?1");
    assert_int_equal(sendto(w->host, "pong!", 5, 0, (struct sockaddr *)&from, sizeof from), 5);
    TURN_UNTIL(w, w->s.datagram_count == 1);
    assert_int_equal(w->s.datagram_lens[0], 6);
    assert_memory_equal(w->s.datagrams[0], "\0pong!", 6);
    assert_int_equal(sendto(w->host, "", 0, 0, (struct sockaddr *)&from, sizeof from), 0); /* an empty one is one */
    TURN_UNTIL(w, w->s.datagram_count == 2);
    assert_int_equal(w->s.datagram_lens[1], 1);
    gh_fake_stream_close(&w->s, 0);
    stop_relay(w);
    assert_non_null(strstr(w->audit, "\"protocol\":\"udp\""));
    assert_non_null(strstr(w->audit, "\"bytes\":9"));
    assert_non_null(strstr(w->audit, "\"packets\":3"));
}

static void P13_capsules_carry_them_too_and_unknown_ones_are_skipped(void **state)
{
    struct world *w = *state;
    char buf[8];

    open_udp(w);
    /* DATAGRAM of "abc", then a capsule of type 0x2f, then half of another DATAGRAM */
    gh_fake_stream_body(&w->s, "\x00\x04\x00""abc\x2f\x02??\x00\x03\x00""d", 14, false);
    assert_int_equal(recv(w->host, buf, sizeof buf, 0), 3);
    assert_memory_equal(buf, "abc", 3);
    assert_int_equal(recv(w->host, buf, sizeof buf, 0), -1);
    gh_fake_stream_body(&w->s, "e", 1, false);
    assert_int_equal(recv(w->host, buf, sizeof buf, 0), 2);
}

static void P13_a_stream_that_ends_inside_a_capsule_is_malformed(void **state)
{
    struct world *w = *state;

    open_udp(w);
    gh_fake_stream_body(&w->s, "\x00\x04\x00", 3, true);
    assert_true(w->s.reset);
    assert_int_equal(w->s.why, GH_HTTP_MESSAGE_ERROR);
}

static void P13_other_contexts_are_dropped(void **state)
{
    struct world *w = *state;
    char buf[8];

    open_udp(w);
    assert_true(gh_fake_stream_datagram(&w->s, "\x02no", 3));
    assert_true(gh_fake_stream_datagram(&w->s, "", 0));
    assert_int_equal(recv(w->host, buf, sizeof buf, 0), -1);
    assert_false(w->s.reset);
    assert_int_equal(drops(w, GH_DROP_CONTEXT), 2);
}

static void P13_a_payload_beyond_65527_bytes_aborts_the_stream(void **state)
{
    struct world *w = *state;
    uint8_t *big = calloc(1, 65529);

    assert_non_null(big);
    open_udp(w);
    assert_true(gh_fake_stream_datagram(&w->s, big, 65529));
    free(big);
    assert_true(w->s.reset);
}

static void P13_others_cannot_send_into_the_tunnel(void **state)
{
    struct world *w = *state;
    struct sockaddr_in from = open_udp(w);
    uint16_t port;
    int other = loopback_socket(SOCK_DGRAM, &port);

    (void)sendto(other, "spoof", 5, 0, (struct sockaddr *)&from, sizeof from); /* which may be refused at once */
    assert_int_equal(sendto(w->host, "real", 4, 0, (struct sockaddr *)&from, sizeof from), 4);
    TURN_UNTIL(w, w->s.datagram_count == 1);
    assert_memory_equal(w->s.datagrams[0], "\0real", 5);
    close(other);
}

static void P13_the_socket_lives_as_long_as_the_stream(void **state)
{
    struct world *w = *state;

    open_udp(w);
    gh_fake_stream_body(&w->s, NULL, 0, true);
    assert_true(w->s.ended);
    assert_false(w->s.reset);
    assert_int_equal(atomic_load(&w->r.proxied), 0);
}

static void P13_an_icmp_error_ends_the_stream(void **state)
{
    struct world *w = *state;

    open_udp(w);
    close(w->host);
    w->host = -1;
    assert_true(gh_fake_stream_datagram(&w->s, "\0gone", 5));
    TURN_UNTIL(w, w->s.reset);
    assert_int_equal(w->s.why, GH_HTTP_CONNECT_ERROR);
}

static void P13_packets_leave_unfragmented_and_not_ecn_capable(void **state)
{
    struct world *w = *state;
    struct relay_proxy *p;
    int value = -1;
    socklen_t len = sizeof value;

    open_udp(w);
    p = gh_container_of(w->rw->proxies.next, struct relay_proxy, link);
    assert_int_equal(getsockopt(p->fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, &len), 0);
    assert_int_equal(value, IP_PMTUDISC_DO);
    assert_int_equal(getsockopt(p->fd, IPPROTO_IP, IP_TOS, &value, &len), 0);
    assert_int_equal(value & 3, 0);
}

static void P13_silence_of_less_than_two_minutes_ends_nothing(void **state)
{
    struct world *w = *state;
    struct relay_proxy *p;

    open_udp(w);
    p = gh_container_of(w->rw->proxies.next, struct relay_proxy, link);
    assert_true(p->timer.started && p->timer.at - gh_worker_now(w->worker) > INT64_C(119000000000));
    p->timer.fire(p, p->active_at + INT64_C(121000000000));
    assert_false(w->s.ended || w->s.reset);
    p->timer.fire(p, p->active_at + INT64_C(180000000000)); /* proxy_udp_timeout */
    assert_true(w->s.ended);
    assert_int_equal(atomic_load(&w->r.proxied), 0);
}

static void P13_policy_decides_about_udp_too(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream s;

    load_policy(w, HEAD "  c: { rules: [ { id: t, type: ip_cidr, action: allow, destinations: [127.0.0.1/32], protocol: tcp } ] }\n");
    ask_udp(w, &s, "c", "/.well-known/masque/udp/127.0.0.1/53/");
    assert_int_equal(s.status, 403);
    gh_fake_stream_fini(&s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(bytes_pass_both_ways_and_each_end_by_itself),
        T(what_came_before_the_connection_goes_first),
        T(a_host_that_does_not_read_holds_back_the_client),
        T(what_a_client_sent_reaches_the_host_after_it_has_gone),
        T(a_client_that_sends_beyond_its_credit_is_aborted),
        T(a_client_that_does_not_read_holds_back_the_host),
        T(a_reset_of_the_host_is_one_of_the_stream),
        T(an_abort_of_the_stream_is_a_reset_for_the_host),
        T(who_is_denied_gets_403_and_no_connection_is_made),
        T(requests_that_make_no_sense_get_400_or_404),
        T(a_host_that_refuses_is_502),
        T(a_name_leads_to_its_addresses_that_policy_allows),
        T(a_name_without_addresses_is_502),
        T(a_client_that_goes_while_its_name_is_looked_up_is_forgotten),
        T(a_rule_that_changes_cuts_what_lives),
        T(a_rule_that_stays_cuts_nothing),
        T(an_identity_whose_time_is_over_is_cut),
        T(an_identity_that_is_no_longer_trusted_is_cut),
        T(an_identity_has_no_more_than_its_share),
        T(nothing_is_begun_while_the_node_drains),
        T(without_the_option_a_connect_is_what_it_was),
        T(P13_datagrams_of_context_0_are_udp_payloads),
        T(P13_capsules_carry_them_too_and_unknown_ones_are_skipped),
        T(P13_a_stream_that_ends_inside_a_capsule_is_malformed),
        T(P13_other_contexts_are_dropped),
        T(P13_a_payload_beyond_65527_bytes_aborts_the_stream),
        T(P13_others_cannot_send_into_the_tunnel),
        T(P13_the_socket_lives_as_long_as_the_stream),
        T(P13_an_icmp_error_ends_the_stream),
        T(P13_packets_leave_unfragmented_and_not_ecn_capable),
        T(P13_silence_of_less_than_two_minutes_ends_nothing),
        T(P13_policy_decides_about_udp_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
