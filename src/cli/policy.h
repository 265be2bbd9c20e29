/* cli/policy.h - `gatehouse policy check|test|explain` */
#ifndef GH_CLI_POLICY_H
#define GH_CLI_POLICY_H

/* argv[0] is "policy". Prints to stdout, faults to stderr. Returns the exit code: 0 ok, 1 check failed, 2 usage. */
int gh_cli_policy(int argc, char **argv);

#endif
