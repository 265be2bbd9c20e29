/* wire/websocket.h - WebSocket frames and the key of their handshake (RFC 6455)
 *
 * The reader is fed pieces of the stream of any size and gives what is in them piece by piece: data is not gathered, so a
 * frame of any length costs no memory. It unmasks in place, in the bytes that it is fed. No extension is spoken.
 *
 * Glossary. frame: a head and a payload. message: one frame of text or binary, or several, the later ones "continuation".
 * control frame: ping, pong or close, never cut, also between the frames of a message. mask: what a client XORs every
 * payload with, so that no cache in between takes it for something else; a server never does.
 */
#ifndef GH_WIRE_WEBSOCKET_H
#define GH_WIRE_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "wire/utf8.h"

#define GH_WS_HEAD_MAX 14u
#define GH_WS_CONTROL_MAX 125u /* section 5.5 */
#define GH_WS_MASK 4u

enum gh_ws_opcode {
    GH_WS_CONTINUATION = 0,
    GH_WS_TEXT = 1,
    GH_WS_BINARY = 2,
    GH_WS_CLOSE = 8,
    GH_WS_PING = 9,
    GH_WS_PONG = 10,
};

enum gh_ws_code { /* section 7.4.1 */
    GH_WS_NORMAL = 1000,
    GH_WS_GOING_AWAY = 1001,
    GH_WS_PROTOCOL_ERROR = 1002,
    GH_WS_UNSUPPORTED_DATA = 1003,
    GH_WS_NO_CODE = 1005, /* a close without one; never on the wire */
    GH_WS_BAD_TEXT = 1007,
    GH_WS_POLICY = 1008,
    GH_WS_TOO_BIG = 1009,
    GH_WS_INTERNAL_ERROR = 1011,
};

/* A piece of a message, or a whole control frame. */
struct gh_ws_event {
    enum gh_ws_opcode opcode; /* TEXT or BINARY for every piece of such a message */
    bool first, last;         /* of its message; a message may have an empty piece, a piece may be both */
    uint16_t code;            /* of a close */
    struct gh_span data;      /* of a close the reason; borrowed until the next call, and no longer than what was fed */
};

struct gh_ws_reader {
    bool server;             /* reads what clients send: masked. A client refuses masks. */
    uint64_t max;            /* longest message, in bytes; 0 any */
    uint8_t head[GH_WS_HEAD_MAX];
    size_t head_len;
    bool in_payload, fin, masked;
    uint8_t opcode;          /* of the frame under way */
    uint64_t left, seen;     /* bytes of its payload to come, and taken */
    uint8_t message;         /* opcode of the message under way; 0 none */
    bool begun;              /* a piece of it was given */
    uint64_t message_len;
    struct gh_utf8 utf8;
    uint8_t key[GH_WS_MASK];
    uint8_t control[GH_WS_CONTROL_MAX];
    bool closed;             /* a close came: whatever follows is discarded (section 5.5.1) */
    int failed;              /* sticky */
};

/* Bytes that the reader may change. */
struct gh_ws_bytes {
    uint8_t *data;
    size_t len;
};

void gh_ws_reader_init(struct gh_ws_reader *r, bool server, uint64_t max);

/* Takes bytes from <in>, advancing it. 1: <ret> is filled. 0: <in> is used up. GH_ERR_PROTOCOL: a rule of section 5 is broken;
 * GH_ERR_MALFORMED: text that is not UTF-8; GH_ERR_TOO_LONG: the message is above the limit. An error stays. */
int gh_ws_next(struct gh_ws_reader *r, struct gh_ws_bytes *in, struct gh_ws_event *ret);

/* The code to close with when gh_ws_next said <rc>. */
uint16_t gh_ws_code_of(int rc);
/* May a close frame carry <code>? Those of the RFC and of IANA's list, and what applications and libraries may choose. */
bool gh_ws_code_valid(uint16_t code);

/* XORs <len> bytes that begin <at> bytes into a payload. */
void gh_ws_mask(uint8_t *data, size_t len, const uint8_t key[GH_WS_MASK], uint64_t at);

/* Writes the head of a frame; the payload, masked by the caller when <key> is not NULL, follows. <last>: no continuation will.
 * A writer without room is marked failed, as always. */
void gh_ws_emit_head(struct gh_writer *w, enum gh_ws_opcode opcode, bool last, uint64_t len, const uint8_t *key);
/* A whole control frame: ping or pong. Fails the writer above GH_WS_CONTROL_MAX. */
void gh_ws_emit_control(struct gh_writer *w, enum gh_ws_opcode opcode, struct gh_span data, const uint8_t *key);
/* A whole close frame; GH_WS_NO_CODE writes an empty one. <reason> is UTF-8 of 123 bytes at most. */
void gh_ws_emit_close(struct gh_writer *w, uint16_t code, struct gh_span reason, const uint8_t *key);

/* ---- the opening handshake, section 4 */

#define GH_WS_KEY_TEXT 25u    /* Sec-WebSocket-Key, NUL included */
#define GH_WS_ACCEPT_TEXT 29u /* Sec-WebSocket-Accept, NUL included */

typedef int (*gh_ws_sha1)(struct gh_span data, uint8_t ret[20]); /* gh_sha1 of crypto/hash.h, which this folder must not know */

/* The key of sixteen random bytes. */
void gh_ws_key_emit(const uint8_t random[16], char ret[GH_WS_KEY_TEXT]);
/* Is this the base64 of sixteen bytes? A server refuses anything else. */
bool gh_ws_key_valid(struct gh_span key);
/* What a server answers to a key. 0, or what <sha1> said. */
int gh_ws_accept(struct gh_span key, gh_ws_sha1 sha1, char ret[GH_WS_ACCEPT_TEXT]);

#endif
