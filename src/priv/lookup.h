/* priv/lookup.h - host names are looked up by a short-lived process that has nothing else
 *
 * Its files are the resolver's, as they are at that moment; its answer, one struct gh_resolved, comes over a socket whose
 * other end goes to whoever asked. It ends by itself.
 */
#ifndef GH_PRIV_LOOKUP_H
#define GH_PRIV_LOOKUP_H

#include <sys/types.h>

#include "priv/request.h"

#define GH_LOOKUPS_MAX 16u
#define GH_LOOKUP_SECONDS 30u /* the longest that one may take */

struct gh_lookups {
    pid_t pids[GH_LOOKUPS_MAX]; /* 0: free */
};

/* <forget> is called first in the new process. <uid> 0: as this process. 0 and the end to read from, GH_ERR_FULL or GH_ERR_SYSTEM. */
int gh_lookup_start(struct gh_lookups *l, const struct gh_priv_lookup *q, uid_t uid, gid_t gid, void (*forget)(void *arg), void *arg, int *ret_fd);
/* Some process has ended. */
void gh_lookups_reap(struct gh_lookups *l);
/* Ends those under way. */
void gh_lookups_stop(struct gh_lookups *l);

#endif
