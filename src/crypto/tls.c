#include "crypto/tls.h"

#include <openssl/core_dispatch.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "crypto/tls_internal.h"

/* Longest handshake that we buffer: a chain of certificates, never more. */
#define FLIGHT_MAX (128u * 1024)
/* What one read lends to libssl at most: a TLS record. */
#define LEND_MAX 16384u

struct gh_tls {
    struct tls_owner owner; /* the first */
    SSL *ssl;
    struct gh_tls_ctx *ctx;
    const struct gh_tls_events *events;
    void *arg;
    enum gh_tls_level read_level, write_level;
    bool complete, params_seen;
    bool resumed;       /* these four are what gh_tls_shrink leaves */
    enum gh_tls_ech ech;
    char group[32];
    const char *cipher; /* libssl's own text */
    int failure; /* sticky: what an event returned inside a callback of libssl */
    uint8_t *in;
    size_t in_len, in_cap, lent;
    uint8_t *params; /* libssl keeps the pointer */
};

static int fail(struct gh_tls *t, int rc)
{
    if (!t->failure)
        t->failure = rc;
    return 0;
}

static int cb_send(SSL *ssl, const unsigned char *data, size_t len, size_t *consumed, void *arg)
{
    struct gh_tls *t = arg;
    int rc = t->events->on_send(t->arg, t->write_level, gh_span_of(data, len));

    (void)ssl;
    if (rc < 0)
        return fail(t, rc);
    *consumed = len;
    return 1;
}

static int cb_lend(SSL *ssl, const unsigned char **data, size_t *len, void *arg)
{
    struct gh_tls *t = arg;

    (void)ssl;
    t->lent = t->in_len > LEND_MAX ? LEND_MAX : t->in_len;
    *data = t->in;
    *len = t->lent;
    return 1;
}

static int cb_release(SSL *ssl, size_t len, void *arg)
{
    struct gh_tls *t = arg;

    (void)ssl;
    if (len > t->in_len)
        return fail(t, GH_ERR_INTERNAL);
    t->in_len -= len;
    t->lent = 0;
    if (t->in_len)
        memmove(t->in, t->in + len, t->in_len);
    return 1;
}

static enum gh_tls_level level_of(uint32_t protection)
{
    switch (protection) {
    case OSSL_RECORD_PROTECTION_LEVEL_EARLY:
        return GH_TLS_EARLY;
    case OSSL_RECORD_PROTECTION_LEVEL_HANDSHAKE:
        return GH_TLS_HANDSHAKE;
    case OSSL_RECORD_PROTECTION_LEVEL_APPLICATION:
        return GH_TLS_APPLICATION;
    default:
        return GH_TLS_INITIAL;
    }
}

static int cb_secret(SSL *ssl, uint32_t protection, int write, const unsigned char *secret, size_t len, void *arg)
{
    struct gh_tls *t = arg;
    enum gh_tls_level level = level_of(protection);
    const SSL_CIPHER *cipher = SSL_get_pending_cipher(ssl);
    const struct gh_aead_suite *suite;
    int rc;

    if (!cipher)
        cipher = SSL_get_current_cipher(ssl);
    suite = cipher ? gh_aead_suite_find(SSL_CIPHER_get_protocol_id(cipher), t->ctx->aead) : NULL;
    if (!suite || len != gh_aead_suite_secret_len(suite))
        return fail(t, GH_ERR_INTERNAL);
    if (!write && t->in_len > t->lent)
        return fail(t, GH_ERR_PROTOCOL); /* RFC 9001, section 4.1.3: bytes left over at a level that is over */
    /* the level first: a server's transport parameters go in while this secret is announced */
    if (write)
        t->write_level = level;
    else
        t->read_level = level;
    rc = t->events->on_secret(t->arg, level, write, suite, secret);
    return rc < 0 ? fail(t, rc) : 1;
}

static int cb_params(SSL *ssl, const unsigned char *params, size_t len, void *arg)
{
    struct gh_tls *t = arg;
    int rc;

    (void)ssl;
    if (t->params_seen)
        return 1; /* the second ClientHello after a HelloRetryRequest repeats them */
    t->params_seen = true;
    rc = t->events->on_transport_params(t->arg, gh_span_of(params, len));
    return rc < 0 ? fail(t, rc) : 1;
}

static int cb_alert(SSL *ssl, unsigned char alert, void *arg)
{
    struct gh_tls *t = arg;

    (void)ssl;
    t->events->on_alert(t->arg, alert);
    return 1;
}

static const OSSL_DISPATCH dispatch[] = {
    { OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_SEND, (void (*)(void))cb_send },
    { OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_RECV_RCD, (void (*)(void))cb_lend },
    { OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_RELEASE_RCD, (void (*)(void))cb_release },
    { OSSL_FUNC_SSL_QUIC_TLS_YIELD_SECRET, (void (*)(void))cb_secret },
    { OSSL_FUNC_SSL_QUIC_TLS_GOT_TRANSPORT_PARAMS, (void (*)(void))cb_params },
    { OSSL_FUNC_SSL_QUIC_TLS_ALERT, (void (*)(void))cb_alert },
    { 0, NULL },
};

static int on_session(struct tls_owner *o, struct gh_tls_session *session)
{
    struct gh_tls *t = (struct gh_tls *)o;

    if (!t->events->on_session)
        return 0;
    t->events->on_session(t->arg, session);
    return 1;
}

int gh_tls_create(struct gh_tls_ctx *ctx, const char *server_name, const struct gh_tls_events *events, void *arg, struct gh_tls **ret)
{
    struct gh_tls *t = calloc(1, sizeof *t);
    int rc = 0;

    if (!t)
        return GH_ERR_MEMORY;
    t->ctx = gh_tls_ctx_get(ctx);
    t->owner.on_session = on_session;
    t->events = events;
    t->arg = arg;
    t->ssl = SSL_new(ctx->ssl);
    if (!t->ssl || SSL_set_app_data(t->ssl, &t->owner) != 1) {
        gh_tls_destroy(t);
        return GH_ERR_MEMORY;
    }
    /* the role must be known before the callbacks are set: libssl captures it there */
    if (ctx->server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    if (SSL_set_quic_tls_cbs(t->ssl, dispatch, t) != 1)
        rc = GH_ERR_CRYPTO;
    if (rc == 0 && ctx->shaped)
        rc = tls_shape_ssl(t->ssl);
    if (rc == 0 && !ctx->server && server_name && *server_name)
        rc = tls_ssl_set_server_name(t->ssl, server_name);
    if (rc < 0) {
        gh_tls_destroy(t);
        return rc;
    }
    *ret = t;
    return 0;
}

int gh_tls_set_certificate_name(struct gh_tls *t, const char *name)
{
    return tls_ssl_set_certificate_name(t->ssl, name);
}

/* What only a handshake needs. */
static void release(struct gh_tls *t)
{
    if (t->ssl)
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* QUIC has no close_notify */
    SSL_free(t->ssl);
    gh_tls_ctx_put(t->ctx);
    free(t->in);
    free(t->params);
    t->ssl = NULL;
    t->ctx = NULL;
    t->in = t->params = NULL;
    t->in_len = t->in_cap = 0;
}

void gh_tls_destroy(struct gh_tls *t)
{
    if (!t)
        return;
    release(t);
    free(t);
}

void gh_tls_shrink(struct gh_tls *t)
{
    if (!t->ssl || !t->complete || !t->ctx->server)
        return;
    t->resumed = gh_tls_resumed(t);
    t->ech = gh_tls_ech(t);
    snprintf(t->group, sizeof t->group, "%s", gh_tls_group(t));
    t->cipher = gh_tls_cipher(t);
    release(t);
}

int gh_tls_set_transport_params(struct gh_tls *t, struct gh_span params)
{
    uint8_t *copy = malloc(params.len ? params.len : 1);

    if (!copy)
        return GH_ERR_MEMORY;
    memcpy(copy, params.data, params.len);
    if (SSL_set_quic_tls_transport_params(t->ssl, copy, params.len) != 1) {
        free(copy);
        return GH_ERR_CRYPTO;
    }
    free(t->params);
    t->params = copy;
    return 0;
}

static int drive(struct gh_tls *t)
{
    int rc, why;

    ERR_clear_error();
    if (!t->complete) {
        rc = SSL_do_handshake(t->ssl);
        why = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, rc);
        if (t->failure)
            return t->failure;
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
            return 0;
        if (why != SSL_ERROR_NONE)
            return GH_ERR_CRYPTO;
        t->complete = true;
        if (t->ctx->server && gh_tls_ticket_issue(t->ctx, t->ssl) < 0)
            return t->failure ? t->failure : GH_ERR_CRYPTO;
    }
    if (t->in_len) {
        rc = SSL_read(t->ssl, NULL, 0); /* what comes after the handshake: tickets */
        why = rc > 0 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, rc);
        if (t->failure)
            return t->failure;
        if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
            return GH_ERR_CRYPTO;
    }
    return 1;
}

void gh_tls_resume(struct gh_tls *t, struct gh_tls_session *s)
{
    gh_tls_ticket_use(t->ssl, s);
}

bool gh_tls_resumed(const struct gh_tls *t)
{
    return t->ssl ? t->complete && SSL_session_reused(t->ssl) : t->resumed;
}

int gh_tls_start(struct gh_tls *t)
{
    int rc = drive(t);

    return rc < 0 ? rc : 0;
}

int gh_tls_feed(struct gh_tls *t, enum gh_tls_level level, struct gh_span bytes)
{
    size_t need = t->in_len + bytes.len, cap;
    uint8_t *in;

    if (level != t->read_level)
        return GH_ERR_PROTOCOL;
    if (!t->ssl) {
        /* RFC 9001, sections 4.4 and 6: no client has anything to say after the handshake */
        t->events->on_alert(t->arg, SSL_AD_UNEXPECTED_MESSAGE);
        return GH_ERR_CRYPTO;
    }
    if (need > FLIGHT_MAX)
        return GH_ERR_TOO_LONG;
    if (need > t->in_cap) {
        cap = (need + 4095) & ~(size_t)4095;
        in = realloc(t->in, cap);
        if (!in)
            return GH_ERR_MEMORY;
        t->in = in;
        t->in_cap = cap;
    }
    if (bytes.len)
        memcpy(t->in + t->in_len, bytes.data, bytes.len);
    t->in_len = need;
    return drive(t);
}

int gh_tls_peer_certificate(const struct gh_tls *t, struct gh_cert **ret)
{
    return t->ssl ? tls_ssl_peer_certificate(t->ssl, ret) : GH_ERR_NOT_FOUND;
}

enum gh_aead_engine gh_tls_aead(const struct gh_tls *t)
{
    return t->ctx->aead;
}

int gh_tls_set_ech(struct gh_tls *t, struct gh_span list)
{
    return tls_ssl_set_ech(t->ssl, list);
}

enum gh_tls_ech gh_tls_ech(const struct gh_tls *t)
{
    return t->ssl ? tls_ssl_ech(t->ssl) : t->ech;
}

int gh_tls_ech_retry(const struct gh_tls *t, uint8_t **ret, size_t *ret_len)
{
    return t->ssl ? tls_ssl_ech_retry(t->ssl, ret, ret_len) : GH_ERR_NOT_FOUND;
}

const char *gh_tls_server_name(const struct gh_tls *t)
{
    const char *name = t->ssl ? SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name) : NULL;

    return name ? name : "";
}

const char *gh_tls_group(const struct gh_tls *t)
{
    const char *name = t->ssl && t->complete ? SSL_get0_group_name(t->ssl) : NULL;

    return name ? name : t->group;
}

const char *gh_tls_cipher(const struct gh_tls *t)
{
    const SSL_CIPHER *c = t->ssl ? SSL_get_current_cipher(t->ssl) : NULL;

    if (!t->ssl)
        return t->cipher;
    return c ? SSL_CIPHER_get_name(c) : "";
}

const char *gh_tls_verify_error(const struct gh_tls *t)
{
    return t->ssl ? tls_ssl_verify_error(t->ssl) : "";
}
