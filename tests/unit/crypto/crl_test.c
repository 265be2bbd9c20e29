#include "crypto/crl.h"

#include <stdio.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "../test.h"
#include "base/error.h"
#include "crypto/ca.h"

/* 2026-03-01 00:00:00 UTC */
#define NOW INT64_C(1772323200)
#define DAY 86400

static char why[GH_CRL_WHY];

struct authority {
    struct gh_ca *ca;
    struct gh_pem cert, key;
};

static struct authority make(enum gh_ca_key kind)
{
    struct gh_ca_request req = { .trust_domain = "corp.example", .key = kind, .now = NOW };
    struct authority a = { NULL };

    assert_int_equal(gh_ca_create(&req, &a.ca, why), 0);
    assert_int_equal(gh_ca_emit(a.ca, &a.cert, &a.key), 0);
    return a;
}

static void unmake(struct authority *a)
{
    gh_ca_destroy(a->ca);
    gh_pem_fini(&a->cert);
    gh_pem_fini(&a->key);
}

static struct gh_span span_of(const struct gh_pem *p)
{
    return gh_span_of(p->text, p->len);
}

static struct gh_pem list(const struct authority *a, const struct gh_ca_revoked *revoked, size_t count, uint64_t number)
{
    struct gh_ca_crl_request req = { .list = revoked, .count = count, .number = number, .days = 7, .now = NOW };
    struct gh_pem pem;
    int64_t next;

    if (gh_ca_crl(a->ca, &req, &pem, &next, why) < 0)
        fail_msg("%s", why);
    assert_int_equal(next, NOW + 7 * DAY);
    return pem;
}

static struct gh_crl_set *load(struct gh_span pem, const struct authority *a)
{
    struct gh_crl_set *s = NULL;

    if (gh_crl_set_load(pem, span_of(&a->cert), &s, why) < 0)
        fail_msg("%s", why);
    return s;
}

static void refused(struct gh_span pem, struct gh_span ca, int rc, const char *says)
{
    struct gh_crl_set *s = NULL;

    assert_int_equal(gh_crl_set_load(pem, ca, &s, why), rc);
    assert_null(s);
    if (!strstr(why, says))
        fail_msg("\"%s\" does not say \"%s\"", why, says);
}

static struct gh_leaf issue(const struct authority *a, enum gh_ca_key kind, struct gh_cert_id *ret)
{
    struct gh_leaf_request req = { .role = GH_ROLE_AGENT, .name = "client-1", .key = kind, .days = 90, .now = NOW };
    struct gh_leaf leaf;
    struct gh_cert *c = NULL;

    assert_int_equal(gh_ca_issue(a->ca, &req, &leaf, why), 0);
    assert_int_equal(gh_cert_parse_pem(span_of(&leaf.cert), &c), 0);
    assert_int_equal(gh_cert_id_of(c, ret), 0);
    gh_cert_destroy(c);
    assert_string_equal(ret->serial, leaf.serial);
    assert_memory_equal(ret->spki_sha256, leaf.spki_sha256, 32);
    return leaf;
}

static void who_is_in_the_list_is_found_and_nobody_else(void **state)
{
    static const enum gh_ca_key kinds[] = { GH_CA_ED25519, GH_CA_P256 };

    (void)state;
    for (size_t k = 0; k < 2; k++) {
        struct authority a = make(kinds[k]);
        struct gh_cert_id bad, good;
        struct gh_leaf x = issue(&a, GH_CA_P256, &bad), y = issue(&a, GH_CA_ED25519, &good);
        const struct gh_ca_revoked revoked[] = { { "01", NOW - DAY, GH_CRL_SUPERSEDED }, { x.serial, NOW, GH_CRL_KEY_COMPROMISE }, { "7F00", NOW, 0 } };
        struct gh_pem pem = list(&a, revoked, 3, 41);
        struct gh_crl_set *s = load(span_of(&pem), &a);
        struct gh_crl_entry e;

        assert_int_equal(gh_crl_set_count(s), 3);
        assert_int_equal(gh_crl_set_number(s), 41);
        assert_int_equal(gh_crl_set_next_update(s), NOW + 7 * DAY);
        assert_true(gh_crl_set_find(s, &bad, &e));
        assert_int_equal(e.when, NOW);
        assert_int_equal(e.reason, GH_CRL_KEY_COMPROMISE);
        assert_true(gh_crl_set_find(s, &bad, NULL));
        assert_false(gh_crl_set_find(s, &good, &e));
        snprintf(good.serial, sizeof good.serial, "7F00");
        assert_true(gh_crl_set_find(s, &good, &e));
        assert_int_equal(e.reason, GH_CRL_UNSPECIFIED);
        gh_crl_set_destroy(s);
        gh_pem_fini(&pem);
        gh_leaf_fini(&x);
        gh_leaf_fini(&y);
        unmake(&a);
    }
    gh_crl_set_destroy(NULL);
}

/* RFC 5280, section 5.3.3: a serial number means a certificate of one issuer */
static void the_same_serial_number_of_another_issuer_is_another_certificate(void **state)
{
    struct authority a = make(GH_CA_ED25519);
    struct gh_cert_id id;
    struct gh_leaf x = issue(&a, GH_CA_ED25519, &id);
    struct gh_pem pem = list(&a, &(struct gh_ca_revoked){ x.serial, NOW, 0 }, 1, 1);
    struct gh_crl_set *s = load(span_of(&pem), &a);

    (void)state;
    assert_true(gh_crl_set_find(s, &id, NULL));
    id.issuer ^= 1;
    assert_false(gh_crl_set_find(s, &id, NULL));
    gh_crl_set_destroy(s);
    gh_pem_fini(&pem);
    gh_leaf_fini(&x);
    unmake(&a);
}

static void an_empty_list_revokes_nobody(void **state)
{
    struct authority a = make(GH_CA_ED25519);
    struct gh_cert_id id;
    struct gh_leaf x = issue(&a, GH_CA_ED25519, &id);
    struct gh_pem pem = list(&a, NULL, 0, 1);
    struct gh_crl_set *s = load(span_of(&pem), &a);

    (void)state;
    assert_int_equal(gh_crl_set_count(s), 0);
    assert_false(gh_crl_set_find(s, &id, NULL));
    gh_crl_set_destroy(s);
    gh_pem_fini(&pem);
    gh_leaf_fini(&x);
    unmake(&a);
}

static void several_lists_of_several_cas_count_together(void **state)
{
    struct gh_ca_request req = { .trust_domain = "other.example", .key = GH_CA_P256, .now = NOW };
    struct authority a = make(GH_CA_ED25519), b = { NULL };
    struct gh_pem one = list(&a, &(struct gh_ca_revoked){ "AA", NOW, 0 }, 1, 5), two;
    struct gh_crl_set *s = NULL;
    char both[8192], cas[8192];
    int n, m;

    (void)state;
    assert_int_equal(gh_ca_create(&req, &b.ca, why), 0);
    assert_int_equal(gh_ca_emit(b.ca, &b.cert, &b.key), 0);
    two = list(&b, &(struct gh_ca_revoked){ "BB", NOW, 0 }, 1, 9);
    n = snprintf(both, sizeof both, "%.*s\nwords between\n%.*s", (int)one.len, one.text, (int)two.len, two.text);
    m = snprintf(cas, sizeof cas, "%.*s%.*s", (int)a.cert.len, a.cert.text, (int)b.cert.len, b.cert.text);
    assert_int_equal(gh_crl_set_load(gh_span_of(both, (size_t)n), gh_span_of(cas, (size_t)m), &s, why), 0);
    assert_int_equal(gh_crl_set_count(s), 2);
    assert_int_equal(gh_crl_set_number(s), 9);
    gh_crl_set_destroy(s);
    refused(gh_span_of(both, (size_t)n), span_of(&a.cert), GH_ERR_DENIED, "from none of the CAs");
    gh_pem_fini(&one);
    gh_pem_fini(&two);
    unmake(&a);
    unmake(&b);
}

static void what_is_no_list_is_refused_with_words(void **state)
{
    struct authority a = make(GH_CA_ED25519);
    struct gh_pem pem = list(&a, &(struct gh_ca_revoked){ "AA", NOW, 0 }, 1, 5);

    (void)state;
    refused(gh_span_of("", 0), span_of(&a.cert), GH_ERR_MALFORMED, "is empty");
    refused(gh_span_str("hello\n"), span_of(&a.cert), GH_ERR_MALFORMED, "there is no revocation list");
    refused(span_of(&a.cert), span_of(&a.cert), GH_ERR_MALFORMED, "there is no revocation list");
    refused(span_of(&pem), gh_span_str("none"), GH_ERR_MALFORMED, "no CA certificate");
    for (size_t cut = 40; cut < pem.len - 1; cut += 37) /* after the first line and before the last character of the end */
        refused(gh_span_of(pem.text, cut), span_of(&a.cert), GH_ERR_MALFORMED, "does not parse");
    gh_pem_fini(&pem);
    unmake(&a);
}

static void a_list_with_a_bad_signature_is_refused(void **state)
{
    struct authority a = make(GH_CA_P256), b = make(GH_CA_P256); /* the same name, another key */
    struct gh_pem pem = list(&a, &(struct gh_ca_revoked){ "AA", NOW, 0 }, 1, 5);

    (void)state;
    refused(span_of(&pem), span_of(&b.cert), GH_ERR_DENIED, "bad signature");
    gh_pem_fini(&pem);
    unmake(&a);
    unmake(&b);
}

/* Made straight with the library: what our CA never makes. */
static X509_EXTENSION *critical(int nid, const char *der, int len)
{
    ASN1_OCTET_STRING *o = ASN1_OCTET_STRING_new();
    X509_EXTENSION *e;

    assert_int_equal(ASN1_OCTET_STRING_set(o, (const unsigned char *)der, len), 1);
    e = X509_EXTENSION_create_by_NID(NULL, nid, 1, o);
    assert_non_null(e);
    ASN1_OCTET_STRING_free(o);
    return e;
}

/* Takes the extensions over; NULL: none. */
static struct gh_pem odd_list(X509 *ca, EVP_PKEY *key, X509_EXTENSION *of_list, X509_EXTENSION *of_entry)
{
    X509_CRL *crl = X509_CRL_new();
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_TIME *t = ASN1_TIME_set(NULL, NOW);
    ASN1_INTEGER *n = ASN1_INTEGER_new();
    BIO *out = BIO_new(BIO_s_mem());
    struct gh_pem pem;
    char *data;

    assert_true(crl && r && t && n && out);
    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca));
    X509_CRL_set1_lastUpdate(crl, t);
    ASN1_INTEGER_set(n, 5);
    X509_REVOKED_set_serialNumber(r, n);
    X509_REVOKED_set_revocationDate(r, t);
    if (of_list)
        X509_CRL_add_ext(crl, of_list, -1);
    if (of_entry)
        X509_REVOKED_add_ext(r, of_entry, -1);
    X509_EXTENSION_free(of_list);
    X509_EXTENSION_free(of_entry);
    X509_CRL_add0_revoked(crl, r);
    assert_true(X509_CRL_sign(crl, key, NULL) > 0);
    PEM_write_bio_X509_CRL(out, crl);
    pem.len = (size_t)BIO_get_mem_data(out, &data);
    pem.text = malloc(pem.len);
    assert_non_null(pem.text);
    memcpy(pem.text, data, pem.len);
    BIO_free(out);
    ASN1_INTEGER_free(n);
    ASN1_TIME_free(t);
    X509_CRL_free(crl);
    return pem;
}

static void odd_ext(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e;
    X509V3_CTX ctx;

    if (!value)
        return;
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

static X509 *odd_ca(EVP_PKEY *key, const char *usage)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_NAME_new();
    ASN1_TIME *t = ASN1_TIME_set(NULL, NOW);

    assert_true(x && name && t);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_set1_notBefore(x, t);
    X509_set1_notAfter(x, t);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"odd", -1, -1, 0);
    X509_set_subject_name(x, name);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, key);
    odd_ext(x, NID_basic_constraints, "critical,CA:TRUE");
    odd_ext(x, NID_key_usage, usage);
    assert_true(X509_sign(x, key, NULL) > 0);
    ASN1_TIME_free(t);
    X509_NAME_free(name);
    return x;
}

static struct gh_pem cert_pem(X509 *x)
{
    BIO *out = BIO_new(BIO_s_mem());
    struct gh_pem pem;
    char *data;

    PEM_write_bio_X509(out, x);
    pem.len = (size_t)BIO_get_mem_data(out, &data);
    pem.text = malloc(pem.len);
    assert_non_null(pem.text);
    memcpy(pem.text, data, pem.len);
    BIO_free(out);
    return pem;
}

/* RFC 5280, section 5.2: such a list must not be used */
static void a_critical_extension_that_is_not_understood_refuses_the_list(void **state)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *ca = odd_ca(key, "critical,cRLSign");
    struct gh_pem cert = cert_pem(ca), plain = odd_list(ca, key, NULL, NULL);
    struct gh_pem delta = odd_list(ca, key, critical(NID_delta_crl, "\x02\x01\x01", 3), NULL);
    struct gh_pem part = odd_list(ca, key, critical(NID_issuing_distribution_point, "\x30\x03\x81\x01\xff", 5), NULL); /* onlyContainsUserCerts */
    struct gh_pem indirect = odd_list(ca, key, NULL, critical(NID_certificate_issuer, "\x05\x00", 2));
    struct gh_crl_set *s = NULL;

    (void)state;
    assert_int_equal(gh_crl_set_load(span_of(&plain), span_of(&cert), &s, why), 0);
    assert_int_equal(gh_crl_set_count(s), 1);
    assert_true(gh_crl_set_next_update(s) == INT64_MAX); /* the field is optional */
    assert_int_equal(gh_crl_set_number(s), 0);
    gh_crl_set_destroy(s);
    refused(span_of(&delta), span_of(&cert), GH_ERR_UNSUPPORTED, "Delta CRL");
    refused(span_of(&part), span_of(&cert), GH_ERR_UNSUPPORTED, "Issuing Distribution Point");
    refused(span_of(&indirect), span_of(&cert), GH_ERR_UNSUPPORTED, "Certificate Issuer");
    gh_pem_fini(&plain);
    gh_pem_fini(&delta);
    gh_pem_fini(&part);
    gh_pem_fini(&indirect);
    gh_pem_fini(&cert);
    X509_free(ca);
    EVP_PKEY_free(key);
}

static void a_ca_without_that_key_usage_signs_no_lists(void **state)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *ca = odd_ca(key, "critical,keyCertSign"), *free_ca = odd_ca(key, NULL);
    struct gh_pem cert = cert_pem(ca), free_cert = cert_pem(free_ca), pem = odd_list(ca, key, NULL, NULL);
    struct gh_crl_set *s = NULL;

    (void)state;
    refused(span_of(&pem), span_of(&cert), GH_ERR_DENIED, "may not sign revocation lists");
    assert_int_equal(gh_crl_set_load(span_of(&pem), span_of(&free_cert), &s, why), 0); /* nothing says that it may not */
    gh_crl_set_destroy(s);
    gh_pem_fini(&pem);
    gh_pem_fini(&cert);
    gh_pem_fini(&free_cert);
    X509_free(ca);
    X509_free(free_ca);
    EVP_PKEY_free(key);
}

static void reasons_have_the_words_of_the_rfc(void **state)
{
    unsigned v = 99;

    (void)state;
    assert_int_equal(gh_crl_reason_parse(gh_span_str("keyCompromise"), &v), 0);
    assert_int_equal(v, 1);
    assert_int_equal(gh_crl_reason_parse(gh_span_str("privilegeWithdrawn"), &v), 0);
    assert_int_equal(v, 9);
    assert_int_equal(gh_crl_reason_parse(gh_span_str("keycompromise"), &v), GH_ERR_NOT_FOUND);
    assert_string_equal(gh_crl_reason_name(5), "cessationOfOperation");
    assert_string_equal(gh_crl_reason_name(7), "unspecified"); /* not used */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_in_the_list_is_found_and_nobody_else),
        cmocka_unit_test(the_same_serial_number_of_another_issuer_is_another_certificate),
        cmocka_unit_test(an_empty_list_revokes_nobody),
        cmocka_unit_test(several_lists_of_several_cas_count_together),
        cmocka_unit_test(what_is_no_list_is_refused_with_words),
        cmocka_unit_test(a_list_with_a_bad_signature_is_refused),
        cmocka_unit_test(a_critical_extension_that_is_not_understood_refuses_the_list),
        cmocka_unit_test(a_ca_without_that_key_usage_signs_no_lists),
        cmocka_unit_test(reasons_have_the_words_of_the_rfc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
