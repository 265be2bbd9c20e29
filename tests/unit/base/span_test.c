#include "base/span.h"

#include "../test.h"

/* RFC 9000, appendix A.1 */
static void varint_reads_the_examples_of_the_rfc(void **state)
{
    static const struct {
        uint8_t bytes[8];
        size_t len;
        uint64_t value;
    } cases[] = {
        { { 0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c }, 8, 151288809941952652u },
        { { 0x9d, 0x7f, 0x3e, 0x7d }, 4, 494878333u },
        { { 0x7b, 0xbd }, 2, 15293u },
        { { 0x25 }, 1, 37u },
        { { 0x40, 0x25 }, 2, 37u },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gh_reader r = gh_reader_of(gh_span_of(cases[i].bytes, cases[i].len));

        assert_int_equal(gh_read_varint(&r), cases[i].value);
        assert_true(gh_reader_done(&r));
    }
}

static void varint_writes_the_shortest_form(void **state)
{
    static const struct {
        uint64_t value;
        size_t len;
    } cases[] = { { 0, 1 }, { 63, 1 }, { 64, 2 }, { 16383, 2 }, { 16384, 4 }, { (1u << 30) - 1, 4 }, { 1u << 30, 8 },
                  { GH_VARINT_MAX, 8 } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t buf[8];
        struct gh_writer w = gh_writer_of(buf, sizeof buf);
        struct gh_reader r;

        gh_write_varint(&w, cases[i].value);
        assert_false(w.failed);
        assert_int_equal(gh_writer_len(&w), cases[i].len);
        r = gh_reader_of(gh_span_of(buf, gh_writer_len(&w)));
        assert_int_equal(gh_read_varint(&r), cases[i].value);
    }
}

static void varint_above_the_maximum_fails(void **state)
{
    uint8_t buf[8];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    (void)state;
    gh_write_varint(&w, GH_VARINT_MAX + 1);
    assert_true(w.failed);
}

static void short_read_is_sticky_and_yields_zero(void **state)
{
    static const uint8_t bytes[] = { 1, 2, 3 };
    struct gh_reader r = gh_reader_of(gh_span_of(bytes, sizeof bytes));
    uint8_t out[4] = { 9, 9, 9, 9 };

    (void)state;
    assert_int_equal(gh_read_u16(&r), 0x0102);
    gh_read_bytes(&r, out, 4);
    assert_int_equal(out[0] | out[3], 0);
    assert_int_equal(gh_read_u8(&r), 0);
    assert_false(gh_reader_done(&r));
}

static void write_past_the_end_is_refused_whole(void **state)
{
    uint8_t buf[3] = { 0 };
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    (void)state;
    gh_write_u16(&w, 0xabcd);
    gh_write_u16(&w, 0xffff);
    assert_true(w.failed);
    assert_int_equal(buf[2], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varint_reads_the_examples_of_the_rfc), cmocka_unit_test(varint_writes_the_shortest_form),
        cmocka_unit_test(varint_above_the_maximum_fails),       cmocka_unit_test(short_read_is_sticky_and_yields_zero),
        cmocka_unit_test(write_past_the_end_is_refused_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
