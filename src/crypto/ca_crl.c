/* The revocation list that the CA signs (RFC 5280, section 5). */
#include <stdbool.h>
#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/error.h"
#include "crypto/ca_internal.h"
#include "crypto/crl.h"

static bool set_serial(X509_REVOKED *r, const char *hex)
{
    BIGNUM *n = NULL;
    ASN1_INTEGER *serial = BN_hex2bn(&n, hex) == (int)strlen(hex) ? BN_to_ASN1_INTEGER(n, NULL) : NULL;
    bool ok = serial && X509_REVOKED_set_serialNumber(r, serial);

    ASN1_INTEGER_free(serial);
    BN_free(n);
    return ok;
}

static bool set_reason(X509_REVOKED *r, unsigned reason)
{
    ASN1_ENUMERATED *e;
    bool ok;

    if (reason == GH_CRL_UNSPECIFIED) /* RFC 5280, section 5.3.1: absent rather than unspecified */
        return true;
    e = ASN1_ENUMERATED_new();
    ok = e && ASN1_ENUMERATED_set(e, (long)reason) && X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, e, 0, 0) > 0;
    ASN1_ENUMERATED_free(e);
    return ok;
}

static bool add_entry(X509_CRL *crl, const struct gh_ca_revoked *from)
{
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_TIME *when = ASN1_TIME_set(NULL, (time_t)from->when);
    bool ok = r && when && X509_REVOKED_set_revocationDate(r, when) && set_serial(r, from->serial) && set_reason(r, from->reason) &&
              X509_CRL_add0_revoked(crl, r);

    if (!ok)
        X509_REVOKED_free(r);
    ASN1_TIME_free(when);
    return ok;
}

static bool set_times(X509_CRL *crl, int64_t from, int64_t to)
{
    ASN1_TIME *t = ASN1_TIME_new();
    bool ok = t && ASN1_TIME_set(t, (time_t)from) && X509_CRL_set1_lastUpdate(crl, t) && ASN1_TIME_set(t, (time_t)to) &&
              X509_CRL_set1_nextUpdate(crl, t);

    ASN1_TIME_free(t);
    return ok;
}

static bool add_number(X509_CRL *crl, uint64_t number)
{
    ASN1_INTEGER *n = ASN1_INTEGER_new();
    bool ok = n && ASN1_INTEGER_set_uint64(n, number) && X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, 0) > 0;

    ASN1_INTEGER_free(n);
    return ok;
}

static bool add_authority(X509_CRL *crl, X509 *issuer)
{
    X509_EXTENSION *ext;
    X509V3_CTX ctx;
    bool ok;

    X509V3_set_ctx(&ctx, issuer, NULL, NULL, crl, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
    ok = ext && X509_CRL_add_ext(crl, ext, -1);
    X509_EXTENSION_free(ext);
    return ok;
}

static X509_CRL *make(const struct gh_ca *ca, const struct gh_ca_crl_request *req, int64_t next)
{
    X509_CRL *crl = X509_CRL_new();
    int64_t from = req->now - CA_SKEW > ca->not_before ? req->now - CA_SKEW : ca->not_before;
    bool ok = crl && X509_CRL_set_version(crl, X509_CRL_VERSION_2) && X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert)) &&
              set_times(crl, from, next) && add_number(crl, req->number) && add_authority(crl, ca->cert);

    for (size_t i = 0; ok && i < req->count; i++)
        ok = add_entry(crl, &req->list[i]);
    ok = ok && X509_CRL_sort(crl) && X509_CRL_sign(crl, ca->key, EVP_PKEY_is_a(ca->key, "ED25519") ? NULL : EVP_sha256()) > 0;
    if (ok)
        return crl;
    X509_CRL_free(crl);
    return NULL;
}

int gh_ca_crl(const struct gh_ca *ca, const struct gh_ca_crl_request *req, struct gh_pem *ret, int64_t *ret_next_update,
              char ret_why[GH_CA_WHY])
{
    int64_t next = req->now + (int64_t)req->days * CA_DAY;
    X509_CRL *crl;
    BIO *out;
    int rc;

    if (req->days == 0 || req->days > GH_CA_CRL_DAYS_MAX)
        return ca_refuse(GH_ERR_RANGE, ret_why, "a revocation list lives 1 to %u days", GH_CA_CRL_DAYS_MAX);
    if (req->now < ca->not_before || req->now > ca->not_after)
        return ca_refuse(GH_ERR_RANGE, ret_why, "the CA is not valid now: check this machine's clock");
    crl = make(ca, req, next);
    out = crl ? BIO_new(BIO_s_mem()) : NULL;
    if (!out || !PEM_write_bio_X509_CRL(out, crl))
        rc = ca_refuse_crypto(ret_why, "the revocation list could not be made");
    else
        rc = ca_pem_of(out, ret);
    if (rc == 0)
        *ret_next_update = next;
    BIO_free(out);
    X509_CRL_free(crl);
    ERR_clear_error();
    return rc;
}
