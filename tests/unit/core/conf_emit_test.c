#include "core/conf.h"

#include <jansson.h>
#include <stdio.h>

#include "../test.h"
#include "conf_rows.h"
#include "core/node_conf.h"

static const struct gh_conf_section *const sections[] = { &section, NULL };

static struct gh_conf *parse(const char *yaml, const char *const *env)
{
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;

    gh_conf_errors_init(&errors);
    assert_int_equal(gh_conf_parse(&(struct gh_conf_input){ gh_span_str(yaml), "a.yaml", env, sections }, &errors, &conf), 0);
    gh_conf_errors_fini(&errors);
    return conf;
}

static const char full[] = "thing: {flag: false, count: 12, room: 1536KiB, patience: 1m30s, title: \"q\\\" \\\\ \u2028 é\", place: p, mode: json,\n"
                           " kinds: [blue, red], reach: '[2001:db8::1]:53', listen: ['192.0.2.1:1', ':2'], net: 10.0.0.0/8,\n"
                           " nets: [], words: [x, 'y z'], token: hush}\n";

static void effective_text_shows_value_and_origin_and_hides_secrets(void **state)
{
    static const char *const env[] = { "GATEHOUSE_THING_ROOM=1MiB", NULL };
    struct gh_conf *c = parse("thing:\n  count: 12\n  token: hush\n", env);
    struct gh_text t;

    (void)state;
    gh_text_init(&t, 65536);
    assert_int_equal(gh_conf_emit_effective(c, false, &t), 0);
    assert_string_equal(t.data, "thing:\n"
                                "  flag: true  # default\n"
                                "  count: 12  # a.yaml:2:10\n"
                                "  room: 1MiB  # environment, GATEHOUSE_THING_ROOM\n"
                                "  patience: 3s  # default\n"
                                "  title: \"none\"  # default\n"
                                "  # place:  # unset\n"
                                "  mode: \"auto\"  # default\n"
                                "  kinds: [\"red\"]  # default\n"
                                "  # reach:  # unset\n"
                                "  listen: [\":4433\"]  # default\n"
                                "  # net:  # unset\n"
                                "  nets: [\"0.0.0.0/0\", \"::/0\"]  # default\n"
                                "  # words:  # unset\n"
                                "  # token: (secret, not shown)  # a.yaml:3:10\n");
    gh_text_fini(&t);
    gh_conf_destroy(c);
}

static void effective_text_reads_back_as_the_same_configuration(void **state)
{
    struct gh_conf *before = parse(full, NULL), *after;
    struct gh_conf_change changes[4];
    struct gh_text t;

    (void)state;
    gh_text_init(&t, 65536);
    assert_int_equal(gh_conf_emit_effective(before, false, &t), 0);
    after = parse(t.data, NULL);
    /* but for the secret, which it does not tell */
    assert_int_equal(gh_conf_diff(before, after, changes, 4), 1);
    assert_int_equal(changes[0].row, R_TOKEN);
    gh_text_fini(&t);
    gh_conf_destroy(before);
    gh_conf_destroy(after);
}

static void effective_json_is_json(void **state)
{
    struct gh_conf *c = parse(full, NULL);
    struct gh_text t;
    json_t *root, *thing;

    (void)state;
    gh_text_init(&t, 65536);
    assert_int_equal(gh_conf_emit_effective(c, true, &t), 0);
    assert_null(strstr(t.data, "hush"));
    root = json_loads(t.data, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_int_equal(json_integer_value(json_object_get(root, "version")), 1);
    thing = json_object_get(json_object_get(root, "sections"), "thing");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(thing, "count"), "value")), 12);
    assert_string_equal(json_string_value(json_object_get(json_object_get(thing, "patience"), "value")), "1m30s");
    assert_string_equal(json_string_value(json_object_get(json_object_get(thing, "room"), "value")), "1536KiB");
    assert_string_equal(json_string_value(json_object_get(json_object_get(thing, "count"), "origin")), "file");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(thing, "count"), "line")), 1);
    assert_true(json_is_true(json_object_get(json_object_get(thing, "token"), "set")));
    assert_int_equal(json_object_size(thing), 14);
    json_decref(root);
    gh_text_fini(&t);
    gh_conf_destroy(c);
}

static void diff_names_what_changed_and_whether_a_reload_applies_it(void **state)
{
    struct gh_conf *a = parse("thing: {count: 7, nets: [10.0.0.0/8], words: [a]}\n", NULL);
    struct gh_conf *b = parse("thing: {patience: 4s, nets: [10.0.0.0/9], words: [b], token: x}\n", NULL), *none = parse("", NULL);
    struct gh_conf_change c[8];

    (void)state;
    assert_int_equal(gh_conf_diff(a, a, c, 8), 0);
    assert_int_equal(gh_conf_diff(a, b, c, 8), 4); /* count: 7 is what the default says too */
    assert_int_equal(c[0].row, R_TIME);
    assert_true(c[0].reload);
    assert_int_equal(c[1].row, R_NETS);
    assert_false(c[1].reload);
    assert_int_equal(c[2].row, R_WORDS);
    assert_int_equal(c[3].row, R_TOKEN);
    assert_int_equal(gh_conf_diff(a, b, c, 1), 4);
    assert_int_equal(gh_conf_diff(a, none, c, 8), 1);
    assert_int_equal(c[0].row, -1);
    assert_false(c[0].reload);
    gh_conf_destroy(a);
    gh_conf_destroy(b);
    gh_conf_destroy(none);
}

static void manual_has_every_option_with_range_and_default(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    (void)state;
    assert_non_null(f);
    gh_conf_emit_man(sections, f);
    fclose(f);
    for (const struct gh_conf_row *row = rows; row->name; row++)
        assert_non_null(strstr(text, row->name));
    assert_non_null(strstr(text, ".B count\n(number, things, 1 to 63, default 7, applied by a reload)\nhow many\n"));
    assert_non_null(strstr(text, ".B mode\n(one of auto, text, json, default auto)\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(effective_text_shows_value_and_origin_and_hides_secrets),
        cmocka_unit_test(effective_text_reads_back_as_the_same_configuration),
        cmocka_unit_test(effective_json_is_json),
        cmocka_unit_test(diff_names_what_changed_and_whether_a_reload_applies_it),
        cmocka_unit_test(manual_has_every_option_with_range_and_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
