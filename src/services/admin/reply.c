#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "services/admin/request.h"

#define PIECE 16384

/* A body that the stream does not take at once. */
struct reply {
    char *body;
    size_t at, len;
};

static void reply_destroy(struct reply *p)
{
    if (!p)
        return;
    free(p->body);
    free(p);
}

static int send_rest(struct reply *p, struct gh_http_stream *s)
{
    while (p->at < p->len) {
        size_t len = p->len - p->at < PIECE ? p->len - p->at : PIECE;
        int rc = gh_http_send(s, gh_span_of(p->body + p->at, len), p->at + len == p->len);

        if (rc < 0)
            return rc;
        p->at += len;
    }
    return 0;
}

static void give_up(struct gh_http_stream *s)
{
    s->events = NULL;
    gh_http_reset(s, GH_HTTP_INTERNAL_ERROR);
}

static void on_writable(void *arg, struct gh_http_stream *s)
{
    struct reply *p = arg;
    int rc = send_rest(p, s);

    if (rc < 0 && rc != GH_ERR_AGAIN) {
        give_up(s);
        reply_destroy(p);
    }
}

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    (void)s;
    (void)code;
    reply_destroy(arg);
}

static const struct gh_http_events reply_events = { .on_writable = on_writable, .on_closed = on_closed };

/* Takes <body>; <fields> have room for nothing more. */
static void answer(const struct gh_admin_request *r, unsigned status, const struct gh_http_field *fields, size_t count,
                   char *body, size_t len)
{
    struct gh_http_stream *s = r->stream;
    bool bare = r->is_head || len == 0;
    struct reply *p = NULL;
    int rc;

    s->events = NULL;
    rc = gh_http_respond(s, status, fields, count, bare);
    if (rc < 0 || bare)
        goto out;
    p = calloc(1, sizeof *p);
    if (!p) {
        rc = GH_ERR_MEMORY;
        goto out;
    }
    p->body = body;
    p->len = len;
    body = NULL;
    rc = send_rest(p, s);
    if (rc == GH_ERR_AGAIN) {
        s->events = &reply_events;
        s->arg = p;
        p = NULL; /* on_closed frees it */
        rc = 0;
    }
out:
    if (rc < 0)
        give_up(s);
    reply_destroy(p);
    free(body);
}

static void answer_with(const struct gh_admin_request *r, unsigned status, const char *type, const char *allow, char *body,
                        size_t len)
{
    char length[24];
    struct gh_http_field fields[5] = {
        { gh_span_str("content-type"), gh_span_str(type) },
        { gh_span_str("content-length"), { 0 } },
        { gh_span_str("cache-control"), gh_span_str("no-store") },
        { gh_span_str("x-content-type-options"), gh_span_str("nosniff") },
        { gh_span_str("allow"), { 0 } },
    };

    snprintf(length, sizeof length, "%zu", len);
    fields[1].value = gh_span_str(length);
    if (allow)
        fields[4].value = gh_span_str(allow);
    answer(r, status, fields, allow ? 5 : 4, body, len);
}

void gh_admin_reply_text(const struct gh_admin_request *r, unsigned status, const char *type, char *body, size_t len)
{
    answer_with(r, status, type, NULL, body, len);
}

/* Takes <body>. */
static void answer_json(const struct gh_admin_request *r, unsigned status, const char *allow, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    char *line = NULL;
    size_t len = text ? strlen(text) : 0;

    json_decref(body);
    if (text)
        line = realloc(text, len + 1);
    if (!line) {
        free(text);
        r->stream->events = NULL;
        if (gh_http_respond_text(r->stream, 500, "application/json", gh_span_str("{\"error\":\"out_of_memory\"}\n")) < 0)
            give_up(r->stream);
        return;
    }
    line[len] = '\n'; /* in the place of the NUL: the length says where it ends */
    answer_with(r, status, "application/json", allow, line, len + 1);
}

void gh_admin_reply_json(const struct gh_admin_request *r, unsigned status, json_t *body)
{
    answer_json(r, status, NULL, body);
}

static json_t *problem(const char *error, const char *detail, const char *hint)
{
    json_t *body = json_object();

    gh_admin_json_set(&body, "error", gh_admin_json_text(error));
    gh_admin_json_set(&body, "detail", gh_admin_json_text(detail));
    gh_admin_json_set(&body, "hint", gh_admin_json_text(hint));
    return body;
}

void gh_admin_reply_problem(const struct gh_admin_request *r, unsigned status, const char *error, const char *detail,
                            const char *hint)
{
    answer_json(r, status, NULL, problem(error, detail, hint));
}

void gh_admin_reply_not_allowed(const struct gh_admin_request *r, const char *allow)
{
    char hint[96];

    snprintf(hint, sizeof hint, "allowed: %s", allow);
    answer_json(r, 405, allow, problem("method_not_allowed", "this path does not know the method", hint));
}

json_t *gh_admin_json_text(const char *text)
{
    json_t *value = json_string(text ? text : "");
    char *clean;

    if (value)
        return value;
    clean = strdup(text);
    if (!clean)
        return NULL;
    for (char *p = clean; *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    value = json_string(clean);
    free(clean);
    return value;
}

json_t *gh_admin_json_time(int64_t wall)
{
    char text[64];
    time_t t = (time_t)wall;
    struct tm tm;

    if (wall == 0 || !gmtime_r(&t, &tm))
        return json_null();
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
             tm.tm_min, tm.tm_sec);
    return json_string(text);
}

void gh_admin_json_add(json_t **to, json_t *value)
{
    if (!*to)
        json_decref(value);
    else if (json_array_append_new(*to, value) < 0) {
        json_decref(*to);
        *to = NULL;
    }
}

void gh_admin_json_set(json_t **to, const char *key, json_t *value)
{
    if (!*to)
        json_decref(value);
    else if (json_object_set_new(*to, key, value) < 0) {
        json_decref(*to);
        *to = NULL;
    }
}
