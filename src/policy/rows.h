/* policy/rows.h - a policy as it was written: typed values, each with its place in the file
 *
 * Whoever reads a file fills these; gh_policy_compile checks and copies them. Everything is borrowed during that call.
 * The language is docs/policy.md. Strings end with NUL and are not NULL unless a comment says so.
 */
#ifndef GH_POLICY_ROWS_H
#define GH_POLICY_ROWS_H

#include "base/ip_addr.h"
#include "policy/findings.h"

/* Limits of one policy. */
#define GH_POLICY_CLIENTS_MAX 100000u
#define GH_POLICY_GROUPS_MAX 4096u
#define GH_POLICY_RULES_MAX 100000u /* in the whole file */
#define GH_POLICY_CLIENT_GROUPS_MAX 64u
#define GH_POLICY_DESTINATIONS_MAX 4096u /* of one rule */
#define GH_POLICY_PORTS_MAX 1024u
#define GH_POLICY_ICMP_MAX 64u
#define GH_POLICY_METADATA_MAX 64u
#define GH_POLICY_NAME_MAX 255u /* bytes of a client's or group's name and of a rule's id */

#define GH_POLICY_NEVER INT64_MAX /* expires_at of a rule that does not expire */

enum gh_policy_action { GH_POLICY_DENY, GH_POLICY_ALLOW };
enum gh_policy_direction { GH_POLICY_OUT, GH_POLICY_IN };
enum gh_policy_log { GH_POLICY_LOG_NONE, GH_POLICY_LOG_FIRST, GH_POLICY_LOG_ALL };
enum gh_policy_on_deny { GH_POLICY_SILENT, GH_POLICY_ICMP };
enum gh_policy_rule_type { GH_POLICY_IP_CIDR, GH_POLICY_DEFAULT };

struct gh_policy_row_text {
    const char *text;
    struct gh_policy_pos pos;
};

struct gh_policy_row_pair {
    const char *key, *value;
    struct gh_policy_pos pos;
};

struct gh_policy_row_prefix {
    struct gh_prefix prefix;
    struct gh_policy_pos pos;
};

struct gh_policy_row_ports {
    uint16_t first, last; /* inclusive */
    struct gh_policy_pos pos;
};

struct gh_policy_row_protocol {
    uint8_t number;
    struct gh_policy_pos pos;
};

struct gh_policy_row_icmp {
    uint8_t protocol; /* 1 ICMP, 58 ICMPv6 */
    uint8_t type;
    int16_t code; /* -1: every code */
    struct gh_policy_pos pos;
};

struct gh_policy_row_rule {
    struct gh_policy_pos pos;
    struct gh_policy_row_text id;
    struct gh_policy_row_text description; /* text may be NULL */
    enum gh_policy_rule_type type;
    enum gh_policy_action action;
    enum gh_policy_direction direction;
    enum gh_policy_log log;
    enum gh_policy_on_deny on_deny;
    int64_t expires_at; /* wall seconds, or GH_POLICY_NEVER */
    const struct gh_policy_row_prefix *destinations;
    const struct gh_policy_row_ports *ports;
    const struct gh_policy_row_protocol *protocols; /* none: every protocol */
    const struct gh_policy_row_icmp *icmp;
    const struct gh_policy_row_pair *metadata;
    size_t destination_count, port_count, protocol_count, icmp_count, metadata_count;
    bool broken; /* an error was reported for it already: no second one that follows from it; id.text may be NULL */
};

struct gh_policy_row_group {
    struct gh_policy_row_text name;
    struct gh_policy_row_text description; /* text may be NULL */
    const struct gh_policy_row_rule *rules;
    size_t rule_count;
    bool broken;
};

struct gh_policy_row_client {
    struct gh_policy_row_text name;
    struct gh_policy_row_text description;   /* text may be NULL */
    const struct gh_policy_row_text *groups; /* in the order in which their rules follow the client's own */
    const struct gh_policy_row_rule *rules;
    size_t group_count, rule_count;
    bool broken;
};

struct gh_policy_rows {
    struct gh_policy_row_text name, description; /* texts may be NULL */
    const struct gh_policy_row_pair *metadata;
    size_t metadata_count;
    enum gh_policy_action default_action; /* for direction out; zero is deny */
    enum gh_policy_on_deny on_deny;       /* of a packet that no rule decides */
    enum gh_policy_log log;               /* of a packet that no rule decides */
    const struct gh_policy_row_group *groups;
    const struct gh_policy_row_client *clients;
    size_t group_count, client_count;
};

#endif
