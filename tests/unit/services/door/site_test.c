#include "services/door/site.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../test.h"
#include "base/error.h"
#include "fake_stream.h"
#include "loop/worker.h"

#define BIG 100000

struct world {
    char root[64];
    struct gh_workers *workers;
    struct gh_worker *worker;
    struct door_site *site;
};

static void put(const char *root, const char *name, const char *data, size_t len)
{
    char path[128];
    int fd;

    snprintf(path, sizeof path, "%s/%s", root, name);
    fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    assert_int_equal(futimens(fd, (struct timespec[]){ { 784111777, 0 }, { 784111777, 0 } }), 0);
    close(fd);
}

static void make(const char *root, const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static char big_byte(size_t i)
{
    return (char)('a' + (i * 7 + i / 1000) % 26);
}

static int set_up(void **state)
{
    struct gh_workers_config one = { .count = 1 };
    struct world *w = calloc(1, sizeof *w);
    char big[BIG], path[128];

    assert_non_null(w);
    strcpy(w->root, "/tmp/site_test.XXXXXX");
    assert_non_null(mkdtemp(w->root));
    for (size_t i = 0; i < BIG; i++)
        big[i] = big_byte(i);
    put(w->root, "index.html", "<p>home", 7);
    put(w->root, "style.css", "p {}", 4);
    put(w->root, "empty", "", 0);
    put(w->root, "big.bin", big, BIG);
    put(w->root, ".secret", "no", 2);
    make(w->root, "sub");
    put(w->root, "sub/index.html", "sub", 3);
    make(w->root, "bare");
    make(w->root, "a b");
    snprintf(path, sizeof path, "%s/out", w->root);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(gh_workers_create(&one, &w->workers), 0);
    w->worker = gh_workers_at(w->workers, 0);
    assert_int_equal(door_site_create(w->worker, "nginx", w->root, &w->site), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];

    assert_int_equal(door_site_requests(w->site), 0);
    door_site_put(w->site);
    gh_workers_destroy(w->workers);
    snprintf(command, sizeof command, "rm -rf %s", w->root);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static void on_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    door_site_serve(arg, s, head);
}

static struct gh_http_handler handler(struct world *w)
{
    return (struct gh_http_handler){ on_request, w->site };
}

static void settle(struct world *w, struct gh_fake_stream *f)
{
    for (int i = 0; i < 10000 && !f->ended && !f->reset; i++)
        gh_worker_turn(w->worker, true);
}

/* The answer to one request, which is over. */
static void ask(struct world *w, struct gh_fake_stream *f, const char *method, const char *path, const char *name, const char *value)
{
    struct gh_http_field field = { gh_span_str(name), gh_span_str(value) };

    gh_fake_stream_init(f);
    gh_fake_stream_request(f, handler(w), method, path, &field, *name ? 1 : 0);
    settle(w, f);
    assert_false(f->reset);
    gh_fake_stream_close(f, 0);
}

static unsigned status(struct world *w, const char *method, const char *path)
{
    struct gh_fake_stream f;
    unsigned ret;

    ask(w, &f, method, path, "", "");
    ret = f.status;
    gh_fake_stream_fini(&f);
    return ret;
}

static void a_file_comes_with_the_fields_of_an_ordinary_server(void **state)
{
    static const char *const order[] = { "server", "date", "content-type", "content-length", "last-modified", "etag", "accept-ranges" };
    struct gh_fake_stream f;

    ask(*state, &f, "GET", "/style.css?v=3", "", "");
    assert_int_equal(f.status, 200);
    assert_string_equal(f.body, "p {}");
    assert_int_equal(f.field_count, 7);
    for (size_t i = 0; i < 7; i++)
        assert_string_equal(f.fields[i].name, order[i]);
    assert_string_equal(gh_fake_stream_field(&f, "server"), "nginx");
    assert_string_equal(gh_fake_stream_field(&f, "content-type"), "text/css");
    assert_string_equal(gh_fake_stream_field(&f, "content-length"), "4");
    assert_string_equal(gh_fake_stream_field(&f, "last-modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_string_equal(gh_fake_stream_field(&f, "etag"), "\"2ebc98a1-4\"");
    gh_fake_stream_fini(&f);
}

static void statuses_are_those_of_an_ordinary_server(void **state)
{
    static const struct {
        const char *method, *path;
        unsigned status;
    } rows[] = {
        { "GET", "/", 200 }, { "GET", "/index.html", 200 }, { "GET", "/sub/", 200 }, { "GET", "/sub", 301 }, { "GET", "/bare", 301 }, { "GET", "/bare/", 403 },
        { "GET", "/none", 404 }, { "GET", "/none/", 404 }, { "GET", "/style.css/", 404 }, { "GET", "/style.css/x", 404 }, { "GET", "/out", 403 },
        { "GET", "/.secret", 404 }, { "GET", "/..%2f..%2fetc/passwd", 400 }, { "GET", "/%00", 400 }, { "GET", "//sub///index.html", 200 },
        { "GET", "/sub/%2e%2e/style.css", 200 }, { "GET", "/sub/%2e%2e/%2e%2e/style.css", 400 }, { "HEAD", "/none", 404 }, { "HEAD", "/", 200 },
        { "POST", "/", 405 }, { "POST", "/none", 404 }, { "PUT", "/", 405 }, { "DELETE", "/none", 405 }, { "OPTIONS", "/", 405 }, { "OPTIONS", "*", 400 },
        { "TRACE", "/", 405 }, { "BREW", "/", 405 }, { "CONNECT", "", 405 }, { "get", "/", 405 }, { "GET", "/empty", 200 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned got = status(*state, rows[i].method, rows[i].path);

        if (got != rows[i].status)
            fail_msg("%s %s: %u", rows[i].method, rows[i].path, got);
    }
}

static void a_folder_without_its_slash_is_sent_there(void **state)
{
    struct gh_fake_stream f;

    ask(*state, &f, "GET", "/a%20b?x=1", "", "");
    assert_int_equal(f.status, 301);
    assert_string_equal(gh_fake_stream_field(&f, "location"), "http://localhost/a%20b/?x=1");
    assert_non_null(strstr(f.body, "301 Moved Permanently"));
    gh_fake_stream_fini(&f);
}

static void a_head_is_an_answer_without_its_body(void **state)
{
    struct gh_fake_stream f;

    ask(*state, &f, "HEAD", "/big.bin", "", "");
    assert_int_equal(f.status, 200);
    assert_string_equal(gh_fake_stream_field(&f, "content-length"), "100000");
    assert_int_equal(f.body_len, 0);
    gh_fake_stream_fini(&f);
    ask(*state, &f, "HEAD", "/none", "", "");
    assert_int_equal(f.body_len, 0);
    assert_non_null(gh_fake_stream_field(&f, "content-length"));
    gh_fake_stream_fini(&f);
}

static void conditions_and_ranges_are_answered(void **state)
{
    struct gh_fake_stream f;

    ask(*state, &f, "GET", "/big.bin", "range", "bytes=40000-80000");
    assert_int_equal(f.status, 206);
    assert_string_equal(gh_fake_stream_field(&f, "content-range"), "bytes 40000-80000/100000");
    assert_int_equal(f.body_len, 40001);
    for (size_t i = 0; i < f.body_len; i++)
        assert_int_equal(f.body[i], big_byte(40000 + i));
    gh_fake_stream_fini(&f);
    ask(*state, &f, "GET", "/big.bin", "range", "bytes=100000-");
    assert_int_equal(f.status, 416);
    assert_string_equal(gh_fake_stream_field(&f, "content-range"), "bytes */100000");
    gh_fake_stream_fini(&f);
    ask(*state, &f, "GET", "/style.css", "if-none-match", "\"2ebc98a1-4\"");
    assert_int_equal(f.status, 304);
    assert_int_equal(f.body_len, 0);
    assert_null(gh_fake_stream_field(&f, "content-length"));
    assert_string_equal(gh_fake_stream_field(&f, "etag"), "\"2ebc98a1-4\"");
    gh_fake_stream_fini(&f);
    ask(*state, &f, "GET", "/style.css", "if-match", "\"x\"");
    assert_int_equal(f.status, 412);
    gh_fake_stream_fini(&f);
}

/* No more is read than the client takes. */
static void a_slow_client_holds_a_file_back(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream f;
    size_t rounds = 0;

    gh_fake_stream_init(&f);
    f.room = 0;
    gh_fake_stream_request(&f, handler(w), "GET", "/big.bin", NULL, 0);
    while (f.status == 0)
        gh_worker_turn(w->worker, true);
    for (; !f.ended && rounds < 100; rounds++) {
        size_t had = f.body_len;

        for (int i = 0; i < 50; i++)
            gh_worker_turn(w->worker, false);
        assert_int_equal(f.body_len, had);
        if (rounds % 3 == 0)
            gh_fake_stream_writable(&f, 0); /* what was refused whole is refused again */
        gh_fake_stream_writable(&f, 16384);
        while (!f.ended && f.body_len == had)
            gh_worker_turn(w->worker, true);
    }
    assert_true(rounds > 4);
    gh_fake_stream_writable(&f, SIZE_MAX);
    assert_int_equal(f.body_len, BIG);
    for (size_t i = 0; i < BIG; i++)
        assert_int_equal(f.body[i], big_byte(i));
    gh_fake_stream_fini(&f);
}

static void a_client_may_go_at_any_time(void **state)
{
    struct world *w = *state;

    for (int when = 0; when < 12; when++) {
        struct gh_fake_stream f;

        gh_fake_stream_init(&f);
        f.room = 16384;
        gh_fake_stream_request(&f, handler(w), "GET", "/big.bin", NULL, 0);
        for (int i = 0; i < when; i++) {
            gh_worker_turn(w->worker, false);
            f.room = 16384;
        }
        gh_fake_stream_fini(&f);
    }
    while (door_site_requests(w->site) > 0)
        gh_worker_turn(w->worker, true);
}

static void a_file_that_shrinks_cuts_the_answer_off(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream f;
    char path[128];

    gh_fake_stream_init(&f);
    f.room = 16384;
    gh_fake_stream_request(&f, handler(w), "GET", "/big.bin", NULL, 0);
    while (f.body_len < 16384)
        gh_worker_turn(w->worker, true);
    snprintf(path, sizeof path, "%s/big.bin", w->root);
    assert_int_equal(truncate(path, 10), 0);
    gh_fake_stream_writable(&f, SIZE_MAX);
    settle(w, &f);
    assert_true(f.reset);
    gh_fake_stream_fini(&f);
}

static void too_many_requests_are_refused(void **state)
{
    struct world *w = *state;
    struct gh_fake_stream *f = calloc(DOOR_SITE_REQUESTS_MAX, sizeof *f), more;

    assert_non_null(f);
    for (unsigned i = 0; i < DOOR_SITE_REQUESTS_MAX; i++) {
        gh_fake_stream_init(&f[i]);
        gh_fake_stream_request(&f[i], handler(w), "GET", "/", NULL, 0);
    }
    gh_fake_stream_init(&more);
    gh_fake_stream_request(&more, handler(w), "GET", "/", NULL, 0);
    assert_int_equal(more.status, 503);
    gh_fake_stream_fini(&more);
    for (unsigned i = 0; i < DOOR_SITE_REQUESTS_MAX; i++) {
        settle(w, &f[i]);
        assert_int_equal(f[i].status, 200);
        gh_fake_stream_fini(&f[i]);
    }
    free(f);
}

static void without_a_folder_there_is_one_page(void **state)
{
    struct world *w = *state, plain = *w;
    struct gh_fake_stream f;

    assert_int_equal(door_site_create(w->worker, "", NULL, &plain.site), 0);
    ask(&plain, &f, "GET", "/", "", "");
    assert_int_equal(f.status, 200);
    assert_non_null(strstr(f.body, "It works"));
    assert_null(gh_fake_stream_field(&f, "server"));
    assert_string_equal(gh_fake_stream_field(&f, "content-type"), "text/html");
    gh_fake_stream_fini(&f);
    assert_int_equal(status(&plain, "GET", "/index.html"), 200);
    assert_int_equal(status(&plain, "GET", "/none"), 404);
    assert_int_equal(status(&plain, "POST", "/"), 405);
    door_site_put(plain.site);
}

static void a_folder_that_is_not_there_is_said(void **state)
{
    struct world *w = *state;
    struct door_site *none = NULL;

    assert_int_equal(door_site_create(w->worker, "", "/nowhere/at/all", &none), GH_ERR_NOT_FOUND);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_comes_with_the_fields_of_an_ordinary_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(statuses_are_those_of_an_ordinary_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_without_its_slash_is_sent_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_head_is_an_answer_without_its_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(conditions_and_ranges_are_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slow_client_holds_a_file_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_may_go_at_any_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_shrinks_cuts_the_answer_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_requests_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_folder_there_is_one_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there_is_said, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
