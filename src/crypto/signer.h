/* crypto/signer.h - a private key that is somewhere else
 *
 * TLS asks for signatures and never sees the key (DESIGN 3): in a node the parent has it. What is signed is always the content of a
 * TLS 1.3 CertificateVerify (RFC 8446, section 4.4.3), so whoever holds the key can refuse everything else. A signer that is for strangers may
 * serve TLS 1.2 as well; what that wants signed can be told from all else, too, and no client that knows TLS 1.3 believes it of a server that does.
 */
#ifndef GH_CRYPTO_SIGNER_H
#define GH_CRYPTO_SIGNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "crypto/sign_key.h"

struct gh_signer {
    /* From any thread, perhaps of several at once. <ret> takes GH_SIGN_MAX bytes. 0 or a negative GH_ERR_. */
    int (*sign)(void *arg, uint32_t key, uint16_t scheme, struct gh_span data, uint8_t *ret, size_t *ret_len);
    void (*release)(void *arg, uint32_t key); /* it is asked no more; from any thread. May be NULL */
    void *arg;
    uint32_t key;
    uint16_t schemes[GH_SIGN_SCHEMES]; /* TLS SignatureSchemes that the key can make */
    size_t scheme_count;
    bool tls12; /* it signs what gh_signer_may_sign_tls12 allows, too */
};

/* 64 spaces, the words of one of the sides, a zero, and a hash of 32 or 48 bytes: nothing else is ever to be signed. */
bool gh_signer_may_sign(struct gh_span data);
/* Two randoms and the parameters of an elliptic curve Diffie-Hellman, as a server's ServerKeyExchange has them (RFC 8422, section 5.4), of a
 * group that we use; the server's random ends with the words of one that could do TLS 1.3 (RFC 8446, section 4.1.3). Never what gh_signer_may_sign
 * allows. */
bool gh_signer_may_sign_tls12(struct gh_span data);
/* What the holder of a key asks itself: one of the two, the second with <tls12> alone, and a scheme of that version. */
bool gh_signer_allows(bool tls12, uint16_t scheme, struct gh_span data);

#endif
