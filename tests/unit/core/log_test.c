#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"

static int ends[2];

static void start(struct gh_log *log, enum gh_log_format format)
{
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    gh_log_init(log, ends[1], format, GH_LOG_INFO);
}

static const char *said(char *buf, size_t cap)
{
    ssize_t n;

    close(ends[1]);
    n = read(ends[0], buf, cap - 1);
    assert_true(n >= 0);
    buf[n] = 0;
    close(ends[0]);
    return buf;
}

static void json_lines_have_stable_names(void **state)
{
    struct gh_ip ip;
    struct gh_prefix net;
    struct gh_log log;
    char buf[8192];
    json_t *line;

    (void)state;
    assert_int_equal(gh_ip_parse("10.100.0.2", 10, &ip), 0);
    assert_int_equal(gh_prefix_parse("fd00:100::/64", 13, &net), 0);
    start(&log, GH_LOG_AUTO); /* a pipe is no terminal */
    gh_log_event(&log, GH_LOG_INFO, "relay", "Virtual IP assigned", gh_log_str("client_id", "a\"b"), gh_log_ip("address", &ip),
                 gh_log_prefix("net", &net), gh_log_int("i", -3), gh_log_uint("u", UINT64_MAX >> 1), gh_log_bool("b", true),
                 gh_log_duration("took", 1500000000), gh_log_errno("errno", ENOENT), gh_log_result("result", GH_ERR_FULL),
                 gh_log_span("span", gh_span_of("xyz", 2)), gh_log_str("nothing", NULL));
    line = json_loads(said(buf, sizeof buf), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(line);
    assert_int_equal(strlen(json_string_value(json_object_get(line, "timestamp"))), 24);
    assert_string_equal(json_string_value(json_object_get(line, "level")), "info");
    assert_string_equal(json_string_value(json_object_get(line, "area")), "relay");
    assert_string_equal(json_string_value(json_object_get(line, "message")), "Virtual IP assigned");
    assert_string_equal(json_string_value(json_object_get(line, "client_id")), "a\"b");
    assert_string_equal(json_string_value(json_object_get(line, "address")), "10.100.0.2");
    assert_string_equal(json_string_value(json_object_get(line, "net")), "fd00:100::/64");
    assert_int_equal(json_integer_value(json_object_get(line, "i")), -3);
    assert_int_equal(json_integer_value(json_object_get(line, "u")), INT64_MAX);
    assert_true(json_is_true(json_object_get(line, "b")));
    assert_string_equal(json_string_value(json_object_get(line, "took")), "1s500ms");
    assert_string_equal(json_string_value(json_object_get(line, "errno")), "No such file or directory");
    assert_string_equal(json_string_value(json_object_get(line, "result")), "no room left");
    assert_string_equal(json_string_value(json_object_get(line, "span")), "xy");
    assert_true(json_is_null(json_object_get(line, "nothing")));
    json_decref(line);
    gh_log_fini(&log);
}

static void text_quotes_what_could_be_misread(void **state)
{
    struct gh_log log;
    char buf[4096];

    (void)state;
    start(&log, GH_LOG_TEXT);
    gh_log_event(&log, GH_LOG_WARN, "core", "drain", gh_log_str("stage", "tun"), gh_log_str("why", "a b=\n"));
    assert_string_equal(said(buf, sizeof buf) + 24, " warn  core: drain stage=tun why=\"a b=\\n\"\n");
    gh_log_fini(&log);
}

static void the_level_can_change_while_it_runs(void **state)
{
    struct gh_log log;
    char buf[4096];

    (void)state;
    start(&log, GH_LOG_TEXT);
    gh_log_event(&log, GH_LOG_DEBUG, "a", "one");
    gh_log_set_level(&log, GH_LOG_DEBUG);
    gh_log_event(&log, GH_LOG_DEBUG, "a", "two");
    gh_log_set_level(&log, GH_LOG_ERROR);
    gh_log_event(&log, GH_LOG_WARN, "a", "three");
    gh_log_event(NULL, GH_LOG_ERROR, "a", "four");
    said(buf, sizeof buf);
    assert_null(strstr(buf, "one"));
    assert_non_null(strstr(buf, "two"));
    assert_null(strstr(buf, "three"));
    gh_log_fini(&log);
}

static void a_long_line_is_cut_between_fields_and_says_so(void **state)
{
    static char big[3000];
    struct gh_log log;
    char buf[8192];
    json_t *line;

    (void)state;
    memset(big, '\\', sizeof big - 1); /* each takes two bytes in JSON */
    start(&log, GH_LOG_JSON);
    gh_log_event(&log, GH_LOG_INFO, "a", "m", gh_log_str("one", big), gh_log_str("two", big), gh_log_str("three", "x"));
    said(buf, sizeof buf);
    assert_true(strlen(buf) < GH_LOG_LINE);
    line = json_loads(buf, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(line);
    assert_int_equal(json_string_length(json_object_get(line, "one")), GH_LOG_VALUE);
    assert_null(json_object_get(line, "two"));
    assert_string_equal(json_string_value(json_object_get(line, "three")), "x");
    assert_true(json_is_true(json_object_get(line, "truncated")));
    json_decref(line);
    gh_log_fini(&log);
}

static void a_reader_that_does_not_read_loses_lines_and_blocks_nobody(void **state)
{
    struct gh_log log;
    char buf[16];

    (void)state;
    start(&log, GH_LOG_TEXT);
    errno = EXDEV;
    for (int i = 0; i < 5000; i++)
        gh_log_event(&log, GH_LOG_INFO, "a", "a line that nobody reads, and that fills the pipe in the end");
    assert_int_equal(errno, EXDEV);
    assert_true(log.lost > 0 && log.lost < 5000);
    said(buf, sizeof buf);
    gh_log_fini(&log);
}

static void a_reader_that_is_gone_loses_lines(void **state)
{
    struct gh_log log;

    (void)state;
    start(&log, GH_LOG_TEXT);
    close(ends[0]);
    gh_log_event(&log, GH_LOG_INFO, "a", "b");
    assert_int_equal(log.lost, 1);
    close(ends[1]);
    gh_log_fini(&log);
}

static void lines_go_where_the_new_descriptor_leads(void **state)
{
    struct gh_log log;
    char buf[1024];
    int before;

    (void)state;
    start(&log, GH_LOG_TEXT);
    before = ends[1];
    close(ends[0]);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(gh_log_set_fd(&log, ends[1]), before);
    close(before);
    gh_log_event(&log, GH_LOG_INFO, "a", "moved");
    assert_non_null(strstr(said(buf, sizeof buf), "moved"));
    gh_log_fini(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines_have_stable_names),
        cmocka_unit_test(text_quotes_what_could_be_misread),
        cmocka_unit_test(the_level_can_change_while_it_runs),
        cmocka_unit_test(a_long_line_is_cut_between_fields_and_says_so),
        cmocka_unit_test(a_reader_that_does_not_read_loses_lines_and_blocks_nobody),
        cmocka_unit_test(a_reader_that_is_gone_loses_lines),
        cmocka_unit_test(lines_go_where_the_new_descriptor_leads),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
