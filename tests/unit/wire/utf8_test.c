#include "wire/utf8.h"

#include "../test.h"

/* RFC 3629, section 3, by its table: the number that a sequence stands for, then whether it may. 0 when it is none. */
static size_t naive_character(const uint8_t *s, size_t len)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
    uint32_t v = n == 1 ? s[0] : s[0] & (0x7fu >> n);

    if (n == 0 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (s[i] & 0x3f);
    }
    return v < least[n] || (v >= 0xd800 && v <= 0xdfff) || v > 0x10ffff ? 0 : n;
}

static bool naive_valid(const uint8_t *s, size_t len)
{
    for (size_t n; len > 0; s += n, len -= n) {
        n = naive_character(s, len);
        if (n == 0)
            return false;
    }
    return true;
}

static void all_texts_of_three_bytes_are_judged_as_the_table_says(void **state)
{
    (void)state;
    for (uint32_t v = 0; v < 1u << 24; v++) {
        uint8_t s[3] = { (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

        if (s[0] < 0x7f) /* one of them is enough */
            s[0] = 0x7f, v |= 0x7effff;
        if (gh_utf8_valid(gh_span_of(s, 3)) != naive_valid(s, 3))
            fail_msg("%02x %02x %02x", s[0], s[1], s[2]);
    }
}

static void characters_of_four_bytes_are_judged_as_the_table_says(void **state)
{
    (void)state;
    for (uint32_t first = 0xee; first <= 0xff; first++)
        for (uint32_t v = 0; v < 1u << 24; v += v & 0xff ? 0x3f : 1) { /* the last byte: edges alone */
            uint8_t s[4] = { (uint8_t)first, (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

            if (gh_utf8_valid(gh_span_of(s, 4)) != naive_valid(s, 4))
                fail_msg("%02x %02x %02x %02x", s[0], s[1], s[2], s[3]);
        }
}

static void a_text_may_be_cut_anywhere(void **state)
{
    static const char text[] = "plain text of more than eight, \xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5 \xf0\x9f\x8c\x8d \xf4\x8f\xbf\xbf\xed\x9f\xbf end of it";
    size_t len = sizeof text - 1;

    (void)state;
    for (size_t a = 0; a <= len; a++) {
        for (size_t b = a; b <= len; b++) {
            struct gh_utf8 u = { 0 };

            assert_true(gh_utf8_feed(&u, gh_span_of(text, a)));
            assert_int_equal(gh_utf8_done(&u), naive_valid((const uint8_t *)text, a));
            assert_true(gh_utf8_feed(&u, gh_span_of(text + a, b - a)));
            assert_true(gh_utf8_feed(&u, gh_span_of(text + b, len - b)));
            assert_true(gh_utf8_done(&u));
        }
    }
}

static void a_wrong_byte_is_seen_at_once_wherever_it_stands(void **state)
{
    uint8_t text[40];

    (void)state;
    for (size_t at = 0; at < sizeof text; at++) {
        struct gh_utf8 u = { 0 };

        memset(text, 'a', sizeof text);
        text[at] = 0xff;
        assert_true(gh_utf8_feed(&u, gh_span_of(text, at)));
        assert_false(gh_utf8_feed(&u, gh_span_of(text + at, 1)));
        assert_false(gh_utf8_valid(gh_span_of(text, sizeof text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_texts_of_three_bytes_are_judged_as_the_table_says),
        cmocka_unit_test(characters_of_four_bytes_are_judged_as_the_table_says),
        cmocka_unit_test(a_text_may_be_cut_anywhere),
        cmocka_unit_test(a_wrong_byte_is_seen_at_once_wherever_it_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
