#include "proto/h3/head.h"

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
