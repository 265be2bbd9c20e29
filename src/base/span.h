/* base/span.h - borrowed bytes, and reading and writing them with a sticky error
 *
 * A reader never passes its end: a read that would returns zeroes and marks the reader failed, so a parser checks once,
 * at its end. A writer behaves the same way about its capacity. All integers are in network byte order.
 */
#ifndef GH_BASE_SPAN_H
#define GH_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct gh_span {
    const uint8_t *data;
    size_t len;
};

static inline struct gh_span gh_span_of(const void *data, size_t len)
{
    return (struct gh_span){ data, len };
}

static inline struct gh_span gh_span_str(const char *s)
{
    return (struct gh_span){ (const uint8_t *)s, strlen(s) };
}

static inline bool gh_span_equals(struct gh_span a, struct gh_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

struct gh_reader {
    const uint8_t *at, *end;
    bool failed;
};

static inline struct gh_reader gh_reader_of(struct gh_span s)
{
    return (struct gh_reader){ s.data, s.data ? s.data + s.len : s.data, false };
}

static inline size_t gh_reader_left(const struct gh_reader *r)
{
    return (size_t)(r->end - r->at);
}

/* True when every byte was read and no read failed. */
static inline bool gh_reader_done(const struct gh_reader *r)
{
    return !r->failed && r->at == r->end;
}

uint8_t gh_read_u8(struct gh_reader *r);
uint16_t gh_read_u16(struct gh_reader *r);
uint32_t gh_read_u32(struct gh_reader *r);
uint64_t gh_read_u64(struct gh_reader *r);
/* RFC 9000, section 16 */
uint64_t gh_read_varint(struct gh_reader *r);
void gh_read_bytes(struct gh_reader *r, void *ret, size_t len); /* zeroes <ret> on failure */
struct gh_span gh_read_span(struct gh_reader *r, size_t len);   /* borrowed; empty on failure */

struct gh_writer {
    uint8_t *start, *at, *end;
    bool failed;
};

static inline struct gh_writer gh_writer_of(void *buf, size_t cap)
{
    return (struct gh_writer){ buf, buf, (uint8_t *)buf + cap, false };
}

static inline size_t gh_writer_len(const struct gh_writer *w)
{
    return (size_t)(w->at - w->start);
}

void gh_write_u8(struct gh_writer *w, uint8_t v);
void gh_write_u16(struct gh_writer *w, uint16_t v);
void gh_write_u32(struct gh_writer *w, uint32_t v);
void gh_write_u64(struct gh_writer *w, uint64_t v);
/* The shortest form of RFC 9000, section 16; fails above 2^62 - 1. */
void gh_write_varint(struct gh_writer *w, uint64_t v);
void gh_write_bytes(struct gh_writer *w, const void *data, size_t len);
void gh_write_span(struct gh_writer *w, struct gh_span s);

/* Bytes of the shortest varint for <v>: 1, 2, 4 or 8; 0 above 2^62 - 1. */
size_t gh_varint_len(uint64_t v);

#define GH_VARINT_MAX ((UINT64_C(1) << 62) - 1)

#endif
