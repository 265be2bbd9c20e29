/* cli/status.h - `gatehouse status`, and `gatehouse-agent status` */
#ifndef GH_CLI_STATUS_H
#define GH_CLI_STATUS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/cli.h"

extern const char gh_cli_status_usage[];

/* For run_with of a verb; arg: const struct gh_admin_program *, NULL for the node. One screen, or JSON with --json. */
int gh_cli_status(const struct gh_cli_verb *verb, int argc, char **argv);
/* The screen alone; <status> is the answer of GET /v1/status. */
void gh_status_print(FILE *out, const json_t *status, bool colour);

#endif
