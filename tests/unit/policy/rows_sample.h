/* tests/unit/policy/rows_sample.h - short ways to write rows */
#ifndef GH_TEST_ROWS_SAMPLE_H
#define GH_TEST_ROWS_SAMPLE_H

#include <string.h>

#include "policy/policy.h"

#define AT(l, c) ((struct gh_policy_pos){ (l), (c) })
#define LIST(array) (array), sizeof(array) / sizeof *(array)

static inline struct gh_ip sample_ip(const char *text)
{
    struct gh_ip a = { 0 };

    gh_ip_parse(text, strlen(text), &a);
    return a;
}

static inline struct gh_policy_row_prefix sample_prefix(const char *text)
{
    struct gh_policy_row_prefix p = { .pos = { 7, 7 } };

    gh_prefix_parse(text, strlen(text), &p.prefix);
    return p;
}

/* A rule of type ip_cidr with one destination that the caller keeps. */
static inline struct gh_policy_row_rule sample_rule(const char *id, enum gh_policy_action action, const struct gh_policy_row_prefix *to,
                                                    uint32_t line)
{
    return (struct gh_policy_row_rule){ .pos = { line, 1 },
                                        .id = { id, { line, 3 } },
                                        .type = to ? GH_POLICY_IP_CIDR : GH_POLICY_DEFAULT,
                                        .action = action,
                                        .expires_at = GH_POLICY_NEVER,
                                        .log = GH_POLICY_LOG_FIRST,
                                        .destinations = to,
                                        .destination_count = to ? 1 : 0 };
}

#endif
