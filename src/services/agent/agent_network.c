/* Addresses, routes and size of the device: what the tunnel learned becomes what the kernel does. */
#include <stdio.h>

#include "base/error.h"
#include "services/agent/agent_internal.h"

#define MTU_MIN 1280u /* RFC 9484, section 10.1: less cannot carry IPv6, and the kernel takes IPv6 off the device */
#define MTU_MIN_IPV4 576u
#define MTU_TCP 1400u /* a little below what QUIC carries on most paths */

/* What TCP carries has no size; the device keeps the one that it has, so that the way back to QUIC is none for what flows through it. */
static size_t tunnel_mtu(const struct agent *a)
{
    if (a->carrier && a->carrier->tcp)
        return a->mtu > MTU_MIN ? a->mtu : MTU_TCP;
    return a->carrier ? gh_agent_tunnel_mtu(&a->carrier->tunnel) : 0;
}

static size_t device_mtu(const struct agent *a)
{
    size_t mtu = a->conf.mtu ? a->conf.mtu : tunnel_mtu(a) & ~(size_t)7, min = MTU_MIN;

    if (!a->conf.mtu && a->mtu > mtu && mtu < MTU_MIN && (!a->carrier || !agent_link_is_narrow(a->carrier, gh_worker_now(a->w))))
        return a->mtu; /* a new path has not been measured yet */
    if (!a->conf.mtu && a->mtu && !agent_network_has_ipv6(a))
        min = MTU_MIN_IPV4;
    return mtu < min ? min : mtu;
}

static bool has_family(const struct agent *a, uint8_t family)
{
    for (size_t i = 0; i < a->assigned_count; i++)
        if (a->assigned[i].addr.family == family)
            return true;
    return false;
}

bool agent_network_has_ipv6(const struct agent *a)
{
    return has_family(a, 6);
}

struct gh_agent_prefixes agent_network_carried(const struct agent *a)
{
    return gh_agent_routes_of(&a->routes, has_family(a, 4), has_family(a, 6));
}

struct gh_agent_prefixes agent_network_blocked(const struct agent *a)
{
    return gh_agent_routes_of(&a->routes, a->blocked.ipv4, a->blocked.ipv6);
}

/* The parent answers within one system call or two; this happens when something changed, never for a packet. */
static int configure(struct agent *a, size_t mtu)
{
    struct gh_priv_tun_config q = { .mtu = (uint32_t)mtu, .up = 1 };
    int rc;

    snprintf(q.name, sizeof q.name, "%s", a->tun);
    for (size_t i = 0; i < a->assigned_count; i++)
        q.addrs[q.addr_count++] = gh_agent_device_address(&a->assigned[i]);
    rc = gh_privileged_tun_config(a->run->privileged, &q);
    if (rc < 0)
        gh_log_event(a->log, GH_LOG_ERROR, "agent", "the device cannot be set up", gh_log_str("device", a->tun),
                     gh_log_str("reason", gh_privileged_why(a->run->privileged)));
    else
        a->mtu = mtu;
    return rc;
}

/* <f>'s networks become unreachable, the others' go where they led before. */
static int block(struct agent *a, struct agent_families f)
{
    struct gh_agent_prefixes p = gh_agent_routes_of(&a->routes, f.ipv4, f.ipv6);
    int rc;

    if (!a->conf.routing || !a->conf.block_unassigned || !a->routes.prefixes) /* without routes: what a child before us did stays */
        return 0;
    rc = gh_privileged_routes_block(a->run->privileged, a->conf.table, p.list, p.count);
    if (rc < 0)
        gh_log_event(a->log, GH_LOG_ERROR, "agent", "what the tunnel does not carry cannot be made unreachable",
                     gh_log_str("reason", gh_privileged_why(a->run->privileged)));
    else if (p.count && (!a->blocked_count || f.ipv4 != a->blocked.ipv4 || f.ipv6 != a->blocked.ipv6))
        gh_log_event(a->log, GH_LOG_WARN, "agent", "what the tunnel does not carry is unreachable", gh_log_uint("count", p.count),
                     gh_log_str("family", f.ipv4 && f.ipv6 ? "IPv4 and IPv6" : f.ipv4 ? "IPv4" : "IPv6"));
    a->blocked = f;
    a->blocked_count = p.count;
    return rc;
}

/* A device that was never set up belongs to a relay that has not served us yet. */
static struct agent_families unassigned(const struct agent *a)
{
    bool block_any = a->conf.routing && a->conf.block_unassigned && a->mtu > 0;

    return (struct agent_families){ block_any && !has_family(a, 4), block_any && !has_family(a, 6) };
}

/* Before anything is taken away. */
static int block_more(struct agent *a)
{
    struct agent_families f = unassigned(a);

    f.ipv4 |= a->blocked.ipv4;
    f.ipv6 |= a->blocked.ipv6;
    return f.ipv4 != a->blocked.ipv4 || f.ipv6 != a->blocked.ipv6 ? block(a, f) : 0;
}

/* After everything is there. */
static int block_less(struct agent *a)
{
    struct agent_families f = unassigned(a);

    return f.ipv4 != a->blocked.ipv4 || f.ipv6 != a->blocked.ipv6 ? block(a, f) : 0;
}

/* Of the families that the device has an address of. */
static int install_routes(struct agent *a)
{
    struct gh_agent_prefixes p = agent_network_carried(a);
    int rc;

    if (!a->conf.routing || !a->mtu || !a->routes.prefixes)
        return 0;
    rc = gh_privileged_routes_set(a->run->privileged, a->tun, a->conf.table, p.list, p.count);
    if (rc < 0)
        gh_log_event(a->log, GH_LOG_ERROR, "agent", "routes cannot be installed", gh_log_str("device", a->tun),
                     gh_log_str("reason", gh_privileged_why(a->run->privileged)));
    else
        gh_log_event(a->log, GH_LOG_INFO, "agent", "routes installed", gh_log_uint("count", p.count),
                     gh_log_uint("table", a->conf.table), gh_log_str("device", a->tun));
    return rc;
}

static bool had(const struct agent *a, const struct gh_prefix *p)
{
    for (size_t i = 0; i < a->assigned_count; i++)
        if (a->assigned[i].len == p->len && gh_ip_equals(&a->assigned[i].addr, &p->addr))
            return true;
    return false;
}

static bool same(const struct agent *a, const struct gh_prefix *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!had(a, &list[i]))
            return false;
    return count == a->assigned_count;
}

static void log_changes(struct agent *a, const struct gh_prefix *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct gh_prefix p = gh_agent_device_address(&list[i]);

        gh_log_event(a->log, GH_LOG_INFO, "agent", had(a, &list[i]) ? "address kept" : "address assigned", gh_log_ip("address", &p.addr),
                     gh_log_str("family", p.addr.family == 4 ? "IPv4" : "IPv6"), gh_log_str("device", a->tun));
    }
}

void agent_network_assigned(struct agent *a, const struct gh_prefix *list, size_t count)
{
    struct gh_forward_session *s = &a->session;

    if (same(a, list, count) && count && a->announced)
        return; /* the answer to our request repeats what came unasked */
    log_changes(a, list, count);
    a->announced = count > 0;
    s->own_count = a->assigned_count = count;
    for (size_t i = 0; i < count; i++)
        s->own[i] = a->assigned[i] = list[i];
    (void)block_more(a); /* nothing of a family that goes leaves in clear, not for a moment */
    if (configure(a, device_mtu(a)) == 0 && install_routes(a) == 0) /* the kernel forgets a family's routes with the last of its addresses */
        (void)block_less(a);
}

int agent_network_routes(struct agent *a, const struct gh_ip *relay, const struct gh_ip_route *list, size_t count)
{
    struct gh_agent_routes r;
    int rc = gh_agent_routes_create(list, count, a->conf.allow_routes, a->conf.allow_route_count, relay, &r);

    if (rc < 0) {
        gh_log_event(a->log, GH_LOG_ERROR, "agent", "the advertised routes cannot be used", gh_log_uint("count", count),
                     gh_log_result("error", rc));
        return rc;
    }
    gh_agent_routes_fini(&a->routes);
    a->routes = r;
    a->session.routes = r.ranges;
    a->session.route_count = r.range_count;
    if (count && r.range_count == 0)
        gh_log_event(a->log, GH_LOG_WARN, "agent", "nothing that the relay offers is allowed here", gh_log_uint("offered", count));
    (void)block(a, unassigned(a));
    (void)install_routes(a);
    return 0;
}

void agent_network_refresh_mtu(struct agent *a)
{
    size_t mtu = device_mtu(a);

    if (a->assigned_count == 0 || mtu == a->mtu)
        return;
    agent_note(a, GH_TRACE_MTU, mtu);
    if (configure(a, mtu) == 0)
        gh_log_event(a->log, GH_LOG_DEBUG, "agent", "mtu changed", gh_log_uint("mtu", mtu));
}
