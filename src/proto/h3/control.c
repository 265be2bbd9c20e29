#include "proto/h3/control.h"

#include "base/error.h"

#define FRAME_CANCEL_PUSH 0x03u
#define FRAME_GOAWAY 0x07u
#define FRAME_MAX_PUSH_ID 0x0du
#define FRAME_PRIORITY_UPDATE_REQUEST 0xf0700u
#define FRAME_PRIORITY_UPDATE_PUSH 0xf0701u

static struct gh_span take(struct gh_span *in, size_t len)
{
    struct gh_span piece = gh_span_of(in->data, len);

    *in = gh_span_of(in->data + len, in->len - len);
    return piece;
}

/* One byte of a frame's head; true when the head is complete. */
static bool read_head(struct gh_h3_control *c, uint8_t byte)
{
    struct gh_reader r;
    uint64_t type;

    c->head[c->len++] = byte;
    r = gh_reader_of(gh_span_of(c->head, c->len));
    type = gh_read_varint(&r);
    c->left = gh_read_varint(&r);
    if (r.failed)
        return false;
    c->body = c->left > 0;
    c->push = type == FRAME_CANCEL_PUSH || type == FRAME_MAX_PUSH_ID ? (uint8_t)type : 0;
    c->number = type == FRAME_CANCEL_PUSH || type == FRAME_GOAWAY || type == FRAME_MAX_PUSH_ID;
    /* the library knows no CANCEL_PUSH; in front of SETTINGS its word counts */
    c->skip = type == FRAME_PRIORITY_UPDATE_REQUEST || type == FRAME_PRIORITY_UPDATE_PUSH || (type == FRAME_CANCEL_PUSH && c->begun);
    c->begun = true;
    return true;
}

/* A piece of the number of a push. 0, or GH_ERR_RANGE when it is whole and must not be (RFC 9114, sections 7.2.3 and 7.2.7). */
static int read_push(struct gh_h3_control *c, struct gh_span piece, bool first)
{
    for (size_t i = 0; i < piece.len; i++)
        c->value = first && i == 0 ? piece.data[0] & 0x3fu : c->value << 8 | piece.data[i];
    if (c->body)
        return 0;
    if (c->push == FRAME_CANCEL_PUSH || c->value < c->max_push_id)
        return GH_ERR_RANGE;
    c->max_push_id = c->value;
    return 0;
}

int gh_h3_control_next(struct gh_h3_control *c, struct gh_span *in, struct gh_span *ret)
{
    while (in->len > 0) {
        if (c->body) {
            if (c->number && c->left != 1u << (in->data[0] >> 6))
                return GH_ERR_MALFORMED; /* RFC 9114, section 7.1 */
            *ret = take(in, c->left < in->len ? (size_t)c->left : in->len);
            c->left -= ret->len;
            c->body = c->left > 0;
            if (c->push && read_push(c, *ret, c->number) < 0)
                return GH_ERR_RANGE;
            c->number = false;
        } else if (read_head(c, *take(in, 1).data)) {
            if (c->number && !c->body)
                return GH_ERR_MALFORMED;
            *ret = gh_span_of(c->head, c->len);
            c->len = 0;
        } else {
            continue;
        }
        if (!c->skip)
            return 1;
    }
    return 0;
}
