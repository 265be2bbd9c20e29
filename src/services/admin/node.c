#include <stdlib.h>

#include "base/drop.h"
#include "base/error.h"
#include "ports/lifecycle.h"
#include "ports/node_status.h"
#include "ports/session_directory.h"
#include "services/admin/request.h"

static json_t *listeners_json(const struct gh_node_status *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->listener_count; i++) {
        json_t *row = json_object();

        gh_admin_json_set(&row, "service", gh_admin_json_text(s->listeners[i].service));
        gh_admin_json_set(&row, "transport", gh_admin_json_text(s->listeners[i].transport));
        gh_admin_json_set(&row, "address", gh_admin_json_text(s->listeners[i].address));
        gh_admin_json_add(&list, row);
    }
    return list;
}

static json_t *workers_json(const struct gh_node_status *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->worker_count; i++) {
        const struct gh_status_worker *w = &s->workers[i];
        json_t *row = json_object();

        gh_admin_json_set(&row, "index", json_integer(w->index));
        gh_admin_json_set(&row, "sessions", json_integer(w->sessions));
        gh_admin_json_set(&row, "rx_packets", json_integer((json_int_t)w->rx_packets));
        gh_admin_json_set(&row, "tx_packets", json_integer((json_int_t)w->tx_packets));
        gh_admin_json_set(&row, "handed_over", json_integer((json_int_t)w->handed_over));
        gh_admin_json_add(&list, row);
    }
    return list;
}

static json_t *features_json(const struct gh_node_status *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->feature_count; i++) {
        json_t *row = json_object();

        gh_admin_json_set(&row, "name", gh_admin_json_text(s->features[i].name));
        gh_admin_json_set(&row, "on", json_boolean(s->features[i].on));
        gh_admin_json_set(&row, "tested", json_boolean(s->features[i].tested));
        gh_admin_json_set(&row, "detail", gh_admin_json_text(s->features[i].detail));
        gh_admin_json_add(&list, row);
    }
    return list;
}

void gh_admin_json_parts(json_t **to, const struct gh_node_status *s)
{
    gh_admin_json_set(to, "listeners", listeners_json(s));
    gh_admin_json_set(to, "workers", workers_json(s));
    gh_admin_json_set(to, "features", features_json(s));
}

static json_t *drops_json(const struct gh_node_status *s)
{
    json_t *drops = json_object();

    for (int d = GH_DROP_NONE + 1; s->drops && d < GH_DROP_COUNT; d++)
        if (s->drops[d] > 0)
            gh_admin_json_set(&drops, gh_drop_name((enum gh_drop)d), json_integer((json_int_t)s->drops[d]));
    return drops;
}

static json_t *config_json(const struct gh_node_status *s)
{
    json_t *config = json_object(), *reload = json_null();

    if (s->reload.at != 0) {
        reload = json_object();
        gh_admin_json_set(&reload, "at", gh_admin_json_time(s->reload.at));
        gh_admin_json_set(&reload, "ok", json_boolean(s->reload.ok));
        gh_admin_json_set(&reload, "detail", gh_admin_json_text(s->reload.detail));
    }
    gh_admin_json_set(&config, "generation", json_integer((json_int_t)s->generation));
    gh_admin_json_set(&config, "last_reload", reload);
    return config;
}

static json_t *identity_json(const struct gh_node_status *s)
{
    json_t *identity = json_object();

    gh_admin_json_set(&identity, "name", gh_admin_json_text(s->identity));
    gh_admin_json_set(&identity, "not_after", s->not_after ? gh_admin_json_time(s->not_after) : json_null());
    gh_admin_json_set(&identity, "cert_pin", s->cert_pin && *s->cert_pin ? gh_admin_json_text(s->cert_pin) : json_null());
    return identity;
}

/* All paths at a glance; /v1/sessions has each. */
struct paths {
    unsigned count; /* whose round-trip time is known */
    uint32_t rtt[2], mtu[2]; /* smallest and largest */
    uint64_t sent, lost;
};

static void extend(uint32_t range[2], uint32_t value, bool first)
{
    range[0] = first || value < range[0] ? value : range[0];
    range[1] = first || value > range[1] ? value : range[1];
}

static void add_path(void *arg, const struct gh_session_row *s)
{
    struct paths *p = arg;

    if (!s->peer || !s->rtt_us)
        return;
    extend(p->rtt, s->rtt_us, p->count == 0);
    extend(p->mtu, s->mtu, p->count == 0);
    p->count++;
    p->sent += s->datagrams_sent;
    p->lost += s->datagrams_lost;
}

static json_t *range_json(const uint32_t range[2])
{
    json_t *o = json_object();

    gh_admin_json_set(&o, "min", json_integer(range[0]));
    gh_admin_json_set(&o, "max", json_integer(range[1]));
    return o;
}

static json_t *paths_json(const struct gh_port_sessions *port)
{
    struct paths p = { 0 };
    json_t *o = json_object();

    if (port)
        port->list(port->self, add_path, &p);
    gh_admin_json_set(&o, "count", json_integer(p.count));
    gh_admin_json_set(&o, "rtt_us", range_json(p.rtt));
    gh_admin_json_set(&o, "mtu", range_json(p.mtu));
    gh_admin_json_set(&o, "datagrams_sent", json_integer((json_int_t)p.sent));
    gh_admin_json_set(&o, "datagrams_lost", json_integer((json_int_t)p.lost));
    return o;
}

void gh_admin_status_serve(const struct gh_admin_request *r)
{
    const struct gh_admin *a = r->admin;
    struct gh_admin_readiness reading;
    struct gh_node_status s = { 0 };
    json_t *body, *policy;

    if (!a->config.status) {
        gh_admin_reply_problem(r, 404, "not_found", "this node has no status to tell", "");
        return;
    }
    a->config.status->read(a->config.status->self, &s);
    gh_admin_readiness_read(a, gh_span_of(NULL, 0), &reading);
    json_decref(reading.checks);
    body = json_object();
    gh_admin_json_set(&body, "schema", json_integer(1));
    gh_admin_json_set(&body, "version", gh_admin_json_text(a->config.version));
    gh_admin_json_set(&body, "node", gh_admin_json_text(s.node));
    gh_admin_json_set(&body, "identity", identity_json(&s));
    gh_admin_json_set(&body, "uptime_seconds", json_integer(gh_admin_uptime(a)));
    gh_admin_json_set(&body, "timestamp", gh_admin_json_time(a->config.wall(a->config.self)));
    gh_admin_json_set(&body, "ready", json_boolean(reading.ready));
    gh_admin_json_set(&body, "draining", json_boolean(reading.draining));
    gh_admin_json_set(&body, "failing", reading.failing);
    gh_admin_json_set(&body, "config", config_json(&s));
    policy = json_object();
    gh_admin_json_set(&policy, "version", gh_admin_json_text(s.policy_version));
    gh_admin_json_set(&body, "policy", policy);
    gh_admin_json_set(&body, "sessions", json_integer(s.sessions));
    gh_admin_json_set(&body, "flows", json_integer(s.flows));
    gh_admin_json_set(&body, "paths", paths_json(a->config.sessions));
    gh_admin_json_parts(&body, &s);
    gh_admin_json_set(&body, "drops", drops_json(&s));
    gh_admin_reply_json(r, 200, body);
}

/* A reload that runs. The stream may go away before it ends. */
struct reload {
    struct gh_admin *admin;
    struct gh_http_stream *stream; /* NULL: gone */
    uint32_t uid;
};

static void on_reload_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct reload *p = arg;

    (void)s;
    (void)code;
    p->stream = NULL;
}

static const struct gh_http_events reload_events = { .on_closed = on_reload_closed };

static void on_reloaded(void *arg, const struct gh_reload_result *result)
{
    struct reload *p = arg;
    struct gh_admin_request r = { .admin = p->admin, .stream = p->stream };
    json_t *body;

    gh_admin_act(p->admin, "reload", "", p->uid, result->ok ? 0 : GH_ERR_MALFORMED);
    free(p);
    if (!r.stream)
        return;
    body = json_object();
    if (result->ok) {
        gh_admin_json_set(&body, "schema", json_integer(1));
        gh_admin_json_set(&body, "ok", json_true());
    } else {
        gh_admin_json_set(&body, "error", json_string("reload_failed"));
        gh_admin_json_set(&body, "detail", gh_admin_json_text(result->detail));
        gh_admin_json_set(&body, "hint", json_string("nothing was changed; correct the file and reload again"));
    }
    gh_admin_json_set(&body, "generation", json_integer((json_int_t)result->generation));
    gh_admin_reply_json(&r, result->ok ? 200 : 422, body);
}

void gh_admin_reload_serve(const struct gh_admin_request *r)
{
    const struct gh_port_lifecycle *port = r->admin->config.lifecycle;
    struct reload *p;
    int rc;

    if (!port || !port->reload) {
        gh_admin_reply_problem(r, 404, "not_found", "this node cannot reload", "restart it instead");
        return;
    }
    p = calloc(1, sizeof *p);
    if (!p) {
        gh_admin_reply_json(r, 500, NULL);
        return;
    }
    *p = (struct reload){ r->admin, r->stream, gh_http_peer(r->stream)->uid };
    r->stream->events = &reload_events;
    r->stream->arg = p;
    rc = port->reload(port->self, on_reloaded, p);
    if (rc == 0)
        return; /* <p> may be gone already */
    gh_admin_act(r->admin, "reload", "", p->uid, rc);
    free(p);
    if (rc == GH_ERR_STATE)
        gh_admin_reply_problem(r, 409, "busy", "a reload is under way", "try again in a moment");
    else
        gh_admin_reply_problem(r, 500, "reload_failed", gh_error_text(rc), "the log says more");
}

void gh_admin_stop_serve(const struct gh_admin_request *r)
{
    const struct gh_port_lifecycle *port = r->admin->config.lifecycle;
    json_t *body;
    int rc;

    if (!port || !port->stop) {
        gh_admin_reply_problem(r, 404, "not_found", "this node is not stopped from here", "systemctl stop gatehouse");
        return;
    }
    rc = port->stop(port->self);
    gh_admin_act(r->admin, "stop", "", gh_http_peer(r->stream)->uid, rc);
    if (rc < 0 && rc != GH_ERR_STATE) {
        gh_admin_reply_problem(r, 500, "stop_failed", gh_error_text(rc), "the log says more");
        return;
    }
    body = json_object();
    gh_admin_json_set(&body, "schema", json_integer(1));
    gh_admin_json_set(&body, "state", json_string("stopping"));
    gh_admin_reply_json(r, 202, body);
}
