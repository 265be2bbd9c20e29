#include "crypto/seal.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/hpke.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define ENCAPSULATED 32u
#define TAG 16u
#define PEM_MAX 65535u

static const OSSL_HPKE_SUITE suite = { OSSL_HPKE_KEM_ID_X25519, OSSL_HPKE_KDF_ID_HKDF_SHA256, OSSL_HPKE_AEAD_ID_AES_GCM_128 };

static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

static int load(struct gh_span pem, bool secret, EVP_PKEY **ret)
{
    BIO *bio;
    EVP_PKEY *key;

    if (pem.len == 0 || pem.len > PEM_MAX)
        return GH_ERR_MALFORMED;
    bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (!bio)
        return GH_ERR_MEMORY;
    key = secret ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    if (!key || !EVP_PKEY_is_a(key, "X25519")) {
        EVP_PKEY_free(key);
        return GH_ERR_MALFORMED;
    }
    *ret = key;
    return 0;
}

static int take_pem(BIO *bio, struct gh_pem *ret)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);

    ret->text = malloc((size_t)len);
    if (!ret->text)
        return GH_ERR_MEMORY;
    memcpy(ret->text, data, (size_t)len);
    ret->len = (size_t)len;
    return 0;
}

int gh_seal_keygen(struct gh_pem *ret_public, struct gh_pem *ret_private)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    BIO *pub = BIO_new(BIO_s_mem()), *priv = BIO_new(BIO_s_secmem());
    struct gh_pem p = { 0 }, s = { 0 };
    int rc = key && pub && priv ? 0 : GH_ERR_CRYPTO;

    if (rc == 0 && (PEM_write_bio_PUBKEY(pub, key) != 1 || PEM_write_bio_PKCS8PrivateKey(priv, key, NULL, NULL, 0, NULL, NULL) != 1))
        rc = GH_ERR_CRYPTO;
    if (rc == 0)
        rc = take_pem(pub, &p);
    if (rc == 0)
        rc = take_pem(priv, &s);
    if (rc == 0) {
        *ret_public = p;
        *ret_private = s;
    } else {
        gh_pem_fini(&p);
        gh_pem_fini(&s);
    }
    BIO_free(pub);
    BIO_free(priv);
    EVP_PKEY_free(key);
    return rc;
}

int gh_seal(struct gh_span public_pem, struct gh_span info, struct gh_span aad, struct gh_span secret, uint8_t *ret)
{
    OSSL_HPKE_CTX *ctx = NULL;
    EVP_PKEY *key = NULL;
    uint8_t raw[ENCAPSULATED];
    size_t raw_len = 0, enc_len = ENCAPSULATED, len = secret.len + TAG;
    int rc = secret.len > GH_SEAL_MAX ? GH_ERR_TOO_LONG : load(public_pem, false, &key);

    if (rc < 0)
        return rc;
    rc = GH_ERR_CRYPTO;
    ctx = OSSL_HPKE_CTX_new(OSSL_HPKE_MODE_BASE, suite, OSSL_HPKE_ROLE_SENDER, NULL, NULL);
    if (ctx && EVP_PKEY_get_octet_string_param(key, "pub", raw, sizeof raw, &raw_len) == 1 &&
        OSSL_HPKE_encap(ctx, ret, &enc_len, raw, raw_len, info.data, info.len) == 1 && enc_len == ENCAPSULATED &&
        OSSL_HPKE_seal(ctx, ret + ENCAPSULATED, &len, aad.data, aad.len, secret.data, secret.len) == 1 && len == secret.len + TAG)
        rc = 0;
    OSSL_HPKE_CTX_free(ctx);
    EVP_PKEY_free(key);
    return rc;
}

int gh_unseal(struct gh_span private_pem, struct gh_span info, struct gh_span aad, struct gh_span sealed, uint8_t *ret)
{
    OSSL_HPKE_CTX *ctx = NULL;
    EVP_PKEY *key = NULL;
    size_t len;
    int rc = sealed.len < GH_SEAL_EXTRA || sealed.len > GH_SEAL_MAX + GH_SEAL_EXTRA ? GH_ERR_MALFORMED : load(private_pem, true, &key);

    if (rc < 0)
        return rc;
    rc = GH_ERR_DENIED;
    len = sealed.len - GH_SEAL_EXTRA;
    ctx = OSSL_HPKE_CTX_new(OSSL_HPKE_MODE_BASE, suite, OSSL_HPKE_ROLE_RECEIVER, NULL, NULL);
    if (!ctx)
        rc = GH_ERR_CRYPTO;
    else if (OSSL_HPKE_decap(ctx, sealed.data, ENCAPSULATED, key, info.data, info.len) == 1 &&
             OSSL_HPKE_open(ctx, ret, &len, aad.data, aad.len, sealed.data + ENCAPSULATED, sealed.len - ENCAPSULATED) == 1 &&
             len == sealed.len - GH_SEAL_EXTRA)
        rc = 0;
    OSSL_HPKE_CTX_free(ctx);
    EVP_PKEY_free(key);
    return rc;
}
