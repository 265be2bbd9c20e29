/* os/state_file.h - a file in the state folder, by name
 *
 * <dir> is the folder, <name> has no slash. Files are 0600 and no links are followed. They block: for the offload pool, or before there are workers.
 */
#ifndef GH_OS_STATE_FILE_H
#define GH_OS_STATE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* All of it, to be freed; no more than <max> bytes. 0, GH_ERR_NOT_FOUND, GH_ERR_TOO_LONG, GH_ERR_MEMORY or GH_ERR_SYSTEM (errno says). */
int gh_state_file_read(const char *dir, const char *name, size_t max, uint8_t **ret, size_t *ret_len);
/* Behind what is there; not synchronised with the disk: it outlives the process, not the machine. <ret_size>: bytes of the file afterwards. 0 or
 * GH_ERR_SYSTEM; then a part of it may be there. */
int gh_state_file_append(const char *dir, const char *name, struct gh_span data, size_t *ret_size);
/* In place of what is there, all or nothing, and on the disk. 0, GH_ERR_TOO_LONG (the name) or GH_ERR_SYSTEM. */
int gh_state_file_replace(const char *dir, const char *name, struct gh_span data);

#endif
