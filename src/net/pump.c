#include "net/pump.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "os/sock.h"

#define PIPE_SIZE (256u << 10)
#define PIPE_WIDE (1u << 20)    /* for a direction that does not run dry: a quarter of the calls and wake-ups. What a user may have without being asked */
#define PIPES_WIDE 32u          /* of all workers: half of what a user's pipes may hold together, behind which the next ones are born tiny */
#define PIPES_IDLE 16u          /* kept open while nobody needs them */
#define BULK_AFTER 65536u       /* bytes that came in full buffers before a pipe is worth its calls */
#define BULK_LEAST 16384u       /* and in one go through the pipe for it to stay that */
#define TURN_MAX (1u << 20)     /* bytes of one direction before the others have their turn */

struct idle_pipe {
    struct gh_list link;
    struct gh_pipe pipe; /* what a side borrows is this */
    bool wide;
};

struct gh_pump_pool {
    struct gh_worker *worker;
    struct gh_edges *edges;
    struct gh_list idle, busy;
    unsigned idle_count, pipes_max;
    unsigned wide_count, wide_max;
    struct gh_deadline again;
    struct gh_pump_counters counters;
    uint8_t buffer[GH_PUMP_COPY];
};

/* ---- pool ---- */

static void run(struct gh_pump *p);

/* Those that became busy again while they ran wait for the next turn. */
static void on_again(void *arg, int64_t now)
{
    struct gh_pump_pool *pool = arg;
    struct gh_list taken;

    (void)now;
    gh_list_init(&taken);
    while (!gh_list_empty(&pool->busy)) {
        struct gh_list *l = pool->busy.next;

        gh_list_unlink(l);
        gh_list_append(&taken, l);
    }
    while (!gh_list_empty(&taken)) {
        struct gh_pump *p = gh_container_of(taken.next, struct gh_pump, busy);

        gh_list_unlink(&p->busy);
        run(p);
    }
}

int gh_pump_pool_create(struct gh_worker *w, unsigned pipes_max, struct gh_pump_pool **ret)
{
    struct gh_pump_pool *p = malloc(sizeof *p);
    int rc;

    if (!p)
        return GH_ERR_MEMORY;
    memset(p, 0, offsetof(struct gh_pump_pool, buffer));
    p->worker = w;
    p->pipes_max = pipes_max;
    p->wide_max = (PIPES_WIDE + gh_workers_count(gh_worker_set(w)) - 1) / gh_workers_count(gh_worker_set(w));
    gh_list_init(&p->idle);
    gh_list_init(&p->busy);
    gh_deadline_init(&p->again, on_again, p);
    rc = gh_edges_create(w, &p->edges);
    if (rc < 0) {
        free(p);
        return rc;
    }
    *ret = p;
    return 0;
}

static void drop_pipe(struct gh_pump_pool *pool, struct idle_pipe *i)
{
    gh_pipe_close(&i->pipe);
    pool->wide_count -= i->wide;
    free(i);
    pool->counters.pipes--;
}

void gh_pump_pool_destroy(struct gh_pump_pool *p)
{
    if (!p)
        return;
    gh_worker_deadline_stop(p->worker, &p->again);
    gh_list_each(it, &p->idle) {
        gh_list_unlink(it);
        drop_pipe(p, gh_container_of(it, struct idle_pipe, link));
    }
    gh_edges_destroy(p->edges);
    free(p);
}

struct gh_edges *gh_pump_pool_edges(struct gh_pump_pool *p)
{
    return p->edges;
}

uint8_t *gh_pump_pool_buffer(struct gh_pump_pool *p)
{
    return p->buffer;
}

const struct gh_pump_counters *gh_pump_pool_counters(const struct gh_pump_pool *p)
{
    return &p->counters;
}

/* NULL: the bytes are copied. */
static struct gh_pipe *borrow_pipe(struct gh_pump_pool *pool)
{
    struct idle_pipe *i;

    if (!gh_list_empty(&pool->idle)) {
        i = gh_container_of(pool->idle.next, struct idle_pipe, link);
        gh_list_unlink(&i->link);
        pool->idle_count--;
        return &i->pipe;
    }
    i = pool->counters.pipes < pool->pipes_max ? calloc(1, sizeof *i) : NULL;
    if (!i || gh_pipe_open(PIPE_SIZE, &i->pipe) < 0) {
        free(i);
        pool->counters.pipes_missing++;
        return NULL;
    }
    gh_list_init(&i->link);
    pool->counters.pipes++;
    return &i->pipe;
}

static void return_pipe(struct gh_pump_pool *pool, struct gh_pipe *pipe)
{
    struct idle_pipe *i = gh_container_of(pipe, struct idle_pipe, pipe);

    /* one that still holds something of another's is never lent again */
    if (pipe->held || pool->idle_count >= PIPES_IDLE) {
        drop_pipe(pool, i);
        return;
    }
    gh_list_append(pool->idle.next, &i->link); /* at the front: the warmest first */
    pool->idle_count++;
}

static void widen_pipe(struct gh_pump_pool *pool, struct gh_pipe *pipe)
{
    struct idle_pipe *i = gh_container_of(pipe, struct idle_pipe, pipe);

    if (i->wide || pool->wide_count >= pool->wide_max)
        return;
    if (gh_pipe_widen(pipe, PIPE_WIDE) < 0) {
        pool->wide_max = pool->wide_count; /* that is what there is */
        return;
    }
    i->wide = true;
    pool->wide_count++;
}

/* ---- the end ---- */

static void close_side(struct gh_pump *p, struct gh_pump_side *s, bool reset)
{
    if (s->fd >= 0) {
        gh_edges_forget(p->pool->edges, &s->edge);
        if (reset)
            gh_sock_reset_on_close(s->fd);
        gh_sock_close(s->fd);
        s->fd = -1;
    }
    if (s->pipe)
        return_pipe(p->pool, s->pipe);
    s->pipe = NULL;
    free(s->held);
    s->held = NULL;
    s->held_at = s->held_len = 0;
}

void gh_pump_close_side(struct gh_pump *p, unsigned side, bool reset)
{
    struct gh_pump_side *s = &p->side[side];

    close_side(p, s, reset);
    s->edged = s->ending = s->urgent = false;
}

int gh_pump_release(struct gh_pump *p, unsigned side)
{
    struct gh_pump_side *s = &p->side[side];
    int fd = s->fd;

    gh_edges_forget(p->pool->edges, &s->edge);
    if (s->edged)
        gh_edges_remove(p->pool->edges, fd);
    s->fd = -1;
    s->edged = s->ending = false;
    return fd;
}

void gh_pump_close(struct gh_pump *p, bool reset)
{
    close_side(p, &p->side[0], reset);
    close_side(p, &p->side[1], reset);
    gh_list_unlink(&p->busy);
    p->over = true;
}

static void end(struct gh_pump *p, bool reset)
{
    if (p->over)
        return;
    gh_pump_close(p, reset);
    p->on_end(p, reset);
}

/* ---- one direction ---- */

enum progress { STUCK, MOVED, BROKEN };

/* Nagle's algorithm holds back what follows something that is not acknowledged: the first piece never. */
static void about_to_send(struct gh_pump_side *to)
{
    if (to->delays && to->written) {
        gh_sock_set_nodelay(to->fd);
        to->delays = false;
    }
    to->written = true;
}

/* What waits in the pump goes first. */
static enum progress send_held(struct gh_pump_side *from, struct gh_pump_side *to)
{
    ssize_t n;

    about_to_send(to);
    n = gh_sock_send(to->fd, gh_span_of(from->held + from->held_at, from->held_len - from->held_at));

    if (n == GH_ERR_AGAIN) {
        to->writable = false;
        return STUCK;
    }
    if (n < 0)
        return BROKEN;
    from->held_at += (size_t)n;
    if (from->held_at < from->held_len) {
        to->writable = false; /* it took a part: an edge follows */
        return STUCK;
    }
    free(from->held);
    from->held = NULL;
    from->held_at = from->held_len = 0;
    return MOVED;
}

static enum progress send_pipe(struct gh_pump *p, struct gh_pump_side *from, struct gh_pump_side *to)
{
    ssize_t n;

    about_to_send(to);
    n = gh_splice_send(from->pipe, to->fd, false);

    if (n == GH_ERR_AGAIN) {
        to->writable = false;
        return STUCK;
    }
    if (n < 0)
        return BROKEN;
    p->pool->counters.spliced += (uint64_t)n;
    return MOVED;
}

static enum progress receive_pipe(struct gh_pump *p, struct gh_pump_side *from)
{
    ssize_t n = gh_splice_receive(from->fd, from->pipe, from->pipe->size);

    if (n == GH_ERR_AGAIN || n == GH_ERR_CLOSED) {
        from->readable = false;
        from->ended = n == GH_ERR_CLOSED;
        from->bulk = from->run >= BULK_LEAST;
        from->run = 0;
        return_pipe(p->pool, from->pipe);
        from->pipe = NULL;
        return from->ended ? MOVED : STUCK;
    }
    if (n < 0)
        return BROKEN;
    from->bytes += (uint64_t)n;
    from->run += (size_t)n;
    if (from->run >= PIPE_WIDE)
        widen_pipe(p->pool, from->pipe);
    return MOVED;
}

static void stop_splicing(struct gh_pump *p, struct gh_pump_side *from)
{
    from->bulk = false;
    from->run = 0;
    if (from->pipe)
        return_pipe(p->pool, from->pipe);
    from->pipe = NULL;
}

/* All in front of it was sent. Splicing does not get past it, so the next bytes are copied. What finds no room is lost: a host that is asked
 * for one that it has not got shows the same. */
static enum progress pass_urgent(struct gh_pump *p, struct gh_pump_side *from, struct gh_pump_side *to)
{
    int byte = gh_sock_receive_urgent(from->fd), rc = byte < 0 ? 0 : gh_sock_send_urgent(to->fd, (uint8_t)byte);

    from->urgent = false;
    from->readable = true;
    stop_splicing(p, from);
    return rc < 0 && rc != GH_ERR_AGAIN ? BROKEN : MOVED;
}

static void count_run(struct gh_pump_side *from, size_t got)
{
    from->run = got == GH_PUMP_COPY ? from->run + got : 0;
    if (from->run < BULK_AFTER)
        return;
    from->bulk = true;
    from->run = 0;
}

static enum progress receive_copy(struct gh_pump *p, struct gh_pump_side *from, struct gh_pump_side *to)
{
    struct gh_pump_pool *pool = p->pool;
    ssize_t n = gh_sock_receive(from->fd, pool->buffer, GH_PUMP_COPY), sent;

    if (n == GH_ERR_AGAIN || n == GH_ERR_CLOSED) {
        from->readable = false;
        from->ended = n == GH_ERR_CLOSED;
        return from->ended ? MOVED : STUCK;
    }
    if (n < 0)
        return BROKEN;
    from->bytes += (uint64_t)n;
    pool->counters.copied += (uint64_t)n;
    count_run(from, (size_t)n);
    if ((size_t)n < GH_PUMP_COPY && !from->ending && !from->urgent)
        from->readable = false; /* all that was there; what comes is an edge */
    about_to_send(to);
    sent = gh_sock_send(to->fd, gh_span_of(pool->buffer, (size_t)n));
    if (sent == n)
        return MOVED;
    if (sent < 0 && sent != GH_ERR_AGAIN)
        return BROKEN;
    to->writable = false;
    if (sent < 0)
        sent = 0;
    return gh_pump_push(p, from == &p->side[1], gh_span_of(pool->buffer + sent, (size_t)(n - sent))) < 0 ? BROKEN : STUCK;
}

static enum progress step(struct gh_pump *p, struct gh_pump_side *from, struct gh_pump_side *to)
{
    if (from->held_len)
        return to->writable ? send_held(from, to) : STUCK;
    if (from->pipe && from->pipe->held)
        return to->writable ? send_pipe(p, from, to) : STUCK;
    if (from->ended) {
        if (to->shut)
            return STUCK;
        to->shut = true;
        if (from->shut) /* both have ended: closing says the same */
            return STUCK;
        return gh_sock_shutdown_write(to->fd) < 0 ? BROKEN : STUCK;
    }
    if (!from->readable || !to->writable)
        return STUCK;
    if (from->urgent && gh_sock_at_urgent(from->fd))
        return pass_urgent(p, from, to);
    if (from->urgent)
        stop_splicing(p, from);
    if (from->bulk && !from->pipe)
        from->pipe = borrow_pipe(p->pool);
    return from->pipe ? receive_pipe(p, from) : receive_copy(p, from, to);
}

/* One socket is broken. What it had sent before is still there to be read, and its peer would have read it. */
static void hand_over_last_words(struct gh_pump *p, unsigned side)
{
    struct gh_pump_side *from = &p->side[side], *to = &p->side[!side];

    if (from->fd < 0 || to->fd < 0 || to->shut)
        return;
    from->readable = from->ending = to->writable = true;
    while ((!from->ended || from->held_len || (from->pipe && from->pipe->held)) && step(p, from, to) == MOVED)
        ; /* until there is no more, or no room for it: what a reset finds unsent is lost without us, too */
}

void gh_pump_fail(struct gh_pump *p, unsigned side)
{
    if (p->over)
        return;
    hand_over_last_words(p, side);
    end(p, true);
}

/* False when the pump is over. */
static bool move(struct gh_pump *p, unsigned side)
{
    struct gh_pump_side *from = &p->side[side], *to = &p->side[!side];
    uint64_t until = from->bytes + TURN_MAX;
    enum progress made;

    do
        made = step(p, from, to);
    while (made == MOVED && from->bytes < until);
    if (made == BROKEN) {
        gh_pump_fail(p, !side); /* or it is this one, and nobody takes what the other says */
        return false;
    }
    if (made == MOVED && gh_list_empty(&p->busy)) {
        gh_list_append(&p->pool->busy, &p->busy);
        gh_worker_deadline_start(p->pool->worker, &p->pool->again, gh_worker_now(p->pool->worker));
    }
    return true;
}

static void run(struct gh_pump *p)
{
    if (!move(p, 0) || !move(p, 1))
        return;
    if (p->side[0].shut && p->side[1].shut)
        end(p, false);
}

static void on_edge(struct gh_pump *p, struct gh_pump_side *s, unsigned events)
{
    if (events & GH_EDGE_FAILED) {
        gh_pump_fail(p, s == &p->side[1]);
        return;
    }
    s->readable |= (events & GH_EDGE_READ) != 0 && !s->ended;
    s->writable |= (events & GH_EDGE_WRITE) != 0;
    s->ending |= (events & GH_EDGE_END) != 0;
    if (events & GH_EDGE_URGENT && !s->ended)
        s->urgent = s->readable = true;
    run(p);
}

static void on_edge_first(struct gh_edge *e, unsigned events)
{
    struct gh_pump *p = gh_container_of(e, struct gh_pump, side[0].edge);

    on_edge(p, &p->side[0], events);
}

static void on_edge_second(struct gh_edge *e, unsigned events)
{
    struct gh_pump *p = gh_container_of(e, struct gh_pump, side[1].edge);

    on_edge(p, &p->side[1], events);
}

/* ---- life ---- */

void gh_pump_init(struct gh_pump *p, struct gh_pump_pool *pool, void (*on_end)(struct gh_pump *p, bool reset))
{
    memset(p, 0, sizeof *p);
    p->pool = pool;
    p->on_end = on_end;
    p->side[0].fd = p->side[1].fd = -1;
    gh_list_init(&p->busy);
}

void gh_pump_set_fd(struct gh_pump *p, unsigned side, int fd)
{
    struct gh_pump_side *s = &p->side[side];

    s->fd = fd;
    s->edged = false;
}

int gh_pump_watch(struct gh_pump *p, unsigned side)
{
    struct gh_pump_side *s = &p->side[side];
    int rc = s->edged ? 0 : gh_edges_add(p->pool->edges, s->fd, &s->edge);

    if (rc == 0)
        s->edged = true;
    return rc;
}

int gh_pump_push(struct gh_pump *p, unsigned side, struct gh_span bytes)
{
    struct gh_pump_side *s = &p->side[side];
    size_t have = s->held_len - s->held_at;
    uint8_t *all;

    if (bytes.len == 0)
        return 0;
    all = malloc(have + bytes.len);
    if (!all)
        return GH_ERR_MEMORY;
    if (have)
        memcpy(all, s->held + s->held_at, have);
    memcpy(all + have, bytes.data, bytes.len);
    free(s->held);
    s->held = all;
    s->held_at = 0;
    s->held_len = have + bytes.len;
    return 0;
}

int gh_pump_try(struct gh_pump *p, unsigned side)
{
    struct gh_pump_side *from = &p->side[side];
    size_t before = from->held_len - from->held_at;

    if (before == 0)
        return 0;
    if (send_held(from, &p->side[!side]) == BROKEN)
        return GH_ERR_SYSTEM;
    return from->held_len - from->held_at < before;
}

/* Trying to write costs less than asking whether one can; that there is something to read an edge says, or has said. */
void gh_pump_start(struct gh_pump *p)
{
    p->side[0].edge.fn = on_edge_first;
    p->side[1].edge.fn = on_edge_second;
    p->started = true;
    for (unsigned i = 0; i < 2; i++) {
        p->side[i].writable = true;
        if (gh_pump_watch(p, i) < 0) {
            end(p, true);
            return;
        }
    }
    run(p);
}
