#include "os/sock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"

static const struct gh_endpoint loopback = { { 4, { 127, 0, 0, 1 } }, 0, 0 };

static void wait_for(int fd, short events)
{
    struct pollfd p = { fd, events, 0 };

    assert_int_equal(poll(&p, 1, 10000), 1);
}

/* Bytes and the end of the stream go from <a> to <b>. */
static void carries(int a, int b)
{
    char buf[16];

    assert_int_equal(gh_sock_receive(b, buf, sizeof buf), GH_ERR_AGAIN);
    assert_int_equal(gh_sock_send(a, gh_span_str("hello")), 5);
    wait_for(b, POLLIN);
    assert_int_equal(gh_sock_receive(b, buf, sizeof buf), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(gh_sock_shutdown_write(a), 0);
    wait_for(b, POLLIN);
    assert_int_equal(gh_sock_receive(b, buf, sizeof buf), GH_ERR_CLOSED);
}

static void tcp_connects_accepts_and_carries(void **state)
{
    struct gh_endpoint at = { { 0 } }, local, peer; /* all addresses of both families */
    int listener = gh_sock_listen_tcp(&at, 0), client, server;

    (void)state;
    assert_true(listener >= 0);
    assert_int_equal(gh_sock_accept(listener, &peer), GH_ERR_AGAIN);
    assert_int_equal(gh_sock_local(listener, &at), 0);
    at.ip = loopback.ip;
    client = gh_sock_connect_tcp(&at);
    assert_true(client >= 0);
    wait_for(client, POLLOUT);
    assert_int_equal(gh_sock_connected(client), 0);
    wait_for(listener, POLLIN);
    server = gh_sock_accept(listener, &peer);
    assert_true(server >= 0);
    assert_int_equal(gh_sock_local(client, &local), 0);
    assert_true(gh_endpoint_equals(&local, &peer)); /* IPv4, though the listener is of IPv6 */
    assert_int_equal(gh_sock_set_nodelay(client), 0);
    carries(client, server);
    carries(server, client);
    gh_sock_close(client);
    gh_sock_close(server);
    gh_sock_close(listener);
}

static void refused_connection_says_why(void **state)
{
    int listener = gh_sock_listen_tcp(&loopback, 0), client;
    struct gh_endpoint at;

    (void)state;
    assert_int_equal(gh_sock_local(listener, &at), 0);
    assert_int_equal(gh_sock_listen_tcp(&at, 0), GH_ERR_EXISTS);
    gh_sock_close(listener);
    client = gh_sock_connect_tcp(&at);
    if (client >= 0) {
        wait_for(client, POLLOUT);
        assert_int_equal(gh_sock_connected(client), GH_ERR_SYSTEM);
    }
    assert_int_equal(errno, ECONNREFUSED);
    gh_sock_close(client);
}

static void reset_is_not_an_orderly_end(void **state)
{
    struct gh_endpoint at;
    int listener = gh_sock_listen_tcp(&loopback, 0), client, server;
    char byte;

    (void)state;
    assert_int_equal(gh_sock_local(listener, &at), 0);
    client = gh_sock_connect_tcp(&at);
    wait_for(listener, POLLIN);
    server = gh_sock_accept(listener, NULL);
    assert_true(server >= 0);
    assert_int_equal(gh_sock_reset_on_close(client), 0);
    gh_sock_close(client);
    wait_for(server, POLLIN);
    assert_int_equal(gh_sock_receive(server, &byte, 1), GH_ERR_SYSTEM);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(gh_sock_send(server, gh_span_str("x")), GH_ERR_CLOSED);
    gh_sock_close(server);
    gh_sock_close(listener);
}

static void unix_socket_tells_who_connects(void **state)
{
    char folder[] = "/tmp/gh-sock-XXXXXX", path[64];
    struct gh_credentials who;
    struct gh_endpoint peer;
    struct stat st;
    int listener, client, server;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/s", folder);
    assert_int_equal(gh_sock_connect_unix(path), GH_ERR_NOT_FOUND);
    listener = gh_sock_listen_unix(path, 0600);
    assert_true(listener >= 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    client = gh_sock_connect_unix(path);
    assert_true(client >= 0);
    server = gh_sock_accept(listener, &peer);
    assert_true(server >= 0);
    assert_int_equal(peer.ip.family, 0);
    assert_int_equal(gh_sock_peer_credentials(server, &who), 0);
    assert_int_equal(who.uid, getuid());
    assert_int_equal(who.pid, getpid());
    carries(client, server);
    assert_int_equal(gh_sock_listen_unix(path, 0600), GH_ERR_EXISTS); /* somebody is there */
    gh_sock_close(client);
    gh_sock_close(server);
    gh_sock_close(listener);
    listener = gh_sock_listen_unix(path, 0600); /* nobody is: the file was left behind */
    assert_true(listener >= 0);
    gh_sock_close(listener);
    unlink(path);
    rmdir(folder);
}

static void unix_path_beyond_the_kernels_limit_is_refused(void **state)
{
    char path[200];

    (void)state;
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = 0;
    assert_int_equal(gh_sock_listen_unix(path, 0600), GH_ERR_RANGE);
    assert_int_equal(gh_sock_connect_unix(path), GH_ERR_RANGE);
    assert_int_equal(gh_sock_connect_unix(""), GH_ERR_RANGE);
}

static void endpoints_survive_the_kernels_form(void **state)
{
    static const struct {
        const char *ip;
        uint32_t scope;
        const char *text;
    } cases[] = { { "192.0.2.1", 0, "192.0.2.1:443" },
                  { "2001:db8::1", 0, "[2001:db8::1]:443" },
                  { "fe80::1", 7, "[fe80::1%7]:443" } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gh_endpoint e = { .port = 443, .scope = cases[i].scope }, back;
        struct sockaddr_storage addr;
        char text[GH_ENDPOINT_TEXT];

        assert_int_equal(gh_ip_parse(cases[i].ip, strlen(cases[i].ip), &e.ip), 0);
        assert_true(gh_endpoint_to_sockaddr(&e, AF_INET6, &addr) > 0);
        assert_int_equal(gh_endpoint_of_sockaddr(&addr, &back), 0);
        assert_true(gh_endpoint_equals(&e, &back));
        assert_string_equal(gh_endpoint_emit(&e, text), cases[i].text);
        if (e.ip.family == 6) {
            assert_int_equal(gh_endpoint_to_sockaddr(&e, AF_INET, &addr), GH_ERR_RANGE);
        } else {
            assert_true(gh_endpoint_to_sockaddr(&e, AF_INET, &addr) > 0);
            assert_int_equal(gh_endpoint_of_sockaddr(&addr, &back), 0);
            assert_true(gh_endpoint_equals(&e, &back));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_connects_accepts_and_carries),  cmocka_unit_test(refused_connection_says_why),
        cmocka_unit_test(reset_is_not_an_orderly_end),       cmocka_unit_test(unix_socket_tells_who_connects),
        cmocka_unit_test(unix_path_beyond_the_kernels_limit_is_refused),
        cmocka_unit_test(endpoints_survive_the_kernels_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
