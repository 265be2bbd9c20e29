/* HTTP datagrams and capsules on the wire (RFC 9297): rows D1 to D11 of docs/internals/conformance.md. */
#include "../unit/wire/packets.h"
#include "conformance.h"

/* RFC 9297, section 5.2; RFC 9114, section 8.1 */
#define DATAGRAM_ERROR 0x33
#define ID_ERROR 0x108
#define SETTINGS_ERROR 0x109
#define MESSAGE_ERROR 0x10e

#define BOTH(role) for (int role = OUR_SERVER; role <= OUR_CLIENT; role++)

static struct packet p;

/* A packet of the agent for the internet, behind context id 0. */
static void send_packet(uint64_t quarter, unsigned port)
{
    uint8_t payload[200] = { 0 };

    make_udp(&p, WORLD_AGENT4, "192.0.2.80", 40000, port, 20);
    memcpy(payload + 1, p.data, p.len);
    raw_send_datagram(&c.peer, quarter, payload, p.len + 1);
}

/* A packet of the internet for the agent. */
static void packet_from_network(void)
{
    static uint8_t buf[2048];

    make_udp(&p, "192.0.2.80", WORLD_AGENT4, 443, 40000, 20);
    memcpy(buf + 16, p.data, p.len);
    relay_packet_in(relay_world_worker(&c.relay), buf + 16, p.len, false);
}

static void send_capsules(int64_t stream, const uint8_t *bytes, size_t len, bool fin)
{
    struct raw_bytes b = { .len = 0 };

    raw_frame(&b, 0x00, bytes, len);
    raw_send(&c.peer, stream, &b, fin);
}

/* D1 */

static void D1_a_request_without_datagrams_is_aborted(void **state)
{
    static const char *const head[] = { ":method", "CONNECT", ":protocol", "connect-udp", ":scheme", "https", ":authority", "relay",
                                        ":path", "/", NULL };
    struct raw_bytes b = { .len = 0 };
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    head_of(&b, head);
    id = ask(&b, false);
    assert_int_equal(answer_on(id)->status, 501);
    send_packet((uint64_t)id / 4, 443);
    assert_stream_reset(id, DATAGRAM_ERROR);
    assert_int_equal(c.on_network, 0);
    conformance_end();
}

/* D2 */

static void D2_a_payload_without_a_stream_id_ends_the_connection(void **state)
{
    static const uint8_t shorter[] = { 0x40 }, shortest[] = { 0xc0, 0, 0, 0, 0, 0, 0 };

    (void)state;
    BOTH(role)
    {
        conformance_start_settled(role);
        assert_int_equal(gh_quic_send_datagram(c.peer.q, gh_span_of(shorter, 1), gh_span_of(NULL, 0), 0, c.sim->now), 0);
        raw_assert_closed(&c.peer, DATAGRAM_ERROR);
        conformance_end();
        conformance_start_settled(role);
        assert_int_equal(gh_quic_send_datagram(c.peer.q, gh_span_of(shortest, sizeof shortest), gh_span_of(NULL, 0), 0, c.sim->now), 0);
        raw_assert_closed(&c.peer, DATAGRAM_ERROR);
        conformance_end();
    }
}

static void D2_a_stream_id_beyond_2_to_the_60_ends_the_connection(void **state)
{
    (void)state;
    BOTH(role)
    {
        conformance_start_settled(role);
        raw_send_datagram(&c.peer, UINT64_C(1) << 60, "x", 1);
        raw_assert_closed(&c.peer, DATAGRAM_ERROR);
        conformance_end();
        conformance_start_settled(role);
        raw_send_datagram(&c.peer, (UINT64_C(1) << 60) - 1, "x", 1); /* well formed, but not one of our streams */
        raw_assert_closed(&c.peer, ID_ERROR);
        conformance_end();
    }
}

/* D3 */

static void D3_after_the_peers_end_datagrams_are_dropped_silently(void **state)
{
    struct raw_bytes b = { .len = 0 }, nothing = { .len = 0 };
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_tunnel();
    send_packet((uint64_t)id / 4, 443);
    raw_assert_open(&c.peer);
    assert_int_equal(c.on_network, 1);
    raw_send(&c.peer, id, &nothing, true);
    raw_assert_open(&c.peer);
    send_packet((uint64_t)id / 4, 443);
    raw_assert_open(&c.peer);
    assert_int_equal(c.on_network, 1);
    conformance_end();

    conformance_start_settled(OUR_CLIENT);
    head_of(&b, (const char *const[]){ ":status", "200", NULL });
    message_stream(&b, false);
    raw_send_datagram(&c.peer, 0, "x", 1);
    raw_assert_open(&c.peer);
    assert_int_equal(c.datagrams, 1);
    raw_send(&c.peer, 0, &nothing, true);
    raw_assert_open(&c.peer);
    raw_send_datagram(&c.peer, 0, "x", 1);
    raw_assert_open(&c.peer);
    assert_int_equal(c.datagrams, 1);
    conformance_end();
}

static void D3_nothing_is_sent_after_our_own_end(void **state)
{
    struct raw_bytes b = { .len = 0 };

    (void)state;
    conformance_start_settled(OUR_CLIENT);
    head_of(&b, (const char *const[]){ ":status", "200", NULL });
    message_stream(&b, false);
    raw_assert_open(&c.peer);
    assert_int_equal(gh_h3_send_datagram(c.stream, gh_span_str("x"), 0, c.sim->now), 0);
    assert_int_equal(gh_h3_send(c.stream, gh_span_of(NULL, 0), true), 0);
    assert_int_equal(gh_h3_send_datagram(c.stream, gh_span_str("x"), 0, c.sim->now), GH_ERR_STATE);
    raw_assert_open(&c.peer);
    assert_int_equal(c.peer.datagrams, 1);
    conformance_end();
}

/* D4 */

static void D4_a_stream_that_may_still_come_loses_its_datagrams(void **state)
{
    (void)state;
    BOTH(role)
    {
        conformance_start_settled(role);
        for (int i = 0; i < 50; i++) /* dropped, so nothing grows */
            raw_send_datagram(&c.peer, 7, "xyz", 3);
        raw_assert_open(&c.peer);
        assert_int_equal(c.datagrams + c.on_network, 0);
        conformance_end();
    }
}

/* The ends' default: 16 streams at a time. */
static void D4_a_stream_beyond_the_limit_is_an_id_error(void **state)
{
    (void)state;
    BOTH(role)
    {
        conformance_start_settled(role);
        raw_send_datagram(&c.peer, 15, "x", 1);
        raw_assert_open(&c.peer);
        raw_send_datagram(&c.peer, 16, "x", 1);
        raw_assert_closed(&c.peer, ID_ERROR);
        conformance_end();
    }
}

/* D5 */

static void D5_the_value_is_0_or_1(void **state)
{
    struct raw_bytes b = { .len = 0 };

    (void)state;
    raw_bytes(&b, "\x00\x04\x02\x33\x02", 5);
    BOTH(role)
    {
        conformance_start(role);
        raw_open(&c.peer, false, &b, false);
        raw_assert_closed(&c.peer, SETTINGS_ERROR);
        conformance_end();
    }
}

static void D5_no_datagram_leaves_before_the_peer_allows_it(void **state)
{
    struct raw_bytes without = { .len = 0 }, one = { .len = 0 };

    (void)state;
    /* not while its SETTINGS are under way */
    conformance_start(OUR_SERVER);
    open_tunnel();
    packet_from_network();
    raw_assert_open(&c.peer);
    assert_int_equal(c.peer.datagrams, 0);
    raw_open_control(&c.peer);
    raw_assert_open(&c.peer);
    packet_from_network();
    raw_assert_open(&c.peer);
    assert_int_equal(c.peer.datagrams, 1);
    conformance_end();
    /* and never without the setting, or with 0 */
    raw_bytes(&without, "\x00\x04\x02\x08\x01", 5);
    raw_bytes(&one, "\x00\x04\x04\x08\x01\x33\x00", 7);
    for (int i = 0; i < 2; i++) {
        conformance_start(OUR_SERVER);
        raw_open(&c.peer, false, i ? &one : &without, false);
        open_tunnel();
        packet_from_network();
        raw_assert_open(&c.peer);
        assert_int_equal(c.peer.datagrams, 0);
        assert_true(relay_world_drops(&c.relay, GH_DROP_NO_DATAGRAM) + relay_world_drops(&c.relay, GH_DROP_TOO_BIG) > 0);
        conformance_end();
    }
    conformance_start(OUR_CLIENT);
    raw_open(&c.peer, false, &without, false);
    raw_assert_open(&c.peer);
    assert_int_equal(gh_h3_datagram_max(c.stream), 0);
    assert_int_equal(gh_h3_send_datagram(c.stream, gh_span_str("x"), 0, c.sim->now), GH_ERR_UNSUPPORTED);
    conformance_end();
}

/* D6, D7, D9, D11 */

/* ADDRESS_REQUEST: id 1, 0.0.0.0/32. The relay's answer is an assignment with that id. */
static const uint8_t request[] = { 0x02, 7, 1, 4, 0, 0, 0, 0, 32 };
static const uint8_t assignment_v4[] = { 1, 4, 10, 100, 0, 2, 32 };

/* How often the relay has answered request 1. */
static unsigned answers_on(int64_t stream)
{
    const struct raw_answer *a = answer_on(stream);
    struct gh_reader r = gh_reader_of(gh_span_of(a->body, a->body_len));
    unsigned n = 0;

    while (gh_reader_left(&r)) {
        uint64_t type = gh_read_varint(&r);
        struct gh_span value = gh_read_span(&r, (size_t)gh_read_varint(&r));

        assert_false(r.failed);
        n += type == 0x01 && value.len >= sizeof assignment_v4 && memcmp(value.data, assignment_v4, sizeof assignment_v4) == 0;
    }
    return n;
}

static void D6_data_frames_may_split_capsules_anywhere(void **state)
{
    (void)state;
    for (size_t first = 1; first < sizeof request; first++) {
        int64_t id;

        conformance_start_settled(OUR_SERVER);
        id = open_tunnel();
        send_capsules(id, request, first, false);
        raw_peer_wait(&c.peer, 100 * SIM_MS);
        assert_int_equal(answers_on(id), 0);
        send_capsules(id, request + first, sizeof request - first, false);
        raw_assert_open(&c.peer);
        assert_int_equal(answers_on(id), 1);
        conformance_end();
    }
}

static void D7_unknown_capsules_are_skipped(void **state)
{
    struct raw_bytes b = { .len = 0 };
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_tunnel();
    raw_bytes(&b, BYTES(0x17, 3, 'x', 'y', 'z', 0x9a, 0xce, 0x79, 0xec, 0)); /* 0x29*N+0x17 is reserved for this; a provisional one */
    raw_bytes(&b, request, sizeof request);
    send_capsules(id, b.data, b.len, false);
    raw_assert_open(&c.peer);
    assert_int_equal(answers_on(id), 1);
    conformance_end();
}

/* The windows are a third of the capsule: were it collected first, it would never end. */
static void D7_flow_control_opens_within_a_capsule(void **state)
{
    static const uint8_t zero[1000];
    struct raw_bytes b = { .len = 0 };
    int64_t id;

    (void)state;
    conformance_begin(OUR_SERVER);
    c.sim->server.config.max_data = 4096;
    c.sim->server.config.max_stream_data = 2000;
    conformance_connect();
    raw_open_control(&c.peer);
    id = open_tunnel();
    raw_varint(&b, 0x17);
    raw_varint(&b, 6000);
    for (int i = 0; i < 6; i++)
        raw_bytes(&b, zero, sizeof zero);
    raw_bytes(&b, request, sizeof request);
    send_capsules(id, b.data, b.len, false);
    raw_assert_open(&c.peer);
    assert_int_equal(answers_on(id), 1);
    conformance_end();
}

static void tunnel_aborts_on(const uint8_t *bytes, size_t len, bool fin)
{
    int64_t id;

    conformance_start_settled(OUR_SERVER);
    id = open_tunnel();
    send_capsules(id, bytes, len, fin);
    assert_stream_reset(id, MESSAGE_ERROR);
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 0);
    open_tunnel(); /* the next one works, at the same address */
    conformance_end();
}

static void D9_a_malformed_capsule_aborts_the_tunnel(void **state)
{
    (void)state;
    tunnel_aborts_on(BYTES(0x02, 6, 1, 4, 0, 0, 0, 0), false);               /* a byte is missing */
    tunnel_aborts_on(BYTES(0x02, 8, 1, 4, 0, 0, 0, 0, 32, 0), false);        /* one is left over */
    tunnel_aborts_on(BYTES(0x02, 7, 1, 5, 0, 0, 0, 0, 32), false);           /* IP version 5 */
    tunnel_aborts_on(BYTES(0x01, 7, 0, 4, 10, 0, 0, 1, 33), false);          /* prefix of 33 bits */
    tunnel_aborts_on(BYTES(0x03, 10, 4, 2, 0, 0, 0, 1, 0, 0, 0, 0), false);  /* start above end */
}

static void D9_the_end_inside_a_capsule_aborts_the_tunnel(void **state)
{
    (void)state;
    tunnel_aborts_on(BYTES(0x02), true);
    tunnel_aborts_on(BYTES(0x02, 7, 1, 4), true);
    tunnel_aborts_on(BYTES(0x17, 9, 'x'), true); /* an unknown one is no exception */
}

static void D11_a_datagram_capsule_carries_a_packet(void **state)
{
    struct raw_bytes b = { .len = 0 };
    int64_t id;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    id = open_tunnel();
    make_udp(&p, WORLD_AGENT4, "192.0.2.80", 40000, 443, 20);
    raw_varint(&b, 0x00);
    raw_varint(&b, p.len + 1);
    raw_bytes(&b, "\0", 1);
    raw_bytes(&b, p.data, p.len);
    send_capsules(id, b.data, b.len, false);
    raw_assert_open(&c.peer);
    assert_int_equal(c.on_network, 1);
    assert_int_equal(c.network_len, p.len);
    assert_memory_equal(c.network, p.data, p.len);
    conformance_end();
}

/* D8, D10 */

static void with_field(const char *name, const char *value, struct raw_bytes *b)
{
    const char *const fields[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "relay",
                                   ":path", "/.well-known/masque/ip/*/*/", name, value, NULL };

    b->len = 0;
    head_of(b, fields);
}

static void D8_content_fields_make_the_request_malformed(void **state)
{
    struct raw_bytes b;

    (void)state;
    for (int i = 0; i < 3; i++) {
        conformance_start_settled(OUR_SERVER);
        with_field(i == 0 ? "content-length" : i == 1 ? "content-type" : "transfer-encoding", i == 0 ? "0" : "chunked", &b);
        assert_stream_reset(ask(&b, false), MESSAGE_ERROR);
        assert_int_equal(atomic_load(&c.relay.relay.sessions), 0);
        conformance_end();
    }
}

static void D10_only_success_carries_the_field(void **state)
{
    static const char *const refused[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "relay",
                                           ":path", "/elsewhere", "capsule-protocol", "?1", NULL };
    struct raw_bytes b = { .len = 0 };
    struct raw_answer *a;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    head_of(&b, refused);
    a = answer_on(ask(&b, true));
    assert_int_equal(a->status, 404);
    assert_null(strstr(a->fields, "capsule-protocol"));
    a = answer_on(open_tunnel());
    assert_non_null(strstr(a->fields, "capsule-protocol: ?1\n"));
    conformance_end();
}

/* RFC 9297, section 3.4: a value of another type is ignored, and connect-ip uses capsules without being told. */
static void D10_other_values_are_ignored(void **state)
{
    static const char *const values[] = { "?0", "1", "true", "", "?1;a=b", "\"?1\"" };
    struct raw_bytes b;

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        conformance_start_settled(OUR_SERVER);
        with_field("capsule-protocol", values[i], &b);
        assert_int_equal(answer_on(ask(&b, false))->status, 200);
        conformance_end();
    }
}

#define T cmocka_unit_test

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(D1_a_request_without_datagrams_is_aborted),
        T(D2_a_payload_without_a_stream_id_ends_the_connection),
        T(D2_a_stream_id_beyond_2_to_the_60_ends_the_connection),
        T(D3_after_the_peers_end_datagrams_are_dropped_silently),
        T(D3_nothing_is_sent_after_our_own_end),
        T(D4_a_stream_that_may_still_come_loses_its_datagrams),
        T(D4_a_stream_beyond_the_limit_is_an_id_error),
        T(D5_the_value_is_0_or_1),
        T(D5_no_datagram_leaves_before_the_peer_allows_it),
        T(D6_data_frames_may_split_capsules_anywhere),
        T(D7_unknown_capsules_are_skipped),
        T(D7_flow_control_opens_within_a_capsule),
        T(D8_content_fields_make_the_request_malformed),
        T(D9_a_malformed_capsule_aborts_the_tunnel),
        T(D9_the_end_inside_a_capsule_aborts_the_tunnel),
        T(D10_only_success_carries_the_field),
        T(D10_other_values_are_ignored),
        T(D11_a_datagram_capsule_carries_a_packet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
