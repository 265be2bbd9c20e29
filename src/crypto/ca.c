#include "crypto/ca.h"

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/error.h"
#include "crypto/ca_internal.h"

#define CN_MAX 64u /* RFC 5280, appendix A.1: ub-common-name */

int ca_refuse(int rc, char why[GH_CA_WHY], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, GH_CA_WHY, format, args);
    va_end(args);
    return rc;
}

int ca_refuse_crypto(char why[GH_CA_WHY], const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    ca_refuse(0, why, "%s: %s", what, reason ? reason : "unknown reason");
    ERR_clear_error();
    return GH_ERR_CRYPTO;
}

void gh_pem_fini(struct gh_pem *p)
{
    if (p->text)
        OPENSSL_cleanse(p->text, p->len);
    free(p->text);
    *p = (struct gh_pem){ 0 };
}

void gh_leaf_fini(struct gh_leaf *l)
{
    gh_pem_fini(&l->cert);
    gh_pem_fini(&l->key);
}

int gh_ca_key_parse(struct gh_span text, enum gh_ca_key *ret)
{
    if (gh_span_equals(text, gh_span_str("ed25519")))
        *ret = GH_CA_ED25519;
    else if (gh_span_equals(text, gh_span_str("p256")))
        *ret = GH_CA_P256;
    else
        return GH_ERR_NOT_FOUND;
    return 0;
}

static bool label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

int gh_ca_dns_check(const char *name)
{
    size_t len = strlen(name);
    const char *at = strncmp(name, "*.", 2) == 0 ? name + 2 : name;

    if (len == 0 || len > 253)
        return GH_ERR_RANGE;
    for (;;) {
        size_t label = strcspn(at, ".");

        if (label == 0 || label > 63 || at[0] == '-' || at[label - 1] == '-')
            return GH_ERR_RANGE;
        for (size_t i = 0; i < label; i++)
            if (!label_char(at[i]))
                return GH_ERR_RANGE;
        if (at[label] == 0)
            return 0;
        at += label + 1;
    }
}

static EVP_PKEY *make_key(enum gh_ca_key kind)
{
    return kind == GH_CA_P256 ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256") : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

int ca_pem_of(BIO *bio, struct gh_pem *ret)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    char *text = len > 0 ? malloc((size_t)len) : NULL;

    if (!text)
        return GH_ERR_MEMORY;
    memcpy(text, data, (size_t)len);
    *ret = (struct gh_pem){ text, (size_t)len };
    return 0;
}

/* Without <key> the certificate alone. */
static int emit_pems(X509 *cert, EVP_PKEY *key, struct gh_pem *ret_cert, struct gh_pem *ret_key)
{
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_secmem()); /* secmem: wiped when freed */
    struct gh_pem cert_pem = { 0 }, key_pem = { 0 };
    int rc = GH_ERR_CRYPTO;

    if (!c || !k || !PEM_write_bio_X509(c, cert) || (key && !PEM_write_bio_PKCS8PrivateKey(k, key, NULL, NULL, 0, NULL, NULL)))
        goto out;
    rc = ca_pem_of(c, &cert_pem);
    if (rc == 0 && key)
        rc = ca_pem_of(k, &key_pem);
    if (rc < 0) {
        gh_pem_fini(&cert_pem);
        goto out;
    }
    *ret_cert = cert_pem;
    *ret_key = key_pem;
out:
    BIO_free(c);
    BIO_free(k);
    ERR_clear_error();
    return rc;
}

static bool set_serial(X509 *x)
{
    BIGNUM *n = BN_new();
    bool ok = n && BN_rand(n, 128, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) && !BN_is_zero(n) &&
              BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));

    BN_free(n);
    return ok;
}

static bool set_times(X509 *x, int64_t from, int64_t to)
{
    ASN1_TIME *t = ASN1_TIME_new();
    bool ok = t && ASN1_TIME_set(t, (time_t)from) && X509_set1_notBefore(x, t) && ASN1_TIME_set(t, (time_t)to) &&
              X509_set1_notAfter(x, t);

    ASN1_TIME_free(t);
    return ok;
}

static bool set_subject(X509 *x, const char *cn)
{
    X509_NAME *name = X509_NAME_new();
    bool ok = name && X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"Gatehouse", -1, -1, 0);

    if (ok && strlen(cn) <= CN_MAX) /* a longer NAME stands in the SAN alone */
        ok = X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
    ok = ok && X509_set_subject_name(x, name);
    X509_NAME_free(name);
    return ok;
}

bool ca_add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *ext;
    X509V3_CTX ctx;
    bool ok;

    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = ext && X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
    return ok;
}

bool ca_add_name(GENERAL_NAMES *names, int type, const void *data, size_t len)
{
    ASN1_STRING *s = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    GENERAL_NAME *name = GENERAL_NAME_new();

    if (!s || !name || !ASN1_STRING_set(s, data, (int)len)) {
        ASN1_STRING_free(s);
        GENERAL_NAME_free(name);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, s);
    if (sk_GENERAL_NAME_push(names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

/* <leaf> NULL: the CA's own name. */
static bool add_san(X509 *x, const char *trust_domain, const struct gh_leaf_request *leaf)
{
    char uri[512];
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool ok;

    if (leaf)
        snprintf(uri, sizeof uri, "spiffe://%s/%s/%s", trust_domain, gh_role_name(leaf->role), leaf->name);
    else
        snprintf(uri, sizeof uri, "spiffe://%s", trust_domain);
    ok = names && ca_add_name(names, GEN_URI, uri, strlen(uri));
    for (size_t i = 0; ok && leaf && i < leaf->dns_count; i++)
        ok = ca_add_name(names, GEN_DNS, leaf->dns[i], strlen(leaf->dns[i]));
    for (size_t i = 0; ok && leaf && i < leaf->addr_count; i++)
        ok = ca_add_name(names, GEN_IPADD, leaf->addrs[i].bytes, gh_ip_len(&leaf->addrs[i]));
    ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) > 0;
    GENERAL_NAMES_free(names);
    return ok;
}

static bool sign(X509 *x, EVP_PKEY *key)
{
    return X509_sign(x, key, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256()) > 0;
}

/* What CA and leaf have in common. NULL with the library's error set. */
X509 *ca_begin(EVP_PKEY *key, int64_t from, int64_t to)
{
    X509 *x = X509_new();

    if (x && X509_set_version(x, X509_VERSION_3) && set_serial(x) && set_times(x, from, to) && X509_set_pubkey(x, key))
        return x;
    X509_free(x);
    return NULL;
}

static X509 *begin(EVP_PKEY *key, const char *cn, int64_t from, int64_t to)
{
    X509 *x = ca_begin(key, from, to);

    if (x && set_subject(x, cn))
        return x;
    X509_free(x);
    return NULL;
}

int gh_ca_create(const struct gh_ca_request *req, struct gh_ca **ret, char ret_why[GH_CA_WHY])
{
    struct gh_ca *ca = NULL;
    char cn[CN_MAX + 1];
    int rc = 0;

    if (!gh_identity_domain_valid(gh_span_str(req->trust_domain)))
        return ca_refuse(GH_ERR_RANGE, ret_why, "trust domain \"%.100s\" is not 1 to 255 of a-z 0-9 . _ -", req->trust_domain);
    ca = calloc(1, sizeof *ca);
    if (!ca)
        return ca_refuse(GH_ERR_MEMORY, ret_why, "out of memory");
    snprintf(ca->trust_domain, sizeof ca->trust_domain, "%s", req->trust_domain);
    snprintf(cn, sizeof cn, "%.60s CA", req->trust_domain);
    ca->not_before = req->now - CA_SKEW;
    ca->not_after = req->now + (int64_t)GH_CA_YEARS * 365 * CA_DAY;
    ca->key = make_key(req->key);
    ca->cert = ca->key ? begin(ca->key, cn, ca->not_before, ca->not_after) : NULL;
    if (!ca->cert || !X509_set_issuer_name(ca->cert, X509_get_subject_name(ca->cert)) ||
        !ca_add_ext(ca->cert, ca->cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !ca_add_ext(ca->cert, ca->cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !ca_add_ext(ca->cert, ca->cert, NID_subject_key_identifier, "hash") ||
        !ca_add_ext(ca->cert, ca->cert, NID_authority_key_identifier, "keyid:always") ||
        !add_san(ca->cert, ca->trust_domain, NULL) || !sign(ca->cert, ca->key))
        rc = ca_refuse_crypto(ret_why, "the CA's certificate could not be made");
    if (rc == 0) {
        *ret = ca;
        ca = NULL;
    }
    gh_ca_destroy(ca);
    return rc;
}

void gh_ca_destroy(struct gh_ca *ca)
{
    if (!ca)
        return;
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key);
    free(ca);
}

static EVP_PKEY *read_key(struct gh_span pem)
{
    BIO *in = pem.len > 0 && pem.len <= INT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
    /* The empty password keeps the library from asking a terminal for one. */
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, (void *)"") : NULL;

    BIO_free(in);
    return key;
}

static X509 *read_cert(struct gh_span pem)
{
    BIO *in = pem.len > 0 && pem.len <= INT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
    X509 *x = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;

    BIO_free(in);
    return x;
}

static void take_domain(void *arg, enum gh_cert_name kind, struct gh_span value)
{
    struct gh_ca *ca = arg;
    struct gh_span domain;

    if (kind != GH_CERT_URI || value.len <= 9 || memcmp(value.data, "spiffe://", 9) != 0)
        return;
    domain = gh_span_of(value.data + 9, value.len - 9);
    if (!gh_identity_domain_valid(domain))
        return;
    memcpy(ca->trust_domain, domain.data, domain.len);
    ca->trust_domain[domain.len] = 0;
}

static int check_loaded(struct gh_ca *ca, char why[GH_CA_WHY])
{
    struct gh_cert *c;
    bool is_ca;

    if (!ca->cert)
        return ca_refuse(GH_ERR_MALFORMED, why, "the CA's certificate is not a PEM certificate");
    if (!ca->key)
        return ca_refuse(GH_ERR_MALFORMED, why, "the CA's key is not an unencrypted PEM private key");
    if (!X509_check_private_key(ca->cert, ca->key))
        return ca_refuse(GH_ERR_MALFORMED, why, "the CA's certificate and key do not belong together");
    c = gh_cert_of_x509(ca->cert);
    if (!c)
        return ca_refuse(GH_ERR_MEMORY, why, "out of memory");
    is_ca = gh_cert_is_ca(c);
    ca->not_before = gh_cert_not_before(c);
    ca->not_after = gh_cert_not_after(c);
    gh_cert_each_name(c, take_domain, ca);
    gh_cert_destroy(c);
    if (!is_ca)
        return ca_refuse(GH_ERR_MALFORMED, why, "the certificate is not a CA's");
    if (!ca->trust_domain[0])
        return ca_refuse(GH_ERR_MALFORMED, why, "the CA's certificate names no trust domain (SAN spiffe://TRUST_DOMAIN)");
    return 0;
}

int gh_ca_load(struct gh_span cert_pem, struct gh_span key_pem, struct gh_ca **ret, char ret_why[GH_CA_WHY])
{
    struct gh_ca *ca = calloc(1, sizeof *ca);
    int rc;

    if (!ca)
        return ca_refuse(GH_ERR_MEMORY, ret_why, "out of memory");
    ca->cert = read_cert(cert_pem);
    ca->key = read_key(key_pem);
    rc = check_loaded(ca, ret_why);
    ERR_clear_error();
    if (rc == 0) {
        *ret = ca;
        ca = NULL;
    }
    gh_ca_destroy(ca);
    return rc;
}

int gh_ca_emit(const struct gh_ca *ca, struct gh_pem *ret_cert, struct gh_pem *ret_key)
{
    return emit_pems(ca->cert, ca->key, ret_cert, ret_key);
}

const char *gh_ca_trust_domain(const struct gh_ca *ca)
{
    return ca->trust_domain;
}

static int check_request(const struct gh_ca *ca, const struct gh_leaf_request *req, char why[GH_CA_WHY])
{
    if ((unsigned)req->role >= GH_ROLE_COUNT)
        return ca_refuse(GH_ERR_RANGE, why, "no such role");
    if (!gh_identity_name_valid(gh_span_str(req->name)))
        return ca_refuse(GH_ERR_RANGE, why, "NAME \"%.140s\" is not 1 to 128 of A-Z a-z 0-9 . _ -", req->name);
    if (req->role != GH_ROLE_RELAY && (req->dns_count > 0 || req->addr_count > 0))
        return ca_refuse(GH_ERR_RANGE, why, "DNS names and addresses are for relays; an %s has its NAME", gh_role_name(req->role));
    if (req->dns_count > GH_CA_SANS_MAX || req->addr_count > GH_CA_SANS_MAX)
        return ca_refuse(GH_ERR_RANGE, why, "more than %u DNS names or addresses", GH_CA_SANS_MAX);
    for (size_t i = 0; i < req->dns_count; i++)
        if (gh_ca_dns_check(req->dns[i]) < 0)
            return ca_refuse(GH_ERR_RANGE, why, "\"%.140s\" is not a DNS name", req->dns[i]);
    if (req->days == 0)
        return ca_refuse(GH_ERR_RANGE, why, "days must be at least 1");
    if (req->now < ca->not_before)
        return ca_refuse(GH_ERR_RANGE, why, "the CA is not valid yet: check this machine's clock");
    if (req->now + (int64_t)req->days * CA_DAY > ca->not_after)
        return ca_refuse(GH_ERR_RANGE, why, "%u days are more than the CA has left (%lld)", req->days,
                      (long long)(ca->not_after > req->now ? (ca->not_after - req->now) / CA_DAY : 0));
    return 0;
}

static X509 *make_leaf(const struct gh_ca *ca, const struct gh_leaf_request *req, EVP_PKEY *key)
{
    int64_t from = req->now - CA_SKEW > ca->not_before ? req->now - CA_SKEW : ca->not_before;
    X509 *x = begin(key, req->name, from, req->now + (int64_t)req->days * CA_DAY);

    if (x && X509_set_issuer_name(x, X509_get_subject_name(ca->cert)) &&
        ca_add_ext(x, ca->cert, NID_basic_constraints, "critical,CA:FALSE") &&
        ca_add_ext(x, ca->cert, NID_key_usage, "critical,digitalSignature") &&
        ca_add_ext(x, ca->cert, NID_ext_key_usage, req->role == GH_ROLE_RELAY ? "serverAuth" : "clientAuth") &&
        ca_add_ext(x, ca->cert, NID_subject_key_identifier, "hash") &&
        ca_add_ext(x, ca->cert, NID_authority_key_identifier, "keyid:always") && add_san(x, ca->trust_domain, req) && sign(x, ca->key))
        return x;
    X509_free(x);
    return NULL;
}

static int describe(X509 *x, struct gh_leaf *ret)
{
    struct gh_cert *c = gh_cert_of_x509(x);
    int rc;

    if (!c)
        return GH_ERR_MEMORY;
    ret->not_before = gh_cert_not_before(c);
    ret->not_after = gh_cert_not_after(c);
    rc = gh_cert_serial(c, ret->serial);
    if (rc == 0)
        rc = gh_cert_spki_sha256(c, ret->spki_sha256);
    gh_cert_destroy(c);
    return rc;
}

int ca_finish(X509 *x, EVP_PKEY *key, struct gh_leaf *ret, char why[GH_CA_WHY])
{
    struct gh_leaf leaf = { 0 };
    int rc = describe(x, &leaf);

    if (rc == 0)
        rc = emit_pems(x, key, &leaf.cert, &leaf.key);
    if (rc < 0)
        return ca_refuse(rc, why, "the certificate could not be written: %s", gh_error_text(rc));
    *ret = leaf;
    return 0;
}

int gh_ca_issue(const struct gh_ca *ca, const struct gh_leaf_request *req, struct gh_leaf *ret, char ret_why[GH_CA_WHY])
{
    EVP_PKEY *key = NULL;
    X509 *x = NULL;
    int rc = check_request(ca, req, ret_why);

    if (rc < 0)
        return rc;
    key = make_key(req->key);
    x = key ? make_leaf(ca, req, key) : NULL;
    rc = x ? ca_finish(x, key, ret, ret_why) : ca_refuse_crypto(ret_why, "the certificate could not be made");
    X509_free(x);
    EVP_PKEY_free(key);
    return rc;
}

/* Renewal: what the new certificate takes from the old one. */

struct taken {
    struct gh_leaf_request req;
    struct gh_identity id;
    char dns[GH_CA_SANS_MAX][256];
    const char *dns_list[GH_CA_SANS_MAX];
    struct gh_ip addrs[GH_CA_SANS_MAX];
    bool too_many;
};

static void take_name(void *arg, enum gh_cert_name kind, struct gh_span value)
{
    struct taken *t = arg;

    if (kind == GH_CERT_DNS) {
        if (t->req.dns_count == GH_CA_SANS_MAX || value.len >= sizeof t->dns[0]) {
            t->too_many = true;
            return;
        }
        memcpy(t->dns[t->req.dns_count], value.data, value.len);
        t->dns_list[t->req.dns_count] = t->dns[t->req.dns_count];
        t->req.dns_count++;
    } else if (kind == GH_CERT_IP && (value.len == 4 || value.len == 16)) {
        struct gh_ip *ip = &t->addrs[t->req.addr_count];

        if (t->req.addr_count == GH_CA_SANS_MAX) {
            t->too_many = true;
            return;
        }
        ip->family = value.len == 4 ? 4 : 6;
        memcpy(ip->bytes, value.data, value.len);
        t->req.addr_count++;
    }
}

static int take_over(const struct gh_ca *ca, X509 *old, struct taken *t, char why[GH_CA_WHY])
{
    struct gh_identity_rules rules = { ca->trust_domain, { GH_IDENTITY_SAN_URI }, 1, (1u << GH_ROLE_COUNT) - 1 };
    char reason[GH_IDENTITY_WHY];
    struct gh_cert *c;
    int rc;

    if (X509_NAME_cmp(X509_get_issuer_name(old), X509_get_subject_name(ca->cert)) != 0 || X509_verify(old, ca->key) != 1)
        return ca_refuse(GH_ERR_DENIED, why, "the certificate is not one of this CA's");
    c = gh_cert_of_x509(old);
    if (!c)
        return ca_refuse(GH_ERR_MEMORY, why, "out of memory");
    rc = gh_identity_of_cert(c, &rules, &t->id, reason);
    if (rc < 0)
        ca_refuse(rc, why, "%.200s", reason);
    else
        rc = gh_cert_each_name(c, take_name, t);
    gh_cert_destroy(c);
    if (rc == 0 && t->too_many)
        rc = ca_refuse(GH_ERR_RANGE, why, "more than %u DNS names or addresses", GH_CA_SANS_MAX);
    t->req.role = t->id.role;
    t->req.name = t->id.name;
    t->req.dns = t->dns_list;
    t->req.addrs = t->addrs;
    return rc;
}

static enum gh_ca_key kind_of(const EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "EC") ? GH_CA_P256 : GH_CA_ED25519;
}

static int renew(const struct gh_ca *ca, const struct gh_ca_renewal *req, X509 *old, struct gh_leaf *ret, char why[GH_CA_WHY])
{
    struct taken *t = calloc(1, sizeof *t);
    EVP_PKEY *key = X509_get0_pubkey(old), *made = NULL;
    X509 *x = NULL;
    int rc = t ? take_over(ca, old, t, why) : ca_refuse(GH_ERR_MEMORY, why, "out of memory");

    if (rc == 0) {
        t->req.days = req->days;
        t->req.now = req->now;
        rc = check_request(ca, &t->req, why);
    }
    if (rc == 0 && req->new_key)
        key = made = make_key(req->key ? *req->key : kind_of(key));
    if (rc == 0) {
        x = key ? make_leaf(ca, &t->req, key) : NULL;
        rc = x ? ca_finish(x, made, ret, why) : ca_refuse_crypto(why, "the certificate could not be made");
    }
    X509_free(x);
    EVP_PKEY_free(made);
    free(t);
    return rc;
}

int gh_ca_renew(const struct gh_ca *ca, const struct gh_ca_renewal *req, struct gh_leaf *ret, char ret_why[GH_CA_WHY])
{
    X509 *old = read_cert(req->certificate);
    int rc;

    ERR_clear_error();
    rc = old ? renew(ca, req, old, ret, ret_why) : ca_refuse(GH_ERR_MALFORMED, ret_why, "it is not a PEM certificate");
    X509_free(old);
    return rc;
}
