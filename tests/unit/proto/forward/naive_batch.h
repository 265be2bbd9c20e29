/* tests/unit/proto/forward/naive_batch.h - what went into a merger came out of it
 */
#ifndef GH_TEST_NAIVE_BATCH_H
#define GH_TEST_NAIVE_BATCH_H

#include "naive.h"
#include "proto/forward/coalesce.h"

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

#endif
