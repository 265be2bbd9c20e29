/* status, sessions and reload, and the admin client under them, against a socket that says what the test tells it to. */
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/admin_client.h"
#include "cli/reload.h"
#include "cli/sessions.h"
#include "cli/status.h"

#include "../test.h"

#define STATUS "{\"schema\":1,\"version\":\"0.1.0\",\"node\":\"edge-1\",\"identity\":{\"name\":\"relay\",\"not_after\":\"2030-01-31T18:00:00Z\",\"cert_pin\":\"sha256:00ff\"},\"paths\":{\"count\":2,\"rtt_us\":{\"min\":1500,\"max\":80000},\"mtu\":{\"min\":1280,\"max\":1411},\"datagrams_sent\":400,\"datagrams_lost\":2},\"uptime_seconds\":7384,\"ready\":false,\"draining\":false," \
               "\"failing\":[{\"name\":\"tun\",\"detail\":\"device gh0 is down\"}],\"config\":{\"generation\":3,\"last_reload\":"     \
               "{\"at\":\"2023-11-14T22:13:20Z\",\"ok\":false,\"detail\":\"relay.yaml:4:2: unknown key\"}},\"policy\":"             \
               "{\"version\":\"p7\"},\"sessions\":1,\"flows\":9,\"listeners\":[{\"service\":\"relay\",\"transport\":\"udp\","       \
               "\"address\":\"[::]:4433\"}],\"workers\":[{\"index\":0,\"sessions\":1,\"rx_packets\":100,\"tx_packets\":50,"         \
               "\"handed_over\":3}],\"features\":[{\"name\":\"udp_gso\",\"on\":true,\"tested\":false,\"detail\":\"\"},{\"name\":\"tun_uso\","        \
               "\"on\":false,\"tested\":false,\"detail\":\"needs Linux 6.2\"}],\"drops\":{\"policy\":12,\"ttl\":1}}"

static const char status_screen[] =
    "version    0.1.0 on edge-1, up 2 h 3 min\n"
    "identity   relay, certificate valid until 2030-01-31T18:00:00Z\n"
    "cert_pin   sha256:00ff\n"
    "ready      no\n"
    "           tun: device gh0 is down\n"
    "config     generation 3\n"
    "           reload failed 2023-11-14T22:13:20Z, the old one still runs:\n"
    "           relay.yaml:4:2: unknown key\n"
    "policy     p7\n"
    "sessions   1, flows 9\n"
    "paths      2, rtt 1.5 ms to 80.0 ms, mtu 1280 to 1411, loss 0.50 %\n"
    "listens    relay udp [::]:4433\n"
    "workers    0: 1 sessions, packets 100 in, 50 out, 3 handed over\n"
    "offload    udp_gso on, untested\n"
    "           tun_uso off: needs Linux 6.2\n"
    "drops      policy 12, ttl 1\n";

struct node {
    int fd;
    pthread_t thread;
    char dir[32], path[64], answer[4096], heard[2048];
};

static char out[65536], err[65536];

static void *play(void *arg)
{
    struct node *n = arg;
    int fd = accept(n->fd, NULL, NULL);
    size_t len = 0;

    while (fd >= 0 && len < sizeof n->heard - 1 && !strstr(n->heard, "\r\n\r\n")) {
        ssize_t got = recv(fd, n->heard + len, sizeof n->heard - 1 - len, 0);

        if (got <= 0)
            break;
        len += (size_t)got;
    }
    (void)!send(fd, n->answer, strlen(n->answer), MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

static void node_open(struct node *n)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    memset(n, 0, sizeof *n);
    strcpy(n->dir, "/tmp/gh-verbs-XXXXXX");
    assert_non_null(mkdtemp(n->dir));
    snprintf(n->path, sizeof n->path, "%s/sock", n->dir);
    strcpy(un.sun_path, n->path);
    n->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(n->fd, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(n->fd, 1), 0);
}

static void node_close(struct node *n)
{
    close(n->fd);
    unlink(n->path);
    rmdir(n->dir);
}

static void read_back(int fd, char *buf, size_t size)
{
    ssize_t n = pread(fd, buf, size - 1, 0);

    assert_true(n >= 0);
    buf[n] = 0;
    close(fd);
}

typedef int (*verb_fn)(const struct gh_cli_verb *verb, int argc, char **argv);

/* Runs a verb with stdout and stderr caught; arguments end with NULL. */
static int run(verb_fn fn, const struct gh_admin_program *program, const char *const *args)
{
    struct gh_cli_verb verb = { .name = "verb", .arg = program };
    char *argv[16] = { (char *)"verb" };
    int argc = 1, code, out_fd = memfd_create("out", 0), err_fd = memfd_create("err", 0), old_out, old_err;

    for (; args[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)args[argc - 1];
    fflush(stdout);
    fflush(stderr);
    old_out = dup(1);
    old_err = dup(2);
    dup2(out_fd, 1);
    dup2(err_fd, 2);
    code = fn(&verb, argc, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(old_out, 1);
    dup2(old_err, 2);
    close(old_out);
    close(old_err);
    read_back(out_fd, out, sizeof out);
    read_back(err_fd, err, sizeof err);
    return code;
}

#define RUN(fn, ...) run(fn, NULL, (const char *const[]){ __VA_ARGS__, NULL })

/* Runs a verb against a node that answers <status> and <body> to one request. */
static int ask(struct node *n, unsigned status, const char *body, verb_fn fn, const char *a, const char *b, const char *c)
{
    const char *args[8] = { "--socket", n->path, a, b, c, NULL };
    int code;

    n->heard[0] = 0;
    snprintf(n->answer, sizeof n->answer, "HTTP/1.1 %u X\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
    memset(n->heard, 0, sizeof n->heard);
    assert_int_equal(pthread_create(&n->thread, NULL, play, n), 0);
    code = run(fn, NULL, args);
    pthread_join(n->thread, NULL);
    return code;
}

static void status_fits_a_screen_and_says_what_is_wrong(void **state)
{
    struct node n;

    (void)state;
    node_open(&n);
    assert_int_equal(ask(&n, 200, STATUS, gh_cli_status, NULL, NULL, NULL), 0);
    assert_ptr_equal(strstr(n.heard, "GET /v1/status HTTP/1.1\r\n"), n.heard);
    assert_string_equal(out, status_screen);
    assert_string_equal(err, "");
    node_close(&n);
}

static void json_is_the_whole_answer(void **state)
{
    struct node n;
    json_t *sent = json_loads(STATUS, 0, NULL), *got;

    (void)state;
    node_open(&n);
    assert_int_equal(ask(&n, 200, STATUS, gh_cli_status, "--json", NULL, NULL), 0);
    got = json_loads(out, 0, NULL);
    assert_true(json_equal(sent, got));
    json_decref(sent);
    json_decref(got);
    node_close(&n);
}

static void nobody_there_is_4_with_what_to_do(void **state)
{
    struct node n;

    (void)state;
    node_open(&n);
    close(n.fd);
    assert_int_equal(RUN(gh_cli_status, "--socket", n.path), 4);
    assert_non_null(strstr(err, "nobody answers"));
    assert_non_null(strstr(err, "systemctl status gatehouse"));
    assert_non_null(strstr(err, n.path));
    unlink(n.path);
    assert_int_equal(run(gh_cli_status, &gh_admin_agent, (const char *const[]){ "--socket", n.path, NULL }), 4);
    assert_non_null(strstr(err, "does not exist"));
    assert_non_null(strstr(err, "gatehouse-agent up"));
    assert_int_equal(RUN(gh_cli_sessions, "kick", "a", "--socket", n.path), 4);
    assert_int_equal(RUN(gh_cli_reload, "--socket", n.path), 4);
    assert_string_equal(out, "");
    rmdir(n.dir);
}

static void something_else_behind_the_socket_is_4(void **state)
{
    struct node n;

    (void)state;
    node_open(&n);
    assert_int_equal(ask(&n, 200, "not json", gh_cli_status, NULL, NULL, NULL), 4);
    assert_int_equal(ask(&n, 200, "[]", gh_cli_status, NULL, NULL, NULL), 4);
    node_close(&n);
}

static void refusals_have_their_exit_codes_and_carry_detail_and_hint(void **state)
{
    static const struct {
        unsigned status;
        int code;
    } cases[] = { { 403, 5 }, { 404, 1 }, { 409, 75 }, { 422, 1 }, { 500, 1 }, { 503, 75 } };
    struct node n;

    (void)state;
    node_open(&n);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ask(&n, cases[i].status, "{\"error\":\"x\",\"detail\":\"a.yaml:1:1: bad\\na.yaml:2:1: worse\",\"hint\":\"do this\"}",
                             gh_cli_reload, NULL, NULL, NULL), cases[i].code);
        assert_string_equal(err, "gatehouse: a.yaml:1:1: bad\na.yaml:2:1: worse\n  do this\n");
    }
    assert_int_equal(ask(&n, 500, "", gh_cli_reload, NULL, NULL, NULL), 1);
    assert_string_equal(err, "gatehouse: the node answered 500\n");
    node_close(&n);
}

static void wrong_words_are_2(void **state)
{
    (void)state;
    assert_int_equal(RUN(gh_cli_status, "now"), 2);
    assert_int_equal(RUN(gh_cli_status, "--socket"), 2);
    assert_int_equal(RUN(gh_cli_status, "--watch", "0"), 2);
    assert_int_equal(RUN(gh_cli_status, "--watch=3601"), 2);
    assert_int_equal(RUN(gh_cli_status, "--watch=1s"), 2);
    assert_int_equal(RUN(gh_cli_sessions, "kick", "a", "--watch"), 2);
    assert_int_equal(RUN(gh_cli_sessions, "kick"), 2);
    assert_int_equal(RUN(gh_cli_sessions, "kick", "a/b"), 2);
    assert_int_equal(RUN(gh_cli_sessions, "kick", "a", "b"), 2);
    assert_int_equal(RUN(gh_cli_sessions, "drop", "a"), 2);
    assert_int_equal(RUN(gh_cli_reload, "--hard"), 2);
}

static void sessions_are_a_table_in_which_no_name_moves_the_cursor(void **state)
{
    static const char answer[] =
        "{\"sessions\":[{\"id\":\"s-1\",\"client_id\":\"client-1\",\"addresses\":[\"10.100.0.2/32\"],\"peer\":{\"address\":\"2001:db8::9\","
        "\"port\":5000},\"since\":\"2023-11-14T22:13:20Z\",\"rx_bytes\":84,\"tx_bytes\":1572864,\"flows\":4,\"rtt_us\":12345,\"mtu\":1411,\"datagrams_sent\":400,\"datagrams_lost\":5},"
        "{\"id\":\"s-2\",\"client_id\":\"\\u001b[2J\\u009bx\\u00e9\",\"addresses\":[],\"peer\":null,\"since\":null,\"flows\":0}]}";
    static const char want[] =
        "SESSION  CLIENT    ADDRESSES      PEER                SINCE                 FROM  TO       FLOWS  RTT      MTU   LOSS\n"
        "s-1      client-1  10.100.0.2/32  [2001:db8::9]:5000  2023-11-14T22:13:20Z  84 B  1.5 MiB  4      12.3 ms  1411  1.25 %\n";
    struct node n;

    (void)state;
    node_open(&n);
    assert_int_equal(ask(&n, 200, answer, gh_cli_sessions, "list", NULL, NULL), 0);
    assert_memory_equal(out, want, strlen(want));
    assert_null(strchr(out, 0x1b));
    assert_null(strstr(out, "\xc2\x9b"));
    assert_non_null(strstr(out, "?[2J?x\xc3\xa9"));
    assert_int_equal(ask(&n, 200, "{\"sessions\":[]}", gh_cli_sessions, NULL, NULL, NULL), 0);
    assert_string_equal(out, "no sessions\n");
    node_close(&n);
}

static void kicking_and_reloading_send_what_they_say(void **state)
{
    struct node n;

    (void)state;
    node_open(&n);
    assert_int_equal(ask(&n, 202, "{\"id\":\"s-1\"}", gh_cli_sessions, "kick", "s-1", NULL), 0);
    assert_ptr_equal(strstr(n.heard, "DELETE /v1/sessions/s-1 HTTP/1.1\r\n"), n.heard);
    assert_string_equal(out, "session s-1 is being closed\n");
    assert_int_equal(ask(&n, 200, "{\"generation\":4}", gh_cli_reload, NULL, NULL, NULL), 0);
    assert_ptr_equal(strstr(n.heard, "POST /v1/reload HTTP/1.1\r\n"), n.heard);
    assert_string_equal(out, "generation 4 runs\n");
    node_close(&n);
}

static void every_usage_has_an_example(void **state)
{
    (void)state;
    assert_non_null(strstr(gh_cli_status_usage, "example: gatehouse status"));
    assert_non_null(strstr(gh_cli_sessions_usage, "example: gatehouse sessions"));
    assert_non_null(strstr(gh_cli_reload_usage, "example: gatehouse reload"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_fits_a_screen_and_says_what_is_wrong),
        cmocka_unit_test(json_is_the_whole_answer),
        cmocka_unit_test(nobody_there_is_4_with_what_to_do),
        cmocka_unit_test(something_else_behind_the_socket_is_4),
        cmocka_unit_test(refusals_have_their_exit_codes_and_carry_detail_and_hint),
        cmocka_unit_test(wrong_words_are_2),
        cmocka_unit_test(sessions_are_a_table_in_which_no_name_moves_the_cursor),
        cmocka_unit_test(kicking_and_reloading_send_what_they_say),
        cmocka_unit_test(every_usage_has_an_example),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
