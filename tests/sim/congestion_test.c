/* A bulk transfer of TCP through the tunnel beside the same without: some roads of the grid, and what a full road does to others. */
#include <math.h>

#include "../unit/test.h"
#include "congestion_world.h"

#define MBIT UINT64_C(1000000)

static double mbit_of(const struct transfer *t, int64_t time)
{
    return (double)t->bytes * 8e3 / (double)time;
}

/* Mathis, Semke, Mahdavi, Ott 1997: a window of sqrt(3/2p) packets, where every packet is acknowledged in effect. */
static void the_model_of_newreno_follows_the_square_root_of_loss(void **state)
{
    static const double losses[] = { 0.0005, 0.002, 0.01 };

    (void)state;
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        const struct road r = { 50 * SIM_MS, losses[i], 1000 * MBIT, 1, 1500 };
        const int64_t time = 2000 * SIM_S;
        struct transfer t;
        double expected = sqrt(1.5 / losses[i]) * 1448 * 8 / 0.05 / 1e6;

        transfer_bare(&r, TCP_NEWRENO, 3, time, &t);
        print_message("loss %.2f %%: %.2f Mbit/s, by the formula %.2f\n", losses[i] * 100, mbit_of(&t, time), expected);
        assert_true(mbit_of(&t, time) > 0.8 * expected && mbit_of(&t, time) < 1.1 * expected);
    }
}

static void both_models_fill_a_link_without_loss(void **state)
{
    const struct road r = { 40 * SIM_MS, 0, 20 * MBIT, 1, 1500 };

    (void)state;
    for (int control = 0; control < 2; control++) {
        struct transfer t;

        transfer_bare(&r, (enum tcp_control)control, 1, 60 * SIM_S, &t);
        assert_true(mbit_of(&t, 60 * SIM_S) > 0.98 * 20 * 1448 / 1500);
        assert_int_equal(t.timeouts, 0);
    }
}

/* The header of the tunnel alone costs 4.4 %. */
static void tcp_reaches_nine_tenths_through_the_tunnel(void **state)
{
    static const struct road roads[] = {
        { 10 * SIM_MS, 0, 10 * MBIT, 1, 1500 },      { 100 * SIM_MS, 0, 10 * MBIT, 1, 1500 },    { 300 * SIM_MS, 0, 10 * MBIT, 4, 1500 },
        { 10 * SIM_MS, 0.01, 10 * MBIT, 0.25, 1500 }, { 100 * SIM_MS, 0.01, 10 * MBIT, 1, 1500 }, { 30 * SIM_MS, 0, 50 * MBIT, 0.25, 1500 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof roads / sizeof *roads; i++)
        for (int control = 0; control < 2; control++) {
            uint64_t bare = 0, tunnel = 0;

            for (uint64_t seed = 1; seed <= (roads[i].loss > 0 ? 3 : 1); seed++) {
                struct transfer t;

                transfer_bare(&roads[i], (enum tcp_control)control, seed, 20 * SIM_S, &t);
                bare += t.bytes;
                assert_true(transfer_tunnel(&roads[i], (enum tcp_control)control, seed, 20 * SIM_S, NULL, NULL, &t));
                tunnel += t.bytes;
                assert_int_equal(t.holes, 0);
            }
            print_message("%s, RTT %.0f ms, loss %.0f %%, %.0f Mbit/s, buffer %.2f BDP: %.3f\n", control ? "CUBIC" : "NewReno",
                          (double)roads[i].rtt / 1e6, roads[i].loss * 100, (double)roads[i].rate / 1e6, roads[i].buffer, (double)tunnel / (double)bare);
            assert_true((double)tunnel >= 0.9 * (double)bare);
        }
}

static void set_cubic(void *arg, struct gh_quic_config *cfg)
{
    (void)arg;
    cfg->congestion = GH_QUIC_CUBIC;
}

/* A buffer of 100 ms in front of a link of 1 ms: the tunnel does not fill it. Beside it CUBIC, which does. */
static void a_deep_buffer_of_the_road_stays_shallow(void **state)
{
    const struct road r = { SIM_MS, 0, 50 * MBIT, 100, 1500 };
    struct transfer ours, cubic;

    (void)state;
    assert_true(transfer_tunnel(&r, TCP_CUBIC, 1, 10 * SIM_S, NULL, NULL, &ours));
    assert_true(transfer_tunnel(&r, TCP_CUBIC, 1, 10 * SIM_S, set_cubic, NULL, &cubic));
    print_message("a full link of 1 ms with a buffer of 100 ms: a round trip takes %.1f ms, with CUBIC %.1f\n", (double)ours.rtt / 1e6, (double)cubic.rtt / 1e6);
    assert_true(ours.rtt < 11 * SIM_MS);
    assert_true((double)ours.bytes > 0.97 * (double)cubic.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_of_newreno_follows_the_square_root_of_loss),
        cmocka_unit_test(both_models_fill_a_link_without_loss),
        cmocka_unit_test(tcp_reaches_nine_tenths_through_the_tunnel),
        cmocka_unit_test(a_deep_buffer_of_the_road_stays_shallow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
