#include "proto/forward/forward_admit.h"

#include "world.h"

static enum gh_forward_action udp_out(unsigned port, size_t payload)
{
    make_udp(&p, PEER4, WEB4, port, 53, payload);
    return from_peer();
}

static enum gh_forward_action udp_in(unsigned port, size_t payload)
{
    make_udp(&p, WEB4, PEER4, 53, port, payload);
    return to_peer();
}

static enum gh_forward_action tcp_out(unsigned flags, uint32_t seq, uint32_t ack, size_t payload)
{
    make_tcp(&p, PEER4, WEB4, 4000, 80, flags, seq, ack, 0, payload);
    return from_peer();
}

static enum gh_forward_action tcp_in(unsigned flags, uint32_t seq, uint32_t ack, size_t payload)
{
    make_tcp(&p, WEB4, PEER4, 80, 4000, flags, seq, ack, 0, payload);
    return to_peer();
}

static void sweep(void)
{
    (void)gh_forward_sweep(&fw, &now, 1000);
}

static void handshake(void)
{
    assert_passed(tcp_out(GH_TCP_SYN, 1000, 0, 0));
    assert_passed(tcp_in(GH_TCP_SYN | GH_TCP_ACK, 5000, 1001, 0));
    assert_passed(tcp_out(GH_TCP_ACK, 1001, 5001, 0));
}

static void only_the_first_packet_of_a_flow_is_decided(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 10; i++) {
        assert_passed(udp_out(1000, 10));
        assert_passed(udp_in(1000, 20));
    }
    assert_int_equal(w.decides, 1);
    assert_int_equal(w.opens, 1);
    gh_forward_session_close(&fw, &sess);
    assert_int_equal(w.closes, 1);
    assert_int_equal(w.packets[GH_DIRECTION_OUT], 10);
    assert_int_equal(w.bytes[GH_DIRECTION_OUT], 380);
    assert_int_equal(w.bytes[GH_DIRECTION_IN], 480);
    assert_int_equal(fw.flows.count, 0);
}

/* What a TUN hands over in one piece, and what a peer sends in one go. */
static void packets_of_one_flow_in_a_row_are_one_search(void **state)
{
    uint64_t before;

    (void)state;
    start();
    handshake();
    before = fw.flows.searches;
    for (uint32_t i = 0; i < 45; i++)
        assert_passed(tcp_in(GH_TCP_ACK, 5001 + i * 100, 1001, 100));
    assert_true(fw.flows.searches <= before + 1);
    for (uint32_t i = 0; i < 45; i++) { /* the other direction's do not come between */
        assert_passed(tcp_in(GH_TCP_ACK, 9501 + i * 100, 1001, 100));
        assert_passed(tcp_out(GH_TCP_ACK, 1001, 9601 + i * 100, 0));
    }
    assert_true(fw.flows.searches <= before + 2);
    before = fw.flows.searches;
    assert_passed(udp_out(1000, 10)); /* opens one */
    assert_passed(udp_out(1000, 10));
    assert_passed(tcp_out(GH_TCP_ACK, 1001, 14001, 0));
    assert_int_equal(fw.flows.searches, before + 2);
    gh_forward_session_close(&fw, &sess);
    assert_int_equal(w.packets[GH_DIRECTION_IN], 1 + 90); /* of the one that closed last: each packet was counted where it belongs */
}

static void a_reply_passes_because_of_its_flow_and_for_no_other_reason(void **state)
{
    (void)state;
    start();
    assert_dropped(udp_in(1000, 10), GH_DROP_POLICY);
    assert_passed(udp_out(1000, 10));
    assert_passed(udp_in(1000, 10));
    assert_dropped(udp_in(1001, 10), GH_DROP_POLICY); /* another port */
    make_udp(&p, "192.0.2.81", PEER4, 53, 1000, 10);  /* another host */
    assert_dropped(to_peer(), GH_DROP_POLICY);
    make_tcp(&p, WEB4, PEER4, 53, 1000, GH_TCP_SYN, 1, 0, 0, 0); /* another protocol */
    assert_dropped(to_peer(), GH_DROP_POLICY);
}

static void direction_in_opens_flows_towards_the_peer(void **state)
{
    (void)state;
    start();
    w.out = false;
    w.in = true;
    assert_passed(udp_in(1000, 10));
    assert_passed(udp_out(1000, 10)); /* the reply, although nothing may go out */
    assert_dropped(udp_out(1001, 10), GH_DROP_POLICY);
    assert_int_equal(w.opens, 1);
}

static void a_denial_is_first_once(void **state)
{
    (void)state;
    start();
    w.out = false;
    for (int i = 0; i < 5; i++)
        assert_dropped(udp_out(1000, 10), GH_DROP_POLICY);
    assert_int_equal(w.denies, 5);
    assert_int_equal(w.first_denies, 1);
    now.now += 31 * SECOND;
    (void)udp_out(1000, 10);
    assert_int_equal(w.first_denies, 2);
    (void)udp_out(1001, 10);
    assert_int_equal(w.first_denies, 3);
    assert_int_equal(fw.flows.count, 0);
}

static void log_all_reports_each_packet(void **state)
{
    (void)state;
    start();
    w.log = GH_FORWARD_LOG_ALL;
    (void)udp_out(1000, 10);
    (void)udp_in(1000, 10);
    assert_int_equal(w.logged, 2);
}

static void udp_ends_after_30_seconds_unreplied_and_180_replied(void **state)
{
    (void)state;
    start();
    assert_passed(udp_out(1000, 10));
    now.now += 30 * SECOND - 1;
    sweep();
    assert_int_equal(w.closes, 0);
    now.now += 1;
    assert_int_equal(gh_forward_sweep(&fw, &now, 1000), INT64_MAX);
    assert_int_equal(w.closes, 1);
    assert_int_equal(w.why, GH_FLOW_END_IDLE);
    assert_passed(udp_out(1000, 10));
    assert_passed(udp_in(1000, 10));
    assert_int_equal(gh_forward_sweep(&fw, &now, 1000), now.now + 180 * SECOND);
    now.now += 180 * SECOND - 1;
    sweep();
    assert_int_equal(w.closes, 1);
    now.now += 1;
    sweep();
    assert_int_equal(w.closes, 2);
}

static void an_echo_is_matched_by_its_id_and_ends_after_10_seconds(void **state)
{
    (void)state;
    start();
    for (int v6 = 0; v6 <= 1; v6++) {
        const char *peer = v6 ? PEER6 : PEER4, *web = v6 ? WEB6 : WEB4;

        w.closes = 0;
        make_echo(&p, peer, web, false, 7, 56);
        assert_passed(from_peer());
        make_echo(&p, web, peer, true, 8, 56);
        assert_dropped(to_peer(), GH_DROP_NO_FLOW);
        make_echo(&p, web, peer, true, 7, 56);
        assert_passed(to_peer());
        make_echo(&p, web, peer, false, 7, 56); /* a request does not pass on the flow of a request from inside */
        assert_dropped(to_peer(), GH_DROP_POLICY);
        make_echo(&p, peer, web, true, 7, 56); /* nor may a reply go out that nobody asked for */
        assert_dropped(from_peer(), GH_DROP_NO_FLOW);
        now.now += 10 * SECOND;
        sweep();
        assert_int_equal(w.closes, 1);
    }
}

static void tcp_follows_its_states(void **state)
{
    struct gh_flow *f;

    (void)state;
    start();
    assert_passed(tcp_out(GH_TCP_SYN, 1000, 0, 0));
    f = gh_flow_at(&fw.flows, 0);
    assert_int_equal(f->state, GH_FLOW_TCP_NEW);
    assert_passed(tcp_in(GH_TCP_SYN | GH_TCP_ACK, 5000, 1001, 0));
    assert_int_equal(f->state, GH_FLOW_TCP_HANDSHAKE);
    assert_passed(tcp_out(GH_TCP_ACK, 1001, 5001, 0));
    assert_int_equal(f->state, GH_FLOW_TCP_ESTABLISHED);
    assert_passed(tcp_out(GH_TCP_ACK | GH_TCP_FIN, 1001, 5001, 0));
    assert_int_equal(f->state, GH_FLOW_TCP_HALF_CLOSED);
    assert_passed(tcp_in(GH_TCP_ACK, 5001, 1002, 100));
    assert_int_equal(f->state, GH_FLOW_TCP_HALF_CLOSED);
    assert_passed(tcp_in(GH_TCP_ACK | GH_TCP_FIN, 5101, 1002, 0));
    assert_int_equal(f->state, GH_FLOW_TCP_CLOSING);
    assert_passed(tcp_out(GH_TCP_ACK, 1002, 5102, 0));
    now.now += 10 * SECOND;
    sweep();
    assert_int_equal(w.closes, 1);
    assert_int_equal(w.why, GH_FLOW_END_FINISHED);
}

static void tcp_time_outs_go_by_state(void **state)
{
    (void)state;
    start();
    assert_passed(tcp_out(GH_TCP_SYN, 1000, 0, 0));
    now.now += 60 * SECOND - 1;
    sweep();
    assert_int_equal(w.closes, 0);
    now.now += 1;
    sweep();
    assert_int_equal(w.closes, 1);
    handshake();
    now.now += 7440 * SECOND - 1;
    sweep();
    assert_int_equal(w.closes, 1);
    now.now += 1;
    sweep();
    assert_int_equal(w.closes, 2);
    assert_int_equal(w.why, GH_FLOW_END_IDLE);
}

static void a_reset_ends_only_when_its_number_fits(void **state)
{
    struct gh_flow *f;

    (void)state;
    start();
    handshake();
    f = gh_flow_at(&fw.flows, 0);
    assert_passed(tcp_in(GH_TCP_RST, 77, 0, 0)); /* a guess: the end will not obey it either */
    assert_int_equal(f->state, GH_FLOW_TCP_ESTABLISHED);
    assert_passed(tcp_in(GH_TCP_RST, 5001, 0, 0));
    assert_int_equal(f->state, GH_FLOW_TCP_CLOSED);
    start();
    assert_passed(tcp_out(GH_TCP_SYN, 1000, 0, 0));
    f = gh_flow_at(&fw.flows, 0);
    assert_passed(tcp_in(GH_TCP_RST | GH_TCP_ACK, 0, 1001, 0)); /* refused */
    assert_int_equal(f->state, GH_FLOW_TCP_CLOSED);
}

static void a_new_connection_on_old_ports_is_decided_anew(void **state)
{
    (void)state;
    start();
    handshake();
    assert_passed(tcp_out(GH_TCP_ACK | GH_TCP_FIN, 1001, 5001, 0));
    assert_passed(tcp_in(GH_TCP_ACK | GH_TCP_FIN, 5001, 1002, 0));
    assert_dropped(tcp_in(GH_TCP_SYN, 9000, 0, 0), GH_DROP_POLICY); /* nobody calls back on a finished flow */
    assert_int_equal(w.closes, 1);
    assert_int_equal(w.why, GH_FLOW_END_REPLACED);
    assert_passed(tcp_out(GH_TCP_SYN, 2000, 0, 0));
    assert_int_equal(w.decides, 3);
    assert_int_equal(w.opens, 2);
}

/* An ICMP error towards the peer that quotes <q>, cut to <quote> bytes. */
static enum gh_forward_action error_in(unsigned type, unsigned code, const char *router, size_t quote)
{
    make_icmp(&p, router, ip_of(router).family == 6 ? PEER6 : PEER4, type, code, 0, q.data, quote);
    return to_peer();
}

static void P10_an_icmp_error_passes_only_when_it_quotes_a_flow_of_the_session(void **state)
{
    (void)state;
    start();
    make_udp(&q, PEER4, WEB4, 1000, 53, 10);
    assert_dropped(error_in(3, 1, "198.51.100.1", 28), GH_DROP_NO_FLOW);
    p = q;
    assert_passed(from_peer());
    assert_passed(error_in(3, 1, "198.51.100.1", 28));
    assert_passed(error_in(11, 0, "198.51.100.1", q.len));
    assert_dropped(error_in(5, 1, "198.51.100.1", 28), GH_DROP_NO_FLOW); /* redirects are for neighbours */
    assert_dropped(error_in(4, 0, "198.51.100.1", 28), GH_DROP_NO_FLOW);
    assert_dropped(error_in(3, 1, "198.51.100.1", 27), GH_DROP_NO_FLOW); /* cut too short to tell */
    make_udp(&q, PEER4, WEB4, 1001, 53, 10);
    assert_dropped(error_in(3, 1, "198.51.100.1", 28), GH_DROP_NO_FLOW);
    make_udp(&q, WEB4, PEER4, 53, 1000, 10); /* the reply quoted: that one went the other way */
    assert_dropped(error_in(3, 1, "198.51.100.1", 28), GH_DROP_NO_FLOW);
    make_tcp(&p, PEER6, WEB6, 4000, 80, GH_TCP_SYN, 1, 0, 1400, 0);
    q = p;
    assert_passed(from_peer());
    assert_passed(error_in(2, 0, "2001:db8::1", 48));
    assert_dropped(error_in(100, 0, "2001:db8::1", 48), GH_DROP_NO_FLOW);
    assert_int_equal(w.decides, 2);
    assert_int_equal(sess.drops[GH_DROP_NO_FLOW], 7);
}

/* Another session's flow counts for nothing: who shares a public address learns nothing of others. */
static void P10_an_error_about_another_sessions_flow_is_dropped(void **state)
{
    struct gh_forward_session other;

    (void)state;
    start();
    gh_forward_session_init(&fw, &other, 2);
    other.assigned[0] = prefix_of(PEER4 "/32"); /* even with the same address */
    other.assigned_count = 1;
    make_udp(&q, PEER4, WEB4, 1000, 53, 10);
    p = q;
    assert_passed(from_peer());
    make_icmp(&p, "198.51.100.1", PEER4, 3, 1, 0, q.data, 28);
    gh_forward_to_peer(&fw, &other, &now, p.data, p.len, 0, &verdict);
    assert_dropped(verdict.action, GH_DROP_NO_FLOW);
    assert_passed(error_in(3, 1, "198.51.100.1", 28));
    gh_forward_session_close(&fw, &other);
}

static void P10_an_icmp_error_from_the_peer_needs_a_flow_too(void **state)
{
    (void)state;
    start();
    w.in = true;
    make_udp(&p, WEB4, PEER4, 53, 1000, 10);
    q = p;
    assert_passed(to_peer());
    make_icmp(&p, PEER4, WEB4, 3, 3, 0, q.data, 28);
    assert_passed(from_peer());
    make_icmp(&p, PEER4, "192.0.2.99", 3, 3, 0, q.data, 28); /* to another than who sent the quoted packet */
    assert_dropped(from_peer(), GH_DROP_NO_FLOW);
}

static void P10_an_error_about_an_echo_passes(void **state)
{
    (void)state;
    start();
    make_echo(&p, PEER4, WEB4, false, 9, 10);
    q = p;
    assert_passed(from_peer());
    assert_passed(error_in(11, 0, "198.51.100.1", 28));
}

static void fragments_follow_their_first_on_both_families(void **state)
{
    (void)state;
    for (int v6 = 0; v6 <= 1; v6++) {
        start();
        make_udp(&q, v6 ? PEER6 : PEER4, v6 ? WEB6 : WEB4, 1000, 53, 1992);
        make_fragment(&p, &q, 9, 1000, 1000, false);
        assert_dropped(from_peer(), GH_DROP_FRAGMENT_ORPHAN);
        make_fragment(&p, &q, 9, 0, 1000, true);
        assert_passed(from_peer());
        make_fragment(&p, &q, 9, 992, 1008, false);
        assert_dropped(from_peer(), GH_DROP_FRAGMENT_OVERLAP);
        make_fragment(&p, &q, 9, 1000, 1000, false);
        assert_passed(from_peer());
        assert_int_equal(w.decides, 1);
        assert_int_equal(gh_flow_at(&fw.flows, 0)->packets[GH_DIRECTION_OUT], 2);
    }
}

static void fragments_of_a_denied_packet_are_orphans(void **state)
{
    (void)state;
    start();
    w.out = false;
    make_udp(&q, PEER4, WEB4, 1000, 53, 1992);
    make_fragment(&p, &q, 9, 0, 1000, true);
    assert_dropped(from_peer(), GH_DROP_POLICY);
    make_fragment(&p, &q, 9, 1000, 1000, false);
    assert_dropped(from_peer(), GH_DROP_FRAGMENT_ORPHAN);
}

static void a_fragment_whose_flow_is_gone_is_an_orphan(void **state)
{
    (void)state;
    start();
    make_udp(&q, PEER4, WEB4, 1000, 53, 1992);
    make_fragment(&p, &q, 9, 0, 1000, true);
    assert_passed(from_peer());
    gh_forward_close_flow(&fw, gh_flow_at(&fw.flows, 0), GH_FLOW_END_EVICTED);
    assert_passed(udp_out(2000, 10)); /* takes the slot */
    make_fragment(&p, &q, 9, 1000, 1000, false);
    assert_dropped(from_peer(), GH_DROP_FRAGMENT_ORPHAN);
}

static void a_first_fragment_that_cannot_be_kept_opens_nothing(void **state)
{
    struct gh_forward_config c = test_config();

    (void)state;
    c.fragments = 0;
    start_with(&c);
    make_udp(&q, PEER4, WEB4, 1000, 53, 1992);
    make_fragment(&p, &q, 9, 0, 1000, true);
    assert_dropped(from_peer(), GH_DROP_FRAGMENT_LIMIT);
    assert_int_equal(fw.flows.count, 0);
}

static void the_oldest_unreplied_flow_makes_room(void **state)
{
    (void)state;
    start();
    assert_passed(udp_out(1, 10));
    assert_passed(udp_in(1, 10)); /* replied: stays */
    for (unsigned port = 2; port <= 32; port++, now.now++)
        assert_passed(udp_out(port, 10));
    assert_int_equal(w.closes, 0);
    assert_passed(udp_out(2, 10)); /* used again: 3 is the oldest now */
    assert_passed(udp_out(33, 10));
    assert_int_equal(w.closes, 1);
    assert_int_equal(w.why, GH_FLOW_END_EVICTED);
    assert_int_equal(sess.flows.count, 32);
    assert_passed(udp_in(1, 10));
    assert_passed(udp_in(2, 10));
    assert_dropped(udp_in(3, 10), GH_DROP_POLICY);
}

static void when_all_flows_talk_a_new_one_is_refused(void **state)
{
    (void)state;
    start();
    for (unsigned port = 1; port <= 32; port++) {
        assert_passed(udp_out(port, 10));
        assert_passed(udp_in(port, 10));
    }
    assert_dropped(udp_out(33, 10), GH_DROP_FLOW_LIMIT_SESSION);
    fw.config.flows_per_session = 1000;
    for (unsigned port = 33; port <= 64; port++) {
        assert_passed(udp_out(port, 10));
        assert_passed(udp_in(port, 10));
    }
    assert_dropped(udp_out(65, 10), GH_DROP_FLOW_LIMIT);
    assert_int_equal(w.closes, 0);
}

static void a_finished_flow_makes_room_when_none_is_unreplied(void **state)
{
    (void)state;
    start();
    fw.config.flows_per_session = 1000;
    handshake();
    assert_passed(tcp_in(GH_TCP_RST, 5001, 0, 0));
    for (unsigned port = 1; port <= 63; port++) {
        assert_passed(udp_out(port, 10));
        assert_passed(udp_in(port, 10));
    }
    assert_passed(udp_out(64, 10));
    assert_int_equal(w.closes, 1);
    assert_int_equal(w.why, GH_FLOW_END_EVICTED);
    assert_passed(udp_in(64, 10));
    assert_dropped(udp_out(65, 10), GH_DROP_FLOW_LIMIT);
}

static void a_sweep_does_no_more_than_its_budget(void **state)
{
    (void)state;
    start();
    for (unsigned port = 1; port <= 20; port++)
        assert_passed(udp_out(port, 10));
    now.now += 40 * SECOND;
    assert_int_equal(gh_forward_sweep(&fw, &now, 5), now.now);
    assert_int_equal(w.closes, 5);
    assert_int_equal(gh_forward_sweep(&fw, &now, 50), INT64_MAX);
    assert_int_equal(w.closes, 20);
}

/* The packet of cut <i> is ICMP <type>/<code> about <quoted_src>, or a reset. */
static void assert_cut_icmp(int i, enum gh_direction to, unsigned type, unsigned code, const char *dst)
{
    struct gh_ip_packet a, quoted;
    struct gh_ip want = ip_of(dst);

    assert_int_equal(w.cuts[i].to, to);
    assert_int_equal(gh_ip_packet_parse(w.cuts[i].data, w.cuts[i].len, &a), 0);
    if (to == GH_DIRECTION_OUT) /* our own address would not pass our kernel */
        assert_true(gh_prefix_contains(&sess.assigned[a.version == 4 ? 0 : 1], &a.src));
    assert_int_equal(a.icmp_type, type);
    assert_int_equal(a.icmp_code, code);
    assert_true(gh_ip_equals(&a.dst, &want));
    assert_int_equal(gh_ip_quoted_parse(w.cuts[i].data + a.l4_off + 8, w.cuts[i].len - a.l4_off - 8, &quoted), 0);
    assert_true(gh_ip_equals(&quoted.src, &want));
}

static void assert_cut_reset(int i, enum gh_direction to, const char *dst, uint32_t seq, uint32_t ack)
{
    struct gh_ip want = ip_of(dst);
    struct gh_ip_packet a;

    assert_int_equal(w.cuts[i].to, to);
    assert_int_equal(gh_ip_packet_parse(w.cuts[i].data, w.cuts[i].len, &a), 0);
    assert_int_equal(a.tcp_flags, GH_TCP_RST | GH_TCP_ACK);
    assert_true(gh_ip_equals(&a.dst, &want));
    assert_int_equal(a.tcp_seq, seq);
    assert_int_equal(a.tcp_ack, ack);
}

static void a_changed_policy_cuts_tcp_and_tells_both_ends(void **state)
{
    (void)state;
    start();
    handshake();
    assert_passed(tcp_in(GH_TCP_ACK, 5001, 1001, 100));
    assert_passed(tcp_out(GH_TCP_ACK, 1001, 5101, 30));
    w.denied_port = 80;
    sess.policy_generation++;
    assert_int_equal(gh_forward_recheck(&fw, &sess, &now), 1);
    assert_int_equal(w.closes, 1);
    assert_int_equal(w.why, GH_FLOW_END_POLICY_CHANGED);
    assert_int_equal(w.cut_count, 5);
    assert_cut_icmp(0, GH_DIRECTION_IN, 3, 13, PEER4);
    assert_cut_reset(1, GH_DIRECTION_IN, PEER4, 5101, 1031);
    assert_cut_icmp(2, GH_DIRECTION_OUT, 3, 13, WEB4);
    assert_cut_reset(3, GH_DIRECTION_OUT, WEB4, 1031, 5101);
    assert_cut_reset(4, GH_DIRECTION_OUT, WEB4, 1001, 5101); /* 30 bytes may still be under way */
    assert_dropped(tcp_out(GH_TCP_ACK, 1031, 5101, 30), GH_DROP_POLICY);
}

static void a_changed_policy_cuts_udp_and_echo(void **state)
{
    (void)state;
    start();
    make_udp(&p, PEER6, WEB6, 1000, 53, 10);
    assert_passed(from_peer());
    w.denied_port = 53;
    assert_int_equal(gh_forward_recheck(&fw, &sess, &now), 1);
    assert_int_equal(w.cut_count, 2);
    assert_cut_icmp(0, GH_DIRECTION_IN, 1, 1, PEER6);
    assert_cut_icmp(1, GH_DIRECTION_OUT, 1, 1, WEB6);
    w.cut_count = 0;
    make_echo(&p, PEER4, WEB4, false, 9, 10);
    assert_passed(from_peer());
    w.out = false;
    assert_int_equal(gh_forward_recheck(&fw, &sess, &now), 1);
    assert_int_equal(w.cut_count, 1);
    assert_cut_icmp(0, GH_DIRECTION_IN, 3, 13, PEER4);
}

static void an_old_policy_is_left_with_the_next_packet_in_either_direction(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 2; i++) {
        w.denied_port = 0;
        assert_passed(udp_out(1000, 10));
        sess.policy_generation++;
        assert_passed(i ? udp_out(1000, 10) : udp_in(1000, 10)); /* still allowed: decided again, once */
        assert_int_equal(w.decides, 2 + i * 3);
        w.denied_port = 53;
        sess.policy_generation++;
        assert_dropped(i ? udp_out(1000, 10) : udp_in(1000, 10), GH_DROP_POLICY_CHANGED);
        assert_int_equal(w.closes, 1 + i);
    }
}

static void the_sweep_finds_old_flows_and_expired_rules(void **state)
{
    (void)state;
    start();
    w.valid_until = now.wall + 60;
    assert_passed(udp_out(1000, 10));
    w.denied_port = 53;
    sweep();
    assert_int_equal(w.closes, 0);
    now.wall += 60;
    sweep();
    assert_int_equal(w.closes, 1);
    assert_int_equal(w.why, GH_FLOW_END_POLICY_CHANGED);
    w.denied_port = 0;
    w.valid_until = 0;
    assert_passed(udp_out(1000, 10));
    w.denied_port = 53;
    sess.policy_generation++;
    sweep();
    assert_int_equal(w.closes, 2);
}

static void errors_and_fragments_of_a_flow_that_policy_left_are_dropped(void **state)
{
    (void)state;
    start();
    make_udp(&q, PEER4, WEB4, 1000, 53, 1992);
    make_fragment(&p, &q, 9, 0, 1000, true);
    assert_passed(from_peer());
    w.denied_port = 53;
    sess.policy_generation++;
    make_fragment(&p, &q, 9, 1000, 1000, false);
    assert_dropped(from_peer(), GH_DROP_POLICY_CHANGED);
    w.denied_port = 0;
    assert_passed(udp_out(1000, 10));
    q = p;
    w.denied_port = 53;
    sess.policy_generation++;
    assert_dropped(error_in(3, 1, "198.51.100.1", 28), GH_DROP_POLICY_CHANGED);
}

static void two_sessions_do_not_share_flows(void **state)
{
    static struct gh_forward_session second;

    (void)state;
    start();
    assert_passed(udp_out(1000, 10));
    gh_forward_session_init(&fw, &second, 2);
    second.assigned[0] = prefix_of(PEER4 "/32");
    second.assigned_count = 1;
    make_udp(&p, WEB4, PEER4, 53, 1000, 10);
    gh_forward_to_peer(&fw, &second, &now, p.data, p.len, 0, &verdict);
    assert_dropped(verdict.action, GH_DROP_POLICY);
    assert_passed(udp_in(1000, 10));
    gh_forward_session_close(&fw, &second);
}

static void ten_thousand_flows_open_and_close_once_each(void **state)
{
    struct gh_forward_config c = test_config();

    (void)state;
    c.flows = c.flows_per_session = 20000;
    start_with(&c);
    for (unsigned port = 1; port <= 10000; port++)
        for (int i = 0; i < 3; i++)
            assert_passed(udp_out(port, 100));
    assert_int_equal(w.opens, 10000);
    now.now += 31 * SECOND;
    while (gh_forward_sweep(&fw, &now, 256) == now.now)
        ;
    assert_int_equal(w.closes, 10000);
    assert_int_equal(w.bytes[GH_DIRECTION_OUT], 384);
    assert_int_equal(fw.flows.map.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_first_packet_of_a_flow_is_decided),
        cmocka_unit_test(packets_of_one_flow_in_a_row_are_one_search),
        cmocka_unit_test(a_reply_passes_because_of_its_flow_and_for_no_other_reason),
        cmocka_unit_test(direction_in_opens_flows_towards_the_peer),
        cmocka_unit_test(a_denial_is_first_once),
        cmocka_unit_test(log_all_reports_each_packet),
        cmocka_unit_test(udp_ends_after_30_seconds_unreplied_and_180_replied),
        cmocka_unit_test(an_echo_is_matched_by_its_id_and_ends_after_10_seconds),
        cmocka_unit_test(tcp_follows_its_states),
        cmocka_unit_test(tcp_time_outs_go_by_state),
        cmocka_unit_test(a_reset_ends_only_when_its_number_fits),
        cmocka_unit_test(a_new_connection_on_old_ports_is_decided_anew),
        cmocka_unit_test(P10_an_icmp_error_passes_only_when_it_quotes_a_flow_of_the_session),
        cmocka_unit_test(P10_an_icmp_error_from_the_peer_needs_a_flow_too),
        cmocka_unit_test(P10_an_error_about_another_sessions_flow_is_dropped),
        cmocka_unit_test(P10_an_error_about_an_echo_passes),
        cmocka_unit_test(fragments_follow_their_first_on_both_families),
        cmocka_unit_test(fragments_of_a_denied_packet_are_orphans),
        cmocka_unit_test(a_fragment_whose_flow_is_gone_is_an_orphan),
        cmocka_unit_test(a_first_fragment_that_cannot_be_kept_opens_nothing),
        cmocka_unit_test(the_oldest_unreplied_flow_makes_room),
        cmocka_unit_test(when_all_flows_talk_a_new_one_is_refused),
        cmocka_unit_test(a_finished_flow_makes_room_when_none_is_unreplied),
        cmocka_unit_test(a_sweep_does_no_more_than_its_budget),
        cmocka_unit_test(a_changed_policy_cuts_tcp_and_tells_both_ends),
        cmocka_unit_test(a_changed_policy_cuts_udp_and_echo),
        cmocka_unit_test(an_old_policy_is_left_with_the_next_packet_in_either_direction),
        cmocka_unit_test(the_sweep_finds_old_flows_and_expired_rules),
        cmocka_unit_test(errors_and_fragments_of_a_flow_that_policy_left_are_dropped),
        cmocka_unit_test(two_sessions_do_not_share_flows),
        cmocka_unit_test(ten_thousand_flows_open_and_close_once_each),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);

    end_world();
    return rc;
}
