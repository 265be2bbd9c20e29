/* HTTP/2: the set, and the life of its connections. */
#include "net/http2.h"

#include <stdlib.h>

#include "base/error.h"
#include "net/http2_conn.h"

#define MS INT64_C(1000000)
#define TURN_BYTES (256u * 1024) /* that one connection sends before others have their turn */
#define LINGER (2000 * MS)
#define LINGER_BYTES 262144u

/* The connection goes; what waits is lost. Not from inside an event of the engine. */
static void conn_destroy(struct gh_http2_conn *c)
{
    struct gh_http2 *h = c->set;
    const struct gh_h2_counters *n = gh_h2_counters(c->h2);
    uint32_t code = gh_h2_code(c->h2);

    gh_worker_deadline_stop(h->worker, &c->timer);
    h->counters.malformed += n->malformed;
    h->counters.floods += n->floods;
    h->counters.library_assert += n->library_assert;
    h->counters.broken += code != GH_H2_NO_ERROR;
    h->counters.timed_out += c->timed_out;
    gh_h2_close_streams(c->h2, code ? code : GH_H2_CANCEL);
    if (c->events)
        c->events->on_closed(c->arg, c, code);
    gh_list_unlink(&c->link);
    gh_list_unlink(&c->dirty);
    h->count--;
    gh_byte_stream_close(c->io);
    gh_h2_destroy(c->h2);
    free(c);
}

/* When time matters next. */
static int64_t due(const struct gh_http2_conn *c)
{
    const struct gh_http2_config *config = &c->set->config;
    int64_t at = c->asked ? c->asked + config->ping_timeout * MS : c->heard + config->idle_timeout * MS, other;

    if (c->lingers)
        return c->lingers + LINGER;
    other = c->opened + config->settings_timeout * MS;
    if (!(gh_h2_has_settings(c->h2) && gh_h2_is_acknowledged(c->h2)) && other < at)
        at = other;
    other = c->moved + config->write_timeout * MS;
    return c->out_len > 0 && other < at ? other : at;
}

/* An earlier moment moves the timer, a later one is found when it fires. */
static void arm(struct gh_http2_conn *c)
{
    int64_t at = due(c);

    if (!c->timer.started || at < c->timer.at)
        gh_worker_deadline_start(c->set->worker, &c->timer, at);
}

static void flush(struct gh_http2_conn *c)
{
    int64_t now = gh_worker_now(c->set->worker);
    size_t sent = 0;

    while (!c->gone && sent < TURN_BYTES) {
        ssize_t n;

        if (c->out_len == 0) {
            n = gh_h2_write(c->h2, c->out, sizeof c->out, now);
            if (n <= 0)
                return;
            c->out_at = 0;
            c->out_len = (size_t)n;
            c->moved = now;
        }
        n = gh_byte_stream_write(c->io, gh_span_of(c->out + c->out_at, c->out_len));
        if (n < 0) {
            c->gone = true;
            return;
        }
        c->moved = n > 0 ? now : c->moved;
        c->pieces++;
        c->out_at += (size_t)n;
        c->out_len -= (size_t)n;
        sent += (size_t)n;
        if (c->out_len > 0)
            return; /* on_writable follows */
    }
    if (!c->gone)
        gh_byte_stream_want_write(c->io); /* a turn of its own for the rest */
}

/* Sends what there is, and sees whether it was the last. */
static void turn(struct gh_http2_conn *c)
{
    if (!c->lingers)
        flush(c);
    if (!c->gone && !c->lingers && c->out_len == 0 && gh_h2_is_over(c->h2)) {
        c->lingers = gh_worker_now(c->set->worker);
        gh_h2_close_streams(c->h2, gh_h2_code(c->h2) ? gh_h2_code(c->h2) : GH_H2_CANCEL);
        gh_byte_stream_shutdown_write(c->io);
    }
    if (c->gone)
        conn_destroy(c);
    else
        arm(c);
}

void gh_http2_conn_wake(struct gh_http2_conn *c)
{
    if (!gh_list_empty(&c->dirty))
        return;
    gh_list_append(&c->set->dirty, &c->dirty);
    if (c->set->turned == gh_worker_ticks(c->set->worker)) /* a hook behind ours: nothing promises another turn */
        gh_byte_stream_want_write(c->io);
}

/* The end of the worker's turn. What one connection's events make another one send goes out in the same turn, within reason. */
static void on_turn(void *arg, int64_t now)
{
    struct gh_http2 *h = arg;

    (void)now;
    for (unsigned left = 2 * h->count; left > 0 && !gh_list_empty(&h->dirty); left--) {
        struct gh_http2_conn *c = gh_container_of(h->dirty.next, struct gh_http2_conn, dirty);

        gh_list_unlink(&c->dirty);
        turn(c);
    }
    gh_list_each(it, &h->dirty)
        gh_byte_stream_want_write(gh_container_of(it, struct gh_http2_conn, dirty)->io);
    h->turned = gh_worker_ticks(h->worker);
}

/* What the byte stream tells. */

static void on_bytes(void *arg, struct gh_span data)
{
    struct gh_http2_conn *c = arg;

    c->heard = gh_worker_now(c->set->worker);
    c->asked = 0;
    c->pieces++;
    if (c->lingers) {
        c->lingered += data.len;
        c->gone |= c->lingered > LINGER_BYTES;
    } else {
        gh_h2_feed(c->h2, data, c->heard); /* its end is seen in turn() */
    }
    gh_http2_conn_wake(c);
}

static void on_end(void *arg)
{
    struct gh_http2_conn *c = arg;

    if (!c->lingers)
        flush(c);
    c->gone = true;
    gh_http2_conn_wake(c);
}

static void on_writable(void *arg)
{
    gh_http2_conn_wake(arg);
}

static void on_broken(void *arg, int why)
{
    struct gh_http2_conn *c = arg;

    (void)why;
    c->gone = true;
    gh_http2_conn_wake(c);
}

static const struct gh_byte_stream_events io_events = { on_bytes, on_end, on_writable, on_broken };

/* Silence: 0 when the connection may stay. */
static void ask(struct gh_http2_conn *c, int64_t now)
{
    if (c->asked) {
        c->timed_out = c->gone = true;
    } else if (!c->events && gh_h2_streams(c->h2) == 0) {
        gh_h2_close(c->h2, GH_H2_NO_ERROR);
    } else {
        c->asked = now;
        gh_h2_ping(c->h2);
    }
}

static void on_timer(void *arg, int64_t now)
{
    struct gh_http2_conn *c = arg;
    const struct gh_http2_config *config = &c->set->config;

    if (due(c) <= now) {
        bool greeted = gh_h2_has_settings(c->h2) && gh_h2_is_acknowledged(c->h2);

        if (c->lingers) {
            c->gone = true;
        } else if (!greeted && c->opened + config->settings_timeout * MS <= now) {
            c->timed_out = true;
            gh_h2_close(c->h2, GH_H2_SETTINGS_TIMEOUT);
            c->gone = c->out_len > 0;
        } else if (c->out_len > 0 && c->moved + config->write_timeout * MS <= now) {
            c->timed_out = c->gone = true;
        } else {
            ask(c, now);
        }
    }
    turn(c);
}

/* Connections. */

static int conn_create(struct gh_http2 *h, struct gh_byte_stream *io, bool server, struct gh_http2_conn **ret)
{
    struct gh_http2_conn *c = NULL;
    struct gh_h2_config cfg = { .server = server, .max_streams = h->config.max_streams, .events = &gh_http2_engine_events };
    int rc = GH_ERR_FULL;

    if (h->draining)
        rc = GH_ERR_STATE;
    if (h->draining || h->count >= h->config.connections_max) {
        h->counters.refused_connections++;
        goto fail;
    }
    c = calloc(1, sizeof *c);
    rc = GH_ERR_MEMORY;
    if (!c)
        goto fail;
    cfg.arg = c;
    rc = gh_h2_create(&cfg, &c->h2);
    if (rc < 0)
        goto fail;
    c->set = h;
    c->io = io;
    c->opened = c->heard = c->moved = gh_worker_now(h->worker);
    gh_deadline_init(&c->timer, on_timer, c);
    gh_list_init(&c->dirty);
    gh_list_append(&h->conns, &c->link);
    h->count++;
    *ret = c;
    return 0;
fail:
    gh_byte_stream_close(io);
    free(c);
    return rc;
}

static void conn_start(struct gh_http2_conn *c, const struct gh_http_peer *peer, const struct gh_http_identity *identity)
{
    c->peer = *peer;
    if (identity) {
        c->identity = *identity;
        c->peer.identity = c->identity.name;
        c->peer.certificate = &c->identity.certificate;
        c->peer.not_after = c->identity.not_after;
    }
    c->io->events = &io_events;
    c->io->arg = c;
    gh_byte_stream_want_read(c->io, true);
    gh_byte_stream_want_write(c->io); /* SETTINGS wait for nobody (RFC 9113, section 3.4) */
    gh_http2_conn_wake(c);
    arm(c);
}

int gh_http2_take(struct gh_http2 *h, struct gh_byte_stream *io, const struct gh_http_peer *peer, const struct gh_http_identity *identity)
{
    struct gh_http2_conn *c;
    int rc = conn_create(h, io, true, &c);

    if (rc < 0)
        return rc;
    h->counters.accepted++;
    conn_start(c, peer, identity);
    return 0;
}

int gh_http2_open(struct gh_http2 *h, struct gh_byte_stream *io, const struct gh_http_peer *peer, const struct gh_http_identity *identity,
                  const struct gh_http2_client_events *events, void *arg, struct gh_http2_conn **ret)
{
    struct gh_http2_conn *c;
    int rc = conn_create(h, io, false, &c);

    if (rc < 0)
        return rc;
    h->counters.opened++;
    c->events = events;
    c->arg = arg;
    conn_start(c, peer, identity);
    *ret = c;
    return 0;
}

void gh_http2_conn_close(struct gh_http2_conn *c)
{
    gh_h2_close(c->h2, GH_H2_NO_ERROR);
    gh_http2_conn_wake(c);
}

void gh_http2_conn_drain(struct gh_http2_conn *c)
{
    (void)gh_h2_drain(c->h2);
    gh_http2_conn_wake(c);
}

void gh_http2_conn_abort(struct gh_http2_conn *c)
{
    conn_destroy(c);
}

/* The set. */

static void fill_defaults(struct gh_http2_config *c)
{
    c->connections_max = c->connections_max ? c->connections_max : 4096;
    c->max_streams = c->max_streams ? c->max_streams : 100;
    c->settings_timeout = c->settings_timeout ? c->settings_timeout : 10000;
    c->idle_timeout = c->idle_timeout ? c->idle_timeout : 60000;
    c->ping_timeout = c->ping_timeout ? c->ping_timeout : 15000;
    c->write_timeout = c->write_timeout ? c->write_timeout : 30000;
}

int gh_http2_create(struct gh_worker *worker, const struct gh_http2_config *config, struct gh_http_handler handler, struct gh_http2 **ret)
{
    struct gh_http2 *h = calloc(1, sizeof *h);

    if (!h)
        return GH_ERR_MEMORY;
    h->worker = worker;
    h->config = *config;
    h->handler = handler;
    h->turned = UINT64_MAX;
    fill_defaults(&h->config);
    gh_list_init(&h->conns);
    gh_list_init(&h->dirty);
    h->hook = (struct gh_turn_hook){ .fn = on_turn, .arg = h };
    gh_worker_hook_add(worker, &h->hook);
    *ret = h;
    return 0;
}

void gh_http2_drain(struct gh_http2 *h)
{
    h->draining = true;
    gh_list_each(it, &h->conns)
    {
        struct gh_http2_conn *c = gh_container_of(it, struct gh_http2_conn, link);

        gh_h2_drain(c->h2);
        gh_http2_conn_wake(c);
    }
}

void gh_http2_destroy(struct gh_http2 *h)
{
    if (!h)
        return;
    while (!gh_list_empty(&h->conns))
        conn_destroy(gh_container_of(h->conns.next, struct gh_http2_conn, link));
    gh_worker_hook_remove(&h->hook);
    free(h);
}

unsigned gh_http2_connections(const struct gh_http2 *h)
{
    return h->count;
}

const struct gh_http2_counters *gh_http2_counters(const struct gh_http2 *h)
{
    return &h->counters;
}
