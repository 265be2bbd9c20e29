/* cli/audit.h - `gatehouse audit init|keygen|verify` */
#ifndef GH_CLI_AUDIT_H
#define GH_CLI_AUDIT_H

#include "cli/cli.h"

extern const char gh_cli_audit_usage[];

/* For run_with of a verb. */
int gh_cli_audit(const struct gh_cli_verb *verb, int argc, char **argv);

/* cli/audit_verify.c */
struct gh_audit_verify_options {
    const char *key, *unseal, *state, *at; /* paths and a time; NULL: not given */
    bool complete, json;
    char **files;
    int file_count;
};

int gh_cli_audit_verify(const struct gh_audit_verify_options *o);

/* A whole file of at most <limit> bytes, "-": standard input. <ret> is the caller's to wipe. 0 or a negative error, after a line on
 * standard error. */
struct gh_text;
int gh_cli_audit_read(const char *path, size_t limit, struct gh_text *ret);

#endif
