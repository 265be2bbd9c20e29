/* The pump between a fake byte stream and a fake tunnel. */
#include "net/tunnel_pump.h"

#include "../test.h"
#include "base/error.h"
#include "fake_bytes.h"
#include "fake_stream.h"

struct world {
    struct gh_tunnel_pump pump;
    struct fake_bytes *io;
    struct gh_fake_stream tunnel;
    size_t bytes[2];
    unsigned ended;
    enum gh_tunnel_pump_end why;
    bool stream_left;
};

static void on_bytes(void *arg, unsigned way, size_t bytes)
{
    ((struct world *)arg)->bytes[way] += bytes;
}

static void on_end(void *arg, enum gh_tunnel_pump_end why, struct gh_http_stream *stream)
{
    struct world *w = arg;

    w->ended++;
    w->why = why;
    w->stream_left = stream != NULL;
}

static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    (void)s;
    gh_tunnel_pump_on_body(&((struct world *)arg)->pump, data, end);
}

static void on_writable(void *arg, struct gh_http_stream *s)
{
    (void)s;
    gh_tunnel_pump_on_writable(&((struct world *)arg)->pump);
}

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    (void)s;
    gh_tunnel_pump_on_closed(&((struct world *)arg)->pump, code);
}

static const struct gh_http_events tunnel_events = { NULL, on_body, NULL, on_writable, on_closed };
static const struct gh_tunnel_pump_events events = { on_bytes, on_end };

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->io = fake_bytes_create();
    gh_fake_stream_init(&w->tunnel);
    w->tunnel.status = 200; /* the other side's is not looked at, but for whether bytes may be sent */
    w->tunnel.stream.events = &tunnel_events;
    w->tunnel.stream.arg = w;
    gh_tunnel_pump_init(&w->pump, &w->tunnel.stream, &events, w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    w->tunnel.stream.events = NULL;
    if (!w->io->closed && w->pump.io)
        gh_tunnel_pump_abort(&w->pump);
    gh_tunnel_pump_fini(&w->pump);
    gh_fake_stream_fini(&w->tunnel);
    fake_bytes_destroy(w->io);
    free(w);
    return 0;
}

static void start(struct world *w, const char *early)
{
    gh_tunnel_pump_start(&w->pump, &w->io->base, gh_span_str(early), false);
}

static void turn(struct world *w)
{
    while (fake_bytes_turn(w->io))
        ;
}

static void both_ways_pass_and_each_end_by_itself(void **state)
{
    struct world *w = *state;

    assert_true(w->tunnel.held);
    start(w, "early");
    assert_string_equal(w->tunnel.body, "early");
    fake_bytes_feed(w->io, gh_span_str("+late"));
    w->io->end = true;
    turn(w);
    assert_string_equal(w->tunnel.body, "early+late");
    assert_true(w->tunnel.ended);
    assert_false(w->io->shut);
    gh_fake_stream_body(&w->tunnel, "answer", 6, false);
    assert_int_equal(w->tunnel.consumed, 6);
    gh_fake_stream_body(&w->tunnel, NULL, 0, true);
    assert_memory_equal(w->io->out, "answer", 6);
    assert_true(w->io->shut);
    assert_int_equal(w->ended, 0);
    gh_fake_stream_close(&w->tunnel, 0);
    assert_int_equal(w->ended, 1);
    assert_int_equal(w->why, GH_TUNNEL_PUMP_FINISHED);
    assert_true(w->io->closed && !w->io->reset && !w->stream_left);
    assert_int_equal(w->bytes[0], 10);
    assert_int_equal(w->bytes[1], 6);
}

static void what_the_tunnel_sends_before_the_start_waits(void **state)
{
    struct world *w = *state;

    gh_fake_stream_body(&w->tunnel, "first", 5, false);
    assert_int_equal(w->tunnel.consumed, 0);
    start(w, "");
    assert_memory_equal(w->io->out, "first", 5);
    assert_int_equal(w->tunnel.consumed, 5);
}

static void credit_is_given_for_what_was_taken(void **state)
{
    struct world *w = *state;

    w->io->room = 4;
    start(w, "");
    gh_fake_stream_body(&w->tunnel, "sixteen bytes...", 16, true);
    assert_int_equal(w->tunnel.consumed, 4);
    assert_false(w->io->shut); /* the end is behind what waits */
    for (size_t taken = 4; taken < 16; taken += 4) {
        assert_int_equal(w->tunnel.consumed, taken);
        fake_bytes_take(w->io);
        turn(w);
    }
    assert_int_equal(w->tunnel.consumed, 16);
    assert_true(w->io->shut);
}

static void a_tunnel_that_ended_well_is_written_out(void **state)
{
    struct world *w = *state;

    w->io->room = 4;
    start(w, "");
    gh_fake_stream_body(&w->tunnel, "12345678", 8, true);
    gh_fake_stream_close(&w->tunnel, 0);
    assert_int_equal(w->ended, 0);
    fake_bytes_feed(w->io, gh_span_str("nobody reads this"));
    fake_bytes_take(w->io);
    turn(w);
    assert_int_equal(w->ended, 1);
    assert_int_equal(w->why, GH_TUNNEL_PUMP_FINISHED);
    assert_false(w->io->reset);
    assert_memory_equal(w->io->out, "5678", 4);
}

static void a_tunnel_that_takes_nothing_holds_the_byte_stream(void **state)
{
    struct world *w = *state;

    w->tunnel.room = 4;
    start(w, "");
    fake_bytes_feed(w->io, gh_span_str("more than four"));
    turn(w);
    assert_int_equal(w->tunnel.body_len, 0);
    assert_false(w->io->reading);
    fake_bytes_feed(w->io, gh_span_str(", and the rest"));
    w->io->end = true;
    turn(w);
    gh_fake_stream_writable(&w->tunnel, SIZE_MAX);
    assert_true(w->io->reading);
    assert_false(w->tunnel.ended);
    turn(w);
    assert_string_equal(w->tunnel.body, "more than four, and the rest");
    assert_true(w->tunnel.ended);
}

static void a_broken_end_breaks_the_other(void **state)
{
    struct world *w = *state;

    start(w, "");
    w->io->broken = true;
    turn(w);
    assert_int_equal(w->ended, 1);
    assert_int_equal(w->why, GH_TUNNEL_PUMP_LOCAL);
    assert_true(w->stream_left); /* its owner resets it */
    gh_fake_stream_body(&w->tunnel, "late", 4, true);
    gh_fake_stream_close(&w->tunnel, 1);
    assert_int_equal(w->ended, 1);
}

static void a_tunnel_that_breaks_resets_the_byte_stream(void **state)
{
    struct world *w = *state;

    start(w, "");
    gh_fake_stream_body(&w->tunnel, "x", 1, false);
    gh_fake_stream_close(&w->tunnel, 0x10c);
    assert_int_equal(w->ended, 1);
    assert_int_equal(w->why, GH_TUNNEL_PUMP_TUNNEL);
    assert_true(w->io->reset && !w->stream_left);
}

/* An end without END_STREAM is none that the other side meant. */
static void a_tunnel_that_goes_without_its_end_is_a_break(void **state)
{
    struct world *w = *state;

    start(w, "");
    gh_fake_stream_close(&w->tunnel, 0);
    assert_int_equal(w->why, GH_TUNNEL_PUMP_TUNNEL);
    assert_true(w->io->reset);
}

static void more_than_there_is_credit_for_is_refused(void **state)
{
    struct world *w = *state;
    char *much = calloc(1, GH_TUNNEL_PUMP_PENDING);

    assert_non_null(much);
    w->io->room = 1;
    start(w, "");
    gh_fake_stream_body(&w->tunnel, much, GH_TUNNEL_PUMP_PENDING, false);
    assert_int_equal(w->ended, 0);
    gh_fake_stream_body(&w->tunnel, much, 2, false);
    assert_int_equal(w->ended, 1);
    assert_int_equal(w->why, GH_TUNNEL_PUMP_FLOODED);
    assert_true(w->io->reset && w->stream_left);
    free(much);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(both_ways_pass_and_each_end_by_itself),
        T(what_the_tunnel_sends_before_the_start_waits),
        T(credit_is_given_for_what_was_taken),
        T(a_tunnel_that_ended_well_is_written_out),
        T(a_tunnel_that_takes_nothing_holds_the_byte_stream),
        T(a_broken_end_breaks_the_other),
        T(a_tunnel_that_breaks_resets_the_byte_stream),
        T(a_tunnel_that_goes_without_its_end_is_a_break),
        T(more_than_there_is_credit_for_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
