/* A record as a line of JSON. */
#include <netinet/in.h>
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

static void append_string(struct gh_text *t, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    gh_text_printf(t, ",\"%s\":", key);
    gh_text_append_json(t, gh_span_str(value));
}

static void append_ip(struct gh_text *t, const char *key, const struct gh_ip *ip)
{
    char text[GH_IP_TEXT];

    if (ip->family)
        append_string(t, key, gh_ip_emit(ip, text));
}

static void append_protocol(struct gh_text *t, int protocol)
{
    switch (protocol) {
    case 0:
        return;
    case IPPROTO_TCP:
        append_string(t, "protocol", "tcp");
        return;
    case IPPROTO_UDP:
        append_string(t, "protocol", "udp");
        return;
    case IPPROTO_ICMP:
        append_string(t, "protocol", "icmp");
        return;
    case IPPROTO_ICMPV6:
        append_string(t, "protocol", "icmpv6");
        return;
    default:
        gh_text_printf(t, ",\"protocol\":\"%d\"", protocol);
    }
}

static int64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void gh_audit_emit(const struct gh_audit_record *r, struct gh_text *out)
{
    gh_text_append(out, "{\"timestamp\":\"");
    gh_text_append_time(out, r->wall_ms ? r->wall_ms : wall_ms());
    gh_text_printf(out, "\",\"level\":\"%s\",\"event_type\":\"%s\"", level_of(r), gh_audit_event_name(r->event));
    append_string(out, "message", r->message);
    append_string(out, "client_id", r->client_id);
    append_ip(out, "source_ip", &r->source_ip);
    append_ip(out, "dest_ip", &r->dest_ip);
    if (r->has_port)
        gh_text_printf(out, ",\"dest_port\":%u", r->dest_port);
    append_protocol(out, r->protocol);
    if (r->action != GH_AUDIT_ACTION_NONE)
        append_string(out, "action", r->action == GH_AUDIT_ALLOW ? "allow" : "deny");
    append_string(out, "rule_id", r->rule_id);
    append_string(out, "reason", r->reason);
    append_string(out, "policy_version", r->policy_version);
    if (r->has_counts) {
        gh_text_append(out, ",\"bytes\":");
        gh_text_append_uint(out, r->bytes);
        gh_text_append(out, ",\"packets\":");
        gh_text_append_uint(out, r->packets);
    }
    append_string(out, "session_id", r->session_id);
    append_string(out, "request_id", r->request_id);
    if (r->tenant)
        gh_text_printf(out, ",\"tenant\":%u", r->tenant);
    if (r->metadata && *r->metadata)
        gh_text_printf(out, ",\"metadata\":%s", r->metadata);
    gh_text_append(out, "}");
}
