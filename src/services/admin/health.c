#include <stdlib.h>

#include "ports/metrics.h"
#include "ports/node_status.h"
#include "ports/readiness.h"
#include "services/admin/request.h"

#define METRICS_MAX ((size_t)16 << 20)

bool gh_admin_query_next(struct gh_span *query, struct gh_span *ret_name, struct gh_span *ret_value)
{
    while (query->len > 0) {
        const uint8_t *amp = memchr(query->data, '&', query->len), *equals;
        size_t len = amp ? (size_t)(amp - query->data) : query->len;
        struct gh_span one = gh_span_of(query->data, len);

        *query = amp ? gh_span_of(amp + 1, query->len - len - 1) : gh_span_of(NULL, 0);
        if (len == 0)
            continue;
        equals = memchr(one.data, '=', len);
        *ret_name = gh_span_of(one.data, equals ? (size_t)(equals - one.data) : len);
        *ret_value = equals ? gh_span_of(equals + 1, len - ret_name->len - 1) : gh_span_of(NULL, 0);
        return true;
    }
    return false;
}

static bool is_excluded(struct gh_span query, const char *check)
{
    struct gh_span name, value;

    while (gh_admin_query_next(&query, &name, &value))
        if (gh_span_equals(name, gh_span_str("exclude")) && gh_span_equals(value, gh_span_str(check)))
            return true;
    return false;
}

static bool is_verbose(struct gh_span query)
{
    struct gh_span name, value;

    while (gh_admin_query_next(&query, &name, &value))
        if (gh_span_equals(name, gh_span_str("verbose")))
            return !gh_span_equals(value, gh_span_str("0")) && !gh_span_equals(value, gh_span_str("false"));
    return false;
}

struct reading {
    struct gh_span query;
    struct gh_admin_readiness *ret;
};

static void add_failing(struct gh_admin_readiness *to, const char *name, const char *detail)
{
    json_t *row = json_object();

    gh_admin_json_set(&row, "name", gh_admin_json_text(name));
    gh_admin_json_set(&row, "detail", gh_admin_json_text(detail));
    gh_admin_json_add(&to->failing, row);
    to->ready = false;
}

static void on_check(void *arg, const char *name, bool ok, const char *detail)
{
    struct reading *reading = arg;
    bool excluded = is_excluded(reading->query, name);
    json_t *row = json_object();

    gh_admin_json_set(&row, "name", gh_admin_json_text(name));
    gh_admin_json_set(&row, "ok", json_boolean(ok));
    gh_admin_json_set(&row, "excluded", json_boolean(excluded));
    gh_admin_json_set(&row, "detail", gh_admin_json_text(detail));
    gh_admin_json_add(&reading->ret->checks, row);
    if (!ok && !excluded)
        add_failing(reading->ret, name, detail);
}

void gh_admin_readiness_read(const struct gh_admin *a, struct gh_span query, struct gh_admin_readiness *ret)
{
    const struct gh_port_readiness *port = a->config.readiness;
    struct reading reading = { query, ret };

    *ret = (struct gh_admin_readiness){ .failing = json_array(), .checks = json_array(), .ready = true };
    ret->draining = port->draining(port->self);
    /* who drains is never ready: "exclude" is for checks, not for the wish to be left alone */
    if (ret->draining)
        add_failing(ret, "draining", "the node is draining: it takes no new work");
    port->each(port->self, on_check, &reading);
}

static void add_parts(const struct gh_admin *a, json_t **body)
{
    struct gh_node_status s = { 0 };

    if (!a->config.status)
        return;
    a->config.status->read(a->config.status->self, &s);
    gh_admin_json_parts(body, &s);
}

void gh_admin_ready_serve(const struct gh_admin_request *r)
{
    struct gh_admin_readiness reading;
    json_t *body = json_object();

    gh_admin_readiness_read(r->admin, r->query, &reading);
    gh_admin_json_set(&body, "status", json_string(reading.draining ? "draining" : reading.ready ? "ready" : "not_ready"));
    gh_admin_json_set(&body, "failing", reading.failing);
    if (is_verbose(r->query)) {
        gh_admin_json_set(&body, "checks", reading.checks);
        add_parts(r->admin, &body);
    } else {
        json_decref(reading.checks);
    }
    gh_admin_reply_json(r, reading.ready ? 200 : 503, body);
}

static bool is_alive(const struct gh_admin *a)
{
    const struct gh_port_readiness *port = a->config.readiness;

    return !port->alive || port->alive(port->self);
}

void gh_admin_live_serve(const struct gh_admin_request *r)
{
    bool alive = is_alive(r->admin);
    json_t *body = json_object();

    gh_admin_json_set(&body, "status", json_string(alive ? "ok" : "stuck"));
    gh_admin_reply_json(r, alive ? 200 : 503, body);
}

void gh_admin_health_serve(const struct gh_admin_request *r)
{
    const struct gh_admin *a = r->admin;
    bool alive = is_alive(a);
    json_t *body = json_object();

    gh_admin_json_set(&body, "status", json_string(alive ? "ok" : "stuck"));
    gh_admin_json_set(&body, "version", gh_admin_json_text(a->config.version));
    gh_admin_json_set(&body, "uptime_seconds", json_integer(gh_admin_uptime(a)));
    gh_admin_json_set(&body, "timestamp", gh_admin_json_time(a->config.wall(a->config.self)));
    gh_admin_reply_json(r, alive ? 200 : 503, body);
}

struct text {
    char *data;
    size_t len, cap;
    bool failed;
};

static bool append(void *arg, const char *data, size_t len)
{
    struct text *t = arg;

    if (t->failed || len > METRICS_MAX - t->len) {
        t->failed = true;
        return false;
    }
    if (t->len + len > t->cap) {
        size_t cap = t->cap ? t->cap : 8192;
        char *grown;

        while (cap < t->len + len)
            cap *= 2;
        grown = realloc(t->data, cap);
        if (!grown) {
            t->failed = true;
            return false;
        }
        t->data = grown;
        t->cap = cap;
    }
    if (len > 0)
        memcpy(t->data + t->len, data, len);
    t->len += len;
    return true;
}

void gh_admin_metrics_serve(const struct gh_admin_request *r)
{
    const struct gh_port_metrics *port = r->admin->config.metrics;
    struct text t = { 0 };

    if (!port) {
        gh_admin_reply_problem(r, 404, "not_found", "this node keeps no metrics", "");
        return;
    }
    port->emit(port->self, append, &t);
    if (t.failed) {
        free(t.data);
        gh_admin_reply_problem(r, 500, "too_long", "the metrics do not fit", "");
        return;
    }
    gh_admin_reply_text(r, 200, "text/plain; version=0.0.4; charset=utf-8", t.data, t.len);
}
