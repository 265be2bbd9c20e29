/* tests/bench/policy_cost.c - what rules cost the first packet of a flow, and a later one
 *
 *   policy_cost [--packets N] [--rounds N] [RULES …]      without numbers: 1 10 1000 10000 100000
 *
 * Over the production matcher (src/policy) and engine (src/proto/forward), in CPU time of this thread, a line of JSON for each shape and
 * number of rules; all in one list of one client, the flows' destinations spread over all of them, so that nothing is in the cache by chance:
 *
 *   hosts    each rule one address and TCP port 443
 *   nested   prefixes of /8 to /32 around each other with ranges of ports: what an organisation that grew has
 *   ports    each rule one port of the same /8
 *
 * evaluate_ns: the matcher alone. first_ns: a packet that opens a flow, all that the engine does with it (parsing, source, rules, flow).
 * same_ns: a packet of the flow of the packet before it. other_ns: of one of <packets> flows in turn. The medians of the rounds. Each verdict
 * is compared with that of a plain search through the rules, as far as <packets> go, before anything is measured; a difference ends it with 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/policy.h"
#include "proto/forward/forward.h"

#define LEN 60u
#define PORTS 65535u
#define ROUNDS_MAX 101u
#define PLAIN_STEPS 200000000u /* rules that the comparison looks at for one number of rules */

struct packet {
    uint8_t data[LEN];
    uint8_t room[4];
};

struct bench {
    size_t rules, packets, rounds;
    const char *shape;
    struct gh_policy_row_rule *rows;
    struct gh_policy_row_prefix *prefixes;
    struct gh_policy_row_ports *ports;
    char (*ids)[24];
    struct packet *traffic;
    struct gh_policy_query *queries;
    struct gh_policy *policy;
    struct gh_forward forward;
    struct gh_forward_session session;
    struct gh_forward_clock clock;
    struct gh_forward_verdict verdict;
    uint64_t random, allowed;
};

static const uint8_t peer[4] = { 100, 64, 0, 2 };

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "policy_cost: %s\n", what);
    exit(1);
}

static uint32_t dice(struct bench *b, uint32_t below)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return (uint32_t)((b->random >> 32) % below);
}

static int64_t cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static struct gh_ip address(uint32_t number)
{
    const uint8_t bytes[4] = { (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number };

    return gh_ip_v4(bytes);
}

/* ---- rules */

/* Rule <i>: where to, and which ports. */
static void shape_rule(struct bench *b, size_t i)
{
    uint32_t number = 0x0a000000u, bits = 32;
    uint16_t first = 443, last = 443;

    if (strcmp(b->shape, "hosts") == 0) {
        number |= (uint32_t)(i * 157 % 0xffffff);
    } else if (strcmp(b->shape, "nested") == 0) {
        bits = 8 + dice(b, 25);
        number = (number | dice(b, 0x1000000)) & ~(uint32_t)((UINT64_C(1) << (32 - bits)) - 1);
        first = (uint16_t)(1 + dice(b, 60000));
        last = (uint16_t)(first + dice(b, 200));
    } else {
        bits = 8;
        first = last = (uint16_t)(1 + i % PORTS);
    }
    b->prefixes[i] = (struct gh_policy_row_prefix){ .prefix = { address(number), (uint8_t)bits }, .pos = { 1, 1 } };
    b->ports[i] = (struct gh_policy_row_ports){ .first = first, .last = last, .pos = { 1, 1 } };
}

static const struct gh_policy_row_protocol tcp = { .number = GH_IP_TCP, .pos = { 1, 1 } }, udp = { .number = GH_IP_UDP, .pos = { 1, 1 } };

static void make_rules(struct bench *b)
{
    for (size_t i = 0; i < b->rules; i++) {
        shape_rule(b, i);
        snprintf(b->ids[i], sizeof b->ids[i], "r%zu", i);
        b->rows[i] = (struct gh_policy_row_rule){
            .pos = { 1, 1 },
            .id = { b->ids[i], { 1, 1 } },
            .type = GH_POLICY_IP_CIDR,
            .action = GH_POLICY_ALLOW,
            .expires_at = GH_POLICY_NEVER,
            .destinations = &b->prefixes[i],
            .ports = &b->ports[i],
            .protocols = i < PORTS ? &tcp : &udp, /* a port each */
            .destination_count = 1,
            .port_count = 1,
            .protocol_count = 1,
        };
    }
}

static double compile(struct bench *b)
{
    struct gh_policy_row_client client = { .name = { "client-1", { 1, 1 } }, .rules = b->rows, .rule_count = b->rules };
    struct gh_policy_rows rows = { .clients = &client, .client_count = 1, .default_action = GH_POLICY_ALLOW };
    struct gh_policy_findings findings = { 0 };
    int64_t start = cpu_now();
    char line[512];
    double seconds;

    if (gh_policy_compile(&rows, NULL, &findings, &b->policy) < 0)
        die(findings.count ? gh_policy_finding_emit(&findings.items[0], "rules", line, sizeof line) : "the rules do not compile");
    seconds = (double)(cpu_now() - start) / 1e9;
    gh_policy_findings_fini(&findings);
    return seconds;
}

/* ---- packets */

static void put16(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

/* An IPv4 packet of TCP (a SYN) or UDP whose tuple is that of the query. */
static void emit(struct packet *p, const struct gh_policy_query *q)
{
    uint8_t *d = p->data;

    memset(d, 0, LEN);
    d[0] = 0x45;
    put16(d + 2, LEN);
    d[8] = 64;
    d[9] = q->protocol;
    memcpy(d + 12, q->src.bytes, 4);
    memcpy(d + 16, q->dst.bytes, 4);
    put16(d + 10, gh_ip_checksum(d, 20));
    put16(d + 20, q->src_port);
    put16(d + 22, q->dst_port);
    if (q->protocol == GH_IP_UDP) {
        put16(d + 24, LEN - 20);
    } else {
        d[32] = 0x50;
        d[33] = GH_TCP_SYN;
    }
}

static void make_traffic(struct bench *b)
{
    for (size_t i = 0; i < b->packets; i++) {
        const struct gh_policy_row_rule *r = &b->rows[dice(b, (uint32_t)b->rules)];
        const struct gh_prefix *to = &r->destinations->prefix;
        uint32_t number = (uint32_t)to->addr.bytes[0] << 24 | (uint32_t)to->addr.bytes[1] << 16 | (uint32_t)to->addr.bytes[2] << 8 | to->addr.bytes[3];

        number |= to->len < 32 ? dice(b, (uint32_t)(UINT64_C(1) << (32 - to->len))) : 0;
        b->queries[i] = (struct gh_policy_query){
            .client = gh_policy_client_find(b->policy, "client-1"),
            .direction = GH_POLICY_OUT,
            .src = gh_ip_v4(peer),
            .dst = address(number),
            .protocol = r->protocols->number,
            .src_port = (uint16_t)(1024 + i % 60000), /* with the destination: no flow twice */
            .dst_port = (uint16_t)(r->ports->first + dice(b, 1u + r->ports->last - r->ports->first)),
        };
        emit(&b->traffic[i], &b->queries[i]);
    }
}

/* The first rule, found as a person would. */
static const char *plain(const struct bench *b, const struct gh_policy_query *q)
{
    for (size_t i = 0; i < b->rules; i++)
        if (gh_prefix_contains(&b->prefixes[i].prefix, &q->dst) && b->rows[i].protocols->number == q->protocol &&
            b->ports[i].first <= q->dst_port && q->dst_port <= b->ports[i].last)
            return b->ids[i];
    return NULL;
}

static void compare(const struct bench *b)
{
    for (size_t i = 0; i < b->packets && i * b->rules < PLAIN_STEPS; i++) {
        struct gh_policy_verdict v = gh_policy_evaluate(b->policy, &b->queries[i]);
        const char *expected = plain(b, &b->queries[i]);

        if (!v.rule != !expected || (expected && strcmp(v.rule->id, expected) != 0))
            die("the matcher found another rule than a plain search");
    }
}

/* ---- the engine */

static void decide(void *arg, struct gh_forward_session *s, enum gh_direction d, const struct gh_ip_packet *p, struct gh_forward_decision *ret)
{
    struct bench *b = arg;
    const struct gh_policy_query q = {
        .client = s->policy_client,
        .direction = d == GH_DIRECTION_OUT ? GH_POLICY_OUT : GH_POLICY_IN,
        .src = p->src,
        .dst = p->dst,
        .protocol = p->protocol,
        .src_port = p->src_port,
        .dst_port = p->dst_port,
        .wall_seconds = b->clock.wall,
    };
    struct gh_policy_verdict v = gh_policy_evaluate(b->policy, &q);

    *ret = (struct gh_forward_decision){ .allow = v.action == GH_POLICY_ALLOW, .rule = v.rule, .generation = 1 };
}

static const struct gh_forward_events events = { .decide = decide };

static void open_session(struct bench *b)
{
    gh_forward_session_init(&b->forward, &b->session, 1);
    b->session.policy_client = gh_policy_client_find(b->policy, "client-1");
    b->session.policy_generation = 1;
    b->session.assigned[0] = (struct gh_prefix){ gh_ip_v4(peer), 32 };
    b->session.assigned_count = 1;
}

static void forward(struct bench *b, size_t i)
{
    gh_forward_from_peer(&b->forward, &b->session, &b->clock, b->traffic[i].data, LEN, 0, &b->verdict);
    b->allowed += b->verdict.action == GH_FORWARD_PASS;
}

/* ---- measures */

static int by_size(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;

    return (a > b) - (a < b);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_size);
    return values[count / 2];
}

static double since(const struct bench *b, int64_t start)
{
    return (double)(cpu_now() - start) / (double)b->packets;
}

static void measure(struct bench *b, double compile_seconds)
{
    double evaluate[ROUNDS_MAX], first[ROUNDS_MAX], other[ROUNDS_MAX], same[ROUNDS_MAX];
    uint64_t matched = 0;

    for (size_t round = 0; round < b->rounds; round++) {
        int64_t start = cpu_now();

        for (size_t i = 0; i < b->packets; i++)
            matched += gh_policy_evaluate(b->policy, &b->queries[i]).rule != NULL;
        evaluate[round] = since(b, start);
        open_session(b);
        b->allowed = 0;
        start = cpu_now();
        for (size_t i = 0; i < b->packets; i++)
            forward(b, i);
        first[round] = since(b, start);
        start = cpu_now();
        for (size_t i = 0; i < b->packets; i++)
            forward(b, i);
        other[round] = since(b, start);
        start = cpu_now();
        for (size_t i = 0; i < b->packets; i++)
            forward(b, 0);
        same[round] = since(b, start);
        if (b->allowed != 3 * b->packets || b->session.flows.count != b->packets)
            die("a packet did not pass, or two had one flow");
        gh_forward_session_close(&b->forward, &b->session);
    }
    if (matched != b->rounds * b->packets)
        die("a packet matched no rule");
    printf("{\"shape\":\"%s\",\"rules\":%zu,\"evaluate_ns\":%.1f,\"first_ns\":%.1f,\"other_ns\":%.1f,\"same_ns\":%.1f,\"compile_seconds\":%.3f}\n", b->shape,
           b->rules, median(evaluate, b->rounds), median(first, b->rounds), median(other, b->rounds), median(same, b->rounds), compile_seconds);
    fflush(stdout);
}

static void *array(size_t count, size_t size)
{
    void *p = calloc(count, size);

    if (!p)
        die("no memory");
    return p;
}

static void run(const char *shape, size_t rules, size_t packets, size_t rounds)
{
    static const struct gh_hash_seed seed = { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u };
    struct bench b = { .rules = rules, .packets = packets, .rounds = rounds, .shape = shape, .random = 0x9e3779b97f4a7c15u, .clock = { 1000000000, 1 } };
    struct gh_forward_config config = gh_forward_config_default;
    double seconds;

    config.flows_per_session = config.flows;
    b.rows = array(rules, sizeof *b.rows);
    b.prefixes = array(rules, sizeof *b.prefixes);
    b.ports = array(rules, sizeof *b.ports);
    b.ids = array(rules, sizeof *b.ids);
    b.traffic = array(packets, sizeof *b.traffic);
    b.queries = array(packets, sizeof *b.queries);
    make_rules(&b);
    seconds = compile(&b);
    make_traffic(&b);
    compare(&b);
    if (gh_forward_init(&b.forward, &config, &seed, &events, &b) < 0)
        die("no memory");
    measure(&b, seconds);
    gh_forward_fini(&b.forward);
    gh_policy_destroy(b.policy);
    free(b.rows);
    free(b.prefixes);
    free(b.ports);
    free(b.ids);
    free(b.traffic);
    free(b.queries);
}

int main(int argc, char **argv)
{
    static const char *const shapes[] = { "hosts", "nested", "ports" };
    static const size_t usual[] = { 1, 10, 1000, 10000, 100000 };
    size_t counts[32], count = 0, packets = 32768, rounds = 9;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--packets") == 0 && i + 1 < argc)
            packets = strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = strtoul(argv[++i], NULL, 10);
        else if (count < sizeof counts / sizeof *counts)
            counts[count++] = strtoul(argv[i], NULL, 10);
    }
    if (count == 0) {
        count = sizeof usual / sizeof *usual;
        memcpy(counts, usual, sizeof usual);
    }
    if (packets < 1 || packets > 60000 || rounds < 1 || rounds > ROUNDS_MAX)
        die("1 to 60000 packets, 1 to 101 rounds");
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t i = 0; i < count; i++) {
            if (counts[i] < 1 || counts[i] > GH_POLICY_RULES_MAX)
                die("1 to 100000 rules");
            run(shapes[s], counts[i], packets, rounds);
        }
    return 0;
}
