/* Body bytes between the application and the peer's acknowledgement. */
#include "proto/h3/body.h"

#include "../../test.h"

static void append(struct gh_h3_body *b, const char *text)
{
    assert_int_equal(gh_h3_body_append(b, gh_span_str(text)), 0);
}

static void bytes_are_sent_once_and_kept_until_they_are_acknowledged(void **state)
{
    struct gh_h3_body b = { 0 };
    nghttp3_vec vec[4];
    const uint8_t *first;

    (void)state;
    append(&b, "abc");
    append(&b, "");
    append(&b, "defgh");
    assert_int_equal(b.buffered, 8);
    assert_int_equal(gh_h3_body_next(&b, vec, 1), 1);
    first = vec[0].base;
    assert_int_equal(gh_h3_body_next(&b, vec, 4), 1);
    assert_memory_equal(vec[0].base, "defgh", 5);
    assert_int_equal(gh_h3_body_next(&b, vec, 4), 0);
    gh_h3_body_acknowledge(&b, 2);
    assert_memory_equal(first, "abc", 3); /* still there: it may have to be sent again */
    assert_int_equal(b.buffered, 8);
    gh_h3_body_acknowledge(&b, 2);
    assert_int_equal(b.buffered, 5);
    gh_h3_body_acknowledge(&b, 4);
    assert_int_equal(b.buffered, 0);
    append(&b, "again");
    assert_int_equal(gh_h3_body_next(&b, vec, 4), 1);
    assert_memory_equal(vec[0].base, "again", 5);
    gh_h3_body_fini(&b);
    assert_int_equal(b.buffered, 0);
}

static void what_was_not_sent_is_not_freed_by_an_acknowledgement(void **state)
{
    struct gh_h3_body b = { 0 };
    nghttp3_vec vec[4];

    (void)state;
    append(&b, "ab");
    append(&b, "cd");
    assert_int_equal(gh_h3_body_next(&b, vec, 1), 1);
    gh_h3_body_acknowledge(&b, 4);
    assert_int_equal(b.buffered, 2);
    assert_int_equal(gh_h3_body_next(&b, vec, 1), 1);
    assert_memory_equal(vec[0].base, "cd", 2);
    gh_h3_body_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_sent_once_and_kept_until_they_are_acknowledged),
        cmocka_unit_test(what_was_not_sent_is_not_freed_by_an_acknowledgement),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
