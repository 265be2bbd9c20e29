/* cli/ca.h - gatehouse ca init|issue|renew|revoke|crl|list */
#ifndef GH_CLI_CA_H
#define GH_CLI_CA_H

/* <argv[0]> is "ca". Returns the exit code: 0 done, 1 failed, 2 usage. */
int gh_cli_ca(int argc, char **argv);

#endif
