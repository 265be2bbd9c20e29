#include "net/tcp_stream.h"

#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"
#include "loop/worker.h"

struct world {
    struct gh_workers *workers;
    struct gh_worker *worker;
    struct gh_byte_stream *stream;
    int far; /* the other end */
    char got[100000];
    size_t len, largest;
    unsigned ends, writables, closed;
    bool close_in_event;
};

static void on_bytes(void *arg, struct gh_span data)
{
    struct world *w = arg;

    memcpy(w->got + w->len, data.data, data.len);
    w->len += data.len;
    w->largest = data.len > w->largest ? data.len : w->largest;
    if (w->close_in_event) {
        gh_byte_stream_close(w->stream);
        w->stream = NULL;
    }
}

static void on_end(void *arg)
{
    ((struct world *)arg)->ends++;
}

static void on_writable(void *arg)
{
    ((struct world *)arg)->writables++;
}

static void on_closed(void *arg, int why)
{
    ((struct world *)arg)->closed++;
    assert_int_equal(why, GH_ERR_CLOSED);
}

static const struct gh_byte_stream_events events = { on_bytes, on_end, on_writable, on_closed };

static struct world *world_open(const char *early)
{
    struct gh_workers_config one = { .count = 1 };
    struct world *w = calloc(1, sizeof *w);
    int fds[2];

    assert_non_null(w);
    assert_int_equal(gh_workers_create(&one, &w->workers), 0);
    w->worker = gh_workers_at(w->workers, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(gh_tcp_stream_create(w->worker, fds[0], gh_span_str(early), &w->stream), 0);
    w->stream->events = &events;
    w->stream->arg = w;
    w->far = fds[1];
    return w;
}

static void world_close(struct world *w)
{
    gh_byte_stream_close(w->stream);
    if (w->far >= 0)
        close(w->far);
    gh_workers_destroy(w->workers);
    free(w);
}

/* What a loop that has nothing to wait for does now. */
static void turns(struct world *w)
{
    for (int i = 0; i < 20; i++)
        gh_worker_turn(w->worker, false);
}

static void far_send(struct world *w, const void *data, size_t len)
{
    assert_int_equal(send(w->far, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void nothing_is_read_until_it_is_wanted(void **state)
{
    struct world *w = world_open("");

    (void)state;
    far_send(w, "abc", 3);
    turns(w);
    assert_int_equal(w->len, 0);
    gh_byte_stream_want_read(w->stream, true);
    turns(w);
    assert_string_equal(w->got, "abc");
    gh_byte_stream_want_read(w->stream, false);
    far_send(w, "def", 3);
    turns(w);
    assert_string_equal(w->got, "abc");
    gh_byte_stream_want_read(w->stream, true);
    turns(w);
    assert_string_equal(w->got, "abcdef");
    world_close(w);
}

static void bytes_that_were_read_before_come_first(void **state)
{
    struct world *w = world_open("early ");

    (void)state;
    far_send(w, "late", 4);
    turns(w);
    assert_int_equal(w->len, 0);
    gh_byte_stream_want_read(w->stream, true);
    assert_int_equal(w->len, 0); /* no event inside an operation */
    turns(w);
    assert_string_equal(w->got, "early late");
    world_close(w);
}

static void bytes_that_were_read_before_come_though_the_peer_is_gone(void **state)
{
    struct world *w = world_open("early");

    (void)state;
    close(w->far);
    w->far = -1;
    gh_byte_stream_want_read(w->stream, true);
    turns(w);
    assert_string_equal(w->got, "early");
    assert_int_equal(w->ends + w->closed, 1);
    world_close(w);
}

static void no_piece_is_longer_than_promised(void **state)
{
    struct world *w = world_open("");
    static uint8_t many[60000];

    (void)state;
    gh_byte_stream_want_read(w->stream, true);
    far_send(w, many, sizeof many);
    turns(w);
    assert_int_equal(w->len, sizeof many);
    assert_true(w->largest <= GH_BYTE_STREAM_PIECE);
    world_close(w);
}

static void each_direction_ends_on_its_own(void **state)
{
    struct world *w = world_open("");
    char buf[8];

    (void)state;
    gh_byte_stream_want_read(w->stream, true);
    assert_int_equal(shutdown(w->far, SHUT_WR), 0);
    turns(w);
    assert_int_equal(w->ends, 1);
    assert_int_equal(gh_byte_stream_write(w->stream, gh_span_str("still")), 5);
    assert_int_equal(recv(w->far, buf, sizeof buf, 0), 5);
    gh_byte_stream_shutdown_write(w->stream);
    assert_int_equal(recv(w->far, buf, sizeof buf, 0), 0);
    turns(w);
    assert_int_equal(w->ends, 1);
    assert_int_equal(w->closed, 0);
    world_close(w);
}

static void what_was_not_taken_may_be_written_later(void **state)
{
    struct world *w = world_open("");
    static uint8_t many[65536], sink[65536];
    ssize_t n;

    (void)state;
    do
        n = gh_byte_stream_write(w->stream, gh_span_of(many, sizeof many));
    while (n == (ssize_t)sizeof many);
    assert_true(n >= 0);
    assert_int_equal(gh_byte_stream_write(w->stream, gh_span_of(many, sizeof many)), 0);
    turns(w);
    assert_int_equal(w->writables, 0);
    while (recv(w->far, sink, sizeof sink, MSG_DONTWAIT) > 0)
        ;
    turns(w);
    assert_int_equal(w->writables, 1); /* once, not in every turn */
    gh_byte_stream_want_write(w->stream);
    turns(w);
    assert_int_equal(w->writables, 2);
    world_close(w);
}

static void an_event_may_close_the_stream(void **state)
{
    struct world *w = world_open("early");
    static uint8_t many[40000];

    (void)state;
    w->close_in_event = true;
    far_send(w, many, sizeof many);
    gh_byte_stream_want_read(w->stream, true);
    turns(w);
    assert_null(w->stream);
    assert_int_equal(w->len, 5);
    world_close(w);
}

static void writing_to_a_peer_that_is_gone_says_so(void **state)
{
    struct world *w = world_open("");

    (void)state;
    close(w->far);
    w->far = -1;
    assert_int_equal(gh_byte_stream_write(w->stream, gh_span_str("x")), GH_ERR_CLOSED);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_read_until_it_is_wanted),
        cmocka_unit_test(bytes_that_were_read_before_come_first),
        cmocka_unit_test(bytes_that_were_read_before_come_though_the_peer_is_gone),
        cmocka_unit_test(no_piece_is_longer_than_promised),
        cmocka_unit_test(each_direction_ends_on_its_own),
        cmocka_unit_test(what_was_not_taken_may_be_written_later),
        cmocka_unit_test(an_event_may_close_the_stream),
        cmocka_unit_test(writing_to_a_peer_that_is_gone_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
