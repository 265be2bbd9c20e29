/* tests/unit/wire/packets.h - packets for tests, built with a checksum of their own (byte by byte, as RFC 1071 words it) */
#ifndef GH_TEST_PACKETS_H
#define GH_TEST_PACKETS_H

#include <arpa/inet.h>

#include "../test.h"
#include "base/ip_addr.h"

struct packet {
    uint8_t data[65600];
    size_t len;
};

static inline uint16_t naive_checksum(const uint8_t *head, size_t head_len, const uint8_t *p, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < head_len + len; i++) {
        uint8_t b = i < head_len ? head[i] : p[i - head_len];

        sum += i % 2 ? b : (uint32_t)b << 8;
        if (sum > 0xffff)
            sum -= 0xffff;
    }
    return (uint16_t)~sum;
}

static inline void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v & 0xffff);
}

static inline unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static inline struct gh_ip ip_of(const char *text)
{
    struct gh_ip a;

    assert_int_equal(gh_ip_parse(text, strlen(text), &a), 0);
    return a;
}

static inline struct gh_prefix prefix_of(const char *text)
{
    struct gh_prefix p;

    assert_int_equal(gh_prefix_parse(text, strlen(text), &p), 0);
    return p;
}

static inline void seal_v4(struct packet *p)
{
    size_t head = (size_t)(p->data[0] & 15) * 4;

    put16(p->data + 10, 0);
    put16(p->data + 10, naive_checksum(p->data, head, NULL, 0));
}

/* An IP header and <len> bytes behind it. */
static inline void make_ip(struct packet *p, const char *src, const char *dst, unsigned proto, const void *body, size_t len)
{
    struct gh_ip s = ip_of(src), d = ip_of(dst);
    size_t head = s.family == 4 ? 20 : 40;

    memset(p->data, 0, head);
    if (s.family == 4) {
        p->data[0] = 0x45;
        put16(p->data + 2, (unsigned)(20 + len));
        p->data[8] = 64;
        p->data[9] = (uint8_t)proto;
        memcpy(p->data + 12, s.bytes, 4);
        memcpy(p->data + 16, d.bytes, 4);
        seal_v4(p);
    } else {
        p->data[0] = 0x60;
        put16(p->data + 4, (unsigned)len);
        p->data[6] = (uint8_t)proto;
        p->data[7] = 64;
        memcpy(p->data + 8, s.bytes, 16);
        memcpy(p->data + 24, d.bytes, 16);
    }
    if (len > 0)
        memcpy(p->data + head, body, len);
    p->len = head + len;
}

static inline uint16_t upper_checksum(const struct packet *p, size_t l4, unsigned proto)
{
    uint8_t pseudo[40] = { 0 };
    bool v6 = p->data[0] >> 4 == 6;

    memcpy(pseudo, p->data + (v6 ? 8 : 12), v6 ? 32 : 8);
    put32(pseudo + 32, (uint32_t)(p->len - l4));
    pseudo[39] = (uint8_t)proto;
    return naive_checksum(pseudo, 40, p->data + l4, p->len - l4);
}

static inline void make_udp(struct packet *p, const char *src, const char *dst, unsigned sport, unsigned dport, size_t payload)
{
    static uint8_t body[65536];
    size_t l4;

    memset(body, 0xa5, 8 + payload);
    put16(body, sport);
    put16(body + 2, dport);
    put16(body + 4, (unsigned)(8 + payload));
    put16(body + 6, 0);
    make_ip(p, src, dst, 17, body, 8 + payload);
    l4 = p->len - 8 - payload;
    put16(p->data + l4 + 6, upper_checksum(p, l4, 17));
}

struct tcp_fields {
    unsigned sport, dport, flags;
    uint32_t seq, ack;
    unsigned mss; /* 0: no option */
    size_t payload;
};

#define make_tcp(p, src, dst, ...) make_tcp_of(p, src, dst, (struct tcp_fields){ __VA_ARGS__ })

static inline void make_tcp_of(struct packet *p, const char *src, const char *dst, struct tcp_fields f)
{
    static uint8_t body[4096];
    size_t head = f.mss ? 24 : 20, l4;

    memset(body, 0, sizeof body);
    put16(body, f.sport);
    put16(body + 2, f.dport);
    put32(body + 4, f.seq);
    put32(body + 8, f.ack);
    body[12] = (uint8_t)(head / 4 << 4);
    body[13] = (uint8_t)f.flags;
    put16(body + 14, 64000);
    if (f.mss) {
        body[20] = 2;
        body[21] = 4;
        put16(body + 22, f.mss);
    }
    make_ip(p, src, dst, 6, body, head + f.payload);
    l4 = p->len - head - f.payload;
    put16(p->data + l4 + 16, upper_checksum(p, l4, 6));
}

struct icmp_fields {
    unsigned type, code;
    uint32_t rest;    /* the second word */
    const void *more; /* what follows it */
    size_t more_len;
};

#define make_icmp(p, src, dst, ...) make_icmp_of(p, src, dst, (struct icmp_fields){ __VA_ARGS__ })

static inline void make_icmp_of(struct packet *p, const char *src, const char *dst, struct icmp_fields f)
{
    uint8_t body[2048] = { (uint8_t)f.type, (uint8_t)f.code };
    bool v6 = ip_of(src).family == 6;
    size_t l4;

    put32(body + 4, f.rest);
    if (f.more_len > 0)
        memcpy(body + 8, f.more, f.more_len);
    make_ip(p, src, dst, v6 ? 58 : 1, body, 8 + f.more_len);
    l4 = p->len - 8 - f.more_len;
    put16(p->data + l4 + 2, v6 ? upper_checksum(p, l4, 58) : naive_checksum(p->data + l4, p->len - l4, NULL, 0));
}

static inline void make_echo(struct packet *p, const char *src, const char *dst, bool reply, unsigned id, size_t payload)
{
    static const uint8_t zeros[1024];
    bool v6 = ip_of(src).family == 6;

    make_icmp(p, src, dst, v6 ? (reply ? 129 : 128) : (reply ? 0 : 8), 0, (uint32_t)id << 16 | 1, zeros, payload);
}

/* The piece [from, from + len) of what lies behind the header of <whole>. */
static inline void make_fragment(struct packet *p, const struct packet *whole, uint32_t id, size_t from, size_t len, bool more)
{
    bool v6 = whole->data[0] >> 4 == 6;
    size_t head = v6 ? 40 : 20, ext = v6 ? 8 : 0;

    memcpy(p->data, whole->data, head);
    memcpy(p->data + head + ext, whole->data + head + from, len);
    p->len = head + ext + len;
    if (v6) {
        put16(p->data + 4, (unsigned)(ext + len));
        p->data[40] = whole->data[6];
        p->data[41] = 0;
        put16(p->data + 42, (unsigned)from | more);
        put32(p->data + 44, id);
        p->data[6] = 44;
    } else {
        put16(p->data + 2, (unsigned)p->len);
        put16(p->data + 4, id);
        put16(p->data + 6, (unsigned)(from / 8) | (more ? 0x2000u : 0));
        seal_v4(p);
    }
}

#endif
