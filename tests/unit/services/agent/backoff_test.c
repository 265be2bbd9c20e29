#include "services/agent/agent_backoff.h"

#include "../../test.h"

#define MS INT64_C(1000000)

/* The largest wait that the next draw could give: limit - 1, which the largest multiple of the limit less one draws. */
static int64_t largest(struct gh_agent_backoff *b)
{
    return gh_agent_backoff_next(b, (uint64_t)b->limit - 1) + 1;
}

static void the_limit_doubles_from_the_first_wait_to_the_longest(void **state)
{
    static const int64_t limits[] = { 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000 };
    struct gh_agent_backoff b;

    (void)state;
    gh_agent_backoff_init(&b, 200 * MS, 30000 * MS);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        assert_int_equal(largest(&b), limits[i] * MS);
}

static void a_wait_is_drawn_from_nothing_up_to_the_limit(void **state)
{
    struct gh_agent_backoff b;

    (void)state;
    gh_agent_backoff_init(&b, 1000, 1000);
    assert_int_equal(gh_agent_backoff_next(&b, 0), 0);
    assert_int_equal(gh_agent_backoff_next(&b, 999), 999);
    assert_int_equal(gh_agent_backoff_next(&b, 1000), 0);
    assert_in_range(gh_agent_backoff_next(&b, UINT64_MAX), 0, 999);
}

static void a_reset_makes_the_next_wait_a_first_one(void **state)
{
    struct gh_agent_backoff b;

    (void)state;
    gh_agent_backoff_init(&b, 200, 30000);
    (void)gh_agent_backoff_next(&b, 0);
    (void)gh_agent_backoff_next(&b, 0);
    gh_agent_backoff_reset(&b);
    assert_int_equal(largest(&b), 200);
}

static void the_largest_times_do_not_overflow(void **state)
{
    struct gh_agent_backoff b;

    (void)state;
    gh_agent_backoff_init(&b, INT64_MAX / 2 + 1, INT64_MAX);
    (void)gh_agent_backoff_next(&b, 7);
    assert_int_equal(b.limit, INT64_MAX);
    assert_true(gh_agent_backoff_next(&b, UINT64_MAX) >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_doubles_from_the_first_wait_to_the_longest),
        cmocka_unit_test(a_wait_is_drawn_from_nothing_up_to_the_limit),
        cmocka_unit_test(a_reset_makes_the_next_wait_a_first_one),
        cmocka_unit_test(the_largest_times_do_not_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
