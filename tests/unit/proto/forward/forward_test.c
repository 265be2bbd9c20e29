#include "proto/forward/forward.h"

#include "world.h"

static void P1_a_malformed_packet_is_a_counted_drop_and_nothing_more(void **state)
{
    (void)state;
    start();
    make_udp(&p, PEER4, WEB4, 1000, 53, 10);
    p.data[10] ^= 1;
    assert_dropped(from_peer(), GH_DROP_MALFORMED);
    assert_int_equal(verdict.answer_len, 0);
    assert_dropped(to_peer(), GH_DROP_MALFORMED);
    p.len = 0;
    assert_dropped(from_peer(), GH_DROP_MALFORMED);
    assert_int_equal(fw.drops[GH_DROP_MALFORMED], 3);
    assert_int_equal(sess.drops[GH_DROP_MALFORMED], 3);
    assert_int_equal(w.decides, 0);
}

static void P2_ttl_falls_on_encapsulation_only(void **state)
{
    (void)state;
    start();
    make_udp(&p, PEER4, WEB4, 1000, 53, 10);
    q = p;
    assert_passed(from_peer());
    assert_memory_equal(p.data, q.data, p.len);
    make_udp(&p, WEB4, PEER4, 53, 1000, 10);
    assert_passed(to_peer());
    assert_int_equal(p.data[8], 63);
    assert_int_equal(naive_checksum(p.data, 20, NULL, 0), 0);
    make_udp(&p, PEER6, WEB6, 1000, 53, 10);
    assert_passed(from_peer());
    assert_int_equal(p.data[7], 64);
    make_udp(&p, WEB6, PEER6, 53, 1000, 10);
    assert_passed(to_peer());
    assert_int_equal(p.data[7], 63);
    make_udp(&p, WEB4, PEER4, 53, 1000, 10); /* the node's own packets keep theirs */
    gh_forward_to_peer(&fw, &sess, &now, p.data, p.len, GH_FORWARD_OWN, &verdict);
    assert_passed(verdict.action);
    assert_int_equal(p.data[8], 64);
}

static void P2_a_used_up_ttl_is_dropped_with_time_exceeded(void **state)
{
    (void)state;
    start();
    w.in = true;
    for (unsigned ttl = 0; ttl <= 2; ttl++) {
        make_udp(&p, WEB4, PEER4, 53, 1000, 10);
        p.data[8] = (uint8_t)ttl;
        seal_v4(&p);
        if (ttl == 2) {
            assert_passed(to_peer());
            continue;
        }
        assert_dropped(to_peer(), GH_DROP_TTL);
        assert_answer(11, 0);
        make_udp(&p, WEB6, PEER6, 53, 1000, 10);
        p.data[7] = (uint8_t)ttl;
        assert_dropped(to_peer(), GH_DROP_TTL);
        assert_answer(3, 0);
    }
}

static void P3_a_foreign_source_is_dropped_and_told(void **state)
{
    (void)state;
    start();
    make_udp(&p, "10.100.0.3", WEB4, 1000, 53, 10);
    assert_dropped(from_peer(), GH_DROP_SOURCE);
    assert_answer(3, 13);
    make_udp(&p, "fd00::3", WEB6, 1000, 53, 10);
    assert_dropped(from_peer(), GH_DROP_SOURCE);
    assert_answer(1, 5);
    assert_int_equal(w.decides, 0);
}

static void A5_only_assigned_prefixes_may_send(void **state)
{
    (void)state;
    start();
    sess.assigned[2] = prefix_of("10.200.0.0/24");
    sess.assigned_count = 3;
    make_udp(&p, "10.200.0.77", WEB4, 1000, 53, 10);
    assert_passed(from_peer());
    make_udp(&p, "10.200.1.77", WEB4, 1000, 53, 10);
    assert_dropped(from_peer(), GH_DROP_SOURCE);
    sess.assigned_count = 0; /* taken back */
    make_udp(&p, PEER4, WEB4, 1000, 53, 10);
    assert_dropped(from_peer(), GH_DROP_SOURCE);
}

static void R8_a_scoped_tunnel_carries_its_target_and_protocol_and_ICMP(void **state)
{
    struct gh_ip_route scope[2] = { { .start = prefix_of(WEB4 "/32").addr, .end = prefix_of(WEB4 "/32").addr, .protocol = 17 },
                                    { .start = prefix_of(WEB6 "/128").addr, .end = prefix_of(WEB6 "/128").addr, .protocol = 17 } };

    (void)state;
    start();
    w.in = true;
    sess.scope = scope;
    sess.scope_count = 2;
    make_udp(&p, PEER4, WEB4, 1000, 53, 10);
    assert_passed(from_peer());
    make_udp(&p, WEB6, PEER6, 53, 1000, 10);
    assert_passed(to_peer());
    make_udp(&p, PEER4, "203.0.113.99", 1000, 53, 10); /* another target */
    assert_dropped(from_peer(), GH_DROP_SCOPE);
    assert_answer(3, 13);
    make_tcp(&p, PEER6, WEB6, 1000, 53, 0x02); /* another protocol */
    assert_dropped(from_peer(), GH_DROP_SCOPE);
    assert_answer(1, 1);
    make_tcp(&p, WEB4, PEER4, 53, 1000, 0x02);
    assert_dropped(to_peer(), GH_DROP_SCOPE);
    make_echo(&p, PEER4, WEB4, false, 7, 1);
    assert_passed(from_peer());
    assert_int_equal(fw.drops[GH_DROP_SCOPE], 3);
}

static void R8_the_protocol_is_the_one_behind_extension_headers(void **state)
{
    struct gh_ip_route scope = { .start = prefix_of(WEB6 "/128").addr, .end = prefix_of(WEB6 "/128").addr, .protocol = 17 };

    (void)state;
    start();
    sess.scope = &scope;
    sess.scope_count = 1;
    make_tcp(&p, PEER6, WEB6, 1000, 53, 0x02);
    /* a destination options header of 8 bytes before the segment */
    memmove(p.data + 48, p.data + 40, p.len - 40);
    memcpy(p.data + 40, ((uint8_t[8]){ 6, 0, 1, 4 }), 8);
    p.data[6] = 60;
    p.len += 8;
    p.data[5] = (uint8_t)(p.len - 40);
    assert_dropped(from_peer(), GH_DROP_SCOPE);
}

static void P4_a_denial_speaks_only_when_asked_to(void **state)
{
    (void)state;
    start();
    w.out = false;
    make_udp(&p, PEER4, WEB4, 1000, 53, 10);
    assert_dropped(from_peer(), GH_DROP_POLICY);
    assert_int_equal(verdict.answer_len, 0);
    w.icmp_on_deny = true;
    assert_dropped(from_peer(), GH_DROP_POLICY);
    assert_answer(3, 13);
    make_udp(&p, PEER6, WEB6, 1000, 53, 10);
    assert_dropped(from_peer(), GH_DROP_POLICY);
    assert_answer(1, 1);
    make_udp(&p, WEB6, PEER6, 1000, 53, 10);
    assert_dropped(to_peer(), GH_DROP_POLICY);
    assert_answer(1, 1);
    assert_int_equal(w.denies, 4);
}

static void P4_no_route_is_told(void **state)
{
    (void)state;
    start();
    make_udp(&p, PEER4, WEB4, 1000, 53, 10);
    assert_passed(from_peer());
    gh_forward_refuse(&fw, &sess, &now, p.data, GH_DROP_NO_ROUTE, &verdict);
    assert_dropped(verdict.action, GH_DROP_NO_ROUTE);
    assert_answer(3, 0);
    make_udp(&p, PEER6, WEB6, 1000, 53, 10);
    assert_passed(from_peer());
    gh_forward_refuse(&fw, &sess, &now, p.data, GH_DROP_NO_SESSION, &verdict);
    assert_answer(1, 0);
    gh_forward_refuse(&fw, &sess, &now, p.data, GH_DROP_TTL, &verdict);
    assert_answer(3, 0);
    gh_forward_refuse(&fw, &sess, &now, p.data, GH_DROP_QUEUE_FULL, &verdict);
    assert_int_equal(verdict.answer_len, 0);
    make_udp(&p, WEB4, "10.100.0.9", 53, 1000, 10); /* towards the peer, but not its address */
    assert_dropped(to_peer(), GH_DROP_NO_ROUTE);
    make_udp(&p, PEER4, "127.0.0.1", 1000, 53, 10);
    assert_dropped(from_peer(), GH_DROP_NO_ROUTE);
    assert_int_equal(verdict.answer_len, 0);
    make_udp(&p, PEER4, "239.1.1.1", 1000, 53, 10);
    assert_dropped(from_peer(), GH_DROP_NO_ROUTE);
    assert_int_equal(verdict.answer_len, 0);
}

static void P4_answers_are_rate_limited_and_the_rest_is_counted(void **state)
{
    int answers = 0, limited = 0;

    (void)state;
    start();
    for (int i = 0; i < 1000; i++) {
        make_udp(&p, "10.100.0.3", WEB4, 1000, 53, 10);
        assert_dropped(from_peer(), GH_DROP_SOURCE);
        answers += verdict.answer_len > 0;
        limited += verdict.limited;
        assert_true(verdict.limited == (verdict.answer_len == 0));
    }
    assert_int_equal(limited, 980);
    assert_int_equal(answers, 20);
    assert_int_equal(fw.answers, 20);
    assert_int_equal(fw.drops[GH_DROP_ICMP_LIMIT], 980);
    now.now += SECOND / 100;
    (void)from_peer();
    assert_true(verdict.answer_len > 0);
}

static void P4_errors_and_later_fragments_get_no_answer(void **state)
{
    (void)state;
    start();
    make_icmp(&p, "10.100.0.3", WEB4, 3, 1, 0, "0123456789012345678901234567", 28);
    assert_dropped(from_peer(), GH_DROP_SOURCE);
    assert_int_equal(verdict.answer_len, 0);
    make_udp(&q, "10.100.0.3", WEB4, 1000, 53, 100);
    make_fragment(&p, &q, 1, 48, 40, true);
    assert_dropped(from_peer(), GH_DROP_SOURCE);
    assert_int_equal(verdict.answer_len, 0);
}

static void P5_what_the_tunnel_cannot_carry_is_told_with_the_mtu(void **state)
{
    (void)state;
    start();
    w.in = true;
    sess.mtu = 1300;
    make_udp(&p, WEB6, PEER6, 53, 1000, 1300 - 48);
    assert_passed(to_peer());
    make_udp(&p, WEB6, PEER6, 53, 1000, 1301 - 48);
    assert_dropped(to_peer(), GH_DROP_TOO_BIG);
    assert_answer(2, 0);
    assert_int_equal(get32(verdict.answer + 44), 1300);
    make_udp(&p, WEB4, PEER4, 53, 1000, 1301 - 28);
    put16(p.data + 6, 0x4000);
    seal_v4(&p);
    assert_dropped(to_peer(), GH_DROP_TOO_BIG);
    assert_answer(3, 4);
    assert_int_equal(get32(verdict.answer + 24), 1300);
    assert_int_equal(w.piece_count, 0);
}

/* A path is being measured: what it will carry is not known, and senders would keep what they are told for minutes. */
static void senders_hear_of_nothing_that_is_not_known(void **state)
{
    (void)state;
    assert_int_equal(gh_forward_told(1166, true), 1280);
    assert_int_equal(gh_forward_told(1166, false), 1166);
    assert_int_equal(gh_forward_told(1400, true), 1400);
    assert_int_equal(gh_forward_told(0, true), 0);
    start();
    w.in = true;
    sess.mtu = 1166;
    sess.told = gh_forward_told(sess.mtu, true);
    for (size_t len = 1166; len <= 1400; len += 117) {
        make_udp(&p, WEB4, PEER4, 53, 1000, len - 28);
        put16(p.data + 6, 0x4000);
        seal_v4(&p);
        if (len == 1166) {
            assert_passed(to_peer());
            continue;
        }
        assert_dropped(to_peer(), GH_DROP_TOO_BIG);
        assert_int_equal(verdict.answer_len > 0, len > 1280);
    }
    assert_answer(3, 4);
    assert_int_equal(get32(verdict.answer + 24), 1280);
    make_udp(&p, WEB6, PEER6, 53, 1000, 1280 - 48);
    assert_dropped(to_peer(), GH_DROP_TOO_BIG);
    assert_int_equal(verdict.answer_len, 0);
    make_udp(&p, WEB4, PEER4, 53, 1000, 1280 - 28); /* may be cut: what fits now goes */
    assert_int_equal(to_peer(), GH_FORWARD_DONE);
    assert_true(w.piece_count > 1);
    for (int i = 0; i < w.piece_count; i++)
        assert_true(w.piece_len[i] <= 1166);
}

/* Puts the pieces together again as RFC 791 says. */
static void assert_pieces_make(const struct packet *whole, size_t mtu)
{
    static uint8_t body[65536];
    size_t total = 0;

    for (int i = 0; i < w.piece_count; i++) {
        const uint8_t *d = w.pieces[i];
        size_t head = (size_t)(d[0] & 15) * 4, off = (get16(d + 6) & 0x1fff) * 8, len = w.piece_len[i] - head;

        assert_true(w.piece_len[i] <= mtu);
        assert_int_equal(get16(d + 2), w.piece_len[i]);
        assert_int_equal(naive_checksum(d, head, NULL, 0), 0);
        assert_int_equal(!!(get16(d + 6) & 0x2000), i + 1 < w.piece_count);
        assert_int_equal(off, total);
        assert_memory_equal(d + 4, whole->data + 4, 2);
        assert_memory_equal(d + 12, whole->data + 12, 8);
        memcpy(body + off, d + head, len);
        total += len;
    }
    assert_int_equal(total, whole->len - (size_t)(whole->data[0] & 15) * 4);
    assert_memory_equal(body, whole->data + (size_t)(whole->data[0] & 15) * 4, total);
}

static void P5_ipv4_without_df_is_cut_in_pieces(void **state)
{
    static const uint8_t options[8] = { 148, 4, 0, 0, 7, 3, 4, 0 }; /* router alert is copied, record route is not */

    (void)state;
    start();
    w.in = true;
    sess.mtu = 1300;
    make_udp(&p, WEB4, PEER4, 53, 1000, 4000);
    put16(p.data + 4, 0x1234);
    seal_v4(&p);
    assert_int_equal(to_peer(), GH_FORWARD_DONE);
    assert_int_equal(w.piece_count, 4);
    assert_int_equal(w.pieces[0][8], 63);
    assert_pieces_make(&p, 1300);
    w.piece_count = 0;
    make_udp(&p, WEB4, PEER4, 53, 1000, 2000);
    memmove(p.data + 28, p.data + 20, p.len - 20);
    memcpy(p.data + 20, options, 8);
    p.data[0] = 0x47;
    p.len += 8;
    put16(p.data + 2, (unsigned)p.len);
    seal_v4(&p);
    assert_int_equal(to_peer(), GH_FORWARD_DONE);
    assert_int_equal(w.piece_count, 2);
    assert_int_equal(w.pieces[0][0], 0x47);
    assert_int_equal(w.pieces[1][0], 0x46);
    assert_memory_equal(w.pieces[1] + 20, options, 4);
    assert_pieces_make(&p, 1300);
}

static void P6_a_packet_above_the_datagram_is_dropped_not_sent_otherwise(void **state)
{
    (void)state;
    start();
    w.in = true;
    sess.mtu = 1166;
    make_udp(&p, WEB6, PEER6, 53, 1000, 1200);
    assert_dropped(to_peer(), GH_DROP_TOO_BIG);
    assert_answer(2, 0);
    assert_int_equal(w.piece_count, 0);
    assert_int_equal(sess.packets[GH_DIRECTION_IN], 0);
}

static void P8_link_local_never_crosses(void **state)
{
    static const char *const pairs[][2] = {
        { "169.254.1.1", WEB4 }, { PEER4, "169.254.169.254" }, { PEER4, "224.0.0.251" }, { "fe80::1", WEB6 },
        { PEER6, "fe80::1" },    { PEER6, "ff02::fb" },
    };

    (void)state;
    start();
    w.in = true;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        make_udp(&p, pairs[i][0], pairs[i][1], 1000, 53, 10);
        assert_dropped(from_peer(), GH_DROP_LINK_LOCAL);
        assert_int_equal(verdict.answer_len, 0);
        make_udp(&p, pairs[i][1], pairs[i][0], 1000, 53, 10);
        assert_dropped(to_peer(), GH_DROP_LINK_LOCAL);
    }
    for (unsigned type = 133; type <= 137; type++) { /* no router or neighbour discovery on the link */
        make_icmp(&p, PEER6, WEB6, type, 0, 0, NULL, 0);
        assert_dropped(from_peer(), GH_DROP_LINK_LOCAL);
    }
    assert_int_equal(w.decides, 0);
}

static void P8_an_echo_to_all_nodes_is_answered(void **state)
{
    struct gh_ip_packet a;

    (void)state;
    start();
    for (int i = 0; i < 2; i++) {
        make_echo(&p, i ? "fe80::2" : PEER6, "ff02::1", false, 7, 56);
        assert_int_equal(from_peer(), GH_FORWARD_DONE);
        assert_int_equal(gh_ip_packet_parse(verdict.answer, verdict.answer_len, &a), 0);
        assert_int_equal(a.icmp_type, 129);
        assert_int_equal(a.icmp_id, 7);
        assert_true(gh_ip_equals(&a.dst, &verdict.packet.src));
        assert_true(gh_ip_equals(&a.src, &fw.config.node6));
    }
    make_echo(&p, "fd00::3", "ff02::1", false, 7, 56); /* not the peer's */
    assert_dropped(from_peer(), GH_DROP_LINK_LOCAL);
    fw.config.node6.family = 0;
    make_echo(&p, PEER6, "ff02::1", false, 7, 56);
    assert_dropped(from_peer(), GH_DROP_LINK_LOCAL);
}

static void assert_speaker(const char *address)
{
    struct gh_ip_packet a;
    struct gh_ip want = ip_of(address);

    assert_int_equal(gh_ip_packet_parse(verdict.answer, verdict.answer_len, &a), 0);
    assert_true(gh_ip_equals(&a.src, &want));
}

/* Our kernel takes no IPv4 packet from its own address out of a device (docs/internals/forwarding.md). */
static void P4_errors_to_the_outside_come_from_the_peer_and_those_to_the_peer_from_us(void **state)
{
    (void)state;
    start();
    w.in = true;
    sess.mtu = 1300;
    make_udp(&p, WEB4, PEER4, 53, 1000, 1301 - 28);
    put16(p.data + 6, 0x4000);
    seal_v4(&p);
    assert_dropped(to_peer(), GH_DROP_TOO_BIG);
    assert_speaker(PEER4);
    make_udp(&p, WEB6, PEER6, 53, 1000, 1301 - 48);
    assert_dropped(to_peer(), GH_DROP_TOO_BIG);
    assert_speaker(PEER6);
    make_udp(&p, WEB6, PEER6, 53, 1000, 10);
    p.data[7] = 1;
    assert_dropped(to_peer(), GH_DROP_TTL); /* who traces a route asks who we are */
    assert_answer(3, 0);
    assert_memory_equal(verdict.answer + 8, fw.config.node6.bytes, 16);
    make_udp(&p, "10.100.0.3", WEB4, 1000, 53, 10);
    assert_dropped(from_peer(), GH_DROP_SOURCE);
    assert_answer(3, 13);
    assert_memory_equal(verdict.answer + 12, fw.config.node4.bytes, 4);
}

static void without_an_own_address_nothing_is_answered(void **state)
{
    (void)state;
    start();
    fw.config.node4.family = 0;
    make_udp(&p, "10.100.0.3", WEB4, 1000, 53, 10);
    assert_dropped(from_peer(), GH_DROP_SOURCE);
    assert_int_equal(verdict.answer_len, 0);
}

static void a_syn_is_clamped_both_ways(void **state)
{
    (void)state;
    start();
    w.in = true;
    sess.mtu = 1300;
    make_tcp(&p, PEER4, WEB4, 1000, 80, GH_TCP_SYN, 1, 0, 1460, 0);
    assert_passed(from_peer());
    assert_int_equal(get16(p.data + 42), 1260);
    make_tcp(&p, WEB4, PEER4, 80, 1000, GH_TCP_SYN | GH_TCP_ACK, 1, 2, 1460, 0);
    assert_passed(to_peer());
    assert_int_equal(get16(p.data + 42), 1260);
    assert_int_equal(upper_checksum(&p, 20, 6), 0);
}

/* The agent: the peer is a relay that advertised routes; own addresses are ours. */
static void start_agent(const struct gh_ip_route *routes, size_t count)
{
    start();
    w.out = w.in = false; /* whatever policy says, it is not asked */
    sess.stateless = true;
    sess.assigned_count = 0;
    sess.routes = routes;
    sess.route_count = count;
    sess.own[0] = prefix_of(PEER4 "/32");
    sess.own_count = 1;
}

static void an_agent_checks_routes_and_own_addresses_without_flows(void **state)
{
    struct gh_ip_route routes[1] = { { ip_of("192.0.2.0"), ip_of("192.0.2.255"), 0 } };

    (void)state;
    start_agent(routes, 1);
    make_udp(&p, PEER4, WEB4, 1000, 53, 10);
    assert_passed(to_peer());
    assert_int_equal(p.data[8], 64); /* our own packet: not forwarded by us */
    make_udp(&p, "10.100.0.3", WEB4, 1000, 53, 10);
    assert_dropped(to_peer(), GH_DROP_SOURCE);
    make_udp(&p, PEER4, "198.51.100.1", 1000, 53, 10);
    assert_dropped(to_peer(), GH_DROP_NO_ROUTE);
    assert_answer(3, 0);
    make_udp(&p, WEB4, PEER4, 53, 1000, 10);
    assert_passed(from_peer());
    make_udp(&p, "198.51.100.1", PEER4, 53, 1000, 10);
    assert_dropped(from_peer(), GH_DROP_SOURCE);
    make_udp(&p, WEB4, "10.100.0.3", 53, 1000, 10);
    assert_dropped(from_peer(), GH_DROP_NO_ROUTE);
    assert_int_equal(fw.opened, 0);
    assert_int_equal(w.decides, 0);
}

/* RFC 9484, section 7.2.1: an error comes from whichever router failed, and the agent's kernel looks closer. */
static void P9_an_agent_takes_errors_of_routers_outside_of_its_routes(void **state)
{
    struct gh_ip_route routes[2] = { { ip_of("192.0.2.0"), ip_of("192.0.2.255"), 0 }, { ip_of(WEB6), ip_of(WEB6), 0 } };
    static const uint8_t errors4[] = { 3, 11, 12 }, errors6[] = { 1, 2, 3, 4 };

    (void)state;
    start_agent(routes, 2);
    sess.own[1] = prefix_of(PEER6 "/128");
    sess.own_count = 2;
    for (size_t i = 0; i < sizeof errors4; i++) {
        make_icmp(&p, "198.51.100.1", PEER4, errors4[i], 0, 0, NULL, 0);
        assert_passed(from_peer());
    }
    for (size_t i = 0; i < sizeof errors6; i++) {
        make_icmp(&p, "2001:db8:ffff::1", PEER6, errors6[i], 0, 0, NULL, 0);
        assert_passed(from_peer());
    }
    make_echo(&p, "198.51.100.1", PEER4, true, 1, 8); /* no error */
    assert_dropped(from_peer(), GH_DROP_SOURCE);
    make_icmp(&p, "127.0.0.1", PEER4, 3, 0, 0, NULL, 0); /* nobody's address */
    assert_dropped(from_peer(), GH_DROP_SOURCE);
}

/* Nor does the scope of the tunnel (section 4.8) hold errors back, at either end. */
static void P9_errors_cross_a_scope(void **state)
{
    struct gh_ip_route scope = { .start = ip_of(WEB4), .end = ip_of(WEB4), .protocol = 17 };

    (void)state;
    start();
    sess.scope = &scope;
    sess.scope_count = 1;
    make_udp(&p, PEER4, WEB4, 1000, 53, 10);
    q = p;
    assert_passed(from_peer());
    make_icmp(&p, "198.51.100.1", PEER4, 11, 0, 0, q.data, 28);
    assert_passed(to_peer());
    make_udp(&p, "198.51.100.1", PEER4, 53, 1000, 10);
    assert_dropped(to_peer(), GH_DROP_SCOPE);
}

/* RFC 9484, sections 10.2 and 10.3: neither bit of ECN nor of DSCP is touched on the way in or out. */
static void P11_traffic_class_and_flow_label_cross_unchanged(void **state)
{
    (void)state;
    start();
    w.in = true;
    for (unsigned value = 0; value < 256; value++) {
        bool out = value % 2;

        make_udp(&p, out ? PEER4 : WEB4, out ? WEB4 : PEER4, 1000, 53, 10);
        p.data[1] = (uint8_t)value;
        seal_v4(&p);
        assert_passed(out ? from_peer() : to_peer());
        assert_int_equal(p.data[1], value);
        assert_int_equal(naive_checksum(p.data, 20, NULL, 0), 0);
        make_udp(&p, out ? PEER6 : WEB6, out ? WEB6 : PEER6, 1000, 53, 10);
        put32(p.data, 0x60000000u | value << 20 | 0xabcde);
        assert_passed(out ? from_peer() : to_peer());
        assert_int_equal(get32(p.data), 0x60000000u | value << 20 | 0xabcde);
    }
}

static void bytes_and_packets_are_counted_as_whole_ip_packets(void **state)
{
    (void)state;
    start();
    make_echo(&p, PEER4, WEB4, false, 1, 56);
    assert_passed(from_peer());
    make_echo(&p, WEB4, PEER4, true, 1, 56);
    assert_passed(to_peer());
    assert_int_equal(sess.bytes[GH_DIRECTION_OUT], 84);
    assert_int_equal(sess.bytes[GH_DIRECTION_IN], 84);
    assert_int_equal(sess.packets[GH_DIRECTION_OUT], 1);
    assert_int_equal(fw.packets[GH_DIRECTION_IN], 1);
    gh_forward_session_close(&fw, &sess);
    assert_int_equal(w.bytes[GH_DIRECTION_OUT], 84);
    assert_int_equal(w.bytes[GH_DIRECTION_IN], 84);
    assert_int_equal(w.why, GH_FLOW_END_SESSION_CLOSED);
}

/* The rest of a piece that the kernel handed over is not asked about again. */
static enum gh_forward_action next_of_piece(void)
{
    gh_forward_to_peer(&fw, &sess, &now, p.data, p.len, GH_FORWARD_FOLLOWS, &verdict);
    return verdict.action;
}

static void the_packets_of_one_piece_pass_as_the_first_one_did(void **state)
{
    (void)state;
    start();
    w.in = true;
    make_tcp(&p, WEB4, PEER4, 80, 1000, GH_TCP_SYN, 1, 0, 0, 0);
    assert_passed(to_peer());
    make_tcp(&p, WEB4, PEER4, 80, 1000, GH_TCP_ACK, 2, 1, 0, 500);
    assert_passed(to_peer());
    make_tcp(&p, WEB4, PEER4, 80, 1000, GH_TCP_ACK, 502, 1, 0, 400);
    assert_passed(next_of_piece());
    assert_int_equal(p.data[8], 63);
    assert_int_equal(naive_checksum(p.data, 20, NULL, 0), 0);
    assert_int_equal(verdict.packet.total_len, p.len);
    assert_int_equal(w.decides, 1);
    assert_int_equal(sess.packets[GH_DIRECTION_IN], 3);
    assert_int_equal(sess.bytes[GH_DIRECTION_IN], 40 + 540 + 440);
    gh_forward_session_close(&fw, &sess);
    assert_int_equal(w.bytes[GH_DIRECTION_IN], 40 + 540 + 440);
}

static void the_packets_of_one_piece_of_the_nodes_own_keep_their_ttl(void **state)
{
    (void)state;
    start();
    make_udp(&p, WEB4, PEER4, 53, 1000, 10);
    gh_forward_to_peer(&fw, &sess, &now, p.data, p.len, GH_FORWARD_OWN, &verdict);
    assert_passed(verdict.action);
    make_udp(&p, WEB4, PEER4, 53, 1000, 10);
    gh_forward_to_peer(&fw, &sess, &now, p.data, p.len, GH_FORWARD_OWN | GH_FORWARD_FOLLOWS, &verdict);
    assert_passed(verdict.action);
    assert_int_equal(p.data[8], 64);
}

static void the_packets_of_a_piece_whose_first_was_dropped_are_looked_at(void **state)
{
    (void)state;
    start();
    make_udp(&p, WEB4, PEER4, 53, 1000, 10); /* nobody asked for it, and nothing may be opened from there */
    assert_dropped(to_peer(), GH_DROP_POLICY);
    make_udp(&p, WEB4, PEER4, 53, 1000, 10);
    assert_dropped(next_of_piece(), GH_DROP_POLICY);
    assert_int_equal(fw.drops[GH_DROP_POLICY], 2);
    make_udp(&p, PEER4, WEB4, 1000, 53, 10);
    assert_passed(from_peer());
    make_udp(&p, WEB4, PEER4, 53, 1000, 10);
    assert_passed(to_peer());
    sess.mtu = 37; /* it became less within the turn */
    make_udp(&p, WEB4, PEER4, 53, 1000, 10);
    p.data[6] |= 0x40;
    seal_v4(&p);
    assert_dropped(next_of_piece(), GH_DROP_TOO_BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_packets_of_one_piece_pass_as_the_first_one_did),
        cmocka_unit_test(the_packets_of_one_piece_of_the_nodes_own_keep_their_ttl),
        cmocka_unit_test(the_packets_of_a_piece_whose_first_was_dropped_are_looked_at),
        cmocka_unit_test(P1_a_malformed_packet_is_a_counted_drop_and_nothing_more),
        cmocka_unit_test(P2_ttl_falls_on_encapsulation_only),
        cmocka_unit_test(P2_a_used_up_ttl_is_dropped_with_time_exceeded),
        cmocka_unit_test(P3_a_foreign_source_is_dropped_and_told),
        cmocka_unit_test(A5_only_assigned_prefixes_may_send),
        cmocka_unit_test(R8_a_scoped_tunnel_carries_its_target_and_protocol_and_ICMP),
        cmocka_unit_test(R8_the_protocol_is_the_one_behind_extension_headers),
        cmocka_unit_test(P4_a_denial_speaks_only_when_asked_to),
        cmocka_unit_test(P4_no_route_is_told),
        cmocka_unit_test(P4_answers_are_rate_limited_and_the_rest_is_counted),
        cmocka_unit_test(P4_errors_and_later_fragments_get_no_answer),
        cmocka_unit_test(P5_what_the_tunnel_cannot_carry_is_told_with_the_mtu),
        cmocka_unit_test(senders_hear_of_nothing_that_is_not_known),
        cmocka_unit_test(P5_ipv4_without_df_is_cut_in_pieces),
        cmocka_unit_test(P6_a_packet_above_the_datagram_is_dropped_not_sent_otherwise),
        cmocka_unit_test(P8_link_local_never_crosses),
        cmocka_unit_test(P8_an_echo_to_all_nodes_is_answered),
        cmocka_unit_test(P4_errors_to_the_outside_come_from_the_peer_and_those_to_the_peer_from_us),
        cmocka_unit_test(without_an_own_address_nothing_is_answered),
        cmocka_unit_test(a_syn_is_clamped_both_ways),
        cmocka_unit_test(an_agent_checks_routes_and_own_addresses_without_flows),
        cmocka_unit_test(P9_an_agent_takes_errors_of_routers_outside_of_its_routes),
        cmocka_unit_test(P9_errors_cross_a_scope),
        cmocka_unit_test(P11_traffic_class_and_flow_label_cross_unchanged),
        cmocka_unit_test(bytes_and_packets_are_counted_as_whole_ip_packets),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);

    end_world();
    return rc;
}
