#include "crypto/hkdf.h"

#include <stdio.h>

#include "../test.h"
#include "base/error.h"

static struct gh_span bytes(const char *hex, uint8_t *buf)
{
    size_t len = strlen(hex) / 2;

    for (size_t i = 0; i < len; i++) {
        unsigned byte;

        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        buf[i] = (uint8_t)byte;
    }
    return gh_span_of(buf, len);
}

static void assert_bytes(const uint8_t *got, const char *hex)
{
    uint8_t want[128];
    struct gh_span w = bytes(hex, want);

    assert_memory_equal(got, w.data, w.len);
}

/* RFC 5869, appendix A: test cases 1 to 3 */
static const struct vector {
    const char *key, *salt, *info, *prk, *okm;
} vectors[] = {
    { "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
      "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865" },
    { "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
      "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
      "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f"
      "909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
      "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
      "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
      "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
      "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87" },
    { "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "", "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8" },
};

static void matches_the_rfc(void **state)
{
    uint8_t key[128], salt[128], info[128], prk[32], okm[128];

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const struct vector *v = &vectors[i];

        assert_int_equal(gh_hkdf_extract(GH_DIGEST_SHA256, bytes(v->salt, salt), bytes(v->key, key), prk), 0);
        assert_bytes(prk, v->prk);
        assert_int_equal(gh_hkdf_expand(GH_DIGEST_SHA256, gh_span_of(prk, 32), bytes(v->info, info), okm, strlen(v->okm) / 2), 0);
        assert_bytes(okm, v->okm);
    }
}

/* RFC 8448, section 3: "derive secret for handshake", "expanded (32 octets)" of the label "derived" with the hash of nothing, and the server's
 * handshake key */
static void labels_are_those_of_tls(void **state)
{
    uint8_t secret[32], context[32], out[32];

    (void)state;
    bytes("33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a", secret);
    bytes("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", context);
    assert_int_equal(gh_hkdf_expand_label(GH_DIGEST_SHA256, gh_span_of(secret, 32), "derived", gh_span_of(context, 32), out, 32), 0);
    assert_bytes(out, "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba");
    bytes("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38", secret);
    assert_int_equal(gh_hkdf_expand_label(GH_DIGEST_SHA256, gh_span_of(secret, 32), "key", gh_span_of(NULL, 0), out, 16), 0);
    assert_bytes(out, "3fce516009c21727d0f2e4e86ee403bc");
}

static void what_is_too_long_is_refused(void **state)
{
    static uint8_t out[255 * 32 + 1];
    uint8_t secret[32] = { 1 }, context[65] = { 0 };

    (void)state;
    assert_int_equal(gh_hkdf_expand(GH_DIGEST_SHA256, gh_span_of(secret, 32), gh_span_of(NULL, 0), out, sizeof out - 1), 0);
    assert_int_equal(gh_hkdf_expand(GH_DIGEST_SHA256, gh_span_of(secret, 32), gh_span_of(NULL, 0), out, sizeof out), GH_ERR_RANGE);
    assert_int_equal(gh_hkdf_expand_label(GH_DIGEST_SHA256, gh_span_of(secret, 32), "a label of more than 32 characters", gh_span_of(context, 65),
                                          out, 32), GH_ERR_CRYPTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(matches_the_rfc), cmocka_unit_test(labels_are_those_of_tls),
                                        cmocka_unit_test(what_is_too_long_is_refused) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
