/* tests/fuzz/segment/segment_fuzz.c - cutting, and merging followed by cutting, against the naive way
 *
 * The first byte chooses. Even: an offload descriptor (kind, flags, segment size, start and offset of the checksum), then a packet
 * to cut. Odd: the kinds to merge, then records (flags, length, bytes) that make up a batch; a record may continue the packet
 * before it, so that a mutation does not have to guess sequence numbers and checksums.
 */
#include <stdint.h>
#include <stdlib.h>

#include "../../unit/proto/forward/naive_batch.h"
#include "base/span.h"

#define FINISH 1u    /* lengths and checksums are made right */
#define CONTINUE 2u  /* the bytes are (offset, value) pairs that change a copy of the packet before, moved on by its payload */
#define FIT 4u       /* cut: the descriptor's offsets are those of the packet */

static void require(const char *wrong)
{
    if (wrong) {
        fprintf(stderr, "%s\n", wrong);
        abort();
    }
}

static void cut(struct gh_reader *r)
{
    struct gh_offload o = { .kind = gh_read_u8(r) };
    uint8_t flags = gh_read_u8(r);
    struct naive_list in = { 0 }, out = { 0 };
    struct naive_view v;

    o.segment_size = gh_read_u16(r);
    o.csum_start = gh_read_u16(r);
    o.csum_offset = gh_read_u16(r);
    o.needs_csum = flags & FINISH;
    if (r->failed)
        return;
    naive_append(&in, r->at, gh_reader_left(r));
    if ((flags & FIT) && naive_look(in.items[0].data, in.items[0].len, &v)) {
        o.kind = v.protocol == 17 ? GH_OFFLOAD_UDP : v.six ? GH_OFFLOAD_TCP6 : GH_OFFLOAD_TCP4;
        o.csum_start = (uint16_t)v.transport;
        o.csum_offset = (uint16_t)(v.field - v.transport);
    }
    require(naive_cut_both(in.items[0].data, in.items[0].len, &o, &out));
    naive_free(&in);
    naive_free(&out);
}

static void move_on(struct naive_packet *p)
{
    struct naive_view v;
    uint32_t seq;

    if (!naive_look(p->data, p->len, &v))
        return;
    if (!v.six)
        naive_put16(p->data + 4, (naive_get16(p->data + 4) + 1u) & 0xffff);
    if (v.protocol != 6)
        return;
    seq = ((uint32_t)naive_get16(p->data + v.transport + 4) << 16 | naive_get16(p->data + v.transport + 6)) +
          (uint32_t)(p->len - v.payload);
    naive_put16(p->data + v.transport + 4, seq >> 16);
    naive_put16(p->data + v.transport + 6, seq & 0xffff);
}

static void append_record(struct naive_list *in, uint8_t flags, struct gh_span bytes)
{
    struct naive_packet *p;

    if (!(flags & CONTINUE) || in->count == 0) {
        naive_append(in, bytes.data, bytes.len);
        p = &in->items[in->count - 1];
    } else {
        struct naive_packet before = in->items[in->count - 1];

        naive_append(in, before.data, before.len);
        p = &in->items[in->count - 1];
        move_on(p);
        for (size_t i = 0; i + 1 < bytes.len && p->len; i += 2)
            p->data[bytes.data[i] % p->len] = bytes.data[i + 1];
    }
    if (flags & FINISH)
        naive_finish(p->data, p->len);
}

static void merge(struct gh_reader *r)
{
    struct naive_list in = { 0 };
    unsigned kinds = gh_read_u8(r);
    size_t writes;

    while (gh_reader_left(r) > 0 && in.count < 600) {
        uint8_t flags = gh_read_u8(r);
        uint16_t len = gh_read_u16(r);
        struct gh_span bytes;

        if (r->failed)
            break;
        if (len > gh_reader_left(r))
            len = (uint16_t)gh_reader_left(r);
        bytes = gh_read_span(r, len);
        if (bytes.len || (flags & CONTINUE)) /* a packet has at least a byte */
            append_record(&in, flags, bytes);
    }
    if (in.count && in.items[0].len)
        require(naive_check_batch(kinds, &in, &writes));
    naive_free(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gh_reader r = gh_reader_of(gh_span_of(data, size));

    if (gh_read_u8(&r) % 2)
        merge(&r);
    else
        cut(&r);
    return 0;
}
