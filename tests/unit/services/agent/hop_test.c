#include "services/agent/agent_hop.h"

#include "../../test.h"

static void each_port_of_the_range_but_the_one_that_is_left_comes_up(void **state)
{
    static const uint16_t range[2] = { 10020, 10023 };

    (void)state;
    for (unsigned now = 10019; now <= 10024; now++) {
        unsigned seen = 0;

        for (uint64_t random = 0; random < 12; random++) {
            uint16_t port = gh_agent_hop_port(range, (uint16_t)now, random);

            assert_in_range(port, range[0], range[1]);
            seen |= 1u << (port - range[0]);
        }
        assert_int_equal(seen, now >= range[0] && now <= range[1] ? 0xfu & ~(1u << (now - range[0])) : 0xfu);
    }
}

static void a_range_of_one_port_is_that_port_and_the_widest_has_both_ends(void **state)
{
    static const uint16_t one[2] = { 443, 443 }, all[2] = { 1, 65535 };

    (void)state;
    assert_int_equal(gh_agent_hop_port(one, 443, 7), 443);
    assert_int_equal(gh_agent_hop_port(one, 0, 7), 443);
    assert_int_equal(gh_agent_hop_port(all, 0, 0), 1);
    assert_int_equal(gh_agent_hop_port(all, 0, 65534), 65535);
    assert_int_equal(gh_agent_hop_port(all, 65535, 65533), 65534);
}

static void a_wait_is_a_quarter_more_or_less(void **state)
{
    (void)state;
    assert_int_equal(gh_agent_hop_wait(1000, 0), 750);
    assert_int_equal(gh_agent_hop_wait(1000, 499), 1249);
    assert_int_equal(gh_agent_hop_wait(1000, 500), 750);
    assert_int_equal(gh_agent_hop_wait(0, 9), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_port_of_the_range_but_the_one_that_is_left_comes_up),
        cmocka_unit_test(a_range_of_one_port_is_that_port_and_the_widest_has_both_ends),
        cmocka_unit_test(a_wait_is_a_quarter_more_or_less),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
