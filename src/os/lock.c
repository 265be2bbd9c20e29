#include "os/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"

#define RETRY_MS 20

int gh_lock_open(int dir_fd, const char *name, int wait_ms)
{
    int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return errno == EACCES || errno == EPERM ? GH_ERR_DENIED : errno == ENOENT ? GH_ERR_NOT_FOUND : GH_ERR_SYSTEM;
    for (;;) {
        const struct timespec pause = { 0, RETRY_MS * 1000000L };
        int e;

        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        e = errno;
        if (e != EWOULDBLOCK && e != EINTR) {
            close(fd);
            return GH_ERR_SYSTEM;
        }
        if (wait_ms <= 0) {
            close(fd);
            return GH_ERR_EXISTS;
        }
        nanosleep(&pause, NULL);
        wait_ms -= RETRY_MS;
    }
}
