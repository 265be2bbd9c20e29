#include "policy/policy.h"

#include <stdio.h>

#include "../test.h"
#include "rows_sample.h"

#include "base/error.h"

#define NOON 1000000

/* One client "c" whose rules a test changes before it compiles them. */
struct fixture {
    struct gh_policy_row_prefix lan, host, v6;
    struct gh_policy_row_rule rules[4];
    struct gh_policy_row_client client;
    struct gh_policy_rows rows;
    struct gh_policy *policy;
};

static void begin(struct fixture *f, size_t rule_count)
{
    *f = (struct fixture){ .lan = sample_prefix("10.0.0.0/8"), .host = sample_prefix("10.1.2.3"), .v6 = sample_prefix("fd00::/8") };
    for (uint32_t i = 0; i < 4; i++) {
        static const char *const ids[] = { "r0", "r1", "r2", "r3" };

        f->rules[i] = sample_rule(ids[i], GH_POLICY_ALLOW, &f->lan, i + 1);
    }
    f->client = (struct gh_policy_row_client){ .name = { "c", { 1, 1 } }, .rules = f->rules, .rule_count = rule_count };
    f->rows = (struct gh_policy_rows){ .clients = &f->client, .client_count = 1, .log = GH_POLICY_LOG_FIRST };
}

static void compile(struct fixture *f)
{
    struct gh_policy_findings findings = { 0 };

    gh_policy_destroy(f->policy);
    f->policy = NULL;
    assert_int_equal(gh_policy_compile(&f->rows, NULL, &findings, &f->policy), 0);
    gh_policy_findings_fini(&findings);
}

static struct gh_policy_query ask(const struct fixture *f, const char *dst, uint8_t protocol, uint16_t port)
{
    return (struct gh_policy_query){ .client = gh_policy_client_find(f->policy, "c"), .src = sample_ip("10.100.0.2"),
                                     .dst = sample_ip(dst), .protocol = protocol, .dst_port = port, .wall_seconds = NOON };
}

/* The id of the deciding rule, or the reason. */
static const char *who(const struct fixture *f, const struct gh_policy_query *q)
{
    struct gh_policy_verdict v = gh_policy_evaluate(f->policy, q), told;

    assert_int_equal(gh_policy_explain(f->policy, q, NULL, NULL, &told), 0);
    assert_ptr_equal(told.rule, v.rule);
    return v.rule ? v.rule->id : gh_policy_reason_name(v.reason);
}

static const char *decide(const struct fixture *f, const char *dst, uint8_t protocol, uint16_t port)
{
    struct gh_policy_query q = ask(f, dst, protocol, port);

    return who(f, &q);
}

static void an_unknown_client_is_denied_whatever_the_default_is(void **state)
{
    struct fixture f;
    struct gh_policy_query q;
    struct gh_policy_verdict v;

    (void)state;
    begin(&f, 1);
    f.rows.default_action = GH_POLICY_ALLOW;
    f.rows.on_deny = GH_POLICY_ICMP;
    f.rows.log = GH_POLICY_LOG_ALL;
    compile(&f);
    q = ask(&f, "10.0.0.1", 6, 80);
    assert_null(gh_policy_client_find(f.policy, "nobody"));
    q.client = NULL;
    v = gh_policy_evaluate(f.policy, &q);
    assert_int_equal(v.action, GH_POLICY_DENY);
    assert_int_equal(v.reason, GH_POLICY_UNKNOWN_CLIENT);
    assert_int_equal(v.on_deny, GH_POLICY_ICMP);
    assert_int_equal(v.log, GH_POLICY_LOG_ALL);
    assert_int_equal(gh_policy_verdict_drop(&v), GH_DROP_UNKNOWN_CLIENT);
    assert_string_equal(who(&f, &q), "unknown_client");
    gh_policy_destroy(f.policy);
}

static void the_first_match_wins_also_over_a_longer_prefix(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 3);
    f.rules[0].destinations = &f.host;
    f.rules[2].destinations = &f.host; /* behind the wide one: never */
    compile(&f);
    assert_string_equal(decide(&f, "10.1.2.3", 6, 80), "r0");
    assert_string_equal(decide(&f, "10.1.2.4", 6, 80), "r1");
    assert_string_equal(decide(&f, "10.1.2.2", 6, 80), "r1");
    assert_string_equal(decide(&f, "11.0.0.0", 6, 80), "default_action");
    assert_string_equal(decide(&f, "9.255.255.255", 6, 80), "default_action");
    gh_policy_destroy(f.policy);
}

static void default_action_speaks_for_what_goes_out_alone(void **state)
{
    struct fixture f;
    struct gh_policy_query q;
    struct gh_policy_verdict v;

    (void)state;
    begin(&f, 1);
    f.rows.default_action = GH_POLICY_ALLOW;
    compile(&f);
    q = ask(&f, "8.8.8.8", 17, 53);
    v = gh_policy_evaluate(f.policy, &q);
    assert_int_equal(v.action, GH_POLICY_ALLOW);
    assert_int_equal(v.reason, GH_POLICY_BY_DEFAULT_ACTION);
    assert_int_equal(gh_policy_verdict_drop(&v), GH_DROP_NONE);
    q.direction = GH_POLICY_IN;
    v = gh_policy_evaluate(f.policy, &q);
    assert_int_equal(v.action, GH_POLICY_DENY);
    assert_string_equal(gh_policy_reason_name(v.reason), "no_inbound_rule");
    assert_int_equal(gh_policy_verdict_drop(&v), GH_DROP_NO_FLOW);
    gh_policy_destroy(f.policy);
}

static void inbound_rules_look_at_the_sender_and_the_destination_port(void **state)
{
    struct fixture f;
    struct gh_policy_row_ports port = { 631, 631, { 1, 1 } };
    struct gh_policy_query q;

    (void)state;
    begin(&f, 1);
    f.rules[0].direction = GH_POLICY_IN;
    f.rules[0].ports = &port;
    f.rules[0].port_count = 1;
    compile(&f);
    q = (struct gh_policy_query){ .client = gh_policy_client_find(f.policy, "c"), .direction = GH_POLICY_IN, .src = sample_ip("10.9.9.9"),
                                  .dst = sample_ip("192.0.2.1"), .protocol = 6, .src_port = 9, .dst_port = 631 };
    assert_string_equal(who(&f, &q), "r0");
    q.dst_port = 9;
    q.src_port = 631;
    assert_string_equal(who(&f, &q), "no_inbound_rule");
    q.dst_port = 631;
    q.src = sample_ip("192.0.2.1");
    q.dst = sample_ip("10.9.9.9");
    assert_string_equal(who(&f, &q), "no_inbound_rule");
    gh_policy_destroy(f.policy);
}

static void ports_without_protocol_mean_every_protocol_with_ports(void **state)
{
    struct fixture f;
    struct gh_policy_row_ports ports[] = { { 80, 90, { 1, 1 } }, { 85, 100, { 1, 1 } }, { 65535, 65535, { 1, 1 } } };

    (void)state;
    begin(&f, 1);
    f.rules[0].ports = ports;
    f.rules[0].port_count = 3;
    compile(&f);
    for (unsigned protocol = 0; protocol < 256; protocol++) {
        bool has = protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132 || protocol == 136;

        assert_string_equal(decide(&f, "10.0.0.1", (uint8_t)protocol, 95), has ? "r0" : "default_action");
    }
    assert_string_equal(decide(&f, "10.0.0.1", 6, 79), "default_action");
    assert_string_equal(decide(&f, "10.0.0.1", 6, 100), "r0");
    assert_string_equal(decide(&f, "10.0.0.1", 6, 101), "default_action");
    assert_string_equal(decide(&f, "10.0.0.1", 6, 65535), "r0");
    gh_policy_destroy(f.policy);
}

static void a_protocol_without_ports_ignores_them(void **state)
{
    struct fixture f;
    struct gh_policy_row_protocol protocols[] = { { 47, { 1, 1 } }, { 255, { 1, 1 } } };

    (void)state;
    begin(&f, 1);
    f.rules[0].protocols = protocols;
    f.rules[0].protocol_count = 2;
    compile(&f);
    assert_string_equal(decide(&f, "10.0.0.1", 47, 12345), "r0");
    assert_string_equal(decide(&f, "10.0.0.1", 255, 1), "r0");
    assert_string_equal(decide(&f, "10.0.0.1", 48, 0), "default_action");
    gh_policy_destroy(f.policy);
}

static void icmp_is_matched_by_type_and_code(void **state)
{
    struct fixture f;
    struct gh_policy_row_icmp icmp[] = { { 1, 8, -1, { 1, 1 } }, { 1, 3, 4, { 1, 1 } }, { 58, 128, -1, { 1, 1 } } };
    struct gh_policy_row_prefix both[2];
    struct gh_policy_query q;

    (void)state;
    begin(&f, 1);
    both[0] = f.lan;
    both[1] = f.v6;
    f.rules[0].destinations = both;
    f.rules[0].destination_count = 2;
    f.rules[0].icmp = icmp;
    f.rules[0].icmp_count = 3;
    compile(&f);
    q = ask(&f, "10.0.0.1", 1, 0);
    q.icmp_type = 8;
    q.icmp_code = 77;
    assert_string_equal(who(&f, &q), "r0");
    q.icmp_type = 3;
    assert_string_equal(who(&f, &q), "default_action");
    q.icmp_code = 4;
    assert_string_equal(who(&f, &q), "r0");
    q.protocol = 6;
    assert_string_equal(who(&f, &q), "default_action");
    q = ask(&f, "fd00::1", 58, 0);
    q.icmp_type = 128;
    assert_string_equal(who(&f, &q), "r0");
    q.icmp_type = 8;
    assert_string_equal(who(&f, &q), "default_action");
    gh_policy_destroy(f.policy);
}

static void an_expired_rule_gives_way_at_its_very_second(void **state)
{
    struct fixture f;
    struct gh_policy_query q;

    (void)state;
    begin(&f, 4);
    f.rules[0].expires_at = NOON + 10;
    f.rules[1].expires_at = NOON + 5; /* outlived by r0: never decides */
    f.rules[2].expires_at = NOON + 20;
    compile(&f);
    q = ask(&f, "10.0.0.1", 6, 80);
    assert_string_equal(who(&f, &q), "r0");
    q.wall_seconds = NOON + 9;
    assert_string_equal(who(&f, &q), "r0");
    q.wall_seconds = NOON + 10;
    assert_string_equal(who(&f, &q), "r2");
    q.wall_seconds = NOON + 20;
    assert_string_equal(who(&f, &q), "r3");
    assert_int_equal(gh_policy_next_expiry(f.policy, NOON), NOON + 5);
    assert_int_equal(gh_policy_next_expiry(f.policy, NOON + 5), NOON + 10);
    assert_int_equal(gh_policy_next_expiry(f.policy, NOON + 20), GH_POLICY_NEVER);
    gh_policy_destroy(f.policy);
}

static void own_rules_come_before_those_of_groups_in_their_order(void **state)
{
    struct fixture f;
    struct gh_policy_row_group groups[2];
    struct gh_policy_row_text refs[] = { { "second", { 1, 1 } }, { "first", { 1, 1 } } };

    (void)state;
    begin(&f, 1);
    f.rules[0].destinations = &f.host;
    f.rules[2].type = GH_POLICY_DEFAULT;
    f.rules[2].destination_count = 0;
    groups[0] = (struct gh_policy_row_group){ .name = { "first", { 1, 1 } }, .rules = &f.rules[2], .rule_count = 1 };
    groups[1] = (struct gh_policy_row_group){ .name = { "second", { 1, 1 } }, .rules = &f.rules[1], .rule_count = 1 };
    f.rows.groups = groups;
    f.rows.group_count = 2;
    f.client.groups = refs;
    f.client.group_count = 2;
    compile(&f);
    assert_string_equal(decide(&f, "10.1.2.3", 6, 80), "r0");
    assert_string_equal(decide(&f, "10.0.0.1", 6, 80), "r1");
    assert_string_equal(decide(&f, "8.8.8.8", 6, 80), "r2");
    assert_string_equal(decide(&f, "2001:db8::1", 6, 80), "r2");
    assert_int_equal(gh_policy_group_count(f.policy), 2);
    assert_int_equal(gh_policy_rule_count(f.policy), 3);
    f.client.rule_count = 0; /* a client may have groups alone */
    compile(&f);
    assert_string_equal(decide(&f, "10.1.2.3", 6, 80), "r1");
    gh_policy_destroy(f.policy);
}

static void a_verdict_carries_what_the_rule_says(void **state)
{
    struct fixture f;
    struct gh_policy_row_pair pairs[] = { { "reason", "dns", { 1, 1 } } };
    struct gh_policy_query q;
    struct gh_policy_verdict v;

    (void)state;
    begin(&f, 1);
    f.rules[0].action = GH_POLICY_DENY;
    f.rules[0].log = GH_POLICY_LOG_ALL;
    f.rules[0].on_deny = GH_POLICY_ICMP;
    f.rules[0].metadata = pairs;
    f.rules[0].metadata_count = 1;
    f.rules[0].description.text = "words";
    compile(&f);
    q = ask(&f, "10.0.0.1", 6, 80);
    v = gh_policy_evaluate(f.policy, &q);
    assert_int_equal(v.action, GH_POLICY_DENY);
    assert_int_equal(v.log, GH_POLICY_LOG_ALL);
    assert_int_equal(v.on_deny, GH_POLICY_ICMP);
    assert_int_equal(gh_policy_verdict_drop(&v), GH_DROP_POLICY);
    assert_string_equal(v.rule->metadata[0].key, "reason");
    assert_string_equal(v.rule->metadata[0].value, "dns");
    assert_string_equal(v.rule->description, "words");
    assert_string_equal(v.rule->list, "c");
    assert_false(v.rule->in_group);
    assert_string_equal(gh_policy_client_name(q.client), "c");
    gh_policy_destroy(f.policy);
}

static void an_address_of_no_family_matches_nothing(void **state)
{
    struct fixture f;
    struct gh_policy_query q;

    (void)state;
    begin(&f, 1);
    f.rules[0].type = GH_POLICY_DEFAULT;
    f.rules[0].destination_count = 0;
    compile(&f);
    q = ask(&f, "10.0.0.1", 6, 80);
    q.dst = (struct gh_ip){ 0 };
    assert_string_equal(who(&f, &q), "default_action");
    gh_policy_destroy(f.policy);
}

static void the_ends_of_the_address_space_are_reached(void **state)
{
    struct fixture f;
    struct gh_policy_row_prefix to[4];

    (void)state;
    begin(&f, 1);
    to[0] = sample_prefix("255.255.255.255");
    to[1] = sample_prefix("0.0.0.0");
    to[2] = sample_prefix("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    to[3] = sample_prefix("::");
    f.rules[0].destinations = to;
    f.rules[0].destination_count = 4;
    compile(&f);
    assert_string_equal(decide(&f, "255.255.255.255", 6, 1), "r0");
    assert_string_equal(decide(&f, "255.255.255.254", 6, 1), "default_action");
    assert_string_equal(decide(&f, "0.0.0.0", 6, 1), "r0");
    assert_string_equal(decide(&f, "0.0.0.1", 6, 1), "default_action");
    assert_string_equal(decide(&f, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 6, 1), "r0");
    assert_string_equal(decide(&f, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 6, 1), "default_action");
    assert_string_equal(decide(&f, "::", 6, 1), "r0");
    assert_string_equal(decide(&f, "::1", 6, 1), "default_action");
    gh_policy_destroy(f.policy);
}

static void a_policy_without_clients_knows_nobody(void **state)
{
    struct gh_policy_rows rows = { .name = { "empty", { 1, 1 } } };
    struct gh_policy_findings findings = { 0 };
    struct gh_policy_stamp stamp = { gh_span_of("\x01\x23\x45\x67\x89\xab\xcd", 7), 42 };
    struct gh_policy *p = NULL;

    (void)state;
    assert_int_equal(gh_policy_compile(&rows, &stamp, &findings, &p), 0);
    assert_null(gh_policy_client_find(p, "c"));
    assert_string_equal(gh_policy_version(p), "42-0123456789ab");
    assert_string_equal(gh_policy_name(p), "empty");
    assert_int_equal(gh_policy_client_count(p), 0);
    gh_policy_destroy(p);
    gh_policy_destroy(NULL);
    assert_int_equal(gh_policy_compile(&rows, NULL, &findings, &p), 0);
    assert_string_equal(gh_policy_version(p), "0");
    gh_policy_destroy(p);
}

struct told {
    const char *steps[8];
    size_t count;
};

static void on_step(void *arg, const struct gh_policy_rule *rule, enum gh_policy_step step)
{
    struct told *t = arg;

    (void)rule;
    t->steps[t->count++] = gh_policy_step_name(step);
}

static void expect_step(struct fixture *f, const struct gh_policy_query *q, const char *step)
{
    struct told t = { 0 };
    struct gh_policy_verdict v;

    assert_int_equal(gh_policy_explain(f->policy, q, on_step, &t, &v), 0);
    assert_int_equal(t.count, 1);
    assert_string_equal(t.steps[0], step);
}

static void explain_names_the_first_thing_that_does_not_fit(void **state)
{
    struct fixture f;
    struct gh_policy_row_ports port = { 80, 80, { 1, 1 } };
    struct gh_policy_row_icmp icmp = { 1, 8, -1, { 1, 1 } };
    struct gh_policy_query q;

    (void)state;
    begin(&f, 1);
    f.rules[0].ports = &port;
    f.rules[0].port_count = 1;
    f.rules[0].expires_at = NOON + 1;
    compile(&f);
    q = ask(&f, "10.0.0.1", 6, 80);
    expect_step(&f, &q, "matched");
    q.dst_port = 81;
    expect_step(&f, &q, "other_port");
    q.protocol = 47;
    expect_step(&f, &q, "other_protocol");
    q.dst = sample_ip("8.8.8.8");
    expect_step(&f, &q, "other_destination");
    q.wall_seconds++;
    expect_step(&f, &q, "expired");
    q.direction = GH_POLICY_IN;
    expect_step(&f, &q, "other_direction");
    f.rules[0].port_count = 0;
    f.rules[0].icmp = &icmp;
    f.rules[0].icmp_count = 1;
    compile(&f);
    q = ask(&f, "10.0.0.1", 1, 0);
    expect_step(&f, &q, "other_icmp");
    gh_policy_destroy(f.policy);
}

static void explain_stops_at_the_rule_that_decides(void **state)
{
    struct fixture f;
    struct told t = { 0 };
    struct gh_policy_verdict v;
    struct gh_policy_query q;

    (void)state;
    begin(&f, 3);
    f.rules[0].destinations = &f.v6;
    compile(&f);
    q = ask(&f, "10.0.0.1", 6, 80);
    assert_int_equal(gh_policy_explain(f.policy, &q, on_step, &t, &v), 0);
    assert_int_equal(t.count, 2);
    assert_string_equal(t.steps[0], "other_destination");
    assert_string_equal(t.steps[1], "matched");
    assert_string_equal(v.rule->id, "r1");
    gh_policy_destroy(f.policy);
}

static void rules_that_expire_and_overlap_without_end_are_refused(void **state)
{
    enum { COUNT = 4000 };
    struct gh_policy_row_prefix to = sample_prefix("10.0.0.0/8");
    struct gh_policy_row_rule *rules = calloc(COUNT, sizeof *rules);
    struct gh_policy_row_ports *ports = calloc(COUNT, sizeof *ports);
    char (*ids)[12] = calloc(COUNT, sizeof *ids);
    struct gh_policy_row_client client = { .name = { "c", { 1, 1 } }, .rules = rules, .rule_count = COUNT };
    struct gh_policy_rows rows = { .clients = &client, .client_count = 1 };
    struct gh_policy_findings findings = { 0 };
    struct gh_policy *p = NULL;

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        snprintf(ids[i], sizeof ids[i], "r%d", i);
        ports[i] = (struct gh_policy_row_ports){ (uint16_t)(i + 1), (uint16_t)(i + 30000), { 1, 1 } };
        rules[i] = sample_rule(ids[i], GH_POLICY_ALLOW, &to, 1);
        rules[i].ports = &ports[i];
        rules[i].port_count = 1;
        rules[i].expires_at = NOON + i; /* each outlives all before it */
    }
    assert_int_equal(gh_policy_compile(&rows, NULL, &findings, &p), GH_ERR_FULL);
    assert_null(p);
    gh_policy_findings_fini(&findings);
    free(rules);
    free(ports);
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_client_is_denied_whatever_the_default_is),
        cmocka_unit_test(the_first_match_wins_also_over_a_longer_prefix),
        cmocka_unit_test(default_action_speaks_for_what_goes_out_alone),
        cmocka_unit_test(inbound_rules_look_at_the_sender_and_the_destination_port),
        cmocka_unit_test(ports_without_protocol_mean_every_protocol_with_ports),
        cmocka_unit_test(a_protocol_without_ports_ignores_them),
        cmocka_unit_test(icmp_is_matched_by_type_and_code),
        cmocka_unit_test(an_expired_rule_gives_way_at_its_very_second),
        cmocka_unit_test(own_rules_come_before_those_of_groups_in_their_order),
        cmocka_unit_test(a_verdict_carries_what_the_rule_says),
        cmocka_unit_test(an_address_of_no_family_matches_nothing),
        cmocka_unit_test(the_ends_of_the_address_space_are_reached),
        cmocka_unit_test(a_policy_without_clients_knows_nobody),
        cmocka_unit_test(explain_names_the_first_thing_that_does_not_fit),
        cmocka_unit_test(explain_stops_at_the_rule_that_decides),
        cmocka_unit_test(rules_that_expire_and_overlap_without_end_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
