#include "services/admin/handler.h"

#include <stdlib.h>

#include "base/error.h"
#include "services/admin/request.h"

enum access {
    ANYONE,   /* health and metrics */
    LOCAL,    /* whoever may open the unix socket */
    OPERATOR, /* uid 0, or the user that the node runs as */
};

struct route {
    const char *path; /* a last '/' takes one more segment */
    const char *method;
    enum access access;
    gh_admin_serve_fn serve;
};

/* Rows of one path stand together and have one access. */
static const struct route routes[] = {
    { "/health", "GET", ANYONE, gh_admin_health_serve },
    { "/healthz", "GET", ANYONE, gh_admin_health_serve },
    { "/livez", "GET", ANYONE, gh_admin_live_serve },
    { "/ready", "GET", ANYONE, gh_admin_ready_serve },
    { "/readyz", "GET", ANYONE, gh_admin_ready_serve },
    { "/metrics", "GET", ANYONE, gh_admin_metrics_serve },
    { "/v1/status", "GET", LOCAL, gh_admin_status_serve },
    { "/v1/sessions", "GET", OPERATOR, gh_admin_sessions_serve },
    { "/v1/sessions/", "DELETE", OPERATOR, gh_admin_kick_serve },
    { "/v1/reload", "POST", OPERATOR, gh_admin_reload_serve },
    { "/v1/stop", "POST", OPERATOR, gh_admin_stop_serve },
    { "/v1/trace", "GET", OPERATOR, gh_admin_trace_serve },
    { "/v1/trace/watch", "POST", OPERATOR, gh_admin_watch_serve },
    { "/v1/trace/watch/", "GET", OPERATOR, gh_admin_watched_serve },
    { "/v1/trace/watch/", "DELETE", OPERATOR, gh_admin_unwatch_serve },
};

#define ROUTES (sizeof routes / sizeof *routes)

static bool path_matches(const char *path, struct gh_span asked, struct gh_span *ret_rest)
{
    size_t len = strlen(path);

    if (asked.len < len || memcmp(asked.data, path, len) != 0)
        return false;
    *ret_rest = gh_span_of(asked.data + len, asked.len - len);
    if (path[len - 1] != '/')
        return asked.len == len;
    return ret_rest->len > 0 && !memchr(ret_rest->data, '/', ret_rest->len);
}

static bool may(const struct gh_admin *a, enum access access, uint32_t uid)
{
    switch (access) {
    case ANYONE:
        return true;
    case LOCAL:
        return uid != UINT32_MAX;
    default:
        return uid == 0 || (uid != UINT32_MAX && uid == a->config.operator_uid);
    }
}

static void deny(const struct gh_admin_request *r)
{
    if (gh_http_peer(r->stream)->uid == UINT32_MAX)
        gh_admin_reply_problem(r, 403, "denied", "this path is served on the unix socket only",
                               "on the node itself: gatehouse status, gatehouse sessions, gatehouse reload");
    else
        gh_admin_reply_problem(r, 403, "denied", "only root and the user of the service may do this", "try again as root");
}

static void refuse_method(const struct gh_admin_request *r, const struct route *first)
{
    char allow[64] = "";

    for (const struct route *at = first; at < routes + ROUTES && strcmp(at->path, first->path) == 0; at++) {
        if (*allow)
            strncat(allow, ", ", sizeof allow - strlen(allow) - 1);
        strncat(allow, strcmp(at->method, "GET") == 0 ? "GET, HEAD" : at->method, sizeof allow - strlen(allow) - 1);
    }
    gh_admin_reply_not_allowed(r, allow);
}

static void route_request(struct gh_admin_request *r, const struct gh_http_head *head, struct gh_span path)
{
    const struct route *first = NULL;
    struct gh_span method = r->is_head ? gh_span_str("GET") : head->method;

    for (size_t i = 0; i < ROUTES; i++) {
        struct gh_span rest;

        if (!path_matches(routes[i].path, path, &rest))
            continue;
        if (!first && !may(r->admin, routes[i].access, gh_http_peer(r->stream)->uid)) {
            deny(r);
            return;
        }
        first = first ? first : &routes[i];
        if (gh_span_equals(method, gh_span_str(routes[i].method))) {
            r->rest = rest;
            routes[i].serve(r);
            return;
        }
    }
    if (first)
        refuse_method(r, first);
    else
        gh_admin_reply_problem(r, 404, "not_found", "there is nothing at this path",
                               "paths: /livez /readyz /health /metrics, and on the unix socket /v1/status /v1/sessions");
}

static void on_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct gh_admin_request r = { .admin = arg, .stream = s };
    const uint8_t *mark = head->path.len ? memchr(head->path.data, '?', head->path.len) : NULL;
    struct gh_span path = head->path;

    if (mark) {
        path.len = (size_t)(mark - path.data);
        r.query = gh_span_of(mark + 1, head->path.len - path.len - 1);
    }
    r.is_head = gh_span_equals(head->method, gh_span_str("HEAD"));
    route_request(&r, head, path);
}

int64_t gh_admin_uptime(const struct gh_admin *a)
{
    return (a->config.now(a->config.self) - a->started) / 1000000000;
}

void gh_admin_act(const struct gh_admin *a, const char *verb, const char *object, uint32_t uid, int rc)
{
    struct gh_admin_action action = { verb, object, uid, rc };

    if (a->config.on_action)
        a->config.on_action(a->config.self, &action);
}

int gh_admin_create(const struct gh_admin_config *config, struct gh_admin **ret)
{
    struct gh_admin *a = calloc(1, sizeof *a);

    if (!a)
        return GH_ERR_MEMORY;
    a->config = *config;
    a->started = config->now(config->self);
    *ret = a;
    return 0;
}

void gh_admin_destroy(struct gh_admin *a)
{
    free(a);
}

struct gh_http_handler gh_admin_handler(struct gh_admin *a)
{
    return (struct gh_http_handler){ on_request, a };
}
