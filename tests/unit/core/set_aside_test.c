#include "core/set_aside.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"

#include "base/error.h"

static void make(const char *dir, const char *name, const char *text)
{
    char path[300];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static bool is(const char *path, const char *text)
{
    char got[64] = "";
    FILE *f = fopen(path, "r");

    if (!f)
        return false;
    assert_true(fread(got, 1, sizeof got - 1, f) < sizeof got);
    fclose(f);
    return strcmp(got, text) == 0;
}

static void a_file_and_what_belongs_to_it_get_one_new_name(void **state)
{
    static const char *const endings[] = { "-wal", "-shm" };
    char dir[] = "/tmp/gatehouse-aside-XXXXXX", path[300], name[GH_SET_ASIDE_NAME], want[400];

    (void)state;
    assert_non_null(mkdtemp(dir));
    make(dir, "db", "one");
    make(dir, "db-wal", "log");
    snprintf(path, sizeof path, "%s/db", dir);
    /* 2026-01-31T10:00:00Z */
    assert_int_equal(gh_set_aside(path, endings, 2, 1769853600, name), 0);
    snprintf(want, sizeof want, "%s.damaged-20260131T100000Z", path);
    assert_string_equal(name, want);
    assert_true(is(name, "one"));
    snprintf(want, sizeof want, "%s.damaged-20260131T100000Z-wal", path);
    assert_true(is(want, "log"));
    assert_int_equal(access(path, F_OK), -1);
    unlink(want);
    /* within the same second nothing is overwritten */
    make(dir, "db", "two");
    assert_int_equal(gh_set_aside(path, endings, 2, 1769853600, name), 0);
    snprintf(want, sizeof want, "%s.damaged-20260131T100000Z-2", path);
    assert_string_equal(name, want);
    assert_true(is(want, "two"));
    unlink(want);
    snprintf(want, sizeof want, "%s.damaged-20260131T100000Z", path);
    assert_true(is(want, "one"));
    unlink(want);
    assert_int_equal(rmdir(dir), 0);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    char name[GH_SET_ASIDE_NAME], path[GH_SET_ASIDE_NAME];

    (void)state;
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = 0;
    assert_int_equal(gh_set_aside(path, NULL, 0, 0, name), GH_ERR_TOO_LONG);
    assert_int_equal(gh_set_aside("/dev/null/x", NULL, 0, 0, name), GH_ERR_SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_and_what_belongs_to_it_get_one_new_name),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
