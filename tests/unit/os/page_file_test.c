#include "os/page_file.h"

#include <stdio.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"

static void the_shorter_text_leaves_nothing_of_the_longer_one(void **state)
{
    static char longest[GH_PAGE_FILE + 1], read_back[2 * GH_PAGE_FILE];
    FILE *f = tmpfile();

    (void)state;
    assert_non_null(f);
    memset(longest, 'x', sizeof longest);
    assert_int_equal(gh_page_file_write(fileno(f), longest, GH_PAGE_FILE + 1), GH_ERR_TOO_LONG);
    assert_int_equal(pread(fileno(f), read_back, sizeof read_back, 0), 0);
    assert_int_equal(gh_page_file_write(fileno(f), longest, GH_PAGE_FILE), 0);
    assert_int_equal(gh_page_file_write(fileno(f), "one\ntwo\n", 8), 0);
    assert_int_equal(pread(fileno(f), read_back, sizeof read_back, 0), GH_PAGE_FILE);
    assert_memory_equal(read_back, "one\ntwo\n", 8);
    for (size_t i = 8; i < GH_PAGE_FILE; i++)
        assert_int_equal(read_back[i], '\n');
    assert_int_equal(gh_page_file_write(-1, "x", 1), GH_ERR_SYSTEM);
    fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_shorter_text_leaves_nothing_of_the_longer_one) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
