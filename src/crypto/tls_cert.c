/* Certificates of our own with their keys, and which of them a client's name is for. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "crypto/signer_internal.h"
#include "crypto/tls_internal.h"

static int say(char *err, size_t cap, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;

    snprintf(err, cap, "%s: %s", what, why ? why : "unknown reason");
    ERR_clear_error();
    return GH_ERR_CRYPTO;
}

static int load_chain(struct gh_span pem, struct tls_certificate *t)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509 *next;
    int rc = 0;

    t->leaf = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    t->chain = t->leaf ? sk_X509_new_null() : NULL;
    if (!t->chain)
        rc = GH_ERR_CRYPTO;
    while (rc == 0) {
        next = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!next) {
            ERR_clear_error(); /* the end of the text */
            break;
        }
        if (sk_X509_push(t->chain, next) <= 0) {
            X509_free(next);
            rc = GH_ERR_CRYPTO;
        }
    }
    BIO_free(bio);
    return rc;
}

static int load_key(struct gh_span pem, struct tls_certificate *t)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);

    t->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return t->key ? 0 : GH_ERR_CRYPTO;
}

static int load_signer(struct gh_tls_ctx *c, struct tls_certificate *t)
{
    int rc = c->signers ? 0 : signer_provider_create(&c->signers);

    return rc < 0 ? rc : signer_key_create(c->signers, &t->signer, X509_get0_pubkey(t->leaf), &t->key);
}

/* <ret> has the signer already: it is released whatever happens here. */
int tls_certificate_load(struct gh_tls_ctx *c, const struct gh_tls_named *from, struct tls_certificate *ret, char *err, size_t err_cap)
{
    int rc = 0;

    if (load_chain(from->certificate, ret) < 0)
        return say(err, err_cap, "certificate");
    rc = from->signer ? load_signer(c, ret) : 0;
    if (rc < 0) {
        ERR_clear_error();
        snprintf(err, err_cap, "private key: %s", rc == GH_ERR_DENIED ? "it is not the certificate's" : rc == GH_ERR_UNSUPPORTED ?
                 "the certificate is for another kind of key than Ed25519, P-256 or RSA" : gh_error_text(rc));
        return GH_ERR_CRYPTO;
    }
    if (!from->signer && load_key(from->key, ret) < 0)
        return say(err, err_cap, "private key");
    return 0;
}

void tls_certificate_fini(struct tls_certificate *t)
{
    X509_free(t->leaf);
    sk_X509_pop_free(t->chain, X509_free);
    EVP_PKEY_free(t->key);
    t->leaf = NULL;
    t->chain = NULL;
    t->key = NULL;
}

/* Not more specific names first: two certificates for one name are the operator's to order. */
int tls_certificate_by_name(SSL *ssl, void *arg)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct gh_tls_ctx *c = arg;

    for (size_t i = 0; name && i < c->named_count; i++) {
        const struct tls_certificate *t = &c->named[i];

        if (X509_check_host(t->leaf, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1)
            return SSL_use_cert_and_key(ssl, t->leaf, t->key, t->chain, 1);
    }
    return 1;
}
