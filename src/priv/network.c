#include "priv/network.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "priv/nft.h"

static int explain(struct gh_changes *cs, int rc, const char *what, const char *which, char *error)
{
    int e = gh_netlink_errno(gh_changes_netlink(cs));

    snprintf(error, GH_PRIV_TEXT, "%s %s: %s", what, which, e ? strerror(e) : gh_error_text(rc));
    return rc;
}

static int explain_prefix(struct gh_changes *cs, int rc, const char *what, const struct gh_prefix *p, char *error)
{
    char text[GH_PREFIX_TEXT];

    return explain(cs, rc, what, gh_prefix_emit(p, text), error);
}

static int make(struct gh_changes *cs, const struct gh_change *c)
{
    struct gh_netlink *nl = gh_changes_netlink(cs);
    const struct gh_nl_route route = {
        .dst = c->prefix,
        .type = c->ifindex ? GH_NL_UNICAST : GH_NL_UNREACHABLE,
        .table = c->table,
        .metric = c->metric,
        .ifindex = c->ifindex,
    };
    const struct gh_nl_rule rule = {
        .family = c->family,
        .priority = c->priority,
        .table = c->table,
        .has_mark = c->mark != 0,
        .invert = c->mark != 0,
        .mark = c->mark,
        .has_suppress = c->mark == 0,
    };

    switch (c->kind) {
    case GH_CHANGE_ADDR:
        return gh_netlink_addr_add(nl, c->ifindex, &c->prefix);
    case GH_CHANGE_ROUTE:
        return gh_netlink_route_add(nl, &route);
    case GH_CHANGE_RULE:
        return gh_netlink_rule_add(nl, &rule);
    default:
        return GH_ERR_INTERNAL;
    }
}

/* Notes and makes. 0, GH_ERR_EXISTS when it is there without being ours, or what went wrong. What is ours already is made
 * again where the kernel took it away, as it does with routes when the last address of a device goes. */
static int ensure(struct gh_changes *cs, const struct gh_change *c, uint64_t generation)
{
    struct gh_change_node *n = gh_changes_find(cs, c);
    bool ours = n != NULL;
    int rc = 0;

    if (!n)
        rc = gh_changes_note(cs, c, generation, &n);
    if (rc < 0)
        return rc;
    n->generation = generation;
    n->stale = false;
    rc = make(cs, c);
    if (rc == GH_ERR_EXISTS && ours)
        return 0;
    if (rc < 0)
        gh_changes_forget(cs, n);
    return rc;
}

static bool same_device(const struct gh_change_node *n, const struct gh_change *like)
{
    return n->change.kind == like->kind && n->change.ifindex == like->ifindex
           && (like->kind != GH_CHANGE_ROUTE || n->change.table == like->table);
}

static void mark_stale(struct gh_changes *cs, const struct gh_change *like)
{
    gh_list_each(it, gh_changes_list(cs)) {
        struct gh_change_node *n = gh_container_of(it, struct gh_change_node, link);

        if (same_device(n, like))
            n->stale = true;
    }
}

static bool pick_stale(void *arg, const struct gh_change_node *n)
{
    return n->stale && same_device(n, arg);
}

static int device_index(struct gh_changes *cs, const char *name, struct gh_change *c, char *error)
{
    int index = gh_netlink_link_index(gh_changes_netlink(cs), name);

    if (index < 0)
        return explain(cs, index, "device", name, error);
    snprintf(c->device, sizeof c->device, "%s", name);
    c->ifindex = (unsigned)index;
    return 0;
}

int gh_network_tun(struct gh_changes *cs, const struct gh_priv_tun_config *t, uint64_t generation, char *error)
{
    struct gh_netlink *nl = gh_changes_netlink(cs);
    struct gh_change c = { .kind = GH_CHANGE_ADDR };
    int rc = device_index(cs, t->name, &c, error);

    if (rc < 0)
        return rc;
    gh_netlink_link_no_addrgen(nl, c.ifindex); /* fails where IPv6 is off */
    if (t->mtu) {
        rc = gh_netlink_link_mtu(nl, c.ifindex, t->mtu);
        if (rc < 0)
            return explain(cs, rc, "mtu of", t->name, error);
        gh_netlink_link_no_addrgen(nl, c.ifindex); /* the kernel takes IPv6 off a device below 1280, and begins anew above */
    }
    rc = gh_netlink_link_up(nl, c.ifindex, t->up);
    if (rc < 0)
        return explain(cs, rc, "state of", t->name, error);
    mark_stale(cs, &c);
    for (size_t i = 0; i < t->addr_count; i++) { /* new ones first: Linux drops the routes of a device without address */
        c.prefix = t->addrs[i];
        rc = ensure(cs, &c, generation);
        if (rc < 0 && rc != GH_ERR_EXISTS)
            return explain_prefix(cs, rc, "address", &c.prefix, error);
    }
    rc = gh_changes_undo_all(cs, pick_stale, &c);
    return rc < 0 ? explain(cs, rc, "old addresses of", t->name, error) : 0;
}

struct connected {
    struct gh_prefix dst;
    unsigned ifindex;
    bool found;
};

static bool on_route(void *arg, const struct gh_nl_route *r)
{
    struct connected *c = arg;

    c->found = r->ifindex == c->ifindex && r->dst.len == c->dst.len && gh_ip_equals(&r->dst.addr, &c->dst.addr);
    return !c->found;
}

/* The kernel makes a route for the network of an address by itself. */
static bool leads_there_already(struct gh_changes *cs, const struct gh_change *c)
{
    struct connected look = { c->prefix, c->ifindex, false };

    gh_netlink_routes(gh_changes_netlink(cs), c->prefix.addr.family, c->table, on_route, &look);
    return look.found;
}

int gh_network_routes(struct gh_changes *cs, const struct gh_priv_routes *r, uint64_t generation, char *error)
{
    struct gh_change c = { .kind = GH_CHANGE_ROUTE, .device = "-", .metric = r->metric };
    int rc = 0;

    c.table = r->table ? r->table : GH_NL_TABLE_MAIN;
    if (r->device[0])
        rc = device_index(cs, r->device, &c, error);
    if (rc < 0)
        return rc;
    if (r->op == GH_PRIV_ROUTE_ADD && r->first)
        mark_stale(cs, &c);
    for (size_t i = 0; i < r->count; i++) {
        struct gh_change_node *n;

        c.prefix = r->prefixes[i];
        if (r->op == GH_PRIV_ROUTE_ADD) {
            rc = ensure(cs, &c, generation);
            if (rc == GH_ERR_EXISTS && leads_there_already(cs, &c))
                rc = 0;
            if (rc == GH_ERR_UNSUPPORTED && c.ifindex == 0 && c.prefix.addr.family == 6) /* a kernel without IPv6 reaches none of it */
                rc = 0;
        } else {
            n = gh_changes_find(cs, &c);
            rc = n ? gh_changes_undo(cs, n) : 0;
        }
        if (rc < 0)
            return explain_prefix(cs, rc, "route", &c.prefix, error);
    }
    if (r->op == GH_PRIV_ROUTE_ADD && r->last)
        rc = gh_changes_undo_all(cs, pick_stale, &c);
    return rc < 0 ? explain(cs, rc, "old routes of", c.device, error) : 0;
}

int gh_network_rule(struct gh_changes *cs, const struct gh_priv_rule *r, uint64_t generation, char *error)
{
    for (unsigned family = 4; family <= 6; family += 2) {
        struct gh_change c = { .kind = GH_CHANGE_RULE, .family = (uint8_t)family };
        char text[32];
        int rc;

        /* What main knows better than by a default route stays there: the local network, other tunnels. */
        c.priority = r->priority;
        c.table = GH_NL_TABLE_MAIN;
        rc = ensure(cs, &c, generation);
        if (rc == 0) {
            c.priority = r->priority + 1;
            c.table = r->table;
            c.mark = r->mark;
            rc = ensure(cs, &c, generation);
        }
        if (rc == GH_ERR_UNSUPPORTED && family == 6) /* a kernel without IPv6 */
            return 0;
        if (rc < 0) {
            snprintf(text, sizeof text, "%u (IPv%u)", c.priority, family);
            return explain(cs, rc, "rule", text, error);
        }
    }
    return 0;
}

/* Notes the firewall table, or takes it away. 1: it is to be made now. */
static int note_table(struct gh_changes *cs, const struct gh_change *c, bool wanted, uint64_t generation, struct gh_change_node **ret)
{
    struct gh_change_node *node = gh_changes_find(cs, c);
    int rc;

    if (!wanted)
        return node ? gh_changes_undo(cs, node) : 0;
    if (!node) {
        rc = gh_changes_note(cs, c, generation, &node);
        if (rc < 0)
            return rc;
    }
    node->generation = generation;
    *ret = node;
    return 1;
}

int gh_network_nat(struct gh_changes *cs, const struct gh_priv_nat *n, uint64_t generation, char *error)
{
    struct gh_change c = { .kind = GH_CHANGE_NFT };
    struct gh_change_node *node;
    int rc;

    gh_nft_table_name(n->device, c.path);
    rc = note_table(cs, &c, n->count > 0, generation, &node);
    if (rc != 1)
        return rc;
    rc = gh_nft_masquerade(n, error);
    if (rc < 0)
        gh_changes_undo(cs, node);
    return rc;
}

int gh_network_hop(struct gh_changes *cs, const struct gh_priv_hop *h, uint64_t generation, char *error)
{
    struct gh_change c = { .kind = GH_CHANGE_NFT, .path = GH_NFT_HOP_TABLE };
    struct gh_change_node *node;
    int rc = note_table(cs, &c, h->port != 0, generation, &node);

    if (rc != 1)
        return rc;
    rc = gh_nft_redirect(h, error);
    if (rc < 0)
        gh_changes_undo(cs, node);
    return rc;
}

bool gh_network_owns_table(struct gh_changes *cs, uint32_t table)
{
    gh_list_each(it, gh_changes_list(cs)) {
        const struct gh_change_node *n = gh_container_of(it, struct gh_change_node, link);

        if (n->change.kind == GH_CHANGE_RULE && n->change.mark && n->change.table == table)
            return true;
    }
    return false;
}
