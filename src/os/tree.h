/* os/tree.h - the files of one folder, for names that strangers choose
 *
 * Nothing outside of the folder is opened, whatever ".." and symbolic links say. Opening and reading block: they belong into the offload pool.
 */
#ifndef GH_OS_TREE_H
#define GH_OS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct gh_tree_file {
    int fd; /* the caller's; -1 for a folder */
    bool folder;
    uint64_t size;
    int64_t modified; /* wall seconds */
};

/* The folder. A descriptor, GH_ERR_NOT_FOUND, GH_ERR_DENIED or GH_ERR_SYSTEM. */
int gh_tree_open(const char *path);
/* <name> is relative; "" is the folder itself. Links that stay inside are followed where the kernel can tell. 0; GH_ERR_NOT_FOUND;
 * GH_ERR_DENIED: no right to it, it leads out, or it is neither a file nor a folder; GH_ERR_SYSTEM. */
int gh_tree_open_file(int tree, const char *name, struct gh_tree_file *ret);
/* Count of bytes, 0 at the end, or GH_ERR_SYSTEM. */
ssize_t gh_tree_read(int fd, void *buf, size_t cap, uint64_t at);
void gh_tree_close(int fd); /* accepts -1 */

#endif
