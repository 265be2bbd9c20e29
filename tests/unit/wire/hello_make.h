/* tests/unit/wire/hello_make.h - ClientHellos made by hand, and captured ones in records */
#ifndef GH_TEST_HELLO_MAKE_H
#define GH_TEST_HELLO_MAKE_H

#include "base/span.h"
#include "wire/tls_hello.h"

#include "../test.h"

struct extension {
    uint16_t type;
    struct gh_span data;
};

/* <s> is a literal with NULs in it. */
#define BYTES(s) gh_span_of(s, sizeof(s) - 1)

/* A ClientHello body with the given session id and extensions. */
static inline size_t make_body(uint8_t *buf, size_t cap, struct gh_span session_id, const struct extension *list, size_t count)
{
    struct gh_writer w = gh_writer_of(buf, cap);
    uint8_t *len_at;

    gh_write_u16(&w, 0x0303);
    for (unsigned i = 0; i < 32; i++)
        gh_write_u8(&w, (uint8_t)(0xa0 + i));
    gh_write_u8(&w, (uint8_t)session_id.len);
    gh_write_span(&w, session_id);
    gh_write_span(&w, BYTES("\x00\x04\x13\x01\x13\x02" "\x01\x00")); /* suites, no compression */
    len_at = w.at;
    gh_write_u16(&w, 0);
    for (size_t i = 0; i < count; i++) {
        gh_write_u16(&w, list[i].type);
        gh_write_u16(&w, (uint16_t)list[i].data.len);
        gh_write_span(&w, list[i].data);
    }
    assert_false(w.failed);
    len_at[0] = (uint8_t)((w.at - len_at - 2) >> 8);
    len_at[1] = (uint8_t)(w.at - len_at - 2);
    return gh_writer_len(&w);
}

/* The handshake message of <body>, cut into records of <piece> bytes at most. */
static inline size_t make_records(uint8_t *buf, size_t cap, struct gh_span body, size_t piece)
{
    struct gh_writer w = gh_writer_of(buf, cap);
    uint8_t *message = malloc(body.len + 4);
    size_t len = body.len + 4;

    assert_non_null(message);
    message[0] = 1;
    message[1] = (uint8_t)(body.len >> 16);
    message[2] = (uint8_t)(body.len >> 8);
    message[3] = (uint8_t)body.len;
    memcpy(message + 4, body.data, body.len);
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;

        gh_write_u8(&w, 22);
        gh_write_u16(&w, 0x0301);
        gh_write_u16(&w, (uint16_t)n);
        gh_write_bytes(&w, message + at, n);
    }
    free(message);
    assert_false(w.failed);
    return gh_writer_len(&w);
}

#endif
