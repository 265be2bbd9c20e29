/* The key of a node outlives it. */
#include "core/node_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"

static void in_folder(void (*play)(const char *dir))
{
    char dir[] = "/tmp/gh-node-key-XXXXXX", path[64];

    assert_non_null(mkdtemp(dir));
    play(dir);
    snprintf(path, sizeof path, "%s/node.key", dir);
    unlink(path);
    assert_int_equal(rmdir(dir), 0); /* and nothing else was left */
}

static void play_kept(const char *dir)
{
    uint8_t a[GH_NODE_KEY], b[GH_NODE_KEY];
    char path[64];
    struct stat st;

    assert_int_equal(gh_node_key_load(dir, a), 0);
    assert_int_equal(gh_node_key_load(dir, b), 0);
    assert_memory_equal(a, b, sizeof a);
    snprintf(path, sizeof path, "%s/node.key", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(gh_node_key_load(dir, b), 0);
    assert_memory_not_equal(a, b, sizeof a);
}

static void a_key_is_made_once_and_kept(void **state)
{
    (void)state;
    in_folder(play_kept);
}

static void play_refused(const char *dir)
{
    uint8_t key[GH_NODE_KEY];
    char path[64];
    FILE *f;

    snprintf(path, sizeof path, "%s/node.key", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("thirty-one bytes and no key atall", f);
    fclose(f);
    assert_int_equal(gh_node_key_load(dir, key), GH_ERR_MALFORMED);
    unlink(path);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_int_equal(gh_node_key_load(dir, key), GH_ERR_SYSTEM);
}

static void a_file_that_is_no_key_is_refused(void **state)
{
    (void)state;
    in_folder(play_refused);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    uint8_t key[GH_NODE_KEY];

    (void)state;
    assert_int_equal(gh_node_key_load("/nonexistent/state", key), GH_ERR_SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_made_once_and_kept),
        cmocka_unit_test(a_file_that_is_no_key_is_refused),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
