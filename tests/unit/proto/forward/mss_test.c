#include "proto/forward/mss.h"

#include "../../wire/packets.h"

static struct packet p;
static struct gh_ip_packet ip;

static bool clamp(size_t mtu)
{
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    return gh_mss_clamp(p.data, &ip, mtu, false);
}

static void a_syn_is_lowered_to_the_tunnel_with_its_checksum(void **state)
{
    (void)state;
    for (unsigned flags = GH_TCP_SYN; flags <= (GH_TCP_SYN | GH_TCP_ACK); flags += GH_TCP_ACK) {
        make_tcp(&p, "10.0.0.2", "1.1.1.1", 1, 2, flags, 1, 1, 1460, 0);
        assert_true(clamp(1280));
        assert_int_equal(get16(p.data + 42), 1240);
        assert_int_equal(upper_checksum(&p, 20, 6), 0);
        make_tcp(&p, "2001:db8::1", "2001:db8::2", 1, 2, flags, 1, 1, 1440, 0);
        assert_true(clamp(1280));
        assert_int_equal(get16(p.data + 62), 1220);
        assert_int_equal(upper_checksum(&p, 40, 6), 0);
    }
}

static void a_smaller_one_and_other_packets_stay(void **state)
{
    (void)state;
    make_tcp(&p, "10.0.0.2", "1.1.1.1", 1, 2, GH_TCP_SYN, 1, 1, 1240, 0);
    assert_false(clamp(1280));
    make_tcp(&p, "10.0.0.2", "1.1.1.1", 1, 2, GH_TCP_ACK, 1, 1, 1460, 0);
    assert_false(clamp(1280));
    make_tcp(&p, "10.0.0.2", "1.1.1.1", 1, 2, GH_TCP_SYN, 1, 1, 0, 0);
    assert_false(clamp(1280));
    make_tcp(&p, "10.0.0.2", "1.1.1.1", 1, 2, GH_TCP_SYN, 1, 1, 1460, 0);
    assert_false(clamp(0));
    make_udp(&p, "10.0.0.2", "1.1.1.1", 1, 2, 20);
    assert_false(clamp(1280));
}

/* A SYN whose options are <options>, eight bytes. */
static void make_options(const uint8_t options[8])
{
    make_tcp(&p, "10.0.0.2", "1.1.1.1", 1, 2, GH_TCP_SYN, 1, 1, 1460, 4);
    p.data[32] = 7 << 4;
    memcpy(p.data + 40, options, 8);
    put16(p.data + 36, 0);
    put16(p.data + 36, upper_checksum(&p, 20, 6));
}

static void an_option_at_an_odd_offset_keeps_the_checksum_right(void **state)
{
    (void)state;
    make_options((const uint8_t[]){ 1, 2, 4, 0x05, 0xb4, 1, 1, 1 });
    assert_true(clamp(1280));
    assert_int_equal(get16(p.data + 43), 1240);
    assert_int_equal(upper_checksum(&p, 20, 6), 0);
    make_options((const uint8_t[]){ 3, 3, 7, 2, 4, 0x05, 0xb4, 0 });
    assert_true(clamp(1280));
    assert_int_equal(get16(p.data + 45), 1240);
    assert_int_equal(upper_checksum(&p, 20, 6), 0);
}

static void broken_options_are_left_alone(void **state)
{
    static const uint8_t broken[][8] = {
        { 3, 0, 2, 4, 0x05, 0xb4 }, { 3, 9, 2, 4, 0x05, 0xb4 }, { 0, 2, 4, 0x05, 0xb4 }, { 2, 3, 0xff, 0, 0 },
        { 1, 1, 1, 1, 1, 1, 1, 2 }, { 1, 1, 1, 1, 1, 2, 4, 0xff },
    };

    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        make_options(broken[i]);
        assert_false(clamp(1280));
        assert_memory_equal(p.data + 40, broken[i], 8);
    }
}

static void an_unfinished_checksum_stays(void **state)
{
    (void)state;
    make_tcp(&p, "10.0.0.2", "1.1.1.1", 1, 2, GH_TCP_SYN, 1, 1, 1460, 0);
    put16(p.data + 36, 0x1234);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    assert_true(gh_mss_clamp(p.data, &ip, 1280, true));
    assert_int_equal(get16(p.data + 36), 0x1234);
    assert_int_equal(get16(p.data + 42), 1240);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_syn_is_lowered_to_the_tunnel_with_its_checksum),
        cmocka_unit_test(a_smaller_one_and_other_packets_stay),
        cmocka_unit_test(an_option_at_an_odd_offset_keeps_the_checksum_right),
        cmocka_unit_test(broken_options_are_left_alone),
        cmocka_unit_test(an_unfinished_checksum_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
