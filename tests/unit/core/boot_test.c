#include "core/boot.h"

#include <stdio.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"
#include "core/node_conf.h"

static const struct gh_conf_section *const sections[] = { &gh_conf_section_node, &gh_conf_section_log, &gh_conf_section_audit,
                                                          &gh_conf_section_admin, NULL };

struct file {
    char path[64];
};

static struct file file_of(const char *yaml)
{
    struct file f = { "/tmp/gatehouse-boot-XXXXXX" };
    int fd = mkstemp(f.path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
    close(fd);
    return f;
}

static int read_boot(const char *yaml, const char *const *env, struct gh_boot *ret)
{
    struct file f = file_of(yaml);
    int rc = gh_boot_read(f.path, sections, env, ret);

    unlink(f.path);
    return rc;
}

static void the_run_folder_is_the_files(void **state)
{
    struct gh_boot boot;

    (void)state;
    assert_int_equal(read_boot("node: {run_dir: /run/elsewhere}\n", NULL, &boot), 0);
    assert_string_equal(boot.run_dir, "/run/elsewhere");
}

static void the_environment_wins_over_the_file(void **state)
{
    static const char *const env[] = { "GATEHOUSE_NODE_RUN_DIR=/run/from-env", NULL };
    struct gh_boot boot;

    (void)state;
    assert_int_equal(read_boot("node: {run_dir: /run/elsewhere}\n", env, &boot), 0);
    assert_string_equal(boot.run_dir, "/run/from-env");
}

static void without_either_it_is_the_default(void **state)
{
    struct gh_boot boot;

    (void)state;
    assert_int_equal(read_boot("node: {workers: 2}\n", NULL, &boot), 0);
    assert_string_equal(boot.run_dir, "/run/gatehouse");
}

static void a_bad_file_is_refused_before_anything_starts(void **state)
{
    struct gh_boot boot = { .run_dir = "untouched" };
    char path[700];

    (void)state;
    assert_int_equal(read_boot("node: {run_dirr: /x}\n", NULL, &boot), GH_ERR_MALFORMED);
    assert_int_equal(gh_boot_read("/nonexistent/gatehouse.yaml", sections, NULL, &boot), GH_ERR_MALFORMED);
    snprintf(path, sizeof path, "node: {run_dir: /%0600d}\n", 0);
    assert_int_equal(read_boot(path, NULL, &boot), GH_ERR_MALFORMED);
    assert_string_equal(boot.run_dir, "untouched");
}

static void the_childs_user_is_found_or_refused(void **state)
{
    struct gh_boot boot;

    (void)state;
    assert_int_equal(read_boot("node: {user: no-such-user-here}\n", NULL, &boot), GH_ERR_MALFORMED);
    assert_int_equal(read_boot("node: {user: root}\n", NULL, &boot), getuid() == 0 ? 0 : GH_ERR_MALFORMED);
    if (getuid() != 0)
        return;
    assert_int_equal(boot.uid, 0);
    assert_int_equal(read_boot("node: {user: nobody}\n", NULL, &boot), 0);
    assert_int_equal(boot.uid, 65534);
    assert_true(boot.gid != 0);
    assert_int_equal(getuid(), 0); /* it was tried out elsewhere */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_run_folder_is_the_files),
        cmocka_unit_test(the_environment_wins_over_the_file),
        cmocka_unit_test(without_either_it_is_the_default),
        cmocka_unit_test(the_childs_user_is_found_or_refused),
        cmocka_unit_test(a_bad_file_is_refused_before_anything_starts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
