#include "crypto/seal.h"

#include <stdio.h>

#include "../test.h"
#include "base/error.h"

static size_t unhex(const char *text, uint8_t *ret)
{
    size_t n = 0;
    unsigned byte;

    for (; sscanf(text + 2 * n, "%2x", &byte) == 1; n++)
        ret[n] = (uint8_t)byte;
    return n;
}

/* RFC 9180, appendix A.1.1, first encryption; the private key in PKCS #8 (RFC 8410, section 7). */
static void the_first_vector_of_the_rfc_opens(void **state)
{
    static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VuBCIEIEYSxVAmP8itWDdd8/VXqsUx0mhQkD5VqfI/IdhTTorI\n"
                              "-----END PRIVATE KEY-----\n";
    uint8_t sealed[128], info[64], aad[16], text[64];
    size_t len = unhex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52"
                       "ae8218a355a96d8770ac83d07bea87e13c512a",
                       sealed),
           info_len = unhex("4f6465206f6e2061204772656369616e2055726e", info), aad_len = unhex("436f756e742d30", aad);

    (void)state;
    assert_int_equal(gh_unseal(gh_span_str(pem), gh_span_of(info, info_len), gh_span_of(aad, aad_len), gh_span_of(sealed, len), text), 0);
    assert_memory_equal(text, "Beauty is truth, truth beauty", 29);
}

static void what_was_sealed_opens_and_nothing_else_does(void **state)
{
    struct gh_pem pub, priv;
    struct gh_span info = gh_span_str("info"), aad = gh_span_str("aad");
    uint8_t sealed[5 + GH_SEAL_EXTRA], text[5];

    (void)state;
    assert_int_equal(gh_seal_keygen(&pub, &priv), 0);
    assert_int_equal(gh_seal(gh_span_of(pub.text, pub.len), info, aad, gh_span_str("hello"), sealed), 0);
    assert_int_equal(gh_unseal(gh_span_of(priv.text, priv.len), info, aad, gh_span_of(sealed, sizeof sealed), text), 0);
    assert_memory_equal(text, "hello", 5);
    for (size_t i = 0; i < sizeof sealed; i++) {
        if (i == 31)
            continue; /* its highest bit is not part of the key: RFC 7748, section 5 */
        sealed[i] ^= 1;
        assert_int_equal(gh_unseal(gh_span_of(priv.text, priv.len), info, aad, gh_span_of(sealed, sizeof sealed), text), GH_ERR_DENIED);
        sealed[i] ^= 1;
    }
    assert_int_equal(gh_unseal(gh_span_of(priv.text, priv.len), aad, aad, gh_span_of(sealed, sizeof sealed), text), GH_ERR_DENIED);
    assert_int_equal(gh_unseal(gh_span_of(priv.text, priv.len), info, info, gh_span_of(sealed, sizeof sealed), text), GH_ERR_DENIED);
    assert_int_equal(gh_unseal(gh_span_of(priv.text, priv.len), info, aad, gh_span_of(sealed, GH_SEAL_EXTRA - 1), text), GH_ERR_MALFORMED);
    assert_int_equal(gh_unseal(gh_span_of(pub.text, pub.len), info, aad, gh_span_of(sealed, sizeof sealed), text), GH_ERR_MALFORMED);
    assert_int_equal(gh_seal(gh_span_of(priv.text, priv.len), info, aad, gh_span_str("hello"), sealed), GH_ERR_MALFORMED);
    gh_pem_fini(&pub);
    gh_pem_fini(&priv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_vector_of_the_rfc_opens),
        cmocka_unit_test(what_was_sealed_opens_and_nothing_else_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
