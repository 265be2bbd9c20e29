/* HTTP/2: messages that we send. */
#include <stdio.h>

#include "base/error.h"
#include "proto/h2/internal.h"

#define FIXED_FIELDS 5
#define HEAD_SENT_MAX 32768u /* bytes of names and values; the library takes 64 KiB with its own overhead */

static nghttp2_nv nv_of(struct gh_span name, struct gh_span value)
{
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name.data, (uint8_t *)(uintptr_t)value.data, name.len, value.len, NGHTTP2_NV_FLAG_NONE };
}

/* Nothing when <value> is empty. */
static void add_pseudo(nghttp2_nv *nv, size_t *at, const char *name, struct gh_span value)
{
    if (value.len)
        nv[(*at)++] = nv_of(gh_span_str(name), value);
}

/* 0, GH_ERR_TOO_LONG, or GH_ERR_MALFORMED: a field that no peer may accept. */
static int add_fields(nghttp2_nv *nv, size_t *at, const struct gh_http_field *fields, size_t count)
{
    size_t bytes = 0;

    if (count > GH_HTTP_FIELDS_MAX)
        return GH_ERR_TOO_LONG;
    for (size_t i = 0; i < count; i++) {
        if (!gh_http_field_is_good(fields[i].name, fields[i].value))
            return GH_ERR_MALFORMED;
        bytes += fields[i].name.len + fields[i].value.len;
        nv[(*at)++] = nv_of(fields[i].name, fields[i].value);
    }
    return bytes > HEAD_SENT_MAX ? GH_ERR_TOO_LONG : 0;
}

static nghttp2_data_provider provider_of(struct gh_h2_stream *s)
{
    return (nghttp2_data_provider){ .source.ptr = s, .read_callback = gh_h2_read_body };
}

/* The peer takes one more stream now. */
static bool has_room(struct gh_h2 *h)
{
    return h->count < nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

static int submit_request(struct gh_h2_stream *s, const nghttp2_nv *nv, size_t n)
{
    nghttp2_data_provider body = provider_of(s);
    struct gh_guard g;
    int32_t id;

    if (GH_GUARD_ENTER(&g))
        return gh_h2_abandon(s->h);
    id = nghttp2_submit_request(s->h->session, NULL, nv, n, s->ended ? NULL : &body, s);
    gh_guard_leave(&g);
    if (id < 0)
        return id == NGHTTP2_ERR_NOMEM ? GH_ERR_MEMORY : GH_ERR_STATE;
    s->id = id;
    return 0;
}

int gh_h2_request(struct gh_h2 *h, const struct gh_http_head *head, bool end, struct gh_h2_stream **ret)
{
    nghttp2_nv nv[FIXED_FIELDS + GH_HTTP_FIELDS_MAX];
    struct gh_h2_stream *s;
    size_t n = 0;
    int rc;

    if (gh_h2_is_shut(h) || h->failed || h->cfg.server || h->peer_drains || h->drained)
        return GH_ERR_STATE;
    if (head->protocol.len && !gh_h2_peer_connect(h))
        return GH_ERR_STATE; /* RFC 8441, section 3 */
    if (!has_room(h))
        return GH_ERR_FULL;
    add_pseudo(nv, &n, ":method", head->method);
    add_pseudo(nv, &n, ":protocol", head->protocol);
    add_pseudo(nv, &n, ":scheme", head->scheme);
    add_pseudo(nv, &n, ":authority", head->authority);
    add_pseudo(nv, &n, ":path", head->path);
    rc = add_fields(nv, &n, head->fields, head->field_count);
    if (rc < 0)
        return rc;
    s = gh_h2_stream_create(h, 0);
    if (!s)
        return GH_ERR_MEMORY;
    s->headed = true;
    s->ended = end;
    s->tunnel = gh_span_equals(head->method, gh_span_str("CONNECT"));
    rc = submit_request(s, nv, n);
    if (rc < 0) {
        gh_h2_stream_end(s, 0); /* not announced: nobody is told */
        return rc;
    }
    s->announced = true;
    h->counters.requests++;
    *ret = s;
    return 0;
}

int gh_h2_respond(struct gh_h2_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end)
{
    nghttp2_data_provider body = provider_of(s);
    nghttp2_nv nv[1 + GH_HTTP_FIELDS_MAX];
    struct gh_guard g;
    char text[12];
    size_t n = 1;
    int rc;

    if (!s->h->cfg.server || s->headed || s->aborted || gh_h2_is_shut(s->h))
        return GH_ERR_STATE;
    if (status < 200 || status > 599) /* RFC 9113, section 8.6: there is no 101 */
        return GH_ERR_RANGE;
    snprintf(text, sizeof text, "%03u", status);
    nv[0] = nv_of(gh_span_str(":status"), gh_span_of(text, 3));
    rc = add_fields(nv, &n, fields, count);
    if (rc < 0)
        return rc;
    if (GH_GUARD_ENTER(&g))
        return gh_h2_abandon(s->h);
    rc = nghttp2_submit_response(s->h->session, s->id, nv, n, end || s->swallow ? NULL : &body);
    gh_guard_leave(&g);
    if (rc != 0)
        return rc == NGHTTP2_ERR_NOMEM ? GH_ERR_MEMORY : GH_ERR_STATE;
    s->headed = true;
    s->ended = end;
    return 0;
}

int gh_h2_send(struct gh_h2_stream *s, struct gh_span data, bool end)
{
    struct gh_guard g;

    if (!s->headed || s->ended || s->aborted || gh_h2_is_shut(s->h))
        return GH_ERR_STATE;
    if (!s->swallow) {
        if (s->body.len && s->body.len + data.len > GH_H2_BODY_MAX) {
            gh_h2_want_writable(s, GH_H2_BODY_MAX / 2);
            return GH_ERR_AGAIN;
        }
        if (gh_h2_body_append(&s->body, data) < 0)
            return GH_ERR_MEMORY;
    }
    s->ended = end;
    if (s->swallow)
        return 0;
    if (GH_GUARD_ENTER(&g))
        return gh_h2_abandon(s->h);
    nghttp2_session_resume_data(s->h->session, s->id);
    gh_guard_leave(&g);
    return 0;
}

size_t gh_h2_queued(const struct gh_h2_stream *s)
{
    return s->body.len;
}

void gh_h2_want_writable(struct gh_h2_stream *s, size_t below)
{
    s->tell_below = below;
    s->h->writable |= s->body.len < below;
}

void gh_h2_reset(struct gh_h2_stream *s, uint32_t code)
{
    struct gh_guard g;

    if (s->aborted || gh_h2_is_shut(s->h))
        return;
    s->aborted = true;
    s->code = code;
    if (GH_GUARD_ENTER(&g)) {
        gh_h2_abandon(s->h);
        return;
    }
    nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, code);
    gh_guard_leave(&g);
    gh_h2_consume(s, s->untaken);
}

void gh_h2_hold(struct gh_h2_stream *s)
{
    s->held = true;
}

void gh_h2_consume(struct gh_h2_stream *s, size_t bytes)
{
    const size_t taken = bytes < s->untaken ? bytes : s->untaken;
    struct gh_guard g;

    s->untaken -= taken;
    if (taken == 0 || gh_h2_is_shut(s->h))
        return;
    if (GH_GUARD_ENTER(&g)) {
        gh_h2_abandon(s->h);
        return;
    }
    nghttp2_session_consume(s->h->session, s->id, taken);
    gh_guard_leave(&g);
}

void gh_h2_widen(struct gh_h2_stream *s, uint32_t window)
{
    struct gh_guard g;

    if (gh_h2_is_shut(s->h) || s->h->cfg.window_connection >= window)
        return;
    s->h->cfg.window_connection = window;
    if (GH_GUARD_ENTER(&g)) {
        gh_h2_abandon(s->h);
        return;
    }
    nghttp2_session_set_local_window_size(s->h->session, NGHTTP2_FLAG_NONE, 0, (int32_t)window);
    gh_guard_leave(&g);
}

int gh_h2_drain(struct gh_h2 *h)
{
    struct gh_guard g;
    int rc;

    if (h->drained || h->failed || gh_h2_is_shut(h))
        return 0;
    h->drained = true;
    if (GH_GUARD_ENTER(&g))
        return gh_h2_abandon(h);
    if (h->cfg.server) {
        rc = nghttp2_submit_shutdown_notice(h->session);
        if (rc == 0)
            rc = nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, gh_h2_drain_ping);
    } else { /* no requests come this way */
        rc = nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
    }
    gh_guard_leave(&g);
    return rc == 0 ? 0 : GH_ERR_MEMORY;
}

void gh_h2_close(struct gh_h2 *h, uint32_t code)
{
    struct gh_guard g;

    if (h->failed || gh_h2_is_shut(h))
        return;
    h->failed = true;
    if (GH_GUARD_ENTER(&g)) {
        gh_h2_abandon(h);
        return;
    }
    nghttp2_session_terminate_session(h->session, code);
    gh_guard_leave(&g);
}

int gh_h2_ping(struct gh_h2 *h)
{
    struct gh_guard g;
    int rc;

    if (h->failed || gh_h2_is_shut(h))
        return GH_ERR_STATE;
    if (GH_GUARD_ENTER(&g))
        return gh_h2_abandon(h);
    rc = nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
    gh_guard_leave(&g);
    return rc == 0 ? 0 : GH_ERR_MEMORY;
}
