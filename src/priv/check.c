#include "priv/check.h"

#include <string.h>

#include "base/error.h"

bool gh_check_device(const char name[GH_PRIV_DEVICE], bool pattern)
{
    size_t len = strnlen(name, GH_PRIV_DEVICE);

    if (len == 0 || len == GH_PRIV_DEVICE || !strcmp(name, ".") || !strcmp(name, ".."))
        return false;
    if (pattern && len > 2 && !strcmp(name + len - 2, "%d"))
        len -= 2;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-'))
            return false;
    }
    return true;
}

/* Absolute and without line ends, which the journal could not hold. */
static bool path_ok(const char path[GH_PRIV_PATH])
{
    size_t len = strnlen(path, GH_PRIV_PATH);

    return len > 1 && len < GH_PRIV_PATH && path[0] == '/' && !strchr(path, '\n');
}

static bool ip_ok(const struct gh_ip *a)
{
    return a->family == 4 || a->family == 6;
}

/* Prefixes of networks have no bits below their length; addresses with their network may. */
static bool prefixes_ok(const struct gh_prefix *p, size_t count, bool networks)
{
    if (count > GH_PRIV_PREFIXES)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!ip_ok(&p[i].addr) || p[i].len > gh_ip_bits(&p[i].addr))
            return false;
        if (networks && !gh_prefix_valid(&p[i]))
            return false;
    }
    return true;
}

static int check_socket(const struct gh_priv_socket *s)
{
    if (s->addr.family != 0 && !ip_ok(&s->addr))
        return GH_ERR_MALFORMED;
    return s->count >= 1 && s->count <= GH_PRIV_QUEUES && s->buffer <= (64u << 20) ? 0 : GH_ERR_RANGE;
}

static int check_tun_config(const struct gh_priv_tun_config *t)
{
    if (!gh_check_device(t->name, false) || !prefixes_ok(t->addrs, t->addr_count, false))
        return GH_ERR_MALFORMED;
    return (t->mtu == 0 || (t->mtu >= 68 && t->mtu <= 65535)) && t->up <= 1 ? 0 : GH_ERR_RANGE;
}

static int check_routes(const struct gh_priv_routes *r)
{
    if (r->device[0] ? !gh_check_device(r->device, false) : r->device[GH_PRIV_DEVICE - 1] != 0)
        return GH_ERR_MALFORMED;
    if (!prefixes_ok(r->prefixes, r->count, true))
        return GH_ERR_MALFORMED;
    if (r->op > GH_PRIV_ROUTE_DEL || r->first > 1 || r->last > 1)
        return GH_ERR_RANGE;
    return r->table == 253 || r->table == 255 ? GH_ERR_RANGE : 0; /* default and local are the system's */
}

static int check_rule(const struct gh_priv_rule *r)
{
    if (r->mark == 0 || r->table == 0 || (r->table >= 253 && r->table <= 255))
        return GH_ERR_RANGE;
    return r->priority >= 1 && r->priority <= 32764 ? 0 : GH_ERR_RANGE; /* before main, with room for two */
}

static int check_nat(const struct gh_priv_nat *n)
{
    return gh_check_device(n->device, false) && prefixes_ok(n->sources, n->count, true) ? 0 : GH_ERR_MALFORMED;
}

static int check_notify(const struct gh_priv_notify *n)
{
    if (strnlen(n->text, GH_PRIV_TEXT) == GH_PRIV_TEXT || strpbrk(n->text, "\r\n"))
        return GH_ERR_MALFORMED;
    return n->state < GH_PRIV_STATE_COUNT ? 0 : GH_ERR_RANGE;
}

static int check_hop(const struct gh_priv_hop *h)
{
    if (h->port == 0 && h->first == 0 && h->last == 0)
        return 0;
    return h->port && h->first && h->first <= h->last && (h->port < h->first || h->port > h->last) ? 0 : GH_ERR_RANGE;
}

static int check_firewall(const struct gh_priv_firewall *f)
{
    if (f->count == 0 || f->count > GH_PRIV_RANGES)
        return GH_ERR_RANGE;
    for (uint32_t i = 0; i < f->count; i++)
        if (f->ports[i].first == 0 || f->ports[i].first > f->ports[i].last)
            return GH_ERR_RANGE;
    return 0;
}

int gh_check_request(const struct gh_priv_request *q)
{
    switch (q->kind) {
    case GH_PRIV_RUN:
    case GH_PRIV_CLEANUP:
    case GH_PRIV_RELOAD:
    case GH_PRIV_NETLINK:
    case GH_PRIV_WATCH_BEGIN:
    case GH_PRIV_WATCH_END:
        return 0;
    case GH_PRIV_OPEN_UNIX:
        if (q->mode & ~0777u)
            return GH_ERR_RANGE;
        return path_ok(q->path) ? 0 : GH_ERR_MALFORMED;
    case GH_PRIV_KEY:
        if (q->mode > 1)
            return GH_ERR_RANGE;
        return path_ok(q->path) ? 0 : GH_ERR_MALFORMED;
    case GH_PRIV_OPEN_FILE:
    case GH_PRIV_OPEN_APPEND:
    case GH_PRIV_OPEN_PUBLIC:
    case GH_PRIV_OPEN_STATE_DIR:
    case GH_PRIV_WATCH:
        return path_ok(q->path) ? 0 : GH_ERR_MALFORMED;
    case GH_PRIV_OPEN_UDP:
    case GH_PRIV_OPEN_TCP:
        return check_socket(&q->socket);
    case GH_PRIV_OPEN_DIAL:
        return ip_ok(&q->socket.addr) ? check_socket(&q->socket) : GH_ERR_MALFORMED;
    case GH_PRIV_OPEN_TUN:
        if (!gh_check_device(q->tun.name, true))
            return GH_ERR_MALFORMED;
        return q->tun.queues >= 1 && q->tun.queues <= GH_PRIV_QUEUES ? 0 : GH_ERR_RANGE;
    case GH_PRIV_TUN_CONFIG:
        return check_tun_config(&q->tun_config);
    case GH_PRIV_ROUTE:
        return check_routes(&q->routes);
    case GH_PRIV_RULE:
        return check_rule(&q->rule);
    case GH_PRIV_NAT:
        return check_nat(&q->nat);
    case GH_PRIV_HOP:
        return check_hop(&q->hop);
    case GH_PRIV_FIREWALL:
        return check_firewall(&q->firewall);
    case GH_PRIV_SYSCTL:
        return q->sysctl < GH_PRIV_SYSCTL_COUNT ? 0 : GH_ERR_RANGE;
    case GH_PRIV_FORGET_KEY:
        return q->sign.key ? 0 : GH_ERR_RANGE;
    case GH_PRIV_SIGN:
        return q->sign.len <= GH_PRIV_DATA ? 0 : GH_ERR_RANGE;
    case GH_PRIV_NOTIFY:
        return check_notify(&q->notify);
    case GH_PRIV_LOOKUP:
        return q->lookup.host[0] && strnlen(q->lookup.host, GH_PRIV_HOST) < GH_PRIV_HOST ? 0 : GH_ERR_MALFORMED;
    default:
        return GH_ERR_UNSUPPORTED;
    }
}
