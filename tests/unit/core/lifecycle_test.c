#include "core/lifecycle.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"
#include "core/node_conf.h"

/* What the services were asked to do, in order. */
static char story[2048];
static const char *refuses; /* "a.load" and the like */

static int told(const char *who, const char *what)
{
    char step[64];

    snprintf(step, sizeof step, "%s.%s", who, what);
    strcat(strcat(story, step), " ");
    return refuses && strcmp(refuses, step) == 0 ? GH_ERR_STATE : 0;
}

#define SERVICE(x)                                                                                                     \
    static int x##_load(struct gh_node *node, const struct gh_conf *conf, void **ret)                                 \
    {                                                                                                                  \
        assert_ptr_equal(gh_node_conf_current(node), conf);                                                            \
        *ret = (void *)(uintptr_t) #x;                                                    \
        return told(#x, "load");                                                                                       \
    }                                                                                                                  \
    static void x##_unload(void *s) { told(s, "unload"); }                                                             \
    static int x##_start(void *s, struct gh_worker *w) { (void)w; return told(s, "start"); }                           \
    static void x##_stop(void *s, struct gh_worker *w) { (void)w; told(s, "stop"); }                                   \
    static int x##_prepare(void *s, const struct gh_conf *c, void **ret) { (void)c; *ret = s; return told(s, "prepare"); } \
    static void x##_commit(void *s, void *next) { assert_ptr_equal(s, next); told(s, "commit"); }                      \
    static void x##_discard(void *s, void *next) { assert_ptr_equal(s, next); told(s, "discard"); }                    \
    static void x##_drain(void *s) { told(s, "drain"); }                                                               \
    static bool x##_drained(const void *s) { (void)s; return strstr(story, "drain") != NULL; }                         \
    static void x##_describe(void *s, struct gh_description *d)                                                         \
    {                                                                                                                  \
        gh_describe_listener(d, s, "udp", ":4433");                                                                    \
        gh_describe_feature(d, "f_" #x, #x[0] == 'a', true, "not here");                                                     \
        d->workers[1].sessions += 2;                                                                                   \
    }                                                                                                                  \
    static void x##_release(void *s, enum gh_release stage)                                                            \
    {                                                                                                                  \
        char name[8];                                                                                                  \
        snprintf(name, sizeof name, "r%d", (int)stage);                                                                \
        told(s, name);                                                                                                 \
    }

SERVICE(a)
SERVICE(b)
SERVICE(c)

static const struct gh_conf_row rows[] = { { "x", GH_CONF_UINT, .dflt = "1", .reload = true }, { "y", GH_CONF_UINT, .dflt = "1" }, { 0 } };
static const struct gh_conf_section section_b = { "b", "", rows, false, NULL };
static const struct gh_conf_section section_c = { "c", "", rows, false, NULL };
static const struct gh_metric metrics_b[] = { { "gatehouse_b", GH_METRIC_GAUGE, "B." }, { 0 } };

#define OPS(x) x##_load, x##_unload, x##_start, x##_stop, x##_prepare, x##_commit, x##_discard, x##_drain, x##_drained, x##_release, x##_describe

static const struct gh_service service_a = { "a", NULL, NULL, OPS(a) };
static const struct gh_service service_b = { "b", &section_b, metrics_b, OPS(b) };
static const struct gh_service service_c = { "c", &section_c, NULL, OPS(c) };
static const struct gh_service *const services[] = { &service_a, &service_b, &service_c, NULL };

static struct gh_conf *parse(const char *yaml)
{
    static const struct gh_conf_section *const sections[] = { &gh_conf_section_node, &section_b, &section_c, NULL };
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;

    gh_conf_errors_init(&errors);
    assert_int_equal(gh_conf_parse(&(struct gh_conf_input){ gh_span_str(yaml), "a.yaml", NULL, sections }, &errors, &conf), 0);
    gh_conf_errors_fini(&errors);
    return conf;
}

struct fixture {
    struct gh_log log;
    struct gh_node *node;
    int ends[2];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    story[0] = 0;
    refuses = NULL;
    assert_int_equal(pipe2(f->ends, O_CLOEXEC), 0);
    gh_log_init(&f->log, f->ends[1], GH_LOG_TEXT, GH_LOG_INFO);
    assert_int_equal(gh_node_create(&(struct gh_node_setup){ services, parse("b: {}\n"), &f->log, NULL, 2, f }, &f->node), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    gh_node_destroy(f->node);
    gh_log_fini(&f->log);
    close(f->ends[0]);
    close(f->ends[1]);
    free(f);
    return 0;
}

static void services_start_in_order_and_end_in_reverse(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(gh_node_state(f->node), GH_NODE_STARTING);
    assert_int_equal(gh_node_load(f->node), 0);
    assert_non_null(gh_node_service_state(f->node, "b"));
    assert_non_null(gh_node_service_metrics(f->node, "b"));
    assert_null(gh_node_service_state(f->node, "c")); /* its section is not there */
    assert_int_equal(gh_node_start(f->node, NULL), 0);
    gh_node_started(f->node);
    assert_true(gh_node_is_ready(f->node));
    gh_node_stop(f->node, NULL);
    gh_node_unload(f->node);
    assert_string_equal(story, "a.load b.load a.start b.start b.stop a.stop b.unload a.unload ");
    assert_int_equal(gh_node_state(f->node), GH_NODE_STOPPED);
    assert_false(gh_node_is_ready(f->node));
    assert_ptr_equal(gh_node_user(f->node), f);
    assert_int_equal(gh_node_workers(f->node), 2);
}

static void a_service_that_cannot_load_takes_those_before_it_down(void **state)
{
    struct fixture *f = *state;

    refuses = "b.load";
    assert_int_equal(gh_node_load(f->node), GH_ERR_STATE);
    assert_string_equal(story, "a.load b.load a.unload ");
}

static void a_service_that_cannot_start_stops_those_before_it(void **state)
{
    struct fixture *f = *state;

    refuses = "b.start";
    assert_int_equal(gh_node_load(f->node), 0);
    assert_int_equal(gh_node_start(f->node, NULL), GH_ERR_STATE);
    assert_string_equal(story, "a.load b.load a.start b.start a.stop ");
}

static void a_description_has_what_every_loaded_service_says(void **state)
{
    struct fixture *f = *state;
    struct gh_description d;

    assert_int_equal(gh_node_load(f->node), 0);
    gh_node_describe(f->node, &d);
    assert_int_equal(d.listener_count, 2); /* c has no section */
    assert_string_equal(d.listeners[0].service, "a");
    assert_string_equal(d.listeners[1].service, "b");
    assert_string_equal(d.listeners[1].address, ":4433");
    assert_int_equal(d.feature_count, 2);
    assert_string_equal(d.features[0].detail, "");
    assert_string_equal(d.features[1].detail, "not here");
    assert_int_equal(d.worker_count, 2);
    assert_int_equal(d.workers[0].sessions, 0);
    assert_int_equal(d.workers[1].index, 1);
    assert_int_equal(d.workers[1].sessions, 4);
    for (int i = 0; i < 100; i++) /* what does not fit is left out */
        gh_describe_listener(&d, "a", "tcp", "x");
    assert_int_equal(d.listener_count, GH_DESCRIBE_LISTENERS);
}

static void a_reload_that_one_refuses_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const struct gh_conf *before = gh_node_conf_current(f->node);

    assert_int_equal(gh_node_load(f->node), 0);
    story[0] = 0;
    refuses = "b.prepare";
    assert_int_equal(gh_node_reload(f->node, parse("b: {x: 2}\n"), "SIGHUP"), GH_ERR_STATE);
    assert_string_equal(story, "a.prepare b.prepare a.discard ");
    assert_ptr_equal(gh_node_conf_current(f->node), before);
    assert_int_equal(gh_node_generation(f->node), 1);
}

static void a_reload_is_applied_everywhere_and_says_what_needs_a_restart(void **state)
{
    struct fixture *f = *state;
    char log[4096] = { 0 };

    assert_int_equal(gh_node_load(f->node), 0);
    story[0] = 0;
    assert_int_equal(gh_node_reload(f->node, parse("b: {x: 2, y: 3}\n"), "SIGHUP"), 0);
    assert_string_equal(story, "a.prepare b.prepare a.commit b.commit ");
    assert_int_equal(gh_node_generation(f->node), 2);
    assert_int_equal(gh_conf_uint(gh_node_conf_current(f->node), &section_b, 0), 2);
    assert_true(read(f->ends[0], log, sizeof log - 1) > 0);
    assert_non_null(strstr(log, "info  core: Option changed section=b option=x\n"));
    assert_non_null(strstr(log, "warn  core: Option changed, a restart applies it section=b option=y\n"));
    assert_non_null(strstr(log, "Configuration reloaded generation=2 cause=SIGHUP\n"));
}

static void a_drain_lets_go_in_the_order_that_is_promised(void **state)
{
    static const char *const stages[] = { "ready", "goaway", "sessions", "policy", "addresses", "audit", "tun" };
    struct fixture *f = *state;
    char log[4096] = { 0 };
    const char *at = log;

    assert_int_equal(gh_node_load(f->node), 0);
    gh_node_started(f->node);
    story[0] = 0;
    assert_false(gh_node_drained(f->node));
    gh_node_drain(f->node);
    gh_node_drain(f->node);
    assert_false(gh_node_is_ready(f->node));
    assert_int_equal(gh_node_state(f->node), GH_NODE_DRAINING);
    assert_true(gh_node_drained(f->node));
    gh_node_started(f->node); /* too late */
    assert_int_equal(gh_node_state(f->node), GH_NODE_DRAINING);
    gh_node_release(f->node, GH_RELEASE_READY, GH_RELEASE_SESSIONS);
    gh_node_release(f->node, GH_RELEASE_READY, GH_RELEASE_TUN);
    assert_string_equal(story, "a.r0 b.r0 a.drain b.drain a.r1 b.r1 a.r2 b.r2 a.r3 b.r3 a.r4 b.r4 a.r5 b.r5 a.r6 b.r6 ");
    assert_true(read(f->ends[0], log, sizeof log - 1) > 0);
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        char line[64];

        snprintf(line, sizeof line, "core: drain stage=%s\n", stages[i]);
        at = strstr(at, line);
        assert_non_null(at);
        assert_null(strstr(at + 1, line));
    }
}

static void the_metrics_of_a_node_have_its_own(void **state)
{
    struct fixture *f = *state;
    struct gh_text t;

    assert_int_equal(gh_node_load(f->node), 0);
    gh_node_started(f->node);
    gh_text_init(&t, 1u << 20);
    gh_node_emit_metrics(f->node, &t);
    assert_non_null(strstr(t.data, "\ngatehouse_b 0\n"));
    assert_non_null(strstr(t.data, "\ngatehouse_ready 1\n"));
    assert_non_null(strstr(t.data, "\ngatehouse_config_generation 1\n"));
    gh_text_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(services_start_in_order_and_end_in_reverse, setup, teardown),
        cmocka_unit_test_setup_teardown(a_service_that_cannot_load_takes_those_before_it_down, setup, teardown),
        cmocka_unit_test_setup_teardown(a_service_that_cannot_start_stops_those_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_description_has_what_every_loaded_service_says, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reload_that_one_refuses_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reload_is_applied_everywhere_and_says_what_needs_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(a_drain_lets_go_in_the_order_that_is_promised, setup, teardown),
        cmocka_unit_test_setup_teardown(the_metrics_of_a_node_have_its_own, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
