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

static int load_ca(SSL_CTX *ctx, struct gh_span pem, bool server)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
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

/* The handshake goes on whatever a certificate is worth: the verdict stays in the session (gh_tls_verify_error). */
static int note_verdict(int ok, X509_STORE_CTX *v)
{
    (void)ok, (void)v;
    return 1;
}

static int set_peer(struct gh_tls_ctx *c, const struct gh_tls_config *cfg, char *err, size_t cap)
{
    static const int modes[] = { [GH_TLS_ASK_REQUIRED] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, [GH_TLS_ASK_NONE] = SSL_VERIFY_NONE,
                                 [GH_TLS_ASK_REQUESTED] = SSL_VERIFY_PEER };
    bool needed = cfg->server ? cfg->ask == GH_TLS_ASK_REQUIRED : !cfg->pin_count;

    c->ca = cfg->ca.len || needed;
    if (c->ca && load_ca(c->ssl, cfg->ca, cfg->server) < 0)
        return say(err, cap, "CA certificates");
    if (c->ca && cfg->server && know(c) < 0)
        return say(err, cap, "memory");
    SSL_CTX_set_verify(c->ssl, cfg->server ? modes[cfg->ask] : SSL_VERIFY_PEER,
                       cfg->server && cfg->ask == GH_TLS_ASK_REQUESTED ? note_verdict : NULL);
    if (cfg->pin_count > GH_TLS_PINS_MAX) {
        snprintf(err, cap, "more than %u pins", GH_TLS_PINS_MAX);
        return GH_ERR_RANGE;
    }
    if (cfg->pin_count) {
        memcpy(c->pins, cfg->pins, cfg->pin_count * sizeof c->pins[0]);
        c->pin_count = cfg->pin_count;
        tls_pin_use(c);
    }
    return 0;
}

static int set_certificates(struct gh_tls_ctx *c, const struct gh_tls_config *cfg, char *err, size_t cap)
{
    const struct gh_tls_named first = { cfg->certificate, cfg->key, cfg->signer };
    int rc = 0;

    if (cfg->certificate.len) {
        rc = tls_certificate_load(c, &first, &c->main, err, cap);
        if (rc == 0 && SSL_CTX_use_cert_and_key(c->ssl, c->main.leaf, c->main.key, c->main.chain, 1) != 1)
            rc = say(err, cap, "certificate and private key");
    }
    for (size_t i = 0; rc == 0 && i < cfg->named_count; i++) {
        rc = tls_certificate_load(c, &cfg->named[i], &c->named[i], err, cap);
        if (rc == 0 && X509_check_private_key(c->named[i].leaf, c->named[i].key) != 1)
            rc = say(err, cap, "certificate and private key");
    }
    if (cfg->named_count)
        SSL_CTX_set_cert_cb(c->ssl, tls_certificate_by_name, c);
    return rc;
}

static int configure(struct gh_tls_ctx *c, const struct gh_tls_config *cfg, char *err, size_t cap)
{
    SSL_CTX *ctx = c->ssl;
    int rc;

    if (SSL_CTX_set_min_proto_version(ctx, cfg->tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") != 1 ||
        SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 || SSL_CTX_set_app_data(ctx, c) != 1 ||
        SSL_CTX_set1_groups_list(ctx, "*X25519MLKEM768:*X25519:P-256:P-384") != 1)
        return say(err, cap, "TLS settings");
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
    if (cfg->server)
        SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN); /* else our own chain would be built and verified anew for every handshake */
    SSL_CTX_set_num_tickets(ctx, 0); /* made when the handshake is complete (tls_ticket.c) */
    if (!cfg->server)
        gh_tls_ticket_keep(c);
    rc = set_certificates(c, cfg, err, cap);
    if (rc == 0)
        rc = set_peer(c, cfg, err, cap);
    if (rc < 0)
        return rc;
    if (cfg->server && c->alpn_len)
        SSL_CTX_set_alpn_select_cb(ctx, select_alpn, c);
    else if (c->alpn_len && SSL_CTX_set_alpn_protos(ctx, c->alpn, (unsigned)c->alpn_len) != 0)
        return say(err, cap, "ALPN");
    if (cfg->shape && !cfg->server && tls_shape_use(c, cfg->shape) < 0)
        return say(err, cap, "TLS settings");
    return 0;
}

static void release(const struct gh_signer *s)
{
    if (s->release)
        s->release(s->arg, s->key);
}

/* "h2,http/1.1" as libssl and the wire have it. */
static int set_alpn(struct gh_tls_ctx *c, const char *names)
{
    for (const char *at = names ? names : ""; *at;) {
        size_t len = strcspn(at, ",");

        if (len == 0 || len > 255 || c->alpn_len + 1 + len > sizeof c->alpn)
            return GH_ERR_RANGE;
        c->alpn[c->alpn_len++] = (uint8_t)len;
        memcpy(c->alpn + c->alpn_len, at, len);
        c->alpn_len += len;
        at += len + (at[len] == ',');
    }
    return 0;
}

/* From here on the context releases the signers. */
static int take_signers(struct gh_tls_ctx *c, const struct gh_tls_config *cfg)
{
    if (cfg->signer)
        c->main.signer = *cfg->signer;
    c->named = cfg->named_count ? calloc(cfg->named_count, sizeof *c->named) : NULL;
    if (cfg->named_count && !c->named)
        return GH_ERR_MEMORY;
    c->named_count = cfg->named_count;
    for (size_t i = 0; i < cfg->named_count; i++)
        if (cfg->named[i].signer)
            c->named[i].signer = *cfg->named[i].signer;
    return 0;
}

static int check_config(const struct gh_tls_config *cfg, char *err, size_t cap)
{
    bool able = !cfg->signer || cfg->signer->tls12;

    for (size_t i = 0; i < cfg->named_count; i++)
        able = able && (!cfg->named[i].signer || cfg->named[i].signer->tls12);
    if (cfg->tls12 && (!able || !cfg->server)) {
        snprintf(err, cap, "TLS 1.2 is for servers whose keys sign for it");
        return GH_ERR_UNSUPPORTED;
    }
    if (cfg->named_count > GH_TLS_NAMED_MAX) {
        snprintf(err, cap, "more than %u certificates", GH_TLS_NAMED_MAX);
        return GH_ERR_RANGE;
    }
    return 0;
}

int gh_tls_ctx_create(const struct gh_tls_config *cfg, struct gh_tls_ctx **ret, char *err, size_t err_cap)
{
    struct gh_tls_ctx *c = calloc(1, sizeof *c);
    int rc = c ? take_signers(c, cfg) : GH_ERR_MEMORY;

    if (rc < 0) {
        if (cfg->signer)
            release(cfg->signer);
        for (size_t i = 0; i < cfg->named_count; i++)
            if (cfg->named[i].signer)
                release(cfg->named[i].signer);
        free(c);
        return rc;
    }
    atomic_init(&c->refs, 1);
    c->server = cfg->server;
    c->ask = cfg->ask;
    c->aead = cfg->aead;
    rc = check_config(cfg, err, err_cap);
    if (rc == 0)
        rc = set_alpn(c, cfg->alpn);
    if (rc == 0) {
        c->ssl = SSL_CTX_new(TLS_method());
        c->stream = tls_stream_method();
        rc = c->ssl && c->stream ? configure(c, cfg, err, err_cap) : GH_ERR_MEMORY;
    }
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
    tls_certificate_fini(&c->main);
    for (size_t i = 0; i < c->named_count; i++)
        tls_certificate_fini(&c->named[i]);
    signer_provider_destroy(c->signers); /* its keys are gone */
    release(&c->main.signer);
    for (size_t i = 0; i < c->named_count; i++)
        release(&c->named[i].signer);
    BIO_meth_free(c->stream);
    free(c->named);
    free(c);
}
