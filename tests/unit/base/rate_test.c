#include "base/rate.h"

#include "../test.h"

#define SECOND INT64_C(1000000000)

static void a_rate_allows_its_burst_and_then_its_pace(void **state)
{
    struct gh_rate r;
    int n = 0;

    (void)state;
    gh_rate_init(&r, 10, 5);
    for (int64_t now = 0; now < 10 * SECOND; now += SECOND / 1000) {
        if (!gh_rate_may(&r, now))
            continue;
        gh_rate_take(&r, now);
        n++;
        if (now == 4 * SECOND / 1000)
            assert_int_equal(n, 5);
        if (now == 50 * SECOND / 1000)
            assert_int_equal(n, 5);
    }
    assert_in_range(n, 103, 105);
    gh_rate_init(&r, 0, 5);
    assert_false(gh_rate_may(&r, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_allows_its_burst_and_then_its_pace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
