#include "crypto/self_signed.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "../test.h"
#include "base/error.h"

#define NOW ((int64_t)1800000000)

static char why[GH_CA_WHY];

static struct gh_leaf make(const char *name)
{
    struct gh_leaf leaf = { 0 };

    assert_int_equal(gh_self_signed_create(name, NOW, &leaf, why), 0);
    return leaf;
}

static X509 *x509_of(const struct gh_leaf *leaf)
{
    BIO *bio = BIO_new_mem_buf(leaf->cert.text, (int)leaf->cert.len);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    assert_non_null(x);
    return x;
}

static void it_is_for_the_name_for_ten_years_and_says_no_more(void **state)
{
    struct gh_leaf leaf = make("cover.example");
    X509 *x = x509_of(&leaf);
    char *subject = X509_NAME_oneline(X509_get_subject_name(x), NULL, 0), *issuer = X509_NAME_oneline(X509_get_issuer_name(x), NULL, 0);
    char group[32];
    size_t len;

    (void)state;
    assert_string_equal(subject, "/CN=cover.example");
    assert_string_equal(issuer, subject);
    assert_int_equal(X509_check_host(x, "cover.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(x, "inner.example", 0, 0, NULL), 0);
    assert_int_equal(X509_verify(x, X509_get0_pubkey(x)), 1);
    assert_int_equal(X509_check_purpose(x, X509_PURPOSE_SSL_SERVER, 0), 1);
    assert_int_equal(X509_check_ca(x), 0);
    assert_int_equal(EVP_PKEY_get_group_name(X509_get0_pubkey(x), group, sizeof group, &len), 1);
    assert_string_equal(group, "prime256v1");
    assert_int_equal(leaf.not_after, NOW + (int64_t)10 * 365 * 86400);
    assert_true(leaf.not_before < NOW && leaf.not_before > NOW - 86400);
    assert_null(memmem(leaf.cert.text, leaf.cert.len, "atehouse", 8));
    OPENSSL_free(subject);
    OPENSSL_free(issuer);
    X509_free(x);
    gh_leaf_fini(&leaf);
}

/* RFC 7469, section 2.4: SHA-256 of the DER SubjectPublicKeyInfo. */
static void the_pin_is_the_hash_of_the_public_key(void **state)
{
    struct gh_leaf leaf = make("cover.example");
    BIO *bio = BIO_new_mem_buf(leaf.key.text, (int)leaf.key.len);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    unsigned char *der = NULL, sum[32];
    int len = i2d_PUBKEY(key, &der);

    (void)state;
    assert_true(len > 0);
    assert_int_equal(EVP_Digest(der, (size_t)len, sum, NULL, EVP_sha256(), NULL), 1);
    assert_memory_equal(sum, leaf.spki_sha256, 32);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    BIO_free(bio);
    gh_leaf_fini(&leaf);
}

static void each_has_its_own_key_and_number(void **state)
{
    struct gh_leaf a = make("cover.example"), b = make("cover.example");

    (void)state;
    assert_memory_not_equal(a.spki_sha256, b.spki_sha256, 32);
    assert_string_not_equal(a.serial, b.serial);
    gh_leaf_fini(&a);
    gh_leaf_fini(&b);
}

static void addresses_and_wildcards_are_names_too(void **state)
{
    struct gh_leaf four = make("192.0.2.1"), six = make("2001:db8::1"), star = make("*.example.com");
    X509 *x = x509_of(&four), *y = x509_of(&six), *z = x509_of(&star);

    (void)state;
    assert_int_equal(X509_check_ip_asc(x, "192.0.2.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "192.0.2.2", 0), 0);
    assert_int_equal(X509_check_ip_asc(y, "2001:db8::1", 0), 1);
    assert_int_equal(X509_check_host(z, "a.example.com", 0, 0, NULL), 1);
    X509_free(x);
    X509_free(y);
    X509_free(z);
    gh_leaf_fini(&four);
    gh_leaf_fini(&six);
    gh_leaf_fini(&star);
}

static void what_is_no_name_is_refused(void **state)
{
    static const char *const bad[] = { "", "a b", ".example", "[2001:db8::1]", "x\n", "a..b" };
    struct gh_leaf leaf = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(gh_self_signed_create(bad[i], NOW, &leaf, why), GH_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_for_the_name_for_ten_years_and_says_no_more),
        cmocka_unit_test(the_pin_is_the_hash_of_the_public_key),
        cmocka_unit_test(each_has_its_own_key_and_number),
        cmocka_unit_test(addresses_and_wildcards_are_names_too),
        cmocka_unit_test(what_is_no_name_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
