/* Whatever a peer says who has the keys: packets of any type that are properly sealed, with any frames inside, before, during and after
 * the handshake; and bytes that are no packets. Above it is our HTTP/3, with a service that answers.
 *
 * The first byte says who is spoken to (0 the server, 1 the client), the second how many datagrams of the handshake arrive before. Then
 * come operations: a byte, of which the lower three bits say what it is, and what that needs.
 *
 *   0      a 1-RTT packet: a byte of bits, the length of its frames as a varint, the frames
 *   1      a 1-RTT packet of well-formed frames: a byte of bits, their number, for each its kind and two bytes that choose its values
 *   2      a packet with a long header: a byte of bits, length, frames
 *   3      bytes as they are
 *   4      time passes: 2^n ms, n in the lower four bits of a byte
 *   5      what is waiting is written
 *   6      the application does something: a byte
 *   7      a 1-RTT packet that begins with PATH_RESPONSE to the last question, then as 0
 *
 * 0x08: the packet stays in the datagram, another one follows. 0x10: from another address. 0x60: the ECN bits. 0x80: to the newest
 * connection id instead of the first. */
#include <stdint.h>
#include <string.h>

#include "pair.h"

#define NUMBER UINT32_C(0x00100000) /* far ahead of what the real peer used */
#define HANDSHAKE_OVER 64u
#define TIME_MAX (120 * 1000 * PAIR_MS)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzzed {
    struct pair pair;
    struct pair_end *to, *from;
    struct gh_reader in;
    uint32_t number;
    uint8_t datagram[4096];
    size_t len;
    bool proved; /* a packet was sealed that shows the address to be good, or another address is used */
};

static const struct gh_quic_cid *dcid_of(const struct fuzzed *f, unsigned op)
{
    if (f->to->cid_count == 0)
        return &f->pair.first_dcid;
    return &f->to->cids[op & 0x80 ? f->to->cid_count - 1 : 0];
}

static void send(struct fuzzed *f, unsigned op)
{
    struct gh_quic_addr from = f->from->addr;

    if (op & 0x10) {
        from.port++;
        f->proved = true;
    }
    pair_deliver(f->to, &from, (uint8_t)(op >> 5 & 3), gh_span_of(f->datagram, f->len));
    f->len = 0;
}

/* Frames to <at>, as many as the input says and there is room for; at least those that make a sample. */
static size_t read_frames(struct fuzzed *f, uint8_t *at, size_t room)
{
    uint64_t want = gh_read_varint(&f->in);
    size_t left = gh_reader_left(&f->in), len = f->in.failed ? 0 : want < left ? (size_t)want : left;

    len = len < room ? len : room;
    gh_read_bytes(&f->in, at, len);
    while (len < 4)
        at[len++] = 0; /* PADDING */
    return len;
}

/* Chance finds few frames that parse: here all do, with values at which rules begin and end. */
static uint64_t value_of(unsigned choice)
{
    static const uint64_t values[] = { 0, 1, 2, 3, 4, 5, 6, 8, 12, 16, 60, 64, 1200, 1 << 14, 1 << 20, (UINT64_C(1) << 60), (UINT64_C(1) << 62) - 1 };
    size_t count = sizeof values / sizeof *values;

    return choice < 0xe0 ? values[choice % count] : choice - 0xe0;
}

#define MAX_LEN 60u
enum { PING = 0x01, ACK, ACK_ECN, RESET_STREAM, STOP_SENDING, CRYPTO, NEW_TOKEN, STREAM, MAX_DATA = 0x10, STREAMS_BLOCKED_UNI = 0x17,
       NEW_CONNECTION_ID, RETIRE_CONNECTION_ID, PATH_CHALLENGE, PATH_RESPONSE, CLOSE, CLOSE_APPLICATION, HANDSHAKE_DONE, KINDS, DATAGRAM = 0x31 };

static void put_bytes(struct gh_writer *w, size_t len)
{
    static const uint8_t bytes[MAX_LEN] = { 0x00, 0x04, 0x00, 0x01 };

    gh_write_varint(w, len);
    gh_write_bytes(w, bytes, len);
}

static void put_new_cid(struct gh_writer *w, uint64_t a, uint64_t b)
{
    uint8_t cid[8 + GH_QUIC_RESET_TOKEN];

    memset(cid, (int)(a & 0xff), sizeof cid);
    gh_write_varint(w, a);
    gh_write_varint(w, b);
    gh_write_u8(w, 8);
    gh_write_bytes(w, cid, sizeof cid);
}

/* RFC 9000, section 19: what the two values are depends on the kind; most are varints one after the other. */
static void put_frame(struct gh_writer *w, unsigned kind, uint64_t a, uint64_t b, const uint8_t *answer)
{
    static const uint8_t varints[KINDS] = { [ACK] = 4, [ACK_ECN] = 7, [RESET_STREAM] = 3, [STOP_SENDING] = 2, [0x10] = 1, [0x11] = 2, [0x12] = 1,
                                            [0x13] = 1, [0x14] = 1, [0x15] = 2, [0x16] = 1, [0x17] = 1, [RETIRE_CONNECTION_ID] = 1 };
    unsigned frame = kind == KINDS ? DATAGRAM : kind;

    gh_write_varint(w, frame);
    for (unsigned i = 0; kind < KINDS && i < varints[kind]; i++) /* an ACK has one range, of <b>, and no delay; counts are <b> */
        gh_write_varint(w, i == 0 ? a : (kind == ACK || kind == ACK_ECN) && i < 3 ? 0 : b);
    if (frame == CRYPTO) {
        gh_write_varint(w, a);
        put_bytes(w, b % MAX_LEN);
    } else if (frame == NEW_TOKEN || frame == DATAGRAM) {
        put_bytes(w, a % MAX_LEN);
    } else if (frame >= STREAM && frame < MAX_DATA) {
        gh_write_varint(w, a % 24);
        if (frame & 4)
            gh_write_varint(w, b);
        if (frame & 2)
            put_bytes(w, b % MAX_LEN);
    } else if (frame == NEW_CONNECTION_ID) {
        put_new_cid(w, a, b);
    } else if (frame == PATH_CHALLENGE || frame == PATH_RESPONSE) {
        gh_write_bytes(w, answer, 8);
    } else if (frame == CLOSE || frame == CLOSE_APPLICATION) {
        gh_write_varint(w, a);
        if (frame == CLOSE)
            gh_write_varint(w, b);
        put_bytes(w, b % MAX_LEN);
    }
}

static size_t generate_frames(struct fuzzed *f, uint8_t *at, size_t room)
{
    struct gh_writer w = gh_writer_of(at, room < 1100 ? room : 1100);
    unsigned count = gh_read_u8(&f->in) % 12;
    size_t len;

    while (count--) {
        unsigned kind = gh_read_u8(&f->in) % (KINDS + 1), a = gh_read_u8(&f->in), b = gh_read_u8(&f->in);

        put_frame(&w, kind, value_of(a), value_of(b), f->to->drawn);
    }
    len = gh_writer_len(&w);
    while (len < 4)
        at[len++] = 0;
    return len;
}

static void seal(struct fuzzed *f, enum gh_tls_level level, bool update, bool repeat, size_t head, size_t frames)
{
    uint8_t secret[GH_AEAD_SECRET_MAX], *packet = f->datagram + f->len, text[4096];
    const struct gh_aead_suite *suite = f->from->sends[level].suite;
    struct packet_keys keys;

    if (update)
        REQUIRE(gh_aead_secret_update(suite, f->from->sends[level].secret, secret) == 0);
    else
        memcpy(secret, f->from->sends[level].secret, gh_aead_suite_secret_len(suite));
    memcpy(text, packet + head, frames);
    REQUIRE(packet_keys_derive(&keys, suite, secret) == 0);
    f->number += !repeat;
    f->len += packet_seal(&keys, packet, head, f->number, gh_span_of(text, frames));
    packet_keys_fini(&keys);
    f->proved |= level != GH_TLS_INITIAL;
}

/* Bits: 0x7c are turned round in the first byte, 0x02 sealed with the next keys, 0x80 the number of the packet before. */
static void short_packet(struct fuzzed *f, unsigned op)
{
    bool answers = (op & 7) == 7;
    const struct gh_quic_cid *dcid = dcid_of(f, op);
    uint8_t *packet = f->datagram + f->len;
    size_t head = 1 + (size_t)dcid->len + 4, frames = 0, room = 1500;
    unsigned bits = gh_read_u8(&f->in);

    if (sizeof f->datagram - f->len < room)
        f->len = 0, packet = f->datagram;
    packet[0] = (uint8_t)(0x43 ^ (bits & 0x7c));
    memcpy(packet + 1, dcid->data, dcid->len);
    if (answers) {
        packet[head] = 0x1b;
        memcpy(packet + head + 1, f->to->drawn, sizeof f->to->drawn);
        frames = 9;
    }
    room -= head + frames + GH_AEAD_TAG;
    frames += (op & 7) == 1 ? generate_frames(f, packet + head + frames, room) : read_frames(f, packet + head + frames, room);
    if (f->from->sends[GH_TLS_APPLICATION].suite)
        seal(f, GH_TLS_APPLICATION, bits & 2, bits & 0x80, head, frames);
}

static size_t put_cid(uint8_t *at, const struct gh_quic_cid *cid)
{
    at[0] = cid->len;
    memcpy(at + 1, cid->data, cid->len);
    return 1 + (size_t)cid->len;
}

/* Bits: 0x03 the level, 0x04 with another type than the keys are for, 0x18 reserved bits, 0x20 another version, 0x40 a token,
 * 0x80 the number of the packet before. */
static void long_packet(struct fuzzed *f, unsigned op)
{
    static const enum gh_tls_level levels[] = { GH_TLS_INITIAL, GH_TLS_HANDSHAKE, GH_TLS_APPLICATION, GH_TLS_INITIAL };
    static const uint8_t types[] = { 0x00, 0x20, 0x10, 0x30 };
    unsigned bits = gh_read_u8(&f->in);
    enum gh_tls_level level = levels[bits & 3];
    uint8_t *packet, frames[1400];
    size_t len = read_frames(f, frames, sizeof frames), head = 5, rest;

    if (sizeof f->datagram - f->len < 1500)
        f->len = 0;
    packet = f->datagram + f->len;
    packet[0] = (uint8_t)(0xc3 | types[(bits & 3) ^ (bits >> 2 & 1)]) ^ (uint8_t)((bits & 0x18) >> 1);
    memcpy(packet + 1, bits & 0x20 ? "\x6b\x33\x43\xcf" : "\0\0\0\1", 4);
    head += put_cid(packet + head, f->to->server && !f->proved && !(op & 0x80) ? &f->pair.first_dcid : dcid_of(f, op));
    head += put_cid(packet + head, &f->from->cids[0]);
    if ((packet[0] & 0x30) == 0) {
        memcpy(packet + head, "\x03tok", bits & 0x40 ? 4 : 1);
        packet[head] = bits & 0x40 ? 3 : 0;
        head += bits & 0x40 ? 4 : 1;
    }
    rest = 4 + len + GH_AEAD_TAG;
    packet[head++] = (uint8_t)(0x40 | rest >> 8);
    packet[head++] = (uint8_t)rest;
    head += 4;
    memcpy(packet + head, frames, len);
    if (f->from->sends[level].suite)
        seal(f, level, false, bits & 0x80, head, len);
}

static void application(struct fuzzed *f)
{
    static const uint8_t bytes[3000] = { 1, 2, 3 };
    unsigned what = gh_read_u8(&f->in);
    struct pair_end *e = f->to;
    struct gh_h3_stream *s = e->streams[what >> 4];

    if (e->closed)
        return;
    switch (what & 7) {
    case 0:
        if (!e->server)
            pair_ask(e);
        break;
    case 1:
        if (s)
            gh_h3_send(s, gh_span_of(bytes, sizeof bytes), what & 8);
        break;
    case 2:
        if (s)
            gh_h3_send_datagram(s, gh_span_of(bytes, what & 8 ? 1200 : 20), what, f->pair.now);
        break;
    case 3:
        if (s)
            gh_h3_reset(s, GH_H3_REQUEST_CANCELLED);
        break;
    case 4:
        gh_h3_drain(e->h3);
        break;
    case 5:
        gh_quic_probe(e->q);
        break;
    case 6:
        gh_quic_close(e->q, true, GH_H3_NO_ERROR, "enough");
        break;
    default:
        (void)gh_quic_current_path(e->q);
        (void)gh_quic_rtt(e->q);
        break;
    }
}

static void step(struct fuzzed *f)
{
    unsigned op = gh_read_u8(&f->in);

    switch (op & 7) {
    case 0:
    case 1:
    case 7:
        short_packet(f, op);
        break;
    case 2:
        long_packet(f, op);
        break;
    case 3:
        f->len += read_frames(f, f->datagram + f->len, sizeof f->datagram - f->len - 4);
        break;
    case 4:
        pair_pass(f->to, PAIR_MS << (gh_read_u8(&f->in) & 15));
        return;
    case 5:
        pair_write(f->to);
        return;
    default:
        application(f);
        return;
    }
    if (f->len && (!(op & 8) || f->len > sizeof f->datagram - 1600))
        send(f, op);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzzed f;
    int64_t began;

    if (size < 3 || size > 16384)
        return 0;
    memset(&f, 0, sizeof f);
    f.number = NUMBER;
    pair_connect(&f.pair, data[1] >= HANDSHAKE_OVER ? 1000 : data[1]);
    f.to = &f.pair.end[!(data[0] & 1)];
    f.from = &f.pair.end[data[0] & 1];
    f.proved = !f.to->server || gh_quic_handshake_complete(f.to->q);
    if (data[1] >= HANDSHAKE_OVER)
        REQUIRE(gh_quic_handshake_complete(f.to->q) && !f.to->closed);
    f.in = gh_reader_of(gh_span_of(data + 2, size - 2));
    began = f.pair.now;
    while (gh_reader_left(&f.in) && !f.in.failed && f.pair.now - began < TIME_MAX) {
        step(&f);
        /* RFC 9000, section 8.1: three times what came, until the address is known to be good */
        REQUIRE(f.proved || f.to->bytes_out <= 3 * f.to->bytes_in);
    }
    pair_pass(f.to, 100 * PAIR_MS);
    pair_fini(&f.pair);
    return 0;
}
