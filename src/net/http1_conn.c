#include "net/http1_conn.h"

#include <stdlib.h>

#include "base/error.h"

#define LINGER_MS 2000
/* What a client may still send that has not read its answer yet: if the connection ended before that, the answer would be lost with it. More than
 * the buffers on the way hold. */
#define LINGER_BYTES (64u * 1024 * 1024)
#define UNTAKEN_MAX 65536 /* bytes that a service holds before no more are read */
#define WRITE_STEP 16384 /* bytes that must go out within idle_timeout */

/* <code>: as on_closed has it. */
static void end_stream(struct gh_http1_conn *c, uint64_t code)
{
    const struct gh_http_events *events = c->stream.events;

    if (!c->open)
        return;
    c->open = false;
    c->blocked = false;
    c->untaken = 0; /* nobody takes it any more */
    c->stream.events = NULL;
    if (events && events->on_closed)
        events->on_closed(c->stream.arg, &c->stream, code);
}

void gh_http1_conn_close(struct gh_http1_conn *c)
{
    end_stream(c, c->aborted ? c->code : gh_http_code(GH_HTTP_REQUEST_CANCELLED));
    gh_list_unlink(&c->link);
    c->server->count--;
    gh_worker_deadline_stop(c->server->worker, &c->timer);
    if (c->cut)
        gh_byte_stream_reset(c->io);
    else
        gh_byte_stream_close(c->io);
    free(c->out);
    free(c);
}

/* The page is the service's; the connection ends behind it whatever it says. */
static void ask_refusal(struct gh_http1_conn *c, unsigned status)
{
    c->answered = c->answer_done = c->aborted = c->tunnel = c->offer = c->keep_alive = c->blocked = false;
    c->upgrade = NULL;
    c->stream.ops = &gh_http1_answer_ops;
    c->stream.events = NULL;
    c->open = true;
    c->server->config.on_refused(c->server->handler.arg, &c->stream, status);
    c->open = false;
    c->stream.events = NULL;
    c->closing |= !c->answer_done;
}

/* Ends the connection with <status>, after what was answered before. */
static void refuse(struct gh_http1_conn *c, unsigned status)
{
    struct gh_http1_counters *n = &c->server->counters;

    if (status == 413 || status == 431)
        n->refused_too_long++;
    else if (status != 408 && status != 500)
        n->refused_malformed++;
    if (c->server->config.on_refused)
        ask_refusal(c, status);
    else if (gh_http1_answer_refusal(c, status) < 0)
        c->closing = true;
    c->state = GH_HTTP1_FLUSH;
}

/* The stream fails: with a refusal when the answer has not begun, else by cutting it short. */
static void fail_request(struct gh_http1_conn *c, unsigned status, enum gh_http_reset why)
{
    bool answered = c->answered;

    end_stream(c, gh_http_code(why));
    if (answered)
        c->closing = true;
    else
        refuse(c, status);
}

static void flush(struct gh_http1_conn *c)
{
    while (c->out_len > 0 && !c->closing) {
        ssize_t n = gh_byte_stream_write(c->io, gh_span_of(c->out + c->out_at, c->out_len));

        if (n == 0)
            return;
        if (n < 0) {
            c->closing = true;
            return;
        }
        c->out_at += (size_t)n;
        c->out_len -= (size_t)n;
        c->written += (size_t)n;
        c->pieces++;
    }
    if (c->out_len == 0)
        c->out_at = 0;
}

/* Never more than there is room for: nothing is read while GH_HTTP1_IN_MAX or more wait. */
static void keep_bytes(struct gh_http1_conn *c, struct gh_span data)
{
    if (c->in_at > 0)
        memmove(c->in, c->in + c->in_at, c->in_len);
    c->in_at = 0;
    if (data.len > sizeof c->in - c->in_len) {
        c->closing = true;
        return;
    }
    memcpy(c->in + c->in_len, data.data, data.len);
    c->in_len += data.len;
}

static struct gh_span buffered(const struct gh_http1_conn *c)
{
    return gh_span_of(c->in + c->in_at, c->in_len);
}

static void set_buffered(struct gh_http1_conn *c, struct gh_span left)
{
    c->in_at += c->in_len - left.len;
    c->in_len = left.len;
}

static void tell_body(struct gh_http1_conn *c, struct gh_span data, bool end)
{
    c->body_done = end;
    if (c->held)
        c->untaken += data.len;
    if (c->open && c->stream.events && c->stream.events->on_body && !c->aborted)
        c->stream.events->on_body(c->stream.arg, &c->stream, data, end);
}

/* The token of an upgrade that this server may accept, else NULL (RFC 9484, section 4.2; RFC 6455, section 4.1). */
static const char *find_upgrade(const struct gh_http1_conn *c, const struct gh_h1_head *h1)
{
    if (!h1->upgrade.len || !gh_span_equals(h1->method, gh_span_str("GET")) || h1->framing != GH_H1_BODY_NONE)
        return NULL;
    for (const char *const *token = c->server->config.upgrades; token && *token; token++)
        if (gh_h1_list_has(h1->upgrade, *token))
            return *token;
    return NULL;
}

static void call_handler(struct gh_http1_conn *c, const struct gh_h1_head *h1)
{
    struct gh_http_field fields[GH_H1_FIELDS_MAX];
    struct gh_http_head head = {
        .method = c->upgrade ? gh_span_str("CONNECT") : h1->method,
        .scheme = h1->scheme.len ? h1->scheme : gh_span_str(c->io->secure ? "https" : "http"),
        .authority = h1->authority,
        .path = h1->path,
        .protocol = gh_span_str(c->upgrade ? c->upgrade : ""),
        .fields = fields,
        .field_count = h1->field_count,
    };

    for (size_t i = 0; i < h1->field_count; i++)
        fields[i] = (struct gh_http_field){ h1->fields[i].name, h1->fields[i].value };
    c->stream.ops = &gh_http1_answer_ops;
    c->stream.events = NULL;
    c->stream.arg = NULL;
    c->server->handler.on_request(c->server->handler.arg, &c->stream, &head);
}

/* What is known of a request before the handler has it. */
static void note_request(struct gh_http1_conn *c, const struct gh_h1_head *head)
{
    c->is_head = gh_span_equals(head->method, gh_span_str("HEAD"));
    c->upgrade = find_upgrade(c, head);
    c->offer = c->upgrade || gh_span_equals(head->method, gh_span_str("CONNECT"));
    c->old = head->minor == 0;
    c->keep_alive = head->keep_alive;
    c->framing = head->framing;
    c->body_left = head->content_length;
    c->body_seen = 0;
    c->chunked = (struct gh_h1_chunked){ 0 };
    c->body_done = head->framing == GH_H1_BODY_NONE;
    c->expects_continue = head->expect == GH_H1_EXPECT_CONTINUE && !c->body_done;
    c->answered = c->answer_done = c->aborted = c->blocked = c->tunnel = c->held = false;
    c->untaken = 0;
}

static void start_request(struct gh_http1_conn *c, const struct gh_h1_head *head)
{
    c->server->counters.requests++;
    c->served = true;
    gh_worker_deadline_stop(c->server->worker, &c->timer); /* what comes next has its own time, also when it is another head at once */
    c->wait = GH_HTTP1_WAIT_NONE;
    note_request(c, head);
    if (head->expect == GH_H1_EXPECT_UNKNOWN) {
        refuse(c, 417);
        return;
    }
    if (head->framing == GH_H1_BODY_LENGTH && head->content_length > c->server->config.body_max) {
        refuse(c, 413);
        return;
    }
    c->state = GH_HTTP1_REQUEST;
    c->open = true;
    call_handler(c, head);
    if (!c->stream.events && !c->answer_done && !c->aborted) {
        /* against the contract of gh_http_handler: nobody will ever finish this */
        fail_request(c, 500, GH_HTTP_INTERNAL_ERROR);
        return;
    }
    if (c->expects_continue && !c->answered && gh_http1_answer_raw(c, gh_span_str("HTTP/1.1 100 Continue\r\n\r\n")) < 0)
        c->closing = true;
    if (c->body_done && !c->offer)
        tell_body(c, gh_span_of(NULL, 0), true);
}

/* True when something was done. */
static bool step_head(struct gh_http1_conn *c)
{
    struct gh_span in = buffered(c);
    struct gh_h1_head head;
    int rc;

    if (c->server->draining && !gh_h1_reader_started(&c->reader) && in.len == 0) {
        c->state = GH_HTTP1_FLUSH;
        return true;
    }
    if (c->out_len > c->server->config.out_max / 2)
        return false; /* who does not take answers gets no more of them */
    rc = gh_h1_head_feed(&c->reader, &in, &head);
    set_buffered(c, in);
    if (rc < 0) {
        c->is_head = false;
        refuse(c, gh_h1_refusal(rc));
        return true;
    }
    if (rc == 0) {
        if (c->eof)
            c->state = GH_HTTP1_FLUSH;
        return c->eof;
    }
    start_request(c, &head);
    gh_h1_reader_reset(&c->reader, GH_H1_REQUEST);
    return true;
}

static bool step_body(struct gh_http1_conn *c)
{
    struct gh_span in = buffered(c), piece;
    int rc = in.len > 0;

    if (c->framing == GH_H1_BODY_LENGTH) {
        piece = gh_span_of(in.data, in.len < c->body_left ? in.len : (size_t)c->body_left);
        c->body_left -= piece.len;
        in = gh_span_of(in.data + piece.len, in.len - piece.len);
    } else {
        rc = gh_h1_chunked_next(&c->chunked, &in, &piece);
    }
    set_buffered(c, in);
    if (rc < 0) {
        fail_request(c, 400, GH_HTTP_MESSAGE_ERROR);
        return true;
    }
    if (rc == 0) {
        if (c->eof) {
            end_stream(c, gh_http_code(GH_HTTP_REQUEST_CANCELLED));
            c->closing = true;
        }
        return false;
    }
    c->body_seen += piece.len;
    if (c->body_seen > c->server->config.body_max) {
        fail_request(c, 413, GH_HTTP_EXCESSIVE_LOAD);
        return true;
    }
    tell_body(c, piece, c->framing == GH_H1_BODY_LENGTH ? c->body_left == 0 : piece.len == 0);
    return true;
}

static bool step_request(struct gh_http1_conn *c)
{
    if (c->aborted) {
        end_stream(c, c->code);
        c->closing = true;
        return false;
    }
    if (c->tunnel) {
        c->state = GH_HTTP1_TUNNEL;
        c->body_done = false;
        return true;
    }
    if (c->offer && !c->answered)
        return false; /* what the client sent too early waits */
    if (c->answer_done && (c->body_done || !c->keep_alive)) {
        end_stream(c, 0);
        c->state = c->keep_alive ? GH_HTTP1_HEAD : GH_HTTP1_FLUSH;
        return true;
    }
    return !c->body_done && step_body(c);
}

bool gh_http1_conn_may_read(const struct gh_http1_conn *c)
{
    return c->in_len < GH_HTTP1_IN_MAX && c->untaken < UNTAKEN_MAX;
}

/* Each direction ends on its own; the connection with the second. */
static bool step_tunnel(struct gh_http1_conn *c)
{
    struct gh_span in = buffered(c);

    if (c->aborted) {
        end_stream(c, c->code);
        c->closing = c->cut = true;
        return false;
    }
    if (in.len > 0 && !c->body_done) {
        c->in_at = c->in_len = 0;
        tell_body(c, in, false);
        return true;
    }
    if (c->eof && !c->body_done) {
        tell_body(c, gh_span_of(NULL, 0), true);
        return true;
    }
    if (c->answer_done && c->out_len == 0 && !c->shut) {
        c->shut = true;
        gh_byte_stream_shutdown_write(c->io);
    }
    if (c->shut && c->body_done) {
        end_stream(c, 0);
        c->closing = true;
    }
    return false;
}

static bool step_end(struct gh_http1_conn *c)
{
    c->lingered += c->in_len;
    c->in_at = c->in_len = 0;
    if (c->out_len > 0)
        return false;
    if (c->eof || c->lingered > LINGER_BYTES) {
        c->closing = true;
    } else if (c->state == GH_HTTP1_FLUSH) {
        gh_byte_stream_shutdown_write(c->io);
        c->state = GH_HTTP1_LINGER;
    }
    return false;
}

static bool step(struct gh_http1_conn *c)
{
    switch (c->state) {
    case GH_HTTP1_HEAD:
        return step_head(c);
    case GH_HTTP1_REQUEST:
        return step_request(c);
    case GH_HTTP1_TUNNEL:
        return step_tunnel(c);
    default:
        return step_end(c);
    }
}

static void set_timer(struct gh_http1_conn *c)
{
    const struct gh_http1_config *config = &c->server->config;
    enum gh_http1_wait wait = GH_HTTP1_WAIT_NONE;
    unsigned ms = 0;

    /* <blocked> with nothing left: the socket took the last byte, and says no to more */
    if (c->out_len > 0 || c->blocked) {
        wait = GH_HTTP1_WAIT_WRITE;
        ms = config->idle_timeout;
    } else if (c->state == GH_HTTP1_LINGER) {
        wait = GH_HTTP1_WAIT_LINGER;
        ms = LINGER_MS;
    } else if (c->state == GH_HTTP1_REQUEST && !c->body_done && !c->offer) {
        wait = GH_HTTP1_WAIT_BODY;
        ms = config->body_timeout;
    } else if (c->state == GH_HTTP1_HEAD) {
        bool reading = gh_h1_reader_started(&c->reader) || !c->served;

        wait = reading ? GH_HTTP1_WAIT_HEAD : GH_HTTP1_WAIT_IDLE;
        ms = reading ? config->header_timeout : config->idle_timeout;
    }
    /* Set once per wait: one byte now and then does not buy more time. */
    if (wait == c->wait && !(wait == GH_HTTP1_WAIT_WRITE && c->written >= WRITE_STEP))
        return;
    c->wait = wait;
    c->written = 0;
    if (wait == GH_HTTP1_WAIT_NONE)
        gh_worker_deadline_stop(c->server->worker, &c->timer);
    else
        gh_worker_deadline_start(c->server->worker, &c->timer, gh_worker_now(c->server->worker) + (int64_t)ms * 1000000);
}

static void set_wishes(struct gh_http1_conn *c)
{
    /* also while an answer is awaited: the next request may come in, and a reset wants to be heard of */
    gh_byte_stream_want_read(c->io, !c->eof && gh_http1_conn_may_read(c));
    if (c->out_len > 0 || c->wanted || c->blocked)
        gh_byte_stream_want_write(c->io);
}

/* A head that had to wait for room in <out> may go on. */
static bool may_go_on(const struct gh_http1_conn *c)
{
    return c->state == GH_HTTP1_HEAD && (c->in_len > 0 || c->eof) && c->out_len <= c->server->config.out_max / 2;
}

static void turn(struct gh_http1_conn *c)
{
    bool worked = true;

    c->turning = true;
    c->wanted = false;
    if (c->blocked && c->open && c->out_len <= c->server->config.out_max / 2 && !c->closing) {
        c->blocked = false;
        if (c->stream.events && c->stream.events->on_writable)
            c->stream.events->on_writable(c->stream.arg, &c->stream);
    }
    while ((worked || may_go_on(c)) && !c->closing) {
        worked = false;
        while (!c->closing && step(c))
            worked = true;
        flush(c);
        worked |= c->tunnel && c->answer_done && c->out_len == 0 && !c->shut;
    }
    c->turning = false;
    if (c->closing) {
        gh_http1_conn_close(c);
        return;
    }
    c->wanted = false;
    set_timer(c);
    set_wishes(c);
}

static void on_bytes(void *arg, struct gh_span data)
{
    struct gh_http1_conn *c = arg;

    c->turning = true;
    c->pieces++;
    flush(c);
    if (c->state == GH_HTTP1_TUNNEL && c->in_len == 0 && !c->body_done && !c->aborted)
        tell_body(c, data, false);
    else
        keep_bytes(c, data);
    turn(c);
}

static void on_end(void *arg)
{
    struct gh_http1_conn *c = arg;

    c->turning = true;
    flush(c);
    c->eof = true;
    turn(c);
}

static void on_writable(void *arg)
{
    struct gh_http1_conn *c = arg;

    c->turning = true;
    flush(c);
    turn(c);
}

static void on_broken(void *arg, int why)
{
    (void)why;
    gh_http1_conn_close(arg); /* nothing more will be read or written */
}

static const struct gh_byte_stream_events io_events = { on_bytes, on_end, on_writable, on_broken };

static void on_timer(void *arg, int64_t now)
{
    struct gh_http1_conn *c = arg;
    enum gh_http1_wait wait = c->wait;

    (void)now;
    c->wait = GH_HTTP1_WAIT_NONE;
    if (wait != GH_HTTP1_WAIT_IDLE && wait != GH_HTTP1_WAIT_LINGER)
        c->server->counters.timed_out++;
    c->turning = true;
    if (wait == GH_HTTP1_WAIT_HEAD && gh_h1_reader_started(&c->reader)) {
        c->is_head = false;
        refuse(c, 408);
    } else if (wait == GH_HTTP1_WAIT_BODY) {
        fail_request(c, 408, GH_HTTP_REQUEST_CANCELLED);
    } else {
        c->closing = true;
    }
    flush(c);
    turn(c);
}

void gh_http1_conn_want(struct gh_http1_conn *c)
{
    if (c->turning)
        return;
    c->wanted = true;
    set_wishes(c);
}

void gh_http1_conn_drain(struct gh_http1_conn *c)
{
    if (c->state == GH_HTTP1_HEAD && !gh_h1_reader_started(&c->reader) && c->in_len == 0 && c->out_len == 0)
        gh_http1_conn_close(c);
}

int gh_http1_conn_open(struct gh_http1_server *s, struct gh_byte_stream *io, const struct gh_http_peer *peer, const struct gh_http_identity *identity)
{
    struct gh_http1_conn *c = calloc(1, sizeof *c);

    if (!c) {
        gh_byte_stream_close(io);
        return GH_ERR_MEMORY;
    }
    c->server = s;
    c->io = io;
    c->peer = *peer;
    if (identity) {
        c->identity = *identity;
        c->peer.identity = c->identity.name;
        c->peer.certificate = &c->identity.certificate;
        c->peer.not_after = c->identity.not_after;
    }
    io->events = &io_events;
    io->arg = c;
    gh_deadline_init(&c->timer, on_timer, c);
    gh_h1_reader_reset(&c->reader, GH_H1_REQUEST);
    s->count++;
    gh_list_append(&s->conns, &c->link);
    set_timer(c);
    set_wishes(c);
    return 0;
}
