#include "priv/program.h"

#include "../test.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

static const char *const shell[] = { "/nonexistent/sh", "/bin/sh", NULL };

static int run(const char *script, const char *in, char **ret_out)
{
    const char *const argv[] = { "sh", "-c", script, NULL };

    return gh_program_run(shell, argv, in, strlen(in), ret_out);
}

static void a_program_reads_what_it_is_given_and_says_what_it_says(void **state)
{
    char *out;

    (void)state;
    assert_int_equal(run("cat; echo more >&2", "text\n", &out), 0);
    assert_string_equal(out, "text\nmore\n");
    free(out);
    assert_int_equal(run(":", "", &out), 0);
    assert_string_equal(out, "");
    free(out);
    assert_int_equal(run("echo nobody listens", "", NULL), 0);
}

static void a_program_that_fails_has_said_why(void **state)
{
    char *out;

    (void)state;
    assert_int_equal(run("echo no; exit 3", "", &out), GH_ERR_SYSTEM);
    assert_string_equal(out, "no\n");
    free(out);
    assert_int_equal(run("kill -9 $$", "", &out), GH_ERR_SYSTEM);
    assert_string_equal(out, "");
    free(out);
}

static void a_program_that_is_not_there_is_not_found(void **state)
{
    static const char *const nowhere[] = { "/nonexistent/sh", "/nonexistent/ash", NULL }, *const argv[] = { "sh", NULL };
    char *out;

    (void)state;
    assert_int_equal(gh_program_run(nowhere, argv, "", 0, &out), GH_ERR_NOT_FOUND);
    assert_null(out);
}

static void a_program_sees_nothing_of_our_surroundings(void **state)
{
    char *out;

    (void)state;
    assert_int_equal(setenv("GATEHOUSE_SECRET", "word", 1), 0);
    assert_int_equal(run("echo $GATEHOUSE_SECRET; echo $LC_ALL", "", &out), 0);
    assert_string_equal(out, "\nC\n");
    free(out);
}

static void no_process_is_left_behind(void **state)
{
    (void)state;
    assert_int_equal(run(":", "", NULL), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_reads_what_it_is_given_and_says_what_it_says),
        cmocka_unit_test(a_program_that_fails_has_said_why),
        cmocka_unit_test(a_program_that_is_not_there_is_not_found),
        cmocka_unit_test(a_program_sees_nothing_of_our_surroundings),
        cmocka_unit_test(no_process_is_left_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
