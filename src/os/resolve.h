/* os/resolve.h - addresses of a host name; blocks, so it belongs into the offload pool */
#ifndef GH_OS_RESOLVE_H
#define GH_OS_RESOLVE_H

#include "os/sock.h"

#define GH_RESOLVE_ADDRESSES 16u

struct gh_resolved {
    struct gh_endpoint list[GH_RESOLVE_ADDRESSES]; /* in the order in which they are to be tried */
    size_t count;
    char error[128]; /* when count is 0 */
};

/* <host> is a name or an address. Addresses of a name alternate between the families (RFC 8305, section 4). */
void gh_resolve(const char *host, uint16_t port, struct gh_resolved *ret);
/* The second half, for itself: makes families take turns, beginning with that of the first. */
void gh_resolved_interleave(struct gh_resolved *r);

#endif
