#include "priv/notify.h"

#include "../test.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"

/* The texts are those of sd_notify(3). */
static void each_state_is_the_datagram_that_systemd_documents(void **state)
{
    static const struct {
        struct gh_priv_notify n;
        const char *want;
    } cases[] = {
        { { GH_PRIV_READY, "" }, "READY=1\n" },
        { { GH_PRIV_READY, "3 sessions" }, "READY=1\nSTATUS=3 sessions\n" },
        { { GH_PRIV_RELOADING, "" }, "RELOADING=1\nMONOTONIC_USEC=123456\n" },
        { { GH_PRIV_STOPPING, "" }, "STOPPING=1\n" },
        { { GH_PRIV_STATUS, "draining" }, "STATUS=draining\n" },
        { { GH_PRIV_WATCHDOG, "" }, "WATCHDOG=1\n" },
    };
    char dir[] = "/tmp/gatehouse-notify-XXXXXX", abstract[128];
    struct sockaddr_un at = { .sun_family = AF_UNIX };

    (void)state;
    assert_non_null(mkdtemp(dir));
    for (int kind = 0; kind < 2; kind++) {
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        const char *name;
        socklen_t len;

        memset(at.sun_path, 0, sizeof at.sun_path);
        if (kind == 0) {
            snprintf(at.sun_path, sizeof at.sun_path, "%s/socket", dir);
            len = sizeof at;
            name = at.sun_path;
        } else {
            len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1
                              + (size_t)snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "gh-notify-%d", (int)getpid()));
            snprintf(abstract, sizeof abstract, "@%s", at.sun_path + 1);
            name = abstract;
        }
        assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            char text[512] = "";

            assert_int_equal(gh_notify_send(name, &cases[i].n, 123456), 0);
            assert_true(recv(fd, text, sizeof text - 1, MSG_DONTWAIT) > 0);
            assert_string_equal(text, cases[i].want);
        }
        close(fd);
        if (kind == 0)
            unlink(at.sun_path);
    }
    rmdir(dir);
}

static void without_a_manager_nothing_happens(void **state)
{
    const struct gh_priv_notify n = { GH_PRIV_READY, "" };

    (void)state;
    assert_int_equal(gh_notify_send(NULL, &n, 0), 0);
    assert_int_equal(gh_notify_send("", &n, 0), 0);
    assert_int_equal(gh_notify_send("relative", &n, 0), GH_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_state_is_the_datagram_that_systemd_documents),
        cmocka_unit_test(without_a_manager_nothing_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
