/* cli/sessions.h - `gatehouse sessions [list|kick ID]` */
#ifndef GH_CLI_SESSIONS_H
#define GH_CLI_SESSIONS_H

#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"

extern const char gh_cli_sessions_usage[];

/* For run_with of a verb; arg: const struct gh_admin_program *, NULL for the node. */
int gh_cli_sessions(const struct gh_cli_verb *verb, int argc, char **argv);
/* The table alone; <answer> is that of GET /v1/sessions. */
void gh_sessions_print(FILE *out, const json_t *answer);

#endif
