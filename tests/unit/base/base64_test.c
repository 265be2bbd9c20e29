#include "base/base64.h"

#include "../test.h"
#include "base/error.h"

/* RFC 4648, section 10; the last two are section 4's table read off. */
static const struct {
    const char *plain, *text, *url;
} vectors[] = {
    { "", "", "" },           { "f", "Zg==", "Zg" },          { "fo", "Zm8=", "Zm8" },           { "foo", "Zm9v", "Zm9v" },
    { "foob", "Zm9vYg==", "Zm9vYg" }, { "fooba", "Zm9vYmE=", "Zm9vYmE" }, { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
    { "\xfb\xff", "+/8=", "-_8" }, { "\xff\xef\xbe", "/+++", "_---" },
};

static void vectors_of_the_rfc_go_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct gh_span plain = gh_span_str(vectors[i].plain);
        uint8_t back[16];
        char text[32];
        size_t len = 99;

        assert_int_equal(gh_base64_encode(plain, text), strlen(vectors[i].text));
        assert_string_equal(text, vectors[i].text);
        assert_int_equal(gh_base64_decode(gh_span_str(text), back, &len), 0);
        assert_true(gh_span_equals(gh_span_of(back, len), plain));
        assert_int_equal(gh_base64url_encode(plain, text), strlen(vectors[i].url));
        assert_string_equal(text, vectors[i].url);
        assert_int_equal(gh_base64_decode(gh_span_str(text), back, &len), 0);
        assert_true(gh_span_equals(gh_span_of(back, len), plain));
    }
}

static void every_length_comes_back_and_fits(void **state)
{
    uint8_t data[100], back[110];

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 151 + 7);
    for (size_t n = 0; n <= sizeof data; n++) {
        char text[GH_BASE64_TEXT(sizeof data)];
        size_t len = 0;

        assert_int_equal(gh_base64_encode(gh_span_of(data, n), text) + 1, GH_BASE64_TEXT(n));
        assert_int_equal(gh_base64_decode(gh_span_str(text), back, &len), 0);
        assert_int_equal(len, n);
        assert_memory_equal(back, data, n);
    }
}

static void what_is_not_one_value_is_malformed(void **state)
{
    static const char *const bad[] = { "Z", "Zg=", "Zg===", "=", "====", "Zh==", "Zm9=", "Zm9v Yg==", "Zm9vYg==\n", "Zm=v", "Zm9vY", "Z*==", "Zg==Zg==" };
    uint8_t back[32];
    size_t len;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(gh_base64_decode(gh_span_str(bad[i]), back, &len), GH_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_the_rfc_go_both_ways),
        cmocka_unit_test(every_length_comes_back_and_fits),
        cmocka_unit_test(what_is_not_one_value_is_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
