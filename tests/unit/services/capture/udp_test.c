/* UDP ASSOCIATE (RFC 1928, section 7) over CONNECT-UDP (RFC 9298). */
#include "world.h"

#define TO(host) "\0\0\0\x01\xc0\x00\x02" host "\0\x35"

struct program {
    int control, fd;
    struct gh_endpoint to;
};

static int udp_socket(void)
{
    const struct gh_endpoint any = { .ip = gh_ip_v4("\x7f\0\0\1") };
    int fd = gh_dgram_bind(&any);

    assert_true(fd >= 0);
    return fd;
}

/* <port>: that it says it will send from; 0: it does not say. */
static struct program associate(struct world *w, uint16_t port)
{
    struct program p = { world_connect(w), udp_socket(), { .ip = gh_ip_v4("\x7f\0\0\1") } };
    uint8_t buf[12], ask[] = { 5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, (uint8_t)(port >> 8), (uint8_t)port };

    world_write(w, p.control, ask, sizeof ask);
    assert_int_equal(world_read(w, p.control, buf, 12), 12);
    assert_memory_equal(buf, "\x05\x00\x05\x00\x00\x01\x7f\0\0\1", 10);
    p.to.port = (uint16_t)(buf[10] << 8 | buf[11]);
    assert_int_equal(gh_dgram_join(p.fd, &p.to), 0);
    return p;
}

static void end(struct program *p)
{
    close(p->control);
    close(p->fd);
}

#define SEND(p, text) assert_int_equal(gh_dgram_send((p)->fd, gh_span_of(text, sizeof(text) - 1)), 0)

static ssize_t receive(struct world *w, int fd, void *buf, size_t cap)
{
    ssize_t n = GH_ERR_AGAIN;

    for (unsigned i = 0; i < TURNS && n == GH_ERR_AGAIN; i++) {
        n = gh_dgram_receive(fd, buf, cap);
        if (n == GH_ERR_AGAIN)
            gh_worker_turn(w->worker, true);
    }
    return n;
}

static void each_destination_is_a_tunnel_of_its_own(void **state)
{
    struct world *w = *state;
    struct program p = associate(w, 0);
    char buf[64];

    SEND(&p, TO("\1") "one");
    TURN_UNTIL(w, w->opened == 1);
    assert_true(w->udp[0]);
    assert_int_equal(w->to[0].port, 53);
    SEND(&p, TO("\1") "two"); /* waits for the answer, too */
    SEND(&p, TO("\2") "other");
    TURN_UNTIL(w, w->opened == 2);
    assert_int_equal(w->tunnels[0].datagram_count, 0);
    world_answer(w, 0, 200, NULL);
    assert_int_equal(w->tunnels[0].datagram_count, 2);
    assert_int_equal(w->tunnels[0].datagram_lens[0], 4);
    assert_memory_equal(w->tunnels[0].datagrams[0], "\0one", 4); /* context id 0: RFC 9298, section 4 */
    assert_memory_equal(w->tunnels[0].datagrams[1], "\0two", 4);
    SEND(&p, TO("\1") "three");
    TURN_UNTIL(w, w->tunnels[0].datagram_count == 3);
    assert_memory_equal(w->tunnels[0].datagrams[2], "\0three", 6);
    assert_true(gh_fake_stream_datagram(&w->tunnels[0], "\0back", 5));
    assert_int_equal(receive(w, p.fd, buf, sizeof buf), 14);
    assert_memory_equal(buf, TO("\1") "back", 14);
    end(&p);
}

static void what_comes_as_capsules_is_the_same(void **state)
{
    struct world *w = *state;
    struct program p = associate(w, 0);
    char buf[64];

    SEND(&p, TO("\1") "one");
    TURN_UNTIL(w, w->opened == 1);
    world_answer(w, 0, 200, NULL);
    gh_fake_stream_body(&w->tunnels[0], "\x00\x05\0ba", 5, false); /* RFC 9297, section 3.5, in two pieces */
    gh_fake_stream_body(&w->tunnels[0], "ck", 2, false);
    assert_int_equal(receive(w, p.fd, buf, sizeof buf), 14);
    assert_memory_equal(buf, TO("\1") "back", 14);
    end(&p);
}

static void a_name_goes_as_it_is_and_answers_come_from_its_address(void **state)
{
    struct world *w = *state;
    struct program p = associate(w, 0);
    char buf[64];

    SEND(&p, "\0\0\0\x03\x0bweb.example\0\x35q");
    TURN_UNTIL(w, w->opened == 1);
    assert_string_equal(w->to[0].name, "web.example");
    world_answer(w, 0, 200, "gatehouse; next-hop=\"192.0.2.9:53\"");
    gh_fake_stream_datagram(&w->tunnels[0], "\0a", 2);
    assert_int_equal(receive(w, p.fd, buf, sizeof buf), 11);
    assert_memory_equal(buf, TO("\x09") "a", 11);
    end(&p);
}

static void only_the_first_sender_is_heard(void **state)
{
    struct world *w = *state;
    struct program p = associate(w, 0);
    int other = udp_socket();

    SEND(&p, TO("\1") "mine");
    TURN_UNTIL(w, w->opened == 1);
    world_answer(w, 0, 200, NULL);
    (void)gh_dgram_join(other, &p.to);
    (void)gh_dgram_send(other, gh_span_of(TO("\1") "not mine", 18)); /* the kernel lets none of it through any more */
    SEND(&p, TO("\1") "again");
    TURN_UNTIL(w, w->tunnels[0].datagram_count == 2);
    assert_memory_equal(w->tunnels[0].datagrams[1], "\0again", 6);
    close(other);
    end(&p);
}

static void a_program_that_says_its_port_is_heard_from_there_alone(void **state)
{
    struct world *w = *state;
    struct gh_endpoint from;
    struct program p;
    int mine = udp_socket();

    assert_int_equal(gh_sock_local(mine, &from), 0);
    p = associate(w, from.port);
    SEND(&p, TO("\1") "from another port");
    TURN_UNTIL(w, world_drops(w, GH_DROP_SOURCE) == 1);
    assert_int_equal(w->opened, 0);
    assert_int_equal(gh_dgram_join(mine, &p.to), 0);
    assert_int_equal(gh_dgram_send(mine, gh_span_of(TO("\1") "x", 11)), 0);
    TURN_UNTIL(w, w->opened == 1);
    close(mine);
    end(&p);
}

static void what_is_malformed_or_a_fragment_is_dropped(void **state)
{
    struct world *w = *state;
    struct program p = associate(w, 0);

    SEND(&p, "\0\0");
    SEND(&p, "\0\0\1\x01\xc0\x00\x02\1\0\x35" "fragment");
    SEND(&p, "\0\0\0\x01\xc0\x00\x02\1\0\0port");
    SEND(&p, "\0\0\0\x09???");
    TURN_UNTIL(w, world_drops(w, GH_DROP_MALFORMED) == 4);
    assert_int_equal(w->opened, 0);
    end(&p);
}

static void one_destination_too_many_takes_the_place_of_the_one_silent_longest(void **state)
{
    struct world *w = *state;
    struct program p = associate(w, 0);

    SEND(&p, TO("\1") "a");
    TURN_UNTIL(w, w->opened == 1);
    world_answer(w, 0, 200, NULL);
    SEND(&p, TO("\2") "b");
    TURN_UNTIL(w, w->opened == 2);
    world_answer(w, 1, 200, NULL);
    SEND(&p, TO("\1") "a"); /* the second is silent longer now */
    TURN_UNTIL(w, w->tunnels[0].datagram_count == 2);
    SEND(&p, TO("\3") "c");
    TURN_UNTIL(w, w->opened == 3);
    assert_true(w->forgotten[1] && w->tunnels[1].ended);
    assert_false(w->forgotten[0]);
    end(&p);
}

static void a_destination_that_was_refused_is_not_asked_for_at_once(void **state)
{
    struct world *w = *state;
    struct program p = associate(w, 0);

    SEND(&p, TO("\1") "a");
    TURN_UNTIL(w, w->opened == 1);
    world_answer(w, 0, 403, "gatehouse; error=http_request_denied");
    assert_int_equal(world_drops(w, GH_DROP_POLICY), 1);
    SEND(&p, TO("\1") "b");
    TURN_UNTIL(w, world_drops(w, GH_DROP_POLICY) == 2);
    assert_int_equal(w->opened, 1);
    capture_udp_sweep(w->c, gh_worker_now(w->worker) + INT64_C(6000000000));
    SEND(&p, TO("\1") "c");
    TURN_UNTIL(w, w->opened == 2);
    end(&p);
}

static void silence_and_the_relay_end_a_destination(void **state)
{
    struct world *w = *state;
    struct program p = associate(w, 0);

    SEND(&p, TO("\1") "a");
    TURN_UNTIL(w, w->opened == 1);
    world_answer(w, 0, 200, NULL);
    capture_udp_sweep(w->c, gh_worker_now(w->worker) + INT64_C(119000000000));
    assert_false(w->forgotten[0]);
    capture_udp_sweep(w->c, gh_worker_now(w->worker) + INT64_C(121000000000));
    assert_true(w->forgotten[0]);
    SEND(&p, TO("\1") "b");
    TURN_UNTIL(w, w->opened == 2);
    world_answer(w, 1, 200, NULL);
    gh_fake_stream_close(&w->tunnels[1], 0);
    SEND(&p, TO("\1") "c");
    TURN_UNTIL(w, w->opened == 3);
    end(&p);
}

static void what_the_tunnel_does_not_carry_is_counted(void **state)
{
    struct world *w = *state;
    struct program p = associate(w, 0);

    SEND(&p, TO("\1") "a");
    TURN_UNTIL(w, w->opened == 1);
    world_answer(w, 0, 200, NULL);
    w->tunnels[0].datagram_max = 3;
    SEND(&p, TO("\1") "abc");
    TURN_UNTIL(w, world_drops(w, GH_DROP_TOO_BIG) == 1);
    w->tunnels[0].datagram_room = 0;
    SEND(&p, TO("\1") "ab");
    TURN_UNTIL(w, world_drops(w, GH_DROP_QUEUE_FULL) == 1);
    gh_fake_stream_datagram(&w->tunnels[0], "\x02?", 2);
    assert_int_equal(world_drops(w, GH_DROP_CONTEXT), 1);
    w->refuse = GH_ERR_STATE;
    SEND(&p, TO("\2") "no connection to the relay");
    TURN_UNTIL(w, world_drops(w, GH_DROP_NO_DATAGRAM) == 1);
    end(&p);
}

static void the_end_of_the_connection_is_that_of_the_association(void **state)
{
    struct world *w = *state;
    struct program p = associate(w, 0);

    SEND(&p, TO("\1") "a");
    TURN_UNTIL(w, w->opened == 1);
    world_answer(w, 0, 200, NULL);
    close(p.control);
    TURN_UNTIL(w, w->forgotten[0]);
    assert_true(w->tunnels[0].ended);
    assert_true(gh_list_empty(&w->c->associations));
    close(p.fd);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(each_destination_is_a_tunnel_of_its_own),
        T(what_comes_as_capsules_is_the_same),
        T(a_name_goes_as_it_is_and_answers_come_from_its_address),
        T(only_the_first_sender_is_heard),
        T(a_program_that_says_its_port_is_heard_from_there_alone),
        T(what_is_malformed_or_a_fragment_is_dropped),
        T(one_destination_too_many_takes_the_place_of_the_one_silent_longest),
        T(a_destination_that_was_refused_is_not_asked_for_at_once),
        T(silence_and_the_relay_end_a_destination),
        T(what_the_tunnel_does_not_carry_is_counted),
        T(the_end_of_the_connection_is_that_of_the_association),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
