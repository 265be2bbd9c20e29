/* crypto/token.h - what a file of users keeps of a token, and whether a token is the one
 *
 *     $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH   the PHC string of Argon2id (RFC 9106), base64 without padding: for what a person thought of
 *     sha256:HEX                                 SHA-256 of the token: for what was made at random, which nobody can guess
 */
#ifndef GH_CRYPTO_TOKEN_H
#define GH_CRYPTO_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define GH_TOKEN_MAX 256u      /* bytes of a token */
#define GH_TOKEN_BYTES_MAX 64u /* of a salt, and of a hash */
#define GH_TOKEN_TEXT 256u     /* longest text of a hash, NUL included */
#define GH_TOKEN_MADE 44u      /* letters of a token that was made, NUL included */

/* Bounds of what a file may ask for, so that no line of it can exhaust a machine. */
#define GH_TOKEN_MEMORY_MAX 65536u /* KiB */
#define GH_TOKEN_PASSES_MAX 10u
#define GH_TOKEN_LANES_MAX 16u

enum gh_token_kind { GH_TOKEN_SHA256, GH_TOKEN_ARGON2ID };

struct gh_token_hash {
    enum gh_token_kind kind;
    uint32_t memory, passes, lanes; /* Argon2id: KiB, -, - */
    size_t salt_len, hash_len;
    uint8_t salt[GH_TOKEN_BYTES_MAX], hash[GH_TOKEN_BYTES_MAX];
};

/* 0; GH_ERR_MALFORMED, GH_ERR_UNSUPPORTED or GH_ERR_RANGE, and <ret_why> says what it must be. */
int gh_token_hash_parse(struct gh_span text, struct gh_token_hash *ret, const char **ret_why);
/* NUL-terminated. */
const char *gh_token_hash_emit(const struct gh_token_hash *h, char ret[GH_TOKEN_TEXT]);
/* Of a token; Argon2id with a new salt, 19 MiB and two passes. 0, GH_ERR_TOO_LONG, GH_ERR_CRYPTO or GH_ERR_MEMORY. */
int gh_token_hash_make(struct gh_span token, enum gh_token_kind kind, struct gh_token_hash *ret);
/* Is it the token? 0, GH_ERR_DENIED, GH_ERR_CRYPTO or GH_ERR_MEMORY. The time tells nothing of the token; Argon2id takes some 20 ms. Any thread. */
int gh_token_verify(const struct gh_token_hash *h, struct gh_span token);

/* 256 random bits as letters, digits, - and _. 0 or GH_ERR_CRYPTO. */
int gh_token_make(char ret[GH_TOKEN_MADE]);

#endif
