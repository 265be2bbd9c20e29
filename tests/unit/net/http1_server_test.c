#include "net/http1_server.h"

#include "http1_world.h"

static unsigned count_text(const char *in, const char *text)
{
    unsigned n = 0;

    for (const char *p = strstr(in, text); p; p = strstr(p + 1, text))
        n++;
    return n;
}

/* Sends <text>, waits for the end of the connection, returns what came. The caller closes. */
static struct client *exchange(struct world *w, const char *text)
{
    struct client *c = client_open(w);

    client_send(c, text);
    run_to_eof(w, c);
    return c;
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = exchange(w, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
                                   "abcPOST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"
                                   "GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /5 HTTP/1.1\r\nHost: a\r\n\r\n");
    const char *p[4];

    (void)state;
    assert_string_equal(w->log, "GET /1;POST /echo;POST /echo;GET /4;");
    p[0] = strstr(c->buf, "\r\n\r\n/1");
    p[1] = strstr(c->buf, "\r\n\r\nabc");
    p[2] = strstr(c->buf, "\r\n\r\ndef");
    p[3] = strstr(c->buf, "\r\n\r\n/4");
    assert_true(p[0] && p[1] > p[0] && p[2] > p[1] && p[3] > p[2]);
    assert_int_equal(count_text(c->buf, "HTTP/1.1 200 OK\r\n"), 4);
    assert_int_equal(count_text(c->buf, "connection: close\r\n"), 1);
    assert_int_equal(count_text(c->buf, "date: "), 4);
    assert_false(c->reset);
    done(w, c);
}

static void a_request_may_come_byte_by_byte(void **state)
{
    static const char text[] = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    struct world *w = world_open(NULL);
    struct client *c = client_open(w);

    (void)state;
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        char one[2] = { text[i], 0 };

        client_send(c, one);
        gh_worker_turn(w->worker, false);
    }
    run_to_text(w, c, "\r\n\r\nabc");
    assert_int_equal(w->closed, 1);
    assert_int_equal(w->code, 0);
    done(w, c);
}

static void head_has_the_length_and_no_body(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = exchange(w, "HEAD /12345 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

    (void)state;
    assert_non_null(strstr(c->buf, "content-length: 6\r\n"));
    assert_string_equal(strstr(c->buf, "\r\n\r\n"), "\r\n\r\n");
    done(w, c);
}

static void http_1_0_closes_unless_asked_to_stay(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = exchange(w, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\nGET /c HTTP/1.0\r\n\r\n");

    (void)state;
    assert_string_equal(w->log, "GET /a;GET /b;");
    assert_int_equal(count_text(c->buf, "connection: keep-alive\r\n"), 1);
    assert_int_equal(count_text(c->buf, "connection: close\r\n"), 1);
    done(w, c);
}

static void a_refused_head_ends_the_connection_and_nothing_after_it_is_served(void **state)
{
    static const struct {
        const char *text, *status;
    } cases[] = {
        { "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400" },
        { "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 30\r\n\r\n", "400" },
        { "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501" },
        { "GET /x HTTP/3.0\r\n\r\n", "505" },
        { "POST /x HTTP/1.1\r\nHost: a\r\nExpect: more\r\nContent-Length: 3\r\n\r\nabc", "417" },
        { "GET /x HTTP/1.1\nHost: a\n\n", "400" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world *w = world_open(NULL);
        char text[512], status[32];
        struct client *c;

        snprintf(text, sizeof text, "GET /first HTTP/1.1\r\nHost: a\r\n\r\n%sGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", cases[i].text);
        c = exchange(w, text);
        assert_string_equal(w->log, "GET /first;");
        assert_int_equal(count_text(c->buf, "\r\ndate: "), 2);
        snprintf(status, sizeof status, "HTTP/1.1 %s ", cases[i].status);
        assert_non_null(strstr(c->buf, status));
        assert_int_equal(gh_http1_server_counters(w->server)->refused_malformed, 1);
        assert_false(c->reset);
        done(w, c);
    }
}

static void a_head_above_the_limit_is_431(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = client_open(w);
    static char text[20000];

    (void)state;
    memset(text, 'a', sizeof text - 1);
    memcpy(text, "GET /", 5);
    client_send(c, text);
    run_to_eof(w, c);
    assert_non_null(strstr(c->buf, "HTTP/1.1 431 "));
    assert_int_equal(gh_http1_server_counters(w->server)->refused_too_long, 1);
    done(w, c);
}

static void a_body_above_the_limit_is_413_by_length_and_by_count(void **state)
{
    struct gh_http1_config config = { .body_max = 8 };
    struct world *w = world_open(&config);
    struct client *c = exchange(w, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789");

    (void)state;
    assert_string_equal(w->log, "");
    assert_non_null(strstr(c->buf, "HTTP/1.1 413 "));
    client_close(c);
    c = exchange(w, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n4\r\n6789\r\n0\r\n\r\n");
    assert_string_equal(w->log, "POST /echo;");
    assert_non_null(strstr(c->buf, "HTTP/1.1 413 "));
    assert_int_equal(w->closed, 1);
    assert_int_equal(w->code, gh_http_code(GH_HTTP_EXCESSIVE_LOAD));
    client_close(c);
    c = exchange(w, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\nConnection: close\r\n\r\n12345678");
    assert_non_null(strstr(c->buf, "\r\n\r\n12345678"));
    done(w, c);
}

static void a_malformed_chunk_closes_the_stream_and_answers_400(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = exchange(w, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nG");

    (void)state;
    assert_non_null(strstr(c->buf, "HTTP/1.1 400 "));
    assert_int_equal(w->code, gh_http_code(GH_HTTP_MESSAGE_ERROR));
    done(w, c);
}

static void continue_is_sent_when_a_body_is_wanted(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = client_open(w);

    (void)state;
    client_send(c, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    run_to_text(w, c, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(c, "ok");
    run_to_text(w, c, "\r\n\r\nok");
    client_close(c);
    /* answered before the body: no "continue", and the connection ends, for the body may come or not */
    c = exchange(w, "POST /at-once HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_null(strstr(c->buf, "100 Continue"));
    assert_non_null(strstr(c->buf, "connection: close\r\n"));
    done(w, c);
}

static void a_body_that_nobody_wants_is_passed_over(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = exchange(w, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\nGET /no HTTP/1.1\r\nHost: a\r\n"
                                   "GET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

    (void)state;
    assert_string_equal(w->log, "POST /a;GET /b;");
    done(w, c);
}

static void one_connection_too_many_is_503(void **state)
{
    struct gh_http1_config config = { .connections_max = 2 };
    struct world *w = world_open(&config);
    struct client *a = client_open(w), *b = client_open(w), *c;

    (void)state;
    client_send(a, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    run_to_text(w, a, "/a");
    client_send(b, "GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    run_to_text(w, b, "/b");
    c = client_open(w);
    run_to_eof(w, c);
    assert_non_null(strstr(c->buf, "HTTP/1.1 503 "));
    assert_int_equal(strlen(strstr(c->buf, "\r\n\r\n") + 4), 53);
    assert_int_equal(gh_http1_server_counters(w->server)->refused_connections, 1);
    client_close(c);
    client_close(a);
    while (gh_http1_server_connections(w->server) > 1)
        run_once(w);
    c = exchange(w, "GET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(c->buf, "\r\n\r\n/c"));
    client_close(c);
    client_close(b);
    world_close(w);
}

static void a_slow_head_is_408_and_a_silent_connection_is_closed(void **state)
{
    struct gh_http1_config config = { .header_timeout = 20 };
    struct world *w = world_open(&config);
    struct client *c = exchange(w, "GET / HTTP/1.1\r\nHo");

    (void)state;
    assert_non_null(strstr(c->buf, "HTTP/1.1 408 "));
    client_close(c);
    c = exchange(w, "");
    assert_int_equal(c->len, 0);
    assert_int_equal(gh_http1_server_counters(w->server)->timed_out, 2);
    done(w, c);
}

/* Dripping bytes must not push the deadline away: the client sends one whenever the loop turns. */
static void dripping_bytes_do_not_buy_time(void **state)
{
    struct gh_http1_config config = { .header_timeout = 50, .body_timeout = 50 };
    static const char *const starts[] = { "GET / HTTP/1.1\r\nX: ", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world *w = world_open(&config);
        struct client *c = client_open(w);

        client_send(c, starts[i]);
        while (!c->eof && c->len == 0) {
            (void)!send(c->fd, "a", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
            gh_worker_turn(w->worker, false);
            assert_true(w->echo_len < 1000000);
        }
        run_to_text(w, c, "HTTP/1.1 408 ");
        done(w, c);
    }
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    struct gh_http1_config config = { .idle_timeout = 20 };
    struct world *w = world_open(&config);
    struct client *c = exchange(w, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");

    (void)state;
    assert_int_equal(count_text(c->buf, "HTTP/1.1 "), 1);
    assert_int_equal(gh_http1_server_counters(w->server)->timed_out, 0);
    done(w, c);
}

static void a_peer_that_takes_no_answer_is_cut(void **state)
{
    struct gh_http1_config config = { .idle_timeout = 50 };
    struct world *w = world_open(&config);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(w->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 2048;
    struct client *c;

    (void)state;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    c = client_attach(w, fd, true);
    for (int i = 0; i < 4; i++) /* more than socket buffers hold */
        client_send(c, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    while (w->closed == 0 || gh_http1_server_connections(w->server) > 0)
        run_once(w);
    assert_int_equal(gh_http1_server_counters(w->server)->timed_out, 1);
    done(w, c);
}

static void a_long_answer_is_sent_in_bounded_pieces(void **state)
{
    static const char *const requests[] = {
        "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /stream HTTP/1.0\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world *w = world_open(NULL);
        struct client *c = exchange(w, requests[i]);
        char *p = strstr(c->buf, "\r\n\r\n"), *end = c->buf + c->len;
        size_t got = 0;

        assert_non_null(p);
        assert_int_equal(strstr(c->buf, "transfer-encoding: chunked\r\n") != NULL, i == 0);
        for (p += 4; p < end;) {
            size_t len = (size_t)(end - p);

            if (i == 0) {
                len = strtoul(p, &p, 16);
                p += 2;
            }
            for (size_t k = 0; k < len; k++)
                if ((uint8_t)p[k] != pattern(got + k))
                    fail_msg("byte %zu differs", got + k);
            got += len;
            p += len + (i == 0 ? 2 : 0);
        }
        assert_int_equal(got, STREAM_BYTES);
        assert_true(w->agains > 0);
        assert_int_equal(w->closed, 1);
        assert_int_equal(w->code, 0);
        done(w, c);
    }
}

static void an_answer_may_come_later(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = client_open(w);

    (void)state;
    send_and_hold(w, c, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(w->log, "GET /hang;"); /* the next one waits its turn */
    gh_http_respond_text(w->held, 200, "text/plain", gh_span_str("late"));
    assert_int_equal(w->closed, 0); /* no event from inside our own call */
    run_to_text(w, c, "\r\n\r\n/next");
    assert_int_equal(w->closed, 1);
    done(w, c);
}

static void a_peer_that_goes_away_is_told(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = client_open(w);
    struct linger hard = { .l_onoff = 1, .l_linger = 0 };

    (void)state;
    send_and_hold(w, c, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard); /* the close is a reset */
    client_close(c);
    while (w->closed == 0)
        run_once(w);
    assert_int_equal(w->code, gh_http_code(GH_HTTP_REQUEST_CANCELLED));
    c = client_open(w);
    client_send(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    shutdown(c->fd, SHUT_WR);
    run_to_eof(w, c);
    assert_int_equal(w->closed, 2);
    assert_int_equal(c->len, 0);
    done(w, c);
}

static void a_half_closed_client_still_gets_its_answer(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = client_open(w);

    (void)state;
    client_send(c, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(c->fd, SHUT_WR);
    while (!w->held)
        run_once(w);
    gh_http_respond_text(w->held, 200, "text/plain", gh_span_str("late"));
    run_to_eof(w, c);
    assert_non_null(strstr(c->buf, "\r\n\r\nlate"));
    done(w, c);
}

/* A close over bytes that nobody has read would be a reset, which takes the answer out of the client's hands. */
static void a_client_that_still_sends_gets_its_answer(void **state)
{
    struct world *w = world_open(&(struct gh_http1_config){ .body_max = 64u << 20 });
    struct client *c = client_open(w);
    static const char block[16384];
    size_t sent = 0;

    (void)state;
    send_and_hold(w, c, "POST /hang HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 20971520\r\n\r\n");
    gh_http_respond_text(w->held, 404, "text/plain", gh_span_str("refused"));
    while (sent < 8u << 20) {
        ssize_t n = send(c->fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0)
            assert_int_equal(errno, EAGAIN);
        else
            sent += (size_t)n;
        run_once(w);
    }
    shutdown(c->fd, SHUT_WR);
    run_to_eof(w, c);
    assert_false(c->reset);
    assert_non_null(strstr(c->buf, "\r\n\r\nrefused"));
    done(w, c);
}

static void a_reset_cuts_the_connection(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = client_open(w);

    (void)state;
    send_and_hold(w, c, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    gh_http_respond(w->held, 200, NULL, 0, false);
    gh_http_send(w->held, gh_span_str("part"), false);
    gh_http_reset(w->held, GH_HTTP_INTERNAL_ERROR);
    run_to_eof(w, c);
    assert_null(strstr(c->buf, "\r\n0\r\n")); /* the client can tell that the body is not whole */
    assert_int_equal(w->code, gh_http_code(GH_HTTP_INTERNAL_ERROR));
    done(w, c);
}

static void the_peer_is_an_address_or_a_uid(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = exchange(w, "GET /a HTTP/1.0\r\n\r\n");
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    char text[GH_IP_TEXT];
    int fd;

    (void)state;
    assert_string_equal(gh_ip_emit(&w->peer.addr, text), "127.0.0.1");
    assert_true(w->peer.uid == UINT32_MAX);
    assert_string_equal(w->peer.identity, "");
    client_close(c);

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(un.sun_path, w->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
    c = client_attach(w, fd, false);
    client_send(c, "GET /b HTTP/1.0\r\n\r\n");
    run_to_text(w, c, "\r\n\r\n/b");
    assert_int_equal(w->peer.addr.family, 0);
    assert_true(w->peer.uid == geteuid());
    done(w, c);
}

static void an_answer_that_breaks_the_rules_is_refused_to_the_service(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = exchange(w, "GET /rules HTTP/1.0\r\n\r\n");
    static const int want[8] = { GH_ERR_STATE, GH_ERR_UNSUPPORTED, GH_ERR_STATE, GH_ERR_MALFORMED, 0, GH_ERR_STATE,
                                 GH_ERR_STATE, 0 };

    (void)state;
    assert_memory_equal(w->results, want, sizeof want);
    assert_int_equal(count_text(c->buf, "HTTP/1.1 "), 1);
    assert_string_equal(strstr(c->buf, "\r\n\r\n"), "\r\n\r\nabc");
    done(w, c);
}

static void a_handler_that_forgets_a_request_is_500(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = exchange(w, "GET /forgotten HTTP/1.1\r\nHost: a\r\n\r\n");

    (void)state;
    assert_non_null(strstr(c->buf, "HTTP/1.1 500 "));
    done(w, c);
}

static void draining_finishes_what_was_asked_and_closes_the_rest(void **state)
{
    struct world *w = world_open(NULL);
    struct client *busy = client_open(w), *idle = client_open(w);

    (void)state;
    client_send(idle, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    run_to_text(w, idle, "/a");
    client_send(busy, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    while (!w->held)
        run_once(w);
    gh_http1_server_drain(w->server);
    run_to_eof(w, idle);
    gh_http_respond_text(w->held, 200, "text/plain", gh_span_str("last"));
    run_to_eof(w, busy);
    assert_non_null(strstr(busy->buf, "connection: close\r\n"));
    assert_non_null(strstr(busy->buf, "\r\n\r\nlast"));
    client_close(busy);
    client_close(idle);
    world_close(w);
}

static void destroying_tells_open_streams(void **state)
{
    struct world *w = world_open(NULL);
    struct client *c = client_open(w);

    (void)state;
    send_and_hold(w, c, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    gh_http1_server_destroy(w->server);
    w->server = NULL;
    assert_int_equal(w->closed, 1);
    run_to_eof(w, c);
    done(w, c);
}

#define T cmocka_unit_test

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(pipelined_requests_are_answered_in_order), T(a_request_may_come_byte_by_byte), T(head_has_the_length_and_no_body),
        T(http_1_0_closes_unless_asked_to_stay), T(a_refused_head_ends_the_connection_and_nothing_after_it_is_served),
        T(a_head_above_the_limit_is_431), T(a_body_above_the_limit_is_413_by_length_and_by_count),
        T(a_malformed_chunk_closes_the_stream_and_answers_400), T(continue_is_sent_when_a_body_is_wanted),
        T(a_body_that_nobody_wants_is_passed_over), T(one_connection_too_many_is_503),
        T(a_slow_head_is_408_and_a_silent_connection_is_closed), T(dripping_bytes_do_not_buy_time),
        T(an_idle_connection_is_closed_without_a_word), T(a_peer_that_takes_no_answer_is_cut),
        T(a_long_answer_is_sent_in_bounded_pieces), T(an_answer_may_come_later), T(a_peer_that_goes_away_is_told),
        T(a_half_closed_client_still_gets_its_answer), T(a_client_that_still_sends_gets_its_answer), T(a_reset_cuts_the_connection), T(the_peer_is_an_address_or_a_uid),
        T(an_answer_that_breaks_the_rules_is_refused_to_the_service), T(a_handler_that_forgets_a_request_is_500),
        T(draining_finishes_what_was_asked_and_closes_the_rest), T(destroying_tells_open_streams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
