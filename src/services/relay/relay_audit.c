/* Audit lines of the relay: who came, what was let through, what was not, by which rule. */
#include <stdio.h>
#include <string.h>

#include "core/audit.h"
#include "services/relay/relay_internal.h"

static const char *metadata_of(const struct gh_policy_rule *rule, struct gh_text *text)
{
    if (!rule || rule->metadata_count == 0)
        return NULL;
    gh_text_append(text, "{");
    for (size_t i = 0; i < rule->metadata_count; i++) {
        if (i)
            gh_text_append(text, ",");
        gh_text_append_json(text, gh_span_str(rule->metadata[i].key));
        gh_text_append(text, ":");
        gh_text_append_json(text, gh_span_str(rule->metadata[i].value));
    }
    gh_text_append(text, "}");
    return text->failed ? NULL : gh_text_string(text);
}

static void fill_session(struct gh_audit_record *rec, const struct session *s)
{
    rec->client_id = s->name;
    rec->session_id = s->id;
    rec->request_id = s->request;
}

/* The version of the policy that a worker works with, as the audit shows it. Looking for a newer one is relay_policy_refresh's: whoever
 * takes it must bind every session to it. */
static const char *policy_version(struct relay_worker *rw)
{
    const struct relay_policy *p = gh_snapshot_held(&rw->policy);

    return p ? gh_policy_version(p->policy) : "";
}

static void fill_tuple(struct gh_audit_record *rec, const struct gh_ip_packet *p)
{
    rec->source_ip = p->src;
    rec->dest_ip = p->dst;
    rec->has_port = p->has_ports;
    rec->dest_port = p->dst_port;
    rec->protocol = p->protocol;
}

static const char *rule_id(const struct gh_policy_rule *rule)
{
    return rule ? rule->id : "default";
}

void relay_audit_auth(struct relay *r, bool ok, const char *client, const struct gh_endpoint *remote, const char *reason)
{
    struct gh_audit_record rec = {
        .event = ok ? GH_AUDIT_AUTH_SUCCESS : GH_AUDIT_AUTH_FAIL,
        .action = ok ? GH_AUDIT_ALLOW : GH_AUDIT_DENY,
        .message = ok ? "certificate accepted" : "certificate refused",
        .client_id = client,
        .source_ip = remote->ip,
        .reason = reason,
    };

    gh_audit_write(r->audit, &rec);
}

void relay_audit_session(struct session *s, bool open, const char *reason)
{
    struct gh_audit_record rec = {
        .event = open ? GH_AUDIT_CONNECTION_OPEN : GH_AUDIT_CONNECTION_CLOSE,
        .message = open ? "session opened" : "session closed",
        .source_ip = s->peer,
        .reason = reason,
        .has_counts = !open,
        .bytes = s->forward.bytes[0] + s->forward.bytes[1],
        .packets = s->forward.packets[0] + s->forward.packets[1],
    };

    fill_session(&rec, s);
    gh_audit_write(s->rw->r->audit, &rec);
}

void relay_audit_refused(struct relay *r, const char *client, const char *request, const char *message, const char *reason)
{
    struct gh_audit_record rec = { .event = GH_AUDIT_ERROR, .message = message, .client_id = client, .reason = reason, .request_id = request };

    gh_audit_write(r->audit, &rec);
}

static void write_flow(struct session *s, const struct gh_flow *f, struct gh_audit_record *rec)
{
    const struct gh_policy_rule *rule = f->rule;
    struct gh_ip_packet first;
    char buf[1024];
    struct gh_text text;

    gh_text_init_fixed(&text, buf, sizeof buf);
    gh_flow_first_packet(f, &first);
    fill_session(rec, s);
    fill_tuple(rec, &first);
    rec->event = GH_AUDIT_ACL_ALLOW;
    rec->action = GH_AUDIT_ALLOW;
    rec->rule_id = rule_id(rule);
    rec->policy_version = policy_version(s->rw);
    rec->metadata = metadata_of(rule, &text);
    gh_audit_write(s->rw->r->audit, rec);
}

void relay_audit_flow(struct session *s, const struct gh_flow *f, bool closed, const char *reason)
{
    struct gh_audit_record rec = {
        .message = closed ? "flow closed" : "flow opened",
        .reason = reason,
        .has_counts = closed,
        .bytes = f->bytes[0] + f->bytes[1],
        .packets = f->packets[0] + f->packets[1],
    };

    write_flow(s, f, &rec);
}

void relay_audit_flow_packet(struct session *s, const struct gh_flow *f, size_t len)
{
    struct gh_audit_record rec = { .message = "packet", .reason = "log: all", .has_counts = true, .bytes = len, .packets = 1 };

    write_flow(s, f, &rec);
}

void relay_audit_deny(struct session *s, enum gh_direction d, const struct gh_ip_packet *p, const struct gh_forward_decision *decision)
{
    const struct gh_policy_rule *rule = decision->rule;
    char buf[1024];
    struct gh_text text;
    struct gh_audit_record rec = {
        .event = GH_AUDIT_ACL_DENY,
        .action = GH_AUDIT_DENY,
        .message = d == GH_DIRECTION_OUT ? "packet denied" : "packet towards the agent denied",
        .rule_id = rule_id(rule),
        .reason = gh_drop_name(decision->reason ? decision->reason : GH_DROP_POLICY),
        .policy_version = policy_version(s->rw),
    };

    gh_text_init_fixed(&text, buf, sizeof buf);
    fill_session(&rec, s);
    fill_tuple(&rec, p);
    rec.metadata = metadata_of(rule, &text);
    gh_audit_write(s->rw->r->audit, &rec);
}

void relay_audit_proxy(struct relay_worker *rw, const struct relay_audit_proxy *a)
{
    char buf[1024];
    struct gh_text text;
    struct gh_audit_record rec = {
        .event = a->allow ? GH_AUDIT_ACL_ALLOW : GH_AUDIT_ACL_DENY,
        .action = a->allow ? GH_AUDIT_ALLOW : GH_AUDIT_DENY,
        .message = a->message,
        .client_id = a->client,
        .request_id = a->request,
        .source_ip = a->source,
        .dest_ip = a->to.ip,
        .has_port = true,
        .dest_port = a->to.port,
        .protocol = a->protocol,
        .rule_id = rule_id(a->rule),
        .reason = a->reason,
        .policy_version = policy_version(rw),
        .has_counts = a->allow && strcmp(a->message, "flow closed") == 0,
        .bytes = a->bytes,
        .packets = a->packets,
    };

    gh_text_init_fixed(&text, buf, sizeof buf);
    rec.metadata = metadata_of(a->rule, &text);
    gh_audit_write(rw->r->audit, &rec);
}

void relay_audit_policy(struct relay *r, const char *version, const char *error)
{
    struct gh_audit_record rec = {
        .event = GH_AUDIT_POLICY_RELOAD,
        .action = GH_AUDIT_ACTION_NONE,
        .message = error ? "policy refused, the last good version stays" : "policy loaded",
        .policy_version = version,
        .reason = error,
    };

    gh_audit_write(r->audit, &rec);
}
