/* tests/unit/net/fake_bytes.h - a gh_byte_stream without a socket: what the test puts in, it tells; what it is given, it keeps
 *
 * Two of them can be ends of one pipe. Nothing happens but in fake_bytes_turn, so events are never told from inside an operation.
 */
#ifndef GH_TEST_FAKE_BYTES_H
#define GH_TEST_FAKE_BYTES_H

#include "net/byte_stream.h"

struct fake_bytes {
    struct gh_byte_stream base; /* first */
    struct fake_bytes *peer;    /* gets what this one is given; NULL: it stays in <out> */
    uint8_t *in, *out;
    size_t in_len, out_len;
    size_t piece;               /* most bytes of one on_bytes; 0: what a byte stream may */
    size_t room;                /* bytes that <out> holds at most; 0: no limit */
    bool reading, writing, end, end_told;
    bool shut, closed, reset;   /* what was done to it */
    bool broken, broken_told;   /* the other end was reset */
    bool *gone;
};

struct fake_bytes *fake_bytes_create(void);
/* The two ends of one pipe. */
void fake_bytes_join(struct fake_bytes *a, struct fake_bytes *b);
void fake_bytes_feed(struct fake_bytes *f, struct gh_span data);
/* Everything that can be told now. True when something was. */
bool fake_bytes_turn(struct fake_bytes *f);
/* The bytes given so far are taken away. */
void fake_bytes_take(struct fake_bytes *f);
/* After it was closed by who used it. */
void fake_bytes_destroy(struct fake_bytes *f);

#endif
