/* How much may be in flight where the packets inside govern themselves, and when that ends. */
#include "proto/quic/congestion.h"

#include "../../test.h"

#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define PAYLOAD 1452u
#define RTT (20 * MS)
#define ROUND_BYTES 100000u

static struct gh_quic_congestion c;
static int64_t now;

static int start(void **state)
{
    (void)state;
    now = SECOND;
    gh_quic_congestion_init(&c);
    return 0;
}

/* A round trip in which so much was delivered and so much was not. */
static void round_trip(uint64_t delivered, uint64_t lost)
{
    const struct gh_quic_delivery d = { RTT, RTT, delivered * (uint64_t)(SECOND / RTT), delivered };

    now += RTT;
    if (lost)
        gh_quic_congestion_on_lost(&c, lost);
    gh_quic_congestion_on_ack(&c, &d, now);
}

static void rounds(unsigned count, uint64_t delivered, uint64_t lost)
{
    while (count--)
        round_trip(delivered, lost);
}

/* RFC 9002, section 7.2 */
static void who_knows_nothing_sends_ten_packets(void **state)
{
    (void)state;
    assert_int_equal(gh_quic_congestion_window(&c, PAYLOAD), 10 * PAYLOAD);
    round_trip(5000, 0);
    assert_in_range(gh_quic_congestion_window(&c, PAYLOAD), 10 * PAYLOAD, 5000 * 4 + 5000 / 4);
    rounds(2, 5000, 0);
    assert_int_equal(gh_quic_congestion_window(&c, PAYLOAD), 32 * PAYLOAD);
}

static void the_window_is_four_round_trips_and_five_milliseconds_of_what_arrives(void **state)
{
    (void)state;
    rounds(3, ROUND_BYTES, 0);
    assert_in_range(gh_quic_congestion_window(&c, PAYLOAD), 4 * ROUND_BYTES + ROUND_BYTES / 4 - 2, 4 * ROUND_BYTES + ROUND_BYTES / 4 + 2);
}

static void a_rate_of_long_ago_is_forgotten(void **state)
{
    (void)state;
    rounds(3, ROUND_BYTES, 0);
    rounds(9, ROUND_BYTES / 2, 0);
    assert_true(gh_quic_congestion_window(&c, PAYLOAD) > 4 * ROUND_BYTES);
    rounds(15, ROUND_BYTES / 2, 0);
    assert_true(gh_quic_congestion_window(&c, PAYLOAD) < 3 * ROUND_BYTES);
}

static void a_tenth_may_be_lost_for_ever(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        round_trip(ROUND_BYTES, ROUND_BYTES / 10);
    assert_false(c.strict);
}

/* TCP in slow start overshoots: half of a window is lost, then it is slower. */
static void an_overshoot_is_borne(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        rounds((unsigned)(5 + i % 7), ROUND_BYTES, 0);
        round_trip(ROUND_BYTES, ROUND_BYTES);
        rounds(16, ROUND_BYTES / 2, 0);
    }
    assert_false(c.strict);
}

static void who_goes_on_losing_is_governed_and_each_time_for_longer(void **state)
{
    int64_t before = 0;

    (void)state;
    for (int i = 0; i < 5; i++) {
        unsigned took = 0;
        int64_t since;

        for (; !c.strict; took++)
            round_trip(ROUND_BYTES, ROUND_BYTES / 4);
        assert_in_range(took, 24, 32); /* three spells of eight rounds */
        for (since = now; c.strict;)
            round_trip(ROUND_BYTES, 0);
        assert_in_range(now - since, 10 * SECOND, 640 * SECOND + RTT);
        assert_true(now - since > before + before / 2);
        before = now - since;
    }
}

static void few_packets_say_little(void **state)
{
    (void)state;
    rounds(60, 3 * PAYLOAD, 2 * PAYLOAD); /* 300 packets in all */
    assert_false(c.strict);
}

/* RFC 3168: a mark is answered as a loss is, at once. */
static void a_mark_is_obeyed(void **state)
{
    int64_t since;

    (void)state;
    rounds(3, ROUND_BYTES, 0);
    gh_quic_congestion_on_mark(&c, now);
    assert_true(c.strict);
    for (since = now; now - since < 60 * SECOND;) { /* they go on to come: so it goes on */
        rounds(50, ROUND_BYTES, 0);
        gh_quic_congestion_on_mark(&c, now);
        assert_true(c.strict);
    }
}

static void after_silence_ten_packets_go(void **state)
{
    (void)state;
    rounds(30, ROUND_BYTES, 0);
    gh_quic_congestion_on_silence(&c);
    assert_int_equal(gh_quic_congestion_window(&c, PAYLOAD), 10 * PAYLOAD);
    rounds(2, ROUND_BYTES, 0);
    assert_true(gh_quic_congestion_window(&c, PAYLOAD) > 3 * ROUND_BYTES);
}

/* The window would be that of the short path and the rate that it lets through smaller each time. */
static void a_path_that_got_longer_is_measured_anew(void **state)
{
    const int64_t longer = 200 * MS;
    uint64_t least = UINT64_MAX;

    (void)state;
    rounds(10, ROUND_BYTES, 0);
    for (int i = 0; i < 60; i++) {
        uint64_t window = gh_quic_congestion_window(&c, PAYLOAD), path = ROUND_BYTES * (uint64_t)(longer / RTT);
        const struct gh_quic_delivery d = { longer, longer, (window < path ? window : path) * (uint64_t)SECOND / (uint64_t)longer, window };

        now += longer;
        gh_quic_congestion_on_ack(&c, &d, now);
        least = window < least ? window : least;
    }
    assert_true(least < 5 * ROUND_BYTES);
    assert_true(gh_quic_congestion_window(&c, PAYLOAD) >= 2 * ROUND_BYTES * (uint64_t)(longer / RTT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_knows_nothing_sends_ten_packets, start),
        cmocka_unit_test_setup(the_window_is_four_round_trips_and_five_milliseconds_of_what_arrives, start),
        cmocka_unit_test_setup(a_rate_of_long_ago_is_forgotten, start),
        cmocka_unit_test_setup(a_tenth_may_be_lost_for_ever, start),
        cmocka_unit_test_setup(an_overshoot_is_borne, start),
        cmocka_unit_test_setup(who_goes_on_losing_is_governed_and_each_time_for_longer, start),
        cmocka_unit_test_setup(few_packets_say_little, start),
        cmocka_unit_test_setup(a_mark_is_obeyed, start),
        cmocka_unit_test_setup(after_silence_ten_packets_go, start),
        cmocka_unit_test_setup(a_path_that_got_longer_is_measured_anew, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
