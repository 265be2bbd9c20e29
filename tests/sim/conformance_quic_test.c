/* QUIC DATAGRAM (RFC 9221) as the engine keeps it: rows Q1 to Q6 of docs/internals/conformance.md. */
#include "../unit/test.h"
#include "base/error.h"
#include "forge.h"
#include "proto/quic/internal.h"
#include "raw_peer.h"

#define PROTOCOL_VIOLATION 0x0a /* RFC 9000, section 20.1 */

struct world {
    struct sim sim;
    struct raw_peer client, server;
    struct forge forge;
};

static struct world w;

/* <offer>: max_datagram_frame_size of client and server. */
static void start(uint64_t client_offer, uint64_t server_offer)
{
    sim_init(&w.sim, 21);
    w.sim.client.config.max_datagram = client_offer;
    w.sim.server.config.max_datagram = server_offer;
    forge_init(&w.forge, &w.sim);
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    raw_peer_wait(&w.client, SIM_S);
    assert_non_null(w.client.q);
    assert_non_null(w.server.q);
}

static uint64_t offered_by(struct sim_end *other)
{
    return ngtcp2_conn_get_remote_transport_params(other->quic->conn)->max_datagram_frame_size;
}

static void Q1_both_ends_offer_datagrams_of_65535(void **state)
{
    struct gh_quic_config c;

    (void)state;
    gh_quic_config_default(&c);
    start(c.max_datagram, c.max_datagram);
    assert_int_equal(offered_by(&w.sim.client), 65535);
    assert_int_equal(offered_by(&w.sim.server), 65535);
    sim_fini(&w.sim);
}

/* RFC 9221, section 3: absent means 0 means none. */
static void Q1_without_the_parameter_nothing_is_sent(void **state)
{
    (void)state;
    start(65535, 0);
    assert_int_equal(offered_by(&w.sim.client), 0);
    assert_int_equal(gh_quic_datagram_max(w.client.q), 0);
    assert_int_equal(gh_quic_send_datagram(w.client.q, gh_span_str("x"), gh_span_str("y"), 0, w.sim.now), GH_ERR_UNSUPPORTED);
    assert_int_equal(gh_quic_send_datagram(w.server.q, gh_span_str("x"), gh_span_str("y"), 0, w.sim.now), 0);
    raw_peer_wait(&w.client, SIM_S);
    assert_int_equal(w.client.datagrams, 1);
    sim_fini(&w.sim);
}

static bool server_has_one(void *arg)
{
    (void)arg;
    return w.server.datagrams == 1 || w.sim.server.closed;
}

/* RFC 9221, section 4: 0x30 runs to the end of the packet, 0x31 says its length. */
static void Q2_both_frame_types_are_read(void **state)
{
    static const uint8_t to_the_end[] = { 0x30, 'e', 'n', 'd', 0, 1 }, with_length[] = { 0x31, 3, 'l', 'e', 'n', 0x01, 0, 0 };

    (void)state;
    start(65535, 65535);
    forge_send(&w.forge, &w.sim, gh_span_of(to_the_end, sizeof to_the_end));
    assert_true(raw_peer_run(&w.client, server_has_one, NULL));
    assert_int_equal(w.server.datagram_len, 5);
    assert_memory_equal(w.server.datagram, to_the_end + 1, 5);
    sim_fini(&w.sim);
    start(65535, 65535);
    forge_send(&w.forge, &w.sim, gh_span_of(with_length, sizeof with_length)); /* a PING and padding follow */
    assert_true(raw_peer_run(&w.client, server_has_one, NULL));
    assert_int_equal(w.server.datagram_len, 3);
    assert_memory_equal(w.server.datagram, "len", 3);
    sim_fini(&w.sim);
}

static void forged_frame_ends_with(uint64_t server_offer, const uint8_t *frame, size_t len, bool violation)
{
    start(65535, server_offer);
    forge_send(&w.forge, &w.sim, gh_span_of(frame, len));
    assert_true(raw_peer_run(&w.client, server_has_one, NULL));
    assert_int_equal(w.server.datagrams, violation ? 0 : 1);
    assert_int_equal(w.sim.server.closed, violation);
    if (violation) {
        assert_int_equal(w.sim.server.why.kind, GH_QUIC_CLOSED_LOCAL);
        assert_false(w.sim.server.why.application);
        assert_int_equal(w.sim.server.why.code, PROTOCOL_VIOLATION);
    }
    sim_fini(&w.sim);
}

static void Q3_a_datagram_that_was_not_offered_is_a_violation(void **state)
{
    static const uint8_t frame[] = { 0x30, 'n', 'o', 'p', 'e' };

    (void)state;
    forged_frame_ends_with(0, frame, sizeof frame, true);
}

/* RFC 9221, section 3: the limit counts type, length and payload. */
static void Q3_a_datagram_above_the_offer_is_a_violation(void **state)
{
    uint8_t frame[200] = { 0x31, 0x40, 97 };

    (void)state;
    forged_frame_ends_with(100, frame, 100, false);
    frame[2] = 98;
    forged_frame_ends_with(100, frame, 101, true);
    memset(frame, 'x', sizeof frame);
    frame[0] = 0x30;
    forged_frame_ends_with(100, frame, 100, false);
    forged_frame_ends_with(100, frame, 101, true);
}

static void Q4_the_peers_limit_is_never_exceeded(void **state)
{
    static const uint8_t payload[200];
    size_t max;

    (void)state;
    start(65535, 100);
    max = gh_quic_datagram_max(w.client.q);
    assert_int_equal(max, 97); /* one byte of type, two of length */
    assert_int_equal(gh_quic_send_datagram(w.client.q, gh_span_of(payload, 10), gh_span_of(payload, max - 9), 0, w.sim.now), GH_ERR_TOO_LONG);
    assert_int_equal(gh_quic_send_datagram(w.client.q, gh_span_of(payload, 10), gh_span_of(payload, max - 10), 0, w.sim.now), 0);
    raw_peer_wait(&w.client, SIM_S);
    assert_int_equal(w.server.datagrams, 1);
    assert_int_equal(w.server.datagram_len, 97);
    assert_false(w.sim.server.closed || w.sim.client.closed);
    assert_int_equal(gh_quic_counters(w.client.q)->too_big, 1);
    sim_fini(&w.sim);
}

static void queue(unsigned count, size_t size)
{
    static const uint8_t payload[1200];

    assert_non_null(w.client.q);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(gh_quic_send_datagram(w.client.q, gh_span_of(payload, 0), gh_span_of(payload, size), 0, w.sim.now), 0);
}

static void Q5_what_is_lost_is_not_sent_again(void **state)
{
    (void)state;
    start(65535, 65535);
    w.sim.link[0].down = true;
    queue(8, 700);
    raw_peer_wait(&w.client, SIM_S);
    w.sim.link[0].down = false;
    queue(1, 333);
    raw_peer_wait(&w.client, 5 * SIM_S);
    assert_int_equal(w.server.datagrams, 1);
    assert_int_equal(w.server.datagram_len, 333);
    assert_int_equal(gh_quic_counters(w.client.q)->datagrams_out, 9);
    sim_fini(&w.sim);
}

static void Q5_a_datagram_is_acknowledged(void **state)
{
    uint64_t before;

    (void)state;
    start(65535, 65535);
    raw_peer_wait(&w.client, 2 * SIM_S); /* path discovery is over */
    before = gh_quic_counters(w.server.q)->packets_out;
    queue(1, 100);
    raw_peer_wait(&w.client, 200 * SIM_MS);
    assert_int_equal(gh_quic_counters(w.server.q)->packets_out, before + 1);
    sim_fini(&w.sim);
}

/* RFC 9221, section 5.2: an acknowledgement may wait, for max_ack_delay at most (RFC 9000, section 13.2.1: 25 ms by default). */
static void Q6_a_single_datagram_is_acknowledged_after_a_while(void **state)
{
    uint64_t before;

    (void)state;
    sim_init(&w.sim, 27);
    w.sim.link[0].delay = w.sim.link[1].delay = 100 * SIM_MS; /* on shorter paths the library waits less */
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    raw_peer_wait(&w.client, 5 * SIM_S);
    before = gh_quic_counters(w.server.q)->packets_out;
    queue(1, 100);
    raw_peer_wait(&w.client, w.sim.link[0].delay + 15 * SIM_MS);
    assert_int_equal(w.server.datagrams, 1);
    assert_int_equal(gh_quic_counters(w.server.q)->packets_out, before);
    raw_peer_wait(&w.client, 15 * SIM_MS);
    assert_int_equal(gh_quic_counters(w.server.q)->packets_out, before + 1);
    sim_fini(&w.sim);
}

/* RFC 9000, section 13.2.2: one for every two packets, or fewer. */
static void Q6_many_datagrams_need_half_as_many_acknowledgements(void **state)
{
    uint64_t before;

    (void)state;
    start(65535, 65535);
    raw_peer_wait(&w.client, 2 * SIM_S);
    before = gh_quic_counters(w.server.q)->packets_out;
    for (int i = 0; i < 100; i++) {
        queue(1, 1000);
        raw_peer_wait(&w.client, SIM_MS);
    }
    raw_peer_wait(&w.client, SIM_S);
    assert_int_equal(w.server.datagrams, 100);
    assert_in_range(gh_quic_counters(w.server.q)->packets_out - before, 1, 52);
    assert_int_equal(gh_quic_counters(w.client.q)->datagrams_lost, 0);
    sim_fini(&w.sim);
}

static void Q5_flow_control_does_not_hold_datagrams(void **state)
{
    (void)state;
    sim_init(&w.sim, 22);
    w.sim.server.config.max_data = w.sim.server.config.max_stream_data = 1000;
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    queue(100, 1000);
    raw_peer_wait(&w.client, 5 * SIM_S);
    assert_int_equal(w.server.datagrams, 100);
    sim_fini(&w.sim);
}

/* RFC 9221, section 5.4; RFC 9002, section 7.2: the initial window is at most max(14720, 2 * max_datagram_size). */
static void Q5_the_congestion_window_delays_datagrams(void **state)
{
    uint64_t out;

    (void)state;
    sim_init(&w.sim, 23);
    w.sim.link[0].delay = w.sim.link[1].delay = 100 * SIM_MS;
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    queue(200, 1000);
    raw_peer_wait(&w.client, 150 * SIM_MS); /* less than a round trip */
    out = gh_quic_counters(w.client.q)->datagrams_out;
    assert_in_range(out, 1, 30);
    raw_peer_wait(&w.client, 20 * SIM_S);
    assert_int_equal(w.server.datagrams, 200);
    sim_fini(&w.sim);
}

static void Q5_the_queue_that_waits_is_bounded(void **state)
{
    static const uint8_t payload[1000];

    (void)state;
    sim_init(&w.sim, 24);
    w.sim.client.config.queue_packets = 50;
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    for (int i = 0; i < 60; i++)
        assert_int_equal(gh_quic_send_datagram(w.client.q, gh_span_of(payload, 0), gh_span_of(payload, sizeof payload), 0, w.sim.now), 0);
    assert_int_equal(gh_quic_counters(w.client.q)->queue_full, 10);
    raw_peer_wait(&w.client, 5 * SIM_S);
    assert_int_equal(w.server.datagrams, 50);
    sim_fini(&w.sim);
}

static void queue_both(unsigned count, size_t size)
{
    static const uint8_t payload[1200];

    queue(count, size);
    assert_non_null(w.server.q);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(gh_quic_send_datagram(w.server.q, gh_span_of(payload, 0), gh_span_of(payload, size), 0, w.sim.now), 0);
}

/* RFC 9001, section 6: either end begins, the other follows; nothing is lost by it. */
static void keys_change_after_so_many_packets(uint64_t client_packets, uint64_t server_packets)
{
    sim_init(&w.sim, 25);
    w.sim.client.config.key_update_packets = client_packets;
    w.sim.server.config.key_update_packets = server_packets;
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    raw_peer_wait(&w.client, SIM_S);
    for (int i = 0; i < 30; i++) {
        queue_both(40, 1000);
        raw_peer_wait(&w.client, SIM_S);
    }
    assert_int_equal(w.server.datagrams, 1200);
    assert_int_equal(w.client.datagrams, 1200);
    assert_false(w.sim.server.closed || w.sim.client.closed);
    for (int i = 0; i < 2; i++) {
        const struct gh_quic_counters *n = gh_quic_counters(i ? w.server.q : w.client.q);
        uint64_t packets = i ? server_packets : client_packets;

        if (packets > 10000)
            assert_int_equal(n->key_updates, 0);
        else
            assert_in_range(n->key_updates, 1200 / packets - 2, 1200 / packets * 2 + 2);
        assert_in_range(n->key_generations, 5, 1000);
    }
    sim_fini(&w.sim);
}

static void a_key_update_comes_by_packet_count_from_either_end(void **state)
{
    (void)state;
    keys_change_after_so_many_packets(100, UINT64_C(1) << 21);
    keys_change_after_so_many_packets(UINT64_C(1) << 21, 100);
    keys_change_after_so_many_packets(100, 130);
}

/* Far more often than an update can be confirmed: it waits, and nothing breaks. With loss, too. */
static void a_key_update_that_is_not_confirmed_yet_is_waited_for(void **state)
{
    (void)state;
    sim_init(&w.sim, 26);
    w.sim.client.config.key_update_packets = w.sim.server.config.key_update_packets = 16;
    w.sim.link[0].loss = w.sim.link[1].loss = 0.05;
    w.sim.link[0].reorder = w.sim.link[1].reorder = 0.1;
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    raw_peer_wait(&w.client, SIM_S);
    for (int i = 0; i < 50; i++) {
        queue_both(40, 1000);
        raw_peer_wait(&w.client, SIM_S);
    }
    assert_in_range(w.server.datagrams, 1700, 2000);
    assert_in_range(gh_quic_counters(w.client.q)->key_updates, 20, 1000);
    assert_false(w.sim.server.closed || w.sim.client.closed);
    sim_fini(&w.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(Q1_both_ends_offer_datagrams_of_65535),
        cmocka_unit_test(Q1_without_the_parameter_nothing_is_sent),
        cmocka_unit_test(Q2_both_frame_types_are_read),
        cmocka_unit_test(Q3_a_datagram_that_was_not_offered_is_a_violation),
        cmocka_unit_test(Q3_a_datagram_above_the_offer_is_a_violation),
        cmocka_unit_test(Q4_the_peers_limit_is_never_exceeded),
        cmocka_unit_test(Q5_what_is_lost_is_not_sent_again),
        cmocka_unit_test(Q5_a_datagram_is_acknowledged),
        cmocka_unit_test(Q5_flow_control_does_not_hold_datagrams),
        cmocka_unit_test(Q5_the_congestion_window_delays_datagrams),
        cmocka_unit_test(Q5_the_queue_that_waits_is_bounded),
        cmocka_unit_test(Q6_a_single_datagram_is_acknowledged_after_a_while),
        cmocka_unit_test(Q6_many_datagrams_need_half_as_many_acknowledgements),
        cmocka_unit_test(a_key_update_comes_by_packet_count_from_either_end),
        cmocka_unit_test(a_key_update_that_is_not_confirmed_yet_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
