#include "crypto/crl.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/error.h"

struct entry {
    int64_t when;
    uint32_t issuer;
    uint32_t reason;
    char serial[GH_CERT_SERIAL_TEXT];
};

struct gh_crl_set {
    struct entry *entries; /* in order, so that they can be searched */
    size_t count, cap;
    int64_t next_update;
    uint64_t number;
};

static const struct {
    unsigned number;
    const char *name;
} reasons[] = {
    { GH_CRL_UNSPECIFIED, "unspecified" },
    { GH_CRL_KEY_COMPROMISE, "keyCompromise" },
    { GH_CRL_CA_COMPROMISE, "cACompromise" },
    { GH_CRL_AFFILIATION_CHANGED, "affiliationChanged" },
    { GH_CRL_SUPERSEDED, "superseded" },
    { GH_CRL_CESSATION_OF_OPERATION, "cessationOfOperation" },
    { GH_CRL_CERTIFICATE_HOLD, "certificateHold" },
    { GH_CRL_PRIVILEGE_WITHDRAWN, "privilegeWithdrawn" },
    { GH_CRL_AA_COMPROMISE, "aACompromise" },
};

const char *gh_crl_reason_name(unsigned reason)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].number == reason)
            return reasons[i].name;
    return "unspecified";
}

int gh_crl_reason_parse(struct gh_span text, unsigned *ret)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (gh_span_equals(text, gh_span_str(reasons[i].name))) {
            *ret = reasons[i].number;
            return 0;
        }
    return GH_ERR_NOT_FOUND;
}

__attribute__((format(printf, 3, 4))) static int refuse(int rc, char why[GH_CRL_WHY], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, GH_CRL_WHY, format, args);
    va_end(args);
    return rc;
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->issuer != y->issuer)
        return x->issuer < y->issuer ? -1 : 1;
    return strcmp(x->serial, y->serial);
}

static int64_t seconds(const ASN1_TIME *t)
{
    struct tm tm;

    return t && ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) : 0;
}

static BIO *bio_of(struct gh_span s)
{
    return s.len > 0 && s.len <= INT_MAX ? BIO_new_mem_buf(s.data, (int)s.len) : NULL;
}

/* Is there nothing more in the text, or something that is no PEM? */
static bool at_end(void)
{
    unsigned long e = ERR_peek_last_error();
    bool end = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;

    ERR_clear_error();
    return end;
}

static int load_cas(struct gh_span pem, STACK_OF(X509) **ret, char why[GH_CRL_WHY])
{
    STACK_OF(X509) *list = sk_X509_new_null();
    BIO *in = bio_of(pem);
    X509 *x = NULL;

    while (list && in && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL)
        if (sk_X509_push(list, x) <= 0) {
            X509_free(x);
            break;
        }
    BIO_free(in);
    ERR_clear_error();
    if (!list || sk_X509_num(list) <= 0) {
        sk_X509_pop_free(list, X509_free);
        return refuse(GH_ERR_MALFORMED, why, "there is no CA certificate to verify the revocation list with");
    }
    *ret = list;
    return 0;
}

static void issuer_text(const X509_CRL *crl, char ret[128])
{
    BIO *out = BIO_new(BIO_s_mem());
    char *data = NULL;
    long len = 0;

    if (out && X509_NAME_print_ex(out, X509_CRL_get_issuer(crl), 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        len = BIO_get_mem_data(out, &data);
    snprintf(ret, 128, "%.*s", (int)(len > 120 ? 120 : len), len > 0 ? data : "");
    for (char *c = ret; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    BIO_free(out);
}

static int verify(X509_CRL *crl, const STACK_OF(X509) *cas, char why[GH_CRL_WHY])
{
    char issuer[128];
    bool known = false, allowed = false;

    issuer_text(crl, issuer);
    for (int i = 0; i < sk_X509_num(cas); i++) {
        X509 *ca = sk_X509_value(cas, i);
        EVP_PKEY *key = X509_get0_pubkey(ca);

        if (X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) != 0)
            continue;
        known = true;
        if (!(X509_get_key_usage(ca) & KU_CRL_SIGN)) /* all bits without that extension */
            continue;
        allowed = true;
        if (key && X509_CRL_verify(crl, key) == 1)
            return 0;
    }
    ERR_clear_error();
    if (!known)
        return refuse(GH_ERR_DENIED, why, "the revocation list of \"%s\" is from none of the CAs", issuer);
    if (!allowed)
        return refuse(GH_ERR_DENIED, why, "\"%s\" may not sign revocation lists (keyUsage without cRLSign)", issuer);
    return refuse(GH_ERR_DENIED, why, "the revocation list of \"%s\" has a bad signature", issuer);
}

/* RFC 5280, section 5.2: a list with a critical extension that is not understood says nothing about anybody */
static int check_extension(const X509_EXTENSION *e, char why[GH_CRL_WHY])
{
    char name[80];

    if (!X509_EXTENSION_get_critical(e))
        return 0;
    OBJ_obj2txt(name, sizeof name, X509_EXTENSION_get_object((X509_EXTENSION *)(uintptr_t)e), 0);
    return refuse(GH_ERR_UNSUPPORTED, why, "the revocation list has a critical extension that is not supported: %s", name);
}

static int serial_text(const ASN1_INTEGER *serial, char ret[GH_CERT_SERIAL_TEXT])
{
    BIGNUM *n = ASN1_INTEGER_to_BN(serial, NULL);
    char *hex = n ? BN_bn2hex(n) : NULL;
    int rc = !hex ? GH_ERR_MEMORY : strlen(hex) < GH_CERT_SERIAL_TEXT ? 0 : GH_ERR_TOO_LONG;

    if (rc == 0)
        memcpy(ret, hex, strlen(hex) + 1);
    OPENSSL_free(hex);
    BN_free(n);
    return rc;
}

static unsigned reason_of(const X509_REVOKED *r)
{
    ASN1_ENUMERATED *e = X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
    long v = e ? ASN1_ENUMERATED_get(e) : 0;

    ASN1_ENUMERATED_free(e);
    return v > 0 && v < 11 ? (unsigned)v : 0;
}

static int add_entry(struct gh_crl_set *s, const X509_REVOKED *r, uint32_t issuer, char why[GH_CRL_WHY])
{
    struct entry *e;
    int rc = 0;

    for (int i = 0; rc == 0 && i < X509_REVOKED_get_ext_count(r); i++)
        rc = check_extension(X509_REVOKED_get_ext(r, i), why);
    if (rc < 0)
        return rc;
    if (s->count == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct entry *grown = reallocarray(s->entries, cap, sizeof *grown);

        if (!grown)
            return refuse(GH_ERR_MEMORY, why, "out of memory");
        s->entries = grown;
        s->cap = cap;
    }
    e = &s->entries[s->count];
    *e = (struct entry){ .issuer = issuer, .when = seconds(X509_REVOKED_get0_revocationDate(r)), .reason = reason_of(r) };
    rc = serial_text(X509_REVOKED_get0_serialNumber(r), e->serial);
    if (rc == GH_ERR_TOO_LONG) /* RFC 5280, section 4.1.2.2: no certificate of ours could have it */
        return refuse(GH_ERR_MALFORMED, why, "the revocation list has a serial number of more than 20 bytes");
    if (rc < 0)
        return refuse(rc, why, "out of memory");
    s->count++;
    return 0;
}

static uint64_t number_of(const X509_CRL *crl)
{
    ASN1_INTEGER *n = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    uint64_t v = 0;

    if (n && !ASN1_INTEGER_get_uint64(&v, n))
        v = 0;
    ASN1_INTEGER_free(n);
    return v;
}

static int add_list(struct gh_crl_set *s, X509_CRL *crl, const STACK_OF(X509) *cas, char why[GH_CRL_WHY])
{
    const STACK_OF(X509_REVOKED) *revoked;
    int64_t next = seconds(X509_CRL_get0_nextUpdate(crl));
    uint64_t number = number_of(crl);
    uint32_t issuer;
    int ok = 0, rc = verify(crl, cas, why);

    for (int i = 0; rc == 0 && i < X509_CRL_get_ext_count(crl); i++)
        rc = check_extension(X509_CRL_get_ext(crl, i), why);
    if (rc < 0)
        return rc;
    issuer = (uint32_t)X509_NAME_hash_ex(X509_CRL_get_issuer(crl), NULL, NULL, &ok);
    if (!ok)
        return refuse(GH_ERR_MALFORMED, why, "the issuer of a revocation list cannot be read");
    revoked = X509_CRL_get_REVOKED(crl);
    for (int i = 0; rc == 0 && i < sk_X509_REVOKED_num(revoked); i++)
        rc = add_entry(s, sk_X509_REVOKED_value(revoked, i), issuer, why);
    if (next && next < s->next_update)
        s->next_update = next;
    if (number > s->number)
        s->number = number;
    return rc;
}

static int add_lists(struct gh_crl_set *s, BIO *in, const STACK_OF(X509) *cas, char why[GH_CRL_WHY])
{
    unsigned n = 0;
    int rc = 0;

    while (rc == 0) {
        X509_CRL *crl = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL);

        if (!crl)
            break;
        rc = n++ < GH_CRL_LISTS_MAX ? add_list(s, crl, cas, why) : refuse(GH_ERR_MALFORMED, why, "more than %u revocation lists", GH_CRL_LISTS_MAX);
        X509_CRL_free(crl);
    }
    if (rc < 0)
        return rc;
    if (!at_end())
        return refuse(GH_ERR_MALFORMED, why, "revocation list %u does not parse", n + 1);
    return n ? 0 : refuse(GH_ERR_MALFORMED, why, "there is no revocation list (BEGIN X509 CRL)");
}

int gh_crl_set_load(struct gh_span pem, struct gh_span ca_pem, struct gh_crl_set **ret, char ret_why[GH_CRL_WHY])
{
    STACK_OF(X509) *cas = NULL;
    struct gh_crl_set *s;
    BIO *in;
    int rc;

    if (pem.len > GH_CRL_FILE_MAX)
        return refuse(GH_ERR_MALFORMED, ret_why, "more than %u bytes of revocation lists", GH_CRL_FILE_MAX);
    if (pem.len == 0)
        return refuse(GH_ERR_MALFORMED, ret_why, "there is no revocation list: the file is empty");
    ERR_clear_error();
    s = calloc(1, sizeof *s);
    in = bio_of(pem);
    if (!s || !in) {
        BIO_free(in);
        free(s);
        return refuse(GH_ERR_MEMORY, ret_why, "out of memory");
    }
    s->next_update = INT64_MAX;
    rc = load_cas(ca_pem, &cas, ret_why);
    if (rc == 0)
        rc = add_lists(s, in, cas, ret_why);
    sk_X509_pop_free(cas, X509_free);
    BIO_free(in);
    ERR_clear_error();
    if (rc < 0) {
        gh_crl_set_destroy(s);
        return rc;
    }
    if (s->count)
        qsort(s->entries, s->count, sizeof *s->entries, compare);
    *ret = s;
    return 0;
}

void gh_crl_set_destroy(struct gh_crl_set *s)
{
    if (!s)
        return;
    free(s->entries);
    free(s);
}

bool gh_crl_set_find(const struct gh_crl_set *s, const struct gh_cert_id *id, struct gh_crl_entry *ret)
{
    struct entry key = { .issuer = id->issuer };
    const struct entry *e;

    if (s->count == 0)
        return false;
    memcpy(key.serial, id->serial, sizeof key.serial);
    e = bsearch(&key, s->entries, s->count, sizeof *s->entries, compare);
    if (e && ret)
        *ret = (struct gh_crl_entry){ e->when, e->reason };
    return e != NULL;
}

size_t gh_crl_set_count(const struct gh_crl_set *s)
{
    return s->count;
}

int64_t gh_crl_set_next_update(const struct gh_crl_set *s)
{
    return s->next_update;
}

uint64_t gh_crl_set_number(const struct gh_crl_set *s)
{
    return s->number;
}
