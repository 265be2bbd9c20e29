#include "services/door/site.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "loop/worker.h"
#include "os/tree.h"
#include "services/door/page.h"
#include "services/door/site_condition.h"
#include "services/door/site_path.h"
#include "services/door/site_type.h"

#define PIECE 32768u /* bytes that are read at once */
#define SEND 16384u  /* and given to the stream */
#define PAGE_BORN INT64_C(1704067200) /* when the page that is built in was changed: 2024-01-01 */

struct door_site {
    struct gh_worker *w;
    unsigned refs, requests;
    int tree; /* -1: the page that is built in */
    char server[];
};

/* A request. While <busy>, a thread of the pool has what stands behind <job>. */
struct visit {
    struct door_site *site;
    struct gh_http_stream *s; /* NULL: it is gone */
    struct gh_deadline stall;
    bool busy, head;
    struct gh_span page;      /* of it comes the body; else of the file */
    uint64_t left;            /* to be read */
    size_t at, len;           /* of <piece>, to be sent */
    uint8_t *piece;
    char *where;              /* of a redirect */

    int job;                  /* result: 0 or GH_ERR_ */
    struct gh_tree_file file;
    struct door_site_path path;
    struct door_site_wish wish;
    struct door_site_part part;
    uint64_t next;            /* byte of the file */
    size_t want;
    char wishes[1024];        /* text of <wish> */
};

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code);
static void on_writable(void *arg, struct gh_http_stream *s);
static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end);

static const struct gh_http_events events = { .on_body = on_body, .on_writable = on_writable, .on_closed = on_closed };

/* ---- what the pool does ---- */

static void read_piece(struct visit *v)
{
    ssize_t n;

    v->piece = v->piece ? v->piece : malloc(PIECE);
    if (!v->piece) {
        v->job = GH_ERR_MEMORY;
        return;
    }
    n = gh_tree_read(v->file.fd, v->piece, v->want, v->next);
    v->job = n < 0 ? (int)n : n == 0 ? GH_ERR_CLOSED : 0; /* it became shorter than it was */
    v->len = n < 0 ? 0 : (size_t)n;
}

static void read_more(void *arg)
{
    read_piece(arg);
}

/* The page of a folder, or why there is none. */
static int open_index(struct visit *v)
{
    static const char *const names[] = { "index.html", "index.htm" };
    char name[DOOR_SITE_TARGET_MAX + 16];
    int rc = GH_ERR_NOT_FOUND;

    for (size_t i = 0; i < 2 && rc == GH_ERR_NOT_FOUND; i++) {
        snprintf(name, sizeof name, "%s%s%s", v->path.name, v->path.len ? "/" : "", names[i]);
        rc = gh_tree_open_file(v->site->tree, name, &v->file);
    }
    if (rc == 0 && v->file.folder)
        return GH_ERR_DENIED;
    if (rc != GH_ERR_NOT_FOUND)
        return rc;
    rc = gh_tree_open_file(v->site->tree, v->path.name, &v->file);
    if (rc < 0)
        return rc;
    gh_tree_close(v->file.fd);
    rc = v->file.folder ? GH_ERR_DENIED : GH_ERR_NOT_FOUND; /* a folder's list is not shown; a file is no folder */
    v->file.fd = -1;
    return rc;
}

static void judge(struct visit *v)
{
    door_site_judge(&v->wish, v->file.size, v->file.modified, &v->part);
    v->next = v->part.from;
    v->want = v->part.len < PIECE ? (size_t)v->part.len : PIECE;
}

static void open_file(void *arg)
{
    struct visit *v = arg;

    v->job = v->path.folder ? open_index(v) : gh_tree_open_file(v->site->tree, v->path.name, &v->file);
    if (v->job < 0 || v->file.folder)
        return;
    judge(v);
    if (!v->head && v->part.len > 0 && (v->part.status == 200 || v->part.status == 206))
        read_piece(v);
}

/* ---- a request's life ---- */

static void visit_destroy(struct visit *v)
{
    struct door_site *site = v->site;

    gh_worker_deadline_stop(site->w, &v->stall);
    gh_tree_close(v->file.fd);
    site->requests--;
    free(v->piece);
    free(v->where);
    free(v);
    door_site_put(site);
}

static void refuse(struct visit *v, struct door_answer *a, unsigned status)
{
    door_page_respond(v->s, a, status, v->head);
}

static void pump(struct visit *v);
static void take_piece(struct visit *v);

static void read_done(struct gh_worker *w, void *arg)
{
    struct visit *v = arg;

    (void)w;
    v->busy = false;
    if (!v->s)
        visit_destroy(v);
    else if (v->job < 0)
        gh_http_reset(v->s, GH_HTTP_INTERNAL_ERROR);
    else
        take_piece(v);
}

static void read_on(struct visit *v)
{
    v->want = v->left < PIECE ? (size_t)v->left : PIECE;
    v->busy = true;
    if (gh_worker_offload(v->site->w, read_more, read_done, v) == 0)
        return;
    v->busy = false;
    gh_http_reset(v->s, GH_HTTP_INTERNAL_ERROR);
}

/* A piece was read: <left> counts what was not. */
static void take_piece(struct visit *v)
{
    v->at = 0;
    v->left -= v->len;
    v->next += v->len;
    pump(v);
}

/* Gives the stream what it takes. */
static void pump(struct visit *v)
{
    int rc = 0;

    while (rc == 0 && v->at < v->len) {
        size_t n = v->len - v->at < SEND ? v->len - v->at : SEND;

        rc = gh_http_send(v->s, gh_span_of(v->piece + v->at, n), v->left == 0 && v->at + n == v->len);
        v->at += rc == 0 ? n : 0;
    }
    if (rc == GH_ERR_AGAIN)
        gh_worker_deadline_start(v->site->w, &v->stall, gh_worker_now(v->site->w) + DOOR_SITE_STALL);
    else if (rc < 0)
        gh_http_reset(v->s, GH_HTTP_INTERNAL_ERROR);
    else if (v->left > 0)
        read_on(v);
}

static void on_stall(void *arg, int64_t now)
{
    struct visit *v = arg;

    (void)now;
    if (v->s)
        gh_http_reset(v->s, GH_HTTP_REQUEST_CANCELLED);
}

static void on_writable(void *arg, struct gh_http_stream *s)
{
    struct visit *v = arg;

    (void)s;
    gh_worker_deadline_stop(v->site->w, &v->stall);
    if (!v->busy && v->at < v->len)
        pump(v);
}

static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    (void)arg;
    (void)s;
    (void)data;
    (void)end;
}

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct visit *v = arg;

    (void)s;
    (void)code;
    v->s = NULL;
    gh_worker_deadline_stop(v->site->w, &v->stall);
    if (!v->busy)
        visit_destroy(v);
}

/* ---- answers ---- */

static void answer_part(struct visit *v, struct door_answer *a)
{
    char modified[GH_HTTP_DATE_TEXT], etag[DOOR_SITE_ETAG], range[96];
    bool body = v->part.status == 200 || v->part.status == 206, end = v->head || v->part.len == 0 || !body;
    int rc;

    if (v->part.status == 416) {
        snprintf(range, sizeof range, "bytes */%" PRIu64, v->file.size);
        door_answer_add_late(a, "content-range", range);
    }
    if (v->part.status == 412 || v->part.status == 416) {
        refuse(v, a, v->part.status);
        return;
    }
    if (body)
        door_answer_add_body(a, v->page.len ? "text/html" : door_site_type(v->path.folder ? "index.html" : v->path.name), v->part.len);
    door_site_etag(v->file.size, v->file.modified, etag);
    door_answer_add(a, "last-modified", gh_http_date_emit(v->file.modified, modified));
    door_answer_add(a, "etag", etag);
    if (v->part.status == 206) {
        snprintf(range, sizeof range, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, v->part.from, v->part.from + v->part.len - 1, v->file.size);
        door_answer_add(a, "content-range", range);
    } else if (body) {
        door_answer_add(a, "accept-ranges", "bytes");
    }
    rc = gh_http_respond(v->s, v->part.status, a->fields, a->count, end);
    if (rc < 0)
        gh_http_reset(v->s, GH_HTTP_INTERNAL_ERROR);
    if (rc < 0 || end)
        return;
    if (v->page.len) {
        if (gh_http_send(v->s, gh_span_of(v->page.data + v->part.from, (size_t)v->part.len), true) < 0)
            gh_http_reset(v->s, GH_HTTP_INTERNAL_ERROR);
        return;
    }
    v->left = v->part.len;
    take_piece(v);
}

static void answer(struct visit *v)
{
    struct door_answer a;

    door_answer_begin(&a, v->site->server, gh_worker_wall(v->site->w));
    if (v->job == 0 && !v->file.folder) {
        if (!v->wish.get && !v->head)
            refuse(v, &a, 405);
        else
            answer_part(v, &a);
    } else if (v->job == 0 && v->where) {
        door_answer_add_late(&a, "location", v->where);
        refuse(v, &a, 301);
    } else {
        refuse(v, &a, v->job == GH_ERR_NOT_FOUND ? 404 : v->job == GH_ERR_DENIED ? 403 : 500);
    }
}

static void open_done(struct gh_worker *w, void *arg)
{
    struct visit *v = arg;

    (void)w;
    v->busy = false;
    if (v->s)
        answer(v);
    else
        visit_destroy(v);
}

/* ---- requests ---- */

/* What the pool looks at must outlive the head of the request. What does not fit is not asked for. */
static void keep_wishes(struct visit *v, const struct gh_http_head *head)
{
    const struct {
        const char *name;
        struct gh_span *at;
    } rows[] = {
        { "if-match", &v->wish.if_match },
        { "if-none-match", &v->wish.if_none_match },
        { "if-modified-since", &v->wish.if_modified_since },
        { "if-unmodified-since", &v->wish.if_unmodified_since },
        { "range", &v->wish.range },
        { "if-range", &v->wish.if_range },
    };
    size_t used = 0;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct gh_span value = gh_http_field_find(head, rows[i].name);

        if (value.len == 0 || value.len > sizeof v->wishes - used)
            continue;
        memcpy(v->wishes + used, value.data, value.len);
        *rows[i].at = gh_span_of(v->wishes + used, value.len);
        used += value.len;
    }
}

/* "https://www.example.com/folder/?query" */
static int keep_where(struct visit *v, const struct gh_http_head *head)
{
    size_t cap = head->scheme.len + head->authority.len + 3 * v->path.len + v->path.query.len + 8;
    int len = 0, rest;

    if (v->path.folder || v->site->tree < 0)
        return 0;
    v->where = malloc(cap);
    if (!v->where)
        return GH_ERR_MEMORY;
    if (head->authority.len > 0)
        len = snprintf(v->where, cap, "%.*s://%.*s", (int)head->scheme.len, (const char *)head->scheme.data, (int)head->authority.len,
                       (const char *)head->authority.data);
    rest = door_site_path_emit(&v->path, v->where + len, cap - (size_t)len - 1);
    if (rest < 0)
        return rest;
    v->where[len + rest] = 0;
    return 0;
}

static struct visit *visit_create(struct door_site *site, struct gh_http_stream *s)
{
    struct visit *v = site->requests < DOOR_SITE_REQUESTS_MAX ? calloc(1, sizeof *v) : NULL;

    if (!v)
        return NULL;
    v->site = site;
    v->file.fd = -1;
    v->s = s;
    gh_deadline_init(&v->stall, on_stall, v);
    site->refs++;
    site->requests++;
    s->events = &events;
    s->arg = v;
    return v;
}

static void serve_page(struct visit *v)
{
    if (v->path.len > 0 && strcmp(v->path.name, "index.html") != 0) {
        v->job = GH_ERR_NOT_FOUND;
    } else {
        v->page = door_page_welcome();
        v->file.size = v->page.len;
        v->file.modified = PAGE_BORN;
        judge(v);
    }
    answer(v);
}

static bool is_method(const struct gh_http_head *head, const char *name)
{
    return gh_span_equals(head->method, gh_span_str(name));
}

/* 0, or what is said to a request for which no file is looked up. */
static unsigned early_refusal(const struct gh_http_head *head, int rc, bool tunnel)
{
    if (rc == GH_ERR_TOO_LONG)
        return 414;
    if (is_method(head, "CONNECT") && !tunnel)
        return 405;
    if (rc == GH_ERR_MALFORMED)
        return 400;
    if (!tunnel && !is_method(head, "GET") && !is_method(head, "HEAD") && !is_method(head, "POST"))
        return 405;
    return rc < 0 ? 404 : 0;
}

void door_site_serve(struct door_site *site, struct gh_http_stream *s, const struct gh_http_head *head)
{
    bool declined = is_method(head, "CONNECT") && gh_http_decline(s);
    struct visit *v = visit_create(site, s);
    struct door_answer a;
    unsigned status;

    door_answer_begin(&a, site->server, gh_worker_wall(site->w));
    if (!v) {
        door_page_respond(s, &a, 503, is_method(head, "HEAD"));
        return;
    }
    v->head = is_method(head, "HEAD");
    v->wish.get = declined || is_method(head, "GET");
    status = early_refusal(head, door_site_path_parse(head->path, &v->path), declined);
    if (status == 0 && keep_where(v, head) < 0)
        status = 500;
    if (status > 0) {
        refuse(v, &a, status);
        return;
    }
    v->path.query = gh_span_of(NULL, 0); /* it goes when the head does */
    keep_wishes(v, head);
    if (site->tree < 0) {
        serve_page(v);
        return;
    }
    v->busy = true;
    if (gh_worker_offload(site->w, open_file, open_done, v) == 0)
        return;
    v->busy = false;
    refuse(v, &a, 500);
}

int door_site_create(struct gh_worker *w, const char *server, const char *folder, struct door_site **ret)
{
    struct door_site *site = calloc(1, sizeof *site + strlen(server) + 1);

    if (!site)
        return GH_ERR_MEMORY;
    site->w = w;
    site->refs = 1;
    memcpy(site->server, server, strlen(server) + 1);
    site->tree = folder ? gh_tree_open(folder) : -1;
    if (folder && site->tree < 0) {
        int rc = site->tree;

        free(site);
        return rc;
    }
    *ret = site;
    return 0;
}

void door_site_put(struct door_site *site)
{
    if (!site || --site->refs > 0)
        return;
    gh_tree_close(site->tree);
    free(site);
}

unsigned door_site_requests(const struct door_site *site)
{
    return site->requests;
}
