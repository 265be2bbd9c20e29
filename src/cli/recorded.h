/* cli/recorded.h - what the flight recorder of a node or an agent has */
#ifndef GH_CLI_RECORDED_H
#define GH_CLI_RECORDED_H

#include "cli/admin_client.h"

/* The last <count> events of each worker, on standard output. Fills method and path of <call>. An exit code. */
int gh_recorded_show(struct gh_admin_call *call, const char *count, bool json);

#endif
