/* --watch: its argument, and how it ends. That it goes on is seen end to end (tests/e2e/test_admin.py). */
#include "cli/watch.h"

#include <signal.h>
#include <stdio.h>

#include "../test.h"
#include "cli/cli.h"

static void the_pause_may_be_left_out(void **state)
{
    static const struct {
        const char *argv[6];
        int seconds, left;
    } cases[] = {
        { { "status" }, 0, 1 },
        { { "status", "--watch" }, 2, 1 },
        { { "status", "--watch", "5" }, 5, 1 },
        { { "status", "--watch=7" }, 7, 1 },
        { { "status", "--watch", "--json" }, 2, 2 },
        { { "status", "--json", "--watch", "3600" }, 3600, 2 },
        { { "status", "--watch", "x" }, 2, 2 }, /* the verb refuses what is left */
        { { "status", "--watch", "0" }, -1, 1 },
        { { "status", "--watch=" }, -1, 1 },
        { { "status", "--watch=3601" }, -1, 1 },
        { { "status", "--watch=5s" }, -1, 1 },
        { { "status", "--watching" }, 0, 2 },
        { { "status", "--", "--watch" }, 0, 3 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *argv[7] = { NULL };
        int argc = 0;

        for (; argc < 6 && cases[i].argv[argc]; argc++)
            argv[argc] = (char *)(uintptr_t)cases[i].argv[argc];
        assert_int_equal(gh_watch_take(&argc, argv), cases[i].seconds);
        assert_int_equal(argc, cases[i].left);
    }
}

struct shown {
    int code, raise;
    unsigned times;
};

static int show(void *arg, FILE *out)
{
    struct shown *s = arg;

    s->times++;
    fprintf(out, "picture %u\n", s->times);
    if (s->raise)
        raise(s->raise); /* waits until the picture is drawn */
    return s->code;
}

static void read_all(FILE *f, char *ret, size_t cap)
{
    rewind(f);
    ret[fread(ret, 1, cap - 1, f)] = 0;
    fclose(f);
}

static void a_signal_ends_it_well_and_pictures_are_plain_in_a_file(void **state)
{
    static const int signals[] = { SIGINT, SIGTERM };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        /* whether the thing that is watched is well is not the question: 75 goes on */
        struct shown s = { i ? GH_EXIT_TRY_LATER : GH_EXIT_OK, signals[i], 0 };
        FILE *f = tmpfile();
        char text[100];

        assert_non_null(f);
        assert_int_equal(gh_watch_run(3600, show, &s, f), GH_EXIT_OK);
        assert_int_equal(s.times, 1);
        read_all(f, text, sizeof text);
        assert_string_equal(text, "picture 1\n");
    }
}

static void a_first_picture_that_fails_ends_it_with_its_code(void **state)
{
    struct shown s = { GH_EXIT_UNREACHABLE, 0, 0 };
    FILE *f = tmpfile();

    (void)state;
    assert_non_null(f);
    assert_int_equal(gh_watch_run(3600, show, &s, f), GH_EXIT_UNREACHABLE);
    assert_int_equal(gh_watch_run(0, show, &s, f), GH_EXIT_UNREACHABLE);
    assert_int_equal(s.times, 2);
    fclose(f);
}

static void an_output_that_is_gone_ends_it_well(void **state)
{
    struct shown s = { GH_EXIT_OK, 0, 0 };
    FILE *f = fopen("/dev/full", "w");

    (void)state;
    assert_non_null(f);
    assert_int_equal(gh_watch_run(3600, show, &s, f), GH_EXIT_OK);
    assert_int_equal(s.times, 1);
    fclose(f);
}

static void times_and_losses_are_short(void **state)
{
    char text[32];

    (void)state;
    gh_watch_emit_rtt(text, sizeof text, 12345);
    assert_string_equal(text, "12.3 ms");
    gh_watch_emit_rtt(text, sizeof text, 0);
    assert_string_equal(text, "-");
    gh_watch_emit_loss(text, sizeof text, 400, 5);
    assert_string_equal(text, "1.25 %");
    gh_watch_emit_loss(text, sizeof text, 0, 0);
    assert_string_equal(text, "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pause_may_be_left_out),
        cmocka_unit_test(a_signal_ends_it_well_and_pictures_are_plain_in_a_file),
        cmocka_unit_test(a_first_picture_that_fails_ends_it_with_its_code),
        cmocka_unit_test(an_output_that_is_gone_ends_it_well),
        cmocka_unit_test(times_and_losses_are_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
