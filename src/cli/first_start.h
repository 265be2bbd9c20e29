/* cli/first_start.h - a node that nobody has configured
 *
 * What it needs is made in its state folder, once: a key of ECH, a certificate, a user with a token, a policy. The configuration itself is written into the
 * run folder at each start, so that the node's own process, which may write to the state folder, has no say in what the parent opens.
 */
#ifndef GH_CLI_FIRST_START_H
#define GH_CLI_FIRST_START_H

#include <stdbool.h>
#include <stdio.h>

#include "core/conf.h"

#define GH_FIRST_START_PATH 600u

/* Makes what is not there yet, and prints the connection link and what a firewall must let pass to <out>; what goes wrong goes to standard error. The path of the
 * configuration into <ret>. In a process of its own: keys pass through its memory. 0 or an error. */
int gh_first_start(const struct gh_conf_section *const *sections, const char *const *env, FILE *out, char ret[GH_FIRST_START_PATH]);

#endif
