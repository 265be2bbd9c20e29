/* Two sets of HTTP/2, client and server, at the ends of a pipe; and one of them against hand-made bytes. */
#include "net/http2.h"

#include <stdio.h>
#include <sys/socket.h>

#include "../test.h"
#include "base/error.h"
#include "fake_bytes.h"
#include "loop/worker.h"
#include "net/http_identity.h"
#include "net/tcp_stream.h"

struct side {
    struct gh_http2 *set;
    struct fake_bytes *io;
    struct gh_http_stream *stream;
    char head[256], body[8192];
    size_t got;
    unsigned requests, answers, status, ends, closed, writables;
    uint64_t code;
    bool hold;
};

struct world {
    struct gh_workers *workers;
    struct gh_worker *worker;
    struct gh_deadline watchdog;
    struct side client, server;
    struct gh_http2_conn *conn;
    unsigned ready, goaways, conns_closed;
    uint32_t conn_code;
    unsigned answer; /* status that the server answers at once; 0: later */
    bool answer_end, echo;
    char name[32];   /* the server's peer */
};

static void on_answer(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct side *e = arg;

    (void)s;
    e->answers++;
    e->status = head->status;
}

static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct side *e = arg;

    (void)s;
    if (data.len > 0 && e->got + data.len < sizeof e->body)
        memcpy(e->body + e->got, data.data, data.len);
    e->got += data.len;
    e->ends += end;
}

static void echo_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    on_body(arg, s, data, end);
    assert_int_equal(gh_http_send(s, data, end), 0);
}

static void on_writable(void *arg, struct gh_http_stream *s)
{
    (void)s;
    ((struct side *)arg)->writables++;
}

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct side *e = arg;

    e->closed++;
    e->code = code;
    if (e->stream == s)
        e->stream = NULL;
}

static const struct gh_http_events events = { .on_answer = on_answer, .on_body = on_body, .on_writable = on_writable, .on_closed = on_closed };
static const struct gh_http_events echo_events = { .on_body = echo_body, .on_writable = on_writable, .on_closed = on_closed };

static void on_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct world *w = arg;

    w->server.requests++;
    snprintf(w->server.head, sizeof w->server.head, "%.*s|%.*s|%.*s", (int)head->method.len, (const char *)head->method.data,
             (int)head->path.len, (const char *)head->path.data, (int)head->protocol.len, (const char *)head->protocol.data);
    snprintf(w->name, sizeof w->name, "%s", gh_http_peer(s)->identity);
    s->events = w->echo ? &echo_events : &events;
    s->arg = &w->server;
    w->server.stream = s;
    w->server.got = 0;
    if (w->server.hold)
        gh_http_hold(s);
    if (w->answer)
        assert_int_equal(gh_http_respond(s, w->answer, NULL, 0, w->answer_end), 0);
}

static void on_ready(void *arg, struct gh_http2_conn *c)
{
    (void)c;
    ((struct world *)arg)->ready++;
}

static void on_goaway(void *arg, struct gh_http2_conn *c)
{
    (void)c;
    ((struct world *)arg)->goaways++;
}

static void on_conn_closed(void *arg, struct gh_http2_conn *c, uint32_t code)
{
    struct world *w = arg;

    (void)c;
    w->conn = NULL;
    w->conns_closed++;
    w->conn_code = code;
}

static const struct gh_http2_client_events client_events = { on_ready, on_goaway, on_conn_closed };
static const struct gh_http_peer nobody = { .identity = "", .uid = UINT32_MAX };

static void on_watchdog(void *arg, int64_t now)
{
    (void)arg;
    (void)now;
    fail_msg("nothing happened for too long");
}

static struct world *world_bare(const struct gh_http2_config *config)
{
    const struct gh_http2_config defaults = { 0 };
    struct gh_workers_config one = { .count = 1 };
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    assert_int_equal(gh_workers_create(&one, &w->workers), 0);
    w->worker = gh_workers_at(w->workers, 0);
    gh_deadline_init(&w->watchdog, on_watchdog, w);
    gh_worker_deadline_start(w->worker, &w->watchdog, gh_worker_now(w->worker) + INT64_C(20000000000));
    assert_int_equal(gh_http2_create(w->worker, &defaults, (struct gh_http_handler){ NULL, NULL }, &w->client.set), 0);
    assert_int_equal(gh_http2_create(w->worker, config ? config : &defaults, (struct gh_http_handler){ on_request, w }, &w->server.set), 0);
    return w;
}

/* The server alone; the test is its peer. */
static struct world *world_raw(const struct gh_http2_config *config)
{
    struct world *w = world_bare(config);

    w->server.io = fake_bytes_create();
    assert_int_equal(gh_http2_take(w->server.set, &w->server.io->base, &nobody, NULL), 0);
    return w;
}

static struct world *world_open(const struct gh_http2_config *config)
{
    struct gh_http_identity agent = { .name = "laptop" };
    struct world *w = world_bare(config);

    w->client.io = fake_bytes_create();
    w->server.io = fake_bytes_create();
    fake_bytes_join(w->client.io, w->server.io);
    assert_int_equal(gh_http2_take(w->server.set, &w->server.io->base, &nobody, &agent), 0);
    assert_int_equal(gh_http2_open(w->client.set, &w->client.io->base, &nobody, NULL, &client_events, w, &w->conn), 0);
    return w;
}

static void world_close(struct world *w)
{
    gh_http2_destroy(w->client.set);
    gh_http2_destroy(w->server.set);
    gh_worker_deadline_stop(w->worker, &w->watchdog);
    gh_workers_destroy(w->workers);
    if (w->client.io)
        fake_bytes_destroy(w->client.io);
    if (w->server.io)
        fake_bytes_destroy(w->server.io);
    free(w);
}

static bool step(struct world *w)
{
    bool told = w->client.io && fake_bytes_turn(w->client.io);

    told |= w->server.io && fake_bytes_turn(w->server.io);
    gh_worker_turn(w->worker, false);
    return told;
}

static void run(struct world *w)
{
    bool more = true;

    step(w);
    while (more)
        more = step(w);
}

static int ask(struct world *w, const char *method, const char *protocol, bool end)
{
    struct gh_http_head head = { .method = gh_span_str(method),
                                 .scheme = gh_span_str("https"),
                                 .authority = gh_span_str("a"),
                                 .path = gh_span_str("/p"),
                                 .protocol = gh_span_str(protocol) };

    assert_non_null(w->conn);
    return gh_http2_conn_request(w->conn, &head, &events, &w->client, end, &w->client.stream);
}

static void a_request_is_answered_whatever_the_pieces(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 40; piece++) {
        struct world *w = world_open(NULL);

        w->client.io->piece = w->server.io->piece = piece;
        w->answer = 200;
        w->echo = true;
        run(w);
        assert_int_equal(w->ready, 1);
        assert_int_equal(ask(w, "POST", "", false), 0);
        assert_int_equal(gh_http_send(w->client.stream, gh_span_str("hello"), true), 0);
        run(w);
        assert_string_equal(w->server.head, "POST|/p|");
        assert_string_equal(w->name, "laptop");
        assert_int_equal(w->client.status, 200);
        assert_string_equal(w->client.body, "hello");
        assert_int_equal(w->client.ends + w->server.ends, 2);
        assert_int_equal(w->client.closed + w->server.closed, 2);
        assert_int_equal(w->client.code | w->server.code, 0);
        assert_int_equal(gh_http2_counters(w->server.set)->requests, 1);
        world_close(w);
    }
}

static void datagrams_are_capsules_both_ways(void **state)
{
    struct world *w = world_open(NULL);
    uint8_t large[1502] = { 0 };

    (void)state;
    w->answer = 200;
    run(w);
    assert_int_equal(ask(w, "CONNECT", "connect-ip", false), 0);
    assert_int_equal(gh_http_send_datagram(w->client.stream, gh_span_str("\x01""abc"), 1), 0); /* need not wait for the answer */
    run(w);
    assert_string_equal(w->server.head, "CONNECT|/p|connect-ip");
    assert_int_equal(gh_http_datagram_max(w->server.stream), 1501);
    assert_int_equal(gh_http_send_datagram(w->server.stream, gh_span_str("\x02xyz"), 1), 0);
    assert_int_equal(gh_http_send_datagram(w->server.stream, gh_span_of(large, sizeof large), 1), GH_ERR_TOO_LONG);
    run(w);
    assert_int_equal(w->server.got, 6);
    assert_memory_equal(w->server.body, "\x00\x04\x01""abc", 6);
    assert_int_equal(w->client.got, 6);
    assert_memory_equal(w->client.body, "\x00\x04\x02xyz", 6);
    world_close(w);
}

static void what_is_no_capsule_tunnel_has_no_datagrams(void **state)
{
    static const char *const rows[][2] = { { "GET", "" }, { "CONNECT", "websocket" } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = world_open(NULL);

        w->answer = 200;
        run(w);
        assert_int_equal(ask(w, rows[i][0], rows[i][1], false), 0);
        run(w);
        assert_int_equal(gh_http_datagram_max(w->server.stream), 0);
        assert_int_equal(gh_http_send_datagram(w->server.stream, gh_span_str("x"), 1), GH_ERR_UNSUPPORTED);
        assert_int_equal(gh_http_send_datagram(w->client.stream, gh_span_str("x"), 1), GH_ERR_UNSUPPORTED);
        world_close(w);
    }
}

static void a_full_tunnel_drops_datagrams_before_capsules_find_no_room(void **state)
{
    struct world *w = world_open(NULL);
    uint8_t packet[1400] = { 0 };
    int rc = 0, sent = 0;

    (void)state;
    w->answer = 200;
    run(w);
    assert_int_equal(ask(w, "CONNECT", "connect-ip", false), 0);
    run(w);
    while (rc == 0) {
        rc = gh_http_send_datagram(w->client.stream, gh_span_of(packet, sizeof packet), 0);
        sent += rc == 0;
    }
    assert_int_equal(rc, GH_ERR_AGAIN);
    assert_in_range(sent, 30, 36);
    assert_int_equal(gh_http_send(w->client.stream, gh_span_of(packet, sizeof packet), false), 0);
    assert_int_equal(w->client.writables, 0);
    run(w);
    assert_int_equal(w->client.writables, 1);
    assert_int_equal(w->server.got, (size_t)sent * 1403 + 1400);
    world_close(w);
}

/* RFC 9114, section 8.1 */
static void reasons_cross_by_name(void **state)
{
    static const struct {
        enum gh_http_reset why;
        uint64_t code;
    } rows[] = {
        { GH_HTTP_CONNECT_ERROR, 0x10f },
        { GH_HTTP_REQUEST_CANCELLED, 0x10c },
        { GH_HTTP_REQUEST_REJECTED, 0x10b },
        { GH_HTTP_MESSAGE_ERROR, 0x10e },
        { GH_HTTP_DATAGRAM_ERROR, 0x10e }, /* HTTP/2 has one code for both */
        { GH_HTTP_EXCESSIVE_LOAD, 0x107 },
        { GH_HTTP_INTERNAL_ERROR, 0x102 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = world_open(NULL);

        w->answer = 200;
        run(w);
        assert_int_equal(ask(w, "CONNECT", "connect-ip", false), 0);
        run(w);
        gh_http_reset(w->server.stream, rows[i].why);
        run(w);
        assert_int_equal(w->client.closed, 1);
        assert_int_equal(w->client.code, rows[i].code);
        assert_int_equal(gh_http2_connections(w->client.set), 1);
        world_close(w);
    }
}

static void who_holds_a_stream_holds_back_the_peer(void **state)
{
    struct world *w = world_open(NULL);
    static uint8_t piece[65536];
    size_t sent = 0;

    (void)state;
    w->answer = 200;
    w->server.hold = true;
    run(w);
    assert_int_equal(ask(w, "CONNECT", "connect-ip", false), 0);
    run(w);
    while (gh_http_send(w->client.stream, gh_span_of(piece, sizeof piece), false) == 0 && sent < 10000000) {
        sent += sizeof piece;
        run(w);
    }
    assert_int_equal(w->server.got, 1u << 20);
    assert_in_range(sent, 1u << 20, (1u << 20) + 400000);
    gh_http_consume(w->server.stream, 1u << 20);
    run(w);
    assert_int_equal(w->server.got, sent);
    assert_int_equal(w->client.writables, 1);
    world_close(w);
}

static void a_slow_byte_stream_is_filled_again_when_it_has_room(void **state)
{
    struct world *w = world_open(NULL);
    static uint8_t body[200000];

    (void)state;
    w->answer = 200;
    run(w);
    assert_int_equal(ask(w, "POST", "", false), 0);
    run(w);
    w->client.io->room = 1000;
    assert_int_equal(gh_http_send(w->client.stream, gh_span_of(body, sizeof body), true), 0);
    run(w);
    assert_int_equal(w->server.got, sizeof body);
    assert_int_equal(w->server.ends, 1);
    world_close(w);
}

static void draining_serves_what_runs_and_closes_then(void **state)
{
    struct world *w = world_open(NULL);

    (void)state;
    w->answer = 200;
    run(w);
    assert_int_equal(ask(w, "CONNECT", "connect-ip", false), 0);
    run(w);
    gh_http2_drain(w->server.set);
    run(w);
    assert_int_equal(w->goaways, 1);
    assert_int_equal(ask(w, "GET", "", true), GH_ERR_STATE);
    assert_int_equal(gh_http_send(w->server.stream, gh_span_str("still"), true), 0);
    run(w);
    assert_string_equal(w->client.body, "still");
    assert_int_equal(w->conns_closed, 0);
    assert_int_equal(gh_http_send(w->client.stream, gh_span_str("here"), true), 0);
    run(w);
    assert_int_equal(w->client.closed + w->server.closed, 2);
    assert_int_equal(w->client.code | w->server.code, 0);
    assert_int_equal(w->conns_closed, 1);
    assert_int_equal(w->conn_code, 0);
    assert_int_equal(gh_http2_connections(w->server.set), 0);
    world_close(w);
}

static void a_set_that_drains_or_is_full_takes_no_more(void **state)
{
    struct gh_http2_config one = { .connections_max = 1 };
    struct world *w = world_raw(&one);
    struct fake_bytes *second = fake_bytes_create(), *third = fake_bytes_create();

    (void)state;
    assert_int_equal(gh_http2_take(w->server.set, &second->base, &nobody, NULL), GH_ERR_FULL);
    gh_http2_drain(w->server.set);
    assert_int_equal(gh_http2_take(w->server.set, &third->base, &nobody, NULL), GH_ERR_STATE);
    assert_int_equal(gh_http2_counters(w->server.set)->refused_connections, 2);
    fake_bytes_destroy(second);
    fake_bytes_destroy(third);
    world_close(w);
}

static void closing_a_connection_cancels_its_streams(void **state)
{
    struct world *w = world_open(NULL);

    (void)state;
    w->answer = 200;
    run(w);
    assert_int_equal(ask(w, "CONNECT", "connect-ip", false), 0);
    run(w);
    assert_ptr_equal(gh_http2_conn_of(w->client.stream), w->conn);
    gh_http2_conn_close(w->conn);
    assert_int_equal(w->conns_closed, 0);
    run(w);
    assert_int_equal(w->conns_closed, 1);
    assert_int_equal(w->client.closed + w->server.closed, 2);
    assert_int_equal(w->client.code, 0x10c);
    assert_int_equal(w->server.code, 0x10c);
    world_close(w);
}

static void destroying_tells_open_streams(void **state)
{
    struct world *w = world_open(NULL);

    (void)state;
    w->answer = 200;
    run(w);
    assert_int_equal(ask(w, "CONNECT", "connect-ip", false), 0);
    run(w);
    gh_http2_destroy(w->server.set);
    w->server.set = NULL;
    assert_int_equal(w->server.closed, 1);
    run(w);
    assert_int_equal(w->client.closed, 1);
    assert_int_equal(w->conns_closed, 1);
    world_close(w);
}

static void a_broken_byte_stream_ends_its_connection(void **state)
{
    struct world *w = world_open(NULL);

    (void)state;
    w->answer = 200;
    run(w);
    assert_int_equal(ask(w, "CONNECT", "connect-ip", false), 0);
    run(w);
    w->client.io->base.events->on_closed(w->client.io->base.arg, GH_ERR_CLOSED);
    gh_worker_turn(w->worker, false);
    assert_int_equal(w->conns_closed, 1);
    assert_int_equal(w->client.closed, 1);
    assert_true(w->client.io->closed);
    world_close(w);
}

static void feed(struct world *w, const void *bytes, size_t len)
{
    fake_bytes_feed(w->server.io, gh_span_of(bytes, len));
    run(w);
}

static void an_error_is_said_before_the_connection_closes(void **state)
{
    struct world *w = world_raw(NULL);
    size_t at;

    (void)state;
    feed(w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", 33);
    assert_false(w->server.io->shut);
    feed(w, "\0\0\0\x05\x04\0\0\0\x01", 9); /* PUSH_PROMISE */
    assert_true(w->server.io->shut);
    assert_false(w->server.io->closed); /* or the reset of what still comes in would take the words away */
    assert_true(w->server.io->out_len > 17);
    at = w->server.io->out_len;
    while (at >= 17 && memcmp(w->server.io->out + at - 14, "\x07\0\0\0\0\0", 6) != 0)
        at--;
    assert_true(at >= 17); /* GOAWAY */
    feed(w, "whatever", 8);
    w->server.io->end = true;
    run(w);
    assert_true(w->server.io->closed);
    assert_int_equal(gh_http2_connections(w->server.set), 0);
    assert_int_equal(gh_http2_counters(w->server.set)->broken, 1);
    world_close(w);
}

static void run_until_closed(struct world *w)
{
    while (!w->server.io->closed) {
        step(w);
        if (w->server.io->shut)
            w->server.io->end = true;
        gh_worker_turn(w->worker, true);
    }
}

static void who_sends_no_settings_is_closed(void **state)
{
    struct gh_http2_config config = { .settings_timeout = 20 };
    struct world *w = world_raw(&config);

    (void)state;
    feed(w, "PRI * HTTP/2.0", 14);
    run_until_closed(w);
    assert_int_equal(gh_http2_counters(w->server.set)->timed_out, 1);
    world_close(w);
}

#define GREETING "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0"
#define GET_A "\0\0\x06\x01\x05\0\0\0\x01\x82\x87\x84\x41\x01""a"

static void an_idle_connection_is_closed_in_order(void **state)
{
    struct gh_http2_config config = { .idle_timeout = 20 };
    struct world *w = world_raw(&config);

    (void)state;
    feed(w, GREETING, sizeof GREETING - 1);
    run_until_closed(w);
    assert_true(w->server.io->shut);
    assert_int_equal(gh_http2_counters(w->server.set)->timed_out, 0);
    assert_int_equal(gh_http2_counters(w->server.set)->broken, 0);
    world_close(w);
}

static void a_silent_peer_with_streams_is_asked_first(void **state)
{
    struct gh_http2_config config = { .idle_timeout = 20, .ping_timeout = 20 };
    struct world *w = world_raw(&config);
    size_t before;

    (void)state;
    feed(w, GREETING GET_A, sizeof GREETING - 1 + 15);
    assert_int_equal(w->server.requests, 1);
    before = w->server.io->out_len;
    run_until_closed(w);
    assert_int_equal(w->server.io->out_len, before + 17); /* one PING */
    assert_int_equal(w->server.closed, 1);
    assert_int_equal(gh_http2_counters(w->server.set)->timed_out, 1);
    world_close(w);
}

static void a_peer_that_answers_the_ping_stays(void **state)
{
    struct gh_http2_config config = { .idle_timeout = 10, .ping_timeout = 10000 };
    struct world *w = world_raw(&config);

    (void)state;
    feed(w, GREETING GET_A, sizeof GREETING - 1 + 15);
    for (int i = 0; i < 5; i++) {
        size_t before = w->server.io->out_len;

        while (w->server.io->out_len == before)
            gh_worker_turn(w->worker, true);
        assert_int_equal(w->server.io->out_len, before + 17);
        feed(w, "\0\0\x08\x06\x01\0\0\0\0\0\0\0\0\0\0\0\0", 17);
    }
    assert_int_equal(gh_http2_connections(w->server.set), 1);
    world_close(w);
}

static void a_peer_that_takes_nothing_is_cut(void **state)
{
    struct gh_http2_config config = { .write_timeout = 20 };
    struct world *w = world_raw(&config);

    (void)state;
    w->server.io->room = 5;
    feed(w, GREETING GET_A, sizeof GREETING - 1 + 15);
    run_until_closed(w);
    assert_int_equal(w->server.closed, 1);
    assert_int_equal(gh_http2_counters(w->server.set)->timed_out, 1);
    world_close(w);
}

/* The same over a pair of sockets. */
static void sockets_carry_a_long_body_both_ways(void **state)
{
    struct world *w = world_bare(NULL);
    struct gh_byte_stream *ends[2];
    static uint8_t piece[50000];
    size_t sent = 0;
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(gh_tcp_stream_create(w->worker, fds[0], gh_span_of(NULL, 0), &ends[0]), 0);
    assert_int_equal(gh_tcp_stream_create(w->worker, fds[1], gh_span_of(NULL, 0), &ends[1]), 0);
    assert_int_equal(gh_http2_take(w->server.set, ends[0], &nobody, NULL), 0);
    assert_int_equal(gh_http2_open(w->client.set, ends[1], &nobody, NULL, &client_events, w, &w->conn), 0);
    w->answer = 200;
    while (!w->ready)
        gh_worker_turn(w->worker, true);
    assert_int_equal(ask(w, "CONNECT", "connect-ip", false), 0);
    while (w->client.status == 0)
        gh_worker_turn(w->worker, true);
    while (w->server.got < 5000000 || w->client.got < 5000000) {
        if (sent < 5000000 && gh_http_send(w->client.stream, gh_span_of(piece, sizeof piece), false) == 0 &&
            gh_http_send(w->server.stream, gh_span_of(piece, sizeof piece), false) == 0)
            sent += sizeof piece;
        gh_worker_turn(w->worker, w->server.got < sent || w->client.got < sent);
    }
    assert_int_equal(w->server.got, 5000000);
    world_close(w);
}

#define T cmocka_unit_test

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_request_is_answered_whatever_the_pieces),
        T(datagrams_are_capsules_both_ways),
        T(what_is_no_capsule_tunnel_has_no_datagrams),
        T(a_full_tunnel_drops_datagrams_before_capsules_find_no_room),
        T(reasons_cross_by_name),
        T(who_holds_a_stream_holds_back_the_peer),
        T(a_slow_byte_stream_is_filled_again_when_it_has_room),
        T(draining_serves_what_runs_and_closes_then),
        T(a_set_that_drains_or_is_full_takes_no_more),
        T(closing_a_connection_cancels_its_streams),
        T(destroying_tells_open_streams),
        T(a_broken_byte_stream_ends_its_connection),
        T(an_error_is_said_before_the_connection_closes),
        T(who_sends_no_settings_is_closed),
        T(an_idle_connection_is_closed_in_order),
        T(a_silent_peer_with_streams_is_asked_first),
        T(a_peer_that_answers_the_ping_stays),
        T(a_peer_that_takes_nothing_is_cut),
        T(sockets_carry_a_long_body_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
