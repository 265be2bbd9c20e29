/* A client that is a fake stream, and an origin that is a socket of this test. */
#include "services/door/camouflage.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../test.h"
#include "base/error.h"
#include "fake_stream.h"
#include "loop/worker.h"

#define SECOND INT64_C(1000000000)

struct world {
    struct gh_workers *workers;
    struct gh_worker *worker;
    struct door_camouflage *camouflage;
    int listener, fd; /* of the origin */
    uint16_t port;
    char got[400000];
    size_t len;
    bool end;
};

static struct door_camouflage_conf conf_of(struct world *w)
{
    struct door_camouflage_conf c = { .server = "nginx", .site = "", .has_proxy = true };

    strcpy(c.proxy.pool.origin.host, "127.0.0.1");
    c.proxy.pool.origin.port = w->port;
    c.proxy.pool.connect_timeout = SECOND;
    c.proxy.authority = "origin.test";
    c.proxy.keep_host = true;
    c.proxy.timeout = 30 * SECOND;
    return c;
}

static int set_up(void **state)
{
    struct gh_workers_config one = { .count = 1 };
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    struct world *w = calloc(1, sizeof *w);
    struct door_camouflage_conf conf;

    assert_non_null(w);
    w->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(w->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(w->listener, 16), 0);
    assert_int_equal(getsockname(w->listener, (struct sockaddr *)&at, &len), 0);
    w->port = ntohs(at.sin_port);
    w->fd = -1;
    assert_int_equal(gh_workers_create(&one, &w->workers), 0);
    w->worker = gh_workers_at(w->workers, 0);
    conf = conf_of(w);
    assert_int_equal(door_camouflage_create(w->worker, &conf, &w->camouflage), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    door_camouflage_destroy(w->camouflage);
    gh_workers_destroy(w->workers);
    if (w->fd >= 0)
        close(w->fd);
    if (w->listener >= 0)
        close(w->listener);
    free(w);
    return 0;
}

static void turn(struct world *w)
{
    ssize_t n;

    gh_worker_turn(w->worker, false);
    if (w->fd < 0 || w->len == sizeof w->got - 1)
        return;
    n = recv(w->fd, w->got + w->len, sizeof w->got - 1 - w->len, MSG_DONTWAIT);
    if (n > 0)
        w->len += (size_t)n;
    w->end |= n == 0 || (n < 0 && errno != EAGAIN);
    w->got[w->len] = 0;
}

#define UNTIL(w, what)                           \
    do {                                         \
        for (int i_ = 0; !(what); i_++) {        \
            if (i_ == 2000000)                   \
                fail_msg("never: %s", #what);    \
            turn(w);                             \
        }                                        \
    } while (0)

static void origin_accept(struct world *w)
{
    w->len = 0;
    w->got[0] = 0;
    w->end = false;
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    UNTIL(w, (w->fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
}

static void origin_say(struct world *w, const char *text)
{
    assert_int_equal(send(w->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void origin_close(struct world *w)
{
    close(w->fd);
    w->fd = -1;
}

static void ask(struct world *w, struct gh_fake_stream *f, const char *method, const char *path, const char *name, const char *value)
{
    struct gh_http_field field = { gh_span_str(name), gh_span_str(value) };

    gh_fake_stream_init(f);
    gh_fake_stream_request(f, door_camouflage_handler(w->camouflage), method, path, &field, *name ? 1 : 0);
}

static void ask_get(struct world *w, struct gh_fake_stream *f, const char *path)
{
    ask(w, f, "GET", path, "", "");
    gh_fake_stream_body(f, NULL, 0, true);
}

static void a_request_goes_there_and_its_answer_back(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream f;

    ask_get(w, &f, "/a?b=c");
    origin_accept(w);
    UNTIL(w, strstr(w->got, "\r\n\r\n"));
    assert_string_equal(w->got, "GET /a?b=c HTTP/1.1\r\nhost: localhost\r\n\r\n");
    origin_say(w, "HTTP/1.1 200 OK\r\nServer: site\r\nContent-Length: 5\r\nDate: then\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\nhello");
    UNTIL(w, f.ended);
    assert_int_equal(f.status, 200);
    assert_string_equal(f.body, "hello");
    assert_int_equal(f.field_count, 3);
    assert_string_equal(gh_fake_stream_field(&f, "server"), "site");
    assert_string_equal(gh_fake_stream_field(&f, "date"), "then");
    gh_fake_stream_fini(&f);
}

static void a_connection_is_used_again(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream f;

    for (int i = 0; i < 3; i++) {
        ask_get(w, &f, "/");
        if (i == 0)
            origin_accept(w);
        w->len = 0;
        w->got[0] = 0;
        UNTIL(w, strstr(w->got, "\r\n\r\n"));
        origin_say(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n");
        UNTIL(w, f.ended);
        assert_string_equal(f.body, "ok");
        gh_fake_stream_fini(&f);
        for (int k = 0; k < 10; k++)
            turn(w);
    }
    assert_int_equal(accept4(w->listener, NULL, NULL, 0), -1);
}

/* RFC 9112, section 9.3.1: it may end at any time while it is idle */
static void a_kept_connection_that_ends_is_no_error(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream f;

    ask_get(w, &f, "/1");
    origin_accept(w);
    UNTIL(w, strstr(w->got, "\r\n\r\n"));
    origin_say(w, "HTTP/1.1 204 No Content\r\n\r\n");
    UNTIL(w, f.ended);
    gh_fake_stream_fini(&f);
    for (int i = 0; i < 10; i++)
        turn(w);
    ask_get(w, &f, "/2"); /* on the way already, when the end comes */
    origin_close(w);
    origin_accept(w);
    UNTIL(w, strstr(w->got, "\r\n\r\n"));
    assert_non_null(strstr(w->got, "GET /2 "));
    origin_say(w, "HTTP/1.1 200 OK\r\n\r\nuntil the end");
    origin_close(w);
    UNTIL(w, f.ended);
    assert_string_equal(f.body, "until the end");
    gh_fake_stream_fini(&f);
}

static void bodies_go_up_with_their_length_or_in_chunks(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream f;

    ask(w, &f, "POST", "/", "content-length", "6");
    gh_fake_stream_body(&f, "abc", 3, false);
    origin_accept(w);
    UNTIL(w, strstr(w->got, "abc"));
    gh_fake_stream_body(&f, "def", 3, true);
    UNTIL(w, strstr(w->got, "abcdef"));
    assert_string_equal(w->got, "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 6\r\n\r\nabcdef");
    origin_say(w, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    UNTIL(w, f.ended);
    gh_fake_stream_fini(&f);
    ask(w, &f, "POST", "/", "", "");
    gh_fake_stream_body(&f, "abc", 3, false);
    origin_accept(w);
    UNTIL(w, strstr(w->got, "abc"));
    gh_fake_stream_body(&f, NULL, 0, true);
    UNTIL(w, strstr(w->got, "\r\n0\r\n\r\n"));
    assert_string_equal(w->got, "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    origin_say(w, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    UNTIL(w, f.ended);
    assert_int_equal(f.status, 201);
    gh_fake_stream_fini(&f);
}

/* A stream of HTTP/2 may have neither a length nor a body that has begun. */
static void a_body_that_nobody_announced_is_waited_for_a_turn(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream f;

    ask(w, &f, "POST", "/", "", "");
    origin_accept(w);
    UNTIL(w, strstr(w->got, "\r\n\r\n"));
    assert_non_null(strstr(w->got, "transfer-encoding: chunked"));
    origin_say(w, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    UNTIL(w, f.ended);
    gh_fake_stream_body(&f, "late", 4, true);
    gh_fake_stream_fini(&f);
}

static void a_slow_client_holds_the_origin_back(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream f;
    char piece[65536];
    size_t sent = 0, had;

    memset(piece, 'x', sizeof piece);
    ask_get(w, &f, "/");
    origin_accept(w);
    UNTIL(w, strstr(w->got, "\r\n\r\n"));
    f.room = 1000;
    origin_say(w, "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
    for (int idle = 0; idle < 2000;) { /* until nothing more fits anywhere */
        ssize_t n = send(w->fd, piece, sizeof piece, MSG_NOSIGNAL | MSG_DONTWAIT);

        sent += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        turn(w);
    }
    assert_true(sent < 32u << 20); /* buffers of the kernel */
    assert_true(f.body_len <= 1000);
    had = sent;
    gh_fake_stream_writable(&f, SIZE_MAX);
    for (int idle = 0; sent < had + (1u << 20) && idle < 100000;) {
        ssize_t n = send(w->fd, piece, sizeof piece, MSG_NOSIGNAL | MSG_DONTWAIT);

        sent += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        turn(w);
    }
    assert_true(sent > had);
    UNTIL(w, f.body_len == sent);
    gh_fake_stream_fini(&f);
    UNTIL(w, w->end); /* the client is gone, and so is the wish for the rest */
}

static void an_answer_may_come_before_the_body_is_there(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream f;

    ask(w, &f, "POST", "/", "content-length", "1000");
    gh_fake_stream_body(&f, "abc", 3, false);
    origin_accept(w);
    UNTIL(w, strstr(w->got, "abc"));
    origin_say(w, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!");
    UNTIL(w, f.ended);
    assert_int_equal(f.status, 413);
    gh_fake_stream_body(&f, "more", 4, false);
    UNTIL(w, w->end);
    gh_fake_stream_fini(&f);
}

static void an_origin_that_fails_is_a_bad_gateway(void **state)
{
    static const char *const bad[] = { "", "rubbish\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n",
                                       "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n" };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct gh_fake_stream f;

        ask_get(w, &f, "/");
        origin_accept(w);
        UNTIL(w, strstr(w->got, "\r\n\r\n"));
        origin_say(w, bad[i]);
        origin_close(w);
        UNTIL(w, f.ended);
        assert_int_equal(f.status, 502);
        assert_string_equal(gh_fake_stream_field(&f, "server"), "nginx");
        gh_fake_stream_fini(&f);
    }
}

static void an_answer_that_breaks_off_is_cut_off(void **state)
{
    static const char *const cut[] = { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                                       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n" };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        struct gh_fake_stream f;

        ask_get(w, &f, "/");
        origin_accept(w);
        UNTIL(w, strstr(w->got, "\r\n\r\n"));
        origin_say(w, cut[i]);
        origin_close(w);
        UNTIL(w, f.reset);
        assert_int_equal(f.status, 200);
        assert_string_equal(f.body, "abc");
        assert_false(f.ended);
        gh_fake_stream_fini(&f);
    }
}

static void nobody_there_is_a_bad_gateway(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream f;

    close(w->listener);
    w->listener = -1;
    ask_get(w, &f, "/");
    UNTIL(w, f.ended);
    assert_int_equal(f.status, 502);
    gh_fake_stream_fini(&f);
}

static void an_origin_that_says_nothing_is_a_gateway_timeout(void **state)
{
    struct world *w = *state;
    struct door_camouflage_conf conf = conf_of(w);
    struct gh_fake_stream f;

    conf.proxy.timeout = SECOND / 50;
    assert_int_equal(door_camouflage_set(w->camouflage, &conf), 0);
    ask_get(w, &f, "/");
    origin_accept(w);
    UNTIL(w, f.ended);
    assert_int_equal(f.status, 504);
    UNTIL(w, w->end);
    gh_fake_stream_fini(&f);
    ask_get(w, &f, "/");
    origin_accept(w);
    UNTIL(w, strstr(w->got, "\r\n\r\n"));
    origin_say(w, "HTTP/1.1 200 OK\r\n\r\nabc");
    UNTIL(w, f.reset);
    assert_string_equal(f.body, "abc");
    gh_fake_stream_fini(&f);
}

static void a_client_may_go_at_any_time(void **state)
{
    struct world *w = *state;

    for (int when = 0; when < 30; when++) {
        struct gh_fake_stream f;

        ask_get(w, &f, "/");
        for (int i = 0; i < when; i++) {
            int fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

            if (fd >= 0) {
                if (w->fd >= 0)
                    close(w->fd);
                w->fd = fd;
                (void)!send(fd, "HTTP/1.1 200 OK\r\n\r\nabc", 22, MSG_NOSIGNAL | MSG_DONTWAIT);
            }
            turn(w);
        }
        gh_fake_stream_fini(&f);
    }
}

static void ask_websocket(struct world *w, struct gh_fake_stream *f)
{
    struct gh_http_field fields[] = { { gh_span_str("sec-websocket-version"), gh_span_str("13") } };
    struct gh_http_head head = { .method = gh_span_str("CONNECT"), .protocol = gh_span_str("websocket"), .scheme = gh_span_str("https"),
                                 .authority = gh_span_str("a.test"), .path = gh_span_str("/chat"), .fields = fields, .field_count = 1 };

    gh_fake_stream_init(f);
    gh_fake_stream_head(f, door_camouflage_handler(w->camouflage), &head);
}

static void a_websocket_is_carried_both_ways(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream f;

    ask_websocket(w, &f);
    origin_accept(w);
    UNTIL(w, strstr(w->got, "\r\n\r\n"));
    assert_non_null(strstr(w->got, "GET /chat HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: "));
    origin_say(w, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nhello");
    UNTIL(w, f.body_len == 5);
    assert_int_equal(f.status, 200);
    assert_null(gh_fake_stream_field(&f, "sec-websocket-accept"));
    assert_null(gh_fake_stream_field(&f, "upgrade"));
    gh_fake_stream_body(&f, "upward", 6, false);
    UNTIL(w, strstr(w->got, "upward"));
    gh_fake_stream_body(&f, NULL, 0, true); /* one direction ends, the other goes on */
    UNTIL(w, w->end);
    origin_say(w, " again");
    UNTIL(w, f.body_len == 11);
    assert_false(f.ended);
    origin_close(w);
    UNTIL(w, f.ended);
    assert_string_equal(f.body, "hello again");
    gh_fake_stream_fini(&f);
}

static void a_websocket_that_is_refused_is_refused(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream f;

    ask_websocket(w, &f);
    origin_accept(w);
    UNTIL(w, strstr(w->got, "\r\n\r\n"));
    origin_say(w, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    UNTIL(w, f.ended);
    assert_int_equal(f.status, 403);
    assert_string_equal(f.body, "no");
    gh_fake_stream_fini(&f);
    ask_websocket(w, &f); /* 200 would open it */
    w->len = 0;
    w->got[0] = 0;
    UNTIL(w, strstr(w->got, "\r\n\r\n"));
    origin_say(w, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhm");
    UNTIL(w, f.ended);
    assert_int_equal(f.status, 502);
    gh_fake_stream_fini(&f);
}

static void a_silent_tunnel_ends_in_order(void **state)
{
    struct world *w = *state;
    struct door_camouflage_conf conf = conf_of(w);
    struct gh_fake_stream f;

    conf.proxy.timeout = SECOND / 50;
    assert_int_equal(door_camouflage_set(w->camouflage, &conf), 0);
    ask_websocket(w, &f);
    origin_accept(w);
    UNTIL(w, strstr(w->got, "\r\n\r\n"));
    origin_say(w, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello");
    UNTIL(w, f.ended);
    assert_string_equal(f.body, "hello");
    UNTIL(w, w->end);
    assert_false(f.reset);
    gh_fake_stream_body(&f, "late", 4, true);
    gh_fake_stream_fini(&f);
}

/* A client may send what its windows allow before anybody takes it; all together may not. */
static void what_waits_for_an_origin_has_a_limit(void **state)
{
    enum { CLIENTS = 40 };
    struct world *w = *state;
    struct gh_fake_stream *f = calloc(CLIENTS, sizeof *f);
    char *piece = calloc(1, 1u << 20);
    unsigned resets = 0;

    assert_true(f && piece);
    for (size_t i = 0; i < CLIENTS; i++) {
        ask(w, &f[i], "POST", "/", "", "");
        for (size_t k = 0; k < 3; k++)
            gh_fake_stream_body(&f[i], piece, 1u << 20, false);
        assert_true(f[i].reset); /* more than one may have */
        gh_fake_stream_fini(&f[i]);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        ask(w, &f[i], "POST", "/", "", "");
        for (size_t k = 0; k < 2; k++)
            gh_fake_stream_body(&f[i], piece, 1u << 20, false);
        resets += f[i].reset;
    }
    assert_int_equal(resets, CLIENTS - 32);
    for (size_t i = 0; i < CLIENTS; i++)
        gh_fake_stream_fini(&f[i]);
    free(f);
    free(piece);
}

static void what_no_origin_is_asked_is_answered_here(void **state)
{
    static const struct {
        const char *method, *path;
        unsigned status;
    } rows[] = { { "CONNECT", "", 405 }, { "TRACE", "/", 405 }, { "GET", "x", 400 }, { "GET", "/a b", 400 }, { "GET", "/a\nb", 400 }, { "G T", "/", 400 } };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct gh_fake_stream f;

        ask(w, &f, rows[i].method, rows[i].path, "content-length", "0");
        gh_fake_stream_body(&f, NULL, 0, true);
        UNTIL(w, f.ended);
        if (f.status != rows[i].status)
            fail_msg("%s %s: %u", rows[i].method, rows[i].path, f.status);
        gh_fake_stream_fini(&f);
    }
}

/* A field with a line end would be a second request. */
static void nothing_can_be_smuggled_in_a_field(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream f;

    ask(w, &f, "GET", "/", "x", "a\r\n\r\nGET /second HTTP/1.1");
    gh_fake_stream_body(&f, NULL, 0, true);
    UNTIL(w, f.ended);
    assert_int_equal(f.status, 400);
    gh_fake_stream_fini(&f);
}

static void slow_lookup(void *arg, const char *host, uint16_t port, struct gh_resolved *ret)
{
    struct world *w = arg;

    (void)host;
    *ret = (struct gh_resolved){ .count = 0 };
    if (port == 1)
        return;
    assert_int_equal(gh_ip_parse("127.0.0.1", 9, &ret->list[0].ip), 0);
    ret->list[0].port = w->port;
    ret->count = 1;
}

static void a_name_is_looked_up_when_it_is_needed(void **state)
{
    struct world *w = *state;
    struct door_camouflage_conf conf = conf_of(w);
    struct gh_fake_stream f;

    strcpy(conf.proxy.pool.origin.host, "origin.test");
    conf.proxy.pool.lookup = slow_lookup;
    conf.proxy.pool.lookup_arg = w;
    assert_int_equal(door_camouflage_set(w->camouflage, &conf), 0);
    ask_get(w, &f, "/");
    origin_accept(w);
    gh_fake_stream_fini(&f);
    ask_get(w, &f, "/"); /* one goes while it is looked up */
    gh_fake_stream_fini(&f);
    conf.proxy.pool.origin.port = 1;
    assert_int_equal(door_camouflage_set(w->camouflage, &conf), 0);
    ask_get(w, &f, "/");
    UNTIL(w, f.ended);
    assert_int_equal(f.status, 502);
    gh_fake_stream_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_goes_there_and_its_answer_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_connection_is_used_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kept_connection_that_ends_is_no_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bodies_go_up_with_their_length_or_in_chunks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_body_that_nobody_announced_is_waited_for_a_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slow_client_holds_the_origin_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_may_come_before_the_body_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_origin_that_fails_is_a_bad_gateway, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_that_breaks_off_is_cut_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_there_is_a_bad_gateway, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_origin_that_says_nothing_is_a_gateway_timeout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_may_go_at_any_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_websocket_is_carried_both_ways, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_websocket_that_is_refused_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_silent_tunnel_ends_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_waits_for_an_origin_has_a_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_no_origin_is_asked_is_answered_here, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_can_be_smuggled_in_a_field, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_is_looked_up_when_it_is_needed, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
