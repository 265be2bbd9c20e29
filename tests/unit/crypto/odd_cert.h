/* tests/unit/crypto/odd_cert.h - certificates as others make them, straight from the library, sound or not */
#ifndef GH_TEST_ODD_CERT_H
#define GH_TEST_ODD_CERT_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/cert.h"

struct odd_cert {
    const char *cn[3]; /* as many as are set */
    const char *san;   /* in the words of OpenSSL's configuration; NULL: none */
    const char *eku;
    const char *basic; /* NULL: "critical,CA:FALSE" */
    int san_twice;
};

static void odd_ext(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e;
    X509V3_CTX ctx;

    if (!value)
        return;
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* As DER; the caller frees it with OPENSSL_free. Valid from 2001-09-09 01:46:40 to 2033-05-18 03:33:20. */
static struct gh_span odd_der(const struct odd_cert *from)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *x = X509_new();
    X509_NAME *name = X509_NAME_new();
    unsigned char *der = NULL;
    int len;

    assert_true(key && x && name);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 0xabcdef);
    ASN1_TIME *t = ASN1_TIME_set(NULL, 1000000000);
    X509_set1_notBefore(x, t);
    ASN1_TIME_free(t);
    t = ASN1_TIME_set(NULL, 2000000000);
    X509_set1_notAfter(x, t);
    ASN1_TIME_free(t);
    for (int i = 0; i < 3 && from->cn[i]; i++)
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)from->cn[i], -1, -1, 0);
    X509_set_subject_name(x, name);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, key);
    odd_ext(x, NID_basic_constraints, from->basic ? from->basic : "critical,CA:FALSE");
    odd_ext(x, NID_ext_key_usage, from->eku);
    odd_ext(x, NID_subject_alt_name, from->san);
    if (from->san_twice)
        odd_ext(x, NID_subject_alt_name, from->san);
    assert_true(X509_sign(x, key, NULL) > 0);
    len = i2d_X509(x, &der);
    assert_true(len > 0);
    X509_NAME_free(name);
    X509_free(x);
    EVP_PKEY_free(key);
    return gh_span_of(der, (size_t)len);
}

static struct gh_cert *odd_cert(const struct odd_cert *from)
{
    struct gh_span der = odd_der(from);
    struct gh_cert *c = NULL;

    assert_int_equal(gh_cert_parse_der(der, &c), 0);
    OPENSSL_free((void *)der.data);
    return c;
}

#endif
