#include "crypto/hash.h"

#include <stdio.h>

#include "../test.h"

static void hex(const uint8_t *data, size_t len, char *ret)
{
    for (size_t i = 0; i < len; i++)
        snprintf(ret + 2 * i, 3, "%02x", data[i]);
}

/* FIPS 180-2, appendix B.1 */
static void sha256_of_abc(void **state)
{
    uint8_t out[GH_SHA256_LEN];
    char text[65];

    (void)state;
    assert_int_equal(gh_sha256(gh_span_str("abc"), out), 0);
    hex(out, sizeof out, text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* FIPS 180-2, appendix A.1 */
static void sha1_of_abc(void **state)
{
    uint8_t out[GH_SHA1_LEN];
    char text[41];

    (void)state;
    assert_int_equal(gh_sha1(gh_span_str("abc"), out), 0);
    hex(out, sizeof out, text);
    assert_string_equal(text, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

/* RFC 4231, section 4.3 (key shorter than a block, data in two parts) and section 4.7 (key longer than one) */
static void hmac_matches_the_rfc(void **state)
{
    uint8_t out[GH_SHA256_LEN], key[131];
    char text[65];

    (void)state;
    assert_int_equal(gh_hmac_sha256(gh_span_str("Jefe"), gh_span_str("what do ya want "), gh_span_str("for nothing?"), out), 0);
    hex(out, sizeof out, text);
    assert_string_equal(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    assert_int_equal(gh_hmac_sha256(gh_span_of(key, sizeof key), gh_span_str("Test Using Larger Than Block-Size Key - Hash Key First"),
                                    gh_span_of(NULL, 0), out), 0);
    hex(out, sizeof out, text);
    assert_string_equal(text, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* RFC 4231, sections 4.2 and 4.8 (key longer than a block) */
static void hmac_of_sha384_matches_the_rfc(void **state)
{
    uint8_t out[GH_DIGEST_MAX], key[131];
    struct gh_span part = gh_span_str("Hi There");
    char text[97];

    (void)state;
    memset(key, 0x0b, sizeof key);
    assert_int_equal(gh_hmac(GH_DIGEST_SHA384, gh_span_of(key, 20), &part, 1, out), 0);
    hex(out, sizeof out, text);
    assert_string_equal(text, "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6");
    memset(key, 0xaa, sizeof key);
    part = gh_span_str("This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before "
                       "being used by the HMAC algorithm.");
    assert_int_equal(gh_hmac(GH_DIGEST_SHA384, gh_span_of(key, sizeof key), &part, 1, out), 0);
    hex(out, sizeof out, text);
    assert_string_equal(text, "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5a678cc31e799176d3860e6110c46523e");
}

static void equality_sees_every_byte(void **state)
{
    uint8_t a[32] = { 0 }, b[32] = { 0 };

    (void)state;
    assert_true(gh_hash_equals(a, b, sizeof a));
    for (size_t i = 0; i < sizeof b; i++) {
        b[i] ^= 0x80;
        assert_false(gh_hash_equals(a, b, sizeof a));
        b[i] ^= 0x80;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(sha256_of_abc), cmocka_unit_test(sha1_of_abc), cmocka_unit_test(hmac_matches_the_rfc),
                                        cmocka_unit_test(hmac_of_sha384_matches_the_rfc), cmocka_unit_test(equality_sees_every_byte) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
