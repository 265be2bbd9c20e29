/* cli/ca_dir.h - the folder in which a certificate authority lives
 *
 *   ca.crt       the CA's certificate
 *   ca.key       its private key, 0600
 *   index.jsonl  core/ca_index.h: what was issued, written before the certificate is, so that none is missing; what was revoked
 *   ca.crl       the revocation list, signed: for relays
 *   NAME.crt     what was issued, here or in a folder of the caller's choice
 *   NAME.key     its private key, 0600
 *
 * A file appears complete under its name or not at all, and replaces another only when asked to.
 */
#ifndef GH_CLI_CA_DIR_H
#define GH_CLI_CA_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/ca_index.h"
#include "crypto/ca.h"

#define GH_CA_DIR_WHY 5120u  /* longest reason with a path in it, NUL included */
#define GH_CA_DIR_PATH 4096u /* longest path, NUL included */

/* Actions return 0, or with a line for people in <ret_why>: GH_ERR_EXISTS, GH_ERR_NOT_FOUND, GH_ERR_SYSTEM, GH_ERR_MALFORMED,
 * GH_ERR_TOO_LONG, GH_ERR_MEMORY, GH_ERR_CRYPTO. */

/* Makes the folder (0700, its parent exists) and puts the CA there. Never replaces a CA. */
int gh_ca_dir_save(const char *dir, const struct gh_ca *ca, char ret_why[GH_CA_DIR_WHY]);
int gh_ca_dir_load(const char *dir, struct gh_ca **ret, char ret_why[GH_CA_DIR_WHY]);

struct gh_ca_dir_leaf {
    const char *dir;   /* the CA's, for the index */
    const char *out;   /* where NAME.crt and NAME.key go; made when missing */
    const char *name;  /* valid as by gh_identity_name_valid, and not "ca" */
    enum gh_role role;
    bool force;        /* replace files that exist */
    bool keeps_key;    /* there is a certificate alone to be written */
};

/* GH_ERR_EXISTS when a file is in the way: ask before a certificate is made. */
int gh_ca_dir_check_leaf(const struct gh_ca_dir_leaf *where, char ret_why[GH_CA_DIR_WHY]);
int gh_ca_dir_save_leaf(const struct gh_ca_dir_leaf *where, const struct gh_leaf *leaf, char ret_why[GH_CA_DIR_WHY]);

/* What was issued; empty when nothing was. Lines that are no records are counted in it. gh_ca_index_fini. */
int gh_ca_dir_index(const char *dir, struct gh_ca_index *ret, char ret_why[GH_CA_DIR_WHY]);
/* A certificate's file, to be freed. */
int gh_ca_dir_read_certificate(const char *path, char **ret, size_t *ret_len, char ret_why[GH_CA_DIR_WHY]);

struct gh_ca_dir_crl {
    char path[GH_CA_DIR_PATH];
    size_t count;        /* certificates in it */
    uint64_t number;
    int64_t next_update; /* wall seconds */
};

struct gh_ca_dir_revocation {
    const char *dir;
    const char *what; /* a serial number, or a NAME: every certificate of it that is valid */
    unsigned reason;  /* enum gh_crl_reason */
    uint32_t days;    /* until the next list */
    int64_t now;      /* wall seconds */
};

/* Notes in the index what is revoked, then writes the list. <ret>: what was revoked now, gh_ca_index_fini. When writing the list
 * fails the revocation is noted nevertheless, and GH_ERR_… says what to do. */
int gh_ca_dir_revoke(const struct gh_ca *ca, const struct gh_ca_dir_revocation *r, struct gh_ca_index *ret, struct gh_ca_dir_crl *ret_crl,
                     char ret_why[GH_CA_DIR_WHY]);
/* Writes ca.crl anew: its number is higher than the one before. */
int gh_ca_dir_save_crl(const struct gh_ca *ca, const char *dir, uint32_t days, int64_t now, struct gh_ca_dir_crl *ret,
                       char ret_why[GH_CA_DIR_WHY]);

#endif
