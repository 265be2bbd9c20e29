/* A client's hello as a browser's, as far as libssl's public interface goes (docs/internals/client-hello.md has what it does not).
 *
 * A browser offers TLS 1.2 as well. So do we, and never speak it: tls_pin.c refuses the certificate of a server that chose it, before anything
 * of ours was said.
 *
 * With ECH the inner hello must not offer TLS 1.2 (RFC 9849, section 6.1), and libssl builds both from the same settings: what is compressed
 * is copied from the inner one. It asks the security callback whether TLS 1.2 will do whenever that matters, and builds in this order:
 *
 *     suites, renegotiation_info, ec_point_formats, …, signature_algorithms, supported_versions, …, early_data, then the outer hello
 *     '------- TLS 1.2 may be -------'  '------------ no ------------------'  '------------- it may be -----------'
 *
 * The first signature algorithm that is asked about, and the callback for external PSKs, mark where one part ends. */
#include <stdio.h>
#include <string.h>

#include <openssl/ech.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/error.h"
#include "crypto/random.h"
#include "crypto/tls_internal.h"

#define EXT(type, where, bytes) { type, where, sizeof bytes - 1, bytes }
#define IN_HELLO SSL_EXT_CLIENT_HELLO
#define IN_CERTIFICATE (SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_CERTIFICATE) /* an answer stands there; we do not read it */
#define IN_EXTENSIONS (SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS)

enum { RECORD_SIZE_LIMIT = 28 };

struct extension {
    uint16_t type;
    unsigned where; /* libssl's contexts */
    size_t len;
    const char *bytes;
};

struct shape {
    const char *suites, *ciphers, *groups, *groups_quic;
    const char *sigalgs; /* SHA-1 is offered, never taken (RFC 8446, section 4.2.3); libssl leaves it out where TLS 1.3 is alone */
    bool grease, ems_quic;
    struct extension more[4], more_quic[4];
};

#define STATUS_REQUEST EXT(5, IN_CERTIFICATE, "\1\0\0\0\0")
#define TIMESTAMPS EXT(18, IN_CERTIFICATE, "")
#define DELEGATED EXT(34, IN_HELLO, "\0\10\4\3\5\3\6\3\2\3")
#define RECORD_LIMIT EXT(RECORD_SIZE_LIMIT, IN_EXTENSIONS, "\100\1")

static const struct shape shapes[] = {
    [GH_TLS_SHAPE_CHROME] = {
        .suites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
        .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                   "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA:"
                   "AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA:AES256-SHA",
        .groups = "*X25519MLKEM768:*X25519:P-256:P-384",
        .groups_quic = "*X25519MLKEM768:*X25519:P-256:P-384",
        .sigalgs = "ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256:rsa_pkcs1_sha256:ecdsa_secp384r1_sha384:rsa_pss_rsae_sha384:rsa_pkcs1_sha384:"
                   "rsa_pss_rsae_sha512:rsa_pkcs1_sha512",
        .grease = true,
        .more = { STATUS_REQUEST, TIMESTAMPS, EXT(17613, IN_HELLO, "\0\3\2h2") },
        .more_quic = { EXT(17613, IN_HELLO, "\0\3\2h3") },
    },
    [GH_TLS_SHAPE_FIREFOX] = {
        .suites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384",
        .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                   "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA:"
                   "ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA:AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA:AES256-SHA",
        .groups = "*X25519MLKEM768:*X25519:*P-256:P-384:P-521:ffdhe2048:ffdhe3072",
        .groups_quic = "*X25519MLKEM768:*X25519:P-256:P-384:P-521:ffdhe2048:ffdhe3072:ffdhe4096:ffdhe6144:ffdhe8192",
        .sigalgs = "ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:ecdsa_secp521r1_sha512:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:"
                   "rsa_pss_rsae_sha512:rsa_pkcs1_sha256:rsa_pkcs1_sha384:rsa_pkcs1_sha512:ecdsa_sha1:rsa_pkcs1_sha1",
        .ems_quic = true,
        .more = { STATUS_REQUEST, DELEGATED, RECORD_LIMIT },
        .more_quic = { STATUS_REQUEST, DELEGATED, RECORD_LIMIT },
    },
};

/* ---- extensions that libssl does not have ---- */

static int cb_add(SSL *ssl, unsigned type, unsigned context, const unsigned char **ret, size_t *ret_len, X509 *x, size_t chain, int *alert, void *arg)
{
    const struct tls_extra *e = arg;

    (void)ssl, (void)type, (void)x, (void)chain, (void)alert;
    *ret = e->bytes;
    *ret_len = e->len;
    return context == SSL_EXT_CLIENT_HELLO;
}

/* RFC 8449: no record of ours may be longer than the server says. */
static int cb_parse(SSL *ssl, unsigned type, unsigned context, const unsigned char *data, size_t len, X509 *x, size_t chain, int *alert, void *arg)
{
    unsigned limit = type == RECORD_SIZE_LIMIT && len == 2 ? (unsigned)data[0] << 8 | data[1] : 0;

    (void)x, (void)chain, (void)arg;
    if (type != RECORD_SIZE_LIMIT || context != SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS)
        return 1;
    *alert = SSL_AD_ILLEGAL_PARAMETER;
    if (limit > 16385)
        limit = 16385;
    return limit > 512 && SSL_set_max_send_fragment(ssl, limit - 1) == 1; /* libssl makes none shorter than that */
}

static int register_extra(struct gh_tls_ctx *c, uint16_t type, unsigned where, struct gh_span bytes)
{
    struct tls_extra *e = &c->extra[c->extra_count];

    if (c->extra_count == sizeof c->extra / sizeof *c->extra || bytes.len > sizeof e->bytes)
        return GH_ERR_RANGE;
    c->extra_count++;
    e->len = bytes.len;
    if (bytes.len)
        memcpy(e->bytes, bytes.data, bytes.len);
    return SSL_CTX_add_custom_ext(c->ssl, type, where, cb_add, NULL, e, cb_parse, NULL) == 1 ? 0 : GH_ERR_CRYPTO;
}

/* RFC 8701: 0x0a0a, 0x1a1a, … */
static uint16_t grease_value(uint8_t noise)
{
    unsigned octet = (noise & 0xf0u) | 0x0a;

    return (uint16_t)(octet << 8 | octet);
}

/* libssl sends them first, in this order, for all connections of the context: drawn anew for each context. */
static int add_extras(struct gh_tls_ctx *c, const struct shape *s, bool quic)
{
    const struct extension *more = quic ? s->more_quic : s->more;
    const size_t cap = sizeof s->more / sizeof *s->more;
    size_t count = 0, order[sizeof s->more / sizeof *s->more];
    uint8_t noise[8];
    int rc = gh_random_bytes(noise, sizeof noise);

    while (rc == 0 && count < cap && more[count].type) { /* shuffled as browsers do it */
        size_t at = noise[count] % (count + 1);

        order[count] = order[at];
        order[at] = count++;
    }
    if (noise[6] >> 4 == noise[7] >> 4)
        noise[7] ^= 0x10;
    if (rc == 0 && s->grease && !quic)
        rc = register_extra(c, grease_value(noise[6]), IN_HELLO, gh_span_of(NULL, 0));
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct extension *e = &more[order[i]];

        rc = register_extra(c, e->type, e->where, gh_span_of(e->bytes, e->len));
    }
    if (rc == 0 && s->grease && !quic)
        rc = register_extra(c, grease_value(noise[7]), IN_HELLO, gh_span_of("", 1));
    return rc;
}

/* ---- versions ---- */

static int security(const SSL *ssl, const SSL_CTX *ctx, int op, int bits, int nid, void *other, void *arg)
{
    const struct gh_tls_ctx *c = arg; /* a client's with a shape */
    struct tls_owner *o = ssl ? SSL_get_app_data(ssl) : NULL;

    if (o && o->veil == TLS_VEIL_INNER && op == SSL_SECOP_SIGALG_SUPPORTED)
        o->veil = TLS_VEIL_VERSIONS;
    if (o && o->veil == TLS_VEIL_VERSIONS && op == SSL_SECOP_VERSION && nid < TLS1_3_VERSION)
        return 0;
    if (op == SSL_SECOP_SIGALG_SUPPORTED)
        return 1; /* of <sigalgs>, SHA-1 alone would not do; whether one is taken is another question */
    return c->security(ssl, ctx, op, bits, nid, other, arg);
}

static int before_outer(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_len, SSL_SESSION **ret)
{
    struct tls_owner *o = SSL_get_app_data(ssl);

    (void)md;
    if (o->veil == TLS_VEIL_VERSIONS)
        o->veil = TLS_VEIL_OUTER;
    *id = NULL;
    *id_len = 0;
    *ret = NULL; /* there is no such PSK */
    return 1;
}

/* ---- a context, a connection ---- */

/* Keys that a browser has no algorithm for: better seen than not connected. */
static const char *odd_algorithm(X509 *leaf)
{
    EVP_PKEY *key = leaf ? X509_get0_pubkey(leaf) : NULL;

    if (!key)
        return NULL;
    if (EVP_PKEY_is_a(key, "ED25519"))
        return "ed25519";
    if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) == 521)
        return "ecdsa_secp521r1_sha512";
    return NULL;
}

static int set_sigalgs(struct gh_tls_ctx *c, const char *sigalgs)
{
    STACK_OF(X509) *authorities = X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(c->ssl));
    const char *odd = odd_algorithm(c->main.leaf);
    char list[512];
    int rc;

    if (!authorities)
        return GH_ERR_MEMORY;
    for (int i = 0; !odd && i < sk_X509_num(authorities); i++) /* who has such a CA has such relays, too */
        odd = odd_algorithm(sk_X509_value(authorities, i));
    sk_X509_pop_free(authorities, X509_free);
    if (odd && strstr(sigalgs, odd))
        odd = NULL;
    rc = snprintf(list, sizeof list, "%s%s%s", sigalgs, odd ? ":" : "", odd ? odd : "");
    if (rc < 0 || (size_t)rc >= sizeof list)
        return GH_ERR_RANGE;
    return SSL_CTX_set1_sigalgs_list(c->ssl, list) == 1 ? 0 : GH_ERR_CRYPTO;
}

int tls_shape_use(struct gh_tls_ctx *c, enum gh_tls_shape shape)
{
    const struct shape *s = &shapes[shape];
    bool quic = c->alpn_len >= 3 && memcmp(c->alpn, "\2h3", 3) == 0;

    c->shaped = true;
    c->security = SSL_CTX_get_security_callback(c->ssl);
    SSL_CTX_set_security_callback(c->ssl, security);
    SSL_CTX_set0_security_ex_data(c->ssl, c);
    SSL_CTX_set_options(c->ssl, SSL_OP_NO_ENCRYPT_THEN_MAC | SSL_OP_ECH_GREASE);
    if (quic) /* nothing of TLS 1.2 (RFC 9001, section 4.2) */
        SSL_CTX_set_options(c->ssl, SSL_OP_NO_TICKET | (s->ems_quic ? 0 : SSL_OP_NO_EXTENDED_MASTER_SECRET));
    else
        tls_pin_use(c); /* no TLS 1.2 */
    if (SSL_CTX_set_min_proto_version(c->ssl, quic ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 || SSL_CTX_set_ciphersuites(c->ssl, s->suites) != 1 ||
        SSL_CTX_set_cipher_list(c->ssl, s->ciphers) != 1 || SSL_CTX_set1_groups_list(c->ssl, quic ? s->groups_quic : s->groups) != 1 ||
        set_sigalgs(c, s->sigalgs) < 0)
        return GH_ERR_CRYPTO;
    return add_extras(c, s, quic);
}

int tls_shape_ssl(SSL *ssl)
{
    return SSL_ech_set1_grease_suite(ssl, "x25519,hkdf-sha256,aes-128-gcm") == 1 ? 0 : GH_ERR_CRYPTO;
}

void tls_shape_veil(SSL *ssl)
{
    struct tls_owner *o = SSL_get_app_data(ssl);

    o->veil = TLS_VEIL_INNER;
    SSL_set_psk_use_session_callback(ssl, before_outer);
}
