/* What handshakes of QUIC and of byte streams have in common. */
#include <openssl/ech.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "crypto/ech.h"
#include "crypto/ech_internal.h"
#include "crypto/tls_internal.h"

int tls_ssl_set_server_name(SSL *ssl, const char *name)
{
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);

    if (ip) {
        ASN1_OCTET_STRING_free(ip); /* RFC 6066: an address is no SNI */
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1 ? 0 : GH_ERR_CRYPTO;
    }
    ERR_clear_error();
    if (SSL_set_tlsext_host_name(ssl, name) != 1 || SSL_set1_dnsname(ssl, name) != 1)
        return GH_ERR_CRYPTO;
    return 0;
}

int tls_ssl_set_certificate_name(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *want = SSL_get0_param(ssl);
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);
    int rc;

    ERR_clear_error();
    if (ip)
        rc = X509_VERIFY_PARAM_set1_host(want, NULL, 0) == 1 && X509_VERIFY_PARAM_set1_ip_asc(want, name) == 1;
    else
        rc = X509_VERIFY_PARAM_set1_ip(want, NULL, 0) == 1 && X509_VERIFY_PARAM_set1_host(want, *name ? name : NULL, 0) == 1;
    ASN1_OCTET_STRING_free(ip);
    return rc ? 0 : GH_ERR_CRYPTO;
}

int tls_ssl_set_ech(SSL *ssl, struct gh_span list)
{
    char name[GH_ECH_PUBLIC_NAME_MAX + 1];
    int rc;

    if (list.len == 0) {
        SSL_set_options(ssl, SSL_OP_ECH_GREASE);
        return 0;
    }
    rc = gh_ech_list_public_name(list, name);
    if (rc == 0 && SSL_set1_ech_config_list(ssl, list.data, list.len) != 1)
        rc = GH_ERR_MALFORMED;
    ERR_clear_error();
    if (rc == 0 && SSL_get_min_proto_version(ssl) < TLS1_3_VERSION)
        tls_shape_veil(ssl);
    return rc;
}

enum gh_tls_ech tls_ssl_ech(SSL *ssl)
{
    char *inner = NULL, *outer = NULL;
    int status = SSL_ech_get1_status(ssl, &inner, &outer);

    OPENSSL_free(inner);
    OPENSSL_free(outer);
    ERR_clear_error();
    switch (status) {
    case SSL_ECH_STATUS_SUCCESS:
    case SSL_ECH_STATUS_BAD_NAME: /* it was opened; what is wrong with the peer's certificate is said elsewhere */
        return GH_TLS_ECH_ACCEPTED;
    case SSL_ECH_STATUS_FAILED:
    case SSL_ECH_STATUS_FAILED_ECH:
    case SSL_ECH_STATUS_FAILED_ECH_BAD_NAME:
        return SSL_is_server(ssl) ? GH_TLS_ECH_NONE : GH_TLS_ECH_REJECTED;
    default:
        return GH_TLS_ECH_NONE;
    }
}

/* Section 6.1.6: only a server that proved to be the one of the public name is believed. */
int tls_ssl_ech_retry(SSL *ssl, uint8_t **ret, size_t *ret_len)
{
    char *inner = NULL, *outer = NULL;
    unsigned char *list = NULL;
    size_t len = 0;
    int rc = GH_ERR_NOT_FOUND;

    if (SSL_ech_get1_status(ssl, &inner, &outer) == SSL_ECH_STATUS_FAILED_ECH && SSL_ech_get1_retry_config(ssl, &list, &len) == 1 && len > 0) {
        uint8_t *copy = malloc(len);

        rc = copy ? 0 : GH_ERR_MEMORY;
        if (copy) {
            memcpy(copy, list, len);
            *ret = copy;
            *ret_len = len;
        }
    }
    OPENSSL_free(list);
    OPENSSL_free(inner);
    OPENSSL_free(outer);
    ERR_clear_error();
    return rc;
}

X509 *tls_ssl_believed(SSL *ssl)
{
    return SSL_get_verify_result(ssl) == X509_V_OK ? SSL_get0_peer_certificate(ssl) : NULL;
}

int tls_ssl_peer_certificate(SSL *ssl, struct gh_cert **ret)
{
    X509 *cert = tls_ssl_believed(ssl);

    if (!cert)
        return GH_ERR_NOT_FOUND;
    *ret = gh_cert_of_x509(cert);
    return *ret ? 0 : GH_ERR_MEMORY;
}

const char *tls_ssl_verify_error(const SSL *ssl)
{
    long v = SSL_get_verify_result(ssl);

    switch (v) {
    case X509_V_OK:
        return "";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "certificate is not yet valid, or our clock is behind";
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "certificate has expired, or our clock is ahead";
    case X509_V_ERR_UNSPECIFIED:
        return SSL_version(ssl) < TLS1_3_VERSION ? "the server does not speak TLS 1.3" : X509_verify_cert_error_string(v);
    case X509_V_ERR_APPLICATION_VERIFICATION:
        return "the key is none of those that are pinned";
    default:
        return X509_verify_cert_error_string(v);
    }
}

int gh_tls_ctx_set_ech(struct gh_tls_ctx *c, const struct gh_ech_keys *keys, int64_t wall)
{
    OSSL_ECHSTORE *store = NULL;
    bool same_id = false;
    int rc = ech_keys_store(keys, wall, &store, &same_id);

    if (rc < 0)
        return rc;
    if (SSL_CTX_set1_echstore(c->ssl, store) != 1)
        rc = GH_ERR_CRYPTO;
    if (same_id) /* else it would ask one of them alone; without, only 1 of 256 GREASE hellos costs a decapsulation */
        SSL_CTX_set_options(c->ssl, SSL_OP_ECH_TRIALDECRYPT);
    OSSL_ECHSTORE_free(store);
    return rc;
}
