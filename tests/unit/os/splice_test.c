#include "os/splice.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"

#define PIECE 5000u

static void a_pipe_that_grows_keeps_what_it_holds(void **state)
{
    uint8_t out[PIECE], in[PIECE + 1];
    struct gh_pipe p;
    int a[2], b[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b), 0);
    for (size_t i = 0; i < PIECE; i++)
        out[i] = (uint8_t)(i * 7);
    assert_int_equal(gh_pipe_open(65536, &p), 0);
    assert_int_equal(send(a[0], out, PIECE, 0), PIECE);
    assert_int_equal(gh_splice_receive(a[1], &p, p.size), PIECE);
    assert_int_equal(gh_pipe_widen(&p, 262144), 0);
    assert_int_equal(p.size, 262144);
    assert_int_equal(p.held, PIECE);
    assert_int_equal(gh_splice_send(&p, b[0], false), PIECE);
    assert_int_equal(recv(b[1], in, sizeof in, 0), PIECE);
    assert_memory_equal(in, out, PIECE);
    gh_pipe_close(&p);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

static void a_pipe_that_gets_no_more_is_as_it_was(void **state)
{
    struct gh_pipe p;

    (void)state;
    assert_int_equal(gh_pipe_open(65536, &p), 0);
    assert_int_equal(gh_pipe_widen(&p, 0x80000001u), GH_ERR_SYSTEM); /* more than a pipe can have */
    assert_int_equal(p.size, 65536);
    gh_pipe_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipe_that_grows_keeps_what_it_holds),
        cmocka_unit_test(a_pipe_that_gets_no_more_is_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
