#include "os/dgram.h"

#include "../test.h"
#include "base/error.h"

static int bound(struct gh_endpoint *ret)
{
    const struct gh_endpoint any = { .ip = gh_ip_v4("\x7f\0\0\1") };
    int fd = gh_dgram_bind(&any);

    assert_true(fd >= 0);
    assert_int_equal(gh_sock_local(fd, ret), 0);
    assert_true(ret->port != 0);
    return fd;
}

/* On the loopback device what was sent is there. */
static void a_bound_socket_says_who_sent(void **state)
{
    struct gh_endpoint at, other, from = { .port = 0 };
    int fd = bound(&at), sender = bound(&other);
    char buf[16];

    (void)state;
    assert_int_equal(gh_dgram_receive_from(fd, buf, sizeof buf, &from), GH_ERR_AGAIN);
    assert_int_equal(gh_dgram_join(sender, &at), 0);
    assert_int_equal(gh_dgram_send(sender, gh_span_str("hello")), 0);
    assert_int_equal(gh_dgram_receive_from(fd, buf, sizeof buf, &from), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_true(gh_endpoint_equals(&from, &other));
    assert_int_equal(gh_dgram_send(sender, gh_span_of(NULL, 0)), 0); /* one without bytes is one, too */
    assert_int_equal(gh_dgram_receive_from(fd, buf, sizeof buf, &from), 0);
    gh_sock_close(fd);
    gh_sock_close(sender);
}

static void once_joined_others_are_not_heard(void **state)
{
    struct gh_endpoint at, one, two, from;
    int fd = bound(&at), first = bound(&one), second = bound(&two);
    char buf[16];

    (void)state;
    assert_int_equal(gh_dgram_join(fd, &one), 0);
    assert_int_equal(gh_dgram_join(first, &at), 0);
    assert_int_equal(gh_dgram_join(second, &at), 0);
    assert_int_equal(gh_dgram_send(second, gh_span_str("second")), 0);
    assert_int_equal(gh_dgram_send(first, gh_span_str("first")), 0);
    assert_int_equal(gh_dgram_receive_from(fd, buf, sizeof buf, &from), 5);
    assert_true(gh_endpoint_equals(&from, &one));
    assert_int_equal(gh_dgram_receive_from(fd, buf, sizeof buf, &from), GH_ERR_AGAIN);
    assert_int_equal(gh_dgram_send(fd, gh_span_str("back")), 0);
    assert_int_equal(gh_dgram_receive(first, buf, sizeof buf), 4);
    gh_sock_close(fd);
    gh_sock_close(first);
    gh_sock_close(second);
}

static void a_port_that_is_taken_is_refused(void **state)
{
    struct gh_endpoint at;
    int fd = bound(&at);

    (void)state;
    assert_int_equal(gh_dgram_bind(&at), GH_ERR_EXISTS);
    gh_sock_close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_socket_says_who_sent),
        cmocka_unit_test(once_joined_others_are_not_heard),
        cmocka_unit_test(a_port_that_is_taken_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
