/* Two ends take turns in breaking a silence. */
#include "proto/quic/keep_alive.h"

#include "../../test.h"

#define S INT64_C(1000000000)

static void who_spoke_last_speaks_first(void **state)
{
    struct gh_quic_keep_alive k = { .pause = 10 * S };

    (void)state;
    assert_int_equal(gh_quic_keep_alive_pause(&k, 0), 10 * S);
    assert_true(gh_quic_keep_alive_on_packet(&k, true));
    assert_int_equal(gh_quic_keep_alive_pause(&k, 0), 10 * S + 10 * S / 16);
    assert_false(gh_quic_keep_alive_on_packet(&k, true));
    assert_true(gh_quic_keep_alive_on_packet(&k, false));
    assert_int_equal(gh_quic_keep_alive_pause(&k, 0), 10 * S);
}

static void when_both_heard_the_other_last_the_client_speaks(void **state)
{
    struct gh_quic_keep_alive client = { .pause = 10 * S, .heard = true }, server = { .pause = 10 * S, .server = true, .heard = true };

    (void)state;
    assert_true(gh_quic_keep_alive_pause(&server, 0) - gh_quic_keep_alive_pause(&client, 0) >= 10 * S / 16);
}

static void the_idle_time_out_is_not_waited_for(void **state)
{
    struct gh_quic_keep_alive k = { .pause = 29 * S, .server = true, .heard = true };

    (void)state;
    assert_true(gh_quic_keep_alive_pause(&k, 30 * S) <= 29 * S + S / 2);
    assert_int_equal(gh_quic_keep_alive_pause(&k, 5 * S), 29 * S); /* the peer's is shorter: nothing helps */
}

static void without_a_pause_nothing_changes(void **state)
{
    struct gh_quic_keep_alive k = { .server = true };

    (void)state;
    assert_false(gh_quic_keep_alive_on_packet(&k, true));
    assert_false(gh_quic_keep_alive_on_packet(&k, false));
    assert_int_equal(gh_quic_keep_alive_pause(&k, 30 * S), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_spoke_last_speaks_first),
        cmocka_unit_test(when_both_heard_the_other_last_the_client_speaks),
        cmocka_unit_test(the_idle_time_out_is_not_waited_for),
        cmocka_unit_test(without_a_pause_nothing_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
