/* tests/unit/proto/forward/naive.h - cutting, merging and checksums the slow and obvious way
 *
 * Written from the RFCs, shares no code with src/proto/forward. Unit tests and the fuzz target compare with it.
 */
#ifndef GH_TEST_NAIVE_H
#define GH_TEST_NAIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/offload.h"
#include "proto/forward/coalesce.h"
#include "proto/forward/segment.h"

struct naive_packet {
    uint8_t *data;
    size_t len;
};

struct naive_list {
    struct naive_packet *items;
    size_t count, room;
};

static inline uint8_t *naive_append(struct naive_list *l, const void *data, size_t len)
{
    struct naive_packet *p;

    if (l->count == l->room) {
        l->room = l->room ? 2 * l->room : 16;
        l->items = realloc(l->items, l->room * sizeof *l->items);
        if (!l->items)
            abort();
    }
    p = &l->items[l->count++];
    p->data = malloc(len ? len : 1); /* its own block: a sanitizer sees what is read beyond it */
    if (!p->data)
        abort();
    if (len)
        memcpy(p->data, data, len);
    p->len = len;
    return p->data;
}

static inline void naive_free(struct naive_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i].data);
    free(l->items);
    memset(l, 0, sizeof *l);
}

/* RFC 1071, section 4.1: word by word. Returns the sum, not inverted. */
static inline uint16_t naive_sum(uint32_t sum, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static inline uint16_t naive_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] * 256 + p[1]);
}

static inline void naive_put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v / 256);
    p[1] = (uint8_t)(v % 256);
}

struct naive_view {
    bool six;
    uint8_t protocol;
    size_t transport, payload; /* offsets */
    size_t field;              /* the checksum */
};

/* A whole TCP or UDP packet with complete headers, extension headers only such as leave the addresses alone? */
static inline bool naive_look(const uint8_t *p, size_t len, struct naive_view *v)
{
    size_t at = 40;
    uint8_t next;

    memset(v, 0, sizeof *v);
    if (len < 1)
        return false;
    switch (p[0] / 16) {
    case 4:
        at = (size_t)(p[0] % 16) * 4;
        if (len < 20 || at < 20 || at > len || (p[6] & 0x20) || (p[6] & 0x1f) || p[7])
            return false;
        next = p[9];
        break;
    case 6:
        if (len < 40)
            return false;
        v->six = true;
        for (next = p[6]; next == 0 || next == 60; ) {
            size_t size;

            if (at + 8 > len)
                return false;
            size = 8 + 8 * (size_t)p[at + 1];
            next = p[at];
            at += size;
            if (at > len || at > 512)
                return false;
        }
        break;
    default:
        return false;
    }
    v->protocol = next;
    v->transport = at;
    if (next == 17) {
        v->payload = at + 8;
        v->field = at + 6;
        return v->payload <= len;
    }
    if (next != 6 || at + 20 > len)
        return false;
    v->payload = at + 4 * (size_t)(p[at + 12] / 16);
    v->field = at + 16;
    return v->payload >= at + 20 && v->payload <= len;
}

/* The sum of the pseudo header. */
static inline uint16_t naive_pseudo(const uint8_t *p, const struct naive_view *v, size_t len)
{
    size_t transport_len = len - v->transport;
    uint32_t sum = v->six ? naive_sum(0, p + 8, 32) : naive_sum(0, p + 12, 8);

    sum += v->protocol + (uint32_t)(transport_len >> 16) + (uint32_t)(transport_len & 0xffff);
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* Makes lengths and checksums of a TCP or UDP packet what they must be. */
static inline void naive_finish(uint8_t *p, size_t len)
{
    struct naive_view v;
    unsigned sum;

    if (!naive_look(p, len, &v))
        return;
    if (v.six) {
        naive_put16(p + 4, (unsigned)((len - 40) & 0xffff));
    } else {
        naive_put16(p + 2, (unsigned)(len & 0xffff));
        naive_put16(p + 10, 0);
        naive_put16(p + 10, 0xffffu - naive_sum(0, p, v.transport));
    }
    if (v.protocol == 17)
        naive_put16(p + v.transport + 4, (unsigned)((len - v.transport) & 0xffff));
    naive_put16(p + v.field, 0);
    sum = 0xffffu - naive_sum(naive_pseudo(p, &v, len), p + v.transport, len - v.transport);
    naive_put16(p + v.field, sum == 0 && v.protocol == 17 ? 0xffff : sum);
}

/* Appends what <packet> is cut into; false when packet and offload do not fit each other. */
static inline bool naive_cut(const uint8_t *packet, size_t len, const struct gh_offload *o, struct naive_list *ret)
{
    struct naive_view v;
    uint32_t seq, number = 0;
    uint16_t id;

    if (len == 0)
        return false;
    if (o->kind == GH_OFFLOAD_NONE) {
        size_t field = (size_t)o->csum_start + o->csum_offset;
        uint8_t *p;
        unsigned sum;

        if (o->needs_csum && (o->csum_offset % 2 || field + 2 > len))
            return false;
        p = naive_append(ret, packet, len);
        if (o->needs_csum) {
            sum = 0xffffu - naive_sum(0, p + o->csum_start, len - o->csum_start);
            naive_put16(p + field, sum == 0 && o->csum_offset == 6 ? 0xffff : sum);
        }
        return true;
    }
    if (!naive_look(packet, len, &v))
        return false;
    if ((o->kind == GH_OFFLOAD_UDP) != (v.protocol == 17) || (o->kind == GH_OFFLOAD_TCP4 && v.six) ||
        (o->kind == GH_OFFLOAD_TCP6 && !v.six))
        return false;
    if (o->needs_csum && (o->csum_start != v.transport || o->csum_start + o->csum_offset != (int)v.field))
        return false;
    if (o->segment_size == 0 || v.payload + o->segment_size > 65535)
        return false;
    seq = (uint32_t)naive_get16(packet + v.transport + 4) << 16 | naive_get16(packet + v.transport + 6);
    id = naive_get16(packet + 4);
    for (size_t at = v.payload;;) {
        size_t piece = len - at > o->segment_size ? o->segment_size : len - at;
        bool last = at + piece == len;
        uint8_t *p = naive_append(ret, packet, v.payload + piece);

        memcpy(p + v.payload, packet + at, piece);
        if (!v.six)
            naive_put16(p + 4, (id + number) & 0xffff);
        if (v.protocol == 6) {
            uint32_t s = seq + (uint32_t)(at - v.payload);

            naive_put16(p + v.transport + 4, s >> 16);
            naive_put16(p + v.transport + 6, s & 0xffff);
            if (!last)
                p[v.transport + 13] &= 0xf6; /* FIN, PSH */
            if (number)
                p[v.transport + 13] &= 0x7f; /* CWR */
        }
        naive_finish(p, v.payload + piece);
        at += piece;
        number++;
        if (last)
            return true;
    }
}

/* Is <out> the packet <in>? The identification of an IPv4 packet with DF means nothing (RFC 6864). */
static inline bool naive_same(const struct naive_packet *in, const struct naive_packet *out)
{
    uint8_t a[20], b[20];
    struct naive_view v;

    if (in->len != out->len)
        return false;
    if (!naive_look(in->data, in->len, &v) || v.six || !(in->data[6] & 0x40))
        return memcmp(in->data, out->data, in->len) == 0;
    memcpy(a, in->data, 20);
    memcpy(b, out->data, 20);
    /* the same header checksum, give or take the identification */
    if (naive_sum(0, a, 20) != naive_sum(0, b, 20))
        return false;
    naive_put16(a + 4, 0);
    naive_put16(b + 4, 0);
    naive_put16(a + 10, 0);
    naive_put16(b + 10, 0);
    return memcmp(a, b, 20) == 0 && memcmp(in->data + 20, out->data + 20, in->len - 20) == 0;
}

static inline bool naive_same_flow(const struct naive_packet *a, const struct naive_packet *b)
{
    struct naive_view v, w;
    bool known = naive_look(a->data, a->len, &v);

    if (known != naive_look(b->data, b->len, &w))
        return false;
    if (!known)
        return true; /* all that is not TCP or UDP counts as one flow */
    return v.six == w.six && v.protocol == w.protocol &&
           memcmp(a->data + (v.six ? 8 : 12), b->data + (v.six ? 8 : 12), v.six ? 32 : 8) == 0 &&
           memcmp(a->data + v.transport, b->data + w.transport, 4) == 0;
}

/* Every packet of a batch came out, unchanged, no flow overtook itself, and nothing passed a packet of no known flow. */
static inline const char *naive_compare(const struct naive_list *in, const struct naive_list *out)
{
    bool *used = calloc(in->count + 1, sizeof *used);
    const char *wrong = in->count == out->count ? NULL : "packets were lost or made up";
    size_t epoch = 0;

    if (!used)
        abort();
    for (size_t i = 0; i < out->count && !wrong; i++) {
        size_t k = 0, e = 0;
        struct naive_view v;

        while (k < in->count && (used[k] || !naive_same_flow(&in->items[k], &out->items[i])))
            k++;
        if (k == in->count || !naive_same(&in->items[k], &out->items[i])) {
            wrong = "a packet was changed or a flow reordered";
            break;
        }
        used[k] = true;
        for (size_t j = 0; j <= k; j++)
            if (!naive_look(in->items[j].data, in->items[j].len, &v))
                e += j == k ? 1 : 2;
        if (e < epoch)
            wrong = "a packet passed one of no known flow";
        epoch = e;
    }
    free(used);
    return wrong;
}

/* What a merged packet must state about itself. */
static inline const char *naive_check_super(const uint8_t *p, const struct gh_super *s)
{
    struct naive_view v;

    if (s->offload.kind == GH_OFFLOAD_NONE)
        return s->packet_count == 1 && s->piece_count == 1 ? NULL : "several packets without an offload";
    if (s->packet_count < 2 || s->packet_count != s->piece_count || s->len > 65535)
        return "counts of a merged packet";
    if (!naive_look(p, s->len, &v) || !s->offload.needs_csum || s->offload.csum_start != v.transport ||
        s->offload.header_len != v.payload)
        return "offsets of a merged packet";
    if (naive_get16(p + v.field) != naive_pseudo(p, &v, s->len))
        return "partial checksum of a merged packet";
    if (v.six ? naive_get16(p + 4) + 40u != s->len : naive_get16(p + 2) != s->len || naive_sum(0, p, v.transport) != 0xffff)
        return "IP header of a merged packet";
    if (v.protocol == 17 && naive_get16(p + v.transport + 4) != s->len - v.transport)
        return "UDP length of a merged packet";
    if (s->offload.ecn != (v.protocol == 6 && (p[v.transport + 13] & 0x80)))
        return "ECN of a merged packet";
    return NULL;
}

/* Cuts one merged packet, slowly into <out> and with segment.h, and compares. */
static inline const char *naive_cut_both(const uint8_t *p, size_t len, const struct gh_offload *o, struct naive_list *out)
{
    size_t first = out->count;
    struct naive_list work = { 0 };
    uint8_t *copy = naive_append(&work, p, len);
    struct gh_segment *it = malloc(sizeof *it);
    const char *wrong = NULL;
    struct gh_span got;
    bool ok;

    if (!it)
        abort();
    ok = naive_cut(p, len, o, out);
    if ((gh_segment_init(it, copy, len, o) == 0) != ok)
        wrong = "one of the two refuses to cut";
    if (ok && !wrong && gh_segment_count(it) != out->count - first)
        wrong = "number of segments";
    for (size_t i = first; ok && !wrong && i < out->count; i++)
        if (gh_segment_next(it, &got) != 1 || got.len != out->items[i].len ||
            memcmp(got.data, out->items[i].data, got.len) != 0)
            wrong = "a segment differs";
    if (ok && !wrong && gh_segment_next(it, &got) != 0)
        wrong = "a segment too many";
    free(it);
    naive_free(&work);
    return wrong;
}

/* Merges copies of <in>, cuts the result again, compares. <ret_writes>: into how many packets the batch was merged. */
static inline const char *naive_check_batch(unsigned kinds, const struct naive_list *in, size_t *ret_writes)
{
    struct naive_list work = { 0 }, out = { 0 };
    struct gh_coalescer *c = malloc(sizeof *c);
    struct gh_super *s = malloc(sizeof *s);
    const char *wrong = NULL;
    size_t added = 0;

    if (!c || !s)
        abort();
    *ret_writes = 0;
    gh_coalesce_init(c, kinds);
    for (size_t i = 0; i < in->count; i++)
        naive_append(&work, in->items[i].data, in->items[i].len);
    while (!wrong && added < work.count) {
        while (added < work.count && gh_coalesce_add(c, work.items[added].data, work.items[added].len) == 0)
            added++;
        while (!wrong && gh_coalesce_next(c, s) == 1) {
            uint8_t *flat = malloc(s->len + 1);
            size_t at = 0;

            if (!flat)
                abort();
            for (size_t i = 0; i < s->piece_count; i++) {
                memcpy(flat + at, s->pieces[i].data, s->pieces[i].len);
                at += s->pieces[i].len;
            }
            wrong = at == s->len ? naive_check_super(flat, s) : "length of a merged packet";
            if (!wrong)
                wrong = naive_cut_both(flat, s->len, &s->offload, &out);
            free(flat);
            ++*ret_writes;
        }
    }
    if (!wrong)
        wrong = naive_compare(in, &out);
    free(c);
    free(s);
    naive_free(&work);
    naive_free(&out);
    return wrong;
}

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
