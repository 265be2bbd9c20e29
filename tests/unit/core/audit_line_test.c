#include "core/audit_line.h"

#include <stdio.h>

#include "../test.h"
#include "base/error.h"

#define MAC "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static int parse(const char *text, struct gh_audit_line *ret)
{
    return gh_audit_line_parse(gh_span_str(text), ret);
}

static void number_and_mac_are_read_in_both_forms(void **state)
{
    struct gh_audit_line l;

    (void)state;
    assert_int_equal(parse("{\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"seq\":12,\"chain\":\"" MAC "\"}", &l), 0);
    assert_int_equal(l.seq, 12);
    assert_int_equal(l.mac[1], 0x11);
    assert_int_equal(l.wall, 1700000000);
    assert_memory_equal(l.covered.data + l.covered.len - 9, ",\"seq\":12", 9);
    assert_int_equal(l.reason.len, 0);
    assert_int_equal(parse("2023-11-14T22:13:20.123Z info acl.allow seq=18446744073709551615 chain=" MAC, &l), 0);
    assert_true(l.seq == UINT64_MAX);
    assert_int_equal(l.wall, 1700000000);
}

static void a_checkpoint_says_where_lines_stand(void **state)
{
    struct gh_audit_line l;

    (void)state;
    assert_int_equal(parse("{\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"event_type\":\"audit.checkpoint\",\"message\":\"m\","
                           "\"reason\":\"resume\",\"missing_from\":7,\"chain_id\":\"abc\",\"seq\":9,\"chain\":\"" MAC "\"}",
                           &l),
                     0);
    assert_true(gh_span_equals(l.reason, gh_span_str("resume")));
    assert_true(gh_span_equals(l.chain_id, gh_span_str("abc")));
    assert_true(l.has_missing);
    assert_int_equal(l.missing_from, 7);
    assert_int_equal(parse("2023-11-14T22:13:20.123Z info audit.checkpoint message=\"m\" reason=stop chain_id=abc seq=9 chain=" MAC, &l), 0);
    assert_true(gh_span_equals(l.reason, gh_span_str("stop")));
    assert_true(gh_span_equals(l.chain_id, gh_span_str("abc")));
    assert_false(l.has_missing);
}

/* What a policy's author writes into metadata makes no checkpoint of a record. */
static void only_the_event_makes_a_checkpoint(void **state)
{
    struct gh_audit_line l;

    (void)state;
    assert_int_equal(parse("{\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"event_type\":\"acl.allow\",\"metadata\":"
                           "{\"level\":\"info\",\"event_type\":\"audit.checkpoint\",\"reason\":\"stop\"},\"seq\":9,\"chain\":\"" MAC "\"}",
                           &l),
                     0);
    assert_int_equal(l.reason.len, 0);
}

static void what_has_no_number_and_mac_in_place_is_no_record(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "{\"timestamp\":\"",
        MAC,
        " chain=" MAC,
        " seq= chain=" MAC,
        " seq=01 chain=" MAC,
        " seq=18446744073709551616 chain=" MAC,
        " seq=99999999999999999999 chain=" MAC,
        " seq=-1 chain=" MAC,
        " seq=1  chain=" MAC,
        "x seq=1 chain=" MAC " ",
        "{\"timestamp\":\"x,\"seq\":1,\"chain\":\"" MAC "\" }",
        "{\"seq\":1,\"chain\":\"" MAC "\"}",
        "{\"timestamp\":\"x,\"seq\":1,\"chain\":\"00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff\"}",
    };
    struct gh_audit_line l;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(parse(texts[i], &l), GH_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(number_and_mac_are_read_in_both_forms),
        cmocka_unit_test(a_checkpoint_says_where_lines_stand),
        cmocka_unit_test(only_the_event_makes_a_checkpoint),
        cmocka_unit_test(what_has_no_number_and_mac_in_place_is_no_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
