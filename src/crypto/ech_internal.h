/* crypto/ech_internal.h - keys of ECH as libssl wants them, for tls_ech.c */
#ifndef GH_CRYPTO_ECH_INTERNAL_H
#define GH_CRYPTO_ECH_INTERNAL_H

#include "crypto/ech.h"

struct ossl_echstore_st; /* the library's own, OSSL_ECHSTORE */

/* The keys that open at <wall>; the newest is the one for retry_configs. <ret_same_id>: two have the same config_id, of which libssl would
 * ask the first alone. 0, GH_ERR_CRYPTO or GH_ERR_MEMORY. */
int ech_keys_store(const struct gh_ech_keys *keys, int64_t wall, struct ossl_echstore_st **ret, bool *ret_same_id);

#endif
