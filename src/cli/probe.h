/* cli/probe.h - gatehouse probe: what a stranger can find out about a host, compared with the site that it should look like */
#ifndef GH_CLI_PROBE_H
#define GH_CLI_PROBE_H

#include "cli/cli.h"

extern const char gh_cli_probe_usage[];
int gh_cli_probe(int argc, char **argv);

#endif
