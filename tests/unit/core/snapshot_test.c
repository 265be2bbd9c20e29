#include "core/snapshot.h"

#include <sched.h>

#include "../test.h"

static _Atomic int destroyed;

struct pair {
    unsigned a, b;
};

static void pair_destroy(void *value)
{
    struct pair *p = value;

    p->a = 1;
    p->b = 2;
    free(p);
    atomic_fetch_add(&destroyed, 1);
}

static struct pair *pair_of(unsigned n)
{
    struct pair *p = malloc(sizeof *p);

    assert_non_null(p);
    *p = (struct pair){ n, n };
    return p;
}

static void a_version_lives_until_its_last_holder_lets_go(void **state)
{
    struct gh_snapshot s;
    struct gh_snapshot_reader one = { 0 }, two = { 0 };
    struct pair *p;

    (void)state;
    atomic_store(&destroyed, 0);
    assert_int_equal(gh_snapshot_init(&s), 0);
    assert_null(gh_snapshot_refresh(&s, &one));
    assert_int_equal(gh_snapshot_swap(&s, pair_of(7), pair_destroy), 0);
    assert_int_equal(gh_snapshot_generation(&s), 1);
    p = gh_snapshot_refresh(&s, &one);
    assert_int_equal(p->a, 7);
    assert_ptr_equal(gh_snapshot_refresh(&s, &two), p);
    assert_false(gh_snapshot_changed(&s, &one));
    assert_int_equal(gh_snapshot_swap(&s, pair_of(8), pair_destroy), 0);
    assert_true(gh_snapshot_changed(&s, &one));
    assert_int_equal(p->a, 7); /* held still */
    p = gh_snapshot_refresh(&s, &one);
    assert_int_equal(p->a, 8);
    assert_int_equal(atomic_load(&destroyed), 0);
    gh_snapshot_release(&two);
    assert_int_equal(atomic_load(&destroyed), 1);
    gh_snapshot_fini(&s);
    assert_int_equal(p->a, 8);
    gh_snapshot_release(&one);
    assert_int_equal(atomic_load(&destroyed), 2);
}

struct shared {
    struct gh_snapshot snapshot;
    _Atomic bool done;
};

static void *read_on(void *arg)
{
    struct shared *s = arg;
    struct gh_snapshot_reader r = { 0 };
    unsigned last = 0;
    uintptr_t bad = 0;

    while (!atomic_load(&s->done)) {
        const struct pair *p = gh_snapshot_refresh(&s->snapshot, &r);

        bad |= p->a != p->b || p->a < last;
        last = p->a;
    }
    gh_snapshot_release(&r);
    return (void *)bad;
}

static void readers_see_whole_versions_in_order_while_they_change(void **state)
{
    enum { VERSIONS = 2000 };
    struct shared s = { .done = false };
    pthread_t threads[3];

    (void)state;
    atomic_store(&destroyed, 0);
    assert_int_equal(gh_snapshot_init(&s.snapshot), 0);
    assert_int_equal(gh_snapshot_swap(&s.snapshot, pair_of(10), pair_destroy), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &s), 0);
    for (unsigned n = 11; n < 10 + VERSIONS; n++) {
        assert_int_equal(gh_snapshot_swap(&s.snapshot, pair_of(n), pair_destroy), 0);
        if (n % 64 == 0)
            sched_yield();
    }
    atomic_store(&s.done, true);
    for (int i = 0; i < 3; i++) {
        void *bad;

        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
    gh_snapshot_fini(&s.snapshot);
    assert_int_equal(atomic_load(&destroyed), VERSIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_version_lives_until_its_last_holder_lets_go),
                                        cmocka_unit_test(readers_see_whole_versions_in_order_while_they_change) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
