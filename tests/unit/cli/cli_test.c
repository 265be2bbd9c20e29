#include "cli/cli.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "cli/check.h"
#include "cli/config.h"
#include "core/node_conf.h"

static const struct gh_conf_section *const sections[] = { &gh_conf_section_node, &gh_conf_section_log, NULL };

static int say(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        printf("%s\n", argv[i]);
    return GH_EXIT_DRIFT;
}

static const struct gh_cli_verb verbs[] = {
    { "say", .run = say, .summary = "repeats" },
    { "check", .run_with = gh_cli_check_here, .summary = "checks", .usage = gh_cli_check_usage, .arg = sections },
    { "config", .run_with = gh_cli_config, .summary = "shows", .usage = gh_cli_config_usage, .arg = sections },
    { "remote", .run_with = gh_cli_check, .summary = "checks elsewhere", .usage = gh_cli_check_usage },
    { 0 },
};

/* Runs a command line with both outputs in <ret>. */
static int run(char *const line[], char *ret, size_t cap)
{
    FILE *file = tmpfile();
    char *argv[8] = { 0 };
    int argc = 0, saved[2] = { dup(1), dup(2) }, code;
    ssize_t n;

    assert_non_null(file);
    while (line[argc]) {
        argv[argc] = line[argc];
        argc++;
    }
    fflush(stdout);
    dup2(fileno(file), 1);
    dup2(fileno(file), 2);
    code = gh_cli_main(verbs, argc, argv);
    fflush(stdout);
    dup2(saved[0], 1);
    dup2(saved[1], 2);
    close(saved[0]);
    close(saved[1]);
    n = pread(fileno(file), ret, cap - 1, 0);
    assert_true(n >= 0);
    ret[n] = 0;
    fclose(file);
    return code;
}

#define RUN(...) run((char *const[]){ (char[]){ "/usr/bin/gatehouse" }, __VA_ARGS__ __VA_OPT__(, ) NULL }, out, sizeof out)

static char file_path[64];

static char *file_with(const char *text)
{
    int fd;

    strcpy(file_path, "/tmp/gatehouse-cli-XXXXXX");
    fd = mkstemp(file_path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return file_path;
}

static void a_verb_gets_its_arguments_and_gives_the_exit_code(void **state)
{
    char out[4096];

    (void)state;
    assert_int_equal(RUN("say", "a", "--help"), GH_EXIT_DRIFT);
    assert_string_equal(out, "say\na\n--help\n");
}

static void help_and_version_are_answered_for_all(void **state)
{
    char out[4096];

    (void)state;
    assert_int_equal(RUN("--help"), GH_EXIT_OK);
    assert_non_null(strstr(out, "usage: gatehouse VERB"));
    assert_non_null(strstr(out, "  config       shows\n"));
    assert_int_equal(RUN("check", "--help"), GH_EXIT_OK);
    assert_non_null(strstr(out, "example: gatehouse check"));
    assert_non_null(strstr(out, "gatehouse check: checks\n\nusage: gatehouse check [--json] FILE"));
    assert_int_equal(RUN("help", "config"), GH_EXIT_OK);
    assert_non_null(strstr(out, "example: gatehouse config show"));
    assert_non_null(strstr(out, "usage: gatehouse config show --effective [--json] FILE\n       gatehouse config man\n\n"));
    assert_int_equal(RUN("--version"), GH_EXIT_OK);
    assert_string_equal(out, "gatehouse " GH_VERSION "\n");
    assert_int_equal(RUN("--version", "--json"), GH_EXIT_OK);
    assert_string_equal(out, "{\"version\":1,\"program\":\"gatehouse\",\"release\":\"" GH_VERSION "\"}\n");
}

static void a_wrong_command_line_is_usage(void **state)
{
    char out[4096];

    (void)state;
    assert_int_equal(RUN(), GH_EXIT_USAGE);
    assert_int_equal(RUN("chekc"), GH_EXIT_USAGE);
    assert_string_equal(out, "gatehouse: there is no verb \"chekc\"; did you mean \"check\"?\n");
    assert_int_equal(RUN("zzzzzz"), GH_EXIT_USAGE);
    assert_non_null(strstr(out, "gatehouse --help lists them"));
    assert_int_equal(RUN("check"), GH_EXIT_USAGE);
    assert_int_equal(RUN("config", "show", "x.yaml"), GH_EXIT_USAGE);
    assert_int_equal(RUN("config", "show", "--effective"), GH_EXIT_USAGE);
    assert_int_equal(RUN("config"), GH_EXIT_USAGE);
    /* what was wrong is not pushed off the screen by all that --help has to say */
    assert_non_null(strstr(out, " config: say what to do: show or man\nusage: "));
    assert_non_null(strstr(out, " config man\n"));
    assert_non_null(strstr(out, " config --help says more\n"));
    assert_null(strstr(out, "example"));
}

static void each_form_of_a_verb_has_the_programs_name(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    gh_cli_print_usage("prog", "walk FAST\n            SLOW\n       walk --back\n       walker\n\n  --back  walk is\n", true, out);
    fclose(out);
    assert_string_equal(text, "usage: prog walk FAST\n            SLOW\n       prog walk --back\n       prog walker\n\n  --back  walk is\n\n");
    free(text);
}

static void check_prints_errors_as_text_and_as_json(void **state)
{
    char out[4096], expected[1024], *path = file_with("node:\n  workers: 64\n");

    (void)state;
    assert_int_equal(RUN("check", path), GH_EXIT_CHECK_FAILED);
    snprintf(expected, sizeof expected, "%s:2:12: node.workers is \"64\"; it must be a whole number between 0 and 63\n", path);
    assert_string_equal(out, expected);
    assert_int_equal(RUN("check", "--json", path), GH_EXIT_CHECK_FAILED);
    snprintf(expected, sizeof expected,
             "{\"version\":1,\"file\":\"%s\",\"ok\":false,\"errors\":[{\"file\":\"%s\",\"line\":2,\"column\":12,\"message\":"
             "\"node.workers is \\\"64\\\"; it must be a whole number between 0 and 63\"}]}\n", path, path);
    assert_string_equal(out, expected);
    unlink(path);
    path = file_with("node: {}\n");
    assert_int_equal(RUN("check", path), GH_EXIT_OK);
    snprintf(expected, sizeof expected, "%s: ok\n", path);
    assert_string_equal(out, expected);
    unlink(path);
}

static void config_shows_what_counts(void **state)
{
    char out[65536], *path = file_with("node: {workers: 3}\n");

    (void)state;
    assert_int_equal(RUN("config", "show", "--effective", path), GH_EXIT_OK);
    assert_non_null(strstr(out, "node:\n  workers: 3  # "));
    assert_int_equal(RUN("config", "show", "--json", "--effective", path), GH_EXIT_OK);
    assert_non_null(strstr(out, "\"workers\":{\"value\":3,\"origin\":\"file\""));
    unlink(path);
    assert_int_equal(RUN("config", "show", "--effective", "/nonexistent"), GH_EXIT_CHECK_FAILED);
    assert_int_equal(RUN("config", "man"), GH_EXIT_OK);
    assert_non_null(strstr(out, ".SS node\n"));
}

/* A stand-in beside this test's binary prints what it was given, as the program would print errors. */
static void check_runs_the_program_beside_it_and_hands_its_answer_on(void **state)
{
    char out[4096], program[4096], expected[2048], *path = file_with("agent: {}\n");
    char *slash;
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 32);
    FILE *script;

    (void)state;
    assert_true(n > 0);
    program[n] = 0;
    slash = strrchr(program, '/');
    strcpy(slash + 1, "gatehouse-agent");
    script = fopen(program, "w");
    assert_non_null(script);
    fputs("#!/bin/sh\necho \"$2:3:4: $1 failed\"\necho \"$2: as a whole\" >&2\nexit 1\n", script);
    fclose(script);
    assert_int_equal(chmod(program, 0755), 0);
    assert_int_equal(RUN("remote", path), GH_EXIT_CHECK_FAILED);
    snprintf(expected, sizeof expected, "%s:3:4: check failed\n%s: as a whole\n", path, path);
    assert_string_equal(out, expected);
    assert_int_equal(RUN("remote", "--json", path), GH_EXIT_CHECK_FAILED);
    snprintf(expected, sizeof expected,
             "{\"version\":1,\"file\":\"%s\",\"ok\":false,\"errors\":[{\"file\":\"%s\",\"line\":3,\"column\":4,\"message\":\"check "
             "failed\"},{\"file\":\"%s\",\"message\":\"as a whole\"}]}\n", path, path, path);
    assert_string_equal(out, expected);
    unlink(program);
    unlink(path);
}

static void options_are_taken_out_of_the_arguments(void **state)
{
    char a[] = "verb", b[] = "--name=x", c[] = "--flag", d[] = "file", e[] = "--other", f[] = "y", g[] = "--", h[] = "--flag";
    char *argv[] = { a, b, c, d, e, f, g, h, NULL };
    int argc = 8;

    (void)state;
    assert_string_equal(gh_cli_take_option(&argc, argv, "--name"), "x");
    assert_string_equal(gh_cli_take_option(&argc, argv, "--other"), "y");
    assert_null(gh_cli_take_option(&argc, argv, "--none"));
    assert_true(gh_cli_take_flag(&argc, argv, "--flag"));
    assert_false(gh_cli_take_flag(&argc, argv, "--flag")); /* what follows -- is no option */
    assert_int_equal(argc, 4);
    assert_ptr_equal(argv[1], d);
    assert_ptr_equal(argv[3], h);
    assert_null(argv[4]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verb_gets_its_arguments_and_gives_the_exit_code),
        cmocka_unit_test(help_and_version_are_answered_for_all),
        cmocka_unit_test(a_wrong_command_line_is_usage),
        cmocka_unit_test(each_form_of_a_verb_has_the_programs_name),
        cmocka_unit_test(check_prints_errors_as_text_and_as_json),
        cmocka_unit_test(config_shows_what_counts),
        cmocka_unit_test(check_runs_the_program_beside_it_and_hands_its_answer_on),
        cmocka_unit_test(options_are_taken_out_of_the_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
