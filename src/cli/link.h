/* cli/link.h - gatehouse link: the connection link of a first start, again and for others */
#ifndef GH_CLI_LINK_H
#define GH_CLI_LINK_H

#include "cli/cli.h"

extern const char gh_cli_link_usage[];

/* Returns the exit code: 0 done, 1 there is none, 2 usage, 5 no permission. */
int gh_cli_link(const struct gh_cli_verb *verb, int argc, char **argv);

#endif
