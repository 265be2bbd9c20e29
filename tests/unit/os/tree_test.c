#include "os/tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"

struct world {
    char root[64];
    int outside, tree;
};

static void put(int dir, const char *name, const char *text)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    char path[128];

    assert_non_null(w);
    strcpy(w->root, "/tmp/tree_test.XXXXXX");
    assert_non_null(mkdtemp(w->root));
    w->outside = open(w->root, O_RDONLY | O_DIRECTORY);
    put(w->outside, "secret", "no");
    assert_int_equal(mkdirat(w->outside, "www", 0755), 0);
    assert_int_equal(mkdirat(w->outside, "www/sub", 0755), 0);
    assert_int_equal(mkdirat(w->outside, "www-other", 0755), 0);
    put(w->outside, "www-other/file", "no");
    put(w->outside, "www/file", "0123456789");
    put(w->outside, "www/sub/deep", "deep");
    assert_int_equal(mkfifoat(w->outside, "www/fifo", 0644), 0);
    assert_int_equal(symlinkat("../secret", w->outside, "www/out"), 0);
    assert_int_equal(symlinkat("/etc", w->outside, "www/abs"), 0);
    assert_int_equal(symlinkat("../www-other", w->outside, "www/side"), 0);
    assert_int_equal(symlinkat("loop", w->outside, "www/loop"), 0);
    assert_int_equal(symlinkat("sub/deep", w->outside, "www/in"), 0);
    snprintf(path, sizeof path, "%s/www", w->root);
    w->tree = gh_tree_open(path);
    assert_true(w->tree >= 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];

    gh_tree_close(w->tree);
    close(w->outside);
    snprintf(command, sizeof command, "rm -rf %s", w->root);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static int try(struct world *w, const char *name)
{
    struct gh_tree_file f = { .fd = -1 };
    int rc = gh_tree_open_file(w->tree, name, &f);

    gh_tree_close(f.fd);
    return rc < 0 ? rc : f.folder;
}

static void files_and_folders_inside_are_found(void **state)
{
    struct world *w = *state;
    struct gh_tree_file f;
    char buf[16] = "";

    assert_int_equal(try(w, ""), 1);
    assert_int_equal(try(w, "sub"), 1);
    assert_int_equal(try(w, "sub/deep"), 0);
    assert_int_equal(try(w, "sub/../file"), 0);
    assert_int_equal(gh_tree_open_file(w->tree, "file", &f), 0);
    assert_int_equal(f.size, 10);
    assert_true(f.modified > 1600000000);
    assert_int_equal(gh_tree_read(f.fd, buf, 4, 3), 4);
    assert_string_equal(buf, "3456");
    assert_int_equal(gh_tree_read(f.fd, buf, 4, 10), 0);
    gh_tree_close(f.fd);
}

static void nothing_outside_is_opened(void **state)
{
    static const char *const names[] = { "..", "../secret", "sub/../../secret", "out", "abs", "abs/passwd", "side/file", "/etc/passwd", "loop", "../www-other/file" };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (try(w, names[i]) != GH_ERR_DENIED)
            fail_msg("%s: %d", names[i], try(w, names[i]));
}

static void what_is_no_file_is_denied_at_once(void **state)
{
    assert_int_equal(try(*state, "fifo"), GH_ERR_DENIED);
}

static void what_is_not_there_is_not_found(void **state)
{
    char longest[5000];

    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(try(*state, "none"), GH_ERR_NOT_FOUND);
    assert_int_equal(try(*state, "file/none"), GH_ERR_NOT_FOUND);
    assert_int_equal(try(*state, "sub/none/none"), GH_ERR_NOT_FOUND);
    assert_int_equal(try(*state, longest), GH_ERR_NOT_FOUND);
    assert_int_equal(gh_tree_open("/nowhere/at/all"), GH_ERR_NOT_FOUND);
}

static void a_link_that_stays_inside_is_followed(void **state)
{
    assert_int_equal(try(*state, "in"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_and_folders_inside_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_outside_is_opened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_denied_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_not_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_that_stays_inside_is_followed, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
