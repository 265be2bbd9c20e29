/* Silent connections: what it costs to keep one alive, and that it lives. */
#include <inttypes.h>

#include "../unit/test.h"
#include "raw_peer.h"

#define PERIODS 20

static struct sim sim;
static struct raw_peer client, server;
static unsigned wire[2]; /* datagrams from client, from server */

static void on_wire(void *arg, bool from_server, struct gh_span payload)
{
    (void)arg;
    (void)payload;
    wire[from_server]++;
}

/* Packets of <PERIODS> pauses of ten seconds, long after the handshake. */
static unsigned idle_packets(int64_t rtt, int64_t client_pause, int64_t server_pause)
{
    raw_peers_init(&sim, 5, &client, &server);
    sim.link[0].delay = sim.link[1].delay = rtt / 2;
    sim.client.config.keep_alive = client_pause;
    sim.server.config.keep_alive = server_pause;
    raw_peers_connect(&client, &server, 20 * SIM_S);
    raw_peer_wait(&client, 60 * SIM_S);
    sim.on_wire = on_wire;
    wire[0] = wire[1] = 0;
    raw_peer_wait(&client, PERIODS * 10 * SIM_S);
    raw_assert_open(&client);
    raw_assert_open(&server);
    print_message("RTT %" PRId64 " us: %u packets from the client, %u from the server in %d periods\n", rtt / 1000, wire[0], wire[1], PERIODS);
    sim_fini(&sim);
    return wire[0] + wire[1];
}

static void a_silence_costs_one_packet_each_way(void **state)
{
    static const int64_t rtts[] = { 100000, SIM_MS, 20 * SIM_MS, 100 * SIM_MS, 300 * SIM_MS };

    (void)state;
    for (size_t i = 0; i < sizeof rtts / sizeof *rtts; i++)
        assert_in_range(idle_packets(rtts[i], 10 * SIM_S, 10 * SIM_S), 2 * (PERIODS - 2), 2 * (PERIODS + 1));
}

static void one_end_alone_keeps_it_alive(void **state)
{
    (void)state;
    assert_in_range(idle_packets(20 * SIM_MS, 0, 10 * SIM_S), 2 * (PERIODS - 2), 3 * PERIODS);
    assert_in_range(idle_packets(20 * SIM_MS, 10 * SIM_S, 0), 2 * (PERIODS - 2), 3 * PERIODS);
}

static void a_pause_close_to_the_idle_time_out_is_enough(void **state)
{
    (void)state;
    idle_packets(300 * SIM_MS, 28 * SIM_S, 28 * SIM_S);
    idle_packets(300 * SIM_MS, 28 * SIM_S, 0);
    idle_packets(300 * SIM_MS, 0, 28 * SIM_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silence_costs_one_packet_each_way),
        cmocka_unit_test(one_end_alone_keeps_it_alive),
        cmocka_unit_test(a_pause_close_to_the_idle_time_out_is_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
