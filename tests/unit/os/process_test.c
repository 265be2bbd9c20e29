#include "os/process.h"

#include "../test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "os/caps.h"
#include "os/fdpass.h"
#include "os/lock.h"

/* Runs <fn> in a child and returns its exit code. */
static int in_child(int (*fn)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(fn());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int drop_and_look(void)
{
    if (gh_process_no_new_privs() < 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 1;
    if (gh_caps_drop_all() < 0)
        return 2;
    return gh_caps_any() || gh_caps_net_admin() ? 3 : 0;
}

static void a_process_that_dropped_has_no_capability(void **state)
{
    (void)state;
    assert_int_equal(in_child(drop_and_look), 0);
}

static int close_all_but_two(void)
{
    int a = open("/dev/null", O_RDONLY), b = open("/dev/null", O_RDONLY), c = open("/dev/null", O_RDONLY), d;
    const int keep[] = { c, a };

    d = fcntl(c, F_DUPFD, 200);
    if (gh_process_close_others(keep, 2) < 0)
        return 1;
    return fcntl(a, F_GETFD) < 0 || fcntl(c, F_GETFD) < 0 || fcntl(b, F_GETFD) >= 0 || fcntl(d, F_GETFD) >= 0;
}

static void only_kept_descriptors_stay_open(void **state)
{
    (void)state;
    assert_int_equal(in_child(close_all_but_two), 0);
}

static void a_thread_name_is_cut_at_fifteen_bytes(void **state)
{
    char old[16] = "", name[16] = "";

    (void)state;
    prctl(PR_GET_NAME, old, 0, 0, 0);
    gh_process_name_thread("0123456789abcdefg");
    prctl(PR_GET_NAME, name, 0, 0, 0);
    gh_process_name_thread(old);
    assert_string_equal(name, "0123456789abcde");
}

static void a_message_brings_its_descriptors(void **state)
{
    int pair[2], pipe_fds[2], fds[2], got[2];
    char out[16] = "fifteen letters", in[16] = "";
    size_t count = 0;

    (void)state;
    assert_int_equal(gh_fdpass_pair(pair), 0);
    assert_int_equal(pipe(pipe_fds), 0);
    fds[0] = pipe_fds[0];
    fds[1] = pipe_fds[1];
    assert_int_equal(gh_fdpass_send(pair[0], out, sizeof out, fds, 2), 0);
    assert_int_equal(gh_fdpass_receive(pair[1], in, sizeof in, got, 2, &count, 0), 0);
    assert_int_equal(count, 2);
    assert_string_equal(in, out);
    assert_int_equal(write(got[1], "x", 1), 1);
    assert_int_equal(read(pipe_fds[0], in, 1), 1);
    assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
    assert_int_equal(gh_fdpass_receive(pair[1], in, sizeof in, NULL, 0, NULL, MSG_DONTWAIT), GH_ERR_AGAIN);
    for (size_t i = 0; i < 2; i++) {
        close(got[i]);
        close(fds[i]);
    }
    close(pair[0]);
    assert_int_equal(gh_fdpass_receive(pair[1], in, sizeof in, NULL, 0, NULL, 0), GH_ERR_CLOSED);
    close(pair[1]);
}

static void a_message_of_another_length_or_with_too_many_descriptors_is_malformed(void **state)
{
    const struct {
        size_t len, fds;
    } cases[] = { { 15, 1 }, { 17, 1 }, { 16, 2 } };
    char out[32] = "", in[16];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        int pair[2], fds[2], got[1], next;

        assert_int_equal(gh_fdpass_pair(pair), 0);
        fds[0] = fds[1] = pair[0];
        next = dup(0);
        close(next);
        assert_int_equal(gh_fdpass_send(pair[0], out, cases[i].len, fds, cases[i].fds), 0);
        assert_int_equal(gh_fdpass_receive(pair[1], in, sizeof in, got, 1, NULL, 0), GH_ERR_MALFORMED);
        close(pair[0]);
        close(pair[1]);
        assert_int_equal(fcntl(next, F_GETFD), -1); /* nothing was left open */
    }
}

static void a_lock_has_one_owner_until_the_last_copy_closes(void **state)
{
    char dir[] = "/tmp/gatehouse-lock-XXXXXX";
    int d, first, copy, second;

    (void)state;
    assert_non_null(mkdtemp(dir));
    d = open(dir, O_DIRECTORY | O_RDONLY);
    first = gh_lock_open(d, "x.lock", 0);
    assert_true(first >= 0);
    copy = dup(first);
    assert_int_equal(gh_lock_open(d, "x.lock", 0), GH_ERR_EXISTS);
    close(first);
    assert_int_equal(gh_lock_open(d, "x.lock", 0), GH_ERR_EXISTS);
    close(copy);
    second = gh_lock_open(d, "x.lock", 0);
    assert_true(second >= 0);
    close(second);
    unlinkat(d, "x.lock", 0);
    close(d);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_that_dropped_has_no_capability),
        cmocka_unit_test(only_kept_descriptors_stay_open),
        cmocka_unit_test(a_thread_name_is_cut_at_fifteen_bytes),
        cmocka_unit_test(a_message_brings_its_descriptors),
        cmocka_unit_test(a_message_of_another_length_or_with_too_many_descriptors_is_malformed),
        cmocka_unit_test(a_lock_has_one_owner_until_the_last_copy_closes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
