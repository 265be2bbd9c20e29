#include "os/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    return st.st_mode & 07777;
}

static void folders_on_the_way_are_made_and_the_last_has_the_mode(void **state)
{
    char base[] = "/tmp/folder-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(base));
    assert_int_equal(chdir(base), 0);
    assert_int_equal(gh_folder_make("one//two/three", 0700), 0);
    assert_int_equal(mode_of("one/two/three"), 0700);
    assert_int_equal(mode_of("one/two") & 0700, 0700);
    assert_int_equal(gh_folder_make("one/two", 0700), 0);
    assert_int_equal(gh_folder_make("one/two/three/", 0755), 0);
    assert_int_equal(mode_of("one/two/three"), 0700); /* stays as it is */
    assert_int_equal(gh_folder_make("", 0700), -1);
    assert_int_equal(errno, ENOENT);
    rmdir("one/two/three");
    rmdir("one/two");
    rmdir("one");
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(base), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(folders_on_the_way_are_made_and_the_last_has_the_mode) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
