/* Row P13: CONNECT-UDP (RFC 9298). */
#include "proxy_world.h"

static struct sockaddr_in open_udp(struct world *w)
{
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    uint16_t port;
    char path[80], buf[8];

    w->host = proxy_world_socket(SOCK_DGRAM, &port);
    assert_int_equal(fcntl(w->host, F_SETFL, O_NONBLOCK), 0);
    snprintf(path, sizeof path, "/.well-known/masque/udp/127.0.0.1/%u/", port);
    proxy_world_ask_udp(w, &w->s, "c", path);
    assert_int_equal(w->s.status, 200);
    assert_true(gh_fake_stream_datagram(&w->s, "\0ping", 5));
    assert_int_equal(recvfrom(w->host, buf, sizeof buf, 0, (struct sockaddr *)&from, &len), 4);
    assert_memory_equal(buf, "ping", 4);
    return from;
}

static void P13_datagrams_of_context_0_are_udp_payloads(void **state)
{
    struct world *w = *state;
    struct sockaddr_in from = open_udp(w);

    assert_string_equal(gh_fake_stream_field(&w->s, "capsule-protocol"), "?1");
    assert_int_equal(sendto(w->host, "pong!", 5, 0, (struct sockaddr *)&from, sizeof from), 5);
    TURN_UNTIL(w, w->s.datagram_count == 1);
    assert_int_equal(w->s.datagram_lens[0], 6);
    assert_memory_equal(w->s.datagrams[0], "\0pong!", 6);
    assert_int_equal(sendto(w->host, "", 0, 0, (struct sockaddr *)&from, sizeof from), 0); /* an empty one is one */
    TURN_UNTIL(w, w->s.datagram_count == 2);
    assert_int_equal(w->s.datagram_lens[1], 1);
    gh_fake_stream_close(&w->s, 0);
    proxy_world_stop(w);
    assert_non_null(strstr(w->audit, "\"protocol\":\"udp\""));
    assert_non_null(strstr(w->audit, "\"bytes\":9"));
    assert_non_null(strstr(w->audit, "\"packets\":3"));
}

static void P13_capsules_carry_them_too_and_unknown_ones_are_skipped(void **state)
{
    struct world *w = *state;
    char buf[8];

    open_udp(w);
    /* DATAGRAM of "abc", then a capsule of type 0x2f, then half of another DATAGRAM */
    gh_fake_stream_body(&w->s, "\x00\x04\x00""abc\x2f\x02??\x00\x03\x00""d", 14, false);
    assert_int_equal(recv(w->host, buf, sizeof buf, 0), 3);
    assert_memory_equal(buf, "abc", 3);
    assert_int_equal(recv(w->host, buf, sizeof buf, 0), -1);
    gh_fake_stream_body(&w->s, "e", 1, false);
    assert_int_equal(recv(w->host, buf, sizeof buf, 0), 2);
}

static void P13_a_stream_that_ends_inside_a_capsule_is_malformed(void **state)
{
    struct world *w = *state;

    open_udp(w);
    gh_fake_stream_body(&w->s, "\x00\x04\x00", 3, true);
    assert_true(w->s.reset);
    assert_int_equal(w->s.why, GH_HTTP_MESSAGE_ERROR);
}

static void P13_other_contexts_are_dropped(void **state)
{
    struct world *w = *state;
    char buf[8];

    open_udp(w);
    assert_true(gh_fake_stream_datagram(&w->s, "\x02no", 3));
    assert_true(gh_fake_stream_datagram(&w->s, "", 0));
    assert_int_equal(recv(w->host, buf, sizeof buf, 0), -1);
    assert_false(w->s.reset);
    assert_int_equal(proxy_world_drops(w, GH_DROP_CONTEXT), 2);
}

static void P13_a_payload_beyond_65527_bytes_aborts_the_stream(void **state)
{
    struct world *w = *state;
    uint8_t *big = calloc(1, 65529);

    assert_non_null(big);
    open_udp(w);
    assert_true(gh_fake_stream_datagram(&w->s, big, 65529));
    free(big);
    assert_true(w->s.reset);
}

static void P13_others_cannot_send_into_the_tunnel(void **state)
{
    struct world *w = *state;
    struct sockaddr_in from = open_udp(w);
    uint16_t port;
    int other = proxy_world_socket(SOCK_DGRAM, &port);

    (void)sendto(other, "spoof", 5, 0, (struct sockaddr *)&from, sizeof from); /* which may be refused at once */
    assert_int_equal(sendto(w->host, "real", 4, 0, (struct sockaddr *)&from, sizeof from), 4);
    TURN_UNTIL(w, w->s.datagram_count == 1);
    assert_memory_equal(w->s.datagrams[0], "\0real", 5);
    close(other);
}

static void P13_the_socket_lives_as_long_as_the_stream(void **state)
{
    struct world *w = *state;

    open_udp(w);
    gh_fake_stream_body(&w->s, NULL, 0, true);
    assert_true(w->s.ended);
    assert_false(w->s.reset);
    assert_int_equal(atomic_load(&w->r.proxied), 0);
}

static void P13_an_icmp_error_ends_the_stream(void **state)
{
    struct world *w = *state;

    open_udp(w);
    close(w->host);
    w->host = -1;
    assert_true(gh_fake_stream_datagram(&w->s, "\0gone", 5));
    TURN_UNTIL(w, w->s.reset);
    assert_int_equal(w->s.why, GH_HTTP_CONNECT_ERROR);
}

static void P13_packets_leave_unfragmented_and_not_ecn_capable(void **state)
{
    struct world *w = *state;
    struct relay_proxy *p;
    int value = -1;
    socklen_t len = sizeof value;

    open_udp(w);
    p = gh_container_of(w->rw->proxies.next, struct relay_proxy, link);
    assert_int_equal(getsockopt(p->fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, &len), 0);
    assert_int_equal(value, IP_PMTUDISC_DO);
    assert_int_equal(getsockopt(p->fd, IPPROTO_IP, IP_TOS, &value, &len), 0);
    assert_int_equal(value & 3, 0);
}

static void P13_silence_of_less_than_two_minutes_ends_nothing(void **state)
{
    struct world *w = *state;
    struct relay_proxy *p;

    open_udp(w);
    p = gh_container_of(w->rw->proxies.next, struct relay_proxy, link);
    assert_true(p->timer.started && p->timer.at - gh_worker_now(w->worker) > INT64_C(119000000000));
    p->timer.fire(p, p->active_at + INT64_C(121000000000));
    assert_false(w->s.ended || w->s.reset);
    p->timer.fire(p, p->active_at + INT64_C(180000000000)); /* proxy_udp_timeout */
    assert_true(w->s.ended);
    assert_int_equal(atomic_load(&w->r.proxied), 0);
}

static void P13_policy_decides_about_udp_too(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream s;

    proxy_world_policy(w, HEAD "  c: { rules: [ { id: t, type: ip_cidr, action: allow, destinations: [127.0.0.1/32], protocol: tcp } ] }\n");
    proxy_world_ask_udp(w, &s, "c", "/.well-known/masque/udp/127.0.0.1/53/");
    assert_int_equal(s.status, 403);
    gh_fake_stream_fini(&s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, proxy_world_setup, proxy_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(P13_datagrams_of_context_0_are_udp_payloads),
        T(P13_capsules_carry_them_too_and_unknown_ones_are_skipped),
        T(P13_a_stream_that_ends_inside_a_capsule_is_malformed),
        T(P13_other_contexts_are_dropped),
        T(P13_a_payload_beyond_65527_bytes_aborts_the_stream),
        T(P13_others_cannot_send_into_the_tunnel),
        T(P13_the_socket_lives_as_long_as_the_stream),
        T(P13_an_icmp_error_ends_the_stream),
        T(P13_packets_leave_unfragmented_and_not_ecn_capable),
        T(P13_silence_of_less_than_two_minutes_ends_nothing),
        T(P13_policy_decides_about_udp_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
