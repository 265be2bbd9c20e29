/* What TLS and QUIC libraries are known to trip over, each trap with a test: the table of docs/internals/quic.md. */
#include <openssl/ssl.h>

#include "../unit/test.h"
#include "crypto/tls_internal.h"
#include "proto/quic/internal.h"
#include "raw_peer.h"

#define TRANSPORT_PARAMETER_ERROR 0x08 /* RFC 9000, section 20.1 */
#define UNEXPECTED_MESSAGE 0x10a

struct world {
    struct sim sim;
    struct raw_peer client, server;
    struct gh_span more; /* what follows the ClientHello at its level */
    struct gh_quic_cid server_id;
};

static struct world w;

int __real_ngtcp2_conn_submit_crypto_data(ngtcp2_conn *conn, ngtcp2_encryption_level level, const uint8_t *data, size_t len);
int __wrap_ngtcp2_conn_submit_crypto_data(ngtcp2_conn *conn, ngtcp2_encryption_level level, const uint8_t *data, size_t len);

int __wrap_ngtcp2_conn_submit_crypto_data(ngtcp2_conn *conn, ngtcp2_encryption_level level, const uint8_t *data, size_t len)
{
    int rc = __real_ngtcp2_conn_submit_crypto_data(conn, level, data, len);

    if (rc == 0 && w.more.len && level == NGTCP2_ENCRYPTION_LEVEL_INITIAL && !ngtcp2_conn_is_server(conn))
        rc = __real_ngtcp2_conn_submit_crypto_data(conn, level, w.more.data, w.more.len);
    return rc;
}

static void on_wire(void *arg, bool from_server, struct gh_span payload)
{
    struct gh_quic_cid cid;
    bool has_long;

    (void)arg;
    if (!from_server && gh_quic_peek_dcid(payload, &cid, &has_long) == 0 && !has_long)
        w.server_id = cid;
}

static void init(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    raw_peers_init(&w.sim, seed, &w.client, &w.server);
    w.sim.on_wire = on_wire;
}

/* Both ends get what the other sends. */
static void assert_talk(unsigned count)
{
    static const uint8_t payload[500];
    unsigned before[2] = { w.server.datagrams, w.client.datagrams };

    for (unsigned i = 0; i < count; i++) {
        assert_false(w.sim.client.closed || w.sim.server.closed);
        gh_quic_send_datagram(w.client.q, gh_span_of(payload, 0), gh_span_of(payload, sizeof payload), 0, w.sim.now);
        gh_quic_send_datagram(w.server.q, gh_span_of(payload, 0), gh_span_of(payload, sizeof payload), 0, w.sim.now);
        raw_peer_wait(&w.client, 10 * SIM_MS);
    }
    raw_peer_wait(&w.client, SIM_S);
    assert_false(w.sim.client.closed || w.sim.server.closed);
    assert_int_equal(w.server.datagrams, before[0] + count);
    assert_int_equal(w.client.datagrams, before[1] + count);
}

/* The server is told the same parameters by the second ClientHello. P-521 is a key share that ours has no use for. */
static void trap_a_hello_retry_request_repeats_the_parameters(void **state)
{
    (void)state;
    init(1);
    assert_int_equal(SSL_CTX_set1_groups_list(w.sim.client.tls->ssl, "P-521:P-256"), 1);
    raw_peers_connect(&w.client, &w.server, SIM_S);
    assert_string_equal(gh_tls_group(gh_quic_tls(w.client.q)), "secp256r1");
    assert_talk(5);
    sim_fini(&w.sim);
}

/* Secrets come without the cipher that they are for; keys are changed twice with each. */
static void trap_every_cipher_seals_opens_and_changes_keys(void **state)
{
    static const char *const ciphers[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256" };

    (void)state;
    for (size_t i = 0; i < sizeof ciphers / sizeof *ciphers; i++) {
        init(2);
        w.sim.client.config.key_update_packets = 20;
        assert_int_equal(SSL_CTX_set_ciphersuites(w.sim.client.tls->ssl, ciphers[i]), 1);
        raw_peers_connect(&w.client, &w.server, SIM_S);
        assert_string_equal(gh_tls_cipher(gh_quic_tls(w.client.q)), ciphers[i]);
        assert_talk(100);
        assert_true(gh_quic_counters(w.client.q)->key_updates >= 2);
        sim_fini(&w.sim);
    }
}

/* libssl looks into a session that is not there yet. */
static void trap_nothing_is_known_of_a_handshake_that_only_began(void **state)
{
    (void)state;
    init(3);
    assert_int_equal(sim_open(&w.sim), 0);
    assert_string_equal(gh_tls_group(gh_quic_tls(w.client.q)), "");
    assert_string_equal(gh_tls_cipher(gh_quic_tls(w.client.q)), "");
    sim_fini(&w.sim);
}

/* RFC 9001, section 4.1.3: bytes left over when keys change. Earlier versions of libssl did not mind. */
static void trap_bytes_behind_the_client_hello_are_a_violation(void **state)
{
    static const uint8_t whole[] = { 8, 0, 0, 2, 0, 0 }, part[] = { 8 };
    const struct gh_span more[] = { gh_span_of(whole, sizeof whole), gh_span_of(part, sizeof part) };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        init(4);
        w.more = more[i];
        assert_int_equal(sim_open(&w.sim), 0);
        assert_true(raw_peer_run(&w.client, raw_is_closed, &w.client));
        assert_int_equal(w.sim.client.why.kind, GH_QUIC_CLOSED_PEER);
        assert_int_equal(w.sim.client.why.code, UNEXPECTED_MESSAGE);
        assert_false(w.server.handshake);
        sim_fini(&w.sim);
    }
}

/* Short packets that have no room for a tag, or for nothing but one. */
static void trap_a_packet_without_text_or_tag_is_dropped(void **state)
{
    uint8_t packet[80] = { 0x40 };

    (void)state;
    init(5);
    raw_peers_connect(&w.client, &w.server, SIM_S);
    assert_talk(1);
    assert_int_equal(w.server_id.len, GH_QUIC_CID_LEN);
    memcpy(packet + 1, w.server_id.data, GH_QUIC_CID_LEN);
    for (size_t len = 1; len <= sizeof packet; len++)
        sim_inject(&w.sim, false, gh_span_of(packet, len));
    assert_talk(5);
    sim_fini(&w.sim);
}

static void migrate(uint16_t port, bool at_once)
{
    struct gh_quic_sockaddr sa[2];
    ngtcp2_path path = { { &sa[0].any, 0 }, { &sa[1].any, 0 }, NULL };
    int rc;

    w.sim.client.addr.port = port;
    w.sim.client.nat.port = 0;
    gh_quic_sockaddr_of(&w.sim.client.addr, &sa[0]);
    gh_quic_sockaddr_of(&w.sim.server.addr, &sa[1]);
    path.local.addrlen = sa[0].len;
    path.remote.addrlen = sa[1].len;
    rc = at_once ? ngtcp2_conn_initiate_immediate_migration(w.client.q->conn, &path, (uint64_t)w.sim.now)
                 : ngtcp2_conn_initiate_migration(w.client.q->conn, &path, (uint64_t)w.sim.now);
    assert_int_equal(rc, 0);
}

static void rebind(uint16_t port)
{
    w.sim.client.nat = (struct gh_quic_addr){ gh_ip_v4("\xcb\x00\x71\x07"), port };
}

static const int64_t delays[] = { SIM_MS / 10, 5 * SIM_MS, 50 * SIM_MS };
static const int64_t pauses[] = { 0, 5, 20, 50, 100, 200, 300, 500, 1000, 3000 };

static void talk_for(int64_t time)
{
    static const uint8_t payload[500];

    for (int64_t t = 0; t < time; t += 5) {
        assert_false(w.sim.client.closed || w.sim.server.closed);
        gh_quic_send_datagram(w.client.q, gh_span_of(payload, 0), gh_span_of(payload, sizeof payload), 0, w.sim.now);
        gh_quic_send_datagram(w.server.q, gh_span_of(payload, 0), gh_span_of(payload, sizeof payload), 0, w.sim.now);
        raw_peer_wait(&w.client, 5 * SIM_MS);
    }
}

/* What waited is through. */
static void settle(void)
{
    talk_for(1000);
    raw_peer_wait(&w.client, 5 * SIM_S);
}

/* The library counts ids of paths that are still being validated, and ended such connections with CONNECTION_ID_LIMIT_ERROR. */
static void trap_a_rebinding_and_a_migration_close_together(void **state)
{
    (void)state;
    for (size_t d = 0; d < sizeof delays / sizeof *delays; d++)
        for (int at_once = 0; at_once < 2; at_once++)
            for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++)
                for (uint16_t rebindings = 1; rebindings <= 3; rebindings++) {
                    init(6 + i);
                    w.sim.link[0].delay = w.sim.link[1].delay = delays[d];
                    raw_peers_connect(&w.client, &w.server, SIM_S);
                    talk_for(100);
                    for (uint16_t n = 0; n < rebindings; n++) {
                        rebind((uint16_t)(50000 + n));
                        talk_for(pauses[i]);
                    }
                    migrate(40001, at_once);
                    settle();
                    assert_talk(20);
                    assert_int_equal(gh_quic_current_path(w.server.q).remote.port, 40001);
                    sim_fini(&w.sim);
                }
}

/* 1ffa646c, 45a0ea89: there and back again, before and after the new path was found good. */
static void trap_a_path_that_comes_back(void **state)
{
    (void)state;
    for (int loss = 0; loss < 2; loss++)
        for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++)
            for (uint64_t seed = 1; seed <= 3; seed++) {
                init(seed);
                raw_peers_connect(&w.client, &w.server, SIM_S);
                talk_for(100);
                w.sim.link[0].loss = w.sim.link[1].loss = loss ? 0.1 : 0;
                for (int n = 0; n < 4; n++) {
                    rebind(50000);
                    talk_for(pauses[i]);
                    w.sim.client.nat.port = 0;
                    talk_for(pauses[i]);
                }
                w.sim.link[0].loss = w.sim.link[1].loss = 0;
                settle();
                assert_talk(20);
                assert_int_equal(gh_quic_current_path(w.server.q).remote.port, 40000);
                sim_fini(&w.sim);
            }
}

static void trap_many_rebindings_in_a_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        init(7);
        raw_peers_connect(&w.client, &w.server, SIM_S);
        talk_for(100);
        for (uint16_t n = 0; n < 30; n++) {
            rebind((uint16_t)(50000 + n));
            talk_for(pauses[i]);
        }
        settle();
        assert_talk(20);
        sim_fini(&w.sim);
    }
}

int __real_ngtcp2_conn_decode_and_set_remote_transport_params(ngtcp2_conn *conn, const uint8_t *data, size_t len);
int __wrap_ngtcp2_conn_decode_and_set_remote_transport_params(ngtcp2_conn *conn, const uint8_t *data, size_t len);

/* The idle time-out that the library was given, as it understands it: nanoseconds. */
static uint64_t understood;

int __wrap_ngtcp2_conn_decode_and_set_remote_transport_params(ngtcp2_conn *conn, const uint8_t *data, size_t len)
{
    int rc = __real_ngtcp2_conn_decode_and_set_remote_transport_params(conn, data, len);

    if (rc == 0 && ngtcp2_conn_is_server(conn))
        understood = ngtcp2_conn_get_remote_transport_params(conn)->max_idle_timeout;
    return rc;
}

/* TLS's side of a client that says what the test wants. */
static const uint8_t *wanted;
static size_t wanted_len;

int __real_SSL_set_quic_tls_transport_params(SSL *ssl, const unsigned char *params, size_t len);
int __wrap_SSL_set_quic_tls_transport_params(SSL *ssl, const unsigned char *params, size_t len);

/* Leaves out what the client says of <wanted>'s first parameter, and says that. */
int __wrap_SSL_set_quic_tls_transport_params(SSL *ssl, const unsigned char *params, size_t len)
{
    static uint8_t buf[600];
    struct gh_writer out = gh_writer_of(buf, sizeof buf);
    struct gh_reader in = gh_reader_of(gh_span_of(params, len)), mine = gh_reader_of(gh_span_of(wanted, wanted_len));
    uint64_t id = wanted_len ? gh_read_varint(&mine) : 0;

    if (SSL_is_server(ssl) || wanted_len == 0)
        return __real_SSL_set_quic_tls_transport_params(ssl, params, len);
    while (gh_reader_left(&in)) {
        uint64_t other = gh_read_varint(&in);
        struct gh_span value = gh_read_span(&in, (size_t)gh_read_varint(&in));

        if (other == id)
            continue;
        gh_write_varint(&out, other);
        gh_write_varint(&out, value.len);
        gh_write_bytes(&out, value.data, value.len);
    }
    gh_write_bytes(&out, wanted, wanted_len);
    assert_true(gh_reader_done(&in) && !out.failed);
    return __real_SSL_set_quic_tls_transport_params(ssl, buf, gh_writer_len(&out));
}

static void say(const uint8_t *param, size_t len)
{
    wanted = param;
    wanted_len = len;
}

/* 70d26ba3: milliseconds that are no number of nanoseconds. 18446744073710 of them are 448 microseconds to the version here. */
static void trap_70d26ba3_a_long_idle_time_out_is_no_short_one(void **state)
{
    static const uint8_t values[][10] = {
        { 0x01, 8, 0xc0, 0x00, 0x10, 0xc6, 0xf7, 0xa0, 0xb5, 0xee },
        { 0x01, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
        { 0x01, 8, 0xc0, 0x00, 0x21, 0x8d, 0xef, 0x41, 0x6b, 0xdc },
    };

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        init(8);
        w.sim.client.config.keep_alive = w.sim.server.config.keep_alive = 0;
        say(values[i], sizeof values[i]);
        raw_peers_connect(&w.client, &w.server, 20 * SIM_S);
        say(NULL, 0);
        assert_true(understood > 1000000 * (uint64_t)SIM_S);
        assert_talk(5); /* our own 30 s count */
        sim_fini(&w.sim);
    }
}

/* Numbers at the ends of their ranges: taken as they are meant, or refused (RFC 9000, section 18.2). */
static void trap_transport_parameters_at_their_limits(void **state)
{
    static const struct {
        uint8_t len, bytes[12];
        bool refused;
    } cases[] = {
        { 10, { 0x0e, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, false }, /* active_connection_id_limit */
        { 3, { 0x0e, 1, 1 }, true },
        { 10, { 0x04, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, false }, /* initial_max_data */
        { 10, { 0x09, 8, 0xd0, 0, 0, 0, 0, 0, 0, 0 }, false },                      /* initial_max_streams_uni: 2^60 */
        { 10, { 0x09, 8, 0xd0, 0, 0, 0, 0, 0, 0, 1 }, true },
        { 4, { 0x03, 2, 0x44, 0xaf }, true },                                       /* max_udp_payload_size: 1199 */
        { 4, { 0x03, 2, 0x44, 0xb0 }, false },
        { 10, { 0x03, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, false },
        { 3, { 0x0a, 1, 20 }, false },                                              /* ack_delay_exponent */
        { 3, { 0x0a, 1, 21 }, true },
        { 6, { 0x0b, 4, 0x80, 0, 0x3f, 0xff }, false },                             /* max_ack_delay: 2^14 - 1 */
        { 6, { 0x0b, 4, 0x80, 0, 0x40, 0 }, true },
        { 11, { 0x20, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0 }, true }, /* max_datagram_frame_size, and rubbish */
        { 10, { 0x20, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, false },
        { 4, { 0x00, 2, 1, 2 }, true },                                             /* a server's parameter from a client */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        init(9);
        say(cases[i].bytes, cases[i].len);
        assert_int_equal(sim_open(&w.sim), 0);
        raw_peer_wait(&w.client, 2 * SIM_S);
        say(NULL, 0);
        assert_int_equal(w.sim.client.closed, cases[i].refused);
        if (cases[i].refused)
            assert_int_equal(w.sim.client.why.code, TRANSPORT_PARAMETER_ERROR);
        else
            assert_talk(5);
        sim_fini(&w.sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_a_hello_retry_request_repeats_the_parameters),
        cmocka_unit_test(trap_every_cipher_seals_opens_and_changes_keys),
        cmocka_unit_test(trap_nothing_is_known_of_a_handshake_that_only_began),
        cmocka_unit_test(trap_bytes_behind_the_client_hello_are_a_violation),
        cmocka_unit_test(trap_a_packet_without_text_or_tag_is_dropped),
        cmocka_unit_test(trap_a_rebinding_and_a_migration_close_together),
        cmocka_unit_test(trap_a_path_that_comes_back),
        cmocka_unit_test(trap_many_rebindings_in_a_row),
        cmocka_unit_test(trap_70d26ba3_a_long_idle_time_out_is_no_short_one),
        cmocka_unit_test(trap_transport_parameters_at_their_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
