/* core/policy_load.h - a policy file (docs/policy.md) to a compiled policy
 *
 * Works on bytes, so that the file may come as a descriptor. Every fault of the file is reported in one run; any of them
 * rejects it whole.
 */
#ifndef GH_CORE_POLICY_LOAD_H
#define GH_CORE_POLICY_LOAD_H

#include "base/span.h"
#include "base/arena.h"
#include "policy/policy.h"

#define GH_POLICY_FILE_MAX (16u << 20) /* bytes */

/* Reads and compiles. <findings> gets errors and warnings, in the order of the file; <stamp> may be NULL.
 * 0; GH_ERR_MALFORMED when <findings> has errors; GH_ERR_FULL (gh_policy_compile); GH_ERR_MEMORY. */
int gh_policy_load(struct gh_span bytes, const struct gh_policy_stamp *stamp, struct gh_policy_findings *findings,
                   struct gh_policy **ret);
/* Reads only: <ret> borrows from <arena>. 0, GH_ERR_MALFORMED when there is nothing that could be checked further, GH_ERR_MEMORY.
 * The rows may be used when <findings> has no error after gh_policy_compile checked them, too. */
int gh_policy_rows_load(struct gh_span bytes, struct gh_arena *arena, struct gh_policy_findings *findings, struct gh_policy_rows *ret);

#endif
