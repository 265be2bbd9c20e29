#include "wire/ip.h"

#include "packets.h"

static struct packet p, q;
static struct gh_ip_packet ip;

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void checksum_matches_the_rfc_examples(void **state)
{
    /* RFC 1071, section 3: the sum of these bytes is ddf2 */
    static const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };

    (void)state;
    assert_int_equal(gh_ip_checksum(bytes, 8), (uint16_t)~0xddf2);
    /* RFC 1624, section 4: checksum dd2f, word 5555 becomes 3285, checksum becomes 0000 */
    assert_int_equal(gh_ip_checksum_update(0xdd2f, 0x5555, 0x3285), 0x0000);
}

static void checksum_equals_a_naive_one_and_its_incremental_update(void **state)
{
    uint8_t data[257];
    uint32_t rnd = 7;
    uint16_t updated;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t len = 4 + next_random(&rnd) % 253, at;
        uint16_t check, word, fresh;

        for (size_t i = 0; i < len; i++)
            data[i] = (uint8_t)next_random(&rnd);
        check = gh_ip_checksum(data, len);
        assert_int_equal(check, naive_checksum(data, len, NULL, 0));
        at = next_random(&rnd) % (len / 2) * 2;
        word = (uint16_t)get16(data + at);
        fresh = (uint16_t)next_random(&rnd);
        put16(data + at, fresh);
        assert_int_equal(gh_ip_checksum_update(check, word, fresh), naive_checksum(data, len, NULL, 0));
    }
    put32(data, 0);
    put16(data + 4, 1);
    updated = gh_ip_checksum_update32(naive_checksum(data, 6, NULL, 0), 0, 0xdeadbeef);
    put32(data, 0xdeadbeef);
    assert_int_equal(updated, naive_checksum(data, 6, NULL, 0));
}

static void upper_checksum_covers_the_pseudo_header(void **state)
{
    (void)state;
    make_udp(&p, "2001:db8::1", "2001:db8::2", 1000, 53, 31);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    assert_int_equal(gh_ip_checksum_upper(&ip.src, &ip.dst, 17, p.data + 40, p.len - 40), 0);
    make_tcp(&p, "10.0.0.2", "1.1.1.1", 1000, 53, GH_TCP_SYN, 1, 0, 1460, 0);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    assert_int_equal(gh_ip_checksum_upper(&ip.src, &ip.dst, 6, p.data + 20, p.len - 20), 0);
}

static void P2_ttl_decrement_keeps_the_checksum_right(void **state)
{
    (void)state;
    for (unsigned ttl = 0; ttl < 256; ttl++) {
        make_udp(&p, "10.0.0.2", "1.1.1.1", 1000 + ttl, 53, 4);
        p.data[8] = (uint8_t)ttl;
        seal_v4(&p);
        q = p;
        assert_int_equal(gh_ip_ttl_decrement(p.data), ttl > 1);
        if (ttl > 1) {
            assert_int_equal(p.data[8], ttl - 1);
            assert_int_equal(naive_checksum(p.data, 20, NULL, 0), 0);
        } else {
            assert_memory_equal(p.data, q.data, p.len);
        }
    }
    make_udp(&p, "2001:db8::1", "2001:db8::2", 1000, 53, 4);
    assert_true(gh_ip_ttl_decrement(p.data));
    assert_int_equal(p.data[7], 63);
    p.data[7] = 1;
    assert_false(gh_ip_ttl_decrement(p.data));
}

static void reads_addresses_ports_and_flags(void **state)
{
    struct gh_ip want = ip_of("10.0.0.2");

    (void)state;
    make_tcp(&p, "10.0.0.2", "1.1.1.1", 40000, 443, GH_TCP_SYN, 0x01020304, 0, 1460, 0);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    assert_true(gh_ip_equals(&ip.src, &want));
    assert_int_equal(ip.version, 4);
    assert_int_equal(ip.protocol, 6);
    assert_int_equal(ip.ttl, 64);
    assert_true(ip.has_ports);
    assert_int_equal(ip.src_port, 40000);
    assert_int_equal(ip.dst_port, 443);
    assert_int_equal(ip.tcp_flags, GH_TCP_SYN);
    assert_int_equal(ip.tcp_seq, 0x01020304);
    assert_int_equal(ip.tcp_len, 1);
    assert_int_equal(ip.total_len, p.len);
    assert_false(ip.fragment);
    make_tcp(&p, "2001:db8::1", "2001:db8::2", 40000, 443, GH_TCP_ACK | GH_TCP_FIN, 9, 77, 0, 100);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    assert_int_equal(ip.tcp_len, 101);
    assert_int_equal(ip.tcp_ack, 77);
    make_echo(&p, "2001:db8::1", "2001:db8::2", false, 99, 56);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    assert_true(gh_ip_is_icmp(&ip));
    assert_int_equal(ip.icmp_type, 128);
    assert_int_equal(ip.icmp_id, 99);
    assert_false(ip.has_ports);
}

static void every_cut_packet_is_malformed(void **state)
{
    static uint8_t exact[4096];

    (void)state;
    for (int family = 4; family <= 6; family += 2) {
        const char *a = family == 4 ? "10.0.0.2" : "2001:db8::1", *b = family == 4 ? "10.0.0.3" : "2001:db8::2";

        for (int kind = 0; kind < 3; kind++) {
            if (kind == 0)
                make_udp(&p, a, b, 1, 2, 5);
            else if (kind == 1)
                make_tcp(&p, a, b, 1, 2, GH_TCP_SYN, 1, 1, 1400, 5);
            else
                make_echo(&p, a, b, false, 1, 5);
            assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
            for (size_t n = 0; n < p.len; n++)
                assert_int_equal(gh_ip_packet_parse(memcpy(exact + sizeof exact - n, p.data, n), n, &ip), GH_ERR_MALFORMED);
            p.data[p.len] = 0;
            assert_int_equal(gh_ip_packet_parse(p.data, p.len + 1, &ip), GH_ERR_MALFORMED);
        }
    }
}

static void a_wrong_header_checksum_is_malformed(void **state)
{
    (void)state;
    make_udp(&p, "10.0.0.2", "1.1.1.1", 1, 2, 5);
    p.data[10] ^= 1;
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), GH_ERR_MALFORMED);
    assert_int_equal(gh_ip_quoted_parse(p.data, p.len, &ip), 0);
}

static void lengths_inside_the_packet_must_fit(void **state)
{
    (void)state;
    make_udp(&p, "10.0.0.2", "1.1.1.1", 1, 2, 5);
    put16(p.data + 24, 14); /* UDP says one byte more than there is */
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), GH_ERR_MALFORMED);
    put16(p.data + 24, 7);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), GH_ERR_MALFORMED);
    make_tcp(&p, "10.0.0.2", "1.1.1.1", 1, 2, GH_TCP_SYN, 1, 1, 0, 0);
    p.data[32] = 0x60; /* TCP header of 24 bytes in a packet that has 20 */
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), GH_ERR_MALFORMED);
    p.data[32] = 0x40;
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), GH_ERR_MALFORMED);
    make_udp(&p, "10.0.0.2", "1.1.1.1", 1, 2, 5);
    p.data[0] = 0x44;
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), GH_ERR_MALFORMED);
    p.data[0] = 0x55;
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), GH_ERR_MALFORMED);
}

/* A v4 UDP packet with <options> (padded to a multiple of four by the caller). */
static int parse_with_options(const uint8_t *options, size_t len)
{
    uint8_t body[64] = { 0, 1, 0, 2, 0, 8, 0, 0 };

    make_ip(&p, "10.0.0.2", "1.1.1.1", 17, body, 8 + len);
    memmove(p.data + 20 + len, p.data + 20, 8);
    memcpy(p.data + 20, options, len);
    p.data[0] = (uint8_t)(0x45 + len / 4);
    seal_v4(&p);
    return gh_ip_packet_parse(p.data, p.len, &ip);
}

static void ipv4_options_are_walked_and_source_routes_refused(void **state)
{
    (void)state;
    assert_int_equal(parse_with_options((const uint8_t[]){ 148, 4, 0, 0 }, 4), 0); /* router alert */
    assert_int_equal(ip.dst_port, 2);
    assert_int_equal(parse_with_options((const uint8_t[]){ 1, 1, 1, 0 }, 4), 0);
    assert_int_equal(parse_with_options((const uint8_t[]){ 1, 131, 3, 4 }, 4), GH_ERR_MALFORMED);
    assert_int_equal(parse_with_options((const uint8_t[]){ 137, 3, 4, 0 }, 4), GH_ERR_MALFORMED);
    assert_int_equal(parse_with_options((const uint8_t[]){ 148, 5, 0, 0 }, 4), GH_ERR_MALFORMED);
    assert_int_equal(parse_with_options((const uint8_t[]){ 148, 1, 0, 0 }, 4), GH_ERR_MALFORMED);
    assert_int_equal(parse_with_options((const uint8_t[]){ 1, 1, 1, 148 }, 4), GH_ERR_MALFORMED);
}

/* An IPv6 packet whose payload is <chain>, beginning with header <first>. */
static int parse_chain(unsigned first, const uint8_t *chain, size_t len)
{
    make_ip(&p, "2001:db8::1", "2001:db8::2", first, chain, len);
    return gh_ip_packet_parse(p.data, p.len, &ip);
}

static void the_upper_protocol_is_found_behind_extension_headers(void **state)
{
    static const uint8_t chain[] = {
        60, 0, 1, 4, 0, 0, 0, 0,                                  /* hop-by-hop */
        43, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,         /* destination options, 16 bytes */
        17, 0, 4, 0, 0, 0, 0, 0,                                  /* routing, no segments left */
        0, 9, 0, 53, 0, 8, 0, 0,                                  /* UDP 9 -> 53 */
    };

    (void)state;
    assert_int_equal(parse_chain(0, chain, sizeof chain), 0);
    assert_int_equal(ip.protocol, 17);
    assert_int_equal(ip.dst_port, 53);
    assert_int_equal(ip.l4_off, 72);
    for (size_t n = 1; n < sizeof chain; n++)
        assert_int_equal(parse_chain(0, chain, n), GH_ERR_MALFORMED);
}

static void routing_header_with_segments_left_is_malformed(void **state)
{
    static const uint8_t chain[] = { 17, 0, 4, 1, 0, 0, 0, 0, 0, 9, 0, 53, 0, 8, 0, 0 };

    (void)state;
    assert_int_equal(parse_chain(43, chain, sizeof chain), GH_ERR_MALFORMED);
}

static void hop_by_hop_stands_first_or_nowhere(void **state)
{
    static const uint8_t chain[] = { 0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0, 0, 9, 0, 53, 0, 8, 0, 0 };

    (void)state;
    assert_int_equal(parse_chain(60, chain, sizeof chain), GH_ERR_MALFORMED);
}

static void the_walk_is_bounded(void **state)
{
    uint8_t chain[8 * 10 + 8] = { 0 };

    (void)state;
    for (unsigned headers = 7; headers <= 9; headers++) {
        memset(chain, 0, sizeof chain);
        for (unsigned i = 0; i < headers; i++)
            chain[i * 8] = i + 1 < headers ? 60 : 17;
        memcpy(chain + headers * 8, (const uint8_t[]){ 0, 9, 0, 53, 0, 8, 0, 0 }, 8);
        assert_int_equal(parse_chain(60, chain, headers * 8 + 8), headers <= GH_IP_EXTENSIONS_MAX ? 0 : GH_ERR_MALFORMED);
    }
}

static void esp_ah_and_no_next_header_end_the_walk(void **state)
{
    static const uint8_t chain[] = { 6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3 };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        unsigned protocol = (const unsigned[]){ 50, 51, 59 }[i];

        assert_int_equal(parse_chain(protocol, chain, sizeof chain), 0);
        assert_int_equal(ip.protocol, protocol);
        assert_false(ip.has_ports);
    }
}

static void fragments_are_told_from_whole_packets(void **state)
{
    (void)state;
    for (int family = 4; family <= 6; family += 2) {
        make_udp(&q, family == 4 ? "10.0.0.2" : "2001:db8::1", family == 4 ? "10.0.0.3" : "2001:db8::2", 1000, 53, 40);
        make_fragment(&p, &q, 0x1234, 0, 24, true);
        assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
        assert_true(ip.fragment && ip.first_fragment && ip.more && ip.has_ports);
        assert_int_equal(ip.frag_id, 0x1234);
        assert_int_equal(gh_ip_fragment_len(&ip), 24);
        make_fragment(&p, &q, 0x1234, 24, 24, false);
        assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
        assert_true(ip.fragment && !ip.first_fragment && !ip.more && !ip.has_ports);
        assert_int_equal(ip.frag_off, 24);
        assert_int_equal(ip.protocol, 17);
        make_fragment(&p, &q, 0x1234, 24, 23, true); /* not a multiple of eight, and more follow */
        assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), GH_ERR_MALFORMED);
        make_fragment(&p, &q, 0x1234, 0, 0, true);
        assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), GH_ERR_MALFORMED);
        make_fragment(&p, &q, 0x1234, 65528, 16, false); /* beyond 65,535: the ping of death */
        assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), GH_ERR_MALFORMED);
    }
}

static void an_atomic_fragment_is_a_whole_packet(void **state)
{
    (void)state;
    make_udp(&q, "2001:db8::1", "2001:db8::2", 1000, 53, 40);
    make_fragment(&p, &q, 7, 0, 48, false);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    assert_false(ip.fragment);
    assert_int_equal(ip.dst_port, 53);
}

static void a_first_fragment_holds_the_whole_header_chain(void **state)
{
    static const uint8_t chain[] = { 60, 0, 0, 1, 0, 0, 0, 1, 6, 0, 1, 4, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0 };

    (void)state;
    assert_int_equal(parse_chain(44, chain, sizeof chain), GH_ERR_MALFORMED); /* eight bytes of TCP (RFC 7112) */
    make_tcp(&q, "10.0.0.2", "10.0.0.3", 1, 2, GH_TCP_SYN, 1, 1, 0, 20);
    make_fragment(&p, &q, 7, 0, 16, true); /* RFC 1858 */
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), GH_ERR_MALFORMED);
    make_fragment(&p, &q, 7, 0, 24, true);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
}

static void two_fragment_headers_are_malformed(void **state)
{
    static const uint8_t chain[] = { 44, 0, 0, 1, 0, 0, 0, 1, 17, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0, 53, 0, 8, 0, 0 };

    (void)state;
    assert_int_equal(parse_chain(44, chain, sizeof chain), GH_ERR_MALFORMED);
}

static void a_quoted_packet_may_be_cut_behind_eight_bytes(void **state)
{
    (void)state;
    make_tcp(&p, "10.0.0.2", "1.1.1.1", 40000, 443, GH_TCP_SYN, 5, 0, 1460, 100);
    assert_int_equal(gh_ip_quoted_parse(p.data, 28, &ip), 0);
    assert_int_equal(ip.dst_port, 443);
    assert_int_equal(ip.tcp_seq, 5);
    assert_int_equal(gh_ip_quoted_parse(p.data, 27, &ip), GH_ERR_MALFORMED);
    make_udp(&p, "2001:db8::1", "2001:db8::2", 1000, 53, 400);
    assert_int_equal(gh_ip_quoted_parse(p.data, 48, &ip), 0);
    assert_int_equal(ip.src_port, 1000);
    assert_int_equal(gh_ip_quoted_parse(p.data, 39, &ip), GH_ERR_MALFORMED);
}

static void errors_and_unicast_are_known(void **state)
{
    static const char *const not_unicast[] = { "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:10.0.0.1", "ff02::1" };
    static const uint8_t errors4[] = { 3, 4, 5, 11, 12 };
    struct gh_ip a = ip_of("10.1.2.3");

    (void)state;
    assert_true(gh_ip_is_unicast(&a));
    for (size_t i = 0; i < 7; i++) {
        a = ip_of(not_unicast[i]);
        assert_false(gh_ip_is_unicast(&a));
    }
    for (unsigned type = 0; type < 256; type++) {
        make_icmp(&p, "10.0.0.2", "1.1.1.1", type, 0, 0, NULL, 0);
        assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
        assert_int_equal(gh_ip_is_icmp_error(&ip), type < 13 && memchr(errors4, (int)type, 5) != NULL);
        make_icmp(&p, "2001:db8::1", "2001:db8::2", type, 0, 0, NULL, 0);
        assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
        assert_int_equal(gh_ip_is_icmp_error(&ip), type < 128);
    }
}

static uint32_t number_of(const struct packet *a)
{
    return gh_ip_flow_number(a->data, a->len, 12345);
}

static void a_flow_has_one_number_and_others_have_others(void **state)
{
    static const char *const pairs[][2] = { { "10.100.0.2", "192.0.2.80" }, { "fd00:100::2", "2001:db8::80" } };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        make_udp(&p, pairs[i][0], pairs[i][1], 4000, 53, 100);
        make_udp(&q, pairs[i][0], pairs[i][1], 4000, 53, 999);
        assert_int_equal(number_of(&p), number_of(&q));
        make_udp(&q, pairs[i][0], pairs[i][1], 4001, 53, 100);
        assert_int_not_equal(number_of(&p), number_of(&q));
        make_udp(&q, pairs[i][1], pairs[i][0], 4000, 53, 100);
        assert_int_not_equal(number_of(&p), number_of(&q));
        assert_int_not_equal(number_of(&p), gh_ip_flow_number(p.data, p.len, 12346));
        for (size_t len = 0; len < p.len; len++) { /* whatever is cut off */
            uint8_t *cut = malloc(len + 1);

            assert_non_null(cut);
            memcpy(cut, p.data, len);
            (void)gh_ip_flow_number(cut, len, 1);
            free(cut);
        }
    }
}

static void fragments_of_a_packet_have_one_number(void **state)
{
    uint32_t first;

    (void)state;
    make_udp(&p, "10.100.0.2", "192.0.2.80", 4000, 53, 100);
    p.data[6] = 0x20; /* more to come */
    first = number_of(&p);
    p.data[6] = 0x00; /* the last, at 800 */
    p.data[7] = 100;
    p.data[20] = 77; /* and no ports in it */
    assert_int_equal(number_of(&p), first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksum_matches_the_rfc_examples),
        cmocka_unit_test(checksum_equals_a_naive_one_and_its_incremental_update),
        cmocka_unit_test(upper_checksum_covers_the_pseudo_header),
        cmocka_unit_test(P2_ttl_decrement_keeps_the_checksum_right),
        cmocka_unit_test(reads_addresses_ports_and_flags),
        cmocka_unit_test(every_cut_packet_is_malformed),
        cmocka_unit_test(a_wrong_header_checksum_is_malformed),
        cmocka_unit_test(lengths_inside_the_packet_must_fit),
        cmocka_unit_test(ipv4_options_are_walked_and_source_routes_refused),
        cmocka_unit_test(the_upper_protocol_is_found_behind_extension_headers),
        cmocka_unit_test(routing_header_with_segments_left_is_malformed),
        cmocka_unit_test(hop_by_hop_stands_first_or_nowhere),
        cmocka_unit_test(the_walk_is_bounded),
        cmocka_unit_test(esp_ah_and_no_next_header_end_the_walk),
        cmocka_unit_test(fragments_are_told_from_whole_packets),
        cmocka_unit_test(an_atomic_fragment_is_a_whole_packet),
        cmocka_unit_test(a_first_fragment_holds_the_whole_header_chain),
        cmocka_unit_test(two_fragment_headers_are_malformed),
        cmocka_unit_test(a_quoted_packet_may_be_cut_behind_eight_bytes),
        cmocka_unit_test(errors_and_unicast_are_known),
        cmocka_unit_test(a_flow_has_one_number_and_others_have_others),
        cmocka_unit_test(fragments_of_a_packet_have_one_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
