/* The digests themselves and not EVP, which finds an algorithm by its name and allocates for each message: of the key schedule of a connection,
 * with its hundred short messages, that was nine parts in ten. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/hash.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/error.h"

#define BLOCK_MAX 128u /* bytes */

union state {
    SHA256_CTX sha256;
    SHA512_CTX sha384;
};

static bool begin(enum gh_digest d, union state *s)
{
    return (d == GH_DIGEST_SHA256 ? SHA256_Init(&s->sha256) : SHA384_Init(&s->sha384)) == 1;
}

static bool feed(enum gh_digest d, union state *s, const void *data, size_t len)
{
    return len == 0 || (d == GH_DIGEST_SHA256 ? SHA256_Update(&s->sha256, data, len) : SHA384_Update(&s->sha384, data, len)) == 1;
}

static bool end(enum gh_digest d, union state *s, uint8_t *ret)
{
    return (d == GH_DIGEST_SHA256 ? SHA256_Final(ret, &s->sha256) : SHA384_Final(ret, &s->sha384)) == 1;
}

static int digest(enum gh_digest d, struct gh_span head, const struct gh_span *parts, size_t count, uint8_t *ret)
{
    union state s;
    bool ok = begin(d, &s) && feed(d, &s, head.data, head.len);

    for (size_t i = 0; i < count && ok; i++)
        ok = feed(d, &s, parts[i].data, parts[i].len);
    ok = ok && end(d, &s, ret);
    OPENSSL_cleanse(&s, d == GH_DIGEST_SHA256 ? sizeof s.sha256 : sizeof s.sha384);
    return ok ? 0 : GH_ERR_CRYPTO;
}

int gh_sha256(struct gh_span data, uint8_t ret[GH_SHA256_LEN])
{
    return digest(GH_DIGEST_SHA256, data, NULL, 0, ret);
}

int gh_sha1(struct gh_span data, uint8_t ret[GH_SHA1_LEN])
{
    return SHA1(data.data, data.len, ret) ? 0 : GH_ERR_CRYPTO;
}

size_t gh_digest_len(enum gh_digest d)
{
    return d == GH_DIGEST_SHA256 ? SHA256_DIGEST_LENGTH : SHA384_DIGEST_LENGTH;
}

static void mask(uint8_t *block, size_t len, uint8_t with)
{
    for (size_t i = 0; i < len; i++)
        block[i] ^= with;
}

/* RFC 2104, section 2 */
int gh_hmac(enum gh_digest d, struct gh_span key, const struct gh_span *parts, size_t count, uint8_t *ret)
{
    size_t block_len = d == GH_DIGEST_SHA256 ? SHA256_CBLOCK : SHA512_CBLOCK;
    uint8_t block[BLOCK_MAX] = { 0 }, inner[GH_DIGEST_MAX];
    const struct gh_span result = gh_span_of(inner, gh_digest_len(d));
    int rc = 0;

    if (key.len > block_len)
        rc = digest(d, key, NULL, 0, block);
    else if (key.len)
        memcpy(block, key.data, key.len);
    mask(block, block_len, 0x36);
    if (rc == 0)
        rc = digest(d, gh_span_of(block, block_len), parts, count, inner);
    mask(block, block_len, 0x36 ^ 0x5c);
    if (rc == 0)
        rc = digest(d, gh_span_of(block, block_len), &result, 1, ret);
    gh_wipe(block, sizeof block);
    gh_wipe(inner, sizeof inner);
    return rc;
}

int gh_hmac_sha256(struct gh_span key, struct gh_span a, struct gh_span b, uint8_t ret[GH_SHA256_LEN])
{
    const struct gh_span parts[] = { a, b };

    return gh_hmac(GH_DIGEST_SHA256, key, parts, 2, ret);
}

int gh_hash_equals(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void gh_wipe(void *data, size_t len)
{
    if (data && len)
        OPENSSL_cleanse(data, len);
}
