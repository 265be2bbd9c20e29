/* Addresses, routes and size of the device: what the tunnel learned becomes what the kernel does. */
#include <stdio.h>

#include "base/error.h"
#include "services/agent/agent_internal.h"

#define MTU_MIN 1280u /* RFC 9484, section 10.1: less cannot carry IPv6, and the kernel takes IPv6 off the device */
#define MTU_MIN_IPV4 576u

static size_t tunnel_mtu(const struct agent *a)
{
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

bool agent_network_has_ipv6(const struct agent *a)
{
    for (size_t i = 0; i < a->assigned_count; i++)
        if (a->assigned[i].addr.family == 6)
            return true;
    for (size_t i = 0; i < a->routes.prefix_count; i++)
        if (a->routes.prefixes[i].addr.family == 6)
            return true;
    return false;
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

static int install_routes(struct agent *a)
{
    int rc;

    if (!a->conf.routing || a->assigned_count == 0 || !a->routes.prefixes)
        return 0;
    rc = gh_privileged_routes_set(a->run->privileged, a->tun, a->conf.table, a->routes.prefixes, a->routes.prefix_count);
    if (rc < 0)
        gh_log_event(a->log, GH_LOG_ERROR, "agent", "routes cannot be installed", gh_log_str("device", a->tun),
                     gh_log_str("reason", gh_privileged_why(a->run->privileged)));
    else
        gh_log_event(a->log, GH_LOG_INFO, "agent", "routes installed", gh_log_uint("count", a->routes.prefix_count),
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
    if (configure(a, device_mtu(a)) == 0)
        (void)install_routes(a); /* the kernel forgets a family's routes with the last of its addresses */
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
