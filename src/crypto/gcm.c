/* Blocks are multiplied in GF(2^128) with their bytes reversed, by powers of the hash key that were multiplied by x before: then
 * a product needs no shift, and sums of products are reduced once. */
#include "crypto/gcm.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define ROUNDS 10
#define GROUP 16              /* blocks at a time: four vectors */
#define POWERS (GROUP + 1)    /* of the hash key: a group and the block of lengths */
#define VECTORS __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq,aes,pclmul,ssse3")))
#define INLINE static inline __attribute__((always_inline)) VECTORS
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16") /* arrays of vectors are registers then */
#endif

struct gh_gcm_key {
    __m128i round[ROUNDS + 1];
    __m128i power[POWERS + 3]; /* the hash key to the 17th, 16th, ... first; then zeroes, which meet zeroes */
};

bool gh_gcm_supported(void)
{
    unsigned a, b, c = 0, d;

    /* of these two, clang 14 does not know the names */
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & bit_VAES) && (c & bit_VPCLMULQDQ) && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

/* x^128 + x^7 + x^2 + x + 1, reflected, without its highest bit. */
INLINE __m128i polynomial(void)
{
    return _mm_set_epi64x((long long)0xc200000000000000, 1);
}

INLINE __m128i reversed(__m128i v)
{
    return _mm_shuffle_epi8(v, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

INLINE __m512i reversed4(__m512i v)
{
    return _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

/* A sum of products that is not reduced yet: bits 0, 64 and 128 upwards. */
struct product {
    __m512i low, middle, high;
};

INLINE void add_product(struct product *p, __m512i a, __m512i b)
{
    p->low = _mm512_xor_si512(p->low, _mm512_clmulepi64_epi128(a, b, 0x00));
    p->middle = _mm512_ternarylogic_epi64(p->middle, _mm512_clmulepi64_epi128(a, b, 0x01), _mm512_clmulepi64_epi128(a, b, 0x10), 0x96);
    p->high = _mm512_xor_si512(p->high, _mm512_clmulepi64_epi128(a, b, 0x11));
}

INLINE __m128i sum_of_lanes(__m512i v)
{
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));

    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* Modulo the polynomial, 64 bits at a time from below. */
INLINE __m128i reduced(const struct product *p)
{
    __m128i low = sum_of_lanes(p->low), middle = sum_of_lanes(p->middle), high = sum_of_lanes(p->high);

    middle = _mm_ternarylogic_epi64(middle, _mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(polynomial(), low, 0x01), 0x96);
    return _mm_ternarylogic_epi64(high, _mm_shuffle_epi32(middle, 0x4e), _mm_clmulepi64_si128(polynomial(), middle, 0x01), 0x96);
}

INLINE __m128i multiplied(__m128i a, __m128i b)
{
    struct product p = { _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512() };

    add_product(&p, _mm512_zextsi128_si512(a), _mm512_zextsi128_si512(b));
    return reduced(&p);
}

/* ---- the block cipher ---- */

INLINE __m128i next_round(__m128i key, __m128i assist)
{
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
    key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
    return _mm_xor_si128(key, _mm_shuffle_epi32(assist, 0xff));
}

/* FIPS 197, section 5.2 */
VECTORS static void expand(const uint8_t key[GH_GCM_KEY], __m128i r[ROUNDS + 1])
{
    r[0] = _mm_loadu_si128((const __m128i *)(const void *)key);
    r[1] = next_round(r[0], _mm_aeskeygenassist_si128(r[0], 0x01));
    r[2] = next_round(r[1], _mm_aeskeygenassist_si128(r[1], 0x02));
    r[3] = next_round(r[2], _mm_aeskeygenassist_si128(r[2], 0x04));
    r[4] = next_round(r[3], _mm_aeskeygenassist_si128(r[3], 0x08));
    r[5] = next_round(r[4], _mm_aeskeygenassist_si128(r[4], 0x10));
    r[6] = next_round(r[5], _mm_aeskeygenassist_si128(r[5], 0x20));
    r[7] = next_round(r[6], _mm_aeskeygenassist_si128(r[6], 0x40));
    r[8] = next_round(r[7], _mm_aeskeygenassist_si128(r[7], 0x80));
    r[9] = next_round(r[8], _mm_aeskeygenassist_si128(r[8], 0x1b));
    r[10] = next_round(r[9], _mm_aeskeygenassist_si128(r[9], 0x36));
}

INLINE __m128i encrypted(const __m128i r[ROUNDS + 1], __m128i block)
{
    block = _mm_xor_si128(block, r[0]);
    UNROLL
    for (int i = 1; i < ROUNDS; i++)
        block = _mm_aesenc_si128(block, r[i]);
    return _mm_aesenclast_si128(block, r[ROUNDS]);
}

/* The key stream of 16 blocks from the counters <at>, whose bytes are reversed in <counter> so that they can be added to. */
INLINE void key_stream(const __m512i r[ROUNDS + 1], __m512i counter, __m512i *ret, const int vectors)
{
    const __m512i four = _mm512_broadcast_i32x4(_mm_set_epi32(0, 0, 0, 4));

    UNROLL
    for (int v = 0; v < vectors; v++, counter = _mm512_add_epi32(counter, four))
        ret[v] = _mm512_xor_si512(reversed4(counter), r[0]);
    UNROLL
    for (int i = 1; i < ROUNDS; i++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            ret[v] = _mm512_aesenc_epi128(ret[v], r[i]);
    }
    UNROLL
    for (int v = 0; v < vectors; v++)
        ret[v] = _mm512_aesenclast_epi128(ret[v], r[ROUNDS]);
}

/* ---- keys ---- */

VECTORS static void derive(struct gh_gcm_key *k, const uint8_t key[GH_GCM_KEY])
{
    __m128i h, carry;

    expand(key, k->round);
    h = reversed(encrypted(k->round, _mm_setzero_si128()));
    /* times x: one to the left through both halves, and the polynomial where a bit fell out */
    carry = _mm_srli_epi64(h, 63);
    h = _mm_or_si128(_mm_slli_epi64(h, 1), _mm_slli_si128(carry, 8));
    carry = _mm_sub_epi64(_mm_setzero_si128(), _mm_srli_si128(carry, 8));
    h = _mm_xor_si128(h, _mm_and_si128(_mm_shuffle_epi32(carry, 0x44), polynomial()));
    k->power[POWERS - 1] = h;
    for (int i = POWERS - 2; i >= 0; i--)
        k->power[i] = multiplied(k->power[i + 1], h);
    for (int i = POWERS; i < POWERS + 3; i++)
        k->power[i] = _mm_setzero_si128();
}

struct gh_gcm_key *gh_gcm_key_create(const uint8_t key[GH_GCM_KEY])
{
    struct gh_gcm_key *k = aligned_alloc(64, (sizeof *k + 63) / 64 * 64);

    if (k)
        derive(k, key);
    return k;
}

void gh_gcm_key_destroy(struct gh_gcm_key *k)
{
    if (k)
        OPENSSL_cleanse(k, sizeof *k);
    free(k);
}

/* ---- packets ---- */

struct pass {
    const struct gh_gcm_key *k;
    __m512i round[ROUNDS + 1];
    __m512i counter; /* of the next four blocks */
    __m128i hash;
};

INLINE __m512i powers(const struct gh_gcm_key *k, int first)
{
    return _mm512_loadu_si512(&k->power[first]);
}

INLINE __mmask64 mask_of(size_t bytes)
{
    return bytes >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << bytes) - 1;
}

INLINE void hash_group(struct pass *p, __m512i text[4])
{
    struct product sum = { _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512() };

    UNROLL
    for (int v = 0; v < 4; v++) {
        __m512i block = reversed4(text[v]);

        if (v == 0)
            block = _mm512_xor_si512(block, _mm512_zextsi128_si512(p->hash));
        add_product(&sum, block, powers(p->k, POWERS - GROUP + 4 * v));
    }
    p->hash = reduced(&sum);
}

/* What is not secret: a few blocks. */
INLINE void hash_aad(struct pass *p, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t n = len < 64 ? len : 64;
        int blocks = (int)((n + 15) / 16);
        struct product sum = { _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512() };
        __m512i block = reversed4(_mm512_maskz_loadu_epi8(mask_of(n), data));

        block = _mm512_xor_si512(block, _mm512_zextsi128_si512(p->hash));
        add_product(&sum, block, powers(p->k, POWERS - blocks));
        p->hash = reduced(&sum);
        data += n;
        len -= n;
    }
}

INLINE void group(struct pass *p, uint8_t *dest, const uint8_t *text, bool seal)
{
    const __m512i sixteen = _mm512_broadcast_i32x4(_mm_set_epi32(0, 0, 0, GROUP));
    __m512i stream[4], in[4], out[4];

    key_stream(p->round, p->counter, stream, 4);
    p->counter = _mm512_add_epi32(p->counter, sixteen);
    UNROLL
    for (int v = 0; v < 4; v++) {
        in[v] = _mm512_loadu_si512(text + 64 * v);
        out[v] = _mm512_xor_si512(in[v], stream[v]);
        _mm512_storeu_si512(dest + 64 * v, out[v]);
    }
    hash_group(p, seal ? out : in);
}

/* The last <len> bytes, fewer than a group has, and the block of lengths. */
INLINE void tail(struct pass *p, uint8_t *dest, const uint8_t *text, size_t len, bool seal, __m128i lengths)
{
    struct product sum = { _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512() };
    int blocks = (int)((len + 15) / 16), first = POWERS - (blocks + 1);
    const __m512i four = _mm512_broadcast_i32x4(_mm_set_epi32(0, 0, 0, 4));

    for (int v = 0; v * 64 < (int)len; v++) {
        __mmask64 m = mask_of(len - 64 * (size_t)v);
        __m512i in = _mm512_maskz_loadu_epi8(m, text + 64 * v), out, block;

        key_stream(p->round, p->counter, &out, 1);
        p->counter = _mm512_add_epi32(p->counter, four);
        out = _mm512_maskz_mov_epi8(m, _mm512_xor_si512(in, out));
        _mm512_mask_storeu_epi8(dest + 64 * v, m, out);
        block = reversed4(seal ? out : in);
        if (v == 0)
            block = _mm512_xor_si512(block, _mm512_zextsi128_si512(p->hash));
        add_product(&sum, block, powers(p->k, first + 4 * v));
    }
    if (len == 0)
        lengths = _mm_xor_si128(lengths, p->hash);
    add_product(&sum, _mm512_zextsi128_si512(lengths), _mm512_zextsi128_si512(p->k->power[POWERS - 1]));
    p->hash = reduced(&sum);
}

INLINE __m128i crypt(const struct gh_gcm_key *k, uint8_t *dest, struct gh_span text, const uint8_t iv[GH_GCM_IV], struct gh_span aad,
                     bool seal)
{
    struct pass p = { .k = k, .hash = _mm_setzero_si128() };
    uint8_t first[16] = { [15] = 1 };
    const uint8_t *at = text.data;
    size_t left = text.len;
    __m128i counter, tag;

    memcpy(first, iv, GH_GCM_IV);
    UNROLL
    for (int i = 0; i <= ROUNDS; i++)
        p.round[i] = _mm512_broadcast_i32x4(k->round[i]);
    counter = _mm_loadu_si128((const __m128i *)(const void *)first);
    tag = encrypted(k->round, counter);
    p.counter = _mm512_add_epi32(_mm512_broadcast_i32x4(reversed(counter)), _mm512_set_epi32(0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1));
    hash_aad(&p, aad.data, aad.len);
    for (; left >= 16 * GROUP; left -= 16 * GROUP, at += 16 * GROUP, dest += 16 * GROUP)
        group(&p, dest, at, seal);
    tail(&p, dest, at, left, seal, _mm_set_epi64x((long long)(aad.len * 8), (long long)(text.len * 8)));
    return _mm_xor_si128(tag, reversed(p.hash));
}

VECTORS void gh_gcm_seal(const struct gh_gcm_key *k, uint8_t *dest, struct gh_span text, const uint8_t iv[GH_GCM_IV], struct gh_span aad)
{
    __m128i tag = crypt(k, dest, text, iv, aad, true);

    _mm_storeu_si128((__m128i *)(void *)(dest + text.len), tag);
}

VECTORS bool gh_gcm_open(const struct gh_gcm_key *k, uint8_t *dest, struct gh_span text, const uint8_t tag[GH_GCM_TAG],
                         const uint8_t iv[GH_GCM_IV], struct gh_span aad)
{
    __m128i want = _mm_loadu_si128((const __m128i *)(const void *)tag); /* <dest> may be where it is */
    __m128i wrong = _mm_xor_si128(crypt(k, dest, text, iv, aad, false), want);

    if (_mm_testz_si128(wrong, wrong))
        return true;
    memset(dest, 0, text.len);
    return false;
}

VECTORS void gh_gcm_mask(const struct gh_gcm_key *k, uint8_t ret[5], const uint8_t sample[16])
{
    uint8_t block[16];

    _mm_storeu_si128((__m128i *)(void *)block, encrypted(k->round, _mm_loadu_si128((const __m128i *)(const void *)sample)));
    memcpy(ret, block, 5);
}

#else

bool gh_gcm_supported(void)
{
    return false;
}

struct gh_gcm_key *gh_gcm_key_create(const uint8_t key[GH_GCM_KEY])
{
    (void)key;
    return NULL;
}

void gh_gcm_key_destroy(struct gh_gcm_key *k)
{
    (void)k;
}

#endif
