/* HTTP/3 with extended CONNECT and datagrams between our two engines, over a network that loses, reorders and duplicates. */
#include <inttypes.h>

#include "../unit/test.h"
#include "base/error.h"
#include "sim.h"

#define DATAGRAMS 400

struct world {
    struct sim sim;
    struct gh_h3_stream *client_stream, *server_stream;
    unsigned status, client_got, server_got, settings;
    size_t body_client, body_server;
    uint8_t seen[DATAGRAMS];
    bool client_end, server_end, refuse_datagrams;
    unsigned closed_client, closed_server, goaways;
    uint64_t code_client, code_server;
    bool answered;
};

static struct gh_span text(const char *s)
{
    return gh_span_str(s);
}

static void handshake(void *arg)
{
    (void)arg;
}

static void client_settings(void *arg)
{
    struct world *w = arg;
    static const struct gh_http_field fields[] = { { { (const uint8_t *)"capsule-protocol", 16 }, { (const uint8_t *)"?1", 2 } } };
    struct gh_http_head head = { text("CONNECT"), text("https"), text("relay"), text("/.well-known/masque/ip/*/*/"), text("connect-ip"), 0, fields, 1 };

    w->settings++;
    assert_true(gh_h3_peer_connect(w->sim.client.h3));
    assert_true(gh_h3_peer_datagrams(w->sim.client.h3));
    assert_int_equal(gh_h3_request(w->sim.client.h3, &head, false, &w->client_stream), 0);
}

static void server_settings(void *arg)
{
    (void)arg;
}

static void server_request(void *arg, struct gh_h3_stream *s, const struct gh_http_head *head)
{
    struct world *w = arg;

    assert_true(gh_span_equals(head->protocol, text("connect-ip")));
    assert_true(gh_span_equals(head->method, text("CONNECT")));
    assert_int_equal(head->field_count, 1);
    w->server_stream = s;
    assert_int_equal(gh_h3_respond(s, 200, head->fields, 1, false), 0);
    assert_int_equal(gh_h3_send(s, text("hello agent"), false), 0);
}

static void client_answer(void *arg, struct gh_h3_stream *s, const struct gh_http_head *head)
{
    struct world *w = arg;

    w->status = head->status;
    assert_int_equal(gh_h3_send(s, text("hello relay"), false), 0);
}

static void client_body(void *arg, struct gh_h3_stream *s, struct gh_span data, bool end)
{
    struct world *w = arg;

    (void)s;
    w->body_client += data.len;
    w->client_end |= end;
}

static void server_body(void *arg, struct gh_h3_stream *s, struct gh_span data, bool end)
{
    struct world *w = arg;

    (void)s;
    w->body_server += data.len;
    w->server_end |= end;
}

static bool client_datagram(void *arg, struct gh_h3_stream *s, struct gh_span payload)
{
    struct world *w = arg;

    (void)s;
    (void)payload;
    w->client_got++;
    return true;
}

static bool server_datagram(void *arg, struct gh_h3_stream *s, struct gh_span payload)
{
    struct world *w = arg;
    struct gh_reader r = gh_reader_of(payload);
    unsigned number = gh_read_u16(&r);

    if (w->refuse_datagrams)
        return false;
    assert_true(number < DATAGRAMS);
    assert_int_equal(w->seen[number], 0); /* a duplicate on the wire is none above */
    w->seen[number] = 1;
    w->server_got++;
    gh_h3_send_datagram(s, payload, 0, w->sim.now);
    return true;
}

static void ignore_writable(void *arg, struct gh_h3_stream *s)
{
    (void)arg;
    (void)s;
}

static void client_closed(void *arg, struct gh_h3_stream *s, uint64_t code)
{
    struct world *w = arg;

    (void)s;
    w->closed_client++;
    w->code_client = code;
    w->client_stream = NULL;
}

static void server_closed(void *arg, struct gh_h3_stream *s, uint64_t code)
{
    struct world *w = arg;

    (void)s;
    w->closed_server++;
    w->code_server = code;
    w->server_stream = NULL;
}

static void client_goaway(void *arg)
{
    ((struct world *)arg)->goaways++;
}

static const struct gh_h3_events client_events = { handshake, client_settings, NULL, client_answer, client_body, client_datagram, ignore_writable, client_closed, client_goaway };
static const struct gh_h3_events server_events = { handshake, server_settings, server_request, NULL, server_body, server_datagram, ignore_writable, server_closed, handshake };

static void start(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    sim_init(&w->sim, seed);
    sim_connect(&w->sim, &client_events, w, &server_events, w);
}

static bool is_open(void *arg)
{
    struct world *w = arg;

    return w->status == 200 && w->body_server == 11 && w->body_client == 11;
}

static bool has_all_datagrams(void *arg)
{
    struct world *w = arg;

    return w->client_got == DATAGRAMS;
}

static void send_numbered(struct world *w, unsigned from, unsigned to, size_t size)
{
    uint8_t buf[1300] = { 0 };

    for (unsigned i = from; i < to; i++) {
        buf[0] = (uint8_t)(i >> 8);
        buf[1] = (uint8_t)i;
        assert_int_equal(gh_h3_send_datagram(w->client_stream, gh_span_of(buf, size), 0, w->sim.now), 0);
    }
}

static void request_capsules_and_datagrams_cross(void **state)
{
    static struct world w;

    (void)state;
    start(&w, 1);
    assert_true(sim_run(&w.sim, 5 * SIM_S, is_open, &w));
    assert_string_equal(gh_tls_group(gh_quic_tls(w.sim.client.quic)), "X25519MLKEM768");
    assert_string_equal(gh_tls_cipher(gh_quic_tls(w.sim.client.quic)), "TLS_AES_128_GCM_SHA256");
    send_numbered(&w, 0, DATAGRAMS, 600);
    assert_true(sim_run(&w.sim, 5 * SIM_S, has_all_datagrams, &w));
    sim_fini(&w.sim);
}

static void path_mtu_grows_to_what_the_link_carries(void **state)
{
    static struct world w;

    (void)state;
    start(&w, 2);
    w.sim.link[0].max_payload = w.sim.link[1].max_payload = 1410;
    assert_true(sim_run(&w.sim, 5 * SIM_S, is_open, &w));
    sim_run(&w.sim, 10 * SIM_S, NULL, NULL);
    assert_int_equal(gh_quic_plpmtu(w.sim.client.quic), 1400);
    sim_fini(&w.sim);
}

static uint64_t lossy_run(uint64_t seed)
{
    static struct world w;
    uint64_t hash;

    start(&w, seed);
    for (int i = 0; i < 2; i++) {
        w.sim.link[i].loss = 0.1;
        w.sim.link[i].duplicate = 0.05;
        w.sim.link[i].reorder = 0.1;
    }
    assert_true(sim_run(&w.sim, 30 * SIM_S, is_open, &w));
    send_numbered(&w, 0, DATAGRAMS, 600);
    sim_run(&w.sim, 5 * SIM_S, NULL, NULL);
    assert_in_range(w.server_got, DATAGRAMS / 2, DATAGRAMS - 1);
    assert_false(w.sim.client.closed || w.sim.server.closed);
    hash = w.sim.trace;
    sim_fini(&w.sim);
    return hash;
}

static void same_seed_same_trace(void **state)
{
    uint64_t a = lossy_run(7), b = lossy_run(7), c = lossy_run(8);

    (void)state;
    print_message("seed 7: trace %016" PRIx64 "\n", a);
    assert_true(a == b);
    assert_true(a != c);
}

/* Q4: never more than the peer's value. */
static void Q4_datagram_beyond_the_packet_is_refused(void **state)
{
    static struct world w;
    uint8_t big[2000] = { 0 };

    (void)state;
    start(&w, 3);
    assert_true(sim_run(&w.sim, 5 * SIM_S, is_open, &w));
    assert_int_equal(gh_h3_send_datagram(w.client_stream, gh_span_of(big, gh_h3_datagram_max(w.client_stream) + 1), 0, w.sim.now), GH_ERR_TOO_LONG);
    assert_int_equal(gh_h3_send_datagram(w.client_stream, gh_span_of(big, gh_h3_datagram_max(w.client_stream)), 0, w.sim.now), 0);
    sim_fini(&w.sim);
}

static bool server_stream_gone(void *arg)
{
    struct world *w = arg;

    return w->closed_server && w->closed_client;
}

/* D1: datagrams for a request that knows none abort it with H3_DATAGRAM_ERROR. */
static void D1_datagram_for_a_request_without_them_aborts_the_stream(void **state)
{
    static struct world w;

    (void)state;
    start(&w, 4);
    w.refuse_datagrams = true;
    assert_true(sim_run(&w.sim, 5 * SIM_S, is_open, &w));
    send_numbered(&w, 0, 1, 10);
    assert_true(sim_run(&w.sim, 5 * SIM_S, server_stream_gone, &w));
    assert_int_equal(w.code_client, GH_H3_DATAGRAM_ERROR);
    assert_false(w.sim.client.closed);
    sim_fini(&w.sim);
}

static bool client_is_closed(void *arg)
{
    return ((struct world *)arg)->sim.client.closed;
}

static void raw_datagram_closes_with(const uint8_t *bytes, size_t len, uint64_t code)
{
    static struct world w;

    start(&w, 5);
    assert_true(sim_run(&w.sim, 5 * SIM_S, is_open, &w));
    assert_int_equal(gh_quic_send_datagram(w.sim.client.quic, gh_span_of(bytes, len), gh_span_of(NULL, 0), 0, w.sim.now), 0);
    assert_true(sim_run(&w.sim, 5 * SIM_S, client_is_closed, &w));
    assert_int_equal(w.sim.client.why.kind, GH_QUIC_CLOSED_PEER);
    assert_true(w.sim.client.why.application);
    assert_int_equal(w.sim.client.why.code, code);
    sim_fini(&w.sim);
}

static void D2_datagram_too_short_or_beyond_2_60_closes_the_connection(void **state)
{
    static const uint8_t shorter[] = { 0x40 }, beyond[] = { 0xd0, 0, 0, 0, 0, 0, 0, 0 };

    (void)state;
    raw_datagram_closes_with(shorter, sizeof shorter, GH_H3_DATAGRAM_ERROR);
    raw_datagram_closes_with(beyond, sizeof beyond, GH_H3_DATAGRAM_ERROR);
}

static void D4_datagram_beyond_the_stream_limit_is_an_id_error(void **state)
{
    static const uint8_t id[] = { 0x7f, 0xff, 0 };

    (void)state;
    raw_datagram_closes_with(id, sizeof id, GH_H3_ID_ERROR);
}

static void D4_datagram_of_a_possible_stream_is_dropped(void **state)
{
    static const uint8_t id[] = { 3, 0, 0x45 };
    static struct world w;

    (void)state;
    start(&w, 6);
    assert_true(sim_run(&w.sim, 5 * SIM_S, is_open, &w));
    assert_int_equal(gh_quic_send_datagram(w.sim.client.quic, gh_span_of(id, sizeof id), gh_span_of(NULL, 0), 0, w.sim.now), 0);
    sim_run(&w.sim, SIM_S, NULL, NULL);
    assert_int_equal(gh_h3_counters(w.sim.server.h3)->datagrams_unknown_stream, 1);
    assert_false(w.sim.client.closed);
    sim_fini(&w.sim);
}

static bool server_has_60k(void *arg)
{
    return ((struct world *)arg)->body_server == 11 + 60000;
}

/* The stream's window is wide: only the connection's has to open again and again. */
static void a_stream_goes_on_when_the_connection_window_opens(void **state)
{
    static const uint8_t bytes[60000];
    static struct world w;

    (void)state;
    memset(&w, 0, sizeof w);
    sim_init(&w.sim, 10);
    w.sim.server.config.max_data = 4096;
    sim_connect(&w.sim, &client_events, &w, &server_events, &w);
    assert_true(sim_run(&w.sim, 5 * SIM_S, is_open, &w));
    assert_int_equal(gh_h3_send(w.client_stream, gh_span_of(bytes, sizeof bytes), false), 0);
    assert_true(sim_run(&w.sim, 20 * SIM_S, server_has_60k, &w));
    sim_fini(&w.sim);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void a_held_stream_stops_the_peer_until_its_bytes_are_taken(void **state)
{
    static const uint8_t bytes[60000];
    static struct world w;
    size_t stopped;

    (void)state;
    memset(&w, 0, sizeof w);
    sim_init(&w.sim, 12);
    w.sim.server.config.max_stream_data = 8192;
    sim_connect(&w.sim, &client_events, &w, &server_events, &w);
    assert_true(sim_run(&w.sim, 5 * SIM_S, is_open, &w));
    gh_h3_hold(w.server_stream);
    assert_int_equal(gh_h3_send(w.client_stream, gh_span_of(bytes, sizeof bytes), false), 0);
    sim_run(&w.sim, 3 * SIM_S, never, &w);
    stopped = w.body_server;
    assert_in_range(stopped, 11 + 7000, 11 + 8192 + 1024); /* 11 were taken before, and so were the frames' heads */
    for (int i = 0; i < 20 && !server_has_60k(&w); i++) {
        gh_h3_consume(w.server_stream, 8192);
        sim_run(&w.sim, SIM_S, server_has_60k, &w);
        assert_in_range(w.body_server, stopped + 1, stopped + 8192 + 64);
        stopped = w.body_server;
    }
    assert_true(server_has_60k(&w));
    sim_fini(&w.sim);
}

static void a_connection_that_is_widened_takes_more_than_was_taken(void **state)
{
    static const uint8_t bytes[60000];
    static struct world w;

    (void)state;
    memset(&w, 0, sizeof w);
    sim_init(&w.sim, 13);
    w.sim.server.config.max_data = 8192;
    sim_connect(&w.sim, &client_events, &w, &server_events, &w);
    assert_true(sim_run(&w.sim, 5 * SIM_S, is_open, &w));
    gh_h3_hold(w.server_stream);
    assert_int_equal(gh_h3_send(w.client_stream, gh_span_of(bytes, sizeof bytes), false), 0);
    sim_run(&w.sim, 3 * SIM_S, never, &w);
    assert_in_range(w.body_server, 1, 11 + 8192 + 1024);
    gh_quic_widen(w.sim.server.quic, 1u << 20);
    assert_true(sim_run(&w.sim, 5 * SIM_S, server_has_60k, &w)); /* the stream's own credit is 256 KiB */
    sim_fini(&w.sim);
}

static bool ended_both(void *arg)
{
    struct world *w = arg;

    return w->client_end && w->server_end && w->closed_client && w->closed_server;
}

static void ending_both_directions_closes_the_stream_without_error(void **state)
{
    static struct world w;

    (void)state;
    start(&w, 9);
    assert_true(sim_run(&w.sim, 5 * SIM_S, is_open, &w));
    assert_int_equal(gh_h3_send(w.client_stream, gh_span_of(NULL, 0), true), 0);
    assert_int_equal(gh_h3_send(w.server_stream, gh_span_of(NULL, 0), true), 0);
    assert_true(sim_run(&w.sim, 5 * SIM_S, ended_both, &w));
    assert_int_equal(w.code_client | w.code_server, 0);
    sim_fini(&w.sim);
}

static bool has_server(void *arg)
{
    struct world *w = arg;

    return w->sim.server.quic != NULL;
}

static bool has_goaway(void *arg)
{
    struct world *w = arg;

    return w->goaways > 0 || w->sim.client.closed || w->sim.server.closed;
}

/* The library asserts that its control stream is open. */
static void a_goaway_asked_for_in_the_handshake_is_said_after_it(void **state)
{
    static struct world w;

    (void)state;
    start(&w, 10);
    assert_true(sim_run(&w.sim, SIM_S, has_server, &w));
    assert_false(gh_quic_handshake_complete(w.sim.server.quic));
    assert_int_equal(gh_h3_drain(w.sim.client.h3), 0);
    sim_run(&w.sim, SIM_S, has_goaway, &w);
    assert_false(w.sim.client.closed || w.sim.server.closed);
    assert_int_equal(w.settings, 1);
    sim_fini(&w.sim);

    start(&w, 11);
    gh_h3_drain(w.sim.client.h3);
    assert_true(sim_run(&w.sim, SIM_S, has_server, &w));
    assert_int_equal(gh_h3_drain(w.sim.server.h3), 0);
    assert_true(sim_run(&w.sim, SIM_S, has_goaway, &w));
    assert_int_equal(w.goaways, 1);
    assert_false(w.sim.client.closed || w.sim.server.closed);
    sim_fini(&w.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_capsules_and_datagrams_cross),
        cmocka_unit_test(path_mtu_grows_to_what_the_link_carries),
        cmocka_unit_test(same_seed_same_trace),
        cmocka_unit_test(Q4_datagram_beyond_the_packet_is_refused),
        cmocka_unit_test(D1_datagram_for_a_request_without_them_aborts_the_stream),
        cmocka_unit_test(D2_datagram_too_short_or_beyond_2_60_closes_the_connection),
        cmocka_unit_test(D4_datagram_beyond_the_stream_limit_is_an_id_error),
        cmocka_unit_test(D4_datagram_of_a_possible_stream_is_dropped),
        cmocka_unit_test(a_stream_goes_on_when_the_connection_window_opens),
        cmocka_unit_test(a_held_stream_stops_the_peer_until_its_bytes_are_taken),
        cmocka_unit_test(a_connection_that_is_widened_takes_more_than_was_taken),
        cmocka_unit_test(ending_both_directions_closes_the_stream_without_error),
        cmocka_unit_test(a_goaway_asked_for_in_the_handshake_is_said_after_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
