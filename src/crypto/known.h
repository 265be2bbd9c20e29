/* crypto/known.h - certificates whose signature was checked before
 *
 * Whether a CA's key has signed a certificate is a question about two texts, and has one answer for ever. Whoever comes back is spared that
 * check, and no other: dates, names, purposes and trust in the CA are looked at in each handshake, and so is the proof that the peer has the
 * certificate's key. Only what passed is remembered: strangers cannot fill it.
 *
 * Any number of threads.
 */
#ifndef GH_CRYPTO_KNOWN_H
#define GH_CRYPTO_KNOWN_H

struct gh_known;
struct x509_store_ctx_st;

#define GH_KNOWN_MAX 4096u /* a newer one takes an older one's place; 32 bytes each */

/* 0, GH_ERR_MEMORY or GH_ERR_CRYPTO. */
int gh_known_create(struct gh_known **ret);
void gh_known_destroy(struct gh_known *k);
/* For X509_STORE_set_verify: 1 when the chain is good. */
int gh_known_verify(struct gh_known *k, struct x509_store_ctx_st *v);

#endif
