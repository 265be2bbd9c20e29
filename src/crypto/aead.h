/* crypto/aead.h - QUIC packet protection: key schedule, AEAD and header protection (RFC 9001, section 5)
 *
 * The only file of the packet path that knows which library seals packets. A key object belongs to one connection and is
 * not safe for two threads.
 */
#ifndef GH_CRYPTO_AEAD_H
#define GH_CRYPTO_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define GH_AEAD_TAG 16
#define GH_AEAD_IV 12
#define GH_AEAD_SECRET_MAX 48

/* One TLS 1.3 cipher suite (RFC 8446, appendix B.4). Immutable. */
struct gh_aead_suite;

enum gh_aead_engine {
    GH_AEAD_OPENSSL,
    GH_AEAD_WIDE, /* crypto/gcm.h, for AES-128-GCM; OpenSSL for the others */
};

/* What this processor is served best with: GH_AEAD_WIDE when it has such vectors and they give what OpenSSL gives. */
enum gh_aead_engine gh_aead_selftest(void);
/* The same where <wide> is wanted. */
static inline enum gh_aead_engine gh_aead_choose(bool wide)
{
    return wide ? gh_aead_selftest() : GH_AEAD_OPENSSL;
}
const char *gh_aead_engine_name(enum gh_aead_engine e);

/* 0x1301 AES-128-GCM, 0x1302 AES-256-GCM, 0x1303 ChaCha20-Poly1305; NULL for others. */
const struct gh_aead_suite *gh_aead_suite_find(uint16_t id, enum gh_aead_engine engine);
/* What Initial packets use: AES-128-GCM with SHA-256. */
const struct gh_aead_suite *gh_aead_suite_initial(enum gh_aead_engine engine);
size_t gh_aead_suite_secret_len(const struct gh_aead_suite *s);
/* Packets that one key may seal, and forgeries that one key may see (RFC 9001, section 6.6). */
uint64_t gh_aead_suite_seal_limit(const struct gh_aead_suite *s);
uint64_t gh_aead_suite_open_limit(const struct gh_aead_suite *s);

struct gh_aead_key; /* seals or opens, never both */
struct gh_header_key;

/* Derives key, IV and (unless <ret_header> is NULL: a key update) header protection from a traffic secret. */
int gh_aead_key_derive(const struct gh_aead_suite *s, const uint8_t *secret, bool seal, struct gh_aead_key **ret,
                       uint8_t ret_iv[GH_AEAD_IV], struct gh_header_key **ret_header);
/* The next generation's secret, "quic ku"; <ret> has the suite's secret length. */
int gh_aead_secret_update(const struct gh_aead_suite *s, const uint8_t *secret, uint8_t *ret);
/* Secrets of Initial packets for version 1 from the client's first destination connection id (section 5.2). */
int gh_aead_initial_secrets(struct gh_span dcid, uint8_t ret_client[32], uint8_t ret_server[32]);
/* The keys of a client's Initial packets in a version: 1 (section 5.2) or 2 (RFC 9369, section 3.3), to make them or to read
 * them without being the server. GH_ERR_UNSUPPORTED for other versions. */
int gh_aead_initial_client_keys(uint32_t version, struct gh_span dcid, bool seal, struct gh_aead_key **ret, uint8_t ret_iv[GH_AEAD_IV],
                                struct gh_header_key **ret_header);
/* The sealing key of Retry integrity tags, version 1 (section 5.8). */
int gh_aead_retry_key(struct gh_aead_key **ret);
void gh_aead_key_destroy(struct gh_aead_key *k);
void gh_header_key_destroy(struct gh_header_key *k);

/* <dest> takes text.len + GH_AEAD_TAG bytes and may be text.data. 0 or GH_ERR_CRYPTO. */
int gh_aead_seal(struct gh_aead_key *k, uint8_t *dest, struct gh_span text, const uint8_t *nonce, struct gh_span aad);
/* <dest> takes sealed.len - GH_AEAD_TAG bytes. GH_ERR_DENIED: the tag does not match. */
int gh_aead_open(struct gh_aead_key *k, uint8_t *dest, struct gh_span sealed, const uint8_t *nonce, struct gh_span aad);
/* Five mask bytes from a 16-byte sample (section 5.4). */
int gh_header_mask(struct gh_header_key *k, uint8_t ret[5], const uint8_t sample[16]);

#endif
