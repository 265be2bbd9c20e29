/* net/http1_ask.h - what a client's requests of HTTP/1.1 have in common, whether a tunnel follows or other requests
 *
 * Private to net/http1_origin.c and net/http1_tunnel.c.
 */
#ifndef GH_NET_HTTP1_ASK_H
#define GH_NET_HTTP1_ASK_H

#include "net/byte_stream.h"
#include "net/http.h"
#include "wire/h1.h"

#define GH_HTTP1_ASK_TOKEN 32u /* bytes of the protocol that an upgrade asks for, NUL included */

/* For gh_http_ops: a client answers nothing. */
int gh_http1_ask_respond(struct gh_http_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end);

/* The names that belong to the connection are ours to send (RFC 9110, section 7.8): nothing for the token "". */
void gh_http1_ask_emit_upgrade(struct gh_writer *w, const char *token);
/* The fields of <head>, and the end of the head. */
void gh_http1_ask_emit_fields(struct gh_writer *w, const struct gh_http_head *head);

/* The next answer that counts: 1 and <ret>, borrowed until the reader is used again; 0 more is needed; GH_ERR_MALFORMED, also for an upgrade that nobody
 * asked for. <kind> is the reader's. */
int gh_http1_ask_feed(struct gh_h1_reader *r, enum gh_h1_kind kind, const char *token, struct gh_span *in, struct gh_h1_head *ret);
/* As services see it. */
struct gh_http_head gh_http1_ask_head(const struct gh_h1_head *h1, struct gh_http_field fields[GH_H1_FIELDS_MAX]);

/* Bytes that wait, in the caller's memory. */
struct gh_http1_ask_out {
    size_t at, len;
};

/* From the beginning of <memory> on; then the bytes behind those that wait are free. */
void gh_http1_ask_settle(struct gh_http1_ask_out *o, uint8_t *memory);
/* What the byte stream takes now. How many writes took something, or what a write returned that failed. */
int gh_http1_ask_flush(struct gh_http1_ask_out *o, struct gh_byte_stream *io, const uint8_t *memory);

#endif
