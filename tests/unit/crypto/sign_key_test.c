#include "crypto/sign_key.h"

#include "../test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>

#include "base/error.h"

/* RFC 8032, section 7.1, TEST 2: the secret key as PKCS #8 (RFC 8410), the message and the signature. */
static const char rfc8032_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
                                  "-----END PRIVATE KEY-----\n";

static EVP_PKEY *generate(const char *type, const char *group, size_t bits)
{
    EVP_PKEY *k = group ? EVP_PKEY_Q_keygen(NULL, NULL, type, group)
                        : bits ? EVP_PKEY_Q_keygen(NULL, NULL, type, bits) : EVP_PKEY_Q_keygen(NULL, NULL, type);

    assert_non_null(k);
    return k;
}

static int load(EVP_PKEY *k, struct gh_sign_key **ret)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *pem;
    long len;
    int rc;

    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(b, k, NULL, NULL, 0, NULL, NULL), 1);
    len = BIO_get_mem_data(b, &pem);
    rc = gh_sign_key_load(gh_span_of(pem, (size_t)len), ret);
    BIO_free(b);
    return rc;
}

static void ed25519_signs_as_rfc_8032_says(void **state)
{
    static const uint8_t want[64] = {
        0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e, 0x82, 0x0b, 0x5f, 0x64, 0x25, 0x40,
        0xa2, 0xb2, 0x7b, 0x54, 0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76, 0x22, 0x23, 0xeb, 0xdb, 0x69, 0xda,
        0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99, 0x6e, 0x45, 0x8f, 0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c,
        0x38, 0x7b, 0x2e, 0xae, 0xb4, 0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb, 0x0c, 0x00,
    };
    struct gh_sign_key *k = NULL;
    uint8_t signature[GH_SIGN_MAX];
    uint16_t schemes[GH_SIGN_SCHEMES];
    size_t len = 0;

    (void)state;
    assert_int_equal(gh_sign_key_load(gh_span_str(rfc8032_pem), &k), 0);
    assert_int_equal(gh_sign_key_schemes(k, schemes), 1);
    assert_int_equal(schemes[0], 0x0807);
    assert_int_equal(gh_sign_key_sign(k, 0x0807, "\x72", 1, signature, &len), 0);
    assert_int_equal(len, sizeof want);
    assert_memory_equal(signature, want, sizeof want);
    assert_int_equal(gh_sign_key_sign(k, 0x0403, "\x72", 1, signature, &len), GH_ERR_UNSUPPORTED);
    gh_sign_key_destroy(k);
}

static void every_scheme_of_a_key_verifies_with_its_public_half(void **state)
{
    const struct {
        const char *type, *group;
        size_t bits;
    } cases[] = { { "EC", "P-256", 0 }, { "RSA", NULL, 2048 }, { "ED25519", NULL, 0 } };
    static const struct {
        uint16_t scheme;
        const char *digest;
        bool pss;
    } rows[] = { { 0x0403, "SHA256", false }, { 0x0503, "SHA384", false }, { 0x0603, "SHA512", false }, { 0x0401, "SHA256", false }, { 0x0501, "SHA384", false },
                 { 0x0601, "SHA512", false }, { 0x0804, "SHA256", true },  { 0x0805, "SHA384", true },  { 0x0806, "SHA512", true },  { 0x0807, NULL, false } };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY *pub = generate(cases[i].type, cases[i].group, cases[i].bits);
        struct gh_sign_key *k = NULL;
        uint16_t schemes[GH_SIGN_SCHEMES];
        size_t count;

        assert_int_equal(load(pub, &k), 0);
        count = gh_sign_key_schemes(k, schemes);
        assert_int_equal(count, i == 0 ? 3 : i == 1 ? 6 : 1);
        for (size_t s = 0; s < count; s++) {
            EVP_MD_CTX *ctx = EVP_MD_CTX_new();
            EVP_PKEY_CTX *pctx;
            uint8_t signature[GH_SIGN_MAX];
            size_t len = 0, row = 0;

            while (row < sizeof rows / sizeof *rows && rows[row].scheme != schemes[s])
                row++;
            assert_true(row < sizeof rows / sizeof *rows);
            assert_int_equal(gh_sign_key_sign(k, schemes[s], "handshake", 9, signature, &len), 0);
            assert_int_equal(EVP_DigestVerifyInit_ex(ctx, &pctx, rows[row].digest, NULL, NULL, pub, NULL), 1);
            if (rows[row].pss) {
                EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING);
                EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST);
            }
            assert_int_equal(EVP_DigestVerify(ctx, signature, len, (const uint8_t *)"handshake", 9), 1);
            EVP_MD_CTX_free(ctx);
        }
        gh_sign_key_destroy(k);
        EVP_PKEY_free(pub);
    }
}

static void a_key_that_tls_has_no_use_for_is_refused(void **state)
{
    EVP_PKEY *p384 = generate("EC", "P-384", 0), *x25519 = generate("X25519", NULL, 0);
    struct gh_sign_key *k = NULL;

    (void)state;
    assert_int_equal(load(p384, &k), GH_ERR_UNSUPPORTED);
    assert_int_equal(load(x25519, &k), GH_ERR_UNSUPPORTED);
    assert_int_equal(gh_sign_key_load(gh_span_str("not a key"), &k), GH_ERR_MALFORMED);
    assert_null(k);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(x25519);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ed25519_signs_as_rfc_8032_says),
        cmocka_unit_test(every_scheme_of_a_key_verifies_with_its_public_half),
        cmocka_unit_test(a_key_that_tls_has_no_use_for_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
