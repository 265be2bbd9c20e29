/* os/caps.h - Linux capabilities of the calling process */
#ifndef GH_OS_CAPS_H
#define GH_OS_CAPS_H

#include <stdbool.h>

/* Gives up every capability, the bounding set too where that is allowed, for good. 0 or GH_ERR_SYSTEM. */
int gh_caps_drop_all(void);
/* True when the process holds any capability, effective or permitted. */
bool gh_caps_any(void);
/* True when CAP_NET_ADMIN is effective. */
bool gh_caps_net_admin(void);

#endif
