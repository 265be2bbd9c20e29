#include "net/pump.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"
#include "os/sock.h"

/* client <-> (near) pump (far) <-> server, all in this thread. */
struct world {
    struct gh_workers *workers;
    struct gh_worker *worker;
    struct gh_deadline watchdog;
    struct gh_pump_pool *pool;
    struct gh_pump pump;
    int client, server;
    bool over, reset;
};

static void on_watchdog(void *arg, int64_t now)
{
    (void)arg;
    (void)now;
    fail_msg("nothing happened for ten seconds");
}

static void on_end(struct gh_pump *p, bool reset)
{
    struct world *w = gh_container_of(p, struct world, pump);

    w->over = true;
    w->reset = reset;
}

/* Two ends of a TCP connection. */
static void connect_pair(int ret[2])
{
    struct gh_endpoint at = { .port = 0 };
    int listener;

    assert_int_equal(gh_ip_parse("127.0.0.1", 9, &at.ip), 0);
    listener = gh_sock_listen_tcp(&at, 0);
    assert_true(listener >= 0);
    assert_int_equal(gh_sock_local(listener, &at), 0);
    ret[0] = gh_sock_connect_tcp(&at);
    assert_true(ret[0] >= 0);
    assert_int_equal(poll(&(struct pollfd){ listener, POLLIN, 0 }, 1, 10000), 1);
    ret[1] = gh_sock_accept(listener, NULL);
    assert_true(ret[1] >= 0);
    gh_sock_close(listener);
}

static void open_world(struct world *w, unsigned pipes)
{
    int near[2], far[2];

    memset(w, 0, sizeof *w);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(gh_workers_create(&(struct gh_workers_config){ .count = 1 }, &w->workers), 0);
    w->worker = gh_workers_at(w->workers, 0);
    assert_int_equal(gh_pump_pool_create(w->worker, pipes, &w->pool), 0);
    gh_deadline_init(&w->watchdog, on_watchdog, w);
    gh_worker_deadline_start(w->worker, &w->watchdog, gh_worker_now(w->worker) + INT64_C(10000000000));
    connect_pair(near);
    connect_pair(far);
    w->client = near[0];
    w->server = far[1];
    gh_pump_init(&w->pump, w->pool, on_end);
    gh_pump_set_fd(&w->pump, 0, near[1]);
    gh_pump_set_fd(&w->pump, 1, far[0]);
}

static void close_world(struct world *w)
{
    if (!w->over)
        gh_pump_close(&w->pump, false);
    gh_sock_close(w->client);
    gh_sock_close(w->server);
    gh_worker_deadline_stop(w->worker, &w->watchdog);
    gh_pump_pool_destroy(w->pool);
    gh_workers_destroy(w->workers);
}

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 2654435761u >> 24);
}

/* Sends <total> bytes into <from> and reads them from <to>, as each takes them; <slow> reads little at a time. */
static void carry(struct world *w, int from, int to, size_t total, bool slow)
{
    uint8_t out[65536], in[65536];
    size_t sent = 0, got = 0;

    while (got < total) {
        size_t want = total - sent < sizeof out ? total - sent : sizeof out;
        ssize_t n = 0;

        for (size_t i = 0; i < want; i++)
            out[i] = byte_at(sent + i);
        if (want)
            n = gh_sock_send(from, gh_span_of(out, want));
        assert_true(n >= 0 || n == GH_ERR_AGAIN);
        sent += n > 0 ? (size_t)n : 0;
        gh_worker_turn(w->worker, false);
        n = gh_sock_receive(to, in, slow ? 1000 : sizeof in);
        assert_true(n >= 0 || n == GH_ERR_AGAIN);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(in[i], byte_at(got + (size_t)i));
        got += n > 0 ? (size_t)n : 0;
    }
}

static ssize_t wait_receive(struct world *w, int fd, void *buf, size_t cap)
{
    ssize_t n;

    while ((n = gh_sock_receive(fd, buf, cap)) == GH_ERR_AGAIN)
        gh_worker_turn(w->worker, true);
    return n;
}

static void bytes_cross_in_both_directions(void **state)
{
    struct world w;

    (void)state;
    open_world(&w, 4);
    gh_pump_start(&w.pump);
    carry(&w, w.client, w.server, 1000, false);
    carry(&w, w.server, w.client, 3000000, false);
    carry(&w, w.client, w.server, 3000000, false);
    assert_int_equal(w.pump.side[0].bytes, 3001000);
    assert_int_equal(w.pump.side[1].bytes, 3000000);
    assert_true(gh_pump_pool_counters(w.pool)->copied >= 1000);
    close_world(&w);
}

static void what_was_read_before_goes_first(void **state)
{
    struct world w;
    char got[16];

    (void)state;
    open_world(&w, 4);
    assert_int_equal(gh_pump_push(&w.pump, 0, gh_span_str("one ")), 0);
    assert_int_equal(gh_pump_push(&w.pump, 0, gh_span_str("two ")), 0);
    assert_int_equal(gh_sock_send(w.client, gh_span_str("three")), 5);
    gh_pump_start(&w.pump);
    for (size_t have = 0; have < 13;) {
        ssize_t n = wait_receive(&w, w.server, got + have, sizeof got - have);

        assert_true(n > 0);
        have += (size_t)n;
    }
    assert_memory_equal(got, "one two three", 13);
    close_world(&w);
}

static void a_slow_reader_holds_the_sender_and_loses_nothing(void **state)
{
    struct world w;

    (void)state;
    open_world(&w, 4);
    gh_pump_start(&w.pump);
    carry(&w, w.client, w.server, 2000000, true);
    close_world(&w);
}

/* A sender that is ahead fills the buffer of its socket, and what is read then comes in large pieces. */
static void busy_directions_are_spliced_and_give_their_pipe_back(void **state)
{
    static uint8_t block[1 << 20];
    struct world w;
    size_t got = 0, sent = 0;
    ssize_t n;

    (void)state;
    open_world(&w, 1);
    while ((n = gh_sock_send(w.client, gh_span_of(block, sizeof block))) > 0)
        sent += (size_t)n;
    assert_true(sent > 2 * GH_PUMP_COPY);
    gh_pump_start(&w.pump);
    while (got < sent) {
        n = wait_receive(&w, w.server, block, sizeof block);
        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_true(gh_pump_pool_counters(w.pool)->spliced > 0);
    assert_int_equal(gh_pump_pool_counters(w.pool)->pipes, 1);
    assert_int_equal(gh_pump_pool_counters(w.pool)->spliced + gh_pump_pool_counters(w.pool)->copied, sent);
    assert_null(w.pump.side[0].pipe);
    close_world(&w);
}

#define MANY (16u << 20)

static void *write_many(void *arg)
{
    static uint8_t block[1 << 20];
    int fd = *(int *)arg;

    for (size_t sent = 0; sent < MANY;) {
        size_t want = MANY - sent < sizeof block / 2 ? MANY - sent : sizeof block / 2;
        ssize_t n;

        for (size_t i = 0; i < want; i++)
            block[i] = byte_at(sent + i);
        n = gh_sock_send(fd, gh_span_of(block, want));
        if (n == GH_ERR_AGAIN)
            poll(&(struct pollfd){ fd, POLLOUT, 0 }, 1, 10000);
        sent += n > 0 ? (size_t)n : 0;
    }
    return NULL;
}

struct many_reader {
    int fd;
    size_t got, wrong;
};

static void *read_many(void *arg)
{
    static uint8_t block[1 << 20];
    struct many_reader *r = arg;

    while (r->got < MANY) {
        ssize_t n = gh_sock_receive(r->fd, block, sizeof block);

        if (n == GH_ERR_AGAIN)
            poll(&(struct pollfd){ r->fd, POLLIN, 0 }, 1, 10000);
        else if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            r->wrong += block[i] != byte_at(r->got + (size_t)i);
        r->got += n > 0 ? (size_t)n : 0;
    }
    return NULL;
}

/* The pipe becomes wider under way, when the sender is ahead by that much. */
static void a_stream_that_does_not_run_dry_is_what_it_was(void **state)
{
    struct world w;
    struct many_reader reader = { 0 };
    pthread_t writing, reading;

    (void)state;
    open_world(&w, 4);
    reader.fd = w.server;
    gh_pump_start(&w.pump);
    assert_int_equal(pthread_create(&writing, NULL, write_many, &w.client), 0);
    assert_int_equal(pthread_create(&reading, NULL, read_many, &reader), 0);
    while (w.pump.side[0].bytes < MANY || w.pump.side[0].pipe || w.pump.side[0].held_len)
        gh_worker_turn(w.worker, true);
    pthread_join(writing, NULL);
    pthread_join(reading, NULL);
    assert_int_equal(reader.got, MANY);
    assert_int_equal(reader.wrong, 0);
    assert_true(gh_pump_pool_counters(w.pool)->pipes <= 1);
    close_world(&w);
}

static void without_a_pipe_bytes_are_copied(void **state)
{
    static uint8_t block[1 << 20];
    struct world w;
    size_t got = 0, sent = 0;
    ssize_t n;

    (void)state;
    open_world(&w, 0);
    while ((n = gh_sock_send(w.client, gh_span_of(block, sizeof block))) > 0)
        sent += (size_t)n;
    gh_pump_start(&w.pump);
    while (got < sent) {
        n = wait_receive(&w, w.server, block, sizeof block);
        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_int_equal(gh_pump_pool_counters(w.pool)->spliced, 0);
    assert_true(gh_pump_pool_counters(w.pool)->pipes_missing > 0);
    close_world(&w);
}

static void the_end_of_one_direction_leaves_the_other(void **state)
{
    struct world w;
    char got[16];

    (void)state;
    open_world(&w, 4);
    gh_pump_start(&w.pump);
    assert_int_equal(gh_sock_send(w.client, gh_span_str("last")), 4);
    assert_int_equal(gh_sock_shutdown_write(w.client), 0);
    assert_int_equal(wait_receive(&w, w.server, got, sizeof got), 4);
    assert_int_equal(wait_receive(&w, w.server, got, sizeof got), GH_ERR_CLOSED);
    assert_false(w.over);
    assert_int_equal(gh_sock_send(w.server, gh_span_str("answer")), 6);
    assert_int_equal(wait_receive(&w, w.client, got, sizeof got), 6);
    gh_sock_close(w.server);
    w.server = -1;
    assert_int_equal(wait_receive(&w, w.client, got, sizeof got), GH_ERR_CLOSED);
    while (!w.over)
        gh_worker_turn(w.worker, true);
    assert_false(w.reset);
    close_world(&w);
}

static void reset_is_passed_on(struct world *w, int *from, int to)
{
    char got[16];

    gh_pump_start(&w->pump);
    gh_sock_reset_on_close(*from);
    gh_sock_close(*from);
    *from = -1;
    errno = 0;
    assert_int_equal(wait_receive(w, to, got, sizeof got), GH_ERR_SYSTEM);
    assert_int_equal(errno, ECONNRESET);
    assert_true(w->over);
    assert_true(w->reset);
}

static void a_reset_of_the_client_reaches_the_server(void **state)
{
    struct world w;

    (void)state;
    open_world(&w, 4);
    reset_is_passed_on(&w, &w.client, w.server);
    close_world(&w);
}

static void a_reset_of_the_server_reaches_the_client(void **state)
{
    struct world w;

    (void)state;
    open_world(&w, 4);
    reset_is_passed_on(&w, &w.server, w.client);
    close_world(&w);
}

/* Bytes and a reset are there before the pump looks. */
static void say_and_reset(struct world *w, size_t count, const uint8_t *block, unsigned pipes)
{
    uint8_t got[70000];
    size_t have = 0;
    ssize_t n;

    open_world(w, pipes);
    gh_pump_start(&w->pump);
    gh_worker_turn(w->worker, false);
    assert_int_equal(gh_sock_send(w->server, gh_span_of(block, count)), count);
    gh_sock_reset_on_close(w->server);
    gh_sock_close(w->server);
    w->server = -1;
    while ((n = wait_receive(w, w->client, got + have, sizeof got - have)) > 0)
        have += (size_t)n;
    assert_int_equal(n, GH_ERR_SYSTEM);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(have, count);
    assert_memory_equal(got, block, count);
    assert_true(w->over && w->reset);
    close_world(w);
}

static void last_words_arrive_before_a_reset(void **state)
{
    static uint8_t block[60000];
    struct world w;

    (void)state;
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = byte_at(i);
    say_and_reset(&w, 7, block, 4);
    say_and_reset(&w, sizeof block, block, 4);
    say_and_reset(&w, sizeof block, block, 0);
}

/* The client goes on sending to a server that has said something and reset: it is the sending that fails. */
static void last_words_arrive_when_sending_fails(void **state)
{
    struct world w;
    char got[16];

    (void)state;
    open_world(&w, 4);
    assert_int_equal(gh_pump_push(&w.pump, 0, gh_span_str("hello")), 0);
    assert_int_equal(gh_sock_send(w.server, gh_span_str("no")), 2);
    gh_sock_reset_on_close(w.server);
    gh_sock_close(w.server);
    w.server = -1;
    gh_pump_start(&w.pump);
    assert_int_equal(wait_receive(&w, w.client, got, sizeof got), 2);
    assert_memory_equal(got, "no", 2);
    assert_int_equal(wait_receive(&w, w.client, got, sizeof got), GH_ERR_SYSTEM);
    assert_int_equal(errno, ECONNRESET);
    assert_true(w.over && w.reset);
    close_world(&w);
}

static void a_side_that_its_owner_found_broken_has_its_last_words(void **state)
{
    struct world w;
    char got[16];

    (void)state;
    open_world(&w, 4);
    assert_int_equal(gh_sock_send(w.server, gh_span_str("no")), 2);
    gh_pump_fail(&w.pump, 1);
    assert_true(w.over && w.reset);
    assert_int_equal(wait_receive(&w, w.client, got, sizeof got), 2);
    assert_int_equal(wait_receive(&w, w.client, got, sizeof got), GH_ERR_SYSTEM);
    assert_int_equal(errno, ECONNRESET);
    close_world(&w);
}

static void urgent_data_stays_urgent_and_where_it_was(void **state)
{
    struct world w;
    char got[64];
    size_t have = 0;

    (void)state;
    open_world(&w, 4);
    gh_pump_start(&w.pump);
    w.pump.side[0].bulk = true; /* splicing does not get past it */
    assert_int_equal(gh_sock_send(w.client, gh_span_str("before")), 6);
    assert_int_equal(gh_sock_send_urgent(w.client, '!'), 0);
    assert_int_equal(gh_sock_send(w.client, gh_span_str("behind")), 6);
    while (have < 6) {
        ssize_t n = wait_receive(&w, w.server, got + have, sizeof got - have);

        assert_true(n > 0);
        have += (size_t)n;
    }
    assert_memory_equal(got, "before", 6);
    while (!gh_sock_at_urgent(w.server))
        gh_worker_turn(w.worker, true);
    assert_int_equal(gh_sock_receive_urgent(w.server), '!');
    while (have < 12) {
        ssize_t n = wait_receive(&w, w.server, got + have, sizeof got - have);

        assert_true(n > 0);
        have += (size_t)n;
    }
    assert_memory_equal(got, "beforebehind", 12);
    close_world(&w);
}

static void the_last_bytes_arrive_before_the_end(void **state)
{
    static uint8_t block[300000];
    struct world w;
    size_t got = 0, sent = 0;
    ssize_t n;

    (void)state;
    open_world(&w, 4);
    gh_pump_start(&w.pump);
    while (sent < sizeof block && (n = gh_sock_send(w.server, gh_span_of(block + sent, sizeof block - sent))) > 0)
        sent += (size_t)n;
    gh_sock_close(w.server);
    w.server = -1;
    while ((n = wait_receive(&w, w.client, block, 5000)) > 0)
        got += (size_t)n;
    assert_int_equal(n, GH_ERR_CLOSED);
    assert_int_equal(got, sent);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_cross_in_both_directions),
        cmocka_unit_test(what_was_read_before_goes_first),
        cmocka_unit_test(a_slow_reader_holds_the_sender_and_loses_nothing),
        cmocka_unit_test(busy_directions_are_spliced_and_give_their_pipe_back),
        cmocka_unit_test(a_stream_that_does_not_run_dry_is_what_it_was),
        cmocka_unit_test(without_a_pipe_bytes_are_copied),
        cmocka_unit_test(the_end_of_one_direction_leaves_the_other),
        cmocka_unit_test(a_reset_of_the_client_reaches_the_server),
        cmocka_unit_test(a_reset_of_the_server_reaches_the_client),
        cmocka_unit_test(last_words_arrive_before_a_reset),
        cmocka_unit_test(last_words_arrive_when_sending_fails),
        cmocka_unit_test(a_side_that_its_owner_found_broken_has_its_last_words),
        cmocka_unit_test(urgent_data_stays_urgent_and_where_it_was),
        cmocka_unit_test(the_last_bytes_arrive_before_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
