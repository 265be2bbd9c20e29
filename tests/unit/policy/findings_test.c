#include "policy/findings.h"

#include "../test.h"

static void findings_are_sorted_by_place_and_stay_stable(void **state)
{
    struct gh_policy_findings f = { 0 };
    char line[80];

    (void)state;
    gh_policy_findings_error(&f, (struct gh_policy_pos){ 3, 1 }, "c");
    gh_policy_findings_warn(&f, (struct gh_policy_pos){ 1, 9 }, "b%d", 1);
    gh_policy_findings_error(&f, (struct gh_policy_pos){ 1, 9 }, "b2");
    gh_policy_findings_error(&f, (struct gh_policy_pos){ 1, 2 }, "a");
    gh_policy_findings_sort(&f);
    assert_int_equal(f.count, 4);
    assert_string_equal(gh_policy_finding_emit(&f.items[0], "f", line, sizeof line), "f:1:2: a");
    assert_string_equal(gh_policy_finding_emit(&f.items[1], "f", line, sizeof line), "f:1:9: warning: b1");
    assert_string_equal(f.items[2].text, "b2");
    assert_string_equal(f.items[3].text, "c");
    assert_int_equal(f.errors, 3);
    assert_int_equal(f.warnings, 1);
    assert_false(gh_policy_findings_good(&f));
    gh_policy_findings_fini(&f);
}

static void warnings_do_not_reject(void **state)
{
    struct gh_policy_findings f = { 0 };

    (void)state;
    gh_policy_findings_warn(&f, (struct gh_policy_pos){ 1, 1 }, "w");
    assert_true(gh_policy_findings_good(&f));
    f.memory = true;
    assert_false(gh_policy_findings_good(&f));
    gh_policy_findings_fini(&f);
    gh_policy_findings_fini(NULL);
}

static void control_characters_are_not_passed_on(void **state)
{
    struct gh_policy_findings f = { 0 };

    (void)state;
    gh_policy_findings_error(&f, (struct gh_policy_pos){ 1, 1 }, "'%s'", "a\x1b[31m\n\x7f\xc3\xa4");
    assert_string_equal(f.items[0].text, "'a?[31m??\xc3\xa4'");
    gh_policy_findings_fini(&f);
}

static void more_than_the_limit_is_counted_only(void **state)
{
    struct gh_policy_findings f = { 0 };

    (void)state;
    for (unsigned i = 0; i < GH_POLICY_FINDINGS_MAX + 5; i++)
        gh_policy_findings_error(&f, (struct gh_policy_pos){ i, 1 }, "e");
    assert_int_equal(f.count, GH_POLICY_FINDINGS_MAX);
    assert_int_equal(f.errors, GH_POLICY_FINDINGS_MAX + 5);
    gh_policy_findings_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(findings_are_sorted_by_place_and_stay_stable),
        cmocka_unit_test(warnings_do_not_reject),
        cmocka_unit_test(control_characters_are_not_passed_on),
        cmocka_unit_test(more_than_the_limit_is_counted_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
