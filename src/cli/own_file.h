/* cli/own_file.h - files with secrets that verbs write for a node */
#ifndef GH_CLI_OWN_FILE_H
#define GH_CLI_OWN_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/ca_dir.h"

/* Writes <path>, 0600, whole or not at all. Who owned the file before owns the one that replaces it. 0; GH_ERR_EXISTS without <replace>; other errors, each
 * with words. */
int gh_own_file_save(const char *path, const char *text, size_t len, bool replace, char why[GH_CA_DIR_WHY]);

/* For whoever reads <path>, to write it anew: waits until nobody else does, and holds that off until the descriptor is closed, or another file has taken
 * its place. Without a file there is nothing to hold (-1): whoever saves the first one is the only one. 0, or an error with words. */
int gh_own_file_lock(const char *path, int *ret_fd, char why[GH_CA_DIR_WHY]);

#endif
