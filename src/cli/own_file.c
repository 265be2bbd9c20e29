#include "cli/own_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/ca_dir_internal.h"

int gh_own_file_lock(const char *path, int *ret_fd, char why[GH_CA_DIR_WHY])
{
    struct stat held, now;
    int fd, rc;

    for (;;) {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 && errno != ENOENT)
            return ca_dir_refuse_system(why, path);
        if (fd < 0)
            break;
        do
            rc = flock(fd, LOCK_EX);
        while (rc < 0 && errno == EINTR);
        if (rc < 0 || fstat(fd, &held) < 0) {
            rc = ca_dir_refuse_system(why, path);
            close(fd);
            return rc;
        }
        if (stat(path, &now) == 0 && now.st_dev == held.st_dev && now.st_ino == held.st_ino)
            break;
        close(fd); /* another file took its place meanwhile */
    }
    *ret_fd = fd;
    return 0;
}

int gh_own_file_save(const char *path, const char *text, size_t len, bool replace, char why[GH_CA_DIR_WHY])
{
    const struct gh_pem data = { (char *)(uintptr_t)text, len };
    struct ca_dir_staged f = { 0 };
    struct stat st;
    char *slash;
    int rc;

    if ((size_t)snprintf(f.path, sizeof f.path, "%s", path) >= sizeof f.path)
        return ca_dir_refuse(GH_ERR_TOO_LONG, why, "the file's path is too long");
    rc = ca_dir_stage(&f, &data, 0600, why);
    if (rc == 0 && replace && stat(path, &st) == 0 && (st.st_uid != geteuid() || st.st_gid != getegid()) && lchown(f.waiting, st.st_uid, st.st_gid) < 0)
        rc = ca_dir_refuse_system(why, f.waiting);
    if (rc == 0)
        rc = ca_dir_commit(&f, replace, why);
    ca_dir_unstage(&f);
    if (rc < 0)
        return rc;
    slash = strrchr(f.path, '/');
    if (slash)
        slash[slash == f.path] = 0;
    return ca_dir_sync_dir(slash ? f.path : ".", why);
}
