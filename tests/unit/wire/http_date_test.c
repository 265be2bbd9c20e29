#include "wire/http_date.h"

#include <time.h>

#include "../test.h"
#include "base/error.h"

static int64_t parsed(const char *text)
{
    int64_t wall = -1;

    return gh_http_date_parse(gh_span_str(text), &wall) == 0 ? wall : -1;
}

/* RFC 9110, section 5.6.7: one moment three times */
static void all_three_forms_mean_the_same(void **state)
{
    (void)state;
    assert_int_equal(parsed("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
    assert_int_equal(parsed("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
    assert_int_equal(parsed("Sun Nov  6 08:49:37 1994"), 784111777);
}

static void what_is_no_date_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "now", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "784111777", "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 29 Feb 1900 00:00:00 GMT", ",", "Sunday, 06-Nov-94 08:49:3x GMT",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parsed(bad[i]) != -1)
            fail_msg("taken: \"%s\"", bad[i]);
}

/* The C library is the other implementation. */
static void dates_are_those_of_the_library(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char mine[GH_HTTP_DATE_TEXT], theirs[64];
        int64_t wall;
        time_t t;
        struct tm tm;

        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        wall = i < 4 ? (int64_t[]){ 0, 951782400, 951868799, 253402300799 }[i] : (int64_t)((seed >> 16) % 253402300800u);
        t = (time_t)wall;
        gmtime_r(&t, &tm);
        strftime(theirs, sizeof theirs, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_string_equal(gh_http_date_emit(wall, mine), theirs);
        assert_int_equal(parsed(mine), wall);
    }
}

static void moments_that_cannot_be_written_are_written_as_the_nearest(void **state)
{
    char buf[GH_HTTP_DATE_TEXT];

    (void)state;
    assert_string_equal(gh_http_date_emit(INT64_MIN, buf), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_string_equal(gh_http_date_emit(INT64_MAX, buf), "Fri, 31 Dec 9999 23:59:59 GMT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_three_forms_mean_the_same),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(dates_are_those_of_the_library),
        cmocka_unit_test(moments_that_cannot_be_written_are_written_as_the_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
