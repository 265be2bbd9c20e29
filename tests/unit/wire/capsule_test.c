#include "wire/capsule.h"

#include "../test.h"

static const uint64_t kept[] = { 0, 1, 2, 3 };

struct got {
    uint64_t types[16];
    uint8_t bytes[64];
    size_t count, len;
};

static int feed(struct gh_capsule_reader *r, const void *data, size_t len, struct got *got)
{
    struct gh_span in = gh_span_of(data, len);
    struct gh_capsule c;
    int rc;

    for (;;) {
        rc = gh_capsule_next(r, &in, &c);
        if (rc <= 0)
            break;
        got->types[got->count++] = c.type;
        assert_true(got->len + c.value.len <= sizeof got->bytes);
        if (c.value.len > 0)
            memcpy(got->bytes + got->len, c.value.data, c.value.len);
        got->len += c.value.len;
    }
    assert_true(rc < 0 || in.len == 0);
    return rc;
}

static void D6_capsules_are_found_wherever_the_stream_is_split(void **state)
{
    /* two capsules: ADDRESS_ASSIGN of RFC 9484 with 10.64.0.10/32, and an empty ROUTE_ADVERTISEMENT; a type in two bytes */
    static const uint8_t stream[] = { 0x01, 0x07, 0x00, 0x04, 0x0a, 0x40, 0x00, 0x0a, 0x20, 0x40, 0x03, 0x00 };

    (void)state;
    for (size_t a = 0; a <= sizeof stream; a++) {
        for (size_t b = a; b <= sizeof stream; b++) {
            struct gh_capsule_reader r;
            struct got got = { 0 };

            gh_capsule_reader_init(&r, kept, 4, 0);
            assert_int_equal(feed(&r, stream, a, &got), 0);
            assert_int_equal(feed(&r, stream + a, b - a, &got), 0);
            assert_int_equal(feed(&r, stream + b, sizeof stream - b, &got), 0);
            assert_int_equal(got.count, 2);
            assert_int_equal(got.types[0], 1);
            assert_int_equal(got.types[1], 3);
            assert_int_equal(got.len, 7);
            assert_memory_equal(got.bytes, stream + 2, 7);
            assert_int_equal(gh_capsule_end(&r), 0);
            gh_capsule_reader_fini(&r);
        }
    }
}

static void A9_one_piece_may_hold_several_capsules_and_one_capsule_several_pieces(void **state)
{
    static const uint8_t stream[] = { 0x03, 0x00, 0x03, 0x00, 0x01, 0x00, 0x02, 0x03, 'a', 'b', 'c' };
    struct gh_capsule_reader r;
    struct got got = { 0 };

    (void)state;
    gh_capsule_reader_init(&r, kept, 4, 0);
    assert_int_equal(feed(&r, stream, sizeof stream, &got), 0);
    assert_int_equal(got.count, 4);
    for (size_t i = 0; i < sizeof stream; i++)
        assert_int_equal(feed(&r, stream + i, 1, &got), 0);
    assert_int_equal(got.count, 8);
    assert_memory_equal(got.bytes, "abcabc", 6);
    gh_capsule_reader_fini(&r);
}

static void D7_unknown_type_is_skipped_without_buffering(void **state)
{
    static const uint8_t head[] = { 0x29, 0xbf, 0xff, 0xff, 0xff };
    static uint8_t body[4096];
    struct gh_capsule_reader r;
    struct got got = { 0 };
    uint64_t left = 0x3fffffff;

    (void)state;
    gh_capsule_reader_init(&r, kept, 4, 0);
    assert_int_equal(feed(&r, head, sizeof head, &got), 0);
    for (int i = 0; i < 100; i++, left -= sizeof body)
        assert_int_equal(feed(&r, body, sizeof body, &got), 0);
    assert_int_equal(r.left, left);
    assert_null(r.buf);
    assert_int_equal(r.skipped, 1);
    assert_int_equal(got.count, 0);
    gh_capsule_reader_fini(&r);
}

static void D9_end_inside_a_capsule_is_malformed(void **state)
{
    static const uint8_t stream[] = { 0x01, 0x07, 0x00, 0x04 };

    (void)state;
    for (size_t n = 0; n <= sizeof stream; n++) {
        struct gh_capsule_reader r;
        struct got got = { 0 };

        gh_capsule_reader_init(&r, kept, 4, 0);
        assert_int_equal(feed(&r, stream, n, &got), 0);
        assert_int_equal(gh_capsule_end(&r), n == 0 ? 0 : GH_ERR_MALFORMED);
        gh_capsule_reader_fini(&r);
    }
}

static void D11_oversize_datagram_is_discarded_and_the_next_capsule_read(void **state)
{
    static uint8_t stream[5 + 70000 + 3] = { 0x00, 0x80, 0x01, 0x11, 0x70 }; /* 70000 */
    struct gh_capsule_reader r;
    struct got got = { 0 };

    (void)state;
    stream[5 + 70000] = 3;
    stream[5 + 70000 + 1] = 1;
    stream[5 + 70000 + 2] = 'x';
    gh_capsule_reader_init(&r, kept, 4, 0);
    assert_int_equal(feed(&r, stream, 1000, &got), 0);
    assert_null(r.buf);
    assert_int_equal(feed(&r, stream + 1000, sizeof stream - 1000, &got), 0);
    assert_int_equal(r.oversize, 1);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.types[0], 3);
    assert_int_equal(got.bytes[0], 'x');
    gh_capsule_reader_fini(&r);
}

static void a_known_capsule_above_the_limit_is_refused_for_good(void **state)
{
    static const uint8_t head[] = { 0x03, 0x80, 0x01, 0x00, 0x01 }; /* 65537 */
    struct gh_capsule_reader r;
    struct got got = { 0 };

    (void)state;
    gh_capsule_reader_init(&r, kept, 4, 0);
    assert_int_equal(feed(&r, head, sizeof head, &got), GH_ERR_TOO_LONG);
    assert_int_equal(feed(&r, "\x03\x00", 2, &got), GH_ERR_TOO_LONG);
    assert_int_equal(gh_capsule_end(&r), GH_ERR_TOO_LONG);
    gh_capsule_reader_fini(&r);
}

static void memory_follows_what_arrived_not_what_was_declared(void **state)
{
    static const uint8_t head[] = { 0x03, 0x80, 0x01, 0x00, 0x00, 1, 2, 3 }; /* 65536 */
    struct gh_capsule_reader r;
    struct got got = { 0 };

    (void)state;
    gh_capsule_reader_init(&r, kept, 4, 0);
    assert_int_equal(feed(&r, head, sizeof head, &got), 0);
    assert_true(r.cap <= 256);
    gh_capsule_reader_fini(&r);
}

static void a_longest_capsule_arrives_in_any_pieces(void **state)
{
    static uint8_t stream[5 + 65536] = { 0x03, 0x80, 0x01, 0x00, 0x00 };
    struct gh_capsule_reader r;

    (void)state;
    for (size_t i = 5; i < sizeof stream; i++)
        stream[i] = (uint8_t)(i * 7);
    gh_capsule_reader_init(&r, kept, 4, 0);
    for (size_t at = 0, n; at < sizeof stream; at += n) {
        struct gh_span in;
        struct gh_capsule c;
        int rc;

        n = sizeof stream - at < 1021 ? sizeof stream - at : 1021;
        in = gh_span_of(stream + at, n);
        rc = gh_capsule_next(&r, &in, &c);
        assert_int_equal(rc, at + n == sizeof stream);
        if (rc == 1) {
            assert_int_equal(c.value.len, 65536);
            assert_memory_equal(c.value.data, stream + 5, 65536);
        }
    }
    gh_capsule_reader_fini(&r);
    gh_capsule_reader_fini(NULL);
}

static void emits_type_length_value(void **state)
{
    /* 03 0a 04 00000000 ffffffff 00: the default route, any protocol (RFC 9484, section 4.7.3) */
    static const uint8_t want[] = { 0x03, 0x0a, 0x04, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x00 };
    uint8_t buf[sizeof want];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    (void)state;
    gh_capsule_emit(&w, GH_CAPSULE_ROUTE_ADVERTISEMENT, gh_span_of(want + 2, 10));
    assert_false(w.failed);
    assert_int_equal(gh_writer_len(&w), sizeof want);
    assert_memory_equal(buf, want, sizeof want);
    assert_int_equal(gh_capsule_head_len(3, 10), 2);
    assert_int_equal(gh_capsule_head_len(0x40, 64), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(D6_capsules_are_found_wherever_the_stream_is_split),
        cmocka_unit_test(A9_one_piece_may_hold_several_capsules_and_one_capsule_several_pieces),
        cmocka_unit_test(D7_unknown_type_is_skipped_without_buffering),
        cmocka_unit_test(D9_end_inside_a_capsule_is_malformed),
        cmocka_unit_test(D11_oversize_datagram_is_discarded_and_the_next_capsule_read),
        cmocka_unit_test(a_known_capsule_above_the_limit_is_refused_for_good),
        cmocka_unit_test(memory_follows_what_arrived_not_what_was_declared),
        cmocka_unit_test(a_longest_capsule_arrives_in_any_pieces),
        cmocka_unit_test(emits_type_length_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
