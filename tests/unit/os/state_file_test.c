#include "os/state_file.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"

static int setup(void **state)
{
    static char dir[64];

    snprintf(dir, sizeof dir, "/tmp/gh-state-file-XXXXXX");
    *state = mkdtemp(dir);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    char path[128];

    for (const char *const *name = (const char *const[]){ "a", "a.new", "link", NULL }; *name; name++) {
        snprintf(path, sizeof path, "%s/%s", (const char *)*state, *name);
        unlink(path);
    }
    return rmdir(*state);
}

static void assert_content(const char *dir, const char *text)
{
    uint8_t *data = NULL;
    size_t len = 0;

    assert_int_equal(gh_state_file_read(dir, "a", 100, &data, &len), 0);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(data, text, len);
    free(data);
}

static void what_is_appended_stands_behind_what_is_there(void **state)
{
    const char *dir = *state;
    char path[128];
    struct stat st;
    size_t size = 0;

    assert_int_equal(gh_state_file_append(dir, "a", gh_span_str("one"), &size), 0);
    assert_int_equal(size, 3);
    assert_int_equal(gh_state_file_append(dir, "a", gh_span_str("two"), &size), 0);
    assert_int_equal(size, 6);
    assert_content(dir, "onetwo");
    assert_int_equal(gh_state_file_replace(dir, "a", gh_span_str("3")), 0);
    assert_content(dir, "3");
    assert_int_equal(gh_state_file_replace(dir, "a", gh_span_of(NULL, 0)), 0);
    assert_content(dir, "");
    snprintf(path, sizeof path, "%s/a", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(path, sizeof path, "%s/a.new", dir);
    assert_int_equal(access(path, F_OK), -1);
}

static void what_is_missing_too_long_or_a_link_is_not_read(void **state)
{
    const char *dir = *state;
    uint8_t *data = NULL;
    size_t len = 0, size = 0;
    char path[128];

    assert_int_equal(gh_state_file_read(dir, "none", 100, &data, &len), GH_ERR_NOT_FOUND);
    assert_int_equal(gh_state_file_read("/nowhere/at/all", "a", 100, &data, &len), GH_ERR_NOT_FOUND);
    assert_int_equal(gh_state_file_append("/nowhere/at/all", "a", gh_span_str("x"), &size), GH_ERR_SYSTEM);
    assert_int_equal(gh_state_file_replace("/nowhere/at/all", "a", gh_span_str("x")), GH_ERR_SYSTEM);
    assert_int_equal(gh_state_file_append(dir, "a", gh_span_str("0123456789"), &size), 0);
    assert_int_equal(gh_state_file_read(dir, "a", 9, &data, &len), GH_ERR_TOO_LONG);
    snprintf(path, sizeof path, "%s/link", dir);
    assert_int_equal(symlink("a", path), 0);
    assert_int_equal(gh_state_file_read(dir, "link", 100, &data, &len), GH_ERR_SYSTEM);
    assert_int_equal(gh_state_file_append(dir, "link", gh_span_str("x"), &size), GH_ERR_SYSTEM);
    assert_null(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_appended_stands_behind_what_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_missing_too_long_or_a_link_is_not_read, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
