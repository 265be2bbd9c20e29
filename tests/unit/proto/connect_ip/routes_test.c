#include "proto/connect_ip/routes.h"

#include "../../wire/packets.h"
#include "base/error.h"

static struct gh_ip_route route(const char *start, const char *end, uint8_t protocol)
{
    return (struct gh_ip_route){ ip_of(start), ip_of(end), protocol };
}

static void assert_route(const struct gh_ip_route *r, const char *start, const char *end, uint8_t protocol)
{
    struct gh_ip_route want = route(start, end, protocol);

    assert_memory_equal(r, &want, sizeof want);
}

static void A6_ordering_joins_and_sorts(void **state)
{
    struct gh_ip_route list[] = { route("::1", "::1", 0),           route("10.0.1.0", "10.0.1.255", 0), route("10.0.0.5", "10.0.0.255", 0),
                                  route("1.0.0.0", "1.0.0.9", 6),   route("10.0.0.0", "10.0.0.9", 0),   route("10.0.3.0", "10.0.3.1", 0),
                                  route("1.0.0.3", "1.0.0.4", 6),   route("255.255.255.255", "255.255.255.255", 0) };

    (void)state;
    assert_false(gh_connect_ip_routes_ordered(list, 8));
    assert_int_equal(gh_connect_ip_order_routes(list, 8), 5);
    assert_true(gh_connect_ip_routes_ordered(list, 5));
    assert_route(&list[0], "10.0.0.0", "10.0.1.255", 0);
    assert_route(&list[1], "10.0.3.0", "10.0.3.1", 0);
    assert_route(&list[2], "255.255.255.255", "255.255.255.255", 0);
    assert_route(&list[3], "1.0.0.0", "1.0.0.9", 6);
    assert_route(&list[4], "::1", "::1", 0);
    assert_int_equal(gh_connect_ip_order_routes(list, 0), 0);
}

static void A6_protocol_zero_must_not_cover_another(void **state)
{
    struct gh_ip_route list[] = { route("10.0.0.0", "10.0.0.255", 0), route("10.0.0.9", "10.0.0.9", 6) };

    (void)state;
    assert_true(gh_connect_ip_routes_overlap(list, 2));
    list[1] = route("10.0.1.0", "10.0.1.9", 6);
    assert_false(gh_connect_ip_routes_overlap(list, 2));
}

static bool contains(const struct gh_ip_route *list, size_t count, const char *addr, uint8_t protocol)
{
    struct gh_ip a = ip_of(addr);

    return gh_connect_ip_routes_contain(list, count, &a, protocol);
}

static void look_up_knows_protocols(void **state)
{
    struct gh_ip_route list[] = { route("10.0.0.0", "10.0.0.255", 0), route("10.2.0.0", "10.2.0.255", 0),
                                  route("10.1.0.0", "10.1.0.255", 6), route("fd00::", "fd00::ff", 0) };

    (void)state;
    assert_true(contains(list, 4, "10.0.0.0", 17));
    assert_true(contains(list, 4, "10.0.0.255", 17));
    assert_false(contains(list, 4, "10.0.1.0", 17));
    assert_false(contains(list, 4, "9.255.255.255", 17));
    assert_true(contains(list, 4, "10.2.0.1", 0));
    assert_true(contains(list, 4, "10.1.0.1", 6));
    assert_false(contains(list, 4, "10.1.0.1", 17));
    assert_true(contains(list, 4, "10.1.0.1", 1)); /* ICMP goes with the rest */
    assert_true(contains(list, 4, "fd00::1", 6));
    assert_false(contains(list, 4, "fd00::1:0", 58));
    assert_false(contains(NULL, 0, "10.0.0.1", 1));
}

static void look_up_equals_a_naive_one(void **state)
{
    struct gh_ip_route list[64];
    uint32_t rnd = 3;

    (void)state;
    for (int round = 0; round < 300; round++) {
        size_t n;

        for (size_t i = 0; i < 40; i++) {
            rnd = rnd * 1664525u + 1013904223u;
            list[i] = route("10.0.0.0", "10.0.0.0", (uint8_t)((rnd >> 30) * 6));
            list[i].start.bytes[3] = (uint8_t)(rnd >> 8);
            list[i].end.bytes[3] = (uint8_t)(list[i].start.bytes[3] | (rnd >> 20 & 7));
        }
        n = gh_connect_ip_order_routes(list, 20);
        assert_true(gh_connect_ip_routes_ordered(list, n));
        for (unsigned b = 0; b < 256; b++) {
            struct gh_ip a = ip_of("10.0.0.0");
            bool want = false;

            a.bytes[3] = (uint8_t)b;
            for (size_t i = 0; i < n; i++)
                if ((list[i].protocol == 0 || list[i].protocol == 6) && list[i].start.bytes[3] <= b && b <= list[i].end.bytes[3])
                    want = true;
            assert_int_equal(gh_connect_ip_routes_contain(list, n, &a, 6), want);
        }
    }
}

static void A7_only_what_is_allowed_here_is_taken(void **state)
{
    struct gh_ip_route list[] = { route("0.0.0.0", "255.255.255.255", 0), route("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0) };
    struct gh_prefix allowed[] = { prefix_of("10.0.0.0/8"), prefix_of("fd00::/64"), prefix_of("10.1.0.0/16") };
    struct gh_ip_route ret[8];

    (void)state;
    assert_int_equal(gh_connect_ip_limit_routes(list, 2, allowed, 3, NULL, ret, 8), 2);
    assert_route(&ret[0], "10.0.0.0", "10.255.255.255", 0);
    assert_route(&ret[1], "fd00::", "fd00::ffff:ffff:ffff:ffff", 0);
    list[0] = route("9.0.0.0", "10.0.0.7", 6);
    assert_int_equal(gh_connect_ip_limit_routes(list, 1, allowed, 2, NULL, ret, 8), 1);
    assert_route(&ret[0], "10.0.0.0", "10.0.0.7", 6);
    list[0] = route("11.0.0.0", "12.0.0.7", 6);
    assert_int_equal(gh_connect_ip_limit_routes(list, 1, allowed, 2, NULL, ret, 8), 0);
}

static void A7_the_way_to_the_proxy_stays_outside(void **state)
{
    struct gh_ip_route list[] = { route("10.0.0.0", "10.0.0.255", 0) };
    struct gh_prefix allowed[] = { prefix_of("0.0.0.0/0") };
    struct gh_ip proxy = ip_of("10.0.0.9");
    struct gh_ip_route ret[2];

    (void)state;
    assert_int_equal(gh_connect_ip_limit_routes(list, 1, allowed, 1, &proxy, ret, 2), 2);
    assert_route(&ret[0], "10.0.0.0", "10.0.0.8", 0);
    assert_route(&ret[1], "10.0.0.10", "10.0.0.255", 0);
    assert_int_equal(gh_connect_ip_limit_routes(list, 1, allowed, 1, &proxy, ret, 1), GH_ERR_FULL);
    proxy = ip_of("10.0.0.0");
    assert_int_equal(gh_connect_ip_limit_routes(list, 1, allowed, 1, &proxy, ret, 2), 1);
    assert_route(&ret[0], "10.0.0.1", "10.0.0.255", 0);
    proxy = ip_of("10.0.0.255");
    assert_int_equal(gh_connect_ip_limit_routes(list, 1, allowed, 1, &proxy, ret, 2), 1);
    assert_route(&ret[0], "10.0.0.0", "10.0.0.254", 0);
    proxy = ip_of("10.0.1.0");
    assert_int_equal(gh_connect_ip_limit_routes(list, 1, allowed, 1, &proxy, ret, 2), 1);
}

static void a_range_becomes_the_fewest_prefixes(void **state)
{
    static const struct {
        const char *start, *end, *prefixes[4];
        int count;
    } cases[] = {
        { "0.0.0.0", "255.255.255.255", { "0.0.0.0/0" }, 1 },
        { "10.0.0.1", "10.0.0.1", { "10.0.0.1/32" }, 1 },
        { "10.0.0.1", "10.0.0.6", { "10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32" }, 4 },
        { "255.255.255.254", "255.255.255.255", { "255.255.255.254/31" }, 1 },
        { "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", { "::/0" }, 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gh_ip_route r = route(cases[i].start, cases[i].end, 0);
        struct gh_prefix ret[4];
        char text[GH_PREFIX_TEXT];

        assert_int_equal(gh_connect_ip_route_prefixes(&r, ret, 4), cases[i].count);
        for (int j = 0; j < cases[i].count; j++)
            assert_string_equal(gh_prefix_emit(&ret[j], text), cases[i].prefixes[j]);
        assert_int_equal(gh_connect_ip_route_prefixes(&r, ret, (size_t)cases[i].count - 1), GH_ERR_FULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(A6_ordering_joins_and_sorts),
        cmocka_unit_test(A6_protocol_zero_must_not_cover_another),
        cmocka_unit_test(look_up_knows_protocols),
        cmocka_unit_test(look_up_equals_a_naive_one),
        cmocka_unit_test(A7_only_what_is_allowed_here_is_taken),
        cmocka_unit_test(A7_the_way_to_the_proxy_stays_outside),
        cmocka_unit_test(a_range_becomes_the_fewest_prefixes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
