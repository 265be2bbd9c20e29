#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

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

static BIO *bio_of(struct gh_span s)
{
    return BIO_new_mem_buf(s.data, (int)s.len);
}

static int load_chain(SSL_CTX *ctx, struct gh_span pem)
{
    BIO *bio = bio_of(pem);
    X509 *leaf = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    X509 *next;
    int rc = leaf && SSL_CTX_use_certificate(ctx, leaf) == 1 ? 0 : GH_ERR_CRYPTO;

    X509_free(leaf);
    while (rc == 0) {
        next = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!next) {
            ERR_clear_error(); /* the end of the text */
            break;
        }
        if (SSL_CTX_add0_chain_cert(ctx, next) != 1) {
            X509_free(next);
            rc = GH_ERR_CRYPTO;
        }
    }
    BIO_free(bio);
    return rc;
}

static int load_key(SSL_CTX *ctx, struct gh_span pem)
{
    BIO *bio = bio_of(pem);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    int rc = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 ? 0 : GH_ERR_CRYPTO;

    EVP_PKEY_free(key);
    BIO_free(bio);
    return rc;
}

static int load_signer(struct gh_tls_ctx *c, const struct gh_signer *signer)
{
    X509 *leaf = SSL_CTX_get0_certificate(c->ssl);
    EVP_PKEY *key = NULL;
    int rc = signer_provider_create(&c->signers);

    if (rc == 0)
        rc = signer_key_create(c->signers, signer, X509_get0_pubkey(leaf), &key);
    if (rc == 0 && SSL_CTX_use_PrivateKey(c->ssl, key) != 1)
        rc = GH_ERR_CRYPTO;
    EVP_PKEY_free(key);
    return rc;
}

static int load_ca(SSL_CTX *ctx, struct gh_span pem, bool server)
{
    BIO *bio = bio_of(pem);
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509 *cert;
    int count = 0;

    while (bio) {
        cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!cert)
            break;
        if (X509_STORE_add_cert(store, cert) == 1 && (!server || SSL_CTX_add_client_CA(ctx, cert) == 1))
            count++;
        X509_free(cert);
    }
    if (count)
        ERR_clear_error();
    BIO_free(bio);
    return count ? 0 : GH_ERR_CRYPTO;
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len, void *arg)
{
    const struct gh_tls_ctx *c = arg;

    (void)ssl;
    if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, c->alpn, (unsigned)c->alpn_len, in, in_len) ==
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_OK;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int verify(X509_STORE_CTX *v)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(v, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct gh_tls_ctx *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    return gh_known_verify(c->known, v);
}

/* An agent sees one relay now and then, a relay the same agents again and again. */
static int know(struct gh_tls_ctx *c)
{
    int rc = gh_known_create(&c->known);

    if (rc == 0)
        X509_STORE_set_verify(SSL_CTX_get_cert_store(c->ssl), verify);
    return rc;
}

static int configure(struct gh_tls_ctx *c, const struct gh_tls_config *cfg, char *err, size_t cap)
{
    SSL_CTX *ctx = c->ssl;
    int rc;

    if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(ctx, "*X25519MLKEM768:*X25519:P-256:P-384") != 1)
        return say(err, cap, "TLS settings");
    if (cfg->server)
        SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN); /* else our own chain would be built and verified anew for every handshake */
    if (SSL_CTX_set_app_data(ctx, c) != 1 || (cfg->server && know(c) < 0))
        return say(err, cap, "memory");
    SSL_CTX_set_num_tickets(ctx, 0); /* made when the handshake is complete (tls_ticket.c) */
    if (!cfg->server)
        gh_tls_ticket_keep(c);
    if (cfg->certificate.len && load_chain(ctx, cfg->certificate) < 0)
        return say(err, cap, "certificate");
    rc = cfg->certificate.len && cfg->signer ? load_signer(c, cfg->signer) : 0;
    if (rc < 0) {
        ERR_clear_error();
        snprintf(err, cap, "private key: %s", rc == GH_ERR_DENIED ? "it is not the certificate's" : rc == GH_ERR_UNSUPPORTED ?
                 "the certificate is for another kind of key than Ed25519, P-256 or RSA" : gh_error_text(rc));
        return GH_ERR_CRYPTO;
    }
    if (cfg->certificate.len && !cfg->signer && load_key(ctx, cfg->key) < 0)
        return say(err, cap, "private key");
    if (cfg->certificate.len && SSL_CTX_check_private_key(ctx) != 1)
        return say(err, cap, "certificate and private key");
    if (load_ca(ctx, cfg->ca, cfg->server) < 0)
        return say(err, cap, "CA certificates");
    SSL_CTX_set_verify(ctx, cfg->server ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER, NULL);
    if (cfg->server)
        SSL_CTX_set_alpn_select_cb(ctx, select_alpn, c);
    else if (SSL_CTX_set_alpn_protos(ctx, c->alpn, (unsigned)c->alpn_len) != 0)
        return say(err, cap, "ALPN");
    return 0;
}

static void release(const struct gh_signer *s)
{
    if (s->release)
        s->release(s->arg, s->key);
}

int gh_tls_ctx_create(const struct gh_tls_config *cfg, struct gh_tls_ctx **ret, char *err, size_t err_cap)
{
    struct gh_tls_ctx *c = calloc(1, sizeof *c);
    int rc = GH_ERR_MEMORY;

    if (!c) {
        if (cfg->signer)
            release(cfg->signer);
        return rc;
    }
    atomic_init(&c->refs, 1);
    if (cfg->signer)
        c->signer = *cfg->signer;
    c->server = cfg->server;
    c->aead = cfg->aead;
    c->alpn_len = strlen(cfg->alpn) + 1;
    if (c->alpn_len > sizeof c->alpn) {
        gh_tls_ctx_put(c);
        return GH_ERR_RANGE;
    }
    c->alpn[0] = (uint8_t)(c->alpn_len - 1);
    memcpy(c->alpn + 1, cfg->alpn, c->alpn_len - 1);
    c->ssl = SSL_CTX_new(TLS_method());
    if (c->ssl)
        rc = configure(c, cfg, err, err_cap);
    if (rc < 0) {
        gh_tls_ctx_put(c);
        return rc;
    }
    *ret = c;
    return 0;
}

struct gh_tls_ctx *gh_tls_ctx_get(struct gh_tls_ctx *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void gh_tls_ctx_put(struct gh_tls_ctx *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(c->ssl);
    gh_known_destroy(c->known);
    OPENSSL_cleanse(c->ticket_key, sizeof c->ticket_key);
    signer_provider_destroy(c->signers);
    release(&c->signer);
    free(c);
}
