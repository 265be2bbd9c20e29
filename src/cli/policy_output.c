#include "cli/policy_output.h"

#include <stdio.h>

#include "policy/names.h"
#include "policy/timestamp.h"

int gh_cli_policy_print_json(json_t *o)
{
    int rc = o && json_dumpf(o, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF ? 0 : 1;

    if (rc)
        fprintf(stderr, "gatehouse policy: the answer could not be written\n");
    json_decref(o);
    return rc;
}

json_t *gh_cli_policy_findings_json(const struct gh_policy_findings *f)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < f->count; i++) {
        const struct gh_policy_finding *x = &f->items[i];

        json_array_append_new(list, json_pack("{s:i, s:i, s:s, s:s}", "line", (int)x->pos.line, "col", (int)x->pos.col, "severity",
                                              x->warning ? "warning" : "error", "text", x->text));
    }
    return list;
}

void gh_cli_policy_print_findings(const struct gh_policy_findings *f, const char *file)
{
    char line[1024];

    for (size_t i = 0; i < f->count; i++)
        fprintf(stderr, "%s\n", gh_policy_finding_emit(&f->items[i], file, line, sizeof line));
    if (f->errors + f->warnings > f->count)
        fprintf(stderr, "%s: %zu more\n", file, f->errors + f->warnings - f->count);
}

static void protocol_text(uint8_t number, char buf[16])
{
    const char *name = gh_policy_protocol_name(number);

    if (name)
        snprintf(buf, 16, "%s", name);
    else
        snprintf(buf, 16, "%u", number);
}

json_t *gh_cli_policy_query_json(const struct gh_policy_query *q, const char *client)
{
    char src[GH_IP_TEXT], dst[GH_IP_TEXT], at[GH_TIMESTAMP_TEXT], protocol[16];
    json_t *o;

    protocol_text(q->protocol, protocol);
    o = json_pack("{s:s, s:s, s:s*, s:s*, s:s, s:s}", "client", client, "direction", gh_policy_direction_names[q->direction], "src",
                  q->src.family ? gh_ip_emit(&q->src, src) : NULL, "dst", q->dst.family ? gh_ip_emit(&q->dst, dst) : NULL,
                  "protocol", protocol, "at", gh_timestamp_emit(q->wall_seconds, at));
    if (gh_policy_protocol_has_ports(q->protocol))
        json_object_set_new(o, "port", json_integer(q->dst_port));
    if (q->protocol == GH_PROTOCOL_ICMP || q->protocol == GH_PROTOCOL_ICMPV6)
        json_object_set_new(o, "icmp", json_pack("{s:i, s:i}", "type", (int)q->icmp_type, "code", (int)q->icmp_code));
    return o;
}

json_t *gh_cli_policy_rule_json(const struct gh_policy_rule *r)
{
    json_t *metadata = json_object();
    char at[GH_TIMESTAMP_TEXT];

    for (size_t i = 0; i < r->metadata_count; i++)
        json_object_set_new(metadata, r->metadata[i].key, json_string(r->metadata[i].value));
    return json_pack("{s:s, s:s, s:s, s:s, s:s*, s:i, s:i, s:o}", "id", r->id, r->in_group ? "group" : "client", r->list, "action",
                     gh_policy_action_names[r->action], "description", r->description, "expires_at",
                     r->expires_at == GH_POLICY_NEVER ? NULL : gh_timestamp_emit(r->expires_at, at), "line", (int)r->pos.line, "col",
                     (int)r->pos.col, "metadata", metadata);
}

json_t *gh_cli_policy_verdict_json(const struct gh_policy_verdict *v)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o*}", "action", gh_policy_action_names[v->action], "reason",
                     gh_policy_reason_name(v->reason), "log", gh_policy_log_names[v->log], "on_deny",
                     gh_policy_on_deny_names[v->on_deny], "drop", gh_drop_name(gh_policy_verdict_drop(v)), "rule",
                     v->rule ? gh_cli_policy_rule_json(v->rule) : NULL);
}

const char *gh_cli_policy_query_emit(const struct gh_policy_query *q, const char *client, char *buf, size_t size)
{
    char src[GH_IP_TEXT], dst[GH_IP_TEXT], protocol[16], service[64] = "";

    protocol_text(q->protocol, protocol);
    if (gh_policy_protocol_has_ports(q->protocol))
        snprintf(service, sizeof service, " port %u", q->dst_port);
    else if (q->protocol == GH_PROTOCOL_ICMP || q->protocol == GH_PROTOCOL_ICMPV6)
        snprintf(service, sizeof service, " type %u code %u", q->icmp_type, q->icmp_code);
    snprintf(buf, size, "%s %s%s%s%s%s, %s%s", client, gh_policy_direction_names[q->direction], q->src.family ? ", from " : "",
             q->src.family ? gh_ip_emit(&q->src, src) : "", q->dst.family ? ", to " : "",
             q->dst.family ? gh_ip_emit(&q->dst, dst) : "", protocol, service);
    return buf;
}

const char *gh_cli_policy_verdict_emit(const struct gh_policy_verdict *v, const char *file, char *buf, size_t size)
{
    const struct gh_policy_rule *r = v->rule;

    if (r)
        snprintf(buf, size, "%s by rule '%s' of %s '%s' (%s:%u:%u)", gh_policy_action_names[v->action], r->id,
                 r->in_group ? "group" : "client", r->list, file, r->pos.line, r->pos.col);
    else
        snprintf(buf, size, "%s by %s", gh_policy_action_names[v->action],
                 v->reason == GH_POLICY_UNKNOWN_CLIENT    ? "unknown_client: the policy does not name this client" :
                 v->reason == GH_POLICY_NO_INBOUND_RULE ? "no_inbound_rule: no rule with 'direction: in' matches" :
                                                            "default_action: no rule matches");
    return buf;
}
