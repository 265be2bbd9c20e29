/* base/hex: the vectors of RFC 4648, section 10 */
#include "base/hex.h"

#include "../test.h"

static const struct {
    const char *plain, *hex;
} vectors[] = { { "", "" }, { "f", "66" }, { "fo", "666f" }, { "foobar", "666f6f626172" } };

static void the_vectors_of_rfc4648_hold_both_ways(void **state)
{
    uint8_t data[8];
    char text[17];

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        size_t len = strlen(vectors[i].plain);

        gh_hex_encode((const uint8_t *)vectors[i].plain, len, text);
        assert_string_equal(text, vectors[i].hex);
        assert_true(gh_hex_decode(gh_span_str(text), GH_HEX_LOWER, data, len));
        assert_memory_equal(data, vectors[i].plain, len);
    }
}

static void every_digit_has_its_value_and_nothing_else_has_one(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[2] = { (char)c, 0 }, *end;
        long value = strtol(text, &end, 16);
        bool is_digit = c != 0 && end == text + 1;

        assert_int_equal(gh_hex_digit((uint8_t)c, GH_HEX_ANY), is_digit ? value : -1);
        assert_int_equal(gh_hex_digit((uint8_t)c, GH_HEX_LOWER), is_digit && !(c >= 'A' && c <= 'F') ? value : -1);
    }
}

static void what_is_short_long_odd_or_no_digit_is_refused(void **state)
{
    static const char *const bad[] = { "", "0", "001", "00112", "0g12", "0011 ", "00-1", "001122" };
    uint8_t data[2];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(gh_hex_decode(gh_span_str(bad[i]), GH_HEX_ANY, data, sizeof data));
    assert_false(gh_hex_decode(gh_span_str("00aB"), GH_HEX_LOWER, data, sizeof data));
    assert_true(gh_hex_decode(gh_span_str("00aB"), GH_HEX_ANY, data, sizeof data));
    assert_int_equal(data[1], 0xab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc4648_hold_both_ways),
        cmocka_unit_test(every_digit_has_its_value_and_nothing_else_has_one),
        cmocka_unit_test(what_is_short_long_odd_or_no_digit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
