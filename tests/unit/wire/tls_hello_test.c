#include "wire/tls_hello.h"

#include "base/hex.h"

#include "hello_make.h"
#include "hellos.h"

static struct gh_span unhex(const char *text, uint8_t *buf, size_t cap)
{
    size_t len = strlen(text) / 2;

    assert_true(len <= cap);
    assert_true(gh_hex_decode(gh_span_str(text), GH_HEX_LOWER, buf, len));
    return gh_span_of(buf, len);
}

/* Parses a body that must be right. */
static struct gh_tls_hello parse(struct gh_span body)
{
    struct gh_tls_hello h;

    assert_int_equal(gh_tls_hello_parse(body, &h), 0);
    return h;
}

static void assert_span(struct gh_span got, const char *text)
{
    assert_int_equal(got.len, strlen(text));
    assert_memory_equal(got.data, text, got.len);
}

/* Reads a stream in one piece, from a block of exactly its size. */
static int read_whole(struct gh_span stream, size_t max, struct gh_tls_hello *ret, size_t *ret_used)
{
    uint8_t *exact = malloc(stream.len ? stream.len : 1);
    struct gh_tls_hello_reader r;
    int rc;

    assert_non_null(exact);
    if (stream.len)
        memcpy(exact, stream.data, stream.len);
    gh_tls_hello_reader_init(&r, max);
    rc = gh_tls_hello_read(&r, gh_span_of(exact, stream.len), ret);
    *ret_used = gh_tls_hello_used(&r);
    gh_tls_hello_reader_fini(&r);
    free(exact);
    return rc;
}

static int verdict(struct gh_span stream, size_t max)
{
    struct gh_tls_hello h;
    size_t used;

    return read_whole(stream, max, &h, &used);
}

static void hellos_of_real_clients_are_read(void **state)
{
    uint8_t buf[4096];

    (void)state;
    for (size_t i = 0; i < sizeof captured / sizeof captured[0]; i++) {
        const struct captured *c = &captured[i];
        struct gh_span stream = unhex(c->hex, buf, sizeof buf);
        struct gh_tls_hello_reader r;
        struct gh_tls_hello h;

        gh_tls_hello_reader_init(&r, 0);
        assert_int_equal(gh_tls_hello_read(&r, stream, &h), 1);
        assert_int_equal(gh_tls_hello_used(&r), stream.len);
        assert_ptr_equal(h.body.data, buf + 9); /* in one record: nothing is copied */
        assert_null(r.copy);
        assert_string_equal(h.sni, c->sni);
        assert_int_equal(h.legacy_version, 0x0303);
        assert_int_equal(gh_tls_hello_offers(&h, 0x0304), c->tls13);
        assert_true(gh_tls_hello_offers(&h, 0x0303) || c->ech);
        assert_int_equal(gh_tls_hello_alpn_has(&h, "h2"), c->h2);
        assert_int_equal(gh_tls_hello_alpn_has(&h, "http/1.1"), c->h1);
        assert_int_equal(h.ech.present, c->ech);
        assert_false(h.ech.malformed || h.ech.inner_type || h.early_data || h.psk);
        assert_int_equal(h.key_share.len > 1100, c->post_quantum);
        gh_tls_hello_reader_fini(&r);
    }
}

static void a_hello_may_be_cut_anywhere(void **state)
{
    uint8_t buf[4096];

    (void)state;
    for (size_t i = 0; i < sizeof captured / sizeof captured[0]; i++) {
        struct gh_span stream = unhex(captured[i].hex, buf, sizeof buf);

        for (size_t cut = 0; cut < stream.len; cut++) {
            struct gh_tls_hello_reader r;
            struct gh_tls_hello h;

            gh_tls_hello_reader_init(&r, 0);
            assert_int_equal(gh_tls_hello_read(&r, gh_span_of(buf, cut), &h), 0);
            assert_int_equal(gh_tls_hello_read(&r, stream, &h), 1);
            assert_string_equal(h.sni, captured[i].sni);
            gh_tls_hello_reader_fini(&r);
        }
    }
}

static void a_hello_may_come_in_any_records_byte_by_byte(void **state)
{
    static const size_t pieces[] = { 1, 2, 3, 4, 5, 7, 64, 300, 1000 };
    uint8_t buf[4096], *stream = malloc(65536);

    (void)state;
    assert_non_null(stream);
    for (size_t i = 0; i < sizeof captured / sizeof captured[0]; i++) {
        struct gh_span one = unhex(captured[i].hex, buf, sizeof buf), body = gh_span_of(one.data + 9, one.len - 9);

        for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
            size_t len = make_records(stream, 65536, body, pieces[p]);
            struct gh_tls_hello_reader r;
            struct gh_tls_hello h, alone = parse(body);

            gh_tls_hello_reader_init(&r, 0);
            for (size_t n = 0; n < len; n++)
                assert_int_equal(gh_tls_hello_read(&r, gh_span_of(stream, n), &h), 0);
            assert_int_equal(gh_tls_hello_read(&r, gh_span_of(stream, len), &h), 1);
            assert_int_equal(gh_tls_hello_used(&r), len);
            assert_true(gh_span_equals(h.body, body) && gh_span_equals(h.random, alone.random));
            assert_true(gh_span_equals(h.ech.payload, alone.ech.payload));
            assert_string_equal(h.sni, captured[i].sni);
            gh_tls_hello_reader_fini(&r);
        }
    }
    free(stream);
}

/* 60 KiB of session ticket: a hello that no single record can hold */
static void a_hello_may_be_larger_than_a_record(void **state)
{
    uint8_t *ticket = calloc(1, 60000), *body = malloc(65000), *stream = malloc(70000);
    struct extension list[] = { { GH_TLS_SESSION_TICKET, gh_span_of(ticket, 60000) },
                                { GH_TLS_SERVER_NAME, BYTES("\x00\x0e\x00\x00\x0b" "far.example") } };
    struct gh_tls_hello_reader r;
    struct gh_tls_hello h;
    size_t len;

    (void)state;
    assert_true(ticket && body && stream);
    len = make_body(body, 65000, BYTES(""), list, 2);
    len = make_records(stream, 70000, gh_span_of(body, len), GH_TLS_RECORD_MAX);
    gh_tls_hello_reader_init(&r, 0);
    assert_int_equal(gh_tls_hello_read(&r, gh_span_of(stream, len - 1), &h), 0);
    memmove(stream + 1, stream, len); /* what was peeked may move */
    assert_int_equal(gh_tls_hello_read(&r, gh_span_of(stream + 1, len), &h), 1);
    assert_string_equal(h.sni, "far.example");
    assert_ptr_equal(h.body.data, r.copy);
    gh_tls_hello_reader_fini(&r);
    free(ticket);
    free(body);
    free(stream);
}

static void what_follows_the_hello_is_not_looked_at(void **state)
{
    uint8_t buf[4096], two[4096];
    struct gh_span one = unhex(captured[0].hex, buf, sizeof buf - 64);
    struct gh_tls_hello h;
    size_t used;

    (void)state;
    memset(buf + one.len, 0xff, 64); /* early data, rubbish: not ours to judge */
    assert_int_equal(read_whole(gh_span_of(buf, one.len + 64), 0, &h, &used), 1);
    assert_int_equal(used, one.len);
    memcpy(two, buf, one.len); /* another message in the hello's record belongs to the flight too */
    memset(two + one.len, 0xff, 8);
    two[3] = (uint8_t)((one.len - 5 + 8) >> 8);
    two[4] = (uint8_t)(one.len - 5 + 8);
    assert_int_equal(verdict(gh_span_of(two, one.len + 7), 0), 0);
    assert_int_equal(read_whole(gh_span_of(two, one.len + 8), 0, &h, &used), 1);
    assert_int_equal(used, one.len + 8);
}

static void what_is_not_TLS_is_known_by_its_first_bytes(void **state)
{
    static const char *const others[] = { "GET / HTTP/1.1\r\n", "SSH-2.0-x\r\n", "PRI * HTTP/2.0", "\x80\x2e\x01\x03\x01", "\x17\x03\x03", "\x14\x03\x03",
                                          "\x15\x03\x01", "\x16\x02", "\x16\x04\x01", "\x18\x03\x02" };

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(verdict(gh_span_str(others[i]), 0), GH_ERR_UNSUPPORTED);
    assert_int_equal(verdict(BYTES(""), 0), 0);
    assert_int_equal(verdict(BYTES("\x16"), 0), 0);
    assert_int_equal(verdict(BYTES("\x16\x03\x00\x40\x00\x01"), 0), 0);
}

static void records_that_a_server_would_not_read_on_are_malformed(void **state)
{
    (void)state;
    assert_int_equal(verdict(BYTES("\x16\x03\x01\x40\x01"), 0), GH_ERR_MALFORMED);                     /* 16,385 */
    assert_int_equal(verdict(BYTES("\x16\x03\x01\x00\x01\x02"), 0), GH_ERR_MALFORMED);                 /* a ServerHello */
    assert_int_equal(verdict(BYTES("\x16\x03\x01\x00\x01\x01\x14\x03\x03"), 0), GH_ERR_MALFORMED);     /* then a CCS */
    assert_int_equal(verdict(BYTES("\x16\x03\x01\x00\x01\x01\x16\x02"), 0), GH_ERR_MALFORMED);         /* then SSL 2 */
    assert_int_equal(verdict(BYTES("\x16\x03\x01\x00\x04\x01\x00\x00\x00"), 0), GH_ERR_MALFORMED);     /* an empty hello */
}

static void thirty_two_empty_records_are_read_and_no_more(void **state)
{
    static const uint8_t empty[5] = { 22, 3, 1, 0, 0 };
    uint8_t buf[8192], one_buf[4096];
    struct gh_span one = unhex(captured[0].hex, one_buf, sizeof one_buf);
    size_t len = 0;

    (void)state;
    for (unsigned i = 0; i < 32; i++, len += 5)
        memcpy(buf + len, empty, 5);
    memcpy(buf + len, one.data, one.len);
    assert_int_equal(verdict(gh_span_of(buf, len + one.len), 0), 1);
    memcpy(buf + len, empty, 5);
    assert_int_equal(verdict(gh_span_of(buf, len), 0), 0);
    assert_int_equal(verdict(gh_span_of(buf, len + 5), 0), GH_ERR_MALFORMED);
}

static void a_hello_above_the_limit_is_refused_as_soon_as_it_says_so(void **state)
{
    uint8_t buf[4096], stream[32768];
    struct gh_span one = unhex(captured[0].hex, buf, sizeof buf), body = gh_span_of(one.data + 9, one.len - 9);
    size_t len = make_records(stream, sizeof stream, body, 1);

    (void)state;
    assert_int_equal(verdict(one, one.len), 1);
    assert_int_equal(verdict(one, one.len - 1), GH_ERR_TOO_LONG);
    assert_int_equal(verdict(gh_span_of(buf, 5), one.len - 1), GH_ERR_TOO_LONG);
    assert_int_equal(verdict(gh_span_of(stream, len), len), 1);
    assert_int_equal(verdict(gh_span_of(stream, len), len - 1), GH_ERR_TOO_LONG); /* headers count */
    /* the message says more than its first record */
    assert_int_equal(verdict(BYTES("\x16\x03\x01\x00\x04\x01\x01\x00\x00"), 65536), GH_ERR_TOO_LONG);
    assert_int_equal(verdict(BYTES("\x16\x03\x01\x00\x04\x01\x00\xff\xf7"), 65536), 0);
    assert_int_equal(verdict(BYTES("\x16\x03\x01\x00\x04\x01\x02\x01\x45"), 1 << 20), GH_ERR_TOO_LONG); /* above what OpenSSL reads */
    assert_int_equal(verdict(BYTES("\x16\x03\x01\x00\x04\x01\x02\x01\x44"), 1 << 20), 0);
}

static void an_error_of_the_reader_stays(void **state)
{
    uint8_t buf[4096];
    struct gh_span one = unhex(captured[0].hex, buf, sizeof buf);
    struct gh_tls_hello_reader r;
    struct gh_tls_hello h;

    (void)state;
    gh_tls_hello_reader_init(&r, 0);
    assert_int_equal(gh_tls_hello_read(&r, BYTES("\x15"), &h), GH_ERR_UNSUPPORTED);
    assert_int_equal(gh_tls_hello_read(&r, one, &h), GH_ERR_UNSUPPORTED);
    gh_tls_hello_reader_fini(&r);
    gh_tls_hello_reader_fini(NULL);
}

/* Not a prefix of a body, and not a body with a byte more, is a hello; but one that ends before its extensions is. */
static void a_body_is_read_to_its_last_byte_and_no_further(void **state)
{
    uint8_t buf[4096];
    struct gh_span one, body;
    struct gh_tls_hello h;
    size_t before_extensions;

    (void)state;
    for (size_t i = 0; i < sizeof captured / sizeof captured[0]; i++) {
        one = unhex(captured[i].hex, buf, sizeof buf - 1);
        body = gh_span_of(one.data + 9, one.len - 9);
        before_extensions = (size_t)(parse(body).extensions.data - body.data) - 2;
        for (size_t n = 0; n < body.len; n++) {
            uint8_t *exact = malloc(n ? n : 1);

            assert_non_null(exact);
            memcpy(exact, body.data, n);
            assert_int_equal(gh_tls_hello_parse(gh_span_of(exact, n), &h), n == before_extensions ? 0 : GH_ERR_MALFORMED);
            free(exact);
        }
        buf[one.len] = 0;
        assert_int_equal(gh_tls_hello_parse(gh_span_of(body.data, body.len + 1), &h), GH_ERR_MALFORMED);
    }
}

static void a_session_id_has_32_bytes_at_most(void **state)
{
    uint8_t buf[256], id[33] = { 0 };
    struct gh_tls_hello h;
    size_t len = make_body(buf, sizeof buf, gh_span_of(id, 32), NULL, 0);

    (void)state;
    assert_int_equal(parse(gh_span_of(buf, len)).session_id.len, 32);
    len = make_body(buf, sizeof buf, gh_span_of(id, 33), NULL, 0);
    assert_int_equal(gh_tls_hello_parse(gh_span_of(buf, len), &h), GH_ERR_MALFORMED);
}

static void a_known_extension_comes_once_and_an_unknown_one_as_often_as_it_likes(void **state)
{
    uint8_t buf[256];
    struct gh_tls_hello h;

    (void)state;
    for (uint32_t type = 0; type <= UINT16_MAX; type++) {
        struct extension list[] = { { (uint16_t)type, BYTES("\x01") }, { (uint16_t)type, BYTES("\x01") } };
        /* what an OpenSSL server refuses, whatever it was built with: tests/unit/crypto/tls_hello_openssl_test.c compares */
        bool known = type == 0 || type == 1 || type == 10 || type == 11 || type == 13 || type == 14 || type == 16 || (type >= 19 && type <= 23) ||
                     type == 27 || type == 35 || (type >= 41 && type <= 45) || type == 47 || (type >= 49 && type <= 51) || type == 0xfd00 ||
                     type == 0xfde8 || type == 0xfe0d || type == 0xff01;
        size_t len = make_body(buf, sizeof buf, BYTES(""), list, 2);

        assert_int_equal(gh_tls_hello_parse(gh_span_of(buf, len), &h), known ? GH_ERR_MALFORMED : 0);
        len = make_body(buf, sizeof buf, BYTES(""), list, 1);
        assert_int_equal(gh_tls_hello_parse(gh_span_of(buf, len), &h), 0);
    }
}

static void pre_shared_key_is_the_last_extension(void **state)
{
    struct extension list[] = { { GH_TLS_EARLY_DATA, BYTES("") }, { GH_TLS_PRE_SHARED_KEY, BYTES("x") }, { 0x1234, BYTES("") } };
    uint8_t buf[256];
    struct gh_tls_hello h;
    size_t len = make_body(buf, sizeof buf, BYTES(""), list, 2);

    (void)state;
    h = parse(gh_span_of(buf, len));
    assert_true(h.psk && h.early_data);
    len = make_body(buf, sizeof buf, BYTES(""), list, 3);
    assert_int_equal(gh_tls_hello_parse(gh_span_of(buf, len), &h), GH_ERR_MALFORMED);
}

static void a_server_name_is_one_host_name_or_none(void **state)
{
    static const struct {
        struct gh_span data;
        const char *sni;
    } cases[] = {
        { { (const uint8_t *)"\x00\x08\x00\x00\x05" "a.b.c", 10 }, "a.b.c" },
        { { (const uint8_t *)"\x00\x09\x00\x00\x06" "A.b.C.", 11 }, "a.b.c" },          /* case and one dot do not count */
        { { (const uint8_t *)"\x00\x08\x00\x00\x05" "_x-1z", 10 }, "_x-1z" },
        { { (const uint8_t *)"\x00\x09\x00\x00\x06" "a.b.c.", 10 }, "" },               /* cut */
        { { (const uint8_t *)"\x00\x07\x00\x00\x05" "a.b.c", 10 }, "" },                /* lengths that disagree */
        { { (const uint8_t *)"\x00\x08\x00\x00\x04" "a.b.c", 10 }, "" },
        { { (const uint8_t *)"\x00\x08\x01\x00\x05" "a.b.c", 10 }, "" },                /* another type of name */
        { { (const uint8_t *)"\x00\x0c\x00\x00\x03" "a.b\x00\x00\x03" "c.d", 14 }, "" }, /* two */
        { { (const uint8_t *)"\x00\x03\x00\x00\x00", 5 }, "" },
        { { (const uint8_t *)"\x00\x00", 2 }, "" },
        { { (const uint8_t *)"", 0 }, "" },
        { { (const uint8_t *)"\x00\x08\x00\x00\x05" "a\0b.c", 10 }, "" },
        { { (const uint8_t *)"\x00\x08\x00\x00\x05" "a..bc", 10 }, "" },
        { { (const uint8_t *)"\x00\x08\x00\x00\x05" ".a.bc", 10 }, "" },
        { { (const uint8_t *)"\x00\x04\x00\x00\x01" ".", 6 }, "" },
        { { (const uint8_t *)"\x00\x08\x00\x00\x05" "a.b..", 10 }, "" },
        { { (const uint8_t *)"\x00\x0c\x00\x00\x09" "192.0.2.1", 14 }, "" },            /* an address: RFC 6066, section 3 */
        { { (const uint8_t *)"\x00\x06\x00\x00\x03" "::1", 8 }, "" },
        { { (const uint8_t *)"\x00\x08\x00\x00\x05" "a b.c", 10 }, "" },
        { { (const uint8_t *)"\x00\x08\x00\x00\x05" "\xc3\xa4.bc", 10 }, "" },
    };
    uint8_t buf[256];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct extension list[] = { { GH_TLS_SERVER_NAME, cases[i].data } };
        size_t len = make_body(buf, sizeof buf, BYTES(""), list, 1);
        struct gh_tls_hello h = parse(gh_span_of(buf, len));

        assert_string_equal(h.sni, cases[i].sni);
        assert_true(gh_span_equals(h.server_name, cases[i].data));
    }
}

static void a_host_name_has_the_lengths_of_DNS(void **state)
{
    char name[300], ret[GH_TLS_NAME_MAX] = "untouched";

    (void)state;
    memset(name, 'a', sizeof name);
    assert_int_equal(gh_tls_host_name(gh_span_of(name, 63), ret), 0);
    assert_int_equal(strlen(ret), 63);
    assert_int_equal(gh_tls_host_name(gh_span_of(name, 64), ret), GH_ERR_MALFORMED);
    assert_int_equal(strlen(ret), 63);
    for (unsigned i = 49; i < sizeof name; i += 50)
        name[i] = '.';
    assert_int_equal(gh_tls_host_name(gh_span_of(name, 253), ret), 0);
    assert_int_equal(strlen(ret), 253);
    assert_int_equal(gh_tls_host_name(gh_span_of(name, 254), ret), GH_ERR_MALFORMED);
    name[253] = '.';
    assert_int_equal(gh_tls_host_name(gh_span_of(name, 254), ret), 0);
    assert_int_equal(strlen(ret), 253);
    assert_int_equal(gh_tls_host_name(gh_span_of(name, 255), ret), GH_ERR_MALFORMED);
}

static void a_malformed_alpn_offers_nothing(void **state)
{
    static const struct {
        struct gh_span data;
        bool h2;
        size_t len;
    } cases[] = {
        { { (const uint8_t *)"\x00\x03\x02h2", 5 }, true, 3 },
        { { (const uint8_t *)"\x00\x0c\x02h2\x08http/1.1", 14 }, true, 12 },
        { { (const uint8_t *)"\x00\x0c\x08http/1.1\x02h3", 14 }, false, 12 },
        { { (const uint8_t *)"\x00\x03\x02h2\x00", 6 }, false, 0 },
        { { (const uint8_t *)"\x00\x04\x02h2\x00", 6 }, false, 0 }, /* an empty name */
        { { (const uint8_t *)"\x00\x03\x03h2", 5 }, false, 0 },
        { { (const uint8_t *)"\x00\x05\x02h2", 5 }, false, 0 },
        { { (const uint8_t *)"\x00\x00", 2 }, false, 0 },
        { { (const uint8_t *)"", 0 }, false, 0 },
    };
    uint8_t buf[256];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct extension list[] = { { GH_TLS_ALPN, cases[i].data } };
        size_t len = make_body(buf, sizeof buf, BYTES(""), list, 1);
        struct gh_tls_hello h = parse(gh_span_of(buf, len));

        assert_int_equal(gh_tls_hello_alpn_has(&h, "h2"), cases[i].h2);
        assert_false(gh_tls_hello_alpn_has(&h, "h"));
        assert_int_equal(h.alpn.len, cases[i].len);
    }
}

static void extensions_are_walked_in_their_order(void **state)
{
    struct extension list[] = { { 0x0a0a, BYTES("") }, { GH_TLS_QUIC_PARAMETERS, BYTES("abc") }, { GH_TLS_QUIC_PARAMETERS, BYTES("d") } };
    uint8_t buf[256];
    size_t len = make_body(buf, sizeof buf, BYTES(""), list, 3), count = 0;
    struct gh_tls_hello h = parse(gh_span_of(buf, len));
    struct gh_span at = h.extensions, data;
    uint16_t type;

    (void)state;
    for (; gh_tls_extension_next(&at, &type, &data); count++) {
        assert_int_equal(type, list[count].type);
        assert_true(gh_span_equals(data, list[count].data));
    }
    assert_int_equal(count, 3);
    assert_true(gh_tls_hello_find(&h, GH_TLS_QUIC_PARAMETERS, &data));
    assert_span(data, "abc");
    assert_false(gh_tls_hello_find(&h, GH_TLS_ALPN, &data));
}

static void versions_are_those_of_the_extension_or_else_of_the_head(void **state)
{
    struct extension list[] = { { GH_TLS_SUPPORTED_VERSIONS, BYTES("\x04\x03\x04\x0a\x0a") } };
    uint8_t buf[256];
    size_t len = make_body(buf, sizeof buf, BYTES(""), list, 1);
    struct gh_tls_hello h = parse(gh_span_of(buf, len));

    (void)state;
    assert_true(gh_tls_hello_offers(&h, 0x0304));
    assert_false(gh_tls_hello_offers(&h, 0x0303));
    len = make_body(buf, sizeof buf, BYTES(""), NULL, 0);
    h = parse(gh_span_of(buf, len));
    assert_false(gh_tls_hello_offers(&h, 0x0304));
    assert_true(gh_tls_hello_offers(&h, 0x0303) && gh_tls_hello_offers(&h, 0x0301));
}

static void ECH_has_an_outer_and_an_inner_form(void **state)
{
    static const struct {
        struct gh_span data;
        bool inner, malformed;
    } cases[] = {
        { { (const uint8_t *)"\x00\x00\x01\x00\x03\x2a\x00\x02xy\x00\x03zzz", 15 }, false, false },
        { { (const uint8_t *)"\x00\x00\x01\x00\x03\x2a\x00\x00\x00\x03zzz", 13 }, false, false }, /* after a HelloRetryRequest */
        { { (const uint8_t *)"\x01", 1 }, true, false },
        { { (const uint8_t *)"\x01\x00", 2 }, false, true },
        { { (const uint8_t *)"\x02", 1 }, false, true },
        { { (const uint8_t *)"\x00\x00\x01\x00\x03\x2a\x00\x02xy\x00\x03zz", 14 }, false, true },
        { { (const uint8_t *)"\x00\x00\x01\x00\x03\x2a\x00\x02xy\x00\x03zzzz", 16 }, false, true },
        { { (const uint8_t *)"\x00\x00\x01\x00\x03\x2a\x00\x02xy\x00\x00", 12 }, false, true }, /* payload<1..> */
        { { (const uint8_t *)"\x00", 1 }, false, true },
    };
    uint8_t buf[256];
    struct gh_tls_hello h;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct extension list[] = { { GH_TLS_ECH, cases[i].data } };
        size_t len = make_body(buf, sizeof buf, BYTES(""), list, 1);

        h = parse(gh_span_of(buf, len));
        assert_true(h.ech.present);
        assert_int_equal(h.ech.inner_type, cases[i].inner);
        assert_int_equal(h.ech.malformed, cases[i].malformed);
        if (cases[i].inner || cases[i].malformed) {
            assert_int_equal(h.ech.payload.len + h.ech.enc.len, 0);
            continue;
        }
        assert_int_equal(h.ech.kdf, 1);
        assert_int_equal(h.ech.aead, 3);
        assert_int_equal(h.ech.config_id, 0x2a);
        assert_span(h.ech.payload, "zzz");
        if (i == 0)
            assert_span(h.ech.enc, "xy");
    }
}

static void an_empty_ECH_is_refused_where_OpenSSL_looks_for_it(void **state)
{
    struct extension list[] = { { GH_TLS_ECH, BYTES("") } };
    uint8_t buf[256];
    struct gh_tls_hello h;
    size_t len = make_body(buf, sizeof buf, BYTES(""), list, 1);

    (void)state;
    assert_int_equal(gh_tls_hello_parse(gh_span_of(buf, len), &h), GH_ERR_MALFORMED);
    buf[1] = 2; /* a TLS 1.1 hello */
    assert_int_equal(gh_tls_hello_parse(gh_span_of(buf, len), &h), 0);
    assert_true(h.ech.malformed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellos_of_real_clients_are_read),
        cmocka_unit_test(a_hello_may_be_cut_anywhere),
        cmocka_unit_test(a_hello_may_come_in_any_records_byte_by_byte),
        cmocka_unit_test(a_hello_may_be_larger_than_a_record),
        cmocka_unit_test(what_follows_the_hello_is_not_looked_at),
        cmocka_unit_test(what_is_not_TLS_is_known_by_its_first_bytes),
        cmocka_unit_test(records_that_a_server_would_not_read_on_are_malformed),
        cmocka_unit_test(thirty_two_empty_records_are_read_and_no_more),
        cmocka_unit_test(a_hello_above_the_limit_is_refused_as_soon_as_it_says_so),
        cmocka_unit_test(an_error_of_the_reader_stays),
        cmocka_unit_test(a_body_is_read_to_its_last_byte_and_no_further),
        cmocka_unit_test(a_session_id_has_32_bytes_at_most),
        cmocka_unit_test(a_known_extension_comes_once_and_an_unknown_one_as_often_as_it_likes),
        cmocka_unit_test(pre_shared_key_is_the_last_extension),
        cmocka_unit_test(a_server_name_is_one_host_name_or_none),
        cmocka_unit_test(a_host_name_has_the_lengths_of_DNS),
        cmocka_unit_test(a_malformed_alpn_offers_nothing),
        cmocka_unit_test(extensions_are_walked_in_their_order),
        cmocka_unit_test(versions_are_those_of_the_extension_or_else_of_the_head),
        cmocka_unit_test(ECH_has_an_outer_and_an_inner_form),
        cmocka_unit_test(an_empty_ECH_is_refused_where_OpenSSL_looks_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
