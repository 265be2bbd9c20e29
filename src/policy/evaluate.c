#include "base/error.h"
#include "policy/names.h"
#include "policy/snapshot.h"

static uint32_t service_of(const struct gh_policy_query *q)
{
    uint32_t service = (uint32_t)q->protocol << 16;

    if (gh_policy_protocol_has_ports(q->protocol))
        return service | q->dst_port;
    if (q->protocol == GH_PROTOCOL_ICMP || q->protocol == GH_PROTOCOL_ICMPV6)
        return service | (uint32_t)q->icmp_type << 8 | q->icmp_code;
    return service;
}

static const struct gh_ip *remote_of(const struct gh_policy_query *q)
{
    return q->direction == GH_POLICY_OUT ? &q->dst : &q->src;
}

struct gh_policy_verdict gh_policy_evaluate(const struct gh_policy *p, const struct gh_policy_query *q)
{
    struct gh_policy_verdict v = { .action = GH_POLICY_DENY, .log = p->log, .on_deny = p->on_deny };
    const struct gh_ip *remote = remote_of(q);
    uint32_t service = service_of(q);

    if (!q->client) {
        v.reason = GH_POLICY_UNKNOWN_CLIENT;
        return v;
    }
    for (size_t i = 0; i < q->client->list_count; i++) {
        const struct gh_policy_list *l = q->client->lists[i];
        uint32_t at = GH_POLICY_NONE;

        if (remote->family == 4 || remote->family == 6)
            at = gh_policy_table_find(&l->tables[q->direction][remote->family == 6], l->rules, remote, service, q->wall_seconds);
        if (at != GH_POLICY_NONE) {
            const struct gh_policy_rule *r = &l->rules[at];

            return (struct gh_policy_verdict){ r->action, GH_POLICY_BY_RULE, r->log, r->on_deny, r };
        }
    }
    if (q->direction == GH_POLICY_IN) { /* default_action speaks for what the client sends; nobody reaches it unasked */
        v.reason = GH_POLICY_NO_INBOUND_RULE;
        return v;
    }
    v.action = p->default_action;
    v.reason = GH_POLICY_BY_DEFAULT_ACTION;
    return v;
}

static enum gh_policy_step service_step(const struct gh_policy_rule *r, const struct gh_policy_query *q)
{
    uint32_t service = service_of(q), low = (uint32_t)q->protocol << 16, high = low | 0xffff;
    bool protocol = false;

    for (size_t i = 0; i < r->service_count; i++) {
        if (r->services[i].first <= service && service <= r->services[i].last)
            return GH_POLICY_MATCHED;
        protocol |= r->services[i].first <= high && r->services[i].last >= low;
    }
    if (!protocol)
        return GH_POLICY_OTHER_PROTOCOL;
    return gh_policy_protocol_has_ports(q->protocol) ? GH_POLICY_OTHER_PORT : GH_POLICY_OTHER_ICMP;
}

static enum gh_policy_step rule_step(const struct gh_policy_rule *r, const struct gh_policy_query *q)
{
    const struct gh_ip *remote = remote_of(q);
    bool inside = r->type == GH_POLICY_DEFAULT && (remote->family == 4 || remote->family == 6);

    if (r->direction != q->direction)
        return GH_POLICY_OTHER_DIRECTION;
    if (r->expires_at <= q->wall_seconds)
        return GH_POLICY_EXPIRED;
    for (size_t i = 0; i < r->destination_count && !inside; i++)
        inside = gh_prefix_contains(&r->destinations[i], remote);
    if (!inside)
        return GH_POLICY_OTHER_DESTINATION;
    return service_step(r, q);
}

int gh_policy_explain(const struct gh_policy *p, const struct gh_policy_query *q, gh_policy_trace_fn trace, void *arg,
                      struct gh_policy_verdict *ret)
{
    struct gh_policy_verdict v = gh_policy_evaluate(p, q);

    *ret = v;
    for (size_t i = 0; q->client && i < q->client->list_count; i++) {
        const struct gh_policy_list *l = q->client->lists[i];

        for (uint32_t n = 0; n < l->rule_count; n++) {
            enum gh_policy_step step = rule_step(&l->rules[n], q);

            if (trace)
                trace(arg, &l->rules[n], step);
            if ((step == GH_POLICY_MATCHED) != (v.rule == &l->rules[n]))
                return GH_ERR_INTERNAL;
            if (step == GH_POLICY_MATCHED)
                return 0;
        }
    }
    return v.rule ? GH_ERR_INTERNAL : 0;
}

const char *gh_policy_reason_name(enum gh_policy_reason r)
{
    static const char *const names[] = { "rule", "default_action", "no_inbound_rule", "unknown_client" };

    return names[r];
}

enum gh_drop gh_policy_verdict_drop(const struct gh_policy_verdict *v)
{
    if (v->action == GH_POLICY_ALLOW)
        return GH_DROP_NONE;
    switch (v->reason) {
    case GH_POLICY_UNKNOWN_CLIENT:
        return GH_DROP_UNKNOWN_CLIENT;
    case GH_POLICY_NO_INBOUND_RULE:
        return GH_DROP_NO_FLOW;
    default:
        return GH_DROP_POLICY;
    }
}

const char *gh_policy_step_name(enum gh_policy_step s)
{
    static const char *const names[] = { "matched",           "other_direction", "expired",   "other_destination",
                                         "other_protocol",    "other_port",      "other_icmp" };

    return names[s];
}
