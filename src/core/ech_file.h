/* core/ech_file.h - the file with the keys of Encrypted ClientHello
 *
 * Either one key as PEM (RFC 9934), or a YAML list of keys, newest first:
 *
 *     - born: 2026-01-31T18:00:00Z
 *       pem: |
 *         -----BEGIN PRIVATE KEY-----
 *         …
 *
 * An item may be the PEM text alone; and then it, or one without <born>, is as old as the file, and no younger than the one before it.
 */
#ifndef GH_CORE_ECH_FILE_H
#define GH_CORE_ECH_FILE_H

#include "base/arena.h"
#include "core/conf.h"
#include "crypto/ech.h"

struct gh_ech_file_key {
    int64_t born;       /* wall seconds */
    struct gh_span pem; /* borrowed from the file's arena */
};

struct gh_ech_file {
    struct gh_arena arena; /* wiped when it goes */
    struct gh_ech_file_key keys[GH_ECH_KEYS_MAX];
    size_t count;
    struct gh_ech_keys *set; /* of <keys>, in use */
};

/* <changed>: when the file was written last, wall seconds; <keep> as gh_ech_keys_create has it. 0, GH_ERR_MALFORMED with at least one error in <errors>, or
 * GH_ERR_MEMORY. */
int gh_ech_file_read(struct gh_span text, int64_t changed, int64_t keep, struct gh_conf_errors *errors, struct gh_ech_file *ret);
void gh_ech_file_fini(struct gh_ech_file *f);
/* The list as YAML, into <out>. */
void gh_ech_file_emit(const struct gh_ech_file_key *keys, size_t count, struct gh_text *out);

#endif
