/* What HTTP/1 does for a service that wants to look like an ordinary web server. */
#include <stdio.h>

#include "../test.h"
#include "base/error.h"
#include "fake_bytes.h"
#include "loop/worker.h"
#include "net/http1_server.h"

struct world {
    struct gh_workers *workers;
    struct gh_http1_server *server;
    struct fake_bytes *io;
    struct gh_http_stream *later; /* of /later: to be declined and answered by the test */
    bool declined, silent;        /* <silent>: refusals are not answered, which they must be */
};

static void page(struct gh_http_stream *s, unsigned status)
{
    struct gh_http_field fields[] = {
        { gh_span_str("server"), gh_span_str("site") },
        { gh_span_str("date"), gh_span_str("then") },
        { gh_span_str("etag"), gh_span_str("\"1\"") },
        { gh_span_str("www-authenticate"), gh_span_str("x") },
        { gh_span_str("x-own-name"), gh_span_str("y") },
        { gh_span_str("content-length"), gh_span_str("4") },
    };

    assert_int_equal(gh_http_respond(s, status, fields, 6, false), 0);
    assert_int_equal(gh_http_send(s, gh_span_str("page"), true), 0);
}

static void on_refused(void *arg, struct gh_http_stream *s, unsigned status)
{
    if (!((struct world *)arg)->silent)
        page(s, status);
}

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    (void)s;
    (void)code;
    ((struct world *)arg)->later = NULL;
}

static const struct gh_http_events events = { .on_closed = on_closed };

static void on_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct world *w = arg;

    if (gh_span_equals(head->path, gh_span_str("/later"))) {
        w->later = s;
        s->events = &events;
        s->arg = w;
        return;
    }
    w->declined = gh_http_decline(s);
    page(s, 200);
}

static struct world *world_open(bool capitals)
{
    static const char *const upgrades[] = { "websocket", NULL };
    struct gh_http1_config config = { .upgrades = upgrades, .on_refused = on_refused, .capitals = capitals, .body_max = 100 };
    struct gh_http_peer peer = { .identity = "", .uid = UINT32_MAX };
    struct gh_workers_config one = { .count = 1 };
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    assert_int_equal(gh_workers_create(&one, &w->workers), 0);
    assert_int_equal(gh_http1_server_create(gh_workers_at(w->workers, 0), &config, (struct gh_http_handler){ on_request, w }, &w->server), 0);
    w->io = fake_bytes_create();
    assert_int_equal(gh_http1_server_take(w->server, &w->io->base, &peer, NULL), 0);
    return w;
}

static void world_close(struct world *w)
{
    gh_http1_server_destroy(w->server);
    gh_workers_destroy(w->workers);
    fake_bytes_destroy(w->io);
    free(w);
}

/* What was answered to <text>, and to nothing before. */
static const char *feed(struct world *w, const char *text)
{
    fake_bytes_take(w->io);
    fake_bytes_feed(w->io, gh_span_str(text));
    while (fake_bytes_turn(w->io))
        ;
    return w->io->out_len ? (const char *)w->io->out : "";
}

#define WEBSOCKET(path) "GET " path " HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

static void an_upgrade_that_is_declined_is_a_get(void **state)
{
    struct world *w = world_open(false);

    (void)state;
    assert_memory_equal(feed(w, WEBSOCKET("/") "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 200 OK\r\nserver: site\r\ndate: then\r\n", 43);
    assert_false(w->declined);            /* the second, which asked for no upgrade */
    assert_non_null(strstr(strstr((const char *)w->io->out, "page") + 4, "page")); /* is answered on the same connection */
    feed(w, WEBSOCKET("/"));
    assert_true(w->declined);
    world_close(w);
}

static void an_upgrade_may_be_declined_later(void **state)
{
    struct world *w = world_open(false);

    (void)state;
    feed(w, WEBSOCKET("/later"));
    assert_non_null(w->later);
    assert_true(gh_http_decline(w->later));
    assert_false(gh_http_decline(w->later)); /* it is a GET now */
    page(w->later, 404);
    assert_non_null(strstr(feed(w, ""), "404"));
    assert_null(w->later);
    assert_non_null(strstr(feed(w, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 200"));
    world_close(w);
}

static void connect_stays_what_it_is(void **state)
{
    struct world *w = world_open(false);

    (void)state;
    w->declined = true;
    feed(w, "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_false(w->declined);
    world_close(w);
}

static void what_cannot_be_asked_is_refused_with_the_services_page(void **state)
{
    static const struct {
        const char *request, *status;
    } rows[] = {
        { "rubbish\r\n\r\n", "400" },
        { "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505" },
        { "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400" },
        { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501" },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", "413" },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: x\r\n\r\n", "417" },
        { "POST /later HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = world_open(false);
        const char *out = feed(w, rows[i].request);

        if (strncmp(out + 9, rows[i].status, 3) != 0 || !strstr(out, "\r\nserver: site\r\n") || !strstr(out, "\r\nconnection: close\r\n\r\npage"))
            fail_msg("%s: %s", rows[i].request, out);
        assert_true(w->io->shut);
        world_close(w);
    }
}

static void a_refusal_that_nobody_writes_ends_the_connection(void **state)
{
    struct world *w = world_open(false);

    (void)state;
    w->silent = true;
    assert_string_equal(feed(w, "rubbish\r\n\r\n"), "");
    assert_true(w->io->closed);
    world_close(w);
}

static void names_are_written_as_servers_write_them(void **state)
{
    struct world *w = world_open(true);

    (void)state;
    assert_non_null(strstr(feed(w, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
                           "HTTP/1.1 200 OK\r\nServer: site\r\nDate: then\r\nETag: \"1\"\r\nWWW-Authenticate: x\r\nX-Own-Name: y\r\nContent-Length: 4\r\n"
                           "Connection: close\r\n\r\npage"));
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upgrade_that_is_declined_is_a_get),
        cmocka_unit_test(an_upgrade_may_be_declined_later),
        cmocka_unit_test(connect_stays_what_it_is),
        cmocka_unit_test(what_cannot_be_asked_is_refused_with_the_services_page),
        cmocka_unit_test(a_refusal_that_nobody_writes_ends_the_connection),
        cmocka_unit_test(names_are_written_as_servers_write_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
