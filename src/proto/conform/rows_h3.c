/* QUIC's share, HTTP/3 streams, settings and frames, QPACK (RFC 9114, 9204, 9220). */
#include <string.h>

#include "base/error.h"
#include "proto/conform/script.h"

#define SETTINGS_ROOM 1024u

/* Runs of the tables: where the bytes go and what must follow. */

/* Behind good SETTINGS on the control stream. */
static void on_control(check *c, const row *r)
{
    if (!check_settle(c))
        return;
    gh_conform_send(&c->peer, c->control, gh_span_of(r->bytes, r->len), r->fin);
    expect_closed(c, r->code);
}

static void on_control_ignored(check *c, const row *r)
{
    if (!check_settle(c))
        return;
    gh_conform_send(&c->peer, c->control, gh_span_of(r->bytes, r->len), false);
    expect_tunnel(c);
}

/* As the first unidirectional stream, type included. */
static void on_first_stream(check *c, const row *r)
{
    if (!check_connect(c))
        return;
    gh_conform_open(&c->peer, false, gh_span_of(r->bytes, r->len), r->fin);
    expect_closed(c, r->code);
}

static void on_first_stream_accepted(check *c, const row *r)
{
    if (!check_connect(c))
        return;
    gh_conform_open(&c->peer, false, gh_span_of(r->bytes, r->len), false);
    expect_tunnel(c);
}

/* As another unidirectional stream. */
static void on_stream(check *c, const row *r)
{
    if (!check_settle(c))
        return;
    gh_conform_open(&c->peer, false, gh_span_of(r->bytes, r->len), r->fin);
    expect_closed(c, r->code);
}

static void on_stream_ignored(check *c, const row *r)
{
    if (!check_settle(c))
        return;
    gh_conform_open(&c->peer, false, gh_span_of(r->bytes, r->len), false);
    expect_tunnel(c);
}

/* The same stream twice: its type is in <bytes>. */
static void on_stream_twice(check *c, const row *r)
{
    if (!check_settle(c))
        return;
    gh_conform_open(&c->peer, false, gh_span_of(r->bytes, r->len), false);
    gh_conform_open(&c->peer, false, gh_span_of(r->bytes, r->len), false);
    expect_closed(c, r->code);
}

static void on_request(check *c, const row *r)
{
    if (!check_settle(c))
        return;
    gh_conform_open(&c->peer, true, gh_span_of(r->bytes, r->len), r->fin);
    expect_closed(c, r->code);
}

/* QUIC. */

static void datagrams_are_offered(check *c, const row *r)
{
    (void)r;
    if (!check_connect(c))
        return;
    if (gh_quic_datagram_max(c->peer.q) == 0)
        check_fail(c, "max_datagram_frame_size is absent, 0, or too small for anything");
    else
        check_pass(c);
}

static void no_datagram_without_an_offer(check *c, const row *r)
{
    static const char control[] = "\x00\x04\x05\x06\x80\x00\x40\x00";

    (void)r;
    if (gh_conform_peer_open(&c->peer, c->road, c->patience, 0) < 0) {
        check_skip(c, "the proxy refuses clients without datagrams");
        return;
    }
    c->control = gh_conform_open(&c->peer, false, gh_span_of(control, sizeof control - 1), false);
    expect_alive(c);
    if (c->result->verdict == GH_CONFORM_PASSED && c->peer.datagram_count)
        check_fail(c, "a datagram was sent");
}

static void three_streams(check *c, const row *r)
{
    (void)r;
    if (!check_settle(c))
        return;
    for (int i = 0; i < 2; i++) {
        if (gh_conform_open(&c->peer, false, gh_span_of(i ? "\x03" : "\x02", 1), false) >= 0)
            continue;
        check_fail(c, "only %d may be opened", i + 1);
        return;
    }
    expect_tunnel(c);
}

/* SETTINGS of the peer. */

static bool has_settings(struct gh_conform_peer *p, const void *arg)
{
    const struct gh_conform_stream *s = gh_conform_peer_uni(p, 0x00, 0);
    struct gh_reader r;

    (void)arg;
    if (!s)
        return false;
    r = gh_reader_of(gh_span_of(s->in, s->in_len));
    gh_read_varint(&r);
    gh_read_varint(&r);
    gh_read_span(&r, (size_t)gh_read_varint(&r));
    return !r.failed;
}

/* Without a control stream of ours. */
static bool settings_of(check *c, struct gh_reader *ret)
{
    uint64_t type;

    if (!check_connect(c))
        return false;
    if (!gh_conform_wait(&c->peer, has_settings, NULL)) {
        check_fail(c, "no SETTINGS came before the client's");
        return false;
    }
    *ret = gh_reader_of(gh_span_of(gh_conform_peer_uni(&c->peer, 0x00, 0)->in, gh_conform_peer_uni(&c->peer, 0x00, 0)->in_len));
    gh_read_varint(ret);
    type = gh_read_varint(ret);
    if (type != 0x04) {
        check_fail(c, "the first frame of the control stream has type 0x%llx", (unsigned long long)type);
        return false;
    }
    *ret = gh_reader_of(gh_read_span(ret, (size_t)gh_read_varint(ret)));
    return true;
}

static void settings_come_first(check *c, const row *r)
{
    struct gh_reader in;

    (void)r;
    if (!settings_of(c, &in))
        return;
    gh_conform_pause(&c->peer, 50 * MS);
    if (gh_conform_peer_uni(&c->peer, 0x00, 1))
        check_fail(c, "there are two control streams");
    else
        check_pass(c);
}

static void settings_are_well_formed(check *c, const row *r)
{
    struct gh_reader in;
    uint64_t ids[64];
    size_t count = 0;

    (void)r;
    if (!settings_of(c, &in))
        return;
    check_pass(c);
    while (!in.failed && gh_reader_left(&in)) {
        uint64_t id = gh_read_varint(&in);

        gh_read_varint(&in);
        if (id >= 2 && id <= 5)
            check_fail(c, "setting 0x%llx is HTTP/2's", (unsigned long long)id);
        for (size_t i = 0; i < count; i++)
            if (ids[i] == id)
                check_fail(c, "setting 0x%llx comes twice", (unsigned long long)id);
        if (count < sizeof ids / sizeof *ids)
            ids[count++] = id;
    }
    if (in.failed)
        check_fail(c, "the frame is cut short");
}

/* The setting <code> is 1. */
static void setting_is_1(check *c, const row *r)
{
    struct gh_reader in;

    if (!settings_of(c, &in))
        return;
    check_fail(c, "it is not there");
    while (!in.failed && gh_reader_left(&in)) {
        uint64_t id = gh_read_varint(&in), value = gh_read_varint(&in);

        if (id == r->code && value == 1)
            check_pass(c);
        else if (id == r->code)
            check_fail(c, "it is %llu", (unsigned long long)value);
    }
}

static void control_reset(check *c, const row *r)
{
    if (!check_settle(c))
        return;
    gh_conform_pause(&c->peer, 50 * MS); /* the type must be read before */
    gh_quic_stop_writing(c->peer.q, c->control, 0x100);
    expect_closed(c, r->code);
}

/* Grease before and behind the head. */
static void unknown_frames_on_request(check *c, const row *r)
{
    struct gh_conform_bytes b = { .len = 0 };

    (void)r;
    if (!check_settle(c))
        return;
    gh_conform_tlv(&b, 0x21, gh_span_str("grease"));
    check_tunnel_head(c, &b);
    gh_conform_tlv(&b, 0x1f * 77 + 0x21, gh_span_str(""));
    c->tunnel = check_ask(c, gh_conform_span(&b), false);
    if (check_status(c, c->tunnel) != 200)
        check_fail(c, "status %u", check_status(c, c->tunnel));
    else
        expect_alive(c);
}

static void goaway_leaves_requests(check *c, const row *r)
{
    if (!check_open_tunnel(c))
        return;
    gh_conform_send(&c->peer, c->control, gh_span_of(r->bytes, r->len), false);
    expect_alive(c);
}

static void cancelled(check *c, const row *r)
{
    (void)r;
    if (check_open_tunnel(c)) {
        gh_quic_stop_writing(c->peer.q, c->tunnel, H3_REQUEST_CANCELLED);
        expect_tunnel_over(c);
    }
}

static void twice_or_ignored(check *c, const row *r)
{
    if (!check_connect(c))
        return;
    gh_conform_open(&c->peer, false, gh_span_of(r->bytes, r->len), false);
    expect_tunnel(c);
    if (c->result->verdict == GH_CONFORM_FAILED && c->peer.closed && c->peer.why.application && c->peer.why.code == r->code)
        check_pass(c);
}

const row gh_conform_rows_quic[] = {
    { "Q1", "max_datagram_frame_size is offered", "RFC 9221, 3", .run = datagrams_are_offered },
    { "Q3", "no datagram to a client that takes none", "RFC 9221, 3", .run = no_datagram_without_an_offer },
    { NULL },
};

#define M "RFC 9114, "

const row gh_conform_rows_h3[] = {
    { "H1", "one control stream, SETTINGS first", M "6.2.1", .run = settings_come_first },
    { "H2", "three unidirectional streams are allowed", M "6.2", .run = three_streams },
    { "H4", "ENABLE_CONNECT_PROTOCOL is 1", "RFC 9220, 3", .run = setting_is_1, .code = 0x08 },
    { "H4", "H3_DATAGRAM is 1", "RFC 9297, 2.1.1", .run = setting_is_1, .code = 0x33 },
    { "H4", "no setting of HTTP/2, none twice", M "7.2.4.1", .run = settings_are_well_formed },
    { "H1", "a second control stream", M "6.2.1", .run = on_stream, BYTES("\x00\x04\x00"), .code = H3_STREAM_CREATION_ERROR },
    { "H1", "the control stream ends", M "6.2.1", .run = on_control, BYTES(""), .fin = true, .code = H3_CLOSED_CRITICAL_STREAM },
    { "H1", "the control stream is reset", M "6.2.1", .run = control_reset, .code = H3_CLOSED_CRITICAL_STREAM },
    { "H1", "GOAWAY before SETTINGS", M "6.2.1", .run = on_first_stream, BYTES("\x00\x07\x01\x00"), .code = H3_MISSING_SETTINGS },
    { "H1", "an unknown frame before SETTINGS", M "6.2.1", .run = on_first_stream, BYTES("\x00\x21\x01x"), .code = H3_MISSING_SETTINGS },
    { "H3", "HTTP/2's setting 0x02", M "7.2.4.1", .run = on_first_stream, BYTES("\x00\x04\x02\x02\x00"), .code = H3_SETTINGS_ERROR },
    { "H3", "HTTP/2's setting 0x03", M "7.2.4.1", .run = on_first_stream, BYTES("\x00\x04\x02\x03\x00"), .code = H3_SETTINGS_ERROR },
    { "H3", "HTTP/2's setting 0x04", M "7.2.4.1", .run = on_first_stream, BYTES("\x00\x04\x02\x04\x00"), .code = H3_SETTINGS_ERROR },
    { "H3", "HTTP/2's setting 0x05", M "7.2.4.1", .run = on_first_stream, BYTES("\x00\x04\x02\x05\x00"), .code = H3_SETTINGS_ERROR },
    { "H3", "a setting twice: refused with the right code, or ignored", M "7.2.4", .run = twice_or_ignored,
      BYTES("\x00\x04\x08\x33\x01\x40\x5f\x05\x40\x5f\x05"), .code = H3_SETTINGS_ERROR },
    { "H3", "unknown and reserved settings are ignored", M "7.2.4.1", .run = on_first_stream_accepted,
      BYTES("\x00\x04\x0a\x21\x07\x40\x5f\x80\x00\x00\x01\x33\x01") },
    { "H3", "unknown frames on the control stream are ignored", M "9", .run = on_control_ignored, BYTES("\x21\x03" "abc" "\x40\x5f\x00") },
    { "H3", "unknown frames around a head are ignored", M "9", .run = unknown_frames_on_request },
    { "H3", "an unknown unidirectional stream is ignored", M "6.2.3", .run = on_stream_ignored, BYTES("\x21" "anything at all") },
    { "H6", "a second SETTINGS", M "7.2.4", .run = on_control, BYTES("\x04\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "SETTINGS that end inside a setting", M "7.1", .run = on_first_stream, BYTES("\x00\x04\x01\x06"), .code = H3_FRAME_ERROR },
    { "H6", "DATA on the control stream", M "7.2.1", .run = on_control, BYTES("\x00\x01x"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "HEADERS on the control stream", M "7.2.2", .run = on_control, BYTES("\x01\x02\x00\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "PUSH_PROMISE on the control stream", M "7.2.5", .run = on_control, BYTES("\x05\x03\x00\x00\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "HTTP/2's frame 0x02 on the control stream", M "7.2.8", .run = on_control, BYTES("\x02\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "HTTP/2's frame 0x06 on the control stream", M "7.2.8", .run = on_control, BYTES("\x06\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "HTTP/2's frame 0x08 on the control stream", M "7.2.8", .run = on_control, BYTES("\x08\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "HTTP/2's frame 0x09 on the control stream", M "7.2.8", .run = on_control, BYTES("\x09\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "GOAWAY with bytes left over", M "7.1", .run = on_control, BYTES("\x07\x02\x00\x00"), .code = H3_FRAME_ERROR },
    { "H6", "MAX_PUSH_ID without its id", M "7.1", .run = on_control, BYTES("\x0d\x00"), .code = H3_FRAME_ERROR },
    { "H6", "MAX_PUSH_ID that goes down", M "7.2.7", .run = on_control, BYTES("\x0d\x01\x05\x0d\x01\x04"), .code = H3_ID_ERROR },
    { "H6", "CANCEL_PUSH of what was never promised", M "7.2.3", .run = on_control, BYTES("\x03\x01\x00"), .code = H3_ID_ERROR },
    { "H6", "DATA before HEADERS", M "4.1", .run = on_request, BYTES("\x00\x01x"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "SETTINGS on a request stream", M "7.2.4", .run = on_request, BYTES("\x04\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "GOAWAY on a request stream", M "7.2.6", .run = on_request, BYTES("\x07\x01\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "MAX_PUSH_ID on a request stream", M "7.2.7", .run = on_request, BYTES("\x0d\x01\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "CANCEL_PUSH on a request stream", M "7.2.3", .run = on_request, BYTES("\x03\x01\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "PUSH_PROMISE from a client", M "7.2.5", .run = on_request, BYTES("\x05\x03\x00\x00\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "HTTP/2's frame 0x02 on a request stream", M "7.2.8", .run = on_request, BYTES("\x02\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "HTTP/2's frame 0x06 on a request stream", M "7.2.8", .run = on_request, BYTES("\x06\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "HTTP/2's frame 0x08 on a request stream", M "7.2.8", .run = on_request, BYTES("\x08\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "HTTP/2's frame 0x09 on a request stream", M "7.2.8", .run = on_request, BYTES("\x09\x00"), .code = H3_FRAME_UNEXPECTED },
    { "H6", "a stream that ends inside a frame", M "7.1", .run = on_request, BYTES("\x01\x20\x00\x00"), .fin = true, .code = H3_FRAME_ERROR },
    { "H6", "a push stream from a client", M "6.2.2", .run = on_stream, BYTES("\x01\x00"), .code = H3_STREAM_CREATION_ERROR },
    { "H10", "requests outlive the client's GOAWAY", M "5.2", .run = goaway_leaves_requests, BYTES("\x07\x01\x00") },
    { "H10", "a GOAWAY whose id goes up", M "5.2", .run = on_control, BYTES("\x07\x01\x00\x07\x01\x04"), .code = H3_ID_ERROR },
    { "H11", "a cancelled request ends", M "4.1.1", .run = cancelled },
    { NULL },
};

#define P "RFC 9204, "

/* Static table and Huffman coding. */
static void coded_head(check *c, const row *r)
{
    struct gh_conform_bytes b = { .len = 0 };
    char path[SETTINGS_ROOM];
    const char *fields[] = { ":method", "CONNECT", ":protocol", "connect-ip", ":scheme", "https", ":authority", c->target->authority,
                             ":path", path, "capsule-protocol", "?1", "accept-encoding", "gzip, deflate, br", NULL };

    (void)r;
    check_path(c, "%2A", "%2A", path, sizeof path);
    if (!check_settle(c))
        return;
    gh_conform_head_coded(&b, fields);
    c->tunnel = check_ask(c, gh_conform_span(&b), false);
    if (check_status(c, c->tunnel) != 200)
        check_fail(c, "status %u", check_status(c, c->tunnel));
    else
        check_pass(c);
}

static void answers_without_dynamic_table(check *c, const row *r)
{
    (void)r;
    if (!check_open_tunnel(c))
        return;
    if (check_answer(c, c->tunnel)->undecodable)
        check_fail(c, "the answer's head cannot be decoded without a dynamic table, which the client did not allow");
    else
        check_pass(c);
}

const row gh_conform_rows_qpack[] = {
    { "H9", "static table and Huffman coding", P "3.1, 4.1.2", .run = coded_head },
    { "H9", "answers need no dynamic table", P "3.2.3", .run = answers_without_dynamic_table },
    { "H9", "a Required Insert Count that is not 0", P "4.5.1.1", .run = on_request, BYTES("\x01\x03\x02\x00\xd1"), .code = QPACK_DECOMPRESSION_FAILED },
    { "H9", "an index beyond the static table", P "3.1", .run = on_request, BYTES("\x01\x04\x00\x00\xff\x24"), .code = QPACK_DECOMPRESSION_FAILED },
    { "H9", "an index into an empty dynamic table", P "2.2.3", .run = on_request, BYTES("\x01\x03\x00\x00\x80"), .code = QPACK_DECOMPRESSION_FAILED },
    { "H9", "a field section cut inside its prefix", P "4.5.1", .run = on_request, BYTES("\x01\x01\x00"), .code = QPACK_DECOMPRESSION_FAILED },
    { "H9", "an insertion into a table of capacity 0", P "3.2.2", .run = on_stream, BYTES("\x02\x41" "a" "\x01" "b"), .code = QPACK_ENCODER_STREAM_ERROR },
    { "H9", "a capacity beyond what is allowed", P "3.2.3", .run = on_stream, BYTES("\x02\x3f\xe1\xff\xff\xff\x03"), .code = QPACK_ENCODER_STREAM_ERROR },
    { "H9", "an Insert Count Increment of 0", P "4.4.3", .run = on_stream, BYTES("\x03\x00"), .code = QPACK_DECODER_STREAM_ERROR },
    { "H9", "an acknowledgment of nothing", P "4.4.1", .run = on_stream, BYTES("\x03\x84"), .code = QPACK_DECODER_STREAM_ERROR },
    { "H9", "a second encoder stream", P "4.2", .run = on_stream_twice, BYTES("\x02"), .code = H3_STREAM_CREATION_ERROR },
    { "H9", "a second decoder stream", P "4.2", .run = on_stream_twice, BYTES("\x03"), .code = H3_STREAM_CREATION_ERROR },
    { "H9", "the encoder stream ends", P "4.2", .run = on_stream, BYTES("\x02"), .fin = true, .code = H3_CLOSED_CRITICAL_STREAM },
    { "H9", "the decoder stream ends", P "4.2", .run = on_stream, BYTES("\x03"), .fin = true, .code = H3_CLOSED_CRITICAL_STREAM },
    { NULL },
};
