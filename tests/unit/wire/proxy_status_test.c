#include "wire/proxy_status.h"

#include <stdio.h>

#include "../test.h"

static void a_parameter_is_found_wherever_it_stands(void **state)
{
    static const struct {
        const char *field, *name, *expected; /* NULL: none */
    } rows[] = {
        /* RFC 9209, sections 2 and 2.1 */
        { "FooProxy, ExampleCDN; error=connection_timeout", "error", "connection_timeout" },
        { "gatehouse; error=dns_error", "error", "dns_error" },
        { "gatehouse;error=dns_error;details=\"x\"", "error", "dns_error" },
        { "gatehouse; next-hop=\"192.0.2.1:53\"", "next-hop", "192.0.2.1:53" },
        { "gatehouse; next-hop=\"[2001:db8::1]:53\" ; received-status=200", "next-hop", "[2001:db8::1]:53" },
        { "\"a proxy; error=http_request_denied, \\\" of sorts\"; error=dns_timeout", "error", "dns_timeout" },
        { "a; details=\"with \\\"quotes\\\" and \\\\\"", "details", "with \"quotes\" and \\" },
        { "a; error=first, b; error=second", "error", "first" },
        { "a; errors=no; xerror=no", "error", NULL },
        { "error", "error", NULL },
        { "error=", "error", NULL },
        { "a; error=\"\"", "error", NULL },
        { "a; details=\"never ended; error=dns_error", "error", NULL },
        { "a; error=\xc3\xa9", "error", NULL },
        { ";;,,", "error", NULL },
        { "", "error", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char value[GH_PROXY_STATUS_VALUE] = "untouched";

        assert_int_equal(gh_proxy_status_find(gh_span_str(rows[i].field), rows[i].name, value), rows[i].expected != NULL);
        assert_string_equal(value, rows[i].expected ? rows[i].expected : "untouched");
    }
}

static void what_does_not_fit_is_none(void **state)
{
    char field[400], value[GH_PROXY_STATUS_VALUE];

    (void)state;
    snprintf(field, sizeof field, "a; error=%0*d", GH_PROXY_STATUS_VALUE - 1, 0);
    assert_true(gh_proxy_status_find(gh_span_str(field), "error", value));
    snprintf(field, sizeof field, "a; error=%0*d", GH_PROXY_STATUS_VALUE, 0);
    assert_false(gh_proxy_status_find(gh_span_str(field), "error", value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parameter_is_found_wherever_it_stands),
        cmocka_unit_test(what_does_not_fit_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
