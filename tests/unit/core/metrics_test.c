#include "core/metrics.h"

#include <pthread.h>

#include "../test.h"
#include "core/ready.h"

static const char *const families[] = { "v4", "v\"6\"", NULL };
static const uint64_t bounds[] = { 1000000, 10000000 };

enum { PACKETS, SESSIONS, FLIGHT };

static const struct gh_metric table[] = {
    [PACKETS] = { "gatehouse_packets_total", GH_METRIC_COUNTER, "Packets.", .label = "family", .label_values = families },
    [SESSIONS] = { "gatehouse_sessions", GH_METRIC_GAUGE, "Sessions." },
    [FLIGHT] = { "gatehouse_handshake_seconds", GH_METRIC_HISTOGRAM, "Time.", .buckets = bounds, .bucket_count = 2, .scale = 1e-9 },
    { 0 },
};

static void one_source(void *arg, struct gh_text *out)
{
    static const struct gh_metric m = { "gatehouse_asked", GH_METRIC_GAUGE, "Asked." };

    gh_metrics_emit_value(out, &m, *(uint64_t *)arg);
}

static void slots_are_summed_into_the_text_format(void **state)
{
    struct gh_metrics *m;
    struct gh_metric_set *s;
    struct gh_text t;
    uint64_t asked = 5;

    (void)state;
    assert_int_equal(gh_metrics_create(2, &m), 0);
    assert_int_equal(gh_metrics_register(m, table, &s), 0);
    assert_int_equal(gh_metrics_add_source(m, one_source, &asked), 0);
    gh_metric_add(s, 0, PACKETS, 0, 3);
    gh_metric_add(s, 1, PACKETS, 0, 4);
    gh_metric_add(s, 2, PACKETS, 1, 1); /* everyone else */
    gh_metric_set_value(s, 0, SESSIONS, 0, 5);
    gh_metric_set_value(s, 1, SESSIONS, 0, -7);
    gh_metric_observe(s, 0, FLIGHT, 1000000); /* a bound belongs to its bucket */
    gh_metric_observe(s, 0, FLIGHT, 1000001);
    gh_metric_observe(s, 1, FLIGHT, 20000000);
    gh_counter_add(&gh_metrics_drops(m, 0)[GH_DROP_POLICY], 2);
    gh_counter_add(&gh_metrics_drops(m, 1)[GH_DROP_POLICY], 1);
    gh_text_init(&t, 1u << 20);
    gh_metrics_emit(m, &t);
    assert_non_null(strstr(t.data, "# TYPE gatehouse_build_info gauge\ngatehouse_build_info{version=\"" GH_VERSION "\"} 1\n"));
    assert_non_null(strstr(t.data, "\ngatehouse_drops_total{reason=\"policy\"} 3\n"));
    assert_non_null(strstr(t.data, "\ngatehouse_drops_total{reason=\"ttl\"} 0\n"));
    assert_null(strstr(t.data, "reason=\"none\""));
    assert_non_null(strstr(t.data, "# HELP gatehouse_packets_total Packets.\n# TYPE gatehouse_packets_total counter\n"
                                   "gatehouse_packets_total{family=\"v4\"} 7\ngatehouse_packets_total{family=\"v\\\"6\\\"\"} 1\n"
                                   "# HELP gatehouse_sessions Sessions.\n# TYPE gatehouse_sessions gauge\ngatehouse_sessions -2\n"
                                   "# HELP gatehouse_handshake_seconds Time.\n# TYPE gatehouse_handshake_seconds histogram\n"
                                   "gatehouse_handshake_seconds_bucket{le=\"0.001\"} 1\n"
                                   "gatehouse_handshake_seconds_bucket{le=\"0.01\"} 2\n"
                                   "gatehouse_handshake_seconds_bucket{le=\"+Inf\"} 3\n"
                                   "gatehouse_handshake_seconds_sum 0.022000001\ngatehouse_handshake_seconds_count 3\n"
                                   "# HELP gatehouse_asked Asked.\n# TYPE gatehouse_asked gauge\ngatehouse_asked 5\n"));
    assert_int_equal(gh_metrics_dropped(m, GH_DROP_POLICY), 3);
    gh_text_fini(&t);
    gh_metrics_destroy(m);
}

static void a_slot_that_is_not_there_is_null(void **state)
{
    struct gh_metrics *m;
    struct gh_metric_set *s;

    (void)state;
    assert_int_equal(gh_metrics_create(1, &m), 0);
    assert_int_equal(gh_metrics_register(m, table, &s), 0);
    assert_non_null(gh_metric_slot(s, 1, PACKETS, 1));
    assert_null(gh_metric_slot(s, 2, PACKETS, 0));
    assert_null(gh_metric_slot(s, 0, PACKETS, 2));
    assert_null(gh_metric_slot(s, 0, 3, 0));
    gh_metric_add(NULL, 0, PACKETS, 0, 1);
    assert_null(gh_metrics_drops(m, 2));
    assert_ptr_equal((void *)((uintptr_t)gh_metric_slot(s, 1, PACKETS, 0) % 64), NULL);
    gh_metrics_destroy(m);
}

static void *count_up(void *arg)
{
    for (int i = 0; i < 100000; i++)
        gh_counter_add(arg, 1);
    return NULL;
}

static void workers_count_beside_a_scrape_without_losing_anything(void **state)
{
    struct gh_metrics *m;
    struct gh_metric_set *s;
    pthread_t threads[2];
    struct gh_text t;

    (void)state;
    assert_int_equal(gh_metrics_create(2, &m), 0);
    assert_int_equal(gh_metrics_register(m, table, &s), 0);
    for (unsigned w = 0; w < 2; w++)
        assert_int_equal(pthread_create(&threads[w], NULL, count_up, (void *)gh_metric_slot(s, w, SESSIONS, 0)), 0);
    gh_text_init(&t, 1u << 20);
    gh_metrics_emit(m, &t);
    for (unsigned w = 0; w < 2; w++)
        pthread_join(threads[w], NULL);
    assert_int_equal(gh_metric_sum(s, SESSIONS, 0), 200000);
    gh_text_fini(&t);
    gh_metrics_destroy(m);
}

static void a_node_is_ready_when_every_check_is(void **state)
{
    struct gh_ready_check checks[4];
    struct gh_ready *r;
    int tls, tun;

    (void)state;
    assert_int_equal(gh_ready_create(&r), 0);
    assert_true(gh_ready_all(r));
    tls = gh_ready_register(r, "tls");
    tun = gh_ready_register(r, "tun");
    assert_int_equal(gh_ready_register(r, "tls"), tls);
    assert_false(gh_ready_all(r));
    gh_ready_set(r, tls, true, NULL);
    gh_ready_set(r, tun, false, "no such device");
    gh_ready_set(r, 99, true, NULL);
    assert_false(gh_ready_all(r));
    assert_int_equal(gh_ready_list(r, checks, 4), 2);
    assert_string_equal(checks[1].name, "tun");
    assert_string_equal(checks[1].why, "no such device");
    gh_ready_set(r, tun, true, "ignored");
    assert_true(gh_ready_all(r));
    assert_int_equal(gh_ready_list(r, checks, 4), 2);
    assert_string_equal(checks[1].why, "");
    gh_ready_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_summed_into_the_text_format),
        cmocka_unit_test(a_slot_that_is_not_there_is_null),
        cmocka_unit_test(workers_count_beside_a_scrape_without_losing_anything),
        cmocka_unit_test(a_node_is_ready_when_every_check_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
