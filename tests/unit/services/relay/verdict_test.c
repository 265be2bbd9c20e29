/* What the relay's data path does with a packet is what `gatehouse policy explain` says about it.
 *
 * The relay is the production one from the request of a tunnel to the TUN: sessions, address pool, directory, forwarding, policy
 * loaded from a file, audit. HTTP streams and the TUN are fakes of this file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <jansson.h>

#include "../../test.h"
#include "base/error.h"
#include "cli/policy.h"
#include "core/node_conf.h"
#include "core/policy_load.h"
#include "fake_stream.h"
#include "random_policy.h"
#include "services/relay/relay.h"
#include "services/relay/relay_internal.h"
#include "services/relay/relay_parcel.h"
#include "services/relay/relay_trust.h"
#include "services/relay/relay_worker.h"

#define PACKETS 10000u
#define POLICIES 8u
#define CLI_EVERY 100u /* packets that the program itself is asked about */
#define TAKEN_MAX 16u

/* ---- the TUN ---- */

struct gh_tun_port {
    struct {
        uint8_t bytes[2048];
        size_t len;
    } taken[TAKEN_MAX];
    size_t count;
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
    if (p->count == TAKEN_MAX || packet.len > sizeof p->taken[0].bytes)
        return; /* the sweep of a new policy tells many ends */
    memcpy(p->taken[p->count].bytes, packet.data, packet.len);
    p->taken[p->count++].len = packet.len;
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

struct expected {
    const char *client;
    bool allow;
    char rule[64];
    const char *drop;
};

struct world {
    struct relay r;
    struct gh_run run;
    struct gh_privileged privileged;
    struct gh_workers *workers;
    struct relay_worker *rw;
    struct gh_log log;
    struct gh_fake_stream streams[LOT_CLIENTS];
    char names[LOT_CLIENTS][16];
    struct gh_ip addrs[LOT_CLIENTS][2];
    int policy_fd, audit_fd;
    char policy_path[64];
    struct gh_policy *explain; /* what `gatehouse policy explain` loads from the same file */
    struct expected *expected;
    size_t expected_count;
    unsigned allowed, denied, asked;
    uint64_t *seen; /* tuples without ports or id */
    size_t seen_count;
};

/* The parent: opens files by their names. */
static int parent_call(void *client, const struct gh_priv_request *q, struct gh_priv_reply *ret, int *ret_fds, size_t fd_cap, size_t *ret_count)
{
    (void)client;
    assert_int_equal(q->kind, GH_PRIV_OPEN_FILE);
    assert_true(fd_cap >= 1);
    *ret = (struct gh_priv_reply){ 0 };
    ret_fds[0] = open(q->path, O_RDONLY | O_CLOEXEC);
    assert_true(ret_fds[0] >= 0);
    if (ret_count)
        *ret_count = 1;
    return 0;
}

static struct gh_conf *parse_conf(void)
{
    static const struct gh_conf_section *const sections[] = { &gh_conf_section_node,  &gh_conf_section_log,   &gh_conf_section_audit,
                                                              &gh_conf_section_admin, &gh_relay_conf_section, NULL };
    static const char yaml[] = "relay: { certificate: /c, key: /k, client_ca: /a, trust_domain: example.org, policy: /p }\n";
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;

    gh_conf_errors_init(&errors);
    assert_int_equal(gh_conf_parse(&(struct gh_conf_input){ gh_span_str(yaml), "r.yaml", NULL, sections }, &errors, &conf), 0);
    gh_conf_errors_fini(&errors);
    return conf;
}

static void load_policy(struct world *w, struct lot *lot)
{
    struct gh_policy_findings findings = { 0 };
    struct relay_policy *p = NULL;
    char text[262144];
    FILE *out = fdopen(dup(w->policy_fd), "w");
    ssize_t n;

    assert_non_null(out);
    assert_int_equal(ftruncate(w->policy_fd, 0), 0);
    assert_int_equal(lseek(w->policy_fd, 0, SEEK_SET), 0);
    lot_policy(lot, out);
    assert_int_equal(fclose(out), 0);
    n = pread(w->policy_fd, text, sizeof text, 0);
    assert_true(n > 0 && n < (ssize_t)sizeof text);

    gh_policy_destroy(w->explain);
    w->explain = NULL;
    assert_int_equal(gh_policy_load(gh_span_of(text, (size_t)n), NULL, &findings, &w->explain), 0);
    gh_policy_findings_fini(&findings);
    assert_int_equal(relay_policy_load(&w->r, w->policy_path, &p), 0);
    assert_int_equal(gh_snapshot_swap(&w->r.policy, p, relay_policy_destroy), 0);
    if (w->rw) /* else the worker takes it when it starts */
        relay_policy_refresh(w->rw);
}

static void create_relay(struct world *w, struct lot *lot)
{
    static const struct gh_service *const services[] = { NULL };
    struct gh_pool_conf pc = { .leases_max = 64 };
    struct gh_directory_conf dc = { .sessions_max = 64, .readers = 1 };
    struct relay *r = &w->r;
    struct gh_conf *conf = parse_conf();
    struct relay_trust *trust = NULL;

    assert_int_equal(gh_relay_conf_load(conf, &r->conf), 0);
    r->conf.offload_tun = false;
    memcpy(r->pools, r->conf.pools, r->conf.pool_count * sizeof *r->pools);
    gh_log_init(&w->log, w->audit_fd, GH_LOG_JSON, GH_LOG_ERROR);
    assert_int_equal(gh_audit_create(&(struct gh_audit_setup){ .fd = dup(w->audit_fd), .records = 65536 }, &r->audit), 0);
    assert_int_equal(gh_workers_create(&(struct gh_workers_config){ .count = 1, .name = "verdict" }, &w->workers), 0);
    assert_int_equal(gh_node_create(&(struct gh_node_setup){ services, conf, &w->log, r->audit, 1, &w->run }, &r->node), 0);
    assert_int_equal(gh_metrics_register(gh_node_metrics(r->node), gh_service_relay.metrics, &r->metrics), 0);
    w->privileged.call = parent_call;
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
    atomic_init(&r->next_session, 1);
    pc.prefixes = r->pools;
    pc.prefix_count = r->conf.pool_count;
    assert_int_equal(gh_pool_create(&pc, &r->pool), 0);
    assert_int_equal(gh_directory_create(&dc, &r->directory), 0);
    load_policy(w, lot);
    assert_int_equal(relay_worker_start(r, gh_workers_at(w->workers, 0)), 0);
    w->rw = r->at[0];
}

/* A tunnel, as an agent asks for it; its addresses are those that the pool gave. */
static void connect_client(struct world *w, unsigned i)
{
    struct gh_http_head head = { .method = gh_span_str("CONNECT"), .scheme = gh_span_str("https"), .authority = gh_span_str("relay"),
                                 .path = gh_span_str("/.well-known/masque/ip/*/*/"), .protocol = gh_span_str("connect-ip") };
    static const struct gh_cert_id certificate = { .serial = "01" };
    struct gh_pool_lease lease;

    snprintf(w->names[i], sizeof w->names[i], "client-%u", i);
    gh_fake_stream_init(&w->streams[i]);
    w->streams[i].peer.identity = w->names[i];
    w->streams[i].peer.certificate = &certificate;
    w->streams[i].peer.not_after = INT64_MAX;
    gh_fake_stream_head(&w->streams[i], (struct gh_http_handler){ relay_request, w->rw }, &head);
    assert_int_equal(w->streams[i].status, 200);
    for (unsigned six = 0; six < 2; six++) {
        assert_int_equal(gh_pool_find(w->r.pool, 0, gh_span_str(w->names[i]), six ? 6 : 4, &lease), 0);
        w->addrs[i][six] = lease.addr;
    }
}

static void forget_traffic(struct world *w)
{
    w->rw->tun->count = 0;
    for (unsigned i = 0; i < LOT_CLIENTS; i++) {
        for (size_t n = 0; n < w->streams[i].datagram_count; n++)
            free(w->streams[i].datagrams[n]);
        w->streams[i].datagram_count = 0;
    }
}

/* ---- what explain says ---- */

static struct gh_policy_query query_of(struct world *w, const char *client, bool in, const struct lot_packet *p)
{
    return (struct gh_policy_query){ .client = gh_policy_client_find(w->explain, client), .direction = in ? GH_POLICY_IN : GH_POLICY_OUT,
                                     .src = p->src, .dst = p->dst, .protocol = p->protocol, .src_port = p->src_port,
                                     .dst_port = p->dst_port, .icmp_type = p->icmp_type, .icmp_code = p->icmp_code,
                                     .wall_seconds = gh_worker_wall(w->rw->w) };
}

static json_t *ask_program(struct world *w, const char *client, bool in, const struct lot_packet *p)
{
    char src[GH_IP_TEXT], dst[GH_IP_TEXT], protocol[8], port[8], icmp[16];
    char *argv[20] = { (char *)"policy", (char *)"explain", w->policy_path, (char *)"--json", (char *)"--client", (char *)client,
                       (char *)"--direction", (char *)(in ? "in" : "out"), (char *)"--src", src, (char *)"--dst", dst,
                       (char *)"--protocol", protocol };
    int argc = 14, out = memfd_create("explain", 0), before, code;
    json_error_t error;
    json_t *answer;

    gh_ip_emit(&p->src, src);
    gh_ip_emit(&p->dst, dst);
    snprintf(protocol, sizeof protocol, "%u", p->protocol);
    snprintf(port, sizeof port, "%u", p->dst_port);
    snprintf(icmp, sizeof icmp, "%u/%u", p->icmp_type, p->icmp_code);
    if (lot_has_ports(p->protocol)) {
        argv[argc++] = (char *)"--port";
        argv[argc++] = port;
    } else if (p->protocol == 1 || p->protocol == 58) {
        argv[argc++] = (char *)"--icmp";
        argv[argc++] = icmp;
    }
    fflush(stdout);
    before = dup(1);
    dup2(out, 1);
    code = gh_cli_policy(argc, argv);
    fflush(stdout);
    dup2(before, 1);
    close(before);
    assert_int_equal(code, 0);
    assert_int_equal(lseek(out, 0, SEEK_SET), 0);
    answer = json_loadfd(out, 0, &error);
    close(out);
    assert_non_null(answer);
    return answer;
}

static void compare_program(struct world *w, const char *client, bool in, const struct lot_packet *p, const struct expected *e)
{
    json_t *answer = ask_program(w, client, in, p), *verdict = json_object_get(answer, "verdict"),
           *rule = json_object_get(verdict, "rule");

    assert_string_equal(json_string_value(json_object_get(verdict, "action")), e->allow ? "allow" : "deny");
    assert_string_equal(rule ? json_string_value(json_object_get(rule, "id")) : "default", e->rule);
    assert_string_equal(json_string_value(json_object_get(verdict, "drop")), e->allow ? gh_drop_name(GH_DROP_NONE) : e->drop);
    json_decref(answer);
    w->asked++;
}

/* Notes the verdict that must show in the audit; true when the packet may pass. */
static bool expect(struct world *w, unsigned client, bool in, const struct lot_packet *p, unsigned number)
{
    struct gh_policy_query q = query_of(w, w->names[client], in, p);
    struct expected *e = &w->expected[w->expected_count++];
    struct gh_policy_verdict v;

    assert_int_equal(gh_policy_explain(w->explain, &q, NULL, NULL, &v), 0);
    *e = (struct expected){ .client = w->names[client], .allow = v.action == GH_POLICY_ALLOW };
    snprintf(e->rule, sizeof e->rule, "%s", v.rule ? v.rule->id : "default");
    e->drop = gh_drop_name(gh_policy_verdict_drop(&v));
    if (number % CLI_EVERY == 0)
        compare_program(w, w->names[client], in, p, e);
    if (e->allow)
        w->allowed++;
    else
        w->denied++;
    return e->allow;
}

/* ---- packets ---- */

/* Without ports or id a flow is two addresses and a protocol: each is used once, or its second packet asks no rule. */
static bool is_new(struct world *w, const struct lot_packet *p, const struct gh_ip *inside, const struct gh_ip *outside)
{
    const uint8_t head[3] = { p->protocol, p->icmp_type, p->icmp_code };
    uint64_t hash = 1469598103934665603u;

    if (lot_has_ports(p->protocol) || p->icmp_type == 8 || p->icmp_type == 128)
        return true;
    for (size_t i = 0; i < 35; i++)
        hash = (hash ^ (i < 3 ? head[i] : i < 19 ? inside->bytes[i - 3] : outside->bytes[i - 19])) * 1099511628211u;
    for (size_t i = 0; i < w->seen_count; i++)
        if (w->seen[i] == hash)
            return false;
    w->seen[w->seen_count++] = hash;
    return true;
}

static bool same_packet(const uint8_t *got, size_t len, const struct lot_packet *p)
{
    size_t head = p->src.family == 4 ? 12 : 8; /* what lies before the addresses changes with the TTL */

    return len == p->len && memcmp(got + head, p->bytes + head, len - head) == 0;
}

static int client_of(const struct world *w, const struct gh_ip *addr)
{
    for (unsigned i = 0; i < LOT_CLIENTS; i++)
        if (gh_ip_equals(&w->addrs[i][addr->family == 6], addr))
            return (int)i;
    return -1;
}

static unsigned arrived(const struct gh_fake_stream *s, const struct lot_packet *p)
{
    unsigned n = 0;

    for (size_t i = 0; i < s->datagram_count; i++)
        n += s->datagrams[i][0] == 0 && same_packet(s->datagrams[i] + 1, s->datagram_lens[i] - 1, p);
    return n;
}

static unsigned left(const struct gh_tun_port *t, const struct lot_packet *p)
{
    unsigned n = 0;

    for (size_t i = 0; i < t->count; i++)
        n += same_packet(t->taken[i].bytes, t->taken[i].len, p);
    return n;
}

static bool in_pool(const struct world *w, const struct gh_ip *addr)
{
    return gh_prefix_contains(&w->r.pools[0], addr) || gh_prefix_contains(&w->r.pools[1], addr);
}

static void from_client(struct world *w, unsigned client, const struct lot_packet *p, unsigned number)
{
    bool pass = expect(w, client, false, p, number);
    int to = client_of(w, &p->dst);
    uint8_t datagram[160] = { 0 };

    if (pass && to >= 0)
        pass = expect(w, (unsigned)to, true, p, number);
    memcpy(datagram + 17, p->bytes, p->len); /* 16: context id 0 */
    assert_true(gh_fake_stream_datagram(&w->streams[client], datagram + 16, p->len + 1));
    if (to >= 0)
        assert_int_equal(arrived(&w->streams[to], p), pass);
    assert_int_equal(left(w->rw->tun, p), pass && to < 0 && !in_pool(w, &p->dst));
}

static void from_network(struct world *w, unsigned client, const struct lot_packet *p, unsigned number)
{
    bool pass = expect(w, client, true, p, number);
    uint8_t room[160] = { 0 };

    memcpy(room + GH_TUN_PORT_HEADROOM, p->bytes, p->len);
    relay_packet_in(w->rw, room + GH_TUN_PORT_HEADROOM, p->len, false);
    assert_int_equal(arrived(&w->streams[client], p), pass);
    assert_int_equal(left(w->rw->tun, p), 0);
}

static void one_packet(struct world *w, struct lot *lot, unsigned number)
{
    unsigned client = lot_draw(lot, LOT_CLIENTS);
    bool in = lot_draw(lot, 2), six = lot_draw(lot, 2);
    const struct gh_ip *inside = &w->addrs[client][six];
    struct lot_packet p = { 0 };
    struct gh_ip outside;
    char text[GH_IP_TEXT];

    do {
        do {
            lot_address(lot, six, text, sizeof text);
            assert_int_equal(gh_ip_parse(text, strlen(text), &outside), 0);
            /* a packet to itself, or from an address that only a tunnel may use, is no question for the policy */
        } while (gh_ip_equals(&outside, inside) || (in && in_pool(w, &outside)));
        lot_tuple(lot, six, number, &p);
    } while (!is_new(w, &p, inside, &outside) || (client_of(w, &outside) >= 0 && !is_new(w, &p, &outside, inside)));
    p.src = in ? outside : *inside;
    p.dst = in ? *inside : outside;
    lot_build(&p, number);
    if (in)
        from_network(w, client, &p, number);
    else
        from_client(w, client, &p, number);
    forget_traffic(w);
}

/* ---- what the audit says ---- */

static void compare_audit(struct world *w)
{
    FILE *in = fdopen(dup(w->audit_fd), "r");
    char line[4096];
    size_t at = 0;

    assert_non_null(in);
    rewind(in);
    while (fgets(line, sizeof line, in)) {
        json_t *o = json_loads(line, 0, NULL);
        const char *message;
        bool opened;

        assert_non_null(o);
        message = json_string_value(json_object_get(o, "message"));
        opened = strcmp(message, "flow opened") == 0;
        if (opened || strstr(message, " denied")) {
            const struct expected *e = &w->expected[at];

            assert_true(at < w->expected_count);
            assert_string_equal(json_string_value(json_object_get(o, "client_id")), e->client);
            assert_string_equal(json_string_value(json_object_get(o, "action")), e->allow ? "allow" : "deny");
            assert_string_equal(json_string_value(json_object_get(o, "rule_id")), e->rule);
            assert_int_equal(opened, e->allow);
            if (!opened)
                assert_string_equal(json_string_value(json_object_get(o, "reason")), e->drop);
            at++;
        }
        json_decref(o);
    }
    fclose(in);
    assert_int_equal(at, w->expected_count);
}

static void each_verdict_on_ten_thousand_random_packets_is_the_one_that_explain_gives(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct lot lot = { 20260721 };

    (void)state;
    assert_non_null(w);
    w->expected = calloc(2 * PACKETS, sizeof *w->expected);
    w->seen = calloc(4 * PACKETS, sizeof *w->seen);
    assert_true(w->expected && w->seen);
    w->policy_fd = memfd_create("policy", 0);
    w->audit_fd = memfd_create("audit", 0);
    assert_true(w->policy_fd >= 0 && w->audit_fd >= 0);
    snprintf(w->policy_path, sizeof w->policy_path, "/proc/self/fd/%d", w->policy_fd);
    create_relay(w, &lot);
    for (unsigned i = 0; i < LOT_CLIENTS; i++)
        connect_client(w, i);
    for (unsigned n = 0; n < PACKETS; n++) {
        if (n > 0 && n % (PACKETS / POLICIES) == 0) {
            load_policy(w, &lot);
            forget_traffic(w);
        }
        one_packet(w, &lot, n);
    }
    assert_true(w->allowed > PACKETS / 10 && w->denied > PACKETS / 10 && w->asked >= PACKETS / CLI_EVERY);
    for (unsigned i = 0; i < LOT_CLIENTS; i++)
        gh_fake_stream_fini(&w->streams[i]);
    relay_worker_stop(&w->r, gh_workers_at(w->workers, 0));
    relay_parcels_fini(w->r.stopped[0]); /* as unload does */
    free(w->r.stopped[0]);
    assert_int_equal(gh_audit_lost(w->r.audit), 0);
    assert_int_equal(gh_audit_destroy(w->r.audit, INT64_C(20000000000)), 0);
    compare_audit(w);

    gh_directory_destroy(w->r.directory);
    gh_pool_destroy(w->r.pool);
    gh_snapshot_fini(&w->r.policy);
    gh_snapshot_fini(&w->r.trust);
    gh_policy_destroy(w->explain);
    gh_workers_destroy(w->workers);
    gh_node_destroy(w->r.node);
    gh_log_fini(&w->log);
    relay_trace_fini(&w->r.trace);
    pthread_mutex_destroy(&w->r.cards_lock);
    close(w->policy_fd);
    close(w->audit_fd);
    free(w->expected);
    free(w->seen);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_verdict_on_ten_thousand_random_packets_is_the_one_that_explain_gives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
