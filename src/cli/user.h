/* cli/user.h - gatehouse user add|list|del */
#ifndef GH_CLI_USER_H
#define GH_CLI_USER_H

#include "cli/cli.h"

extern const char gh_cli_user_usage[];

struct gh_token_hash;

/* The user's line in <path>, in place of the one that is there; a file that is missing is made. Exit code; what goes wrong was printed. */
int gh_user_put(const char *path, const char *name, const struct gh_token_hash *hash);

/* Returns the exit code: 0 done, 1 failed, 2 usage. */
int gh_cli_user(const struct gh_cli_verb *verb, int argc, char **argv);

#endif
