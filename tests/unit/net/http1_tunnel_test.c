/* Tunnels over HTTP/1, the server and then the client: RFC 9484 section 4.2, RFC 6455 section 4, RFC 9110 sections 7.8 and 9.3.6, RFC 9297 section 3.5. */
#include <stdio.h>

#include "../test.h"
#include "base/error.h"
#include "fake_bytes.h"
#include "loop/worker.h"
#include "net/http1_server.h"
#include "net/http1_tunnel.h"

struct world {
    struct gh_workers *workers;
    struct gh_worker *worker;
    struct gh_http1_server *server;
    struct fake_bytes *io;
    struct gh_http_stream *stream;
    unsigned status; /* to answer at once; 0: later */
    bool end, hold;
    char head[256], body[4096];
    size_t got;
    unsigned requests, ends, closed, writables;
    uint64_t code;
};

static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct world *w = arg;

    (void)s;
    assert_true(w->got + data.len < sizeof w->body);
    if (data.len > 0)
        memcpy(w->body + w->got, data.data, data.len);
    w->got += data.len;
    w->ends += end;
}

static void on_writable(void *arg, struct gh_http_stream *s)
{
    (void)s;
    ((struct world *)arg)->writables++;
}

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct world *w = arg;

    (void)s;
    w->closed++;
    w->code = code;
    w->stream = NULL;
}

static const struct gh_http_events events = { .on_body = on_body, .on_writable = on_writable, .on_closed = on_closed };

static void on_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct world *w = arg;
    struct gh_http_field capsules = { gh_span_str("capsule-protocol"), gh_span_str("?1") };

    w->requests++;
    snprintf(w->head, sizeof w->head, "%.*s|%.*s|%.*s|%.*s", (int)head->method.len, (const char *)head->method.data, (int)head->scheme.len,
             (const char *)head->scheme.data, (int)head->path.len, (const char *)head->path.data, (int)head->protocol.len,
             (const char *)head->protocol.data);
    s->events = &events;
    s->arg = w;
    w->stream = s;
    if (w->hold)
        gh_http_hold(s);
    if (w->status)
        assert_int_equal(gh_http_respond(s, w->status, &capsules, 1, w->end), 0);
}

static struct world *world_open(void)
{
    static const char *const upgrades[] = { "connect-ip", "websocket", NULL };
    struct gh_http1_config config = { .upgrades = upgrades, .body_max = 100 };
    struct gh_http_peer peer = { .identity = "", .uid = UINT32_MAX };
    struct gh_workers_config one = { .count = 1 };
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    assert_int_equal(gh_workers_create(&one, &w->workers), 0);
    w->worker = gh_workers_at(w->workers, 0);
    assert_int_equal(gh_http1_server_create(w->worker, &config, (struct gh_http_handler){ on_request, w }, &w->server), 0);
    w->io = fake_bytes_create();
    w->io->base.secure = true;
    w->status = 200;
    assert_int_equal(gh_http1_server_take(w->server, &w->io->base, &peer, NULL), 0);
    return w;
}

static void world_close(struct world *w)
{
    gh_http1_server_destroy(w->server);
    gh_workers_destroy(w->workers);
    fake_bytes_destroy(w->io);
    free(w);
}

static void run(struct world *w)
{
    while (fake_bytes_turn(w->io))
        ;
}

static void feed(struct world *w, const char *text)
{
    fake_bytes_feed(w->io, gh_span_str(text));
    run(w);
}

#define CONNECT_IP "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: connect-ip\r\nCapsule-Protocol: ?1\r\n\r\n"

static void an_upgrade_looks_like_extended_connect_and_is_accepted_with_101(void **state)
{
    struct world *w = world_open();

    (void)state;
    feed(w, CONNECT_IP);
    assert_string_equal(w->head, "CONNECT|https|/x|connect-ip");
    assert_non_null(strstr((char *)w->io->out, "HTTP/1.1 101 Switching Protocols\r\n"));
    assert_non_null(strstr((char *)w->io->out, "connection: upgrade\r\nupgrade: connect-ip\r\n"));
    assert_non_null(strstr((char *)w->io->out, "capsule-protocol: ?1\r\n"));
    assert_null(strstr((char *)w->io->out, "transfer-encoding"));
    assert_null(strstr((char *)w->io->out, "content-length"));
    assert_string_equal(strstr((char *)w->io->out, "\r\n\r\n"), "\r\n\r\n");
    assert_int_equal(w->ends, 0);
    world_close(w);
}

static void bytes_go_both_ways_and_each_direction_ends_on_its_own(void **state)
{
    struct world *w = world_open();

    (void)state;
    feed(w, CONNECT_IP "early");
    feed(w, " and GET / HTTP/1.1\r\n\r\n which is no request, and longer than any body may be: there is no limit to a tunnel's bytes");
    assert_int_equal(w->requests, 1);
    assert_memory_equal(w->body, "early and GET / HTTP/1.1\r\n\r\n", 28);
    fake_bytes_take(w->io);
    assert_int_equal(gh_http_send(w->stream, gh_span_str("out"), false), 0);
    run(w);
    assert_memory_equal(w->io->out, "out", 3);
    assert_int_equal(w->io->out_len, 3);
    w->io->end = true;
    run(w);
    assert_int_equal(w->ends, 1);
    assert_int_equal(w->closed, 0);
    assert_int_equal(gh_http_send(w->stream, gh_span_str("last"), true), 0);
    run(w);
    assert_memory_equal(w->io->out, "outlast", 7);
    assert_true(w->io->shut && w->io->closed && !w->io->reset);
    assert_int_equal(w->closed, 1);
    assert_int_equal(w->code, 0);
    world_close(w);
}

static void our_end_first_leaves_the_other_direction_open(void **state)
{
    struct world *w = world_open();

    (void)state;
    feed(w, CONNECT_IP);
    assert_int_equal(gh_http_send(w->stream, gh_span_of(NULL, 0), true), 0);
    run(w);
    assert_true(w->io->shut && !w->io->closed);
    feed(w, "more");
    assert_string_equal(w->body, "more");
    w->io->end = true;
    run(w);
    assert_int_equal(w->closed, 1);
    assert_true(w->io->closed);
    world_close(w);
}

static void a_datagram_is_a_capsule(void **state)
{
    struct world *w = world_open();
    uint8_t large[1502] = { 0 };

    (void)state;
    feed(w, CONNECT_IP);
    fake_bytes_take(w->io);
    assert_int_equal(gh_http_datagram_max(w->stream), 1501);
    assert_int_equal(gh_http_send_datagram(w->stream, gh_span_str("\x01payload"), 7), 0);
    assert_int_equal(gh_http_send_datagram(w->stream, gh_span_of(large, sizeof large), 7), GH_ERR_TOO_LONG);
    assert_int_equal(gh_http_send_datagram(w->stream, gh_span_of(large, 100), 7), 0);
    run(w);
    assert_int_equal(w->io->out_len, 10 + 103);
    assert_memory_equal(w->io->out, "\x00\x08\x01payload\x00\x40\x64", 13);
    world_close(w);
}

static void datagrams_are_dropped_before_capsules_find_no_room(void **state)
{
    struct world *w = world_open();
    uint8_t packet[1400] = { 0 };
    int rc = 0, sent = 0;

    (void)state;
    feed(w, CONNECT_IP);
    w->io->room = w->io->out_len;
    while (rc == 0) {
        rc = gh_http_send_datagram(w->stream, gh_span_of(packet, sizeof packet), 0);
        sent += rc == 0;
    }
    assert_int_equal(rc, GH_ERR_AGAIN);
    assert_in_range(sent, 30, 36);
    assert_int_equal(gh_http_send(w->stream, gh_span_of(packet, sizeof packet), false), 0);
    assert_int_equal(w->writables, 0);
    w->io->room = 0;
    run(w);
    assert_int_equal(w->writables, 1);
    world_close(w);
}

static void a_websocket_is_a_tunnel_whose_frames_are_the_services(void **state)
{
    struct world *w = world_open();

    (void)state;
    feed(w, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: x\r\n\r\n");
    assert_string_equal(w->head, "CONNECT|https|/ws|websocket");
    assert_non_null(strstr((char *)w->io->out, "upgrade: websocket\r\n"));
    assert_int_equal(gh_http_datagram_max(w->stream), 0);
    assert_int_equal(gh_http_send_datagram(w->stream, gh_span_str("x"), 0), GH_ERR_UNSUPPORTED);
    world_close(w);
}

static void connect_is_accepted_with_200_and_no_framing(void **state)
{
    struct world *w = world_open();

    (void)state;
    feed(w, "CONNECT b:22 HTTP/1.1\r\nHost: b:22\r\n\r\nssh");
    assert_string_equal(w->head, "CONNECT|https||");
    assert_non_null(strstr((char *)w->io->out, "HTTP/1.1 200 OK\r\n"));
    assert_null(strstr((char *)w->io->out, "transfer-encoding"));
    assert_null(strstr((char *)w->io->out, "connection:"));
    assert_string_equal(w->body, "ssh");
    assert_int_equal(gh_http_datagram_max(w->stream), 0);
    world_close(w);
}

static void what_is_not_an_offered_upgrade_is_an_ordinary_request(void **state)
{
    static const struct {
        const char *text, *head;
    } rows[] = {
        { "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "GET|https|/x|" },
        { "GET /x HTTP/1.1\r\nHost: a\r\nUpgrade: connect-ip\r\n\r\n", "GET|https|/x|" },
        { "POST /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: connect-ip\r\nContent-Length: 0\r\n\r\n", "POST|https|/x|" },
        { "GET /x HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: connect-ip\r\n\r\n", "GET|https|/x|" },
        { "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: connect-ip\r\nContent-Length: 1\r\n\r\na", "GET|https|/x|" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = world_open();

        w->end = true;
        feed(w, rows[i].text);
        assert_string_equal(w->head, rows[i].head);
        assert_non_null(strstr((char *)w->io->out, " 200 OK\r\n"));
        world_close(w);
    }
}

/* Or a client that did not wait could have its tunnel's bytes read as a request. */
static void a_refused_upgrade_is_the_last_request_of_its_connection(void **state)
{
    struct world *w = world_open();

    (void)state;
    w->status = 403;
    w->end = true;
    feed(w, CONNECT_IP "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(w->requests, 1);
    assert_non_null(strstr((char *)w->io->out, "HTTP/1.1 403 "));
    assert_non_null(strstr((char *)w->io->out, "connection: close\r\n"));
    assert_true(w->io->shut);
    world_close(w);
}

static void an_answer_may_come_later_and_what_was_sent_early_waits_for_it(void **state)
{
    struct world *w = world_open();

    (void)state;
    w->status = 0;
    feed(w, CONNECT_IP "early");
    assert_int_equal(w->got, 0);
    assert_int_equal(gh_http_send_datagram(w->stream, gh_span_str("x"), 0), GH_ERR_UNSUPPORTED);
    assert_int_equal(gh_http_respond(w->stream, 200, NULL, 0, false), 0);
    run(w);
    assert_string_equal(w->body, "early");
    world_close(w);
}

static void a_reset_tunnel_is_cut(void **state)
{
    struct world *w = world_open();

    (void)state;
    feed(w, CONNECT_IP);
    gh_http_reset(w->stream, GH_HTTP_CONNECT_ERROR);
    run(w);
    assert_true(w->io->reset);
    assert_int_equal(w->closed, 1);
    assert_int_equal(w->code, gh_http_code(GH_HTTP_CONNECT_ERROR));
    world_close(w);
}

static void who_holds_a_tunnel_holds_back_the_peer(void **state)
{
    struct world *w = world_open();
    uint8_t piece[1000] = { 0 };
    size_t fed = 0;

    (void)state;
    w->hold = true;
    feed(w, CONNECT_IP);
    while (w->io->reading && fed < 1000000) {
        fake_bytes_feed(w->io, gh_span_of(piece, sizeof piece));
        fed += sizeof piece;
        w->got = 0;
        run(w);
    }
    assert_in_range(fed, 60000, 70000);
    gh_http_consume(w->stream, 30000);
    assert_true(w->io->reading);
    world_close(w);
}

static void a_tunnel_outlives_the_drain_of_its_server(void **state)
{
    struct world *w = world_open();

    (void)state;
    feed(w, CONNECT_IP);
    gh_http1_server_drain(w->server);
    run(w);
    assert_int_equal(w->closed, 0); /* it runs on */
    assert_int_equal(gh_http_send(w->stream, gh_span_str("x"), false), 0);
    world_close(w);
}

/* The client's side. */

struct client {
    struct fake_bytes *io;
    struct gh_http_stream *stream;
    unsigned status, answers, ends, closed, writables;
    uint64_t code;
    char body[256], server[32];
    size_t got;
};

static void c_answer(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct client *c = arg;
    struct gh_span server = gh_http_field_find(head, "server");

    (void)s;
    c->answers++;
    c->status = head->status;
    snprintf(c->server, sizeof c->server, "%.*s", (int)server.len, (const char *)server.data);
}

static void c_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct client *c = arg;

    (void)s;
    if (data.len > 0 && c->got + data.len < sizeof c->body)
        memcpy(c->body + c->got, data.data, data.len);
    c->got += data.len;
    c->ends += end;
}

static void c_writable(void *arg, struct gh_http_stream *s)
{
    (void)s;
    ((struct client *)arg)->writables++;
}

static void c_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct client *c = arg;

    (void)s;
    c->closed++;
    c->code = code;
    c->stream = NULL;
}

static const struct gh_http_events client_events = { .on_answer = c_answer, .on_body = c_body, .on_writable = c_writable, .on_closed = c_closed };

static struct client *client_open(const char *protocol)
{
    struct gh_http_field capsules = { gh_span_str("capsule-protocol"), gh_span_str("?1") };
    struct gh_http_peer peer = { .identity = "", .uid = UINT32_MAX };
    struct gh_http_head head = { .method = gh_span_str("CONNECT"),
                                 .scheme = gh_span_str("https"),
                                 .authority = gh_span_str("a:1"),
                                 .path = gh_span_str("/p"),
                                 .protocol = gh_span_str(protocol),
                                 .fields = &capsules,
                                 .field_count = 1 };
    struct client *c = calloc(1, sizeof *c);

    assert_non_null(c);
    c->io = fake_bytes_create();
    assert_int_equal(gh_http1_tunnel_open(&c->io->base, &peer, NULL, &head, &c->stream), 0);
    c->stream->events = &client_events;
    c->stream->arg = c;
    return c;
}

static void client_run(struct client *c)
{
    while (fake_bytes_turn(c->io))
        ;
}

static void client_feed(struct client *c, const char *text)
{
    fake_bytes_feed(c->io, gh_span_str(text));
    client_run(c);
}

static void client_close(struct client *c)
{
    if (c->stream)
        gh_http1_tunnel_close(c->stream);
    fake_bytes_destroy(c->io);
    free(c);
}

static void a_client_asks_as_the_rfc_says_and_is_told_200(void **state)
{
    static const char answer[] = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                                 "Upgrade: connect-ip\r\nServer: s\r\n\r\nbody";

    (void)state;
    for (size_t piece = 1; piece < 80; piece++) {
        struct client *c = client_open("connect-ip");

        client_run(c);
        assert_string_equal((char *)c->io->out, "GET /p HTTP/1.1\r\nhost: a:1\r\nconnection: upgrade\r\nupgrade: connect-ip\r\n"
                                                "capsule-protocol: ?1\r\n\r\n");
        assert_int_equal(gh_http_send(c->stream, gh_span_str("x"), false), GH_ERR_STATE);
        assert_int_equal(gh_http_datagram_max(c->stream), 0);
        fake_bytes_take(c->io);
        c->io->piece = piece;
        client_feed(c, answer);
        assert_int_equal(c->answers, 1);
        assert_int_equal(c->status, 200);
        assert_string_equal(c->server, "s");
        assert_string_equal(c->body, "body");
        assert_int_equal(gh_http_send_datagram(c->stream, gh_span_str("\x01y"), 0), 0);
        client_run(c);
        assert_int_equal(c->io->out_len, 4);
        assert_memory_equal(c->io->out, "\x00\x02\x01y", 4);
        c->io->end = true;
        client_run(c);
        assert_int_equal(c->ends, 1);
        assert_int_equal(gh_http_send(c->stream, gh_span_of(NULL, 0), true), 0);
        client_run(c);
        assert_int_equal(c->closed, 1);
        assert_int_equal(c->code, 0);
        client_close(c);
    }
}

static void a_client_is_told_why_it_got_no_tunnel(void **state)
{
    static const struct {
        const char *protocol, *answer;
        unsigned status;
        bool failed;
    } rows[] = {
        { "connect-ip", "HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nnever", 403, false },
        { "connect-ip", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nnever", 501, false },
        { "connect-ip", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 0, true },
        { "connect-ip", "HTTP/1.1 101 Switching Protocols\r\n\r\n", 0, true },
        { "connect-ip", "SSH-2.0-x\r\n\r\n", 0, true },
        { "", "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", 407, false },
        { "", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 0, true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client *c = client_open(rows[i].protocol);

        client_feed(c, rows[i].answer);
        assert_int_equal(c->status, rows[i].status);
        assert_int_equal(c->got, 0);
        assert_int_equal(c->closed, 1);
        assert_int_equal(c->code, rows[i].failed ? gh_http_code(GH_HTTP_MESSAGE_ERROR) : 0);
        assert_true(c->io->closed);
        client_close(c);
    }
}

static void a_client_asks_for_connect_without_a_path(void **state)
{
    struct client *c = client_open("");

    (void)state;
    client_feed(c, "HTTP/1.1 200 OK\r\n\r\nhi");
    assert_memory_equal(c->io->out, "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n", 33);
    assert_int_equal(c->status, 200);
    assert_string_equal(c->body, "hi");
    client_close(c);
}

static void a_client_that_is_refused_room_is_told_when_there_is_some(void **state)
{
    struct client *c = client_open("connect-ip");
    static uint8_t piece[10000];
    int rc = 0;

    (void)state;
    client_feed(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: connect-ip\r\n\r\n");
    c->io->room = c->io->out_len;
    while (rc == 0)
        rc = gh_http_send(c->stream, gh_span_of(piece, sizeof piece), false);
    assert_int_equal(rc, GH_ERR_AGAIN);
    client_run(c);
    assert_int_equal(c->writables, 0);
    c->io->room = 0;
    client_run(c);
    assert_int_equal(c->writables, 1);
    gh_http_reset(c->stream, GH_HTTP_CONNECT_ERROR);
    client_run(c);
    assert_int_equal(c->code, gh_http_code(GH_HTTP_CONNECT_ERROR));
    assert_true(c->io->reset);
    client_close(c);
}

static void a_connection_that_ends_before_the_answer_is_a_failure(void **state)
{
    struct client *c = client_open("connect-ip");

    (void)state;
    c->io->end = true;
    client_run(c);
    assert_int_equal(c->answers, 0);
    assert_int_equal(c->closed, 1);
    assert_int_equal(c->code, gh_http_code(GH_HTTP_REQUEST_CANCELLED));
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upgrade_looks_like_extended_connect_and_is_accepted_with_101),
        cmocka_unit_test(bytes_go_both_ways_and_each_direction_ends_on_its_own),
        cmocka_unit_test(our_end_first_leaves_the_other_direction_open),
        cmocka_unit_test(a_datagram_is_a_capsule),
        cmocka_unit_test(datagrams_are_dropped_before_capsules_find_no_room),
        cmocka_unit_test(a_websocket_is_a_tunnel_whose_frames_are_the_services),
        cmocka_unit_test(connect_is_accepted_with_200_and_no_framing),
        cmocka_unit_test(what_is_not_an_offered_upgrade_is_an_ordinary_request),
        cmocka_unit_test(a_refused_upgrade_is_the_last_request_of_its_connection),
        cmocka_unit_test(an_answer_may_come_later_and_what_was_sent_early_waits_for_it),
        cmocka_unit_test(a_reset_tunnel_is_cut),
        cmocka_unit_test(who_holds_a_tunnel_holds_back_the_peer),
        cmocka_unit_test(a_tunnel_outlives_the_drain_of_its_server),
        cmocka_unit_test(a_client_asks_as_the_rfc_says_and_is_told_200),
        cmocka_unit_test(a_client_is_told_why_it_got_no_tunnel),
        cmocka_unit_test(a_client_asks_for_connect_without_a_path),
        cmocka_unit_test(a_client_that_is_refused_room_is_told_when_there_is_some),
        cmocka_unit_test(a_connection_that_ends_before_the_answer_is_a_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
