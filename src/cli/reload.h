/* cli/reload.h - `gatehouse reload` */
#ifndef GH_CLI_RELOAD_H
#define GH_CLI_RELOAD_H

#include "cli/cli.h"

extern const char gh_cli_reload_usage[];

/* For run_with of a verb; arg: const struct gh_admin_program *, NULL for the node. Waits for the result. */
int gh_cli_reload(const struct gh_cli_verb *verb, int argc, char **argv);

#endif
