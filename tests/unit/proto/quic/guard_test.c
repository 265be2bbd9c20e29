/* A failed assertion under a guard comes back to the entry; the thread goes on. */
#include "proto/quic/guard.h"

#include <assert.h>
#include <pthread.h>

#include "../../test.h"

/* Stands for the library: fails below a few frames of its own. */
static __attribute__((noinline)) void library(int depth, int good)
{
    if (depth > 0)
        library(depth - 1, good);
    assert(good && "state of the library");
}

/* An entry into the library, as the engine writes them. True when an assertion failed. */
static bool enter(int good, char text[160])
{
    struct gh_guard g;

    if (GH_GUARD_ENTER(&g)) {
        memcpy(text, g.text, sizeof g.text);
        return true;
    }
    library(5, good);
    gh_guard_leave(&g);
    return false;
}

static void a_failed_assertion_returns_to_the_entry_with_its_text(void **state)
{
    char text[160] = "";

    (void)state;
    assert_true(enter(0, text));
    assert_non_null(strstr(text, "guard_test.c:"));
    assert_non_null(strstr(text, "good && \"state of the library\""));
    assert_null(*gh_guard_top());
}

static void entries_after_a_failure_work(void **state)
{
    char text[160] = "";

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(enter(i % 3 != 0, text), i % 3 == 0);
    assert_null(*gh_guard_top());
}

/* An inner entry that is made by a callback of the library: its failure is its own. */
static void an_inner_failure_leaves_the_outer_guard_in_force(void **state)
{
    struct gh_guard outer;
    static volatile int came;
    char text[160] = "";

    (void)state;
    came = 0;
    if (GH_GUARD_ENTER(&outer)) {
        came++;
        assert_non_null(strstr(outer.text, "state of the library"));
    } else {
        assert_true(enter(0, text));
        assert_ptr_equal(*gh_guard_top(), &outer);
        assert_false(enter(1, text));
        assert_ptr_equal(*gh_guard_top(), &outer);
        library(2, 0); /* now the outer one's */
        fail_msg("an assertion that failed returned");
    }
    assert_int_equal(came, 1);
    assert_null(*gh_guard_top());
}

static void long_text_is_cut(void **state)
{
    struct gh_guard g;

    (void)state;
    if (GH_GUARD_ENTER(&g) == 0) {
        assert(!"a text that is longer than what a guard keeps: 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 "
                "0123456789 0123456789 0123456789 0123456789 0123456789");
        fail_msg("an assertion that failed returned");
    }
    assert_int_equal(strlen(g.text), sizeof g.text - 1);
}

static void *other_thread(void *arg)
{
    char text[160] = "";

    if (*gh_guard_top() == NULL && enter(0, text))
        *(bool *)arg = *gh_guard_top() == NULL;
    return NULL;
}

static void each_thread_has_its_own_guards(void **state)
{
    struct gh_guard g;
    pthread_t t;
    static bool fine;

    (void)state;
    if (GH_GUARD_ENTER(&g) != 0)
        fail_msg("another thread's assertion came here");
    assert_int_equal(pthread_create(&t, NULL, other_thread, &fine), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_ptr_equal(*gh_guard_top(), &g);
    gh_guard_leave(&g);
    assert_true(fine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_assertion_returns_to_the_entry_with_its_text),
        cmocka_unit_test(entries_after_a_failure_work),
        cmocka_unit_test(an_inner_failure_leaves_the_outer_guard_in_force),
        cmocka_unit_test(long_text_is_cut),
        cmocka_unit_test(each_thread_has_its_own_guards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
