/* cli/config.h - what the configuration says */
#ifndef GH_CLI_CONFIG_H
#define GH_CLI_CONFIG_H

#include "cli/cli.h"

extern const char gh_cli_config_usage[], gh_cli_agent_config_usage[]; /* the operator's tool's, the agent's */

/* config show --effective [--json] FILE; config man. arg: the sections (const struct gh_conf_section *const *). */
int gh_cli_config(const struct gh_cli_verb *verb, int argc, char **argv);

#endif
