#include "priv/client.h"

#include "../test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "os/clock.h"
#include "os/fdpass.h"

#define SECOND GH_NANOSECONDS

/* The parent's end is the test's: it answers when the test wants it to. */
struct pair {
    struct gh_priv_client *client;
    int requests, events;
};

static void open_pair(struct pair *p)
{
    int requests[2], events[2];

    assert_int_equal(gh_fdpass_pair(requests), 0);
    assert_int_equal(gh_fdpass_pair(events), 0);
    assert_int_equal(gh_priv_client_create(requests[1], events[1], &p->client), 0);
    p->requests = requests[0];
    p->events = events[0];
}

static void close_pair(struct pair *p)
{
    gh_priv_client_destroy(p->client);
    close(p->requests);
    close(p->events);
}

static struct gh_priv_request take_request(struct pair *p)
{
    struct gh_priv_request q;

    assert_int_equal(gh_fdpass_receive(p->requests, &q, sizeof q, NULL, 0, NULL, 0), 0);
    return q;
}

static void answer(struct pair *p, uint32_t id, const int *fds, size_t fd_count)
{
    struct gh_priv_reply reply = { .id = id, .len = 1 };

    assert_int_equal(gh_fdpass_send(p->requests, &reply, sizeof reply, fds, fd_count), 0);
}

static int sign(struct pair *p)
{
    uint8_t out[GH_PRIV_DATA];
    size_t len = 0;

    return gh_priv_sign(p->client, 1, 0x0807, "", 0, out, &len);
}

static void a_parent_that_hangs_costs_one_signature_a_second_and_the_next_nothing(void **state)
{
    char error[GH_PRIV_TEXT];
    struct pair p;
    int64_t start, took;

    (void)state;
    open_pair(&p);
    start = gh_clock_now();
    assert_int_equal(sign(&p), GH_ERR_TIMEOUT);
    took = gh_clock_now() - start;
    assert_true(took >= GH_PRIV_SIGN_PATIENCE * SECOND && took < (GH_PRIV_SIGN_PATIENCE + 5) * SECOND);
    assert_string_equal(gh_priv_client_error(p.client, error), "the parent process does not answer");
    (void)take_request(&p);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(sign(&p), GH_ERR_TIMEOUT);
    assert_true(gh_clock_now() - start - took < SECOND);
    assert_int_equal(poll(&(struct pollfd){ .fd = p.requests, .events = POLLIN }, 1, 0), 0); /* it was not even asked */
    close_pair(&p);
}

struct patient {
    struct pair *pair;
    int rc, fd;
    const char *path;
};

static void *open_file(void *arg)
{
    struct patient *a = arg;

    a->rc = gh_priv_open_file(a->pair->client, a->path, &a->fd);
    return NULL;
}

static void an_answer_that_comes_late_is_nobodys(void **state)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC), late = open("/dev/zero", O_RDONLY | O_CLOEXEC), lowest;
    struct patient a = { .path = "/etc/one", .fd = -1 };
    char target[64] = "", name[64];
    pthread_t thread;
    struct pair p;

    (void)state;
    open_pair(&p);
    a.pair = &p;
    assert_int_equal(sign(&p), GH_ERR_TIMEOUT);
    assert_int_equal(take_request(&p).kind, GH_PRIV_SIGN);
    /* who is patient asks while the answer is still owed */
    assert_int_equal(pthread_create(&thread, NULL, open_file, &a), 0);
    assert_int_equal(take_request(&p).kind, GH_PRIV_OPEN_FILE);
    lowest = dup(0);
    close(lowest);
    answer(&p, 1, &late, 1);
    answer(&p, 2, &null, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(a.rc, 0);
    snprintf(name, sizeof name, "/proc/self/fd/%d", a.fd);
    assert_true(readlink(name, target, sizeof target - 1) > 0);
    assert_string_equal(target, "/dev/null");
    close(a.fd);
    assert_int_equal(dup(0), lowest); /* the late one was closed */
    close(lowest);
    /* nothing is owed any more */
    assert_int_equal(sign(&p), GH_ERR_TIMEOUT);
    (void)take_request(&p);
    answer(&p, 3, NULL, 0);
    assert_int_equal(pthread_create(&thread, NULL, open_file, &a), 0);
    assert_int_equal(take_request(&p).kind, GH_PRIV_OPEN_FILE);
    answer(&p, 4, &null, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(a.rc, 0);
    close(a.fd);
    close(null);
    close(late);
    close_pair(&p);
}

static void a_signature_does_not_queue_behind_what_takes_long(void **state)
{
    struct patient a = { .path = "/etc/one", .fd = -1 };
    pthread_t thread;
    struct pair p;
    int64_t start = gh_clock_now();

    (void)state;
    open_pair(&p);
    a.pair = &p;
    assert_int_equal(pthread_create(&thread, NULL, open_file, &a), 0);
    (void)take_request(&p);
    assert_int_equal(sign(&p), GH_ERR_TIMEOUT);
    assert_true(gh_clock_now() - start < (GH_PRIV_SIGN_PATIENCE + 5) * SECOND);
    start = gh_clock_now();
    for (int i = 0; i < 1000; i++)
        assert_int_equal(sign(&p), GH_ERR_TIMEOUT); /* the other one waits for long enough */
    assert_true(gh_clock_now() - start < SECOND);
    answer(&p, 1, NULL, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(a.rc, GH_ERR_MALFORMED); /* an answer without the file */
    close_pair(&p);
}

static void a_parent_that_is_gone_is_said_at_once(void **state)
{
    char error[GH_PRIV_TEXT];
    struct pair p;

    (void)state;
    open_pair(&p);
    close(p.requests);
    p.requests = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(sign(&p), GH_ERR_CLOSED);
    assert_string_equal(gh_priv_client_error(p.client, error), "the parent process is gone");
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parent_that_hangs_costs_one_signature_a_second_and_the_next_nothing),
        cmocka_unit_test(an_answer_that_comes_late_is_nobodys),
        cmocka_unit_test(a_signature_does_not_queue_behind_what_takes_long),
        cmocka_unit_test(a_parent_that_is_gone_is_said_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
