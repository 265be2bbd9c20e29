/* policy/snapshot.h - what a compiled policy is made of; for the files of this folder alone */
#ifndef GH_POLICY_SNAPSHOT_H
#define GH_POLICY_SNAPSHOT_H

#include "base/arena.h"
#include "policy/policy.h"
#include "policy/table.h"

struct gh_policy_list {
    const char *name;
    const struct gh_policy_rule *rules; /* in the order of the file */
    uint32_t rule_count;
    struct gh_policy_table tables[2][2]; /* by direction, and by family: IPv4, IPv6 */
};

struct gh_policy_client {
    const char *name;
    const struct gh_policy_list **lists; /* in the order in which they are asked */
    size_t list_count;
};

struct gh_policy {
    struct gh_arena arena; /* holds everything but the policy itself */
    const char *version, *name;
    enum gh_policy_action default_action;
    enum gh_policy_on_deny on_deny;
    enum gh_policy_log log;
    const struct gh_policy_client *clients; /* by name */
    size_t client_count, group_count, rule_count;
    const int64_t *expiries; /* ascending */
    size_t expiry_count;
};

#endif
