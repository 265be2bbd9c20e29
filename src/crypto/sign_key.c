#include "crypto/sign_key.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct gh_sign_key {
    EVP_PKEY *key;
    uint16_t schemes[GH_SIGN_SCHEMES];
    size_t count;
};

static const struct scheme {
    uint16_t number;
    const char *type, *group, *digest;
    bool tls13;
} schemes[] = {
    { GH_SIGN_ED25519, "ED25519", NULL, NULL, true },
    { GH_SIGN_ECDSA_P256_SHA256, "EC", "prime256v1", "SHA256", true },
    { GH_SIGN_RSA_PSS_SHA256, "RSA", NULL, "SHA256", true },
    { GH_SIGN_RSA_PSS_SHA384, "RSA", NULL, "SHA384", true },
    { GH_SIGN_RSA_PSS_SHA512, "RSA", NULL, "SHA512", true },
    { GH_SIGN_ECDSA_SHA384, "EC", "prime256v1", "SHA384", false },
    { GH_SIGN_ECDSA_SHA512, "EC", "prime256v1", "SHA512", false },
    { GH_SIGN_RSA_PKCS1_SHA256, "RSA", NULL, "SHA256", false },
    { GH_SIGN_RSA_PKCS1_SHA384, "RSA", NULL, "SHA384", false },
    { GH_SIGN_RSA_PKCS1_SHA512, "RSA", NULL, "SHA512", false },
};

static bool scheme_fits(const struct scheme *s, const EVP_PKEY *key)
{
    char group[64];
    size_t len;

    if (!EVP_PKEY_is_a(key, s->type))
        return false;
    if (!strcmp(s->type, "RSA"))
        return EVP_PKEY_get_bits(key) >= 2048 && EVP_PKEY_get_bits(key) <= 4096;
    if (!s->group)
        return true;
    return EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1 && !strcmp(group, s->group);
}

static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

int gh_sign_key_load(struct gh_span pem, struct gh_sign_key **ret)
{
    struct gh_sign_key *k;
    BIO *bio;
    int rc = GH_ERR_MALFORMED;

    if (pem.len > GH_SIGN_PEM_MAX)
        return GH_ERR_MALFORMED;
    k = calloc(1, sizeof *k);
    bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (!k || !bio) {
        rc = GH_ERR_MEMORY;
        goto out;
    }
    k->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (!k->key)
        goto out;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (scheme_fits(&schemes[i], k->key))
            k->schemes[k->count++] = schemes[i].number;
    if (!k->count) {
        rc = GH_ERR_UNSUPPORTED;
        goto out;
    }
    *ret = k;
    k = NULL;
    rc = 0;
out:
    BIO_free(bio);
    gh_sign_key_destroy(k);
    return rc;
}

void gh_sign_key_destroy(struct gh_sign_key *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->key); /* clears the private numbers */
    free(k);
}

size_t gh_sign_key_schemes(const struct gh_sign_key *k, uint16_t ret[GH_SIGN_SCHEMES])
{
    memcpy(ret, k->schemes, sizeof k->schemes);
    return k->count;
}

bool gh_sign_scheme_tls13(uint16_t scheme)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (schemes[i].number == scheme)
            return schemes[i].tls13;
    return false;
}

/* Of those that were found to fit when the key was loaded; NULL. */
static const struct scheme *scheme_of(const struct gh_sign_key *k, uint16_t number)
{
    bool fits = false;

    for (size_t i = 0; i < k->count; i++)
        fits |= k->schemes[i] == number;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0] && fits; i++)
        if (schemes[i].number == number)
            return &schemes[i];
    return NULL;
}

int gh_sign_key_sign(const struct gh_sign_key *k, uint16_t scheme, const void *data, size_t len, uint8_t *ret,
                     size_t *ret_len)
{
    const struct scheme *s = scheme_of(k, scheme);
    EVP_MD_CTX *ctx;
    EVP_PKEY_CTX *pctx = NULL;
    size_t out = GH_SIGN_MAX;
    int rc = GH_ERR_CRYPTO;

    if (!s)
        return GH_ERR_UNSUPPORTED;
    ctx = EVP_MD_CTX_new();
    if (!ctx)
        return GH_ERR_MEMORY;
    if (EVP_DigestSignInit_ex(ctx, &pctx, s->digest, NULL, NULL, k->key, NULL) != 1)
        goto out;
    if (!strcmp(s->type, "RSA") && s->tls13 /* RFC 8446, section 4.2.3: the salt is as long as the digest */
        && (EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) != 1
            || EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) != 1))
        goto out;
    if (EVP_DigestSign(ctx, ret, &out, data, len) != 1)
        goto out;
    *ret_len = out;
    rc = 0;
out:
    EVP_MD_CTX_free(ctx);
    return rc;
}
