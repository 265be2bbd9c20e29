/* CONNECT: the production relay between a fake stream and a socket of the loopback. */
#include "proxy_world.h"

static void bytes_pass_both_ways_and_each_end_by_itself(void **state)
{
    struct world *w = *state;
    char buf[64];

    proxy_world_open_tcp(w);
    assert_true(w->s.held);
    snprintf(buf, sizeof buf, "gatehouse; next-hop=\"127.0.0.1:%u\"", w->port); /* RFC 9209, section 2.1.2 */
    assert_string_equal(gh_fake_stream_field(&w->s, "proxy-status"), buf);
    gh_fake_stream_body(&w->s, "hello", 5, false);
    assert_int_equal(proxy_world_read(w, buf, sizeof buf), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(w->s.consumed, 5);
    gh_fake_stream_body(&w->s, NULL, 0, true);
    assert_int_equal(proxy_world_read(w, buf, sizeof buf), 0); /* the client's end alone */
    assert_int_equal(send(w->host, "and back", 8, 0), 8);
    TURN_UNTIL(w, w->s.body_len == 8);
    assert_false(w->s.ended);
    shutdown(w->host, SHUT_WR);
    TURN_UNTIL(w, w->s.ended);
    assert_string_equal(w->s.body, "and back");
    gh_fake_stream_close(&w->s, 0);
    proxy_world_stop(w);
    assert_non_null(strstr(w->audit, "\"flow opened\""));
    assert_non_null(strstr(w->audit, "\"reason\":\"finished\""));
    assert_non_null(strstr(w->audit, "\"rule_id\":\"local\""));
    assert_non_null(strstr(w->audit, "\"bytes\":13"));
    assert_non_null(strstr(w->audit, "\"protocol\":\"tcp\""));
}

static void what_came_before_the_connection_goes_first(void **state)
{
    struct world *w = *state;
    char authority[32], buf[16];

    snprintf(authority, sizeof authority, "127.0.0.1:%u", w->port);
    proxy_world_ask_tcp(w, &w->s, "c", authority);
    assert_int_equal(w->s.status, 0);
    gh_fake_stream_body(&w->s, "early", 5, false);
    assert_int_equal(w->s.consumed, 0);
    TURN_UNTIL(w, w->s.status == 200);
    gh_fake_stream_body(&w->s, "+late", 5, true);
    w->host = accept(w->listener, NULL, NULL);
    assert_int_equal(recv(w->host, buf, 10, MSG_WAITALL), 10);
    assert_memory_equal(buf, "early+late", 10);
    assert_int_equal(w->s.consumed, 10);
}

static void a_host_that_does_not_read_holds_back_the_client(void **state)
{
    struct world *w = *state;
    char piece[16384] = { 1 };
    size_t sent = 0, read = 0;

    proxy_world_open_tcp(w);
    while (w->s.consumed == sent && sent < 64u << 20) {
        gh_fake_stream_body(&w->s, piece, sizeof piece, false);
        sent += sizeof piece;
    }
    assert_true(w->s.consumed < sent); /* credit is given for what the host took alone */
    gh_fake_stream_body(&w->s, NULL, 0, true);
    while (read < sent) {
        ssize_t n = proxy_world_read(w, piece, sizeof piece);

        assert_true(n > 0);
        read += (size_t)n;
    }
    assert_int_equal(proxy_world_read(w, piece, sizeof piece), 0);
    assert_int_equal(w->s.consumed, sent);
}

static void what_a_client_sent_reaches_the_host_after_it_has_gone(void **state)
{
    struct world *w = *state;
    char piece[16384] = { 1 };
    size_t sent = 0, read = 0;

    proxy_world_open_tcp(w);
    while (w->s.consumed == sent && sent < 64u << 20) {
        gh_fake_stream_body(&w->s, piece, sizeof piece, false);
        sent += sizeof piece;
    }
    gh_fake_stream_body(&w->s, NULL, 0, true);
    gh_fake_stream_close(&w->s, 0);
    while (read < sent) {
        ssize_t n = proxy_world_read(w, piece, sizeof piece);

        assert_true(n > 0);
        read += (size_t)n;
    }
    assert_int_equal(proxy_world_read(w, piece, sizeof piece), 0);
}

static void a_client_that_sends_beyond_its_credit_is_aborted(void **state)
{
    struct world *w = *state;
    char *piece = calloc(1, GH_TUNNEL_PUMP_PENDING);

    assert_non_null(piece);
    proxy_world_open_tcp(w);
    for (unsigned i = 0; i < 32 && !w->s.reset; i++)
        gh_fake_stream_body(&w->s, piece, GH_TUNNEL_PUMP_PENDING, false);
    free(piece);
    assert_true(w->s.reset);
    assert_int_equal(w->s.why, GH_HTTP_EXCESSIVE_LOAD);
    assert_int_equal(proxy_world_drops(w, GH_DROP_PROXY_QUEUE), 1);
}

static void a_client_that_does_not_read_holds_back_the_host(void **state)
{
    struct world *w = *state;
    char piece[4096] = { 1 };
    size_t sent = 0;
    ssize_t n = 1;

    proxy_world_open_tcp(w);
    w->s.room = 10000;
    for (unsigned i = 0; i < TURNS && n > 0; i++) {
        n = send(w->host, piece, sizeof piece, 0);
        sent += n > 0 ? (size_t)n : 0;
    }
    assert_true(n < 0 && errno == EAGAIN);
    TURN_UNTIL(w, w->s.body_len > 0 || w->s.room < 10000 || w->s.reset || gh_list_empty(&w->rw->proxies) ||
                      gh_container_of(w->rw->proxies.next, struct relay_proxy, link)->pump.out_len);
    assert_true(w->s.body_len <= 10000);
    shutdown(w->host, SHUT_WR);
    gh_fake_stream_writable(&w->s, SIZE_MAX);
    TURN_UNTIL(w, w->s.ended);
    assert_int_equal(w->s.body_len, sent); /* none lost, none twice */
}

static void a_reset_of_the_host_is_one_of_the_stream(void **state)
{
    struct world *w = *state;
    struct linger now = { 1, 0 };

    proxy_world_open_tcp(w);
    assert_int_equal(setsockopt(w->host, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(w->host);
    w->host = -1;
    TURN_UNTIL(w, w->s.reset);
    assert_int_equal(w->s.why, GH_HTTP_CONNECT_ERROR); /* RFC 9114, section 4.4 */
}

static void an_abort_of_the_stream_is_a_reset_for_the_host(void **state)
{
    struct world *w = *state;
    char buf[8];

    proxy_world_open_tcp(w);
    gh_fake_stream_close(&w->s, 0x10c);
    assert_int_equal(proxy_world_read(w, buf, sizeof buf), -1);
    assert_int_equal(errno, ECONNRESET);
}

static void who_is_denied_gets_403_and_no_connection_is_made(void **state)
{
    static const struct {
        const char *client, *host;
        enum gh_drop why;
    } rows[] = {
        { "c", "127.0.0.2", GH_DROP_POLICY },           { "stranger", "127.0.0.1", GH_DROP_UNKNOWN_CLIENT },
        { "wide", "127.0.0.1", GH_DROP_LOCAL_TARGET },  { "net", "127.0.0.1", GH_DROP_LOCAL_TARGET },
        { "wide", "[::1]", GH_DROP_LOCAL_TARGET },      { "wide", "[::ffff:127.0.0.1]", GH_DROP_LOCAL_TARGET },
        { "wide", "169.254.169.254", GH_DROP_LOCAL_TARGET }, { "wide", "[fe80::1]", GH_DROP_LINK_LOCAL },
        { "wide", "0.0.0.0", GH_DROP_LOCAL_TARGET },    { "wide", "[::]", GH_DROP_LOCAL_TARGET },
        { "wide", "224.0.0.1", GH_DROP_LOCAL_TARGET },  { "wide", "255.255.255.255", GH_DROP_LOCAL_TARGET },
    };
    struct world *w = *state;
    char authority[64];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct gh_fake_stream s;
        uint64_t before = proxy_world_drops(w, rows[i].why);

        snprintf(authority, sizeof authority, "%s:%u", rows[i].host, w->port);
        proxy_world_ask_tcp(w, &s, rows[i].client, authority);
        assert_int_equal(s.status, 403);
        assert_true(s.ended);
        assert_int_equal(proxy_world_drops(w, rows[i].why), before + 1);
        gh_fake_stream_fini(&s);
    }
    assert_int_equal(fcntl(w->listener, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(accept(w->listener, NULL, NULL), -1);
    proxy_world_stop(w);
    assert_non_null(strstr(w->audit, "acl.deny"));
    assert_non_null(strstr(w->audit, "\"reason\":\"local_target\""));
    assert_null(strstr(w->audit, "acl.allow"));
}

static void requests_that_make_no_sense_get_400_or_404(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream s;

    proxy_world_ask_tcp(w, &s, "c", "127.0.0.1");
    assert_int_equal(s.status, 400);
    gh_fake_stream_fini(&s);
    proxy_world_ask_udp(w, &s, "c", "/.well-known/masque/udp/127.0.0.1/0/");
    assert_int_equal(s.status, 400);
    gh_fake_stream_fini(&s);
    proxy_world_ask_udp(w, &s, "c", "/elsewhere");
    assert_int_equal(s.status, 404);
    gh_fake_stream_fini(&s);
}

static void a_host_that_refuses_is_502(void **state)
{
    struct world *w = *state;
    char authority[32];

    close(w->listener);
    w->listener = socket(AF_INET, SOCK_STREAM, 0);
    snprintf(authority, sizeof authority, "127.0.0.1:%u", w->port);
    proxy_world_ask_tcp(w, &w->s, "c", authority);
    TURN_UNTIL(w, w->s.status);
    assert_int_equal(w->s.status, 502);
    assert_string_equal(gh_fake_stream_field(&w->s, "proxy-status"), "gatehouse; error=connection_refused");
}

static void a_name_leads_to_its_addresses_that_policy_allows(void **state)
{
    struct world *w = *state;
    char authority[32];

    /* of three the first is denied, the second refuses */
    for (unsigned i = 0; i < 3; i++) {
        uint8_t ip[4] = { 127, 0, 0, i == 0 ? 2 : 1 };

        w->names.list[i].ip = gh_ip_v4(ip);
    }
    w->names.count = 3;
    snprintf(authority, sizeof authority, "host.example:%u", w->port);
    proxy_world_ask_tcp(w, &w->s, "c", authority);
    assert_int_equal(w->s.status, 0);
    TURN_UNTIL(w, w->s.status);
    assert_int_equal(w->s.status, 200);
    assert_int_equal(proxy_world_drops(w, GH_DROP_POLICY), 1);
}

static void a_name_without_addresses_is_502(void **state)
{
    struct world *w = *state;

    proxy_world_ask_tcp(w, &w->s, "c", "nowhere.example:80");
    TURN_UNTIL(w, w->s.status);
    assert_int_equal(w->s.status, 502);
    assert_string_equal(gh_fake_stream_field(&w->s, "proxy-status"), "gatehouse; error=dns_error");
}

static void a_client_that_goes_while_its_name_is_looked_up_is_forgotten(void **state)
{
    struct world *w = *state;

    proxy_world_ask_tcp(w, &w->s, "c", "nowhere.example:80");
    gh_fake_stream_close(&w->s, 0x10c);
    assert_int_equal(atomic_load(&w->r.proxied), 0);
    TURN_UNTIL(w, atomic_load(&w->r.lookups) == 0);
}

static void a_rule_that_changes_cuts_what_lives(void **state)
{
    struct world *w = *state;
    char buf[8];

    proxy_world_open_tcp(w);
    proxy_world_policy(w, NOBODY);
    assert_true(w->s.reset);
    assert_int_equal(proxy_world_read(w, buf, sizeof buf), -1);
    assert_int_equal(proxy_world_drops(w, GH_DROP_POLICY_CHANGED), 1);
    proxy_world_stop(w);
    assert_non_null(strstr(w->audit, "\"reason\":\"policy_changed\""));
}

static void a_rule_that_stays_cuts_nothing(void **state)
{
    struct world *w = *state;
    char buf[8];

    proxy_world_open_tcp(w);
    proxy_world_policy(w, HEAD "  c: { rules: [ { id: other, type: ip_cidr, action: allow, destinations: [127.0.0.1/32] } ] }\n");
    assert_false(w->s.reset);
    gh_fake_stream_body(&w->s, "x", 1, false);
    assert_int_equal(proxy_world_read(w, buf, sizeof buf), 1);
    gh_fake_stream_close(&w->s, 0);
    proxy_world_stop(w);
    assert_non_null(strstr(w->audit, "\"rule_id\":\"other\"")); /* the rule that it was last allowed by */
}

static void an_identity_whose_time_is_over_is_cut(void **state)
{
    struct world *w = *state;

    proxy_world_open_tcp(w);
    gh_container_of(w->rw->proxies.next, struct relay_proxy, link)->not_after = 1;
    relay_proxy_expire(w->rw);
    assert_true(w->s.reset);
    proxy_world_stop(w);
    assert_non_null(strstr(w->audit, "\"reason\":\"certificate_expired\""));
}

static void an_identity_that_is_no_longer_trusted_is_cut(void **state)
{
    struct world *w = *state;

    proxy_world_open_tcp(w);
    w->s.peer.not_after = 1; /* what the judge looks at */
    relay_trust_apply(w->rw);
    assert_true(w->s.reset);
    assert_int_equal(atomic_load(&w->r.proxied), 0);
}

static void an_identity_has_no_more_than_its_share(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream s[4];
    char authority[32];

    snprintf(authority, sizeof authority, "127.0.0.1:%u", w->port);
    for (unsigned i = 0; i < 4; i++)
        proxy_world_ask_tcp(w, &s[i], "c", authority);
    assert_int_equal(s[3].status, 503);
    assert_int_equal(proxy_world_drops(w, GH_DROP_PROXY_LIMIT), 1);
    TURN_UNTIL(w, s[0].status && s[1].status && s[2].status);
    for (unsigned i = 0; i < 4; i++)
        gh_fake_stream_fini(&s[i]);
}

static void nothing_is_begun_while_the_node_drains(void **state)
{
    struct world *w = *state;

    atomic_store(&w->r.draining, true);
    proxy_world_ask_tcp(w, &w->s, "c", "127.0.0.1:80");
    assert_int_equal(w->s.status, 503);
    assert_int_equal(proxy_world_drops(w, GH_DROP_DRAINING), 1);
}

static void without_the_option_a_connect_is_what_it_was(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream s;

    w->rw->conf.proxy = GH_RELAY_PROXY_CONNECT_UDP;
    proxy_world_ask_tcp(w, &s, "c", "127.0.0.1:80");
    assert_int_equal(s.status, 400);
    gh_fake_stream_fini(&s);
    w->rw->conf.proxy = GH_RELAY_PROXY_CONNECT;
    proxy_world_ask_udp(w, &s, "c", "/.well-known/masque/udp/127.0.0.1/80/");
    assert_int_equal(s.status, 501);
    gh_fake_stream_fini(&s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, proxy_world_setup, proxy_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(bytes_pass_both_ways_and_each_end_by_itself),
        T(what_came_before_the_connection_goes_first),
        T(a_host_that_does_not_read_holds_back_the_client),
        T(what_a_client_sent_reaches_the_host_after_it_has_gone),
        T(a_client_that_sends_beyond_its_credit_is_aborted),
        T(a_client_that_does_not_read_holds_back_the_host),
        T(a_reset_of_the_host_is_one_of_the_stream),
        T(an_abort_of_the_stream_is_a_reset_for_the_host),
        T(who_is_denied_gets_403_and_no_connection_is_made),
        T(requests_that_make_no_sense_get_400_or_404),
        T(a_host_that_refuses_is_502),
        T(a_name_leads_to_its_addresses_that_policy_allows),
        T(a_name_without_addresses_is_502),
        T(a_client_that_goes_while_its_name_is_looked_up_is_forgotten),
        T(a_rule_that_changes_cuts_what_lives),
        T(a_rule_that_stays_cuts_nothing),
        T(an_identity_whose_time_is_over_is_cut),
        T(an_identity_that_is_no_longer_trusted_is_cut),
        T(an_identity_has_no_more_than_its_share),
        T(nothing_is_begun_while_the_node_drains),
        T(without_the_option_a_connect_is_what_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
