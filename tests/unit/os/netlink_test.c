#include "os/netlink.h"

#include "../test.h"

#include "../netns.h"
#include "base/error.h"

static struct fixture {
    struct gh_netlink *nl;
    int tun;
    unsigned index;
} f;

static struct gh_prefix prefix(const char *address, uint8_t len)
{
    struct gh_prefix p = { .len = len };

    assert_int_equal(gh_ip_parse(address, strlen(address), &p.addr), 0);
    return p;
}

static struct gh_ip ip(const char *text)
{
    return prefix(text, 0).addr;
}

struct search {
    struct gh_prefix prefix;
    struct gh_nl_rule rule;
    unsigned found;
    struct gh_nl_route route;
};

static bool same_prefix(const struct gh_prefix *a, const struct gh_prefix *b)
{
    return a->len == b->len && gh_ip_equals(&a->addr, &b->addr);
}

static bool on_addr(void *arg, const struct gh_prefix *a)
{
    struct search *s = arg;

    s->found += same_prefix(a, &s->prefix);
    return true;
}

static bool on_route(void *arg, const struct gh_nl_route *r)
{
    struct search *s = arg;

    if (same_prefix(&r->dst, &s->prefix)) {
        s->found++;
        s->route = *r;
    }
    return true;
}

static bool on_rule(void *arg, const struct gh_nl_rule *r)
{
    struct search *s = arg;

    s->found += r->priority == s->rule.priority && r->table == s->rule.table && r->mark == s->rule.mark
                && r->has_mark == s->rule.has_mark && r->invert == s->rule.invert
                && r->has_suppress == s->rule.has_suppress && r->suppress == s->rule.suppress;
    return true;
}

static unsigned addrs(struct gh_prefix p)
{
    struct search s = { .prefix = p };

    assert_int_equal(gh_netlink_addrs(f.nl, f.index, on_addr, &s), 0);
    return s.found;
}

static unsigned routes(struct gh_prefix p, uint32_t table, struct gh_nl_route *ret)
{
    struct search s = { .prefix = p };

    assert_int_equal(gh_netlink_routes(f.nl, p.addr.family, table, on_route, &s), 0);
    if (ret)
        *ret = s.route;
    return s.found;
}

static unsigned rules(const struct gh_nl_rule *r)
{
    struct search s = { .rule = *r };

    assert_int_equal(gh_netlink_rules(f.nl, r->family, on_rule, &s), 0);
    return s.found;
}

static void an_address_is_added_and_deleted_once(void **state)
{
    const struct gh_prefix all[] = { prefix("10.9.0.1", 24), prefix("fd09::1", 64) };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(gh_netlink_addr_add(f.nl, f.index, &all[i]), 0);
        assert_int_equal(gh_netlink_addr_add(f.nl, f.index, &all[i]), GH_ERR_EXISTS);
        assert_int_equal(addrs(all[i]), 1);
        assert_int_equal(gh_netlink_addr_del(f.nl, f.index, &all[i]), 0);
        assert_int_equal(gh_netlink_addr_del(f.nl, f.index, &all[i]), GH_ERR_NOT_FOUND);
        assert_int_equal(addrs(all[i]), 0);
    }
}

static void a_route_is_added_and_deleted_once(void **state)
{
    const struct gh_nl_route all[] = {
        { .dst = prefix("10.20.0.0", 16), .ifindex = f.index },
        { .dst = prefix("0.0.0.0", 1), .ifindex = f.index, .table = 51820 },
        { .dst = prefix("fd20::", 32), .ifindex = f.index, .metric = 77 },
        { .dst = prefix("8000::", 1), .ifindex = f.index, .table = 51820 },
        { .dst = prefix("10.30.0.0", 16), .type = GH_NL_UNREACHABLE },
        { .dst = prefix("fd30::", 32), .type = GH_NL_UNREACHABLE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct gh_nl_route r;

        assert_int_equal(gh_netlink_route_add(f.nl, &all[i]), 0);
        assert_int_equal(gh_netlink_route_add(f.nl, &all[i]), GH_ERR_EXISTS);
        assert_int_equal(routes(all[i].dst, all[i].table, &r), 1);
        assert_int_equal(r.type, all[i].type);
        assert_int_equal(r.ifindex, all[i].ifindex);
        if (all[i].metric)
            assert_int_equal(r.metric, all[i].metric);
        assert_int_equal(gh_netlink_route_del(f.nl, &all[i]), 0);
        assert_int_equal(gh_netlink_route_del(f.nl, &all[i]), GH_ERR_NOT_FOUND);
        assert_int_equal(routes(all[i].dst, all[i].table, NULL), 0);
    }
}

static void a_rule_is_added_and_deleted_once(void **state)
{
    (void)state;
    for (unsigned family = 4; family <= 6; family += 2) {
        const struct gh_nl_rule all[] = {
            { .family = (uint8_t)family, .priority = 5209, .table = GH_NL_TABLE_MAIN, .has_suppress = true },
            { .family = (uint8_t)family, .priority = 5210, .table = 51820, .has_mark = true, .mark = 0x6761, .invert = true },
        };

        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(gh_netlink_rule_add(f.nl, &all[i]), 0);
            assert_int_equal(gh_netlink_rule_add(f.nl, &all[i]), GH_ERR_EXISTS);
            assert_int_equal(rules(&all[i]), 1);
            assert_int_equal(gh_netlink_rule_del(f.nl, &all[i]), 0);
            assert_int_equal(gh_netlink_rule_del(f.nl, &all[i]), GH_ERR_NOT_FOUND);
            assert_int_equal(rules(&all[i]), 0);
        }
    }
}

static void a_marked_packet_stays_out_of_the_own_table(void **state)
{
    const struct gh_nl_rule own = { .family = 4, .priority = 5210, .table = 51820, .has_mark = true, .mark = 7, .invert = true };
    const struct gh_nl_route half = { .dst = prefix("0.0.0.0", 1), .ifindex = f.index, .table = 51820 };
    const struct gh_ip to = ip("10.77.0.1");
    struct gh_nl_route r;

    (void)state;
    assert_int_equal(gh_netlink_rule_add(f.nl, &own), 0);
    assert_int_equal(gh_netlink_route_add(f.nl, &half), 0);
    assert_int_equal(gh_netlink_route_get(f.nl, &to, 0, &r), 0);
    assert_int_equal(r.ifindex, f.index);
    assert_int_equal(r.table, 51820);
    assert_int_equal(gh_netlink_route_get(f.nl, &to, 7, &r), GH_ERR_NOT_FOUND);
    assert_int_equal(gh_netlink_route_del(f.nl, &half), 0);
    assert_int_equal(gh_netlink_rule_del(f.nl, &own), 0);
}

static void link_values_are_checked_by_the_kernel(void **state)
{
    (void)state;
    assert_int_equal(gh_netlink_link_mtu(f.nl, f.index, 1380), 0);
    assert_int_equal(gh_netlink_link_mtu(f.nl, f.index, 10), GH_ERR_RANGE);
    assert_int_not_equal(gh_netlink_errno(f.nl), 0);
    assert_int_equal(gh_netlink_link_index(f.nl, "nosuch0"), GH_ERR_NOT_FOUND);
    assert_int_equal(gh_netlink_link_up(f.nl, 4711, true), GH_ERR_NOT_FOUND);
}

static bool refuse(void *arg, const struct gh_nl_rule *r)
{
    (void)r;
    ++*(int *)arg;
    return false;
}

static void a_walk_that_ends_early_leaves_the_socket_usable(void **state)
{
    int seen = 0;

    (void)state;
    assert_int_equal(gh_netlink_rules(f.nl, 4, refuse, &seen), 0);
    assert_int_equal(seen, 1);
    assert_int_equal(gh_netlink_link_up(f.nl, f.index, true), 0);
}

static int setup(void **state)
{
    (void)state;
    f.tun = netns_tun("ghtest0");
    if (f.tun < 0 || gh_netlink_create(&f.nl) < 0)
        return -1;
    f.index = (unsigned)gh_netlink_link_index(f.nl, "ghtest0");
    return gh_netlink_link_no_addrgen(f.nl, f.index) < 0 || gh_netlink_link_up(f.nl, f.index, true) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    gh_netlink_destroy(f.nl);
    close(f.tun);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_added_and_deleted_once),
        cmocka_unit_test(a_route_is_added_and_deleted_once),
        cmocka_unit_test(a_rule_is_added_and_deleted_once),
        cmocka_unit_test(a_marked_packet_stays_out_of_the_own_table),
        cmocka_unit_test(link_values_are_checked_by_the_kernel),
        cmocka_unit_test(a_walk_that_ends_early_leaves_the_socket_usable),
    };
    int probe;

    if (!netns_enter())
        return 77;
    probe = netns_tun("ghprobe");
    if (probe < 0)
        return 77;
    close(probe);
    return cmocka_run_group_tests(tests, setup, teardown);
}
