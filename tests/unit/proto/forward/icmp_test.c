#include "proto/forward/icmp.h"

#include "../../wire/packets.h"

static struct packet p, a;
static struct gh_ip_packet ip, answer;

static size_t emit(enum gh_icmp_error e, size_t mtu, const char *node)
{
    struct gh_ip from = ip_of(node);

    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    a.len = gh_icmp_emit_error(p.data, &ip, e, mtu, &from, a.data, GH_ICMP_MAX);
    if (a.len > 0)
        assert_int_equal(gh_ip_packet_parse(a.data, a.len, &answer), 0);
    return a.len;
}

static void P4_types_and_codes_are_those_of_the_rfcs(void **state)
{
    static const struct {
        enum gh_icmp_error e;
        uint8_t v4[2], v6[2];
    } cases[] = {
        { GH_ICMP_ADMIN, { 3, 13 }, { 1, 1 } }, { GH_ICMP_SOURCE, { 3, 13 }, { 1, 5 } }, { GH_ICMP_NO_ROUTE, { 3, 0 }, { 1, 0 } },
        { GH_ICMP_TTL, { 11, 0 }, { 3, 0 } },   { GH_ICMP_TOO_BIG, { 3, 4 }, { 2, 0 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_udp(&p, "10.0.0.2", "1.1.1.1", 1000, 53, 100);
        assert_int_equal(emit(cases[i].e, 1300, "10.0.0.1"), 20 + 8 + 128);
        assert_int_equal(answer.icmp_type, cases[i].v4[0]);
        assert_int_equal(answer.icmp_code, cases[i].v4[1]);
        assert_memory_equal(answer.dst.bytes, ip.src.bytes, 4);
        assert_int_equal(naive_checksum(a.data + 20, a.len - 20, NULL, 0), 0);
        assert_memory_equal(a.data + 28, p.data, p.len);
        assert_int_equal(get32(a.data + 24), cases[i].e == GH_ICMP_TOO_BIG ? 1300 : 0);
        make_udp(&p, "fd00::2", "fd01::1", 1000, 53, 100);
        assert_int_equal(emit(cases[i].e, 1300, "fd00::1"), 40 + 8 + 148);
        assert_int_equal(answer.icmp_type, cases[i].v6[0]);
        assert_int_equal(answer.icmp_code, cases[i].v6[1]);
        assert_int_equal(upper_checksum(&a, 40, 58), 0);
        assert_memory_equal(a.data + 48, p.data, p.len);
        assert_int_equal(get32(a.data + 44), cases[i].e == GH_ICMP_TOO_BIG ? 1300 : 0);
    }
}

static void P4_answers_have_a_longest_length(void **state)
{
    (void)state;
    make_udp(&p, "10.0.0.2", "1.1.1.1", 1000, 53, 1300);
    assert_int_equal(emit(GH_ICMP_ADMIN, 0, "10.0.0.1"), 576);
    make_udp(&p, "fd00::2", "fd01::1", 1000, 53, 1300);
    assert_int_equal(emit(GH_ICMP_ADMIN, 0, "fd00::1"), 1280);
    assert_int_equal(emit(GH_ICMP_ADMIN, 0, "10.0.0.1"), 0); /* the wrong family */
}

static void P4_errors_multicast_and_later_fragments_are_never_answered(void **state)
{
    static struct packet q;

    (void)state;
    make_icmp(&p, "10.0.0.2", "1.1.1.1", 3, 1, 0, NULL, 0);
    assert_int_equal(emit(GH_ICMP_ADMIN, 0, "10.0.0.1"), 0);
    make_icmp(&p, "fd00::2", "fd01::1", 1, 1, 0, NULL, 0);
    assert_int_equal(emit(GH_ICMP_ADMIN, 0, "fd00::1"), 0);
    make_icmp(&p, "fd00::2", "fd01::1", 137, 0, 0, NULL, 0);
    assert_int_equal(emit(GH_ICMP_ADMIN, 0, "fd00::1"), 0);
    make_udp(&p, "10.0.0.2", "239.1.1.1", 1, 2, 10);
    assert_int_equal(emit(GH_ICMP_ADMIN, 0, "10.0.0.1"), 0);
    make_udp(&p, "10.0.0.2", "255.255.255.255", 1, 2, 10);
    assert_int_equal(emit(GH_ICMP_ADMIN, 0, "10.0.0.1"), 0);
    make_udp(&p, "0.0.0.0", "1.1.1.1", 1, 2, 10);
    assert_int_equal(emit(GH_ICMP_ADMIN, 0, "10.0.0.1"), 0);
    make_udp(&p, "fd00::2", "ff0e::1", 1, 2, 10);
    assert_int_equal(emit(GH_ICMP_ADMIN, 0, "fd00::1"), 0);
    assert_true(emit(GH_ICMP_TOO_BIG, 1280, "fd00::1") > 0); /* RFC 4443, section 2.4 (e.3) */
    make_udp(&q, "10.0.0.2", "1.1.1.1", 1, 2, 100);
    make_fragment(&p, &q, 1, 48, 40, true);
    assert_int_equal(emit(GH_ICMP_ADMIN, 0, "10.0.0.1"), 0);
    make_fragment(&p, &q, 1, 0, 40, true);
    assert_true(emit(GH_ICMP_ADMIN, 0, "10.0.0.1") > 0);
    make_echo(&p, "10.0.0.2", "1.1.1.1", false, 1, 4);
    assert_true(emit(GH_ICMP_ADMIN, 0, "10.0.0.1") > 0);
}

static void P8_an_echo_reply_returns_what_came(void **state)
{
    struct gh_ip node = ip_of("fd00::1");
    size_t len;

    (void)state;
    make_echo(&p, "fd00::2", "ff02::1", false, 7, 56);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    a.len = len = gh_icmp_emit_echo_reply(p.data, &ip, &node, a.data, GH_ICMP_MAX);
    assert_int_equal(len, p.len);
    assert_int_equal(gh_ip_packet_parse(a.data, len, &answer), 0);
    assert_int_equal(answer.icmp_type, 129);
    assert_memory_equal(a.data + 44, p.data + 44, len - 44);
    assert_int_equal(upper_checksum(&a, 40, 58), 0);
    assert_memory_equal(answer.src.bytes, node.bytes, 16);
    assert_int_equal(gh_icmp_emit_echo_reply(p.data, &ip, &node, a.data, 64), 0); /* no room */
    make_echo(&p, "fd00::2", "ff02::1", true, 7, 56);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    assert_int_equal(gh_icmp_emit_echo_reply(p.data, &ip, &node, a.data, GH_ICMP_MAX), 0);
}

static void a_reset_is_a_whole_tcp_segment(void **state)
{
    (void)state;
    make_tcp(&p, "10.0.0.2", "1.1.1.1", 4000, 443, GH_TCP_ACK, 1, 1, 0, 0);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    a.len = gh_tcp_emit_reset(&ip, 1111, true, 2222, a.data, GH_ICMP_MAX);
    assert_int_equal(gh_ip_packet_parse(a.data, a.len, &answer), 0);
    assert_int_equal(answer.tcp_flags, GH_TCP_RST | GH_TCP_ACK);
    assert_int_equal(answer.tcp_seq, 1111);
    assert_int_equal(answer.tcp_ack, 2222);
    assert_int_equal(answer.src_port, 4000);
    assert_int_equal(upper_checksum(&a, 20, 6), 0);
    a.len = gh_tcp_emit_reset(&ip, 1111, false, 2222, a.data, GH_ICMP_MAX);
    assert_int_equal(a.data[33], GH_TCP_RST);
    assert_int_equal(get32(a.data + 28), 0);
    assert_int_equal(gh_tcp_emit_reset(&ip, 1, false, 2, a.data, 39), 0);
}

static void a_quoted_packet_parses_for_every_protocol(void **state)
{
    (void)state;
    make_udp(&p, "fd00::2", "fd01::1", 1000, 53, 10);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    a.len = gh_icmp_emit_quoted(&ip, a.data, 100);
    assert_int_equal(gh_ip_packet_parse(a.data, a.len, &answer), 0);
    assert_int_equal(answer.dst_port, 53);
    assert_int_equal(upper_checksum(&a, 40, 17), 0);
    make_echo(&p, "10.0.0.2", "1.1.1.1", false, 99, 10);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    a.len = gh_icmp_emit_quoted(&ip, a.data, 100);
    assert_int_equal(gh_ip_packet_parse(a.data, a.len, &answer), 0);
    assert_int_equal(answer.icmp_id, 99);
    assert_int_equal(answer.icmp_type, 8);
    make_ip(&p, "10.0.0.2", "1.1.1.1", 50, "12345678", 8);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    a.len = gh_icmp_emit_quoted(&ip, a.data, 100);
    assert_int_equal(a.len, 28);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P4_types_and_codes_are_those_of_the_rfcs),
        cmocka_unit_test(P4_answers_have_a_longest_length),
        cmocka_unit_test(P4_errors_multicast_and_later_fragments_are_never_answered),
        cmocka_unit_test(P8_an_echo_reply_returns_what_came),
        cmocka_unit_test(a_reset_is_a_whole_tcp_segment),
        cmocka_unit_test(a_quoted_packet_parses_for_every_protocol),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
