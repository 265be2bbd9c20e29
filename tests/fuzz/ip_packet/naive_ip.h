/* tests/fuzz/ip_packet/naive_ip.h - reading a packet the slow and obvious way: first the list of its headers, then the judgement
 *
 * Written from RFC 791, 8200, 768, 9293 and the rules in the head of wire/ip.h; shares no code with src/.
 */
#ifndef GH_TEST_NAIVE_IP_H
#define GH_TEST_NAIVE_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct naive_ip {
    unsigned version, protocol, ttl;
    bool piece, more, ports, icmp;
    unsigned offset, upper, base; /* of the piece; where the upper header is; where the piece's bytes begin */
    unsigned source_port, target_port, type, code;
    uint32_t id;
    uint8_t from[16], to[16];
};

static inline unsigned naive_word(const uint8_t *d, size_t at)
{
    return d[at] * 256u + d[at + 1];
}

/* Ones' complement sum of 16-bit words (RFC 1071); 0xffff over a whole message with its checksum. */
static inline unsigned naive_ones(const uint8_t *d, size_t len, unsigned sum)
{
    for (size_t i = 0; i < len; i++) {
        sum += i % 2 ? d[i] : d[i] * 256u;
        if (sum > 0xffff)
            sum -= 0xffff;
    }
    return sum;
}

static inline bool naive_options(const uint8_t *d, size_t from, size_t to)
{
    while (from < to && d[from] != 0) {
        size_t size = 1;

        if (d[from] == 131 || d[from] == 137)
            return false;
        if (d[from] != 1) {
            if (from + 1 >= to || d[from + 1] < 2)
                return false;
            size = d[from + 1];
        }
        from += size;
        if (from > to)
            return false;
    }
    return true;
}

static inline bool naive_four(const uint8_t *d, size_t len, struct naive_ip *p)
{
    size_t head;

    if (len < 20)
        return false;
    head = d[0] % 16 * 4u;
    if (head < 20 || head > len || naive_word(d, 2) != len || naive_ones(d, head, 0) != 0xffff || !naive_options(d, 20, head))
        return false;
    p->id = naive_word(d, 4);
    p->more = d[6] / 32 % 2;
    p->offset = naive_word(d, 6) % 8192 * 8;
    p->piece = p->more || p->offset;
    p->ttl = d[8];
    p->protocol = d[9];
    p->upper = p->base = (unsigned)head;
    memcpy(p->from, d + 12, 4);
    memcpy(p->to, d + 16, 4);
    return true;
}

static inline bool naive_six(const uint8_t *d, size_t len, struct naive_ip *p)
{
    unsigned type, at = 40, headers = 0, fragments = 0;

    if (len < 40 || naive_word(d, 4) + 40 != len)
        return false;
    p->ttl = d[7];
    memcpy(p->from, d + 8, 16);
    memcpy(p->to, d + 24, 16);
    for (type = d[6]; type == 0 || type == 43 || type == 44 || type == 60; headers++) {
        unsigned size = 8;

        if (headers == 8 || at + 8 > len)
            return false;
        if (type == 0 && headers != 0) /* RFC 8200, section 4.1: directly behind the IPv6 header */
            return false;
        if (type == 44) {
            if (++fragments == 2)
                return false;
            p->more = d[at + 3] % 2;
            p->offset = naive_word(d, at + 2) / 8 * 8;
            p->piece = p->more || p->offset;
            p->id = naive_word(d, at + 4) * 65536u + naive_word(d, at + 6);
            p->base = at + 8;
        } else {
            size = 8 + 8u * d[at + 1];
            if (at + size > len || (type == 43 && d[at + 3] != 0))
                return false;
        }
        type = d[at];
        at += size;
        if (p->offset)
            break;
    }
    p->protocol = type;
    p->upper = at;
    if (!fragments)
        p->base = at;
    return true;
}

static inline bool naive_upper(const uint8_t *d, size_t len, struct naive_ip *p)
{
    size_t left = len - p->upper;

    p->icmp = p->protocol == (p->version == 4 ? 1 : 58);
    p->ports = p->protocol == 6 || p->protocol == 17 || p->protocol == 33 || p->protocol == 132 || p->protocol == 136;
    if ((p->icmp || p->ports) && left < 8)
        return false;
    if (p->icmp) {
        p->type = d[p->upper];
        p->code = d[p->upper + 1];
    }
    if (p->ports) {
        p->source_port = naive_word(d, p->upper);
        p->target_port = naive_word(d, p->upper + 2);
    }
    if (p->protocol == 6 && (left < 20 || d[p->upper + 12] / 16 < 5 || d[p->upper + 12] / 16 * 4u > left))
        return false;
    if (p->protocol == 17) {
        unsigned told = naive_word(d, p->upper + 4);

        return told >= 8 && (p->piece || told <= left);
    }
    return true;
}

/* True when a gateway may judge the packet. */
static inline bool naive_ip_read(const uint8_t *d, size_t len, struct naive_ip *p)
{
    memset(p, 0, sizeof *p);
    if (len == 0)
        return false;
    p->version = d[0] / 16;
    if (p->version == 4 ? !naive_four(d, len, p) : p->version == 6 ? !naive_six(d, len, p) : true)
        return false;
    if (p->piece) {
        size_t size = len - p->base;

        if (size == 0 || (p->more && size % 8) || p->offset + size > 65535)
            return false;
    }
    return p->offset ? true : naive_upper(d, len, p);
}

#endif
