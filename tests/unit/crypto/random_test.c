#include "crypto/random.h"

#include "../test.h"

static bool is_zero(const unsigned char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (data[i])
            return false;
    return true;
}

/* 2000 numbers of eight bytes: twice the same comes once in 2^43. */
static void a_pool_gives_out_nothing_twice(void **state)
{
    static uint64_t seen[2000];
    struct gh_random_pool pool = { 0 };
    struct gh_random_source source = gh_random_pool_source(&pool);

    (void)state;
    for (size_t i = 0; i < 2000; i++) {
        assert_int_equal(source.fill(source.arg, &seen[i], 8), 0);
        for (size_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    }
}

static void what_was_given_out_is_wiped(void **state)
{
    struct gh_random_pool pool = { 0 };
    struct gh_random_source source = gh_random_pool_source(&pool);
    unsigned char out[100];

    (void)state;
    for (int i = 0; i < 50; i++) {
        size_t len = (size_t)i * 7 % sizeof out;

        assert_int_equal(source.fill(source.arg, out, len), 0);
        assert_true(pool.left <= sizeof pool.bytes);
        assert_true(is_zero(pool.bytes + pool.left, sizeof pool.bytes - pool.left));
    }
}

static void more_than_a_pool_holds_is_filled_to_the_end(void **state)
{
    struct gh_random_pool pool = { 0 };
    struct gh_random_source source = gh_random_pool_source(&pool);
    unsigned char out[sizeof pool.bytes + 64] = { 0 };

    (void)state;
    assert_int_equal(source.fill(source.arg, out, sizeof out), 0);
    assert_false(is_zero(out, 16));
    assert_false(is_zero(out + sizeof out - 16, 16));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_pool_gives_out_nothing_twice), cmocka_unit_test(what_was_given_out_is_wiped),
                                        cmocka_unit_test(more_than_a_pool_holds_is_filled_to_the_end) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
