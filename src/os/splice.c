#include "os/splice.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "os/failure.h"

int gh_pipe_open(size_t size, struct gh_pipe *ret)
{
    int fds[2], got;

    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
        return gh_os_failure();
    got = fcntl(fds[0], F_SETPIPE_SZ, (int)size);
    if (got < 0) /* the user has too much in pipes already: what it was born with will do */
        got = fcntl(fds[0], F_GETPIPE_SZ);
    *ret = (struct gh_pipe){ .read_fd = fds[0], .write_fd = fds[1], .size = got > 0 ? (size_t)got : 4096 };
    return 0;
}

int gh_pipe_widen(struct gh_pipe *p, size_t size)
{
    int got = fcntl(p->write_fd, F_SETPIPE_SZ, (int)size);

    if (got < 0)
        return gh_os_failure();
    p->size = (size_t)got;
    return 0;
}

void gh_pipe_close(struct gh_pipe *p)
{
    if (p->read_fd < 0)
        return;
    close(p->read_fd);
    close(p->write_fd);
    *p = (struct gh_pipe){ .read_fd = -1, .write_fd = -1 };
}

ssize_t gh_splice_receive(int sock, struct gh_pipe *p, size_t max)
{
    ssize_t n;

    do
        n = splice(sock, NULL, p->write_fd, NULL, max, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return GH_ERR_CLOSED;
    if (n < 0)
        return gh_os_failure();
    p->held += (size_t)n;
    return n;
}

ssize_t gh_splice_send(struct gh_pipe *p, int sock, bool more)
{
    ssize_t n;

    do
        n = splice(p->read_fd, NULL, sock, NULL, p->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EPIPE ? GH_ERR_CLOSED : gh_os_failure();
    p->held -= (size_t)n;
    return n;
}
