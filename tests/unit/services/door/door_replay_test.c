#include "services/door/door_replay.h"

#include <stdio.h>

#include "../../test.h"

#define DAY INT64_C(86400)
#define NOW INT64_C(1800000000)

static struct door_replay *make(size_t max)
{
    static const uint8_t key[DOOR_REPLAY_KEY] = { 1, 2, 3 };
    struct door_replay *r = NULL;

    assert_int_equal(door_replay_create(key, max, &r), 0);
    return r;
}

static bool seen(struct door_replay *r, unsigned flight, int64_t wall, int64_t window)
{
    char text[32];

    snprintf(text, sizeof text, "flight %u", flight);
    return door_replay_seen(r, gh_span_str(text), wall, window);
}

static void a_flight_comes_once_in_the_window(void **state)
{
    struct door_replay *r = make(DOOR_REPLAY_MAX);

    (void)state;
    assert_false(seen(r, 1, NOW, DAY));
    assert_false(seen(r, 2, NOW, DAY));
    assert_true(seen(r, 1, NOW, DAY));
    assert_true(seen(r, 1, NOW + DAY - 1, DAY));
    assert_false(seen(r, 1, NOW + DAY, DAY)); /* and is new from here */
    assert_true(seen(r, 1, NOW + DAY + 1, DAY));
    assert_false(seen(r, 2, NOW + DAY, DAY));
    assert_int_equal(door_replay_count(r), 2);
    door_replay_destroy(r);
}

static void a_clock_that_is_set_back_forgets_nothing(void **state)
{
    struct door_replay *r = make(DOOR_REPLAY_MAX);

    (void)state;
    assert_false(seen(r, 1, NOW, DAY));
    assert_true(seen(r, 1, NOW - 10 * DAY, DAY));
    door_replay_destroy(r);
}

static void a_shorter_window_counts_at_once_and_none_remembers_none(void **state)
{
    struct door_replay *r = make(DOOR_REPLAY_MAX);

    (void)state;
    assert_false(seen(r, 1, NOW, DAY));
    assert_false(seen(r, 1, NOW + 60, 60));
    assert_false(seen(r, 2, NOW, 0));
    assert_false(seen(r, 2, NOW, 0));
    door_replay_destroy(r);
}

static void many_flights_are_told_apart_while_it_grows(void **state)
{
    enum { COUNT = 20000 };
    struct door_replay *r = make(DOOR_REPLAY_MAX);

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        assert_false(seen(r, i, NOW + i / 100, DAY));
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(seen(r, i, NOW + COUNT / 100, DAY));
    assert_int_equal(door_replay_count(r), COUNT);
    for (unsigned i = COUNT; i-- > 0;) /* half of them are too old */
        assert_int_equal(seen(r, i, NOW + DAY + 99, DAY), i / 100 > 99);
    door_replay_destroy(r);
}

static void when_it_is_full_the_oldest_goes(void **state)
{
    enum { MAX = DOOR_REPLAY_SHARDS * 4, COUNT = 10 * MAX };
    struct door_replay *r = make(MAX);
    unsigned kept = 0;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        assert_false(seen(r, i, NOW + i, DAY * 1000));
    assert_int_equal(door_replay_count(r), MAX);
    assert_true(seen(r, COUNT - 1, NOW + COUNT, DAY * 1000));
    for (unsigned i = 0; i < COUNT / 2; i++) /* what it asks for takes the place of what is kept */
        kept += seen(r, i, NOW + COUNT, DAY * 1000);
    assert_int_equal(kept, 0);
    door_replay_destroy(r);
}

static void records_carry_it_over_a_restart(void **state)
{
    struct door_replay *a = make(DOOR_REPLAY_MAX), *b = make(DOOR_REPLAY_MAX);
    uint8_t file[200 * DOOR_REPLAY_RECORD];
    size_t len = 0, more;

    (void)state;
    assert_false(door_replay_has_news(a));
    for (unsigned i = 0; i < 150; i++)
        assert_false(seen(a, i, NOW + i, DAY));
    assert_true(door_replay_has_news(a));
    while ((more = door_replay_next(a, file + len, 10 * DOOR_REPLAY_RECORD + 7)) > 0)
        len += more;
    assert_int_equal(len, 150 * DOOR_REPLAY_RECORD);
    assert_false(door_replay_has_news(a));
    /* the last record was cut, and the first ten are too old */
    assert_int_equal(door_replay_load(b, gh_span_of(file, len - 1), NOW + DAY + 9, DAY), 139);
    assert_false(door_replay_has_news(b));
    assert_true(seen(b, 10, NOW + DAY + 9, DAY));
    assert_false(seen(b, 9, NOW + DAY + 9, DAY));
    assert_false(seen(b, 149, NOW + DAY + 9, DAY));
    door_replay_destroy(a);
    door_replay_destroy(b);
}

static void a_dump_has_all_that_is_young_enough(void **state)
{
    struct door_replay *a = make(DOOR_REPLAY_MAX), *b = make(DOOR_REPLAY_MAX);

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        assert_false(seen(a, i, NOW + i, DAY));
    for (unsigned i = 0; i < DOOR_REPLAY_SHARDS; i++) {
        size_t len;
        uint8_t *records = door_replay_dump(a, i, NOW + DAY + 499, DAY, &len);

        assert_true(len != SIZE_MAX);
        door_replay_load(b, gh_span_of(records, len), NOW + DAY + 499, DAY);
        free(records);
    }
    assert_int_equal(door_replay_count(a), 500);
    assert_int_equal(door_replay_count(b), 500);
    for (unsigned i = 500; i < 1000; i++)
        assert_true(seen(b, i, NOW + DAY + 499, DAY));
    door_replay_destroy(a);
    door_replay_destroy(b);
}

static void another_key_has_other_digests(void **state)
{
    static const uint8_t key[DOOR_REPLAY_KEY] = { 9 };
    struct door_replay *a = make(DOOR_REPLAY_MAX), *b = NULL;
    uint8_t one[DOOR_REPLAY_RECORD], two[DOOR_REPLAY_RECORD];

    (void)state;
    assert_int_equal(door_replay_create(key, DOOR_REPLAY_MAX, &b), 0);
    assert_false(seen(a, 1, NOW, DAY));
    assert_false(seen(b, 1, NOW, DAY));
    assert_int_equal(door_replay_next(a, one, sizeof one), sizeof one);
    assert_int_equal(door_replay_next(b, two, sizeof two), sizeof two);
    assert_memory_not_equal(one, two, DOOR_REPLAY_DIGEST);
    assert_memory_equal(one + DOOR_REPLAY_DIGEST, two + DOOR_REPLAY_DIGEST, 8);
    door_replay_destroy(a);
    door_replay_destroy(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flight_comes_once_in_the_window),
        cmocka_unit_test(a_clock_that_is_set_back_forgets_nothing),
        cmocka_unit_test(a_shorter_window_counts_at_once_and_none_remembers_none),
        cmocka_unit_test(many_flights_are_told_apart_while_it_grows),
        cmocka_unit_test(when_it_is_full_the_oldest_goes),
        cmocka_unit_test(records_carry_it_over_a_restart),
        cmocka_unit_test(a_dump_has_all_that_is_young_enough),
        cmocka_unit_test(another_key_has_other_digests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
