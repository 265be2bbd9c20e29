#include "crypto/cert.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/error.h"

struct gh_cert {
    X509 *x;
};

/* Takes <x> over. */
static int wrap(X509 *x, struct gh_cert **ret)
{
    struct gh_cert *c = malloc(sizeof *c);

    if (!c) {
        X509_free(x);
        return GH_ERR_MEMORY;
    }
    c->x = x;
    *ret = c;
    return 0;
}

int gh_cert_parse_der(struct gh_span der, struct gh_cert **ret)
{
    const unsigned char *at = der.data;
    X509 *x;

    if (der.len == 0 || der.len > LONG_MAX)
        return GH_ERR_MALFORMED;
    x = d2i_X509(NULL, &at, (long)der.len);
    ERR_clear_error();
    if (!x || at != der.data + der.len) {
        X509_free(x);
        return GH_ERR_MALFORMED;
    }
    return wrap(x, ret);
}

int gh_cert_parse_pem(struct gh_span pem, struct gh_cert **ret)
{
    BIO *in;
    X509 *x;

    if (pem.len == 0 || pem.len > INT_MAX)
        return GH_ERR_MALFORMED;
    in = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (!in)
        return GH_ERR_MEMORY;
    x = PEM_read_bio_X509(in, NULL, NULL, NULL);
    ERR_clear_error();
    BIO_free(in);
    return x ? wrap(x, ret) : GH_ERR_MALFORMED;
}

struct gh_cert *gh_cert_of_x509(const void *x509)
{
    struct gh_cert *c = NULL;
    X509 *x = (X509 *)x509;

    if (!X509_up_ref(x) || wrap(x, &c) < 0)
        return NULL;
    return c;
}

void gh_cert_destroy(struct gh_cert *c)
{
    if (!c)
        return;
    X509_free(c->x);
    free(c);
}

static int64_t seconds(const ASN1_TIME *t)
{
    struct tm tm;

    return t && ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) : 0;
}

int64_t gh_cert_not_before(const struct gh_cert *c)
{
    return seconds(X509_get0_notBefore(c->x));
}

int64_t gh_cert_not_after(const struct gh_cert *c)
{
    return seconds(X509_get0_notAfter(c->x));
}

int gh_cert_serial(const struct gh_cert *c, char ret[GH_CERT_SERIAL_TEXT])
{
    BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(c->x), NULL);
    char *hex = n ? BN_bn2hex(n) : NULL;
    int rc = GH_ERR_MEMORY;

    if (hex) {
        size_t len = strlen(hex);

        rc = len < GH_CERT_SERIAL_TEXT ? 0 : GH_ERR_TOO_LONG;
        if (rc == 0)
            memcpy(ret, hex, len + 1);
    }
    OPENSSL_free(hex);
    BN_free(n);
    return rc;
}

int gh_cert_spki_sha256(const struct gh_cert *c, uint8_t ret[32])
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(c->x), &der);
    int rc = GH_ERR_CRYPTO;

    if (len > 0 && EVP_Digest(der, (size_t)len, ret, NULL, EVP_sha256(), NULL))
        rc = 0;
    OPENSSL_free(der);
    ERR_clear_error();
    return rc;
}

bool gh_cert_is_ca(const struct gh_cert *c)
{
    bool ca = X509_check_ca(c->x) != 0;

    ERR_clear_error();
    return ca;
}

int gh_cert_usages(const struct gh_cert *c)
{
    int found = -1, set = 0;
    EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(c->x, NID_ext_key_usage, &found, NULL);

    ERR_clear_error();
    if (!eku)
        return found == -1 ? 0 : GH_ERR_MALFORMED; /* present more than once, or not DER */
    for (int i = 0; i < sk_ASN1_OBJECT_num(eku); i++) {
        int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(eku, i));

        if (nid == NID_client_auth)
            set |= (int)GH_CERT_CLIENT_AUTH;
        else if (nid == NID_server_auth)
            set |= (int)GH_CERT_SERVER_AUTH;
    }
    EXTENDED_KEY_USAGE_free(eku);
    return set;
}

static void san_name(const GENERAL_NAME *name, gh_cert_name_fn fn, void *arg)
{
    int type;
    const ASN1_STRING *s = GENERAL_NAME_get0_value(name, &type);
    struct gh_span value;

    if (type != GEN_URI && type != GEN_DNS && type != GEN_IPADD)
        return;
    value = gh_span_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
    fn(arg, type == GEN_URI ? GH_CERT_URI : type == GEN_DNS ? GH_CERT_DNS : GH_CERT_IP, value);
}

static int each_cn(const X509 *x, gh_cert_name_fn fn, void *arg)
{
    const X509_NAME *subject = X509_get_subject_name(x);

    for (int at = -1;;) {
        unsigned char *utf8 = NULL;
        int len;

        at = X509_NAME_get_index_by_NID(subject, NID_commonName, at);
        if (at < 0)
            return 0;
        len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
        if (len < 0) {
            ERR_clear_error();
            return GH_ERR_MALFORMED;
        }
        fn(arg, GH_CERT_CN, gh_span_of(utf8, (size_t)len));
        OPENSSL_free(utf8);
    }
}

int gh_cert_each_name(const struct gh_cert *c, gh_cert_name_fn fn, void *arg)
{
    int found = -1;
    GENERAL_NAMES *san = X509_get_ext_d2i(c->x, NID_subject_alt_name, &found, NULL);

    ERR_clear_error();
    if (!san && found != -1)
        return GH_ERR_MALFORMED;
    for (int i = 0; i < sk_GENERAL_NAME_num(san); i++) /* -1 without a SAN */
        san_name(sk_GENERAL_NAME_value(san, i), fn, arg);
    GENERAL_NAMES_free(san);
    return each_cn(c->x, fn, arg);
}

int gh_cert_id_of(const struct gh_cert *c, struct gh_cert_id *ret)
{
    struct gh_cert_id id = { 0 };
    int ok = 0, rc = gh_cert_serial(c, id.serial);

    id.issuer = (uint32_t)X509_NAME_hash_ex(X509_get_issuer_name(c->x), NULL, NULL, &ok);
    if (rc == 0)
        rc = ok ? gh_cert_spki_sha256(c, id.spki_sha256) : GH_ERR_CRYPTO;
    ERR_clear_error();
    if (rc == 0)
        *ret = id;
    return rc;
}
