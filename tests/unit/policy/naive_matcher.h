/* tests/unit/policy/naive_matcher.h - docs/policy.md, "What a verdict is", in the plainest words
 *
 * Written from that page and from nothing else; scans the rows one by one and calls nothing of src/.
 */
#ifndef GH_TEST_NAIVE_MATCHER_H
#define GH_TEST_NAIVE_MATCHER_H

#include "policy/policy.h"

struct naive_packet {
    const char *client;
    enum gh_policy_direction direction;
    struct gh_ip src, dst;
    unsigned protocol, dst_port, icmp_type, icmp_code;
    int64_t at;
};

struct naive_verdict {
    enum gh_policy_action action;
    enum gh_policy_reason reason;
    const struct gh_policy_row_rule *rule;
};

struct naive_verdict naive_decide(const struct gh_policy_rows *rows, const struct naive_packet *p);

#endif
