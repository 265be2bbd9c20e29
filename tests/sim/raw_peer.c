#include "raw_peer.h"

#include <nghttp3/nghttp3.h>
#include <stdio.h>

#include "../unit/test.h"

#define NO_CODE UINT64_MAX

/* What the QUIC engine tells. */

static struct raw_stream *stream_of(struct raw_peer *p, int64_t id)
{
    struct raw_stream *s = raw_peer_stream(p, id);

    for (size_t i = 0; !s && i < RAW_STREAMS; i++) {
        if (p->streams[i].id >= 0)
            continue;
        s = &p->streams[i];
        s->id = id;
        s->reset = NO_CODE;
    }
    assert_non_null(s);
    return s;
}

static int on_keys(void *arg)
{
    ((struct raw_peer *)arg)->keys = true;
    return 0;
}

static void on_handshake(void *arg)
{
    struct raw_peer *p = arg;
    struct gh_cert *cert;

    p->handshake = true;
    p->has_cert = gh_tls_peer_certificate(gh_quic_tls(p->q), &cert) == 0;
    if (!p->has_cert)
        return;
    assert_int_equal(gh_cert_id_of(cert, &p->cert), 0);
    gh_cert_destroy(cert);
}

static int on_stream_data(void *arg, int64_t id, struct gh_span data, bool end)
{
    struct raw_peer *p = arg;
    struct raw_stream *s = stream_of(p, id);

    if (p->forgets)
        s->in_len = 0;
    assert_true(data.len <= sizeof s->in - s->in_len);
    if (data.len)
        memcpy(s->in + s->in_len, data.data, data.len);
    s->in_len += data.len;
    s->in_end |= end;
    gh_quic_consume(p->q, id, data.len);
    return 0;
}

static int on_stream_acked(void *arg, int64_t id, uint64_t bytes)
{
    (void)arg;
    (void)id;
    (void)bytes;
    return 0;
}

static int on_stream_closed(void *arg, int64_t id, uint64_t code)
{
    (void)code;
    stream_of(arg, id)->closed = true;
    return 0;
}

static int on_stream_reset(void *arg, int64_t id, uint64_t code)
{
    stream_of(arg, id)->reset = code;
    return 0;
}

static int on_stream_stopped(void *arg, int64_t id)
{
    stream_of(arg, id)->stopped = true;
    return 0;
}

static int on_stream_credit(void *arg, int64_t id)
{
    stream_of(arg, id)->blocked = false;
    return 0;
}

static void ignore(void *arg)
{
    (void)arg;
}

static int on_datagram(void *arg, struct gh_span payload)
{
    struct raw_peer *p = arg;

    assert_true(payload.len <= sizeof p->datagram);
    if (payload.len)
        memcpy(p->datagram, payload.data, payload.len);
    p->datagram_len = payload.len;
    p->datagrams++;
    if (p->on_datagram)
        p->on_datagram(p->on_datagram_arg, payload);
    return 0;
}

static int pull(void *arg, int64_t *ret_stream, bool *ret_end, struct gh_span *ret_spans, size_t cap)
{
    struct raw_peer *p = arg;

    (void)cap;
    for (size_t i = 0; i < RAW_STREAMS; i++) {
        struct raw_stream *s = &p->streams[i];

        if (s->id < 0 || s->closed || s->blocked || s->stopped || (s->out_sent == s->out_len && s->fin == s->fin_sent))
            continue;
        *ret_stream = s->id;
        *ret_end = s->fin;
        ret_spans[0] = gh_span_of(s->out + s->out_sent, s->out_len - s->out_sent);
        return ret_spans[0].len ? 1 : 0;
    }
    return 0;
}

static int on_sent(void *arg, int64_t id, size_t bytes)
{
    struct raw_stream *s = stream_of(arg, id);

    s->out_sent += bytes;
    s->fin_sent = s->fin && s->out_sent == s->out_len;
    return 0;
}

static int on_blocked(void *arg, int64_t id)
{
    stream_of(arg, id)->blocked = true; /* for good when the stream is gone */
    return 0;
}

static const struct gh_quic_app raw_app = {
    .on_keys = on_keys,
    .on_handshake = on_handshake,
    .on_stream_data = on_stream_data,
    .on_stream_acked = on_stream_acked,
    .on_stream_closed = on_stream_closed,
    .on_stream_reset = on_stream_reset,
    .on_stream_stopped = on_stream_stopped,
    .on_stream_credit = on_stream_credit,
    .on_streams_bidi = ignore,
    .on_datagram = on_datagram,
    .on_datagram_room = ignore,
    .pull = pull,
    .on_sent = on_sent,
    .on_blocked = on_blocked,
};

static int stack_open(void *arg, const struct gh_quic_app **ret_app, void **ret_app_arg, struct gh_tls_ctx **ret_tls)
{
    (void)ret_tls;
    *ret_app = &raw_app;
    *ret_app_arg = arg;
    return 0;
}

static void stack_attached(void *arg, struct gh_quic *q)
{
    ((struct raw_peer *)arg)->q = q;
}

static void stack_closed(void *arg, const struct gh_quic_close *why)
{
    (void)why;
    ((struct raw_peer *)arg)->q = NULL;
}

/* The peer. */

void raw_peer_init(struct raw_peer *p, struct sim *s, bool server)
{
    memset(p, 0, sizeof *p);
    p->sim = s;
    p->end = server ? &s->server : &s->client;
    p->end->stack = (struct sim_stack){ stack_open, stack_attached, stack_closed, p };
    for (size_t i = 0; i < RAW_STREAMS; i++)
        p->streams[i].id = -1;
}

static bool has_handshake(void *arg)
{
    struct raw_peer *p = arg;

    return (p->keys && p->handshake) || p->end->closed;
}

void raw_peer_connect(struct raw_peer *p)
{
    if (!p->end->server)
        assert_int_equal(sim_open(p->sim), 0);
    assert_true(raw_peer_run(p, has_handshake, p));
    assert_false(p->end->closed);
}

struct raw_stream *raw_peer_stream(struct raw_peer *p, int64_t id)
{
    for (size_t i = 0; i < RAW_STREAMS; i++)
        if (p->streams[i].id == id)
            return &p->streams[i];
    return NULL;
}

bool raw_peer_run(struct raw_peer *p, bool (*done)(void *arg), void *arg)
{
    return sim_run(p->sim, 10 * SIM_S, done, arg);
}

void raw_peer_wait(struct raw_peer *p, int64_t time)
{
    sim_run(p->sim, time, NULL, NULL);
}

int64_t raw_open(struct raw_peer *p, bool bidi, const struct raw_bytes *first, bool fin)
{
    int64_t id = bidi ? gh_quic_open_bidi(p->q) : gh_quic_open_uni(p->q);

    assert_true(id >= 0);
    raw_send(p, id, first, fin);
    return id;
}

void raw_send(struct raw_peer *p, int64_t id, const struct raw_bytes *b, bool fin)
{
    struct raw_stream *s = stream_of(p, id);

    assert_true(b->len <= sizeof s->out - s->out_len);
    memcpy(s->out + s->out_len, b->data, b->len);
    s->out_len += b->len;
    s->fin = fin;
}

void raw_send_datagram(struct raw_peer *p, uint64_t quarter, const void *payload, size_t len)
{
    struct raw_bytes head = { .len = 0 };

    raw_varint(&head, quarter);
    assert_int_equal(gh_quic_send_datagram(p->q, gh_span_of(head.data, head.len), gh_span_of(payload, len), 0, p->sim->now), 0);
}

int64_t raw_open_control(struct raw_peer *p)
{
    /* stream type 0; SETTINGS: MAX_FIELD_SECTION_SIZE 16384, ENABLE_CONNECT_PROTOCOL 1, H3_DATAGRAM 1 */
    static const uint8_t bytes[] = { 0x00, 0x04, 9, 0x06, 0x80, 0, 0x40, 0, 0x08, 1, 0x33, 1 };
    struct raw_bytes b = { .len = 0 };

    raw_bytes(&b, bytes, sizeof bytes);
    return raw_open(p, false, &b, false);
}

bool raw_is_closed(void *peer)
{
    return ((struct raw_peer *)peer)->end->closed;
}

void raw_assert_closed(struct raw_peer *p, uint64_t code)
{
    assert_true(raw_peer_run(p, raw_is_closed, p));
    assert_int_equal(p->end->why.kind, GH_QUIC_CLOSED_PEER);
    assert_true(p->end->why.application);
    assert_int_equal(p->end->why.code, code);
}

void raw_assert_open(struct raw_peer *p)
{
    raw_peer_wait(p, SIM_S);
    if (p->end->closed)
        fail_msg("closed with code 0x%llx: %s", (unsigned long long)p->end->why.code, p->end->why.reason);
}

/* Building. */

void raw_bytes(struct raw_bytes *b, const void *data, size_t len)
{
    assert_true(len <= sizeof b->data - b->len);
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
}

void raw_varint(struct raw_bytes *b, uint64_t v)
{
    uint8_t buf[8];
    unsigned log = v < 64 ? 0 : v < 16384 ? 1 : v < 1073741824 ? 2 : 3, n = 1u << log;

    for (unsigned i = 0; i < n; i++)
        buf[i] = (uint8_t)(v >> 8 * (n - 1 - i));
    buf[0] |= (uint8_t)(log << 6);
    raw_bytes(b, buf, n);
}

void raw_frame(struct raw_bytes *b, uint64_t type, const void *payload, size_t len)
{
    raw_varint(b, type);
    raw_varint(b, len);
    raw_bytes(b, payload, len);
}

void raw_frame_of(struct raw_bytes *b, uint64_t type, const struct raw_bytes *payload)
{
    raw_frame(b, type, payload->data, payload->len);
}

void raw_section_begin(struct raw_bytes *b)
{
    raw_bytes(b, "\0\0", 2); /* Required Insert Count 0, Base 0 */
}

/* An integer with a prefix of <bits> bits below <first> (RFC 7541, section 5.1). */
static void prefixed(struct raw_bytes *b, uint8_t first, unsigned bits, size_t v)
{
    size_t limit = (1u << bits) - 1;
    uint8_t byte = (uint8_t)(first | (v < limit ? v : limit));

    raw_bytes(b, &byte, 1);
    if (v < limit)
        return;
    for (v -= limit; v >= 128; v >>= 7) {
        byte = (uint8_t)(v | 128);
        raw_bytes(b, &byte, 1);
    }
    byte = (uint8_t)v;
    raw_bytes(b, &byte, 1);
}

void raw_field(struct raw_bytes *b, const char *name, const char *value)
{
    prefixed(b, 0x20, 3, strlen(name));
    raw_bytes(b, name, strlen(name));
    prefixed(b, 0, 7, strlen(value));
    raw_bytes(b, value, strlen(value));
}

/* Reading. The library's decoder is another hand than our engine's tables. */

static void read_head(struct raw_answer *ret, struct gh_span section)
{
    nghttp3_qpack_stream_context *ctx;
    nghttp3_qpack_decoder *dec;
    size_t at = strlen(ret->fields);

    assert_int_equal(nghttp3_qpack_decoder_new(&dec, 0, 0, nghttp3_mem_default()), 0);
    assert_int_equal(nghttp3_qpack_stream_context_new(&ctx, 0, nghttp3_mem_default()), 0);
    for (size_t used = 0; used < section.len;) {
        nghttp3_qpack_nv nv;
        uint8_t flags = 0;
        nghttp3_ssize n = nghttp3_qpack_decoder_read_request(dec, ctx, &nv, &flags, section.data + used, section.len - used, 1);

        assert_true(n >= 0);
        used += (size_t)n;
        if (flags & NGHTTP3_QPACK_DECODE_FLAG_EMIT) {
            const char *name = (const char *)nghttp3_rcbuf_get_buf(nv.name).base, *value = (const char *)nghttp3_rcbuf_get_buf(nv.value).base;

            if (strcmp(name, ":status") == 0 && ret->heads == 0)
                ret->status = (unsigned)strtoul(value, NULL, 10);
            at += (size_t)snprintf(ret->fields + at, sizeof ret->fields - at, "%s: %s\n", name, value);
            assert_true(at < sizeof ret->fields);
            nghttp3_rcbuf_decref(nv.name);
            nghttp3_rcbuf_decref(nv.value);
        }
        if (flags & NGHTTP3_QPACK_DECODE_FLAG_FINAL)
            break;
    }
    nghttp3_qpack_stream_context_del(ctx);
    nghttp3_qpack_decoder_del(dec);
    ret->heads++;
}

void raw_answer(const struct raw_stream *s, struct raw_answer *ret)
{
    struct gh_reader r = gh_reader_of(gh_span_of(s->in, s->in_len));

    *ret = (struct raw_answer){ 0 };
    while (gh_reader_left(&r)) {
        uint64_t type = gh_read_varint(&r), len = gh_read_varint(&r);
        struct gh_span payload = gh_read_span(&r, (size_t)len);

        if (r.failed)
            return; /* not all of it is here */
        if (type == 0x01) {
            read_head(ret, payload);
        } else if (type == 0x00) {
            memcpy(ret->body + ret->body_len, payload.data, payload.len);
            ret->body_len += payload.len;
        } else {
            ret->unknown++;
        }
    }
}

void raw_peers_init(struct sim *s, uint64_t seed, struct raw_peer *client, struct raw_peer *server)
{
    sim_init(s, seed);
    raw_peer_init(server, s, true);
    raw_peer_init(client, s, false);
}

void raw_peers_connect(struct raw_peer *client, struct raw_peer *server, int64_t time)
{
    raw_peer_connect(client);
    raw_peer_wait(client, time);
    assert_non_null(client->q);
    assert_non_null(server->q);
    assert_true(server->handshake);
}
