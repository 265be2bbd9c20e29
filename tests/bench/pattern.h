/* tests/bench/pattern.h - the bytes that measurements send, so that what arrives can be compared
 *
 * The period is prime, so that a slip by whole packets or pages shows, and small, so that comparing is cheap.
 */
#ifndef GH_BENCH_PATTERN_H
#define GH_BENCH_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#define PATTERN_PERIOD 65537u

static inline void pattern_fill(uint8_t *data, size_t len)
{
    uint64_t x = 0x9e3779b97f4a7c15u;

    for (size_t i = 0; i < len && i < PATTERN_PERIOD; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data[i] = (uint8_t)(x >> 32);
    }
    for (size_t i = PATTERN_PERIOD; i < len; i++)
        data[i] = data[i - PATTERN_PERIOD];
}

/* Where the bytes of a numbered packet begin. */
static inline size_t pattern_place(uint64_t number)
{
    return number * 61 % PATTERN_PERIOD;
}

#endif
