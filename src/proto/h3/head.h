/* proto/h3/head.h - a message's head between the library's form and ours; internal to this folder */
#ifndef GH_PROTO_H3_HEAD_H
#define GH_PROTO_H3_HEAD_H

#include <nghttp3/nghttp3.h>

#include "wire/http_head.h"

/* A head that leaves; what the spans point to is borrowed. */
nghttp3_nv gh_h3_nv(struct gh_span name, struct gh_span value);
/* Appends at <at>; returns the count after it. */
size_t gh_h3_add_fields(nghttp3_nv *nv, size_t at, const struct gh_http_field *fields, size_t count);
/* Nothing when <value> is empty. */
void gh_h3_add_pseudo(nghttp3_nv *nv, size_t *at, const char *name, struct gh_span value);

#endif
