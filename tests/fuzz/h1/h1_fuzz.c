/* HTTP/1 heads and chunked bodies. The first byte chooses the kind of message and the size of the pieces; what is checked:
 * pieces of any size give the same result, spans stay inside the reader, an accepted head survives being emitted. */
#include "wire/h1.h"

#include <stdlib.h>

#include "base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool good)
{
    if (!good)
        abort();
}

static int feed_head(struct gh_h1_reader *r, enum gh_h1_kind kind, struct gh_span *in, size_t step, struct gh_h1_head *ret)
{
    int rc = 0;

    gh_h1_reader_reset(r, kind);
    while (rc == 0 && in->len > 0) {
        struct gh_span piece = gh_span_of(in->data, in->len < step ? in->len : step);
        size_t before = piece.len;

        rc = gh_h1_head_feed(r, &piece, ret);
        in->data += before - piece.len;
        in->len -= before - piece.len;
    }
    return rc;
}

static void check_inside(const struct gh_h1_reader *r, struct gh_span s)
{
    must(s.len == 0 || (s.data >= r->buf && s.data + s.len <= r->buf + r->len) || (s.len == 1 && s.data[0] == '/'));
}

static void check_head(const struct gh_h1_reader *r, const struct gh_h1_head *head)
{
    static uint8_t out[4 * GH_H1_HEAD_MAX];
    struct gh_writer w = gh_writer_of(out, sizeof out);

    check_inside(r, head->method);
    check_inside(r, head->authority);
    check_inside(r, head->path);
    check_inside(r, head->upgrade);
    must(head->field_count <= GH_H1_FIELDS_MAX);
    must(head->framing != GH_H1_BODY_UNTIL_CLOSE || !head->keep_alive);
    for (size_t i = 0; i < head->field_count; i++) {
        check_inside(r, head->fields[i].name);
        check_inside(r, head->fields[i].value);
        gh_h1_emit_field(&w, head->fields[i].name, head->fields[i].value);
    }
    must(!w.failed);
}

static int decode(struct gh_span in, size_t step, size_t *ret_body, size_t *ret_left)
{
    struct gh_h1_chunked c = { 0 };
    int rc = 0;

    *ret_body = 0;
    while (in.len > 0) {
        struct gh_span piece = gh_span_of(in.data, in.len < step ? in.len : step), body;

        in.data += piece.len;
        in.len -= piece.len;
        for (;;) {
            rc = gh_h1_chunked_next(&c, &piece, &body);
            if (rc <= 0)
                break;
            if (body.len == 0) {
                *ret_left = in.len + piece.len;
                return 1;
            }
            *ret_body += body.len;
        }
        if (rc < 0)
            return rc;
    }
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct gh_h1_reader slow, fast;
    static struct gh_h1_head head, twin;
    struct gh_span in, in_twin;
    enum gh_h1_kind kind;
    size_t step, body, body_twin, left = 0, left_twin = 0;
    int rc;

    if (len == 0)
        return 0;
    kind = (enum gh_h1_kind)(data[0] % 3);
    step = 1 + (data[0] >> 2);
    in = in_twin = gh_span_of(data + 1, len - 1);
    rc = feed_head(&slow, kind, &in, step, &head);
    must(rc == feed_head(&fast, kind, &in_twin, len, &twin));
    if (rc == 1) {
        must(in.len == in_twin.len && head.framing == twin.framing && head.content_length == twin.content_length);
        check_head(&slow, &head);
        if (head.framing != GH_H1_BODY_CHUNKED)
            return 0;
        rc = decode(in, step, &body, &left);
        must(rc == decode(in, in.len + 1, &body_twin, &left_twin));
        must(rc < 0 || (body == body_twin && left == left_twin));
    }
    return 0;
}
