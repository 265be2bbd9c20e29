#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/error.h"
#include "net/http1_conn.h"
#include "net/http_capsule.h"
#include "wire/http_date.h"

#define SMALL_BODY 65536 /* rest of a body that is read and dropped rather than closing a connection over it */

static struct gh_http1_conn *conn_of(const struct gh_http_stream *s)
{
    return (struct gh_http1_conn *)(uintptr_t)s;
}

/* Room for <more> bytes at the end of <out>. */
static int reserve(struct gh_http1_conn *c, size_t more)
{
    size_t cap = c->out_cap ? c->out_cap : 4096;
    uint8_t *out;

    if (c->out_at > 0) {
        memmove(c->out, c->out + c->out_at, c->out_len);
        c->out_at = 0;
    }
    while (cap < c->out_len + more)
        cap *= 2;
    if (cap == c->out_cap)
        return 0;
    out = realloc(c->out, cap);
    if (!out)
        return GH_ERR_MEMORY;
    c->out = out;
    c->out_cap = cap;
    return 0;
}

static struct gh_writer writer_at_end(struct gh_http1_conn *c)
{
    return gh_writer_of(c->out + c->out_len, c->out_cap - c->out_len);
}

int gh_http1_answer_raw(struct gh_http1_conn *c, struct gh_span bytes)
{
    int rc = reserve(c, bytes.len);

    if (rc < 0)
        return rc;
    memcpy(c->out + c->out_len, bytes.data, bytes.len);
    c->out_len += bytes.len;
    return 0;
}

/* These are the connection's business. */
static bool is_hop_field(struct gh_span name)
{
    static const char *const names[] = { "connection", "keep-alive", "transfer-encoding", "upgrade" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (gh_span_equals(name, gh_span_str(names[i])))
            return true;
    return false;
}

static bool has_field(const struct gh_http_field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (gh_span_equals(fields[i].name, gh_span_str(name)))
            return true;
    return false;
}

static bool find_length(const struct gh_http_field *fields, size_t count, uint64_t *ret)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t n = 0;

        if (!gh_span_equals(fields[i].name, gh_span_str("content-length")))
            continue;
        for (size_t k = 0; k < fields[i].value.len; k++)
            n = n * 10 + (uint64_t)(fields[i].value.data[k] - '0');
        *ret = n;
        return true;
    }
    return false;
}

static bool may_keep_alive(const struct gh_http1_conn *c)
{
    /* a client may have sent what it meant for the tunnel: that must not be read as a request */
    if (!c->keep_alive || c->server->draining || c->offer)
        return false;
    if (c->body_done)
        return true;
    /* a client that waits for "100 Continue" may send the body or not: nobody knows where the next request starts */
    return !c->expects_continue && c->framing == GH_H1_BODY_LENGTH && c->body_left <= SMALL_BODY;
}

/* Field names are all small here (RFC 9113, section 8.2); these are not written as the rule has it. */
static const char *const odd_names[] = { "ETag", "WWW-Authenticate", "Content-MD5", "DNT", "TE", "X-XSS-Protection", "X-UA-Compatible", "Sec-WebSocket-Accept",
                                         "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Sec-WebSocket-Version", "SourceMap", "NEL" };

static void emit_field(const struct gh_http1_conn *c, struct gh_writer *w, struct gh_span name, struct gh_span value)
{
    char big[64];
    bool first = true;

    if (!c->server->config.capitals || name.len >= sizeof big) {
        gh_h1_emit_field(w, name, value);
        return;
    }
    for (size_t i = 0; i < name.len; i++) {
        char b = (char)name.data[i];

        big[i] = first && b >= 'a' && b <= 'z' ? (char)(b - 0x20) : b;
        first = b == '-';
    }
    for (size_t i = 0; i < sizeof odd_names / sizeof *odd_names; i++)
        if (strlen(odd_names[i]) == name.len && strncasecmp(odd_names[i], big, name.len) == 0)
            memcpy(big, odd_names[i], name.len);
    gh_h1_emit_field(w, gh_span_of(big, name.len), value);
}

static int emit_head(struct gh_http1_conn *c, unsigned status, const struct gh_http_field *fields, size_t count, bool no_body)
{
    char date[GH_HTTP_DATE_TEXT];
    size_t need = 256;
    struct gh_writer w;
    int rc;

    for (size_t i = 0; i < count; i++)
        need += fields[i].name.len + fields[i].value.len + 4;
    rc = reserve(c, need);
    if (rc < 0)
        return rc;
    w = writer_at_end(c);
    gh_h1_emit_status_line(&w, c->tunnel && c->upgrade ? 101 : status);
    if (!has_field(fields, count, "date"))
        emit_field(c, &w, gh_span_str("date"), gh_span_str(gh_http_date_emit(gh_worker_wall(c->server->worker), date)));
    if (c->tunnel && c->upgrade) {
        emit_field(c, &w, gh_span_str("connection"), gh_span_str("upgrade"));
        emit_field(c, &w, gh_span_str("upgrade"), gh_span_str(c->upgrade));
    }
    for (size_t i = 0; i < count; i++)
        if (!is_hop_field(fields[i].name))
            emit_field(c, &w, fields[i].name, fields[i].value);
    if (no_body)
        emit_field(c, &w, gh_span_str("content-length"), gh_span_str("0"));
    if (c->out_chunked)
        emit_field(c, &w, gh_span_str("transfer-encoding"), gh_span_str("chunked"));
    if (!c->keep_alive && !c->tunnel)
        emit_field(c, &w, gh_span_str("connection"), gh_span_str("close"));
    else if (c->old && !c->tunnel)
        emit_field(c, &w, gh_span_str("connection"), gh_span_str("keep-alive"));
    gh_h1_emit_end(&w);
    if (w.failed)
        return GH_ERR_MALFORMED;
    c->out_len += gh_writer_len(&w);
    return 0;
}

/* What is said before the body can be: 0 or why not. */
static int begin_answer(struct gh_http1_conn *c, unsigned status, const struct gh_http_field *fields, size_t count, bool end)
{
    bool bodiless = c->is_head || status == 204 || status == 304;
    uint64_t length = 0;

    c->out_length_known = find_length(fields, count, &length);
    if (end && !bodiless && length > 0)
        return GH_ERR_STATE; /* the client would wait for a body that never comes */
    c->out_left = length;
    c->swallow = bodiless;
    c->out_chunked = !end && !bodiless && !c->out_length_known && !c->old;
    c->keep_alive = may_keep_alive(c);
    if (!end && !bodiless && !c->out_length_known && c->old)
        c->keep_alive = false; /* HTTP/1.0: the end of the connection is the end of the body */
    return emit_head(c, status, fields, count, end && !bodiless && !c->out_length_known);
}

/* From the empty line on, both directions are the tunnel's (RFC 9110, sections 7.8 and 9.3.6). */
static int begin_tunnel(struct gh_http1_conn *c, unsigned status, const struct gh_http_field *fields, size_t count)
{
    int rc;

    c->out_length_known = c->swallow = c->out_chunked = false;
    c->tunnel = true;
    rc = emit_head(c, status, fields, count, false);
    if (rc < 0)
        c->tunnel = false;
    return rc;
}

static int answer_respond(struct gh_http_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end)
{
    struct gh_http1_conn *c = conn_of(s);
    bool keep_alive = c->keep_alive;
    int rc;

    if (!c->open || c->answered || c->aborted)
        return GH_ERR_STATE;
    if (status == 101)
        return GH_ERR_UNSUPPORTED; /* a tunnel is accepted with 200 */
    if (status < 200 || status > 599)
        return GH_ERR_RANGE;
    if (c->offer && status < 300)
        rc = begin_tunnel(c, status, fields, count);
    else
        rc = begin_answer(c, status, fields, count, end);
    if (rc < 0) {
        c->keep_alive = keep_alive;
        return rc;
    }
    c->answered = true;
    c->answer_done = end;
    gh_http1_conn_want(c);
    return 0;
}

static int append_body(struct gh_http1_conn *c, struct gh_span data, bool end)
{
    int rc = reserve(c, data.len + 64);
    struct gh_writer w;

    if (rc < 0)
        return rc;
    w = writer_at_end(c);
    if (c->out_chunked && data.len > 0)
        gh_h1_emit_chunk_size(&w, data.len);
    gh_write_span(&w, data);
    if (c->out_chunked && data.len > 0)
        gh_h1_emit_end(&w);
    if (c->out_chunked && end)
        gh_h1_emit_last_chunk(&w);
    c->out_len += gh_writer_len(&w);
    return 0;
}

static int answer_send(struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct gh_http1_conn *c = conn_of(s);
    int rc;

    if (!c->open || !c->answered || c->answer_done || c->aborted)
        return GH_ERR_STATE;
    if (!c->swallow) {
        if (c->out_length_known && (data.len > c->out_left || (end && data.len < c->out_left)))
            return GH_ERR_STATE; /* not what Content-Length promised: the next answer would be read wrongly */
        if (data.len > c->server->config.out_max)
            return GH_ERR_TOO_LONG;
        if (data.len > 0 && c->out_len + data.len > c->server->config.out_max && c->out_len > 0) {
            c->blocked = true;
            gh_http1_conn_want(c);
            return GH_ERR_AGAIN;
        }
        rc = append_body(c, data, end);
        if (rc < 0)
            return rc;
        c->out_left -= c->out_length_known ? data.len : 0;
    }
    c->answer_done = end;
    gh_http1_conn_want(c);
    return 0;
}

static bool has_capsules(const struct gh_http1_conn *c)
{
    return c->tunnel && c->upgrade && gh_http_capsule_is_used(gh_span_str(c->upgrade));
}

static int answer_send_datagram(struct gh_http_stream *s, struct gh_span payload, uint32_t flow)
{
    struct gh_http1_conn *c = conn_of(s);
    int rc = has_capsules(c) ? gh_http_capsule_send_datagram(s, payload, c->out_len) : GH_ERR_UNSUPPORTED;

    (void)flow; /* one stream of bytes: all are in order */
    if (rc == GH_ERR_AGAIN) {
        c->blocked = true;
        gh_http1_conn_want(c);
    }
    c->datagrams += rc == 0;
    return rc;
}

static size_t answer_datagram_max(const struct gh_http_stream *s)
{
    return has_capsules(conn_of(s)) ? GH_HTTP_CAPSULE_DATAGRAM_MAX : 0;
}

static void answer_path(const struct gh_http_stream *s, struct gh_http_path *ret)
{
    ret->pieces = conn_of(s)->pieces;
    ret->datagrams_out = conn_of(s)->datagrams;
}

static size_t answer_queued(const struct gh_http_stream *s)
{
    return conn_of(s)->out_len;
}

static void answer_hold(struct gh_http_stream *s)
{
    conn_of(s)->held = true;
}

static void answer_consume(struct gh_http_stream *s, size_t bytes)
{
    struct gh_http1_conn *c = conn_of(s);

    c->untaken -= bytes < c->untaken ? bytes : c->untaken;
    gh_http1_conn_want(c);
}

static bool answer_decline(struct gh_http_stream *s)
{
    struct gh_http1_conn *c = conn_of(s);

    if (!c->open || c->answered || c->aborted || !c->upgrade)
        return false;
    c->upgrade = NULL;
    c->offer = false;
    return true;
}

static void answer_reset(struct gh_http_stream *s, enum gh_http_reset why)
{
    struct gh_http1_conn *c = conn_of(s);

    if (!c->open || c->aborted)
        return;
    c->aborted = true;
    c->code = gh_http_code(why);
    gh_http1_conn_want(c);
}

static const struct gh_http_peer *answer_peer(const struct gh_http_stream *s)
{
    return &conn_of(s)->peer;
}

const struct gh_http_ops gh_http1_answer_ops = {
    .respond = answer_respond,
    .send = answer_send,
    .send_datagram = answer_send_datagram,
    .datagram_max = answer_datagram_max,
    .reset = answer_reset,
    .peer = answer_peer,
    .hold = answer_hold,
    .consume = answer_consume,
    .path = answer_path,
    .queued = answer_queued,
    .decline = answer_decline,
};

static const char *refusal_text(unsigned status)
{
    switch (status) {
    case 408:
        return "the request did not arrive in time";
    case 413:
        return "the body is longer than this server takes";
    case 417:
        return "only the expectation 100-continue is known";
    case 431:
        return "the head is longer or has more fields than this server takes";
    case 500:
        return "the request was not handled";
    case 501:
        return "the transfer coding is not known; send chunked or a length";
    case 505:
        return "only HTTP/1.0 and HTTP/1.1 are spoken here";
    default:
        return "the request does not parse";
    }
}

int gh_http1_answer_refusal(struct gh_http1_conn *c, unsigned status)
{
    char body[160], length[24];
    struct gh_http_field fields[] = {
        { gh_span_str("content-type"), gh_span_str("application/json") },
        { gh_span_str("content-length"), { 0 } },
    };
    int rc;

    snprintf(body, sizeof body, "{\"error\":\"%u\",\"detail\":\"%s\"}\n", status, refusal_text(status));
    snprintf(length, sizeof length, "%zu", strlen(body));
    fields[1].value = gh_span_str(length);
    c->keep_alive = false;
    c->out_chunked = false;
    rc = emit_head(c, status, fields, 2, false);
    if (rc == 0 && !c->is_head)
        rc = gh_http1_answer_raw(c, gh_span_str(body));
    return rc;
}
