#include "os/journald.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"

int gh_journald_open(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd;

    if (strlen(path) >= sizeof at.sun_path) {
        errno = ENAMETOOLONG;
        return GH_ERR_SYSTEM;
    }
    memcpy(at.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return GH_ERR_SYSTEM;
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) < 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return GH_ERR_SYSTEM;
    }
    return fd;
}

int gh_journald_send(int fd, unsigned priority, const char *identifier, const char *message, size_t len)
{
    char head[128];
    int n = snprintf(head, sizeof head, "PRIORITY=%u\nSYSLOG_IDENTIFIER=%s\nMESSAGE=", priority, identifier);
    struct iovec parts[] = { { head, (size_t)n }, { (void *)(uintptr_t)message, len }, { (void *)(uintptr_t) "\n", 1 } };
    const struct msghdr m = { .msg_iov = parts, .msg_iovlen = 3 };

    if (n < 0 || (size_t)n >= sizeof head)
        return GH_ERR_TOO_LONG;
    if (sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return 0;
    switch (errno) {
    case EAGAIN:
    case EINTR:
    case ENOBUFS:
        return GH_ERR_AGAIN;
    case ECONNREFUSED:
    case ECONNRESET:
    case ENOTCONN:
    case ENOENT:
        return GH_ERR_CLOSED;
    case EMSGSIZE:
        return GH_ERR_TOO_LONG;
    default:
        return GH_ERR_SYSTEM;
    }
}
