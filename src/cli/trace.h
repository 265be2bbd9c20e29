/* cli/trace.h - gatehouse trace: packets as they pass, with everything that is decided about each */
#ifndef GH_CLI_TRACE_H
#define GH_CLI_TRACE_H

#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"

extern const char gh_cli_trace_usage[];

int gh_cli_trace(const struct gh_cli_verb *verb, int argc, char **argv);

/* One packet, for people. */
void gh_trace_print(FILE *out, const json_t *packet);
/* "9.9.9.9", "9.9.9.9:443", "[2001:db8::1]:443", "10.0.0.0/8": the query of a watch, percent-encoded. 0 or GH_ERR_MALFORMED. */
int gh_trace_query(const char *client, const char *to, const char *protocol, char *ret, size_t cap);

#endif
