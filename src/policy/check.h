/* policy/check.h - what has to be true of rows beyond their types; for the files of this folder alone */
#ifndef GH_POLICY_CHECK_H
#define GH_POLICY_CHECK_H

#include "policy/rows.h"

/* Reports every fault that needs no compiled table. 0 or GH_ERR_MEMORY. */
int gh_policy_check(const struct gh_policy_rows *rows, struct gh_policy_findings *findings);

#endif
