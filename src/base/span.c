#include "base/span.h"

static const uint8_t *take(struct gh_reader *r, size_t len)
{
    const uint8_t *p = r->at;

    if (r->failed || gh_reader_left(r) < len) {
        r->failed = true;
        return NULL;
    }
    r->at += len;
    return p;
}

static uint64_t read_be(struct gh_reader *r, size_t len)
{
    const uint8_t *p = take(r, len);
    uint64_t v = 0;

    if (!p)
        return 0;
    for (size_t i = 0; i < len; i++)
        v = v << 8 | p[i];
    return v;
}

uint8_t gh_read_u8(struct gh_reader *r)
{
    return (uint8_t)read_be(r, 1);
}

uint16_t gh_read_u16(struct gh_reader *r)
{
    return (uint16_t)read_be(r, 2);
}

uint32_t gh_read_u32(struct gh_reader *r)
{
    return (uint32_t)read_be(r, 4);
}

uint64_t gh_read_u64(struct gh_reader *r)
{
    return read_be(r, 8);
}

uint64_t gh_read_varint(struct gh_reader *r)
{
    size_t len;
    uint64_t v;

    if (r->failed || r->at == r->end) {
        r->failed = true;
        return 0;
    }
    len = (size_t)1 << (*r->at >> 6);
    v = read_be(r, len);
    if (r->failed)
        return 0;
    return v & (UINT64_MAX >> (64 - (8 * len - 2)));
}

void gh_read_bytes(struct gh_reader *r, void *ret, size_t len)
{
    const uint8_t *p = take(r, len);

    if (p)
        memcpy(ret, p, len);
    else
        memset(ret, 0, len);
}

struct gh_span gh_read_span(struct gh_reader *r, size_t len)
{
    const uint8_t *p = take(r, len);

    return p ? gh_span_of(p, len) : gh_span_of(NULL, 0);
}

static uint8_t *room(struct gh_writer *w, size_t len)
{
    uint8_t *p = w->at;

    if (w->failed || (size_t)(w->end - w->at) < len) {
        w->failed = true;
        return NULL;
    }
    w->at += len;
    return p;
}

static void write_be(struct gh_writer *w, uint64_t v, size_t len)
{
    uint8_t *p = room(w, len);

    if (!p)
        return;
    for (size_t i = len; i-- > 0; v >>= 8)
        p[i] = (uint8_t)v;
}

void gh_write_u8(struct gh_writer *w, uint8_t v)
{
    write_be(w, v, 1);
}

void gh_write_u16(struct gh_writer *w, uint16_t v)
{
    write_be(w, v, 2);
}

void gh_write_u32(struct gh_writer *w, uint32_t v)
{
    write_be(w, v, 4);
}

void gh_write_u64(struct gh_writer *w, uint64_t v)
{
    write_be(w, v, 8);
}

size_t gh_varint_len(uint64_t v)
{
    if (v > GH_VARINT_MAX)
        return 0;
    return v < 64 ? 1 : v < 16384 ? 2 : v < (UINT64_C(1) << 30) ? 4 : 8;
}

void gh_write_varint(struct gh_writer *w, uint64_t v)
{
    switch (gh_varint_len(v)) {
    case 1:
        write_be(w, v, 1);
        break;
    case 2:
        write_be(w, v | UINT64_C(1) << 14, 2);
        break;
    case 4:
        write_be(w, v | UINT64_C(2) << 30, 4);
        break;
    case 8:
        write_be(w, v | UINT64_C(3) << 62, 8);
        break;
    default:
        w->failed = true;
    }
}

void gh_write_bytes(struct gh_writer *w, const void *data, size_t len)
{
    uint8_t *p = room(w, len);

    if (p && len)
        memcpy(p, data, len);
}

void gh_write_span(struct gh_writer *w, struct gh_span s)
{
    gh_write_bytes(w, s.data, s.len);
}
