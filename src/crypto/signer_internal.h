/* crypto/signer_internal.h - a signer as a key of the TLS library, for tls_ctx.c */
#ifndef GH_CRYPTO_SIGNER_INTERNAL_H
#define GH_CRYPTO_SIGNER_INTERNAL_H

#include "crypto/signer.h"

struct evp_pkey_st; /* the library's own, EVP_PKEY */

/* A world of the library's own with nothing in it but keys that sign elsewhere. */
struct signer_provider;

int signer_provider_create(struct signer_provider **ret);
/* After everything that uses a key of it. Accepts NULL. */
void signer_provider_destroy(struct signer_provider *p);
/* The private key that belongs to <public>, of which another reference is taken. The signer is copied. 0, GH_ERR_UNSUPPORTED (neither Ed25519, nor P-256,
 * nor RSA), GH_ERR_DENIED (its signature is another key's), GH_ERR_CRYPTO, GH_ERR_MEMORY, or what the signer said. */
int signer_key_create(struct signer_provider *p, const struct gh_signer *signer, struct evp_pkey_st *public,
                      struct evp_pkey_st **ret);

#endif
