#include "os/fdpass.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(GH_FDPASS_MAX * sizeof(int))];
};

int gh_fdpass_pair(int ret[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0 ? GH_ERR_SYSTEM : 0;
}

static int error_of(int e)
{
    if (e == EAGAIN || e == EWOULDBLOCK)
        return GH_ERR_AGAIN;
    return e == EPIPE || e == ECONNRESET || e == ENOTCONN ? GH_ERR_CLOSED : GH_ERR_SYSTEM;
}

int gh_fdpass_send(int fd, const void *data, size_t len, const int *fds, size_t fd_count)
{
    struct iovec v = { (void *)(uintptr_t)data, len };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
    union control control;
    ssize_t n;

    if (fd_count > GH_FDPASS_MAX)
        return GH_ERR_RANGE;
    if (fd_count) {
        struct cmsghdr *c;

        memset(&control, 0, sizeof control);
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
    }
    do
        n = sendmsg(fd, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_of(errno);
    return (size_t)n == len ? 0 : GH_ERR_SYSTEM;
}

/* Collects the descriptors of a message, closing those for which there is no room. Returns how many there were. */
static size_t take_fds(struct msghdr *m, int *ret_fds, size_t cap)
{
    size_t total = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        size_t n;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++, total++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            if (total < cap)
                ret_fds[total] = fd;
            else
                close(fd);
        }
    }
    return total;
}

int gh_fdpass_receive(int fd, void *data, size_t len, int *ret_fds, size_t fd_cap, size_t *ret_fd_count, int flags)
{
    union control control;
    char extra;
    struct iovec v[2] = { { data, len }, { &extra, 1 } };
    struct msghdr m = { .msg_iov = v, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
    int fds[GH_FDPASS_MAX];
    size_t count;
    ssize_t n;

    do
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | flags);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_of(errno);
    count = take_fds(&m, fds, GH_FDPASS_MAX);
    if (n == 0 && count == 0)
        return GH_ERR_CLOSED;
    if ((size_t)n != len || count > fd_cap || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        for (size_t i = 0; i < count && i < GH_FDPASS_MAX; i++)
            close(fds[i]);
        return GH_ERR_MALFORMED;
    }
    if (count)
        memcpy(ret_fds, fds, count * sizeof(int));
    if (ret_fd_count)
        *ret_fd_count = count;
    return 0;
}
