/* crypto/self_signed.h - a certificate that a server makes for itself
 *
 * EC P-256, ten years, for one name. Its holder is known by its key: clients pin leaf.spki_sha256 (struct gh_tls_config, <pins>). There is nothing
 * in it but the name.
 */
#ifndef GH_CRYPTO_SELF_SIGNED_H
#define GH_CRYPTO_SELF_SIGNED_H

#include "crypto/ca.h"

#define GH_SELF_SIGNED_YEARS 10u

/* <name>: a DNS name, perhaps with "*" as its first label, or an address. <now>: wall seconds. GH_ERR_RANGE, GH_ERR_CRYPTO or GH_ERR_MEMORY with
 * a reason; gh_leaf_fini. */
int gh_self_signed_create(const char *name, int64_t now, struct gh_leaf *ret, char ret_why[GH_CA_WHY]);

#endif
