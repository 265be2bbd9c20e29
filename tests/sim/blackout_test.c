/* A path that carries nothing for two seconds under full load, and comes back.
 *
 * UDP is offered at a constant rate; only datagrams are in flight. Twenty phases of the start, ours and the library's own behaviour
 * side by side.
 */
#include <inttypes.h>

#include "../unit/test.h"
#include "proto/quic/internal.h"
#include "raw_peer.h"

#define SIZE 1150u
#define RATE UINT64_C(8000000) /* bits a second offered */
#define INTERVAL ((int64_t)(SIZE * 8 * (uint64_t)SIM_S / RATE))
#define PHASES 20
#define DARK (2 * SIM_S)

struct world {
    struct sim sim;
    struct raw_peer client, server;
    struct gh_deadline tick;
    int64_t dark_end, first; /* when the first datagram came through after the end; 0: none yet */
    unsigned first_count;
    bool measuring;
    int64_t good;       /* when 90 % of the offered rate were back over 250 ms */
    unsigned window_count;
    int64_t window;
};

static struct world w;

static void offer(void *arg, int64_t now)
{
    static const uint8_t payload[SIZE];

    (void)arg;
    gh_quic_send_datagram(w.client.q, gh_span_of(payload, 0), gh_span_of(payload, SIZE), 0, now);
    gh_deadline_start(&w.sim.deadlines, &w.tick, now + INTERVAL);
}

static bool watch(void *arg)
{
    (void)arg;
    if (!w.measuring)
        return false;
    if (!w.first && w.server.datagrams != w.first_count)
        w.first = w.window = w.sim.now, w.window_count = w.server.datagrams;
    if (w.first && w.sim.now - w.window >= 250 * SIM_MS) {
        if (!w.good && (w.server.datagrams - w.window_count) * (uint64_t)INTERVAL * 10 >= 9 * (uint64_t)(w.sim.now - w.window))
            w.good = w.window;
        w.window = w.sim.now;
        w.window_count = w.server.datagrams;
    }
    return w.good || w.sim.client.closed;
}

struct result {
    int64_t first, good;
};

static struct result run(int phase, int64_t rtt, bool stock)
{
    struct result r = { 60 * SIM_S, 60 * SIM_S };

    memset(&w, 0, sizeof w);
    sim_init(&w.sim, 1000 + (uint64_t)phase);
    for (int i = 0; i < 2; i++) {
        struct sim_end *e = i ? &w.sim.server : &w.sim.client;

        w.sim.link[i].delay = rtt / 2;
        w.sim.link[i].rate = RATE * 5 / 4;
        w.sim.link[i].queue = 256 * 1024;
        e->config.idle_timeout = 60 * SIM_S;
        e->config.queue_time = 50 * SIM_MS;
        if (stock)
            e->config.probe_interval = 0;
    }
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    raw_peer_wait(&w.client, SIM_S);
    gh_deadline_init(&w.tick, offer, NULL);
    gh_deadline_start(&w.sim.deadlines, &w.tick, w.sim.now);
    sim_run(&w.sim, 2 * SIM_S + phase * (rtt + 50 * SIM_MS) / PHASES, watch, NULL);
    w.sim.link[0].down = w.sim.link[1].down = true;
    sim_run(&w.sim, DARK + phase * 25 * SIM_MS, watch, NULL); /* wherever between two probes the end falls */
    w.sim.link[0].down = w.sim.link[1].down = false;
    w.dark_end = w.sim.now;
    w.first_count = w.server.datagrams;
    w.measuring = true;
    sim_run(&w.sim, 40 * SIM_S, watch, NULL);
    if (w.first)
        r.first = w.first - w.dark_end;
    if (w.good)
        r.good = w.good - w.first;
    gh_deadline_stop(&w.sim.deadlines, &w.tick);
    sim_fini(&w.sim);
    return r;
}

static void traffic_is_back(int64_t rtt, int64_t first_limit)
{
    struct result worst[2] = { { 0, 0 } };

    for (int stock = 0; stock < 2; stock++) {
        for (int phase = 0; phase < PHASES; phase++) {
            struct result r = run(phase, rtt, stock);

            if (r.first > worst[stock].first)
                worst[stock].first = r.first;
            if (r.good > worst[stock].good)
                worst[stock].good = r.good;
        }
    }
    print_message("RTT %" PRId64 " ms: first packet after %" PRId64 " ms (stock %" PRId64 "), 90 %% of the rate %" PRId64 " ms later (stock %" PRId64
                  "); worst of %d phases\n",
                  rtt / SIM_MS, worst[0].first / SIM_MS, worst[1].first / SIM_MS, worst[0].good / SIM_MS, worst[1].good / SIM_MS, PHASES);
    assert_true(worst[0].first <= first_limit);
    assert_true(worst[0].good <= 3 * SIM_S);
}

static void after_two_dark_seconds_traffic_is_back_soon(void **state)
{
    (void)state;
    traffic_is_back(2 * SIM_MS, SIM_S);
    traffic_is_back(10 * SIM_MS, SIM_S);
    traffic_is_back(30 * SIM_MS, 5 * SIM_S / 2);
    traffic_is_back(100 * SIM_MS, 5 * SIM_S / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_two_dark_seconds_traffic_is_back_soon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
