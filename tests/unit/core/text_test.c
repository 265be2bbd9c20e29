#include "core/text.h"

#include "../test.h"
#include "core/nearest.h"

static const char *json(struct gh_text *t, const char *bytes, size_t len)
{
    t->len = 0;
    t->failed = false;
    gh_text_append_json(t, gh_span_of(bytes, len));
    return t->data;
}

/* RFC 8259, section 7 */
static void json_escapes_what_must_be_and_replaces_what_is_no_utf8(void **state)
{
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } cases[] = {
        { "", 0, "\"\"" },
        { "a\"b\\c", 5, "\"a\\\"b\\\\c\"" },
        { "\n\t\x01\x7f", 4, "\"\\n\\t\\u0001\\u007f\"" },
        { "\0", 1, "\"\\u0000\"" },
        { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { "\xe2\x80\xa8", 3, "\"\\u2028\"" },
        { "\xc2\x85", 2, "\"\\u0085\"" },
        { "\xff", 1, "\"\xef\xbf\xbd\"" },
        { "\xc0\x80", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"" },                 /* overlong */
        { "\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* a surrogate */
        { "a\xe2\x82", 3, "\"a\xef\xbf\xbd\xef\xbf\xbd\"" },               /* cut */
    };
    char buf[128];
    struct gh_text t;

    (void)state;
    gh_text_init_fixed(&t, buf, sizeof buf);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(json(&t, cases[i].in, cases[i].len), cases[i].out);
}

static void the_limit_is_sticky_and_what_was_there_stays(void **state)
{
    struct gh_text t;

    (void)state;
    gh_text_init(&t, 5);
    gh_text_append(&t, "abc");
    gh_text_append(&t, "def");
    assert_true(t.failed);
    gh_text_append(&t, "d");
    assert_string_equal(gh_text_string(&t), "abc");
    gh_text_fini(&t);
    gh_text_init(&t, 5);
    gh_text_append(&t, "abcde");
    assert_false(t.failed);
    gh_text_fini(&t);
    assert_string_equal(gh_text_string(&t), "");
}

static void times_are_rfc_3339(void **state)
{
    char buf[64];
    struct gh_text t;

    (void)state;
    gh_text_init_fixed(&t, buf, sizeof buf);
    gh_text_append_time(&t, INT64_C(1700000000123)); /* date -u -d @1700000000 */
    assert_string_equal(buf, "2023-11-14T22:13:20.123Z");
}

static void numbers_and_durations(void **state)
{
    char buf[128];
    struct gh_text t;

    (void)state;
    gh_text_init_fixed(&t, buf, sizeof buf);
    gh_text_append_uint(&t, UINT64_MAX);
    gh_text_append(&t, " ");
    gh_text_append_int(&t, INT64_MIN);
    gh_text_append(&t, " ");
    gh_text_append_duration(&t, INT64_C(5400000000000));
    gh_text_append(&t, " ");
    gh_text_append_duration(&t, 0);
    gh_text_append(&t, " ");
    gh_text_append_duration(&t, -1500000);
    assert_string_equal(buf, "18446744073709551615 -9223372036854775808 1h30m 0s -1ms500us");
}

static const char *nearest(const char *word)
{
    static const char *const words[] = { "listen", "certificate", "max_flows", "mtu" };
    struct gh_nearest n = gh_nearest_of(word, strlen(word));

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        gh_nearest_offer(&n, words[i]);
    return n.best ? n.best : "";
}

static void a_slip_of_the_hand_finds_its_word_and_another_word_does_not(void **state)
{
    (void)state;
    assert_string_equal(nearest("lisen"), "listen");
    assert_string_equal(nearest("lsiten"), "listen");
    assert_string_equal(nearest("certifcate"), "certificate");
    assert_string_equal(nearest("max-flows"), "max_flows");
    assert_string_equal(nearest("mut"), "mtu");
    assert_string_equal(nearest("zebra"), "");
    assert_string_equal(nearest(""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_escapes_what_must_be_and_replaces_what_is_no_utf8),
        cmocka_unit_test(the_limit_is_sticky_and_what_was_there_stays),
        cmocka_unit_test(times_are_rfc_3339),
        cmocka_unit_test(numbers_and_durations),
        cmocka_unit_test(a_slip_of_the_hand_finds_its_word_and_another_word_does_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
