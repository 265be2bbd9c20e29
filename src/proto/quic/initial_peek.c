#include "proto/quic/initial_peek.h"

#include <stdlib.h>

#include "base/error.h"

#define SAMPLE_AT 4u /* behind the start of the packet number: RFC 9001, section 5.4.2 */
#define SAMPLE_LEN 16u

/* One long-header packet of a datagram. */
struct packet {
    uint8_t first;
    uint32_t version;
    struct gh_span dcid, scid, token;
    struct gh_span whole; /* from the first byte to the end of its payload */
    size_t number_at;     /* where the packet number begins */
    bool initial;
};

/* RFC 9000, section 17.2; RFC 9369, section 3.2 turns the types by one. */
static bool is_type(const struct packet *p, uint8_t type)
{
    return ((p->first >> 4) & 3) == (p->version == GH_QUIC_VERSION_2 ? (type + 1) % 4 : type);
}

/* The fields that every version has, and no more of them. False when it is none or cut short. */
static bool read_invariants(struct gh_reader *r, struct packet *ret)
{
    ret->first = gh_read_u8(r);
    ret->version = gh_read_u32(r);
    ret->dcid = gh_read_span(r, gh_read_u8(r));
    ret->scid = gh_read_span(r, gh_read_u8(r));
    return !r->failed && (ret->first & 0x80);
}

/* Takes the next packet off <left>. False at the end of what can be read: a short header, another version, a cut packet. */
static bool next_packet(const struct gh_quic_peek *p, struct gh_span *left, struct packet *ret)
{
    struct gh_reader r = gh_reader_of(*left);
    struct packet k = { 0 };
    uint64_t len;

    if (!read_invariants(&r, &k) || k.version != p->version || !(k.first & 0x40) || is_type(&k, 3) || k.scid.len > GH_QUIC_CID_MAX)
        return false;
    k.initial = is_type(&k, 0);
    if (k.initial) {
        len = gh_read_varint(&r);
        if (len > gh_reader_left(&r))
            return false;
        k.token = gh_read_span(&r, (size_t)len);
    }
    len = gh_read_varint(&r);
    if (r.failed || len > gh_reader_left(&r))
        return false;
    k.number_at = left->len - gh_reader_left(&r);
    k.whole = gh_span_of(left->data, k.number_at + (size_t)len);
    *left = gh_span_of(left->data + k.whole.len, left->len - k.whole.len);
    *ret = k;
    return true;
}

/* RFC 9000, appendix A.3 */
static uint64_t decode_number(uint64_t expected, uint64_t truncated, unsigned bytes)
{
    uint64_t window = UINT64_C(1) << 8 * bytes, half = window / 2;
    uint64_t candidate = (expected & ~(window - 1)) | truncated;

    if (candidate + half <= expected && candidate < (UINT64_C(1) << 62) - window)
        return candidate + window;
    if (candidate > expected + half && candidate >= window)
        return candidate - window;
    return candidate;
}

/* Opens <k> into a block of its own, for free(): the header without protection, then the payload, which is <ret>. 0 when it
 * does not open. */
static int open_packet(struct gh_quic_peek *p, const struct packet *k, uint8_t **ret_block, struct gh_span *ret)
{
    uint8_t mask[5], nonce[GH_AEAD_IV], *copy;
    size_t number_len, head_len;
    uint64_t number = 0;
    struct gh_span sealed;
    int rc;

    if (k->whole.len < k->number_at + SAMPLE_AT + SAMPLE_LEN)
        return 0;
    if (gh_header_mask(p->header, mask, k->whole.data + k->number_at + SAMPLE_AT) < 0)
        return GH_ERR_CRYPTO;
    copy = malloc(k->whole.len);
    if (!copy)
        return GH_ERR_MEMORY;
    memcpy(copy, k->whole.data, k->whole.len);
    copy[0] ^= mask[0] & 0x0f;
    number_len = (copy[0] & 3u) + 1;
    head_len = k->number_at + number_len;
    for (size_t i = 0; i < number_len; i++) {
        copy[k->number_at + i] ^= mask[1 + i];
        number = number << 8 | copy[k->number_at + i];
    }
    number = decode_number(p->next_number, number, (unsigned)number_len);
    memcpy(nonce, p->iv, sizeof nonce);
    for (size_t i = 0; i < 8; i++)
        nonce[GH_AEAD_IV - 1 - i] ^= (uint8_t)(number >> 8 * i);
    sealed = gh_span_of(copy + head_len, k->whole.len - head_len);
    rc = gh_aead_open(p->key, copy + head_len, sealed, nonce, gh_span_of(copy, head_len));
    if (rc < 0) {
        free(copy);
        return rc == GH_ERR_DENIED ? 0 : rc;
    }
    if (number >= p->next_number)
        p->next_number = number + 1;
    *ret_block = copy;
    *ret = gh_span_of(copy + head_len, sealed.len - GH_AEAD_TAG);
    return 1;
}

static int reserve(struct gh_quic_peek *p, size_t need)
{
    size_t cap = p->cap ? p->cap : 2048;
    uint8_t *stream;

    while (cap < need)
        cap *= 2;
    if (cap == p->cap)
        return 0;
    stream = realloc(p->stream, cap);
    if (!stream)
        return GH_ERR_MEMORY;
    p->stream = stream;
    p->cap = cap;
    return 0;
}

/* Makes [from, to) one with the pieces that it touches. */
static int note_piece(struct gh_quic_peek *p, uint32_t from, uint32_t to)
{
    size_t first = 0, last;

    while (first < p->piece_count && p->pieces[first].to < from)
        first++;
    for (last = first; last < p->piece_count && p->pieces[last].from <= to; last++) {
        from = p->pieces[last].from < from ? p->pieces[last].from : from;
        to = p->pieces[last].to > to ? p->pieces[last].to : to;
    }
    if (last == first && p->piece_count == GH_QUIC_PEEK_PIECES)
        return GH_ERR_TOO_LONG;
    memmove(p->pieces + first + 1, p->pieces + last, (p->piece_count - last) * sizeof *p->pieces);
    p->piece_count = p->piece_count - (last - first) + 1;
    p->pieces[first] = (struct gh_quic_peek_piece){ from, to };
    return 0;
}

/* Puts bytes of the handshake where they belong. What came first stays: that is what a server has read already. */
static int put(struct gh_quic_peek *p, uint64_t offset, struct gh_span data)
{
    size_t at, end;
    int rc;

    if (offset > GH_QUIC_PEEK_STREAM_MAX || data.len > GH_QUIC_PEEK_STREAM_MAX - offset)
        return GH_ERR_TOO_LONG;
    if (data.len == 0)
        return 0;
    at = (size_t)offset;
    end = at + data.len;
    rc = reserve(p, end);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < p->piece_count && at < end; i++) {
        size_t gap_end = p->pieces[i].from < end ? p->pieces[i].from : end;

        if (at < gap_end)
            memcpy(p->stream + at, data.data + (at - (size_t)offset), gap_end - at);
        if (at < p->pieces[i].to)
            at = p->pieces[i].to;
    }
    if (at < end)
        memcpy(p->stream + at, data.data + (at - (size_t)offset), end - at);
    return note_piece(p, (uint32_t)offset, (uint32_t)end);
}

/* RFC 9000, section 19.3 */
static void skip_ack(struct gh_reader *r, bool counts)
{
    uint64_t ranges;

    gh_read_varint(r);
    gh_read_varint(r);
    ranges = gh_read_varint(r);
    gh_read_varint(r);
    for (; ranges > 0 && !r->failed; ranges--) {
        gh_read_varint(r);
        gh_read_varint(r);
    }
    for (int i = 0; counts && i < 3; i++)
        gh_read_varint(r);
}

/* RFC 9000, section 12.4, table 3: the frames that an Initial packet may have */
static int take_frames(struct gh_quic_peek *p, struct gh_span payload)
{
    struct gh_reader r = gh_reader_of(payload);
    uint64_t type, offset, len;
    int rc;

    if (payload.len == 0)
        return GH_ERR_PROTOCOL;
    while (gh_reader_left(&r) > 0 && !r.failed) {
        type = gh_read_varint(&r);
        switch (type) {
        case 0x00: /* PADDING */
        case 0x01: /* PING */
            break;
        case 0x02:
        case 0x03:
            skip_ack(&r, type == 0x03);
            break;
        case 0x06: /* CRYPTO */
            offset = gh_read_varint(&r);
            len = gh_read_varint(&r);
            if (r.failed || len > gh_reader_left(&r))
                return GH_ERR_PROTOCOL;
            rc = put(p, offset, gh_read_span(&r, (size_t)len));
            if (rc < 0)
                return rc;
            break;
        case 0x1c: /* CONNECTION_CLOSE */
            return GH_ERR_CLOSED;
        default:
            return GH_ERR_PROTOCOL;
        }
    }
    return r.failed ? GH_ERR_PROTOCOL : 0;
}

/* 1 when the hello is there. */
static int find_hello(struct gh_quic_peek *p, struct gh_tls_hello *ret)
{
    size_t have = p->piece_count > 0 && p->pieces[0].from == 0 ? p->pieces[0].to : 0, len;
    int rc;

    if (have > 0 && p->stream[0] != 1) /* client_hello */
        return GH_ERR_MALFORMED;
    if (have < 4)
        return 0;
    len = (size_t)p->stream[1] << 16 | (size_t)p->stream[2] << 8 | p->stream[3];
    if (len > GH_QUIC_PEEK_STREAM_MAX - 4)
        return GH_ERR_TOO_LONG;
    if (have < 4 + len)
        return 0;
    rc = gh_tls_hello_parse(gh_span_of(p->stream + 4, len), ret);
    return rc < 0 ? rc : 1;
}

static void cid_from(struct gh_span s, struct gh_quic_cid *ret)
{
    ret->len = (uint8_t)s.len;
    memcpy(ret->data, s.data, s.len);
}

int gh_quic_peek_init(struct gh_quic_peek *ret, struct gh_span datagram)
{
    struct gh_reader r = gh_reader_of(datagram);
    struct packet k = { 0 };
    int rc;

    *ret = (struct gh_quic_peek){ 0 };
    if (!read_invariants(&r, &k))
        return GH_ERR_UNSUPPORTED;
    ret->version = k.version;
    if ((k.version != GH_QUIC_VERSION_1 && k.version != GH_QUIC_VERSION_2) || !(k.first & 0x40) || !is_type(&k, 0) ||
        datagram.len < GH_QUIC_PEEK_DATAGRAM_MIN || k.dcid.len < GH_QUIC_PEEK_DCID_MIN || k.dcid.len > GH_QUIC_CID_MAX)
        return GH_ERR_UNSUPPORTED;
    cid_from(k.dcid, &ret->dcid);
    rc = gh_aead_initial_client_keys(k.version, k.dcid, false, &ret->key, ret->iv, &ret->header);
    if (rc < 0) /* they are made both or neither */
        ret->key = NULL;
    return rc;
}

void gh_quic_peek_fini(struct gh_quic_peek *p)
{
    if (!p)
        return;
    gh_aead_key_destroy(p->key);
    gh_header_key_destroy(p->header);
    free(p->stream);
    *p = (struct gh_quic_peek){ .failed = GH_ERR_STATE };
}

/* Takes the Initial packets of the client that a datagram holds, up to the one that completes the hello. */
static int take_datagram(struct gh_quic_peek *p, struct gh_span datagram, struct gh_tls_hello *ret)
{
    struct gh_span payload, dcid = gh_span_of(p->dcid.data, p->dcid.len);
    uint8_t *block = NULL;
    struct packet k;
    int rc = 0;

    while (rc == 0 && datagram.len > 0 && next_packet(p, &datagram, &k)) {
        if (!k.initial || !gh_span_equals(k.dcid, dcid)) /* RFC 9000, section 12.2 */
            continue;
        rc = open_packet(p, &k, &block, &payload);
        if (rc <= 0)
            continue;
        if (p->opened++ == 0) {
            cid_from(k.scid, &p->scid);
            p->token = k.token.len > 0;
        }
        rc = block[0] & 0x0c ? GH_ERR_PROTOCOL : take_frames(p, payload); /* RFC 9000, section 17.2: reserved bits */
        free(block);
        if (rc == 0)
            rc = find_hello(p, ret);
    }
    return rc;
}

int gh_quic_peek_feed(struct gh_quic_peek *p, struct gh_span datagram, struct gh_tls_hello *ret)
{
    int rc;

    if (!p->failed && !p->key)
        p->failed = GH_ERR_STATE;
    if (p->failed)
        return p->failed;
    if (datagram.len < GH_QUIC_PEEK_DATAGRAM_MIN)
        return 0;
    rc = take_datagram(p, datagram, ret);
    if (rc < 0)
        p->failed = rc;
    return rc;
}
