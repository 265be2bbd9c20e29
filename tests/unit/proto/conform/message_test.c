/* What conformance checks write and read by hand. */
#include "proto/conform/message.h"

#include "../../test.h"
#include "base/error.h"

/* RFC 9204, appendix B.1, is "0000 510b 2f69 6e64 6578 2e68 746d 6c"; here with a literal name, section 4.5.6 */
static void a_head_is_literal(void **state)
{
    static const char *const fields[] = { ":path", "/index.html", NULL };
    static const uint8_t wanted[] = "\x01\x14\x00\x00\x25:path\x0b/index.html";
    struct gh_conform_bytes b = { .len = 0 };

    (void)state;
    gh_conform_head(&b, fields);
    assert_int_equal(b.len, sizeof wanted - 1);
    assert_memory_equal(b.data, wanted, b.len);
}

static void a_coded_head_uses_the_static_table(void **state)
{
    static const char *const fields[] = { ":method", "CONNECT", ":scheme", "https", NULL };
    static const uint8_t wanted[] = { 0x01, 0x04, 0x00, 0x00, 0xcf, 0xd7 }; /* RFC 9204, appendix A: 15 and 23 */
    struct gh_conform_bytes b = { .len = 0 };

    (void)state;
    gh_conform_head_coded(&b, fields);
    assert_int_equal(b.len, sizeof wanted);
    assert_memory_equal(b.data, wanted, b.len);
}

/* An interim answer, an unknown frame, 200, capsules over two DATA frames. */
static const uint8_t stream[] = {
    0x01, 0x04, 0x00, 0x00, 0xff, 0x00,                    /* HEADERS: :status 100 is 63 in the static table */
    0x21, 0x02, 'x', 'x',
    0x01, 0x03, 0x00, 0x00, 0xd9,                          /* :status 200 is 25 */
    0x00, 0x04, 0x01, 0x07, 0x00, 0x04,                    /* ADDRESS_ASSIGN begins */
    0x00, 0x07, 0x0a, 0x64, 0x00, 0x02, 0x20, 0x03, 0x00,  /* and ends; an empty ROUTE_ADVERTISEMENT */
};

static void an_answer_is_read_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= sizeof stream; piece++) {
        struct gh_conform_answer a = { 0 };
        struct gh_span value;
        uint64_t type;
        size_t at = 0;
        char buf[16];

        for (size_t from = 0; from < sizeof stream; from += piece)
            assert_int_equal(gh_conform_answer_feed(&a, gh_span_of(stream + from, sizeof stream - from < piece ? sizeof stream - from : piece)), 0);
        assert_int_equal(a.status, 200);
        assert_false(a.undecodable);
        assert_string_equal(gh_conform_answer_field(&a, ":status", buf, sizeof buf), "200");
        assert_null(gh_conform_answer_field(&a, "status", buf, sizeof buf));
        assert_true(gh_conform_answer_capsule(&a, &at, &type, &value));
        assert_int_equal(type, 1);
        assert_int_equal(value.len, 7);
        assert_memory_equal(value.data, "\x00\x04\x0a\x64\x00\x02\x20", 7);
        assert_true(gh_conform_answer_capsule(&a, &at, &type, &value));
        assert_int_equal(type, 3);
        assert_int_equal(value.len, 0);
        assert_false(gh_conform_answer_capsule(&a, &at, &type, &value));
        gh_conform_answer_fini(&a);
    }
}

static void a_head_that_needs_a_dynamic_table_is_undecodable(void **state)
{
    static const uint8_t head[] = { 0x01, 0x03, 0x02, 0x00, 0x80 };
    struct gh_conform_answer a = { 0 };

    (void)state;
    assert_int_equal(gh_conform_answer_feed(&a, gh_span_of(head, sizeof head)), 0);
    assert_true(a.undecodable);
    assert_int_equal(a.status, 0);
    gh_conform_answer_fini(&a);
}

static void what_does_not_fit_marks_the_bytes_failed(void **state)
{
    static const uint8_t zeroes[GH_CONFORM_BYTES];
    struct gh_conform_bytes b = { .len = 0 };

    (void)state;
    gh_conform_append(&b, zeroes, sizeof zeroes);
    assert_false(b.failed);
    gh_conform_varint(&b, 1);
    assert_true(b.failed);
    assert_int_equal(b.len, sizeof zeroes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_literal),
        cmocka_unit_test(a_coded_head_uses_the_static_table),
        cmocka_unit_test(an_answer_is_read_however_it_is_cut),
        cmocka_unit_test(a_head_that_needs_a_dynamic_table_is_undecodable),
        cmocka_unit_test(what_does_not_fit_marks_the_bytes_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
