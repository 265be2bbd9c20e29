#include "crypto/token.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdio.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/hex.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#define VERSION 19u /* RFC 9106, section 3.1: 0x13 */

/* OWASP's and RFC 9106's advice for where memory is dear. */
#define MEMORY 19456u
#define PASSES 2u
#define LANES 1u
#define SALT 16u
#define HASH 32u

/* ---- text ---- */

static bool take(struct gh_span *s, const char *word)
{
    size_t len = strlen(word);

    if (s->len < len || memcmp(s->data, word, len) != 0)
        return false;
    *s = gh_span_of(s->data + len, s->len - len);
    return true;
}

/* A decimal number without a zero in front. */
static bool take_number(struct gh_span *s, uint32_t *ret)
{
    uint64_t n = 0;
    size_t i = 0;

    while (i < s->len && i < 10 && s->data[i] >= '0' && s->data[i] <= '9')
        n = n * 10 + (uint64_t)(s->data[i++] - '0');
    if (i == 0 || s->data[0] == '0' || n > UINT32_MAX)
        return false;
    *s = gh_span_of(s->data + i, s->len - i);
    *ret = (uint32_t)n;
    return true;
}

/* What is before the next "$", or all. */
static bool take_base64(struct gh_span *s, uint8_t ret[GH_TOKEN_BYTES_MAX], size_t *ret_len)
{
    const uint8_t *end = s->len ? memchr(s->data, '$', s->len) : NULL;
    struct gh_span text = gh_span_of(s->data, end ? (size_t)(end - s->data) : s->len);
    uint8_t bytes[GH_TOKEN_TEXT / 4 * 3 + 2];

    if (text.len == 0 || text.len > GH_TOKEN_TEXT || memchr(text.data, '=', text.len) || gh_base64_decode(text, bytes, ret_len) < 0 ||
        *ret_len > GH_TOKEN_BYTES_MAX)
        return false;
    memcpy(ret, bytes, *ret_len);
    *s = gh_span_of(s->data + text.len, s->len - text.len);
    return true;
}

static int parse_argon2id(struct gh_span s, struct gh_token_hash *ret, const char **ret_why)
{
    uint32_t version = 0;

    ret->kind = GH_TOKEN_ARGON2ID;
    *ret_why = "a hash of Argon2id is $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH, in base64 without padding";
    if (!take(&s, "$v=") || !take_number(&s, &version) || !take(&s, "$m=") || !take_number(&s, &ret->memory) || !take(&s, ",t=") ||
        !take_number(&s, &ret->passes) || !take(&s, ",p=") || !take_number(&s, &ret->lanes) || !take(&s, "$") ||
        !take_base64(&s, ret->salt, &ret->salt_len) || !take(&s, "$") || !take_base64(&s, ret->hash, &ret->hash_len) || s.len)
        return GH_ERR_MALFORMED;
    *ret_why = "the version of Argon2id must be 19";
    if (version != VERSION)
        return GH_ERR_UNSUPPORTED;
    *ret_why = "Argon2id takes 8 KiB a lane to 64 MiB of memory, 1 to 10 passes, 1 to 16 lanes, 8 to 64 bytes of salt and 16 to 64 of hash";
    if (ret->lanes > GH_TOKEN_LANES_MAX || ret->memory < 8 * ret->lanes || ret->memory > GH_TOKEN_MEMORY_MAX || ret->passes > GH_TOKEN_PASSES_MAX ||
        ret->salt_len < 8 || ret->hash_len < 16)
        return GH_ERR_RANGE;
    return 0;
}

int gh_token_hash_parse(struct gh_span text, struct gh_token_hash *ret, const char **ret_why)
{
    struct gh_token_hash h = { .kind = GH_TOKEN_SHA256, .hash_len = GH_SHA256_LEN };
    int rc = 0;

    if (take(&text, "$argon2id")) {
        rc = parse_argon2id(text, &h, ret_why);
    } else if (!take(&text, "sha256:")) {
        *ret_why = "a hash begins with $argon2id$ or sha256:";
        rc = GH_ERR_UNSUPPORTED;
    } else if (!gh_hex_decode(text, GH_HEX_ANY, h.hash, h.hash_len)) {
        *ret_why = "64 hexadecimal digits must be behind sha256:";
        rc = GH_ERR_MALFORMED;
    }
    if (rc == 0)
        *ret = h;
    return rc;
}

/* Without padding; the alphabet of RFC 4648, section 4. */
static void emit_base64(const uint8_t *data, size_t len, char *ret)
{
    size_t n = gh_base64_encode(gh_span_of(data, len), ret);

    while (n > 0 && ret[n - 1] == '=')
        n--;
    ret[n] = 0;
}

const char *gh_token_hash_emit(const struct gh_token_hash *h, char ret[GH_TOKEN_TEXT])
{
    char salt[GH_BASE64_TEXT(GH_TOKEN_BYTES_MAX)], hash[2 * GH_TOKEN_BYTES_MAX + 1];

    if (h->kind == GH_TOKEN_SHA256) {
        gh_hex_encode(h->hash, h->hash_len, hash);
        snprintf(ret, GH_TOKEN_TEXT, "sha256:%s", hash);
        return ret;
    }
    emit_base64(h->salt, h->salt_len, salt);
    emit_base64(h->hash, h->hash_len, hash);
    snprintf(ret, GH_TOKEN_TEXT, "$argon2id$v=%u$m=%u,t=%u,p=%u$%s$%s", VERSION, h->memory, h->passes, h->lanes, salt, hash);
    return ret;
}

/* ---- hashing ---- */

static int argon2id(const struct gh_token_hash *h, struct gh_span token, uint8_t ret[GH_TOKEN_BYTES_MAX])
{
    uint32_t memory = h->memory, passes = h->passes, lanes = h->lanes, threads = 1, version = VERSION;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)(uintptr_t)token.data, token.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)h->salt, h->salt_len),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ARGON2_MEMCOST, &memory),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ITER, &passes),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ARGON2_LANES, &lanes),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_THREADS, &threads),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ARGON2_VERSION, &version),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "ARGON2ID", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    int rc = !ctx ? GH_ERR_MEMORY : EVP_KDF_derive(ctx, ret, h->hash_len, params) == 1 ? 0 : GH_ERR_CRYPTO;

    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return rc;
}

static int hash(const struct gh_token_hash *h, struct gh_span token, uint8_t ret[GH_TOKEN_BYTES_MAX])
{
    if (token.len == 0 || token.len > GH_TOKEN_MAX)
        return token.len ? GH_ERR_TOO_LONG : GH_ERR_DENIED;
    return h->kind == GH_TOKEN_SHA256 ? gh_sha256(token, ret) : argon2id(h, token, ret);
}

int gh_token_hash_make(struct gh_span token, enum gh_token_kind kind, struct gh_token_hash *ret)
{
    struct gh_token_hash h = { .kind = kind, .hash_len = HASH };
    int rc = 0;

    if (kind == GH_TOKEN_ARGON2ID) {
        h.memory = MEMORY;
        h.passes = PASSES;
        h.lanes = LANES;
        h.salt_len = SALT;
        rc = gh_random_bytes(h.salt, SALT);
    }
    if (rc == 0)
        rc = hash(&h, token, h.hash);
    if (rc == 0)
        *ret = h;
    return rc;
}

int gh_token_verify(const struct gh_token_hash *h, struct gh_span token)
{
    uint8_t made[GH_TOKEN_BYTES_MAX] = { 0 };
    int rc = hash(h, token, made);

    if (rc == 0 && !gh_hash_equals(made, h->hash, h->hash_len))
        rc = GH_ERR_DENIED;
    gh_wipe(made, sizeof made);
    return rc == GH_ERR_TOO_LONG ? GH_ERR_DENIED : rc;
}

int gh_token_make(char ret[GH_TOKEN_MADE])
{
    uint8_t bytes[32];
    int rc = gh_random_bytes(bytes, sizeof bytes);

    if (rc == 0)
        ret[gh_base64url_encode(gh_span_of(bytes, sizeof bytes), ret)] = 0;
    gh_wipe(bytes, sizeof bytes);
    return rc;
}
