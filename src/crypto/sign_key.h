/* crypto/sign_key.h - a private key that signs for TLS
 *
 * Schemes are TLS SignatureScheme numbers (RFC 8446, section 4.2.3). Those that TLS 1.2 alone has need no curve that goes with the digest.
 */
#ifndef GH_CRYPTO_SIGN_KEY_H
#define GH_CRYPTO_SIGN_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define GH_SIGN_ECDSA_P256_SHA256 0x0403u
#define GH_SIGN_ECDSA_SHA384 0x0503u     /* TLS 1.2, with P-256 */
#define GH_SIGN_ECDSA_SHA512 0x0603u     /* the same */
#define GH_SIGN_RSA_PKCS1_SHA256 0x0401u /* TLS 1.2 */
#define GH_SIGN_RSA_PKCS1_SHA384 0x0501u
#define GH_SIGN_RSA_PKCS1_SHA512 0x0601u
#define GH_SIGN_RSA_PSS_SHA256 0x0804u /* rsa_pss_rsae_… */
#define GH_SIGN_RSA_PSS_SHA384 0x0805u
#define GH_SIGN_RSA_PSS_SHA512 0x0806u
#define GH_SIGN_ED25519 0x0807u

#define GH_SIGN_MAX 512u /* bytes of the longest signature: RSA with 4096 bits */

#define GH_SIGN_SCHEMES 8u /* at most, of one key */

#define GH_SIGN_PEM_MAX 65535u

struct gh_sign_key;

/* A PEM private key, unencrypted, at most GH_SIGN_PEM_MAX bytes: Ed25519, P-256 or RSA of 2048 to 4096 bits. 0,
 * GH_ERR_MALFORMED, GH_ERR_UNSUPPORTED or GH_ERR_MEMORY. The caller wipes <pem>. */
int gh_sign_key_load(struct gh_span pem, struct gh_sign_key **ret);
/* Wipes the key. Accepts NULL. */
void gh_sign_key_destroy(struct gh_sign_key *k);
/* The schemes that the key can make, those of TLS 1.3 first. */
size_t gh_sign_key_schemes(const struct gh_sign_key *k, uint16_t ret[GH_SIGN_SCHEMES]);
/* Does TLS 1.3 have it, for handshakes? */
bool gh_sign_scheme_tls13(uint16_t scheme);
/* Signs <data>, hashed inside as the scheme says. <ret> takes GH_SIGN_MAX bytes. 0, GH_ERR_UNSUPPORTED or GH_ERR_CRYPTO. */
int gh_sign_key_sign(const struct gh_sign_key *k, uint16_t scheme, const void *data, size_t len, uint8_t *ret,
                     size_t *ret_len);

#endif
