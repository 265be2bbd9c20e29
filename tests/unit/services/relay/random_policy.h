/* tests/unit/services/relay/random_policy.h - policies and packets by lot, from one seed, over few addresses, so that rules meet packets */
#ifndef GH_TEST_RANDOM_POLICY_H
#define GH_TEST_RANDOM_POLICY_H

#include <stdio.h>
#include <string.h>

#include "base/ip_addr.h"

#define LOT_CLIENTS 6u   /* client-0 to client-5; the policy names all but the last */
#define LOT_GROUPS 3u

struct lot {
    uint64_t state;
};

static inline uint32_t lot_draw(struct lot *l, uint32_t below)
{
    l->state ^= l->state << 13;
    l->state ^= l->state >> 7;
    l->state ^= l->state << 17;
    return (uint32_t)(l->state >> 33) % below;
}

/* An address of the network, or, now and then, of the pool. */
static inline void lot_address(struct lot *l, bool six, char *buf, size_t size)
{
    static const char *const four[] = { "10.20.0.%u", "10.20.1.%u", "10.21.0.%u", "192.0.2.%u", "10.100.0.%u" };
    static const char *const sixes[] = { "fd20::%x", "fd20:0:0:1::%x", "fd21::%x", "2001:db8:1::%x", "fd00:100::%x" };

    const char *format = six ? sixes[lot_draw(l, 5)] : four[lot_draw(l, 5)];

    assert_non_null(format); /* gcc with UBSan cannot tell */
    /* from 2 on: the first of the pool is the relay's own */
    snprintf(buf, size, format, 2 + lot_draw(l, 12));
}

static inline void lot_prefix(struct lot *l, char *buf, size_t size)
{
    static const uint8_t four[] = { 0, 8, 15, 16, 24, 29, 31, 32 }, sixes[] = { 0, 16, 32, 47, 64, 125, 127, 128 };
    bool six = lot_draw(l, 2);
    char text[GH_PREFIX_TEXT];
    struct gh_prefix p;

    lot_address(l, six, text, sizeof text);
    gh_ip_parse(text, strlen(text), &p.addr);
    p.len = six ? sixes[lot_draw(l, 8)] : four[lot_draw(l, 8)];
    for (unsigned bit = p.len; bit < (six ? 128u : 32u); bit++)
        p.addr.bytes[bit / 8] &= (uint8_t)~(0x80u >> bit % 8);
    snprintf(buf, size, "%s", gh_prefix_emit(&p, text));
}

static inline void lot_service(struct lot *l, FILE *out)
{
    unsigned first = 1 + lot_draw(l, 60);

    switch (lot_draw(l, 7)) {
    case 0:
        fprintf(out, ", protocol: [tcp, udp], ports: [%u, %u-%u]", first, first + 2, first + 2 + lot_draw(l, 30));
        break;
    case 1:
        fprintf(out, ", ports: %u-%u", first, first + lot_draw(l, 40));
        break;
    case 2:
        fprintf(out, ", protocol: [icmp, icmpv6]");
        break;
    case 3:
        fprintf(out, ", icmp: echo-request");
        break;
    case 4:
        fprintf(out, ", protocol: icmp, icmp: [{ type: %u, code: %u }, 8]", 40 + lot_draw(l, 4), lot_draw(l, 2));
        break;
    case 5:
        fprintf(out, ", protocol: [sctp, gre, 99, udplite]");
        break;
    default:
        break; /* whatever it is */
    }
}

static inline void lot_rules(struct lot *l, const char *owner, FILE *out)
{
    unsigned count = 1 + lot_draw(l, 12);
    char prefix[GH_PREFIX_TEXT];

    fprintf(out, "    rules:\n");
    for (unsigned i = 0; i < count; i++) {
        fprintf(out, "      - { id: %s-%u, action: %s", owner, i, lot_draw(l, 2) ? "allow" : "deny");
        if (lot_draw(l, 14) == 0) {
            fprintf(out, ", type: default");
        } else {
            fprintf(out, ", type: ip_cidr, destinations: [");
            for (unsigned n = 1 + lot_draw(l, 3); n > 0; n--) {
                lot_prefix(l, prefix, sizeof prefix);
                fprintf(out, "\"%s\"%s", prefix, n > 1 ? ", " : "]");
            }
            lot_service(l, out);
        }
        if (lot_draw(l, 2))
            fprintf(out, ", direction: in");
        if (lot_draw(l, 6) == 0)
            fprintf(out, ", expires_at: %s", lot_draw(l, 2) ? "2020-01-31" : "2999-01-31T18:00:00Z");
        if (lot_draw(l, 4) == 0)
            fprintf(out, ", log: all");
        if (lot_draw(l, 4) == 0)
            fprintf(out, ", on_deny: icmp");
        fprintf(out, " }\n");
    }
}

static inline void lot_policy(struct lot *l, FILE *out)
{
    char name[24];

    fprintf(out, "version: \"1.0\"\ndefault_action: %s\ngroups:\n", lot_draw(l, 2) ? "allow" : "deny");
    for (unsigned i = 0; i < LOT_GROUPS; i++) {
        snprintf(name, sizeof name, "group-%u", i);
        fprintf(out, "  %s:\n", name);
        lot_rules(l, name, out);
    }
    fprintf(out, "clients:\n");
    for (unsigned i = 0; i < LOT_CLIENTS - 1; i++) {
        snprintf(name, sizeof name, "client-%u", i);
        fprintf(out, "  %s:\n    groups: [group-%u%s]\n", name, i % LOT_GROUPS, i % 2 ? "" : i % LOT_GROUPS == 1 ? ", group-0" : ", group-1");
        if (i % LOT_GROUPS == 1 && i % 2 == 0)
            fprintf(out, "    description: two groups\n");
        lot_rules(l, name, out);
    }
}

/* A packet: the tuple, and its bytes. */
struct lot_packet {
    struct gh_ip src, dst;
    uint8_t protocol, icmp_type, icmp_code;
    uint16_t src_port, dst_port;
    size_t len;
    uint8_t bytes[128];
};

static inline bool lot_has_ports(uint8_t protocol)
{
    return protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132 || protocol == 136;
}

static inline void lot_put16(uint8_t *at, unsigned v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

/* The tuple of packet number <number>; with ports or an ICMP id, no two numbers have the same. */
static inline void lot_tuple(struct lot *l, bool six, unsigned number, struct lot_packet *p)
{
    static const uint8_t protocols[] = { 6, 6, 6, 17, 17, 17, 1, 1, 33, 132, 136, 47, 99, 50 };

    p->protocol = protocols[lot_draw(l, sizeof protocols)];
    if (p->protocol == 1 && six)
        p->protocol = 58;
    p->src_port = p->dst_port = p->icmp_type = p->icmp_code = 0;
    if (lot_has_ports(p->protocol)) {
        p->src_port = (uint16_t)(2048 + number);
        p->dst_port = (uint16_t)(1 + lot_draw(l, 110));
    } else if (p->protocol == 58) {
        p->icmp_type = lot_draw(l, 2) ? 128 : (uint8_t)(200 + lot_draw(l, 2));
    } else if (p->protocol == 1) {
        p->icmp_type = lot_draw(l, 2) ? 8 : (uint8_t)(40 + lot_draw(l, 4));
        p->icmp_code = (uint8_t)(p->icmp_type == 8 ? 0 : lot_draw(l, 2));
    }
}

static inline void lot_build(struct lot_packet *p, unsigned number)
{
    uint8_t *b = p->bytes, *upper;
    size_t head = p->src.family == 4 ? 20 : 40, rest = 28;
    uint32_t sum = 0;

    memset(b, 0, sizeof p->bytes);
    upper = b + head;
    p->len = head + rest;
    if (head == 20) {
        b[0] = 0x45;
        lot_put16(b + 2, (unsigned)p->len);
        b[8] = 64;
        b[9] = p->protocol;
        memcpy(b + 12, p->src.bytes, 4);
        memcpy(b + 16, p->dst.bytes, 4);
        for (unsigned i = 0; i < 20; i += 2)
            sum += (uint32_t)b[i] << 8 | b[i + 1];
        while (sum >> 16)
            sum = (sum & 0xffff) + (sum >> 16);
        lot_put16(b + 10, ~sum & 0xffff);
    } else {
        b[0] = 0x60;
        lot_put16(b + 4, (unsigned)rest);
        b[6] = p->protocol;
        b[7] = 64;
        memcpy(b + 8, p->src.bytes, 16);
        memcpy(b + 24, p->dst.bytes, 16);
    }
    if (lot_has_ports(p->protocol)) {
        lot_put16(upper, p->src_port);
        lot_put16(upper + 2, p->dst_port);
    }
    if (p->protocol == 17)
        lot_put16(upper + 4, (unsigned)rest);
    if (p->protocol == 6) {
        upper[12] = 0x50;
        upper[13] = 2; /* SYN */
    }
    if (p->protocol == 1 || p->protocol == 58) {
        upper[0] = p->icmp_type;
        upper[1] = p->icmp_code;
        lot_put16(upper + 4, number & 0xffff);
    }
    lot_put16(upper + rest - 4, number >> 16);
    lot_put16(upper + rest - 2, number & 0xffff); /* told by at the other end */
}

#endif
