/* crypto/gcm.h - AES-128-GCM for packets, on processors with vectors of 512 bits (NIST SP 800-38D; RFC 9001, section 5.3)
 *
 * What OpenSSL does with the same instructions costs half as much again, because a packet takes five calls there, and libipsec-mb
 * writes a global variable in each call, which workers would share. No branch and no address depends on a secret. Whether it is
 * right on this machine gh_aead_selftest tells, which compares it with OpenSSL.
 */
#ifndef GH_CRYPTO_GCM_H
#define GH_CRYPTO_GCM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

#define GH_GCM_KEY 16
#define GH_GCM_TAG 16
#define GH_GCM_IV 12

struct gh_gcm_key; /* read-only once it is made: threads may share one */

/* Does this processor have the instructions (AVX-512 F, BW, VL; VAES; VPCLMULQDQ)? */
bool gh_gcm_supported(void);

/* Only where it is supported: to ask each time would cost more than the key, since a virtual machine's host answers. NULL: no memory. */
struct gh_gcm_key *gh_gcm_key_create(const uint8_t key[GH_GCM_KEY]);
/* Wipes it. NULL is fine. */
void gh_gcm_key_destroy(struct gh_gcm_key *k);

/* <dest> takes text.len + GH_GCM_TAG bytes and may be text.data. */
void gh_gcm_seal(const struct gh_gcm_key *k, uint8_t *dest, struct gh_span text, const uint8_t iv[GH_GCM_IV], struct gh_span aad);
/* <dest> takes text.len bytes and may be text.data. False when <tag> is another's: <dest> is zeroes then. */
bool gh_gcm_open(const struct gh_gcm_key *k, uint8_t *dest, struct gh_span text, const uint8_t tag[GH_GCM_TAG], const uint8_t iv[GH_GCM_IV],
                 struct gh_span aad);

/* The first five bytes of one block encrypted: QUIC's header protection (RFC 9001, section 5.4.3). */
void gh_gcm_mask(const struct gh_gcm_key *k, uint8_t ret[5], const uint8_t sample[16]);

#endif
