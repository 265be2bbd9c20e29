/* A server of HTTP/1.1 and clients beside it, for its tests. */
#ifndef GH_TESTS_HTTP1_WORLD_H
#define GH_TESTS_HTTP1_WORLD_H

#include "net/http1_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "loop/worker.h"

#include "../test.h"

#define STREAM_BYTES (2u << 20)

/* A world of one worker: the server, and clients that are polled beside it, so nothing waits for time to pass. */
struct world {
    struct gh_workers *workers;
    struct gh_worker *worker;
    struct gh_deadline watchdog;
    struct gh_http1_server *server;
    uint16_t port;
    char dir[32], path[64];

    char log[512];              /* "GET /path;" for each request */
    struct gh_http_peer peer;   /* of the last one */
    struct gh_http_stream *held; /* by /hang */
    size_t sent;                /* by /stream */
    unsigned agains, closed;
    uint64_t code;              /* of the last on_closed */
    int results[8];
    char echo[64];
    size_t echo_len;
};

struct client {
    struct gh_poll *poll;
    int fd;
    char *buf;
    size_t len, cap;
    bool eof, reset;
};

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct world *w = arg;

    w->closed++;
    w->code = code;
    if (w->held == s)
        w->held = NULL;
}

static void echo_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct world *w = arg;

    if (w->echo_len + data.len <= sizeof w->echo && data.len > 0) {
        memcpy(w->echo + w->echo_len, data.data, data.len);
        w->echo_len += data.len;
    }
    if (end)
        gh_http_respond_text(s, 200, "text/plain", gh_span_of(w->echo, w->echo_len));
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)("0123456789abcdef"[(i * 7 + i / 999) % 16]);
}

static void stream_more(void *arg, struct gh_http_stream *s)
{
    struct world *w = arg;

    while (w->sent < STREAM_BYTES) {
        uint8_t piece[5000];
        size_t len = STREAM_BYTES - w->sent < sizeof piece ? STREAM_BYTES - w->sent : sizeof piece;
        int rc;

        for (size_t i = 0; i < len; i++)
            piece[i] = pattern(w->sent + i);
        rc = gh_http_send(s, gh_span_of(piece, len), w->sent + len == STREAM_BYTES);
        if (rc == GH_ERR_AGAIN) {
            w->agains++;
            return;
        }
        assert_int_equal(rc, 0);
        w->sent += len;
    }
}

static const struct gh_http_events hang_events = { .on_closed = on_closed };
static const struct gh_http_events echo_events = { .on_body = echo_body, .on_closed = on_closed };
static const struct gh_http_events stream_events = { .on_writable = stream_more, .on_closed = on_closed };

static void try_rules(struct world *w, struct gh_http_stream *s)
{
    struct gh_http_field length = { gh_span_str("content-length"), gh_span_str("3") };
    struct gh_http_field split = { gh_span_str("x"), gh_span_str("a\r\ny: b") };
    int n = 0;

    w->results[n++] = gh_http_send(s, gh_span_str("early"), false);
    w->results[n++] = gh_http_respond(s, 101, NULL, 0, false);
    w->results[n++] = gh_http_respond(s, 200, &length, 1, true);
    w->results[n++] = gh_http_respond(s, 200, &split, 1, true);
    w->results[n++] = gh_http_respond(s, 200, &length, 1, false);
    w->results[n++] = gh_http_respond(s, 200, NULL, 0, false);
    w->results[n++] = gh_http_send(s, gh_span_str("ab"), true);
    w->results[n++] = gh_http_send(s, gh_span_str("abc"), true);
}

static void on_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct world *w = arg;
    char path[32];

    w->peer = *gh_http_peer(s);
    snprintf(path, sizeof path, "%.*s", (int)head->path.len, (const char *)head->path.data);
    snprintf(w->log + strlen(w->log), sizeof w->log - strlen(w->log), "%.*s %s;", (int)head->method.len,
             (const char *)head->method.data, path);
    s->arg = w;
    if (strcmp(path, "/echo") == 0) {
        w->echo_len = 0;
        s->events = &echo_events;
    } else if (strcmp(path, "/hang") == 0) {
        s->events = &hang_events;
        w->held = s;
    } else if (strcmp(path, "/stream") == 0) {
        s->events = &stream_events;
        w->sent = 0;
        assert_int_equal(gh_http_respond(s, 200, NULL, 0, false), 0);
        stream_more(w, s);
    } else if (strcmp(path, "/rules") == 0) {
        try_rules(w, s);
    } else if (strcmp(path, "/forgotten") != 0) {
        gh_http_respond_text(s, 200, "text/plain", gh_span_str(path));
    }
}

static void on_watchdog(void *arg, int64_t now)
{
    (void)arg;
    (void)now;
    fail_msg("nothing happened for too long");
}

static struct world *world_open(const struct gh_http1_config *config)
{
    struct gh_http1_config defaults = { 0 };
    struct gh_workers_config one = { .count = 1 };
    struct world *w = calloc(1, sizeof *w);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    socklen_t len = sizeof in;
    int fd;

    assert_non_null(w);
    assert_int_equal(gh_workers_create(&one, &w->workers), 0);
    w->worker = gh_workers_at(w->workers, 0);
    gh_deadline_init(&w->watchdog, on_watchdog, w);
    assert_int_equal(gh_http1_server_create(w->worker, config ? config : &defaults, (struct gh_http_handler){ on_request, w },
                                            &w->server), 0);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    w->port = ntohs(in.sin_port);
    assert_int_equal(gh_http1_server_listen(w->server, fd), 0);

    strcpy(w->dir, "/tmp/gh-http1-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/sock", w->dir);
    strcpy(un.sun_path, w->path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(gh_http1_server_listen(w->server, fd), 0);
    return w;
}

static void world_close(struct world *w)
{
    gh_http1_server_destroy(w->server);
    gh_worker_deadline_stop(w->worker, &w->watchdog);
    gh_workers_destroy(w->workers);
    unlink(w->path);
    rmdir(w->dir);
    free(w);
}

static void on_client(void *arg, int events)
{
    struct client *c = arg;
    ssize_t n;

    if (events & GH_POLL_ERROR) {
        c->reset = c->eof = true;
        gh_poll_change(c->poll, 0);
        return;
    }
    if (c->cap - c->len < 70000) {
        c->cap = c->cap * 2 + 140000;
        c->buf = realloc(c->buf, c->cap);
        assert_non_null(c->buf);
    }
    n = recv(c->fd, c->buf + c->len, 65536, MSG_DONTWAIT);
    if (n > 0)
        c->len += (size_t)n;
    else if (n == 0 || errno != EAGAIN) {
        c->reset = n < 0;
        c->eof = true;
        gh_poll_change(c->poll, 0);
    }
    c->buf[c->len] = 0;
}

/* Reads from the start unless <deaf>. */
static struct client *client_attach(struct world *w, int fd, bool deaf)
{
    struct client *c = calloc(1, sizeof *c);

    assert_non_null(c);
    c->fd = fd;
    c->buf = calloc(1, 1);
    c->cap = 1;
    assert_int_equal(gh_poll_open(w->worker, fd, deaf ? 0 : GH_POLL_READ, on_client, c, &c->poll), 0);
    return c;
}

static struct client *client_open(struct world *w)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(w->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return client_attach(w, fd, false);
}

static void client_close(struct client *c)
{
    gh_poll_close(c->poll);
    close(c->fd);
    free(c->buf);
    free(c);
}

static void done(struct world *w, struct client *c)
{
    client_close(c);
    world_close(w);
}

static void client_send(struct client *c, const char *text)
{
    size_t len = strlen(text);

    assert_int_equal(send(c->fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void run_once(struct world *w)
{
    gh_worker_deadline_start(w->worker, &w->watchdog, gh_worker_now(w->worker) + INT64_C(20000000000));
    gh_worker_turn(w->worker, true);
}

/* A request that the service keeps. */
static void send_and_hold(struct world *w, struct client *c, const char *text)
{
    client_send(c, text);
    while (!w->held)
        run_once(w);
}

static void run_to_eof(struct world *w, struct client *c)
{
    while (!c->eof)
        run_once(w);
}

static void run_to_text(struct world *w, struct client *c, const char *text)
{
    while (!strstr(c->buf, text)) {
        if (c->eof)
            fail_msg("closed without \"%s\": %s", text, c->buf);
        run_once(w);
    }
}

#endif
