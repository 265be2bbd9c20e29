/* HTTP/3: messages and datagrams that we send. */
#include <stdio.h>

#include "base/error.h"
#include "proto/h3/head.h"
#include "proto/h3/internal.h"
#include "proto/quic/guard.h"

#define FIXED_FIELDS 5

/* An assertion of the library while we called it. */
static int abandon(struct gh_h3 *h, const struct gh_guard *g)
{
    gh_quic_abandon(h->q, g->text);
    return GH_ERR_INTERNAL;
}

/* Hands a head to the library: an answer when <answer>, else a request. */
static int submit(struct gh_h3_stream *s, const nghttp3_nv *nv, size_t n, bool answer)
{
    static const nghttp3_data_reader reader = { gh_h3_read_body };
    const nghttp3_data_reader *body = s->ended ? NULL : &reader;
    struct gh_guard g;
    int rc;

    s->h->quiet = false;
    if (GH_GUARD_ENTER(&g))
        return abandon(s->h, &g);
    rc = answer ? nghttp3_conn_submit_response(s->h->conn, s->id, nv, n, body)
                : nghttp3_conn_submit_request(s->h->conn, s->id, nv, n, body, s);
    gh_guard_leave(&g);
    return rc == 0 ? 0 : GH_ERR_STATE;
}

int gh_h3_request(struct gh_h3 *h, const struct gh_http_head *head, bool end, struct gh_h3_stream **ret)
{
    nghttp3_nv nv[FIXED_FIELDS + GH_HTTP_FIELDS_MAX];
    struct gh_h3_stream *s;
    size_t n = 0;
    int64_t id;
    int rc;

    if (head->field_count > GH_HTTP_FIELDS_MAX)
        return GH_ERR_TOO_LONG;
    if (head->protocol.len && !h->settings.connect_protocol)
        return GH_ERR_STATE; /* RFC 9220, section 3 */
    if (h->peer_drains)
        return GH_ERR_STATE; /* RFC 9114, section 5.2 */
    id = gh_quic_open_bidi(h->q);
    if (id < 0)
        return (int)id;
    s = gh_h3_stream_create(h, id);
    if (!s)
        return GH_ERR_MEMORY;
    h->bidi_opened = (uint64_t)id / 4 + 1;
    gh_h3_add_pseudo(nv, &n, ":method", head->method);
    gh_h3_add_pseudo(nv, &n, ":protocol", head->protocol);
    gh_h3_add_pseudo(nv, &n, ":scheme", head->scheme);
    gh_h3_add_pseudo(nv, &n, ":authority", head->authority);
    gh_h3_add_pseudo(nv, &n, ":path", head->path);
    n = gh_h3_add_fields(nv, n, head->fields, head->field_count);
    s->headed = s->announced = true;
    s->ended = end;
    rc = submit(s, nv, n, false);
    if (rc < 0) {
        gh_h3_stream_destroy(s);
        gh_quic_reset_stream(h->q, id, GH_H3_REQUEST_CANCELLED);
        return rc;
    }
    *ret = s;
    return 0;
}

int gh_h3_respond(struct gh_h3_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end)
{
    nghttp3_nv nv[1 + GH_HTTP_FIELDS_MAX];
    char text[12];
    size_t n;

    if (s->headed || s->closed)
        return GH_ERR_STATE;
    if (count > GH_HTTP_FIELDS_MAX)
        return GH_ERR_TOO_LONG;
    snprintf(text, sizeof text, "%03u", status);
    nv[0] = gh_h3_nv(gh_span_str(":status"), gh_span_of(text, 3));
    n = gh_h3_add_fields(nv, 1, fields, count);
    s->headed = true;
    s->ended = end;
    return submit(s, nv, n, true);
}

/* However many requests a peer opens and does not read the answers of. */
size_t gh_h3_body_max(const struct gh_h3 *h)
{
    return h->streams.count <= GH_H3_BODY_STREAMS ? GH_H3_BODY_MAX : GH_H3_BODY_STREAMS * (size_t)GH_H3_BODY_MAX / h->streams.count;
}

int gh_h3_send(struct gh_h3_stream *s, struct gh_span data, bool end)
{
    struct gh_guard g;

    if (!s->headed || s->ended || s->closed)
        return GH_ERR_STATE;
    if (s->body.buffered && s->body.buffered + data.len > gh_h3_body_max(s->h)) {
        s->want_writable = true;
        return GH_ERR_AGAIN;
    }
    if (gh_h3_body_append(&s->body, data) < 0)
        return GH_ERR_MEMORY;
    s->ended = end;
    s->h->quiet = false;
    if (GH_GUARD_ENTER(&g))
        return abandon(s->h, &g);
    nghttp3_conn_resume_stream(s->h->conn, s->id);
    gh_guard_leave(&g);
    return 0;
}

static size_t put_qsid(const struct gh_h3_stream *s, uint8_t buf[8])
{
    struct gh_writer w = gh_writer_of(buf, 8);

    gh_write_varint(&w, (uint64_t)s->id / 4);
    return gh_writer_len(&w);
}

int gh_h3_send_datagram(struct gh_h3_stream *s, struct gh_span payload, uint32_t flow, int64_t now)
{
    uint8_t head[8];

    if (s->closed || s->ended || !s->headed)
        return GH_ERR_STATE; /* RFC 9297, section 2.1 */
    if (!s->h->settings.datagram)
        return GH_ERR_UNSUPPORTED; /* section 2.1.1 */
    return gh_quic_send_datagram(s->h->q, gh_span_of(head, put_qsid(s, head)), payload, flow, now);
}

size_t gh_h3_datagram_max(const struct gh_h3_stream *s)
{
    uint8_t head[8];
    size_t max = gh_quic_datagram_max(s->h->q), len = put_qsid(s, head);

    return s->h->settings.datagram && max > len ? max - len : 0;
}

void gh_h3_reset(struct gh_h3_stream *s, uint64_t code)
{
    struct gh_guard g;

    if (s->closed)
        return;
    s->aborted = true;
    s->h->quiet = false;
    if (GH_GUARD_ENTER(&g)) {
        abandon(s->h, &g);
        return;
    }
    nghttp3_conn_shutdown_stream_write(s->h->conn, s->id);
    nghttp3_conn_shutdown_stream_read(s->h->conn, s->id);
    gh_guard_leave(&g);
    gh_quic_reset_stream(s->h->q, s->id, code);
}

void gh_h3_hold(struct gh_h3_stream *s)
{
    s->held = true;
}

void gh_h3_consume(struct gh_h3_stream *s, size_t bytes)
{
    if (bytes > s->untaken)
        bytes = s->untaken;
    s->untaken -= bytes;
    if (bytes > 0)
        gh_quic_consume(s->h->q, s->id, bytes);
}

int gh_h3_drain(struct gh_h3 *h)
{
    struct gh_guard g;
    int rc;

    if (h->draining)
        return 0; /* requests that came meanwhile would make the library's second id the larger one: RFC 9114, section 5.2 */
    h->draining = true;
    h->quiet = false;
    if (!h->bound)
        return 0;
    if (GH_GUARD_ENTER(&g))
        return abandon(h, &g);
    rc = nghttp3_conn_shutdown(h->conn);
    gh_guard_leave(&g);
    return rc == 0 ? 0 : GH_ERR_MEMORY;
}

int64_t gh_h3_stream_id(const struct gh_h3_stream *s)
{
    return s->id;
}

void gh_h3_stream_set_user(struct gh_h3_stream *s, void *user)
{
    s->user = user;
}

void *gh_h3_stream_user(const struct gh_h3_stream *s)
{
    return s->user;
}

struct gh_h3 *gh_h3_stream_owner(const struct gh_h3_stream *s)
{
    return s->h;
}
