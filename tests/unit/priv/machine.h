/* A machine in a network namespace, and what a child asks for on it. */
#ifndef GH_TESTS_UNIT_PRIV_MACHINE_H
#define GH_TESTS_UNIT_PRIV_MACHINE_H

#include "../test.h"

#include <stdio.h>

#include "puppet.h"

/* Everything that a gateway changes on a machine, as text. The caller frees it. */
static inline char *machine(void)
{
    static const char *const command = "ip -j addr; ip -j route show table all; ip -j -6 route show table all; ip -j rule; ip -j -6 rule;"
                                       "nft list ruleset; cat /proc/sys/net/ipv4/ip_forward;"
                                       "cd /proc/sys/net; grep -r . ipv4/conf ipv6/conf 2>/dev/null | sort";
    size_t cap = 1 << 20, len;
    char *text = malloc(cap);
    FILE *f = popen(command, "r");

    assert_non_null(text);
    assert_non_null(f);
    len = fread(text, 1, cap - 1, f);
    pclose(f);
    text[len] = 0;
    assert_non_null(strstr(text, "\"ifname\":\"lo\""));
    return text;
}

/* A namespace of its own, where everything that the tests need can be had; false: this is no place for them. */
static inline bool machine_enter(void)
{
    int probe = netns_enter() ? netns_tun("ghprobe") : -1;

    if (probe < 0)
        return false;
    close(probe);
    return system("ip link set lo up && nft list ruleset >/dev/null") == 0;
}

static inline struct gh_prefix prefix(const char *text)
{
    struct gh_prefix p = { 0 };
    const char *slash = strchr(text, '/');

    assert_int_equal(gh_ip_parse(text, (size_t)(slash - text), &p.addr), 0);
    p.len = (uint8_t)atoi(slash + 1);
    return p;
}

static inline struct gh_priv_request tun_request(unsigned queues)
{
    struct gh_priv_request q = puppet_request(GH_PRIV_OPEN_TUN);

    strcpy(q.tun.name, "ghpriv0");
    q.tun.queues = (uint16_t)queues;
    return q;
}

static inline struct gh_priv_request address_request(void)
{
    struct gh_priv_request q = puppet_request(GH_PRIV_TUN_CONFIG);

    strcpy(q.tun_config.name, "ghpriv0");
    q.tun_config.mtu = 1380;
    q.tun_config.up = 1;
    q.tun_config.addr_count = 2;
    q.tun_config.addrs[0] = prefix("10.100.0.1/24");
    q.tun_config.addrs[1] = prefix("fd64::1/64");
    return q;
}

static inline struct gh_priv_request route_request(const char *device, uint32_t table, const char *a, const char *b)
{
    struct gh_priv_request q = puppet_request(GH_PRIV_ROUTE);

    strcpy(q.routes.device, device);
    q.routes.op = GH_PRIV_ROUTE_ADD;
    q.routes.table = table;
    q.routes.count = 2;
    q.routes.prefixes[0] = prefix(a);
    q.routes.prefixes[1] = prefix(b);
    return q;
}

static inline struct gh_priv_request rule_request(void)
{
    struct gh_priv_request q = puppet_request(GH_PRIV_RULE);

    q.rule.mark = 0x6768;
    q.rule.table = 51821;
    q.rule.priority = 5200;
    return q;
}

#endif
