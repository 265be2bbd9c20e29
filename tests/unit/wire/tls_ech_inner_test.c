#include "wire/tls_hello.h"

#include "base/hex.h"

#include "hello_make.h"
#include "hellos.h"

struct inner {
    struct extension list[5]; /* up to the first without data */
    struct gh_span session_id, padding;
};

#define OUTER { GH_TLS_ECH, { (const uint8_t *)"\x00\x00\x01\x00\x01\x07\x00\x01x\x00\x01y", 12 } }

static const struct extension outer_list[] = {
    { GH_TLS_SERVER_NAME, { (const uint8_t *)"\x00\x10\x00\x00\x0d" "cover.example", 18 } },
    { GH_TLS_ALPN, { (const uint8_t *)"\x00\x03\x02h2", 5 } },
    { GH_TLS_SUPPORTED_GROUPS, { (const uint8_t *)"\x00\x02\x00\x1d", 4 } },
    { GH_TLS_KEY_SHARE, { (const uint8_t *)"\x00\x05\x00\x1d\x00\x01\x09", 7 } },
    OUTER,
    { 0x7777, { (const uint8_t *)"unknown", 7 } },
};

/* What every inner hello has. */
#define TLS13 { GH_TLS_SUPPORTED_VERSIONS, { (const uint8_t *)"\x02\x03\x04", 3 } }
#define INNER { GH_TLS_ECH, { (const uint8_t *)"\x01", 1 } }
#define NAME { GH_TLS_SERVER_NAME, { (const uint8_t *)"\x00\x0a\x00\x00\x07" "Own.Org", 12 } }
#define TAKES(text) { GH_TLS_ECH_OUTER_EXTENSIONS, { (const uint8_t *)text, sizeof text - 1 } }
#define LIST(...) { __VA_ARGS__ }
#define NONE { NULL, 0 }

static int parse_inner(const struct inner *in, struct gh_tls_hello *ret, struct gh_tls_hello *ret_outer)
{
    static uint8_t outer[512], encoded[512]; /* what ret borrows */
    struct gh_tls_hello h;
    size_t count = 0, len = make_body(outer, sizeof outer, BYTES("sixteen bytes id"), outer_list, 6);

    assert_int_equal(gh_tls_hello_parse(gh_span_of(outer, len), ret_outer), 0);
    while (in->list[count].data.data)
        count++;
    len = make_body(encoded, sizeof encoded, in->session_id, in->list, count);
    if (in->padding.len > 0)
        memcpy(encoded + len, in->padding.data, in->padding.len);
    h = *ret_outer;
    return gh_tls_ech_inner_parse(gh_span_of(encoded, len + in->padding.len), &h, ret);
}

static void the_inner_hello_of_a_real_client_is_read(void **state)
{
    uint8_t outer_bytes[4096], inner_bytes[512];
    size_t outer_len = strlen(captured[CAPTURED_ECH].hex) / 2, inner_len = strlen(go_ech_inner) / 2;
    struct gh_tls_hello outer, inner;

    (void)state;
    assert_true(gh_hex_decode(gh_span_str(captured[CAPTURED_ECH].hex), GH_HEX_LOWER, outer_bytes, outer_len));
    assert_true(gh_hex_decode(gh_span_str(go_ech_inner), GH_HEX_LOWER, inner_bytes, inner_len));
    assert_int_equal(gh_tls_hello_parse(gh_span_of(outer_bytes + 9, outer_len - 9), &outer), 0);
    assert_string_equal(outer.sni, "cover.example");
    assert_int_equal(gh_tls_ech_inner_parse(gh_span_of(inner_bytes, inner_len), &outer, &inner), 0);
    assert_string_equal(inner.sni, "inner.example.org");
    assert_true(inner.ech.inner_type);
    assert_true(gh_tls_hello_alpn_has(&inner, "h2") && gh_tls_hello_alpn_has(&inner, "http/1.1")); /* taken over */
    assert_true(gh_tls_hello_offers(&inner, 0x0304));
    assert_true(gh_span_equals(inner.key_share, outer.key_share) && inner.key_share.len > 1100);
    assert_true(gh_span_equals(inner.session_id, outer.session_id) && inner.session_id.len == 32);
    assert_false(gh_span_equals(inner.random, outer.random));
    for (size_t n = 0; n < inner.body.len; n++) /* nothing shorter is one */
        assert_int_equal(gh_tls_ech_inner_parse(gh_span_of(inner_bytes, n), &outer, &inner), GH_ERR_MALFORMED);
}

static void the_name_is_the_inner_one_or_by_reference_the_outer_one(void **state)
{
    static const struct inner own = { LIST(NAME, INNER, TLS13, TAKES("\x04\x00\x10\x00\x33")), NONE, NONE };
    static const struct inner taken = { LIST(INNER, TAKES("\x02\x00\x00"), TLS13), NONE, NONE };
    static const struct inner none = { LIST(INNER, TLS13), NONE, NONE };
    struct gh_tls_hello inner, outer;

    (void)state;
    assert_int_equal(parse_inner(&own, &inner, &outer), 0);
    assert_string_equal(inner.sni, "own.org");
    assert_true(gh_tls_hello_alpn_has(&inner, "h2"));
    assert_int_equal(inner.key_share.len, 5);
    assert_int_equal(inner.session_id.len, 16);
    assert_int_equal(parse_inner(&taken, &inner, &outer), 0);
    assert_string_equal(inner.sni, "cover.example");
    assert_int_equal(inner.alpn.len, 0);
    assert_int_equal(parse_inner(&none, &inner, &outer), 0);
    assert_string_equal(inner.sni, "");
}

static void what_RFC_9849_tells_a_server_to_refuse_is_refused(void **state)
{
    static const struct {
        const char *why;
        struct inner in;
        int rc;
    } cases[] = {
        { "padding of zeroes", { LIST(INNER, TLS13), NONE, { (const uint8_t *)"\0\0\0", 3 } }, 0 },
        { "all that can be taken over", { LIST(INNER, TLS13, TAKES("\x0a\x00\x00\x00\x10\x00\x0a\x00\x33\x77\x77")), NONE, NONE }, 0 },
        { "padding that is not zero", { LIST(INNER, TLS13), NONE, { (const uint8_t *)"\0\1\0", 3 } }, GH_ERR_MALFORMED },
        { "a session id of its own", { LIST(INNER, TLS13), { (const uint8_t *)"x", 1 }, NONE }, GH_ERR_MALFORMED },
        { "no ECH extension", { LIST(TLS13), NONE, NONE }, GH_ERR_MALFORMED },
        { "an outer ECH extension", { LIST(OUTER, TLS13), NONE, NONE }, GH_ERR_MALFORMED },
        { "no TLS 1.3", { LIST(INNER, { GH_TLS_SUPPORTED_VERSIONS, { (const uint8_t *)"\x02\x03\x05", 3 } }), NONE, NONE }, GH_ERR_MALFORMED },
        { "no versions", { LIST(INNER), NONE, NONE }, GH_ERR_MALFORMED },
        { "TLS 1.2 too", { LIST(INNER, { GH_TLS_SUPPORTED_VERSIONS, { (const uint8_t *)"\x04\x03\x04\x03\x03", 5 } }), NONE, NONE }, GH_ERR_MALFORMED },
        { "out of order", { LIST(INNER, TLS13, TAKES("\x04\x00\x33\x00\x0a")), NONE, NONE }, GH_ERR_MALFORMED },
        { "twice the same", { LIST(INNER, TLS13, TAKES("\x04\x00\x0a\x00\x0a")), NONE, NONE }, GH_ERR_MALFORMED },
        { "what is not there", { LIST(INNER, TLS13, TAKES("\x02\x00\x2d")), NONE, NONE }, GH_ERR_MALFORMED },
        { "ECH itself", { LIST(INNER, TLS13, TAKES("\x02\xfe\x0d")), NONE, NONE }, GH_ERR_MALFORMED },
        { "two lists", { LIST(INNER, TLS13, TAKES("\x02\x00\x0a"), TAKES("\x02\x00\x33")), NONE, NONE }, GH_ERR_MALFORMED },
        { "an empty list", { LIST(INNER, TLS13, TAKES("\x00")), NONE, NONE }, GH_ERR_MALFORMED },
        { "half a type", { LIST(INNER, TLS13, TAKES("\x03\x00\x0a\x00")), NONE, NONE }, GH_ERR_MALFORMED },
        { "a list cut short", { LIST(INNER, TLS13, TAKES("\x04\x00\x0a")), NONE, NONE }, GH_ERR_MALFORMED },
        { "bytes behind the list", { LIST(INNER, TLS13, TAKES("\x02\x00\x0a\x00")), NONE, NONE }, GH_ERR_MALFORMED },
        { "its own and the outer one", { LIST(NAME, INNER, TLS13, TAKES("\x02\x00\x00")), NONE, NONE }, GH_ERR_MALFORMED },
        { "a second ECH", { LIST(INNER, INNER, TLS13), NONE, NONE }, GH_ERR_MALFORMED },
    };
    struct gh_tls_hello inner, outer;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int rc = parse_inner(&cases[i].in, &inner, &outer);

        if (rc != cases[i].rc)
            fail_msg("%s: %d", cases[i].why, rc);
    }
}

static void the_head_of_an_inner_hello_is_that_of_TLS_13(void **state)
{
    static const struct extension list[] = { INNER, TLS13 };
    struct gh_tls_hello outer = { 0 }, inner;
    uint8_t buf[128];
    size_t len = make_body(buf, sizeof buf, BYTES(""), list, 2);

    (void)state;
    assert_int_equal(gh_tls_ech_inner_parse(gh_span_of(buf, len), &outer, &inner), 0);
    buf[1] = 4; /* legacy_version */
    assert_int_equal(gh_tls_ech_inner_parse(gh_span_of(buf, len), &outer, &inner), GH_ERR_MALFORMED);
    buf[1] = 3;
    buf[42] = 1; /* the one compression method */
    assert_int_equal(gh_tls_ech_inner_parse(gh_span_of(buf, len), &outer, &inner), GH_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_inner_hello_of_a_real_client_is_read),
        cmocka_unit_test(the_name_is_the_inner_one_or_by_reference_the_outer_one),
        cmocka_unit_test(what_RFC_9849_tells_a_server_to_refuse_is_refused),
        cmocka_unit_test(the_head_of_an_inner_hello_is_that_of_TLS_13),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
