#include "../test.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "os/fdpass.h"
#include "os/resolve.h"
#include "priv/lookup.h"

static int forgotten[2]; /* a pipe: the new process says that it forgot */

static void forget(void *arg)
{
    (void)arg;
    if (write(forgotten[1], "f", 1) != 1)
        _exit(9);
}

static void a_look_up_answers_once_over_its_socket_and_ends(void **state)
{
    const struct gh_priv_lookup q = { .host = "127.0.0.1", .port = 4433 };
    struct gh_lookups l = { { 0 } };
    struct gh_resolved found = { .count = 0 };
    char byte = 0;
    int fd = -1;

    (void)state;
    assert_int_equal(pipe(forgotten), 0);
    assert_int_equal(gh_lookup_start(&l, &q, 0, 0, forget, NULL, &fd), 0);
    assert_int_equal(gh_fdpass_receive(fd, &found, sizeof found, NULL, 0, NULL, 0), 0);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.list[0].port, 4433);
    assert_int_equal(read(forgotten[0], &byte, 1), 1);
    assert_int_equal(byte, 'f');
    assert_int_equal(gh_fdpass_receive(fd, &found, sizeof found, NULL, 0, NULL, 0), GH_ERR_CLOSED);
    close(fd);
    while (l.pids[0]) { /* its socket closes a moment before it can be waited for */
        poll(NULL, 0, 1);
        gh_lookups_reap(&l);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    close(forgotten[0]);
    close(forgotten[1]);
}

static void there_is_a_limit_and_stop_ends_all(void **state)
{
    const struct gh_priv_lookup q = { .host = "127.0.0.1", .port = 1 };
    struct gh_lookups l = { { 0 } };
    int fds[GH_LOOKUPS_MAX], more;

    (void)state;
    assert_int_equal(pipe(forgotten), 0);
    for (size_t i = 0; i < GH_LOOKUPS_MAX; i++)
        assert_int_equal(gh_lookup_start(&l, &q, 0, 0, forget, NULL, &fds[i]), 0);
    assert_int_equal(gh_lookup_start(&l, &q, 0, 0, forget, NULL, &more), GH_ERR_FULL);
    gh_lookups_stop(&l);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    for (size_t i = 0; i < GH_LOOKUPS_MAX; i++)
        close(fds[i]);
    close(forgotten[0]);
    close(forgotten[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_look_up_answers_once_over_its_socket_and_ends),
        cmocka_unit_test(there_is_a_limit_and_stop_ends_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
