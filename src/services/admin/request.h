/* services/admin/request.h - one request inside the admin service, and the ways to answer it; private to it */
#ifndef GH_SERVICES_ADMIN_REQUEST_H
#define GH_SERVICES_ADMIN_REQUEST_H

#include <jansson.h>

#include "services/admin/handler.h"

struct gh_admin {
    struct gh_admin_config config;
    int64_t started; /* monotonic, ns */
};

/* Borrowed from the head: gone when the handler returns. */
struct gh_admin_request {
    struct gh_admin *admin;
    struct gh_http_stream *stream;
    struct gh_span query; /* after '?' */
    struct gh_span rest;  /* what follows a path that ends with '/' */
    bool is_head;         /* the head of the answer only */
};

typedef void (*gh_admin_serve_fn)(const struct gh_admin_request *r);

void gh_admin_health_serve(const struct gh_admin_request *r);
void gh_admin_live_serve(const struct gh_admin_request *r);
void gh_admin_ready_serve(const struct gh_admin_request *r);
void gh_admin_metrics_serve(const struct gh_admin_request *r);
void gh_admin_status_serve(const struct gh_admin_request *r);
void gh_admin_reload_serve(const struct gh_admin_request *r);
void gh_admin_stop_serve(const struct gh_admin_request *r);
void gh_admin_sessions_serve(const struct gh_admin_request *r);
void gh_admin_kick_serve(const struct gh_admin_request *r);
void gh_admin_trace_serve(const struct gh_admin_request *r);
void gh_admin_watch_serve(const struct gh_admin_request *r);
void gh_admin_watched_serve(const struct gh_admin_request *r);
void gh_admin_unwatch_serve(const struct gh_admin_request *r);

/* The next "name=value" or "name" of a query, advancing it. */
bool gh_admin_query_next(struct gh_span *query, struct gh_span *ret_name, struct gh_span *ret_value);

/* Each answers the request once and for all, memory or not. */
void gh_admin_reply_json(const struct gh_admin_request *r, unsigned status, json_t *body); /* takes <body>; NULL: no memory */
void gh_admin_reply_text(const struct gh_admin_request *r, unsigned status, const char *type, char *body, size_t len); /* takes <body> */
void gh_admin_reply_problem(const struct gh_admin_request *r, unsigned status, const char *error, const char *detail,
                            const char *hint);
/* 405; <allow>: the value of Allow. */
void gh_admin_reply_not_allowed(const struct gh_admin_request *r, const char *allow);

/* Text for JSON: NULL is "", and bytes that are not UTF-8 become '?', so that no peer's name spoils an answer. */
json_t *gh_admin_json_text(const char *text);
/* RFC 3339 in UTC; null for 0. */
json_t *gh_admin_json_time(int64_t wall);
/* Appends or sets, and gives up by making <*to> NULL: the caller checks once, at the end. Takes <value>. */
void gh_admin_json_add(json_t **to, json_t *value);
void gh_admin_json_set(json_t **to, const char *key, json_t *value);

struct gh_admin_readiness {
    json_t *failing; /* [{name, detail}]; NULL: no memory */
    json_t *checks;  /* [{name, ok, excluded, detail}] */
    bool ready, draining;
};
/* <query> may exclude checks. The caller owns both arrays. */
void gh_admin_readiness_read(const struct gh_admin *a, struct gh_span query, struct gh_admin_readiness *ret);
struct gh_node_status;
/* Listeners, workers and features. */
void gh_admin_json_parts(json_t **to, const struct gh_node_status *s);
int64_t gh_admin_uptime(const struct gh_admin *a); /* seconds */
void gh_admin_act(const struct gh_admin *a, const char *verb, const char *object, uint32_t uid, int rc);

#endif
