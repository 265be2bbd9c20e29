/* cli/policy_options.h - the command line of the verbs of `gatehouse policy` */
#ifndef GH_CLI_POLICY_OPTIONS_H
#define GH_CLI_POLICY_OPTIONS_H

#include "policy/policy.h"

struct gh_cli_policy_options {
    const char *file;  /* the policy */
    const char *tests; /* second argument, NULL without one */
    const char *client;
    struct gh_policy_query query; /* without client; wall_seconds is now unless --at was given */
    bool protocol, port, icmp;    /* were given, by whatever option */
    bool json, help, expects;
    enum gh_policy_action expect;
    const char *rule;
};

/* argv[0] is the verb. 0, or GH_ERR_MALFORMED after a line on stderr. */
int gh_cli_policy_options_parse(int argc, char **argv, struct gh_cli_policy_options *ret);
/* Fills what may be left out of a query about one packet and refuses what does not go together; results as above. */
int gh_cli_policy_options_finish(struct gh_cli_policy_options *o);

#endif
