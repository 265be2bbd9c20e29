/* A record as a line: of JSON, or of words that a person reads. Keys and their order are the same. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/audit.h"
#include "core/text.h"

const char *gh_audit_event_name(enum gh_audit_event e)
{
    static const char *const names[] = {
        [GH_AUDIT_ACL_ALLOW] = "acl.allow",
        [GH_AUDIT_ACL_DENY] = "acl.deny",
        [GH_AUDIT_AUTH_SUCCESS] = "auth.success",
        [GH_AUDIT_AUTH_FAIL] = "auth.fail",
        [GH_AUDIT_CONNECTION_OPEN] = "connection.open",
        [GH_AUDIT_CONNECTION_CLOSE] = "connection.close",
        [GH_AUDIT_POLICY_RELOAD] = "policy.reload",
        [GH_AUDIT_ERROR] = "error",
        [GH_AUDIT_CHECKPOINT] = "audit.checkpoint",
    };

    return (unsigned)e < sizeof names / sizeof *names && names[e] ? names[e] : "error";
}

static const char *level_of(const struct gh_audit_record *r)
{
    if (r->event == GH_AUDIT_ERROR)
        return "error";
    if (r->action == GH_AUDIT_DENY || r->event == GH_AUDIT_ACL_DENY || r->event == GH_AUDIT_AUTH_FAIL)
        return "warn";
    return "info";
}

struct line {
    struct gh_text *t;
    bool text;
};

/* Words of the text form are bare when that cannot be misread. */
static bool is_bare(const char *s)
{
    for (; *s; s++)
        if (*s <= ' ' || *s >= 0x7f || *s == '"' || *s == '=' || *s == '\\')
            return false;
    return true;
}

static void append_key(const struct line *l, const char *key)
{
    gh_text_printf(l->t, l->text ? " %s=" : ",\"%s\":", key);
}

static void append_string(const struct line *l, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    append_key(l, key);
    if (l->text && is_bare(value))
        gh_text_append(l->t, value);
    else
        gh_text_append_json(l->t, gh_span_str(value));
}

static void append_uint(const struct line *l, const char *key, uint64_t value)
{
    append_key(l, key);
    gh_text_append_uint(l->t, value);
}

static void append_ip(const struct line *l, const char *key, const struct gh_ip *ip)
{
    char text[GH_IP_TEXT];

    if (ip->family)
        append_string(l, key, gh_ip_emit(ip, text));
}

static void append_protocol(const struct line *l, int protocol)
{
    char number[12];

    switch (protocol) {
    case 0:
        return;
    case IPPROTO_TCP:
        append_string(l, "protocol", "tcp");
        return;
    case IPPROTO_UDP:
        append_string(l, "protocol", "udp");
        return;
    case IPPROTO_ICMP:
        append_string(l, "protocol", "icmp");
        return;
    case IPPROTO_ICMPV6:
        append_string(l, "protocol", "icmpv6");
        return;
    default:
        snprintf(number, sizeof number, "%d", protocol);
        append_string(l, "protocol", number);
    }
}

static int64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void append_head(const struct line *l, const struct gh_audit_record *r)
{
    gh_text_append(l->t, l->text ? "" : "{\"timestamp\":\"");
    gh_text_append_time(l->t, r->wall_ms ? r->wall_ms : wall_ms());
    gh_text_printf(l->t, l->text ? " %s %s" : "\",\"level\":\"%s\",\"event_type\":\"%s\"", level_of(r), gh_audit_event_name(r->event));
}

static void emit(const struct line *l, const struct gh_audit_record *r)
{
    append_head(l, r);
    append_string(l, "message", r->message);
    append_string(l, "client_id", r->client_id);
    append_ip(l, "source_ip", &r->source_ip);
    append_ip(l, "dest_ip", &r->dest_ip);
    if (r->has_port)
        append_uint(l, "dest_port", r->dest_port);
    append_protocol(l, r->protocol);
    if (r->action != GH_AUDIT_ACTION_NONE)
        append_string(l, "action", r->action == GH_AUDIT_ALLOW ? "allow" : "deny");
    append_string(l, "rule_id", r->rule_id);
    append_string(l, "reason", r->reason);
    append_string(l, "policy_version", r->policy_version);
    if (r->has_counts) {
        append_uint(l, "bytes", r->bytes);
        append_uint(l, "packets", r->packets);
    }
    append_string(l, "session_id", r->session_id);
    append_string(l, "request_id", r->request_id);
    if (r->tenant)
        append_uint(l, "tenant", r->tenant);
    if (r->lost)
        append_uint(l, "lost", r->lost);
    if (r->has_missing)
        append_uint(l, "missing_from", r->missing_from);
    append_string(l, "chain_id", r->chain_id);
    if (r->metadata && *r->metadata) {
        append_key(l, "metadata");
        gh_text_append(l->t, r->metadata);
    }
    gh_text_append(l->t, l->text ? "" : "}");
}

void gh_audit_emit(const struct gh_audit_record *r, struct gh_text *out)
{
    emit(&(struct line){ out, false }, r);
}

void gh_audit_emit_text(const struct gh_audit_record *r, struct gh_text *out)
{
    emit(&(struct line){ out, true }, r);
}
