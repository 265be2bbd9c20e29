/* Every configuration in examples/ is right as it is. */
#include <dirent.h>
#include <stdio.h>

#include "../test.h"
#include "core/node_conf.h"
#include "services/agent/agent_conf.h"
#include "services/capture/capture_conf.h"
#include "services/door/door_conf.h"
#include "services/relay/relay_conf.h"

static const struct gh_conf_section *const node_sections[] = { &gh_conf_section_node,  &gh_conf_section_log,   &gh_conf_section_audit,
                                                               &gh_conf_section_admin, &gh_relay_conf_section, &gh_door_conf_section, NULL };
static const struct gh_conf_section *const agent_sections[] = { &gh_conf_section_node, &gh_conf_section_log, &gh_agent_conf_section, &gh_capture_conf_section,
                                                                NULL };

static void load(const char *path, bool agent)
{
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    struct gh_relay_conf relay;
    struct gh_agent_conf client;
    struct gh_text t;

    gh_conf_errors_init(&errors);
    gh_text_init(&t, 65536);
    (void)gh_conf_parse_file(path, agent ? agent_sections : node_sections, NULL, &errors, &conf);
    gh_conf_errors_emit(&errors, &t);
    assert_string_equal(gh_text_string(&t), "");
    assert_non_null(conf);
    if (agent) {
        assert_int_equal(gh_agent_conf_load(conf, &client), 0);
    } else {
        assert_true(gh_conf_has(conf, &gh_relay_conf_section) || gh_conf_has(conf, &gh_door_conf_section));
        if (gh_conf_has(conf, &gh_relay_conf_section))
            assert_int_equal(gh_relay_conf_load(conf, &relay), 0);
    }
    gh_conf_destroy(conf);
    gh_text_fini(&t);
    gh_conf_errors_fini(&errors);
}

static void every_example_loads(void **state)
{
    DIR *dir = opendir(EXAMPLES);
    unsigned loaded = 0;

    (void)state;
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char path[4096];
        struct gh_text text;
        struct gh_span yaml;

        if (!strstr(e->d_name, ".yaml"))
            continue;
        snprintf(path, sizeof path, "%s/%s", EXAMPLES, e->d_name);
        gh_text_init(&text, GH_CONF_FILE_MAX);
        assert_int_equal(gh_conf_read_file(path, &text), 0);
        yaml = gh_span_of(text.data, text.len);
        /* policies have their own test */
        if (!gh_conf_peek(yaml, "default_action") && !gh_conf_peek(yaml, "tests") && strncmp(e->d_name, "policy", 6) != 0) {
            load(path, gh_conf_peek(yaml, "agent"));
            loaded++;
        }
        gh_text_fini(&text);
    }
    closedir(dir);
    assert_true(loaded >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_example_loads) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
