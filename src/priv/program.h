/* priv/program.h - other programs of this machine, run to their end (nft, ufw, firewall-cmd)
 *
 * A session of its own, no signal blocked, LC_ALL=C, killed when its time is over or the caller dies.
 */
#ifndef GH_PRIV_PROGRAM_H
#define GH_PRIV_PROGRAM_H

#include <stddef.h>

#define GH_PROGRAM_SECONDS 20

/* Runs the first of <paths> (NULL ends it) that may be run, with <in> to read. <ret_out>, unless NULL, takes what it wrote on both
 * outputs, also when it failed: free it; NULL when nothing was run. 0 when it ended with 0; GH_ERR_NOT_FOUND (none of <paths> is there), GH_ERR_SYSTEM,
 * GH_ERR_TIMEOUT or GH_ERR_MEMORY. */
int gh_program_run(const char *const paths[], const char *const argv[], const char *in, size_t len, char **ret_out);

#endif
