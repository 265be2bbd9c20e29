/* A silent path is asked again at a bounded pause, and in the long run ever more seldom. */
#include "proto/quic/silence.h"

#include "../../test.h"

#define INTERVAL 400

static void nothing_in_flight_asks_nothing(void **state)
{
    struct gh_quic_silence s = { 0 };

    (void)state;
    assert_int_equal(gh_quic_silence_deadline(&s, INTERVAL), INT64_MAX);
    gh_quic_silence_on_sent(&s, 1000);
    assert_int_equal(gh_quic_silence_deadline(&s, INTERVAL), 1400);
    assert_int_equal(gh_quic_silence_deadline(&s, 0), INT64_MAX);
    gh_quic_silence_on_told(&s, 1100);
    assert_int_equal(gh_quic_silence_deadline(&s, INTERVAL), INT64_MAX);
}

static void the_pause_runs_from_the_last_answer(void **state)
{
    struct gh_quic_silence s = { 0 };

    (void)state;
    gh_quic_silence_on_sent(&s, 1000);
    gh_quic_silence_on_sent(&s, 1300); /* what is sent meanwhile is no answer */
    assert_int_equal(gh_quic_silence_deadline(&s, INTERVAL), 1400);
    gh_quic_silence_on_told(&s, 1350);
    assert_int_equal(gh_quic_silence_deadline(&s, INTERVAL), 1750);
}

static void sixteen_probes_come_steadily_then_pauses_double(void **state)
{
    struct gh_quic_silence s = { 0 };
    int64_t now = 1000, pause = INTERVAL;

    (void)state;
    gh_quic_silence_on_sent(&s, now);
    for (int i = 0; i < 60; i++) {
        if (i > 16 && i <= 32)
            pause *= 2;
        assert_int_equal(gh_quic_silence_deadline(&s, INTERVAL), now + pause);
        now += pause;
        gh_quic_silence_on_probe(&s, now);
    }
    gh_quic_silence_on_sent(&s, now);
    gh_quic_silence_on_told(&s, now);
    assert_int_equal(gh_quic_silence_deadline(&s, INTERVAL), now + INTERVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_in_flight_asks_nothing),
        cmocka_unit_test(the_pause_runs_from_the_last_answer),
        cmocka_unit_test(sixteen_probes_come_steadily_then_pauses_double),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
