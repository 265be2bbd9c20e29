/* core/policy_tests_load.h - the file of `gatehouse policy test` (docs/policy.md, "Tests") */
#ifndef GH_CORE_POLICY_TESTS_LOAD_H
#define GH_CORE_POLICY_TESTS_LOAD_H

#include "base/span.h"
#include "base/arena.h"
#include "policy/policy.h"

/* One packet and what should become of it. */
struct gh_policy_test {
    struct gh_policy_pos pos;
    const char *name;             /* NULL without one */
    const char *client;
    struct gh_policy_query query; /* without client; wall_seconds is -1 when the test names no time */
    enum gh_policy_action expect;
    const char *rule;             /* id that has to decide; NULL: any */
};

/* <ret> borrows from <arena>. 0, GH_ERR_MALFORMED when <findings> has errors, GH_ERR_MEMORY. */
int gh_policy_tests_load(struct gh_span bytes, struct gh_arena *arena, struct gh_policy_findings *findings,
                         const struct gh_policy_test **ret, size_t *ret_count);

#endif
