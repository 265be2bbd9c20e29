#include "proto/h3/head.h"

#include <string.h>

static struct gh_span keep(struct gh_h3_head *b, nghttp3_vec v)
{
    uint8_t *at = b->text + b->used;

    if (v.len > sizeof b->text - b->used) {
        b->overflow = true;
        return gh_span_of(NULL, 0);
    }
    memcpy(at, v.base, v.len);
    b->used += v.len;
    return gh_span_of(at, v.len);
}

static unsigned parse_status(nghttp3_vec v)
{
    unsigned status = 0;

    for (size_t i = 0; i < v.len && i < 3; i++)
        status = status * 10 + (unsigned)(v.base[i] - '0');
    return status;
}

void gh_h3_head_add(struct gh_h3_head *b, int32_t token, nghttp3_vec name, nghttp3_vec value)
{
    switch (token) {
    case NGHTTP3_QPACK_TOKEN__METHOD:
        b->head.method = keep(b, value);
        return;
    case NGHTTP3_QPACK_TOKEN__SCHEME:
        b->head.scheme = keep(b, value);
        return;
    case NGHTTP3_QPACK_TOKEN__AUTHORITY:
        b->head.authority = keep(b, value);
        return;
    case NGHTTP3_QPACK_TOKEN__PATH:
        b->head.path = keep(b, value);
        return;
    case NGHTTP3_QPACK_TOKEN__PROTOCOL:
        b->head.protocol = keep(b, value);
        return;
    case NGHTTP3_QPACK_TOKEN__STATUS:
        b->head.status = parse_status(value);
        return;
    default:
        break;
    }
    if (b->count == GH_HTTP_FIELDS_MAX) {
        b->overflow = true;
        return;
    }
    b->fields[b->count].name = keep(b, name);
    b->fields[b->count++].value = keep(b, value);
}

nghttp3_nv gh_h3_nv(struct gh_span name, struct gh_span value)
{
    return (nghttp3_nv){ (uint8_t *)(uintptr_t)name.data, (uint8_t *)(uintptr_t)value.data, name.len, value.len, NGHTTP3_NV_FLAG_NONE };
}

size_t gh_h3_add_fields(nghttp3_nv *nv, size_t at, const struct gh_http_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        nv[at++] = gh_h3_nv(fields[i].name, fields[i].value);
    return at;
}

void gh_h3_add_pseudo(nghttp3_nv *nv, size_t *at, const char *name, struct gh_span value)
{
    if (value.len)
        nv[(*at)++] = gh_h3_nv(gh_span_str(name), value);
}
