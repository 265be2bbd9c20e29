#include "os/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define NAME_MAX_LEN 64u

static int open_dir(const char *dir)
{
    return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool write_all(int fd, struct gh_span data)
{
    while (data.len) {
        ssize_t n = write(fd, data.data, data.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data = gh_span_of(data.data + n, data.len - (size_t)n);
    }
    return true;
}

static int read_open(int fd, size_t max, uint8_t **ret, size_t *ret_len)
{
    uint8_t *all;
    struct stat st;
    size_t len = 0, size;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return GH_ERR_SYSTEM;
    if (st.st_size < 0 || (uint64_t)st.st_size > max)
        return GH_ERR_TOO_LONG;
    size = (size_t)st.st_size;
    all = malloc(size + 1);
    if (!all)
        return GH_ERR_MEMORY;
    while (len < size) {
        ssize_t n = read(fd, all + len, size - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(all);
            return GH_ERR_SYSTEM;
        }
        if (n == 0)
            break;
        len += (size_t)n;
    }
    *ret = all;
    *ret_len = len;
    return 0;
}

int gh_state_file_read(const char *dir, const char *name, size_t max, uint8_t **ret, size_t *ret_len)
{
    int at = open_dir(dir), fd = at < 0 ? -1 : openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), rc;

    rc = fd >= 0 ? read_open(fd, max, ret, ret_len) : errno == ENOENT ? GH_ERR_NOT_FOUND : GH_ERR_SYSTEM;
    if (fd >= 0)
        close(fd);
    if (at >= 0)
        close(at);
    return rc;
}

int gh_state_file_append(const char *dir, const char *name, struct gh_span data, size_t *ret_size)
{
    int at = open_dir(dir), fd = at < 0 ? -1 : openat(at, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat st;
    bool good = fd >= 0 && write_all(fd, data) && fstat(fd, &st) == 0;

    if (fd >= 0 && close(fd) < 0)
        good = false;
    if (at >= 0)
        close(at);
    if (good)
        *ret_size = (size_t)st.st_size;
    return good ? 0 : GH_ERR_SYSTEM;
}

int gh_state_file_replace(const char *dir, const char *name, struct gh_span data)
{
    char waiting[NAME_MAX_LEN + 8];
    int at, fd;
    bool good;

    if ((size_t)snprintf(waiting, sizeof waiting, "%s.new", name) >= sizeof waiting)
        return GH_ERR_TOO_LONG;
    at = open_dir(dir);
    fd = at < 0 ? -1 : openat(at, waiting, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    good = fd >= 0 && write_all(fd, data) && fsync(fd) == 0;
    if (fd >= 0 && close(fd) < 0)
        good = false;
    good = good && renameat(at, waiting, at, name) == 0 && fsync(at) == 0;
    if (at >= 0)
        close(at);
    return good ? 0 : GH_ERR_SYSTEM;
}
