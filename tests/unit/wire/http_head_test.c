#include "wire/http_head.h"

#include "../test.h"

/* RFC 9110, sections 5.1 and 5.5; RFC 9113, section 8.2.1; RFC 9114, section 10.3 */
static void a_field_is_judged_by_its_bytes(void **state)
{
    static const struct {
        const char *name, *value;
        size_t len; /* of <value> */
        bool good;
    } rows[] = {
        { "a", "b", 1, true },
        { "a", "", 0, true },
        { "a", "b c\td", 5, true },
        { "a", "\xc3\xa4", 2, true },
        { "x-!#$%&'*+-.^_`|~09", "v", 1, true },
        { ":anything", "\n", 1, true }, /* the pseudo-fields are for others */
        { "", "b", 1, false },
        { "A", "b", 1, false },
        { "a b", "c", 1, false },
        { "a:", "c", 1, false },
        { "\xc3\xa4", "c", 1, false },
        { "a", " b", 2, false },
        { "a", "b ", 2, false },
        { "a", "b\t", 2, false },
        { "a", " ", 1, false },
        { "a", "b\0c", 3, false },
        { "a", "b\rc", 3, false },
        { "a", "b\nc", 3, false },
        { "a", "\x01", 1, false },
        { "a", "\x7f", 1, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (gh_http_field_is_good(gh_span_str(rows[i].name), gh_span_of(rows[i].value, rows[i].len)) != rows[i].good)
            fail_msg("row %zu", i);
}

static void pseudo_fields_and_fields_find_their_places(void **state)
{
    static struct gh_http_head_store b;
    static const char *const given[][2] = { { ":method", "CONNECT" }, { ":protocol", "connect-ip" }, { ":scheme", "https" }, { ":authority", "a" },
                                            { ":path", "/p" },        { ":status", "103" },          { ":other", "x" },      { "f", "v" } };
    char name[16] = "name", value[16] = "value";

    (void)state;
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        gh_http_head_add(&b, gh_span_str(given[i][0]), gh_span_str(given[i][1]));
    gh_http_head_add(&b, gh_span_str(name), gh_span_str(value));
    memset(name, 0, sizeof name); /* the store has its own copy */
    memset(value, 0, sizeof value);
    assert_true(gh_span_equals(b.head.method, gh_span_str("CONNECT")));
    assert_true(gh_span_equals(b.head.protocol, gh_span_str("connect-ip")));
    assert_true(gh_span_equals(b.head.scheme, gh_span_str("https")));
    assert_true(gh_span_equals(b.head.authority, gh_span_str("a")));
    assert_true(gh_span_equals(b.head.path, gh_span_str("/p")));
    assert_int_equal(b.head.status, 103);
    assert_int_equal(b.head.field_count, 2);
    assert_true(gh_span_equals(b.head.fields[1].name, gh_span_str("name")));
    assert_true(gh_span_equals(b.head.fields[1].value, gh_span_str("value")));
    assert_false(b.overflow);
}

static void what_does_not_fit_is_marked_and_not_kept(void **state)
{
    static struct gh_http_head_store many, large;
    static char text[GH_HTTP_HEAD_MAX];

    (void)state;
    for (int i = 0; i < GH_HTTP_FIELDS_MAX; i++)
        gh_http_head_add(&many, gh_span_str("f"), gh_span_str("v"));
    assert_false(many.overflow);
    gh_http_head_add(&many, gh_span_str("f"), gh_span_str("v"));
    assert_true(many.overflow);
    assert_int_equal(many.head.field_count, GH_HTTP_FIELDS_MAX);

    gh_http_head_add(&large, gh_span_str("f"), gh_span_of(text, sizeof text - 1));
    assert_false(large.overflow);
    gh_http_head_add(&large, gh_span_str("g"), gh_span_str("v"));
    assert_true(large.overflow);
    assert_int_equal(large.head.fields[1].value.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_is_judged_by_its_bytes),
        cmocka_unit_test(pseudo_fields_and_fields_find_their_places),
        cmocka_unit_test(what_does_not_fit_is_marked_and_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
