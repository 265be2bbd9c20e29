#include "services/admin/handler.h"

#include <jansson.h>
#include <stdio.h>

#include "base/drop.h"
#include "base/error.h"
#include "fake_stream.h"
#include "ports/lifecycle.h"
#include "ports/metrics.h"
#include "ports/node_status.h"
#include "ports/readiness.h"
#include "ports/session_directory.h"
#include "ports/trace.h"

#include "../../test.h"

#define OPERATOR_UID 990
#define HOUR (INT64_C(3600) * 1000000000)

/* A node as its ports show it. */
struct node {
    bool tun_up, draining, stuck;
    int64_t now;
    int kick_rc, reload_rc, stop_rc, watch_rc;
    struct gh_watch_filter filter;
    bool reload_now, reload_ok;
    gh_reload_done_fn reload_done;
    void *reload_arg;
    char kicked[GH_SESSION_ID_MAX + 1];
    unsigned session_count, metric_lines;
    char actions[256];
    struct gh_admin *admin;
    struct gh_fake_stream f;
};

static void each_check(void *self, gh_readiness_fn fn, void *arg)
{
    struct node *n = self;

    fn(arg, "tls", true, "");
    fn(arg, "tun", n->tun_up, n->tun_up ? "" : "device gh0 is down");
}

static bool is_draining(void *self)
{
    return ((struct node *)self)->draining;
}

static bool is_alive(void *self)
{
    return !((struct node *)self)->stuck;
}

static void read_status(void *self, struct gh_node_status *ret)
{
    static const struct gh_status_listener listeners[] = { { "relay", "udp", "[::]:4433" } };
    static const struct gh_status_worker workers[] = { { 0, 1, 100, 50, 3 }, { 1, 0, 7, 8, 0 } };
    static const struct gh_status_feature features[] = { { "udp_gso", true, true, "" }, { "tun_uso", false, false, "needs Linux 6.2" } };
    static const uint64_t drops[GH_DROP_COUNT] = { [GH_DROP_POLICY] = 12 };

    (void)self;
    ret->node = "edge-1";
    ret->generation = 3;
    ret->policy_version = "p7";
    ret->identity = "relay";
    ret->not_after = 1700000000;
    ret->cert_pin = "sha256:00ff";
    ret->sessions = 1;
    ret->flows = 9;
    ret->reload = (struct gh_reload_result){ 1700000000, false, 3, "relay.yaml:4:2: unknown key" };
    ret->listeners = listeners;
    ret->listener_count = 1;
    ret->workers = workers;
    ret->worker_count = 2;
    ret->features = features;
    ret->feature_count = 2;
    ret->drops = drops;
}

static void list_sessions(void *self, gh_session_fn fn, void *arg)
{
    struct node *n = self;
    struct gh_ip peer = gh_ip_v4("\xc0\0\x02\x09");
    struct gh_prefix prefixes[2];

    assert_int_equal(gh_prefix_parse("10.100.0.2/32", 13, &prefixes[0]), 0);
    assert_int_equal(gh_prefix_parse("2001:db8::2/128", 15, &prefixes[1]), 0);
    for (unsigned i = 0; i < n->session_count; i++) {
        char id[24];
        struct gh_session_row row = { .id = id, .client_id = i == 1 ? "caf\xe9" : "client-1", .peer = i == 1 ? NULL : &peer,
                                      .peer_port = 5000, .addresses = prefixes, .address_count = 2, .since = 1700000000,
                                      .rx_packets = 1, .rx_bytes = 84, .tx_packets = 2, .tx_bytes = UINT64_C(1) << 40,
                                      .flows = 4, .connections = 1, .worker = 1, .rtt_us = 12345, .mtu = 1411, .udp_payload = 1452,
                                      .datagrams_sent = 400, .datagrams_lost = 5 };

        snprintf(id, sizeof id, "s-%u", i);
        fn(arg, &row);
    }
}

static int kick(void *self, const char *id)
{
    struct node *n = self;

    snprintf(n->kicked, sizeof n->kicked, "%s", id);
    return n->kick_rc;
}

static void finish_reload(struct node *n)
{
    struct gh_reload_result result = { 1700000100, n->reload_ok, n->reload_ok ? 4 : 3,
                                       n->reload_ok ? "" : "relay.yaml:4:2: unknown key" };

    n->reload_done(n->reload_arg, &result);
}

static int reload(void *self, gh_reload_done_fn done, void *arg)
{
    struct node *n = self;

    n->reload_done = done;
    n->reload_arg = arg;
    if (n->reload_rc == 0 && n->reload_now)
        finish_reload(n);
    return n->reload_rc;
}

static int stop(void *self)
{
    return ((struct node *)self)->stop_rc;
}

static void emit_metrics(void *self, gh_metrics_write_fn write, void *arg)
{
    for (unsigned i = 0; i < ((struct node *)self)->metric_lines; i++)
        if (!write(arg, "gatehouse_up 1\n", 15))
            return;
}

static int64_t node_now(void *self)
{
    return ((struct node *)self)->now;
}

static int64_t node_wall(void *self)
{
    (void)self;
    return 1700000000;
}

static void on_action(void *self, const struct gh_admin_action *a)
{
    struct node *n = self;
    size_t len = strlen(n->actions);

    snprintf(n->actions + len, sizeof n->actions - len, "%s %s %u %d;", a->verb, a->object, a->uid, a->rc);
}

static void recorded(void *self, size_t max, gh_recorded_fn fn, void *arg)
{
    const struct gh_recorded rows[] = { { 0, INT64_C(1700000000000000001), "drop", "policy 1", 0x2a }, { 1, INT64_C(1700000000000000002), "policy", "generation 2", 0 } };

    (void)self;
    for (size_t i = 0; i < 2 && i < max; i++)
        fn(arg, &rows[i]);
}

static int watch(void *self, const struct gh_watch_filter *f, uint64_t *ret_id)
{
    struct node *n = self;

    n->filter = *f;
    *ret_id = 7;
    return n->watch_rc;
}

static int read_watched(void *self, uint64_t id, gh_watched_fn fn, void *arg, uint64_t *ret_lost)
{
    static const char packet[] = "{\"client_id\":\"client-1\",\"verdict\":\"pass\"}";

    (void)self;
    if (id != 7)
        return GH_ERR_NOT_FOUND;
    fn(arg, packet, sizeof packet - 1);
    *ret_lost = 3;
    return 0;
}

static int unwatch(void *self, uint64_t id)
{
    (void)self;
    return id == 7 ? 0 : GH_ERR_NOT_FOUND;
}

struct ports {
    struct gh_port_readiness readiness;
    struct gh_port_status status;
    struct gh_port_sessions sessions;
    struct gh_port_lifecycle lifecycle;
    struct gh_port_metrics metrics;
    struct gh_port_trace trace;
};

struct world {
    struct node n;
    struct ports p;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct gh_admin_config config;

    assert_non_null(w);
    w->p = (struct ports){ { each_check, is_draining, is_alive, w }, { read_status, w }, { list_sessions, kick, w },
                           { reload, stop, w }, { emit_metrics, w }, { recorded, watch, read_watched, unwatch, w } };
    w->n = (struct node){ .tun_up = true, .now = HOUR, .session_count = 2, .metric_lines = 1, .reload_ok = true };
    config = (struct gh_admin_config){ &w->p.readiness, &w->p.status, &w->p.sessions, &w->p.lifecycle, &w->p.metrics,
                                       "0.1.0", OPERATOR_UID, node_now, node_wall, on_action, w, &w->p.trace };
    assert_int_equal(gh_admin_create(&config, &w->n.admin), 0);
    w->n.now += 2 * HOUR;
    gh_fake_stream_init(&w->n.f);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    gh_fake_stream_fini(&w->n.f);
    gh_admin_destroy(w->n.admin);
    free(w);
    return 0;
}

static void fresh(struct node *n, uint32_t uid)
{
    gh_fake_stream_fini(&n->f);
    gh_fake_stream_init(&n->f);
    n->f.peer.uid = uid;
}

/* One request of <uid>; its status. */
static unsigned ask(struct node *n, uint32_t uid, const char *method, const char *path)
{
    fresh(n, uid);
    gh_fake_stream_request(&n->f, gh_admin_handler(n->admin), method, path, NULL, 0);
    return n->f.status;
}

static json_t *body_of(const struct node *n)
{
    json_t *body = json_loads(n->f.body, 0, NULL);

    assert_string_equal(gh_fake_stream_field(&n->f, "content-type"), "application/json");
    assert_string_equal(gh_fake_stream_field(&n->f, "cache-control"), "no-store");
    assert_true(n->f.ended);
    assert_int_equal(strtoul(gh_fake_stream_field(&n->f, "content-length"), NULL, 10), n->f.body_len);
    assert_non_null(body);
    return body;
}

static void assert_text(const json_t *in, const char *key, const char *want)
{
    assert_string_equal(json_string_value(json_object_get(in, key)), want);
}

static long long number(const json_t *in, const char *key)
{
    assert_true(json_is_integer(json_object_get(in, key)));
    return json_integer_value(json_object_get(in, key));
}

static void assert_problem(const struct node *n, const char *error)
{
    json_t *body = body_of(n);

    assert_text(body, "error", error);
    assert_true(json_is_string(json_object_get(body, "detail")));
    assert_true(json_is_string(json_object_get(body, "hint")));
    json_decref(body);
}

static void health_tells_version_uptime_and_time(void **state)
{
    struct node *n = *state;
    static const char *const paths[] = { "/health", "/healthz", "/health?x=y" };

    for (size_t i = 0; i < 3; i++) {
        json_t *body;

        assert_int_equal(ask(n, UINT32_MAX, "GET", paths[i]), 200);
        body = body_of(n);
        assert_text(body, "status", "ok");
        assert_text(body, "version", "0.1.0");
        assert_int_equal(number(body, "uptime_seconds"), 7200);
        assert_text(body, "timestamp", "2023-11-14T22:13:20Z"); /* date -u -d @1700000000 */
        json_decref(body);
    }
}

static void a_stuck_worker_is_not_alive_but_draining_and_unready_nodes_are(void **state)
{
    struct node *n = *state;

    n->tun_up = false;
    n->draining = true;
    assert_int_equal(ask(n, UINT32_MAX, "GET", "/livez"), 200);
    assert_int_equal(ask(n, UINT32_MAX, "GET", "/health"), 200);
    n->stuck = true;
    assert_int_equal(ask(n, UINT32_MAX, "GET", "/livez"), 503);
    assert_int_equal(ask(n, UINT32_MAX, "GET", "/health"), 503);
}

static void ready_names_what_fails(void **state)
{
    struct node *n = *state;
    json_t *body, *failing;

    assert_int_equal(ask(n, UINT32_MAX, "GET", "/ready"), 200);
    body = body_of(n);
    assert_text(body, "status", "ready");
    assert_int_equal(json_array_size(json_object_get(body, "failing")), 0);
    assert_null(json_object_get(body, "checks"));
    json_decref(body);

    n->tun_up = false;
    assert_int_equal(ask(n, UINT32_MAX, "GET", "/readyz"), 503);
    body = body_of(n);
    assert_text(body, "status", "not_ready");
    failing = json_object_get(body, "failing");
    assert_int_equal(json_array_size(failing), 1);
    assert_text(json_array_get(failing, 0), "name", "tun");
    assert_text(json_array_get(failing, 0), "detail", "device gh0 is down");
    json_decref(body);
}

static void verbose_lists_every_check_and_exclude_leaves_one_out(void **state)
{
    struct node *n = *state;
    json_t *body, *checks;

    n->tun_up = false;
    assert_int_equal(ask(n, UINT32_MAX, "GET", "/readyz?verbose&exclude=tun"), 200);
    body = body_of(n);
    checks = json_object_get(body, "checks");
    assert_int_equal(json_array_size(checks), 2);
    assert_int_equal(json_array_size(json_object_get(body, "listeners")), 1);
    assert_int_equal(json_array_size(json_object_get(body, "workers")), 2);
    assert_int_equal(json_array_size(json_object_get(body, "features")), 2);
    assert_text(json_array_get(checks, 0), "name", "tls");
    assert_true(json_is_true(json_object_get(json_array_get(checks, 0), "ok")));
    assert_true(json_is_false(json_object_get(json_array_get(checks, 1), "ok")));
    assert_true(json_is_true(json_object_get(json_array_get(checks, 1), "excluded")));
    json_decref(body);
    assert_int_equal(ask(n, UINT32_MAX, "GET", "/readyz?exclude=tls&exclude=tun"), 200);
    assert_int_equal(ask(n, UINT32_MAX, "GET", "/readyz?exclude=tu"), 503);
    assert_int_equal(ask(n, UINT32_MAX, "GET", "/readyz?exclude"), 503);
    assert_int_equal(ask(n, UINT32_MAX, "GET", "/readyz?&&=&exclude=tunn"), 503);
}

static void a_draining_node_is_not_ready_whatever_is_excluded(void **state)
{
    struct node *n = *state;
    json_t *body;

    n->draining = true;
    assert_int_equal(ask(n, UINT32_MAX, "GET", "/readyz?exclude=draining"), 503);
    body = body_of(n);
    assert_text(body, "status", "draining");
    assert_text(json_array_get(json_object_get(body, "failing"), 0), "name", "draining");
    json_decref(body);
}

static void metrics_are_prometheus_text(void **state)
{
    struct node *n = *state;

    assert_int_equal(ask(n, UINT32_MAX, "GET", "/metrics"), 200);
    assert_string_equal(n->f.body, "gatehouse_up 1\n");
    assert_string_equal(gh_fake_stream_field(&n->f, "content-type"), "text/plain; version=0.0.4; charset=utf-8");
    n->metric_lines = 0;
    assert_int_equal(ask(n, UINT32_MAX, "GET", "/metrics"), 200);
    assert_true(n->f.ended);
    n->metric_lines = 2000000; /* above what is kept */
    assert_int_equal(ask(n, UINT32_MAX, "GET", "/metrics"), 500);
}

static void status_shows_the_node(void **state)
{
    struct node *n = *state;
    json_t *body, *config, *row;
    const int paths = 2;

    n->tun_up = false;
    n->session_count = 3;
    assert_int_equal(ask(n, 1000, "GET", "/v1/status"), 200);
    body = body_of(n);
    assert_int_equal(number(body, "schema"), 1);
    assert_text(body, "node", "edge-1");
    assert_true(json_is_false(json_object_get(body, "ready")));
    assert_int_equal(json_array_size(json_object_get(body, "failing")), 1);
    config = json_object_get(body, "config");
    assert_int_equal(number(config, "generation"), 3);
    row = json_object_get(config, "last_reload");
    assert_true(json_is_false(json_object_get(row, "ok")));
    assert_text(row, "detail", "relay.yaml:4:2: unknown key");
    assert_text(row, "at", "2023-11-14T22:13:20Z");
    assert_text(json_object_get(body, "policy"), "version", "p7");
    assert_text(json_object_get(body, "identity"), "name", "relay");
    assert_text(json_object_get(body, "identity"), "not_after", "2023-11-14T22:13:20Z");
    assert_text(json_object_get(body, "identity"), "cert_pin", "sha256:00ff");
    row = json_object_get(body, "paths"); /* a session without a connection has none */
    assert_int_equal(number(row, "count"), paths);
    assert_int_equal(number(json_object_get(row, "rtt_us"), "min"), 12345);
    assert_int_equal(number(json_object_get(row, "mtu"), "max"), 1411);
    assert_int_equal(number(row, "datagrams_sent"), 400 * paths);
    assert_int_equal(number(row, "datagrams_lost"), 5 * paths);
    assert_text(json_array_get(json_object_get(body, "listeners"), 0), "address", "[::]:4433");
    row = json_array_get(json_object_get(body, "workers"), 0);
    assert_int_equal(number(row, "handed_over"), 3);
    row = json_array_get(json_object_get(body, "features"), 1);
    assert_text(row, "detail", "needs Linux 6.2");
    assert_int_equal(json_object_size(json_object_get(body, "drops")), 1);
    assert_int_equal(number(json_object_get(body, "drops"), "policy"), 12);
    json_decref(body);
}

static void sessions_are_listed_with_hostile_names_made_harmless(void **state)
{
    struct node *n = *state;
    json_t *body, *row;

    assert_int_equal(ask(n, 0, "GET", "/v1/sessions"), 200);
    body = body_of(n);
    assert_int_equal(json_array_size(json_object_get(body, "sessions")), 2);
    row = json_array_get(json_object_get(body, "sessions"), 0);
    assert_text(row, "id", "s-0");
    assert_text(row, "client_id", "client-1");
    assert_string_equal(json_string_value(json_array_get(json_object_get(row, "addresses"), 1)), "2001:db8::2/128");
    assert_text(json_object_get(row, "peer"), "address", "192.0.2.9");
    assert_true(number(row, "tx_bytes") == 1099511627776);
    assert_true(number(row, "rtt_us") == 12345);
    assert_true(number(row, "mtu") == 1411);
    assert_true(number(row, "udp_payload") == 1452);
    assert_true(number(row, "datagrams_sent") == 400);
    assert_true(number(row, "datagrams_lost") == 5);
    row = json_array_get(json_object_get(body, "sessions"), 1);
    assert_text(row, "client_id", "caf?");
    assert_true(json_is_null(json_object_get(row, "peer")));
    json_decref(body);
}

static void kicking_names_the_session_and_is_reported(void **state)
{
    struct node *n = *state;

    assert_int_equal(ask(n, OPERATOR_UID, "DELETE", "/v1/sessions/s-1?x"), 202);
    assert_string_equal(n->kicked, "s-1");
    n->kick_rc = GH_ERR_NOT_FOUND;
    assert_int_equal(ask(n, 0, "DELETE", "/v1/sessions/gone"), 404);
    assert_problem(n, "no_such_session");
    n->kick_rc = GH_ERR_SYSTEM;
    assert_int_equal(ask(n, 0, "DELETE", "/v1/sessions/a"), 500);
    assert_string_equal(n->actions, "kick s-1 990 0;kick gone 0 -5;kick a 0 -10;");
}

static void an_id_that_could_not_be_one_never_reaches_the_directory(void **state)
{
    struct node *n = *state;
    char longer[128] = "/v1/sessions/";

    memset(longer + 13, 'a', GH_SESSION_ID_MAX + 1);
    assert_int_equal(ask(n, 0, "DELETE", longer), 400);
    assert_int_equal(ask(n, 0, "DELETE", "/v1/sessions/a%2f"), 400);
    assert_int_equal(ask(n, 0, "DELETE", "/v1/sessions/a b"), 400);
    assert_int_equal(ask(n, 0, "DELETE", "/v1/sessions/a/b"), 404);
    assert_int_equal(ask(n, 0, "DELETE", "/v1/sessions/"), 404);
    assert_string_equal(n->kicked, "");
}

static void only_the_operator_on_the_unix_socket_may_see_sessions_and_change_things(void **state)
{
    static const struct {
        const char *method, *path;
        unsigned tcp, stranger, own, root;
    } cases[] = {
        { "GET", "/health", 200, 200, 200, 200 },
        { "GET", "/metrics", 200, 200, 200, 200 },
        { "GET", "/v1/status", 403, 200, 200, 200 },
        { "GET", "/v1/sessions", 403, 403, 200, 200 },
        { "DELETE", "/v1/sessions/a", 403, 403, 202, 202 },
        { "POST", "/v1/reload", 403, 403, 200, 200 },
        { "POST", "/v1/stop", 403, 403, 202, 202 },
        { "PUT", "/v1/reload", 403, 403, 405, 405 },
    };
    struct node *n = *state;

    n->reload_now = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        n->actions[0] = 0;
        assert_int_equal(ask(n, UINT32_MAX, cases[i].method, cases[i].path), cases[i].tcp);
        assert_int_equal(ask(n, 1000, cases[i].method, cases[i].path), cases[i].stranger);
        if (cases[i].stranger == 403) {
            assert_problem(n, "denied");
            assert_string_equal(n->actions, "");
        }
        assert_int_equal(ask(n, OPERATOR_UID, cases[i].method, cases[i].path), cases[i].own);
        assert_int_equal(ask(n, 0, cases[i].method, cases[i].path), cases[i].root);
    }
}

static void an_operator_uid_of_nobody_opens_nothing_on_tcp(void **state)
{
    struct world *w = *state;
    struct gh_admin_config config = { .readiness = &w->p.readiness, .sessions = &w->p.sessions, .version = "",
                                      .operator_uid = UINT32_MAX, .now = node_now, .wall = node_wall, .self = w };
    struct gh_admin *first = w->n.admin;

    assert_int_equal(gh_admin_create(&config, &w->n.admin), 0);
    assert_int_equal(ask(&w->n, UINT32_MAX, "GET", "/v1/sessions"), 403);
    /* what the node does not offer is not there */
    assert_int_equal(ask(&w->n, 0, "GET", "/v1/status"), 404);
    assert_int_equal(ask(&w->n, 0, "GET", "/metrics"), 404);
    assert_int_equal(ask(&w->n, 0, "POST", "/v1/reload"), 404);
    assert_int_equal(ask(&w->n, 0, "POST", "/v1/stop"), 404);
    gh_admin_destroy(w->n.admin);
    w->n.admin = first;
}

static void reload_answers_at_once_or_later(void **state)
{
    struct node *n = *state;
    json_t *body;

    n->reload_now = true;
    assert_int_equal(ask(n, 0, "POST", "/v1/reload"), 200);
    body = body_of(n);
    assert_int_equal(number(body, "generation"), 4);
    json_decref(body);

    n->reload_now = false;
    n->reload_ok = false;
    assert_int_equal(ask(n, 0, "POST", "/v1/reload"), 0);
    gh_fake_stream_body(&n->f, "{}", 2, true);
    finish_reload(n);
    assert_int_equal(n->f.status, 422);
    assert_problem(n, "reload_failed");
    assert_non_null(strstr(n->f.body, "relay.yaml:4:2: unknown key"));
    assert_string_equal(n->actions, "reload  0 0;reload  0 -2;");
}

static void a_reload_outlives_the_client_that_asked_for_it(void **state)
{
    struct node *n = *state;

    assert_int_equal(ask(n, 0, "POST", "/v1/reload"), 0);
    gh_fake_stream_close(&n->f, GH_HTTP_REQUEST_CANCELLED);
    finish_reload(n);
    assert_int_equal(n->f.status, 0);
    assert_string_equal(n->actions, "reload  0 0;");
}

static void a_second_reload_is_told_to_wait(void **state)
{
    struct node *n = *state;

    n->reload_rc = GH_ERR_STATE;
    assert_int_equal(ask(n, 0, "POST", "/v1/reload"), 409);
    n->reload_rc = GH_ERR_SYSTEM;
    assert_int_equal(ask(n, 0, "POST", "/v1/reload"), 500);
    n->stop_rc = GH_ERR_STATE; /* it stops already: that is what was asked for */
    assert_int_equal(ask(n, 0, "POST", "/v1/stop"), 202);
}

static void unknown_paths_are_404_and_wrong_methods_405_with_allow(void **state)
{
    static const char *const missing[] = { "/", "*", "", "/healt", "/healthx", "/health/", "/v1", "/v1/", "/V1/status", "/%68ealth" };
    struct node *n = *state;

    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        assert_int_equal(ask(n, 0, "GET", missing[i]), 404);
        assert_problem(n, "not_found");
    }
    assert_int_equal(ask(n, 0, "POST", "/health"), 405);
    assert_string_equal(gh_fake_stream_field(&n->f, "allow"), "GET, HEAD");
    assert_problem(n, "method_not_allowed");
    assert_int_equal(ask(n, 0, "GET", "/v1/sessions/a"), 405);
    assert_string_equal(gh_fake_stream_field(&n->f, "allow"), "DELETE");
    assert_int_equal(ask(n, 0, "CONNECT", ""), 404);
}

static void head_has_the_same_fields_and_no_body(void **state)
{
    struct node *n = *state;
    char length[16];

    assert_int_equal(ask(n, 0, "GET", "/livez"), 200);
    snprintf(length, sizeof length, "%s", gh_fake_stream_field(&n->f, "content-length"));
    assert_int_equal(ask(n, 0, "HEAD", "/livez"), 200);
    assert_string_equal(gh_fake_stream_field(&n->f, "content-length"), length);
    assert_true(n->f.ended);
    assert_int_equal(n->f.body_len, 0);
    assert_int_equal(ask(n, 0, "HEAD", "/v1/reload"), 405);
}

static void a_long_answer_waits_for_a_slow_client(void **state)
{
    struct node *n = *state;
    json_t *body;
    unsigned turns = 0;

    n->session_count = 1000;
    fresh(n, 0);
    n->f.room = 100;
    gh_fake_stream_request(&n->f, gh_admin_handler(n->admin), "GET", "/v1/sessions", NULL, 0);
    assert_int_equal(n->f.status, 200);
    assert_false(n->f.ended);
    for (; !n->f.ended; turns++)
        gh_fake_stream_writable(&n->f, 40000);
    assert_true(turns > 2);
    body = body_of(n);
    assert_int_equal(json_array_size(json_object_get(body, "sessions")), 1000);
    json_decref(body);

    fresh(n, 0); /* and one that goes away in the middle leaks nothing */
    n->f.room = 100;
    gh_fake_stream_request(&n->f, gh_admin_handler(n->admin), "GET", "/v1/sessions", NULL, 0);
    gh_fake_stream_writable(&n->f, 40000);
    assert_false(n->f.ended);
    gh_fake_stream_close(&n->f, GH_HTTP_REQUEST_CANCELLED);
}

#define admin_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void what_was_recorded_is_told_with_a_limit(void **state)
{
    struct node *n = *state;
    json_t *body, *events;

    assert_int_equal(ask(n, 0, "GET", "/v1/trace"), 200);
    body = body_of(n);
    events = json_object_get(body, "events");
    assert_int_equal(json_array_size(events), 2);
    assert_text(json_array_get(events, 0), "event", "drop");
    assert_text(json_array_get(events, 0), "text", "policy 1");
    assert_text(json_array_get(events, 0), "session_id", "000000000000002a");
    assert_int_equal(number(json_array_get(events, 1), "at_ns"), INT64_C(1700000000000000002));
    assert_int_equal(number(json_array_get(events, 1), "worker"), 1);
    json_decref(body);
    assert_int_equal(ask(n, 0, "GET", "/v1/trace?limit=1"), 200);
    body = body_of(n);
    assert_int_equal(json_array_size(json_object_get(body, "events")), 1);
    json_decref(body);
    assert_int_equal(ask(n, 0, "GET", "/v1/trace?limit=0"), 400);
    assert_int_equal(ask(n, 0, "GET", "/v1/trace?limit=65537"), 400);
    assert_int_equal(ask(n, OPERATOR_UID + 1, "GET", "/v1/trace"), 403);
    assert_int_equal(ask(n, UINT32_MAX, "POST", "/v1/trace/watch"), 403);
}

static void packets_are_watched_by_a_filter(void **state)
{
    struct node *n = *state;
    struct gh_prefix want;
    json_t *body;

    assert_int_equal(gh_prefix_parse("9.9.9.9/32", 10, &want), 0);
    assert_int_equal(ask(n, 0, "POST", "/v1/trace/watch?client=a%20b&to=9.9.9.9%2f32&port=443&protocol=6"), 201);
    body = body_of(n);
    assert_text(body, "id", "7");
    json_decref(body);
    assert_string_equal(n->filter.client, "a b");
    assert_true(gh_ip_equals(&n->filter.to.addr, &want.addr) && n->filter.to.len == 32);
    assert_int_equal(n->filter.port, 443);
    assert_int_equal(n->filter.protocol, 6);
    assert_string_equal(n->actions, "trace a b 0 0;");
    assert_int_equal(ask(n, 0, "GET", "/v1/trace/watch/7"), 200);
    body = body_of(n);
    assert_int_equal(number(body, "lost"), 3);
    assert_text(json_array_get(json_object_get(body, "packets"), 0), "verdict", "pass");
    json_decref(body);
    assert_int_equal(ask(n, 0, "DELETE", "/v1/trace/watch/7"), 200);
    assert_int_equal(ask(n, 0, "GET", "/v1/trace/watch/8"), 404);
    assert_int_equal(ask(n, 0, "DELETE", "/v1/trace/watch/x"), 404);
}

static void a_filter_that_cannot_be_is_refused(void **state)
{
    struct node *n = *state;
    static const char *const wrong[] = { "to=nowhere", "to=9.9.9.9/33", "port=65536", "port=x", "protocol=256", "client=%", "client=%zz", "client=%00", "port=" };
    char path[64];

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(path, sizeof path, "/v1/trace/watch?%s", wrong[i]);
        assert_int_equal(ask(n, 0, "POST", path), 400);
        assert_problem(n, "bad_request");
    }
    n->watch_rc = GH_ERR_FULL;
    assert_int_equal(ask(n, 0, "POST", "/v1/trace/watch"), 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        admin_test(health_tells_version_uptime_and_time),
        admin_test(a_stuck_worker_is_not_alive_but_draining_and_unready_nodes_are),
        admin_test(ready_names_what_fails),
        admin_test(verbose_lists_every_check_and_exclude_leaves_one_out),
        admin_test(a_draining_node_is_not_ready_whatever_is_excluded),
        admin_test(metrics_are_prometheus_text),
        admin_test(status_shows_the_node),
        admin_test(sessions_are_listed_with_hostile_names_made_harmless),
        admin_test(kicking_names_the_session_and_is_reported),
        admin_test(an_id_that_could_not_be_one_never_reaches_the_directory),
        admin_test(only_the_operator_on_the_unix_socket_may_see_sessions_and_change_things),
        admin_test(an_operator_uid_of_nobody_opens_nothing_on_tcp),
        admin_test(reload_answers_at_once_or_later),
        admin_test(a_reload_outlives_the_client_that_asked_for_it),
        admin_test(a_second_reload_is_told_to_wait),
        admin_test(unknown_paths_are_404_and_wrong_methods_405_with_allow),
        admin_test(head_has_the_same_fields_and_no_body),
        admin_test(a_long_answer_waits_for_a_slow_client),
        admin_test(what_was_recorded_is_told_with_a_limit),
        admin_test(packets_are_watched_by_a_filter),
        admin_test(a_filter_that_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
