#include "proto/connect_ip/connect_ip.h"

#include "../../wire/packets.h"

static struct gh_connect_ip c;

static struct {
    uint8_t sent[8192];
    size_t sent_len;
    struct gh_connect_ip_address addresses[GH_CONNECT_IP_ADDRESSES];
    struct gh_ip_route routes[GH_CONNECT_IP_ROUTES];
    size_t address_count, route_count, assigns, requests, route_events, packets;
    uint8_t packet[64];
    size_t packet_len;
    bool answer_at_once;
} got;

static int on_send(void *arg, struct gh_span s)
{
    (void)arg;
    assert_true(got.sent_len + s.len <= sizeof got.sent);
    memcpy(got.sent + got.sent_len, s.data, s.len);
    got.sent_len += s.len;
    return 0;
}

static void on_assign(void *arg, const struct gh_connect_ip_address *list, size_t count)
{
    (void)arg;
    got.assigns++;
    got.address_count = count;
    memcpy(got.addresses, list, count * sizeof *list);
}

static void on_request(void *arg, const struct gh_connect_ip_address *list, size_t count)
{
    struct gh_connect_ip_address answer;

    (void)arg;
    got.requests++;
    got.address_count = count;
    memcpy(got.addresses, list, count * sizeof *list);
    if (!got.answer_at_once)
        return;
    answer = (struct gh_connect_ip_address){ list[0].request_id, prefix_of("10.100.0.2/32") };
    assert_int_equal(gh_connect_ip_assign(&c, &answer, 1, true), 0);
}

static void on_routes(void *arg, const struct gh_ip_route *list, size_t count)
{
    (void)arg;
    got.route_events++;
    got.route_count = count;
    memcpy(got.routes, list, count * sizeof *list);
}

static void on_packet(void *arg, struct gh_span p)
{
    (void)arg;
    got.packets++;
    got.packet_len = p.len;
    if (p.len > 0 && p.len <= sizeof got.packet)
        memcpy(got.packet, p.data, p.len);
}

static const struct gh_connect_ip_events events = { on_send, on_assign, on_request, on_routes, on_packet };

static void start(void)
{
    gh_connect_ip_fini(&c);
    memset(&got, 0, sizeof got);
    gh_connect_ip_init(&c, &events, NULL);
}

static int feed(const void *data, size_t len)
{
    return gh_connect_ip_feed(&c, gh_span_of(data, len), false);
}

#define FEED(...) feed((const uint8_t[]){ __VA_ARGS__ }, sizeof(const uint8_t[]){ __VA_ARGS__ })

static void A1_an_address_is_read_byte_by_byte(void **state)
{
    struct gh_prefix want = prefix_of("10.64.0.10/32");

    (void)state;
    start(); /* 10.64.0.10/32, unprompted */
    assert_int_equal(FEED(0x01, 0x07, 0x00, 0x04, 0x0a, 0x40, 0x00, 0x0a, 0x20), 0);
    assert_int_equal(got.assigns, 1);
    assert_int_equal(got.address_count, 1);
    assert_int_equal(got.addresses[0].request_id, 0);
    assert_memory_equal(&got.addresses[0].prefix, &want, sizeof want);
}

static void a_capsule_above_the_configured_limit_is_refused(void **state)
{
    (void)state;
    start();
    gh_connect_ip_limit(&c, 7);
    assert_int_equal(FEED(0x01, 0x07, 0x00, 0x04, 0x0a, 0x40, 0x00, 0x0a, 0x20), 0);
    assert_int_equal(c.counters.capsule_drops, 0);
    start();
    gh_connect_ip_limit(&c, 6);
    assert_int_equal(FEED(0x01, 0x07, 0x00, 0x04, 0x0a, 0x40, 0x00, 0x0a, 0x20), GH_ERR_TOO_LONG);
    assert_int_equal(c.counters.capsule_drops, 1);
}

static void A1_bad_addresses_are_malformed(void **state)
{
    (void)state;
    start();
    assert_int_equal(FEED(0x01, 0x07, 0x00, 0x05, 10, 0, 0, 1, 32), GH_ERR_MALFORMED); /* version */
    start();
    assert_int_equal(FEED(0x01, 0x07, 0x00, 0x04, 10, 0, 0, 1, 33), GH_ERR_MALFORMED); /* length */
    start();
    assert_int_equal(FEED(0x01, 0x07, 0x00, 0x04, 10, 0, 0, 1, 24), GH_ERR_MALFORMED); /* host bits */
    start();
    assert_int_equal(FEED(0x01, 0x13, 0x00, 0x06, 0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 64), GH_ERR_MALFORMED);
    start();
    assert_int_equal(FEED(0x01, 0x13, 0x00, 0x06, 0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 129), GH_ERR_MALFORMED);
    start();
    assert_int_equal(FEED(0x01, 0x06, 0x00, 0x04, 10, 0, 0, 1), GH_ERR_MALFORMED); /* cut */
    start();
    assert_int_equal(FEED(0x01, 0x08, 0x00, 0x04, 10, 0, 0, 1, 32, 0), GH_ERR_MALFORMED); /* a byte left over */
    assert_int_equal(c.counters.malformed, 1);
    assert_int_equal(got.assigns, 0);
    assert_int_equal(FEED(0x01, 0x00), GH_ERR_MALFORMED); /* and it stays so */
}

static void A2_assign_is_the_full_list_with_both_families_in_one_capsule(void **state)
{
    static const uint8_t want[] = { 0x01, 0x1a, 0x00, 0x04, 10, 100, 0, 2, 32,
                                    0x00, 0x06, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 128 };
    struct gh_connect_ip_address list[2] = { { 0 }, { 0 } };

    (void)state;
    start();
    list[0].prefix = prefix_of("10.100.0.2/32");
    list[1].prefix = prefix_of("fd00::2/128");
    assert_int_equal(gh_connect_ip_assign(&c, list, 2, false), 0);
    assert_int_equal(got.sent_len, sizeof want);
    assert_memory_equal(got.sent, want, sizeof want);
    assert_int_equal(feed(want, sizeof want), 0); /* the same engine reads it */
    assert_int_equal(got.address_count, 2);
    assert_int_equal(FEED(0x01, 0x00), 0); /* the empty list removes all */
    assert_int_equal(got.assigns, 2);
    assert_int_equal(got.address_count, 0);
    list[0].prefix.len = 8;
    assert_int_equal(gh_connect_ip_assign(&c, list, 2, false), GH_ERR_RANGE);
}

static void A3_an_endpoint_asks_for_what_it_needs(void **state)
{
    static const uint8_t want[] = { 0x02, 0x13, 0x01, 0x06, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64 };
    struct gh_prefix any[2] = { prefix_of("::/64"), prefix_of("0.0.0.0/32") };
    uint64_t id = 0;

    (void)state;
    start();
    assert_int_equal(gh_connect_ip_request(&c, any, 1, &id), 0);
    assert_int_equal(id, 1);
    assert_int_equal(got.sent_len, sizeof want);
    assert_memory_equal(got.sent, want, sizeof want);
    assert_int_equal(gh_connect_ip_request(&c, any, 2, &id), 0); /* ids are never used twice */
    assert_int_equal(id, 2);
    assert_int_equal(gh_connect_ip_request(&c, any, 1, &id), 0);
    assert_int_equal(id, 4);
    assert_int_equal(gh_connect_ip_request(&c, any, 0, &id), GH_ERR_RANGE);
    any[0].addr.bytes[15] = 1;
    assert_int_equal(gh_connect_ip_request(&c, any, 1, &id), GH_ERR_RANGE);
}

static void A4_an_empty_or_nameless_or_repeated_request_is_malformed(void **state)
{
    (void)state;
    start();
    assert_int_equal(FEED(0x02, 0x00), GH_ERR_MALFORMED);
    start();
    assert_int_equal(FEED(0x02, 0x07, 0x00, 0x04, 0, 0, 0, 0, 32), GH_ERR_MALFORMED);
    start();
    assert_int_equal(FEED(0x02, 0x07, 0x05, 0x04, 0, 0, 0, 0, 32), 0);
    assert_int_equal(FEED(0x02, 0x07, 0x04, 0x04, 0, 0, 0, 0, 32), 0);
    assert_int_equal(FEED(0x02, 0x07, 0x05, 0x04, 0, 0, 0, 0, 32), GH_ERR_MALFORMED);
    start();
    assert_int_equal(FEED(0x02, 0x0e, 0x05, 0x04, 0, 0, 0, 0, 32, 0x05, 0x04, 0, 0, 0, 0, 32), GH_ERR_MALFORMED);
    assert_int_equal(got.requests, 0);
}

static void A4_every_request_is_answered_once_with_its_id(void **state)
{
    /* id 7 gets 10.100.0.2/32, id 8 (IPv4) and id 9 (IPv6) are refused, in one capsule */
    static const uint8_t want[] = { 0x01, 0x21, 0x07, 0x04, 10, 100, 0, 2, 32, 0x08, 0x04, 0, 0, 0, 0, 32,
                                    0x09, 0x06, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128 };
    struct gh_connect_ip_address a;

    (void)state;
    start();
    got.answer_at_once = true;
    assert_int_equal(FEED(0x02, 0x21, 0x07, 0x04, 0, 0, 0, 0, 32, 0x08, 0x04, 0, 0, 0, 0, 24,
                          0x09, 0x06, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64), 0);
    assert_int_equal(got.requests, 1);
    assert_int_equal(got.sent_len, sizeof want);
    assert_memory_equal(got.sent, want, sizeof want);
    assert_int_equal(feed(want, sizeof want), 0);
    assert_false(gh_connect_ip_is_refusal(&got.addresses[0]));
    assert_true(gh_connect_ip_is_refusal(&got.addresses[1]));
    assert_true(gh_connect_ip_is_refusal(&got.addresses[2]));
    got.sent_len = 0; /* a later change keeps the id, and the refused are not mentioned again */
    a = (struct gh_connect_ip_address){ 7, prefix_of("10.100.0.3/32") };
    assert_int_equal(gh_connect_ip_assign(&c, &a, 1, true), 0);
    assert_int_equal(got.sent_len, 9);
    assert_int_equal(got.sent[2], 7);
}

static void A4_a_request_may_be_answered_later(void **state)
{
    struct gh_connect_ip_address a = { 3, prefix_of("10.100.0.3/32") };

    (void)state;
    start();
    assert_int_equal(FEED(0x02, 0x07, 0x03, 0x04, 0, 0, 0, 0, 32), 0);
    assert_int_equal(gh_connect_ip_assign(&c, NULL, 0, false), 0); /* an unprompted list leaves it open */
    assert_int_equal(got.sent_len, 2);
    assert_int_equal(c.pending_count, 1);
    assert_int_equal(gh_connect_ip_assign(&c, &a, 1, false), 0);
    assert_int_equal(c.pending_count, 0);
    assert_int_equal(got.sent[4], 3);
}

/* RFC 9297, section 3.2: what nobody listens to is skipped, whatever it looks like and however long it is. */
static void a_list_for_ech_is_an_unknown_capsule_to_who_does_not_listen(void **state)
{
    static const uint8_t head[] = { 0xa7, 0x61, 0x74, 0x68, 0x80, 0x02, 0x00, 0x00 }; /* 131,072 bytes */
    static const uint8_t piece[4096];

    (void)state;
    start();
    assert_int_equal(FEED(0xa7, 0x61, 0x74, 0x68, 0x01, 0xff), 0);
    assert_int_equal(feed(head, sizeof head), 0);
    for (int i = 0; i < 32; i++)
        assert_int_equal(feed(piece, sizeof piece), 0);
    assert_int_equal(FEED(0x02, 0x07, 0x03, 0x04, 0, 0, 0, 0, 32), 0);
    assert_int_equal(got.requests, 1);
}

static void A4_without_a_listener_all_is_refused(void **state)
{
    static const struct gh_connect_ip_events deaf = { .send = on_send };

    (void)state;
    start();
    c.events = &deaf;
    assert_int_equal(FEED(0x02, 0x07, 0x03, 0x04, 0, 0, 0, 0, 32, 0x01, 0x00, 0x03, 0x00, 0x00, 0x01, 0x00), 0);
    assert_int_equal(got.sent_len, 9);
    assert_int_equal(got.sent[2], 3);
    assert_int_equal(got.sent[8], 32);
}

/* ADDRESS_REQUEST for any IPv4 address with <id>. */
static int request_id(uint64_t id)
{
    uint8_t buf[32];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    gh_capsule_emit_head(&w, 2, gh_varint_len(id) + 6);
    gh_write_varint(&w, id);
    gh_write_bytes(&w, "\x04\0\0\0\0\x20", 6);
    return feed(buf, gh_writer_len(&w));
}

static void A4_ids_are_remembered_as_a_naive_set_does(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed < 200; seed++) {
        bool used[34] = { false };
        uint32_t rnd = seed;
        int rc = 0;

        start();
        got.answer_at_once = true;
        while (rc == 0) {
            uint64_t id;

            rnd = rnd * 1664525u + 1013904223u;
            id = 1 + (rnd >> 16) % 33;
            rc = request_id(id);
            assert_int_equal(rc, used[id] ? GH_ERR_MALFORMED : 0);
            used[id] = true;
        }
    }
    start();
    got.answer_at_once = true;
    for (uint64_t id = 1; id < 5000; id++) {
        got.sent_len = 0;
        assert_int_equal(request_id(id), 0);
    }
    assert_int_equal(c.used_count, 1);
    start();
    got.answer_at_once = true;
    for (uint64_t id = 1; id <= 2 * GH_CONNECT_IP_ID_RANGES; id += 2)
        assert_int_equal(request_id(id), 0);
    assert_int_equal(request_id(1000), GH_ERR_TOO_LONG);
    assert_int_equal(c.counters.capsule_drops, 1);
}

static void A6_routes_are_read_and_written(void **state)
{
    static const uint8_t want[] = { 0x03, 0x2c, 0x04, 0, 0, 0, 0, 255, 255, 255, 255, 0,
                                    0x06, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0 };
    struct gh_ip_route list[2] = { { ip_of("0.0.0.0"), ip_of("255.255.255.255"), 0 },
                                   { ip_of("::"), ip_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 0 } };

    (void)state;
    start();
    assert_int_equal(gh_connect_ip_advertise(&c, list, 2), 0);
    assert_int_equal(got.sent_len, sizeof want);
    assert_memory_equal(got.sent, want, sizeof want);
    assert_int_equal(feed(want, sizeof want), 0);
    assert_int_equal(got.route_count, 2);
    assert_memory_equal(got.routes, list, sizeof list);
    got.sent_len = 0;
    assert_int_equal(gh_connect_ip_withhold(&c, list, 2), 0); /* 0x27617467: what is left out, in the same form */
    assert_memory_equal(got.sent, "\xa7\x61\x74\x67\x2c", 5);
    assert_memory_equal(got.sent + 5, want + 2, sizeof want - 2);
    assert_int_equal(feed(got.sent, got.sent_len), 0); /* nobody listens, and it is no advertisement */
    assert_int_equal(got.route_events, 1);
    assert_int_equal(FEED(0x03, 0x00), 0); /* supersedes: no route any more */
    assert_int_equal(got.route_events, 2);
    assert_int_equal(got.route_count, 0);
    assert_int_equal(gh_connect_ip_advertise(&c, NULL, 0), 0);
    list[1] = list[0];
    assert_int_equal(gh_connect_ip_advertise(&c, list, 2), GH_ERR_RANGE);
    list[1].protocol = 6; /* what protocol 0 covers may not be sent again for another */
    assert_int_equal(gh_connect_ip_advertise(&c, list, 2), GH_ERR_RANGE);
}

static void A6_routes_out_of_order_are_malformed(void **state)
{
    (void)state;
    start();
    assert_int_equal(FEED(0x03, 0x0a, 4, 2, 0, 0, 0, 1, 0, 0, 0, 0), GH_ERR_MALFORMED); /* end before start */
    start();
    assert_int_equal(FEED(0x03, 0x14, 4, 2, 0, 0, 0, 2, 0, 0, 9, 0, 4, 1, 0, 0, 0, 1, 0, 0, 9, 0), GH_ERR_MALFORMED); /* address */
    start();
    assert_int_equal(FEED(0x03, 0x14, 4, 1, 0, 0, 0, 1, 0, 0, 9, 0, 4, 1, 0, 0, 9, 1, 0, 0, 99, 0), GH_ERR_MALFORMED); /* shared */
    start();
    assert_int_equal(FEED(0x03, 0x14, 4, 1, 0, 0, 0, 1, 0, 0, 9, 6, 4, 2, 0, 0, 0, 2, 0, 0, 9, 0), GH_ERR_MALFORMED); /* protocol */
    start();
    assert_int_equal(FEED(0x03, 0x2c, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                          0, 4, 1, 0, 0, 0, 1, 0, 0, 9, 0), GH_ERR_MALFORMED); /* family */
    start();
    assert_int_equal(FEED(0x03, 0x0a, 5, 1, 0, 0, 0, 2, 0, 0, 0, 0), GH_ERR_MALFORMED); /* version */
    start();
    assert_int_equal(FEED(0x03, 0x09, 4, 1, 0, 0, 0, 2, 0, 0, 0), GH_ERR_MALFORMED); /* cut */
    start();
    assert_int_equal(FEED(0x03, 0x14, 4, 1, 0, 0, 0, 1, 0, 0, 9, 0, 4, 1, 0, 0, 0, 1, 0, 0, 9, 6), 0); /* another protocol: in order */
}

static void A8_context_zero_is_a_packet_and_others_are_dropped(void **state)
{
    (void)state;
    start();
    gh_connect_ip_feed_datagram(&c, gh_span_of("\x00pkt", 4));
    assert_int_equal(got.packets, 1);
    assert_int_equal(got.packet_len, 3);
    assert_memory_equal(got.packet, "pkt", 3);
    gh_connect_ip_feed_datagram(&c, gh_span_of("\x40\x00pkt", 5)); /* zero in two bytes is zero */
    assert_int_equal(got.packets, 2);
    gh_connect_ip_feed_datagram(&c, gh_span_of("\x02pkt", 4));
    gh_connect_ip_feed_datagram(&c, gh_span_of("\x40", 1));
    gh_connect_ip_feed_datagram(&c, gh_span_of("", 0));
    assert_int_equal(got.packets, 2);
    assert_int_equal(c.counters.context_drops, 3);
}

static void D11_a_datagram_capsule_is_a_datagram(void **state)
{
    static uint8_t big[5 + 70000] = { 0x00, 0x80, 0x01, 0x11, 0x70 };

    (void)state;
    start();
    assert_int_equal(FEED(0x00, 0x04, 0x00, 'p', 'k', 't', 0x00, 0x02, 0x02, 'x'), 0);
    assert_int_equal(got.packets, 1);
    assert_memory_equal(got.packet, "pkt", 3);
    assert_int_equal(c.counters.context_drops, 1);
    assert_int_equal(feed(big, sizeof big), 0);
    assert_int_equal(c.counters.capsule_drops, 1);
    assert_int_equal(got.packets, 1);
}

static void A9_capsules_and_pieces_need_not_coincide(void **state)
{
    static const uint8_t stream[] = { 0x01, 0x07, 0x00, 0x04, 10, 100, 0, 2, 32, 0x03, 0x0a, 4, 0, 0, 0, 0, 255, 255, 255, 255, 0,
                                      0x00, 0x04, 0x00, 'p', 'k', 't' };

    (void)state;
    for (size_t piece = 1; piece <= sizeof stream; piece++) {
        start();
        for (size_t at = 0; at < sizeof stream; at += piece)
            assert_int_equal(feed(stream + at, sizeof stream - at < piece ? sizeof stream - at : piece), 0);
        assert_int_equal(got.assigns, 1);
        assert_int_equal(got.route_events, 1);
        assert_int_equal(got.packets, 1);
    }
}

static void D7_unknown_capsules_change_nothing(void **state)
{
    (void)state;
    start();
    assert_int_equal(FEED(0x29, 0x03, 1, 2, 3, 0x01, 0x00), 0);
    assert_int_equal(got.assigns, 1);
    assert_int_equal(c.reader.skipped, 1);
}

static void D9_the_end_inside_a_capsule_is_malformed(void **state)
{
    (void)state;
    start();
    assert_int_equal(gh_connect_ip_feed(&c, gh_span_of("\x01\x07\x00", 3), true), GH_ERR_MALFORMED);
    assert_int_equal(c.counters.malformed, 1);
}

static void R7_closing_a_direction_ends_the_tunnel(void **state)
{
    uint64_t id;
    struct gh_prefix any = prefix_of("0.0.0.0/32");

    (void)state;
    start();
    assert_int_equal(gh_connect_ip_feed(&c, gh_span_of("\x01\x00", 2), true), 0);
    assert_int_equal(got.assigns, 1);
    assert_int_equal(FEED(0x01, 0x00), GH_ERR_STATE);
    assert_int_equal(gh_connect_ip_assign(&c, NULL, 0, false), GH_ERR_STATE);
    assert_int_equal(gh_connect_ip_request(&c, &any, 1, &id), GH_ERR_STATE);
    assert_int_equal(gh_connect_ip_advertise(&c, NULL, 0), GH_ERR_STATE);
}

static void lists_above_the_limits_are_refused_and_counted(void **state)
{
    static uint8_t stream[16 + 1025 * 10];
    static struct gh_ip_route routes[GH_CONNECT_IP_ROUTES + 1];
    struct gh_connect_ip_address list[GH_CONNECT_IP_ADDRESSES + 1];

    (void)state;
    for (unsigned n = 64; n <= 65; n++) {
        struct gh_writer w = gh_writer_of(stream, sizeof stream);

        start();
        gh_capsule_emit_head(&w, 1, n * 7);
        for (unsigned i = 0; i < n; i++)
            gh_write_bytes(&w, (const uint8_t[]){ 0, 4, 10, 0, 0, (uint8_t)i, 32 }, 7);
        assert_int_equal(feed(stream, gh_writer_len(&w)), n == 64 ? 0 : GH_ERR_TOO_LONG);
        assert_int_equal(c.counters.capsule_drops, n - 64);
    }
    for (unsigned n = 1024; n <= 1025; n++) {
        struct gh_writer w = gh_writer_of(stream, sizeof stream);

        start();
        gh_capsule_emit_head(&w, 3, n * 10);
        for (unsigned i = 0; i < n; i++)
            gh_write_bytes(&w, (const uint8_t[]){ 4, 10, 0, (uint8_t)(i >> 8), (uint8_t)i, 10, 0, (uint8_t)(i >> 8), (uint8_t)i, 0 }, 10);
        assert_int_equal(feed(stream, gh_writer_len(&w)), n == 1024 ? 0 : GH_ERR_TOO_LONG);
        assert_int_equal(c.counters.capsule_drops, n - 1024);
    }
    start();
    for (unsigned i = 0; i < 65; i++)
        list[i] = (struct gh_connect_ip_address){ 0, prefix_of("10.0.0.1/32") };
    assert_int_equal(gh_connect_ip_assign(&c, list, 64, true), 0);
    assert_int_equal(gh_connect_ip_assign(&c, list, 65, true), GH_ERR_RANGE);
    assert_int_equal(gh_connect_ip_advertise(&c, routes, 1025), GH_ERR_RANGE);
    assert_int_equal(FEED(0x01, 0x80, 0x01, 0x00, 0x01), GH_ERR_TOO_LONG); /* a capsule of 65,537 bytes */
    assert_int_equal(c.counters.capsule_drops, 1);
}

static void open_requests_are_bounded(void **state)
{
    (void)state;
    start();
    for (uint64_t id = 1; id <= GH_CONNECT_IP_ADDRESSES; id++)
        assert_int_equal(request_id(id), 0);
    assert_int_equal(request_id(GH_CONNECT_IP_ADDRESSES + 1), GH_ERR_TOO_LONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(A1_an_address_is_read_byte_by_byte),
        cmocka_unit_test(a_capsule_above_the_configured_limit_is_refused),
        cmocka_unit_test(A1_bad_addresses_are_malformed),
        cmocka_unit_test(A2_assign_is_the_full_list_with_both_families_in_one_capsule),
        cmocka_unit_test(A3_an_endpoint_asks_for_what_it_needs),
        cmocka_unit_test(A4_an_empty_or_nameless_or_repeated_request_is_malformed),
        cmocka_unit_test(A4_every_request_is_answered_once_with_its_id),
        cmocka_unit_test(A4_a_request_may_be_answered_later),
        cmocka_unit_test(a_list_for_ech_is_an_unknown_capsule_to_who_does_not_listen),
        cmocka_unit_test(A4_without_a_listener_all_is_refused),
        cmocka_unit_test(A4_ids_are_remembered_as_a_naive_set_does),
        cmocka_unit_test(A6_routes_are_read_and_written),
        cmocka_unit_test(A6_routes_out_of_order_are_malformed),
        cmocka_unit_test(A8_context_zero_is_a_packet_and_others_are_dropped),
        cmocka_unit_test(A9_capsules_and_pieces_need_not_coincide),
        cmocka_unit_test(D7_unknown_capsules_change_nothing),
        cmocka_unit_test(D9_the_end_inside_a_capsule_is_malformed),
        cmocka_unit_test(D11_a_datagram_capsule_is_a_datagram),
        cmocka_unit_test(R7_closing_a_direction_ends_the_tunnel),
        cmocka_unit_test(lists_above_the_limits_are_refused_and_counted),
        cmocka_unit_test(open_requests_are_bounded),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);

    gh_connect_ip_fini(&c);
    gh_connect_ip_fini(NULL);
    return rc;
}
