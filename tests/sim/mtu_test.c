/* Paths of several sizes, and paths that shrink while datagrams fly (RFC 8899). */
#include <inttypes.h>

#include "../unit/test.h"
#include "proto/forward/forward.h"
#include "proto/quic/internal.h"
#include "raw_peer.h"

#define TICK (2 * SIM_MS)
#define CLIENT_TO_SERVER 0 /* of sim.link */

struct world {
    struct sim sim;
    struct raw_peer client, server;
    struct gh_deadline tick;
};

static struct world w;
static size_t most; /* the longest datagram offered; 0: what the path carries */
static unsigned each; /* so many a tick */

/* As much as fits, all the time. */
static void offer(void *arg, int64_t now)
{
    static const uint8_t payload[GH_QUIC_PAYLOAD_JUMBO];
    size_t max = gh_quic_datagram_max(w.client.q);

    (void)arg;
    if (most && max > most)
        max = most;
    for (unsigned i = 0; max && i < each; i++)
        gh_quic_send_datagram(w.client.q, gh_span_of(payload, 0), gh_span_of(payload, max), 0, now);
    gh_deadline_start(&w.sim.deadlines, &w.tick, now + TICK);
}

static void path(size_t payload)
{
    w.sim.link[0].max_payload = w.sim.link[1].max_payload = payload;
}

static size_t probe(void *arg, uint8_t *ret, size_t cap)
{
    (void)arg;
    (void)cap;
    ret[0] = 0x3f; /* what the raw peer at the other end does with it is its affair */
    return 1;
}

static struct gh_quic_app app_with_probe;

static void begin(uint64_t seed, size_t payload, size_t ceiling)
{
    memset(&w, 0, sizeof w);
    most = 0;
    each = 1;
    sim_init(&w.sim, seed);
    w.sim.client.config.max_payload = w.sim.server.config.max_payload = ceiling;
    w.sim.client.config.queue_time = 50 * SIM_MS;
    path(payload);
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    raw_peer_wait(&w.client, 2 * SIM_S);
    app_with_probe = *w.client.q->owner.app;
    app_with_probe.probe = probe;
    w.client.q->owner.app = &app_with_probe;
    gh_deadline_init(&w.tick, offer, NULL);
    gh_deadline_start(&w.sim.deadlines, &w.tick, w.sim.now);
}

static void end(void)
{
    assert_false(w.sim.client.closed || w.sim.server.closed);
    gh_deadline_stop(&w.sim.deadlines, &w.tick);
    sim_fini(&w.sim);
}

static void each_path_is_measured(void **state)
{
    static const struct {
        size_t payload, ceiling, found;
    } cases[] = {
        { 1252, 1452, 1200 }, { 1272, 1452, 1200 }, { 1314, 1452, 1314 }, { 1334, 1452, 1331 }, { 1430, 1452, 1400 }, { 1472, 1452, 1452 },
        { 1472, 1472, 1472 }, { 1472, 8952, 1472 }, { 8972, 8952, 8952 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(100 + i, cases[i].payload, cases[i].ceiling);
        raw_peer_wait(&w.client, 5 * SIM_S);
        assert_int_equal(gh_quic_plpmtu(w.client.q), cases[i].found);
        assert_int_equal(gh_quic_counters(w.client.q)->black_holes, 0);
        end();
    }
}

static bool settled(void *arg)
{
    return gh_quic_counters(w.client.q)->black_holes > 0 && !w.client.q->pmtu.searching && gh_quic_plpmtu(w.client.q) <= *(size_t *)arg;
}

static void a_path_that_shrinks_is_noticed_and_measured_again(void **state)
{
    static const struct {
        size_t payload, found;
        int64_t rtt;
    } cases[] = { { 1252, 1200, 10 }, { 1314, 1314, 10 }, { 1334, 1331, 10 }, { 1430, 1400, 10 }, { 1252, 1200, 100 }, { 1334, 1331, 100 } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t found = cases[i].found;
        int64_t began;
        unsigned before;

        begin(200 + i, 1472, 1452);
        w.sim.link[0].delay = w.sim.link[1].delay = cases[i].rtt * SIM_MS / 2;
        raw_peer_wait(&w.client, 3 * SIM_S);
        assert_int_equal(gh_quic_plpmtu(w.client.q), 1452);
        path(cases[i].payload);
        began = w.sim.now;
        before = w.server.datagrams;
        assert_true(sim_run(&w.sim, 10 * SIM_S, settled, &found));
        print_message("to %zu at RTT %" PRId64 " ms: measured again after %" PRId64 " ms\n", cases[i].payload, cases[i].rtt, (w.sim.now - began) / SIM_MS);
        assert_true(w.sim.now - began < 4 * SIM_S);
        assert_int_equal(gh_quic_plpmtu(w.client.q), found);
        raw_peer_wait(&w.client, 2 * SIM_S);
        assert_true(w.server.datagrams > before + 500); /* packets flow */
        assert_int_equal(gh_quic_counters(w.client.q)->black_holes, 1);
        end();
    }
}

/* Whoever sends packets of 1400 bytes into the tunnel, with DF, and does what it is told. */
static struct {
    struct gh_forward engine;
    struct gh_forward_session session;
    struct gh_forward_verdict verdict;
    struct gh_deadline tick;
    size_t size, least, least_undecided;
} sender;

static void send_inner(void *arg, int64_t now)
{
    const struct gh_forward_clock clock = { now, 0 };
    size_t max = gh_quic_datagram_max(w.client.q);
    uint8_t packet[1400] = { 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 51, 100, 9, 10, 0, 0, 2, 0x10, 0, 0x10, 0 };
    uint16_t check;
    size_t mtu;

    (void)arg;
    gh_deadline_start(&w.sim.deadlines, &sender.tick, now + 10 * SIM_MS);
    if (max == 0)
        return;
    packet[2] = (uint8_t)(sender.size >> 8);
    packet[3] = (uint8_t)sender.size;
    packet[24] = (uint8_t)((sender.size - 20) >> 8);
    packet[25] = (uint8_t)(sender.size - 20);
    check = gh_ip_checksum(packet, 20);
    packet[10] = (uint8_t)(check >> 8);
    packet[11] = (uint8_t)check;
    sender.session.mtu = max - 2; /* number of the stream, context id */
    sender.session.told = gh_forward_told(sender.session.mtu, gh_quic_plpmtu(w.client.q) >= GH_QUIC_PLPMTU_IPV6);
    gh_forward_to_peer(&sender.engine, &sender.session, &clock, packet, sender.size, 0, &sender.verdict);
    if (sender.verdict.answer_len == 0)
        return;
    mtu = (size_t)(sender.verdict.answer[26] << 8 | sender.verdict.answer[27]);
    assert_true(mtu < sender.size);
    sender.size = mtu;
    if (mtu < sender.least)
        sender.least = mtu;
    if (w.client.q->pmtu.searching && gh_quic_plpmtu(w.client.q) >= GH_QUIC_PLPMTU_IPV6 && mtu < sender.least_undecided)
        sender.least_undecided = mtu;
}

static void senders_inside_are_told_only_what_is_known(void **state)
{
    static const struct {
        size_t payload, at_least, at_most;
    } cases[] = { { 1252, 1160, 1170 }, { 1314, 1280, 1280 }, { 1334, 1280, 1300 }, { 1430, 1280, 1400 } };
    static const struct gh_ip_route all = { { 4, { 0 } }, { 4, { 255, 255, 255, 255 } }, 0 };
    struct gh_forward_config config = gh_forward_config_default;
    static const struct gh_forward_events events = { 0 };
    struct gh_hash_seed seed = { 1, 2 };

    (void)state;
    config.node4 = (struct gh_ip){ 4, { 10, 0, 0, 1 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int64_t rtt = 10; rtt <= 100; rtt += 90) {
            memset(&sender, 0, sizeof sender);
            assert_int_equal(gh_forward_init(&sender.engine, &config, &seed, &events, NULL), 0);
            gh_forward_session_init(&sender.engine, &sender.session, 1);
            sender.session.stateless = true;
            sender.session.routes = &all;
            sender.session.route_count = 1;
            sender.size = sender.least = sender.least_undecided = 1400;
            begin(230 + i, 1472, 1452);
            w.sim.link[0].delay = w.sim.link[1].delay = rtt * SIM_MS / 2;
            raw_peer_wait(&w.client, 3 * SIM_S);
            gh_deadline_init(&sender.tick, send_inner, NULL);
            gh_deadline_start(&w.sim.deadlines, &sender.tick, w.sim.now);
            path(cases[i].payload);
            raw_peer_wait(&w.client, 10 * SIM_S);
            print_message("to %zu at RTT %" PRId64 " ms: senders were told %zu at least, before it was known %zu\n", cases[i].payload, rtt, sender.least,
                          sender.least_undecided);
            assert_int_equal(gh_quic_counters(w.client.q)->black_holes, 1);
            assert_true(sender.least_undecided >= 1280);
            assert_in_range(sender.least, cases[i].at_least, cases[i].at_most);
            gh_deadline_stop(&w.sim.deadlines, &sender.tick);
            end();
            gh_forward_session_close(&sender.engine, &sender.session);
            gh_forward_fini(&sender.engine);
        }
    }
}

/* No datagram is long, but packets that carry several of them are. */
static void a_path_that_shrinks_is_noticed_by_short_datagrams_too(void **state)
{
    static const struct {
        size_t length, payload, found;
        unsigned each;
    } cases[] = { { 700, 1334, 1331, 2 }, { 330, 1334, 1331, 4 }, { 100, 1334, 1331, 14 }, { 100, 1252, 1200, 14 }, { 60, 1314, 1314, 21 } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t found = cases[i].found;
        uint64_t lost;
        int64_t began;

        begin(250 + i, 1472, 1452);
        w.sim.link[0].delay = w.sim.link[1].delay = 5 * SIM_MS;
        most = cases[i].length;
        each = cases[i].each;
        raw_peer_wait(&w.client, 3 * SIM_S);
        assert_int_equal(gh_quic_counters(w.client.q)->datagrams_lost, 0);
        path(cases[i].payload);
        began = w.sim.now;
        assert_true(sim_run(&w.sim, 10 * SIM_S, settled, &found));
        print_message("datagrams of %zu, to %zu: measured again after %" PRId64 " ms\n", cases[i].length, cases[i].payload, (w.sim.now - began) / SIM_MS);
        assert_true(w.sim.now - began < 2 * SIM_S);
        raw_peer_wait(&w.client, SIM_S);
        lost = gh_quic_counters(w.client.q)->datagrams_lost;
        raw_peer_wait(&w.client, 3 * SIM_S);
        assert_int_equal(gh_quic_counters(w.client.q)->datagrams_lost, lost); /* nothing goes on being lost */
        end();
    }
}

/* The other way round: ten minutes later the old size is there again. */
static void a_path_that_widens_is_found_out(void **state)
{
    (void)state;
    begin(300, 1472, 1452);
    raw_peer_wait(&w.client, SIM_S);
    path(1334);
    raw_peer_wait(&w.client, 10 * SIM_S);
    assert_int_equal(gh_quic_plpmtu(w.client.q), 1331);
    path(1472);
    w.client.q->pmtu.raise_at = w.sim.now + SIM_S; /* ten minutes are pmtu_test.c's */
    raw_peer_wait(&w.client, 5 * SIM_S);
    assert_int_equal(gh_quic_plpmtu(w.client.q), 1452);
    end();
}

/* Each end measures what it sends; what comes the other way is as large as it was. */
static void each_direction_has_a_size_of_its_own(void **state)
{
    (void)state;
    for (int way = 0; way < 2; way++) {
        begin(350 + (uint64_t)way, 1472, 1452);
        raw_peer_wait(&w.client, 3 * SIM_S);
        assert_int_equal(gh_quic_plpmtu(w.client.q), 1452);
        assert_int_equal(gh_quic_plpmtu(w.server.q), 1452);
        w.sim.link[way].max_payload = 1252;
        raw_peer_wait(&w.client, 5 * SIM_S);
        assert_int_equal(gh_quic_plpmtu(w.client.q) + gh_quic_plpmtu(w.server.q), way == CLIENT_TO_SERVER ? 1200 + 1452 : 2 * 1452);
        assert_int_equal(gh_quic_plpmtu(w.client.q), way == CLIENT_TO_SERVER ? 1200 : 1452);
        end();
    }
}

/* Loss is not a narrow path: no black hole is seen where none is. */
static void loss_and_darkness_are_no_black_holes(void **state)
{
    (void)state;
    for (uint64_t seed = 400; seed < 406; seed++) {
        begin(seed, 1472, 1452);
        most = seed % 2 ? 300 : 0;
        each = seed % 2 ? 5 : 1;
        w.sim.link[0].loss = w.sim.link[1].loss = 0.1;
        raw_peer_wait(&w.client, 10 * SIM_S);
        w.sim.link[0].down = true;
        raw_peer_wait(&w.client, 2 * SIM_S);
        w.sim.link[0].down = false;
        raw_peer_wait(&w.client, 5 * SIM_S);
        assert_int_equal(gh_quic_counters(w.client.q)->black_holes, 0);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_path_is_measured),
        cmocka_unit_test(a_path_that_shrinks_is_noticed_and_measured_again),
        cmocka_unit_test(senders_inside_are_told_only_what_is_known),
        cmocka_unit_test(a_path_that_shrinks_is_noticed_by_short_datagrams_too),
        cmocka_unit_test(a_path_that_widens_is_found_out),
        cmocka_unit_test(each_direction_has_a_size_of_its_own),
        cmocka_unit_test(loss_and_darkness_are_no_black_holes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
