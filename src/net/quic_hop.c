/* The peer's port as the network sees it, and as the engine does: it knows one, and the packets go to another from time to time. */
#include "net/quic_internal.h"

void gh_quic_link_hop(struct gh_quic_link *l, const struct gh_quic_hop *hop)
{
    l->hop = *hop;
}

bool gh_quic_hop_inward(const struct gh_quic_link *l, struct gh_quic_path *path)
{
    const struct gh_quic_hop *h = &l->hop;

    if (!h->port || !gh_ip_equals(&path->remote.ip, &l->server.ip) || path->remote.port < h->first || path->remote.port > h->last)
        return false;
    path->remote.port = l->server.port;
    return true;
}
