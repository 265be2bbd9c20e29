#include "proto/conform/message.h"

#include <nghttp3/nghttp3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define FRAME_DATA 0x00u
#define FRAME_HEADERS 0x01u
#define ANSWER_MAX (4u << 20)
#define FIELDS_MAX 16u

void gh_conform_append(struct gh_conform_bytes *b, const void *data, size_t len)
{
    if (len > sizeof b->data - b->len) {
        b->failed = true;
        return;
    }
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
}

void gh_conform_varint(struct gh_conform_bytes *b, uint64_t v)
{
    uint8_t buf[8];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    gh_write_varint(&w, v);
    gh_conform_append(b, buf, gh_writer_len(&w));
}

void gh_conform_tlv(struct gh_conform_bytes *b, uint64_t type, struct gh_span value)
{
    gh_conform_varint(b, type);
    gh_conform_varint(b, value.len);
    gh_conform_append(b, value.data, value.len);
}

/* Field sections. */

/* An integer with a prefix of <bits> bits below <first> (RFC 7541, section 5.1). */
static void prefixed(struct gh_conform_bytes *b, uint8_t first, unsigned bits, size_t v)
{
    size_t limit = (1u << bits) - 1;
    uint8_t byte = (uint8_t)(first | (v < limit ? v : limit));

    gh_conform_append(b, &byte, 1);
    if (v < limit)
        return;
    for (v -= limit; v >= 128; v >>= 7) {
        byte = (uint8_t)(v | 128);
        gh_conform_append(b, &byte, 1);
    }
    byte = (uint8_t)v;
    gh_conform_append(b, &byte, 1);
}

void gh_conform_head(struct gh_conform_bytes *b, const char *const *fields)
{
    struct gh_conform_bytes section = { .len = 0 };

    gh_conform_append(&section, "\0\0", 2); /* Required Insert Count 0, Base 0 */
    for (size_t i = 0; fields[i]; i += 2) {
        prefixed(&section, 0x20, 3, strlen(fields[i]));
        gh_conform_append(&section, fields[i], strlen(fields[i]));
        prefixed(&section, 0, 7, strlen(fields[i + 1]));
        gh_conform_append(&section, fields[i + 1], strlen(fields[i + 1]));
    }
    gh_conform_tlv(b, FRAME_HEADERS, gh_conform_span(&section));
    b->failed |= section.failed;
}

void gh_conform_head_coded(struct gh_conform_bytes *b, const char *const *fields)
{
    const nghttp3_mem *mem = nghttp3_mem_default();
    nghttp3_qpack_encoder *enc = NULL;
    nghttp3_nv nva[FIELDS_MAX];
    nghttp3_buf prefix, section, stream;
    size_t n = 0;

    nghttp3_buf_init(&prefix);
    nghttp3_buf_init(&section);
    nghttp3_buf_init(&stream);
    for (; fields[2 * n] && n < FIELDS_MAX; n++)
        nva[n] = (nghttp3_nv){ (const uint8_t *)fields[2 * n], (const uint8_t *)fields[2 * n + 1], strlen(fields[2 * n]), strlen(fields[2 * n + 1]), 0 };
    if (nghttp3_qpack_encoder_new(&enc, 0, mem) != 0 || nghttp3_qpack_encoder_encode(enc, &prefix, &section, &stream, 0, nva, n) != 0) {
        b->failed = true;
    } else {
        gh_conform_varint(b, FRAME_HEADERS);
        gh_conform_varint(b, nghttp3_buf_len(&prefix) + nghttp3_buf_len(&section));
        gh_conform_append(b, prefix.pos, nghttp3_buf_len(&prefix));
        gh_conform_append(b, section.pos, nghttp3_buf_len(&section));
    }
    nghttp3_buf_free(&prefix, mem);
    nghttp3_buf_free(&section, mem);
    nghttp3_buf_free(&stream, mem);
    nghttp3_qpack_encoder_del(enc);
}

/* Reading. */

static int grow(uint8_t **buf, size_t *len, size_t *cap, struct gh_span more)
{
    size_t want = *cap ? *cap : 4096;
    uint8_t *p;

    if (more.len > ANSWER_MAX - *len)
        return GH_ERR_TOO_LONG;
    while (want < *len + more.len)
        want *= 2;
    if (want != *cap) {
        p = realloc(*buf, want);
        if (!p)
            return GH_ERR_MEMORY;
        *buf = p;
        *cap = want;
    }
    if (more.len)
        memcpy(*buf + *len, more.data, more.len);
    *len += more.len;
    return 0;
}

/* One field; an interim answer is forgotten when the next head begins. */
static void take_field(struct gh_conform_answer *a, const nghttp3_qpack_nv *nv)
{
    nghttp3_vec name = nghttp3_rcbuf_get_buf(nv->name), value = nghttp3_rcbuf_get_buf(nv->value);
    size_t at = strlen(a->fields);

    if (name.len == 7 && memcmp(name.base, ":status", 7) == 0)
        for (size_t i = 0; i < value.len && i < 3; i++)
            a->status = a->status * 10 + (value.base[i] - '0') % 10u;
    if (at + name.len + value.len + 4 <= sizeof a->fields)
        snprintf(a->fields + at, sizeof a->fields - at, "%.*s: %.*s\n", (int)name.len, (const char *)name.base, (int)value.len, (const char *)value.base);
}

static void read_head(struct gh_conform_answer *a, struct gh_span section)
{
    nghttp3_qpack_stream_context *ctx = NULL;
    nghttp3_qpack_decoder *dec = NULL;
    uint8_t flags = 0;

    if (a->status >= 200)
        return; /* trailers */
    a->status = 0;
    a->fields[0] = 0;
    if (nghttp3_qpack_decoder_new(&dec, 0, 0, nghttp3_mem_default()) != 0 ||
        nghttp3_qpack_stream_context_new(&ctx, 0, nghttp3_mem_default()) != 0)
        a->undecodable = true;
    for (size_t used = 0; !a->undecodable && !(flags & NGHTTP3_QPACK_DECODE_FLAG_FINAL);) {
        nghttp3_qpack_nv nv;
        nghttp3_ssize n = nghttp3_qpack_decoder_read_request(dec, ctx, &nv, &flags, section.data + used, section.len - used, 1);

        if (n < 0 || flags & NGHTTP3_QPACK_DECODE_FLAG_BLOCKED || (n == 0 && !flags)) {
            a->undecodable = true;
            break;
        }
        used += (size_t)n;
        if (flags & NGHTTP3_QPACK_DECODE_FLAG_EMIT) {
            take_field(a, &nv);
            nghttp3_rcbuf_decref(nv.name);
            nghttp3_rcbuf_decref(nv.value);
        }
    }
    nghttp3_qpack_stream_context_del(ctx);
    nghttp3_qpack_decoder_del(dec);
}

int gh_conform_answer_feed(struct gh_conform_answer *a, struct gh_span data)
{
    struct gh_reader r;
    size_t used = 0;
    int rc = grow(&a->raw, &a->raw_len, &a->raw_cap, data);

    if (rc < 0)
        return rc;
    for (r = gh_reader_of(gh_span_of(a->raw, a->raw_len)); gh_reader_left(&r);) {
        uint64_t type = gh_read_varint(&r), len = gh_read_varint(&r);
        struct gh_span payload;

        if (r.failed || len > gh_reader_left(&r))
            break;
        payload = gh_read_span(&r, (size_t)len);
        used = (size_t)(r.at - a->raw);
        if (type == FRAME_HEADERS)
            read_head(a, payload);
        else if (type == FRAME_DATA && (rc = grow(&a->body, &a->body_len, &a->body_cap, payload)) < 0)
            return rc;
    }
    a->raw_len -= used;
    if (a->raw_len && used)
        memmove(a->raw, a->raw + used, a->raw_len);
    return 0;
}

void gh_conform_answer_fini(struct gh_conform_answer *a)
{
    free(a->raw);
    free(a->body);
    *a = (struct gh_conform_answer){ 0 };
}

const char *gh_conform_answer_field(const struct gh_conform_answer *a, const char *name, char *buf, size_t cap)
{
    size_t len = strlen(name);

    for (const char *at = a->fields; *at; at = strchr(at, '\n') + 1) {
        if (strncmp(at, name, len) != 0 || strncmp(at + len, ": ", 2) != 0)
            continue;
        snprintf(buf, cap, "%.*s", (int)strcspn(at + len + 2, "\n"), at + len + 2);
        return buf;
    }
    return NULL;
}

bool gh_conform_answer_capsule(const struct gh_conform_answer *a, size_t *at, uint64_t *ret_type, struct gh_span *ret_value)
{
    struct gh_reader r = gh_reader_of(gh_span_of(a->body + *at, a->body_len - *at));
    uint64_t type = gh_read_varint(&r), len = gh_read_varint(&r);

    if (!a->body || r.failed || len > gh_reader_left(&r))
        return false;
    *ret_type = type;
    *ret_value = gh_read_span(&r, (size_t)len);
    *at = (size_t)(r.at - a->body);
    return true;
}
