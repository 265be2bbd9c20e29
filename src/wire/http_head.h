/* wire/http_head.h - the head of an HTTP message, whatever version carried it
 *
 * Spans are borrowed from whoever parsed the message.
 */
#ifndef GH_WIRE_HTTP_HEAD_H
#define GH_WIRE_HTTP_HEAD_H

#include <stdbool.h>

#include "base/span.h"

#define GH_HTTP_FIELDS_MAX 64
#define GH_HTTP_HEAD_MAX 16384u /* bytes of one head, as SETTINGS of HTTP/2 and HTTP/3 say */

struct gh_http_field {
    struct gh_span name; /* lower case */
    struct gh_span value;
};

/* The head of a request (<status> is 0) or of an answer (<method> is empty). */
struct gh_http_head {
    struct gh_span method, scheme, authority, path; /* <path> with its query */
    struct gh_span protocol;                        /* ":protocol" of extended CONNECT (RFC 8441, 9220); HTTP/1: see net/http1_server.h */
    unsigned status;
    const struct gh_http_field *fields;
    size_t field_count;
};

/* RFC 9110, section 5.6.2 */
bool gh_http_is_token(struct gh_span s);

/* Bytes of a field value: visible, blank, or obs-text (RFC 9110, section 5.5). */
static inline bool gh_http_is_value_byte(uint8_t b)
{
    return (b >= 0x20 && b != 0x7f) || b == '\t';
}

/* May a field of HTTP/2 or HTTP/3 be so? Its name is a token without capitals, its value holds no byte that none may have and no blank at
 * either end (RFC 9113, section 8.2.1; RFC 9114, sections 4.2 and 10.3). Pseudo-fields are not judged. */
bool gh_http_field_is_good(struct gh_span name, struct gh_span value);

/* A head that arrives field by field, with its text; starts as zeros. */
struct gh_http_head_store {
    struct gh_http_head head; /* as far as it has arrived */
    bool overflow;            /* more than fits came: the rest is not kept */
    size_t used;
    struct gh_http_field fields[GH_HTTP_FIELDS_MAX];
    uint8_t text[GH_HTTP_HEAD_MAX];
};

/* One field or pseudo-field. That its pseudo-fields are the right ones is for others to see. */
void gh_http_head_add(struct gh_http_head_store *b, struct gh_span name, struct gh_span value);

#endif
