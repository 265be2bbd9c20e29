/* Loading a policy with every allocation failing once: an error comes back, nothing leaks (sanitizers look), nothing crashes. */
#include <stdio.h>

#include "../test.h"

#include "base/error.h"
#include "core/policy_load.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t count, size_t size);

static size_t calls, fail_at; /* 0: never */

static bool fails(void)
{
    return ++calls == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t count, size_t size)
{
    return fails() ? NULL : __real_reallocarray(p, count, size);
}

static void every_failed_allocation_is_reported(const char *path, int whole)
{
    char bytes[8192];
    FILE *file = fopen(path, "r");
    size_t len, at = 0;
    int rc = GH_ERR_MEMORY;

    assert_non_null(file);
    len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    do {
        struct gh_policy_findings f = { 0 };
        struct gh_policy *p = NULL;

        calls = 0;
        fail_at = ++at;
        rc = gh_policy_load(gh_span_of(bytes, len), NULL, &f, &p);
        fail_at = 0;
        assert_int_equal(rc == 0, p != NULL);
        if (calls >= at)
            assert_true(rc < 0);
        gh_policy_destroy(p);
        gh_policy_findings_fini(&f);
    } while (calls >= at);
    assert_true(at > 20);
    assert_int_equal(rc, whole);
}

static void a_good_file(void **state)
{
    (void)state;
    every_failed_allocation_is_reported(GH_CORPUS "/everything.yaml", 0);
}

static void a_file_with_errors(void **state)
{
    (void)state;
    every_failed_allocation_is_reported(GH_CORPUS "/errors.yaml", GH_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_good_file), cmocka_unit_test(a_file_with_errors) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
