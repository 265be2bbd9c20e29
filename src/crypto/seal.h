/* crypto/seal.h - a short secret that only the holder of a private key can read (HPKE, RFC 9180)
 *
 * Base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM. A sealed text is the encapsulated key followed by the ciphertext.
 */
#ifndef GH_CRYPTO_SEAL_H
#define GH_CRYPTO_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "crypto/ca.h"

#define GH_SEAL_EXTRA 48u /* bytes of a sealed text beyond those of the secret */
#define GH_SEAL_MAX 1024u /* longest secret, bytes */

/* A new pair as PEM: SubjectPublicKeyInfo and unencrypted PKCS #8 (RFC 8410). 0, GH_ERR_CRYPTO or GH_ERR_MEMORY. */
int gh_seal_keygen(struct gh_pem *ret_public, struct gh_pem *ret_private);
/* Seals <secret> to the X25519 key in <public_pem>. <ret> takes secret.len + GH_SEAL_EXTRA bytes. GH_ERR_MALFORMED: no such key. */
int gh_seal(struct gh_span public_pem, struct gh_span info, struct gh_span aad, struct gh_span secret, uint8_t *ret);
/* <ret> takes sealed.len - GH_SEAL_EXTRA bytes. GH_ERR_DENIED: another key, or it was changed. */
int gh_unseal(struct gh_span private_pem, struct gh_span info, struct gh_span aad, struct gh_span sealed, uint8_t *ret);

#endif
