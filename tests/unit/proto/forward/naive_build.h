/* tests/unit/proto/forward/naive_build.h - packets to test with
 */
#ifndef GH_TEST_NAIVE_BUILD_H
#define GH_TEST_NAIVE_BUILD_H

#include "naive.h"

/* Random numbers that a printed seed repeats (xorshift64). */
static inline uint32_t naive_random(uint64_t *state, uint32_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)((*state >> 32) % below);
}

/* What a test builds packets from. */
struct naive_spec {
    bool six, udp;
    unsigned flow;      /* lowest byte of the source address and of the source port */
    size_t ip_options;  /* bytes; IPv4: multiple of 4; IPv6: destination options, multiple of 8 */
    size_t tcp_options; /* bytes, multiple of 4 */
    uint32_t seq, ack;
    uint16_t id, window;
    uint8_t flags, tos, ttl, df;
    size_t payload;
    uint8_t first_byte; /* payload: counts up from here */
};

static inline uint8_t *naive_build(struct naive_list *l, const struct naive_spec *s)
{
    static const uint8_t zero[65536];
    size_t ip = (s->six ? 40u : 20u) + s->ip_options, transport = s->udp ? 8 : 20 + s->tcp_options;
    size_t len = ip + transport + s->payload;
    uint8_t *p = naive_append(l, zero, len), *t = p + ip;

    if (s->six) {
        p[0] = (uint8_t)(0x60 | s->tos >> 4);
        p[1] = (uint8_t)(s->tos << 4);
        p[3] = 0x42; /* flow label */
        p[6] = s->ip_options ? 60 : s->udp ? 17 : 6;
        p[7] = s->ttl;
        p[8] = p[24] = 0xfd;
        p[23] = (uint8_t)s->flow;
        p[39] = 1;
        if (s->ip_options) {
            p[40] = s->udp ? 17 : 6;
            p[41] = (uint8_t)(s->ip_options / 8 - 1);
            p[42] = 1; /* PadN over all of the rest */
            p[43] = (uint8_t)(s->ip_options - 4);
        }
    } else {
        p[0] = (uint8_t)(0x45 + s->ip_options / 4);
        p[1] = s->tos;
        naive_put16(p + 4, s->id);
        p[6] = s->df ? 0x40 : 0;
        p[8] = s->ttl;
        p[9] = s->udp ? 17 : 6;
        p[12] = p[16] = 10;
        p[15] = (uint8_t)s->flow;
        p[19] = 1;
        memset(p + 20, 1, s->ip_options); /* no operation */
    }
    naive_put16(t, 4000 + s->flow);
    naive_put16(t + 2, 443);
    if (!s->udp) {
        naive_put16(t + 4, s->seq >> 16);
        naive_put16(t + 6, s->seq & 0xffff);
        naive_put16(t + 8, s->ack >> 16);
        naive_put16(t + 10, s->ack & 0xffff);
        t[12] = (uint8_t)((20 + s->tcp_options) / 4 << 4);
        t[13] = s->flags;
        naive_put16(t + 14, s->window);
        memset(t + 20, 1, s->tcp_options);
    }
    for (size_t i = 0; i < s->payload; i++)
        t[transport + i] = (uint8_t)(s->first_byte + i * 7 + (i >> 8));
    naive_finish(p, len);
    return p;
}

#endif
