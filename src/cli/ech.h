/* cli/ech.h - gatehouse ech generate|rotate|show */
#ifndef GH_CLI_ECH_H
#define GH_CLI_ECH_H

#include "cli/cli.h"

extern const char gh_cli_ech_usage[];

/* Returns the exit code: 0 done, 1 failed, 2 usage. */
int gh_cli_ech(const struct gh_cli_verb *verb, int argc, char **argv);

#endif
