#include "proto/h3/fields.h"

#include "base/error.h"
#include "wire/http_head.h"

#define FRAME_HEADERS 0x01u

void gh_h3_fields_fini(struct gh_h3_fields *f)
{
    nghttp3_qpack_stream_context_del(f->section);
    f->section = NULL;
}

/* A piece of a field section; <end>: the last one. */
static int read_section(struct gh_h3_fields *f, nghttp3_qpack_decoder *dec, struct gh_span piece, bool end)
{
    uint8_t flags = 0;
    bool good = true;

    while (good && !(flags & NGHTTP3_QPACK_DECODE_FLAG_FINAL)) {
        nghttp3_qpack_nv nv;
        nghttp3_ssize n = nghttp3_qpack_decoder_read_request(dec, f->section, &nv, &flags, piece.data, piece.len, end);

        if (n < 0 || flags & NGHTTP3_QPACK_DECODE_FLAG_BLOCKED) {
            gh_h3_fields_fini(f); /* the library finds the same, and ends the connection */
            return 0;
        }
        piece = gh_span_of(piece.data + n, piece.len - (size_t)n);
        if (flags & NGHTTP3_QPACK_DECODE_FLAG_EMIT) {
            nghttp3_vec name = nghttp3_rcbuf_get_buf(nv.name), value = nghttp3_rcbuf_get_buf(nv.value);

            good = gh_http_field_is_good(gh_span_of(name.base, name.len), gh_span_of(value.base, value.len));
            nghttp3_rcbuf_decref(nv.name);
            nghttp3_rcbuf_decref(nv.value);
        } else if (piece.len == 0) {
            break;
        }
    }
    if (end)
        gh_h3_fields_fini(f);
    return good ? 0 : GH_ERR_MALFORMED;
}

/* One byte of a frame's head. */
static int read_head(struct gh_h3_fields *f, uint8_t byte, int64_t stream)
{
    struct gh_reader r;
    uint64_t type;

    f->head[f->len++] = byte;
    r = gh_reader_of(gh_span_of(f->head, f->len));
    type = gh_read_varint(&r);
    f->left = gh_read_varint(&r);
    if (r.failed) {
        f->left = 0;
        return 0;
    }
    f->len = 0;
    if (type != FRAME_HEADERS || f->left == 0)
        return 0;
    return nghttp3_qpack_stream_context_new(&f->section, stream, nghttp3_mem_default()) == 0 ? 0 : GH_ERR_MEMORY;
}

int gh_h3_fields_feed(struct gh_h3_fields *f, nghttp3_qpack_decoder *dec, int64_t stream, struct gh_span data)
{
    int rc = 0;

    while (rc == 0 && data.len > 0) {
        size_t n = f->left == 0 ? 1 : f->left < data.len ? (size_t)f->left : data.len;

        if (f->left == 0) {
            rc = read_head(f, data.data[0], stream);
        } else {
            f->left -= n;
            if (f->section)
                rc = read_section(f, dec, gh_span_of(data.data, n), f->left == 0);
        }
        data = gh_span_of(data.data + n, data.len - n);
    }
    return rc;
}
