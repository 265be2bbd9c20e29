#include "crypto/aead.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/error.h"
#include "crypto/gcm.h"
#include "crypto/hkdf.h"

struct gh_aead_suite {
    uint16_t id;
    const char *aead, *header;
    enum gh_digest digest;
    uint8_t key_len, secret_len;
    bool chacha, wide;
    uint64_t seal_limit, open_limit;
};

/* RFC 9001, section 6.6 and appendix B */
static const struct gh_aead_suite suites[] = {
    { 0x1301, "AES-128-GCM", "AES-128-ECB", GH_DIGEST_SHA256, 16, 32, false, false, UINT64_C(1) << 23, UINT64_C(1) << 52 },
    { 0x1302, "AES-256-GCM", "AES-256-ECB", GH_DIGEST_SHA384, 32, 48, false, false, UINT64_C(1) << 23, UINT64_C(1) << 52 },
    { 0x1303, "ChaCha20-Poly1305", "ChaCha20", GH_DIGEST_SHA256, 32, 32, true, false, UINT64_C(1) << 62, UINT64_C(1) << 36 },
    { 0x1301, "AES-128-GCM", "AES-128-ECB", GH_DIGEST_SHA256, 16, 32, false, true, UINT64_C(1) << 23, UINT64_C(1) << 52 },
};

/* One of the two. */
struct gh_aead_key {
    EVP_CIPHER_CTX *ctx;
    struct gh_gcm_key *wide;
};

struct gh_header_key {
    EVP_CIPHER_CTX *ctx;
    struct gh_gcm_key *wide;
    bool chacha;
};

const char *gh_aead_engine_name(enum gh_aead_engine e)
{
    return e == GH_AEAD_WIDE ? "vaes-avx512" : "openssl";
}

const struct gh_aead_suite *gh_aead_suite_find(uint16_t id, enum gh_aead_engine engine)
{
    const struct gh_aead_suite *found = NULL;

    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        if (suites[i].id == id && (!suites[i].wide || engine == GH_AEAD_WIDE))
            found = &suites[i];
    return found;
}

const struct gh_aead_suite *gh_aead_suite_initial(enum gh_aead_engine engine)
{
    return gh_aead_suite_find(0x1301, engine);
}

size_t gh_aead_suite_secret_len(const struct gh_aead_suite *s)
{
    return s->secret_len;
}

uint64_t gh_aead_suite_seal_limit(const struct gh_aead_suite *s)
{
    return s->seal_limit;
}

uint64_t gh_aead_suite_open_limit(const struct gh_aead_suite *s)
{
    return s->open_limit;
}

static int expand_label(enum gh_digest digest, struct gh_span secret, const char *label, uint8_t *ret, size_t len)
{
    return gh_hkdf_expand_label(digest, secret, label, gh_span_of(NULL, 0), ret, len);
}

static EVP_CIPHER_CTX *cipher_ctx(const char *name, const uint8_t *key, bool seal)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    EVP_CIPHER_CTX *ctx = cipher ? EVP_CIPHER_CTX_new() : NULL;

    if (ctx && EVP_CipherInit_ex2(ctx, cipher, key, NULL, seal, NULL) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
    }
    EVP_CIPHER_free(cipher);
    return ctx;
}

static int aead_key_create(const struct gh_aead_suite *s, const uint8_t *key, bool seal, struct gh_aead_key **ret)
{
    struct gh_aead_key *k = calloc(1, sizeof *k);

    if (!k)
        return GH_ERR_MEMORY;
    if (s->wide)
        k->wide = gh_gcm_key_create(key);
    else
        k->ctx = cipher_ctx(s->aead, key, seal);
    if (!k->ctx && !k->wide) {
        free(k);
        return GH_ERR_CRYPTO;
    }
    *ret = k;
    return 0;
}

static int header_key_create(const struct gh_aead_suite *s, const uint8_t *key, struct gh_header_key **ret)
{
    struct gh_header_key *k = calloc(1, sizeof *k);

    if (!k)
        return GH_ERR_MEMORY;
    k->chacha = s->chacha;
    if (s->wide)
        k->wide = gh_gcm_key_create(key);
    else
        k->ctx = cipher_ctx(s->header, key, true);
    if (!k->wide && (!k->ctx || (!s->chacha && EVP_CIPHER_CTX_set_padding(k->ctx, 0) != 1))) {
        gh_header_key_destroy(k);
        return GH_ERR_CRYPTO;
    }
    *ret = k;
    return 0;
}

/* What a version of QUIC derives keys with: RFC 9001, sections 5.1 and 5.2; RFC 9369, section 3.3. */
struct version_names {
    uint8_t salt[20];
    const char *key, *iv, *header;
};

static const struct version_names version_1 = {
    { 0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a },
    "quic key", "quic iv", "quic hp",
};
static const struct version_names version_2 = {
    { 0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9 },
    "quicv2 key", "quicv2 iv", "quicv2 hp",
};

static int key_derive(const struct gh_aead_suite *s, const struct version_names *names, const uint8_t *secret, bool seal,
                      struct gh_aead_key **ret, uint8_t ret_iv[GH_AEAD_IV], struct gh_header_key **ret_header)
{
    struct gh_span sec = gh_span_of(secret, s->secret_len);
    uint8_t key[32], header[32];
    struct gh_aead_key *k = NULL;
    int rc;

    rc = expand_label(s->digest, sec, names->key, key, s->key_len);
    if (rc == 0)
        rc = expand_label(s->digest, sec, names->iv, ret_iv, GH_AEAD_IV);
    if (rc == 0)
        rc = expand_label(s->digest, sec, names->header, header, s->key_len);
    if (rc == 0)
        rc = aead_key_create(s, key, seal, &k);
    if (rc == 0 && ret_header)
        rc = header_key_create(s, header, ret_header);
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(header, sizeof header);
    if (rc < 0) {
        gh_aead_key_destroy(k);
        return rc;
    }
    *ret = k;
    return 0;
}

int gh_aead_key_derive(const struct gh_aead_suite *s, const uint8_t *secret, bool seal, struct gh_aead_key **ret,
                       uint8_t ret_iv[GH_AEAD_IV], struct gh_header_key **ret_header)
{
    return key_derive(s, &version_1, secret, seal, ret, ret_iv, ret_header);
}

int gh_aead_secret_update(const struct gh_aead_suite *s, const uint8_t *secret, uint8_t *ret)
{
    return expand_label(s->digest, gh_span_of(secret, s->secret_len), "quic ku", ret, s->secret_len);
}

/* Either secret may be left out. */
static int initial_secrets(const struct version_names *names, struct gh_span dcid, uint8_t *ret_client, uint8_t *ret_server)
{
    uint8_t initial[32] = { 0 };
    struct gh_span sec = gh_span_of(initial, sizeof initial);
    int rc = gh_hkdf_extract(GH_DIGEST_SHA256, gh_span_of(names->salt, sizeof names->salt), dcid, initial);

    if (rc == 0 && ret_client)
        rc = expand_label(GH_DIGEST_SHA256, sec, "client in", ret_client, 32);
    if (rc == 0 && ret_server)
        rc = expand_label(GH_DIGEST_SHA256, sec, "server in", ret_server, 32);
    return rc;
}

int gh_aead_initial_secrets(struct gh_span dcid, uint8_t ret_client[32], uint8_t ret_server[32])
{
    return initial_secrets(&version_1, dcid, ret_client, ret_server);
}

int gh_aead_initial_client_keys(uint32_t version, struct gh_span dcid, bool seal, struct gh_aead_key **ret, uint8_t ret_iv[GH_AEAD_IV],
                                struct gh_header_key **ret_header)
{
    const struct version_names *names = version == 1 ? &version_1 : version == 0x6b3343cf ? &version_2 : NULL;
    uint8_t secret[32];
    int rc;

    if (!names)
        return GH_ERR_UNSUPPORTED;
    rc = initial_secrets(names, dcid, secret, NULL);
    return rc < 0 ? rc : key_derive(gh_aead_suite_initial(GH_AEAD_OPENSSL), names, secret, seal, ret, ret_iv, ret_header);
}

int gh_aead_retry_key(struct gh_aead_key **ret)
{
    static const uint8_t key[16] = { 0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a,
                                     0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e };

    return aead_key_create(&suites[0], key, true, ret);
}

void gh_aead_key_destroy(struct gh_aead_key *k)
{
    if (!k)
        return;
    EVP_CIPHER_CTX_free(k->ctx);
    gh_gcm_key_destroy(k->wide);
    free(k);
}

void gh_header_key_destroy(struct gh_header_key *k)
{
    if (!k)
        return;
    EVP_CIPHER_CTX_free(k->ctx);
    gh_gcm_key_destroy(k->wide);
    free(k);
}

int gh_aead_seal(struct gh_aead_key *k, uint8_t *dest, struct gh_span text, const uint8_t *nonce, struct gh_span aad)
{
    int n;

    if (k->wide) {
        gh_gcm_seal(k->wide, dest, text, nonce, aad);
        return 0;
    }
    if (EVP_EncryptInit_ex2(k->ctx, NULL, NULL, nonce, NULL) != 1 ||
        EVP_EncryptUpdate(k->ctx, NULL, &n, aad.data, (int)aad.len) != 1 ||
        (text.len && EVP_EncryptUpdate(k->ctx, dest, &n, text.data, (int)text.len) != 1) ||
        EVP_EncryptFinal_ex(k->ctx, dest + text.len, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(k->ctx, EVP_CTRL_AEAD_GET_TAG, GH_AEAD_TAG, dest + text.len) != 1)
        return GH_ERR_CRYPTO;
    return 0;
}

int gh_aead_open(struct gh_aead_key *k, uint8_t *dest, struct gh_span sealed, const uint8_t *nonce, struct gh_span aad)
{
    size_t len;
    int n;

    if (sealed.len < GH_AEAD_TAG)
        return GH_ERR_DENIED;
    len = sealed.len - GH_AEAD_TAG;
    if (k->wide)
        return gh_gcm_open(k->wide, dest, gh_span_of(sealed.data, len), sealed.data + len, nonce, aad) ? 0 : GH_ERR_DENIED;
    if (EVP_DecryptInit_ex2(k->ctx, NULL, NULL, nonce, NULL) != 1 ||
        EVP_CIPHER_CTX_ctrl(k->ctx, EVP_CTRL_AEAD_SET_TAG, GH_AEAD_TAG, (void *)(sealed.data + len)) != 1 ||
        EVP_DecryptUpdate(k->ctx, NULL, &n, aad.data, (int)aad.len) != 1 ||
        (len && EVP_DecryptUpdate(k->ctx, dest, &n, sealed.data, (int)len) != 1))
        return GH_ERR_CRYPTO;
    return EVP_DecryptFinal_ex(k->ctx, dest + len, &n) == 1 ? 0 : GH_ERR_DENIED;
}

int gh_header_mask(struct gh_header_key *k, uint8_t ret[5], const uint8_t sample[16])
{
    static const uint8_t zero[5];
    uint8_t block[16];
    int n;

    if (k->wide) {
        gh_gcm_mask(k->wide, ret, sample);
        return 0;
    }
    if (k->chacha) {
        /* RFC 9001, section 5.4.4: the sample is counter and nonce, the mask encrypts zeroes */
        if (EVP_EncryptInit_ex2(k->ctx, NULL, NULL, sample, NULL) != 1 || EVP_EncryptUpdate(k->ctx, ret, &n, zero, 5) != 1)
            return GH_ERR_CRYPTO;
        return 0;
    }
    if (EVP_EncryptUpdate(k->ctx, block, &n, sample, 16) != 1 || n != 16)
        return GH_ERR_CRYPTO;
    memcpy(ret, block, 5);
    return 0;
}

/* Are both engines of the same opinion about a packet of <len> bytes behind a header of <aad> bytes, and about one that was forged? */
static bool agree(struct gh_aead_key *const k[2], size_t len, size_t aad)
{
    enum { MAX = 1500 };
    uint8_t text[MAX], header[64], sealed[2][MAX + GH_AEAD_TAG], opened[MAX], nonce[GH_AEAD_IV] = { 1, 2, 3, (uint8_t)len };
    struct gh_span head = gh_span_of(header, aad);

    for (size_t i = 0; i < MAX; i++)
        text[i] = (uint8_t)(i * 7 + len);
    memcpy(header, text + 100, sizeof header);
    for (int e = 0; e < 2; e++)
        if (gh_aead_seal(k[e], sealed[e], gh_span_of(text, len), nonce, head) < 0)
            return false;
    if (memcmp(sealed[0], sealed[1], len + GH_AEAD_TAG) != 0 ||
        gh_aead_open(k[1], opened, gh_span_of(sealed[0], len + GH_AEAD_TAG), nonce, head) != 0 || memcmp(opened, text, len) != 0)
        return false;
    sealed[0][len / 2] ^= 0x40;
    return gh_aead_open(k[1], opened, gh_span_of(sealed[0], len + GH_AEAD_TAG), nonce, head) == GH_ERR_DENIED;
}

enum gh_aead_engine gh_aead_selftest(void)
{
    static const uint16_t lengths[] = { 0, 1, 16, 63, 64, 239, 255, 256, 257, 511, 512, 1200, 1500 };
    static const uint8_t key[16] = { 0x5a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    struct gh_aead_key *k[2] = { NULL, NULL };
    bool good = gh_gcm_supported() && aead_key_create(&suites[0], key, true, &k[0]) == 0 &&
                aead_key_create(gh_aead_suite_find(0x1301, GH_AEAD_WIDE), key, true, &k[1]) == 0;

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths && good; i++)
        good = agree(k, lengths[i], 13 + i * 4 % 50);
    gh_aead_key_destroy(k[0]);
    gh_aead_key_destroy(k[1]);
    return good ? GH_AEAD_WIDE : GH_AEAD_OPENSSL;
}
