/* crypto/hkdf.h - HKDF (RFC 5869), and what TLS 1.3 makes of it */
#ifndef GH_CRYPTO_HKDF_H
#define GH_CRYPTO_HKDF_H

#include "base/span.h"
#include "crypto/hash.h"

/* <ret> has gh_digest_len bytes. All: 0 or GH_ERR_CRYPTO. */
int gh_hkdf_extract(enum gh_digest d, struct gh_span salt, struct gh_span key, uint8_t *ret);
/* GH_ERR_RANGE: longer than 255 digests. */
int gh_hkdf_expand(enum gh_digest d, struct gh_span secret, struct gh_span info, uint8_t *ret, size_t len);
/* HKDF-Expand-Label of RFC 8446, section 7.1. <label> without "tls13 ", at most 32 bytes; <context> at most 64. */
int gh_hkdf_expand_label(enum gh_digest d, struct gh_span secret, const char *label, struct gh_span context, uint8_t *ret, size_t len);
/* Extract and expand, for keys of our own: tokens, tickets, connection ids. */
int gh_hkdf_sha256(struct gh_span key, struct gh_span salt, const char *info, uint8_t *ret, size_t len);

#endif
