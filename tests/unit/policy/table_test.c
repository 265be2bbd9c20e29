/* The compiled matcher against a naive twin on random policies and packets; and what it costs. */
#include "policy/policy.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "../test.h"
#include "naive_matcher.h"
#include "rows_sample.h"

#include "base/error.h"
#include "base/arena.h"

#ifdef __SANITIZE_ADDRESS__
#define TUPLES 100000u
#else
#define TUPLES 1000000u
#endif
#define TUPLES_OF_ONE_POLICY 1000u

static uint64_t seed;

static uint64_t next_random(uint64_t *s) /* splitmix64 */
{
    uint64_t z = *s += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint32_t below(uint64_t *s, uint32_t n)
{
    return (uint32_t)(next_random(s) % n);
}

/* Few values for each byte, so that prefixes nest and packets hit them. */
static struct gh_ip random_ip(uint64_t *s)
{
    static const uint8_t values[] = { 0, 1, 127, 128, 254, 255 };
    struct gh_ip a = { .family = below(s, 3) ? 4 : 6 };

    for (size_t i = 0; i < gh_ip_len(&a); i++)
        a.bytes[i] = a.family == 6 && i > 1 && i < 14 ? 0 : values[below(s, 6)];
    return a;
}

static struct gh_policy_row_prefix random_prefix(uint64_t *s)
{
    struct gh_policy_row_prefix p = { .prefix.addr = random_ip(s) };
    struct gh_ip last;
    unsigned bits = gh_ip_bits(&p.prefix.addr);

    p.prefix.len = (uint8_t)(below(s, 3) ? bits - below(s, 18) : below(s, bits + 1));
    gh_prefix_bounds(&p.prefix, &p.prefix.addr, &last);
    return p;
}

static const uint8_t protocols[] = { 0, 1, 6, 17, 33, 47, 58, 132, 136, 255 };
static const uint8_t with_ports[] = { 6, 17, 33, 132, 136 };
static const uint16_t edges[] = { 1, 2, 53, 80, 443, 444, 8000, 8100, 32768, 65534, 65535 };

static void random_ports(uint64_t *s, struct gh_arena *arena, struct gh_policy_row_rule *r)
{
    struct gh_policy_row_ports *ports = gh_arena_array(arena, 3, sizeof *ports);
    struct gh_policy_row_protocol *rows = gh_arena_array(arena, 2, sizeof *rows);

    r->port_count = 1 + below(s, 3);
    for (size_t i = 0; i < r->port_count; i++) {
        uint16_t a = edges[below(s, 11)], b = below(s, 2) ? a : edges[below(s, 11)];

        ports[i] = (struct gh_policy_row_ports){ a < b ? a : b, a < b ? b : a, { 0, 0 } };
    }
    r->ports = ports;
    r->protocol_count = below(s, 3);
    for (size_t i = 0; i < r->protocol_count; i++)
        rows[i].number = with_ports[below(s, 5)];
    r->protocols = rows;
}

static void random_icmp(uint64_t *s, struct gh_arena *arena, struct gh_policy_row_rule *r)
{
    struct gh_policy_row_icmp *icmp = gh_arena_array(arena, 3, sizeof *icmp);
    static const uint8_t types[] = { 0, 3, 8, 128, 255 };

    r->icmp_count = 1 + below(s, 3);
    for (size_t i = 0; i < r->icmp_count; i++)
        icmp[i] = (struct gh_policy_row_icmp){ below(s, 2) ? 1 : 58, types[below(s, 5)], (int16_t)((int)below(s, 4) - 1), { 0, 0 } };
    r->icmp = icmp;
}

static void random_protocols(uint64_t *s, struct gh_arena *arena, struct gh_policy_row_rule *r)
{
    struct gh_policy_row_protocol *rows = gh_arena_array(arena, 3, sizeof *rows);

    r->protocol_count = 1 + below(s, 3);
    for (size_t i = 0; i < r->protocol_count; i++)
        rows[i].number = protocols[below(s, sizeof protocols)];
    r->protocols = rows;
}

static void random_rule(uint64_t *s, struct gh_arena *arena, struct gh_policy_row_rule *r, uint32_t number)
{
    struct gh_policy_row_prefix *to = gh_arena_array(arena, 4, sizeof *to);
    char id[16];
    int len = snprintf(id, sizeof id, "r%u", number);

    *r = sample_rule(gh_arena_copy(arena, id, (size_t)len), below(s, 2) ? GH_POLICY_ALLOW : GH_POLICY_DENY, NULL, number);
    r->direction = below(s, 3) ? GH_POLICY_OUT : GH_POLICY_IN;
    if (below(s, 3) == 0)
        r->expires_at = below(s, 12);
    if (below(s, 20) == 0)
        return;
    r->type = GH_POLICY_IP_CIDR;
    r->destination_count = 1 + below(s, 4);
    for (size_t i = 0; i < r->destination_count; i++)
        to[i] = random_prefix(s);
    r->destinations = to;
    switch (below(s, 5)) {
    case 0:
        break;
    case 1:
        random_icmp(s, arena, r);
        break;
    case 2:
        random_protocols(s, arena, r);
        break;
    default:
        random_ports(s, arena, r);
    }
}

static const struct gh_policy_row_rule *random_list(uint64_t *s, struct gh_arena *arena, size_t most, uint32_t *number, size_t *ret_count)
{
    size_t count = 1 + below(s, (uint32_t)most);
    struct gh_policy_row_rule *rules = gh_arena_array(arena, count, sizeof *rules);

    for (size_t i = 0; i < count; i++)
        random_rule(s, arena, &rules[i], ++*number);
    *ret_count = count;
    return rules;
}

static const char *const client_names[] = { "a", "b", "c" };
static const char *const group_names[] = { "g0", "g1", "g2" };

static void random_policy(uint64_t *s, struct gh_arena *arena, size_t most, struct gh_policy_rows *rows, uint32_t *ret_rules)
{
    struct gh_policy_row_client *clients = gh_arena_array(arena, 3, sizeof *clients);
    struct gh_policy_row_group *groups = gh_arena_array(arena, 3, sizeof *groups);

    *ret_rules = 0;
    for (size_t i = 0; i < 3; i++) {
        groups[i].name.text = group_names[i];
        groups[i].rules = random_list(s, arena, most, ret_rules, &groups[i].rule_count);
    }
    for (size_t i = 0; i < 3; i++) {
        struct gh_policy_row_text *refs = gh_arena_array(arena, 3, sizeof *refs);
        uint32_t from = below(s, 3);

        clients[i].name.text = client_names[i];
        clients[i].group_count = below(s, 4);
        for (size_t g = 0; g < clients[i].group_count; g++)
            refs[g].text = group_names[(from + 2 * g) % 3];
        clients[i].groups = refs;
        if (clients[i].group_count == 0 || below(s, 4))
            clients[i].rules = random_list(s, arena, most, ret_rules, &clients[i].rule_count);
    }
    *rows = (struct gh_policy_rows){ .clients = clients, .client_count = 3, .groups = groups, .group_count = 3,
                                     .default_action = below(s, 2) ? GH_POLICY_ALLOW : GH_POLICY_DENY };
}

/* Half of the packets go to an address at the edge of some prefix. */
static struct gh_ip aim(uint64_t *s, const struct gh_policy_rows *rows)
{
    const struct gh_policy_row_client *c = &rows->clients[below(s, 3)];
    const struct gh_policy_row_rule *r = c->rule_count ? &c->rules[below(s, (uint32_t)c->rule_count)] : NULL;
    struct gh_ip first, last;

    if (!r || r->destination_count == 0 || below(s, 2))
        return random_ip(s);
    gh_prefix_bounds(&r->destinations[below(s, (uint32_t)r->destination_count)].prefix, &first, &last);
    if (below(s, 2))
        return first;
    if (below(s, 2))
        gh_ip_increment(&last);
    return last;
}

static struct naive_packet random_packet(uint64_t *s, const struct gh_policy_rows *rows)
{
    static const uint8_t types[] = { 0, 3, 8, 9, 128, 255 };
    uint16_t port = edges[below(s, 11)];

    return (struct naive_packet){
        .client = below(s, 50) ? client_names[below(s, 3)] : "nobody",
        .direction = below(s, 3) ? GH_POLICY_OUT : GH_POLICY_IN,
        .src = aim(s, rows),
        .dst = aim(s, rows),
        .protocol = protocols[below(s, sizeof protocols)],
        .dst_port = (uint16_t)(port + below(s, 3) - 1),
        .icmp_type = types[below(s, 6)],
        .icmp_code = below(s, 4),
        .at = below(s, 13),
    };
}

static void compare(const struct gh_policy *p, const struct gh_policy_rows *rows, const struct naive_packet *packet, const bool *never)
{
    struct naive_verdict want = naive_decide(rows, packet);
    struct gh_policy_query q = { .client = gh_policy_client_find(p, packet->client), .direction = packet->direction, .src = packet->src,
                                 .dst = packet->dst, .protocol = (uint8_t)packet->protocol, .src_port = 7,
                                 .dst_port = (uint16_t)packet->dst_port, .icmp_type = (uint8_t)packet->icmp_type,
                                 .icmp_code = (uint8_t)packet->icmp_code, .wall_seconds = packet->at };
    struct gh_policy_verdict got = gh_policy_evaluate(p, &q), told;

    if (got.action != want.action || got.reason != want.reason || (got.rule ? got.rule->pos.line : 0) != (want.rule ? want.rule->pos.line : 0))
        fail_msg("seed %llu: compiled says rule %u, reason %d; naive says rule %u, reason %d", (unsigned long long)seed,
                 got.rule ? got.rule->pos.line : 0, (int)got.reason, want.rule ? want.rule->pos.line : 0, (int)want.reason);
    if (got.rule && never[got.rule->pos.line])
        fail_msg("seed %llu: rule %u decides though a warning says that it never does", (unsigned long long)seed, got.rule->pos.line);
    if (packet->icmp_code == 0 && (gh_policy_explain(p, &q, NULL, NULL, &told) < 0 || told.rule != got.rule))
        fail_msg("seed %llu: explain disagrees", (unsigned long long)seed);
}

static void compiled_and_naive_agree_on_random_tuples(void **state)
{
    uint64_t s = seed;
    size_t by_rule = 0;

    (void)state;
    for (unsigned round = 0; round < TUPLES / TUPLES_OF_ONE_POLICY; round++) {
        struct gh_policy_findings findings = { 0 };
        struct gh_arena arena = { 0 };
        struct gh_policy *p = NULL;
        struct gh_policy_rows rows;
        uint32_t rules;
        bool *never;

        random_policy(&s, &arena, round % 100 == 0 ? 200 : 12, &rows, &rules);
        assert_int_equal(gh_policy_compile(&rows, NULL, &findings, &p), 0);
        never = gh_arena_array(&arena, rules + 1, sizeof *never);
        for (size_t i = 0; i < findings.count; i++)
            never[findings.items[i].pos.line] |= strstr(findings.items[i].text, "never decides: earlier") != NULL;
        for (unsigned i = 0; i < TUPLES_OF_ONE_POLICY; i++) {
            struct naive_packet packet = random_packet(&s, &rows);

            compare(p, &rows, &packet, never);
            by_rule += naive_decide(&rows, &packet).rule != NULL;
        }
        gh_policy_destroy(p);
        gh_policy_findings_fini(&findings);
        gh_arena_fini(&arena);
    }
    assert_true(by_rule > TUPLES / 10); /* else the packets miss everything and the comparison proves nothing */
}

static double evaluate_cost(uint32_t rule_count)
{
    struct gh_policy_row_prefix *to = calloc(rule_count, sizeof *to);
    struct gh_policy_row_rule *rules = calloc(rule_count, sizeof *rules);
    char (*ids)[16] = calloc(rule_count, sizeof *ids);
    struct gh_policy_row_client client = { .name = { "c", { 1, 1 } }, .rules = rules, .rule_count = rule_count };
    struct gh_policy_rows rows = { .clients = &client, .client_count = 1 };
    struct gh_policy_findings findings = { 0 };
    struct gh_policy *p = NULL;
    struct gh_policy_query q = { .protocol = 6, .dst_port = 80 };
    struct timespec begin, end;
    volatile unsigned sum = 0;

    for (uint32_t i = 0; i < rule_count; i++) {
        uint8_t b[4] = { 10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i };

        snprintf(ids[i], sizeof ids[i], "r%u", i);
        to[i].prefix = (struct gh_prefix){ gh_ip_v4(b), 32 };
        rules[i] = sample_rule(ids[i], GH_POLICY_ALLOW, &to[i], 1);
    }
    assert_int_equal(gh_policy_compile(&rows, NULL, &findings, &p), 0);
    q.client = gh_policy_client_find(p, "c");
    q.dst = to[rule_count - 1].prefix.addr;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    for (int i = 0; i < 20000; i++)
        sum += (unsigned)gh_policy_evaluate(p, &q).action;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    assert_int_equal(sum, 20000);
    gh_policy_destroy(p);
    gh_policy_findings_fini(&findings);
    free(to);
    free(rules);
    free(ids);
    return (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
}

/* A scan would cost 2,500 times as much; a logarithm costs about three times as much. */
static void cost_does_not_grow_with_rules_about_other_addresses(void **state)
{
    double few = evaluate_cost(20), many = evaluate_cost(50000);

    (void)state;
    print_message("20 rules: %.0f ns, 50000 rules: %.0f ns\n", few / 20000, many / 20000);
    assert_true(many < few * 50);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compiled_and_naive_agree_on_random_tuples),
        cmocka_unit_test(cost_does_not_grow_with_rules_about_other_addresses),
    };

    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    else if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        return 1;
    print_message("seed %llu (give it as the argument to repeat)\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
