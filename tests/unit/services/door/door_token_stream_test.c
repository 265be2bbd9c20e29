#include "services/door/door_token_stream.h"

#include "../../net/fake_stream.h"
#include "../../test.h"

/* A service behind it, and the test's handler before it. */
struct world {
    struct gh_fake_stream fake;
    struct door_token_stream *made;
    bool gone, served, silent;
    struct gh_http_stream *stream;
    char path[64], got[64];
    size_t len, datagrams;
    bool ended, closed, reset_at_once;
};

static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct world *w = arg;

    assert_ptr_equal(s, w->stream);
    memcpy(w->got + w->len, data.data, data.len);
    w->len += data.len;
    w->ended |= end;
}

static void on_datagram(void *arg, struct gh_http_stream *s, struct gh_span payload)
{
    struct world *w = arg;

    (void)s;
    (void)payload;
    w->datagrams++;
}

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct world *w = arg;

    (void)s;
    (void)code;
    w->closed = true;
}

static const struct gh_http_events events = { .on_body = on_body, .on_datagram = on_datagram, .on_closed = on_closed };

static void on_gone(void *arg)
{
    struct world *w = arg;

    w->gone = true;
}

static void take(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct world *w = arg;

    w->made = door_token_stream_create(s, head, on_gone, w);
    assert_non_null(w->made);
}

static void serve(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct world *w = arg;

    w->served = true;
    w->stream = s;
    memcpy(w->path, head->path.data, head->path.len);
    s->events = w->silent ? NULL : &events;
    s->arg = w;
    if (w->reset_at_once)
        gh_http_reset(s, GH_HTTP_REQUEST_REJECTED);
    else
        assert_int_equal(gh_http_respond(s, 200, NULL, 0, w->silent), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    gh_fake_stream_init(&w->fake);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    gh_fake_stream_fini(&w->fake);
    free(w);
    return 0;
}

static void request(struct world *w)
{
    const struct gh_http_handler handler = { take, w };
    char path[] = "/somewhere";

    gh_fake_stream_request(&w->fake, handler, "GET", path, NULL, 0);
    memset(path, 'x', sizeof path - 1); /* what was borrowed is over */
}

static void the_service_sees_who_it_is_and_all_that_was_sent(void **state)
{
    struct world *w = *state;

    request(w);
    gh_fake_stream_body(&w->fake, "abc", 3, false);
    gh_fake_stream_datagram(&w->fake, "x", 1); /* lost */
    assert_false(w->served);
    door_token_stream_open(w->made, "alice", 7, serve, w);
    assert_true(w->served);
    assert_string_equal(w->path, "/somewhere");
    assert_string_equal(gh_http_peer(w->stream)->identity, "alice");
    assert_int_equal(gh_http_peer(w->stream)->credential, 7);
    assert_null(gh_http_peer(w->stream)->certificate);
    assert_int_equal(w->fake.status, 200);
    gh_fake_stream_body(&w->fake, "def", 3, true);
    gh_fake_stream_datagram(&w->fake, "x", 1);
    assert_int_equal(w->len, 6);
    assert_memory_equal(w->got, "abcdef", 6);
    assert_true(w->ended);
    assert_int_equal(w->datagrams, 1);
    assert_int_equal(gh_http_send(w->stream, gh_span_str("answer"), true), 0);
    assert_string_equal(w->fake.body, "answer");
    gh_fake_stream_close(&w->fake, 0);
    assert_true(w->closed);
    assert_false(w->gone);
}

static void nobody_stays_nobody(void **state)
{
    struct world *w = *state;

    w->silent = true;
    request(w);
    gh_fake_stream_body(&w->fake, "abc", 3, true);
    door_token_stream_open(w->made, NULL, 0, serve, w);
    assert_string_equal(gh_http_peer(w->stream)->identity, "");
    assert_int_equal(gh_http_peer(w->stream)->credential, 0);
    assert_true(w->fake.ended);
    gh_fake_stream_close(&w->fake, 0);
}

static void who_goes_before_the_verdict_is_told_of(void **state)
{
    struct world *w = *state;

    request(w);
    gh_fake_stream_body(&w->fake, "abc", 3, false);
    gh_fake_stream_close(&w->fake, 0x10c);
    assert_true(w->gone);
    assert_false(w->served);
}

static void a_service_may_refuse_at_once(void **state)
{
    struct world *w = *state;

    w->reset_at_once = true;
    request(w);
    gh_fake_stream_body(&w->fake, "abc", 3, false);
    door_token_stream_open(w->made, "alice", 7, serve, w);
    assert_true(w->fake.reset);
    if (!w->closed)
        gh_fake_stream_close(&w->fake, 0x10b);
    assert_true(w->closed);
}

static void what_waits_has_a_limit(void **state)
{
    struct world *w = *state;
    uint8_t *much = calloc(1, DOOR_TOKEN_BODY_MAX);

    assert_non_null(much);
    request(w);
    gh_fake_stream_body(&w->fake, much, DOOR_TOKEN_BODY_MAX, false);
    assert_false(w->fake.reset);
    gh_fake_stream_body(&w->fake, much, 1, false);
    assert_true(w->fake.reset);
    assert_int_equal(w->fake.why, GH_HTTP_EXCESSIVE_LOAD);
    gh_fake_stream_close(&w->fake, 0x107);
    assert_true(w->gone);
    free(much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_service_sees_who_it_is_and_all_that_was_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_stays_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(who_goes_before_the_verdict_is_told_of, setup, teardown),
        cmocka_unit_test_setup_teardown(a_service_may_refuse_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_waits_has_a_limit, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
