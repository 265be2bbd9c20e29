#include "policy/timestamp.h"

#include <time.h>

#include "../test.h"

#include "base/error.h"

static int64_t parse(const char *text)
{
    int64_t t = -1;

    assert_int_equal(gh_timestamp_parse(text, strlen(text), &t), 0);
    return t;
}

/* The C library is the independent implementation. */
static void every_day_agrees_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t t = 0; t < INT64_C(253402300800); t += 86400 * 13 + 4321) {
        time_t now = (time_t)t;
        struct tm tm;
        char text[64], ours[GH_TIMESTAMP_TEXT];

        gmtime_r(&now, &tm);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        assert_int_equal(parse(text), t);
        assert_string_equal(gh_timestamp_emit(t, ours), text);
    }
}

static void offsets_and_dates_mean_what_rfc_3339_says(void **state)
{
    (void)state;
    assert_int_equal(parse("1970-01-01"), 0);
    assert_int_equal(parse("2000-02-29"), 951782400);
    assert_int_equal(parse("1996-12-19T16:39:57-08:00"), parse("1996-12-20T00:39:57Z")); /* RFC 3339, section 5.8 */
    assert_int_equal(parse("2030-01-01T01:30:00+01:30"), parse("2030-01-01"));
}

static void impossible_times_are_refused(void **state)
{
    static const char *const bad[] = { "", "2030", "2030-13-01", "2030-00-01", "2030-02-29", "1900-02-29", "1969-12-31", "2030-01-32",
                                       "2030-01-00", "2030-01-01 00:00:00Z", "2030-01-01T24:00:00Z", "2030-01-01T00:60:00Z",
                                       "2030-01-01T00:00:60Z", "2030-01-01T00:00:00", "2030-01-01T00:00:00+24:00",
                                       "2030-01-01T00:00:00-01:60", "2030-01-01T00:00:00.5Z", "2030-1-1", "never" };
    int64_t t;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(gh_timestamp_parse(bad[i], strlen(bad[i]), &t), GH_ERR_MALFORMED);
}

static void times_without_a_year_of_four_digits_are_numbers(void **state)
{
    char text[GH_TIMESTAMP_TEXT];

    (void)state;
    assert_string_equal(gh_timestamp_emit(-1, text), "-1");
    assert_string_equal(gh_timestamp_emit(INT64_MAX, text), "9223372036854775807");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_day_agrees_with_the_c_library),
        cmocka_unit_test(offsets_and_dates_mean_what_rfc_3339_says),
        cmocka_unit_test(impossible_times_are_refused),
        cmocka_unit_test(times_without_a_year_of_four_digits_are_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
