/* HTTP/3 above a QUIC connection: what the libraries tell, and the life of the engine. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/list.h"
#include "proto/h3/head.h"
#include "proto/h3/internal.h"
#include "proto/quic/guard.h"

#define PROBE_CONTEXT UINT64_C(0x3ffffffe) /* even: a client's; a server's is one less */
#define QSID_MAX ((UINT64_C(1) << 60) - 1)

static bool stream_equals(const struct gh_map_node *node, const void *key)
{
    return gh_container_of(node, const struct gh_h3_stream, node)->id == *(const int64_t *)key;
}

/* Stream ids are handed out in order, so they spread by themselves. */
static uint64_t stream_hash(int64_t id)
{
    return (uint64_t)id >> 2;
}

static struct gh_h3_stream *stream_find(struct gh_h3 *h, int64_t id)
{
    struct gh_map_node *n = gh_map_find(&h->streams, stream_hash(id), &id);

    return n ? gh_container_of(n, struct gh_h3_stream, node) : NULL;
}

struct gh_h3_stream *gh_h3_stream_create(struct gh_h3 *h, int64_t id)
{
    struct gh_h3_stream *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->h = h;
    s->id = id;
    gh_map_insert(&h->streams, &s->node, stream_hash(id));
    return s;
}

void gh_h3_stream_destroy(struct gh_h3_stream *s)
{
    gh_map_remove(&s->h->streams, &s->node);
    gh_h3_body_fini(&s->body);
    gh_h3_fields_fini(&s->fields);
    free(s->building);
    free(s);
}

/* Does the application hear what arrives? */
static bool stream_listens(const struct gh_h3_stream *s)
{
    return s && s->announced && !s->closed && !s->aborted;
}

static void stream_end(struct gh_h3_stream *s, uint64_t code)
{
    if (s->announced && !s->closed) {
        s->closed = true;
        s->h->cfg.events->on_closed(s->h->cfg.arg, s, code);
    }
    gh_h3_stream_destroy(s);
}

/* Ends the connection for an error of the library. */
static int fail(struct gh_h3 *h, int liberr)
{
    gh_quic_close(h->q, true, nghttp3_err_infer_quic_app_error_code(liberr), nghttp3_strerror(liberr));
    return GH_ERR_PROTOCOL;
}

/* What the library tells about messages. */

static int cb_begin_headers(nghttp3_conn *conn, int64_t id, void *arg, void *stream_arg)
{
    struct gh_h3 *h = arg;
    struct gh_h3_stream *s = stream_arg ? stream_arg : stream_find(h, id);

    if (!s) {
        s = gh_h3_stream_create(h, id);
        if (!s)
            return NGHTTP3_ERR_CALLBACK_FAILURE;
    }
    if (!stream_arg)
        nghttp3_conn_set_stream_user_data(conn, id, s);
    free(s->building);
    s->building = calloc(1, sizeof *s->building);
    return s->building ? 0 : NGHTTP3_ERR_CALLBACK_FAILURE;
}

static struct gh_span span_of(const nghttp3_rcbuf *text)
{
    nghttp3_vec v = nghttp3_rcbuf_get_buf(text);

    return gh_span_of(v.base, v.len);
}

static int cb_header(nghttp3_conn *conn, int64_t id, int32_t token, nghttp3_rcbuf *name, nghttp3_rcbuf *value, uint8_t flags, void *arg,
                     void *stream_arg)
{
    struct gh_h3_stream *s = stream_arg;

    (void)conn;
    (void)id;
    (void)token;
    (void)flags;
    (void)arg;
    if (s && s->building)
        gh_http_head_add(s->building, span_of(name), span_of(value));
    return 0;
}

static int cb_end_headers(nghttp3_conn *conn, int64_t id, int fin, void *arg, void *stream_arg)
{
    struct gh_h3 *h = arg;
    struct gh_h3_stream *s = stream_arg;
    struct gh_http_head_store *b = s ? s->building : NULL;

    (void)conn;
    (void)id;
    (void)fin; /* cb_end_stream tells */
    if (!b)
        return 0;
    s->building = NULL;
    if (b->overflow) {
        gh_h3_reset(s, GH_H3_EXCESSIVE_LOAD);
    } else if (h->cfg.server) {
        s->announced = true;
        h->cfg.events->on_request(h->cfg.arg, s, &b->head);
    } else if (stream_listens(s) && (b->head.status >= 200 || b->head.status == 101)) {
        h->cfg.events->on_answer(h->cfg.arg, s, &b->head);
    }
    free(b);
    return 0;
}

static int cb_data(nghttp3_conn *conn, int64_t id, const uint8_t *data, size_t len, void *arg, void *stream_arg)
{
    struct gh_h3 *h = arg;
    struct gh_h3_stream *s = stream_arg;

    (void)conn;
    if (!stream_listens(s)) {
        gh_quic_consume(h->q, id, len);
        return 0;
    }
    s->untaken += len;
    if (!s->held) /* before the event, which may hold it from the next bytes on */
        gh_h3_consume(s, len);
    h->cfg.events->on_body(h->cfg.arg, s, gh_span_of(data, len), false);
    return 0;
}

static int cb_deferred_consume(nghttp3_conn *conn, int64_t id, size_t len, void *arg, void *stream_arg)
{
    struct gh_h3 *h = arg;

    (void)conn;
    (void)stream_arg;
    gh_quic_consume(h->q, id, len);
    return 0;
}

static int cb_end_stream(nghttp3_conn *conn, int64_t id, void *arg, void *stream_arg)
{
    struct gh_h3 *h = arg;
    struct gh_h3_stream *s = stream_arg;

    (void)conn;
    (void)id;
    if (stream_listens(s) && !s->recv_ended) {
        s->recv_ended = true;
        h->cfg.events->on_body(h->cfg.arg, s, gh_span_of(NULL, 0), true);
    }
    return 0;
}

static int cb_stop_sending(nghttp3_conn *conn, int64_t id, uint64_t code, void *arg, void *stream_arg)
{
    struct gh_h3 *h = arg;

    (void)conn;
    (void)stream_arg;
    gh_quic_stop_reading(h->q, id, code);
    return 0;
}

static int cb_reset_stream(nghttp3_conn *conn, int64_t id, uint64_t code, void *arg, void *stream_arg)
{
    struct gh_h3 *h = arg;

    (void)conn;
    (void)stream_arg;
    gh_quic_stop_writing(h->q, id, code);
    return 0;
}

static int cb_stream_close(nghttp3_conn *conn, int64_t id, uint64_t code, void *arg, void *stream_arg)
{
    struct gh_h3 *h = arg;
    struct gh_h3_stream *s = stream_find(h, id);

    (void)conn;
    (void)stream_arg;
    if (s) {
        gh_h3_consume(s, s->untaken); /* the connection's credit outlives the stream */
        stream_end(s, code == GH_H3_NO_ERROR ? 0 : code);
    }
    return 0;
}

static int cb_shutdown(nghttp3_conn *conn, int64_t id, void *arg)
{
    struct gh_h3 *h = arg;

    (void)conn;
    (void)id;
    h->peer_drains = true;
    h->cfg.events->on_goaway(h->cfg.arg);
    return 0;
}

static int cb_acked(nghttp3_conn *conn, int64_t id, uint64_t len, void *arg, void *stream_arg)
{
    struct gh_h3 *h = arg;
    struct gh_h3_stream *s = stream_arg;

    (void)conn;
    (void)id;
    if (!s)
        return 0;
    gh_h3_body_acknowledge(&s->body, (size_t)len);
    if (s->want_writable && s->body.buffered < gh_h3_body_max(s->h) / 2 && s->announced && !s->closed) {
        s->want_writable = false;
        h->cfg.events->on_writable(h->cfg.arg, s);
    }
    return 0;
}

nghttp3_ssize gh_h3_read_body(nghttp3_conn *conn, int64_t id, nghttp3_vec *vec, size_t cap, uint32_t *flags, void *arg, void *stream_arg)
{
    struct gh_h3_stream *s = stream_arg;
    size_t n;

    (void)conn;
    (void)id;
    (void)arg;
    if (!s)
        return NGHTTP3_ERR_CALLBACK_FAILURE;
    n = gh_h3_body_next(&s->body, vec, cap);
    if (!s->body.unsent && s->ended) {
        *flags |= NGHTTP3_DATA_FLAG_EOF;
        s->end_sent = true;
        return (nghttp3_ssize)n;
    }
    return n ? (nghttp3_ssize)n : NGHTTP3_ERR_WOULDBLOCK;
}

/* What the QUIC engine tells. */

static int bind_streams(struct gh_h3 *h)
{
    int64_t control = gh_quic_open_uni(h->q), enc = gh_quic_open_uni(h->q), dec = gh_quic_open_uni(h->q);

    h->quiet = false;
    if (control < 0 || enc < 0 || dec < 0 || nghttp3_conn_bind_control_stream(h->conn, control) != 0 ||
        nghttp3_conn_bind_qpack_streams(h->conn, enc, dec) != 0) {
        /* RFC 9114, section 6.2: a peer must allow three unidirectional streams */
        gh_quic_close(h->q, true, GH_H3_GENERAL_PROTOCOL_ERROR, "three unidirectional streams are needed");
        return GH_ERR_PROTOCOL;
    }
    gh_h3_grease_init(&h->grease, control, gh_quic_open_uni(h->q), gh_quic_noise(h->q));
    h->bound = true;
    if (h->draining && nghttp3_conn_shutdown(h->conn) != 0) /* asked for too early: the library asserts that it can be said */
        return GH_ERR_MEMORY;
    return 0;
}

static int on_keys(void *arg)
{
    return bind_streams(arg);
}

static void on_handshake(void *arg)
{
    struct gh_h3 *h = arg;

    h->cfg.events->on_handshake(h->cfg.arg);
}

static bool peer_uni(const struct gh_h3 *h, int64_t id)
{
    return (id & 3) == (h->cfg.server ? 2 : 3);
}

/* Hands bytes to the library. 0 or GH_ERR_PROTOCOL. */
static int read_stream(struct gh_h3 *h, int64_t id, struct gh_span data, bool end)
{
    nghttp3_ssize used = nghttp3_conn_read_stream(h->conn, id, data.data, data.len, end);

    if (used < 0)
        return fail(h, (int)used);
    if (id != h->settings.control)
        gh_quic_consume(h->q, id, (uint64_t)used);
    return 0;
}

/* <type>: how many of the bytes belong to the stream's type. */
static int read_control(struct gh_h3 *h, struct gh_span data, size_t type, bool end)
{
    struct gh_span in = type ? gh_span_of(data.data + type, data.len - type) : data, piece;
    int rc = type ? read_stream(h, h->settings.control, gh_span_of(data.data, type), false) : 0, more = 1;

    while (rc == 0 && more == 1) {
        more = gh_h3_control_next(&h->control, &in, &piece);
        if (more == 1)
            rc = read_stream(h, h->settings.control, piece, false);
    }
    if (rc == 0 && more < 0) {
        gh_quic_close(h->q, true, more == GH_ERR_RANGE ? GH_H3_ID_ERROR : GH_H3_FRAME_ERROR,
                      more == GH_ERR_RANGE ? "a push that cannot be" : "a frame's length is wrong");
        return more;
    }
    if (rc == 0 && end)
        rc = read_stream(h, h->settings.control, gh_span_of(NULL, 0), true);
    gh_quic_consume(h->q, h->settings.control, data.len);
    return rc;
}

/* The bytes of a message. A malformed one is the end of its stream (RFC 9114, section 4.1.2): the library never sees all of it. */
static int read_message(struct gh_h3 *h, int64_t id, struct gh_span data, bool end)
{
    struct gh_h3_stream *s = stream_find(h, id);
    int rc;

    if (!s)
        s = gh_h3_stream_create(h, id);
    if (!s)
        return GH_ERR_MEMORY;
    rc = s->aborted ? 0 : gh_h3_fields_feed(&s->fields, h->fields, id, data);
    if (rc != GH_ERR_MALFORMED)
        return rc == 0 ? read_stream(h, id, data, end) : rc;
    s->aborted = true;
    gh_quic_consume(h->q, id, data.len);
    nghttp3_conn_shutdown_stream_read(h->conn, id);
    gh_quic_reset_stream(h->q, id, GH_H3_MESSAGE_ERROR);
    return 0;
}

static int on_stream_data(void *arg, int64_t id, struct gh_span data, bool end)
{
    struct gh_h3 *h = arg;
    bool known = h->settings.control >= 0;
    int rc = 0, news = 0;

    h->quiet = false;
    if (peer_uni(h, id)) {
        news = gh_h3_settings_feed(&h->settings, id, data);
        if (news < 0) {
            h->counters.settings_errors++;
            gh_quic_close(h->q, true, gh_h3_settings_code(news), "malformed SETTINGS");
            return news;
        }
    } else if ((uint64_t)id / 4 >= h->bidi_opened) {
        h->bidi_opened = (uint64_t)id / 4 + 1;
    }
    if (id == h->settings.control)
        rc = read_control(h, data, known ? 0 : h->settings.control_at, end);
    else if (peer_uni(h, id))
        rc = read_stream(h, id, data, end);
    else
        rc = read_message(h, id, data, end);
    if (rc == 0 && news == 1)
        h->cfg.events->on_settings(h->cfg.arg);
    return rc;
}

static int on_stream_acked(void *arg, int64_t id, uint64_t bytes)
{
    struct gh_h3 *h = arg;
    size_t theirs = gh_h3_grease_acked(&h->grease, id, (size_t)bytes);
    int rc = theirs ? nghttp3_conn_add_ack_offset(h->conn, id, theirs) : 0;

    h->quiet = false;
    return rc == 0 ? 0 : fail(h, rc);
}

static int on_stream_closed(void *arg, int64_t id, uint64_t code)
{
    struct gh_h3 *h = arg;
    struct gh_h3_stream *s;
    int rc;

    h->quiet = false;
    if (id == h->grease.stream)
        return 0;
    rc = nghttp3_conn_close_stream(h->conn, id, code);
    if ((id & 3) == 0)
        h->bidi_closed++;
    if (rc == NGHTTP3_ERR_STREAM_NOT_FOUND) {
        s = stream_find(h, id);
        if (s)
            stream_end(s, code);
        return 0;
    }
    return rc == 0 ? 0 : fail(h, rc);
}

static int on_stream_reset(void *arg, int64_t id, uint64_t code)
{
    struct gh_h3 *h = arg;
    struct gh_h3_stream *s = stream_find(h, id);
    int rc = nghttp3_conn_shutdown_stream_read(h->conn, id);

    h->quiet = false;
    /* RFC 9484, section 4.1: closing a direction ends the tunnel, so a request that is reset is over for both */
    if (s)
        gh_quic_stop_writing(h->q, id, code);
    return rc == 0 ? 0 : fail(h, rc);
}

static int on_stream_stopped(void *arg, int64_t id)
{
    struct gh_h3 *h = arg;
    struct gh_h3_stream *s = stream_find(h, id);

    h->quiet = false;
    if (id == h->grease.stream) {
        gh_h3_grease_give_up(&h->grease);
        return 0;
    }
    nghttp3_conn_shutdown_stream_write(h->conn, id);
    if (s) /* a message that cannot be finished: over for both, as above */
        gh_quic_stop_reading(h->q, id, GH_H3_REQUEST_CANCELLED);
    return 0;
}

static int on_stream_credit(void *arg, int64_t id)
{
    struct gh_h3 *h = arg;
    int rc = id == h->grease.stream ? 0 : nghttp3_conn_unblock_stream(h->conn, id);

    h->quiet = false;
    return rc == 0 ? 0 : fail(h, rc);
}

static void on_streams_bidi(void *arg)
{
    (void)arg;
}

/* RFC 9297, section 2.1 */
static int on_datagram(void *arg, struct gh_span payload)
{
    struct gh_h3 *h = arg;
    struct gh_reader r = gh_reader_of(payload);
    uint64_t qsid = gh_read_varint(&r), limit;
    struct gh_h3_stream *s;

    if (r.failed || qsid > QSID_MAX) {
        gh_quic_close(h->q, true, GH_H3_DATAGRAM_ERROR, "malformed quarter stream id");
        return GH_ERR_PROTOCOL;
    }
    limit = h->cfg.server ? h->cfg.max_streams_bidi + h->bidi_closed : h->bidi_opened + gh_quic_streams_bidi_left(h->q);
    if (qsid >= limit) {
        gh_quic_close(h->q, true, GH_H3_ID_ERROR, "datagram for a stream beyond the limit");
        return GH_ERR_PROTOCOL;
    }
    s = stream_find(h, (int64_t)(qsid * 4));
    if (!stream_listens(s) || s->recv_ended) {
        h->counters.datagrams_unknown_stream++;
        if (h->cfg.events->on_drop)
            h->cfg.events->on_drop(h->cfg.arg, GH_DROP_DATAGRAM_STREAM);
        return 0;
    }
    if (!h->cfg.events->on_datagram(h->cfg.arg, s, gh_span_of(r.at, gh_reader_left(&r))))
        gh_h3_reset(s, GH_H3_DATAGRAM_ERROR);
    return 0;
}

static void each_writable(struct gh_map_node *node, void *arg)
{
    struct gh_h3_stream *s = gh_container_of(node, struct gh_h3_stream, node);

    (void)arg;
    if (s->announced && !s->closed)
        s->h->cfg.events->on_writable(s->h->cfg.arg, s);
}

static void on_datagram_room(void *arg)
{
    struct gh_h3 *h = arg;

    gh_map_each(&h->streams, each_writable, NULL);
}

static int pull(void *arg, int64_t *ret_stream, bool *ret_end, struct gh_span *ret_spans, size_t cap)
{
    struct gh_h3 *h = arg;
    nghttp3_vec vec[16];
    int fin = 0;
    nghttp3_ssize n;

    if (h->quiet) { /* asked for every packet, and nearly all are datagrams */
        *ret_stream = -1;
        return 0;
    }
    n = nghttp3_conn_writev_stream(h->conn, ret_stream, &fin, vec, cap < 16 ? cap : 16);
    if (n < 0)
        return fail(h, (int)n);
    for (nghttp3_ssize i = 0; i < n; i++)
        ret_spans[i] = gh_span_of(vec[i].base, vec[i].len);
    *ret_end = fin;
    if (*ret_stream == -1 && gh_h3_grease_extra(&h->grease).len) {
        *ret_stream = h->grease.stream;
        *ret_spans = gh_h3_grease_extra(&h->grease);
        *ret_end = true;
        return 1;
    }
    h->quiet = *ret_stream == -1;
    return gh_h3_grease_replace(&h->grease, *ret_stream, ret_spans, (int)n);
}

static int on_sent(void *arg, int64_t id, size_t bytes)
{
    struct gh_h3 *h = arg;
    size_t theirs = gh_h3_grease_sent(&h->grease, id, bytes);
    int rc = theirs || (bytes == 0 && id != h->grease.stream) ? nghttp3_conn_add_write_offset(h->conn, id, theirs) : 0;

    return rc == 0 ? 0 : fail(h, rc);
}

static int on_blocked(void *arg, int64_t id)
{
    struct gh_h3 *h = arg;

    if (id == h->grease.stream)
        gh_h3_grease_give_up(&h->grease);
    else
        nghttp3_conn_block_stream(h->conn, id);
    return 0;
}

static void each_probe(struct gh_map_node *node, void *arg)
{
    struct gh_h3_stream *s = gh_container_of(node, struct gh_h3_stream, node), **ret = arg;

    if (s->headed && !s->closed && !s->ended && !s->aborted)
        *ret = s;
}

/* A context id that nobody registered: whoever gets it drops the datagram (RFC 9484, section 6). */
static size_t probe(void *arg, uint8_t *ret, size_t cap)
{
    struct gh_h3 *h = arg;
    struct gh_writer w = gh_writer_of(ret, cap);
    struct gh_h3_stream *s = NULL;

    gh_map_each(&h->streams, each_probe, &s);
    if (!s || !h->settings.datagram)
        return 0;
    gh_write_varint(&w, (uint64_t)s->id / 4);
    gh_write_varint(&w, PROBE_CONTEXT - h->cfg.server);
    return w.failed ? 0 : gh_writer_len(&w);
}

const struct gh_quic_app gh_h3_app = {
    .on_keys = on_keys,
    .on_handshake = on_handshake,
    .on_stream_data = on_stream_data,
    .on_stream_acked = on_stream_acked,
    .on_stream_closed = on_stream_closed,
    .on_stream_reset = on_stream_reset,
    .on_stream_stopped = on_stream_stopped,
    .on_stream_credit = on_stream_credit,
    .on_streams_bidi = on_streams_bidi,
    .on_datagram = on_datagram,
    .on_datagram_room = on_datagram_room,
    .pull = pull,
    .on_sent = on_sent,
    .on_blocked = on_blocked,
    .probe = probe,
};

/* Life of the engine. */

int gh_h3_create(const struct gh_h3_config *cfg, struct gh_h3 **ret)
{
    static const nghttp3_callbacks callbacks = {
        .acked_stream_data = cb_acked,
        .stream_close = cb_stream_close,
        .recv_data = cb_data,
        .deferred_consume = cb_deferred_consume,
        .begin_headers = cb_begin_headers,
        .recv_header = cb_header,
        .end_headers = cb_end_headers,
        .stop_sending = cb_stop_sending,
        .end_stream = cb_end_stream,
        .reset_stream = cb_reset_stream,
        .shutdown = cb_shutdown,
    };
    struct gh_h3 *h = calloc(1, sizeof *h);
    nghttp3_settings settings;
    int rc;

    if (!h)
        return GH_ERR_MEMORY;
    h->cfg = *cfg;
    gh_h3_settings_init(&h->settings);
    rc = gh_map_init(&h->streams, 16, stream_equals);
    if (rc < 0) {
        free(h);
        return rc;
    }
    nghttp3_settings_default(&settings);
    settings.max_field_section_size = GH_HTTP_HEAD_MAX;
    settings.qpack_max_dtable_capacity = 0;
    settings.qpack_blocked_streams = 0;
    settings.enable_connect_protocol = cfg->server;
    settings.h3_datagram = 1;
    rc = cfg->server ? nghttp3_conn_server_new(&h->conn, &callbacks, &settings, NULL, h)
                     : nghttp3_conn_client_new(&h->conn, &callbacks, &settings, NULL, h);
    if (rc != 0 || nghttp3_qpack_decoder_new(&h->fields, 0, 0, nghttp3_mem_default()) != 0) {
        gh_h3_destroy(h);
        return GH_ERR_MEMORY;
    }
    if (cfg->server)
        nghttp3_conn_set_max_client_streams_bidi(h->conn, cfg->max_streams_bidi);
    *ret = h;
    return 0;
}

void gh_h3_attach(struct gh_h3 *h, struct gh_quic *q)
{
    h->q = q;
}

void *gh_h3_arg(const struct gh_h3 *h)
{
    return h->cfg.arg;
}

static void close_each(struct gh_map_node *node, void *arg)
{
    stream_end(gh_container_of(node, struct gh_h3_stream, node), *(const uint64_t *)arg);
}

void gh_h3_close_streams(struct gh_h3 *h, uint64_t code)
{
    gh_map_each(&h->streams, close_each, &code);
}

void gh_h3_destroy(struct gh_h3 *h)
{
    struct gh_guard g;

    if (!h)
        return;
    gh_h3_close_streams(h, GH_H3_INTERNAL_ERROR);
    if (h->conn && !(h->q && gh_quic_is_abandoned(h->q)) && GH_GUARD_ENTER(&g) == 0) {
        nghttp3_conn_del(h->conn);
        nghttp3_qpack_decoder_del(h->fields);
        gh_guard_leave(&g);
    }
    gh_map_fini(&h->streams);
    free(h);
}

bool gh_h3_peer_connect(const struct gh_h3 *h)
{
    return h->settings.connect_protocol;
}

bool gh_h3_peer_datagrams(const struct gh_h3 *h)
{
    return h->settings.datagram;
}

const struct gh_h3_counters *gh_h3_counters(const struct gh_h3 *h)
{
    return &h->counters;
}
