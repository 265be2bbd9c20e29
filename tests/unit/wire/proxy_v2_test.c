/* The headers in hexadecimal were written by the Go package github.com/pires/go-proxyproto 0.8.1. */
#include "wire/proxy_v2.h"

#include "base/hex.h"

#include "../test.h"

static const char tcp4[] = "0d0a0d0a000d0a515549540a2111000cc0000207c6336401c82201bb";
static const char tcp4_named[] = "0d0a0d0a000d0a515549540a2111001dc0000207c6336401c82201bb0100026832020009612e6578616d706c65";
static const char tcp6[] = "0d0a0d0a000d0a515549540a2121002420010db800000000000000000000000720010db8000100000000000000000001c82201bb";
static const char udp4[] = "0d0a0d0a000d0a515549540a2112000cc0000207c6336401c82201bb";
static const char local[] = "0d0a0d0a000d0a515549540a20000000";

static struct gh_ip ip(const char *text)
{
    struct gh_ip a;

    assert_int_equal(gh_ip_parse(text, strlen(text), &a), 0);
    return a;
}

static struct gh_proxy_v2 make(const char *source, const char *destination)
{
    struct gh_proxy_v2 p = { .source_port = 51234, .destination_port = 443 };

    if (source)
        p.source = ip(source);
    if (destination)
        p.destination = ip(destination);
    return p;
}

static void assert_emits(const struct gh_proxy_v2 *p, const char *hex)
{
    uint8_t buf[GH_PROXY_V2_EMIT_MAX];
    char text[2 * sizeof buf + 1];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    assert_int_equal(gh_proxy_v2_emit(&w, p), 0);
    assert_false(w.failed);
    gh_hex_encode(buf, gh_writer_len(&w), text);
    assert_string_equal(text, hex);
}

/* Parses a block of exactly its size. */
static int parse(const char *hex, struct gh_proxy_v2 *ret, size_t *ret_len)
{
    size_t len = strlen(hex) / 2;
    uint8_t *exact = malloc(len ? len : 1);
    int rc;

    assert_non_null(exact);
    assert_true(gh_hex_decode(gh_span_str(hex), GH_HEX_LOWER, exact, len));
    rc = gh_proxy_v2_parse(gh_span_of(exact, len), ret, ret_len);
    if (rc == 1) { /* the spans end here */
        ret->alpn = gh_span_of(NULL, ret->alpn.len);
        ret->authority = gh_span_of(NULL, ret->authority.len);
    }
    free(exact);
    return rc;
}

static void headers_are_those_of_another_implementation(void **state)
{
    struct gh_proxy_v2 p = make("192.0.2.7", "198.51.100.1");

    (void)state;
    assert_emits(&p, tcp4);
    p.alpn = gh_span_str("h2");
    p.authority = gh_span_str("a.example");
    assert_emits(&p, tcp4_named);
    p = make("192.0.2.7", "198.51.100.1");
    p.datagram = true;
    assert_emits(&p, udp4);
    p = make("2001:db8::7", "2001:db8:1::1");
    assert_emits(&p, tcp6);
    p.local = true;
    assert_emits(&p, local);
}

static void a_client_without_an_address_is_unspecified(void **state)
{
    struct gh_proxy_v2 p = make(NULL, "198.51.100.1");

    (void)state;
    assert_emits(&p, "0d0a0d0a000d0a515549540a21000000");
}

static void families_that_differ_meet_in_IPv6(void **state)
{
    struct gh_proxy_v2 p = make("192.0.2.7", "2001:db8:1::1");

    (void)state;
    assert_emits(&p, "0d0a0d0a000d0a515549540a2121002400000000000000000000ffffc000020720010db8000100000000000000000001c82201bb");
}

static void a_name_above_255_bytes_is_no_name(void **state)
{
    uint8_t buf[GH_PROXY_V2_EMIT_MAX], name[256] = { 0 };
    struct gh_writer w = gh_writer_of(buf, sizeof buf);
    struct gh_proxy_v2 p = make("2001:db8::7", "2001:db8:1::1");

    (void)state;
    p.alpn = p.authority = gh_span_of(name, 255);
    assert_int_equal(gh_proxy_v2_emit(&w, &p), 0);
    assert_false(w.failed);
    assert_int_equal(gh_writer_len(&w), 16 + 36 + 2 * 258);
    p.alpn.len = 256;
    assert_int_equal(gh_proxy_v2_emit(&w, &p), GH_ERR_RANGE);
}

static void headers_are_read_back(void **state)
{
    struct gh_proxy_v2 p;
    struct gh_ip source = ip("192.0.2.7"), destination = ip("198.51.100.1"), six = ip("2001:db8::7");
    size_t len;

    (void)state;
    assert_int_equal(parse(tcp4_named, &p, &len), 1);
    assert_int_equal(len, 16 + 12 + 17);
    assert_true(gh_ip_equals(&p.source, &source) && gh_ip_equals(&p.destination, &destination));
    assert_int_equal(p.source_port, 51234);
    assert_int_equal(p.destination_port, 443);
    assert_int_equal(p.alpn.len, 2);
    assert_int_equal(p.authority.len, 9);
    assert_false(p.local || p.datagram);
    assert_int_equal(parse(tcp6, &p, &len), 1);
    assert_true(gh_ip_equals(&p.source, &six));
    assert_int_equal(parse(udp4, &p, &len), 1);
    assert_true(p.datagram);
    assert_int_equal(parse(local, &p, &len), 1);
    assert_true(p.local && p.source.family == 0);
}

static void no_part_of_a_header_is_one(void **state)
{
    const char *const all[] = { tcp4, tcp4_named, tcp6, udp4, local };
    char hex[256];
    struct gh_proxy_v2 p;
    size_t len;

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        for (size_t n = 0; n < strlen(all[i]); n += 2) {
            memcpy(hex, all[i], n);
            hex[n] = 0;
            assert_int_equal(parse(hex, &p, &len), 0);
        }
    }
}

static void what_must_not_be_believed_is_refused(void **state)
{
    static const struct {
        const char *hex;
        int rc;
    } rows[] = {
        { "0d0a0d0a000d0a515549540b", GH_ERR_UNSUPPORTED },
        { "47", GH_ERR_UNSUPPORTED },
        { "0d0a0d0a000d0a515549540a1111000cc0000207c6336401c82201bb", GH_ERR_MALFORMED },     /* version 1 */
        { "0d0a0d0a000d0a515549540a2211000cc0000207c6336401c82201bb", GH_ERR_MALFORMED },     /* a third command */
        { "0d0a0d0a000d0a515549540a2141000cc0000207c6336401c82201bb", GH_ERR_MALFORMED },     /* a fifth family */
        { "0d0a0d0a000d0a515549540a2113000cc0000207c6336401c82201bb", GH_ERR_MALFORMED },
        { "0d0a0d0a000d0a515549540a2111000bc0000207c6336401c82201", GH_ERR_MALFORMED },       /* half a port */
        { "0d0a0d0a000d0a515549540a2121000cc0000207c6336401c82201bb", GH_ERR_MALFORMED },     /* IPv6 in twelve bytes */
        { "0d0a0d0a000d0a515549540a2131000cc0000207c6336401c82201bb", GH_ERR_MALFORMED },     /* a path of UNIX in twelve */
        { "0d0a0d0a000d0a515549540a2111000ec0000207c6336401c82201bb0100", GH_ERR_MALFORMED }, /* half a TLV */
        { "0d0a0d0a000d0a515549540a21110010c0000207c6336401c82201bb01000268", GH_ERR_MALFORMED },
        { "0d0a0d0a000d0a515549540a2111000fc0000207c6336401c82201bb040000", 1 },              /* an empty NOOP */
        { "0d0a0d0a000d0a515549540a21000004ffffffff", 1 },                                    /* unspecified: skipped unread */
        { "0d0a0d0a000d0a515549540a20ff0002ffff", 1 },                                        /* LOCAL: the same */
    };
    struct gh_proxy_v2 p;
    size_t len;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (parse(rows[i].hex, &p, &len) != rows[i].rc)
            fail_msg("row %zu", i);
}

/* CRC-32C, bit by bit as RFC 3720 defines it, reflected at the end: not the loop of the code under test */
static uint32_t crc32c(const uint8_t *data, size_t len)
{
    uint32_t reg = UINT32_MAX, out = 0;

    for (size_t i = 0; i < 8 * len; i++) {
        uint32_t in = data[i / 8] >> (i % 8) & 1;

        reg = reg << 1 ^ ((reg >> 31 ^ in) ? UINT32_C(0x1edc6f41) : 0);
    }
    for (int i = 0; i < 32; i++)
        out |= (reg >> i & 1) << (31 - i);
    return ~out;
}

static void a_checksum_is_checked(void **state)
{
    uint8_t h[35];
    struct gh_proxy_v2 p;
    uint32_t sum;
    size_t len;

    (void)state;
    assert_int_equal(crc32c((const uint8_t *)"123456789", 9), 0xe3069283); /* the check value of the catalogue */
    assert_true(gh_hex_decode(gh_span_str("0d0a0d0a000d0a515549540a21110013c0000207c6336401c82201bb03000400000000"), GH_HEX_LOWER, h, sizeof h));
    sum = crc32c(h, sizeof h);
    for (int i = 0; i < 4; i++)
        h[31 + i] = (uint8_t)(sum >> (24 - 8 * i));
    assert_int_equal(gh_proxy_v2_parse(gh_span_of(h, sizeof h), &p, &len), 1);
    for (size_t i = 16; i < sizeof h; i++) {
        h[i] ^= 1;
        assert_int_equal(gh_proxy_v2_parse(gh_span_of(h, sizeof h), &p, &len), i == 28 ? 1 : GH_ERR_MALFORMED); /* 28: another type */
        h[i] ^= 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_those_of_another_implementation),
        cmocka_unit_test(a_client_without_an_address_is_unspecified),
        cmocka_unit_test(families_that_differ_meet_in_IPv6),
        cmocka_unit_test(a_name_above_255_bytes_is_no_name),
        cmocka_unit_test(headers_are_read_back),
        cmocka_unit_test(no_part_of_a_header_is_one),
        cmocka_unit_test(what_must_not_be_believed_is_refused),
        cmocka_unit_test(a_checksum_is_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
