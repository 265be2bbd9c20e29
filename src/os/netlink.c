#include "os/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "os/netlink_read.h"

#define BUFFER 32768u /* a dump's message is at most this long */

struct gh_netlink {
    struct mnl_socket *socket;
    uint32_t seq;
    int last_errno;
    char out[1024];
    char in[BUFFER];
};

static int error_of(int e)
{
    switch (e) {
    case 0:
        return 0;
    case EEXIST:
        return GH_ERR_EXISTS;
    case ENOENT:
    case ESRCH:
    case ENODEV:
    case ENXIO:
    case EADDRNOTAVAIL:
    case ENETUNREACH:
    case EHOSTUNREACH:
        return GH_ERR_NOT_FOUND;
    case EPERM:
    case EACCES:
        return GH_ERR_DENIED;
    case EINVAL:
    case ERANGE:
    case ENETDOWN:
        return GH_ERR_RANGE;
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
        return GH_ERR_UNSUPPORTED;
    case ENOMEM:
    case ENOBUFS:
        return GH_ERR_MEMORY;
    default:
        return GH_ERR_SYSTEM;
    }
}

int gh_netlink_create(struct gh_netlink **ret)
{
    struct gh_netlink *nl = calloc(1, sizeof *nl);

    if (!nl)
        return GH_ERR_MEMORY;
    nl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (!nl->socket || mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        int rc = error_of(errno);

        gh_netlink_destroy(nl);
        return rc;
    }
    *ret = nl;
    return 0;
}

int gh_netlink_socket(void)
{
    struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return GH_ERR_SYSTEM;
}

int gh_netlink_create_on(int fd, struct gh_netlink **ret)
{
    struct gh_netlink *nl = calloc(1, sizeof *nl);

    if (nl)
        nl->socket = mnl_socket_fdopen(fd);
    if (!nl || !nl->socket) {
        close(fd);
        free(nl);
        return nl ? GH_ERR_SYSTEM : GH_ERR_MEMORY;
    }
    *ret = nl;
    return 0;
}

void gh_netlink_destroy(struct gh_netlink *nl)
{
    if (!nl)
        return;
    if (nl->socket)
        mnl_socket_close(nl->socket);
    free(nl);
}

int gh_netlink_errno(const struct gh_netlink *nl)
{
    return nl->last_errno;
}

static struct nlmsghdr *begin(struct gh_netlink *nl, uint16_t type, uint16_t flags, size_t family_len, void **ret_family)
{
    struct nlmsghdr *h;

    memset(nl->out, 0, sizeof nl->out);
    h = mnl_nlmsg_put_header(nl->out);
    h->nlmsg_type = type;
    h->nlmsg_flags = NLM_F_REQUEST | flags;
    h->nlmsg_seq = ++nl->seq;
    *ret_family = mnl_nlmsg_put_extra_header(h, family_len);
    return h;
}

/* Sends and reads to the end of the answer: an acknowledgement, the end of a dump, or (<single>) the first message. */
static int talk(struct gh_netlink *nl, struct nlmsghdr *h, gh_nl_message_fn on_message, void *arg, bool single)
{
    unsigned port = mnl_socket_get_portid(nl->socket);
    int run = 0;

    nl->last_errno = 0;
    if (mnl_socket_sendto(nl->socket, h, h->nlmsg_len) < 0)
        goto failed;
    while (run == 0) {
        ssize_t n = mnl_socket_recvfrom(nl->socket, nl->in, sizeof nl->in);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            goto failed;
        run = gh_nl_answer(gh_span_of(nl->in, (size_t)n), nl->seq, port, on_message, arg);
        if (run < 0 && errno == EPROTO) /* the rest of an earlier dump that failed half-way */
            run = 0;
        else if (run < 0)
            goto failed;
        else if (single)
            break;
    }
    return 0;
failed:
    nl->last_errno = errno;
    return error_of(errno);
}

static int act(struct gh_netlink *nl, struct nlmsghdr *h)
{
    h->nlmsg_flags |= NLM_F_ACK;
    return talk(nl, h, NULL, NULL, false);
}

static uint8_t af_of(uint8_t family)
{
    return family == 4 ? AF_INET : AF_INET6;
}

static void put_ip(struct nlmsghdr *h, uint16_t type, const struct gh_ip *a)
{
    mnl_attr_put(h, type, gh_ip_len(a), a->bytes);
}

/* ---- links ---- */

int gh_netlink_link_index(struct gh_netlink *nl, const char *name)
{
    unsigned index;

    nl->last_errno = 0;
    index = if_nametoindex(name);
    if (!index) {
        nl->last_errno = errno;
        return error_of(errno);
    }
    return (int)index;
}

static struct nlmsghdr *begin_link(struct gh_netlink *nl, unsigned ifindex, struct ifinfomsg **ret)
{
    void *extra;
    struct nlmsghdr *h = begin(nl, RTM_NEWLINK, 0, sizeof **ret, &extra);

    *ret = extra;
    (*ret)->ifi_family = AF_UNSPEC;
    (*ret)->ifi_index = (int)ifindex;
    return h;
}

int gh_netlink_link_up(struct gh_netlink *nl, unsigned ifindex, bool up)
{
    struct ifinfomsg *i;
    struct nlmsghdr *h = begin_link(nl, ifindex, &i);

    i->ifi_change = IFF_UP;
    i->ifi_flags = up ? IFF_UP : 0;
    return act(nl, h);
}

static int link_set_u32(struct gh_netlink *nl, unsigned ifindex, uint16_t attr, uint32_t value)
{
    struct ifinfomsg *i;
    struct nlmsghdr *h = begin_link(nl, ifindex, &i);

    mnl_attr_put_u32(h, attr, value);
    return act(nl, h);
}

int gh_netlink_link_mtu(struct gh_netlink *nl, unsigned ifindex, uint32_t mtu)
{
    return link_set_u32(nl, ifindex, IFLA_MTU, mtu);
}

int gh_netlink_link_no_addrgen(struct gh_netlink *nl, unsigned ifindex)
{
    struct ifinfomsg *i;
    struct nlmsghdr *h = begin_link(nl, ifindex, &i);
    struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
    struct nlattr *six = mnl_attr_nest_start(h, AF_INET6);

    mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    mnl_attr_nest_end(h, six);
    mnl_attr_nest_end(h, spec);
    return act(nl, h);
}

/* ---- addresses ---- */

static int addr_change(struct gh_netlink *nl, uint16_t type, uint16_t flags, unsigned ifindex, const struct gh_prefix *addr)
{
    void *extra;
    struct nlmsghdr *h = begin(nl, type, flags, sizeof(struct ifaddrmsg), &extra);
    struct ifaddrmsg *a = extra;

    a->ifa_family = af_of(addr->addr.family);
    a->ifa_prefixlen = addr->len;
    a->ifa_index = ifindex;
    a->ifa_scope = RT_SCOPE_UNIVERSE;
    put_ip(h, IFA_LOCAL, &addr->addr);
    put_ip(h, IFA_ADDRESS, &addr->addr);
    if (addr->addr.family == 6 && type == RTM_NEWADDR)
        mnl_attr_put_u32(h, IFA_FLAGS, IFA_F_NODAD); /* usable at once: nobody else is on the link */
    return act(nl, h);
}

int gh_netlink_addr_add(struct gh_netlink *nl, unsigned ifindex, const struct gh_prefix *addr)
{
    return addr_change(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, addr);
}

int gh_netlink_addr_del(struct gh_netlink *nl, unsigned ifindex, const struct gh_prefix *addr)
{
    return addr_change(nl, RTM_DELADDR, 0, ifindex, addr);
}

/* ---- routes ---- */

static int route_change(struct gh_netlink *nl, uint16_t type, uint16_t flags, const struct gh_nl_route *r)
{
    void *extra;
    struct nlmsghdr *h = begin(nl, type, flags, sizeof(struct rtmsg), &extra);
    struct rtmsg *m = extra;
    uint32_t table = r->table ? r->table : GH_NL_TABLE_MAIN;
    bool add = type == RTM_NEWROUTE;

    m->rtm_family = af_of(r->dst.addr.family);
    m->rtm_dst_len = r->dst.len;
    m->rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC;
    m->rtm_type = r->type == GH_NL_UNREACHABLE ? RTN_UNREACHABLE : RTN_UNICAST;
    m->rtm_protocol = add ? RTPROT_STATIC : RTPROT_UNSPEC;
    m->rtm_scope = !add ? RT_SCOPE_NOWHERE
                        : r->type == GH_NL_UNICAST && !r->via.family ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    mnl_attr_put_u32(h, RTA_TABLE, table);
    if (r->dst.len)
        put_ip(h, RTA_DST, &r->dst.addr);
    if (r->type == GH_NL_UNICAST && r->ifindex)
        mnl_attr_put_u32(h, RTA_OIF, r->ifindex);
    if (r->type == GH_NL_UNREACHABLE && !add && r->dst.addr.family == 6)
        mnl_attr_put_u32(h, RTA_OIF, 1); /* Linux hangs them on the loopback device, whose index is 1, and ignores the type */
    if (r->via.family)
        put_ip(h, RTA_GATEWAY, &r->via);
    if (r->source.family)
        put_ip(h, RTA_PREFSRC, &r->source);
    if (r->metric)
        mnl_attr_put_u32(h, RTA_PRIORITY, r->metric);
    if (r->mtu && add) {
        struct nlattr *metrics = mnl_attr_nest_start(h, RTA_METRICS);

        mnl_attr_put_u32(h, RTAX_MTU, r->mtu);
        mnl_attr_nest_end(h, metrics);
    }
    return act(nl, h);
}

int gh_netlink_route_add(struct gh_netlink *nl, const struct gh_nl_route *r)
{
    return route_change(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, r);
}

int gh_netlink_route_del(struct gh_netlink *nl, const struct gh_nl_route *r)
{
    return route_change(nl, RTM_DELROUTE, 0, r);
}

int gh_netlink_route_get(struct gh_netlink *nl, const struct gh_ip *to, uint32_t mark, struct gh_nl_route *ret)
{
    void *extra;
    struct nlmsghdr *h = begin(nl, RTM_GETROUTE, 0, sizeof(struct rtmsg), &extra);
    struct rtmsg *m = extra;
    struct gh_nl_found f = { 0 };
    int rc;

    m->rtm_family = af_of(to->family);
    m->rtm_dst_len = (unsigned char)gh_ip_bits(to);
    m->rtm_flags = RTM_F_LOOKUP_TABLE;
    put_ip(h, RTA_DST, to);
    if (mark)
        mnl_attr_put_u32(h, RTA_MARK, mark);
    rc = talk(nl, h, gh_nl_find_route, &f, true);
    if (rc < 0)
        return rc;
    if (f.kernel_type != RTN_UNICAST && f.kernel_type != RTN_LOCAL)
        return GH_ERR_NOT_FOUND;
    *ret = f.route;
    return 0;
}

/* ---- rules ---- */

static int rule_change(struct gh_netlink *nl, uint16_t type, uint16_t flags, const struct gh_nl_rule *r)
{
    void *extra;
    struct nlmsghdr *h = begin(nl, type, flags, sizeof(struct fib_rule_hdr), &extra);
    struct fib_rule_hdr *m = extra;

    m->family = af_of(r->family);
    m->action = FR_ACT_TO_TBL;
    m->table = r->table < 256 ? (uint8_t)r->table : RT_TABLE_UNSPEC;
    m->flags = r->invert ? FIB_RULE_INVERT : 0;
    mnl_attr_put_u32(h, FRA_TABLE, r->table);
    mnl_attr_put_u32(h, FRA_PRIORITY, r->priority);
    if (r->has_mark) {
        mnl_attr_put_u32(h, FRA_FWMARK, r->mark);
        mnl_attr_put_u32(h, FRA_FWMASK, UINT32_MAX);
    }
    if (r->has_suppress)
        mnl_attr_put_u32(h, FRA_SUPPRESS_PREFIXLEN, r->suppress);
    return act(nl, h);
}

int gh_netlink_rule_add(struct gh_netlink *nl, const struct gh_nl_rule *r)
{
    return rule_change(nl, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, r);
}

int gh_netlink_rule_del(struct gh_netlink *nl, const struct gh_nl_rule *r)
{
    return rule_change(nl, RTM_DELRULE, 0, r);
}

/* ---- walks ---- */

int gh_netlink_routes(struct gh_netlink *nl, uint8_t family, uint32_t table, bool (*fn)(void *arg, const struct gh_nl_route *r),
                      void *arg)
{
    void *extra;
    struct nlmsghdr *h = begin(nl, RTM_GETROUTE, NLM_F_DUMP, sizeof(struct rtmsg), &extra);
    struct gh_nl_walk w = { .on_route = fn, .arg = arg, .table = table ? table : GH_NL_TABLE_MAIN };

    ((struct rtmsg *)extra)->rtm_family = af_of(family);
    return talk(nl, h, gh_nl_walk_route, &w, false);
}

int gh_netlink_rules(struct gh_netlink *nl, uint8_t family, bool (*fn)(void *arg, const struct gh_nl_rule *r), void *arg)
{
    void *extra;
    struct nlmsghdr *h = begin(nl, RTM_GETRULE, NLM_F_DUMP, sizeof(struct fib_rule_hdr), &extra);
    struct gh_nl_walk w = { .on_rule = fn, .arg = arg };

    ((struct fib_rule_hdr *)extra)->family = af_of(family);
    return talk(nl, h, gh_nl_walk_rule, &w, false);
}

int gh_netlink_addrs(struct gh_netlink *nl, unsigned ifindex, bool (*fn)(void *arg, const struct gh_prefix *addr), void *arg)
{
    void *extra;
    struct nlmsghdr *h = begin(nl, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg), &extra);
    struct gh_nl_walk w = { .on_addr = fn, .arg = arg, .ifindex = ifindex };

    ((struct ifaddrmsg *)extra)->ifa_family = AF_UNSPEC;
    return talk(nl, h, gh_nl_walk_addr, &w, false);
}

int gh_netlink_monitor_open(void)
{
    struct sockaddr_nl addr = { .nl_family = AF_NETLINK,
                                .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return GH_ERR_SYSTEM;
}

bool gh_netlink_monitor_read(int fd, int ifindex)
{
    _Alignas(struct nlmsghdr) char buf[BUFFER];
    bool changed = false;

    for (;;) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);

        if (n < 0 && errno == ENOBUFS) {
            changed = true; /* messages were lost: look */
            continue;
        }
        if (n <= 0)
            return changed;
        changed |= gh_nl_is_change(gh_span_of(buf, (size_t)n), ifindex);
    }
}
