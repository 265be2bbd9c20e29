#include "core/leaf_file.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"
#include "crypto/cert.h"

static void it_is_made_once_and_found_again(void **state)
{
    char dir[] = "/tmp/gatehouse-leaf-XXXXXX", path[64];
    struct gh_leaf_file first, again;
    struct gh_cert *cert;
    struct stat st;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(gh_leaf_file_load(dir, "door", "cover.example", 1800000000, &first), 0);
    assert_true(first.made);
    snprintf(path, sizeof path, "%s/door.pem", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(gh_leaf_file_load(dir, "door", "other.example", 1900000000, &again), 0);
    assert_false(again.made);
    assert_memory_equal(first.spki_sha256, again.spki_sha256, sizeof first.spki_sha256);
    assert_int_equal(gh_cert_parse_pem(gh_span_of(again.pem.data, again.pem.len), &cert), 0);
    assert_true(gh_cert_not_after(cert) - gh_cert_not_before(cert) > (int64_t)3650 * 86400 - 86400); /* ten years */
    gh_cert_destroy(cert);
    gh_leaf_file_fini(&first);
    gh_leaf_file_fini(&again);
    unlink(path);
    assert_int_equal(rmdir(dir), 0);
}

static void a_file_that_is_something_else_is_not_written_over(void **state)
{
    char dir[] = "/tmp/gatehouse-leaf-XXXXXX", path[64];
    struct gh_leaf_file f;
    FILE *file;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/door.pem", dir);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("not a certificate\n", file);
    fclose(file);
    assert_int_equal(gh_leaf_file_load(dir, "door", "cover.example", 1800000000, &f), GH_ERR_MALFORMED);
    assert_int_equal(gh_leaf_file_load("/nonexistent", "door", "cover.example", 1800000000, &f), GH_ERR_SYSTEM);
    unlink(path);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_made_once_and_found_again),
        cmocka_unit_test(a_file_that_is_something_else_is_not_written_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
