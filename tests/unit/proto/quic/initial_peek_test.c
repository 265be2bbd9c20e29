#include "proto/quic/initial_peek.h"

#include "base/error.h"
#include "base/hex.h"

#include "../../../sim/packet_seal.h"
#include "../../test.h"
#include "../../wire/hello_make.h"
#include "flights.h"

static struct gh_span unhex(const char *text, uint8_t *buf, size_t cap)
{
    size_t len = strlen(text) / 2;

    assert_true(len <= cap);
    assert_true(gh_hex_decode(gh_span_str(text), GH_HEX_LOWER, buf, len));
    return gh_span_of(buf, len);
}

/* Feeds from a block of exactly the datagram's size. */
static int feed(struct gh_quic_peek *p, struct gh_span datagram, struct gh_tls_hello *ret)
{
    uint8_t *exact = malloc(datagram.len ? datagram.len : 1);
    int rc;

    assert_non_null(exact);
    if (datagram.len)
        memcpy(exact, datagram.data, datagram.len);
    rc = gh_quic_peek_feed(p, gh_span_of(exact, datagram.len), ret);
    free(exact);
    return rc;
}

/* ---- a client of our own */

static const uint8_t client_dcid[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

struct client {
    uint32_t version;
    struct packet_keys keys;
    uint32_t number;
    uint8_t datagram[4096];
    size_t len;
};

static void client_init(struct client *c, uint32_t version)
{
    *c = (struct client){ .version = version };
    assert_int_equal(gh_aead_initial_client_keys(version, gh_span_of(client_dcid, 8), true, &c->keys.key, c->keys.iv, &c->keys.header), 0);
}

static void client_fini(struct client *c)
{
    packet_keys_fini(&c->keys);
}

struct make {
    uint8_t type; /* 0 Initial, 1 0-RTT, 2 Handshake, 3 Retry */
    uint8_t dcid_last, reserved;
    struct gh_span token, frames;
};

/* Appends a packet to the datagram. Payloads of less than four bytes become padded. */
static void add_packet(struct client *c, const struct make *m)
{
    uint8_t frames[4000] = { 0 }, type = c->version == GH_QUIC_VERSION_2 ? (m->type + 1) % 4 : m->type;
    struct gh_writer w = gh_writer_of(c->datagram + c->len, sizeof c->datagram - c->len);
    size_t len = m->frames.len < 4 && m->frames.len > 0 ? 4 : m->frames.len;

    if (m->frames.len)
        memcpy(frames, m->frames.data, m->frames.len);
    gh_write_u8(&w, (uint8_t)(0xc3 | type << 4 | m->reserved));
    gh_write_u32(&w, c->version);
    gh_write_u8(&w, 8);
    gh_write_bytes(&w, client_dcid, 7);
    gh_write_u8(&w, m->dcid_last ? m->dcid_last : client_dcid[7]);
    gh_write_u8(&w, 3);
    gh_write_bytes(&w, "src", 3);
    if (m->type == 0) {
        gh_write_varint(&w, m->token.len);
        gh_write_span(&w, m->token);
    }
    gh_write_varint(&w, 4 + len + GH_AEAD_TAG);
    gh_write_u32(&w, 0); /* the number */
    assert_false(w.failed);
    c->len += packet_seal(&c->keys, c->datagram + c->len, gh_writer_len(&w), c->number++, gh_span_of(frames, len));
}

/* The datagram, filled up with what no packet is, and begun anew. */
static struct gh_span flush(struct client *c)
{
    size_t len = c->len < 1200 ? 1200 : c->len;

    memset(c->datagram + c->len, 0, len - c->len);
    c->len = 0;
    return gh_span_of(c->datagram, len);
}

static struct gh_span send_frames(struct client *c, struct gh_span frames)
{
    add_packet(c, &(struct make){ .frames = frames });
    return flush(c);
}

static size_t put_crypto(uint8_t *buf, size_t cap, size_t offset, struct gh_span data)
{
    struct gh_writer w = gh_writer_of(buf, cap);

    gh_write_u8(&w, 6);
    gh_write_varint(&w, offset);
    gh_write_varint(&w, data.len);
    gh_write_span(&w, data);
    assert_false(w.failed);
    return gh_writer_len(&w);
}

static struct gh_span send_crypto(struct client *c, size_t offset, struct gh_span data)
{
    static uint8_t frames[2000];

    return send_frames(c, gh_span_of(frames, put_crypto(frames, sizeof frames, offset, data)));
}

/* The handshake message of a hello that asks for "own.example". */
static struct gh_span make_message(uint8_t *buf, size_t cap, size_t padding)
{
    static const uint8_t zero[16384];
    struct extension list[] = { { GH_TLS_PADDING, gh_span_of(zero, padding) },
                                { GH_TLS_SERVER_NAME, BYTES("\x00\x0e\x00\x00\x0b" "own.example") } };
    size_t len = make_body(buf + 4, cap - 4, BYTES(""), list, 2);

    buf[0] = 1;
    buf[1] = 0;
    buf[2] = (uint8_t)(len >> 8);
    buf[3] = (uint8_t)len;
    return gh_span_of(buf, len + 4);
}

/* What a peek says to one Initial packet with these frames. */
static int verdict(const struct make *m)
{
    struct gh_quic_peek p;
    struct gh_tls_hello h;
    struct client c;
    struct gh_span d;
    int rc;

    client_init(&c, GH_QUIC_VERSION_1);
    add_packet(&c, m);
    d = flush(&c);
    assert_int_equal(gh_quic_peek_init(&p, d), 0);
    rc = feed(&p, d, &h);
    assert_int_equal(p.opened, 1);
    if (rc < 0) { /* it stays */
        d = send_frames(&c, BYTES("\x01"));
        assert_int_equal(feed(&p, d, &h), rc);
    }
    gh_quic_peek_fini(&p);
    client_fini(&c);
    return rc;
}

/* ---- tests */

static void the_sample_packets_of_the_RFCs_are_read(void **state)
{
    static const struct {
        const char *hex;
        uint32_t version;
    } rows[] = { { rfc9001_a2, GH_QUIC_VERSION_1 }, { rfc9369_a2, GH_QUIC_VERSION_2 } };
    uint8_t buf[1200];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct gh_span d = unhex(rows[i].hex, buf, sizeof buf);
        struct gh_quic_peek p;
        struct gh_tls_hello h;

        assert_int_equal(gh_quic_peek_init(&p, d), 0);
        assert_int_equal(feed(&p, d, &h), 1);
        assert_int_equal(p.version, rows[i].version);
        assert_int_equal(p.dcid.len, 8);
        assert_memory_equal(p.dcid.data, "\x83\x94\xc8\xf0\x3e\x51\x57\x08", 8);
        assert_int_equal(p.scid.len, 0);
        assert_int_equal(p.opened, 1);
        assert_false(p.token);
        assert_string_equal(h.sni, "example.com");
        assert_true(gh_tls_hello_alpn_has(&h, "alpn"));
        assert_memory_equal(h.random.data, "\xeb\xf8\xfa\x56\xf1\x29\x39\xb9", 8);
        gh_quic_peek_fini(&p);
    }
}

static void the_flight_of_a_real_client_is_read_in_any_order(void **state)
{
    const char *const *flights[] = { quic_go_v1, quic_go_v2 };
    uint8_t buf[2][1500];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct gh_span d[2];
        struct gh_quic_peek p;
        struct gh_tls_hello h;
        struct gh_span data;

        d[i & 1] = unhex(flights[i / 2][0], buf[0], sizeof buf[0]);
        d[!(i & 1)] = unhex(flights[i / 2][1], buf[1], sizeof buf[1]);
        assert_int_equal(gh_quic_peek_init(&p, d[0]), 0);
        assert_int_equal(feed(&p, d[0], &h), 0);
        assert_int_equal(feed(&p, d[0], &h), 0); /* the same again changes nothing */
        assert_int_equal(feed(&p, d[1], &h), 1);
        assert_int_equal(p.opened, 3);
        assert_string_equal(h.sni, "quic.example.com");
        assert_true(gh_tls_hello_alpn_has(&h, "h3") && gh_tls_hello_offers(&h, 0x0304) && h.key_share.len > 1100);
        assert_true(gh_tls_hello_find(&h, GH_TLS_QUIC_PARAMETERS, &data));
        assert_int_equal(feed(&p, d[1], &h), 1);
        gh_quic_peek_fini(&p);
    }
}

/* A flight with one bit wrong is no flight, and what is not a client's first datagram is known at once. */
static void what_is_no_first_datagram_is_refused(void **state)
{
    uint8_t buf[1300];
    struct gh_span d = unhex(rfc9001_a2, buf, sizeof buf);
    struct gh_quic_peek p;
    struct gh_tls_hello h;

    (void)state;
    for (size_t n = 0; n < d.len; n++) {
        assert_int_equal(gh_quic_peek_init(&p, gh_span_of(buf, n)), GH_ERR_UNSUPPORTED);
        gh_quic_peek_fini(&p);
    }
    for (size_t bit = 0; bit < 8 * d.len; bit++) {
        int rc;

        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        rc = gh_quic_peek_init(&p, d);
        if (rc == 0) {
            assert_int_equal(feed(&p, d, &h), 0);
            assert_int_equal(p.opened, 0);
        } else {
            assert_true(rc == GH_ERR_UNSUPPORTED && bit < 48);
            assert_int_equal(feed(&p, d, &h), GH_ERR_STATE);
        }
        gh_quic_peek_fini(&p);
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(gh_quic_peek_init(&p, BYTES("\xc0\x1a\x2a\x3a\x4a\x00\x00")), GH_ERR_UNSUPPORTED);
    assert_int_equal(p.version, 0x1a2a3a4a); /* for a Version Negotiation packet */
    gh_quic_peek_fini(&p);
    buf[5] = 7; /* RFC 9000, section 7.2: at least eight bytes */
    assert_int_equal(gh_quic_peek_init(&p, d), GH_ERR_UNSUPPORTED);
    gh_quic_peek_fini(&p);
    gh_quic_peek_fini(NULL);
}

static void the_pieces_of_a_hello_come_in_any_order_and_over_each_other(void **state)
{
    uint8_t message_buf[2048];
    struct gh_span message = make_message(message_buf, sizeof message_buf, 700);

    (void)state;
    for (unsigned seed = 1; seed < 200; seed++) {
        uint32_t version = seed % 2 ? GH_QUIC_VERSION_1 : GH_QUIC_VERSION_2;
        uint8_t covered[2048] = { 0 };
        bool whole = false, begun = false;
        unsigned chance = seed;
        struct gh_quic_peek p;
        struct gh_tls_hello h;
        struct client c;

        client_init(&c, version);
        while (!whole) {
            size_t from, len;
            struct gh_span d;

            chance = chance * 1103515245u + 12345u;
            from = (chance >> 8) % message.len;
            chance = chance * 1103515245u + 12345u;
            len = 1 + (chance >> 8) % 200;
            if (from + len > message.len)
                len = message.len - from;
            memset(covered + from, 1, len);
            whole = !memchr(covered, 0, message.len);
            d = send_crypto(&c, from, gh_span_of(message.data + from, len));
            if (!begun)
                assert_int_equal(gh_quic_peek_init(&p, d), 0);
            begun = true;
            assert_int_equal(feed(&p, d, &h), whole);
        }
        assert_string_equal(h.sni, "own.example");
        assert_true(gh_span_equals(h.body, gh_span_of(message.data + 4, message.len - 4)));
        gh_quic_peek_fini(&p);
        client_fini(&c);
    }
}

static void what_came_first_stays(void **state)
{
    uint8_t message_buf[512], other[512];
    struct gh_span message = make_message(message_buf, sizeof message_buf, 100);
    struct gh_quic_peek p;
    struct gh_tls_hello h;
    struct client c;
    struct gh_span d;

    (void)state;
    memcpy(other, message.data, message.len);
    memset(other + 6, 0xee, 32); /* another random, overlapping on both sides of what is there */
    client_init(&c, GH_QUIC_VERSION_1);
    d = send_crypto(&c, 4, gh_span_of(message.data + 4, 50));
    assert_int_equal(gh_quic_peek_init(&p, d), 0);
    assert_int_equal(feed(&p, d, &h), 0);
    d = send_crypto(&c, 0, gh_span_of(other, message.len));
    assert_int_equal(feed(&p, d, &h), 1);
    assert_true(gh_span_equals(h.body, gh_span_of(message.data + 4, message.len - 4)));
    gh_quic_peek_fini(&p);
    client_fini(&c);
}

static void packets_that_share_a_datagram_are_told_apart(void **state)
{
    uint8_t message_buf[512], frames[600];
    struct gh_span message = make_message(message_buf, sizeof message_buf, 100), half = gh_span_of(message.data, 80), d;
    struct gh_span rest = gh_span_of(message.data + 80, message.len - 80);

    (void)state;
    for (int v = 0; v < 2; v++) {
        struct gh_quic_peek p;
        struct gh_tls_hello h;
        struct client c;

        client_init(&c, v ? GH_QUIC_VERSION_2 : GH_QUIC_VERSION_1);
        add_packet(&c, &(struct make){ .token = BYTES("token"), .frames = gh_span_of(frames, put_crypto(frames, sizeof frames, 0, half)) });
        add_packet(&c, &(struct make){ .type = 1, .frames = BYTES("\x06\x00\x01x") });                 /* 0-RTT */
        add_packet(&c, &(struct make){ .type = 2, .frames = BYTES("\x06\x00\x01x") });                 /* Handshake */
        add_packet(&c, &(struct make){ .dcid_last = 99, .frames = BYTES("\x1c\x00\x00\x00") });        /* another connection's */
        add_packet(&c, &(struct make){ .frames = gh_span_of(frames, put_crypto(frames, sizeof frames, 80, rest)) });
        d = flush(&c);
        assert_int_equal(gh_quic_peek_init(&p, d), 0);
        assert_int_equal(feed(&p, d, &h), 1);
        assert_int_equal(p.opened, 2);
        assert_true(p.token);
        assert_int_equal(p.scid.len, 3);
        assert_memory_equal(p.scid.data, "src", 3);
        assert_string_equal(h.sni, "own.example");
        gh_quic_peek_fini(&p);
        client_fini(&c);
    }
}

static void a_small_datagram_and_a_strangers_packet_change_nothing(void **state)
{
    uint8_t message_buf[512];
    struct gh_span message = make_message(message_buf, sizeof message_buf, 0), d;
    struct gh_quic_peek p;
    struct gh_tls_hello h;
    struct client c;

    (void)state;
    client_init(&c, GH_QUIC_VERSION_1);
    d = send_crypto(&c, 0, message);
    assert_int_equal(gh_quic_peek_init(&p, d), 0);
    assert_int_equal(feed(&p, gh_span_of(d.data, 1199), &h), 0);
    assert_int_equal(p.opened, 0);
    c.datagram[40] ^= 1;
    assert_int_equal(feed(&p, d, &h), 0);
    c.datagram[40] ^= 1;
    assert_int_equal(feed(&p, d, &h), 1);
    gh_quic_peek_fini(&p);
    client_fini(&c);
}

static void frames_are_those_that_an_Initial_packet_may_have(void **state)
{
    static const struct {
        struct gh_span frames;
        int rc;
    } rows[] = {
        { { (const uint8_t *)"\x00\x00\x01\x00", 4 }, 0 },                       /* PADDING, PING */
        { { (const uint8_t *)"\x02\x05\x00\x01\x00\x02\x02\x00", 8 }, 0 },       /* ACK with a range */
        { { (const uint8_t *)"\x03\x05\x00\x00\x00\x01\x02\x03", 8 }, 0 },       /* ACK with counts */
        { { (const uint8_t *)"\x02\x05\x00\x05\x00\x00\x00", 7 }, GH_ERR_PROTOCOL },
        { { (const uint8_t *)"\x06\x00\x05xxx", 6 }, GH_ERR_PROTOCOL },          /* cut */
        { { (const uint8_t *)"\x1c\x00\x00\x00", 4 }, GH_ERR_CLOSED },
        { { (const uint8_t *)"\x1d\x00\x00\x00", 4 }, GH_ERR_PROTOCOL },         /* of the application */
        { { (const uint8_t *)"\x08\x00\x00\x00", 4 }, GH_ERR_PROTOCOL },         /* STREAM */
        { { (const uint8_t *)"\x1e\x00\x00\x00", 4 }, GH_ERR_PROTOCOL },         /* HANDSHAKE_DONE */
        { { (const uint8_t *)"\x40\x06\x00\x00", 4 }, 0 },                       /* a long form of a type; an empty CRYPTO */
        { { (const uint8_t *)"\x06\x00\x01\x02", 4 }, GH_ERR_MALFORMED },        /* a ServerHello */
        { { (const uint8_t *)"\x06\x00\x04\x01\x00\x40\x00", 7 }, GH_ERR_TOO_LONG },
        { { (const uint8_t *)"\x06\x00\x04\x01\x00\x3f\xfc", 7 }, 0 },           /* 16,384 with its head */
        { { (const uint8_t *)"\x06\x00\x04\x01\x00\x3f\xfd", 7 }, GH_ERR_TOO_LONG },
        { { (const uint8_t *)"\x06\x80\x00\x40\x00\x01x", 7 }, GH_ERR_TOO_LONG },
        { { (const uint8_t *)"\x06\x7f\xff\x01x", 5 }, 0 },                      /* the last byte that can be */
        { { (const uint8_t *)"\x06\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 11 }, GH_ERR_TOO_LONG },
        { { (const uint8_t *)"\x06\x00\x04\x01\x00\x00\x00", 7 }, GH_ERR_MALFORMED }, /* an empty hello */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int rc = verdict(&(struct make){ .frames = rows[i].frames });

        if (rc != rows[i].rc)
            fail_msg("row %zu: %d", i, rc);
    }
    assert_int_equal(verdict(&(struct make){ .reserved = 0x04, .frames = BYTES("\x01") }), GH_ERR_PROTOCOL);
}

static void pieces_that_do_not_touch_have_a_limit(void **state)
{
    uint8_t frames[1000];
    size_t len = 0;

    (void)state;
    for (unsigned i = 1; i <= GH_QUIC_PEEK_PIECES; i++)
        len += put_crypto(frames + len, sizeof frames - len, 2 * i, BYTES("x"));
    assert_int_equal(verdict(&(struct make){ .frames = gh_span_of(frames, len) }), 0);
    len += put_crypto(frames + len, sizeof frames - len, 2 * (GH_QUIC_PEEK_PIECES + 1), BYTES("x"));
    assert_int_equal(verdict(&(struct make){ .frames = gh_span_of(frames, len) }), GH_ERR_TOO_LONG);
}

/* A packet number is sent cut; who sends more than 256 packets wraps a number of one byte, and ours are of four. */
static void packet_numbers_go_on_where_they_began(void **state)
{
    static const uint32_t begins[] = { 0, 1, 0x7fffffff, 0x80000000 - 2 };
    uint8_t message_buf[512];
    struct gh_span message = make_message(message_buf, sizeof message_buf, 0), d;

    (void)state;
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        struct gh_quic_peek p;
        struct gh_tls_hello h;
        struct client c;

        client_init(&c, GH_QUIC_VERSION_1);
        c.number = begins[i];
        d = send_crypto(&c, 0, gh_span_of(message.data, 10));
        assert_int_equal(gh_quic_peek_init(&p, d), 0);
        assert_int_equal(feed(&p, d, &h), 0);
        c.number += 7;
        d = send_crypto(&c, 10, gh_span_of(message.data + 10, message.len - 10));
        assert_int_equal(feed(&p, d, &h), 1);
        gh_quic_peek_fini(&p);
        client_fini(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_packets_of_the_RFCs_are_read),
        cmocka_unit_test(the_flight_of_a_real_client_is_read_in_any_order),
        cmocka_unit_test(what_is_no_first_datagram_is_refused),
        cmocka_unit_test(the_pieces_of_a_hello_come_in_any_order_and_over_each_other),
        cmocka_unit_test(what_came_first_stays),
        cmocka_unit_test(packets_that_share_a_datagram_are_told_apart),
        cmocka_unit_test(a_small_datagram_and_a_strangers_packet_change_nothing),
        cmocka_unit_test(frames_are_those_that_an_Initial_packet_may_have),
        cmocka_unit_test(pieces_that_do_not_touch_have_a_limit),
        cmocka_unit_test(packet_numbers_go_on_where_they_began),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
