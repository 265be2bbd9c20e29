#include "proto/connect_ip/head.h"

#include "../../test.h"

static void D8_content_fields_are_malformed(void **state)
{
    (void)state;
    assert_int_equal(gh_connect_ip_check_field(gh_span_str("content-length")), GH_ERR_MALFORMED);
    assert_int_equal(gh_connect_ip_check_field(gh_span_str("content-type")), GH_ERR_MALFORMED);
    assert_int_equal(gh_connect_ip_check_field(gh_span_str("transfer-encoding")), GH_ERR_MALFORMED);
    assert_int_equal(gh_connect_ip_check_field(gh_span_str("capsule-protocol")), 0);
    assert_int_equal(gh_connect_ip_check_field(gh_span_str("content-language")), 0);
}

static void D8_statuses_without_content_are_malformed(void **state)
{
    (void)state;
    for (unsigned status = 204; status <= 206; status++)
        assert_int_equal(gh_connect_ip_check_status(status, false), GH_ERR_MALFORMED);
}

static void D10_capsule_protocol_is_true_or_absent(void **state)
{
    static const char *const on[] = { "?1", " ?1 ", "?1;a", "?1; a=1;b=\"x;y\\\"\"", "?1;*k" };
    static const char *const off[] = { "", "?0", "1", "true", "?", "?1x", "?1,?1", "\"?1\"", "?1;", "?1;A", "?1;a=", "?1;a=\"x", "?1 x", "(?1)" };

    (void)state;
    for (size_t i = 0; i < sizeof on / sizeof *on; i++)
        assert_true(gh_connect_ip_capsule_protocol(gh_span_str(on[i])));
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        assert_false(gh_connect_ip_capsule_protocol(gh_span_str(off[i])));
}

static void D10_only_101_and_success_may_carry_the_field(void **state)
{
    (void)state;
    for (unsigned status = 100; status < 600; status++)
        assert_int_equal(gh_connect_ip_status_may_carry(status), status == 101 || status / 100 == 2);
}

static void R5_success_opens_and_all_else_fails(void **state)
{
    (void)state;
    assert_int_equal(gh_connect_ip_check_status(200, false), 1);
    assert_int_equal(gh_connect_ip_check_status(299, false), 1);
    assert_int_equal(gh_connect_ip_check_status(100, false), 0);
    assert_int_equal(gh_connect_ip_check_status(103, false), 0);
    assert_int_equal(gh_connect_ip_check_status(101, false), GH_ERR_PROTOCOL);
    for (unsigned status = 300; status < 600; status++)
        assert_int_equal(gh_connect_ip_check_status(status, false), GH_ERR_DENIED);
    assert_int_equal(gh_connect_ip_check_status(99, false), GH_ERR_MALFORMED);
    assert_int_equal(gh_connect_ip_check_status(600, false), GH_ERR_MALFORMED);
    assert_int_equal(gh_connect_ip_check_status(101, true), 1);
    assert_int_equal(gh_connect_ip_check_status(200, true), GH_ERR_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(D8_content_fields_are_malformed),
        cmocka_unit_test(D8_statuses_without_content_are_malformed),
        cmocka_unit_test(D10_capsule_protocol_is_true_or_absent),
        cmocka_unit_test(D10_only_101_and_success_may_carry_the_field),
        cmocka_unit_test(R5_success_opens_and_all_else_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
