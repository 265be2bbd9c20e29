/* AES-128-GCM with wide vectors: the test cases of the mode's submission to NIST (McGrew and Viega, appendix B), and OpenSSL */
#include "crypto/gcm.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "../test.h"
#include "base/hex.h"

#define MAX 2100u /* several groups of vectors and every tail */

#define REQUIRE()                                                                                                                        \
    do {                                                                                                                                 \
        if (!gh_gcm_supported())                                                                                                         \
            skip(); /* nothing to test: such a processor uses OpenSSL */                                                                 \
    } while (0)

static size_t bytes_of(const char *hex, uint8_t *ret)
{
    size_t len = strlen(hex) / 2;

    assert_true(gh_hex_decode(gh_span_str(hex), GH_HEX_LOWER, ret, len));
    return len;
}

static void the_vectors_of_the_submission_hold(void **state)
{
    static const struct {
        const char *key, *iv, *aad, *text, *sealed;
    } cases[] = {
        { "00000000000000000000000000000000", "000000000000000000000000", "", "", "58e2fccefa7e3061367f1d57a4e7455a" },
        { "00000000000000000000000000000000", "000000000000000000000000", "", "00000000000000000000000000000000",
          "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf" },
        { "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
          "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
          "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985"
          "4d5c2af327cd64a62cf35abd2ba6fab4" },
        { "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
          "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
          "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
          "5bc94fbc3221a5db94fae95ae7121a47" },
    };

    (void)state;
    REQUIRE();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t key[16], iv[12], aad[32], text[64], want[80], got[80];
        size_t aad_len = bytes_of(cases[i].aad, aad), len = bytes_of(cases[i].text, text);
        struct gh_gcm_key *k;

        bytes_of(cases[i].key, key);
        bytes_of(cases[i].iv, iv);
        assert_int_equal(bytes_of(cases[i].sealed, want), len + GH_GCM_TAG);
        k = gh_gcm_key_create(key);
        assert_non_null(k);
        gh_gcm_seal(k, got, gh_span_of(text, len), iv, gh_span_of(aad, aad_len));
        assert_memory_equal(got, want, len + GH_GCM_TAG);
        gh_gcm_key_destroy(k);
    }
}

struct packet {
    uint8_t key[16], iv[12], aad[80], text[MAX], sealed[MAX + GH_GCM_TAG];
    size_t len, aad_len;
};

static void openssl_seals(struct packet *p)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;

    assert_int_equal(EVP_EncryptInit_ex2(c, EVP_aes_128_gcm(), p->key, p->iv, NULL), 1);
    assert_int_equal(EVP_EncryptUpdate(c, NULL, &n, p->aad, (int)p->aad_len), 1);
    assert_int_equal(EVP_EncryptUpdate(c, p->sealed, &n, p->text, (int)p->len), 1);
    assert_int_equal(EVP_EncryptFinal_ex(c, p->sealed + p->len, &n), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, GH_GCM_TAG, p->sealed + p->len), 1);
    EVP_CIPHER_CTX_free(c);
}

/* Sealed and opened in place and elsewhere, with not a byte written behind the end; forged in the tag, the text and the head. */
static void same_as_openssl(struct packet *p)
{
    struct gh_gcm_key *k = gh_gcm_key_create(p->key);
    struct gh_span aad = gh_span_of(p->aad, p->aad_len);
    uint8_t *out = malloc(p->len + GH_GCM_TAG), tag[GH_GCM_TAG]; /* exactly as long as it is: a sanitizer sees what goes past it */

    assert_non_null(k);
    assert_non_null(out);
    openssl_seals(p);
    memcpy(tag, p->sealed + p->len, sizeof tag);
    gh_gcm_seal(k, out, gh_span_of(p->text, p->len), p->iv, aad);
    assert_memory_equal(out, p->sealed, p->len + GH_GCM_TAG);
    memcpy(out, p->text, p->len);
    gh_gcm_seal(k, out, gh_span_of(out, p->len), p->iv, aad);
    assert_memory_equal(out, p->sealed, p->len + GH_GCM_TAG);
    assert_true(gh_gcm_open(k, out, gh_span_of(out, p->len), out + p->len, p->iv, aad));
    assert_memory_equal(out, p->text, p->len);
    tag[p->len % 16] ^= (uint8_t)(1 << p->aad_len % 8);
    assert_false(gh_gcm_open(k, out, gh_span_of(p->sealed, p->len), tag, p->iv, aad));
    for (size_t i = 0; i < p->len; i++)
        assert_int_equal(out[i], 0);
    tag[p->len % 16] ^= (uint8_t)(1 << p->aad_len % 8);
    if (p->len > 0) {
        p->sealed[p->len - 1] ^= 1;
        assert_false(gh_gcm_open(k, out, gh_span_of(p->sealed, p->len), tag, p->iv, aad));
        p->sealed[p->len - 1] ^= 1;
    }
    if (p->aad_len > 0) {
        p->aad[p->aad_len - 1] ^= 0x80;
        assert_false(gh_gcm_open(k, out, gh_span_of(p->sealed, p->len), tag, p->iv, aad));
        p->aad[p->aad_len - 1] ^= 0x80;
    }
    free(out);
    gh_gcm_key_destroy(k);
}

static void packets_of_every_length_are_as_openssl_has_them(void **state)
{
    static struct packet p;

    (void)state;
    REQUIRE();
    for (p.len = 0; p.len <= MAX; p.len++) {
        p.aad_len = p.len % (sizeof p.aad + 1);
        assert_int_equal(RAND_bytes(p.key, sizeof p.key) + RAND_bytes(p.iv, sizeof p.iv), 2);
        assert_int_equal(RAND_bytes(p.aad, sizeof p.aad) + RAND_bytes(p.text, sizeof p.text), 2);
        same_as_openssl(&p);
    }
}

/* FIPS 197, appendix B */
static void a_mask_is_the_front_of_an_encrypted_block(void **state)
{
    uint8_t key[16], block[16], mask[5], want[5];
    struct gh_gcm_key *k;

    (void)state;
    REQUIRE();
    bytes_of("2b7e151628aed2a6abf7158809cf4f3c", key);
    bytes_of("3243f6a8885a308d313198a2e0370734", block);
    bytes_of("3925841d02", want);
    k = gh_gcm_key_create(key);
    assert_non_null(k);
    gh_gcm_mask(k, mask, block);
    assert_memory_equal(mask, want, 5);
    gh_gcm_key_destroy(k);
    gh_gcm_key_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_submission_hold),
        cmocka_unit_test(packets_of_every_length_are_as_openssl_has_them),
        cmocka_unit_test(a_mask_is_the_front_of_an_encrypted_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
