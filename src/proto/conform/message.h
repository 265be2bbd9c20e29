/* proto/conform/message.h - HTTP/3 by hand: what a well-behaved engine would never write, and what a peer answered
 *
 * By the letter of RFC 9114 and RFC 9204, and apart from proto/h3, which is one of those that are checked.
 */
#ifndef GH_PROTO_CONFORM_MESSAGE_H
#define GH_PROTO_CONFORM_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define GH_CONFORM_BYTES 4096u

/* What is written to a stream. Sticky: what did not fit marks it failed. */
struct gh_conform_bytes {
    uint8_t data[GH_CONFORM_BYTES];
    size_t len;
    bool failed;
};

static inline struct gh_span gh_conform_span(const struct gh_conform_bytes *b)
{
    return gh_span_of(b->data, b->len);
}

void gh_conform_append(struct gh_conform_bytes *b, const void *data, size_t len);
void gh_conform_varint(struct gh_conform_bytes *b, uint64_t v);
/* A frame of HTTP/3, or a capsule: both are type, length, value. */
void gh_conform_tlv(struct gh_conform_bytes *b, uint64_t type, struct gh_span value);

/* A HEADERS frame. <fields> is name, value, …, NULL; literal and without Huffman coding (RFC 9204, section 4.5.6). */
void gh_conform_head(struct gh_conform_bytes *b, const char *const *fields);
/* The same from the static table and with Huffman coding where they help. */
void gh_conform_head_coded(struct gh_conform_bytes *b, const char *const *fields);

/* What came back on a request stream; grows as its bytes come. */
#define GH_CONFORM_FIELDS 2048u
struct gh_conform_answer {
    unsigned status;               /* of the first HEADERS that is no interim one; 0: none came */
    char fields[GH_CONFORM_FIELDS];/* "name: value\n" … of that one */
    bool undecodable;              /* a field section that QPACK with capacity 0 cannot have written */
    uint8_t *raw;                  /* bytes of a frame that is not complete */
    size_t raw_len, raw_cap;
    uint8_t *body;                 /* of all DATA frames */
    size_t body_len, body_cap;
};

/* 0, GH_ERR_MEMORY or GH_ERR_TOO_LONG (more than a check ever needs). */
int gh_conform_answer_feed(struct gh_conform_answer *a, struct gh_span data);
void gh_conform_answer_fini(struct gh_conform_answer *a);
/* The value of a field, NULL without it; valid until the next call. */
const char *gh_conform_answer_field(const struct gh_conform_answer *a, const char *name, char *buf, size_t cap);
/* The next whole capsule of the body at *at, which it advances. */
bool gh_conform_answer_capsule(const struct gh_conform_answer *a, size_t *at, uint64_t *ret_type, struct gh_span *ret_value);

#endif
