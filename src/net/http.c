#include "net/http.h"

#include <stdio.h>

uint64_t gh_http_code(enum gh_http_reset why)
{
    switch (why) {
    case GH_HTTP_NO_ERROR:
        return 0x100;
    case GH_HTTP_MESSAGE_ERROR:
        return 0x10e;
    case GH_HTTP_REQUEST_REJECTED:
        return 0x10b;
    case GH_HTTP_REQUEST_CANCELLED:
        return 0x10c;
    case GH_HTTP_CONNECT_ERROR:
        return 0x10f;
    case GH_HTTP_DATAGRAM_ERROR:
        return 0x33;
    case GH_HTTP_EXCESSIVE_LOAD:
        return 0x107;
    default:
        return 0x102;
    }
}

int gh_http_respond(struct gh_http_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end)
{
    return s->ops->respond(s, status, fields, count, end);
}

int gh_http_send(struct gh_http_stream *s, struct gh_span data, bool end)
{
    return s->ops->send(s, data, end);
}

int gh_http_send_datagram(struct gh_http_stream *s, struct gh_span payload, uint32_t flow)
{
    return s->ops->send_datagram(s, payload, flow);
}

size_t gh_http_datagram_max(const struct gh_http_stream *s)
{
    return s->ops->datagram_max(s);
}

size_t gh_http_plpmtu(const struct gh_http_stream *s)
{
    return s->ops->plpmtu ? s->ops->plpmtu(s) : SIZE_MAX;
}

size_t gh_http_queued(const struct gh_http_stream *s)
{
    return s->ops->queued ? s->ops->queued(s) : 0;
}

void gh_http_hold(struct gh_http_stream *s)
{
    if (s->ops->hold)
        s->ops->hold(s);
}

void gh_http_widen(struct gh_http_stream *s)
{
    if (s->ops->widen)
        s->ops->widen(s);
}

void gh_http_consume(struct gh_http_stream *s, size_t bytes)
{
    if (s->ops->consume)
        s->ops->consume(s, bytes);
}

bool gh_http_decline(struct gh_http_stream *s)
{
    return s->ops->decline && s->ops->decline(s);
}

void gh_http_reset(struct gh_http_stream *s, enum gh_http_reset why)
{
    s->ops->reset(s, why);
}

void gh_http_close_connection(struct gh_http_stream *s, const char *reason)
{
    if (s->ops->close_connection)
        s->ops->close_connection(s, reason);
    else
        s->ops->reset(s, GH_HTTP_NO_ERROR);
}

void gh_http_path(const struct gh_http_stream *s, struct gh_http_path *ret)
{
    *ret = (struct gh_http_path){ .rtt = 0 };
    if (s->ops->path)
        s->ops->path(s, ret);
}

uint64_t gh_http_pieces(const struct gh_http_stream *s)
{
    struct gh_http_path path;

    if (s->ops->pieces)
        return s->ops->pieces(s);
    gh_http_path(s, &path);
    return path.pieces;
}

const struct gh_http_peer *gh_http_peer(const struct gh_http_stream *s)
{
    return s->ops->peer(s);
}

struct gh_span gh_http_field_find(const struct gh_http_head *head, const char *name)
{
    struct gh_span want = gh_span_str(name);

    for (size_t i = 0; i < head->field_count; i++)
        if (gh_span_equals(head->fields[i].name, want))
            return head->fields[i].value;
    return gh_span_of(NULL, 0);
}

int gh_http_respond_text(struct gh_http_stream *s, unsigned status, const char *type, struct gh_span body)
{
    char length[24];
    struct gh_http_field fields[] = {
        { gh_span_str("content-type"), gh_span_str(type) },
        { gh_span_str("content-length"), { 0 } },
    };
    int rc;

    snprintf(length, sizeof length, "%zu", body.len);
    fields[1].value = gh_span_str(length);
    rc = gh_http_respond(s, status, fields, 2, body.len == 0);
    if (rc < 0 || body.len == 0)
        return rc;
    return gh_http_send(s, body, true);
}
