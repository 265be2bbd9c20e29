/* crypto/hash.h - SHA-256, HMAC and SHA-1 (FIPS 180-4, RFC 2104) */
#ifndef GH_CRYPTO_HASH_H
#define GH_CRYPTO_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define GH_SHA256_LEN 32u
#define GH_SHA1_LEN 20u

/* 0 or GH_ERR_CRYPTO. */
int gh_sha256(struct gh_span data, uint8_t ret[GH_SHA256_LEN]);
/* Over <a> followed by <b>. */
int gh_hmac_sha256(struct gh_span key, struct gh_span a, struct gh_span b, uint8_t ret[GH_SHA256_LEN]);

enum gh_digest { GH_DIGEST_SHA256, GH_DIGEST_SHA384 };
#define GH_DIGEST_MAX 48u /* bytes */

size_t gh_digest_len(enum gh_digest d);
/* Over all <parts> in their order; <ret> has gh_digest_len bytes. 0 or GH_ERR_CRYPTO. */
int gh_hmac(enum gh_digest d, struct gh_span key, const struct gh_span *parts, size_t count, uint8_t *ret);
/* Broken as a hash; here because old protocols have it in their wire format (RFC 6455, section 4.2.2). 0 or GH_ERR_CRYPTO. */
int gh_sha1(struct gh_span data, uint8_t ret[GH_SHA1_LEN]);
/* True when equal; the time does not depend on the bytes. */
int gh_hash_equals(const void *a, const void *b, size_t len);
/* Overwrites in a way that the compiler keeps. */
void gh_wipe(void *data, size_t len);

#endif
