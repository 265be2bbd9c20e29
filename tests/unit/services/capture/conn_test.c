/* A program's connection, from its first byte to its end. */
#include "world.h"

#define GREETING "\x05\x01\x00"
#define ASK GREETING "\x05\x01\x00\x03\x0bweb.example\x01\xbb"
#define ASK_LEN 21

static void bytes_pass_both_ways_and_each_end_by_itself(void **state)
{
    struct world *w = *state;
    int fd = world_tunnel(w);
    char buf[16];

    assert_int_equal(w->to[0].port, 80);
    assert_memory_equal(w->to[0].ip.bytes, "\xc0\0\2\1", 4);
    assert_true(w->tunnels[0].held);
    world_write(w, fd, "hello", 5);
    TURN_UNTIL(w, w->tunnels[0].body_len == 5);
    shutdown(fd, SHUT_WR);
    TURN_UNTIL(w, w->tunnels[0].ended);
    gh_fake_stream_body(&w->tunnels[0], "and back", 8, true);
    assert_int_equal(world_read(w, fd, buf, sizeof buf), 8);
    assert_memory_equal(buf, "and back", 8);
    assert_int_equal(w->tunnels[0].consumed, 8);
    gh_fake_stream_close(&w->tunnels[0], 0);
    assert_int_equal(world_count(w, CAPTURE_METRIC_CONNECTIONS, 0), 0);
    assert_int_equal(world_count(w, CAPTURE_METRIC_BYTES, CAPTURE_OUT), 5);
    assert_int_equal(world_count(w, CAPTURE_METRIC_BYTES, CAPTURE_IN), 8);
    close(fd);
}

static void a_name_goes_to_the_relay_as_it_is_and_early_bytes_follow(void **state)
{
    struct world *w = *state;
    int fd = world_connect(w);
    char buf[12];

    world_write(w, fd, ASK "early", ASK_LEN + 5);
    shutdown(fd, SHUT_WR); /* nc does that: it is no end of the request */
    TURN_UNTIL(w, w->opened == 1);
    assert_string_equal(w->to[0].name, "web.example");
    assert_int_equal(w->to[0].ip.family, 0);
    assert_false(w->udp[0]);
    assert_int_equal(w->tunnels[0].body_len, 0);
    world_answer(w, 0, 200, "gatehouse; next-hop=\"192.0.2.1:443\"");
    assert_string_equal(w->tunnels[0].body, "early");
    TURN_UNTIL(w, w->tunnels[0].ended);
    assert_int_equal(world_read(w, fd, buf, 12), 12);
    close(fd);
}

static void a_refusal_is_said_and_the_connection_closed_in_order(void **state)
{
    struct world *w = *state;
    int fd = world_connect(w);
    char buf[64];

    world_write(w, fd, ASK, ASK_LEN);
    TURN_UNTIL(w, w->opened == 1);
    world_answer(w, 0, 403, "gatehouse; error=http_request_denied");
    world_write(w, fd, "more that nobody wants", 22);
    assert_int_equal(world_read(w, fd, buf, sizeof buf), 12);
    assert_memory_equal(buf, "\x05\x00\x05\x02\x00\x01\0\0\0\0\0\0", 12);
    assert_true(w->forgotten[0] && w->tunnels[0].reset);
    assert_int_equal(world_count(w, CAPTURE_METRIC_REQUESTS, CAPTURE_DENIED), 1);
    close(fd);
    TURN_UNTIL(w, world_count(w, CAPTURE_METRIC_CONNECTIONS, 0) == 0);
}

static void leave(struct world *w, int fd)
{
    close(fd);
    TURN_UNTIL(w, world_count(w, CAPTURE_METRIC_CONNECTIONS, 0) == 0);
}

static void http_gets_the_status(void **state)
{
    struct world *w = *state;
    int fd = world_connect(w);
    char buf[512] = "";

    world_write(w, fd, "CONNECT a.example:22 HTTP/1.1\r\nHost: a\r\n\r\n", 43);
    TURN_UNTIL(w, w->opened == 1);
    world_answer(w, 0, 502, "gatehouse; error=connection_refused");
    assert_true(world_read(w, fd, buf, sizeof buf - 1) > 0);
    assert_memory_equal(buf, "HTTP/1.1 502 ", 13);
    assert_non_null(strstr(buf, "proxy-status: gatehouse-agent; error=connection_refused\r\n"));
    leave(w, fd);
    fd = world_connect(w);
    world_write(w, fd, "CONNECT a.example:22 HTTP/1.1\r\nHost: a\r\n\r\n", 43);
    TURN_UNTIL(w, w->opened == 2);
    world_answer(w, 1, 200, NULL);
    gh_fake_stream_body(&w->tunnels[1], "SSH", 3, false);
    memset(buf, 0, sizeof buf);
    assert_int_equal(world_read(w, fd, buf, 22), 22);
    assert_string_equal(buf, "HTTP/1.1 200 OK\r\n\r\nSSH");
    close(fd);
}

static void a_tunnel_that_is_reset_resets_the_program(void **state)
{
    struct world *w = *state;
    int fd = world_tunnel(w);
    char buf[4];

    gh_fake_stream_close(&w->tunnels[0], 0x10f);
    assert_int_equal(world_read(w, fd, buf, 1), -1);
    close(fd);
}

static void a_program_that_is_reset_resets_the_tunnel(void **state)
{
    struct world *w = *state;
    int fd = world_tunnel(w);
    struct linger now = { 1, 0 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
    TURN_UNTIL(w, w->tunnels[0].reset);
    assert_int_equal(w->tunnels[0].why, GH_HTTP_CONNECT_ERROR);
    assert_true(w->forgotten[0]);
}

static void who_asks_without_a_connection_to_the_relay_waits_for_one(void **state)
{
    struct world *w = *state;
    int first = world_connect(w), second = world_connect(w);

    w->refuse = GH_ERR_STATE;
    world_write(w, first, ASK, ASK_LEN);
    TURN_UNTIL(w, !gh_list_empty(&w->c->waiting));
    world_write(w, second, GREETING "\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50", 13);
    TURN_UNTIL(w, w->c->waiting.next != w->c->waiting.prev);
    w->refuse = 0;
    w->ready(w->ready_arg);
    TURN_UNTIL(w, w->opened == 2);
    assert_string_equal(w->to[0].name, "web.example"); /* in the order in which they asked */
    close(first);
    close(second);
}

static void who_asks_too_many_waits_until_one_is_over(void **state)
{
    struct world *w = *state;
    int open = world_tunnel(w), fd = world_connect(w);

    w->refuse = GH_ERR_FULL;
    world_write(w, fd, ASK, ASK_LEN);
    TURN_UNTIL(w, !gh_list_empty(&w->c->waiting));
    gh_fake_stream_close(&w->tunnels[0], 0x10c);
    w->refuse = 0;
    TURN_UNTIL(w, w->opened == 2);
    close(open);
    close(fd);
}

static void nobody_waits_for_ever(void **state)
{
    struct world *w = *state;
    char buf[64];
    int fd = world_connect(w);

    w->refuse = GH_ERR_STATE;
    world_write(w, fd, ASK, ASK_LEN);
    assert_int_equal(world_read(w, fd, buf, sizeof buf), 12);
    assert_int_equal(buf[3], GH_SOCKS5_FAILURE);
    leave(w, fd);
    w->refuse = 0;
    fd = world_connect(w);
    world_write(w, fd, ASK, ASK_LEN); /* no answer of the relay */
    assert_int_equal(world_read(w, fd, buf, sizeof buf), 12);
    assert_int_equal(buf[3], GH_SOCKS5_TTL_EXPIRED);
    assert_true(w->tunnels[0].reset && w->forgotten[0]);
    leave(w, fd);
    fd = world_connect(w);
    world_write(w, fd, GREETING, 3); /* and who says nothing more */
    assert_int_equal(world_read(w, fd, buf, sizeof buf), 2);
    assert_int_equal(world_count(w, CAPTURE_METRIC_REFUSED, CAPTURE_LATE), 1);
    leave(w, fd);
}

static void one_more_than_the_limit_is_reset(void **state)
{
    struct world *w = *state;
    int fds[3], more;
    char buf[1];

    for (int i = 0; i < 3; i++)
        fds[i] = world_connect(w);
    more = world_connect(w);
    assert_int_equal(world_count(w, CAPTURE_METRIC_REFUSED, CAPTURE_LIMIT), 1);
    assert_int_equal(world_read(w, more, buf, 1), -1);
    close(more);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    TURN_UNTIL(w, world_count(w, CAPTURE_METRIC_CONNECTIONS, 0) == 0);
    fds[0] = world_tunnel(w); /* there is room again */
    close(fds[0]);
}

static void what_is_open_at_the_end_is_closed(void **state)
{
    struct world *w = *state;

    close(world_tunnel(w)); /* teardown looks: the program's end is not read yet */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(bytes_pass_both_ways_and_each_end_by_itself),
        T(a_name_goes_to_the_relay_as_it_is_and_early_bytes_follow),
        T(a_refusal_is_said_and_the_connection_closed_in_order),
        T(http_gets_the_status),
        T(a_tunnel_that_is_reset_resets_the_program),
        T(a_program_that_is_reset_resets_the_tunnel),
        T(who_asks_without_a_connection_to_the_relay_waits_for_one),
        T(who_asks_too_many_waits_until_one_is_over),
        T(nobody_waits_for_ever),
        T(one_more_than_the_limit_is_reset),
        T(what_is_open_at_the_end_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
