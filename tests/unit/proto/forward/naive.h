/* tests/unit/proto/forward/naive.h - cutting and checksums the slow and obvious way
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
    if (o->kind > GH_OFFLOAD_UDP || (o->kind == GH_OFFLOAD_UDP) != (v.protocol == 17) || (o->kind == GH_OFFLOAD_TCP4 && v.six) ||
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

/* Cuts one packet, slowly into <out> and with segment.h, and compares. */
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

#endif
