#include "core/policy_load.h"

#include <stdio.h>

#include "../test.h"

#include "base/error.h"

#define HEAD "version: \"1.0\"\nclients:\n  c:\n    rules:\n      - { id: a, type: ip_cidr, action: allow, destinations: [10.0.0.0/8]"

static struct gh_policy *load(const char *text, struct gh_policy_findings *f)
{
    struct gh_policy *p = NULL;
    int rc = gh_policy_load(gh_span_str(text), NULL, f, &p);

    assert_int_equal(rc, f->errors ? GH_ERR_MALFORMED : 0);
    assert_int_equal(p != NULL, f->errors == 0);
    return p;
}

/* Every finding, one line each, in <buf>. */
static void list(const struct gh_policy_findings *f, char *buf, size_t size)
{
    char line[1024];
    size_t at = 0;

    buf[0] = 0;
    for (size_t i = 0; i < f->count && at < size; i++)
        at += (size_t)snprintf(buf + at, size - at, "%s\n", gh_policy_finding_emit(&f->items[i], "f", line, sizeof line));
}

static void expect(const char *text, const char *findings)
{
    struct gh_policy_findings f = { 0 };
    char got[8192];

    gh_policy_destroy(load(text, &f));
    list(&f, got, sizeof got);
    assert_string_equal(got, findings);
    gh_policy_findings_fini(&f);
}

/* HEAD with more keys in its rule. */
static void expect_keys(const char *keys, const char *findings)
{
    char text[2048];

    snprintf(text, sizeof text, HEAD "%s%s }\n", *keys ? ", " : "", keys);
    expect(text, findings);
}

static struct gh_policy *load_file(const char *path)
{
    struct gh_policy_findings f = { 0 };
    struct gh_policy *p = NULL;
    char bytes[8192];
    FILE *file = fopen(path, "r");
    size_t len;

    assert_non_null(file);
    len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_int_equal(gh_policy_load(gh_span_of(bytes, len), NULL, &f, &p), 0);
    assert_int_equal(f.count, 0);
    gh_policy_findings_fini(&f);
    return p;
}

static struct gh_policy_verdict ask(const struct gh_policy *p, const char *client, const char *dst)
{
    struct gh_policy_query q = { .client = gh_policy_client_find(p, client), .protocol = 17, .dst_port = 53 };

    assert_int_equal(gh_ip_parse(dst, strlen(dst), &q.dst), 0);
    return gh_policy_evaluate(p, &q);
}

static void the_plain_sample_is_read_as_it_is(void **state)
{
    struct gh_policy *p = load_file(GH_EXAMPLES "/policy-minimal.yaml");
    struct gh_policy_verdict v;

    (void)state;
    assert_string_equal(gh_policy_name(p), "clinic");
    v = ask(p, "client-1", "8.8.8.8");
    assert_int_equal(v.action, GH_POLICY_ALLOW);
    assert_string_equal(v.rule->id, "resolvers");
    assert_string_equal(v.rule->metadata[0].key, "reason");
    assert_string_equal(v.rule->metadata[0].value, "dns");
    assert_int_equal(v.log, GH_POLICY_LOG_FIRST);
    v = ask(p, "client-1", "8.8.4.4");
    assert_int_equal(v.action, GH_POLICY_DENY);
    assert_string_equal(v.rule->id, "rest");
    assert_int_equal(ask(p, "client-9", "8.8.8.8").reason, GH_POLICY_UNKNOWN_CLIENT);
    gh_policy_destroy(p);
}

static void the_example_lets_client_1_reach_two_addresses_and_client_2_all(void **state)
{
    struct gh_policy *p = load_file(GH_EXAMPLES "/policy.yaml");

    (void)state;
    assert_int_equal(ask(p, "client-1", "1.1.1.1").action, GH_POLICY_ALLOW);
    assert_int_equal(ask(p, "client-1", "8.8.8.8").action, GH_POLICY_ALLOW);
    assert_int_equal(ask(p, "client-1", "1.1.1.2").action, GH_POLICY_DENY);
    assert_int_equal(ask(p, "client-1", "2001:db8::1").action, GH_POLICY_DENY);
    assert_int_equal(ask(p, "client-2", "1.1.1.2").action, GH_POLICY_ALLOW);
    assert_int_equal(ask(p, "client-2", "2001:db8::1").action, GH_POLICY_ALLOW);
    gh_policy_destroy(p);
}

static void every_error_is_reported_in_one_run(void **state)
{
    (void)state;
    expect("version: \"2.0\"\n"
           "defalt_action: deny\n"
           "clients:\n"
           "  c:\n"
           "    groups: [staff]\n"
           "    rules:\n"
           "      - { id: a, type: ip_cidr, action: alow, destinations: [10.0.0.1/8, 10.0.0.300, \"fd00::/129\"] }\n"
           "      - { id: a, type: default, action: deny, ports: 80 }\n"
           "      - { type: default }\n"
           "      - text\n"
           "  d: {}\n",
           "f:1:10: version '2.0' is not known: write version: \"1.0\"\n"
           "f:2:1: unknown key 'defalt_action' in a policy: did you mean 'default_action'?\n"
           "f:5:14: unknown group 'staff': write it under 'groups'\n"
           "f:7:41: 'alow' is no value for 'action': did you mean 'allow'?\n"
           "f:7:62: '10.0.0.1/8' has bits set behind its prefix length: write 10.0.0.0/8, or the address alone\n"
           "f:7:74: '10.0.0.300' is no prefix: write 10.0.0.0/8, fd00::/8, or an address\n"
           "f:7:86: 'fd00::/129' is no prefix: write 10.0.0.0/8, fd00::/8, or an address\n"
           "f:8:9: rule 'a' of type default matches every packet: 'destinations', 'protocol', 'ports' and 'icmp' belong to type ip_cidr\n"
           "f:8:15: rule id 'a' is used twice in client 'c' (first at 7:15)\n"
           "f:9:9: a rule needs 'id'\n"
           "f:9:9: a rule needs 'action'\n"
           "f:10:9: a rule must be a map of 'key: value', not a single value\n"
           "f:11:3: client 'd' needs 'rules' or 'groups'\n");
}

static void values_of_the_wrong_type_are_refused(void **state)
{
    (void)state;
    expect("version: [1.0]\nmetadata: text\ndefault_action:\nlog: some\non_deny: {}\ngroups: []\nclients: ~\n",
           "f:1:10: 'version' must be a single value, not a list\n"
           "f:2:11: 'metadata' must be a map, not a single value\n"
           "f:3:16: 'default_action' must be a single value, not empty\n"
           "f:4:6: 'some' is no value for 'log': use none, first or all\n"
           "f:5:10: 'on_deny' must be a single value, not a map\n"
           "f:6:9: 'groups' must be a map, not a list\n"
           "f:7:10: 'clients' must be a map, not empty\n");
    expect("[]\n", "f:1:1: a policy must be a map of 'key: value', not a list\n");
    expect("{}\n", "f:1:1: a policy needs 'version'\nf:1:1: a policy needs 'clients'\n");
    expect("version: 1.0\nclients: { c: { rules: [], groups: text, description: [] } }\n",
           "f:2:24: 'rules' is empty: write a rule or leave the key out\n"
           "f:2:36: 'groups' must be a list, not a single value\n"
           "f:2:55: 'description' must be a single value, not a list\n");
    expect("version: 1.0\nclients: { [a]: 1, c: 2 }\ngroups: { [b]: {}, g: {}, h: { rules: 7 } }\n",
           "f:2:12: a key must be a single word, not a list or a map\n"
           "f:2:23: a client must be a map of 'key: value', not a single value\n"
           "f:3:11: a key must be a single word, not a list or a map\n"
           "f:3:23: a group needs 'rules'\n"
           "f:3:39: 'rules' must be a list, not a single value\n");
}

static void conditions_are_checked(void **state)
{
    (void)state;
    expect_keys("", "");
    expect_keys("protocol: tpc", "f:5:86: 'tpc' is no protocol: did you mean 'tcp'?\n");
    expect_keys("protocol: [tcp, 256]",
                "f:5:92: '256' is no protocol: use icmp, igmp, tcp, udp, dccp, gre, esp, ah, icmpv6, ospf, pim, sctp or udplite, or a "
                "number up to 255\n");
    expect_keys("protocol: []", "f:5:86: 'protocol' needs 1 to 256 values, not 0\n");
    expect_keys("protocol: [tcp, 17], ports: [80, 8000-8100]", "");
    expect_keys("ports: [0, 65536, 90-80, 1-, -1, http, 80]",
                "f:5:84: '0' is no port: write a number from 1 to 65535, or a range such as 8000-8100\n"
                "f:5:87: '65536' is no port: write a number from 1 to 65535, or a range such as 8000-8100\n"
                "f:5:94: '90-80' is no port: write a number from 1 to 65535, or a range such as 8000-8100\n"
                "f:5:101: '1-' is no port: write a number from 1 to 65535, or a range such as 8000-8100\n"
                "f:5:105: '-1' is no port: write a number from 1 to 65535, or a range such as 8000-8100\n"
                "f:5:109: 'http' is no port: write a number from 1 to 65535, or a range such as 8000-8100\n");
    expect_keys("ports: [[80]]", "f:5:84: 'ports' must be a single value, not a list\n");
    expect_keys("protocol: icmp, ports: 80", "f:5:86: protocol icmp (1) has no ports: use tcp, udp, udplite, dccp or sctp, or leave "
                                             "'ports' out\n");
    expect_keys("direction: both", "f:5:87: 'both' is no value for 'direction': use out or in\n");
    expect_keys("expires_at: tomorrow",
                "f:5:88: 'tomorrow' is no time: write 2030-01-31, 2030-01-31T18:00:00Z or 2030-01-31T18:00:00+02:00\n");
    expect_keys("expires_at: 2030-01-31", "");
    expect_keys("on_deny: icmp", "f:5:76: warning: 'on_deny' does nothing in a rule that allows\n");
    expect_keys("metadata: { a: 1, b: [] }", "f:5:97: 'b' must be a single value, not a list\n");
    expect_keys("metadata: { a: 1, [b]: 2 }", "f:5:94: a key must be a single word, not a list or a map\n");
    expect_keys("colour: red", "f:5:76: unknown key 'colour' in a rule: it knows id, type, action, destinations, protocol, ports, icmp, "
                               "direction, expires_at, log, on_deny, description or metadata\n");
}

static void icmp_entries_are_names_numbers_or_maps(void **state)
{
    (void)state;
    expect_keys("protocol: icmp, icmp: [echo-request, 3, { type: 3, code: 4 }]", "");
    expect_keys("icmp: echo-request", "");
    expect_keys("icmp: 8", "f:5:82: type 8 means different things in ICMP and ICMPv6: write 'protocol: icmp' or 'protocol: icmpv6', or "
                           "use a name\n");
    expect_keys("protocol: tcp, icmp: echo-request",
                "f:5:97: 'echo-request' is no type of this rule's protocol: a rule with 'icmp' has protocol icmp or icmpv6 and no other\n");
    expect_keys("icmp: echo-requets", "f:5:82: 'echo-requets' is no ICMP type: did you mean 'echo-request'?\n");
    expect_keys("protocol: icmp, icmp: packet-too-big", "f:5:98: 'packet-too-big' is no type of this rule's protocol\n");
    expect_keys("icmp: { typ: 8 }", "f:5:82: an entry of 'icmp' needs 'type'\n"
                                    "f:5:84: unknown key 'typ' in an entry of 'icmp': did you mean 'type'?\n");
    expect_keys("protocol: icmp, icmp: { type: 3, code: 256 }", "f:5:115: 'code' must be a number from 0 to 255, not '256'\n");
    expect_keys("icmp: [[]]", "f:5:83: 'icmp' must be a single value, not a list\n");
    expect_keys("protocol: icmp, icmp: { type: [] }", "f:5:106: 'type' must be a single value, not a list\n");
    expect_keys("protocol: icmp, icmp: 900",
                "f:5:98: '900' is no ICMP type: use a number from 0 to 255, or a name such as echo-request\n");
}

static void everything_that_a_rule_can_say_arrives(void **state)
{
    static const char text[] = "version: \"1.0\"\non_deny: icmp\nlog: all\ndefault_action: allow\n"
                               "metadata: { name: n, description: d, owner: me }\n"
                               "groups: { g: { description: d, rules: [{ id: x, type: default, action: deny, direction: in, log: none }] } }\n"
                               "clients:\n  c:\n    description: d\n    groups: [g]\n    rules:\n"
                               "    - id: a\n      type: ip_cidr\n      action: deny\n      destinations: [10.0.0.0/8, 'fd00::1']\n"
                               "      protocol: udp\n      ports: 53\n      expires_at: 1970-01-02\n      on_deny: silent\n"
                               "      description: words\n      metadata: { k: v, n: 7 }\n";
    struct gh_policy_findings f = { 0 };
    struct gh_arena arena = { 0 };
    struct gh_policy_rows rows;
    const struct gh_policy_row_rule *r;

    (void)state;
    assert_int_equal(gh_policy_rows_load(gh_span_str(text), &arena, &f, &rows), 0);
    assert_int_equal(f.count, 0);
    assert_int_equal(rows.on_deny, GH_POLICY_ICMP);
    assert_int_equal(rows.log, GH_POLICY_LOG_ALL);
    assert_int_equal(rows.default_action, GH_POLICY_ALLOW);
    assert_string_equal(rows.description.text, "d");
    assert_int_equal(rows.metadata_count, 3);
    assert_string_equal(rows.clients[0].groups[0].text, "g");
    assert_int_equal(rows.groups[0].rules[0].direction, GH_POLICY_IN);
    assert_int_equal(rows.groups[0].rules[0].log, GH_POLICY_LOG_NONE);
    assert_int_equal(rows.groups[0].rules[0].on_deny, GH_POLICY_ICMP); /* the file's */
    r = &rows.clients[0].rules[0];
    assert_string_equal(r->id.text, "a");
    assert_int_equal(r->pos.line, 12);
    assert_int_equal(r->pos.col, 7);
    assert_int_equal(r->destination_count, 2);
    assert_int_equal(r->destinations[1].prefix.len, 128);
    assert_int_equal(r->protocols[0].number, 17);
    assert_int_equal(r->ports[0].first, 53);
    assert_int_equal(r->ports[0].last, 53);
    assert_int_equal(r->expires_at, 86400);
    assert_int_equal(r->on_deny, GH_POLICY_SILENT);
    assert_int_equal(r->log, GH_POLICY_LOG_ALL); /* the file's */
    assert_string_equal(r->description.text, "words");
    assert_string_equal(r->metadata[1].value, "7");
    gh_arena_fini(&arena);
}

static void too_many_rules_are_refused_before_they_take_memory(void **state)
{
    struct gh_policy_findings f = { 0 };
    struct gh_policy *p = NULL;
    size_t size = 400000, at;
    char *text = malloc(size);

    (void)state;
    at = (size_t)snprintf(text, size, "version: 1.0\nclients: { c: { rules: [");
    for (size_t i = 0; i <= GH_POLICY_RULES_MAX; i++)
        at += (size_t)snprintf(text + at, size - at, "a,");
    at += (size_t)snprintf(text + at, size - at, "] } }\n");
    assert_int_equal(gh_policy_load(gh_span_of(text, at), NULL, &f, &p), GH_ERR_MALFORMED);
    assert_int_equal(f.count, 1);
    assert_string_equal(f.items[0].text, "a policy has at most 100000 rules");
    gh_policy_findings_fini(&f);
    free(text);
}

static void lists_that_are_too_long_are_refused(void **state)
{
    char text[16384];
    size_t at = (size_t)snprintf(text, sizeof text, "%s", HEAD ", metadata: {");

    (void)state;
    for (unsigned i = 0; i <= GH_POLICY_METADATA_MAX; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "k%u: v, ", i);
    snprintf(text + at, sizeof text - at, "}, ports: [");
    at = strlen(text);
    for (unsigned i = 0; i <= GH_POLICY_PORTS_MAX; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%u,", i + 1);
    snprintf(text + at, sizeof text - at, "] }\n");
    expect(text, "f:5:86: 'metadata' has 65 entries, at most 64 are allowed\n"
                 "f:5:607: 'ports' needs 1 to 1024 values, not 1025\n");
}

static void a_file_that_is_not_yaml_is_refused_at_the_place(void **state)
{
    struct gh_policy_findings f = { 0 };

    (void)state;
    assert_null(load("version: \"1.0\"\nclients: {\n", &f));
    assert_int_equal(f.count, 1);
    assert_int_equal(f.items[0].pos.line, 3);
    gh_policy_findings_fini(&f);
}

static void a_client_map_may_be_empty_and_denies_everyone(void **state)
{
    struct gh_policy_findings f = { 0 };
    struct gh_policy *p = load("version: \"1.0\"\nclients: {}\n", &f);

    (void)state;
    assert_int_equal(gh_policy_client_count(p), 0);
    gh_policy_destroy(p);
    gh_policy_findings_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plain_sample_is_read_as_it_is),
        cmocka_unit_test(the_example_lets_client_1_reach_two_addresses_and_client_2_all),
        cmocka_unit_test(every_error_is_reported_in_one_run),
        cmocka_unit_test(values_of_the_wrong_type_are_refused),
        cmocka_unit_test(conditions_are_checked),
        cmocka_unit_test(icmp_entries_are_names_numbers_or_maps),
        cmocka_unit_test(everything_that_a_rule_can_say_arrives),
        cmocka_unit_test(too_many_rules_are_refused_before_they_take_memory),
        cmocka_unit_test(lists_that_are_too_long_are_refused),
        cmocka_unit_test(a_file_that_is_not_yaml_is_refused_at_the_place),
        cmocka_unit_test(a_client_map_may_be_empty_and_denies_everyone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
