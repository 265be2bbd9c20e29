/* cli/agent.h - the verbs of gatehouse-agent: up, status, trace, down, cleanup */
#ifndef GH_CLI_AGENT_H
#define GH_CLI_AGENT_H

#include "cli/cli.h"

struct gh_boot;
struct gh_conf_section;

/* What bin gives to each of the verbs as their argument. */
struct gh_cli_agent {
    const struct gh_conf_section *const *sections; /* ends with NULL; one of them is "agent" */
    /* Runs the agent until it ends. An exit code, or why it did not start (negative). */
    int (*up)(const char *config, const struct gh_boot *boot);
    /* Puts back what a dead agent left. Number of things undone, or negative. */
    int (*cleanup)(const char *run_dir);
};

extern const char gh_cli_agent_up_usage[], gh_cli_agent_status_usage[], gh_cli_agent_trace_usage[], gh_cli_agent_down_usage[], gh_cli_agent_cleanup_usage[];

int gh_cli_agent_up(const struct gh_cli_verb *verb, int argc, char **argv);
int gh_cli_agent_status(const struct gh_cli_verb *verb, int argc, char **argv);
int gh_cli_agent_trace(const struct gh_cli_verb *verb, int argc, char **argv);
int gh_cli_agent_down(const struct gh_cli_verb *verb, int argc, char **argv);
int gh_cli_agent_cleanup(const struct gh_cli_verb *verb, int argc, char **argv);

#endif
