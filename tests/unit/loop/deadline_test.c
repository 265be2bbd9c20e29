#include "loop/deadline.h"

#include "../test.h"

#define MANY 300

struct probe {
    struct gh_deadline d;
    struct gh_deadlines *h;
    struct probe *other;
    int fired;
    int64_t last, again; /* again: start after so much more */
};

static int64_t previous; /* of the deadlines fired in one call */

static void on_fire(void *arg, int64_t now)
{
    struct probe *p = arg;

    p->fired++;
    p->last = now;
    if (p->again)
        gh_deadline_start(p->h, &p->d, now + p->again - 1);
    if (p->other)
        gh_deadline_stop(p->h, &p->other->d);
}

static void probe_init(struct probe *p, struct gh_deadlines *h)
{
    *p = (struct probe){ .h = h };
    gh_deadline_init(&p->d, on_fire, p);
}

struct ordered {
    struct gh_deadline d;
    int64_t want; /* the naive twin's: GH_NEVER when not started */
    bool fired;
};

static void on_ordered(void *arg, int64_t now)
{
    struct ordered *o = arg;

    assert_true(o->want <= now);
    assert_true(o->want >= previous);
    previous = o->want;
    o->want = GH_NEVER;
    o->fired = true;
}

static void random_work_agrees_with_a_naive_twin(void **state)
{
    struct gh_deadlines h = { 0 };
    static struct ordered all[MANY];
    uint64_t seed = 1;
    int64_t now = 0;

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        gh_deadline_init(&all[i].d, on_ordered, &all[i]);
        all[i].want = GH_NEVER;
    }
    for (int step = 0; step < 200000; step++) {
        struct ordered *o;
        int64_t earliest = GH_NEVER;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        o = &all[(seed >> 33) % MANY];
        if ((seed >> 20) % 4 == 0) {
            gh_deadline_stop(&h, &o->d);
            o->want = GH_NEVER;
        } else {
            o->want = now + (int64_t)((seed >> 40) % 1000);
            gh_deadline_start(&h, &o->d, o->want);
        }
        if (step % 16)
            continue;
        for (size_t i = 0; i < MANY; i++)
            earliest = all[i].want < earliest ? all[i].want : earliest;
        assert_int_equal(gh_deadlines_next(&h), earliest);
        now += (int64_t)((seed >> 50) % 40);
        previous = 0;
        gh_deadlines_fire(&h, now);
        for (size_t i = 0; i < MANY; i++)
            assert_true(all[i].want > now);
    }
}

static void one_that_starts_itself_again_at_once_fires_once_a_call(void **state)
{
    struct gh_deadlines h = { 0 };
    struct probe p;

    (void)state;
    probe_init(&p, &h);
    p.again = 1;
    gh_deadline_start(&h, &p.d, 5);
    gh_deadlines_fire(&h, 4);
    assert_int_equal(p.fired, 0);
    gh_deadlines_fire(&h, 10);
    assert_int_equal(p.fired, 1);
    assert_int_equal(gh_deadlines_next(&h), 10);
    gh_deadlines_fire(&h, 10);
    assert_int_equal(p.fired, 2);
}

static void one_that_another_stops_in_the_same_call_does_not_fire(void **state)
{
    struct gh_deadlines h = { 0 };
    struct probe first, second, third;

    (void)state;
    probe_init(&first, &h);
    probe_init(&second, &h);
    probe_init(&third, &h);
    first.other = &second;
    gh_deadline_start(&h, &first.d, 1);
    gh_deadline_start(&h, &second.d, 2);
    gh_deadline_start(&h, &third.d, 3);
    gh_deadlines_fire(&h, 10);
    assert_int_equal(first.fired, 1);
    assert_int_equal(second.fired, 0);
    assert_int_equal(third.fired, 1);
    assert_int_equal(gh_deadlines_next(&h), GH_NEVER);
}

static void one_that_was_started_in_a_call_can_be_stopped_in_it(void **state)
{
    struct gh_deadlines h = { 0 };
    struct probe first, second;

    (void)state;
    probe_init(&first, &h);
    probe_init(&second, &h);
    first.again = 1;
    second.other = &first;
    gh_deadline_start(&h, &first.d, 1);
    gh_deadline_start(&h, &second.d, 2);
    gh_deadlines_fire(&h, 10);
    assert_int_equal(first.fired, 1);
    assert_int_equal(second.fired, 1);
    assert_false(first.d.started);
    gh_deadlines_fire(&h, 20);
    assert_int_equal(first.fired, 1);
}

static void never_is_a_stop(void **state)
{
    struct gh_deadlines h = { 0 };
    struct probe p;

    (void)state;
    probe_init(&p, &h);
    gh_deadline_start(&h, &p.d, 5);
    gh_deadline_start(&h, &p.d, GH_NEVER);
    assert_int_equal(gh_deadlines_next(&h), GH_NEVER);
    gh_deadlines_fire(&h, GH_NEVER - 1);
    assert_int_equal(p.fired, 0);
    gh_deadline_stop(&h, &p.d);
}

static void a_lenient_deadline_is_late_by_a_sixty_fourth_at_most(void **state)
{
    const int64_t second = INT64_C(1000000000);

    (void)state;
    for (int64_t now = 0; now < INT64_C(1) << 60; now = now * 3 + 12345) {
        for (int64_t away = second; away < 4000 * second; away = away * 9 / 8 + 1) {
            int64_t at = gh_deadline_lenient(now, now + away);

            assert_true(at >= now + away);
            assert_true(at - now - away <= away / 64);
        }
    }
}

static void what_is_near_or_never_is_not_lenient(void **state)
{
    (void)state;
    assert_int_equal(gh_deadline_lenient(123456789, 123456789 + 999999999), 123456789 + INT64_C(999999999));
    assert_int_equal(gh_deadline_lenient(1000, 3), 3);
    assert_int_equal(gh_deadline_lenient(1000, GH_NEVER), GH_NEVER);
    assert_int_equal(gh_deadline_lenient(1000, GH_NEVER - 1), GH_NEVER - 1);
}

static void lenient_deadlines_of_a_thousand_are_few(void **state)
{
    const int64_t second = INT64_C(1000000000);
    int64_t last = -1, moments = 0;

    (void)state;
    for (int64_t i = 0; i < 1000; i++) { /* each of a thousand is to be woken ten seconds from where it is: a hundred a second */
        int64_t now = 77 * second + i * second / 100, at = gh_deadline_lenient(now, now + 10 * second);

        moments += at != last;
        last = at;
    }
    assert_in_range(moments, 60, 160); /* in ten seconds */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_work_agrees_with_a_naive_twin),
        cmocka_unit_test(one_that_starts_itself_again_at_once_fires_once_a_call),
        cmocka_unit_test(one_that_another_stops_in_the_same_call_does_not_fire),
        cmocka_unit_test(one_that_was_started_in_a_call_can_be_stopped_in_it),
        cmocka_unit_test(never_is_a_stop),
        cmocka_unit_test(a_lenient_deadline_is_late_by_a_sixty_fourth_at_most),
        cmocka_unit_test(what_is_near_or_never_is_not_lenient),
        cmocka_unit_test(lenient_deadlines_of_a_thousand_are_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
