/* docs/ops/metrics.md, docs/drops.md and the code say the same. */
#include "core/lifecycle.h"

#include <stdio.h>

#include "../test.h"
#include "core/node_conf.h"
#include "services/admin/admin.h"
#include "services/capture/capture.h"
#include "services/door/door.h"
#include "services/relay/relay.h"

static const struct gh_service *const services[] = { &gh_service_relay, &gh_service_door, &gh_service_admin, &gh_service_capture, NULL };

static char *page_of(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 65536);

    assert_non_null(f);
    assert_non_null(text);
    assert_true(fread(text, 1, 65535, f) > 0);
    fclose(f);
    return text;
}

static char *page(void)
{
    return page_of(METRICS_PAGE);
}

/* docs/drops.md: the enum, row by row in its order, each with what to do. */
static void the_page_of_drop_reasons_is_the_enum(void **state)
{
    char *text = page_of(DROPS_PAGE), row[256];
    const char *at = strstr(text, "|---|---|---|\n");

    (void)state;
    assert_non_null(at);
    at = strchr(at, '\n');
    for (int d = GH_DROP_NONE + 1; d < GH_DROP_COUNT; d++) {
        snprintf(row, sizeof row, "\n| `%s` | %s | ", gh_drop_name((enum gh_drop)d), gh_drop_help((enum gh_drop)d));
        if (strncmp(at, row, strlen(row)) != 0 || at[strlen(row)] == '|')
            fail_msg("docs/drops.md: at the place of %s, the page should go on with%s... |", gh_drop_name((enum gh_drop)d), row);
        at = strchr(at + 1, '\n');
        assert_non_null(at);
    }
    assert_null(strchr(at, '|'));
    free(text);
}

/* "| `NAME` | ... | HELP |" */
static void assert_described(const char *text, const char *name, const char *help)
{
    char head[128], tail[256];
    const char *row, *end, *at;

    snprintf(head, sizeof head, "\n| `%s` |", name);
    snprintf(tail, sizeof tail, "| %s |\n", help);
    row = strstr(text, head);
    if (!row) {
        fail_msg("the page has no row for %s", name);
        return;
    }
    end = strchr(row + 1, '\n');
    at = strstr(row, tail);
    if (!at || at > end)
        fail_msg("the row of %s does not say: %s", name, help);
}

static void every_metric_of_a_service_has_its_row(void **state)
{
    char *text = page();

    (void)state;
    for (const struct gh_service *const *s = services; *s; s++)
        for (const struct gh_metric *m = (*s)->metrics; m && m->name; m++) {
            assert_described(text, m->name, m->help);
            for (const char *const *v = m->label ? m->label_values : NULL; v && *v; v++)
                assert_non_null(strstr(text, *v));
        }
    free(text);
}

/* What a node without services emits: HELP and TYPE for each name, a row for each HELP. */
static void every_metric_of_a_node_has_its_row(void **state)
{
    static const struct gh_conf_section *const sections[] = { &gh_conf_section_node, NULL };
    static const struct gh_service *const none[] = { NULL };
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    struct gh_node *node;
    struct gh_text out;
    char *text = page();
    unsigned seen = 0;

    (void)state;
    gh_conf_errors_init(&errors);
    assert_int_equal(gh_conf_parse(&(struct gh_conf_input){ gh_span_str("{}"), "a.yaml", NULL, sections }, &errors, &conf), 0);
    gh_conf_errors_fini(&errors);
    assert_int_equal(gh_node_create(&(struct gh_node_setup){ none, conf, NULL, NULL, 1, NULL }, &node), 0);
    gh_text_init(&out, 1u << 20);
    gh_node_emit_metrics(node, &out);
    for (const char *line = strstr(gh_text_string(&out), "# HELP "); line; line = strstr(line + 1, "# HELP ")) {
        char name[128], help[256], type[160];

        assert_int_equal(sscanf(line, "# HELP %127s %255[^\n]", name, help), 2);
        assert_described(text, name, help);
        snprintf(type, sizeof type, "\n# TYPE %s ", name);
        assert_ptr_equal(strstr(line, type), strchr(line, '\n'));
        seen++;
    }
    assert_true(seen >= 6);
    for (int d = GH_DROP_NONE + 1; d < GH_DROP_COUNT; d++) {
        char row[128];

        snprintf(row, sizeof row, "\ngatehouse_drops_total{reason=\"%s\"} 0\n", gh_drop_name((enum gh_drop)d));
        if (!strstr(out.data, row))
            fail_msg("/metrics has no line%s", row);
    }
    gh_text_fini(&out);
    gh_node_destroy(node);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_of_drop_reasons_is_the_enum),
        cmocka_unit_test(every_metric_of_a_service_has_its_row),
        cmocka_unit_test(every_metric_of_a_node_has_its_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
