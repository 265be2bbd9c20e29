#include "core/policy_tests_load.h"

#include <stdio.h>

#include "../test.h"

#include "base/error.h"

/* Loads one test in flow style. */
static const struct gh_policy_test *load_one(const char *test, struct gh_arena *arena)
{
    struct gh_policy_findings f = { 0 };
    const struct gh_policy_test *tests = NULL;
    size_t count = 0;
    char text[1024];

    snprintf(text, sizeof text, "version: \"1.0\"\ntests:\n  - %s\n", test);
    if (gh_policy_tests_load(gh_span_str(text), arena, &f, &tests, &count) < 0)
        fail_msg("%s", f.count ? f.items[0].text : "no finding");
    assert_int_equal(count, 1);
    gh_policy_findings_fini(&f);
    return tests;
}

static void expect_error(const char *test, const char *finding)
{
    struct gh_policy_findings f = { 0 };
    struct gh_arena arena = { 0 };
    const struct gh_policy_test *tests = NULL;
    size_t count = 0;
    char text[1024];

    snprintf(text, sizeof text, "version: \"1.0\"\ntests:\n  - %s\n", test);
    assert_int_equal(gh_policy_tests_load(gh_span_str(text), &arena, &f, &tests, &count), GH_ERR_MALFORMED);
    assert_int_equal(f.count, 1);
    if (!strstr(f.items[0].text, finding))
        fail_msg("expected '%s', got '%s'", finding, f.items[0].text);
    assert_int_equal(f.items[0].pos.line, 3);
    gh_arena_fini(&arena);
    gh_policy_findings_fini(&f);
}

static void a_port_alone_means_tcp(void **state)
{
    struct gh_arena arena = { 0 };
    const struct gh_policy_test *t = load_one("{ client: c, dst: 10.0.0.1, port: 443, expect: allow, rule: r, name: n }", &arena);

    (void)state;
    assert_int_equal(t->query.protocol, 6);
    assert_int_equal(t->query.dst_port, 443);
    assert_int_equal(t->query.wall_seconds, -1);
    assert_int_equal(t->expect, GH_POLICY_ALLOW);
    assert_string_equal(t->rule, "r");
    assert_string_equal(t->name, "n");
    assert_int_equal(t->pos.col, 5);
    gh_arena_fini(&arena);
}

static void icmp_follows_the_family(void **state)
{
    struct gh_arena arena = { 0 };
    const struct gh_policy_test *t = load_one("{ client: c, dst: 'fd00::1', icmp: echo-reply, expect: deny }", &arena);

    (void)state;
    assert_int_equal(t->query.protocol, 58);
    assert_int_equal(t->query.icmp_type, 129);
    t = load_one("{ client: c, direction: in, src: 10.0.0.1, icmp: { type: 3, code: 4 }, expect: deny }", &arena);
    assert_int_equal(t->query.protocol, 1);
    assert_int_equal(t->query.icmp_type, 3);
    assert_int_equal(t->query.icmp_code, 4);
    t = load_one("{ client: c, dst: 10.0.0.1, protocol: icmp, expect: deny, at: 1970-01-02 }", &arena);
    assert_int_equal(t->query.icmp_type, 8);
    assert_int_equal(t->query.wall_seconds, 86400);
    t = load_one("{ client: c, dst: 'fd00::1', protocol: icmpv6, expect: deny }", &arena);
    assert_int_equal(t->query.icmp_type, 128);
    gh_arena_fini(&arena);
}

static void tests_that_do_not_add_up_are_refused(void **state)
{
    static const char *const cases[][2] = {
        { "{ dst: 10.0.0.1, port: 1, expect: deny }", "a test needs 'client'" },
        { "{ client: c, dst: 10.0.0.1, port: 1 }", "a test needs 'expect'" },
        { "{ client: c, port: 1, expect: deny }", "direction out needs 'dst'" },
        { "{ client: c, direction: in, dst: 10.0.0.1, port: 1, expect: deny }", "direction in needs 'src'" },
        { "{ client: c, dst: 10.0.0.1, expect: deny }", "needs 'protocol', 'port' or 'icmp'" },
        { "{ client: c, dst: 10.0.0.1, port: 1, icmp: 8, expect: deny }", "'port' or 'icmp', not both" },
        { "{ client: c, dst: 10.0.0.1, protocol: gre, port: 1, expect: deny }", "has no ports" },
        { "{ client: c, dst: 10.0.0.1, protocol: tcp, expect: deny }", "needs 'port'" },
        { "{ client: c, dst: 10.0.0.1/8, port: 1, expect: deny }", "is no address" },
        { "{ client: c, dst: [], port: 1, expect: deny }", "'dst' must be a single value" },
        { "{ client: c, dst: 10.0.0.1, port: 70000, expect: deny }", "'port' must be a number from 0 to 65535" },
        { "{ client: c, dst: 10.0.0.1, port: 1, expect: perhaps }", "'perhaps' is no value for 'expect'" },
        { "{ client: c, dst: 10.0.0.1, prot: tcp, port: 1, expect: deny }", "unknown key 'prot' in a test" },
        { "{ client: c, dst: 10.0.0.1, protocol: tcp, icmp: 8, expect: deny }", "type 8 means different things" },
        { "text", "a test must be a map" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_error(cases[i][0], cases[i][1]);
}

static void a_file_of_another_version_or_shape_is_refused(void **state)
{
    static const char *const cases[] = { "version: 3\ntests: []\n", "version: 1.0\ntests: {}\n", "version: 1.0\n", "tests: []\n", "- 1\n", "" };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gh_policy_findings f = { 0 };
        struct gh_arena arena = { 0 };
        const struct gh_policy_test *tests = NULL;
        size_t count = 0;

        assert_int_equal(gh_policy_tests_load(gh_span_str(cases[i]), &arena, &f, &tests, &count), GH_ERR_MALFORMED);
        assert_int_equal(f.errors, 1);
        gh_arena_fini(&arena);
        gh_policy_findings_fini(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_alone_means_tcp),
        cmocka_unit_test(icmp_follows_the_family),
        cmocka_unit_test(tests_that_do_not_add_up_are_refused),
        cmocka_unit_test(a_file_of_another_version_or_shape_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
