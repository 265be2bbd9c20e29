#include "net/http1_client.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"

#include "../test.h"

/* A peer that takes one connection, reads a request's head, says <text> and closes; or keeps silent when <text> is NULL. */
struct peer {
    const char *text;
    int fd;
    uint16_t port;
    char heard[2048];
    pthread_t thread;
};

static void *play(void *arg)
{
    struct peer *p = arg;
    int fd = accept(p->fd, NULL, NULL);
    size_t len = 0;

    while (len < sizeof p->heard - 1 && !strstr(p->heard, "\r\n\r\n")) {
        ssize_t n = recv(fd, p->heard + len, sizeof p->heard - 1 - len, 0);

        if (n <= 0)
            break;
        len += (size_t)n;
    }
    if (p->text)
        (void)!send(fd, p->text, strlen(p->text), MSG_NOSIGNAL);
    else
        (void)!recv(fd, p->heard + len, 1, 0); /* until the client gives up */
    close(fd);
    return NULL;
}

static void peer_start(struct peer *p, const char *text)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;

    memset(p, 0, sizeof *p);
    p->text = text;
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(p->fd, 1), 0);
    assert_int_equal(getsockname(p->fd, (struct sockaddr *)&in, &len), 0);
    p->port = ntohs(in.sin_port);
    assert_int_equal(pthread_create(&p->thread, NULL, play, p), 0);
}

static int call(const char *text, const struct gh_http1_call *call, struct gh_http1_answer *ret, struct peer *p)
{
    struct gh_http1_target to = { .addr = gh_ip_v4("\x7f\0\0\x01") };
    int rc;

    peer_start(p, text);
    to.port = p->port;
    rc = gh_http1_client_call(&to, call, ret);
    if (rc == GH_ERR_MEMORY)
        shutdown(p->fd, SHUT_RDWR); /* nobody called: the peer need not wait */
    pthread_join(p->thread, NULL);
    close(p->fd);
    return rc;
}

static void an_answer_is_read_in_every_framing(void **state)
{
    static const struct {
        const char *text;
        unsigned status;
        const char *body;
    } cases[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more", 200, "hello" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 200, "hello" },
        { "HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello" },
        { "HTTP/1.1 204 No Content\r\n\r\n", 204, "" },
        { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", 404, "no" },
    };
    struct gh_http1_call get = { .method = "GET", .path = "/a?b=c" };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gh_http1_answer answer;
        struct peer p;

        assert_int_equal(call(cases[i].text, &get, &answer, &p), 0);
        assert_int_equal(answer.status, cases[i].status);
        assert_string_equal(answer.body, cases[i].body);
        assert_int_equal(answer.body_len, strlen(cases[i].body));
        assert_ptr_equal(strstr(p.heard, "GET /a?b=c HTTP/1.1\r\n"), p.heard);
        gh_http1_answer_fini(&answer);
    }
}

static void a_broken_answer_is_named(void **state)
{
    static const struct {
        const char *text;
        int rc;
    } cases[] = {
        { "", GH_ERR_CLOSED },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", GH_ERR_CLOSED },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", GH_ERR_CLOSED },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", GH_ERR_PROTOCOL },
        { "SSH-2.0-OpenSSH\r\n", GH_ERR_CLOSED },
        { "nonsense\n", GH_ERR_PROTOCOL },
        { "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n01234567890123456789", GH_ERR_TOO_LONG },
        { NULL, GH_ERR_TIMEOUT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gh_http1_call get = { .method = "GET", .path = "/", .body_max = 10, .timeout = cases[i].text ? 0 : 30 };
        struct gh_http1_answer answer = { 0 };
        struct peer p;

        assert_int_equal(call(cases[i].text, &get, &answer, &p), cases[i].rc);
        assert_null(answer.body);
    }
}

static void a_post_says_its_length(void **state)
{
    struct gh_http1_call post = { .method = "POST", .path = "/v1/reload" };
    struct gh_http1_answer answer;
    struct peer p;

    (void)state;
    assert_int_equal(call("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &post, &answer, &p), 0);
    assert_non_null(strstr(p.heard, "content-length: 0\r\n"));
    gh_http1_answer_fini(&answer);
}

static void who_is_not_there_is_told_apart(void **state)
{
    struct gh_http1_call get = { .method = "GET", .path = "/" };
    struct gh_http1_call bad = { .method = "GET", .path = "/a b" };
    struct gh_http1_answer answer;
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    char dir[] = "/tmp/gh-client-XXXXXX", path[64], longer[200];
    struct gh_http1_target to = { .unix_path = path };
    int fd;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/sock", dir);
    assert_int_equal(gh_http1_client_call(&to, &get, &answer), GH_ERR_NOT_FOUND);

    strcpy(un.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(gh_http1_client_call(&to, &get, &answer), GH_ERR_CLOSED); /* bound, nobody listens */
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(gh_http1_client_call(&to, &bad, &answer), GH_ERR_RANGE);
    close(fd);
    unlink(path);
    rmdir(dir);

    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    to.unix_path = longer;
    assert_int_equal(gh_http1_client_call(&to, &get, &answer), GH_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_read_in_every_framing),
        cmocka_unit_test(a_broken_answer_is_named),
        cmocka_unit_test(a_post_says_its_length),
        cmocka_unit_test(who_is_not_there_is_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
