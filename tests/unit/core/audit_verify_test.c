#include "core/audit_verify.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"
#include "core/audit.h"
#include "core/audit_state.h"

#define SECOND INT64_C(1000000000)
#define LINES_MAX 64

static const uint8_t key[GH_AUDIT_KEY] = "0123456789abcdef0123456789abcde";
static char folder[64];
static int dir = -1;

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/gatehouse-audit-verify-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 || gh_audit_state_create(dir, key) < 0 ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlinkat(dir, GH_AUDIT_STATE_FILE, 0);
    unlinkat(dir, "one", 0);
    unlinkat(dir, "two", 0);
    close(dir);
    return rmdir(folder);
}

/* ---- a node that writes ---- */

static int open_file(const char *name)
{
    int fd = openat(dir, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

static struct gh_audit *start_on(int fd, enum gh_audit_format format, int64_t checkpoint_ns)
{
    struct gh_audit_state s;
    struct gh_audit *a;

    assert_int_equal(gh_audit_state_open(dir, "boot", &s), 0);
    assert_int_equal(gh_audit_create(&(struct gh_audit_setup){ .fd = fd, .format = format, .chain = &s, .checkpoint_ns = checkpoint_ns }, &a), 0);
    return a;
}

static struct gh_audit *start(const char *name)
{
    return start_on(open_file(name), GH_AUDIT_JSON, 0);
}

static void wait_written(const struct gh_audit *a, uint64_t lines)
{
    while (gh_audit_written(a) < lines)
        sched_yield();
}

static void write_records(struct gh_audit *a, unsigned count)
{
    uint64_t before = gh_audit_written(a);

    for (unsigned i = 0; i < count; i++)
        assert_true(gh_audit_write(a, &(struct gh_audit_record){ .event = GH_AUDIT_ACL_ALLOW, .client_id = "client-1", .rule_id = "r" }));
    wait_written(a, before + count);
}

static void stop(struct gh_audit *a)
{
    assert_int_equal(gh_audit_destroy(a, 10 * SECOND), 0);
}

/* ---- its file, as lines that a test can change ---- */

struct lines {
    char *line[LINES_MAX];
    size_t count;
    bool cut; /* the last one has no end */
};

static void read_lines(const char *name, struct lines *ret)
{
    FILE *file = fdopen(openat(dir, name, O_RDONLY | O_CLOEXEC), "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    assert_non_null(file);
    memset(ret, 0, sizeof *ret);
    while ((n = getline(&line, &cap, file)) > 0) {
        ret->cut = line[n - 1] != '\n';
        if (!ret->cut)
            line[n - 1] = 0;
        assert_true(ret->count < LINES_MAX);
        ret->line[ret->count++] = strdup(line);
    }
    free(line);
    fclose(file);
}

static void free_lines(struct lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->line[i]);
    l->count = 0;
}

static void remove_line(struct lines *l, size_t at, size_t count)
{
    for (size_t i = at; i < at + count; i++)
        free(l->line[i]);
    memmove(&l->line[at], &l->line[at + count], (l->count - at - count) * sizeof *l->line);
    l->count -= count;
}

static void insert_line(struct lines *l, size_t at, const char *text)
{
    memmove(&l->line[at + 1], &l->line[at], (l->count - at) * sizeof *l->line);
    l->line[at] = strdup(text);
    l->count++;
}

static struct gh_audit_verifier v;

static void feed(const struct lines *l)
{
    gh_audit_verify_file(&v);
    for (size_t i = 0; i < l->count; i++)
        gh_audit_verify_line(&v, gh_span_str(l->line[i]), !l->cut || i + 1 < l->count);
}

static int64_t last_wall;

/* Verifies, right after the last record, or <later> seconds on. How many findings there are, notes not counted. */
static uint64_t verify_two(const struct lines *one, const struct lines *two, int64_t later, uint64_t written)
{
    gh_audit_verify_fini(&v);
    assert_int_equal(gh_audit_verify_init(&v, key, false), 0);
    feed(one);
    if (two)
        feed(two);
    last_wall = v.last_wall;
    assert_int_equal(gh_audit_verify_end(&v, v.last_wall + later, written), 0);
    return v.bad;
}

static uint64_t verify(const struct lines *l)
{
    return verify_two(l, NULL, 0, 0);
}

static void assert_finding(size_t at, enum gh_audit_kind kind, unsigned file, uint64_t line, uint64_t seq, uint64_t last)
{
    assert_true(at < v.finding_count);
    assert_string_equal(gh_audit_kind_name(v.findings[at].kind), gh_audit_kind_name(kind));
    assert_int_equal(v.findings[at].file, file);
    assert_int_equal(v.findings[at].line, line);
    assert_int_equal(v.findings[at].seq, seq);
    assert_int_equal(v.findings[at].last, last);
}

/* begin, eight records, stop: numbers 0 to 9 on lines 1 to 10 */
static void write_ten(struct lines *ret)
{
    struct gh_audit *a = start("one");

    write_records(a, 8);
    stop(a);
    read_lines("one", ret);
    assert_int_equal(ret->count, 10);
}

static void a_file_as_it_was_written_is_good(void **state)
{
    struct lines l;

    (void)state;
    write_ten(&l);
    assert_non_null(strstr(l.line[0], "\"event_type\":\"audit.checkpoint\",\"message\":\"the chain begins\",\"reason\":\"begin\""));
    assert_int_equal(verify_two(&l, NULL, 1000000, 0), 0);
    assert_int_equal(v.finding_count, 0);
    assert_int_equal(v.records, 10);
    assert_int_equal(v.first, 0);
    assert_int_equal(v.last, 9);
    assert_int_equal(v.end, GH_AUDIT_END_STOPPED);
    free_lines(&l);
}

static void a_text_file_is_verified_as_well(void **state)
{
    struct gh_audit *a = start_on(open_file("one"), GH_AUDIT_TEXT, 0);
    struct lines l;

    (void)state;
    write_records(a, 8);
    stop(a);
    read_lines("one", &l);
    assert_int_equal(verify(&l), 0);
    assert_int_equal(v.records, 10);
    assert_int_equal(v.end, GH_AUDIT_END_STOPPED);
    *strstr(l.line[4], "client-1") = 'C';
    assert_int_equal(verify(&l), 1);
    assert_finding(0, GH_AUDIT_CHANGED, 0, 5, 4, 4);
    free_lines(&l);
}

/* Whatever byte it is: the record is named, and no other one. */
static void a_changed_byte_names_its_record(void **state)
{
    struct lines l;

    (void)state;
    write_ten(&l);
    for (size_t line = 0; line < l.count; line++) {
        for (size_t i = 0; i < strlen(l.line[line]); i += 3) {
            char before = l.line[line][i];

            l.line[line][i] ^= 1;
            assert_int_equal(verify(&l), 1);
            if (line + 1 < l.count) /* after the last one nothing says what it was */
                assert_finding(0, GH_AUDIT_CHANGED, 0, line + 1, line, line);
            assert_int_equal(v.findings[0].line, line + 1);
            assert_int_equal(v.records, 9);
            l.line[line][i] = before;
        }
    }
    assert_int_equal(verify(&l), 0);
    free_lines(&l);
}

static void a_removed_line_names_the_missing_number(void **state)
{
    struct lines l;

    (void)state;
    write_ten(&l);
    for (size_t i = 0; i < 9; i++) {
        struct lines cut;

        read_lines("one", &cut);
        remove_line(&cut, i, 1);
        assert_int_equal(verify(&cut), 1);
        assert_finding(0, GH_AUDIT_MISSING, 0, i + 1, i, i);
        free_lines(&cut);
    }
    remove_line(&l, 2, 4);
    assert_int_equal(verify(&l), 1);
    assert_finding(0, GH_AUDIT_MISSING, 0, 3, 2, 5);
    free_lines(&l);
}

static void swapped_lines_name_the_record_that_stands_wrong(void **state)
{
    struct lines l;
    char *line;

    (void)state;
    write_ten(&l);
    line = l.line[3];
    l.line[3] = l.line[4];
    l.line[4] = line;
    assert_int_equal(verify(&l), 1);
    assert_finding(0, GH_AUDIT_MOVED, 0, 5, 3, 3);
    assert_int_equal(v.records, 10);
    /* a later one far ahead: those between stand behind it */
    line = l.line[8];
    memmove(&l.line[2], &l.line[1], 7 * sizeof *l.line);
    l.line[1] = line;
    assert_int_equal(verify(&l), 7);
    assert_finding(0, GH_AUDIT_MOVED, 0, 3, 1, 1);
    assert_int_equal(v.records, 10);
    free_lines(&l);
}

static void an_inserted_line_is_named_and_the_others_are_good(void **state)
{
    struct lines l;
    char *copy;

    (void)state;
    write_ten(&l);
    insert_line(&l, 4, "{\"timestamp\":\"2026-01-01T00:00:00.000Z\"}");
    assert_int_equal(verify(&l), 1);
    assert_finding(0, GH_AUDIT_INSERTED, 0, 5, 4, 4);
    assert_int_equal(v.records, 10);
    remove_line(&l, 4, 1);
    /* one that claims a number that comes later */
    copy = strdup(l.line[4]);
    *strstr(copy, "client-1") = 'C';
    insert_line(&l, 4, copy);
    assert_int_equal(verify(&l), 1);
    assert_finding(0, GH_AUDIT_INSERTED, 0, 5, 4, 4);
    assert_int_equal(v.records, 10);
    remove_line(&l, 4, 1);
    /* the same record twice */
    free(copy);
    copy = strdup(l.line[4]);
    insert_line(&l, 7, copy);
    assert_int_equal(verify(&l), 1);
    assert_finding(0, GH_AUDIT_REPEATED, 0, 8, 4, 4);
    free(copy);
    free_lines(&l);
}

static void a_cut_tail_shows_when_the_next_checkpoint_is_overdue_or_the_node_knows_better(void **state)
{
    struct lines l;

    (void)state;
    write_ten(&l);
    remove_line(&l, 7, 3);
    assert_int_equal(verify_two(&l, NULL, 60, 0), 0); /* a node that is running may be here */
    assert_int_equal(v.end, GH_AUDIT_END_OPEN);
    assert_int_equal(verify_two(&l, NULL, 91, 0), 1);
    assert_finding(0, GH_AUDIT_TAIL, 0, 7, 7, 7);
    assert_int_equal(verify_two(&l, NULL, 0, 10), 1);
    assert_finding(0, GH_AUDIT_TAIL, 0, 7, 7, 9);
    /* cut inside of a line */
    l.line[6][40] = 0;
    l.cut = true;
    assert_int_equal(verify_two(&l, NULL, 0, 0), 1);
    assert_finding(0, GH_AUDIT_INSERTED, 0, 7, 6, 6);
    free_lines(&l);
}

/* ---- rotation ---- */

static void write_rotated(struct lines *one, struct lines *two)
{
    struct gh_audit *a = start("one");

    write_records(a, 3); /* 0 begin, 1 to 3 */
    gh_audit_reopen(a, open_file("one")); /* the same file: nothing happens */
    write_records(a, 1);
    gh_audit_reopen(a, open_file("two"));
    wait_written(a, 7); /* 5 rotate, 6 continue */
    write_records(a, 3);
    stop(a);
    read_lines("one", one);
    read_lines("two", two);
}

static void a_sequence_goes_on_over_files(void **state)
{
    struct lines one, two;

    (void)state;
    write_rotated(&one, &two);
    assert_int_equal(one.count, 6);
    assert_non_null(strstr(one.line[5], "\"reason\":\"rotate\""));
    assert_non_null(strstr(two.line[0], "\"reason\":\"continue\""));
    assert_int_equal(verify_two(&one, &two, 0, 0), 0);
    assert_int_equal(v.records, 11);
    assert_int_equal(v.finding_count, 0);
    assert_int_equal(verify(&one), 0);
    assert_int_equal(v.end, GH_AUDIT_END_ROTATED);
    assert_int_equal(verify(&two), 0); /* the second alone is good, and is said to begin late */
    assert_finding(0, GH_AUDIT_STARTS, 0, 1, 6, 6);
    assert_int_equal(gh_audit_verify_init(&v, key, true), 0);
    feed(&two);
    assert_int_equal(gh_audit_verify_end(&v, last_wall, 0), 0);
    assert_int_equal(v.bad, 1);
    assert_finding(0, GH_AUDIT_MISSING, 0, 1, 0, 5);
    free_lines(&one);
    free_lines(&two);
}

static void what_is_cut_between_files_is_named(void **state)
{
    struct lines one, two;

    (void)state;
    write_rotated(&one, &two);
    remove_line(&one, 4, 2);
    assert_int_equal(verify_two(&one, &two, 0, 0), 1);
    assert_finding(0, GH_AUDIT_MISSING, 1, 1, 4, 5);
    remove_line(&two, 0, 1);
    assert_int_equal(verify(&two), 1); /* a file begins with a checkpoint */
    assert_finding(0, GH_AUDIT_MISSING, 0, 1, 0, 6);
    free_lines(&one);
    free_lines(&two);
}

/* The disk is full in the middle of a line; the file is rotated, and the line is whole in the next one. */
static void a_line_that_a_full_disk_cut_is_whole_in_the_next_file(void **state)
{
    struct lines one, two;

    (void)state;
    write_rotated(&one, &two);
    insert_line(&two, 0, one.line[5]);
    one.line[5][50] = 0;
    one.cut = true;
    assert_int_equal(verify_two(&one, &two, 0, 0), 0);
    assert_finding(0, GH_AUDIT_TORN, 0, 6, 5, 5);
    free_lines(&one);
    free_lines(&two);
}

/* ---- restarts ---- */

static void a_sequence_goes_on_over_restarts(void **state)
{
    struct gh_audit *a;
    struct lines l;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        a = start("one");
        write_records(a, 2);
        stop(a);
    }
    read_lines("one", &l);
    assert_int_equal(l.count, 12);
    assert_non_null(strstr(l.line[4], "\"reason\":\"start\""));
    assert_int_equal(verify(&l), 0);
    assert_int_equal(v.records, 12);
    assert_int_equal(v.finding_count, 0);
    /* a whole run is cut out */
    remove_line(&l, 4, 4);
    assert_int_equal(verify(&l), 1);
    assert_finding(0, GH_AUDIT_MISSING, 0, 5, 4, 7);
    free_lines(&l);
}

/* A run whose end is as after SIGKILL: the state is not finished. The file has the lines up to the mark and perhaps more. */
static void write_killed(struct lines *ret)
{
    struct gh_audit_state s;
    struct gh_audit *a;
    uint8_t mac[32];

    a = start("one");
    write_records(a, 3);
    stop(a); /* 0 to 4 */
    assert_int_equal(gh_audit_state_open(dir, "boot", &s), 0);
    {
        int fd = open_file("one");

        for (unsigned i = 0; i < 3; i++) {
            char line[256];
            int n = snprintf(line, sizeof line, "{\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"seq\":%llu", (unsigned long long)s.chain.seq);

            assert_int_equal(gh_audit_chain_next(&s.chain, line, (size_t)n, mac), 0);
            n += snprintf(line + n, sizeof line - (size_t)n, ",\"chain\":\"");
            for (unsigned j = 0; j < 32; j++)
                n += snprintf(line + n, sizeof line - (size_t)n, "%02x", mac[j]);
            n += snprintf(line + n, sizeof line - (size_t)n, "\"}\n");
            if (i == 2)
                strcpy(line + 60, "\n"), n = 61; /* in the middle of a line, which the next run ends */
            else
                gh_audit_state_mark(&s, s.chain.seq);
            assert_int_equal(write(fd, line, (size_t)n), n);
        }
        close(fd);
    }
    gh_audit_state_fini(&s);
    a = start("one");
    write_records(a, 2);
    stop(a);
    read_lines("one", ret);
    /* 0 to 4; 5, 6, a piece of 7; resume, two records, stop */
    assert_int_equal(ret->count, 12);
}

static void a_killed_run_is_a_note_and_no_finding(void **state)
{
    struct lines l;

    (void)state;
    write_killed(&l);
    assert_non_null(strstr(l.line[8], "\"reason\":\"resume\""));
    assert_non_null(strstr(l.line[8], "\"missing_from\":7"));
    assert_int_equal(verify(&l), 0);
    assert_int_equal(v.records, 11);
    assert_finding(0, GH_AUDIT_TORN, 0, 8, 7, 7);
    assert_finding(1, GH_AUDIT_CRASH, 0, 9, 7, 4 + GH_AUDIT_BLOCK);
    free_lines(&l);
}

static void a_crash_hides_nothing_that_was_written_before_it(void **state)
{
    struct lines l;

    (void)state;
    write_killed(&l);
    remove_line(&l, 7, 1); /* without the piece: nothing more is missing */
    assert_int_equal(verify(&l), 0);
    remove_line(&l, 6, 1);
    assert_int_equal(verify(&l), 1);
    assert_finding(0, GH_AUDIT_MISSING, 0, 7, 6, 6);
    remove_line(&l, 5, 1);
    assert_int_equal(verify(&l), 1);
    assert_finding(0, GH_AUDIT_MISSING, 0, 6, 5, 6);
    /* a stranger in the place of what was cut */
    insert_line(&l, 5, "{\"timestamp\":\"");
    assert_int_equal(verify(&l), 2);
    free_lines(&l);
}

static void a_checkpoint_comes_of_itself(void **state)
{
    struct gh_audit *a = start_on(open_file("one"), GH_AUDIT_JSON, SECOND / 50);
    struct lines l;

    (void)state;
    wait_written(a, 4); /* nobody writes a record */
    stop(a);
    read_lines("one", &l);
    assert_non_null(strstr(l.line[1], "\"reason\":\"time\""));
    assert_int_equal(verify(&l), 0);
    free_lines(&l);
}

/* More records than a block holds, and than a batch. */
static void many_blocks_are_one_sequence(void **state)
{
    struct gh_audit *a = start("one");
    FILE *file;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        write_records(a, 3000);
    stop(a);
    file = fdopen(openat(dir, "one", O_RDONLY | O_CLOEXEC), "r");
    assert_int_equal(gh_audit_verify_init(&v, key, true), 0);
    gh_audit_verify_file(&v);
    while ((n = getline(&line, &cap, file)) > 0)
        gh_audit_verify_line(&v, gh_span_of(line, (size_t)n - 1), true);
    assert_int_equal(gh_audit_verify_end(&v, v.last_wall, 0), 0);
    assert_int_equal(v.finding_count, 0);
    assert_int_equal(v.records, 12002);
    free(line);
    fclose(file);
}

static void another_chain_is_named(void **state)
{
    uint8_t other[GH_AUDIT_KEY] = "another";
    char id[GH_AUDIT_ID_TEXT];
    struct lines l;

    (void)state;
    write_ten(&l);
    assert_int_equal(gh_audit_verify_init(&v, other, false), 0);
    feed(&l);
    assert_int_equal(gh_audit_verify_end(&v, 0, 0), 0);
    assert_int_equal(v.records, 0);
    assert_int_equal(v.bad, 10);
    assert_int_equal(gh_audit_chain_id(key, id), 0);
    assert_string_equal(v.other_chain, id);
    free_lines(&l);
}

/* Losses take a number like any record, and say how many they were. */
static void losses_are_records_of_the_chain(void **state)
{
    struct lines l;
    struct gh_audit *a;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct gh_audit_state s;
    char expected[64];
    size_t found = 0;
    uint64_t lost;

    (void)state;
    assert_true(full >= 0);
    assert_int_equal(gh_audit_state_open(dir, "boot", &s), 0);
    assert_int_equal(gh_audit_create(&(struct gh_audit_setup){ .fd = full, .records = 8, .chain = &s }, &a), 0);
    while (gh_audit_lost(a) < 3)
        gh_audit_write(a, &(struct gh_audit_record){ .event = GH_AUDIT_ACL_ALLOW });
    lost = gh_audit_lost(a);
    gh_audit_reopen(a, open_file("one"));
    stop(a);
    read_lines("one", &l);
    snprintf(expected, sizeof expected, "\"reason\":\"audit_lost\",\"lost\":%llu,\"seq\":", (unsigned long long)lost);
    for (size_t i = 0; i < l.count; i++)
        found += strstr(l.line[i], expected) != NULL;
    assert_int_equal(found, 1);
    assert_int_equal(verify(&l), 0);
    free_lines(&l);
}

/* A key is not used before its block is on the disk: without a place for the state records are lost, and no number is used twice. */
static void without_a_state_that_can_be_written_records_are_lost_and_no_key_is_used_twice(void **state)
{
    struct gh_audit_state s;
    struct gh_audit *a;
    FILE *file;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int fd = openat(dir, GH_AUDIT_STATE_FILE, O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(gh_audit_state_open(dir, "boot", &s), 0);
    assert_true(dup2(fd, s.fd) >= 0); /* read only */
    close(fd);
    assert_int_equal(gh_audit_create(&(struct gh_audit_setup){ .fd = open_file("one"), .records = 64, .chain = &s }, &a), 0);
    while (gh_audit_written(a) < GH_AUDIT_BLOCK - 700) /* so much room a batch wants */
        gh_audit_write(a, &(struct gh_audit_record){ .event = GH_AUDIT_ACL_ALLOW });
    for (uint64_t lost = gh_audit_lost(a); gh_audit_lost(a) < lost + 2 * GH_AUDIT_BLOCK;)
        gh_audit_write(a, &(struct gh_audit_record){ .event = GH_AUDIT_ACL_ALLOW });
    assert_true(gh_audit_written(a) <= GH_AUDIT_BLOCK);
    gh_audit_destroy(a, 0);
    a = start("one");
    write_records(a, 3);
    stop(a);
    file = fdopen(openat(dir, "one", O_RDONLY | O_CLOEXEC), "r");
    assert_int_equal(gh_audit_verify_init(&v, key, true), 0);
    gh_audit_verify_file(&v);
    while ((n = getline(&line, &cap, file)) > 0)
        gh_audit_verify_line(&v, gh_span_of(line, (size_t)n - 1), true);
    assert_int_equal(gh_audit_verify_end(&v, v.last_wall, 0), 0);
    assert_int_equal(v.bad, 0);
    assert_int_equal(v.finding_count, 1);
    assert_int_equal(v.findings[0].kind, GH_AUDIT_CRASH);
    assert_int_equal(v.last, GH_AUDIT_BLOCK + 4);
    free(line);
    fclose(file);
}

static int fini(void **state)
{
    (void)state;
    gh_audit_verify_fini(&v);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_as_it_was_written_is_good),
        TEST(a_text_file_is_verified_as_well),
        TEST(a_changed_byte_names_its_record),
        TEST(a_removed_line_names_the_missing_number),
        TEST(swapped_lines_name_the_record_that_stands_wrong),
        TEST(an_inserted_line_is_named_and_the_others_are_good),
        TEST(a_cut_tail_shows_when_the_next_checkpoint_is_overdue_or_the_node_knows_better),
        TEST(a_sequence_goes_on_over_files),
        TEST(what_is_cut_between_files_is_named),
        TEST(a_line_that_a_full_disk_cut_is_whole_in_the_next_file),
        TEST(a_sequence_goes_on_over_restarts),
        TEST(a_killed_run_is_a_note_and_no_finding),
        TEST(a_crash_hides_nothing_that_was_written_before_it),
        TEST(a_checkpoint_comes_of_itself),
        TEST(many_blocks_are_one_sequence),
        TEST(another_chain_is_named),
        TEST(losses_are_records_of_the_chain),
        TEST(without_a_state_that_can_be_written_records_are_lost_and_no_key_is_used_twice),
    };

    return cmocka_run_group_tests(tests, NULL, fini);
}
