/* A server that is known by its key: SHA-256 of its SubjectPublicKeyInfo (RFC 7469, section 2.4). And one that took the TLS 1.2 that we only
 * said. */
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "crypto/hash.h"
#include "crypto/tls_internal.h"

bool tls_pin_holds(const struct gh_tls_ctx *c, X509 *leaf)
{
    unsigned char *der = NULL;
    int len = leaf ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der) : 0;
    uint8_t sum[GH_SHA256_LEN];
    bool ok = false;

    if (len > 0 && gh_sha256(gh_span_of(der, (size_t)len), sum) == 0)
        for (size_t i = 0; i < c->pin_count; i++)
            ok |= gh_hash_equals(c->pins[i], sum, sizeof sum) != 0;
    OPENSSL_free(der);
    return ok;
}

static int verify(X509_STORE_CTX *v, void *arg)
{
    const struct gh_tls_ctx *c = arg;

    if (SSL_version(X509_STORE_CTX_get_ex_data(v, SSL_get_ex_data_X509_STORE_CTX_idx())) < TLS1_3_VERSION) {
        X509_STORE_CTX_set_error(v, X509_V_ERR_UNSPECIFIED);
        return 0;
    }
    if (c->pin_count && !tls_pin_holds(c, X509_STORE_CTX_get0_cert(v))) {
        X509_STORE_CTX_set_error(v, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    if (c->ca)
        return X509_verify_cert(v);
    X509_STORE_CTX_set_error(v, X509_V_OK);
    return 1;
}

void tls_pin_use(struct gh_tls_ctx *c)
{
    SSL_CTX_set_cert_verify_callback(c->ssl, verify, c);
}
