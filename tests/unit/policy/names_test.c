#include "policy/names.h"

#include "../test.h"

#include "base/error.h"

static void protocols_have_the_numbers_of_the_registry(void **state)
{
    static const struct {
        const char *name;
        uint8_t number;
        bool ports;
    } cases[] = { /* IANA "Assigned Internet Protocol Numbers" */
        { "icmp", 1, false }, { "igmp", 2, false }, { "tcp", 6, true },      { "udp", 17, true },  { "dccp", 33, true },
        { "gre", 47, false }, { "esp", 50, false }, { "ah", 51, false },     { "icmpv6", 58, false }, { "ospf", 89, false },
        { "pim", 103, false }, { "sctp", 132, true }, { "udplite", 136, true },
    };
    uint8_t n;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(gh_policy_protocol_parse(cases[i].name, strlen(cases[i].name), &n), 0);
        assert_int_equal(n, cases[i].number);
        assert_string_equal(gh_policy_protocol_name(n), cases[i].name);
        assert_int_equal(gh_policy_protocol_has_ports(n), cases[i].ports);
        assert_string_equal(gh_policy_protocol_names[i], cases[i].name);
    }
    assert_null(gh_policy_protocol_names[sizeof cases / sizeof *cases]);
}

static void a_protocol_may_be_a_number(void **state)
{
    static const char *const bad[] = { "", "256", "-1", "TCP", "1x", "99999999999", "tc" };
    uint8_t n = 0;

    (void)state;
    assert_int_equal(gh_policy_protocol_parse("255", 3, &n), 0);
    assert_int_equal(n, 255);
    assert_null(gh_policy_protocol_name(255));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(gh_policy_protocol_parse(bad[i], strlen(bad[i]), &n), GH_ERR_MALFORMED);
}

static void icmp_names_differ_by_family(void **state)
{
    static const struct {
        const char *name;
        int v4, v6;
    } cases[] = {
        { "echo-request", 8, 128 },   { "echo-reply", 0, 129 },       { "destination-unreachable", 3, 1 }, { "packet-too-big", -1, 2 },
        { "time-exceeded", 11, 3 },   { "parameter-problem", 12, 4 }, { "redirect", 5, 137 },              { "echo", -1, -1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(gh_policy_icmp_type(cases[i].name, strlen(cases[i].name), 1), cases[i].v4);
        assert_int_equal(gh_policy_icmp_type(cases[i].name, strlen(cases[i].name), 58), cases[i].v6);
    }
}

static void numbers_are_decimal_and_bounded(void **state)
{
    uint32_t v = 0;

    (void)state;
    assert_int_equal(gh_policy_number_parse("4294967295", 10, UINT32_MAX, &v), 0);
    assert_int_equal(v, UINT32_MAX);
    assert_int_equal(gh_policy_number_parse("4294967296", 10, UINT32_MAX, &v), GH_ERR_MALFORMED);
    assert_int_equal(gh_policy_number_parse("0x1", 3, 100, &v), GH_ERR_MALFORMED);
    assert_int_equal(gh_policy_number_parse("", 0, 100, &v), GH_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protocols_have_the_numbers_of_the_registry),
        cmocka_unit_test(a_protocol_may_be_a_number),
        cmocka_unit_test(icmp_names_differ_by_family),
        cmocka_unit_test(numbers_are_decimal_and_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
