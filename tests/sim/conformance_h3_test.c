/* HTTP/3 and QPACK as far as we need them (RFC 9114, 9204, 9220): rows H1 to H9 of docs/internals/conformance.md. */
#include <nghttp3/nghttp3.h>

#include "conformance.h"

/* RFC 9114, section 8.1; RFC 9204, section 6 */
#define STREAM_CREATION_ERROR 0x103
#define CLOSED_CRITICAL_STREAM 0x104
#define FRAME_UNEXPECTED 0x105
#define FRAME_ERROR 0x106
#define SETTINGS_ERROR 0x109
#define MISSING_SETTINGS 0x10a
#define MESSAGE_ERROR 0x10e
#define QPACK_DECOMPRESSION_FAILED 0x200
#define QPACK_ENCODER_STREAM_ERROR 0x201
#define QPACK_DECODER_STREAM_ERROR 0x202

static int64_t open_uni(const uint8_t *bytes, size_t len, bool fin)
{
    struct raw_bytes b = { .len = 0 };

    raw_bytes(&b, bytes, len);
    return raw_open(&c.peer, false, &b, fin);
}

/* A stream of the peer's with these bytes, at once after the handshake. */
static void first_stream_closes_with(enum role role, const uint8_t *bytes, size_t len, uint64_t code)
{
    conformance_start(role);
    open_uni(bytes, len, false);
    raw_assert_closed(&c.peer, code);
    conformance_end();
}

/* The same after a good control stream. */
static void stream_closes_with(enum role role, const uint8_t *bytes, size_t len, bool fin, uint64_t code)
{
    conformance_start_settled(role);
    open_uni(bytes, len, fin);
    raw_assert_closed(&c.peer, code);
    conformance_end();
}

static void control_bytes_close_with(enum role role, const uint8_t *bytes, size_t len, uint64_t code)
{
    struct raw_bytes b = { .len = 0 };

    conformance_start_settled(role);
    raw_bytes(&b, bytes, len);
    raw_send(&c.peer, c.control, &b, false);
    raw_assert_closed(&c.peer, code);
    conformance_end();
}

static void message_bytes_close_with(enum role role, const uint8_t *bytes, size_t len, bool fin, uint64_t code)
{
    struct raw_bytes b = { .len = 0 };

    conformance_start_settled(role);
    raw_bytes(&b, bytes, len);
    message_stream(&b, fin);
    raw_assert_closed(&c.peer, code);
    conformance_end();
}

static void stream_is_tolerated(enum role role, const uint8_t *bytes, size_t len, bool fin)
{
    conformance_start_settled(role);
    open_uni(bytes, len, fin);
    raw_assert_open(&c.peer);
    conformance_end();
}

#define BOTH(role) for (int role = OUR_SERVER; role <= OUR_CLIENT; role++)

/* H1 */

static void H1_alpn_is_h3_and_nothing_else(void **state)
{
    struct gh_tls_config cfg = { .alpn = "h2" };
    struct gh_tls_ctx *good;
    char err[200];

    (void)state;
    conformance_start(OUR_SERVER);
    assert_true(c.peer.handshake);
    conformance_end();
    /* RFC 9001, section 8.1: no_application_protocol, alert 120 */
    memset(&c, 0, sizeof c);
    relay_world_init(&c.relay, 31, NULL, NULL, NULL);
    good = c.relay.sim.client.tls;
    sim_credentials(false, &cfg);
    assert_int_equal(gh_tls_ctx_create(&cfg, &c.relay.sim.client.tls, err, sizeof err), 0);
    gh_tls_ctx_put(good);
    raw_peer_init(&c.peer, &c.relay.sim, false);
    assert_int_equal(sim_open(&c.relay.sim), 0);
    assert_true(raw_peer_run(&c.peer, raw_is_closed, &c.peer));
    assert_false(c.peer.handshake);
    assert_int_equal(c.peer.end->why.code, 0x100 + 120);
    conformance_end();
}

static void H1_the_first_control_frame_is_settings(void **state)
{
    (void)state;
    BOTH(role)
    {
        first_stream_closes_with(role, BYTES(0x00, 0x07, 1, 0), MISSING_SETTINGS);
        first_stream_closes_with(role, BYTES(0x00, 0x21, 1, 'x'), MISSING_SETTINGS);
        first_stream_closes_with(role, BYTES(0x00, 0x00, 0), MISSING_SETTINGS);
    }
}

static void H1_a_second_control_stream_is_refused(void **state)
{
    (void)state;
    BOTH(role)
        stream_closes_with(role, BYTES(0x00, 0x04, 0), false, STREAM_CREATION_ERROR);
}

static void H1_the_control_stream_must_stay_open(void **state)
{
    struct raw_bytes nothing = { .len = 0 };

    (void)state;
    BOTH(role)
    {
        conformance_start_settled(role);
        raw_send(&c.peer, c.control, &nothing, true);
        raw_assert_closed(&c.peer, CLOSED_CRITICAL_STREAM);
        conformance_end();
        conformance_start_settled(role);
        raw_peer_wait(&c.peer, 100 * SIM_MS);
        gh_quic_stop_writing(c.peer.q, c.control, 0x100);
        raw_assert_closed(&c.peer, CLOSED_CRITICAL_STREAM);
        conformance_end();
    }
}

/* H2, H4 */

/* Our control stream, as the peer got it, or NULL. */
static const struct raw_stream *our_control(void)
{
    for (int i = 0; i < RAW_STREAMS; i++) {
        const struct raw_stream *s = &c.peer.streams[i];

        if (s->id >= 0 && (s->id & 2) && (s->id & 1) == (c.role == OUR_SERVER) && s->in_len && s->in[0] == 0x00)
            return s;
    }
    return NULL;
}

/* The value of a setting that we sent; <absent> without it. The whole frame must parse. */
static uint64_t our_setting(uint64_t id, uint64_t absent)
{
    const struct raw_stream *s = our_control();
    struct gh_reader r, payload;
    uint64_t ret = absent;

    assert_non_null(s);
    r = gh_reader_of(gh_span_of(s->in + 1, s->in_len - 1));
    assert_int_equal(gh_read_varint(&r), 0x04);
    payload = gh_reader_of(gh_read_span(&r, (size_t)gh_read_varint(&r)));
    assert_false(r.failed);
    while (gh_reader_left(&payload)) {
        uint64_t key = gh_read_varint(&payload), value = gh_read_varint(&payload);

        assert_false(key == 0 || (key >= 2 && key <= 5)); /* HTTP/2's */
        if (key == id)
            ret = value;
    }
    assert_true(gh_reader_done(&payload));
    return ret;
}

static void H2_settings_do_not_wait_for_the_peers(void **state)
{
    (void)state;
    BOTH(role)
    {
        conformance_start(role);
        raw_peer_wait(&c.peer, SIM_S);
        assert_non_null(our_control());
        assert_int_equal(c.settings, 0);
        conformance_end();
    }
}

static void H2_the_peer_may_open_eight_unidirectional_streams(void **state)
{
    (void)state;
    BOTH(role)
    {
        conformance_start_settled(role);
        for (int i = 1; i < 8; i++)
            open_uni(BYTES(0x21), false);
        raw_assert_open(&c.peer);
        conformance_end();
    }
}

static void H4_the_settings_are_ours(void **state)
{
    (void)state;
    BOTH(role)
    {
        conformance_start(role);
        raw_peer_wait(&c.peer, SIM_S);
        assert_int_equal(our_setting(0x01, 0), 0); /* absent means 0: RFC 9204, section 5 */
        assert_int_equal(our_setting(0x06, 0), 16384);
        assert_int_equal(our_setting(0x07, 0), 0);
        assert_int_equal(our_setting(0x08, 0), role == OUR_SERVER);
        assert_int_equal(our_setting(0x33, 0), 1);
        conformance_end();
    }
}

/* H3, H5 */

static void H3_a_setting_twice_is_an_error(void **state)
{
    (void)state;
    BOTH(role)
        first_stream_closes_with(role, BYTES(0x00, 0x04, 4, 0x33, 1, 0x33, 1), SETTINGS_ERROR);
}

static void H3_settings_of_http2_are_an_error(void **state)
{
    static const uint8_t ids[] = { 0x00, 0x02, 0x03, 0x04, 0x05 };

    (void)state;
    BOTH(role)
        for (size_t i = 0; i < sizeof ids; i++)
            first_stream_closes_with(role, BYTES(0x00, 0x04, 2, ids[i], 0), SETTINGS_ERROR);
}

static void H3_unknown_and_grease_are_ignored(void **state)
{
    struct raw_bytes b;

    (void)state;
    BOTH(role)
    {
        /* settings: an unknown one, 0x1f * 1 + 0x21, then those that count */
        conformance_start(role);
        c.control = open_uni(BYTES(0x00, 0x04, 11, 0x40, 0x99, 7, 0x40, 0x40, 0x40, 0x63, 0x08, 1, 0x33, 1), false);
        raw_assert_open(&c.peer);
        /* frames on the control stream */
        b.len = 0;
        raw_frame(&b, 0x21, "ignored", 7);
        raw_frame(&b, 0x1f * 1000 + 0x21, NULL, 0);
        raw_frame(&b, 0x40aa, "unknown", 7);
        raw_send(&c.peer, c.control, &b, false);
        raw_assert_open(&c.peer);
        /* streams, and an error code that nobody knows */
        open_uni(BYTES(0x21, 'x', 'y'), true);
        open_uni(BYTES(0x40, 0x40, 'z'), false);
        gh_quic_stop_writing(c.peer.q, open_uni(BYTES(0x40, 0x99), false), 0x1f * 7 + 0x21);
        raw_assert_open(&c.peer);
        conformance_end();
    }
}

static bool reserved(uint64_t id)
{
    return id >= 0x21 && id % 0x1f == 0x21 % 0x1f;
}

/* RFC 9114, sections 6.2.3, 7.2.4.1 and 7.2.8: ours, on the control stream and on one of its own. */
static void H3_reserved_settings_frames_and_streams_are_sent(void **state)
{
    (void)state;
    BOTH(role)
    {
        unsigned settings = 0, frames = 0, streams = 0;

        conformance_start_settled(role);
        raw_peer_wait(&c.peer, SIM_S);
        for (int i = 0; i < RAW_STREAMS; i++) {
            struct raw_stream *s = &c.peer.streams[i];
            struct gh_reader r = gh_reader_of(gh_span_of(s->in, s->in_len)), body;
            uint64_t type = gh_read_varint(&r);

            if (s->id < 0 || (s->id & 3) != (role == OUR_SERVER ? 3 : 2) || r.failed)
                continue;
            streams += reserved(type) && s->in_end;
            while (type == 0 && gh_reader_left(&r)) {
                uint64_t frame = gh_read_varint(&r);

                body = gh_reader_of(gh_read_span(&r, (size_t)gh_read_varint(&r)));
                frames += reserved(frame);
                while (frame == 0x04 && gh_reader_left(&body)) {
                    settings += reserved(gh_read_varint(&body));
                    gh_read_varint(&body);
                }
                assert_false(body.failed);
            }
            assert_false(r.failed);
        }
        assert_int_equal(settings, 1);
        assert_int_equal(frames, 1);
        assert_int_equal(streams, 1);
        raw_assert_open(&c.peer);
        conformance_end();
    }
}

/* Frames around and inside a message. */
static void H3_grease_frames_on_a_request_are_ignored(void **state)
{
    struct raw_bytes b = { .len = 0 };
    struct raw_answer *a;

    (void)state;
    conformance_start_settled(OUR_SERVER);
    raw_frame(&b, 0x21, "before", 6);
    connect_ip_head(&b);
    raw_frame(&b, 0x1f * 9 + 0x21, "after", 5);
    a = answer_on(ask(&b, false));
    assert_int_equal(a->status, 200);
    raw_assert_open(&c.peer);
    conformance_end();
}

static void H5_no_extended_connect_before_settings_allow_it(void **state)
{
    static const struct gh_http_field none;
    struct gh_http_head head = { gh_span_str("CONNECT"), gh_span_str("https"), gh_span_str("relay"),
                                 gh_span_str("/.well-known/masque/ip/*/*/"), gh_span_str("connect-ip"), 0, &none, 0 };

    (void)state;
    conformance_start(OUR_CLIENT);
    assert_int_equal(gh_h3_request(c.sim->client.h3, &head, false, &c.stream), GH_ERR_STATE);
    raw_peer_wait(&c.peer, SIM_S);
    assert_null(raw_peer_stream(&c.peer, 0));
    /* SETTINGS without 0x08 do not, and neither does a value of 0 */
    open_uni(BYTES(0x00, 0x04, 2, 0x33, 1), false);
    raw_peer_wait(&c.peer, SIM_S);
    assert_int_equal(c.settings, 1);
    assert_int_equal(c.request_rc, GH_ERR_STATE);
    assert_null(raw_peer_stream(&c.peer, 0));
    conformance_end();
    conformance_start(OUR_CLIENT);
    open_uni(BYTES(0x00, 0x04, 4, 0x08, 0, 0x33, 1), false);
    raw_peer_wait(&c.peer, SIM_S);
    assert_int_equal(c.request_rc, GH_ERR_STATE);
    conformance_end();
    conformance_start(OUR_CLIENT);
    open_uni(BYTES(0x00, 0x04, 4, 0x08, 1, 0x33, 1), false);
    raw_peer_wait(&c.peer, SIM_S);
    assert_int_equal(c.request_rc, 0);
    assert_non_null(raw_peer_stream(&c.peer, 0));
    conformance_end();
}

static void H5_the_value_is_0_or_1(void **state)
{
    (void)state;
    BOTH(role)
        first_stream_closes_with(role, BYTES(0x00, 0x04, 2, 0x08, 2), SETTINGS_ERROR);
}

/* RFC 9114, section 7.2.4: SETTINGS come once, so 1 cannot become 0. */
static void H5_settings_come_once(void **state)
{
    (void)state;
    BOTH(role)
        control_bytes_close_with(role, BYTES(0x04, 2, 0x08, 0), FRAME_UNEXPECTED);
}

/* H6 */

static void H6_data_before_headers_is_unexpected(void **state)
{
    (void)state;
    BOTH(role)
        message_bytes_close_with(role, BYTES(0x00, 3, 'x', 'y', 'z'), false, FRAME_UNEXPECTED);
}

static void H6_messages_do_not_belong_on_the_control_stream(void **state)
{
    (void)state;
    BOTH(role)
    {
        control_bytes_close_with(role, BYTES(0x00, 1, 'x'), FRAME_UNEXPECTED);
        control_bytes_close_with(role, BYTES(0x01, 2, 0, 0), FRAME_UNEXPECTED);
        control_bytes_close_with(role, BYTES(0x05, 3, 0, 0, 0), FRAME_UNEXPECTED);
    }
}

static void H6_frames_of_http2_are_unexpected_everywhere(void **state)
{
    static const uint8_t types[] = { 0x02, 0x06, 0x08, 0x09 };

    (void)state;
    BOTH(role)
        for (size_t i = 0; i < sizeof types; i++) {
            control_bytes_close_with(role, BYTES(types[i], 1, 0), FRAME_UNEXPECTED);
            message_bytes_close_with(role, BYTES(types[i], 1, 0), false, FRAME_UNEXPECTED);
        }
}

static void H6_control_frames_do_not_belong_on_a_request(void **state)
{
    (void)state;
    BOTH(role)
    {
        message_bytes_close_with(role, BYTES(0x04, 0), false, FRAME_UNEXPECTED);
        message_bytes_close_with(role, BYTES(0x07, 1, 0), false, FRAME_UNEXPECTED);
    }
}

/* RFC 9114, section 7.1: bytes missing, or left over, or a stream that ends inside a frame. */
static void H6_a_wrong_length_is_a_frame_error(void **state)
{
    (void)state;
    BOTH(role)
    {
        first_stream_closes_with(role, BYTES(0x00, 0x04, 1, 0x33), FRAME_ERROR);
        first_stream_closes_with(role, BYTES(0x00, 0x04, 3, 0x33, 1, 0x40), FRAME_ERROR);
        control_bytes_close_with(role, BYTES(0x07, 0), FRAME_ERROR);
        control_bytes_close_with(role, BYTES(0x07, 2, 0, 0), FRAME_ERROR);
        message_bytes_close_with(role, BYTES(0x01, 20, 0, 0), true, FRAME_ERROR);
    }
}

/* Pieces end anywhere: here, after every byte. */
static void H6_the_control_stream_is_read_in_any_pieces(void **state)
{
    static const uint8_t good[] = { 0x00, 0x04, 4, 0x08, 1, 0x33, 1, 0x21, 2, 'x', 'y', 0x07, 2, 0x40, 0, 0x07, 1, 0 }, bad[] = { 0x07, 0x40, 2, 0, 0 };
    struct raw_bytes b;

    (void)state;
    BOTH(role)
    {
        conformance_start(role);
        c.control = open_uni(good, 1, false);
        for (size_t i = 1; i < sizeof good + sizeof bad - 1; i++) {
            b.len = 0;
            raw_bytes(&b, i < sizeof good ? &good[i] : &bad[i - sizeof good], 1);
            raw_send(&c.peer, c.control, &b, false);
            raw_peer_wait(&c.peer, 50 * SIM_MS);
            assert_int_equal(c.peer.end->closed, i >= sizeof good + 3);
            if (c.peer.end->closed)
                break;
        }
        raw_assert_closed(&c.peer, FRAME_ERROR);
        conformance_end();
    }
}

/* H7, H8 */

static unsigned status_of(const char *const *fields)
{
    struct raw_bytes b = { .len = 0 };
    unsigned ret;

    conformance_start_settled(OUR_SERVER);
    head_of(&b, fields);
    ret = answer_on(ask(&b, false))->status;
    raw_assert_open(&c.peer);
    conformance_end();
    return ret;
}

static void malformed(const char *const *fields)
{
    struct raw_bytes b = { .len = 0 };

    conformance_start_settled(OUR_SERVER);
    head_of(&b, fields);
    assert_stream_reset(ask(&b, false), MESSAGE_ERROR);
    assert_int_equal(atomic_load(&c.relay.relay.sessions), 0);
    open_tunnel(); /* nobody else is harmed */
    conformance_end();
}

#define FIELDS(...) (const char *const[]){ __VA_ARGS__, NULL }
#define PATH ":path", "/.well-known/masque/ip/*/*/"
#define REST ":scheme", "https", ":authority", "relay", PATH

static void H7_an_unknown_protocol_is_not_implemented(void **state)
{
    (void)state;
    assert_int_equal(status_of(FIELDS(":method", "CONNECT", ":protocol", "connect-udp", REST)), 501);
    assert_int_equal(status_of(FIELDS(":method", "CONNECT", ":protocol", "websocket", REST)), 501);
}

static void H7_a_malformed_request_is_a_stream_error(void **state)
{
    (void)state;
    malformed(FIELDS(":method", "GET", ":unknown", "x", REST));
    malformed(FIELDS(":scheme", "https", ":authority", "relay", PATH)); /* no method */
}

static void H8_names_are_lower_case(void **state)
{
    (void)state;
    malformed(FIELDS(":method", "CONNECT", ":protocol", "connect-ip", REST, "Capsule-Protocol", "?1"));
}

static void H8_fields_of_the_connection_are_malformed(void **state)
{
    (void)state;
    malformed(FIELDS(":method", "CONNECT", ":protocol", "connect-ip", REST, "connection", "upgrade"));
    malformed(FIELDS(":method", "CONNECT", ":protocol", "connect-ip", REST, "transfer-encoding", "chunked"));
    malformed(FIELDS(":method", "CONNECT", ":protocol", "connect-ip", REST, "upgrade", "connect-ip"));
}

static void H8_pseudo_fields_come_first_and_once(void **state)
{
    (void)state;
    malformed(FIELDS(":method", "CONNECT", "capsule-protocol", "?1", ":protocol", "connect-ip", REST));
    malformed(FIELDS(":method", "CONNECT", ":method", "CONNECT", ":protocol", "connect-ip", REST));
    malformed(FIELDS(":method", "CONNECT", ":protocol", "connect-ip", ":protocol", "connect-ip", REST));
    malformed(FIELDS(":status", "200", ":method", "CONNECT", ":protocol", "connect-ip", REST));
}

/* RFC 8441, section 4 */
static void H8_extended_connect_has_scheme_and_path(void **state)
{
    (void)state;
    malformed(FIELDS(":method", "CONNECT", ":protocol", "connect-ip", ":authority", "relay", PATH));
    malformed(FIELDS(":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "relay"));
}

/* The path says where to; whatever the authority is, the tunnel is the same. */
static void H8_the_authority_is_no_target(void **state)
{
    (void)state;
    assert_int_equal(status_of(FIELDS(":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "192.0.2.1:443", PATH)), 200);
    assert_int_equal(status_of(FIELDS(":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", "127.0.0.1", PATH)), 200);
}

static void H8_a_malformed_answer_is_a_stream_error(void **state)
{
    static const char *const heads[][5] = { { ":status", "200", "Server", "x", NULL },
                                            { ":status", "200", "connection", "x", NULL },
                                            { "server", "x", ":status", "200", NULL },
                                            { ":status", "200", ":status", "200", NULL },
                                            { "server", "x", NULL } };
    struct raw_bytes b;

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        conformance_start_settled(OUR_CLIENT);
        b.len = 0;
        head_of(&b, heads[i]);
        assert_stream_reset(message_stream(&b, false), MESSAGE_ERROR);
        assert_int_equal(c.status, 0);
        assert_int_equal(c.closed, 1);
        conformance_end();
    }
}

/* H9 */

/* RFC 7541, appendix C.4.1: "www.example.com" with Huffman coding; static entries of RFC 9204, appendix A: 15 is
 * ":method: CONNECT", 23 ":scheme: https", 0 the name ":authority", 1 ":path". */
static void H9_static_entries_literals_and_huffman_are_read(void **state)
{
    static const uint8_t coded[] = { 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff };
    static const char path[] = "/.well-known/masque/ip/*/*/";
    struct raw_bytes b = { .len = 0 }, section = { .len = 0 };

    (void)state;
    conformance_start_settled(OUR_SERVER);
    raw_section_begin(&section);
    raw_bytes(&section, BYTES(0xc0 | 15, 0xc0 | 23, 0x50 | 0, 0x80 | sizeof coded));
    raw_bytes(&section, coded, sizeof coded);
    raw_bytes(&section, BYTES(0x50 | 1, sizeof path - 1));
    raw_bytes(&section, path, sizeof path - 1);
    raw_field(&section, ":protocol", "connect-ip");
    raw_frame_of(&b, 0x01, &section);
    assert_int_equal(answer_on(ask(&b, false))->status, 200);
    conformance_end();
}

static void H9_references_to_a_dynamic_table_fail(void **state)
{
    (void)state;
    BOTH(role)
    {
        /* Required Insert Count 1 (coded 2, whatever the table's size), then a static entry; and an indexed dynamic entry */
        message_bytes_close_with(role, BYTES(0x01, 3, 2, 0, 0xc0 | 15), false, QPACK_DECOMPRESSION_FAILED);
        message_bytes_close_with(role, BYTES(0x01, 3, 0, 0, 0x80), false, QPACK_DECOMPRESSION_FAILED);
        /* a static entry beyond the 99 */
        message_bytes_close_with(role, BYTES(0x01, 4, 0, 0, 0xff, 99 - 63), false, QPACK_DECOMPRESSION_FAILED);
    }
}

static void H9_encoder_and_decoder_streams_are_taken_once_each(void **state)
{
    (void)state;
    BOTH(role)
    {
        stream_is_tolerated(role, BYTES(0x02), false);
        stream_is_tolerated(role, BYTES(0x03), false);
        for (uint8_t type = 0x02; type <= 0x03; type++) {
            conformance_start_settled(role);
            open_uni(BYTES(type), false);
            open_uni(BYTES(type), false);
            raw_assert_closed(&c.peer, STREAM_CREATION_ERROR);
            conformance_end();
            stream_closes_with(role, BYTES(type), true, CLOSED_CRITICAL_STREAM);
        }
    }
}

static void H9_an_inserting_instruction_is_an_error(void **state)
{
    (void)state;
    BOTH(role)
    {
        stream_closes_with(role, BYTES(0x02, 0x41, 'a', 1, 'b'), false, QPACK_ENCODER_STREAM_ERROR); /* literal name */
        stream_closes_with(role, BYTES(0x02, 0xc0, 1, 'b'), false, QPACK_ENCODER_STREAM_ERROR);      /* name of static 0 */
        stream_closes_with(role, BYTES(0x02, 0x00), false, QPACK_ENCODER_STREAM_ERROR);              /* duplicate */
        stream_closes_with(role, BYTES(0x02, 0x3f, 0x01), false, QPACK_ENCODER_STREAM_ERROR);        /* capacity 32 */
    }
}

static void H9_a_bad_decoder_instruction_is_an_error(void **state)
{
    (void)state;
    BOTH(role)
    {
        stream_closes_with(role, BYTES(0x03, 0x80), false, QPACK_DECODER_STREAM_ERROR); /* acknowledges a section without references */
        stream_closes_with(role, BYTES(0x03, 0x00), false, QPACK_DECODER_STREAM_ERROR); /* increment of 0 */
        stream_closes_with(role, BYTES(0x03, 0x01), false, QPACK_DECODER_STREAM_ERROR); /* of what was never inserted */
    }
}

#define T cmocka_unit_test

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(H1_alpn_is_h3_and_nothing_else),
        T(H1_the_first_control_frame_is_settings),
        T(H1_a_second_control_stream_is_refused),
        T(H1_the_control_stream_must_stay_open),
        T(H2_settings_do_not_wait_for_the_peers),
        T(H2_the_peer_may_open_eight_unidirectional_streams),
        T(H3_a_setting_twice_is_an_error),
        T(H3_settings_of_http2_are_an_error),
        T(H3_unknown_and_grease_are_ignored),
        T(H3_reserved_settings_frames_and_streams_are_sent),
        T(H3_grease_frames_on_a_request_are_ignored),
        T(H4_the_settings_are_ours),
        T(H5_no_extended_connect_before_settings_allow_it),
        T(H5_the_value_is_0_or_1),
        T(H5_settings_come_once),
        T(H6_data_before_headers_is_unexpected),
        T(H6_messages_do_not_belong_on_the_control_stream),
        T(H6_frames_of_http2_are_unexpected_everywhere),
        T(H6_control_frames_do_not_belong_on_a_request),
        T(H6_a_wrong_length_is_a_frame_error),
        T(H6_the_control_stream_is_read_in_any_pieces),
        T(H7_an_unknown_protocol_is_not_implemented),
        T(H7_a_malformed_request_is_a_stream_error),
        T(H8_names_are_lower_case),
        T(H8_fields_of_the_connection_are_malformed),
        T(H8_pseudo_fields_come_first_and_once),
        T(H8_extended_connect_has_scheme_and_path),
        T(H8_the_authority_is_no_target),
        T(H8_a_malformed_answer_is_a_stream_error),
        T(H9_static_entries_literals_and_huffman_are_read),
        T(H9_references_to_a_dynamic_table_fail),
        T(H9_encoder_and_decoder_streams_are_taken_once_each),
        T(H9_an_inserting_instruction_is_an_error),
        T(H9_a_bad_decoder_instruction_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
