#include "services/door/site_condition.h"

#include "../../test.h"

#define SIZE 1000
#define MODIFIED 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */
#define ETAG "\"2ebc98a1-3e8\""

static struct door_site_part judge(const char *field, const char *value, const char *field2, const char *value2)
{
    struct door_site_wish wish = { .get = true };
    struct door_site_part part;

    for (int i = 0; i < 2; i++) {
        const char *name = i ? field2 : field;
        struct gh_span v = gh_span_str(i ? value2 : value);

        if (strcmp(name, "if-match") == 0)
            wish.if_match = v;
        if (strcmp(name, "if-none-match") == 0)
            wish.if_none_match = v;
        if (strcmp(name, "if-modified-since") == 0)
            wish.if_modified_since = v;
        if (strcmp(name, "if-unmodified-since") == 0)
            wish.if_unmodified_since = v;
        if (strcmp(name, "range") == 0)
            wish.range = v;
        if (strcmp(name, "if-range") == 0)
            wish.if_range = v;
    }
    door_site_judge(&wish, SIZE, MODIFIED, &part);
    return part;
}

static void the_etag_is_of_time_and_length(void **state)
{
    char etag[DOOR_SITE_ETAG];

    (void)state;
    door_site_etag(SIZE, MODIFIED, etag);
    assert_string_equal(etag, ETAG);
}

static void conditions_decide_in_their_order(void **state)
{
    static const char then[] = "Sun, 06 Nov 1994 08:49:37 GMT", before[] = "Sun, 06 Nov 1994 08:49:36 GMT";
    const struct {
        const char *a, *a_value, *b, *b_value;
        unsigned status;
    } rows[] = {
        { "", "", "", "", 200 },
        { "if-none-match", ETAG, "", "", 304 },
        { "if-none-match", "W/" ETAG, "", "", 304 },
        { "if-none-match", "\"x\", " ETAG, "", "", 304 },
        { "if-none-match", "*", "", "", 304 },
        { "if-none-match", "\"x\"", "", "", 200 },
        { "if-none-match", "rubbish", "", "", 200 },
        { "if-none-match", "\"x\"", "if-modified-since", then, 200 }, /* RFC 9110, section 13.1.3 */
        { "if-modified-since", then, "", "", 304 },
        { "if-modified-since", before, "", "", 200 },
        { "if-modified-since", "yesterday", "", "", 200 },
        { "if-match", ETAG, "", "", 200 },
        { "if-match", "*", "", "", 200 },
        { "if-match", "W/" ETAG, "", "", 412 },
        { "if-match", "\"x\"", "", "", 412 },
        { "if-match", "\"x\"", "if-none-match", ETAG, 412 },
        { "if-unmodified-since", then, "", "", 200 },
        { "if-unmodified-since", before, "", "", 412 },
        { "if-unmodified-since", "yesterday", "", "", 200 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct door_site_part p = judge(rows[i].a, rows[i].a_value, rows[i].b, rows[i].b_value);

        if (p.status != rows[i].status)
            fail_msg("row %zu: %u", i, p.status);
    }
}

static void a_range_is_a_part_or_none(void **state)
{
    static const struct {
        const char *range;
        unsigned status;
        unsigned from, len;
    } rows[] = {
        { "bytes=0-0", 206, 0, 1 }, { "bytes=0-", 206, 0, 1000 }, { "bytes=-1", 206, 999, 1 }, { "bytes=-5000", 206, 0, 1000 },
        { "bytes=10-19", 206, 10, 10 }, { "BYTES=10-19", 206, 10, 10 }, { "bytes= 10-19", 206, 10, 10 }, { "bytes=999-99999999999999999999999", 206, 999, 1 },
        { "bytes=990-2000", 206, 990, 10 }, { "bytes=1000-", 416, 0, 0 }, { "bytes=99999999999999999999-", 416, 0, 0 }, { "bytes=-0", 416, 0, 0 },
        { "bytes=5-4", 416, 0, 0 }, { "bytes=", 416, 0, 0 }, { "bytes=-", 416, 0, 0 }, { "bytes=a-b", 416, 0, 0 }, { "bytes=1-2x", 416, 0, 0 },
        { "bytes=0-1,5-6", 200, 0, 1000 }, { "items=0-1", 200, 0, 1000 }, { "bytes", 200, 0, 1000 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct door_site_part p = judge("range", rows[i].range, "", "");

        if (p.status != rows[i].status || (p.status != 416 && (p.from != rows[i].from || p.len != rows[i].len)))
            fail_msg("%s: %u %u+%u", rows[i].range, p.status, (unsigned)p.from, (unsigned)p.len);
    }
}

static void a_range_of_another_version_is_the_whole(void **state)
{
    (void)state;
    assert_int_equal(judge("range", "bytes=0-9", "if-range", ETAG).status, 206);
    assert_int_equal(judge("range", "bytes=0-9", "if-range", "\"x\"").status, 200);
    assert_int_equal(judge("range", "bytes=0-9", "if-range", "W/" ETAG).status, 200);
    assert_int_equal(judge("range", "bytes=0-9", "if-range", "Sun, 06 Nov 1994 08:49:37 GMT").status, 206);
    assert_int_equal(judge("range", "bytes=0-9", "if-range", "Sun, 06 Nov 1994 08:49:38 GMT").status, 200);
}

static void heads_and_empty_files_have_no_ranges(void **state)
{
    struct door_site_wish wish = { .get = false, .range = gh_span_str("bytes=0-9") };
    struct door_site_part part;

    (void)state;
    door_site_judge(&wish, SIZE, MODIFIED, &part);
    assert_int_equal(part.status, 200);
    wish.get = true;
    wish.range = gh_span_str("bytes=0-");
    door_site_judge(&wish, 0, MODIFIED, &part);
    assert_int_equal(part.status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_etag_is_of_time_and_length),
        cmocka_unit_test(conditions_decide_in_their_order),
        cmocka_unit_test(a_range_is_a_part_or_none),
        cmocka_unit_test(a_range_of_another_version_is_the_whole),
        cmocka_unit_test(heads_and_empty_files_have_no_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
