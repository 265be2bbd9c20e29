#include "proto/h3/grease.h"

#define FRAME_SETTINGS 0x04u
#define RESERVED(n) (UINT64_C(0x1f) * (n) + 0x21)

void gh_h3_grease_init(struct gh_h3_grease *g, int64_t control, int64_t stream, uint64_t noise)
{
    struct gh_writer w;

    *g = (struct gh_h3_grease){ .control = control, .stream = stream, .noise = noise };
    w = gh_writer_of(g->extra, sizeof g->extra);
    gh_write_varint(&w, RESERVED(noise >> 40));
    gh_write_bytes(&w, &g->noise, noise % 8);
    g->extra_len = stream < 0 ? 0 : gh_writer_len(&w);
}

/* The library's bytes: the stream's type, SETTINGS whole and last. */
static void build(struct gh_h3_grease *g, struct gh_span theirs)
{
    struct gh_reader r = gh_reader_of(theirs);
    struct gh_writer w = gh_writer_of(g->head, sizeof g->head);
    uint64_t stream = gh_read_varint(&r), type = gh_read_varint(&r), len = gh_read_varint(&r);
    uint64_t id = RESERVED(g->noise >> 20 & 0xfffff), value = g->noise & 0x3fff;

    if (r.failed || stream != 0 || type != FRAME_SETTINGS || len != gh_reader_left(&r))
        return; /* as it is, then */
    gh_write_varint(&w, stream);
    gh_write_varint(&w, type);
    gh_write_varint(&w, len + gh_varint_len(id) + gh_varint_len(value));
    gh_write_bytes(&w, r.at, (size_t)len);
    gh_write_varint(&w, id);
    gh_write_varint(&w, value);
    gh_write_varint(&w, RESERVED(g->noise >> 44));
    gh_write_varint(&w, g->noise % 8);
    gh_write_bytes(&w, &g->noise, g->noise % 8);
    if (w.failed)
        return;
    g->head_len = gh_writer_len(&w);
    g->theirs = theirs.len;
}

int gh_h3_grease_replace(struct gh_h3_grease *g, int64_t stream, struct gh_span *spans, int count)
{
    uint8_t buf[128];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    if (stream != g->control || count == 0)
        return count;
    if (!g->asked) {
        g->asked = true;
        for (int i = 0; i < count; i++)
            gh_write_span(&w, spans[i]);
        if (!w.failed)
            build(g, gh_span_of(buf, gh_writer_len(&w)));
    }
    if (g->head_sent == g->head_len)
        return count;
    spans[0] = gh_span_of(g->head + g->head_sent, g->head_len - g->head_sent);
    return 1;
}

struct gh_span gh_h3_grease_extra(const struct gh_h3_grease *g)
{
    return gh_span_of(g->extra + g->extra_sent, g->extra_len - g->extra_sent);
}

void gh_h3_grease_give_up(struct gh_h3_grease *g)
{
    g->extra_sent = g->extra_len;
}

/* <before> of the replaced bytes were sent or acknowledged, <bytes> more are now. */
static size_t theirs_of(const struct gh_h3_grease *g, size_t *before, size_t bytes)
{
    size_t left = g->head_len - *before;

    if (left == 0)
        return bytes;
    if (bytes < left) {
        *before += bytes;
        return 0;
    }
    *before = g->head_len;
    return g->theirs + bytes - left;
}

size_t gh_h3_grease_sent(struct gh_h3_grease *g, int64_t stream, size_t bytes)
{
    if (stream == g->stream) {
        g->extra_sent += bytes;
        return 0;
    }
    return stream == g->control ? theirs_of(g, &g->head_sent, bytes) : bytes;
}

size_t gh_h3_grease_acked(struct gh_h3_grease *g, int64_t stream, size_t bytes)
{
    if (stream == g->stream)
        return 0;
    return stream == g->control ? theirs_of(g, &g->head_acked, bytes) : bytes;
}
