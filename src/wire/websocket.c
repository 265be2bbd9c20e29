#include "wire/websocket.h"

#include "base/base64.h"

#define FIN 0x80u
#define RESERVED 0x70u
#define MASKED 0x80u

void gh_ws_reader_init(struct gh_ws_reader *r, bool server, uint64_t max)
{
    *r = (struct gh_ws_reader){ .server = server, .max = max };
}

uint16_t gh_ws_code_of(int rc)
{
    switch (rc) {
    case GH_ERR_PROTOCOL:
        return GH_WS_PROTOCOL_ERROR;
    case GH_ERR_MALFORMED:
        return GH_WS_BAD_TEXT;
    case GH_ERR_TOO_LONG:
        return GH_WS_TOO_BIG;
    default:
        return rc < 0 ? GH_WS_INTERNAL_ERROR : GH_WS_NORMAL;
    }
}

bool gh_ws_code_valid(uint16_t code)
{
    if (code >= 3000 && code <= 4999)
        return true;
    return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006); /* 1004 to 1006 and 1015 are never sent */
}

void gh_ws_mask(uint8_t *data, size_t len, const uint8_t key[GH_WS_MASK], uint64_t at)
{
    uint8_t turned[8];
    uint64_t wide, word[4];
    size_t i = 0;

    for (size_t k = 0; k < sizeof turned; k++)
        turned[k] = key[(at + k) % GH_WS_MASK];
    memcpy(&wide, turned, sizeof wide);
    for (; len - i >= sizeof word; i += sizeof word) {
        memcpy(word, data + i, sizeof word);
        for (size_t k = 0; k < 4; k++)
            word[k] ^= wide;
        memcpy(data + i, word, sizeof word);
    }
    for (; i < len; i++)
        data[i] ^= turned[i % GH_WS_MASK];
}

static bool is_control(uint8_t opcode)
{
    return opcode >= GH_WS_CLOSE;
}

/* RFC 6455, section 5.2 and 5.4: the first byte, judged as soon as it is there */
static int judge_opcode(const struct gh_ws_reader *r)
{
    uint8_t opcode = r->head[0] & 0x0f;

    if (r->head[0] & RESERVED) /* no extension gave them a meaning */
        return GH_ERR_PROTOCOL;
    if (opcode > GH_WS_PONG || (opcode > GH_WS_BINARY && opcode < GH_WS_CLOSE))
        return GH_ERR_PROTOCOL;
    if (is_control(opcode))
        return r->head[0] & FIN ? 0 : GH_ERR_PROTOCOL;
    return (opcode == GH_WS_CONTINUATION) == (r->message != 0) ? 0 : GH_ERR_PROTOCOL;
}

/* How long the head is, from its first two bytes. */
static size_t head_size(const struct gh_ws_reader *r)
{
    size_t len = r->head[1] & 0x7f;

    return 2u + (len == 126 ? 2u : len == 127 ? 8u : 0u) + (r->head[1] & MASKED ? GH_WS_MASK : 0u);
}

/* Takes the numbers out of a complete head. */
static int begin_frame(struct gh_ws_reader *r)
{
    struct gh_reader h = gh_reader_of(gh_span_of(r->head, r->head_len));
    uint8_t first = gh_read_u8(&h), second = gh_read_u8(&h);
    uint64_t len = second & 0x7f;

    if (len == 126) {
        len = gh_read_u16(&h);
        if (len < 126) /* section 5.2: the shortest form */
            return GH_ERR_PROTOCOL;
    } else if (len == 127) {
        len = gh_read_u64(&h);
        if (len < 65536 || len > INT64_MAX)
            return GH_ERR_PROTOCOL;
    }
    r->masked = second & MASKED;
    if (r->masked)
        gh_read_bytes(&h, r->key, GH_WS_MASK);
    r->fin = first & FIN;
    r->opcode = first & 0x0f;
    r->left = len;
    r->seen = 0;
    r->head_len = 0;
    r->in_payload = true;
    if (is_control(r->opcode))
        return 0;
    if (r->opcode != GH_WS_CONTINUATION) {
        r->message = r->opcode;
        r->message_len = 0;
        r->begun = false;
        r->utf8 = (struct gh_utf8){ 0 };
    }
    if (r->max && len > r->max - r->message_len)
        return GH_ERR_TOO_LONG;
    r->message_len += r->max ? len : 0; /* without a limit nobody asks */
    return 0;
}

/* Progress: 1 when the head is complete. */
static int take_head(struct gh_ws_reader *r, struct gh_ws_bytes *in)
{
    int rc;

    while (in->len > 0) {
        r->head[r->head_len++] = *in->data++;
        in->len--;
        if (r->head_len == 1) {
            rc = judge_opcode(r);
            if (rc < 0)
                return rc;
            continue;
        }
        if (r->head_len == 2) {
            if (!(r->head[1] & MASKED) == r->server) /* section 5.1 */
                return GH_ERR_PROTOCOL;
            if (is_control(r->head[0] & 0x0f) && (r->head[1] & 0x7f) > GH_WS_CONTROL_MAX)
                return GH_ERR_PROTOCOL;
        }
        if (r->head_len == head_size(r)) {
            rc = begin_frame(r);
            return rc < 0 ? rc : 1;
        }
    }
    return 0;
}

static struct gh_span unmask(struct gh_ws_reader *r, struct gh_ws_bytes *in)
{
    size_t n = in->len < r->left ? in->len : (size_t)r->left;
    struct gh_span part = gh_span_of(in->data, n);

    if (r->masked && n > 0)
        gh_ws_mask(in->data, n, r->key, r->seen);
    r->seen += n;
    r->left -= n;
    in->len -= n;
    if (n > 0)
        in->data += n;
    return part;
}

/* Section 5.5.1: nothing, or a code and a reason */
static int read_close(struct gh_span payload, struct gh_ws_event *ret)
{
    struct gh_reader c = gh_reader_of(payload);

    ret->code = GH_WS_NO_CODE;
    if (payload.len == 0)
        return 0;
    ret->code = gh_read_u16(&c);
    if (c.failed || !gh_ws_code_valid(ret->code))
        return GH_ERR_PROTOCOL;
    ret->data = gh_read_span(&c, gh_reader_left(&c));
    return gh_utf8_valid(ret->data) ? 0 : GH_ERR_MALFORMED;
}

/* Progress: 1 when the control frame is whole. */
static int take_control(struct gh_ws_reader *r, struct gh_ws_bytes *in, struct gh_ws_event *ret)
{
    size_t at = (size_t)r->seen;
    struct gh_span part = unmask(r, in);
    struct gh_ws_event e = { .opcode = r->opcode, .first = true, .last = true };
    int rc;

    if (part.len > 0)
        memcpy(r->control + at, part.data, part.len);
    if (r->left > 0)
        return 0;
    r->in_payload = false;
    e.data = gh_span_of(r->control, (size_t)r->seen);
    if (r->opcode == GH_WS_CLOSE) {
        rc = read_close(e.data, &e);
        if (rc < 0)
            return rc;
        r->closed = true;
    }
    *ret = e;
    return 1;
}

/* Progress: 1 when there is a piece to give; 0 also at the end of a frame that held nothing. */
static int take_data(struct gh_ws_reader *r, struct gh_ws_bytes *in, struct gh_ws_event *ret)
{
    struct gh_span part = unmask(r, in);
    struct gh_ws_event e = { .opcode = r->message, .first = !r->begun, .last = r->fin && r->left == 0, .data = part };

    if (r->message == GH_WS_TEXT && (!gh_utf8_feed(&r->utf8, part) || (e.last && !gh_utf8_done(&r->utf8))))
        return GH_ERR_MALFORMED; /* section 8.1 */
    if (r->left == 0)
        r->in_payload = false;
    if (e.last)
        r->message = 0;
    if (part.len == 0 && !e.last)
        return 0;
    r->begun = true;
    *ret = e;
    return 1;
}

int gh_ws_next(struct gh_ws_reader *r, struct gh_ws_bytes *in, struct gh_ws_event *ret)
{
    int rc;

    if (r->failed)
        return r->failed;
    for (;;) {
        if (r->closed) {
            in->data += in->len;
            in->len = 0;
            return 0;
        }
        if (!r->in_payload) {
            rc = take_head(r, in);
            if (rc == 0)
                return 0;
            if (rc < 0)
                break;
        }
        rc = is_control(r->opcode) ? take_control(r, in, ret) : take_data(r, in, ret);
        if (rc < 0)
            break;
        if (rc == 1)
            return 1;
        if (r->in_payload) /* more of it has to come */
            return 0;
    }
    r->failed = rc;
    return rc;
}

void gh_ws_emit_head(struct gh_writer *w, enum gh_ws_opcode opcode, bool last, uint64_t len, const uint8_t *key)
{
    uint8_t masked = key ? MASKED : 0;

    gh_write_u8(w, (uint8_t)((last ? FIN : 0) | opcode));
    if (len < 126) {
        gh_write_u8(w, (uint8_t)(masked | len));
    } else if (len < 65536) {
        gh_write_u8(w, masked | 126);
        gh_write_u16(w, (uint16_t)len);
    } else {
        gh_write_u8(w, masked | 127);
        gh_write_u64(w, len);
    }
    if (key)
        gh_write_bytes(w, key, GH_WS_MASK);
}

void gh_ws_emit_control(struct gh_writer *w, enum gh_ws_opcode opcode, struct gh_span data, const uint8_t *key)
{
    if (data.len > GH_WS_CONTROL_MAX) {
        w->failed = true;
        return;
    }
    gh_ws_emit_head(w, opcode, true, data.len, key);
    gh_write_span(w, data);
    if (key && !w->failed)
        gh_ws_mask(w->at - data.len, data.len, key, 0);
}

void gh_ws_emit_close(struct gh_writer *w, uint16_t code, struct gh_span reason, const uint8_t *key)
{
    uint8_t payload[GH_WS_CONTROL_MAX];
    struct gh_writer p = gh_writer_of(payload, sizeof payload);

    if (code != GH_WS_NO_CODE) {
        gh_write_u16(&p, code);
        gh_write_span(&p, reason);
    }
    if (p.failed) {
        w->failed = true;
        return;
    }
    gh_ws_emit_control(w, GH_WS_CLOSE, gh_span_of(payload, gh_writer_len(&p)), key);
}

void gh_ws_key_emit(const uint8_t random[16], char ret[GH_WS_KEY_TEXT])
{
    (void)gh_base64_encode(gh_span_of(random, 16), ret);
}

bool gh_ws_key_valid(struct gh_span key)
{
    uint8_t bytes[24 / 4 * 3 + 2];
    size_t len;

    return key.len == GH_WS_KEY_TEXT - 1 && gh_base64_decode(key, bytes, &len) == 0 && len == 16;
}

int gh_ws_accept(struct gh_span key, gh_ws_sha1 sha1, char ret[GH_WS_ACCEPT_TEXT])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* section 1.3 */
    uint8_t joined[GH_WS_KEY_TEXT + sizeof guid], digest[20];
    struct gh_writer w = gh_writer_of(joined, sizeof joined);
    int rc;

    gh_write_span(&w, key);
    gh_write_bytes(&w, guid, sizeof guid - 1);
    if (w.failed)
        return GH_ERR_MALFORMED;
    rc = sha1(gh_span_of(joined, gh_writer_len(&w)), digest);
    if (rc < 0)
        return rc;
    (void)gh_base64_encode(gh_span_of(digest, sizeof digest), ret);
    return 0;
}
