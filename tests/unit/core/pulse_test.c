#include "core/pulse.h"

#include "../test.h"

#include <semaphore.h>
#include <stdio.h>

#define SECOND INT64_C(1000000000)

struct fixture {
    struct gh_workers *workers;
    struct gh_pulse pulse;
    sem_t held, go;
    int64_t now;
};

static int setup(void **state)
{
    const struct gh_workers_config cfg = { .count = 2, .name = "unit" };
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->now = 100 * SECOND;
    assert_int_equal(sem_init(&f->held, 0, 0), 0);
    assert_int_equal(sem_init(&f->go, 0, 0), 0);
    assert_int_equal(gh_workers_create(&cfg, &f->workers), 0);
    assert_int_equal(gh_workers_start(f->workers), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    gh_workers_destroy(f->workers);
    sem_destroy(&f->held);
    sem_destroy(&f->go);
    free(f);
    return 0;
}

static void ignore(struct gh_worker *w, void *arg)
{
    (void)w;
    (void)arg;
}

/* Every worker has passed turns since the last beat. */
static void let_turn(struct fixture *f)
{
    for (unsigned i = 0; i < 2; i++)
        for (uint64_t before = gh_worker_ticks(gh_workers_at(f->workers, i)); gh_worker_ticks(gh_workers_at(f->workers, i)) == before;)
            assert_int_equal(gh_worker_call(gh_workers_at(f->workers, i), ignore, NULL), 0);
}

static void hold(struct gh_worker *w, void *arg)
{
    struct fixture *f = arg;

    (void)w;
    sem_post(&f->held);
    sem_wait(&f->go);
}

static bool beat(struct fixture *f)
{
    f->now += SECOND;
    return gh_pulse_beat(&f->pulse, f->now);
}

static void workers_that_turn_are_alive_and_feed_the_watchdog(void **state)
{
    static const char *const env[] = { "HOME=/", "WATCHDOG_USEC=20000000", "WATCHDOG_PID=42", NULL };
    struct fixture *f = *state;

    gh_pulse_init(&f->pulse, f->workers, env, 42);
    assert_true(gh_pulse_alive(&f->pulse, f->now));
    for (int i = 0; i < 10; i++) {
        let_turn(f);
        assert_true(beat(f));
        assert_true(gh_pulse_alive(&f->pulse, f->now));
        assert_int_equal(gh_pulse_next(&f->pulse), f->now + SECOND);
        assert_false(gh_pulse_beat(&f->pulse, f->now + SECOND - 1)); /* too early */
    }
}

static void one_stuck_worker_starves_the_watchdog_and_is_not_alive_for_long(void **state)
{
    static const char *const env[] = { "WATCHDOG_USEC=20000000", NULL };
    struct fixture *f = *state;
    int64_t stuck;

    gh_pulse_init(&f->pulse, f->workers, env, 42);
    let_turn(f);
    assert_true(beat(f));
    assert_int_equal(gh_worker_run(gh_workers_at(f->workers, 1), hold, f), 0);
    sem_wait(&f->held);
    beat(f); /* what it did before it stuck may count once */
    stuck = f->now;
    while (f->now < stuck + GH_PULSE_PATIENCE)
        assert_false(beat(f));
    assert_false(gh_pulse_alive(&f->pulse, f->now));
    sem_post(&f->go);
    let_turn(f);
    assert_true(beat(f));
    assert_true(gh_pulse_alive(&f->pulse, f->now));
}

static void a_watchdog_is_fed_four_times_in_its_time_and_only_when_it_is_ours(void **state)
{
    static const char *const quick[] = { "WATCHDOG_USEC=400000", "WATCHDOG_PID=42", NULL };
    static const char *const another[] = { "WATCHDOG_USEC=400000", "WATCHDOG_PID=43", NULL };
    static const char *const bad[] = { "WATCHDOG_USEC=soon", "WATCHDOG_PID=42", NULL };
    struct fixture *f = *state;

    gh_pulse_init(&f->pulse, f->workers, quick, 42);
    assert_true(f->pulse.watchdog);
    assert_int_equal(f->pulse.interval, SECOND / 10);
    gh_pulse_init(&f->pulse, f->workers, another, 42);
    let_turn(f);
    assert_false(beat(f));
    gh_pulse_init(&f->pulse, f->workers, bad, 42);
    let_turn(f);
    assert_false(beat(f));
    gh_pulse_init(&f->pulse, f->workers, NULL, 42);
    let_turn(f);
    assert_false(beat(f));
    assert_true(gh_pulse_alive(&f->pulse, f->now)); /* nobody waits for it, and it beats all the same */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(workers_that_turn_are_alive_and_feed_the_watchdog, setup, teardown),
        cmocka_unit_test_setup_teardown(one_stuck_worker_starves_the_watchdog_and_is_not_alive_for_long, setup, teardown),
        cmocka_unit_test_setup_teardown(a_watchdog_is_fed_four_times_in_its_time_and_only_when_it_is_ours, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
