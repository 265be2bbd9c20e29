/* Congestion that is marked, and paths that spoil the marks (RFC 9000, section 13.4; RFC 9002, section 7.1; RFC 3168). */
#include "../unit/test.h"
#include "raw_peer.h"

struct world {
    struct sim sim;
    struct raw_peer client, server;
};

static struct world w;

static void init(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    raw_peers_init(&w.sim, seed, &w.client, &w.server);
}

/* Datagrams of 1000 bytes from <from>, one a <pause>. */
static void offer(struct raw_peer *from, unsigned count, int64_t pause)
{
    static const uint8_t payload[1000];

    for (unsigned i = 0; i < count; i++) {
        assert_non_null(from->q);
        assert_int_equal(gh_quic_send_datagram(from->q, gh_span_of(payload, 0), gh_span_of(payload, sizeof payload), 0, w.sim.now), 0);
        raw_peer_wait(from, pause);
    }
}

struct outcome {
    uint64_t lost, arrived, refused;
};

/* 12 Mbit/s offered for six seconds to a line of 8 whose queue has 100 ms. */
static struct outcome crowded(size_t mark_above, enum sim_ecn fault)
{
    struct outcome o;

    init(1);
    raw_peers_connect(&w.client, &w.server, 2 * SIM_S);
    w.sim.link[0].rate = 8000000;
    w.sim.link[0].queue = 100000;
    w.sim.link[0].mark_above = mark_above;
    w.sim.link[0].ecn_fault = fault;
    offer(&w.client, 9000, 666667);
    assert_non_null(w.client.q);
    o.lost = w.sim.lost;
    o.arrived = w.server.datagrams;
    o.refused = gh_quic_counters(w.client.q)->queue_full;
    assert_int_equal(gh_quic_counters(w.client.q)->datagrams_lost > 0, o.lost > 0);
    assert_false(w.sim.client.closed || w.sim.server.closed);
    sim_fini(&w.sim);
    return o;
}

static void a_mark_lowers_the_rate_without_a_loss(void **state)
{
    struct outcome marked = crowded(20000, SIM_ECN_KEPT), plain = crowded(0, SIM_ECN_KEPT), spoiled = crowded(20000, SIM_ECN_CLEARED);

    (void)state;
    assert_int_equal(marked.lost, 0);
    assert_true(plain.lost > 0);
    assert_true(spoiled.lost > 0); /* the line marks nothing that says it does not understand */
    assert_true(marked.refused > 1000); /* the rate fell: what is too much waits here, and is dropped here */
    assert_in_range(marked.arrived, 4500, 6000); /* of 6 s * 8 Mbit/s */
}

/* How much of what leaves an end for <time> is marked. */
static unsigned share_marked(struct raw_peer *from, int link)
{
    uint64_t before[4], marked, all = 0;

    memcpy(before, w.sim.link[link].ecn, sizeof before);
    offer(from, 100, 10 * SIM_MS);
    for (int i = 0; i < 4; i++)
        all += w.sim.link[link].ecn[i] - before[i];
    marked = w.sim.link[link].ecn[2] - before[2];
    assert_true(all >= 100);
    assert_int_equal(w.sim.link[link].ecn[1] + w.sim.link[link].ecn[3], 0); /* ECT(1) and CE are not ours to say */
    return (unsigned)(marked * 100 / all);
}

static void what_leaves_is_ect0_on_a_path_that_keeps_it(void **state)
{
    (void)state;
    init(2);
    raw_peers_connect(&w.client, &w.server, SIM_S);
    assert_int_equal(share_marked(&w.client, 0), 100);
    assert_int_equal(share_marked(&w.server, 1), 100);
    sim_fini(&w.sim);
}

/* RFC 9000, section 13.4.2: validation fails, and packets that follow are not ECT. One direction fails alone. */
static void a_path_that_spoils_marks_gets_none(void **state)
{
    static const enum sim_ecn faults[] = { SIM_ECN_CLEARED, SIM_ECN_SWAPPED };

    (void)state;
    for (int later = 0; later < 2; later++) /* from the start, or from some time on */
        for (size_t i = 0; i < 2; i++)
            for (int link = 0; link < 2; link++) {
                unsigned arrived;

                init(3);
                w.sim.link[link].ecn_fault = later ? SIM_ECN_KEPT : faults[i];
                raw_peers_connect(&w.client, &w.server, SIM_S);
                w.sim.link[link].ecn_fault = faults[i];
                if (later)
                    offer(link ? &w.server : &w.client, 20, 10 * SIM_MS);
                arrived = link ? w.client.datagrams : w.server.datagrams;
                assert_int_equal(share_marked(link ? &w.server : &w.client, link), 0);
                assert_int_equal((link ? w.client.datagrams : w.server.datagrams) - arrived, 100);
                assert_int_equal(share_marked(link ? &w.client : &w.server, !link), 100);
                sim_fini(&w.sim);
            }
}

/* RFC 9000, section 13.4.2.1: all marked packets lost. A handshake that is not answered stops marking. */
static void a_path_that_drops_what_is_marked_is_survived(void **state)
{
    int64_t began;

    (void)state;
    for (int both = 0; both < 2; both++) {
        init(4);
        w.sim.link[0].ecn_fault = SIM_ECN_DROPPED;
        w.sim.link[1].ecn_fault = both ? SIM_ECN_DROPPED : SIM_ECN_KEPT;
        began = w.sim.now;
        raw_peer_connect(&w.client);
        assert_in_range(w.sim.now - began, 900 * SIM_MS, 5 * SIM_S); /* without our part it is 9 s of the 10 that there are */
        raw_peer_wait(&w.client, 2 * SIM_S);
        assert_true(w.server.handshake);
        assert_int_equal(share_marked(&w.client, 0), 0);
        assert_int_equal(share_marked(&w.server, 1), both ? 0 : 100);
        assert_in_range(w.server.datagrams, 99, 100);
        assert_in_range(w.client.datagrams, 99, 100);
        sim_fini(&w.sim);
    }
}

/* Where a connection goes to, marks may be deadly: for the question whether the path is good, too. */
static void a_new_path_that_drops_what_is_marked_is_survived(void **state)
{
    static const int64_t pauses[] = { 5 * SIM_MS, 50 * SIM_MS, 500 * SIM_MS };

    (void)state;
    for (size_t p = 0; p < sizeof pauses / sizeof *pauses; p++) {
        unsigned arrived[2];

        init(6);
        raw_peers_connect(&w.client, &w.server, SIM_S);
        w.sim.client.nat = (struct gh_quic_addr){ gh_ip_v4("\xcb\x00\x71\x07"), 50000 };
        w.sim.link[1].ecn_fault = SIM_ECN_DROPPED;
        for (int64_t t = 0; t < 4 * SIM_S; t += 2 * pauses[p]) { /* some go to find it out */
            offer(&w.client, 1, pauses[p]);
            offer(&w.server, 1, pauses[p]);
        }
        arrived[0] = w.server.datagrams;
        arrived[1] = w.client.datagrams;
        offer(&w.client, 10, pauses[p]);
        offer(&w.server, 10, pauses[p]);
        assert_in_range(w.server.datagrams - arrived[0], 9, 11);
        assert_in_range(w.client.datagrams - arrived[1], 9, 11);
        assert_int_equal(gh_quic_current_path(w.server.q).remote.port, 50000);
        sim_fini(&w.sim);
    }
}

/* RFC 9000, section 13.4.2: every path is validated for itself. */
static void marking_is_tried_again_on_a_new_path(void **state)
{
    (void)state;
    init(5);
    w.sim.link[1].ecn_fault = SIM_ECN_CLEARED;
    raw_peers_connect(&w.client, &w.server, SIM_S);
    assert_int_equal(share_marked(&w.server, 1), 0);
    w.sim.link[1].ecn_fault = SIM_ECN_KEPT;
    w.sim.client.nat = (struct gh_quic_addr){ gh_ip_v4("\xcb\x00\x71\x07"), 50000 };
    offer(&w.client, 20, 10 * SIM_MS);
    raw_peer_wait(&w.client, SIM_S);
    assert_int_equal(share_marked(&w.server, 1), 100);
    sim_fini(&w.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_lowers_the_rate_without_a_loss),
        cmocka_unit_test(what_leaves_is_ect0_on_a_path_that_keeps_it),
        cmocka_unit_test(a_path_that_spoils_marks_gets_none),
        cmocka_unit_test(a_path_that_drops_what_is_marked_is_survived),
        cmocka_unit_test(a_new_path_that_drops_what_is_marked_is_survived),
        cmocka_unit_test(marking_is_tried_again_on_a_new_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
