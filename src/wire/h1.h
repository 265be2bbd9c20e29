/* wire/h1.h - HTTP/1.0 and HTTP/1.1 messages (RFC 9112), read strictly and written carefully
 *
 * Strict means: wherever two readers of the same bytes could disagree about where a message ends, the message is refused.
 * Bare LF and bare CR, line folding, space before a colon, more than one Content-Length (equal ones too), Content-Length
 * beside Transfer-Encoding, any coding but a single "chunked", and control bytes are all malformed.
 *
 * head      start line, fields and the empty line that ends them
 * framing   how the length of the body is known (RFC 9112, section 6.3)
 */
#ifndef GH_WIRE_H1_H
#define GH_WIRE_H1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define GH_H1_HEAD_MAX 16384u      /* bytes of one head */
#define GH_H1_FIELDS_MAX 64u       /* fields of one head */
#define GH_H1_CHUNK_LINE_MAX 256u  /* chunk size with its extensions */
#define GH_H1_TRAILER_MAX 4096u    /* trailer section; checked, then thrown away */

enum gh_h1_kind {
    GH_H1_REQUEST,
    GH_H1_ANSWER,
    GH_H1_ANSWER_TO_HEAD, /* has no body whatever its fields say */
};

enum gh_h1_framing {
    GH_H1_BODY_NONE,
    GH_H1_BODY_LENGTH,
    GH_H1_BODY_CHUNKED,
    GH_H1_BODY_UNTIL_CLOSE, /* answers only */
};

enum gh_h1_expect {
    GH_H1_EXPECT_NONE,
    GH_H1_EXPECT_CONTINUE,
    GH_H1_EXPECT_UNKNOWN, /* to be answered with 417 */
};

struct gh_h1_field {
    struct gh_span name; /* lower case */
    struct gh_span value;
};

/* Every span points into the reader: valid until its next reset. */
struct gh_h1_head {
    struct gh_span method;    /* of a request; case as sent */
    struct gh_span scheme;    /* of a target in absolute form, else empty */
    struct gh_span authority; /* from the target when it names one, else from Host */
    struct gh_span path;      /* with its query; "*" for OPTIONS *, empty for CONNECT */
    struct gh_span upgrade;   /* value of Upgrade when Connection names it, else empty */
    struct gh_span reason;    /* of an answer */
    unsigned status;          /* of an answer: 100 to 599 */
    unsigned minor;           /* HTTP/1.<minor>: 0 or 1; what is above 1 reads as 1 */
    bool keep_alive;          /* the connection may carry another message after this one */
    enum gh_h1_expect expect;
    enum gh_h1_framing framing;
    uint64_t content_length;  /* with GH_H1_BODY_LENGTH */
    struct gh_h1_field fields[GH_H1_FIELDS_MAX];
    size_t field_count;
};

/* Collects one head. Plain data: it owns nothing. */
struct gh_h1_reader {
    enum gh_h1_kind kind;
    int error;         /* sticky */
    size_t line;       /* bytes of the current line */
    bool cr;           /* the last byte was CR */
    bool skipped;      /* one empty line before the start line was let pass (RFC 9112, section 2.2) */
    size_t len;
    uint8_t buf[GH_H1_HEAD_MAX];
};

/* Ready for the first head or the next; ends the life of the spans of the last one. */
void gh_h1_reader_reset(struct gh_h1_reader *r, enum gh_h1_kind kind);
/* True when a byte of a head was taken and the head is not complete. */
bool gh_h1_reader_started(const struct gh_h1_reader *r);

/* Takes bytes from <in>, advancing it, until the head is complete.
 * Returns 1 and fills <ret>; 0 when more bytes are needed; GH_ERR_MALFORMED; GH_ERR_TOO_LONG for size or number of fields;
 * GH_ERR_UNSUPPORTED for an unknown transfer coding; GH_ERR_RANGE for a major version that is not 1. Errors are final. */
int gh_h1_head_feed(struct gh_h1_reader *r, struct gh_span *in, struct gh_h1_head *ret);
/* The status that answers a request refused with <rc>: 400, 431, 501 or 505. */
unsigned gh_h1_refusal(int rc);

/* The value of the first field <name> (lower case), or an empty span. */
struct gh_span gh_h1_field_find(const struct gh_h1_head *head, const char *name);
/* True when the comma-separated list <value> has <token>, in any case. */
bool gh_h1_list_has(struct gh_span value, const char *token);

/* Decoder of the chunked coding (RFC 9112, section 7.1); all zeroes to start. */
struct gh_h1_chunked {
    uint64_t left;   /* of the size line being read, then of the chunk's data */
    uint32_t line;   /* bytes of the size line, or of the trailer section */
    uint32_t column; /* bytes of the current trailer line */
    uint8_t state;
};

/* Takes bytes from <in>, advancing it. Returns 1 with a piece of the body in <ret> (borrowed from <in>), 1 with an empty
 * <ret> when the body has ended, 0 when more bytes are needed, GH_ERR_MALFORMED or GH_ERR_TOO_LONG. */
int gh_h1_chunked_next(struct gh_h1_chunked *c, struct gh_span *in, struct gh_span *ret);

/* Emitters write one part each; the writer fails when there is no room, or when a name, value or target holds bytes that
 * would end it early (a field cannot smuggle a second one). */
void gh_h1_emit_request_line(struct gh_writer *w, const char *method, struct gh_span target);
void gh_h1_emit_status_line(struct gh_writer *w, unsigned status);
void gh_h1_emit_field(struct gh_writer *w, struct gh_span name, struct gh_span value);
void gh_h1_emit_end(struct gh_writer *w);                    /* the empty line */
void gh_h1_emit_chunk_size(struct gh_writer *w, size_t len); /* the data and CRLF follow; 0 is for gh_h1_emit_last_chunk */
void gh_h1_emit_last_chunk(struct gh_writer *w);

/* The reason phrase of RFC 9110, section 15, or of the registry; "Unknown" for others. */
const char *gh_h1_reason(unsigned status);

#endif
