#include "proto/conform/peer.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define MS INT64_C(1000000)

static struct gh_conform_stream *stream_of(struct gh_conform_peer *p, int64_t id)
{
    struct gh_conform_stream *s = gh_conform_stream(p, id);

    for (size_t i = 0; !s && i < GH_CONFORM_STREAMS; i++) {
        if (p->streams[i].id >= 0)
            continue;
        s = &p->streams[i];
        s->id = id;
        s->reset = GH_CONFORM_NO_CODE;
    }
    if (!s)
        p->error = GH_ERR_FULL;
    return s;
}

/* What the QUIC engine tells. */

static int on_keys(void *arg)
{
    ((struct gh_conform_peer *)arg)->keys = true;
    return 0;
}

static void on_handshake(void *arg)
{
    ((struct gh_conform_peer *)arg)->handshake = true;
}

static int on_stream_data(void *arg, int64_t id, struct gh_span data, bool end)
{
    struct gh_conform_peer *p = arg;
    struct gh_conform_stream *s = stream_of(p, id);
    size_t room;
    int rc = 0;

    if (!s)
        return GH_ERR_FULL;
    s->ended |= end;
    if ((id & 2) == 0) {
        rc = gh_conform_answer_feed(&s->answer, data);
    } else {
        room = sizeof s->in - s->in_len;
        memcpy(s->in + s->in_len, data.data, data.len < room ? data.len : room);
        s->in_len += data.len < room ? data.len : room;
    }
    gh_quic_consume(p->q, id, data.len);
    p->error = rc < 0 ? rc : p->error;
    return rc;
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
    struct gh_conform_stream *s = stream_of(arg, id);

    (void)code;
    if (s)
        s->closed = true;
    return 0;
}

static int on_stream_reset(void *arg, int64_t id, uint64_t code)
{
    struct gh_conform_stream *s = stream_of(arg, id);

    if (s)
        s->reset = code;
    return 0;
}

static int on_stream_stopped(void *arg, int64_t id)
{
    struct gh_conform_stream *s = stream_of(arg, id);

    if (s)
        s->stopped = true;
    return 0;
}

static int on_stream_credit(void *arg, int64_t id)
{
    struct gh_conform_stream *s = gh_conform_stream(arg, id);

    if (s)
        s->blocked = false;
    return 0;
}

static void ignore(void *arg)
{
    (void)arg;
}

static int on_datagram(void *arg, struct gh_span payload)
{
    struct gh_conform_peer *p = arg;
    struct gh_conform_datagram *d = &p->datagrams[p->datagram_count++ % GH_CONFORM_DATAGRAMS];

    d->len = payload.len < sizeof d->data ? payload.len : sizeof d->data;
    if (d->len)
        memcpy(d->data, payload.data, d->len);
    return 0;
}

static int pull(void *arg, int64_t *ret_stream, bool *ret_end, struct gh_span *ret_spans, size_t cap)
{
    struct gh_conform_peer *p = arg;

    (void)cap;
    for (size_t i = 0; i < GH_CONFORM_STREAMS; i++) {
        struct gh_conform_stream *s = &p->streams[i];

        if (s->id < 0 || s->blocked || s->closed || (!s->unsent && s->fin == s->fin_sent))
            continue;
        *ret_stream = s->id;
        *ret_end = s->fin && (!s->unsent || !s->unsent->next);
        if (!s->unsent)
            return 0;
        ret_spans[0] = gh_span_of(s->unsent->data + s->sent, s->unsent->len - s->sent);
        return 1;
    }
    return 0;
}

static int on_sent(void *arg, int64_t id, size_t bytes)
{
    struct gh_conform_stream *s = gh_conform_stream(arg, id);

    if (!s)
        return 0;
    s->sent += bytes;
    if (s->unsent && s->sent == s->unsent->len) {
        s->unsent = s->unsent->next;
        s->sent = 0;
    }
    s->fin_sent = s->fin && !s->unsent;
    return 0;
}

/* Flow control, or a stream whose peer reads no more: the latter for good. */
static int on_blocked(void *arg, int64_t id)
{
    struct gh_conform_stream *s = gh_conform_stream(arg, id);

    if (s)
        s->blocked = true;
    return 0;
}

static const struct gh_quic_app app = {
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

/* The connection. */

static int make_cid(void *arg, struct gh_quic_cid *ret, uint8_t ret_token[GH_QUIC_RESET_TOKEN])
{
    (void)arg;
    ret->len = GH_QUIC_CID_LEN;
    if (gh_random_bytes(ret->data, ret->len) < 0)
        return GH_ERR_CRYPTO;
    return gh_random_bytes(ret_token, GH_QUIC_RESET_TOKEN);
}

static void retire_cid(void *arg, const struct gh_quic_cid *cid)
{
    (void)arg;
    (void)cid;
}

static void on_closed(void *arg, const struct gh_quic_close *why)
{
    struct gh_conform_peer *p = arg;

    p->closed = true;
    p->why = *why;
}

static const struct gh_quic_host host = { .make_cid = make_cid, .retire_cid = retire_cid, .on_closed = on_closed };

static bool is_ready(struct gh_conform_peer *p, const void *arg)
{
    (void)arg;
    return p->keys && p->handshake;
}

int gh_conform_peer_open(struct gh_conform_peer *p, const struct gh_conform_road *road, int64_t patience, uint64_t max_datagram)
{
    struct gh_quic_config cfg;
    struct gh_quic_owner owner = { &host, p, &app, p };
    int rc;

    memset(p, 0, sizeof *p);
    p->road = road;
    p->patience = patience;
    for (size_t i = 0; i < GH_CONFORM_STREAMS; i++)
        p->streams[i].id = -1;
    gh_quic_config_default(&cfg);
    cfg.max_datagram = max_datagram;
    cfg.keep_alive = 0;
    cfg.handshake_timeout = patience;
    rc = road->open(road->arg, &cfg, &owner, &p->q);
    if (rc < 0) {
        p->q = NULL;
        return rc;
    }
    if (gh_conform_wait(p, is_ready, NULL))
        return 0;
    return p->closed && p->why.kind == GH_QUIC_CLOSED_PEER ? GH_ERR_DENIED : p->closed ? GH_ERR_CLOSED : GH_ERR_TIMEOUT;
}

void gh_conform_peer_close(struct gh_conform_peer *p)
{
    if (!p->q)
        return;
    gh_quic_close(p->q, true, 0x100, "checked"); /* H3_NO_ERROR */
    p->road->turn(p->road->arg, p->q, p->road->now(p->road->arg));
    gh_quic_destroy(p->q);
    p->q = NULL;
    p->road->close(p->road->arg);
    for (size_t i = 0; i < GH_CONFORM_STREAMS; i++) {
        struct gh_conform_stream *s = &p->streams[i];

        while (s->first) {
            struct gh_conform_chunk *next = s->first->next;

            free(s->first);
            s->first = next;
        }
        gh_conform_answer_fini(&s->answer);
    }
}

bool gh_conform_wait(struct gh_conform_peer *p, gh_conform_done_fn done, const void *arg)
{
    int64_t until = p->road->now(p->road->arg) + p->patience;

    for (;;) {
        if (done(p, arg))
            return true;
        if (p->closed || p->error < 0 || p->road->now(p->road->arg) >= until)
            return false;
        p->road->turn(p->road->arg, p->q, until);
    }
}

void gh_conform_pause(struct gh_conform_peer *p, int64_t time)
{
    int64_t until = p->road->now(p->road->arg) + time;

    while (!p->closed && p->road->now(p->road->arg) < until)
        p->road->turn(p->road->arg, p->q, until);
}

/* What a check does. */

void gh_conform_send(struct gh_conform_peer *p, int64_t id, struct gh_span data, bool fin)
{
    struct gh_conform_stream *s = id < 0 ? NULL : stream_of(p, id);
    struct gh_conform_chunk *c;

    if (!s)
        return;
    s->fin |= fin;
    if (data.len == 0)
        return;
    c = malloc(sizeof *c + data.len);
    if (!c) {
        p->error = GH_ERR_MEMORY;
        return;
    }
    c->next = NULL;
    c->len = data.len;
    memcpy(c->data, data.data, data.len);
    if (s->last)
        s->last->next = c;
    else
        s->first = c;
    s->last = c;
    if (!s->unsent)
        s->unsent = c;
}

int64_t gh_conform_open(struct gh_conform_peer *p, bool bidi, struct gh_span first, bool fin)
{
    int64_t id = p->closed ? GH_ERR_CLOSED : bidi ? gh_quic_open_bidi(p->q) : gh_quic_open_uni(p->q);

    if (id >= 0)
        gh_conform_send(p, id, first, fin);
    return id;
}

void gh_conform_reset(struct gh_conform_peer *p, int64_t id, uint64_t code)
{
    if (id >= 0 && !p->closed)
        gh_quic_reset_stream(p->q, id, code);
}

int gh_conform_datagram_raw(struct gh_conform_peer *p, struct gh_span bytes)
{
    return p->closed ? GH_ERR_CLOSED : gh_quic_send_datagram(p->q, gh_span_of(NULL, 0), bytes, 0, p->road->now(p->road->arg));
}

int gh_conform_datagram(struct gh_conform_peer *p, uint64_t quarter, struct gh_span payload)
{
    uint8_t head[8];
    struct gh_writer w = gh_writer_of(head, sizeof head);

    gh_write_varint(&w, quarter);
    return p->closed ? GH_ERR_CLOSED
                     : gh_quic_send_datagram(p->q, gh_span_of(head, gh_writer_len(&w)), payload, 0, p->road->now(p->road->arg));
}

struct gh_conform_stream *gh_conform_stream(struct gh_conform_peer *p, int64_t id)
{
    for (size_t i = 0; i < GH_CONFORM_STREAMS; i++)
        if (p->streams[i].id == id && id >= 0)
            return &p->streams[i];
    return NULL;
}

struct gh_conform_stream *gh_conform_peer_uni(struct gh_conform_peer *p, uint64_t type, unsigned nth)
{
    for (size_t i = 0; i < GH_CONFORM_STREAMS; i++) {
        struct gh_conform_stream *s = &p->streams[i];
        struct gh_reader r = gh_reader_of(gh_span_of(s->in, s->in_len));

        if (s->id >= 0 && (s->id & 3) == 3 && gh_read_varint(&r) == type && !r.failed && nth-- == 0)
            return s;
    }
    return NULL;
}
