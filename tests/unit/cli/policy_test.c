#include "cli/policy.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <jansson.h>

#include "../test.h"

#define POLICY GH_EXAMPLES "/policy.yaml"
#define TESTS GH_EXAMPLES "/policy-tests.yaml"

static char out[262144], err[262144];

static void read_back(int fd, char *buf, size_t size)
{
    ssize_t n = pread(fd, buf, size - 1, 0);

    assert_true(n >= 0);
    buf[n] = 0;
    close(fd);
}

/* Runs the verb with stdout and stderr caught; arguments end with NULL. */
static int run(const char *const *args)
{
    char *argv[24] = { (char *)"policy" };
    int argc = 1, code, out_fd = memfd_create("out", 0), err_fd = memfd_create("err", 0), old_out, old_err;

    for (; args[argc - 1]; argc++)
        argv[argc] = (char *)args[argc - 1];
    fflush(stdout);
    fflush(stderr);
    old_out = dup(1);
    old_err = dup(2);
    dup2(out_fd, 1);
    dup2(err_fd, 2);
    code = gh_cli_policy(argc, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(old_out, 1);
    dup2(old_err, 2);
    close(old_out);
    close(old_err);
    read_back(out_fd, out, sizeof out);
    read_back(err_fd, err, sizeof err);
    return code;
}

#define RUN(...) run((const char *const[]){ __VA_ARGS__, NULL })

/* A file with this text; the name is good until the descriptor is closed. */
static const char *file_of(const char *text, char name[32])
{
    int fd = memfd_create("file", 0);

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    snprintf(name, 32, "/dev/fd/%d", fd);
    return name;
}

static void help_shows_an_example(void **state)
{
    (void)state;
    assert_int_equal(RUN("--help"), 0);
    assert_non_null(strstr(out, "example: gatehouse policy explain"));
    assert_int_equal(RUN("check", "--help"), 0);
    assert_non_null(strstr(out, "example: "));
}

static void a_wrong_command_line_ends_with_2(void **state)
{
    static const char *const cases[][10] = {
        { "chekc" },
        { "check" },
        { "check", POLICY, "more" },
        { "check", POLICY, "third", "fourth" },
        { "check", POLICY, "--wrong" },
        { "test", POLICY },
        { "test", POLICY, TESTS, "--expect", "deny" },
        { "test", POLICY, "--expect", "perhaps" },
        { "test", POLICY, "--expect", "deny" },
        { "explain", POLICY, "more", "--client", "c" },
        { "explain", POLICY },
        { "explain", POLICY, "--client", "c" },
        { "explain", POLICY, "--client", "c", "--direction", "in" },
        { "explain", POLICY, "--client", "c", "--direction", "up" },
        { "explain", POLICY, "--client", "c", "--dst", "1.1.1.1" },
        { "explain", POLICY, "--client", "c", "--dst", "1.1.1" },
        { "explain", POLICY, "--client", "c", "--dst", "1.1.1.1", "--port", "x" },
        { "explain", POLICY, "--client", "c", "--dst", "1.1.1.1", "--protocol", "tpc" },
        { "explain", POLICY, "--client", "c", "--dst", "1.1.1.1", "--protocol", "tcp" },
        { "explain", POLICY, "--client", "c", "--to", "1.1.1.1:53", "--protocol", "gre" },
        { "explain", POLICY, "--client", "c", "--to", "1.1.1.1", "--icmp", "ping" },
        { "explain", POLICY, "--client", "c", "--to", "1.1.1.1", "--icmp", "8/256" },
        { "explain", POLICY, "--client", "c", "--to", "1.1.1.1:1", "--protocol", "tcp", "--icmp=8" },
        { "explain", POLICY, "--client", "c", "--to", "host" },
        { "explain", POLICY, "--client", "c", "--to", "host:53" },
        { "explain", POLICY, "--client", "c", "--to", "[::1" },
        { "explain", POLICY, "--client", "c", "--to", "[::1]53" },
        { "explain", POLICY, "--client", "c", "--to", "[::g]:53" },
        { "explain", POLICY, "--client", "c", "--to", "1.1.1.1:53", "--at", "now" },
    };

    (void)state;
    assert_int_equal(run((const char *const[]){ NULL }), 2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *args[11] = { 0 };

        memcpy(args, cases[i], sizeof cases[i]);
        if (run(args) != 2)
            fail_msg("case %zu: %s", i, err);
        assert_string_not_equal(err, "");
    }
}

static void check_accepts_a_good_file(void **state)
{
    (void)state;
    assert_int_equal(RUN("check", POLICY), 0);
    assert_non_null(strstr(out, ": ok, 2 clients, 1 groups, 4 rules, 0 warnings"));
    assert_string_equal(err, "");
}

static void check_lists_every_error_and_ends_with_1(void **state)
{
    char name[32], want[128];
    const char *file = file_of("version: \"1.0\"\nclinets: {}\n", name);

    (void)state;
    assert_int_equal(RUN("check", file), 1);
    snprintf(want, sizeof want, "%s:2:1: unknown key 'clinets' in a policy: did you mean 'clients'?", file);
    assert_non_null(strstr(err, want));
    assert_non_null(strstr(err, "a policy needs 'clients'"));
    assert_non_null(strstr(out, "rejected, 2 errors"));
    assert_int_equal(RUN("check", "/nonexistent"), 1);
    assert_non_null(strstr(err, "No such file"));
}

static void check_says_how_many_errors_it_did_not_list(void **state)
{
    static char text[40000];
    char name[32];
    size_t at = (size_t)snprintf(text, sizeof text, "version: \"1.0\"\nclients: {}\n");

    (void)state;
    for (unsigned i = 0; i < 1005; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "zzzzzzzzzz%u: 1\n", i);
    assert_int_equal(RUN("check", file_of(text, name)), 1);
    assert_non_null(strstr(err, ": 5 more"));
}

static json_t *answer(void)
{
    json_t *o = json_loads(out, 0, NULL);

    assert_non_null(o);
    assert_int_equal(json_integer_value(json_object_get(o, "format")), 1);
    return o;
}

static void check_answers_in_json(void **state)
{
    char name[32];
    json_t *o, *finding;

    (void)state;
    assert_int_equal(RUN("check", "--json", POLICY), 0);
    o = answer();
    assert_true(json_is_true(json_object_get(o, "ok")));
    assert_int_equal(json_integer_value(json_object_get(o, "rules")), 4);
    json_decref(o);
    assert_int_equal(RUN("check", "--json", file_of("version: 1.0\nclients: 7\n", name)), 1);
    o = answer();
    assert_true(json_is_false(json_object_get(o, "ok")));
    finding = json_array_get(json_object_get(o, "findings"), 0);
    assert_int_equal(json_integer_value(json_object_get(finding, "line")), 2);
    assert_string_equal(json_string_value(json_object_get(finding, "severity")), "error");
    json_decref(o);
}

static void test_passes_with_the_examples(void **state)
{
    json_t *o;

    (void)state;
    assert_int_equal(RUN("test", POLICY, TESTS), 0);
    assert_string_equal(out, "8 passed, 0 failed\n");
    assert_int_equal(RUN("test", POLICY, TESTS, "--json"), 0);
    o = answer();
    assert_int_equal(json_integer_value(json_object_get(o, "passed")), 8);
    assert_int_equal(json_array_size(json_object_get(o, "tests")), 8);
    json_decref(o);
}

static void test_ends_with_1_when_one_is_not_as_expected(void **state)
{
    char name[32];
    const char *tests = file_of("version: \"1.0\"\ntests:\n"
                                "  - { name: wrong rule, client: client-1, dst: 1.1.1.1, port: 53, expect: allow, rule: rest }\n"
                                "  - { client: client-2, dst: 1.1.1.1, port: 53, expect: allow }\n",
                                name);

    (void)state;
    assert_int_equal(RUN("test", POLICY, tests), 1);
    assert_non_null(strstr(out, ":3:5: wrong rule: client-1 out, to 1.1.1.1, tcp port 53"));
    assert_non_null(strstr(out, "expected allow by rule 'rest', got allow by rule 'resolvers'"));
    assert_non_null(strstr(out, "1 passed, 1 failed"));
    assert_int_equal(RUN("test", POLICY, file_of("version: \"1.0\"\ntests: []\n", name)), 1); /* nothing was proven */
    assert_int_equal(RUN("test", POLICY, file_of("tests: 7\n", name)), 1);
    assert_non_null(strstr(err, "'tests' must be a list"));
    assert_int_equal(RUN("test", POLICY, "/nonexistent"), 1);
    assert_int_equal(RUN("test", file_of("{}", name), TESTS), 1);
    assert_non_null(strstr(err, "needs 'version'"));
}

static void test_takes_one_packet_from_the_command_line(void **state)
{
    (void)state;
    assert_int_equal(RUN("test", POLICY, "--from", "client-1", "--to", "1.1.1.1:53", "--protocol", "udp", "--expect", "allow", "--rule",
                         "resolvers"), 0);
    assert_int_equal(RUN("test", POLICY, "--from", "client-1", "--to", "1.1.1.1:53", "--expect", "deny"), 1);
    assert_int_equal(RUN("test", POLICY, "--from", "client-2", "--to", "[2001:db8::1]:443", "--expect", "allow", "--json"), 0);
    assert_int_equal(RUN("test", POLICY, "--from", "client-2", "--to", "[2001:db8::1]", "--icmp", "echo-reply", "--expect", "allow"), 0);
}

static void explain_shows_the_rule_and_why_not_the_others(void **state)
{
    (void)state;
    assert_int_equal(RUN("explain", POLICY, "--client", "client-1", "--dst", "9.9.9.9", "--protocol", "udp", "--port", "53"), 0);
    assert_non_null(strstr(out, "client-1 out, to 9.9.9.9, udp port 53"));
    assert_non_null(strstr(out, "rule 'resolvers': other_destination"));
    assert_non_null(strstr(out, "deny by rule 'rest' of client 'client-1'"));
    assert_non_null(strstr(out, "counted as 'policy'"));
}

static void explain_names_the_reason_without_a_rule(void **state)
{
    (void)state;
    assert_int_equal(RUN("explain", POLICY, "--client", "nobody", "--to", "9.9.9.9", "--protocol", "47"), 0);
    assert_non_null(strstr(out, "deny by unknown_client"));
    assert_int_equal(RUN("explain", POLICY, "--client", "client-1", "--direction", "in", "--src", "9.9.9.9", "--protocol", "200"), 0);
    assert_non_null(strstr(out, "client-1 in, from 9.9.9.9, 200\n"));
    assert_non_null(strstr(out, "deny by no_inbound_rule"));
    assert_non_null(strstr(out, "rule 'watchman': other_destination"));
}

static void explain_falls_back_to_default_action(void **state)
{
    char name[32];
    const char *file = file_of("version: \"1.0\"\ndefault_action: deny\non_deny: icmp\nclients: { c: { rules: [{ id: a, type: ip_cidr, "
                               "action: allow, destinations: [10.0.0.0/8], expires_at: 2030-01-01 }] } }\n",
                               name);

    (void)state;
    assert_int_equal(RUN("explain", file, "--client", "c", "--to", "10.0.0.1:80", "--at", "2030-01-01"), 0);
    assert_non_null(strstr(out, "rule 'a': expired"));
    assert_non_null(strstr(out, "deny by default_action"));
    assert_non_null(strstr(out, "ICMP administratively prohibited"));
}

static void explain_answers_in_json(void **state)
{
    json_t *o, *verdict, *rules;

    (void)state;
    assert_int_equal(RUN("explain", POLICY, "--client", "client-1", "--direction", "in", "--src", "fd00:100::fa", "--protocol", "icmpv6",
                         "--json"), 0);
    o = answer();
    verdict = json_object_get(o, "verdict");
    rules = json_object_get(o, "rules");
    assert_string_equal(json_string_value(json_object_get(verdict, "action")), "allow");
    assert_string_equal(json_string_value(json_object_get(json_object_get(verdict, "rule"), "id")), "watchman");
    assert_int_equal(json_array_size(rules), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(rules, 0), "step")), "other_direction");
    assert_string_equal(json_string_value(json_object_get(json_array_get(rules, 2), "step")), "matched");
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_shows_an_example),
        cmocka_unit_test(a_wrong_command_line_ends_with_2),
        cmocka_unit_test(check_accepts_a_good_file),
        cmocka_unit_test(check_lists_every_error_and_ends_with_1),
        cmocka_unit_test(check_says_how_many_errors_it_did_not_list),
        cmocka_unit_test(check_answers_in_json),
        cmocka_unit_test(test_passes_with_the_examples),
        cmocka_unit_test(test_ends_with_1_when_one_is_not_as_expected),
        cmocka_unit_test(test_takes_one_packet_from_the_command_line),
        cmocka_unit_test(explain_shows_the_rule_and_why_not_the_others),
        cmocka_unit_test(explain_names_the_reason_without_a_rule),
        cmocka_unit_test(explain_falls_back_to_default_action),
        cmocka_unit_test(explain_answers_in_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
