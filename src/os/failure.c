#include "os/failure.h"

#include <errno.h>

#include "base/error.h"

int gh_os_failure(void)
{
    switch (errno) {
    case EAGAIN:
        return GH_ERR_AGAIN;
    case EADDRINUSE:
        return GH_ERR_EXISTS;
    case EACCES:
    case EPERM:
        return GH_ERR_DENIED;
    case EMFILE:
    case ENFILE:
        return GH_ERR_FULL;
    case EMSGSIZE:
        return GH_ERR_TOO_LONG;
    default:
        return GH_ERR_SYSTEM;
    }
}
