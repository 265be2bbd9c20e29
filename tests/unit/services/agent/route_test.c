#include "services/agent/agent_route.h"

#include <stdio.h>

#include "../../test.h"
#include "base/error.h"

static struct gh_ip ip(const char *text)
{
    struct gh_ip a;

    assert_int_equal(gh_ip_parse(text, strlen(text), &a), 0);
    return a;
}

static struct gh_prefix prefix(const char *text)
{
    struct gh_prefix p;

    assert_int_equal(gh_prefix_parse(text, strlen(text), &p), 0);
    return p;
}

static struct gh_ip_route range(const char *start, const char *end, uint8_t protocol)
{
    return (struct gh_ip_route){ ip(start), ip(end), protocol };
}

/* The kernel's prefixes as one line. */
static const char *computed(const struct gh_ip_route *list, size_t count, const char *const *allowed, const char *relay, char *buf, size_t cap)
{
    struct gh_prefix allow[8];
    struct gh_agent_routes r = { 0 };
    struct gh_ip at;
    size_t n = 0, len = 0;

    for (; allowed[n]; n++)
        allow[n] = prefix(allowed[n]);
    if (relay)
        at = ip(relay);
    assert_int_equal(gh_agent_routes_create(list, count, allow, n, relay ? &at : NULL, &r), 0);
    buf[0] = 0;
    for (size_t i = 0; i < r.prefix_count; i++) {
        char text[GH_PREFIX_TEXT];

        len += (size_t)snprintf(buf + len, cap - len, "%s%s", i ? " " : "", gh_prefix_emit(&r.prefixes[i], text));
        assert_true(len < cap);
    }
    gh_agent_routes_fini(&r);
    return buf;
}

static void families_are_told_apart(void **state)
{
    const struct gh_ip_route list[] = { range("10.0.0.0", "10.0.0.255", 0), range("192.0.2.0", "192.0.2.255", 17), range("2001:db8::", "2001:db8::ff", 0) };
    const struct gh_prefix allow[] = { prefix("0.0.0.0/0"), prefix("::/0") };
    struct gh_agent_routes r = { 0 };
    struct gh_agent_prefixes p = gh_agent_routes_of(&r, true, true);

    (void)state;
    assert_int_equal(p.count, 0);
    assert_int_equal(gh_agent_routes_create(list, 3, allow, 2, NULL, &r), 0);
    assert_int_equal(gh_agent_routes_of(&r, true, true).count, 3);
    assert_int_equal(gh_agent_routes_of(&r, false, false).count, 0);
    p = gh_agent_routes_of(&r, true, false);
    assert_int_equal(p.count, 2);
    assert_int_equal(p.list[0].addr.family, 4);
    assert_int_equal(p.list[1].addr.family, 4);
    p = gh_agent_routes_of(&r, false, true);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.list[0].addr.family, 6);
    gh_agent_routes_fini(&r);
}

static const char *const everything[] = { "0.0.0.0/0", "::/0", NULL };

static void everything_becomes_two_halves_a_family(void **state)
{
    const struct gh_ip_route list[] = { range("0.0.0.0", "255.255.255.255", 0), range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0) };
    char buf[512];

    (void)state;
    assert_string_equal(computed(list, 2, everything, "192.0.2.1", buf, sizeof buf), "0.0.0.0/1 128.0.0.0/1 ::/1 8000::/1");
}

static void A7_what_is_not_allowed_is_not_installed(void **state)
{
    static const char *const lan[] = { "10.0.0.0/8", "2001:db8::/32", NULL };
    const struct gh_ip_route list[] = { range("0.0.0.0", "255.255.255.255", 0), range("fd00::", "fd00::ffff", 0) };
    char buf[512];

    (void)state;
    assert_string_equal(computed(list, 2, lan, NULL, buf, sizeof buf), "10.0.0.0/8");
    assert_string_equal(computed(list + 1, 1, lan, NULL, buf, sizeof buf), "");
}

static void A7_a_narrow_network_loses_the_relays_own_address(void **state)
{
    const struct gh_ip_route list[] = { range("192.0.2.0", "192.0.2.7", 0) }, only[] = { range("192.0.2.1", "192.0.2.1", 0) };
    char buf[512];

    (void)state;
    assert_string_equal(computed(list, 1, everything, "192.0.2.1", buf, sizeof buf), "192.0.2.0/32 192.0.2.2/31 192.0.2.4/30");
    assert_string_equal(computed(only, 1, everything, "192.0.2.1", buf, sizeof buf), "");
    /* the other family's address changes nothing */
    assert_string_equal(computed(list, 1, everything, "2001:db8::1", buf, sizeof buf), "192.0.2.0/29");
}

static void a_range_becomes_the_fewest_prefixes(void **state)
{
    const struct gh_ip_route list[] = { range("10.0.0.1", "10.0.0.6", 0) };
    char buf[512];

    (void)state;
    assert_string_equal(computed(list, 1, everything, NULL, buf, sizeof buf), "10.0.0.1/32 10.0.0.2/31 10.0.0.4/31 10.0.0.6/32");
}

static void a_network_named_for_two_protocols_is_one_route(void **state)
{
    const struct gh_ip_route list[] = { range("10.1.0.0", "10.1.255.255", 6), range("10.1.0.0", "10.1.255.255", 17) };
    struct gh_prefix allow = prefix("10.0.0.0/8");
    struct gh_agent_routes r;

    (void)state;
    assert_int_equal(gh_agent_routes_create(list, 2, &allow, 1, NULL, &r), 0);
    assert_int_equal(r.prefix_count, 1);
    /* the tunnel still tells them apart */
    assert_int_equal(r.range_count, 2);
    assert_int_equal(r.ranges[1].protocol, 17);
    gh_agent_routes_fini(&r);
}

static void more_routes_than_the_limit_are_refused(void **state)
{
    struct gh_ip_route *list = calloc(1024, sizeof *list);
    struct gh_prefix allow[1] = { prefix("10.0.0.0/8") };
    struct gh_agent_routes r;

    (void)state;
    assert_non_null(list);
    for (unsigned i = 0; i < 1024; i++) { /* each .1 to .254 of a /24 takes 14 prefixes */
        list[i] = range("10.0.0.1", "10.0.0.254", 0);
        list[i].start.bytes[1] = list[i].end.bytes[1] = (uint8_t)(i >> 8);
        list[i].start.bytes[2] = list[i].end.bytes[2] = (uint8_t)i;
    }
    assert_int_equal(gh_agent_routes_create(list, 1024, allow, 1, NULL, &r), GH_ERR_FULL);
    assert_int_equal(gh_agent_routes_create(list, 256, allow, 1, NULL, &r), 0);
    assert_int_equal(r.prefix_count, 256 * 14);
    gh_agent_routes_fini(&r);
    free(list);
}

static void the_device_gets_one_address_of_what_is_assigned(void **state)
{
    static const char *const cases[][2] = {
        { "10.100.0.2/32", "10.100.0.2/32" }, { "10.100.0.0/24", "10.100.0.1/32" }, { "10.100.0.2/31", "10.100.0.2/32" },
        { "fd00::2/128", "fd00::2/128" },     { "fd00:1::/64", "fd00:1::1/128" },
    };
    char text[GH_PREFIX_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gh_prefix in = prefix(cases[i][0]), out = gh_agent_device_address(&in);

        gh_prefix_emit(&out, text);
        if (!strchr(text, '/')) /* a full length may be left out of the text */
            snprintf(text + strlen(text), sizeof text - strlen(text), "/%u", out.len);
        assert_string_equal(text, cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_are_told_apart),
        cmocka_unit_test(everything_becomes_two_halves_a_family),
        cmocka_unit_test(A7_what_is_not_allowed_is_not_installed),
        cmocka_unit_test(A7_a_narrow_network_loses_the_relays_own_address),
        cmocka_unit_test(a_range_becomes_the_fewest_prefixes),
        cmocka_unit_test(a_network_named_for_two_protocols_is_one_route),
        cmocka_unit_test(more_routes_than_the_limit_are_refused),
        cmocka_unit_test(the_device_gets_one_address_of_what_is_assigned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
