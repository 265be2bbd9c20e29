/* The flight recorder, and packets that an operator watches. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "ports/trace.h"
#include "services/admin/request.h"

#define LIMIT_MAX 65536u

/* The value of a parameter, percent-decoded, as a string. False when it does not fit or is malformed. */
static bool decode(struct gh_span from, char *ret, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < from.len; i++) {
        unsigned c = from.data[i];

        if (c == '%') {
            char hex[3] = { 0 }, *end;

            if (from.len - i < 3)
                return false;
            memcpy(hex, from.data + i + 1, 2);
            c = (unsigned)strtoul(hex, &end, 16);
            if (end != hex + 2 || c == 0)
                return false;
            i += 2;
        }
        if (n + 1 >= cap)
            return false;
        ret[n++] = (char)c;
    }
    ret[n] = 0;
    return true;
}

/* 1 when <name> is there, 0 when not, GH_ERR_MALFORMED. */
static int parameter(struct gh_span query, const char *name, char *ret, size_t cap)
{
    struct gh_span key, value;

    while (gh_admin_query_next(&query, &key, &value))
        if (gh_span_equals(key, gh_span_str(name)))
            return decode(value, ret, cap) ? 1 : GH_ERR_MALFORMED;
    return 0;
}

/* ---- what was recorded ---- */

static void add_event(void *arg, const struct gh_recorded *row)
{
    json_t **list = arg, *o = json_object();
    char session[17] = "";

    if (row->session)
        snprintf(session, sizeof session, "%016" PRIx64, row->session);
    gh_admin_json_set(&o, "worker", json_integer(row->worker));
    gh_admin_json_set(&o, "at_ns", json_integer(row->wall_ns));
    gh_admin_json_set(&o, "event", gh_admin_json_text(row->event));
    gh_admin_json_set(&o, "session_id", gh_admin_json_text(session));
    gh_admin_json_set(&o, "text", gh_admin_json_text(row->text));
    gh_admin_json_add(list, o);
}

void gh_admin_trace_serve(const struct gh_admin_request *r)
{
    const struct gh_port_trace *port = r->admin->config.trace;
    char text[16];
    unsigned long limit = 1000;
    json_t *body, *list;
    int rc = parameter(r->query, "limit", text, sizeof text);

    if (!port || !port->recorded) {
        gh_admin_reply_problem(r, 404, "not_found", "this node records nothing", "");
        return;
    }
    if (rc == 1)
        limit = strtoul(text, NULL, 10);
    if (rc < 0 || limit < 1 || limit > LIMIT_MAX) {
        gh_admin_reply_problem(r, 400, "bad_request", "limit is a number from 1 to 65536", "/v1/trace?limit=1000");
        return;
    }
    list = json_array();
    port->recorded(port->self, limit, add_event, &list);
    body = json_object();
    gh_admin_json_set(&body, "schema", json_integer(1));
    gh_admin_json_set(&body, "events", list);
    gh_admin_reply_json(r, 200, body);
}

/* ---- packets that are watched ---- */

static bool read_number(const char *text, unsigned long max, unsigned long *ret)
{
    char *end;

    *ret = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && *ret <= max;
}

/* NULL, or what is wrong. */
static const char *read_filter(struct gh_span query, struct gh_watch_filter *ret)
{
    char text[64] = "";
    unsigned long n;
    int rc;

    *ret = (struct gh_watch_filter){ 0 };
    if (parameter(query, "client", ret->client, sizeof ret->client) < 0)
        return "client is too long";
    rc = parameter(query, "to", text, sizeof text);
    if (rc < 0 || (rc == 1 && gh_prefix_parse(text, strlen(text), &ret->to) < 0))
        return "to is an address or a prefix";
    rc = parameter(query, "port", text, sizeof text);
    if (rc < 0 || (rc == 1 && !read_number(text, 65535, &n)))
        return "port is a number";
    ret->port = rc == 1 ? (uint16_t)n : 0;
    rc = parameter(query, "protocol", text, sizeof text);
    if (rc < 0 || (rc == 1 && !read_number(text, 255, &n)))
        return "protocol is a number";
    ret->protocol = rc == 1 ? (uint8_t)n : 0;
    return NULL;
}

void gh_admin_watch_serve(const struct gh_admin_request *r)
{
    const struct gh_port_trace *port = r->admin->config.trace;
    struct gh_watch_filter f;
    const char *wrong = read_filter(r->query, &f);
    char id[24];
    uint64_t number;
    json_t *body;
    int rc;

    if (wrong) {
        gh_admin_reply_problem(r, 400, "bad_request", wrong, "/v1/trace/watch?client=NAME&to=ADDRESS&port=443&protocol=6");
        return;
    }
    rc = port && port->watch ? port->watch(port->self, &f, &number) : GH_ERR_UNSUPPORTED;
    gh_admin_act(r->admin, "trace", f.client, gh_http_peer(r->stream)->uid, rc);
    if (rc == GH_ERR_FULL)
        gh_admin_reply_problem(r, 503, "busy", "too many are watching already", "end another gatehouse trace first");
    else if (rc < 0)
        gh_admin_reply_problem(r, rc == GH_ERR_UNSUPPORTED ? 404 : 500, "not_found", "this node cannot watch packets", "");
    if (rc < 0)
        return;
    snprintf(id, sizeof id, "%" PRIu64, number);
    body = json_object();
    gh_admin_json_set(&body, "schema", json_integer(1));
    gh_admin_json_set(&body, "id", json_string(id));
    gh_admin_reply_json(r, 201, body);
}

static bool read_id(struct gh_span rest, uint64_t *ret)
{
    char text[24], *end;

    if (!decode(rest, text, sizeof text))
        return false;
    *ret = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end;
}

static void add_packet(void *arg, const char *json, size_t len)
{
    gh_admin_json_add(arg, json_loadb(json, len, 0, NULL));
}

void gh_admin_watched_serve(const struct gh_admin_request *r)
{
    const struct gh_port_trace *port = r->admin->config.trace;
    json_t *list = json_array(), *body;
    uint64_t id, lost = 0;

    if (!port || !port->read || !read_id(r->rest, &id) || port->read(port->self, id, add_packet, &list, &lost) < 0) {
        json_decref(list);
        gh_admin_reply_problem(r, 404, "not_found", "nobody watches under this number any more", "POST /v1/trace/watch begins anew");
        return;
    }
    body = json_object();
    gh_admin_json_set(&body, "schema", json_integer(1));
    gh_admin_json_set(&body, "packets", list);
    gh_admin_json_set(&body, "lost", json_integer((json_int_t)lost));
    gh_admin_reply_json(r, 200, body);
}

void gh_admin_unwatch_serve(const struct gh_admin_request *r)
{
    const struct gh_port_trace *port = r->admin->config.trace;
    uint64_t id;
    json_t *body;

    if (!port || !port->unwatch || !read_id(r->rest, &id) || port->unwatch(port->self, id) < 0) {
        gh_admin_reply_problem(r, 404, "not_found", "nobody watches under this number any more", "");
        return;
    }
    body = json_object();
    gh_admin_json_set(&body, "schema", json_integer(1));
    gh_admin_json_set(&body, "ok", json_true());
    gh_admin_reply_json(r, 200, body);
}
