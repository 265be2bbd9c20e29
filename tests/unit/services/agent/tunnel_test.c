#include "services/agent/agent_tunnel.h"

#include <stdio.h>

#include "../../test.h"
#include "base/error.h"
#include "fake_stream.h"

struct world {
    struct gh_fake_stream stream;
    struct gh_agent_tunnel tunnel;
    unsigned opened, assigned, routes, packets, ended;
    struct gh_prefix list[GH_FORWARD_PREFIXES];
    size_t count, refused, route_count, packet_len;
    uint8_t packet[64];
    struct gh_ip_route route_list[2];
    struct gh_agent_tunnel_end end;
    char narrow[80];
    bool end_on_routes; /* the owner ends the tunnel while the engine is in use */
    uint8_t ech[2048];
    size_t ech_len;
};

static void on_open(void *arg)
{
    ((struct world *)arg)->opened++;
}

static void on_assigned(void *arg, const struct gh_prefix *list, size_t count, size_t refused)
{
    struct world *w = arg;

    w->assigned++;
    memcpy(w->list, list, count * sizeof *list);
    w->count = count;
    w->refused = refused;
}

static void on_routes(void *arg, const struct gh_ip_route *list, size_t count)
{
    struct world *w = arg;

    for (size_t i = 0; i < count && i < 2; i++)
        w->route_list[i] = list[i];
    w->routes++;
    w->route_count = count;
    if (w->end_on_routes)
        gh_agent_tunnel_end(&w->tunnel, GH_HTTP_EXCESSIVE_LOAD, "too many routes");
}

static void on_packet(void *arg, struct gh_span packet)
{
    struct world *w = arg;

    w->packets++;
    w->packet_len = packet.len;
    memcpy(w->packet, packet.data, packet.len < sizeof w->packet ? packet.len : sizeof w->packet);
}

static void on_end(void *arg, const struct gh_agent_tunnel_end *end)
{
    struct world *w = arg;

    w->ended++;
    w->end = *end;
}

static void on_narrow(void *arg, const char *words)
{
    struct world *w = arg;

    snprintf(w->narrow, sizeof w->narrow, "%s", words);
}

static void on_ech(void *arg, struct gh_span list)
{
    struct world *w = arg;

    w->ech_len = list.len;
    memcpy(w->ech, list.data, list.len);
}

static const struct gh_agent_tunnel_events events = { on_open, on_assigned, on_routes, on_packet, on_end, .on_narrow = on_narrow, .on_ech = on_ech };

static void begin_with(struct world *w, bool no_ipv6)
{
    *w = (struct world){ 0 };
    gh_fake_stream_init(&w->stream);
    /* the fake's own side is a server's, which may send after its head */
    w->stream.status = 200;
    w->stream.stream.events = &gh_agent_tunnel_http_events;
    w->stream.stream.arg = &w->tunnel;
    gh_agent_tunnel_init(&w->tunnel, &events, w);
    gh_agent_tunnel_start(&w->tunnel, &w->stream.stream, no_ipv6);
}

static void begin(struct world *w)
{
    begin_with(w, false);
}

static void finish(struct world *w)
{
    gh_fake_stream_close(&w->stream, 0);
    assert_int_equal(w->ended, 1);
    gh_agent_tunnel_fini(&w->tunnel);
    gh_fake_stream_fini(&w->stream);
}

static void answer(struct world *w, unsigned status, const char *name, const char *value)
{
    struct gh_http_field field = { 0 };
    struct gh_http_head head = { .status = status, .fields = &field, .field_count = name ? 1 : 0 };

    if (name)
        field = (struct gh_http_field){ gh_span_str(name), gh_span_str(value) };
    gh_agent_tunnel_http_events.on_answer(&w->tunnel, &w->stream.stream, &head);
}

/* RFC 9484, section 4.7.1: type 0x01; request id 1, IPv4, 10.100.0.2/32; request id 2, refused IPv6: ::/128 */
static const uint8_t assignment[] = { 0x01, 26, 1, 4, 10, 100, 0, 2, 32, 2, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128 };
/* type 0x03; one range: IPv4, 0.0.0.0 to 255.255.255.255, any protocol */
static const uint8_t advertisement[] = { 0x03, 10, 4, 0, 0, 0, 0, 255, 255, 255, 255, 0 };

static void R5_only_2xx_opens_the_tunnel(void **state)
{
    static const unsigned refusals[] = { 204, 205, 206, 301, 400, 401, 403, 404, 429, 500, 501, 503, 101 };
    struct world w;

    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        begin(&w);
        answer(&w, refusals[i], NULL, NULL);
        gh_fake_stream_body(&w.stream, NULL, 0, true);
        assert_int_equal(w.opened, 0);
        assert_int_equal(w.ended, 1);
        assert_int_equal(w.end.status, refusals[i]);
        assert_true(w.stream.reset);
        finish(&w);
    }
    begin(&w);
    answer(&w, 103, NULL, NULL); /* interim */
    assert_int_equal(w.opened + w.ended, 0);
    answer(&w, 200, "capsule-protocol", "?1");
    assert_int_equal(w.opened, 1);
    finish(&w);
}

static void A3_addresses_of_both_families_are_asked_for_after_2xx(void **state)
{
    /* type 0x02: id 1, 0.0.0.0/32; id 2, ::/128 */
    static const uint8_t expected[] = { 0x02, 26, 1, 4, 0, 0, 0, 0, 32, 2, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128 };
    struct world w;

    (void)state;
    begin(&w);
    assert_int_equal(w.stream.body_len, 0);
    answer(&w, 200, NULL, NULL);
    assert_int_equal(w.stream.body_len, sizeof expected);
    assert_memory_equal(w.stream.body, expected, sizeof expected);
    finish(&w);
}

static void an_assignment_is_the_full_list_without_refusals(void **state)
{
    static const uint8_t nothing[] = { 0x01, 0 };
    struct world w;

    (void)state;
    begin(&w);
    answer(&w, 200, NULL, NULL);
    gh_fake_stream_body(&w.stream, assignment, 5, false); /* a capsule may come in pieces */
    assert_int_equal(w.assigned, 0);
    gh_fake_stream_body(&w.stream, assignment + 5, sizeof assignment - 5, false);
    assert_int_equal(w.assigned, 1);
    assert_int_equal(w.count, 1);
    assert_int_equal(w.refused, 1);
    assert_int_equal(w.list[0].len, 32);
    assert_memory_equal(w.list[0].addr.bytes, "\x0a\x64\x00\x02", 4);
    gh_fake_stream_body(&w.stream, nothing, sizeof nothing, false);
    assert_int_equal(w.assigned, 2);
    assert_int_equal(w.count, 0);
    finish(&w);
}

static void routes_and_packets_reach_the_owner(void **state)
{
    static const uint8_t datagram[] = { 0, 0x45, 1, 2, 3 }, other_context[] = { 2, 0x45 };
    uint8_t out[] = { 0xff, 0x45, 9, 8 };
    struct world w;

    (void)state;
    begin(&w);
    gh_fake_stream_datagram(&w.stream, datagram, sizeof datagram); /* before the answer: nobody's */
    answer(&w, 200, NULL, NULL);
    gh_fake_stream_body(&w.stream, advertisement, sizeof advertisement, false);
    assert_int_equal(w.routes, 1);
    assert_int_equal(w.route_count, 1);
    gh_fake_stream_datagram(&w.stream, datagram, sizeof datagram);
    gh_fake_stream_datagram(&w.stream, other_context, sizeof other_context); /* RFC 9484, section 5: dropped */
    assert_int_equal(w.packets, 1);
    assert_int_equal(w.packet_len, 4);
    assert_memory_equal(w.packet, datagram + 1, 4);
    assert_int_equal(gh_agent_tunnel_send(&w.tunnel, out + 1, 3, 0), GH_DROP_NONE);
    assert_int_equal(w.stream.datagram_lens[0], 4);
    assert_memory_equal(w.stream.datagrams[0], "\x00\x45\x09\x08", 4);
    w.stream.datagram_room = 0;
    assert_int_equal(gh_agent_tunnel_send(&w.tunnel, out + 1, 3, 0), GH_DROP_QUEUE_FULL);
    assert_int_equal(gh_agent_tunnel_mtu(&w.tunnel), 1199);
    finish(&w);
}

static void a_malformed_capsule_aborts_the_stream_with_message_error(void **state)
{
    static const uint8_t bad[] = { 0x01, 7, 1, 5, 10, 100, 0, 2, 32 }; /* IP version 5 */
    struct world w;

    (void)state;
    begin(&w);
    answer(&w, 200, NULL, NULL);
    gh_fake_stream_body(&w.stream, bad, sizeof bad, false);
    assert_int_equal(w.ended, 1);
    assert_true(w.stream.reset);
    assert_int_equal(w.stream.why, GH_HTTP_MESSAGE_ERROR);
    finish(&w);
}

static void a_refusal_is_told_with_status_proxy_status_and_body(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    answer(&w, 503, "proxy-status", "gatehouse; error=proxy_internal_error");
    gh_fake_stream_body(&w.stream, "no address is free\n", 19, false);
    assert_int_equal(w.ended, 0);
    gh_fake_stream_body(&w.stream, "\x1b[31m", 5, true); /* a peer's bytes never steer a terminal */
    assert_int_equal(w.end.status, 503);
    assert_string_equal(w.end.words,
                        "the relay answered 503, Proxy-Status: gatehouse; error=proxy_internal_error: no address is free  [31m");
    finish(&w);
}

static void a_refusal_without_end_does_not_grow(void **state)
{
    char text[100];
    struct world w;

    (void)state;
    memset(text, 'x', sizeof text);
    begin(&w);
    answer(&w, 403, NULL, NULL);
    for (int i = 0; i < 20; i++)
        gh_fake_stream_body(&w.stream, text, sizeof text, false);
    assert_int_equal(w.ended, 1);
    assert_int_equal(strlen(w.end.words), GH_AGENT_WORDS - 1);
    finish(&w);
}

static void R7_the_peers_end_is_the_tunnels_end(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    answer(&w, 200, NULL, NULL);
    gh_fake_stream_body(&w.stream, NULL, 0, true);
    assert_int_equal(w.ended, 1);
    assert_true(w.stream.ended); /* ours is closed, too, and not by a reset */
    assert_false(w.stream.reset);
    finish(&w);
    begin(&w);
    gh_fake_stream_close(&w.stream, 0x10c); /* before any answer */
    assert_int_equal(w.ended, 1);
    assert_int_equal(w.end.code, 0x10c);
    finish(&w);
}

static void ending_from_an_event_waits_until_the_engine_is_done(void **state)
{
    uint8_t both[sizeof advertisement + sizeof assignment];
    struct world w;

    (void)state;
    memcpy(both, advertisement, sizeof advertisement);
    memcpy(both + sizeof advertisement, assignment, sizeof assignment);
    begin(&w);
    w.end_on_routes = true;
    answer(&w, 200, NULL, NULL);
    gh_fake_stream_body(&w.stream, both, sizeof both, false);
    assert_int_equal(w.ended, 1);
    assert_int_equal(w.stream.why, GH_HTTP_EXCESSIVE_LOAD);
    assert_string_equal(w.end.words, "too many routes");
    gh_fake_stream_body(&w.stream, assignment, sizeof assignment, false);
    gh_agent_tunnel_end(&w.tunnel, GH_HTTP_NO_ERROR, "again");
    assert_int_equal(w.ended, 1);
    finish(&w);
}

static void a_request_for_our_addresses_is_refused(void **state)
{
    static const uint8_t request[] = { 0x02, 7, 1, 4, 0, 0, 0, 0, 32 };
    static const uint8_t refusal[] = { 0x01, 7, 1, 4, 0, 0, 0, 0, 32 }; /* RFC 9484, section 4.7.2: all zero */
    struct world w;
    size_t at;

    (void)state;
    begin(&w);
    answer(&w, 200, NULL, NULL);
    at = w.stream.body_len;
    gh_fake_stream_body(&w.stream, request, sizeof request, false);
    assert_int_equal(w.stream.body_len - at, sizeof refusal);
    assert_memory_equal(w.stream.body + at, refusal, sizeof refusal);
    finish(&w);
}

/* Our direction carries no IPv6: a relay that assigns it all the same is not of our kind. */
static void without_ipv6_none_is_asked_for_nor_taken(void **state)
{
    static const uint8_t expected[] = { 0x02, 7, 1, 4, 0, 0, 0, 0, 32 };
    static const uint8_t both[] = { 0x01, 26, 1, 4, 10, 100, 0, 2, 32, 0, 6, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 128 };
    static const uint8_t routes[] = { 0x03, 44, 4, 0, 0, 0, 0, 255, 255, 255, 255, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                      255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0 };
    struct world w;

    (void)state;
    begin_with(&w, true);
    answer(&w, 200, NULL, NULL);
    assert_int_equal(w.stream.body_len, sizeof expected);
    assert_memory_equal(w.stream.body, expected, sizeof expected);
    gh_fake_stream_body(&w.stream, both, sizeof both, false);
    assert_int_equal(w.count, 1);
    assert_int_equal(w.list[0].addr.family, 4);
    gh_fake_stream_body(&w.stream, routes, sizeof routes, false);
    assert_int_equal(w.route_count, 2); /* what leads to IPv6 is the relay's all the same: whoever has no address sends it nowhere else */
    finish(&w);
    begin(&w);
    answer(&w, 200, NULL, NULL);
    gh_fake_stream_body(&w.stream, both, sizeof both, false);
    assert_int_equal(w.count, 2);
    gh_fake_stream_body(&w.stream, routes, sizeof routes, false);
    assert_int_equal(w.route_count, 2);
    finish(&w);
}

/* Type 0x27617467, in the form of ROUTE_ADVERTISEMENT, counts for the next one of these. */
static void what_the_relay_withholds_is_taken_over_with_the_next_routes(void **state)
{
    static const uint8_t withheld[] = { 0xa7, 0x61, 0x74, 0x67, 34, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0 };
    static const uint8_t malformed[] = { 0xa7, 0x61, 0x74, 0x67, 1, 6 };
    struct world w;

    (void)state;
    begin(&w);
    answer(&w, 200, NULL, NULL);
    gh_fake_stream_body(&w.stream, withheld, sizeof withheld, false);
    assert_int_equal(w.routes, 0);
    gh_fake_stream_body(&w.stream, withheld, sizeof withheld, false); /* the last one counts */
    gh_fake_stream_body(&w.stream, advertisement, sizeof advertisement, false);
    assert_int_equal(w.routes, 1);
    assert_int_equal(w.route_count, 2);
    assert_int_equal(w.route_list[0].start.family, 4);
    assert_int_equal(w.route_list[1].start.family, 6);
    gh_fake_stream_body(&w.stream, advertisement, sizeof advertisement, false);
    assert_int_equal(w.route_count, 1);
    gh_fake_stream_body(&w.stream, withheld, sizeof withheld, false); /* nothing is lost when no other list comes */
    gh_fake_stream_body(&w.stream, malformed, sizeof malformed, false);
    assert_int_equal(w.ended, 1);
    finish(&w);
}

/* Type 0x27617466: what, then words; what cannot be printed does not get into logs. */
static void the_relay_says_why_there_is_no_ipv6(void **state)
{
    static const uint8_t notice[] = { 0xa7, 0x61, 0x74, 0x66, 9, 1, 't', 'o', 'o', 27, 't', 'h', 'i', 'n' };
    static const uint8_t other[] = { 0xa7, 0x61, 0x74, 0x66, 2, 9, 'x' }, malformed[] = { 0xa7, 0x61, 0x74, 0x66, 0 };
    struct world w;

    (void)state;
    begin(&w);
    answer(&w, 200, NULL, NULL);
    gh_fake_stream_body(&w.stream, notice, sizeof notice, false);
    assert_string_equal(w.narrow, "too thin");
    gh_fake_stream_body(&w.stream, other, sizeof other, false);
    assert_string_equal(w.narrow, "too thin");
    assert_int_equal(w.ended, 0);
    gh_fake_stream_body(&w.stream, malformed, sizeof malformed, false);
    assert_int_equal(w.ended, 1);
    finish(&w);
}

static void a_token_goes_with_each_request(void **state)
{
    static const uint8_t instance[16] = { 1 };
    static const uint8_t endless[600];
    struct gh_agent_request r;
    struct gh_http_head head;

    (void)state;
    assert_int_equal(gh_agent_request_init(&r, "relay", 443, "/ip", instance), 0);
    assert_int_equal(gh_http_field_find(&r.head, "authorization").len, 0);
    /* RFC 7617, section 2 */
    assert_int_equal(gh_agent_request_set_token(&r, "Aladdin", gh_span_str("open sesame")), 0);
    for (unsigned narrow = 0; narrow < 2; narrow++) {
        head = gh_agent_request_head(&r, narrow);
        assert_true(gh_span_equals(gh_http_field_find(&head, "authorization"), gh_span_str("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")));
        assert_int_equal(gh_http_field_find(&head, "gatehouse-narrow").len > 0, narrow);
        assert_int_equal(gh_http_field_find(&head, "gatehouse-instance").len, 32);
    }
    head = gh_agent_request_head(&r, false);
    assert_int_equal(gh_http_field_find(&head, "gatehouse-narrow").len, 0);
    assert_int_equal(gh_agent_request_init(&r, "relay", 443, "/ip", instance), 0);
    assert_int_equal(gh_agent_request_set_token(&r, "u", gh_span_of(endless, sizeof endless)), GH_ERR_TOO_LONG);
}

/* Type 0x27617468: an ECHConfigList with its length (RFC 9849, section 4). */
static void the_relay_says_what_to_encrypt_to(void **state)
{
    static const uint8_t head[] = { 0xa7, 0x61, 0x74, 0x68 };
    static const struct {
        size_t said, have; /* what the list says of its length, and what there is */
        bool taken, malformed;
    } rows[] = { { 4, 4, true, false }, { 1497, 1497, true, false }, { 1498, 1498, false, false }, { 9000, 9000, false, false },
                 { 0, 0, false, true }, { 3, 3, false, true },       { 5, 4, false, true },        { 4, 5, false, true } };
    static uint8_t capsule[10000];
    struct world w;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct gh_writer to = gh_writer_of(capsule, sizeof capsule);

        begin(&w);
        answer(&w, 200, NULL, NULL);
        gh_write_bytes(&to, head, sizeof head);
        gh_write_varint(&to, 2 + rows[i].have);
        gh_write_u16(&to, (uint16_t)rows[i].said);
        to.at += rows[i].have;
        gh_fake_stream_body(&w.stream, capsule, gh_writer_len(&to), false);
        assert_int_equal(w.ech_len, rows[i].taken ? 2 + rows[i].have : 0);
        assert_int_equal(w.ended, rows[i].malformed);
        finish(&w);
    }
}

static void R1_the_request_names_everything(void **state)
{
    static const uint8_t instance[16] = { 0x00, 0x11, 0x22, 0xff };
    struct gh_agent_request r;
    struct gh_http_head head;

    (void)state;
    assert_int_equal(gh_agent_request_init(&r, "relay.gatehouse.example", 4433, "/.well-known/masque/ip/{target}/{ipproto}/", instance), 0);
    assert_true(gh_span_equals(r.head.method, gh_span_str("CONNECT")));
    assert_true(gh_span_equals(r.head.protocol, gh_span_str("connect-ip")));
    assert_true(gh_span_equals(r.head.scheme, gh_span_str("https")));
    assert_true(gh_span_equals(r.head.authority, gh_span_str("relay.gatehouse.example:4433")));
    /* RFC 9484, section 4.6: "*" stands for every target and protocol; sent as it is (RFC 9484, section 3) or as %2A */
    assert_true(gh_span_equals(r.head.path, gh_span_str("/.well-known/masque/ip/*/*/")) ||
                gh_span_equals(r.head.path, gh_span_str("/.well-known/masque/ip/%2A/%2A/")));
    assert_true(gh_span_equals(gh_http_field_find(&r.head, "capsule-protocol"), gh_span_str("?1")));
    assert_true(gh_span_equals(gh_http_field_find(&r.head, "gatehouse-instance"), gh_span_str("001122ff000000000000000000000000")));
    head = gh_agent_request_head(&r, false);
    assert_int_equal(gh_http_field_find(&head, "gatehouse-narrow").len, 0);
    head = gh_agent_request_head(&r, true);
    assert_true(gh_span_equals(gh_http_field_find(&head, "gatehouse-narrow"), gh_span_str("?1")));
    assert_int_equal(gh_agent_request_init(&r, "2001:db8::1", 443, "/ip", instance), 0);
    assert_true(gh_span_equals(r.head.authority, gh_span_str("[2001:db8::1]")));
    assert_int_equal(gh_agent_request_init(&r, "relay", 443, "https://other.example/t{?target}", instance), 0);
    assert_true(gh_span_equals(r.head.authority, gh_span_str("other.example")));
    assert_int_equal(gh_agent_request_init(&r, "relay", 443, "/{other}", instance), GH_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R5_only_2xx_opens_the_tunnel),
        cmocka_unit_test(A3_addresses_of_both_families_are_asked_for_after_2xx),
        cmocka_unit_test(an_assignment_is_the_full_list_without_refusals),
        cmocka_unit_test(routes_and_packets_reach_the_owner),
        cmocka_unit_test(a_malformed_capsule_aborts_the_stream_with_message_error),
        cmocka_unit_test(a_refusal_is_told_with_status_proxy_status_and_body),
        cmocka_unit_test(a_refusal_without_end_does_not_grow),
        cmocka_unit_test(R7_the_peers_end_is_the_tunnels_end),
        cmocka_unit_test(ending_from_an_event_waits_until_the_engine_is_done),
        cmocka_unit_test(a_request_for_our_addresses_is_refused),
        cmocka_unit_test(without_ipv6_none_is_asked_for_nor_taken),
        cmocka_unit_test(the_relay_says_why_there_is_no_ipv6),
        cmocka_unit_test(what_the_relay_withholds_is_taken_over_with_the_next_routes),
        cmocka_unit_test(a_token_goes_with_each_request),
        cmocka_unit_test(the_relay_says_what_to_encrypt_to),
        cmocka_unit_test(R1_the_request_names_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
