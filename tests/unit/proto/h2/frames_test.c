/* HTTP/2: an engine against frames made by hand (RFC 9113, section 4.1; RFC 7541, appendix A). */
#include "end.h"

struct raw {
    struct end server;
    uint8_t out[65536]; /* what the server said */
    size_t out_len;
};

static void raw_drain(struct raw *r)
{
    ssize_t n;

    do {
        n = gh_h2_write(r->server.h, r->out + r->out_len, sizeof r->out - r->out_len, 0);
        assert_true(n >= 0);
        r->out_len += (size_t)n;
    } while (n > 0);
}

static int frame(struct raw *r, uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t len)
{
    static uint8_t buf[70000];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);
    int rc;

    gh_write_u8(&w, (uint8_t)(len >> 16));
    gh_write_u16(&w, (uint16_t)len);
    gh_write_u8(&w, type);
    gh_write_u8(&w, flags);
    gh_write_u32(&w, id);
    gh_write_bytes(&w, payload, len);
    assert_false(w.failed);
    rc = gh_h2_feed(r->server.h, gh_span_of(buf, gh_writer_len(&w)), 0);
    raw_drain(r);
    return rc;
}

static struct raw *raw_open(void)
{
    struct raw *r = calloc(1, sizeof *r);

    assert_non_null(r);
    end_open(&r->server, true, 0, 0);
    assert_int_equal(gh_h2_feed(r->server.h, gh_span_str("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0), 0);
    assert_int_equal(frame(r, 4, 0, 0, "", 0), 0);
    return r;
}

static void raw_close(struct raw *r)
{
    gh_h2_destroy(r->server.h);
    free(r);
}

/* The error code of the last RST_STREAM (3) or GOAWAY (7) that the server sent; -1 when there was none. */
static int64_t said(const struct raw *r, uint8_t want)
{
    struct gh_reader in = gh_reader_of(gh_span_of(r->out, r->out_len));
    int64_t code = -1;

    while (gh_reader_left(&in) > 0) {
        uint32_t len = (uint32_t)gh_read_u8(&in) << 16;
        struct gh_reader payload;
        uint8_t type;

        len |= gh_read_u16(&in);
        type = gh_read_u8(&in);
        gh_read_u8(&in);
        gh_read_u32(&in);
        payload = gh_reader_of(gh_read_span(&in, len));
        assert_false(in.failed);
        if (type == 7)
            gh_read_u32(&payload);
        if (type == want)
            code = gh_read_u32(&payload);
    }
    return code;
}

#define GET_A "\x82\x87\x84\x41\x01""a" /* :method GET, :scheme https, :path /, :authority a */

static void floods_are_told_to_calm_down(void **state)
{
    static const struct {
        uint8_t type, flags;
        uint32_t id;
        const char *payload;
        size_t len;
        bool after_request;
    } rows[] = {
        { 4, 0, 0, "", 0, false },                                  /* SETTINGS */
        { 6, 0, 0, "12345678", 8, false },                          /* PING */
        { 2, 0, 1, "\0\0\0\0\x10", 5, false },                      /* PRIORITY */
        { 0, 0, 1, "", 0, true },                                   /* empty DATA */
        { 0xbe, 0, 0, "?", 1, false },                              /* unknown */
        { 8, 0, 0, "\0\0\0\x01", 4, false },                        /* WINDOW_UPDATE */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct raw *r = raw_open();
        unsigned n = 0;

        if (rows[i].after_request)
            assert_int_equal(frame(r, 1, 4, 1, GET_A, 6), 0);
        r->out_len = 0;
        while (n < 5000 && frame(r, rows[i].type, rows[i].flags, rows[i].id, rows[i].payload, rows[i].len) == 0) {
            n++;
            r->out_len = r->out_len > 30000 ? 0 : r->out_len;
        }
        if (n < 400 || n >= 600 || said(r, 7) != GH_H2_ENHANCE_YOUR_CALM)
            fail_msg("row %zu: %u frames, GOAWAY %lld", i, n, (long long)said(r, 7));
        assert_int_equal(gh_h2_counters(r->server.h)->floods, 1);
        assert_true(gh_h2_is_over(r->server.h));
        assert_int_equal(gh_h2_code(r->server.h), GH_H2_ENHANCE_YOUR_CALM);
        raw_close(r);
    }
}

static void streams_begun_and_reset_at_once_are_a_flood(void **state)
{
    struct raw *r = raw_open();
    uint32_t id = 1;

    (void)state;
    r->server.keep_open = true;
    while (id < 10000 && frame(r, 1, 5, id, GET_A, 6) == 0 && frame(r, 3, 0, id, "\0\0\0\x08", 4) == 0)
        id += 2;
    assert_in_range(id, 300, 500); /* 200 streams */
    assert_int_equal(said(r, 7), GH_H2_ENHANCE_YOUR_CALM);
    raw_close(r);
}

/* CVE-2025-8671: the peer makes us do the resetting. */
static void streams_that_must_be_reset_are_a_flood_too(void **state)
{
    struct raw *r = raw_open();
    uint32_t id = 1;

    (void)state;
    r->server.keep_open = true;
    while (id < 10000 && frame(r, 1, 4, id, GET_A, 6) == 0 && frame(r, 8, 0, id, "\x7f\xff\xff\xff", 4) == 0)
        id += 2;
    assert_in_range(id, 300, 500);
    assert_int_equal(said(r, 7), GH_H2_ENHANCE_YOUR_CALM);
    raw_close(r);
}

static void a_head_in_endless_continuations_is_a_flood(void **state)
{
    struct raw *r = raw_open();
    unsigned n = 0;

    (void)state;
    assert_int_equal(frame(r, 1, 1, 1, GET_A, 6), 0);
    while (n < 5000 && frame(r, 9, 0, 1, "", 0) == 0)
        n++;
    assert_true(n < 600);
    assert_int_equal(said(r, 7), GH_H2_ENHANCE_YOUR_CALM);
    assert_int_equal(gh_h2_counters(r->server.h)->floods, 1);
    raw_close(r);
}

static void a_head_above_the_limit_costs_its_stream(void **state)
{
    struct raw *r = raw_open();
    static uint8_t head[4096 + 6] = GET_A;
    size_t at = 6;
    char name[8];

    (void)state;
    for (int i = 0; i < 65; i++) { /* literal without indexing */
        snprintf(name, sizeof name, "f%02d", i);
        head[at++] = 0x00;
        head[at++] = 3;
        memcpy(head + at, name, 3);
        at += 3;
        head[at++] = 1;
        head[at++] = 'v';
    }
    assert_int_equal(frame(r, 1, 5, 1, head, at), 0);
    assert_int_equal(said(r, 3), GH_H2_ENHANCE_YOUR_CALM);
    assert_int_equal(r->server.requests, 0);
    assert_int_equal(frame(r, 1, 5, 3, GET_A, 6), 0);
    assert_int_equal(r->server.requests, 1);
    raw_close(r);
}

static void malformed_messages_cost_their_stream_alone(void **state)
{
    static const struct {
        const char *head;
        size_t len;
    } rows[] = {
#define ROW(text) { text, sizeof text - 1 }
        ROW("\x82\x87\x84\x41\x01""a\x00\x01""X\x01""b"),          /* a capital in a name */
        ROW("\x82\x87\x84\x41\x01""a\x00\x03""a b\x01""b"),        /* a blank in a name */
        ROW("\x82\x87\x84\x41\x01""a\x00\x01""a\x03""b\rc"),       /* CR in a value */
        ROW("\x82\x87\x84\x41\x01""a\x00\x01""a\x01\x7f"),         /* DEL */
        ROW("\x82\x87\x84\x41\x01""a\x00\x01""a\x02""b "),         /* a blank at the end */
        ROW("\x82\x87\x84\x41\x01""a\x00\x0a""connection\x05""close"),
        ROW("\x82\x87\x84\x41\x01""a\x00\x11""transfer-encoding\x07""chunked"),
        ROW("\x82\x87\x41\x01""a"),                                /* no :path */
        ROW("\x82\x82\x87\x84\x41\x01""a"),                        /* :method twice */
        ROW("\x82\x87\x84\x41\x01""a\x00\x04:foo\x01""b"),         /* a pseudo-field that nobody knows */
        ROW("\x82\x87\x84\x00\x01""a\x01""b\x41\x01""a"),          /* a pseudo-field behind a field */
        ROW("\x02\x07""CONNECT\x87\x84\x41\x01""a"),               /* :scheme and :path without :protocol */
        ROW("\x02\x07""CONNECT\x87\x41\x01""a\x00\x09:protocol\x01""x"), /* :protocol without :path */
        ROW("\x82\x87\x84\x41\x01""a\x00\x09:protocol\x01""x"),    /* :protocol without CONNECT */
#undef ROW
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct raw *r = raw_open();

        if (frame(r, 1, 4, 1, rows[i].head, rows[i].len) != 0 || said(r, 3) != GH_H2_PROTOCOL_ERROR)
            fail_msg("row %zu: RST_STREAM %lld, GOAWAY %lld", i, (long long)said(r, 3), (long long)said(r, 7));
        assert_int_equal(r->server.requests, 0);
        assert_int_equal(gh_h2_counters(r->server.h)->malformed, 1);
        assert_int_equal(frame(r, 1, 5, 3, GET_A, 6), 0);
        assert_int_equal(r->server.requests, 1);
        raw_close(r);
    }
}

static void what_breaks_the_connection_is_named(void **state)
{
    static const struct {
        uint8_t type, flags;
        uint32_t id;
        const char *payload;
        size_t len;
        uint32_t code;
    } rows[] = {
        { 0, 0, 1, "x", 1, GH_H2_PROTOCOL_ERROR },             /* DATA on an idle stream */
        { 4, 0, 0, "\0\x02\0\0\0\x02", 6, GH_H2_PROTOCOL_ERROR }, /* ENABLE_PUSH 2 */
        { 4, 0, 0, "\0\x04\xff\xff\xff\xff", 6, GH_H2_FLOW_CONTROL_ERROR },
        { 6, 0, 0, "1234567", 7, GH_H2_FRAME_SIZE_ERROR },
        { 1, 4, 2, GET_A, 6, GH_H2_PROTOCOL_ERROR },           /* an even stream from a client */
        { 1, 4, 1, "\xff\xff\xff\xff\xff\xff", 6, GH_H2_COMPRESSION_ERROR },
        { 5, 4, 1, "\0\0\0\x02\x82", 5, GH_H2_PROTOCOL_ERROR }, /* PUSH_PROMISE from a client */
        { 9, 4, 1, GET_A, 6, GH_H2_PROTOCOL_ERROR },           /* CONTINUATION of nothing */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct raw *r = raw_open();

        frame(r, rows[i].type, rows[i].flags, rows[i].id, rows[i].payload, rows[i].len);
        if (said(r, 7) != rows[i].code)
            fail_msg("row %zu: GOAWAY %lld", i, (long long)said(r, 7));
        assert_true(gh_h2_is_over(r->server.h));
        assert_int_equal(gh_h2_code(r->server.h), rows[i].code);
        raw_close(r);
    }
}

static void another_protocol_is_over_at_once(void **state)
{
    struct end e = { 0 };

    (void)state;
    end_open(&e, true, 0, 0);
    assert_int_equal(gh_h2_feed(e.h, gh_span_str("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0), GH_ERR_PROTOCOL);
    assert_int_equal(gh_h2_feed(e.h, gh_span_str("x"), 0), GH_ERR_CLOSED);
    gh_h2_destroy(e.h);
}

static void trailers_and_padding_are_passed_over(void **state)
{
    struct raw *r = raw_open();

    (void)state;
    r->server.keep_open = true;
    assert_int_equal(frame(r, 1, 4, 1, "\x83\x87\x84\x41\x01""a", 6), 0);
    assert_int_equal(frame(r, 0, 8, 1, "\x03""abc\0\0\0", 7), 0);
    assert_int_equal(frame(r, 1, 5, 1, "\x00\x01""t\x01""v", 5), 0);
    assert_string_equal(r->server.body, "abc");
    assert_int_equal(r->server.ends, 1);
    assert_int_equal(r->server.requests, 1);
    assert_int_equal(said(r, 3), -1);
    raw_close(r);
}

static void a_client_does_not_ask_for_a_tunnel_that_the_server_does_not_offer(void **state)
{
    struct end e = { 0 };
    struct gh_http_head head = head_of("CONNECT", "connect-ip");
    struct gh_h2_stream *s;

    (void)state;
    end_open(&e, false, 0, 0);
    assert_int_equal(gh_h2_feed(e.h, gh_span_of("\0\0\0\x04\0\0\0\0\0", 9), 0), 0);
    assert_int_equal(e.settings, 1);
    assert_false(gh_h2_peer_connect(e.h));
    assert_int_equal(gh_h2_request(e.h, &head, false, &s), GH_ERR_STATE);
    head = head_of("GET", "");
    assert_int_equal(gh_h2_request(e.h, &head, true, &s), 0);
    gh_h2_destroy(e.h);
}

static void requests_beyond_the_goaway_are_refused_without_harm(void **state)
{
    struct end e = { 0 };
    struct gh_http_head head = head_of("GET", "");
    struct gh_h2_stream *s;
    uint8_t buf[4096];

    (void)state;
    end_open(&e, false, 0, 0);
    assert_int_equal(gh_h2_feed(e.h, gh_span_of("\0\0\0\x04\0\0\0\0\0", 9), 0), 0);
    assert_int_equal(gh_h2_request(e.h, &head, true, &s), 0);
    assert_true(gh_h2_write(e.h, buf, sizeof buf, 0) > 0);
    assert_int_equal(gh_h2_request(e.h, &head, true, &s), 0); /* still with us */
    assert_int_equal(gh_h2_feed(e.h, gh_span_of("\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0", 17), 0), 0);
    assert_int_equal(e.goaways, 1);
    while (gh_h2_write(e.h, buf, sizeof buf, 0) > 0)
        ;
    assert_int_equal(e.closed, 2);
    assert_int_equal(e.code, GH_H2_REFUSED_STREAM);
    assert_true(gh_h2_is_over(e.h));
    gh_h2_destroy(e.h);
}

#define T cmocka_unit_test

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(floods_are_told_to_calm_down),
        T(streams_begun_and_reset_at_once_are_a_flood),
        T(streams_that_must_be_reset_are_a_flood_too),
        T(a_head_in_endless_continuations_is_a_flood),
        T(a_head_above_the_limit_costs_its_stream),
        T(malformed_messages_cost_their_stream_alone),
        T(what_breaks_the_connection_is_named),
        T(another_protocol_is_over_at_once),
        T(trailers_and_padding_are_passed_over),
        T(a_client_does_not_ask_for_a_tunnel_that_the_server_does_not_offer),
        T(requests_beyond_the_goaway_are_refused_without_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
