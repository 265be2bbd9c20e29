#include "base/arena.h"

#include "../test.h"

static void memory_is_zeroed_and_aligned(void **state)
{
    struct gh_arena a = { 0 };

    (void)state;
    for (size_t i = 0; i < 5000; i++) {
        unsigned char *p = gh_arena_alloc(&a, i % 97);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t j = 0; j < i % 97; j++)
            assert_int_equal(p[j], 0);
        memset(p, 0xee, i % 97);
    }
    gh_arena_fini(&a);
}

static void large_objects_do_not_disturb_small_ones(void **state)
{
    struct gh_arena a = { 0 };
    char *small = gh_arena_copy(&a, "small", 5), *large = gh_arena_alloc(&a, 1000000), *next = gh_arena_copy(&a, "next", 4);

    (void)state;
    memset(large, 1, 1000000);
    assert_string_equal(small, "small");
    assert_string_equal(next, "next");
    assert_in_range((uintptr_t)next, (uintptr_t)small, (uintptr_t)small + 1024); /* still the chunk of before */
    gh_arena_fini(&a);
}

static void a_large_object_may_be_the_first(void **state)
{
    struct gh_arena a = { 0 };

    (void)state;
    assert_non_null(gh_arena_alloc(&a, 1000000));
    gh_arena_fini(&a);
    gh_arena_fini(NULL);
}

static void sizes_that_overflow_are_refused(void **state)
{
    struct gh_arena a = { 0 };

    (void)state;
    assert_null(gh_arena_array(&a, SIZE_MAX / 2, 3));
    assert_null(gh_arena_alloc(&a, SIZE_MAX));
    assert_null(gh_arena_alloc(&a, SIZE_MAX - 63));
    assert_null(gh_arena_copy(&a, "", SIZE_MAX));
    gh_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(large_objects_do_not_disturb_small_ones),
        cmocka_unit_test(a_large_object_may_be_the_first),
        cmocka_unit_test(sizes_that_overflow_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
