#include "cli/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/policy_options.h"
#include "cli/policy_output.h"
#include "core/policy_load.h"
#include "core/policy_tests_load.h"

enum { EXIT_GOOD = 0, EXIT_CHECK = 1, EXIT_USAGE = 2 };

static const char usage[] =
    "usage: gatehouse policy check FILE [--json]\n"
    "       gatehouse policy test FILE TESTS [--json]\n"
    "       gatehouse policy test FILE --from CLIENT --to ADDRESS[:PORT] --expect allow|deny [--rule ID] [packet] [--json]\n"
    "       gatehouse policy explain FILE --client NAME --dst ADDRESS [packet] [--json]\n"
    "       gatehouse policy explain FILE --client NAME --direction in --src ADDRESS [packet] [--json]\n"
    "\n"
    "  check    reads the file and lists everything that is wrong with it\n"
    "  test     compares verdicts with what was expected; TESTS is a YAML file\n"
    "  explain  says what becomes of one packet, by which rule, and why the rules before it did not decide\n"
    "\n"
    "packet: --protocol NAME|NUMBER  --port NUMBER (the destination's; means tcp without --protocol)\n"
    "        --icmp NAME|TYPE[/CODE]  --src ADDRESS  --dst ADDRESS  --at TIME (now)\n"
    "FILE may be '-' for standard input. exit codes: 0 ok, 1 check failed, 2 wrong command line.\n"
    "\n"
    "example: gatehouse policy explain examples/policy.yaml --client client-1 --dst 9.9.9.9 --protocol udp --port 53\n";

static int wrong_usage(const char *text, const char *arg)
{
    fprintf(stderr, "gatehouse policy: %s%s\nSee 'gatehouse policy --help'.\n", text, arg);
    return EXIT_USAGE;
}

/* The whole file on the heap, or one byte more than a policy may have. 0, GH_ERR_SYSTEM after a line on stderr, GH_ERR_MEMORY. */
static int read_file(const char *name, uint8_t **ret, size_t *ret_len)
{
    bool standard = strcmp(name, "-") == 0;
    FILE *f = standard ? stdin : fopen(name, "re");
    size_t len = 0, cap = 65536, got = 1;
    uint8_t *bytes = NULL, *bigger;
    int rc = f ? 0 : GH_ERR_SYSTEM;

    while (rc == 0 && got > 0 && len <= GH_POLICY_FILE_MAX) {
        bigger = realloc(bytes, cap);
        if (!bigger) {
            rc = GH_ERR_MEMORY;
            break;
        }
        bytes = bigger;
        got = fread(bytes + len, 1, cap - len, f);
        len += got;
        if (len == cap)
            cap *= 2;
        if (ferror(f))
            rc = GH_ERR_SYSTEM;
    }
    if (rc == GH_ERR_SYSTEM)
        fprintf(stderr, "gatehouse policy: %s: %s\n", name, strerror(errno));
    if (f && !standard)
        fclose(f);
    if (rc < 0) {
        free(bytes);
        return rc;
    }
    *ret = bytes;
    *ret_len = len;
    return 0;
}

static int load_policy(const char *file, struct gh_policy_findings *findings, struct gh_policy **ret)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = read_file(file, &bytes, &len);

    if (rc == 0)
        rc = gh_policy_load(gh_span_of(bytes, len), NULL, findings, ret);
    free(bytes);
    if (rc < 0 && rc != GH_ERR_MALFORMED && rc != GH_ERR_SYSTEM)
        fprintf(stderr, "gatehouse policy: %s: %s\n", file,
                rc == GH_ERR_FULL ? "too many rules that expire overlap: the policy cannot be compiled" : gh_error_text(rc));
    return rc;
}

static int check_json(const char *file, const struct gh_policy *p, const struct gh_policy_findings *f)
{
    json_t *o = json_pack("{s:i, s:s, s:b, s:I, s:I, s:o}", "format", GH_CLI_POLICY_FORMAT, "file", file, "ok", p != NULL, "errors",
                          (json_int_t)f->errors, "warnings", (json_int_t)f->warnings, "findings", gh_cli_policy_findings_json(f));

    if (o && p) {
        json_object_set_new(o, "clients", json_integer((json_int_t)gh_policy_client_count(p)));
        json_object_set_new(o, "groups", json_integer((json_int_t)gh_policy_group_count(p)));
        json_object_set_new(o, "rules", json_integer((json_int_t)gh_policy_rule_count(p)));
    }
    return gh_cli_policy_print_json(o);
}

static int run_check(const struct gh_cli_policy_options *o)
{
    struct gh_policy_findings findings = { 0 };
    struct gh_policy *p = NULL;
    int code = load_policy(o->file, &findings, &p) == 0 ? EXIT_GOOD : EXIT_CHECK;

    if (o->json) {
        if (check_json(o->file, p, &findings))
            code = EXIT_CHECK;
    } else {
        gh_cli_policy_print_findings(&findings, o->file);
        if (p)
            printf("%s: ok, %zu clients, %zu groups, %zu rules, %zu warnings\n", o->file, gh_policy_client_count(p),
                   gh_policy_group_count(p), gh_policy_rule_count(p), findings.warnings);
        else
            printf("%s: rejected, %zu errors, %zu warnings\n", o->file, findings.errors, findings.warnings);
    }
    gh_policy_destroy(p);
    gh_policy_findings_fini(&findings);
    return code;
}

/* Loads for a verb that needs a good policy; errors go to stderr. */
static struct gh_policy *open_policy(const char *file)
{
    struct gh_policy_findings findings = { 0 };
    struct gh_policy *p = NULL;

    if (load_policy(file, &findings, &p) < 0)
        gh_cli_policy_print_findings(&findings, file);
    gh_policy_findings_fini(&findings);
    return p;
}

struct tally {
    const struct gh_policy *policy;
    const char *policy_file, *tests_file;
    json_t *list; /* NULL: for people */
    int64_t now;
    size_t passed, failed;
};

static bool run_one(struct tally *t, const struct gh_policy_test *test)
{
    struct gh_policy_query q = test->query;
    struct gh_policy_verdict v;
    char packet[512], verdict[1024];
    bool ok;

    if (q.wall_seconds < 0)
        q.wall_seconds = t->now;
    q.client = gh_policy_client_find(t->policy, test->client);
    v = gh_policy_evaluate(t->policy, &q);
    ok = v.action == test->expect && (!test->rule || (v.rule && strcmp(v.rule->id, test->rule) == 0));
    if (t->list)
        json_array_append_new(t->list,
                              json_pack("{s:s*, s:i, s:b, s:s, s:s*, s:o, s:o}", "name", test->name, "line", (int)test->pos.line, "ok",
                                        ok, "expect", test->expect == GH_POLICY_ALLOW ? "allow" : "deny", "expect_rule", test->rule,
                                        "packet", gh_cli_policy_query_json(&q, test->client), "verdict",
                                        gh_cli_policy_verdict_json(&v)));
    else if (!ok)
        printf("FAIL %s:%u:%u: %s%s%s\n     expected %s%s%s%s, got %s\n", t->tests_file, test->pos.line, test->pos.col,
               test->name ? test->name : "", test->name ? ": " : "",
               gh_cli_policy_query_emit(&q, test->client, packet, sizeof packet), test->expect == GH_POLICY_ALLOW ? "allow" : "deny",
               test->rule ? " by rule '" : "", test->rule ? test->rule : "", test->rule ? "'" : "",
               gh_cli_policy_verdict_emit(&v, t->policy_file, verdict, sizeof verdict));
    return ok;
}

static int run_all(const struct gh_cli_policy_options *o, const struct gh_policy *p, const struct gh_policy_test *tests, size_t count)
{
    struct tally t = { .policy = p, .policy_file = o->file, .tests_file = o->tests ? o->tests : "command line",
                       .now = o->query.wall_seconds, .list = o->json ? json_array() : NULL };
    int code;

    for (size_t i = 0; i < count; i++) {
        if (run_one(&t, &tests[i]))
            t.passed++;
        else
            t.failed++;
    }
    code = t.failed || count == 0 ? EXIT_CHECK : EXIT_GOOD;
    if (!o->json) {
        printf("%zu passed, %zu failed\n", t.passed, t.failed);
        return code;
    }
    if (gh_cli_policy_print_json(json_pack("{s:i, s:s, s:b, s:I, s:I, s:o}", "format", GH_CLI_POLICY_FORMAT, "file", o->file, "ok",
                                           code == EXIT_GOOD, "passed", (json_int_t)t.passed, "failed", (json_int_t)t.failed, "tests",
                                           t.list)))
        code = EXIT_CHECK;
    return code;
}

static int test_file(const struct gh_cli_policy_options *o, const struct gh_policy *p)
{
    struct gh_policy_findings findings = { 0 };
    struct gh_arena arena = { 0 };
    const struct gh_policy_test *tests = NULL;
    uint8_t *bytes = NULL;
    size_t len = 0, count = 0;
    int code = EXIT_CHECK, rc = read_file(o->tests, &bytes, &len);

    if (rc == 0)
        rc = gh_policy_tests_load(gh_span_of(bytes, len), &arena, &findings, &tests, &count);
    gh_cli_policy_print_findings(&findings, o->tests);
    if (rc == 0)
        code = run_all(o, p, tests, count);
    gh_arena_fini(&arena);
    gh_policy_findings_fini(&findings);
    free(bytes);
    return code;
}

static int run_test(struct gh_cli_policy_options *o)
{
    struct gh_policy *p;
    int code = EXIT_CHECK;

    if (!o->tests) {
        if (!o->expects)
            return wrong_usage("test needs a file of tests, or --expect allow|deny and a packet", "");
        if (gh_cli_policy_options_finish(o) < 0)
            return EXIT_USAGE;
    } else if (o->expects || o->client) {
        return wrong_usage("test takes a file of tests or one packet, not both", "");
    }
    p = open_policy(o->file);
    if (p && o->tests) {
        code = test_file(o, p);
    } else if (p) {
        struct gh_policy_test one = { .client = o->client, .query = o->query, .expect = o->expect, .rule = o->rule };

        code = run_all(o, p, &one, 1);
    }
    gh_policy_destroy(p);
    return code;
}

struct story {
    json_t *list; /* NULL: for people */
    size_t count;
};

static void on_rule(void *arg, const struct gh_policy_rule *r, enum gh_policy_step step)
{
    struct story *s = arg;
    json_t *o;

    if (s->list) {
        o = gh_cli_policy_rule_json(r);
        json_object_set_new(o, "step", json_string(gh_policy_step_name(step)));
        json_array_append_new(s->list, o);
        return;
    }
    if (s->count++ == 0)
        printf("rules in order:\n");
    printf("  %s %u:%u %s '%s' rule '%s': %s\n", step == GH_POLICY_MATCHED ? "=>" : "  ", r->pos.line, r->pos.col,
           r->in_group ? "group" : "client", r->list, r->id, gh_policy_step_name(step));
}

static int run_explain(struct gh_cli_policy_options *o)
{
    struct gh_policy_verdict v;
    struct story story = { 0 };
    char text[1024];
    struct gh_policy *p;
    int code = EXIT_GOOD;

    if (o->tests)
        return wrong_usage("explain takes one file; one too many: ", o->tests);
    if (gh_cli_policy_options_finish(o) < 0)
        return EXIT_USAGE;
    p = open_policy(o->file);
    if (!p)
        return EXIT_CHECK;
    o->query.client = gh_policy_client_find(p, o->client);
    if (o->json)
        story.list = json_array();
    else
        printf("%s\n", gh_cli_policy_query_emit(&o->query, o->client, text, sizeof text));
    if (gh_policy_explain(p, &o->query, on_rule, &story, &v) < 0) {
        fprintf(stderr, "gatehouse policy: the matcher and its explanation disagree; please report this policy\n");
        code = EXIT_CHECK;
    }
    if (o->json) {
        if (gh_cli_policy_print_json(json_pack("{s:i, s:s, s:o, s:o, s:o}", "format", GH_CLI_POLICY_FORMAT, "file", o->file, "packet",
                                               gh_cli_policy_query_json(&o->query, o->client), "verdict",
                                               gh_cli_policy_verdict_json(&v), "rules", story.list)))
            code = EXIT_CHECK;
    } else {
        printf("%s\n", gh_cli_policy_verdict_emit(&v, o->file, text, sizeof text));
        if (v.action == GH_POLICY_DENY)
            printf("the sender hears %s; counted as '%s'\n", v.on_deny == GH_POLICY_ICMP ? "ICMP administratively prohibited" : "nothing",
                   gh_drop_name(gh_policy_verdict_drop(&v)));
    }
    gh_policy_destroy(p);
    return code;
}

int gh_cli_policy(int argc, char **argv)
{
    struct gh_cli_policy_options o;
    const char *verb = argc > 1 ? argv[1] : NULL;

    if (!verb)
        return wrong_usage("say what to do: check, test or explain", "");
    if (strcmp(verb, "--help") == 0 || strcmp(verb, "help") == 0) {
        fputs(usage, stdout);
        return EXIT_GOOD;
    }
    if (strcmp(verb, "check") != 0 && strcmp(verb, "test") != 0 && strcmp(verb, "explain") != 0)
        return wrong_usage("check, test or explain, not ", verb);
    if (gh_cli_policy_options_parse(argc - 1, argv + 1, &o) < 0)
        return wrong_usage("wrong command line", "");
    if (o.help) {
        fputs(usage, stdout);
        return EXIT_GOOD;
    }
    if (!o.file)
        return wrong_usage("name the policy file", "");
    if (strcmp(verb, "check") == 0)
        return o.tests ? wrong_usage("check takes one file; one too many: ", o.tests) : run_check(&o);
    return strcmp(verb, "test") == 0 ? run_test(&o) : run_explain(&o);
}
