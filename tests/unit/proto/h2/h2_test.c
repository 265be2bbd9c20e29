/* HTTP/2: engine against engine. */
#include "end.h"

struct pair {
    struct end client, server;
    size_t piece; /* what crosses at once */
    size_t crossed;
};

/* True when something crossed. */
static bool cross(struct pair *p, struct end *from, struct end *to)
{
    uint8_t buf[20000];
    ssize_t n = gh_h2_write(from->h, buf, p->piece < sizeof buf ? p->piece : sizeof buf, 0);

    assert_true(n >= 0);
    if (n > 0)
        gh_h2_feed(to->h, gh_span_of(buf, (size_t)n), 0);
    p->crossed += (size_t)n;
    return n > 0;
}

static void run(struct pair *p)
{
    bool more = true;

    while (more) {
        more = cross(p, &p->client, &p->server);
        more |= cross(p, &p->server, &p->client);
    }
}

static struct pair *pair_open(size_t piece)
{
    struct pair *p = calloc(1, sizeof *p);

    assert_non_null(p);
    p->piece = piece;
    end_open(&p->client, false, 0, 0);
    end_open(&p->server, true, 0, 0);
    return p;
}

static void pair_close(struct pair *p)
{
    gh_h2_destroy(p->client.h);
    gh_h2_destroy(p->server.h);
    free(p);
}

static int ask(struct pair *p, const char *method, const char *protocol, bool end)
{
    struct gh_http_head head = head_of(method, protocol);

    return gh_h2_request(p->client.h, &head, end, &p->client.s);
}

static void messages_survive_pieces_of_every_length(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 120; piece++) {
        struct pair *p = pair_open(piece);
        char text[1000];

        memset(text, 'x', sizeof text);
        run(p);
        p->server.echo = true;
        assert_int_equal(ask(p, "POST", "", false), 0);
        assert_int_equal(gh_h2_send(p->client.s, gh_span_of(text, sizeof text), false), 0);
        run(p);
        assert_non_null(p->client.s);
        assert_int_equal(gh_h2_send(p->client.s, gh_span_str("last"), true), 0);
        run(p);
        assert_string_equal(p->server.head, "POST|https|a.example|/p?q||capsule-protocol=?1;");
        assert_int_equal(p->server.got, 1004);
        assert_int_equal(p->client.status, 200);
        assert_string_equal(p->client.head, "|||||server=test;");
        assert_int_equal(p->client.got, 1004);
        assert_memory_equal(p->client.body + 998, "xxlast", 6);
        assert_int_equal(p->client.ends + p->server.ends, 2);
        assert_int_equal(p->client.closed + p->server.closed, 2);
        assert_int_equal(p->client.code | p->server.code, 0);
        assert_true(gh_h2_is_acknowledged(p->client.h) && gh_h2_is_acknowledged(p->server.h));
        pair_close(p);
    }
}

static void extended_connect_waits_for_settings_and_ends_each_way_on_its_own(void **state)
{
    struct pair *p = pair_open(SIZE_MAX);

    (void)state;
    p->server.keep_open = true;
    assert_int_equal(ask(p, "CONNECT", "connect-ip", false), GH_ERR_STATE);
    run(p);
    assert_true(gh_h2_peer_connect(p->client.h));
    assert_int_equal(ask(p, "CONNECT", "connect-ip", false), 0);
    run(p);
    assert_string_equal(p->server.head, "CONNECT|https|a.example|/p?q|connect-ip|capsule-protocol=?1;");
    assert_int_equal(gh_h2_send(p->server.s, gh_span_str("bye"), true), 0);
    run(p);
    assert_string_equal(p->client.body, "bye");
    assert_int_equal(p->client.ends, 1);
    assert_int_equal(p->client.closed + p->server.closed, 0);
    assert_int_equal(gh_h2_send(p->client.s, gh_span_str("still here"), true), 0);
    run(p);
    assert_string_equal(p->server.body, "still here");
    assert_int_equal(p->client.closed + p->server.closed, 2);
    assert_int_equal(p->client.code | p->server.code, 0);
    pair_close(p);
}

static void a_held_stream_stops_the_peer_until_its_bytes_are_taken(void **state)
{
    struct pair *p = calloc(1, sizeof *p);
    uint8_t piece[10000] = { 0 };
    size_t sent = 0;
    int rc = 0;

    (void)state;
    assert_non_null(p);
    p->piece = SIZE_MAX;
    end_open(&p->client, false, 0, 0);
    end_open(&p->server, true, 30000, 0);
    p->server.keep_open = p->server.hold = true;
    run(p);
    assert_int_equal(ask(p, "POST", "", false), 0);
    run(p);
    while (rc == 0) {
        rc = gh_h2_send(p->client.s, gh_span_of(piece, sizeof piece), false);
        sent += rc == 0 ? sizeof piece : 0;
        run(p);
    }
    assert_int_equal(rc, GH_ERR_AGAIN);
    assert_int_equal(p->server.got, 30000); /* as SETTINGS said, not a byte more */
    assert_int_equal(sent - 30000, gh_h2_queued(p->client.s));
    assert_true(gh_h2_queued(p->client.s) <= GH_H2_BODY_MAX);
    assert_int_equal(p->client.writables, 0);
    gh_h2_consume(p->server.s, 30000);
    run(p);
    assert_int_equal(p->server.got, 60000);
    for (int i = 0; i < 8; i++) {
        gh_h2_consume(p->server.s, 30000);
        run(p);
    }
    assert_int_equal(p->client.writables, 1); /* once, however long it drains */
    assert_int_equal(p->server.got, sent);
    pair_close(p);
}

static void a_stream_that_nobody_holds_gets_its_credit_back(void **state)
{
    struct pair *p = pair_open(SIZE_MAX);
    uint8_t piece[16384] = { 0 };

    (void)state;
    p->server.keep_open = true;
    run(p);
    assert_int_equal(ask(p, "POST", "", false), 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(gh_h2_send(p->client.s, gh_span_of(piece, sizeof piece), i == 999), 0);
        run(p);
    }
    assert_int_equal(p->server.got, 16384000);
    assert_int_equal(p->server.ends, 1);
    pair_close(p);
}

static void what_a_closed_stream_held_is_the_connections_again(void **state)
{
    struct pair *p = calloc(1, sizeof *p);
    struct gh_h2_config cfg = { .server = true, .window_stream = 60000, .window_connection = 65535, .events = &events };
    uint8_t piece[60000] = { 0 };

    (void)state;
    assert_non_null(p);
    p->piece = SIZE_MAX;
    end_open(&p->client, false, 0, 0);
    cfg.arg = &p->server;
    assert_int_equal(gh_h2_create(&cfg, &p->server.h), 0);
    p->server.keep_open = p->server.hold = true;
    run(p);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ask(p, "POST", "", false), 0);
        assert_int_equal(gh_h2_send(p->client.s, gh_span_of(piece, sizeof piece), false), 0);
        run(p);
        assert_int_equal(p->server.got, 60000);
        if (i % 2)
            gh_h2_reset(p->server.s, GH_H2_CANCEL);
        else
            gh_h2_reset(p->client.s, GH_H2_CANCEL);
        run(p);
        assert_int_equal(p->server.closed, i + 1);
    }
    pair_close(p);
}

static void what_one_stream_holds_leaves_room_for_others_when_the_connection_is_wide(void **state)
{
    struct pair *p = calloc(1, sizeof *p);
    struct gh_h2_config cfg = { .server = true, .window_stream = 60000, .window_connection = 65535, .events = &events };
    uint8_t piece[60000] = { 0 };

    (void)state;
    assert_non_null(p);
    p->piece = SIZE_MAX;
    end_open(&p->client, false, 0, 0);
    cfg.arg = &p->server;
    assert_int_equal(gh_h2_create(&cfg, &p->server.h), 0);
    p->server.keep_open = p->server.hold = true;
    run(p);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask(p, "POST", "", false), 0);
        p->server.got = 0;
        assert_int_equal(gh_h2_send(p->client.s, gh_span_of(piece, sizeof piece), false), 0);
        run(p);
        assert_int_equal(p->server.got, i == 0 ? 60000 : 65535 - 60000);
    }
    gh_h2_widen(p->server.s, 1u << 20);
    gh_h2_widen(p->server.s, 1000); /* never back */
    run(p);
    assert_int_equal(p->server.got, 60000);
    pair_close(p);
}

static void a_reset_reaches_the_other_end_with_its_code(void **state)
{
    struct pair *p = pair_open(SIZE_MAX);

    (void)state;
    p->server.keep_open = true;
    run(p);
    assert_int_equal(ask(p, "CONNECT", "connect-ip", false), 0);
    run(p);
    gh_h2_reset(p->server.s, GH_H2_CONNECT_ERROR);
    assert_int_equal(gh_h2_send(p->server.s, gh_span_str("x"), false), GH_ERR_STATE);
    run(p);
    assert_int_equal(p->client.code, GH_H2_CONNECT_ERROR);
    assert_int_equal(p->server.code, GH_H2_CONNECT_ERROR);
    assert_int_equal(p->client.closed + p->server.closed, 2);
    pair_close(p);
}

/* A request without an end that was answered, from a client to which <window> bytes were allowed and that has not read the answer. */
static struct pair *pair_answered(uint32_t window)
{
    struct pair *p = calloc(1, sizeof *p);

    assert_non_null(p);
    p->piece = SIZE_MAX;
    end_open(&p->client, false, 0, 0);
    end_open(&p->server, true, window, 0);
    p->server.say_early = true;
    run(p);
    assert_int_equal(ask(p, "POST", "", false), 0);
    cross(p, &p->client, &p->server);
    return p;
}

static void who_got_the_answer_is_reset_when_it_has_read_it(void **state)
{
    struct pair *p = pair_answered(0);

    (void)state;
    cross(p, &p->server, &p->client);
    assert_int_equal(p->client.status, 200);
    assert_int_equal(p->client.ends, 1);
    assert_int_equal(p->server.closed, 1); /* the application is done */
    assert_int_equal(p->client.closed, 0); /* no reset in the same bytes */
    run(p);
    assert_int_equal(p->client.closed, 1);
    assert_int_equal(p->server.closed, 1);
    assert_int_equal(p->client.code | p->server.code, 0);
    pair_close(p);
}

static void who_got_the_answer_may_finish_the_request(void **state)
{
    struct pair *p = pair_answered(0);

    (void)state;
    cross(p, &p->server, &p->client);
    assert_int_equal(gh_h2_send(p->client.s, gh_span_str("late"), true), 0);
    run(p);
    assert_int_equal(p->server.got + p->server.ends, 0); /* told to nobody */
    assert_int_equal(p->client.closed, 1);
    assert_int_equal(p->server.closed, 1);
    assert_int_equal(p->client.code | p->server.code, 0);
    pair_close(p);
}

static void who_uses_up_the_credit_of_a_stream_is_reset_unread(void **state)
{
    uint8_t body[30000] = { 0 }, answer[1000];

    (void)state;
    for (unsigned whole = 0; whole < 2; whole++) {
        struct pair *p = pair_answered(30000);
        ssize_t n = gh_h2_write(p->server.h, answer, sizeof answer, 0);

        assert_int_equal(gh_h2_send(p->client.s, gh_span_of(body, whole ? 30000 : 29999), false), 0);
        while (cross(p, &p->client, &p->server))
            ;
        assert_int_equal(gh_h2_feed(p->client.h, gh_span_of(answer, (size_t)n), 0), 0);
        cross(p, &p->server, &p->client);
        assert_int_equal(p->client.status, 200);
        assert_int_equal(p->client.closed, whole);
        pair_close(p);
    }
}

/* 6 MB, of a connection that allows 4 MiB when nobody gives credit back. */
static void what_comes_behind_the_answer_costs_no_credit_of_the_connection(void **state)
{
    struct pair *p = pair_answered(30000);
    uint8_t body[30000] = { 0 };

    (void)state;
    run(p);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(ask(p, "POST", "", false), 0);
        assert_int_equal(gh_h2_send(p->client.s, gh_span_of(body, sizeof body), i % 2), 0);
        run(p);
        assert_int_equal(p->client.closed, i + 2);
        assert_int_equal(p->client.code, GH_H2_NO_ERROR);
    }
    pair_close(p);
}

static void what_waits_behind_the_answer_is_no_open_stream(void **state)
{
    struct pair *p = pair_answered(0);

    (void)state;
    cross(p, &p->server, &p->client);
    assert_int_equal(gh_h2_streams(p->server.h), 0);
    gh_h2_drain(p->server.h);
    run(p);
    assert_true(gh_h2_is_over(p->server.h));
    pair_close(p);
    p = pair_answered(0);
    cross(p, &p->server, &p->client);
    gh_h2_close_streams(p->server.h, GH_H2_CANCEL); /* the connection ends */
    assert_int_equal(p->server.closed, 1);
    pair_close(p);
}

static void an_answer_to_head_has_no_body(void **state)
{
    struct pair *p = pair_open(SIZE_MAX);

    (void)state;
    p->server.keep_open = true;
    run(p);
    assert_int_equal(ask(p, "HEAD", "", true), 0);
    run(p);
    assert_int_equal(p->client.status, 200);
    assert_int_equal(p->client.got, 0);
    assert_int_equal(p->client.ends, 1);
    pair_close(p);
}

static void one_stream_too_many_is_not_opened(void **state)
{
    struct pair *p = calloc(1, sizeof *p);

    (void)state;
    assert_non_null(p);
    p->piece = SIZE_MAX;
    end_open(&p->client, false, 0, 0);
    end_open(&p->server, true, 0, 2);
    p->server.keep_open = true;
    run(p);
    assert_int_equal(ask(p, "GET", "", false), 0);
    assert_int_equal(ask(p, "GET", "", false), 0);
    assert_int_equal(ask(p, "GET", "", false), GH_ERR_FULL);
    run(p);
    gh_h2_reset(p->client.s, GH_H2_CANCEL);
    run(p);
    assert_int_equal(ask(p, "GET", "", false), 0);
    pair_close(p);
}

static void draining_serves_what_is_on_its_way_and_ends_with_the_last(void **state)
{
    struct pair *p = pair_open(SIZE_MAX);
    struct gh_h2_stream *first;

    (void)state;
    p->server.keep_open = true;
    run(p);
    assert_int_equal(ask(p, "GET", "", false), 0);
    run(p);
    first = p->server.s;
    assert_int_equal(gh_h2_drain(p->server.h), 0);
    assert_int_equal(ask(p, "GET", "", false), 0); /* crosses the GOAWAY */
    run(p);
    assert_int_equal(p->server.requests, 2);
    assert_int_equal(p->client.goaways, 1);
    assert_int_equal(ask(p, "GET", "", false), GH_ERR_STATE);
    assert_false(gh_h2_is_over(p->server.h));
    gh_h2_reset(p->server.s, GH_H2_CANCEL);
    gh_h2_reset(first, GH_H2_CANCEL);
    run(p);
    assert_true(gh_h2_is_over(p->server.h));
    assert_true(gh_h2_is_over(p->client.h));
    assert_int_equal(gh_h2_code(p->client.h), GH_H2_NO_ERROR);
    pair_close(p);
}

static void what_a_message_may_not_have_is_refused_to_the_application(void **state)
{
    struct pair *p = pair_open(SIZE_MAX);
    struct gh_http_field bad = { gh_span_str("x"), gh_span_str("a\r\ny: b") };
    struct gh_http_head head = head_of("GET", "");

    (void)state;
    run(p);
    head.fields = &bad;
    assert_int_equal(gh_h2_request(p->client.h, &head, true, &p->client.s), GH_ERR_MALFORMED);
    assert_int_equal(gh_h2_streams(p->client.h), 0);
    assert_int_equal(ask(p, "GET", "", true), 0);
    run(p);
    assert_int_equal(gh_h2_send(p->server.s, gh_span_str("x"), false), GH_ERR_STATE);
    assert_int_equal(gh_h2_respond(p->server.s, 101, NULL, 0, false), GH_ERR_RANGE);
    assert_int_equal(gh_h2_respond(p->server.s, 200, &bad, 1, false), GH_ERR_MALFORMED);
    assert_int_equal(gh_h2_respond(p->server.s, 200, NULL, 0, false), 0);
    assert_int_equal(gh_h2_respond(p->server.s, 200, NULL, 0, false), GH_ERR_STATE);
    assert_int_equal(gh_h2_send(p->server.s, gh_span_str("x"), true), 0);
    assert_int_equal(gh_h2_send(p->server.s, gh_span_str("x"), true), GH_ERR_STATE);
    pair_close(p);
}

static void streams_end_with_their_connection(void **state)
{
    struct pair *p = pair_open(SIZE_MAX);

    (void)state;
    p->server.keep_open = true;
    run(p);
    assert_int_equal(ask(p, "GET", "", false), 0);
    run(p);
    gh_h2_close_streams(p->server.h, GH_H2_CANCEL);
    assert_int_equal(p->server.closed, 1);
    assert_int_equal(p->server.code, GH_H2_CANCEL);
    assert_int_equal(gh_h2_streams(p->server.h), 0);
    gh_h2_close(p->client.h, GH_H2_NO_ERROR);
    run(p);
    assert_true(gh_h2_is_over(p->client.h));
    pair_close(p);
}

#define T cmocka_unit_test

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(messages_survive_pieces_of_every_length),
        T(extended_connect_waits_for_settings_and_ends_each_way_on_its_own),
        T(a_held_stream_stops_the_peer_until_its_bytes_are_taken),
        T(a_stream_that_nobody_holds_gets_its_credit_back),
        T(what_one_stream_holds_leaves_room_for_others_when_the_connection_is_wide),
        T(what_a_closed_stream_held_is_the_connections_again),
        T(a_reset_reaches_the_other_end_with_its_code),
        T(who_got_the_answer_may_finish_the_request),
        T(who_got_the_answer_is_reset_when_it_has_read_it),
        T(who_uses_up_the_credit_of_a_stream_is_reset_unread),
        T(what_comes_behind_the_answer_costs_no_credit_of_the_connection),
        T(what_waits_behind_the_answer_is_no_open_stream),
        T(an_answer_to_head_has_no_body),
        T(one_stream_too_many_is_not_opened),
        T(draining_serves_what_is_on_its_way_and_ends_with_the_last),
        T(what_a_message_may_not_have_is_refused_to_the_application),
        T(streams_end_with_their_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
