/* policy/table.h - from (remote address, service) to the first rule of one list that matches
 *
 * One table per list, direction and family. Addresses are cut at every bound of every prefix; each piece names the longest
 * prefix around it, and each prefix its next wider one. A prefix holds, for its own rules only, services cut the same way,
 * each piece with its candidates: the rules that could be first there, depending on which have expired. Space is linear in
 * prefixes and ranges as long as few rules expire.
 */
#ifndef GH_POLICY_TABLE_H
#define GH_POLICY_TABLE_H

#include "base/arena.h"
#include "policy/policy.h"

#define GH_POLICY_NONE UINT32_MAX
#define GH_POLICY_SERVICE_MAX 0xffffffu
#define GH_POLICY_CANDIDATES_MAX 4000000u /* of one table */

struct gh_policy_key { /* an address as a number */
    uint64_t hi, lo;
};

struct gh_policy_node {
    struct gh_prefix prefix;
    uint32_t parent;      /* next wider prefix, or GH_POLICY_NONE */
    uint32_t best;        /* lowest rule here or in a wider prefix */
    uint32_t own_best;    /* lowest rule here */
    uint32_t segment;     /* first of this prefix */
    uint32_t segment_end;
};

struct gh_policy_segment {
    uint32_t first;       /* service; the piece ends where the next one begins */
    uint32_t candidate;   /* ascending in rule and in expiry: the first one that lives is the answer */
    uint32_t candidate_end;
};

struct gh_policy_table {
    const struct gh_policy_key *starts; /* ascending; starts[0] is address zero */
    const uint32_t *deepest;            /* the node of each piece, or GH_POLICY_NONE */
    const struct gh_policy_node *nodes; /* by address, wider prefix first */
    const struct gh_policy_segment *segments;
    const uint32_t *candidates;
    uint32_t start_count, node_count, segment_count, candidate_count;
};

/* 0, GH_ERR_MEMORY, or GH_ERR_FULL above GH_POLICY_CANDIDATES_MAX. The table lives as long as <arena>. */
int gh_policy_table_build(const struct gh_policy_rule *rules, uint32_t count, enum gh_policy_direction direction, uint8_t family,
                          struct gh_arena *arena, struct gh_policy_table *ret);
/* The index of the first rule that matches, or GH_POLICY_NONE. <remote> is of the table's family. */
uint32_t gh_policy_table_find(const struct gh_policy_table *t, const struct gh_policy_rule *rules, const struct gh_ip *remote,
                              uint32_t service, int64_t wall_seconds);
/* True when rules before <index>, none of which expires, match everything that it matches in this table, also when that is
 * nothing. Takes the work from <budget> and answers false when that is used up. */
bool gh_policy_table_hides(const struct gh_policy_table *t, const struct gh_policy_rule *rules, uint32_t index, size_t *budget);

#endif
