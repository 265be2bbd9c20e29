/* core/leaf_file.h - a certificate that a node made for itself, with its key, kept in the state folder
 *
 * One file, <name>.pem, 0600, written once and whole: who has pinned its key goes on to find it. To take another one, remove the file.
 */
#ifndef GH_CORE_LEAF_FILE_H
#define GH_CORE_LEAF_FILE_H

#include "core/text.h"

#define GH_LEAF_FILE_MAX 16384u

struct gh_leaf_file {
    struct gh_text pem;      /* certificate and key: to be wiped */
    uint8_t spki_sha256[32]; /* what clients pin */
    bool made;               /* now, for <subject>; else it was there, whoever it was made for */
};

/* <subject>: as gh_self_signed_create has it. 0, GH_ERR_MALFORMED (the file is something else), GH_ERR_SYSTEM (errno says), GH_ERR_CRYPTO or GH_ERR_MEMORY. */
int gh_leaf_file_load(const char *state_dir, const char *name, const char *subject, int64_t wall, struct gh_leaf_file *ret);
void gh_leaf_file_fini(struct gh_leaf_file *f);

#endif
