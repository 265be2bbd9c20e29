#include "proto/forward/checksum.h"

#include <string.h>

#include "base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define VECTOR_MIN 128u /* below this the scalar loop is as fast */
#define UDP_CHECKSUM_OFFSET 6u

static inline uint64_t add64(uint64_t sum, uint64_t v)
{
    sum += v;
    return sum + (sum < v); /* end-around carry; it cannot carry twice */
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

uint64_t gh_checksum_add_scalar(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint8_t tail[8] = { 0 };

    for (; len >= 32; len -= 32, p += 32) {
        sum = add64(sum, load64(p));
        sum = add64(sum, load64(p + 8));
        sum = add64(sum, load64(p + 16));
        sum = add64(sum, load64(p + 24));
    }
    for (; len >= 8; len -= 8, p += 8)
        sum = add64(sum, load64(p));
    if (len == 0)
        return sum;
    memcpy(tail, p, len); /* zero bytes behind the text do not change its sum */
    return add64(sum, load64(tail));
}

#if defined(__x86_64__)
/* <len> is a multiple of 64. Each 32-bit half is added in a lane of 64, which 2^32 additions cannot overflow. */
__attribute__((target("avx2"))) static uint64_t add_avx2(uint64_t sum, const uint8_t *p, size_t len)
{
    const __m256i low = _mm256_set1_epi64x(0xffffffff);
    __m256i a = _mm256_setzero_si256(), b = _mm256_setzero_si256();
    uint64_t lanes[4];

    for (; len; len -= 64, p += 64) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
        __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));

        a = _mm256_add_epi64(a, _mm256_add_epi64(_mm256_and_si256(v, low), _mm256_srli_epi64(v, 32)));
        b = _mm256_add_epi64(b, _mm256_add_epi64(_mm256_and_si256(w, low), _mm256_srli_epi64(w, 32)));
    }
    _mm256_storeu_si256((__m256i *)(void *)lanes, _mm256_add_epi64(a, b));
    for (size_t i = 0; i < 4; i++)
        sum = add64(sum, lanes[i]);
    return sum;
}
#endif

uint64_t gh_checksum_add(uint64_t sum, const void *data, size_t len)
{
#if defined(__x86_64__)
    if (len >= VECTOR_MIN && __builtin_cpu_supports("avx2")) {
        size_t whole = len & ~(size_t)63;

        sum = add_avx2(sum, data, whole);
        data = (const uint8_t *)data + whole;
        len -= whole;
    }
#endif
    return gh_checksum_add_scalar(sum, data, len);
}

uint64_t gh_checksum_number(uint64_t sum, uint32_t value)
{
    const uint8_t bytes[4] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value };
    uint32_t v;

    memcpy(&v, bytes, sizeof v);
    return add64(sum, v);
}

uint16_t gh_checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

uint64_t gh_checksum_pseudo(const void *addresses, size_t address_len, uint8_t protocol, uint32_t transport_len)
{
    uint64_t sum = gh_checksum_add_scalar(0, addresses, 2 * address_len);

    return gh_checksum_number(gh_checksum_number(sum, protocol), transport_len);
}

void gh_checksum_store(void *field, uint64_t sum, bool zero_is_none)
{
    uint16_t v = (uint16_t)~gh_checksum_fold(sum);

    if (v == 0 && zero_is_none)
        v = 0xffff;
    memcpy(field, &v, sizeof v);
}

int gh_checksum_complete(uint8_t *data, size_t len, size_t offset)
{
    if (len < 2 || offset > len - 2 || offset % 2)
        return GH_ERR_MALFORMED;
    gh_checksum_store(data + offset, gh_checksum_add(0, data, len), offset == UDP_CHECKSUM_OFFSET);
    return 0;
}

bool gh_checksum_good(uint64_t sum)
{
    return gh_checksum_fold(sum) == 0xffff;
}
