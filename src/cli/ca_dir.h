/* cli/ca_dir.h - the folder in which a certificate authority lives
 *
 *   ca.crt       the CA's certificate
 *   ca.key       its private key, 0600
 *   index.jsonl  one line for every certificate that was issued: written before the certificate is, so none is missing
 *   NAME.crt     what was issued, here or in a folder of the caller's choice
 *   NAME.key     its private key, 0600
 *
 * A file appears complete under its name or not at all, and replaces another only when asked to.
 */
#ifndef GH_CLI_CA_DIR_H
#define GH_CLI_CA_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

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
};

/* GH_ERR_EXISTS when a file is in the way: ask before a certificate is made. */
int gh_ca_dir_check_leaf(const struct gh_ca_dir_leaf *where, char ret_why[GH_CA_DIR_WHY]);
int gh_ca_dir_save_leaf(const struct gh_ca_dir_leaf *where, const struct gh_leaf *leaf, char ret_why[GH_CA_DIR_WHY]);

/* The index as a JSON array of objects, in the order of issue; "status" is "valid" or "expired" at <now>. A line that is no record is
 * skipped and counted in <ret_bad>. The caller decrefs <ret>. */
int gh_ca_dir_list(const char *dir, int64_t now, json_t **ret, unsigned *ret_bad, char ret_why[GH_CA_DIR_WHY]);

#endif
