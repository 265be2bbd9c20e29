#include "os/caps.h"

#include <cap-ng.h>
#include <sys/prctl.h>

#include "base/error.h"

int gh_caps_drop_all(void)
{
    bool bounding;

    if (capng_get_caps_process() < 0)
        return GH_ERR_SYSTEM;
    bounding = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP); /* without it the set cannot shrink, and nothing can use it */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    capng_clear(CAPNG_SELECT_BOTH);
    if (bounding && capng_apply(CAPNG_SELECT_BOUNDS) < 0)
        return GH_ERR_SYSTEM;
    return capng_apply(CAPNG_SELECT_CAPS) < 0 ? GH_ERR_SYSTEM : 0;
}

bool gh_caps_any(void)
{
    return capng_get_caps_process() < 0 || capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE;
}

bool gh_caps_net_admin(void)
{
    return capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN);
}
