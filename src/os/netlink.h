/* os/netlink.h - links, addresses, routes and rules of the network namespace in which the socket was opened
 *
 * Actions return 0, GH_ERR_EXISTS (add of what is there), GH_ERR_NOT_FOUND (no such device, or delete of what is not
 * there), GH_ERR_DENIED, GH_ERR_RANGE (the kernel refused the values), GH_ERR_UNSUPPORTED, GH_ERR_MEMORY or GH_ERR_SYSTEM;
 * gh_netlink_errno tells the kernel's number of the last failure.
 */
#ifndef GH_OS_NETLINK_H
#define GH_OS_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip_addr.h"

struct gh_netlink;

int gh_netlink_create(struct gh_netlink **ret);
/* A bound socket for gh_netlink_create_on, in a process that may not make one itself: a descriptor, or GH_ERR_SYSTEM. */
int gh_netlink_socket(void);
int gh_netlink_create_on(int fd, struct gh_netlink **ret); /* takes <fd> over, whatever happens */
void gh_netlink_destroy(struct gh_netlink *nl);
int gh_netlink_errno(const struct gh_netlink *nl);

/* Index > 0, or GH_ERR_NOT_FOUND. */
int gh_netlink_link_index(struct gh_netlink *nl, const char *name);
int gh_netlink_link_up(struct gh_netlink *nl, unsigned ifindex, bool up);
int gh_netlink_link_mtu(struct gh_netlink *nl, unsigned ifindex, uint32_t mtu);
/* Without the link-local address that the kernel makes up: a tunnel has no use for it. */
int gh_netlink_link_no_addrgen(struct gh_netlink *nl, unsigned ifindex);

/* <addr> may have bits below the prefix length: it is an address with its network. IPv6 skips duplicate detection. */
int gh_netlink_addr_add(struct gh_netlink *nl, unsigned ifindex, const struct gh_prefix *addr);
int gh_netlink_addr_del(struct gh_netlink *nl, unsigned ifindex, const struct gh_prefix *addr);

#define GH_NL_TABLE_MAIN 254u

enum gh_nl_route_type { GH_NL_UNICAST, GH_NL_UNREACHABLE };

struct gh_nl_route {
    struct gh_prefix dst;
    enum gh_nl_route_type type;
    uint32_t table;   /* 0: main */
    uint32_t metric;  /* 0: the kernel's default */
    unsigned ifindex; /* 0: none */
    struct gh_ip via; /* family 0: none */
    struct gh_ip source; /* preferred source; family 0: none */
    uint32_t mtu;        /* 0: the device's */
};

int gh_netlink_route_add(struct gh_netlink *nl, const struct gh_nl_route *r);
int gh_netlink_route_del(struct gh_netlink *nl, const struct gh_nl_route *r);
/* Where a packet to <to> with <mark> goes: fills ifindex, via, source, table, mtu. GH_ERR_NOT_FOUND when unreachable. */
int gh_netlink_route_get(struct gh_netlink *nl, const struct gh_ip *to, uint32_t mark, struct gh_nl_route *ret);

struct gh_nl_rule {
    uint8_t family; /* 4 or 6 */
    uint32_t priority;
    uint32_t table;
    bool has_mark, invert; /* invert: "not fwmark" */
    uint32_t mark;
    bool has_suppress; /* suppress_prefixlength */
    uint32_t suppress;
};

int gh_netlink_rule_add(struct gh_netlink *nl, const struct gh_nl_rule *r);
int gh_netlink_rule_del(struct gh_netlink *nl, const struct gh_nl_rule *r);

/* A socket that tells of changes of links, addresses and routes: a descriptor, non-blocking, or GH_ERR_SYSTEM. Needs no right. */
int gh_netlink_monitor_open(void);
/* Takes all that is there. True when something changed that is not about <ifindex> (a device of ours) and not in a table of our own: the
 * main table and links count; so does a message that was lost. */
bool gh_netlink_monitor_read(int fd, int ifindex);

/* Walks; <fn> returns false to end. Routes: of <family> and <table>. */
int gh_netlink_routes(struct gh_netlink *nl, uint8_t family, uint32_t table, bool (*fn)(void *arg, const struct gh_nl_route *r),
                      void *arg);
int gh_netlink_rules(struct gh_netlink *nl, uint8_t family, bool (*fn)(void *arg, const struct gh_nl_rule *r), void *arg);
int gh_netlink_addrs(struct gh_netlink *nl, unsigned ifindex, bool (*fn)(void *arg, const struct gh_prefix *addr), void *arg);

#endif
