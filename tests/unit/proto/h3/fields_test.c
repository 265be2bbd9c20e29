/* Characters that make a message malformed (RFC 9114, section 10.3; RFC 9110, section 5.5), found wherever the stream is cut. */
#include "proto/h3/fields.h"

#include "../../test.h"
#include "base/error.h"

/* A frame of another type, then HEADERS with ":method: CONNECT" of the static table and one literal field, then DATA that looks like one. */
static size_t message(uint8_t *buf, const char *name, const char *value)
{
    size_t n = strlen(name), v = strlen(value), at = 0;
    const uint8_t begin[] = { 0x21, 0x02, 0x01, 0x05, 0x01, (uint8_t)(2 + 1 + 1 + n + 1 + v), 0x00, 0x00, 0xcf, (uint8_t)(0x20 | n) };
    const uint8_t end[] = { 0x00, 0x04, 0x01, 0x02, 'a', '\n' };

    memcpy(buf, begin, sizeof begin);
    at = sizeof begin;
    memcpy(buf + at, name, n);
    at += n;
    buf[at++] = (uint8_t)v;
    memcpy(buf + at, value, v);
    at += v;
    memcpy(buf + at, end, sizeof end);
    return at + sizeof end;
}

static void bad_characters_are_malformed_and_nothing_else_is(void **state)
{
    static const struct {
        const char *name, *value;
        int rc;
    } rows[] = {
        { "a", "b", 0 },
        { "a", "b\tc d", 0 },
        { "a", "\xc3\xa4", 0 }, /* obs-text */
        { "a", "", 0 },
        { "a", "b\nc", GH_ERR_MALFORMED },
        { "a", "b\rc", GH_ERR_MALFORMED },
        { "a", "\x7f", GH_ERR_MALFORMED },
        { "a b", "c", GH_ERR_MALFORMED },
        { "a", "b ", GH_ERR_MALFORMED },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t buf[64];
        size_t len = message(buf, rows[i].name, rows[i].value);

        for (size_t piece = 1; piece <= len; piece++) {
            struct gh_h3_fields f = { .len = 0 };
            nghttp3_qpack_decoder *dec;
            int rc = 0;

            assert_int_equal(nghttp3_qpack_decoder_new(&dec, 0, 0, nghttp3_mem_default()), 0);
            for (size_t at = 0; at < len && rc == 0; at += piece)
                rc = gh_h3_fields_feed(&f, dec, 0, gh_span_of(buf + at, len - at < piece ? len - at : piece));
            if (rc != rows[i].rc)
                fail_msg("row %zu, pieces of %zu: %d", i, piece, rc);
            gh_h3_fields_fini(&f);
            nghttp3_qpack_decoder_del(dec);
        }
    }
}

/* What the library refuses by itself is left to it. */
static void a_section_that_cannot_be_decoded_is_not_judged(void **state)
{
    static const uint8_t head[] = { 0x01, 0x03, 0x00, 0x00, 0x80, 0x00, 0x01, 'x' };
    struct gh_h3_fields f = { .len = 0 };
    nghttp3_qpack_decoder *dec;

    (void)state;
    assert_int_equal(nghttp3_qpack_decoder_new(&dec, 0, 0, nghttp3_mem_default()), 0);
    assert_int_equal(gh_h3_fields_feed(&f, dec, 0, gh_span_of(head, sizeof head)), 0);
    gh_h3_fields_fini(&f);
    nghttp3_qpack_decoder_del(dec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_characters_are_malformed_and_nothing_else_is),
        cmocka_unit_test(a_section_that_cannot_be_decoded_is_not_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
