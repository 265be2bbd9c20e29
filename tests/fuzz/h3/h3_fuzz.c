/* tests/fuzz/h3/h3_fuzz.c - HTTP/3 of either role over a QUIC that is made of this file
 *
 * The first byte: bit 0 the role (1: server), the rest the length of pieces. Then records, see "Records" below: bytes of the peer's
 * control, QPACK and request streams, datagrams, resets, and what the application does. Every input runs twice, with the bytes
 * of a record whole and in pieces: both must tell the application the same, or both must end the connection. What an engine
 * over QUIC may rely on is kept: a stream's bytes come in order and not after its end, a stream closes once, nothing comes
 * after a close.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/span.h"
#include "proto/h3/h3.h"

#define STREAMS 64u
#define BIDI_MAX 16u
#define UNI_MAX 8u

#define REQUIRE(right)                                                      \
    do {                                                                    \
        if (!(right)) {                                                     \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #right);     \
            abort();                                                        \
        }                                                                   \
    } while (0)

struct stream {
    int64_t id;
    bool ours_only, theirs_only, recv_over, send_over, closed;
    uint64_t got, consumed, unacked;
};

/* What the application was told; <text> sums up heads and bodies, wherever the pieces of a body were cut. */
struct told {
    uint64_t text;
    unsigned requests, answers, datagrams, ends, closed, goaways, settings;
};

struct gh_quic {
    bool server, closed, abandoned, blocked;
    bool refused; /* the engine reads a stream no more whose bytes it may still have at hand */
    uint64_t code;
    int64_t next_uni, next_bidi;
    struct stream streams[STREAMS];
    size_t count;
    struct gh_h3 *h3;
    struct gh_h3_stream *last; /* the newest request that is open */
    unsigned open;
    struct told told;
};

/* ---- the QUIC below ---- */

static struct stream *find(struct gh_quic *q, int64_t id)
{
    for (size_t i = 0; i < q->count; i++)
        if (q->streams[i].id == id)
            return &q->streams[i];
    return NULL;
}

static struct stream *obtain(struct gh_quic *q, int64_t id)
{
    struct stream *s = find(q, id);

    if (s || q->count == STREAMS)
        return s;
    s = &q->streams[q->count++];
    *s = (struct stream){ .id = id };
    if (id & 2) {
        s->ours_only = (id & 1) == q->server;
        s->theirs_only = !s->ours_only;
        s->recv_over = s->ours_only;
        s->send_over = s->theirs_only;
    }
    return s;
}

int64_t gh_quic_open_bidi(struct gh_quic *q)
{
    int64_t id = q->next_bidi;

    if (q->closed)
        return GH_ERR_CLOSED;
    if ((uint64_t)id / 4 >= BIDI_MAX || !obtain(q, id))
        return GH_ERR_FULL;
    q->next_bidi += 4;
    return id;
}

uint64_t gh_quic_noise(struct gh_quic *q)
{
    (void)q;
    return 7; /* a run repeats itself */
}

uint64_t gh_quic_streams_bidi_left(const struct gh_quic *q)
{
    return q->closed ? 0 : BIDI_MAX - (uint64_t)q->next_bidi / 4;
}

int64_t gh_quic_open_uni(struct gh_quic *q)
{
    int64_t id = q->next_uni;

    if (q->closed)
        return GH_ERR_CLOSED;
    if (!obtain(q, id))
        return GH_ERR_FULL;
    q->next_uni += 4;
    return id;
}

void gh_quic_close(struct gh_quic *q, bool application, uint64_t code, const char *reason)
{
    REQUIRE(application && reason);
    if (q->closed)
        return;
    q->closed = true;
    q->code = code;
}

void gh_quic_abandon(struct gh_quic *q, const char *assertion)
{
    fprintf(stderr, "assertion of the library: %s\n", assertion);
    q->closed = q->abandoned = true;
    abort();
}

bool gh_quic_is_abandoned(const struct gh_quic *q)
{
    return q->abandoned;
}

void gh_quic_consume(struct gh_quic *q, int64_t id, uint64_t bytes)
{
    struct stream *s = find(q, id);

    if (bytes == 0)
        return;
    REQUIRE(s && s->consumed + bytes <= s->got); /* more credit than bytes would let the peer overrun us */
    s->consumed += bytes;
}

void gh_quic_stop_reading(struct gh_quic *q, int64_t id, uint64_t code)
{
    struct stream *s = find(q, id);

    (void)code;
    q->refused |= s && !s->recv_over;
    if (s)
        s->recv_over = true;
}

void gh_quic_stop_writing(struct gh_quic *q, int64_t id, uint64_t code)
{
    struct stream *s = find(q, id);

    (void)code;
    if (s)
        s->send_over = true;
}

void gh_quic_reset_stream(struct gh_quic *q, int64_t id, uint64_t code)
{
    gh_quic_stop_reading(q, id, code);
    gh_quic_stop_writing(q, id, code);
}

int gh_quic_send_datagram(struct gh_quic *q, struct gh_span head, struct gh_span body, uint32_t flow, int64_t now)
{
    (void)flow;
    (void)now;
    REQUIRE(head.len >= 1 && head.len <= 8 && body.len <= 1200 && !q->abandoned);
    return 0;
}

size_t gh_quic_datagram_max(const struct gh_quic *q)
{
    (void)q;
    return 1200;
}

/* ---- calls into the engine: an error ends the connection; an assertion of the library ends the run, and is a finding ---- */

static void call(struct gh_quic *q, int rc)
{
    if (rc < 0 && !q->closed)
        gh_quic_close(q, true, GH_H3_INTERNAL_ERROR, "the application refused");
}

static void give(struct gh_quic *q, struct stream *s, struct gh_span data, bool end)
{
    if (q->closed || s->closed || s->recv_over)
        return;
    s->got += data.len;
    if (end)
        s->recv_over = true;
    call(q, gh_h3_app.on_stream_data(q->h3, s->id, data, end));
}

/* Takes what the engine wants to send. */
static void take(struct gh_quic *q)
{
    struct gh_span spans[16];
    int64_t id = -1;
    bool end = false;
    int n = 0;

    for (unsigned turn = 0; turn < 256 && !q->closed; turn++) {
        struct stream *s;
        size_t bytes = 0;

        id = -1;
        n = gh_h3_app.pull(q->h3, &id, &end, spans, 16);
        call(q, n);
        if (q->closed || id < 0)
            return;
        for (int i = 0; i < n; i++)
            bytes += spans[i].len;
        s = find(q, id);
        if (!s || s->send_over || q->blocked) {
            call(q, gh_h3_app.on_blocked(q->h3, id));
            continue;
        }
        s->unacked += bytes;
        if (end)
            s->send_over = true;
        call(q, gh_h3_app.on_sent(q->h3, id, bytes));
    }
    REQUIRE(q->closed); /* there is an end to what one turn has to send */
}

static void acknowledge(struct gh_quic *q)
{
    for (size_t i = 0; i < q->count && !q->closed; i++) {
        struct stream *s = &q->streams[i];
        uint64_t bytes = s->unacked;

        s->unacked = 0;
        if (bytes && !s->closed)
            call(q, gh_h3_app.on_stream_acked(q->h3, s->id, bytes));
    }
}

static void close_over(struct gh_quic *q)
{
    for (size_t i = 0; i < q->count && !q->closed; i++) {
        struct stream *s = &q->streams[i];

        if (s->closed || !s->recv_over || !s->send_over || s->unacked)
            continue;
        s->closed = true;
        call(q, gh_h3_app.on_stream_closed(q->h3, s->id, GH_H3_NO_ERROR));
    }
}

/* ---- the application above ---- */

static void add(struct told *t, struct gh_span data)
{
    for (size_t i = 0; i < data.len; i++)
        t->text = (t->text ^ data.data[i]) * UINT64_C(0x100000001b3);
}

static void add_head(struct told *t, const struct gh_http_head *h)
{
    const struct gh_span parts[] = { h->method, h->scheme, h->authority, h->path, h->protocol };

    for (size_t i = 0; i < 5; i++)
        add(t, parts[i]);
    REQUIRE(h->field_count <= GH_HTTP_FIELDS_MAX && h->status <= 999);
    for (size_t i = 0; i < h->field_count; i++) {
        add(t, h->fields[i].name);
        add(t, h->fields[i].value);
    }
}

static void on_handshake(void *arg)
{
    (void)arg;
}

static void on_settings(void *arg)
{
    struct gh_quic *q = arg;

    REQUIRE(q->told.settings++ == 0); /* RFC 9114, section 7.2.4: once a connection */
}

static void on_request(void *arg, struct gh_h3_stream *s, const struct gh_http_head *head)
{
    static const struct gh_http_field fields[] = { { { (const uint8_t *)"capsule-protocol", 16 }, { (const uint8_t *)"?1", 2 } } };
    struct gh_quic *q = arg;

    REQUIRE(q->server && head->method.len && !gh_h3_stream_user(s)); /* RFC 9114, section 4.3.1 */
    add_head(&q->told, head);
    gh_h3_stream_set_user(s, q);
    q->told.requests++;
    q->open++;
    q->last = s;
    if (head->path.len > 8 && head->path.data[8] == 'r')
        gh_h3_reset(s, GH_H3_REQUEST_REJECTED);
    else
        (void)gh_h3_respond(s, 200, fields, 1, !head->protocol.len);
}

static void on_answer(void *arg, struct gh_h3_stream *s, const struct gh_http_head *head)
{
    struct gh_quic *q = arg;

    REQUIRE(!q->server && gh_h3_stream_user(s) && head->status >= 100); /* RFC 9114, section 4.3.2 */
    add_head(&q->told, head);
    q->told.answers++;
}

static void on_body(void *arg, struct gh_h3_stream *s, struct gh_span data, bool end)
{
    struct gh_quic *q = arg;

    REQUIRE(gh_h3_stream_user(s));
    add(&q->told, data);
    q->told.ends += end;
}

static bool on_datagram(void *arg, struct gh_h3_stream *s, struct gh_span payload)
{
    struct gh_quic *q = arg;

    REQUIRE(gh_h3_stream_user(s));
    q->told.datagrams++;
    add(&q->told, payload);
    return payload.len == 0 || payload.data[0] != 0xff;
}

static void on_writable(void *arg, struct gh_h3_stream *s)
{
    (void)arg;
    REQUIRE(gh_h3_stream_user(s));
}

static void on_closed(void *arg, struct gh_h3_stream *s, uint64_t code)
{
    struct gh_quic *q = arg;

    (void)code;
    REQUIRE(gh_h3_stream_user(s) && q->open > 0); /* one end for one beginning */
    gh_h3_stream_set_user(s, NULL);
    q->open--;
    q->told.closed++;
    if (q->last == s)
        q->last = NULL;
}

static void on_goaway(void *arg)
{
    struct gh_quic *q = arg;

    q->told.goaways++;
}

static const struct gh_h3_events events = { on_handshake, on_settings, on_request, on_answer, on_body, on_datagram, on_writable, on_closed,
                                            on_goaway };

static void ask(struct gh_quic *q, bool tunnel)
{
    struct gh_http_head head = { .method = gh_span_str(tunnel ? "CONNECT" : "GET"), .scheme = gh_span_str("https"),
                                 .authority = gh_span_str("relay"), .path = gh_span_str("/.well-known/masque/ip/*/*/") };
    struct gh_h3_stream *s;

    if (tunnel)
        head.protocol = gh_span_str("connect-ip");
    if (gh_h3_request(q->h3, &head, !tunnel, &s) < 0)
        return;
    gh_h3_stream_set_user(s, q);
    q->open++;
    q->last = s;
}

/* ---- Records ----
 *
 * One byte: what, in its low three bits; bit 3 is an option of it.
 *   0 stream (one byte), length (two bytes), bytes; option: the end of the stream
 *   1 length (two bytes), a datagram
 *   2 stream: the peer resets it
 *   3 stream: the peer reads it no more
 *   4 everything sent is acknowledged, flow control opens; option: and closes again
 *   5 the application asks (client; option: a tunnel) or drains (server)
 *   6 the application sends on its newest request (option: and ends)
 *   7 the application sends a datagram; option: resets its newest request
 * A stream is a request (bit 7 set: its number) or a unidirectional one of the peer (its number).
 */

static struct stream *stream_of(struct gh_quic *q, uint8_t selector)
{
    if (!(selector & 0x80))
        return obtain(q, (int64_t)(selector % UNI_MAX) * 4 + (q->server ? 2 : 3));
    return q->server ? obtain(q, (int64_t)(selector % BIDI_MAX) * 4) : find(q, (int64_t)(selector % BIDI_MAX) * 4);
}

static struct gh_span read_bytes(struct gh_reader *r)
{
    size_t len = gh_read_u16(r);

    return gh_read_span(r, len < gh_reader_left(r) ? len : gh_reader_left(r));
}

/* Each piece in a block of its own, so that a sanitizer sees a byte too many. */
static void give_pieces(struct gh_quic *q, struct stream *s, struct gh_span data, bool end, size_t piece)
{
    bool apart = s->theirs_only && data.len; /* the end of a critical stream is a fault that would hide those in its bytes */
    size_t at = 0;

    do {
        size_t len = data.len - at < piece ? data.len - at : piece;
        uint8_t *copy = malloc(len + 1);

        REQUIRE(copy);
        if (len)
            memcpy(copy + 1, data.data + at, len);
        at += len;
        give(q, s, gh_span_of(len ? copy + 1 : NULL, len), end && !apart && at == data.len);
        free(copy);
    } while (at < data.len && !q->closed);
    if (end && apart)
        give(q, s, gh_span_of(NULL, 0), true);
}

static void on_wire(struct gh_quic *q, unsigned what, struct gh_reader *r, size_t piece)
{
    struct stream *s = what % 8 == 1 ? NULL : stream_of(q, gh_read_u8(r));

    if (what % 8 == 0) {
        struct gh_span data = read_bytes(r);

        if (s && (data.len || what & 8))
            give_pieces(q, s, data, what & 8, piece);
    } else if (what % 8 == 1) {
        call(q, gh_h3_app.on_datagram(q->h3, read_bytes(r)));
    } else if (what % 8 == 2 && s && !s->recv_over && !s->closed) {
        s->recv_over = true;
        call(q, gh_h3_app.on_stream_reset(q->h3, s->id, GH_H3_REQUEST_CANCELLED));
    } else if (what % 8 == 3 && s && !s->send_over && !s->closed) {
        s->send_over = true;
        s->unacked = 0;
        call(q, gh_h3_app.on_stream_stopped(q->h3, s->id));
    }
}

static void credit(struct gh_quic *q, bool block)
{
    acknowledge(q);
    q->blocked = false;
    for (size_t i = 0; i < q->count && !q->closed; i++)
        if (!q->streams[i].closed && !q->streams[i].send_over)
            call(q, gh_h3_app.on_stream_credit(q->h3, q->streams[i].id));
    if (!q->closed)
        gh_h3_app.on_datagram_room(q->h3);
    take(q);
    q->blocked = block;
}

static void on_application(struct gh_quic *q, unsigned what)
{
    static const uint8_t bytes[40] = { 1, 2, 3 };
    bool option = what & 8;

    switch (what % 8) {
    case 4:
        credit(q, option);
        break;
    case 5:
        if (q->server)
            (void)gh_h3_drain(q->h3);
        else
            ask(q, option);
        break;
    case 6:
        if (q->last)
            (void)gh_h3_send(q->last, gh_span_of(bytes, sizeof bytes), option);
        break;
    default:
        if (q->last && option)
            gh_h3_reset(q->last, GH_H3_REQUEST_CANCELLED);
        else if (q->last)
            (void)gh_h3_send_datagram(q->last, gh_span_of(bytes, gh_h3_datagram_max(q->last) ? 20 : 0), 0, 0);
    }
}

static void run(struct gh_span input, bool server, size_t piece, struct gh_quic *q)
{
    const struct gh_h3_config cfg = { server, BIDI_MAX, &events, q };
    struct gh_reader r = gh_reader_of(input);

    memset(q, 0, sizeof *q);
    q->server = server;
    q->next_uni = server ? 3 : 2;
    REQUIRE(gh_h3_create(&cfg, &q->h3) == 0);
    gh_h3_attach(q->h3, q);
    call(q, gh_h3_app.on_keys(q->h3));
    gh_h3_app.on_handshake(q->h3);
    take(q);
    while (gh_reader_left(&r) > 0 && !r.failed && !q->closed) {
        unsigned what = gh_read_u8(&r);

        if (what % 8 < 4)
            on_wire(q, what, &r, piece);
        else
            on_application(q, what);
        take(q);
        close_over(q);
    }
    gh_h3_close_streams(q->h3, q->code);
    REQUIRE(q->open == 0);
    gh_h3_destroy(q->h3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gh_quic whole, pieces;
    struct gh_span input;

    if (size < 2)
        return 0;
    input = gh_span_of(data + 1, size - 1);
    run(input, data[0] & 1, SIZE_MAX, &whole);
    run(input, data[0] & 1, data[0] / 2 ? data[0] / 2 : 1, &pieces);
    /* Behind a refusal QUIC brings no further piece, but the rest of a whole one is read. Which of two faults is named may
     * depend on how many bytes were at hand. */
    REQUIRE(whole.refused || pieces.refused || whole.closed == pieces.closed);
    if (!whole.closed && !pieces.closed) /* else what came before the fault may be told, or not */
        REQUIRE(memcmp(&whole.told, &pieces.told, sizeof whole.told) == 0);
    return 0;
}
