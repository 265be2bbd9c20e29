/* What size of packets a path carries: first flight, black holes, the search after one. */
#include "proto/quic/pmtu.h"

#include "../../test.h"

#define RAISE INT64_C(600000000000)

static struct gh_quic_pmtu fresh(void)
{
    struct gh_quic_pmtu p;

    gh_quic_pmtu_init(&p, 1452);
    return p;
}

/* RFC 9484, section 7.2. */
static void the_first_flight_is_1331_then_1200(void **state)
{
    struct gh_quic_pmtu p = fresh();

    (void)state;
    assert_int_equal(gh_quic_pmtu_first_flight(&p), 1331);
    assert_int_equal(gh_quic_pmtu_carries(&p, 1200, 0), 1200);
    gh_quic_pmtu_on_timeout(&p);
    assert_int_equal(gh_quic_pmtu_first_flight(&p), 1200);
    gh_quic_pmtu_on_answer(&p);
    assert_int_equal(gh_quic_pmtu_carries(&p, 1200, 0), 1200);
    assert_int_equal(gh_quic_pmtu_carries(&p, 1400, 0), 1400); /* a probe of the library knows better */
}

static void an_answer_to_the_first_flight_proves_its_size(void **state)
{
    struct gh_quic_pmtu p = fresh();

    (void)state;
    gh_quic_pmtu_on_answer(&p);
    assert_int_equal(gh_quic_pmtu_carries(&p, 1200, 0), 1331);
    gh_quic_pmtu_on_timeout(&p); /* of a later flight */
    assert_int_equal(gh_quic_pmtu_carries(&p, 1200, 0), 1331);
}

static bool shrink(struct gh_quic_pmtu *p, size_t size, int64_t now)
{
    bool hole = false;

    for (int i = 0; i < 8 && !hole; i++)
        hole = gh_quic_pmtu_on_lost(p, size, now + i / 3);
    return hole;
}

static void large_ones_lost_in_three_batches_are_a_black_hole(void **state)
{
    struct gh_quic_pmtu p = fresh();

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_false(gh_quic_pmtu_on_lost(&p, 1452, 5)); /* one batch: a blackout, a full queue */
    gh_quic_pmtu_on_acked(&p, 1452);
    for (int i = 0; i < 7; i++)
        assert_false(gh_quic_pmtu_on_lost(&p, 1452, 6 + i));
    assert_true(gh_quic_pmtu_on_lost(&p, 1452, 13));
    assert_int_equal(p.cap, 1200);
}

static void random_loss_of_large_and_small_is_none(void **state)
{
    struct gh_quic_pmtu p = fresh();

    (void)state;
    for (int64_t i = 0; i < 10000; i++) {
        if (i % 3)
            assert_false(gh_quic_pmtu_on_lost(&p, i % 2 ? 1452 : 1300, i));
        else
            gh_quic_pmtu_on_acked(&p, 1452);
        assert_false(gh_quic_pmtu_on_lost(&p, 1200, i));
    }
}

/* What is smaller than all that is lost may get through: that is what a narrow path looks like. */
static void smaller_ones_that_arrive_do_not_hide_it(void **state)
{
    struct gh_quic_pmtu p = fresh();
    bool hole = false;

    (void)state;
    for (int64_t i = 0; i < 8; i++) {
        hole |= gh_quic_pmtu_on_lost(&p, 1452, i);
        gh_quic_pmtu_on_acked(&p, 1330);
    }
    assert_true(hole);
}

/* Packets of all sizes, and some are lost without being too long: only those that are all lost count. */
static void a_size_that_arrives_excuses_what_is_not_larger(void **state)
{
    struct gh_quic_pmtu p = fresh();
    bool hole = false;

    (void)state;
    for (int64_t i = 0; i < 20 && !hole; i++) {
        hole = gh_quic_pmtu_on_lost(&p, 1250, i); /* by chance */
        gh_quic_pmtu_on_acked(&p, 1300);
        hole |= gh_quic_pmtu_on_lost(&p, (size_t)(1340 + 5 * i), i);
    }
    assert_true(hole);
    p = fresh();
    for (int64_t i = 0; i < 1000; i++) {
        assert_false(gh_quic_pmtu_on_lost(&p, (size_t)(1250 + i % 50), i));
        gh_quic_pmtu_on_acked(&p, 1300);
    }
}

/* Many short ones in a packet: what arrived before the path shrank says nothing about later. */
static void an_episode_that_is_over_is_forgotten(void **state)
{
    struct gh_quic_pmtu p = fresh();

    (void)state;
    assert_false(gh_quic_pmtu_on_lost(&p, 1452, 1));
    gh_quic_pmtu_on_acked(&p, 1452);
    assert_true(shrink(&p, 1340, 100));
}

/* A queue that overflowed let every other one through; the losses are told one by one when nothing is under way any more. */
static void what_was_sent_before_something_as_large_that_arrived_is_excused(void **state)
{
    struct gh_quic_pmtu p = fresh();

    (void)state;
    for (uint64_t order = 1; order <= 200; order += 2)
        gh_quic_pmtu_note(&p, 1452, order);
    for (uint64_t order = 2; order <= 198; order += 2)
        assert_true(gh_quic_pmtu_excuses(&p, 1452, order));
    assert_false(gh_quic_pmtu_excuses(&p, 1452, 200));
    assert_false(gh_quic_pmtu_excuses(&p, 1453, 100));
    gh_quic_pmtu_note(&p, 1300, 210); /* so early it says nothing new of larger ones, nor against the older one */
    assert_true(gh_quic_pmtu_excuses(&p, 1400, 100));
    assert_false(gh_quic_pmtu_excuses(&p, 1300, 205));
    gh_quic_pmtu_note(&p, 1300, 400); /* only such ones are sent */
    assert_true(gh_quic_pmtu_excuses(&p, 1300, 399));
    assert_false(gh_quic_pmtu_excuses(&p, 1400, 399));
    gh_quic_pmtu_note(&p, 1200, 500);
    assert_true(gh_quic_pmtu_excuses(&p, 1300, 399)); /* what every path carries proves nothing */
}

/* A path that carries <limit>: what the search finds, and how many probes it takes. */
static size_t search(struct gh_quic_pmtu *p, size_t limit, int64_t now, unsigned *ret_probes)
{
    size_t size;

    for (*ret_probes = 0; (size = gh_quic_pmtu_probe(p, now)) != 0; ++*ret_probes) {
        assert_true(size <= p->ceiling && size > p->cap);
        gh_quic_pmtu_on_probe_sent(p);
        assert_int_equal(gh_quic_pmtu_probe(p, now), 0); /* one at a time */
        if (size <= limit)
            gh_quic_pmtu_on_probe_acked(p, size, now);
        else
            gh_quic_pmtu_on_probe_lost(p, now);
    }
    return p->cap;
}

static void the_search_goes_up_and_tries_each_size_three_times(void **state)
{
    static const struct {
        size_t limit, found, carries;
        unsigned probes;
    } cases[] = { { 1252, 1200, 1200, 3 }, { 1314, 1314, 1314, 4 }, { 1334, 1331, 1331, 5 }, { 1430, 1400, 1400, 6 }, { 1472, 1452, 1452, 4 } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gh_quic_pmtu p = fresh();
        unsigned probes;

        assert_true(shrink(&p, 1452, 100));
        assert_int_equal(gh_quic_pmtu_carries(&p, 1452, 0), 1331); /* not disproved yet */
        assert_int_equal(search(&p, cases[i].limit, 200, &probes), cases[i].found);
        assert_int_equal(probes, cases[i].probes);
        assert_int_equal(gh_quic_pmtu_carries(&p, 1452, 0), cases[i].carries);
    }
}

static void what_failed_is_tried_again_after_ten_minutes(void **state)
{
    struct gh_quic_pmtu p = fresh();
    unsigned probes;

    (void)state;
    assert_true(shrink(&p, 1452, 100));
    search(&p, 1252, 200, &probes);
    assert_int_equal(gh_quic_pmtu_probe(&p, 200 + RAISE - 1), 0);
    assert_int_equal(search(&p, 1472, 200 + RAISE, &probes), 1452);
    assert_int_equal(gh_quic_pmtu_carries(&p, 1452, 0), 1452);
    assert_int_equal(gh_quic_pmtu_probe(&p, INT64_MAX - 1), 0); /* nothing is left to find */
}

static void losses_of_what_was_sent_before_do_not_count_twice(void **state)
{
    struct gh_quic_pmtu p = fresh();

    (void)state;
    assert_true(shrink(&p, 1452, 100));
    for (int64_t i = 0; i < 50; i++)
        assert_false(gh_quic_pmtu_on_lost(&p, 1452, 200 + i));
    assert_int_equal(p.holes, 1);
}

static void another_path_begins_anew(void **state)
{
    struct gh_quic_pmtu p = fresh();

    (void)state;
    assert_true(shrink(&p, 1452, 100));
    gh_quic_pmtu_reset(&p, 1000);
    assert_int_equal(p.cap, 1452);
    assert_int_equal(gh_quic_pmtu_probe(&p, 200), 0);
    assert_int_equal(gh_quic_pmtu_carries(&p, 1200, 1000), 1331); /* nobody knows better */
    assert_int_equal(gh_quic_pmtu_carries(&p, 1200, 1000 + INT64_C(5000000000)), 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_flight_is_1331_then_1200),
        cmocka_unit_test(an_answer_to_the_first_flight_proves_its_size),
        cmocka_unit_test(large_ones_lost_in_three_batches_are_a_black_hole),
        cmocka_unit_test(random_loss_of_large_and_small_is_none),
        cmocka_unit_test(smaller_ones_that_arrive_do_not_hide_it),
        cmocka_unit_test(a_size_that_arrives_excuses_what_is_not_larger),
        cmocka_unit_test(an_episode_that_is_over_is_forgotten),
        cmocka_unit_test(what_was_sent_before_something_as_large_that_arrived_is_excused),
        cmocka_unit_test(the_search_goes_up_and_tries_each_size_three_times),
        cmocka_unit_test(what_failed_is_tried_again_after_ten_minutes),
        cmocka_unit_test(losses_of_what_was_sent_before_do_not_count_twice),
        cmocka_unit_test(another_path_begins_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
