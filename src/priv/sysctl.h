/* priv/sysctl.h - the few kernel switches that a gateway needs, and those that Linux turns along with them
 *
 * Turning forwarding on or off writes the same value to every interface, and IPv6 forwarding makes an interface deaf to
 * router advertisements unless its accept_ra is 2. So all that may change is noted before, and put back to the letter.
 */
#ifndef GH_PRIV_SYSCTL_H
#define GH_PRIV_SYSCTL_H

#include <stdbool.h>
#include <stddef.h>

#include "priv/changes.h"

/* Paths are below /proc/sys. 0, GH_ERR_NOT_FOUND, GH_ERR_DENIED, GH_ERR_TOO_LONG or GH_ERR_SYSTEM. */
int gh_sysctl_read(const char *path, char *ret, size_t cap);
int gh_sysctl_write(const char *path, const char *value);
/* One of the switches that this file may touch. */
bool gh_sysctl_known(const char *path);
/* Sets <which> to 1. */
int gh_sysctl_enable(struct gh_changes *cs, enum gh_priv_sysctl which, uint64_t generation);

#endif
