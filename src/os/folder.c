#include "os/folder.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static int make(const char *path, mode_t mode)
{
    return mkdir(path, mode) < 0 && errno != EEXIST ? -1 : 0;
}

int gh_folder_make(const char *path, mode_t mode)
{
    char part[PATH_MAX];
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof part) {
        errno = len ? ENAMETOOLONG : ENOENT;
        return -1;
    }
    /* on a read-only system the folders above are there: look before making */
    if (make(path, mode) == 0)
        return 0;
    if (errno != ENOENT)
        return -1;
    memcpy(part, path, len + 1);
    for (size_t i = 1; i < len; i++) {
        if (part[i] != '/' || part[i - 1] == '/')
            continue;
        part[i] = 0;
        if (make(part, 0755) < 0 && errno != EROFS)
            return -1;
        part[i] = '/';
    }
    return make(path, mode);
}
