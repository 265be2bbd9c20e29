/* How connections begin: Retry and tokens (RFC 9000, section 8.1), and resumption (RFC 8446, section 2.2). */
#include "../unit/test.h"
#include "base/error.h"
#include "certs.h"
#include "proto/quic/internal.h"
#include "raw_peer.h"

struct world {
    struct sim sim;
    struct raw_peer client, server;
    unsigned initials; /* datagrams of the client that begin with one */
    size_t token_len;  /* of the last */
    bool lose_first;   /* the client's first datagram does not arrive */
    uint64_t bytes[2]; /* sent by client and server */
    unsigned early;    /* 0-RTT packets of the client */
};

static struct world w;

static void on_wire(void *arg, bool from_server, struct gh_span payload)
{
    struct gh_quic_initial first;

    (void)arg;
    w.bytes[from_server] += payload.len;
    w.early += !from_server && (payload.data[0] & 0xf0) == 0xd0;
    if (from_server || gh_quic_accept(payload, &first) != 1)
        return;
    w.initials++;
    w.token_len = first.token.len;
    if (w.lose_first)
        w.sim.link[0].down = w.initials == 1;
}

static bool server_done(void *arg)
{
    (void)arg;
    return w.server.handshake;
}

static void init(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    sim_init(&w.sim, seed);
    w.sim.on_wire = on_wire;
}

static void go(void)
{
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    raw_peer_wait(&w.client, SIM_S);
    assert_true(w.server.handshake);
    assert_false(w.sim.client.closed || w.sim.server.closed);
}

static void a_retry_costs_one_round_trip_and_nothing_is_kept_before(void **state)
{
    int64_t plain, began;

    (void)state;
    init(1);
    began = w.sim.now;
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    plain = w.sim.now - began;
    sim_fini(&w.sim);
    init(1);
    w.sim.retry = true;
    began = w.sim.now;
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    raw_peer_connect(&w.client);
    assert_int_equal(w.sim.now - began, plain + 10 * SIM_MS);
    assert_in_range(w.sim.retries, 1, 2); /* each datagram of a long ClientHello is answered */
    sim_fini(&w.sim);
}

static void the_token_of_a_connection_spares_the_next_one_the_retry(void **state)
{
    (void)state;
    init(2);
    w.sim.retry = true;
    go();
    assert_true(w.sim.client.token_len > 0);
    sim_forget(&w.sim);
    w.sim.retries = 0;
    go();
    assert_int_equal(w.sim.retries, 0);
    assert_int_equal(w.token_len, w.sim.client.token_len);
    sim_fini(&w.sim);
}

static void a_token_of_another_address_proves_nothing(void **state)
{
    (void)state;
    init(3);
    w.sim.retry = true;
    go();
    sim_forget(&w.sim);
    w.sim.retries = 0;
    w.sim.client.addr.ip.bytes[3] ^= 1;
    go();
    assert_true(w.sim.retries > 0);
    sim_fini(&w.sim);
}

static bool client_closed(void *arg)
{
    (void)arg;
    return w.sim.client.closed;
}

/* RFC 9000, section 8.1.3: INVALID_TOKEN. The Retry's token is late: eleven seconds on the way. */
static void an_old_retry_token_is_refused_at_once(void **state)
{
    (void)state;
    init(4);
    w.sim.retry = true;
    w.sim.client.config.handshake_timeout = 60 * SIM_S;
    w.sim.link[1].delay = 12 * SIM_S;
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    assert_int_equal(sim_open(&w.sim), 0);
    assert_true(sim_run(&w.sim, 60 * SIM_S, client_closed, NULL));
    assert_int_equal(w.sim.client.why.kind, GH_QUIC_CLOSED_PEER);
    assert_int_equal(w.sim.client.why.code, GH_QUIC_INVALID_TOKEN);
    assert_null(w.sim.server.quic);
    sim_fini(&w.sim);
}

/* What a bad token costs is an answer smaller than a third of the packet that brought it. */
static void answers_to_strangers_do_not_amplify(void **state)
{
    struct gh_quic_initial first = { .version = 1, .dcid = { 8, "12345678" }, .scid = { 8, "abcdefgh" }, .payload = 1200 };
    struct gh_quic_cid scid = { 8, "serverid" };
    uint8_t token[GH_QUIC_TOKEN_MAX], buf[1500];
    int len;

    (void)state;
    init(5);
    len = gh_quic_token_retry(&w.sim.tokens, &first, &scid, &w.sim.client.addr, 1000, token);
    assert_in_range(gh_quic_retry(&first, &scid, gh_span_of(token, (size_t)len), buf, sizeof buf), 60, 400);
    assert_in_range(gh_quic_refuse(&first, GH_QUIC_INVALID_TOKEN, buf, sizeof buf), 30, 400);
    sim_fini(&w.sim);
}

/* A ClientHello with a post-quantum key share needs two datagrams. When the second comes alone, nothing may be kept for an address that
 * nobody proved: a Retry, and the handshake goes on without a time-out. */
static void the_second_half_of_a_client_hello_is_answered_by_a_retry(void **state)
{
    int64_t began;

    (void)state;
    init(6);
    w.lose_first = true;
    began = w.sim.now;
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    assert_int_equal(sim_open(&w.sim), 0);
    assert_true(sim_run(&w.sim, SIM_S, server_done, NULL));
    assert_int_equal(w.sim.retries, 1);
    assert_in_range(w.sim.now - began, 25 * SIM_MS, 45 * SIM_MS);
    sim_fini(&w.sim);
}

/* RFC 9000, section 8: at most three times what came, until the address is proved. */
static void a_forged_address_gets_no_more_than_three_times_a_post_quantum_first_flight(void **state)
{
    uint64_t in;

    (void)state;
    init(8);
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    assert_int_equal(sim_open(&w.sim), 0);
    w.sim.link[1].down = true; /* whoever has the address does not answer */
    sim_run(&w.sim, 2 * SIM_MS, NULL, NULL);
    assert_int_equal(w.initials, 2);
    in = w.bytes[0];
    assert_in_range(in, 2400, 2 * GH_QUIC_PAYLOAD_MAX);
    w.sim.link[0].down = true;
    w.sim.server.config.handshake_timeout = 60 * SIM_S;
    sim_run(&w.sim, 30 * SIM_S, NULL, NULL);
    assert_in_range(w.bytes[1], 1200, 3 * in);
    sim_fini(&w.sim);
}

/* What each end offers, as the other gets it. */

static uint8_t offered[2][512]; /* by server, by client: as the one that reads it */
static size_t offered_len[2];

int __real_ngtcp2_conn_decode_and_set_remote_transport_params(ngtcp2_conn *conn, const uint8_t *data, size_t len);
int __wrap_ngtcp2_conn_decode_and_set_remote_transport_params(ngtcp2_conn *conn, const uint8_t *data, size_t len);

int __wrap_ngtcp2_conn_decode_and_set_remote_transport_params(ngtcp2_conn *conn, const uint8_t *data, size_t len)
{
    int at = ngtcp2_conn_is_server(conn);

    assert_true(len <= sizeof offered[at]);
    memcpy(offered[at], data, len);
    offered_len[at] = len;
    return __real_ngtcp2_conn_decode_and_set_remote_transport_params(conn, data, len);
}

/* RFC 9000, section 18.1; grease_quic_bit (0x2ab2, RFC 9287) never: the demultiplexer relies on that bit. */
static void both_ends_offer_a_reserved_parameter_and_never_to_grease_the_bit(void **state)
{
    (void)state;
    init(9);
    go();
    for (int i = 0; i < 2; i++) {
        struct gh_reader r = gh_reader_of(gh_span_of(offered[i], offered_len[i]));
        unsigned reserved = 0;

        while (gh_reader_left(&r)) {
            uint64_t id = gh_read_varint(&r);

            gh_read_span(&r, (size_t)gh_read_varint(&r));
            reserved += id >= 27 && id % 31 == 27;
            assert_int_not_equal(id, 0x2ab2);
        }
        assert_true(gh_reader_done(&r));
        assert_int_equal(reserved, 1);
    }
    sim_fini(&w.sim);
}

/* RFC 9484, section 7.2: both ends know that IPv6 fits before anything else is sent. */
static void P7_the_handshake_proves_1331_bytes_both_ways(void **state)
{
    (void)state;
    init(10);
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    assert_int_equal(sim_open(&w.sim), 0);
    sim_run(&w.sim, 0, NULL, NULL);
    assert_int_equal(w.initials, 2);
    assert_int_equal(w.bytes[0], 2 * 1331);
    assert_true(sim_run(&w.sim, SIM_S, server_done, NULL));
    assert_int_equal(gh_quic_plpmtu(w.server.q), 1331);
    assert_int_equal(gh_quic_plpmtu(w.client.q), 1331);
    sim_fini(&w.sim);
}

static void on_a_narrow_path_the_second_try_is_1200_bytes_long(void **state)
{
    int64_t began;

    (void)state;
    init(11);
    w.sim.link[0].max_payload = w.sim.link[1].max_payload = 1252; /* IPv4 over 1280 */
    began = w.sim.now;
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    assert_int_equal(sim_open(&w.sim), 0);
    assert_true(sim_run(&w.sim, 5 * SIM_S, server_done, NULL));
    assert_in_range(w.sim.now - began, 900 * SIM_MS, 1100 * SIM_MS); /* one time-out */
    sim_run(&w.sim, 5 * SIM_S, NULL, NULL);
    assert_int_equal(gh_quic_plpmtu(w.server.q), 1200);
    assert_int_equal(gh_quic_plpmtu(w.client.q), 1200);
    sim_fini(&w.sim);
}

static const uint8_t ticket_key[GH_TLS_TICKET_KEY] = "a key for tickets of 32 bytes...";

/* The server is another process now. */
static void restart_server(const uint8_t *key, const char *ca, int64_t later)
{
    struct gh_tls_config cfg = { .alpn = "h3" };
    char err[200];

    sim_forget(&w.sim);
    gh_tls_ctx_put(w.sim.server.tls);
    sim_credentials(true, &cfg);
    cfg.ca = gh_span_str(ca);
    assert_int_equal(gh_tls_ctx_create(&cfg, &w.sim.server.tls, err, sizeof err), 0);
    if (key)
        assert_int_equal(gh_tls_ctx_set_tickets(w.sim.server.tls, key), 0);
    gh_tls_ctx_set_wall(w.sim.server.tls, sim_wall(&w.sim) + later);
}

static bool resumed(void)
{
    bool at_client;

    assert_non_null(w.client.q);
    assert_non_null(w.server.q);
    at_client = gh_tls_resumed(gh_quic_tls(w.client.q));
    assert_int_equal(gh_tls_resumed(gh_quic_tls(w.server.q)), at_client);
    return at_client;
}

static void begin_with_tickets(uint64_t seed)
{
    init(seed);
    restart_server(ticket_key, SIM_CA, 0);
    go();
    assert_false(resumed());
    assert_non_null(w.sim.client.session);
}

static void a_client_resumes_and_both_ends_still_know_each_other(void **state)
{
    const struct raw_peer *ends[2] = { &w.client, &w.server };
    struct gh_cert_id before[2];

    (void)state;
    begin_with_tickets(20);
    for (int i = 0; i < 2; i++) {
        assert_true(ends[i]->has_cert);
        before[i] = ends[i]->cert;
    }
    sim_forget(&w.sim);
    go();
    assert_true(resumed());
    for (int i = 0; i < 2; i++) {
        assert_true(ends[i]->has_cert);
        assert_string_equal(ends[i]->cert.serial, before[i].serial);
        assert_memory_equal(ends[i]->cert.spki_sha256, before[i].spki_sha256, sizeof before[i].spki_sha256);
    }
    sim_fini(&w.sim);
}

static void each_connection_brings_the_ticket_of_the_next(void **state)
{
    (void)state;
    begin_with_tickets(21);
    for (int i = 0; i < 5; i++) {
        sim_forget(&w.sim);
        go();
        assert_true(resumed());
    }
    sim_fini(&w.sim);
}

static void a_server_that_was_started_again_takes_the_ticket_when_its_key_is_the_same(void **state)
{
    static const uint8_t other[GH_TLS_TICKET_KEY] = "another key...";
    static const struct {
        const uint8_t *key;
        int64_t later;
        bool resumed;
    } cases[] = {
        { ticket_key, 0, true },
        { ticket_key, 86400, true }, /* yesterday's key */
        { ticket_key, 2 * 86400, false },
        { other, 0, false },
        { NULL, 0, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin_with_tickets(22 + i);
        restart_server(cases[i].key, SIM_CA, cases[i].later);
        go();
        assert_int_equal(resumed(), cases[i].resumed);
        sim_fini(&w.sim);
    }
}

/* What a full handshake would refuse is not believed because it once was: the CA that vouched is gone from the configuration. */
static void a_ticket_of_a_client_that_nobody_vouches_for_now_is_not_taken(void **state)
{
    (void)state;
    begin_with_tickets(30);
    restart_server(ticket_key, SIM_RELAY_CRT, 0);
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    assert_int_equal(sim_open(&w.sim), 0);
    assert_true(sim_run(&w.sim, 5 * SIM_S, client_closed, NULL));
    assert_false(w.server.handshake);
    assert_true(w.sim.client.why.code >= 0x100 && w.sim.client.why.code < 0x200); /* an alert of TLS */
    sim_fini(&w.sim);
}

/* DESIGN 4, decision 8. */
static void what_a_server_needs_for_its_handshake_goes_with_it(void **state)
{
    struct gh_tls *tls;
    struct gh_cert *cert;
    uint8_t byte = 0;

    (void)state;
    begin_with_tickets(30);
    tls = gh_quic_tls(w.server.q);
    assert_true(w.server.has_cert); /* the application was shown it */
    assert_int_equal(gh_tls_peer_certificate(tls, &cert), GH_ERR_NOT_FOUND);
    assert_string_equal(gh_tls_group(tls), gh_tls_group(gh_quic_tls(w.client.q)));
    assert_string_equal(gh_tls_cipher(tls), gh_tls_cipher(gh_quic_tls(w.client.q)));
    assert_string_equal(gh_tls_verify_error(tls), "");
    /* RFC 9001, section 6: no KeyUpdate; and nothing else is for a server to read then */
    assert_int_equal(gh_tls_feed(tls, GH_TLS_APPLICATION, gh_span_of(&byte, 1)), GH_ERR_CRYPTO);
    sim_fini(&w.sim);
}

static void no_early_data_is_offered_when_resuming(void **state)
{
    (void)state;
    begin_with_tickets(31);
    sim_forget(&w.sim);
    go();
    assert_true(resumed());
    assert_int_equal(w.early, 0);
    sim_fini(&w.sim);
}

/* As long as a stateless reset, of somebody who has other keys (RFC 9000, section 10.3). */
static void inject_junk(void)
{
    uint8_t junk[43];

    for (size_t i = 0; i < sizeof junk; i++)
        junk[i] = (uint8_t)sim_random(&w.sim);
    junk[0] = (uint8_t)(0x40 | (junk[0] & 0x3f));
    sim_inject(&w.sim, true, gh_span_of(junk, sizeof junk));
}

static void what_has_no_keys_is_no_sign_of_life(void **state)
{
    const struct gh_quic_counters *c;
    uint64_t heard, sent;

    (void)state;
    init(21);
    go();
    c = gh_quic_counters(w.client.q);
    heard = c->heard;
    assert_in_range(heard, 1, c->packets_in);
    w.sim.link[0].down = w.sim.link[1].down = true;
    for (int i = 0; i < 10; i++) { /* each one seems to be an answer */
        sent = c->packets_out;
        gh_quic_probe(w.client.q);
        w.sim.link[1].down = false;
        inject_junk();
        w.sim.link[1].down = true;
        (void)sim_run(&w.sim, SIM_S, NULL, NULL);
        assert_true(c->packets_out > sent);
    }
    assert_true(c->packets_in >= heard + 10);
    assert_int_equal(c->heard, heard);
    w.sim.link[0].down = w.sim.link[1].down = false;
    gh_quic_probe(w.client.q);
    (void)sim_run(&w.sim, 5 * SIM_S, NULL, NULL);
    assert_true(c->heard > heard);
    sim_fini(&w.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_retry_costs_one_round_trip_and_nothing_is_kept_before),
        cmocka_unit_test(the_token_of_a_connection_spares_the_next_one_the_retry),
        cmocka_unit_test(a_token_of_another_address_proves_nothing),
        cmocka_unit_test(an_old_retry_token_is_refused_at_once),
        cmocka_unit_test(answers_to_strangers_do_not_amplify),
        cmocka_unit_test(the_second_half_of_a_client_hello_is_answered_by_a_retry),
        cmocka_unit_test(a_forged_address_gets_no_more_than_three_times_a_post_quantum_first_flight),
        cmocka_unit_test(both_ends_offer_a_reserved_parameter_and_never_to_grease_the_bit),
        cmocka_unit_test(P7_the_handshake_proves_1331_bytes_both_ways),
        cmocka_unit_test(on_a_narrow_path_the_second_try_is_1200_bytes_long),
        cmocka_unit_test(a_client_resumes_and_both_ends_still_know_each_other),
        cmocka_unit_test(each_connection_brings_the_ticket_of_the_next),
        cmocka_unit_test(a_server_that_was_started_again_takes_the_ticket_when_its_key_is_the_same),
        cmocka_unit_test(a_ticket_of_a_client_that_nobody_vouches_for_now_is_not_taken),
        cmocka_unit_test(what_a_server_needs_for_its_handshake_goes_with_it),
        cmocka_unit_test(no_early_data_is_offered_when_resuming),
        cmocka_unit_test(what_has_no_keys_is_no_sign_of_life),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
