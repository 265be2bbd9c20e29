/* proto/h3/head.h - a message's head between the library's form and ours; internal to this folder */
#ifndef GH_PROTO_H3_HEAD_H
#define GH_PROTO_H3_HEAD_H

#include <nghttp3/nghttp3.h>
#include <stdbool.h>

#include "wire/http_head.h"

#define GH_H3_HEAD_MAX 16384u /* bytes of one head, as SETTINGS_MAX_FIELD_SECTION_SIZE says */

/* A head that arrives; starts as zeros. */
struct gh_h3_head {
    struct gh_http_field fields[GH_HTTP_FIELDS_MAX];
    size_t count, used;
    bool overflow; /* more than fits came: the rest is not kept */
    struct gh_http_head head;
    uint8_t text[GH_H3_HEAD_MAX];
};

/* One field or pseudo-header; <token> is the library's number of its name. */
void gh_h3_head_add(struct gh_h3_head *b, int32_t token, nghttp3_vec name, nghttp3_vec value);

/* A head that leaves; what the spans point to is borrowed. */
nghttp3_nv gh_h3_nv(struct gh_span name, struct gh_span value);
/* Appends at <at>; returns the count after it. */
size_t gh_h3_add_fields(nghttp3_nv *nv, size_t at, const struct gh_http_field *fields, size_t count);
/* Nothing when <value> is empty. */
void gh_h3_add_pseudo(nghttp3_nv *nv, size_t *at, const char *name, struct gh_span value);

#endif
