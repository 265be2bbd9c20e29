#include "core/policy_yaml.h"

#include <stdio.h>

#include "../test.h"

#include "base/error.h"

static void expect_error(struct gh_span bytes, const char *text)
{
    struct gh_policy_findings f = { 0 };
    struct gh_arena arena = { 0 };
    const struct gh_yaml_node *root = NULL;
    char line[512];

    gh_yaml_parse(bytes, &arena, &f, &root);
    assert_true(f.count > 0);
    gh_policy_finding_emit(&f.items[0], "f", line, sizeof line);
    if (!strstr(line, text))
        fail_msg("expected '%s', got '%s'", text, line);
    gh_arena_fini(&arena);
    gh_policy_findings_fini(&f);
}

static void what_yaml_allows_and_we_do_not_is_refused(void **state)
{
    static const char *const cases[][2] = {
        { "", "f:1:1: the file is empty" },
        { "# nothing\n", "the file is empty" },
        { "a: &x 1\nb: *x\n", "f:2:4: aliases" },
        { "a: !thing 1\n", "f:1:4: tags" },
        { "a: !!str 1\n", "f:1:4: tags" },
        { "a: !list [1]\n", "f:1:4: tags" },
        { "a: 1\n---\nb: 2\n", "f:2:1: a second document" },
        { "a: 1\nb: 2\na: 3\n", "f:3:1: key 'a' is written twice in one map (before at 1:1)" },
        { "[a, b]: 1\n", "f:1:1: a key must be a single word" },
        { "a: \"x\\0y\"\n", "f:1:4: a NUL character" },
        { "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", "f:1:18: nested too deep" },
        { "a: [1, 2\n", "f:2:1: not YAML" },
        { "a: \xff\n", "not YAML" },
        { "a:\n\t- 1\n", "f:2:1: not YAML" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_error(gh_span_str(cases[i][0]), cases[i][1]);
}

static void a_small_file_does_not_grow_into_a_large_tree(void **state)
{
    static const char laughs[] = "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\n";

    (void)state;
    expect_error(gh_span_str(laughs), "f:2:8: aliases");
}

static void size_is_bounded(void **state)
{
    size_t len = GH_YAML_BYTES_MAX + 1;
    char *bytes = malloc(len);

    (void)state;
    assert_non_null(bytes);
    memset(bytes, '#', len);
    expect_error(gh_span_of(bytes, len), "f:1:1: the file is larger than 16 MiB");
    free(bytes);
}

static void the_number_of_values_is_bounded(void **state)
{
    size_t pairs = GH_YAML_NODES_MAX + 10;
    char *bytes = malloc(2 * pairs + 2), *at = bytes;

    (void)state;
    assert_non_null(bytes);
    *at++ = '[';
    for (size_t i = 0; i < pairs; i++) {
        *at++ = '1';
        *at++ = ',';
    }
    *at++ = ']';
    expect_error(gh_span_of(bytes, (size_t)(at - bytes)), "too many values");
    free(bytes);
}

static void nodes_know_their_place_and_kind(void **state)
{
    struct gh_policy_findings f = { 0 };
    struct gh_arena arena = { 0 };
    const struct gh_yaml_node *root = NULL, *n;

    (void)state;
    assert_int_equal(gh_yaml_parse(gh_span_str("a:\n  b: [1, '2', ~]\nc: ''\nd:\n"), &arena, &f, &root), 0);
    assert_int_equal(root->kind, GH_YAML_MAP);
    assert_int_equal(root->count, 3);
    n = gh_yaml_find(gh_yaml_find(root, "a"), "b");
    assert_int_equal(n->kind, GH_YAML_LIST);
    assert_int_equal(n->count, 3);
    assert_int_equal(n->pos.line, 2);
    assert_int_equal(n->pos.col, 6);
    assert_true(n->first->plain);
    assert_false(n->first->next->plain);
    assert_string_equal(n->first->next->text, "2");
    assert_true(gh_yaml_is_null(n->first->next->next));
    assert_false(gh_yaml_is_null(gh_yaml_find(root, "c")));
    assert_true(gh_yaml_is_null(gh_yaml_find(root, "d")));
    assert_null(gh_yaml_find(root, "e"));
    gh_arena_fini(&arena);
    gh_policy_findings_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_yaml_allows_and_we_do_not_is_refused),
        cmocka_unit_test(a_small_file_does_not_grow_into_a_large_tree),
        cmocka_unit_test(size_is_bounded),
        cmocka_unit_test(the_number_of_values_is_bounded),
        cmocka_unit_test(nodes_know_their_place_and_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
