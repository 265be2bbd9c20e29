/* Session tickets: stateless on the server (RFC 8446, section 4.6.1; RFC 5077, section 4), kept by the client.
 *
 * A ticket holds the session and the peer's leaf, sealed by AES-256-CBC and HMAC-SHA-256 under keys that follow from one secret and the
 * day; keys of today and yesterday open. Whoever resumes is looked at anew: a leaf that the CAs of now do not vouch for makes a full
 * handshake of it. No early data: max_early_data is 0, libssl's own value.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "base/error.h"
#include "crypto/hkdf.h"
#include "crypto/tls_internal.h"

#define DAY 86400
#define LIFE (DAY / 2) /* seconds that a ticket lives: no longer than its key */
#define NAME 16

static const unsigned char id_context[] = "gatehouse";

struct keys {
    uint8_t name[NAME], seal[32], mac[32];
};

static int derive(const struct gh_tls_ctx *c, int64_t day, struct keys *ret)
{
    struct gh_span secret = gh_span_of(c->ticket_key, sizeof c->ticket_key), salt;
    uint8_t epoch[8];
    struct gh_writer w = gh_writer_of(epoch, sizeof epoch);
    int rc;

    gh_write_u64(&w, (uint64_t)day);
    salt = gh_span_of(epoch, sizeof epoch);
    rc = gh_hkdf_sha256(secret, salt, "gatehouse ticket name", ret->name, NAME);
    if (rc == 0)
        rc = gh_hkdf_sha256(secret, salt, "gatehouse ticket seal", ret->seal, sizeof ret->seal);
    if (rc == 0)
        rc = gh_hkdf_sha256(secret, salt, "gatehouse ticket mac", ret->mac, sizeof ret->mac);
    return rc;
}

static int set_mac(EVP_MAC_CTX *mac, const struct keys *k)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)k->mac, sizeof k->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_MAC_CTX_set_params(mac, params);
}

/* libssl: 1 done, 2 done and the key is an old one, 0 not our key, negative failure. */
static int cb_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int enc)
{
    const struct gh_tls_ctx *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    int64_t day = atomic_load_explicit(&c->wall, memory_order_relaxed) / DAY;
    struct keys k;
    int rc = -1;

    if (enc) {
        if (derive(c, day, &k) == 0 && RAND_bytes(iv, 16) == 1 && EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k.seal, iv) == 1 &&
            set_mac(mac, &k) == 1) {
            memcpy(name, k.name, NAME);
            rc = 1;
        }
    } else {
        rc = 0;
        for (int age = 0; age < 2 && rc == 0; age++) {
            if (derive(c, day - age, &k) < 0)
                rc = -1;
            else if (gh_hash_equals(name, k.name, NAME))
                rc = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k.seal, iv) == 1 && set_mac(mac, &k) == 1 ? age + 1 : -1;
        }
    }
    gh_wipe(&k, sizeof k);
    return rc;
}

/* Would a full handshake accept the certificate now? */
static bool vouched(SSL *ssl, X509 *leaf, STACK_OF(X509) *untrusted, bool server)
{
    X509_STORE_CTX *v = leaf ? X509_STORE_CTX_new() : NULL;
    bool ok = v && X509_STORE_CTX_init(v, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)), leaf, untrusted) == 1 &&
              X509_STORE_CTX_set_ex_data(v, SSL_get_ex_data_X509_STORE_CTX_idx(), ssl) == 1 &&
              X509_STORE_CTX_set_default(v, server ? "ssl_client" : "ssl_server") == 1 &&
              X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(v), SSL_get0_param(ssl)) == 1 && X509_verify_cert(v) == 1;

    X509_STORE_CTX_free(v);
    ERR_clear_error();
    return ok;
}

/* Nobody, where nobody need be anybody; else somebody who would be believed now. */
static bool may_resume(SSL *ssl, X509 *leaf)
{
    const struct gh_tls_ctx *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    return leaf ? c->ask != GH_TLS_ASK_NONE && vouched(ssl, leaf, NULL, true) : c->ask != GH_TLS_ASK_REQUIRED;
}

static SSL_TICKET_RETURN cb_ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len, SSL_TICKET_STATUS status,
                                          void *arg)
{
    (void)name;
    (void)name_len;
    (void)arg;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE;
    return may_resume(ssl, SSL_SESSION_get0_peer(session)) ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_IGNORE;
}

int gh_tls_ctx_set_tickets(struct gh_tls_ctx *c, const uint8_t key[GH_TLS_TICKET_KEY])
{
    memcpy(c->ticket_key, key, sizeof c->ticket_key);
    if (SSL_CTX_set_session_id_context(c->ssl, id_context, sizeof id_context - 1) != 1 ||
        SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ssl, cb_ticket_key) != 1 ||
        SSL_CTX_set_session_ticket_cb(c->ssl, NULL, cb_ticket_opened, NULL) != 1)
        return GH_ERR_CRYPTO;
    SSL_CTX_clear_options(c->ssl, SSL_OP_NO_TICKET);
    SSL_CTX_set_timeout(c->ssl, LIFE);
    c->tickets = true;
    return 0;
}

void gh_tls_ctx_set_wall(struct gh_tls_ctx *c, int64_t wall)
{
    atomic_store_explicit(&c->wall, wall, memory_order_relaxed);
}

/* Is the leaf enough, without what the peer sent beside it? A handshake that found an anchor right above it has just seen that. */
static bool stands_alone(const struct gh_tls_ctx *c, SSL *ssl)
{
    const STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);

    if (!SSL_get0_peer_certificate(ssl))
        return c->ask != GH_TLS_ASK_REQUIRED;
    if (SSL_get_verify_result(ssl) != X509_V_OK)
        return false;
    return (chain && sk_X509_num(chain) <= 2) || vouched(ssl, SSL_get0_peer_certificate(ssl), NULL, true);
}

/* A ticket has room for the leaf alone: who needs an intermediate to be believed gets none. */
int gh_tls_ticket_issue(struct gh_tls_ctx *c, SSL *ssl)
{
    if (!c->tickets || !stands_alone(c, ssl))
        return 0;
    /* one: libssl writes the session, reads it and writes it again for each, certificate and all. It goes out at the next call */
    return SSL_new_session_ticket(ssl) == 1 && SSL_do_handshake(ssl) == 1 ? 0 : GH_ERR_CRYPTO;
}

static int cb_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_owner *o = SSL_get_app_data(ssl);

    return o->on_session(o, (struct gh_tls_session *)session);
}

void gh_tls_ticket_keep(struct gh_tls_ctx *c)
{
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ssl, cb_new_session);
}

struct gh_tls_session *gh_tls_session_get(struct gh_tls_session *s)
{
    SSL_SESSION_up_ref((SSL_SESSION *)s);
    return s;
}

void gh_tls_session_put(struct gh_tls_session *s)
{
    SSL_SESSION_free((SSL_SESSION *)s);
}

void gh_tls_ticket_use(SSL *ssl, struct gh_tls_session *s)
{
    const struct gh_tls_ctx *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION *session = (SSL_SESSION *)s;

    if (!SSL_SESSION_is_resumable(session) || SSL_set_session(ssl, session) != 1)
        return;
    if (c->pin_count && !tls_pin_holds(c, SSL_SESSION_get0_peer(session)))
        SSL_set_session(ssl, NULL);
    else if (c->ca && !vouched(ssl, SSL_SESSION_get0_peer(session), SSL_get_peer_cert_chain(ssl), false))
        SSL_set_session(ssl, NULL);
}
