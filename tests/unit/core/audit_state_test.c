#include "core/audit_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"

static const uint8_t key[GH_AUDIT_KEY] = "0123456789abcdef0123456789abcde";
static char folder[64];
static int dir = -1;

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/gatehouse-audit-state-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlinkat(dir, GH_AUDIT_STATE_FILE, 0);
    close(dir);
    return rmdir(folder);
}

static void assert_key_of(const struct gh_audit_chain *c, uint64_t seq)
{
    struct gh_audit_chain expected;

    gh_audit_chain_init(&expected, key, 0);
    assert_int_equal(gh_audit_chain_skip(&expected, seq), 0);
    assert_int_equal(c->seq, seq);
    assert_memory_equal(c->key, expected.key, sizeof expected.key);
}

static void use(struct gh_audit_state *s, unsigned lines)
{
    uint8_t mac[32];

    while (lines--) {
        assert_true(s->chain.seq < s->reserved);
        assert_int_equal(gh_audit_chain_next(&s->chain, "x", 1, mac), 0);
    }
}

static void a_chain_begins_once(void **state)
{
    struct gh_audit_state s, other;

    (void)state;
    assert_int_equal(gh_audit_state_open(dir, "boot", &s), GH_ERR_NOT_FOUND);
    assert_int_equal(gh_audit_state_create(dir, key), 0);
    assert_int_equal(gh_audit_state_create(dir, key), GH_ERR_EXISTS);
    assert_int_equal(gh_audit_state_open(dir, "boot", &s), 0);
    assert_false(s.unclean);
    assert_key_of(&s.chain, 0);
    assert_int_equal(s.reserved, GH_AUDIT_BLOCK);
    assert_int_equal(gh_audit_state_open(dir, "boot", &other), GH_ERR_EXISTS); /* one writer */
    gh_audit_state_fini(&s);
}

static void after_a_clean_end_the_next_number_follows(void **state)
{
    struct gh_audit_state s;

    (void)state;
    assert_int_equal(gh_audit_state_create(dir, key), 0);
    assert_int_equal(gh_audit_state_open(dir, "boot", &s), 0);
    use(&s, 10);
    assert_int_equal(gh_audit_state_finish(&s, &s.chain), 0);
    gh_audit_state_fini(&s);
    assert_int_equal(gh_audit_state_open(dir, "another boot", &s), 0);
    assert_false(s.unclean);
    assert_key_of(&s.chain, 10);
    gh_audit_state_fini(&s);
}

static void after_a_kill_no_number_is_used_again_and_the_mark_says_what_was_written(void **state)
{
    struct gh_audit_state s;

    (void)state;
    assert_int_equal(gh_audit_state_create(dir, key), 0);
    assert_int_equal(gh_audit_state_open(dir, "boot", &s), 0);
    use(&s, 10);
    gh_audit_state_mark(&s, 7);
    gh_audit_state_fini(&s);
    assert_int_equal(gh_audit_state_open(dir, "boot", &s), 0);
    assert_true(s.unclean);
    assert_int_equal(s.missing_from, 7);
    assert_key_of(&s.chain, GH_AUDIT_BLOCK);
    gh_audit_state_fini(&s);
    /* killed again before anything was written: what was missing is still missing */
    assert_int_equal(gh_audit_state_open(dir, "boot", &s), 0);
    assert_true(s.unclean);
    assert_int_equal(s.missing_from, 7);
    assert_key_of(&s.chain, 2 * GH_AUDIT_BLOCK);
    gh_audit_state_fini(&s);
}

static void after_another_boot_only_what_was_synced_is_certain(void **state)
{
    static const char *const boots[] = { "other", "" };
    struct gh_audit_state s;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(gh_audit_state_create(dir, key), 0);
        assert_int_equal(gh_audit_state_open(dir, "boot", &s), 0);
        use(&s, 5);
        assert_int_equal(gh_audit_state_reserve(&s, &s.chain), 0);
        assert_int_equal(s.reserved, 5 + GH_AUDIT_BLOCK);
        use(&s, 10);
        gh_audit_state_mark(&s, 15);
        gh_audit_state_fini(&s);
        assert_int_equal(gh_audit_state_open(dir, boots[i], &s), 0);
        assert_true(s.unclean);
        assert_int_equal(s.missing_from, 5);
        assert_key_of(&s.chain, 5 + GH_AUDIT_BLOCK);
        gh_audit_state_fini(&s);
        assert_int_equal(unlinkat(dir, GH_AUDIT_STATE_FILE, 0), 0);
    }
}

/* A write that was cut damages one slot of two; then the other counts, whose block is behind every number that was used. */
static void a_slot_that_was_cut_leaves_the_other(void **state)
{
    struct gh_audit_state s;
    uint8_t before[4096], after[4096];
    int fd;

    (void)state;
    assert_int_equal(gh_audit_state_create(dir, key), 0);
    assert_int_equal(gh_audit_state_open(dir, "boot", &s), 0);
    fd = openat(dir, GH_AUDIT_STATE_FILE, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, before, sizeof before, 0), sizeof before);
    use(&s, 5);
    assert_int_equal(gh_audit_state_reserve(&s, &s.chain), 0);
    gh_audit_state_fini(&s);
    assert_int_equal(pread(fd, after, sizeof after, 0), sizeof after);
    for (size_t cut = 0; cut < 512; cut += 64) {
        /* slot 0 was written as far as <cut>, slot 1 was not wiped yet */
        assert_int_equal(pwrite(fd, before, sizeof before, 0), sizeof before);
        if (cut)
            assert_int_equal(pwrite(fd, after, cut, 0), cut);
        assert_int_equal(gh_audit_state_open(dir, "boot", &s), 0);
        assert_true(s.unclean);
        assert_true(s.chain.seq == GH_AUDIT_BLOCK || s.chain.seq == 5 + GH_AUDIT_BLOCK);
        assert_key_of(&s.chain, s.chain.seq);
        gh_audit_state_fini(&s);
    }
    close(fd);
}

static void no_key_of_a_number_before_the_block_is_in_the_file(void **state)
{
    struct gh_audit_chain c;
    struct gh_audit_state s;
    uint8_t data[4096];
    int fd;

    (void)state;
    assert_int_equal(gh_audit_state_create(dir, key), 0);
    assert_int_equal(gh_audit_state_open(dir, "boot", &s), 0);
    use(&s, 3);
    fd = openat(dir, GH_AUDIT_STATE_FILE, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, data, sizeof data, 0), sizeof data);
    close(fd);
    gh_audit_chain_init(&c, key, 0);
    for (unsigned i = 0; i < GH_AUDIT_BLOCK; i++) {
        assert_null(memmem(data, sizeof data, c.key, sizeof c.key));
        assert_int_equal(gh_audit_chain_skip(&c, i + 1), 0);
    }
    assert_non_null(memmem(data, sizeof data, c.key, sizeof c.key));
    gh_audit_state_fini(&s);
}

static void anything_else_is_refused(void **state)
{
    struct gh_audit_state s;
    int fd = openat(dir, GH_AUDIT_STATE_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    (void)state;
    assert_int_equal(gh_audit_state_open(dir, "boot", &s), GH_ERR_MALFORMED);
    assert_int_equal(write(fd, "GHAUDIT1", 8), 8);
    assert_int_equal(gh_audit_state_open(dir, "boot", &s), GH_ERR_MALFORMED);
    close(fd);
}

static void progress_is_the_mark_or_the_clean_end(void **state)
{
    struct gh_audit_progress p;
    struct gh_audit_state s;
    int fd;

    (void)state;
    assert_int_equal(gh_audit_state_create(dir, key), 0);
    assert_int_equal(gh_audit_state_open(dir, "boot", &s), 0);
    use(&s, 10);
    gh_audit_state_mark(&s, 9);
    fd = openat(dir, GH_AUDIT_STATE_FILE, O_RDONLY | O_CLOEXEC);
    assert_int_equal(gh_audit_state_peek(fd, &p), 0);
    assert_int_equal(p.written, 9);
    assert_false(p.clean);
    assert_int_equal(gh_audit_state_finish(&s, &s.chain), 0);
    assert_int_equal(gh_audit_state_peek(fd, &p), 0);
    assert_int_equal(p.written, 10);
    assert_true(p.clean);
    assert_string_equal(p.id, s.id);
    close(fd);
    gh_audit_state_fini(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_chain_begins_once),
        TEST(after_a_clean_end_the_next_number_follows),
        TEST(after_a_kill_no_number_is_used_again_and_the_mark_says_what_was_written),
        TEST(after_another_boot_only_what_was_synced_is_certain),
        TEST(a_slot_that_was_cut_leaves_the_other),
        TEST(no_key_of_a_number_before_the_block_is_in_the_file),
        TEST(anything_else_is_refused),
        TEST(progress_is_the_mark_or_the_clean_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
