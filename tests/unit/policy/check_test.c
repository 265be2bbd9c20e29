#include "policy/check.h"

#include <stdio.h>

#include "../test.h"
#include "rows_sample.h"

#include "base/error.h"

/* Compiles one client with these rules, and expects exactly one finding at that place with that text in it. */
static void expect_one(const struct gh_policy_rows *rows, bool warning, uint32_t line, uint32_t col, const char *text)
{
    struct gh_policy_findings f = { 0 };
    struct gh_policy *p = NULL;
    int rc = gh_policy_compile(rows, NULL, &f, &p);

    assert_int_equal(rc, warning ? 0 : GH_ERR_MALFORMED);
    if (f.count != 1 || !strstr(f.items[0].text, text))
        for (size_t i = 0; i < f.count; i++)
            print_message("found: %s\n", f.items[i].text);
    assert_int_equal(f.count, 1);
    assert_non_null(strstr(f.items[0].text, text));
    assert_int_equal(f.items[0].warning, warning);
    assert_int_equal(f.items[0].pos.line, line);
    assert_int_equal(f.items[0].pos.col, col);
    gh_policy_destroy(p);
    gh_policy_findings_fini(&f);
}

static void expect_rules(const struct gh_policy_row_rule *rules, size_t count, bool warning, uint32_t line, uint32_t col, const char *text)
{
    struct gh_policy_row_client client = { .name = { "c", { 1, 1 } }, .rules = rules, .rule_count = count };

    expect_one(&(struct gh_policy_rows){ .clients = &client, .client_count = 1 }, warning, line, col, text);
}

static void an_id_is_used_once_in_a_list(void **state)
{
    struct gh_policy_row_prefix to = sample_prefix("10.0.0.0/8");
    struct gh_policy_row_rule rules[] = { sample_rule("a", GH_POLICY_ALLOW, &to, 2), sample_rule("b", GH_POLICY_ALLOW, NULL, 3),
                                          sample_rule("a", GH_POLICY_DENY, NULL, 4) };

    (void)state;
    expect_rules(LIST(rules), false, 4, 3, "'a' is used twice in client 'c' (first at 2:3)");
}

static void a_rule_has_an_id_that_can_be_printed(void **state)
{
    struct gh_policy_row_rule none[] = { sample_rule(NULL, GH_POLICY_ALLOW, NULL, 2) };
    struct gh_policy_row_rule bad[] = { sample_rule("a\nb", GH_POLICY_ALLOW, NULL, 2) };
    struct gh_policy_row_rule empty[] = { sample_rule("", GH_POLICY_ALLOW, NULL, 2) };
    char name[300];
    struct gh_policy_row_rule longer[1];

    (void)state;
    memset(name, 'x', sizeof name);
    name[299] = 0;
    longer[0] = sample_rule(name, GH_POLICY_ALLOW, NULL, 2);
    expect_rules(LIST(none), false, 2, 1, "needs an 'id'");
    expect_rules(LIST(bad), false, 2, 3, "control characters");
    expect_rules(LIST(empty), false, 2, 3, "1 to 255 bytes");
    expect_rules(LIST(longer), false, 2, 3, "1 to 255 bytes");
}

static void a_default_rule_has_no_conditions(void **state)
{
    struct gh_policy_row_ports port = { 80, 80, { 5, 5 } };
    struct gh_policy_row_rule rules[] = { sample_rule("d", GH_POLICY_ALLOW, NULL, 2) };

    (void)state;
    rules[0].ports = &port;
    rules[0].port_count = 1;
    expect_rules(LIST(rules), false, 2, 1, "of type default matches every packet");
}

static void a_rule_of_type_ip_cidr_has_destinations(void **state)
{
    struct gh_policy_row_rule rules[] = { sample_rule("d", GH_POLICY_ALLOW, NULL, 2) };

    (void)state;
    rules[0].type = GH_POLICY_IP_CIDR;
    expect_rules(LIST(rules), false, 2, 1, "needs 'destinations'");
}

static void host_bits_are_refused(void **state)
{
    struct gh_policy_row_prefix to = sample_prefix("10.0.0.1/32");
    struct gh_policy_row_rule rules[] = { sample_rule("d", GH_POLICY_ALLOW, &to, 2) };

    (void)state;
    to.prefix.len = 24;
    expect_rules(LIST(rules), false, 7, 7, "10.0.0.1/24 has bits set");
}

static void ports_need_a_protocol_with_ports(void **state)
{
    struct gh_policy_row_prefix to = sample_prefix("10.0.0.0/8");
    struct gh_policy_row_ports port = { 80, 80, { 5, 5 } };
    struct gh_policy_row_protocol protocols[] = { { 6, { 6, 1 } }, { 1, { 6, 2 } } };
    struct gh_policy_row_rule rules[] = { sample_rule("d", GH_POLICY_ALLOW, &to, 2) };

    (void)state;
    rules[0].ports = &port;
    rules[0].port_count = 1;
    rules[0].protocols = protocols;
    rules[0].protocol_count = 2;
    expect_rules(LIST(rules), false, 6, 2, "icmp (1) has no ports");
    protocols[1].number = 200;
    expect_rules(LIST(rules), false, 6, 2, "number (200) has no ports");
}

static void ports_are_ordered_and_not_zero(void **state)
{
    struct gh_policy_row_prefix to = sample_prefix("10.0.0.0/8");
    struct gh_policy_row_ports port = { 80, 79, { 5, 5 } };
    struct gh_policy_row_rule rules[] = { sample_rule("d", GH_POLICY_ALLOW, &to, 2) };

    (void)state;
    rules[0].ports = &port;
    rules[0].port_count = 1;
    expect_rules(LIST(rules), false, 5, 5, "1 to 65535");
    port = (struct gh_policy_row_ports){ 0, 80, { 5, 5 } };
    expect_rules(LIST(rules), false, 5, 5, "1 to 65535");
}

static void icmp_goes_with_icmp_alone(void **state)
{
    struct gh_policy_row_prefix to = sample_prefix("10.0.0.0/8");
    struct gh_policy_row_icmp icmp = { 1, 8, -1, { 5, 5 } };
    struct gh_policy_row_protocol protocol = { 17, { 6, 6 } };
    struct gh_policy_row_ports port = { 80, 80, { 4, 4 } };
    struct gh_policy_row_rule rules[] = { sample_rule("d", GH_POLICY_ALLOW, &to, 2) };

    (void)state;
    rules[0].icmp = &icmp;
    rules[0].icmp_count = 1;
    rules[0].protocols = &protocol;
    rules[0].protocol_count = 1;
    expect_rules(LIST(rules), false, 6, 6, "icmp or icmpv6 and no other");
    rules[0].protocol_count = 0;
    icmp.protocol = 6;
    expect_rules(LIST(rules), false, 5, 5, "needs protocol icmp");
    icmp.protocol = 1;
    rules[0].ports = &port;
    rules[0].port_count = 1;
    expect_rules(LIST(rules), false, 5, 5, "not both");
}

static void icmp_of_the_other_family_is_warned_about(void **state)
{
    struct gh_policy_row_prefix v4 = sample_prefix("10.0.0.0/8"), v6 = sample_prefix("fd00::/8");
    struct gh_policy_row_protocol protocol = { 58, { 6, 6 } };
    struct gh_policy_row_rule rules[] = { sample_rule("d", GH_POLICY_ALLOW, &v4, 2) };

    (void)state;
    rules[0].protocols = &protocol;
    rules[0].protocol_count = 1;
    expect_rules(LIST(rules), true, 2, 1, "icmpv6 has no IPv6 destination");
    rules[0].destinations = &v6;
    protocol.number = 1;
    expect_rules(LIST(rules), true, 2, 1, "icmp has no IPv4 destination");
}

static void a_rule_behind_a_default_never_decides(void **state)
{
    struct gh_policy_row_prefix to = sample_prefix("10.0.0.0/8");
    struct gh_policy_row_rule rules[] = { sample_rule("a", GH_POLICY_DENY, NULL, 2), sample_rule("b", GH_POLICY_ALLOW, &to, 3),
                                          sample_rule("c", GH_POLICY_ALLOW, &to, 4) };

    (void)state;
    rules[2].direction = GH_POLICY_IN; /* the default speaks for the other direction */
    expect_rules(LIST(rules), true, 3, 1, "rule 'b' never decides");
    rules[1] = sample_rule("b", GH_POLICY_ALLOW, NULL, 3);
    expect_rules(LIST(rules), true, 3, 1, "rule 'b' never decides");
}

static void a_rule_is_hidden_by_several_together(void **state)
{
    struct gh_policy_row_prefix wide = sample_prefix("10.0.0.0/8"), narrow = sample_prefix("10.1.0.0/16");
    struct gh_policy_row_ports low = { 1, 1000, { 5, 5 } }, high = { 900, 65535, { 5, 5 } }, some = { 500, 2000, { 5, 5 } };
    struct gh_policy_row_protocol tcp = { 6, { 6, 6 } };
    struct gh_policy_row_rule rules[] = { sample_rule("a", GH_POLICY_DENY, &wide, 2), sample_rule("b", GH_POLICY_ALLOW, &narrow, 3),
                                          sample_rule("c", GH_POLICY_ALLOW, &narrow, 4) };
    struct gh_policy_findings f = { 0 };
    struct gh_policy_row_client client = { .name = { "c", { 1, 1 } }, .rules = rules, .rule_count = 3 };
    struct gh_policy_rows rows = { .clients = &client, .client_count = 1 };
    struct gh_policy *p = NULL;

    (void)state;
    for (int i = 0; i < 3; i++) {
        rules[i].protocols = &tcp;
        rules[i].protocol_count = rules[i].port_count = 1;
    }
    rules[0].ports = &low;
    rules[1].ports = &high;
    rules[2].ports = &some;
    expect_rules(LIST(rules), true, 4, 1, "rule 'c' never decides");
    rules[0].expires_at = 1000; /* then 'c' gets its turn one day */
    assert_int_equal(gh_policy_compile(&rows, NULL, &f, &p), 0);
    assert_int_equal(f.count, 0);
    gh_policy_destroy(p);
    gh_policy_findings_fini(&f);
}

struct grouped {
    struct gh_policy_row_prefix to;
    struct gh_policy_row_rule own[1], shared[2];
    struct gh_policy_row_group groups[2];
    struct gh_policy_row_text refs[2];
    struct gh_policy_row_client clients[2];
    struct gh_policy_rows rows;
};

static void make_grouped(struct grouped *g)
{
    *g = (struct grouped){ .to = sample_prefix("10.0.0.0/8") };
    g->own[0] = sample_rule("own", GH_POLICY_ALLOW, &g->to, 10);
    g->shared[0] = sample_rule("s1", GH_POLICY_ALLOW, &g->to, 20);
    g->shared[1] = sample_rule("s2", GH_POLICY_ALLOW, &g->to, 21);
    g->groups[0] = (struct gh_policy_row_group){ .name = { "g2", { 19, 1 } }, .rules = &g->shared[0], .rule_count = 1 };
    g->groups[1] = (struct gh_policy_row_group){ .name = { "g1", { 20, 1 } }, .rules = &g->shared[1], .rule_count = 1 };
    g->refs[0] = (struct gh_policy_row_text){ "g1", { 5, 5 } };
    g->refs[1] = (struct gh_policy_row_text){ "g2", { 5, 9 } };
    for (int i = 0; i < 2; i++)
        g->clients[i] = (struct gh_policy_row_client){ .name = { i ? "alice" : "bob", { 4, 1 } }, .rules = g->own, .rule_count = 1,
                                                       .groups = g->refs, .group_count = 2 };
    g->rows = (struct gh_policy_rows){ .groups = g->groups, .group_count = 2, .clients = g->clients, .client_count = 2 };
}

static void groups_have_to_exist_and_are_named_once(void **state)
{
    struct grouped g;

    (void)state;
    make_grouped(&g);
    g.rows.client_count = 1;
    g.refs[1].text = "g3";
    expect_one(&g.rows, false, 5, 9, "unknown group 'g3'");
    g.refs[1].text = "g1";
    expect_one(&g.rows, false, 5, 9, "'g1' is named twice");
}

static void an_id_means_one_rule_wherever_lists_meet(void **state)
{
    struct grouped g;

    (void)state;
    make_grouped(&g);
    g.shared[0].id.text = "s2"; /* both clients have both groups: said once */
    expect_one(&g.rows, false, 5, 9, "rule id 's2' is in group 'g1' and in group 'g2'");
    make_grouped(&g);
    g.rows.client_count = 1;
    g.shared[1].id.text = "own";
    expect_one(&g.rows, false, 5, 5, "rule id 'own' is in client 'bob' and in group 'g1'");
}

static void names_are_unique(void **state)
{
    struct grouped g;

    (void)state;
    make_grouped(&g);
    g.clients[1].name = (struct gh_policy_row_text){ "bob", { 30, 1 } };
    g.clients[0].name.pos = AT(30, 1);
    expect_one(&g.rows, false, 30, 1, "client 'bob' is written twice");
    make_grouped(&g);
    g.rows.client_count = 0;
    g.groups[0].name = (struct gh_policy_row_text){ "g1", { 20, 1 } };
    expect_one(&g.rows, false, 20, 1, "group 'g1' is written twice");
}

static void clients_and_groups_are_not_empty(void **state)
{
    struct grouped g;

    (void)state;
    make_grouped(&g);
    g.rows.client_count = 1;
    g.clients[0].rule_count = g.clients[0].group_count = 0;
    expect_one(&g.rows, false, 4, 1, "needs 'rules' or 'groups'");
    make_grouped(&g);
    g.groups[0].rule_count = 0;
    expect_one(&g.rows, false, 19, 1, "group 'g2' needs 'rules'");
    make_grouped(&g);
    g.rows.client_count = 1;
    g.clients[0].name.text = "";
    expect_one(&g.rows, false, 4, 1, "the name of a client must have");
}

static void a_group_behind_a_default_never_decides(void **state)
{
    struct grouped g;

    (void)state;
    make_grouped(&g);
    g.rows.client_count = 1;
    g.shared[1] = sample_rule("s2", GH_POLICY_DENY, NULL, 21); /* g1, which comes first */
    expect_one(&g.rows, true, 5, 9, "group 'g2' never decides for 'bob'");
}

static void too_many_groups_are_refused(void **state)
{
    struct gh_policy_row_text refs[GH_POLICY_CLIENT_GROUPS_MAX + 1];
    struct gh_policy_row_client client = { .name = { "c", { 1, 1 } }, .groups = refs, .group_count = GH_POLICY_CLIENT_GROUPS_MAX + 1 };
    struct gh_policy_row_group groups[GH_POLICY_CLIENT_GROUPS_MAX];
    struct gh_policy_row_prefix to = sample_prefix("10.0.0.0/8");
    struct gh_policy_row_rule rules[GH_POLICY_CLIENT_GROUPS_MAX];
    char names[GH_POLICY_CLIENT_GROUPS_MAX + 1][16];

    (void)state;
    for (size_t i = 0; i <= GH_POLICY_CLIENT_GROUPS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "g%zu", i);
        refs[i] = (struct gh_policy_row_text){ names[i], { 9, (uint32_t)i } };
        if (i == GH_POLICY_CLIENT_GROUPS_MAX)
            break;
        rules[i] = sample_rule(names[i], GH_POLICY_ALLOW, &to, 3);
        groups[i] = (struct gh_policy_row_group){ .name = { names[i], { 2, 2 } }, .rules = &rules[i], .rule_count = 1 };
    }
    expect_one(&(struct gh_policy_rows){ .clients = &client, .client_count = 1, .groups = groups, .group_count = GH_POLICY_CLIENT_GROUPS_MAX },
               false, 9, GH_POLICY_CLIENT_GROUPS_MAX, "at most 64 groups");
}

static void limits_of_the_whole_are_kept(void **state)
{
    size_t count = GH_POLICY_RULES_MAX + 1;
    struct gh_policy_row_rule *rules = calloc(count, sizeof *rules);
    char (*ids)[12] = calloc(count, sizeof *ids);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        snprintf(ids[i], sizeof ids[i], "r%zu", i);
        rules[i] = sample_rule(ids[i], GH_POLICY_ALLOW, NULL, 2);
    }
    expect_rules(rules, count, false, 1, 1, "at most 100000 rules, this one has 100001");
    free(rules);
    free(ids);
    expect_one(&(struct gh_policy_rows){ .group_count = GH_POLICY_GROUPS_MAX + 1 }, false, 1, 1, "at most 100000 clients and 4096 groups");
}

static void a_broken_rule_is_not_reported_again(void **state)
{
    struct gh_policy_row_rule rules[] = { sample_rule(NULL, GH_POLICY_ALLOW, NULL, 2) };
    struct gh_policy_row_client client = { .name = { "c", { 1, 1 } }, .rules = rules, .rule_count = 1 };
    struct gh_policy_rows rows = { .clients = &client, .client_count = 1 };
    struct gh_policy_findings f = { 0 };
    struct gh_policy *p = NULL;

    (void)state;
    rules[0].broken = true;
    gh_policy_findings_error(&f, AT(2, 1), "said by the reader");
    assert_int_equal(gh_policy_compile(&rows, NULL, &f, &p), GH_ERR_MALFORMED);
    assert_int_equal(f.count, 1);
    assert_null(p);
    gh_policy_findings_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_used_once_in_a_list),
        cmocka_unit_test(a_rule_has_an_id_that_can_be_printed),
        cmocka_unit_test(a_default_rule_has_no_conditions),
        cmocka_unit_test(a_rule_of_type_ip_cidr_has_destinations),
        cmocka_unit_test(host_bits_are_refused),
        cmocka_unit_test(ports_need_a_protocol_with_ports),
        cmocka_unit_test(ports_are_ordered_and_not_zero),
        cmocka_unit_test(icmp_goes_with_icmp_alone),
        cmocka_unit_test(icmp_of_the_other_family_is_warned_about),
        cmocka_unit_test(a_rule_behind_a_default_never_decides),
        cmocka_unit_test(a_rule_is_hidden_by_several_together),
        cmocka_unit_test(groups_have_to_exist_and_are_named_once),
        cmocka_unit_test(an_id_means_one_rule_wherever_lists_meet),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(clients_and_groups_are_not_empty),
        cmocka_unit_test(a_group_behind_a_default_never_decides),
        cmocka_unit_test(too_many_groups_are_refused),
        cmocka_unit_test(limits_of_the_whole_are_kept),
        cmocka_unit_test(a_broken_rule_is_not_reported_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
