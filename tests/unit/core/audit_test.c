#include "core/audit.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"
#include "core/text.h"

#define SECOND INT64_C(1000000000)

static struct gh_ip ip(const char *text)
{
    struct gh_ip a = { 0 };

    assert_int_equal(gh_ip_parse(text, strlen(text), &a), 0);
    return a;
}

static void a_line_has_exactly_the_keys_that_have_a_value(void **state)
{
    const struct gh_audit_record r = { .event = GH_AUDIT_CONNECTION_CLOSE, .action = GH_AUDIT_ALLOW, .wall_ms = 1700000000123,
                                       .message = "flow closed", .client_id = "client-1", .source_ip = ip("10.100.0.2"),
                                       .dest_ip = ip("1.1.1.1"), .has_port = true, .dest_port = 53, .protocol = 17,
                                       .rule_id = "resolvers", .reason = "idle", .policy_version = "v3", .session_id = "s1",
                                       .request_id = "r1", .has_counts = true, .bytes = 84, .packets = 1,
                                       .metadata = "{\"reason\":\"dns\"}" };
    const struct gh_audit_record bare = { .event = GH_AUDIT_ERROR, .wall_ms = 1700000000123 };
    struct gh_text t;

    (void)state;
    gh_text_init(&t, 4096);
    gh_audit_emit(&r, &t);
    assert_string_equal(t.data, "{\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"event_type\":\"connection.close\","
                                "\"message\":\"flow closed\",\"client_id\":\"client-1\",\"source_ip\":\"10.100.0.2\",\"dest_ip\":"
                                "\"1.1.1.1\",\"dest_port\":53,\"protocol\":\"udp\",\"action\":\"allow\",\"rule_id\":\"resolvers\","
                                "\"reason\":\"idle\",\"policy_version\":\"v3\",\"bytes\":84,\"packets\":1,\"session_id\":\"s1\","
                                "\"request_id\":\"r1\",\"metadata\":{\"reason\":\"dns\"}}");
    t.len = 0;
    gh_audit_emit(&bare, &t);
    assert_string_equal(t.data, "{\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"level\":\"error\",\"event_type\":\"error\"}");
    gh_text_fini(&t);
}

static void level_follows_event_and_action(void **state)
{
    static const struct {
        enum gh_audit_event event;
        enum gh_audit_action action;
        const char *name, *level;
    } cases[] = {
        { GH_AUDIT_ACL_ALLOW, GH_AUDIT_ALLOW, "acl.allow", "info" },
        { GH_AUDIT_ACL_DENY, GH_AUDIT_DENY, "acl.deny", "warn" },
        { GH_AUDIT_AUTH_SUCCESS, GH_AUDIT_ACTION_NONE, "auth.success", "info" },
        { GH_AUDIT_AUTH_FAIL, GH_AUDIT_ACTION_NONE, "auth.fail", "warn" },
        { GH_AUDIT_CONNECTION_OPEN, GH_AUDIT_ALLOW, "connection.open", "info" },
        { GH_AUDIT_POLICY_RELOAD, GH_AUDIT_ACTION_NONE, "policy.reload", "info" },
        { GH_AUDIT_ERROR, GH_AUDIT_ACTION_NONE, "error", "error" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char buf[512], expected[128];
        struct gh_text t;

        gh_text_init_fixed(&t, buf, sizeof buf);
        gh_audit_emit(&(struct gh_audit_record){ .event = cases[i].event, .action = cases[i].action }, &t);
        snprintf(expected, sizeof expected, "\"level\":\"%s\",\"event_type\":\"%s\"", cases[i].level, cases[i].name);
        assert_non_null(strstr(buf, expected));
    }
}

static char *read_all(int fd)
{
    struct gh_text t;
    char buf[4096];
    ssize_t n;

    gh_text_init(&t, 64u << 20);
    while ((n = read(fd, buf, sizeof buf)) > 0)
        gh_text_append_span(&t, gh_span_of(buf, (size_t)n));
    assert_false(t.failed);
    if (!t.data)
        gh_text_append(&t, "");
    return t.data;
}

static void *read_all_in_thread(void *arg)
{
    return read_all(*(int *)arg);
}

static size_t count(const char *text, const char *needle)
{
    size_t n = 0;

    for (; (text = strstr(text, needle)) != NULL; text++)
        n++;
    return n;
}

struct writer {
    struct gh_audit *audit;
    unsigned number, records;
};

static void *write_many(void *arg)
{
    struct writer *w = arg;

    for (unsigned i = 0; i < w->records; i++) {
        char id[32];

        snprintf(id, sizeof id, "t%u-%u", w->number, i);
        gh_audit_write(w->audit, &(struct gh_audit_record){ .event = GH_AUDIT_ACL_ALLOW, .client_id = id });
    }
    return NULL;
}

/* Each thread's records stay whole and in its order, and written plus lost is everything. */
static void records_of_many_threads_arrive_whole(void **state)
{
    enum { THREADS = 4, RECORDS = 3000 };
    struct writer w[THREADS];
    pthread_t threads[THREADS];
    struct gh_audit *a;
    FILE *file = tmpfile();
    unsigned next[THREADS] = { 0 };
    uint64_t lost, told = 0, lines = 0;
    char *all, *save = NULL;

    (void)state;
    assert_non_null(file);
    assert_int_equal(gh_audit_create(&(struct gh_audit_setup){ .fd = dup(fileno(file)), .records = 256 }, &a), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct writer){ .audit = a, .number = i, .records = RECORDS };
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &w[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    lost = gh_audit_lost(a);
    assert_int_equal(gh_audit_destroy(a, 10 * SECOND), 0);
    assert_int_equal(lseek(fileno(file), 0, SEEK_SET), 0);
    all = read_all(fileno(file));
    for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        const char *id = json_string_value(json_object_get(o, "client_id"));
        unsigned thread, number;

        assert_non_null(o);
        if (id) {
            assert_int_equal(sscanf(id, "t%u-%u", &thread, &number), 2);
            assert_true(number >= next[thread]);
            next[thread] = number + 1;
            lines++;
        } else {
            told += strtoull(json_string_value(json_object_get(o, "message")), NULL, 10);
        }
        json_decref(o);
    }
    assert_int_equal(lines + lost, THREADS * RECORDS);
    assert_true(told <= lost);
    free(all);
    fclose(file);
}

static void wait_until(struct gh_audit *a, uint64_t written)
{
    while (gh_audit_written(a) < written)
        sched_yield();
}

static void a_reader_that_does_not_read_loses_records_and_is_told_so_later(void **state)
{
    int ends[2];
    struct gh_audit *a;
    uint64_t lost;
    char *all;
    pthread_t thread;
    void *text;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(gh_audit_create(&(struct gh_audit_setup){ .fd = ends[1], .records = 64 }, &a), 0);
    while (gh_audit_lost(a) < 10) /* nobody reads: this returns only because writing never blocks */
        gh_audit_write(a, &(struct gh_audit_record){ .event = GH_AUDIT_ACL_DENY, .action = GH_AUDIT_DENY, .reason = "policy" });
    lost = gh_audit_lost(a);
    assert_int_equal(pthread_create(&thread, NULL, read_all_in_thread, &ends[0]), 0);
    assert_int_equal(gh_audit_destroy(a, 10 * SECOND), 0);
    pthread_join(thread, &text);
    all = text;
    assert_true(count(all, "\"event_type\":\"acl.deny\"") >= 64);
    assert_int_equal(count(all, "\"event_type\":\"error\""), 1);
    {
        char expected[128];

        snprintf(expected, sizeof expected, "\"message\":\"%llu audit records lost\",\"reason\":\"audit_lost\",\"lost\":%llu", (unsigned long long)lost,
                 (unsigned long long)lost);
        assert_non_null(strstr(all, expected));
    }
    free(all);
    close(ends[0]);
}

static void a_reader_that_is_gone_ends_neither_process_nor_patience(void **state)
{
    struct gh_audit *a;
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    assert_int_equal(gh_audit_create(&(struct gh_audit_setup){ .fd = ends[1], .records = 64 }, &a), 0);
    assert_true(gh_audit_write(a, &(struct gh_audit_record){ .event = GH_AUDIT_ACL_ALLOW }));
    assert_int_equal(gh_audit_destroy(a, 0), 1);
}

/* /dev/full answers every write as a full disk does. */
static void a_full_disk_is_left_by_a_reopen(void **state)
{
    struct gh_audit *a;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    FILE *file = tmpfile();
    char *all;

    (void)state;
    assert_true(full >= 0);
    assert_non_null(file);
    assert_int_equal(gh_audit_create(&(struct gh_audit_setup){ .fd = full, .records = 64 }, &a), 0);
    while (gh_audit_lost(a) < 3)
        gh_audit_write(a, &(struct gh_audit_record){ .event = GH_AUDIT_ACL_ALLOW });
    assert_int_equal(gh_audit_written(a), 0);
    gh_audit_reopen(a, dup(fileno(file)));
    wait_until(a, 65);
    assert_int_equal(gh_audit_destroy(a, 10 * SECOND), 0);
    assert_int_equal(lseek(fileno(file), 0, SEEK_SET), 0);
    all = read_all(fileno(file));
    assert_true(count(all, "acl.allow") >= 64);
    assert_int_equal(count(all, "audit_lost"), 1);
    free(all);
    fclose(file);
}

static void metadata_that_does_not_fit_is_left_out(void **state)
{
    static char metadata[4000];
    struct gh_audit *a;
    FILE *file = tmpfile();
    char *all;

    (void)state;
    memset(metadata, 'x', sizeof metadata - 1);
    memcpy(metadata, "{\"a\":\"", 6);
    memcpy(metadata + sizeof metadata - 3, "\"}", 3);
    assert_int_equal(gh_audit_create(&(struct gh_audit_setup){ .fd = dup(fileno(file)) }, &a), 0);
    assert_true(gh_audit_write(a, &(struct gh_audit_record){ .event = GH_AUDIT_ACL_ALLOW, .rule_id = "r", .metadata = metadata }));
    assert_false(gh_audit_write(a, &(struct gh_audit_record){ .event = GH_AUDIT_ACL_ALLOW, .rule_id = metadata }));
    assert_int_equal(gh_audit_destroy(a, 10 * SECOND), 0);
    assert_int_equal(lseek(fileno(file), 0, SEEK_SET), 0);
    all = read_all(fileno(file));
    assert_int_equal(count(all, "acl.allow"), 1);
    assert_non_null(strstr(all, "\"rule_id\":\"r\"}\n"));
    free(all);
    fclose(file);
}

static void the_text_form_has_the_same_keys_as_words(void **state)
{
    const struct gh_audit_record r = { .event = GH_AUDIT_ACL_DENY, .action = GH_AUDIT_DENY, .wall_ms = 1700000000123, .message = "packet denied",
                                       .client_id = "client-1", .dest_ip = ip("2001:db8::1"), .has_port = true, .dest_port = 443, .protocol = 6,
                                       .rule_id = "a=b", .lost = 7, .request_id = "00c0ffee-4", .metadata = "{\"a\":\"b\"}" };
    struct gh_text t;

    (void)state;
    gh_text_init(&t, 4096);
    gh_audit_emit_text(&r, &t);
    assert_string_equal(t.data, "2023-11-14T22:13:20.123Z warn acl.deny message=\"packet denied\" client_id=client-1 dest_ip=2001:db8::1 "
                                "dest_port=443 protocol=tcp action=deny rule_id=\"a=b\" request_id=00c0ffee-4 lost=7 metadata={\"a\":\"b\"}");
    gh_text_fini(&t);
}

static void an_audit_file_is_made_for_its_owner_alone(void **state)
{
    char path[] = "/tmp/gatehouse-audit-XXXXXX";
    struct stat st;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    fd = gh_audit_open_path(path);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    close(fd);
    unlink(path);
    assert_int_equal(gh_audit_open_path("/nonexistent/audit"), GH_ERR_SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_exactly_the_keys_that_have_a_value),
        cmocka_unit_test(level_follows_event_and_action),
        cmocka_unit_test(records_of_many_threads_arrive_whole),
        cmocka_unit_test(a_reader_that_does_not_read_loses_records_and_is_told_so_later),
        cmocka_unit_test(a_reader_that_is_gone_ends_neither_process_nor_patience),
        cmocka_unit_test(a_full_disk_is_left_by_a_reopen),
        cmocka_unit_test(metadata_that_does_not_fit_is_left_out),
        cmocka_unit_test(the_text_form_has_the_same_keys_as_words),
        cmocka_unit_test(an_audit_file_is_made_for_its_owner_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
