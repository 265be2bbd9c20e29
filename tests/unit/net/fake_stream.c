#include "fake_stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static struct gh_fake_stream *fake_of(const struct gh_http_stream *s)
{
    return (struct gh_fake_stream *)(uintptr_t)s;
}

static void copy_text(char *to, size_t cap, struct gh_span from)
{
    size_t len = from.len < cap ? from.len : cap - 1;

    memcpy(to, from.data, len);
    to[len] = 0;
}

static int fake_respond(struct gh_http_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end)
{
    struct gh_fake_stream *f = fake_of(s);

    if (f->status != 0 || f->reset || f->closed || count > GH_FAKE_FIELDS)
        return GH_ERR_STATE;
    f->status = status;
    f->field_count = count;
    for (size_t i = 0; i < count; i++) {
        copy_text(f->fields[i].name, sizeof f->fields[i].name, fields[i].name);
        copy_text(f->fields[i].value, sizeof f->fields[i].value, fields[i].value);
    }
    f->ended = end;
    return 0;
}

static int fake_send(struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct gh_fake_stream *f = fake_of(s);
    char *body;

    if (f->status == 0 || f->ended || f->reset || f->closed)
        return GH_ERR_STATE;
    if (data.len > f->room)
        return GH_ERR_AGAIN;
    body = realloc(f->body, f->body_len + data.len + 1);
    if (!body)
        return GH_ERR_MEMORY;
    if (data.len > 0)
        memcpy(body + f->body_len, data.data, data.len);
    f->body = body;
    f->body_len += data.len;
    f->body[f->body_len] = 0;
    if (f->room != SIZE_MAX)
        f->room -= data.len;
    f->ended = end;
    return 0;
}

static int fake_send_datagram(struct gh_http_stream *s, struct gh_span payload, uint32_t flow)
{
    struct gh_fake_stream *f = fake_of(s);

    (void)flow;
    if (payload.len > f->datagram_max)
        return GH_ERR_TOO_LONG;
    if (f->datagram_room == 0 || f->datagram_count == GH_FAKE_DATAGRAMS)
        return GH_ERR_AGAIN;
    if (f->datagram_room != SIZE_MAX)
        f->datagram_room--;
    f->datagrams[f->datagram_count] = malloc(payload.len + 1);
    if (!f->datagrams[f->datagram_count])
        return GH_ERR_MEMORY;
    memcpy(f->datagrams[f->datagram_count], payload.data, payload.len);
    f->datagram_lens[f->datagram_count++] = payload.len;
    return 0;
}

static size_t fake_datagram_max(const struct gh_http_stream *s)
{
    return fake_of(s)->datagram_max;
}

static void fake_reset(struct gh_http_stream *s, enum gh_http_reset why)
{
    struct gh_fake_stream *f = fake_of(s);

    if (f->reset)
        return;
    f->reset = true;
    f->why = why;
}

static const struct gh_http_peer *fake_peer(const struct gh_http_stream *s)
{
    return &fake_of(s)->peer;
}

static void fake_hold(struct gh_http_stream *s)
{
    fake_of(s)->held = true;
}

static void fake_consume(struct gh_http_stream *s, size_t bytes)
{
    fake_of(s)->consumed += bytes;
}

static const struct gh_http_ops fake_ops = {
    .respond = fake_respond,
    .send = fake_send,
    .send_datagram = fake_send_datagram,
    .datagram_max = fake_datagram_max,
    .reset = fake_reset,
    .peer = fake_peer,
    .hold = fake_hold,
    .consume = fake_consume,
};

void gh_fake_stream_init(struct gh_fake_stream *f)
{
    memset(f, 0, sizeof *f);
    f->stream.ops = &fake_ops;
    f->peer.identity = "";
    f->peer.uid = UINT32_MAX;
    f->body = calloc(1, 1);
    f->room = f->datagram_room = SIZE_MAX;
    f->datagram_max = 1200;
}

void gh_fake_stream_fini(struct gh_fake_stream *f)
{
    gh_fake_stream_close(f, 0);
    for (size_t i = 0; i < f->datagram_count; i++)
        free(f->datagrams[i]);
    free(f->body);
    f->body = NULL;
    f->datagram_count = 0;
}

void gh_fake_stream_head(struct gh_fake_stream *f, struct gh_http_handler handler, const struct gh_http_head *head)
{
    handler.on_request(handler.arg, &f->stream, head);
}

void gh_fake_stream_request(struct gh_fake_stream *f, struct gh_http_handler handler, const char *method, const char *path,
                            const struct gh_http_field *fields, size_t count)
{
    struct gh_http_head head = {
        .method = gh_span_str(method),
        .scheme = gh_span_str("http"),
        .authority = gh_span_str("localhost"),
        .path = gh_span_str(path),
        .fields = fields,
        .field_count = count,
    };

    gh_fake_stream_head(f, handler, &head);
}

void gh_fake_stream_body(struct gh_fake_stream *f, const void *data, size_t len, bool end)
{
    if (f->stream.events && f->stream.events->on_body)
        f->stream.events->on_body(f->stream.arg, &f->stream, gh_span_of(data, len), end);
}

bool gh_fake_stream_datagram(struct gh_fake_stream *f, const void *data, size_t len)
{
    if (!f->stream.events || !f->stream.events->on_datagram)
        return false;
    f->stream.events->on_datagram(f->stream.arg, &f->stream, gh_span_of(data, len));
    return true;
}

void gh_fake_stream_writable(struct gh_fake_stream *f, size_t room)
{
    f->room = room;
    if (f->stream.events && f->stream.events->on_writable)
        f->stream.events->on_writable(f->stream.arg, &f->stream);
}

void gh_fake_stream_close(struct gh_fake_stream *f, uint64_t code)
{
    if (f->closed)
        return;
    f->closed = true;
    if (f->stream.events && f->stream.events->on_closed)
        f->stream.events->on_closed(f->stream.arg, &f->stream, code);
}

const char *gh_fake_stream_field(const struct gh_fake_stream *f, const char *name)
{
    for (size_t i = 0; i < f->field_count; i++)
        if (strcmp(f->fields[i].name, name) == 0)
            return f->fields[i].value;
    return NULL;
}
