/* Routes of a device, and networks that are unreachable. */
#include "../test.h"

#include <unistd.h>

#include "../netns.h"
#include "base/error.h"
#include "machine.h"
#include "os/netlink.h"

enum way { WAY_DEVICE, WAY_UNREACHABLE, WAY_OTHER };

static enum way way_to(const char *address)
{
    struct gh_nl_route r = { 0 };
    struct gh_netlink *nl;
    struct gh_ip to;
    int rc, device;

    assert_int_equal(gh_ip_parse(address, strlen(address), &to), 0);
    assert_int_equal(gh_netlink_create(&nl), 0);
    rc = gh_netlink_route_get(nl, &to, 0, &r);
    device = gh_netlink_link_index(nl, "ghpriv0");
    gh_netlink_destroy(nl);
    if (rc < 0)
        return rc == GH_ERR_NOT_FOUND ? WAY_UNREACHABLE : WAY_OTHER;
    return (int)r.ifindex == device ? WAY_DEVICE : WAY_OTHER;
}

static void routes_become_exactly_the_set(void **state)
{
    const struct gh_priv_request open = tun_request(1), addresses = address_request();
    struct puppet_order o = { .op = PUPPET_ROUTES, .number = 100, .text = "ghpriv0" };
    struct puppet_report r;
    struct puppet p;
    char *text;

    (void)state;
    puppet_open(&p, NULL);
    puppet_start(&p);
    assert_int_equal(puppet_call(&p, &open), 0);
    assert_int_equal(puppet_call(&p, &addresses), 0);
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    text = machine();
    assert_non_null(strstr(text, "10.100.99.0/24"));
    free(text);
    o.number = 10;
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    text = machine();
    assert_non_null(strstr(text, "10.100.9.0/24"));
    assert_null(strstr(text, "10.100.10.0/24"));
    assert_null(strstr(text, "10.100.99.0/24"));
    free(text);
    o.number = 0;
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    text = machine();
    assert_null(strstr(text, "10.100.9.0/24"));
    assert_non_null(strstr(text, "10.100.0.0/24")); /* the network of the address stays */
    free(text);
    puppet_close(&p);
}

/* A network of a family that the tunnel does not carry now, and then does: at no time does nobody say where it is. */
static void what_is_unreachable_gives_way_to_a_route_and_comes_back(void **state)
{
    const struct gh_priv_request open = tun_request(1), addresses = address_request();
    const struct gh_priv_request grant = rule_request();
    struct gh_priv_request blocked = route_request("", 51821, "10.250.0.0/16", "fd66::/48"), carried = route_request("ghpriv0", 51821, "10.250.0.0/16", "fd66::/48");
    struct puppet p;
    char *before = machine(), *text;

    (void)state;
    blocked.routes.metric = 65535;
    blocked.routes.first = blocked.routes.last = carried.routes.first = carried.routes.last = 1;
    puppet_open(&p, NULL);
    puppet_start(&p);
    assert_int_equal(puppet_call(&p, &open), 0);
    assert_int_equal(puppet_call(&p, &addresses), 0);
    assert_int_equal(puppet_call(&p, &grant), 0);
    assert_int_equal(puppet_call(&p, &blocked), 0);
    assert_int_equal(way_to("10.250.1.1"), WAY_UNREACHABLE);
    assert_int_equal(way_to("fd66::1"), WAY_UNREACHABLE);
    assert_int_equal(puppet_call(&p, &carried), 0);
    assert_int_equal(puppet_call(&p, &blocked), 0); /* both are there: the device's counts */
    assert_int_equal(way_to("10.250.1.1"), WAY_DEVICE);
    assert_int_equal(way_to("fd66::1"), WAY_DEVICE);
    carried.routes.count = 0;
    assert_int_equal(puppet_call(&p, &carried), 0);
    assert_int_equal(way_to("10.250.1.1"), WAY_UNREACHABLE);
    assert_int_equal(way_to("fd66::1"), WAY_UNREACHABLE);
    blocked.routes.count = 1;
    assert_int_equal(puppet_call(&p, &blocked), 0);
    assert_int_equal(way_to("10.250.1.1"), WAY_UNREACHABLE);
    assert_int_not_equal(way_to("fd66::1"), WAY_DEVICE);
    text = machine();
    assert_null(strstr(text, "fd66::/48"));
    free(text);
    puppet_close(&p);
    text = machine();
    assert_string_equal(text, before);
    free(text);
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_become_exactly_the_set),
        cmocka_unit_test(what_is_unreachable_gives_way_to_a_route_and_comes_back),
    };

    return !machine_enter() ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
