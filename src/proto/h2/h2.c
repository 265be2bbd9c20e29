/* HTTP/2: bytes in and out, and the life of the engine. */
#include "proto/h2/h2.h"

#include <stdlib.h>

#include "base/error.h"
#include "proto/h2/internal.h"

const uint8_t gh_h2_drain_ping[8] = { 'd', 'r', 'a', 'i', 'n', 'i', 'n', 'g' };
const uint8_t gh_h2_answer_ping[8] = { 'a', 'n', 's', 'w', 'e', 'r', 'e', 'd' };

struct gh_h2_stream *gh_h2_stream_create(struct gh_h2 *h, int32_t id)
{
    struct gh_h2_stream *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->h = h;
    s->id = id;
    h->count++;
    gh_list_append(&h->streams, &s->link);
    return s;
}

void gh_h2_stream_end(struct gh_h2_stream *s, uint32_t code)
{
    struct gh_h2 *h = s->h;

    if (s->announced)
        h->cfg.events->on_closed(h->cfg.arg, s, code);
    if (s->untaken && !gh_h2_is_shut(h)) /* the connection's credit outlives the stream */
        nghttp2_session_consume_connection(h->session, s->untaken);
    h->count -= !s->lingers;
    gh_list_unlink(&s->link);
    gh_h2_body_fini(&s->body);
    free(s->building);
    free(s);
}

int gh_h2_abandon(struct gh_h2 *h)
{
    h->counters.library_assert = 1;
    h->abandoned = h->failed = true;
    h->code = GH_H2_INTERNAL_ERROR;
    return GH_ERR_INTERNAL;
}

/* An error that the library does not tell the peer by itself. */
static uint32_t code_of(int liberr)
{
    switch (liberr) {
    case NGHTTP2_ERR_FLOODED:
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
        return GH_H2_ENHANCE_YOUR_CALM;
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
    case NGHTTP2_ERR_SETTINGS_EXPECTED:
        return GH_H2_PROTOCOL_ERROR;
    default:
        return GH_H2_INTERNAL_ERROR;
    }
}

/* Hands bytes to the library; ends the connection when that finds, or the flood is, too much. What mem_recv returned, or FLOODED. */
static ssize_t receive(struct gh_h2 *h, struct gh_span data)
{
    ssize_t n = gh_h2_flood_feed(&h->flood, data, h->now) == 0 ? nghttp2_session_mem_recv(h->session, data.data, data.len) : NGHTTP2_ERR_FLOODED;

    if (n < 0 && !h->failed && !h->abandoned) {
        uint32_t code = code_of((int)n);

        h->counters.floods |= code == GH_H2_ENHANCE_YOUR_CALM;
        h->failed = true;
        nghttp2_session_terminate_session(h->session, code);
    }
    return n;
}

int gh_h2_feed(struct gh_h2 *h, struct gh_span data, int64_t now)
{
    struct gh_guard g;
    ssize_t n;

    if (h->failed || gh_h2_is_shut(h))
        return GH_ERR_CLOSED;
    h->now = now;
    if (GH_GUARD_ENTER(&g))
        return gh_h2_abandon(h);
    n = receive(h, data);
    gh_guard_leave(&g);
    if (h->abandoned)
        return GH_ERR_INTERNAL;
    if (n == NGHTTP2_ERR_NOMEM)
        return GH_ERR_MEMORY;
    return n < 0 || h->failed ? GH_ERR_PROTOCOL : 0;
}

static void tell_writable(struct gh_h2 *h)
{
    if (!h->writable)
        return;
    h->writable = false;
    gh_list_each(it, &h->streams)
    {
        struct gh_h2_stream *s = gh_container_of(it, struct gh_h2_stream, link);

        if (s->body.len >= s->tell_below)
            continue;
        s->tell_below = 0;
        if (s->announced && !s->aborted && !s->ended)
            h->cfg.events->on_writable(h->cfg.arg, s);
    }
}

static size_t move_rest(struct gh_h2 *h, uint8_t *buf, size_t cap)
{
    size_t n = h->rest.len < cap ? h->rest.len : cap;

    if (n == 0)
        return 0;
    memcpy(buf, h->rest.data, n);
    h->rest = gh_span_of(h->rest.data + n, h->rest.len - n);
    return n;
}

/* The library's next bytes. */
static ssize_t refill(struct gh_h2 *h)
{
    const uint8_t *data;
    struct gh_guard g;
    ssize_t n;

    if (GH_GUARD_ENTER(&g))
        return gh_h2_abandon(h);
    n = nghttp2_session_mem_send(h->session, &data);
    gh_guard_leave(&g);
    if (h->abandoned)
        return GH_ERR_INTERNAL;
    if (n < 0) {
        h->failed = h->dead = true;
        return n == NGHTTP2_ERR_NOMEM ? GH_ERR_MEMORY : GH_ERR_INTERNAL;
    }
    h->rest = gh_span_of(data, (size_t)n);
    return n;
}

ssize_t gh_h2_write(struct gh_h2 *h, uint8_t *buf, size_t cap, int64_t now)
{
    size_t at = 0;
    ssize_t n = 1;

    h->now = now;
    while (at < cap && n > 0) {
        at += move_rest(h, buf + at, cap - at);
        if (at == cap)
            break;
        n = gh_h2_is_shut(h) ? 0 : refill(h);
        if (n == 0 && h->writable && !gh_h2_is_shut(h)) {
            tell_writable(h); /* what is given now goes out with the rest */
            n = h->writable ? 0 : 1;
        }
    }
    return at > 0 || n >= 0 ? (ssize_t)at : n;
}

bool gh_h2_wants_write(const struct gh_h2 *h)
{
    return h->rest.len > 0 || (!gh_h2_is_shut(h) && nghttp2_session_want_write(h->session));
}

bool gh_h2_is_over(const struct gh_h2 *h)
{
    if (gh_h2_wants_write(h))
        return false;
    return h->failed || h->dead || ((h->goaway_sent || h->peer_drains) && h->count == 0);
}

/* Life of the engine. */

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

static void fill_defaults(struct gh_h2_config *c)
{
    c->max_streams = or_default(c->max_streams, 100);
    c->window_stream = or_default(c->window_stream, 1u << 20);
    c->window_connection = or_default(c->window_connection, 4u << 20);
    c->resets_per_second = or_default(c->resets_per_second, 50);
    c->resets_burst = or_default(c->resets_burst, 200);
    c->frames_per_second = or_default(c->frames_per_second, 100);
    c->frames_burst = or_default(c->frames_burst, 500);
}

static int submit_settings(struct gh_h2 *h)
{
    const struct gh_h2_config *c = &h->cfg;
    const nghttp2_settings_entry entries[] = {
        { c->server ? NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL : NGHTTP2_SETTINGS_ENABLE_PUSH, c->server ? 1 : 0 },
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->max_streams },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, c->window_stream },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GH_HTTP_HEAD_MAX },
    };
    int rc = nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, entries, sizeof entries / sizeof *entries);

    if (rc == 0)
        rc = nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, (int32_t)c->window_connection);
    return rc;
}

static int create_session(struct gh_h2 *h, nghttp2_session_callbacks *callbacks, nghttp2_option *option)
{
    struct gh_guard g;
    int rc;

    if (GH_GUARD_ENTER(&g))
        return gh_h2_abandon(h);
    gh_h2_set_callbacks(callbacks);
    nghttp2_option_set_no_auto_window_update(option, 1);
    rc = h->cfg.server ? nghttp2_session_server_new2(&h->session, callbacks, h, option)
                       : nghttp2_session_client_new2(&h->session, callbacks, h, option);
    if (rc == 0)
        rc = submit_settings(h);
    gh_guard_leave(&g);
    return rc;
}

int gh_h2_create(const struct gh_h2_config *cfg, struct gh_h2 **ret)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    struct gh_h2 *h = calloc(1, sizeof *h);
    int rc = GH_ERR_MEMORY;

    if (!h)
        return GH_ERR_MEMORY;
    h->cfg = *cfg;
    fill_defaults(&h->cfg);
    gh_list_init(&h->streams);
    gh_h2_flood_init(&h->flood, cfg->server);
    gh_rate_init(&h->flood.resets, h->cfg.resets_per_second, h->cfg.resets_burst);
    gh_rate_init(&h->flood.frames, h->cfg.frames_per_second, h->cfg.frames_burst);
    if (nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0 && create_session(h, callbacks, option) == 0) {
        *ret = h;
        h = NULL;
        rc = 0;
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    gh_h2_destroy(h);
    return rc;
}

void gh_h2_close_streams(struct gh_h2 *h, uint32_t code)
{
    h->dead = h->failed = true; /* the library still knows the streams that are freed here */
    h->rest = gh_span_of(NULL, 0);
    gh_list_each(it, &h->streams)
        gh_h2_stream_end(gh_container_of(it, struct gh_h2_stream, link), code);
}

void gh_h2_destroy(struct gh_h2 *h)
{
    struct gh_guard g;

    if (!h)
        return;
    gh_h2_close_streams(h, GH_H2_INTERNAL_ERROR);
    if (h->session && !h->abandoned && GH_GUARD_ENTER(&g) == 0) {
        nghttp2_session_del(h->session);
        gh_guard_leave(&g);
    }
    free(h);
}

uint32_t gh_h2_code(const struct gh_h2 *h)
{
    return h->code;
}

bool gh_h2_has_settings(const struct gh_h2 *h)
{
    return h->settings;
}

bool gh_h2_is_acknowledged(const struct gh_h2 *h)
{
    return h->acknowledged;
}

bool gh_h2_peer_connect(const struct gh_h2 *h)
{
    return h->settings && !gh_h2_is_shut(h) && nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

unsigned gh_h2_streams(const struct gh_h2 *h)
{
    return h->count;
}

const struct gh_h2_counters *gh_h2_counters(struct gh_h2 *h)
{
    h->counters.resets = h->flood.resets_seen;
    return &h->counters;
}

int32_t gh_h2_stream_id(const struct gh_h2_stream *s)
{
    return s->id;
}

bool gh_h2_stream_is_tunnel(const struct gh_h2_stream *s)
{
    return s->tunnel;
}

void gh_h2_stream_set_user(struct gh_h2_stream *s, void *user)
{
    s->user = user;
}

void *gh_h2_stream_user(const struct gh_h2_stream *s)
{
    return s->user;
}
