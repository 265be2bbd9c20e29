#include "os/journald.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"

static struct sockaddr_un at;

static int listen_at(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    at.sun_family = AF_UNIX;
    snprintf(at.sun_path, sizeof at.sun_path, "/tmp/gatehouse-journal-%d", (int)getpid());
    unlink(at.sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void a_record_is_one_datagram_of_fields(void **state)
{
    int journal = listen_at(), fd = gh_journald_open(at.sun_path);
    char buf[256];
    ssize_t n;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(gh_journald_send(fd, 4, "gatehouse-audit", "{\"a\":1}", 7), 0);
    n = recv(journal, buf, sizeof buf - 1, 0);
    assert_true(n > 0);
    buf[n] = 0;
    assert_string_equal(buf, "PRIORITY=4\nSYSLOG_IDENTIFIER=gatehouse-audit\nMESSAGE={\"a\":1}\n");
    close(journal);
    close(fd);
    unlink(at.sun_path);
}

static void a_journal_that_is_behind_or_gone_holds_nobody_up(void **state)
{
    int journal = listen_at(), fd = gh_journald_open(at.sun_path), rc = 0;

    (void)state;
    for (unsigned i = 0; rc == 0 && i < 100000; i++)
        rc = gh_journald_send(fd, 6, "x", "y", 1);
    assert_int_equal(rc, GH_ERR_AGAIN);
    close(journal);
    assert_int_equal(gh_journald_send(fd, 6, "x", "y", 1), GH_ERR_CLOSED);
    unlink(at.sun_path);
    assert_int_equal(gh_journald_open(at.sun_path), GH_ERR_SYSTEM);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_one_datagram_of_fields),
        cmocka_unit_test(a_journal_that_is_behind_or_gone_holds_nobody_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
