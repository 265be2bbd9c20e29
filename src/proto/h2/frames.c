/* HTTP/2: what the library tells. */
#include <stdlib.h>

#include "base/error.h"
#include "proto/h2/internal.h"

/* Does the application hear what arrives? */
static bool listens(const struct gh_h2_stream *s)
{
    return s && s->announced && !s->aborted && !s->h->failed;
}

static struct gh_h2_stream *stream_of(struct gh_h2 *h, int32_t id)
{
    return id ? nghttp2_session_get_stream_user_data(h->session, id) : NULL;
}

static bool opens(const struct gh_h2 *h, const nghttp2_frame *frame)
{
    return h->cfg.server && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct gh_h2 *h = arg;
    struct gh_h2_stream *s = stream_of(h, frame->hd.stream_id);

    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    if (!s && opens(h, frame)) {
        s = gh_h2_stream_create(h, frame->hd.stream_id);
        if (!s)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        nghttp2_session_set_stream_user_data(session, s->id, s);
    }
    if (!s || s->answered || (h->cfg.server && s->announced)) /* trailers: nobody asks for them */
        return 0;
    free(s->building);
    s->building = calloc(1, sizeof *s->building);
    return s->building ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* Once for a message, however much is wrong with it. */
static void count_malformed(struct gh_h2 *h, int32_t id)
{
    struct gh_h2_stream *s = stream_of(h, id);

    if (s && s->malformed)
        return;
    if (s)
        s->malformed = true;
    h->counters.malformed++;
}

/* The stream of a message that breaks a rule is reset (RFC 9113, section 8.1.1). */
static int refuse_message(struct gh_h2 *h, int32_t id)
{
    count_malformed(h, id);
    nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static struct gh_span span_of(nghttp2_rcbuf *text)
{
    nghttp2_vec v = nghttp2_rcbuf_get_buf(text);

    return gh_span_of(v.base, v.len);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
    struct gh_h2 *h = arg;
    struct gh_h2_stream *s = stream_of(h, frame->hd.stream_id);

    (void)session;
    (void)flags;
    if (!gh_http_field_is_good(span_of(name), span_of(value))) /* the library's table lets DEL pass, which is no VCHAR */
        return refuse_message(h, frame->hd.stream_id);
    if (s && s->building)
        gh_http_head_add(s->building, span_of(name), span_of(value));
    return 0;
}

/* What the library would leave out and tell nobody else. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags,
                             void *arg)
{
    (void)session;
    (void)name;
    (void)value;
    (void)flags;
    return refuse_message(arg, frame->hd.stream_id);
}

static void announce(struct gh_h2_stream *s, const struct gh_http_head *head)
{
    struct gh_h2 *h = s->h;

    h->counters.requests++;
    s->announced = true;
    s->swallow = gh_span_equals(head->method, gh_span_str("HEAD"));
    s->tunnel = gh_span_equals(head->method, gh_span_str("CONNECT"));
    h->cfg.events->on_request(h->cfg.arg, s, head);
}

/* A whole head. */
static void take_head(struct gh_h2 *h, struct gh_h2_stream *s)
{
    struct gh_http_head_store *b = s->building;

    s->building = NULL;
    if (b->overflow)
        gh_h2_reset(s, GH_H2_ENHANCE_YOUR_CALM);
    else if (h->cfg.server)
        announce(s, &b->head);
    else if (b->head.status >= 200) {
        s->answered = true;
        if (listens(s))
            h->cfg.events->on_answer(h->cfg.arg, s, &b->head);
    }
    free(b);
}

static void end_body(struct gh_h2_stream *s)
{
    bool tell = listens(s) && !s->recv_ended;

    s->recv_ended = true;
    if (tell)
        s->h->cfg.events->on_body(s->h->cfg.arg, s, gh_span_of(NULL, 0), true);
}

static void on_peer_settings(struct gh_h2 *h)
{
    bool first = !h->settings;

    h->settings = true;
    if (first)
        h->cfg.events->on_settings(h->cfg.arg);
}

static void on_peer_goaway(struct gh_h2 *h, uint32_t code)
{
    bool first = !h->peer_drains;

    h->peer_drains = true;
    if (h->code == GH_H2_NO_ERROR)
        h->code = code;
    if (first && h->cfg.events->on_goaway)
        h->cfg.events->on_goaway(h->cfg.arg);
}

/* The peer has seen the first GOAWAY: whatever it asked for before is here. */
static int finish_drain(struct gh_h2 *h, const uint8_t *opaque)
{
    int32_t last = nghttp2_session_get_last_proc_stream_id(h->session);

    if (!h->drained || h->goaway_sent || memcmp(opaque, gh_h2_drain_ping, sizeof gh_h2_drain_ping) != 0)
        return 0;
    return nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0) == NGHTTP2_ERR_NOMEM ? NGHTTP2_ERR_NOMEM : 0;
}

static void stop_asking(struct gh_h2_stream *s)
{
    s->aborted = true;
    s->code = GH_H2_NO_ERROR;
    nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
}

/* One PING at a time, for all streams that were answered before it. */
static void ask_whether_read(struct gh_h2 *h)
{
    bool any = false;

    if (h->asking)
        return;
    gh_list_each(it, &h->streams)
    {
        struct gh_h2_stream *s = gh_container_of(it, struct gh_h2_stream, link);

        s->asked |= s->lingers && !s->aborted;
        any |= s->asked && !s->aborted;
    }
    h->asking = any && nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, gh_h2_answer_ping) == 0;
}

/* The peer has read what we sent before: a reset is no surprise any more. */
static void on_answers_read(struct gh_h2 *h, const uint8_t *opaque)
{
    if (!h->asking || memcmp(opaque, gh_h2_answer_ping, sizeof gh_h2_answer_ping) != 0)
        return;
    h->asking = false;
    gh_list_each(it, &h->streams)
    {
        struct gh_h2_stream *s = gh_container_of(it, struct gh_h2_stream, link);

        if (s->asked && !s->aborted)
            stop_asking(s);
    }
    ask_whether_read(h);
}

/* What comes behind the answer has no credit but the connection's. Who uses up the stream's is told to stop. */
static void on_late_data(struct gh_h2_stream *s, size_t len)
{
    nghttp2_session_consume_connection(s->h->session, len);
    if (!s->aborted && nghttp2_session_get_stream_local_window_size(s->h->session, s->id) <= 0)
        stop_asking(s);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct gh_h2 *h = arg;
    struct gh_h2_stream *s = stream_of(h, frame->hd.stream_id);

    (void)session;
    if (h->failed)
        return 0;
    switch (frame->hd.type) {
    case NGHTTP2_SETTINGS:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            h->acknowledged = true;
        else
            on_peer_settings(h);
        break;
    case NGHTTP2_GOAWAY:
        on_peer_goaway(h, frame->goaway.error_code);
        break;
    case NGHTTP2_PING:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
            return 0;
        on_answers_read(h, frame->ping.opaque_data);
        return finish_drain(h, frame->ping.opaque_data);
    case NGHTTP2_HEADERS:
        if (s && s->building)
            take_head(h, s);
        break;
    default:
        break;
    }
    if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
        end_body(s);
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
    struct gh_h2 *h = arg;

    (void)session;
    if (error == NGHTTP2_ERR_HTTP_HEADER || error == NGHTTP2_ERR_HTTP_MESSAGING)
        count_malformed(h, frame->hd.stream_id);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
    struct gh_h2 *h = arg;
    struct gh_h2_stream *s = stream_of(h, id);

    (void)flags;
    if (s && s->lingers) {
        on_late_data(s, len);
        return 0;
    }
    if (!listens(s)) {
        nghttp2_session_consume(session, id, len);
        return 0;
    }
    s->untaken += len;
    h->cfg.events->on_body(h->cfg.arg, s, gh_span_of(data, len), false);
    if (!s->held || s->aborted)
        gh_h2_consume(s, s->untaken);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct gh_h2 *h = arg;
    struct gh_h2_stream *s = stream_of(h, id);

    (void)session;
    if (!s)
        return 0;
    if (s->aborted)
        code = s->code;
    else if (code == NGHTTP2_NO_ERROR && !s->recv_ended && !s->end_sent)
        code = NGHTTP2_CANCEL; /* reset without an error, and without an end */
    nghttp2_session_set_stream_user_data(h->session, id, NULL);
    gh_h2_stream_end(s, code);
    return 0;
}

/* Who got its answer need not go on asking (RFC 9113, section 8.1), so the application is done with it. A reset at once would be an error to
 * clients that read it while they still write, curl 7.88 among them; so it follows when the answer was read, or when the credit of the stream
 * is used up. What comes until then is thrown away. */
static void linger(struct gh_h2 *h, struct gh_h2_stream *s)
{
    const size_t untaken = s->untaken;
    const bool tell = s->announced;

    s->lingers = true;
    s->announced = false;
    s->untaken = 0;
    h->count--;
    if (tell)
        h->cfg.events->on_closed(h->cfg.arg, s, GH_H2_NO_ERROR);
    on_late_data(s, untaken);
    ask_whether_read(h);
}

/* Our direction has ended. */
static void on_end_sent(struct gh_h2 *h, struct gh_h2_stream *s)
{
    s->end_sent = true;
    if (h->cfg.server && !s->recv_ended && !s->tunnel && !s->aborted)
        linger(h, s);
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct gh_h2 *h = arg;
    struct gh_h2_stream *s = stream_of(h, frame->hd.stream_id);

    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        gh_h2_flood_on_data_sent(&h->flood);
        /* fall through */
    case NGHTTP2_HEADERS:
        if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
            on_end_sent(h, s);
        break;
    case NGHTTP2_RST_STREAM:
        if (h->cfg.server && !(s && s->aborted) && !h->failed) /* made necessary by the peer: as good as a reset of its own */
            gh_h2_flood_on_reset_sent(&h->flood, h->now);
        break;
    case NGHTTP2_GOAWAY:
        if (frame->goaway.last_stream_id != INT32_MAX || frame->goaway.error_code != NGHTTP2_NO_ERROR || !h->drained)
            h->goaway_sent = true;
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR) {
            h->failed = true;
            h->code = frame->goaway.error_code;
        }
        break;
    default:
        break;
    }
    return 0;
}

/* A frame that the library had to give up. */
static int on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
    struct gh_h2 *h = arg;
    struct gh_h2_stream *s = stream_of(h, frame->hd.stream_id);

    (void)session;
    (void)error;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    if (!s) { /* a request that was not opened: the library knows no stream for it */
        gh_list_each(it, &h->streams)
        {
            struct gh_h2_stream *each = gh_container_of(it, struct gh_h2_stream, link);

            if (each->id == frame->hd.stream_id) {
                gh_h2_stream_end(each, each->aborted ? each->code : GH_H2_REFUSED_STREAM);
                break;
            }
        }
    } else if (h->cfg.server) {
        gh_h2_reset(s, GH_H2_INTERNAL_ERROR);
    }
    return 0;
}

ssize_t gh_h2_read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t cap, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct gh_h2_stream *s = source->ptr;
    struct gh_h2 *h = arg;
    size_t n = gh_h2_body_take(&s->body, buf, cap);

    (void)session;
    (void)id;
    h->writable |= s->body.len < s->tell_below;
    if (s->body.len == 0 && s->ended)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (n == 0)
        return NGHTTP2_ERR_DEFERRED;
    return (ssize_t)n;
}

void gh_h2_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_sent);
}
