#include "services/door/proxy_pool.h"

#include <stdlib.h>

#include "base/error.h"
#include "net/http1_origin.h"
#include "net/tcp_stream.h"
#include "net/tls_io.h"

struct door_proxy_pool {
    struct gh_worker *w;
    struct door_proxy_pool_conf conf;
    unsigned refs, count;
    bool closed;
    struct gh_list kept;    /* newest last */
    struct gh_list waiting; /* wishes, for an address */
    unsigned kept_count;
    bool is_name, looking_up;
    struct gh_resolved addrs, found; /* <found>: the thread's while <looking_up> */
    int64_t looked_up;      /* at */
};

struct door_proxy_dial {
    struct door_proxy_pool *pool;
    struct door_proxy_wish *wish;
    struct gh_resolved addrs;
    size_t next;
    int fd;
    struct gh_poll *poll;
    struct gh_byte_stream *shaking; /* TLS before it is ready */
    struct gh_deadline timer;
};

static void pool_unref(struct door_proxy_pool *p)
{
    if (--p->refs > 0)
        return;
    gh_tls_ctx_put(p->conf.tls);
    free(p);
}

/* ---- links ---- */

static void on_link_closed(void *arg, struct gh_http1_origin *c)
{
    struct door_proxy_link *l = arg;
    struct door_proxy_pool *p = l->pool;

    (void)c;
    gh_worker_deadline_stop(p->w, &l->idle);
    gh_list_unlink(&l->link);
    p->kept_count -= l->kept;
    p->count--;
    free(l);
    pool_unref(p);
}

static void on_link_idle(void *arg, struct gh_http1_origin *c)
{
    struct door_proxy_link *l = arg;
    struct door_proxy_pool *p = l->pool;

    if (p->closed || p->kept_count == DOOR_PROXY_IDLE_MAX) {
        gh_http1_origin_close(c);
        return;
    }
    l->kept = true;
    l->used = true;
    p->kept_count++;
    gh_list_append(&p->kept, &l->link);
    gh_worker_deadline_start(p->w, &l->idle, gh_worker_now(p->w) + DOOR_PROXY_IDLE);
}

static void on_idle_over(void *arg, int64_t now)
{
    (void)now;
    gh_http1_origin_close(((struct door_proxy_link *)arg)->origin);
}

static const struct gh_http1_origin_events link_events = { on_link_idle, on_link_closed };

static int link_create(struct door_proxy_pool *p, struct gh_byte_stream *io, struct door_proxy_link **ret)
{
    struct door_proxy_link *l = calloc(1, sizeof *l);

    if (!l) {
        gh_byte_stream_close(io);
        return GH_ERR_MEMORY;
    }
    l->pool = p;
    gh_list_init(&l->link);
    gh_deadline_init(&l->idle, on_idle_over, l);
    if (gh_http1_origin_open(io, &link_events, l, &l->origin) < 0) {
        free(l);
        return GH_ERR_MEMORY;
    }
    p->refs++;
    p->count++;
    *ret = l;
    return 0;
}

/* ---- dialling ---- */

static void dial_destroy(struct door_proxy_dial *d)
{
    struct door_proxy_pool *p = d->pool;

    if (d->wish)
        d->wish->dial = NULL;
    gh_worker_deadline_stop(p->w, &d->timer);
    gh_poll_close(d->poll);
    gh_sock_close(d->fd);
    gh_byte_stream_close(d->shaking);
    p->count--;
    free(d);
    pool_unref(p);
}

static void dial_end(struct door_proxy_dial *d, int rc, struct door_proxy_link *l)
{
    struct door_proxy_wish *wish = d->wish;

    dial_destroy(d);
    wish->ready(wish->arg, rc, l);
}

static void on_dialled(void *arg, int events);

/* The next address, as long as there is one. */
static void dial_next(struct door_proxy_dial *d, int why)
{
    struct door_proxy_pool *p = d->pool;

    gh_poll_close(d->poll);
    d->poll = NULL;
    gh_sock_close(d->fd);
    d->fd = -1;
    while (d->fd < 0 && d->next < d->addrs.count) {
        d->fd = gh_sock_connect_tcp(&d->addrs.list[d->next++]);
        if (d->fd >= 0 && gh_poll_open(p->w, d->fd, GH_POLL_WRITE, on_dialled, d, &d->poll) < 0) {
            gh_sock_close(d->fd);
            d->fd = -1;
        }
    }
    if (d->fd < 0)
        dial_end(d, why, NULL);
    else
        gh_worker_deadline_start(p->w, &d->timer, gh_worker_now(p->w) + p->conf.connect_timeout);
}

static void connected(struct door_proxy_dial *d, struct gh_byte_stream *io)
{
    struct door_proxy_link *l = NULL;
    int rc = link_create(d->pool, io, &l);

    dial_end(d, rc, l);
}

static void on_shaken(void *arg, struct gh_byte_stream *io, int rc)
{
    struct door_proxy_dial *d = arg;

    d->shaking = NULL;
    if (rc == 0) {
        connected(d, io);
        return;
    }
    gh_byte_stream_close(io);
    dial_end(d, rc == GH_ERR_TIMEOUT ? GH_ERR_TIMEOUT : GH_ERR_CLOSED, NULL);
}

static int shake(struct door_proxy_dial *d, struct gh_byte_stream *below)
{
    struct door_proxy_pool *p = d->pool;
    const struct gh_tls_stream_request req = { .server_name = p->conf.origin.host };
    struct gh_tls_stream *engine;
    int rc = gh_tls_stream_create(p->conf.tls, &req, &engine);

    if (rc < 0) {
        gh_byte_stream_close(below);
        return rc;
    }
    return gh_tls_io_create(p->w, engine, below, p->conf.connect_timeout, on_shaken, d, &d->shaking);
}

static void on_dialled(void *arg, int events)
{
    struct door_proxy_dial *d = arg;
    struct gh_byte_stream *io;
    int rc = gh_sock_connected(d->fd), fd = d->fd;

    if (rc == GH_ERR_AGAIN && !(events & GH_POLL_ERROR))
        return;
    if (rc < 0) {
        dial_next(d, GH_ERR_CLOSED);
        return;
    }
    gh_poll_close(d->poll);
    d->poll = NULL;
    d->fd = -1; /* the stream's */
    gh_worker_deadline_stop(d->pool->w, &d->timer);
    rc = gh_tcp_stream_create(d->pool->w, fd, gh_span_of(NULL, 0), &io);
    if (rc == 0 && !d->pool->conf.tls) {
        connected(d, io);
        return;
    }
    if (rc == 0)
        rc = shake(d, io);
    if (rc < 0)
        dial_end(d, GH_ERR_MEMORY, NULL);
}

static void on_late(void *arg, int64_t now)
{
    (void)now;
    dial_next(arg, GH_ERR_TIMEOUT);
}

static void dial(struct door_proxy_pool *p, struct door_proxy_wish *wish)
{
    struct door_proxy_dial *d = calloc(1, sizeof *d);

    if (!d) {
        wish->ready(wish->arg, GH_ERR_MEMORY, NULL);
        return;
    }
    d->pool = p;
    d->wish = wish;
    d->addrs = p->addrs;
    d->fd = -1;
    gh_deadline_init(&d->timer, on_late, d);
    wish->dial = d;
    p->refs++;
    p->count++;
    dial_next(d, GH_ERR_CLOSED);
}

/* ---- addresses ---- */

static void look_up(void *arg)
{
    struct door_proxy_pool *p = arg;

    p->conf.lookup(p->conf.lookup_arg, p->conf.origin.host, p->conf.origin.port, &p->found);
}

static void looked_up(struct gh_worker *w, void *arg)
{
    struct door_proxy_pool *p = arg;

    p->looking_up = false;
    p->looked_up = gh_worker_now(w);
    if (p->found.count > 0) /* else the old ones are better than none */
        p->addrs = p->found;
    while (!gh_list_empty(&p->waiting)) {
        struct door_proxy_wish *wish = gh_container_of(p->waiting.next, struct door_proxy_wish, link);

        gh_list_unlink(&wish->link);
        dial(p, wish); /* without an address it ends at once */
    }
    pool_unref(p);
}

static void refresh(struct door_proxy_pool *p)
{
    if (!p->is_name || p->looking_up || (p->addrs.count > 0 && gh_worker_now(p->w) - p->looked_up < DOOR_PROXY_FRESH))
        return;
    p->found = (struct gh_resolved){ .count = 0 };
    p->looking_up = gh_worker_offload(p->w, look_up, looked_up, p) == 0;
    p->refs += p->looking_up;
}

/* ---- the pool ---- */

void door_proxy_pool_ask(struct door_proxy_pool *p, struct door_proxy_wish *wish, bool fresh)
{
    gh_list_init(&wish->link);
    wish->dial = NULL;
    if (!fresh && p->kept_count > 0) {
        struct door_proxy_link *l = gh_container_of(p->kept.prev, struct door_proxy_link, link);

        gh_list_unlink(&l->link);
        gh_worker_deadline_stop(p->w, &l->idle);
        l->kept = false;
        p->kept_count--;
        wish->ready(wish->arg, 0, l);
        return;
    }
    if (p->count >= DOOR_PROXY_CONNECTIONS_MAX) {
        wish->ready(wish->arg, GH_ERR_FULL, NULL);
        return;
    }
    refresh(p);
    if (p->addrs.count == 0 && p->looking_up)
        gh_list_append(&p->waiting, &wish->link);
    else
        dial(p, wish);
}

void door_proxy_pool_forget(struct door_proxy_wish *wish)
{
    gh_list_unlink(&wish->link);
    if (wish->dial)
        dial_destroy(wish->dial);
}

unsigned door_proxy_pool_count(const struct door_proxy_pool *p)
{
    return p->count;
}

int door_proxy_pool_create(struct gh_worker *w, const struct door_proxy_pool_conf *conf, struct door_proxy_pool **ret)
{
    struct door_proxy_pool *p = calloc(1, sizeof *p);

    if (!p)
        return GH_ERR_MEMORY;
    p->w = w;
    p->conf = *conf;
    p->conf.tls = conf->tls ? gh_tls_ctx_get(conf->tls) : NULL;
    p->refs = 1;
    gh_list_init(&p->kept);
    gh_list_init(&p->waiting);
    if (gh_ip_parse(conf->origin.host, strlen(conf->origin.host), &p->addrs.list[0].ip) == 0) {
        p->addrs.list[0].port = conf->origin.port;
        p->addrs.count = 1;
    } else {
        p->is_name = true;
    }
    *ret = p;
    return 0;
}

void door_proxy_pool_put(struct door_proxy_pool *p)
{
    if (!p)
        return;
    p->closed = true;
    gh_list_each(it, &p->kept)
        gh_http1_origin_close(gh_container_of(it, struct door_proxy_link, link)->origin);
    pool_unref(p);
}
