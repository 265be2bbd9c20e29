/* policy/findings.h - what is wrong with a policy, and where
 *
 * Reading and compiling collect everything in one run instead of stopping at the first fault. A zeroed struct is empty.
 */
#ifndef GH_POLICY_FINDINGS_H
#define GH_POLICY_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GH_POLICY_FINDINGS_MAX 1000u /* kept; more are counted */

/* A place in the file, counted from 1; zero when unknown. */
struct gh_policy_pos {
    uint32_t line, col;
};

struct gh_policy_finding {
    struct gh_policy_pos pos;
    bool warning; /* an error rejects the file, a warning does not */
    char *text;   /* what, and what would be right; one line, printable */
};

struct gh_policy_findings {
    struct gh_policy_finding *items;
    size_t count, capacity;
    size_t errors, warnings; /* all, kept or not */
    bool memory;             /* a finding was lost because memory ran out; counts as an error */
};

void gh_policy_findings_error(struct gh_policy_findings *f, struct gh_policy_pos pos, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void gh_policy_findings_warn(struct gh_policy_findings *f, struct gh_policy_pos pos, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* By position; findings of one place keep their order. */
void gh_policy_findings_sort(struct gh_policy_findings *f);
/* True when nothing rejects the file. */
bool gh_policy_findings_good(const struct gh_policy_findings *f);
/* "file:line:col: text" or "file:line:col: warning: text", cut to <size>; returns <buf>. */
const char *gh_policy_finding_emit(const struct gh_policy_finding *f, const char *file, char *buf, size_t size);
void gh_policy_findings_fini(struct gh_policy_findings *f);

#endif
