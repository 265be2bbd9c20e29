/* wire/http_head.h - the head of an HTTP message, whatever version carried it
 *
 * Spans are borrowed from whoever parsed the message.
 */
#ifndef GH_WIRE_HTTP_HEAD_H
#define GH_WIRE_HTTP_HEAD_H

#include "base/span.h"

#define GH_HTTP_FIELDS_MAX 64

struct gh_http_field {
    struct gh_span name; /* lower case */
    struct gh_span value;
};

/* The head of a request (<status> is 0) or of an answer (<method> is empty). */
struct gh_http_head {
    struct gh_span method, scheme, authority, path; /* <path> with its query */
    struct gh_span protocol;                        /* ":protocol" of extended CONNECT (RFC 9220); "Upgrade" on HTTP/1 */
    unsigned status;
    const struct gh_http_field *fields;
    size_t field_count;
};

#endif
