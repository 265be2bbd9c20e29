/* The callback is a socket of this test. */
#include "services/door/door_callback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../test.h"
#include "base/error.h"

#define SECOND INT64_C(1000000000)
#define NONE 99

struct world {
    struct gh_workers *workers;
    struct gh_worker *worker;
    struct door_callback_conf *conf;
    struct door_callback *callback;
    int listener, fd;
    uint16_t port;
    char got[4096];
    size_t len;
    bool end;
    int rc; /* of the last call */
    unsigned done;
};

static struct door_callback_options options_of(const struct world *w)
{
    struct door_callback_options o = { .path = "/check?x=1", .timeout = 20 * SECOND, .good_for = 60 * SECOND, .refused_for = 10 * SECOND, .calls = 2 };

    strcpy(o.url.origin.host, "127.0.0.1");
    o.url.origin.port = w->port;
    strcpy(o.url.authority, "auth.test");
    return o;
}

static void use(struct world *w, const struct door_callback_options *o)
{
    door_callback_put(w->callback);
    door_callback_conf_put(w->conf);
    assert_int_equal(door_callback_conf_create(o, &w->conf), 0);
    assert_int_equal(door_callback_create(w->worker, w->conf, 5 * SECOND, NULL, NULL, &w->callback), 0);
}

static int set_up(void **state)
{
    struct gh_workers_config one = { .count = 1 };
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    struct world *w = calloc(1, sizeof *w);
    struct door_callback_options o;

    assert_non_null(w);
    w->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(w->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(w->listener, 16), 0);
    assert_int_equal(getsockname(w->listener, (struct sockaddr *)&at, &len), 0);
    w->port = ntohs(at.sin_port);
    w->fd = -1;
    assert_int_equal(gh_workers_create(&one, &w->workers), 0);
    w->worker = gh_workers_at(w->workers, 0);
    o = options_of(w);
    use(w, &o);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    door_callback_put(w->callback);
    door_callback_conf_put(w->conf);
    gh_workers_destroy(w->workers);
    if (w->fd >= 0)
        close(w->fd);
    close(w->listener);
    free(w);
    return 0;
}

static void turn(struct world *w)
{
    ssize_t n;

    gh_worker_turn(w->worker, false);
    if (w->fd < 0 || w->len == sizeof w->got - 1)
        return;
    n = recv(w->fd, w->got + w->len, sizeof w->got - 1 - w->len, MSG_DONTWAIT);
    if (n > 0)
        w->len += (size_t)n;
    w->end |= n == 0 || (n < 0 && errno != EAGAIN);
    w->got[w->len] = 0;
}

#define UNTIL(w, what)                        \
    do {                                      \
        for (int i_ = 0; !(what); i_++) {     \
            if (i_ == 2000000)                \
                fail_msg("never: %s", #what); \
            turn(w);                          \
        }                                     \
    } while (0)

static void serve(struct world *w)
{
    w->len = 0;
    w->end = false;
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    UNTIL(w, (w->fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
}

static void say(struct world *w, const char *text)
{
    assert_int_equal(send(w->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static struct door_credentials who(const char *name, const char *token)
{
    struct door_credentials c = { .token_len = strlen(token) };

    strcpy(c.name, name);
    memcpy(c.token, token, c.token_len);
    return c;
}

static void done(void *arg, int rc)
{
    struct world *w = arg;

    w->rc = rc;
    w->done++;
}

static struct door_callback_call *ask(struct world *w, const struct door_credentials *c)
{
    w->rc = NONE;
    w->done = 0;
    return door_callback_ask(w->callback, c, done, w);
}

static void a_question_is_one_post_and_an_answer_is_remembered(void **state)
{
    struct world *w = *state;
    struct door_credentials c = who("alice", "p%s&=+ ");
    int64_t now = gh_worker_now(w->worker);

    memcpy(c.token + c.token_len, "\0\xff~", 3);
    c.token_len += 3;
    assert_int_equal(door_callback_recall(w->conf, &c, now), 0);
    assert_non_null(ask(w, &c));
    serve(w);
    UNTIL(w, strstr(w->got, "user=alice&token=p%25s%26%3D%2B%20%00%FF%7E"));
    assert_true(strncmp(w->got, "POST /check?x=1 HTTP/1.1\r\n", 26) == 0);
    assert_non_null(strstr(w->got, "auth.test\r\n"));
    assert_non_null(strstr(w->got, "application/x-www-form-urlencoded\r\n"));
    assert_int_equal(w->done, 0);
    say(w, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
    UNTIL(w, w->done);
    assert_int_equal(w->rc, 0);
    now = gh_worker_now(w->worker);
    assert_int_equal(door_callback_recall(w->conf, &c, now), 1);
    assert_int_equal(door_callback_recall(w->conf, &c, now + 59 * SECOND), 1);
    assert_int_equal(door_callback_recall(w->conf, &c, now + 60 * SECOND), 0);
    c.token[0] ^= 1;
    assert_int_equal(door_callback_recall(w->conf, &c, now), 0);
}

static void what_each_status_means(void **state)
{
    static const struct {
        const char *answer;
        int rc, recalled;
    } rows[] = {
        { "HTTP/1.1 204 No Content\r\n\r\n", 0, 1 },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 0, 1 },
        { "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", GH_ERR_DENIED, GH_ERR_DENIED },
        { "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", GH_ERR_DENIED, GH_ERR_DENIED },
        { "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", GH_ERR_CLOSED, 0 },
        { "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", GH_ERR_CLOSED, 0 },
        { "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", GH_ERR_CLOSED, 0 },
        { "no HTTP at all\r\n\r\n", GH_ERR_CLOSED, 0 },
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct door_callback_options o = options_of(w);
        struct door_credentials c = who("bob", "token");

        use(w, &o);
        assert_non_null(ask(w, &c));
        serve(w);
        UNTIL(w, strstr(w->got, "token=token"));
        say(w, rows[i].answer);
        UNTIL(w, w->done);
        assert_int_equal(w->rc, rows[i].rc);
        assert_int_equal(door_callback_recall(w->conf, &c, gh_worker_now(w->worker)), rows[i].recalled);
    }
}

static void silence_and_a_closed_port_let_nobody_in(void **state)
{
    struct world *w = *state;
    struct door_callback_options o = options_of(w);
    struct door_credentials c = who("bob", "token");
    int fd;

    o.timeout = SECOND / 100;
    use(w, &o);
    assert_non_null(ask(w, &c));
    serve(w);
    UNTIL(w, w->done);
    assert_int_equal(w->rc, GH_ERR_TIMEOUT);
    assert_int_equal(door_callback_recall(w->conf, &c, gh_worker_now(w->worker)), 0);
    o = options_of(w);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    {
        struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof at;

        assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0); /* and nobody listens */
        assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
        o.url.origin.port = ntohs(at.sin_port);
    }
    use(w, &o);
    assert_non_null(ask(w, &c));
    UNTIL(w, w->done);
    assert_int_equal(w->rc, GH_ERR_CLOSED);
    close(fd);
}

static void a_connection_that_was_kept_and_closed_there_costs_no_answer(void **state)
{
    struct world *w = *state;
    struct door_credentials a = who("alice", "1"), b = who("bob", "2"), c = who("carol", "3");

    assert_non_null(ask(w, &a));
    serve(w);
    UNTIL(w, strstr(w->got, "token=1"));
    say(w, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    UNTIL(w, w->done);
    assert_non_null(ask(w, &b)); /* on the same */
    UNTIL(w, strstr(w->got, "token=2"));
    say(w, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    UNTIL(w, w->done);
    assert_non_null(ask(w, &c));
    UNTIL(w, strstr(w->got, "token=3"));
    serve(w); /* closes the one before: another comes */
    UNTIL(w, strstr(w->got, "token=3"));
    say(w, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    UNTIL(w, w->done);
    assert_int_equal(w->rc, 0);
}

static void calls_at_a_time_have_a_limit_and_can_be_given_up(void **state)
{
    struct world *w = *state;
    struct door_credentials c = who("bob", "token");
    struct door_callback_call *one = ask(w, &c), *two = ask(w, &c);

    assert_non_null(one);
    assert_non_null(two);
    assert_null(ask(w, &c));
    door_callback_forget(one); /* before it began */
    serve(w);
    UNTIL(w, strstr(w->got, "token=token"));
    door_callback_forget(two); /* while it is asked */
    UNTIL(w, w->end);
    assert_int_equal(w->done, 0);
    one = ask(w, &c);
    assert_non_null(one);
    serve(w);
    UNTIL(w, strstr(w->got, "token=token"));
    say(w, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    UNTIL(w, w->done);
}

static void an_endless_answer_is_cut_off_and_its_status_counts(void **state)
{
    static char body[8192];
    struct world *w = *state;
    struct door_credentials c = who("bob", "token");

    memset(body, 'x', sizeof body);
    assert_non_null(ask(w, &c));
    serve(w);
    UNTIL(w, strstr(w->got, "token=token"));
    say(w, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n");
    UNTIL(w, (send(w->fd, body, sizeof body, MSG_NOSIGNAL | MSG_DONTWAIT), w->done));
    assert_int_equal(w->rc, GH_ERR_DENIED);
}

static void what_is_remembered_is_bounded_and_guesses_push_out_no_user(void **state)
{
    struct world *w = *state;
    struct door_credentials good = who("alice", "right");
    unsigned known = 0;

    door_callback_remember(w->conf, &good, true, 1000);
    for (unsigned i = 0; i < 8 * DOOR_CALLBACK_KNOWN; i++) {
        struct door_credentials c = who("alice", "");

        c.token_len = (size_t)snprintf(c.token, sizeof c.token, "%u", i);
        door_callback_remember(w->conf, &c, false, 1000 + i);
        known += door_callback_recall(w->conf, &c, 1000 + i) == GH_ERR_DENIED;
    }
    assert_int_equal(known, 8 * DOOR_CALLBACK_KNOWN);
    assert_int_equal(door_callback_recall(w->conf, &good, 1000), 1);
}

static void a_credential_follows_the_url(void **state)
{
    struct world *w = *state;
    struct door_callback_options o = options_of(w);
    uint64_t before = door_callback_credential(w->conf);

    use(w, &o);
    assert_true(before != 0 && door_callback_credential(w->conf) == before);
    o.path = "/other";
    use(w, &o);
    assert_true(door_callback_credential(w->conf) != before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_question_is_one_post_and_an_answer_is_remembered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_each_status_means, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silence_and_a_closed_port_let_nobody_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_connection_that_was_kept_and_closed_there_costs_no_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(calls_at_a_time_have_a_limit_and_can_be_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_endless_answer_is_cut_off_and_its_status_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_remembered_is_bounded_and_guesses_push_out_no_user, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_credential_follows_the_url, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
