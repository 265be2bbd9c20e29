/* cli/conform.h - `gatehouse conform`: what a client can find out about any CONNECT-IP proxy, row by row */
#ifndef GH_CLI_CONFORM_H
#define GH_CLI_CONFORM_H

#include "cli/cli.h"

extern const char gh_cli_conform_usage[];
int gh_cli_conform(int argc, char **argv);

#endif
