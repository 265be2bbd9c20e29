#include "net/http1_origin.h"

#include "../test.h"
#include "base/error.h"
#include "fake_bytes.h"

struct world {
    struct fake_bytes *io;
    struct gh_http1_origin *origin; /* NULL: closed */
    struct gh_http_stream *stream;
    unsigned status, idles, closed, ends, writables;
    uint64_t code;
    char body[64];
    size_t got;
};

static void on_answer(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    (void)s;
    ((struct world *)arg)->status = head->status;
}

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
    w->stream = NULL;
    w->closed++;
    w->code = code;
}

static const struct gh_http_events events = { .on_answer = on_answer, .on_body = on_body, .on_writable = on_writable, .on_closed = on_closed };

static void on_idle(void *arg, struct gh_http1_origin *c)
{
    (void)c;
    ((struct world *)arg)->idles++;
}

static void on_gone(void *arg, struct gh_http1_origin *c)
{
    (void)c;
    ((struct world *)arg)->origin = NULL;
}

static const struct gh_http1_origin_events origin_events = { on_idle, on_gone };

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->io = fake_bytes_create();
    assert_int_equal(gh_http1_origin_open(&w->io->base, &origin_events, w, &w->origin), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    if (w->origin)
        gh_http1_origin_close(w->origin);
    assert_null(w->origin);
    assert_null(w->stream);
    fake_bytes_destroy(w->io);
    free(w);
    return 0;
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

static int ask(struct world *w, const char *method, const char *protocol, enum gh_http1_origin_body body, const char *length)
{
    struct gh_http_field field = { gh_span_str("content-length"), gh_span_str(length) };
    struct gh_http_head head = { .method = gh_span_str(method), .scheme = gh_span_str("http"), .authority = gh_span_str("a"), .path = gh_span_str("/"),
                                 .protocol = gh_span_str(protocol), .fields = &field, .field_count = *length ? 1 : 0 };

    w->status = 0;
    w->got = w->ends = w->closed = 0;
    return gh_http1_origin_request(w->origin, &head, body, &events, w, &w->stream);
}

static void requests_follow_each_other_on_one_connection(void **state)
{
    struct world *w = *state;

    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(ask(w, "GET", "", GH_HTTP1_ORIGIN_NO_BODY, ""), 0);
        assert_int_equal(ask(w, "GET", "", GH_HTTP1_ORIGIN_NO_BODY, ""), GH_ERR_STATE);
        feed(w, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nTrailer: 1\r\n\r\n");
        assert_int_equal(w->status, 200);
        assert_memory_equal(w->body, "abc", 3);
        assert_int_equal(w->ends, 1);
        assert_int_equal(w->closed, 1);
        assert_int_equal(w->code, 0);
        assert_int_equal(w->idles, i);
    }
}

static void an_answer_to_head_has_no_body_and_the_next_one_does(void **state)
{
    struct world *w = *state;

    assert_int_equal(ask(w, "HEAD", "", GH_HTTP1_ORIGIN_NO_BODY, ""), 0);
    feed(w, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(w->ends, 1);
    assert_int_equal(ask(w, "GET", "", GH_HTTP1_ORIGIN_NO_BODY, ""), 0);
    feed(w, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde");
    assert_int_equal(w->got, 5);
    assert_int_equal(w->idles, 2);
}

static void bytes_that_nobody_asked_for_end_the_connection(void **state)
{
    struct world *w = *state;

    assert_int_equal(ask(w, "GET", "", GH_HTTP1_ORIGIN_NO_BODY, ""), 0);
    feed(w, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
    assert_int_equal(w->got, 1);
    assert_int_equal(w->ends, 1);
    assert_int_equal(w->idles, 0);
    assert_null(w->origin);
}

static void an_idle_connection_ends_with_its_first_byte_or_its_end(void **state)
{
    struct world *w = *state;

    assert_int_equal(ask(w, "GET", "", GH_HTTP1_ORIGIN_NO_BODY, ""), 0);
    feed(w, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(w->idles, 1);
    w->io->end = true;
    run(w);
    assert_null(w->origin);
}

static void a_body_has_the_length_that_it_said(void **state)
{
    struct world *w = *state;

    assert_int_equal(ask(w, "POST", "", GH_HTTP1_ORIGIN_LENGTH, ""), GH_ERR_MALFORMED);
    assert_int_equal(ask(w, "POST", "", GH_HTTP1_ORIGIN_LENGTH, "1x"), GH_ERR_MALFORMED);
    assert_int_equal(ask(w, "POST", "", GH_HTTP1_ORIGIN_LENGTH, "4"), 0);
    assert_int_equal(gh_http_send(w->stream, gh_span_str("abcde"), false), GH_ERR_STATE);
    assert_int_equal(gh_http_send(w->stream, gh_span_str("abc"), true), GH_ERR_STATE);
    assert_int_equal(gh_http_send(w->stream, gh_span_str("abc"), false), 0);
    assert_int_equal(gh_http_send(w->stream, gh_span_str("d"), true), 0);
    assert_int_equal(gh_http_send(w->stream, gh_span_str(""), true), GH_ERR_STATE);
    run(w);
    assert_string_equal(strstr((char *)w->io->out, "\r\n\r\n"), "\r\n\r\nabcd");
}

static void that_there_is_no_body_is_said_where_one_is_expected(void **state)
{
    struct world *w = *state;

    assert_int_equal(ask(w, "POST", "", GH_HTTP1_ORIGIN_NO_BODY, ""), 0);
    run(w);
    assert_non_null(strstr((char *)w->io->out, "\r\ncontent-length: 0\r\n"));
}

static void who_sends_too_much_is_told_when_there_is_room(void **state)
{
    static uint8_t piece[10000];
    struct world *w = *state;
    int rc = 0;

    assert_int_equal(ask(w, "POST", "", GH_HTTP1_ORIGIN_CHUNKED, ""), 0);
    run(w);
    w->io->room = w->io->out_len;
    while (rc == 0)
        rc = gh_http_send(w->stream, gh_span_of(piece, sizeof piece), false);
    assert_int_equal(rc, GH_ERR_AGAIN);
    run(w);
    assert_int_equal(w->writables, 0);
    w->io->room = 0;
    run(w);
    assert_int_equal(w->writables, 1);
}

static void who_holds_an_answer_holds_back_the_origin(void **state)
{
    struct world *w = *state;

    assert_int_equal(ask(w, "GET", "", GH_HTTP1_ORIGIN_NO_BODY, ""), 0);
    gh_http_hold(w->stream);
    feed(w, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
    assert_false(w->io->reading);
    feed(w, "def");
    assert_int_equal(w->got, 3);
    gh_http_consume(w->stream, 3);
    run(w);
    assert_int_equal(w->got, 6);
}

static void an_upgrade_is_a_tunnel_when_it_is_granted(void **state)
{
    struct world *w = *state;

    assert_int_equal(ask(w, "CONNECT", "websocket", GH_HTTP1_ORIGIN_NO_BODY, ""), 0);
    assert_int_equal(gh_http_send(w->stream, gh_span_str("early"), false), GH_ERR_STATE);
    feed(w, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nabc");
    assert_int_equal(w->status, 101);
    assert_int_equal(w->got, 3);
    assert_int_equal(gh_http_send(w->stream, gh_span_str("up"), true), 0);
    run(w);
    assert_true(w->io->shut);
    assert_non_null(w->stream); /* the other direction goes on */
    feed(w, "def");
    w->io->end = true;
    run(w);
    assert_int_equal(w->got, 6);
    assert_int_equal(w->ends, 1);
    assert_int_equal(w->code, 0);
    assert_null(w->origin);
}

static void an_upgrade_that_nobody_asked_for_is_an_error(void **state)
{
    struct world *w = *state;

    assert_int_equal(ask(w, "CONNECT", "websocket", GH_HTTP1_ORIGIN_NO_BODY, ""), 0);
    feed(w, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
    assert_int_equal(w->status, 0);
    assert_int_equal(w->code, gh_http_code(GH_HTTP_MESSAGE_ERROR));
    assert_null(w->origin);
}

static void an_upgrade_that_is_refused_was_a_get(void **state)
{
    struct world *w = *state;

    assert_int_equal(ask(w, "CONNECT", "websocket", GH_HTTP1_ORIGIN_NO_BODY, ""), 0);
    feed(w, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_int_equal(w->status, 200);
    assert_int_equal(w->got, 2);
    assert_int_equal(w->idles, 1);
}

static void what_would_end_a_field_is_not_sent(void **state)
{
    struct world *w = *state;

    assert_int_equal(ask(w, "POST", "", GH_HTTP1_ORIGIN_NO_BODY, "1\r\nx: y"), GH_ERR_MALFORMED);
    assert_int_equal(ask(w, "P T", "", GH_HTTP1_ORIGIN_NO_BODY, ""), GH_ERR_MALFORMED);
    assert_int_equal(ask(w, "CONNECT", "", GH_HTTP1_ORIGIN_NO_BODY, ""), GH_ERR_MALFORMED);
    assert_int_equal(ask(w, "GET", "websocket", GH_HTTP1_ORIGIN_NO_BODY, ""), GH_ERR_MALFORMED);
    run(w);
    assert_int_equal(w->io->out_len, 0);
    assert_int_equal(ask(w, "GET", "", GH_HTTP1_ORIGIN_NO_BODY, ""), 0); /* and does no harm to what is */
}

static void a_reset_cuts_the_connection(void **state)
{
    struct world *w = *state;

    assert_int_equal(ask(w, "GET", "", GH_HTTP1_ORIGIN_NO_BODY, ""), 0);
    gh_http_reset(w->stream, GH_HTTP_REQUEST_CANCELLED);
    run(w);
    assert_true(w->io->reset);
    assert_int_equal(w->code, gh_http_code(GH_HTTP_REQUEST_CANCELLED));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(requests_follow_each_other_on_one_connection),
        T(an_answer_to_head_has_no_body_and_the_next_one_does),
        T(bytes_that_nobody_asked_for_end_the_connection),
        T(an_idle_connection_ends_with_its_first_byte_or_its_end),
        T(a_body_has_the_length_that_it_said),
        T(that_there_is_no_body_is_said_where_one_is_expected),
        T(who_sends_too_much_is_told_when_there_is_room),
        T(who_holds_an_answer_holds_back_the_origin),
        T(an_upgrade_is_a_tunnel_when_it_is_granted),
        T(an_upgrade_that_nobody_asked_for_is_an_error),
        T(an_upgrade_that_is_refused_was_a_get),
        T(what_would_end_a_field_is_not_sent),
        T(a_reset_cuts_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
