#include "crypto/self_signed.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/error.h"
#include "crypto/ca_internal.h"

#define CN_MAX 64u /* RFC 5280, appendix A.1: ub-common-name */

static bool set_names(X509 *x, const char *name)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    X509_NAME *subject = X509_NAME_new();
    struct gh_ip ip = { 0 };
    bool is_ip = gh_ip_parse(name, strlen(name), &ip) == 0;
    bool ok = names && subject;

    ok = ok && (is_ip ? ca_add_name(names, GEN_IPADD, ip.bytes, gh_ip_len(&ip)) : ca_add_name(names, GEN_DNS, name, strlen(name)));
    ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) > 0;
    if (ok && strlen(name) <= CN_MAX) /* a longer one stands in the SAN alone */
        ok = X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) == 1;
    ok = ok && X509_set_subject_name(x, subject) && X509_set_issuer_name(x, subject);
    GENERAL_NAMES_free(names);
    X509_NAME_free(subject);
    return ok;
}

int gh_self_signed_create(const char *name, int64_t now, struct gh_leaf *ret, char ret_why[GH_CA_WHY])
{
    EVP_PKEY *key = NULL;
    X509 *x = NULL;
    struct gh_ip ip;
    int rc;

    if (gh_ip_parse(name, strlen(name), &ip) < 0 && gh_ca_dns_check(name) < 0)
        return ca_refuse(GH_ERR_RANGE, ret_why, "\"%.140s\" is neither a DNS name nor an address", name);
    key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    x = key ? ca_begin(key, now - CA_SKEW, now + (int64_t)GH_SELF_SIGNED_YEARS * 365 * CA_DAY) : NULL;
    if (x && set_names(x, name) && ca_add_ext(x, x, NID_basic_constraints, "critical,CA:FALSE") &&
        ca_add_ext(x, x, NID_key_usage, "critical,digitalSignature") && ca_add_ext(x, x, NID_ext_key_usage, "serverAuth") &&
        ca_add_ext(x, x, NID_subject_key_identifier, "hash") && X509_sign(x, key, EVP_sha256()) > 0)
        rc = ca_finish(x, key, ret, ret_why);
    else
        rc = ca_refuse_crypto(ret_why, "the certificate could not be made");
    X509_free(x);
    EVP_PKEY_free(key);
    return rc;
}
