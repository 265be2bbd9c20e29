/* cli/user.h - gatehouse user add|list|del */
#ifndef GH_CLI_USER_H
#define GH_CLI_USER_H

#include "cli/cli.h"

extern const char gh_cli_user_usage[];

/* Returns the exit code: 0 done, 1 failed, 2 usage. */
int gh_cli_user(const struct gh_cli_verb *verb, int argc, char **argv);

#endif
