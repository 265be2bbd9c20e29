/* policy/policy.h - compile, evaluate and explain who may reach what
 *
 * Glossary
 *   list      the ordered rules of one client or one group
 *   client    its own list, then the lists of its groups in the order in which the client names them
 *   remote    the address that a rule's destinations are compared with: the destination of a packet that the client
 *             sends (out), the source of a packet that somebody sends to the client (in)
 *   service   protocol with destination port, or with ICMP type and code: one number of 24 bits
 *
 * A struct gh_policy is immutable: any number of threads may evaluate it at once. Counting references is the caller's.
 * The language, and with it the meaning of every verdict, is docs/policy.md.
 *
 * Cost of one evaluation: per list of the client one binary search over the prefixes of that list, direction and family,
 * then one binary search over services for each nested prefix that contains the address (at most 33 or 129, usually one
 * to three). Rules about other addresses, other services, other clients cost nothing but the logarithm. Nothing is allocated.
 */
#ifndef GH_POLICY_POLICY_H
#define GH_POLICY_POLICY_H

#include "base/drop.h"
#include "base/ip_addr.h"
#include "base/span.h"
#include "policy/rows.h"

struct gh_policy;
struct gh_policy_client;

struct gh_policy_pair {
    const char *key, *value;
};

/* Services [first, last]; protocol in the upper 8 bits. */
struct gh_policy_services {
    uint32_t first, last;
};

/* A compiled rule. Lives as long as its policy. */
struct gh_policy_rule {
    const char *id;
    const char *description; /* "" without one */
    const char *list;        /* name of the client or group that it is written in */
    bool in_group;
    enum gh_policy_rule_type type;
    enum gh_policy_action action;
    enum gh_policy_direction direction;
    enum gh_policy_log log;
    enum gh_policy_on_deny on_deny;
    int64_t expires_at; /* wall seconds from which on it matches nothing; GH_POLICY_NEVER */
    struct gh_policy_pos pos;
    const struct gh_prefix *destinations; /* none for type default, which matches every address */
    size_t destination_count;
    const struct gh_policy_services *services; /* sorted, disjoint */
    size_t service_count;
    const struct gh_policy_pair *metadata;
    size_t metadata_count;
};

/* What makes one version of a policy different from another. */
struct gh_policy_stamp {
    struct gh_span hash;  /* of the file's content; the first 6 bytes are shown */
    uint64_t generation;  /* counted by whoever loads */
};

/* Checks <rows>, reporting every fault to <findings>, and compiles them when there is none. <stamp> may be NULL.
 * 0; GH_ERR_MALFORMED when <findings> has errors, those from before the call included; GH_ERR_FULL when rules that expire
 * overlap so much that the tables would grow beyond reason; GH_ERR_MEMORY. */
int gh_policy_compile(const struct gh_policy_rows *rows, const struct gh_policy_stamp *stamp, struct gh_policy_findings *findings,
                      struct gh_policy **ret);
void gh_policy_destroy(struct gh_policy *p);

const char *gh_policy_version(const struct gh_policy *p); /* "GENERATION-HASH"; "0" without a stamp */
const char *gh_policy_name(const struct gh_policy *p);    /* metadata.name, "" without one */
size_t gh_policy_client_count(const struct gh_policy *p);
size_t gh_policy_group_count(const struct gh_policy *p);
size_t gh_policy_rule_count(const struct gh_policy *p);
/* The next moment after <wall_seconds> at which a rule expires, so that flows may need another verdict; GH_POLICY_NEVER. */
int64_t gh_policy_next_expiry(const struct gh_policy *p, int64_t wall_seconds);

/* For a session to call once per policy version. NULL: the policy does not know the client, everything is denied. */
const struct gh_policy_client *gh_policy_client_find(const struct gh_policy *p, const char *name);
const char *gh_policy_client_name(const struct gh_policy_client *c);

struct gh_policy_query {
    const struct gh_policy_client *client; /* of the policy that is asked; NULL for an unknown one */
    enum gh_policy_direction direction;
    struct gh_ip src, dst;
    uint8_t protocol;
    uint16_t src_port;  /* no rule looks at it */
    uint16_t dst_port;  /* TCP, UDP, UDP-Lite, DCCP, SCTP; ignored for others */
    uint8_t icmp_type, icmp_code; /* ICMP, ICMPv6; ignored for others */
    int64_t wall_seconds;
};

enum gh_policy_reason {
    GH_POLICY_BY_RULE,
    GH_POLICY_BY_DEFAULT_ACTION,
    GH_POLICY_NO_INBOUND_RULE, /* direction in, and no rule of the client matched */
    GH_POLICY_UNKNOWN_CLIENT,
};

struct gh_policy_verdict {
    enum gh_policy_action action;
    enum gh_policy_reason reason;
    enum gh_policy_log log;
    enum gh_policy_on_deny on_deny;
    const struct gh_policy_rule *rule; /* NULL unless the reason is GH_POLICY_BY_RULE */
};

struct gh_policy_verdict gh_policy_evaluate(const struct gh_policy *p, const struct gh_policy_query *q);
/* The stable names for audit and explain: "rule", "default_action", "no_inbound_rule", "unknown_client". */
const char *gh_policy_reason_name(enum gh_policy_reason r);
/* The counter that a denied packet belongs to; GH_DROP_NONE when it was allowed. */
enum gh_drop gh_policy_verdict_drop(const struct gh_policy_verdict *v);

/* What became of one rule: the first thing about it that did not fit. */
enum gh_policy_step {
    GH_POLICY_MATCHED,
    GH_POLICY_OTHER_DIRECTION,
    GH_POLICY_EXPIRED,
    GH_POLICY_OTHER_DESTINATION,
    GH_POLICY_OTHER_PROTOCOL,
    GH_POLICY_OTHER_PORT,
    GH_POLICY_OTHER_ICMP,
};

const char *gh_policy_step_name(enum gh_policy_step s);

/* Called for each rule of the client in order, up to and with the one that decided. */
typedef void (*gh_policy_trace_fn)(void *arg, const struct gh_policy_rule *rule, enum gh_policy_step step);

/* gh_policy_evaluate, and then why each earlier rule did not decide. The verdict is the matcher's, never the trace's.
 * 0, or GH_ERR_INTERNAL when the two disagree, which no input may cause; <ret> is filled either way. */
int gh_policy_explain(const struct gh_policy *p, const struct gh_policy_query *q, gh_policy_trace_fn trace, void *arg,
                      struct gh_policy_verdict *ret);

#endif
