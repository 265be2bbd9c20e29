#include "crypto/hash.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/error.h"

#define BLOCK 64u /* of SHA-256, bytes */

static int digest(struct gh_span a, struct gh_span b, struct gh_span c, uint8_t ret[GH_SHA256_LEN])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned len = 0;
    int rc = GH_ERR_CRYPTO;

    if (!ctx)
        return GH_ERR_CRYPTO;
    if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(ctx, a.data, a.len) == 1 &&
        EVP_DigestUpdate(ctx, b.data, b.len) == 1 && EVP_DigestUpdate(ctx, c.data, c.len) == 1 &&
        EVP_DigestFinal_ex(ctx, ret, &len) == 1 && len == GH_SHA256_LEN)
        rc = 0;
    EVP_MD_CTX_free(ctx);
    return rc;
}

int gh_sha256(struct gh_span data, uint8_t ret[GH_SHA256_LEN])
{
    return digest(data, gh_span_of(NULL, 0), gh_span_of(NULL, 0), ret);
}

int gh_sha1(struct gh_span data, uint8_t ret[GH_SHA1_LEN])
{
    return EVP_Digest(data.data, data.len, ret, NULL, EVP_sha1(), NULL) == 1 ? 0 : GH_ERR_CRYPTO;
}

/* RFC 2104, section 2 */
int gh_hmac_sha256(struct gh_span key, struct gh_span a, struct gh_span b, uint8_t ret[GH_SHA256_LEN])
{
    uint8_t block[BLOCK] = { 0 }, pad[BLOCK], inner[GH_SHA256_LEN];
    int rc = 0;

    if (key.len > BLOCK)
        rc = gh_sha256(key, block);
    else if (key.len)
        memcpy(block, key.data, key.len);
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] = block[i] ^ 0x36;
    if (rc == 0)
        rc = digest(gh_span_of(pad, BLOCK), a, b, inner);
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] = block[i] ^ 0x5c;
    if (rc == 0)
        rc = digest(gh_span_of(pad, BLOCK), gh_span_of(inner, sizeof inner), gh_span_of(NULL, 0), ret);
    gh_wipe(block, sizeof block);
    gh_wipe(pad, sizeof pad);
    gh_wipe(inner, sizeof inner);
    return rc;
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
