/* In which ways a relay is tried: QUIC, TCP, a WebSocket, and each at its hop ports; and a better way beside a worse one, whose tunnel it takes over
 * when it succeeds. When it fails, it is tried again every quic_retry.
 *
 * A WebSocket is tried where TLS is well, and what is asked for above it is not understood: then it is not our relay that answers, but something
 * before it that may let a WebSocket pass.
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

static bool wants(const struct agent *a, enum gh_agent_transport what)
{
    return a->conf.transport == GH_AGENT_AUTO || a->conf.transport == what;
}

/* In the order in which they are tried. */
static size_t ways_now(const struct agent *a, enum agent_way ret[AGENT_WAYS])
{
    bool quic = wants(a, GH_AGENT_QUIC), stream = a->conf.transport != GH_AGENT_QUIC && !(quic && a->quic_only);
    bool websocket = a->conf.transport == GH_AGENT_WEBSOCKET || (a->websocket_first && !agent_is_proxy(a)); /* which carries one request */
    size_t n = 0;

    if (quic && !(stream && a->tcp_first))
        ret[n++] = AGENT_QUIC;
    if (stream)
        ret[n++] = websocket ? AGENT_WEBSOCKET : AGENT_TCP;
    if (quic && stream && a->tcp_first)
        ret[n++] = AGENT_QUIC;
    if (stream && a->conf.hop[0])
        ret[n++] = websocket ? AGENT_WEBSOCKET_HOP : AGENT_TCP_HOP;
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

/* ---- better ways beside worse ones ---- */

/* Ports make no way better. */
static int rank(const struct agent_link *l)
{
    return !l->tcp ? 0 : l->websocket ? 2 : 1;
}

static bool is_trying(const struct agent *a, bool tcp)
{
    gh_list_each(it, (struct gh_list *)(uintptr_t)&a->links)
    {
        const struct agent_link *l = gh_container_of(it, struct agent_link, node);

        if (l->tcp == tcp && !l->websocket && agent_search_is_attempt(a, l))
            return true;
    }
    return false;
}

bool agent_way_may_take_over(const struct agent_link *l, const struct agent_link *from)
{
    return from && rank(l) < rank(from) && l->relay == from->relay;
}

void agent_way_look(struct agent *a)
{
    if (a->carrier && a->carrier->tcp && a->conf.transport == GH_AGENT_AUTO && !a->stopping)
        gh_worker_deadline_start(a->w, &a->quic_again, gh_worker_now(a->w) + a->conf.quic_retry);
    else
        gh_worker_deadline_stop(a->w, &a->quic_again);
}

void agent_way_try_better(struct agent *a)
{
    struct agent_link *l = a->carrier;

    if (!l || !l->tcp || a->conf.transport != GH_AGENT_AUTO || a->stopping)
        return;
    if (!is_trying(a, false))
        (void)agent_link_open(a, l->relay, &l->remote, AGENT_QUIC);
    if (l->websocket && !is_trying(a, true))
        (void)agent_link_open(a, l->relay, &l->remote, l->kind == AGENT_WEBSOCKET_HOP ? AGENT_TCP_HOP : AGENT_TCP);
}

void agent_way_again(void *arg, int64_t now)
{
    (void)now;
    agent_way_try_better(arg);
    agent_way_look(arg);
}

void agent_way_up(struct agent *a, const struct agent_link *l)
{
    a->tcp_first = a->tcp_first && l->tcp;
    a->websocket_first = l->websocket;
}

void agent_way_forget(struct agent *a)
{
    a->tcp_first = a->websocket_first = a->websocket_h1 = false;
}

void agent_way_no_extended_connect(struct agent_link *l)
{
    l->a->websocket_h1 = true;
}

/* Of an attempt that nobody answered while TCP did: from here on TCP comes first. */
static void quic_failed(struct agent *a, const struct agent_link *l)
{
    const struct agent_link *other = a->carrier ? a->carrier : a->next;

    if (l->tcp || l == other || !other || !other->tcp)
        return;
    if (!a->tcp_first)
        gh_log_event(a->log, GH_LOG_INFO, "agent", "QUIC does not get through, TCP carries the tunnel", gh_log_str("reason", l->why),
                     gh_log_duration("again_in", a->conf.quic_retry));
    a->tcp_first = true;
}

/* What a relay of ours says of a request that it has understood is its last word. */
static bool is_not_understood(const struct agent_link *l)
{
    switch (l->tunnel.end.status) {
    case 0: /* no answer, or the request could not be made */
    case 400:
    case 404:
    case 405:
    case 421:
    case 426:
    case 500:
    case 501:
    case 502:
        return l->tunnel.end.farewell == 0;
    default:
        return false;
    }
}

/* Beside what waits: the same address by a WebSocket, now. */
static void try_websocket(struct agent_link *l)
{
    struct agent *a = l->a;
    bool hop = l->kind == AGENT_TCP_HOP || l->kind == AGENT_WEBSOCKET_HOP, again = l->websocket && a->websocket_h1 && !l->h1;

    if (a->stopping || a->search != AGENT_SEARCH_TRYING || !l->tcp || !l->spoken || !is_not_understood(l))
        return;
    if (again || (!l->websocket && a->conf.transport == GH_AGENT_AUTO)) {
        gh_log_event(a->log, GH_LOG_INFO, "agent", "only a WebSocket may pass here, and is tried", gh_log_str("reason", l->why));
        (void)agent_link_open(a, l->relay, &l->remote, hop ? AGENT_WEBSOCKET_HOP : AGENT_WEBSOCKET);
    }
}

void agent_way_failed(struct agent_link *l, enum agent_link_state before)
{
    quic_failed(l->a, l);
    if (before <= AGENT_LINK_ASSIGNING)
        try_websocket(l);
    if (l->websocket && l->h1 && !l->spoken)
        l->a->websocket_h1 = false; /* perhaps it does not speak HTTP/1.1 */
}
