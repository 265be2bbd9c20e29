#include "os/netlink_read.h"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

/* The library's own loop goes on to the end of the padding, which need not be there. */
#define each_attr(a, h, head)                                                                            \
    for ((a) = mnl_nlmsg_get_payload_offset(h, head);                                                    \
         mnl_attr_ok(a, (int)((const char *)(h) + (h)->nlmsg_len - (const char *)(a))); (a) = mnl_attr_next(a))

/* The message's own head, or NULL when it is too short for it. */
static const void *head_of(const struct nlmsghdr *h, size_t len)
{
    return mnl_nlmsg_get_payload_len(h) >= len ? mnl_nlmsg_get_payload(h) : NULL;
}

static uint8_t family_of(uint8_t af)
{
    return af == AF_INET ? 4 : af == AF_INET6 ? 6 : 0;
}

/* Family 0 when it is not one. */
static struct gh_ip ip_of(uint8_t af, const struct nlattr *a)
{
    size_t want = af == AF_INET ? 4 : 16;

    if (mnl_attr_get_payload_len(a) < want)
        return (struct gh_ip){ 0 };
    return af == AF_INET ? gh_ip_v4(mnl_attr_get_payload(a)) : gh_ip_v6(mnl_attr_get_payload(a));
}

static uint32_t u32_of(const struct nlattr *a)
{
    return mnl_attr_get_payload_len(a) >= 4 ? mnl_attr_get_u32(a) : 0;
}

static bool is_prefix(const struct gh_prefix *p)
{
    return p->addr.family && p->len <= gh_ip_bits(&p->addr);
}

static uint32_t mtu_of(const struct nlattr *metrics)
{
    const struct nlattr *a;
    uint32_t mtu = 0;

    mnl_attr_for_each_nested(a, metrics)
        if (mnl_attr_get_type(a) == RTAX_MTU)
            mtu = u32_of(a);
    return mtu;
}

static bool read_route(const struct nlmsghdr *h, struct gh_nl_route *ret, uint8_t *ret_kernel_type)
{
    const struct rtmsg *m = head_of(h, sizeof *m);
    const struct nlattr *a;

    if (!m || !family_of(m->rtm_family))
        return false;
    *ret = (struct gh_nl_route){ .table = m->rtm_table };
    ret->type = m->rtm_type == RTN_UNREACHABLE ? GH_NL_UNREACHABLE : GH_NL_UNICAST;
    ret->dst.addr.family = family_of(m->rtm_family);
    ret->dst.len = m->rtm_dst_len;
    *ret_kernel_type = m->rtm_type;
    each_attr(a, h, sizeof *m) {
        switch (mnl_attr_get_type(a)) {
        case RTA_DST:
            ret->dst.addr = ip_of(m->rtm_family, a);
            break;
        case RTA_GATEWAY:
            ret->via = ip_of(m->rtm_family, a);
            break;
        case RTA_PREFSRC:
            ret->source = ip_of(m->rtm_family, a);
            break;
        case RTA_OIF:
            ret->ifindex = u32_of(a);
            break;
        case RTA_TABLE:
            ret->table = u32_of(a);
            break;
        case RTA_PRIORITY:
            ret->metric = u32_of(a);
            break;
        case RTA_METRICS:
            ret->mtu = mtu_of(a);
            break;
        default:
            break;
        }
    }
    if (ret->type == GH_NL_UNREACHABLE)
        ret->ifindex = 0;
    return is_prefix(&ret->dst);
}

int gh_nl_find_route(const struct nlmsghdr *h, void *found)
{
    struct gh_nl_found *f = found, read;

    if (h->nlmsg_type == RTM_NEWROUTE && read_route(h, &read.route, &read.kernel_type))
        *f = read;
    return MNL_CB_OK;
}

int gh_nl_walk_route(const struct nlmsghdr *h, void *walk)
{
    const struct rtmsg *m = head_of(h, sizeof *m);
    struct gh_nl_walk *w = walk;
    struct gh_nl_route r;
    uint8_t type;

    if (w->ended || h->nlmsg_type != RTM_NEWROUTE || !m || (m->rtm_flags & RTM_F_CLONED) || !read_route(h, &r, &type))
        return MNL_CB_OK;
    if ((type == RTN_UNICAST || type == RTN_UNREACHABLE) && r.table == w->table)
        w->ended = !w->on_route(w->arg, &r);
    return MNL_CB_OK;
}

int gh_nl_walk_rule(const struct nlmsghdr *h, void *walk)
{
    const struct fib_rule_hdr *m = head_of(h, sizeof *m);
    struct gh_nl_walk *w = walk;
    struct gh_nl_rule r = { 0 };
    const struct nlattr *a;

    if (w->ended || h->nlmsg_type != RTM_NEWRULE || !m || !family_of(m->family))
        return MNL_CB_OK;
    r.family = family_of(m->family);
    r.table = m->table;
    r.invert = (m->flags & FIB_RULE_INVERT) != 0;
    each_attr(a, h, sizeof *m) {
        switch (mnl_attr_get_type(a)) {
        case FRA_TABLE:
            r.table = u32_of(a);
            break;
        case FRA_PRIORITY:
            r.priority = u32_of(a);
            break;
        case FRA_FWMARK:
            r.mark = u32_of(a);
            r.has_mark = true;
            break;
        case FRA_SUPPRESS_PREFIXLEN:
            r.has_suppress = u32_of(a) != UINT32_MAX; /* the kernel's "none" */
            r.suppress = r.has_suppress ? u32_of(a) : 0;
            break;
        default:
            break;
        }
    }
    w->ended = !w->on_rule(w->arg, &r);
    return MNL_CB_OK;
}

int gh_nl_walk_addr(const struct nlmsghdr *h, void *walk)
{
    const struct ifaddrmsg *m = head_of(h, sizeof *m);
    struct gh_nl_walk *w = walk;
    struct gh_prefix p = { 0 };
    const struct nlattr *a;
    bool local = false; /* on a point-to-point link IFA_ADDRESS is the other end */

    if (w->ended || h->nlmsg_type != RTM_NEWADDR || !m || m->ifa_index != w->ifindex || !family_of(m->ifa_family))
        return MNL_CB_OK;
    p.len = m->ifa_prefixlen;
    each_attr(a, h, sizeof *m) {
        if (mnl_attr_get_type(a) == IFA_LOCAL) {
            p.addr = ip_of(m->ifa_family, a);
            local = true;
        }
        if (mnl_attr_get_type(a) == IFA_ADDRESS && !local)
            p.addr = ip_of(m->ifa_family, a);
    }
    if (is_prefix(&p))
        w->ended = !w->on_addr(w->arg, &p);
    return MNL_CB_OK;
}

/* The messages that are there as long as they say. The library takes lengths for signed, and one beyond 2^31 for a good one. */
static struct gh_span whole_messages(struct gh_span datagram)
{
    size_t at = 0;

    while (datagram.len - at >= sizeof(struct nlmsghdr)) {
        size_t left = datagram.len - at;
        uint32_t len = ((const struct nlmsghdr *)(const void *)(datagram.data + at))->nlmsg_len;

        if (len < sizeof(struct nlmsghdr) || len > left)
            break;
        at += MNL_ALIGN((size_t)len) < left ? MNL_ALIGN((size_t)len) : left;
    }
    return gh_span_of(datagram.data, at);
}

int gh_nl_answer(struct gh_span datagram, uint32_t seq, uint32_t port, gh_nl_message_fn fn, void *arg)
{
    struct gh_span messages = whole_messages(datagram);
    int run = mnl_cb_run(messages.data, messages.len, seq, port, fn, arg);

    return run < 0 ? -1 : run == MNL_CB_STOP;
}

/* Is the message about somebody else's things? */
static bool concerns(const struct nlmsghdr *h, int ifindex)
{
    const struct nlattr *a;
    const struct ifinfomsg *link;
    const struct ifaddrmsg *addr;
    const struct rtmsg *route;
    int device = -1; /* unknown, which is not ours */

    switch (h->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        link = head_of(h, sizeof *link);
        return link && link->ifi_index != ifindex;
    case RTM_NEWADDR:
    case RTM_DELADDR:
        addr = head_of(h, sizeof *addr);
        return addr && (int)addr->ifa_index != ifindex;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        route = head_of(h, sizeof *route);
        if (!route || route->rtm_table != RT_TABLE_MAIN)
            return false;
        each_attr(a, h, sizeof *route)
            if (mnl_attr_get_type(a) == RTA_OIF && mnl_attr_validate(a, MNL_TYPE_U32) == 0)
                device = (int)mnl_attr_get_u32(a);
        return device != ifindex;
    default:
        return false;
    }
}

bool gh_nl_is_change(struct gh_span datagram, int ifindex)
{
    struct gh_span messages = whole_messages(datagram);
    bool changed = false;
    int left = (int)messages.len;

    for (const struct nlmsghdr *h = (const void *)messages.data; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
        changed |= concerns(h, ifindex);
    return changed;
}
