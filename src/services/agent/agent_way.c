/* In which ways a relay is tried: QUIC, TCP, and each at its hop ports; and QUIC beside a tunnel over TCP, which it takes over when it
 * succeeds. When it fails, it is tried again every quic_retry.
 *
 * Ways follow one another by a step of the search for each address: the second begins a step behind the first. */
#include "base/error.h"
#include "services/agent/agent_internal.h"

/* Without a way to it, a candidate would only wait for its time-out. */
static bool reachable(const struct agent *a, const struct gh_ip *ip)
{
    struct gh_nl_route r;

    return !a->netlink || gh_netlink_route_get(a->netlink, ip, a->conf.fwmark, &r) != GH_ERR_NOT_FOUND;
}

/* In the order in which they are tried. */
static size_t ways_now(const struct agent *a, enum agent_way ret[AGENT_WAYS])
{
    bool quic = a->conf.transport == GH_AGENT_AUTO || a->conf.transport == GH_AGENT_QUIC;
    bool tcp = a->conf.transport == GH_AGENT_TCP || (a->conf.transport == GH_AGENT_AUTO && !a->quic_only);
    size_t n = 0;

    if (quic && !(tcp && a->tcp_first))
        ret[n++] = AGENT_QUIC;
    if (tcp)
        ret[n++] = AGENT_TCP;
    if (quic && tcp && a->tcp_first)
        ret[n++] = AGENT_QUIC;
    if (tcp && a->conf.hop[0])
        ret[n++] = AGENT_TCP_HOP;
    return n;
}

static int try_address(struct agent *a, size_t i, enum agent_way way)
{
    const struct gh_resolved *known = &a->relays[a->at].resolved;

    if (i >= known->count)
        return GH_ERR_NOT_FOUND;
    if (reachable(a, &known->list[i].ip))
        return agent_link_open(a, a->at, &known->list[i], way);
    if (!a->carrier)
        snprintf(a->why, sizeof a->why, "%s", "the machine has no route to the relay");
    return GH_ERR_NOT_FOUND;
}

size_t agent_way_steps(const struct agent *a)
{
    enum agent_way ways[AGENT_WAYS];
    size_t count = a->relays[a->at].resolved.count;

    return count ? count + ways_now(a, ways) - 1 : 0;
}

int agent_way_try(struct agent *a)
{
    enum agent_way ways[AGENT_WAYS];
    size_t n = ways_now(a, ways);
    int rc = GH_ERR_NOT_FOUND;

    while (rc < 0 && a->candidate < agent_way_steps(a)) {
        size_t i = a->candidate++;

        for (size_t k = 0; k < n && k <= i; k++)
            if (try_address(a, i - k, ways[k]) == 0)
                rc = 0;
    }
    return rc;
}

/* ---- QUIC beside TCP ---- */

static bool is_trying_quic(const struct agent *a)
{
    gh_list_each(it, (struct gh_list *)(uintptr_t)&a->links)
    {
        const struct agent_link *l = gh_container_of(it, struct agent_link, node);

        if (!l->tcp && agent_search_is_attempt(a, l))
            return true;
    }
    return false;
}

bool agent_way_may_take_over(const struct agent_link *l, const struct agent_link *from)
{
    return from && from->tcp && !l->tcp && l->relay == from->relay;
}

void agent_way_look(struct agent *a)
{
    if (a->carrier && a->carrier->tcp && a->conf.transport == GH_AGENT_AUTO && !a->stopping)
        gh_worker_deadline_start(a->w, &a->quic_again, gh_worker_now(a->w) + a->conf.quic_retry);
    else
        gh_worker_deadline_stop(a->w, &a->quic_again);
}

void agent_way_try_quic(struct agent *a)
{
    struct agent_link *l = a->carrier;

    if (l && l->tcp && a->conf.transport == GH_AGENT_AUTO && !a->stopping && !is_trying_quic(a))
        (void)agent_link_open(a, l->relay, &l->remote, AGENT_QUIC);
}

void agent_way_again(void *arg, int64_t now)
{
    (void)now;
    agent_way_try_quic(arg);
    agent_way_look(arg);
}

/* Of an attempt that nobody answered while TCP did: from here on TCP comes first. */
void agent_way_failed(struct agent *a, const struct agent_link *l)
{
    const struct agent_link *other = a->carrier ? a->carrier : a->next;

    if (l->tcp || l == other || !other || !other->tcp)
        return;
    if (!a->tcp_first)
        gh_log_event(a->log, GH_LOG_INFO, "agent", "QUIC does not get through, TCP carries the tunnel", gh_log_str("reason", l->why),
                     gh_log_duration("again_in", a->conf.quic_retry));
    a->tcp_first = true;
}
