#include "os/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) /* a FIFO without a writer does not keep us */
#define TRIES 8

static int error_of(int err)
{
    switch (err) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        return GH_ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case ELOOP:
    case EXDEV: /* leads out */
    case ENXIO: /* a FIFO or socket */
    case ENODEV:
        return GH_ERR_DENIED;
    default:
        return GH_ERR_SYSTEM;
    }
}

int gh_tree_open(const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? error_of(errno) : fd;
}

/* Kernels before 5.6, and sandboxes that do not know the call: step by step, and no link is followed. */
static int walk(int tree, const char *name)
{
    int at = fcntl(tree, F_DUPFD_CLOEXEC, 0), next, err;
    char part[256];

    while (at >= 0) {
        size_t len = strcspn(name, "/");
        bool last = name[len] == 0;

        if (len >= sizeof part || (len == 2 && memcmp(name, "..", 2) == 0)) {
            errno = len >= sizeof part ? ENAMETOOLONG : EXDEV;
            next = -1;
        } else {
            memcpy(part, name, len);
            memcpy(part + len, ".", 2);
            part[len ? len : 1] = 0;
            next = openat(at, part, last ? OPEN_FLAGS | O_NOFOLLOW : O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
        }
        err = errno;
        close(at);
        errno = err;
        if (last || next < 0)
            return next;
        at = next;
        name += len + 1;
    }
    return -1;
}

static int open_beneath(int tree, const char *name)
{
    struct open_how how = { .flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };

    if (name[0] == '/') {
        errno = EXDEV;
        return -1;
    }
    for (int i = 0; i < TRIES; i++) { /* EAGAIN: something was renamed meanwhile */
        long fd = syscall(SYS_openat2, tree, *name ? name : ".", &how, sizeof how);

        if (fd >= 0 || (errno != EAGAIN && errno != EINTR && errno != ENOSYS))
            return (int)fd;
        if (errno == ENOSYS)
            return walk(tree, name);
    }
    return -1;
}

int gh_tree_open_file(int tree, const char *name, struct gh_tree_file *ret)
{
    struct stat st;
    int fd = open_beneath(tree, name), rc = 0;

    if (fd < 0)
        return error_of(errno);
    if (fstat(fd, &st) < 0)
        rc = GH_ERR_SYSTEM;
    else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        rc = GH_ERR_DENIED;
    if (rc < 0 || S_ISDIR(st.st_mode)) {
        close(fd);
        fd = -1;
    }
    if (rc == 0)
        *ret = (struct gh_tree_file){ fd, S_ISDIR(st.st_mode), (uint64_t)st.st_size, st.st_mtim.tv_sec };
    return rc;
}

ssize_t gh_tree_read(int fd, void *buf, size_t cap, uint64_t at)
{
    ssize_t n;

    do
        n = pread(fd, buf, cap, (off_t)at);
    while (n < 0 && errno == EINTR);
    return n < 0 ? GH_ERR_SYSTEM : n;
}

void gh_tree_close(int fd)
{
    if (fd >= 0)
        close(fd);
}
