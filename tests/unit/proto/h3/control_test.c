/* What of a control stream is handed on, however it arrives. */
#include "proto/h3/control.h"

#include "../../test.h"
#include "base/error.h"

static const uint8_t stream[] = {
    0x04, 0x02, 0x33, 0x01,                                    /* SETTINGS */
    0x80, 0x0f, 0x07, 0x00, 0x04, 0x00, 'u', '=', '1',         /* PRIORITY_UPDATE of a request */
    0x21, 0x00,                                                /* reserved, empty */
    0x80, 0x0f, 0x07, 0x01, 0x40, 0x01, 0x00,                  /* PRIORITY_UPDATE of a push, length in the long form */
    0x80, 0x0f, 0x07, 0x00, 0x00,                              /* and an empty one */
    0xc0, 0, 0, 0, 0, 0, 0, 0x07, 0xc0, 0, 0, 0, 0, 0, 0, 0x01, /* GOAWAY, both numbers in the longest form */
    0x04,
};
static const uint8_t kept[] = { 0x04, 0x02, 0x33, 0x01, 0x21, 0x00, 0xc0, 0, 0, 0, 0, 0, 0, 0x07, 0xc0, 0, 0, 0, 0, 0, 0, 0x01, 0x04 };

static void priority_updates_are_left_out_and_nothing_else_however_the_stream_is_cut(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= sizeof stream; piece++) {
        struct gh_h3_control c = { 0 };
        uint8_t got[sizeof stream];
        size_t len = 0;

        for (size_t at = 0; at < sizeof stream; at += piece) {
            struct gh_span in = gh_span_of(stream + at, sizeof stream - at < piece ? sizeof stream - at : piece), out;

            while (gh_h3_control_next(&c, &in, &out) == 1) {
                assert_true(len + out.len <= sizeof got);
                memcpy(got + len, out.data, out.len);
                len += out.len;
            }
            assert_int_equal(in.len, 0);
        }
        assert_int_equal(len, sizeof kept);
        assert_memory_equal(got, kept, sizeof kept);
    }
}

static void a_head_is_handed_on_when_it_is_whole(void **state)
{
    static const uint8_t head[] = { 0x40, 0x07, 0x01 };
    struct gh_h3_control c = { 0 };
    struct gh_span in = gh_span_of(head, 2), out;

    (void)state;
    assert_int_equal(gh_h3_control_next(&c, &in, &out), 0);
    in = gh_span_of(head + 2, 1);
    assert_int_equal(gh_h3_control_next(&c, &in, &out), 1);
    assert_int_equal(out.len, 3);
    assert_memory_equal(out.data, head, 3);
}

/* RFC 9114, section 7.1: GOAWAY, MAX_PUSH_ID and CANCEL_PUSH hold one number and nothing else. */
static void a_number_fills_its_frame(void **state)
{
    static const uint8_t good[][5] = { { 0x07, 1, 0 }, { 0x0d, 2, 0x40, 1 }, { 0x0d, 1, 7 }, { 0x21, 2, 0, 0 } };
    static const uint8_t bad[][6] = { { 0x07, 0 }, { 0x0d, 2, 0, 0 }, { 0x03, 1, 0x40 }, { 0x07, 4, 0x40, 0, 0, 0 } };
    struct gh_span in, out;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct gh_h3_control c = { 0 }, d = { 0 };
        int rc;

        in = gh_span_of(good[i], 2u + good[i][1]);
        while ((rc = gh_h3_control_next(&c, &in, &out)) == 1)
            ;
        assert_int_equal(rc, 0);
        in = gh_span_of(bad[i], 2u + bad[i][1]);
        while ((rc = gh_h3_control_next(&d, &in, &out)) == 1)
            ;
        assert_int_equal(rc, GH_ERR_MALFORMED);
    }
}

/* RFC 9114, sections 7.2.3 and 7.2.7 */
static void nothing_can_be_cancelled_and_the_largest_push_id_never_goes_down(void **state)
{
    static const struct {
        uint8_t bytes[10];
        size_t len;
        int rc;
    } rows[] = {
        { { 0x03, 1, 0 }, 3, GH_ERR_RANGE },
        { { 0x03, 2, 0x40, 7 }, 4, GH_ERR_RANGE },
        { { 0x0d, 1, 5, 0x0d, 1, 5, 0x0d, 2, 0x41, 0 }, 10, 0 },
        { { 0x0d, 2, 0x41, 0, 0x0d, 1, 63 }, 7, GH_ERR_RANGE },
        { { 0x0d, 1, 5, 0x0d, 1, 4 }, 6, GH_ERR_RANGE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t piece = 1; piece <= rows[i].len; piece++) {
            struct gh_h3_control c = { 0 };
            int rc = 0;

            for (size_t at = 0; at < rows[i].len && rc == 0; at += piece) {
                struct gh_span in = gh_span_of(rows[i].bytes + at, rows[i].len - at < piece ? rows[i].len - at : piece), out;

                while ((rc = gh_h3_control_next(&c, &in, &out)) == 1)
                    ;
            }
            assert_int_equal(rc, rows[i].rc);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priority_updates_are_left_out_and_nothing_else_however_the_stream_is_cut),
        cmocka_unit_test(a_number_fills_its_frame),
        cmocka_unit_test(nothing_can_be_cancelled_and_the_largest_push_id_never_goes_down),
        cmocka_unit_test(a_head_is_handed_on_when_it_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
