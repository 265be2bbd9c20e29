/* cli/check.h - is a configuration right? */
#ifndef GH_CLI_CHECK_H
#define GH_CLI_CHECK_H

#include "cli/cli.h"

struct gh_conf_section;

extern const char gh_cli_check_usage[], gh_cli_agent_check_usage[]; /* the operator's tool's, the agent's */

/* For run_with of a verb.
 * Runs `gatehoused --check` found beside this binary, or `gatehouse-agent check` for a file with an agent section. */
int gh_cli_check(const struct gh_cli_verb *verb, int argc, char **argv);
/* Checks in this process; arg: the sections (const struct gh_conf_section *const *). */
int gh_cli_check_here(const struct gh_cli_verb *verb, int argc, char **argv);
/* What --check of a program does: prints the errors of <path>, or one line that all is well. An exit code. */
int gh_cli_check_file(const char *path, const struct gh_conf_section *const *sections, bool json, FILE *out);

#endif
