/* A key in a file: read, or made and moved into place whole. */
#include "core/node_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "crypto/random.h"

static int read_key(int dir, uint8_t ret[GH_NODE_KEY])
{
    int fd = openat(dir, "node.key", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    int rc = GH_ERR_MALFORMED;

    if (fd < 0)
        return errno == ENOENT ? GH_ERR_NOT_FOUND : GH_ERR_SYSTEM;
    if (fstat(fd, &st) < 0)
        rc = GH_ERR_SYSTEM;
    else if (S_ISREG(st.st_mode) && st.st_size == GH_NODE_KEY && read(fd, ret, GH_NODE_KEY) == GH_NODE_KEY)
        rc = 0;
    close(fd);
    return rc;
}

static int write_key(int dir, const uint8_t key[GH_NODE_KEY])
{
    int fd = openat(dir, "node.key.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool written;

    if (fd < 0)
        return GH_ERR_SYSTEM;
    written = write(fd, key, GH_NODE_KEY) == GH_NODE_KEY && fsync(fd) == 0;
    if (close(fd) < 0 || !written || renameat(dir, "node.key.new", dir, "node.key") < 0 || fsync(dir) < 0)
        return GH_ERR_SYSTEM;
    return 0;
}

int gh_node_key_load(const char *state_dir, uint8_t ret[GH_NODE_KEY])
{
    int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    if (dir < 0)
        return GH_ERR_SYSTEM;
    rc = read_key(dir, ret);
    if (rc == GH_ERR_NOT_FOUND) {
        rc = gh_random_bytes(ret, GH_NODE_KEY);
        if (rc == 0)
            rc = write_key(dir, ret);
    }
    close(dir);
    return rc;
}
