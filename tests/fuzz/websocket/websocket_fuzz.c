/* tests/fuzz/websocket/websocket_fuzz.c - frames, whole and in pieces, are read alike
 *
 * The first byte is the length of the pieces, the second the side that reads (bit 0: the server) and a limit of 64 bytes a
 * message (bit 1).
 */
#include <stdint.h>
#include <stdlib.h>

#include "wire/websocket.h"

#define OUT_MAX (1u << 20)

static void require(bool right)
{
    if (!right)
        abort();
}

/* The events, data joined: a message that was cut otherwise is the same message. */
struct story {
    uint8_t *out;
    size_t len;
    bool closed;
};

static void add(struct story *s, const void *data, size_t len)
{
    if (s->len + len <= OUT_MAX && len > 0) {
        memcpy(s->out + s->len, data, len);
        s->len += len;
    }
}

static void tell(struct story *s, const struct gh_ws_event *e)
{
    uint8_t mark[4] = { (uint8_t)e->opcode, e->last, (uint8_t)(e->code >> 8), (uint8_t)e->code };

    require(!s->closed);
    if (e->opcode >= GH_WS_CLOSE) {
        require(e->first && e->last && e->data.len <= GH_WS_CONTROL_MAX);
        require(e->opcode != GH_WS_CLOSE || e->code == GH_WS_NO_CODE || gh_ws_code_valid(e->code));
        s->closed = e->opcode == GH_WS_CLOSE;
    } else {
        require(e->opcode == GH_WS_TEXT || e->opcode == GH_WS_BINARY);
        mark[1] = 0;
    }
    if (e->opcode >= GH_WS_CLOSE || e->first)
        add(s, mark, sizeof mark);
    add(s, e->data.data, e->data.len);
    if (e->opcode < GH_WS_CLOSE && e->last)
        add(s, "\xff", 1);
}

static int read_frames(struct gh_span stream, size_t piece, uint8_t mode, struct story *s)
{
    struct gh_ws_reader r;
    int rc = 0;

    gh_ws_reader_init(&r, mode & 1, mode & 2 ? 64 : 0);
    for (size_t at = 0; at < stream.len && rc == 0; at += piece) {
        size_t n = stream.len - at < piece ? stream.len - at : piece;
        uint8_t *block = malloc(n);
        struct gh_ws_bytes in = { block, n };
        struct gh_ws_event e;

        require(block != NULL);
        memcpy(block, stream.data + at, n);
        do {
            rc = gh_ws_next(&r, &in, &e);
            if (rc == 1)
                tell(s, &e);
        } while (rc == 1);
        require(rc < 0 || in.len == 0);
        free(block);
    }
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct story whole = { malloc(OUT_MAX), 0, false }, pieces = { malloc(OUT_MAX), 0, false };
    int rc;

    require(whole.out && pieces.out);
    if (size > 2) {
        struct gh_span stream = gh_span_of(data + 2, size - 2);

        rc = read_frames(stream, stream.len, data[1], &whole);
        require(read_frames(stream, data[0] ? data[0] : 1, data[1], &pieces) == rc);
        if (rc == 0) /* before a fault, pieces may have told more of the message that has it */
            require(gh_span_equals(gh_span_of(whole.out, whole.len), gh_span_of(pieces.out, pieces.len)));
    }
    free(whole.out);
    free(pieces.out);
    return 0;
}
