#include "net/http1_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

#define LINGER_MS 2000
#define LINGER_BYTES 262144
#define WRITE_STEP 16384 /* bytes that must go out within idle_timeout */

static void end_stream(struct gh_http1_conn *c, uint64_t code)
{
    const struct gh_http_events *events = c->stream.events;

    if (!c->open)
        return;
    c->open = false;
    c->blocked = false;
    c->stream.events = NULL;
    if (events && events->on_closed)
        events->on_closed(c->stream.arg, &c->stream, code);
}

void gh_http1_conn_close(struct gh_http1_conn *c)
{
    end_stream(c, c->aborted ? c->code : GH_HTTP_REQUEST_CANCELLED);
    gh_list_unlink(&c->link);
    c->server->count--;
    gh_worker_deadline_stop(c->server->worker, &c->timer);
    gh_poll_close(c->poll);
    close(c->fd);
    free(c->out);
    free(c);
}

/* Ends the connection with <status>, after what was answered before. */
static void refuse(struct gh_http1_conn *c, unsigned status)
{
    struct gh_http1_counters *n = &c->server->counters;

    if (status == 413 || status == 431)
        n->refused_too_long++;
    else if (status != 408 && status != 500)
        n->refused_malformed++;
    if (gh_http1_answer_refusal(c, status) < 0)
        c->closing = true;
    c->state = GH_HTTP1_FLUSH;
}

/* The stream fails: with a refusal when the answer has not begun, else by cutting it short. */
static void fail_request(struct gh_http1_conn *c, unsigned status, enum gh_http_reset why)
{
    bool answered = c->answered;

    end_stream(c, why);
    if (answered)
        c->closing = true;
    else
        refuse(c, status);
}

static void flush(struct gh_http1_conn *c)
{
    while (c->out_len > 0 && !c->closing) {
        ssize_t n = send(c->fd, c->out + c->out_at, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            c->closing = true;
            return;
        }
        c->out_at += (size_t)n;
        c->out_len -= (size_t)n;
        c->written += (size_t)n;
    }
    if (c->out_len == 0)
        c->out_at = 0;
}

static void read_some(struct gh_http1_conn *c)
{
    ssize_t n;

    if (c->in_at > 0) {
        memmove(c->in, c->in + c->in_at, c->in_len);
        c->in_at = 0;
    }
    if (c->in_len == sizeof c->in)
        return;
    n = recv(c->fd, c->in + c->in_len, sizeof c->in - c->in_len, MSG_DONTWAIT);
    if (n > 0)
        c->in_len += (size_t)n;
    else if (n == 0)
        c->eof = true;
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        c->closing = true;
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
    if (c->open && c->stream.events && c->stream.events->on_body && !c->aborted)
        c->stream.events->on_body(c->stream.arg, &c->stream, data, end);
}

static void call_handler(struct gh_http1_conn *c, const struct gh_h1_head *h1)
{
    struct gh_http_field fields[GH_H1_FIELDS_MAX];
    struct gh_http_head head = {
        .method = h1->method,
        .scheme = h1->scheme.len ? h1->scheme : gh_span_str("http"),
        .authority = h1->authority,
        .path = h1->path,
        .protocol = h1->upgrade,
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

static void start_request(struct gh_http1_conn *c, const struct gh_h1_head *head)
{
    c->server->counters.requests++;
    c->served = true;
    gh_worker_deadline_stop(c->server->worker, &c->timer); /* what comes next has its own time, also when it is another head at once */
    c->wait = GH_HTTP1_WAIT_NONE;
    c->is_head = gh_span_equals(head->method, gh_span_str("HEAD"));
    c->is_connect = gh_span_equals(head->method, gh_span_str("CONNECT"));
    c->old = head->minor == 0;
    c->keep_alive = head->keep_alive;
    if (head->expect == GH_H1_EXPECT_UNKNOWN) {
        refuse(c, 417);
        return;
    }
    if (head->framing == GH_H1_BODY_LENGTH && head->content_length > c->server->config.body_max) {
        refuse(c, 413);
        return;
    }
    c->framing = head->framing;
    c->body_left = head->content_length;
    c->body_seen = 0;
    c->chunked = (struct gh_h1_chunked){ 0 };
    c->body_done = head->framing == GH_H1_BODY_NONE;
    c->expects_continue = head->expect == GH_H1_EXPECT_CONTINUE && !c->body_done;
    c->answered = c->answer_done = c->aborted = c->blocked = false;
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
    if (c->body_done)
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
            end_stream(c, GH_HTTP_REQUEST_CANCELLED);
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
    if (c->answer_done && (c->body_done || !c->keep_alive)) {
        end_stream(c, 0);
        c->state = c->keep_alive ? GH_HTTP1_HEAD : GH_HTTP1_FLUSH;
        return true;
    }
    return !c->body_done && step_body(c);
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
        shutdown(c->fd, SHUT_WR);
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
    } else if (c->state == GH_HTTP1_REQUEST && !c->body_done) {
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

static void set_poll(struct gh_http1_conn *c)
{
    int mask = 0;

    /* also while an answer is awaited: the next request may come in, and a reset wants to be heard of */
    if (!c->eof && c->in_len < sizeof c->in)
        mask |= GH_POLL_READ;
    if (c->out_len > 0 || c->wanted || c->blocked)
        mask |= GH_POLL_WRITE;
    if (mask == c->mask)
        return;
    c->mask = mask;
    gh_poll_change(c->poll, mask);
}

/* A head that had to wait for room in <out> may go on. */
static bool may_go_on(const struct gh_http1_conn *c)
{
    return c->state == GH_HTTP1_HEAD && (c->in_len > 0 || c->eof) && c->out_len <= c->server->config.out_max / 2;
}

static void turn(struct gh_http1_conn *c, int events)
{
    bool worked = true;

    c->turning = true;
    c->wanted = false;
    flush(c);
    if (events & GH_POLL_READ)
        read_some(c);
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
    }
    c->turning = false;
    if (c->closing) {
        gh_http1_conn_close(c);
        return;
    }
    c->wanted = false;
    set_timer(c);
    set_poll(c);
}

static void on_poll(void *arg, int events)
{
    struct gh_http1_conn *c = arg;

    if (events & GH_POLL_ERROR) /* nothing more will be read or written */
        gh_http1_conn_close(c);
    else
        turn(c, events);
}

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
    turn(c, 0);
}

void gh_http1_conn_want(struct gh_http1_conn *c)
{
    if (c->turning)
        return;
    c->wanted = true;
    set_poll(c);
}

void gh_http1_conn_drain(struct gh_http1_conn *c)
{
    if (c->state == GH_HTTP1_HEAD && !gh_h1_reader_started(&c->reader) && c->in_len == 0 && c->out_len == 0)
        gh_http1_conn_close(c);
}

int gh_http1_conn_open(struct gh_http1_server *s, int fd, const struct gh_http_peer *peer)
{
    struct gh_http1_conn *c = calloc(1, sizeof *c);
    int rc;

    if (!c) {
        close(fd);
        return GH_ERR_MEMORY;
    }
    c->server = s;
    c->fd = fd;
    c->peer = *peer;
    c->mask = GH_POLL_READ;
    gh_deadline_init(&c->timer, on_timer, c);
    gh_h1_reader_reset(&c->reader, GH_H1_REQUEST);
    rc = gh_poll_open(s->worker, fd, c->mask, on_poll, c, &c->poll);
    if (rc < 0) {
        close(fd);
        free(c);
        return rc;
    }
    s->count++;
    gh_list_append(&s->conns, &c->link);
    set_timer(c);
    set_poll(c);
    return 0;
}
