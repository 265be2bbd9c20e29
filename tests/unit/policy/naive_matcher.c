#include "naive_matcher.h"

#include <string.h>

static bool in_prefix(const struct gh_prefix *p, const struct gh_ip *a)
{
    if (p->addr.family != a->family)
        return false;
    for (unsigned bit = 0; bit < p->len; bit++) {
        unsigned mask = 0x80u >> (bit % 8);

        if ((p->addr.bytes[bit / 8] & mask) != (a->bytes[bit / 8] & mask))
            return false;
    }
    return true;
}

static bool address_fits(const struct gh_policy_row_rule *r, const struct gh_ip *remote)
{
    if (r->type == GH_POLICY_DEFAULT)
        return true;
    for (size_t i = 0; i < r->destination_count; i++)
        if (in_prefix(&r->destinations[i].prefix, remote))
            return true;
    return false;
}

static bool protocol_fits(const struct gh_policy_row_rule *r, const struct naive_packet *p)
{
    if (r->protocol_count == 0)
        return true;
    for (size_t i = 0; i < r->protocol_count; i++)
        if (r->protocols[i].number == p->protocol)
            return true;
    return false;
}

static bool port_fits(const struct gh_policy_row_rule *r, const struct naive_packet *p)
{
    bool tcp = p->protocol == 6, udp = p->protocol == 17, udplite = p->protocol == 136, dccp = p->protocol == 33,
         sctp = p->protocol == 132;

    if (r->port_count == 0)
        return true;
    if (!(tcp || udp || udplite || dccp || sctp))
        return false;
    for (size_t i = 0; i < r->port_count; i++)
        if (p->dst_port >= r->ports[i].first && p->dst_port <= r->ports[i].last)
            return true;
    return false;
}

static bool icmp_fits(const struct gh_policy_row_rule *r, const struct naive_packet *p)
{
    if (r->icmp_count == 0)
        return true;
    if (p->protocol != 1 && p->protocol != 58)
        return false;
    for (size_t i = 0; i < r->icmp_count; i++) {
        const struct gh_policy_row_icmp *e = &r->icmp[i];

        if (e->protocol == p->protocol && e->type == p->icmp_type && (e->code == -1 || e->code == (int)p->icmp_code))
            return true;
    }
    return false;
}

static bool matches(const struct gh_policy_row_rule *r, const struct naive_packet *p)
{
    const struct gh_ip *remote = p->direction == GH_POLICY_OUT ? &p->dst : &p->src;

    return r->direction == p->direction && (r->expires_at == GH_POLICY_NEVER || p->at < r->expires_at) &&
           address_fits(r, remote) && protocol_fits(r, p) && port_fits(r, p) && icmp_fits(r, p);
}

static const struct gh_policy_row_rule *first_match(const struct gh_policy_row_rule *rules, size_t count, const struct naive_packet *p)
{
    for (size_t i = 0; i < count; i++)
        if (matches(&rules[i], p))
            return &rules[i];
    return NULL;
}

static const struct gh_policy_row_rule *find_rule(const struct gh_policy_rows *rows, const struct gh_policy_row_client *c,
                                                  const struct naive_packet *p)
{
    const struct gh_policy_row_rule *r = first_match(c->rules, c->rule_count, p);

    for (size_t i = 0; i < c->group_count && !r; i++)
        for (size_t g = 0; g < rows->group_count && !r; g++)
            if (strcmp(rows->groups[g].name.text, c->groups[i].text) == 0)
                r = first_match(rows->groups[g].rules, rows->groups[g].rule_count, p);
    return r;
}

struct naive_verdict naive_decide(const struct gh_policy_rows *rows, const struct naive_packet *p)
{
    const struct gh_policy_row_client *client = NULL;
    const struct gh_policy_row_rule *r;

    for (size_t i = 0; i < rows->client_count; i++)
        if (strcmp(rows->clients[i].name.text, p->client) == 0)
            client = &rows->clients[i];
    if (!client)
        return (struct naive_verdict){ GH_POLICY_DENY, GH_POLICY_UNKNOWN_CLIENT, NULL };
    r = find_rule(rows, client, p);
    if (r)
        return (struct naive_verdict){ r->action, GH_POLICY_BY_RULE, r };
    if (p->direction == GH_POLICY_IN)
        return (struct naive_verdict){ GH_POLICY_DENY, GH_POLICY_NO_INBOUND_RULE, NULL };
    return (struct naive_verdict){ rows->default_action, GH_POLICY_BY_DEFAULT_ACTION, NULL };
}
