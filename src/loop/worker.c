#include "loop/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#include "base/error.h"
#include "loop/mailbox.h"
#include "loop/trace.h"
#include "os/clock.h"
#include "os/process.h"

#define MAILBOX_SLOTS 4096u

/* What is asked of a worker from outside, in order, never refused. */
struct errand {
    struct gh_list link;
    void (*run)(struct gh_worker *w, struct errand *e); /* owns <e> */
};

struct gh_worker {
    struct gh_workers *set;
    unsigned index;
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t due; /* started: the loop does not wait */
    uv_async_t wake;
    uv_poll_t timer;
    int timer_fd;
    int64_t armed; /* when the timer goes off; never later than the earliest deadline while waiting */
    struct gh_deadlines deadlines;
    bool in_turn;
    int64_t now, wall; /* wall: 0 until asked for in this turn */
    struct gh_list hooks, polls;
    struct gh_list passing; /* struct pass: told at the end of the turn */
    struct gh_ring *mailbox;
    struct gh_trace *trace;
    pthread_mutex_t lock; /* errands, ended */
    struct gh_list errands;
    bool ended; /* the thread looks at errands no more */
    bool stopping;
    unsigned offloads;
    _Atomic uint64_t ticks;
    _Atomic uintptr_t thread; /* 0: none */
    pthread_t handle;
    bool started;
};

struct gh_workers {
    unsigned count;
    char name[16];
    bool started;
    struct gh_worker *all[GH_WORKERS_MAX];
};

struct gh_poll {
    uv_poll_t handle;
    struct gh_list link;
    gh_poll_fn fn;
    void *arg;
    int events;
    bool closed;
};

/* ---- one turn ---- */

static void enter_turn(struct gh_worker *w)
{
    if (w->in_turn)
        return;
    w->in_turn = true;
    w->now = gh_clock_now();
    w->wall = 0;
}

static void arm(struct gh_worker *w, int64_t next)
{
    struct itimerspec t = { 0 };

    /* Deadlines mostly move away while traffic flows: waking up once for nothing is cheaper than a system call a turn. */
    if (next >= w->armed)
        return;
    if (next < 1)
        next = 1; /* 0 would disarm */
    t.it_value.tv_sec = next / GH_NANOSECONDS;
    t.it_value.tv_nsec = next % GH_NANOSECONDS;
    if (timerfd_settime(w->timer_fd, TFD_TIMER_ABSTIME, &t, NULL) == 0)
        w->armed = next;
}

static void on_due(uv_idle_t *h)
{
    (void)h;
}

static void on_prepare(uv_prepare_t *h)
{
    struct gh_worker *w = h->data;
    int64_t next = gh_deadlines_next(&w->deadlines);

    if (next <= w->now) {
        uv_idle_start(&w->due, on_due); /* what is left to do is done in the next turn, without a timer and the calls that it needs */
    } else {
        uv_idle_stop(&w->due);
        arm(w, next);
    }
    w->in_turn = false;
}

static void on_timer(uv_poll_t *h, int status, int events)
{
    struct gh_worker *w = h->data;
    uint64_t times;

    (void)status;
    (void)events;
    enter_turn(w);
    if (read(w->timer_fd, &times, sizeof times) == (ssize_t)sizeof times)
        w->armed = GH_NEVER; /* what is due is fired at the end of this turn */
}

static void tell_passing(struct gh_worker *w);

static void on_check(uv_check_t *h)
{
    struct gh_worker *w = h->data;

    enter_turn(w);
    gh_deadlines_fire(&w->deadlines, w->now);
    gh_list_each(it, &w->hooks) {
        struct gh_turn_hook *hook = gh_container_of(it, struct gh_turn_hook, link);

        hook->fn(hook->arg, w->now);
    }
    tell_passing(w);
    atomic_fetch_add_explicit(&w->ticks, 1, memory_order_relaxed);
}

/* Up to about <most> of weight. */
static void read_mailbox(struct gh_worker *w, size_t most)
{
    size_t left = gh_ring_slots(w->mailbox);

    for (size_t done = 0; left && done < most; left--) {
        struct gh_message *m = gh_ring_take(w->mailbox);

        if (!m)
            return;
        done += m->weight ? m->weight : 1;
        m->deliver(w, m);
    }
    uv_async_send(&w->wake); /* the rest in the next turn: sockets have their share, and hooks send what came of these */
}

static void work_through(struct gh_worker *w)
{
    struct gh_list taken;

    gh_list_init(&taken);
    pthread_mutex_lock(&w->lock);
    while (!gh_list_empty(&w->errands)) {
        struct gh_list *l = w->errands.next;

        gh_list_unlink(l);
        gh_list_append(&taken, l);
    }
    pthread_mutex_unlock(&w->lock);
    /* what was sent before an errand is there when it runs */
    read_mailbox(w, gh_list_empty(&taken) ? GH_MAILBOX_TURN : SIZE_MAX);
    while (!gh_list_empty(&taken)) {
        struct errand *e = gh_container_of(taken.next, struct errand, link);

        gh_list_unlink(&e->link);
        e->run(w, e);
    }
}

static void on_wake(uv_async_t *h)
{
    struct gh_worker *w = h->data;

    enter_turn(w);
    work_through(w);
}

/* ---- life ---- */

static int loop_open(struct gh_worker *w)
{
    if (uv_loop_init(&w->loop) != 0)
        return GH_ERR_SYSTEM;
    uv_prepare_init(&w->loop, &w->prepare);
    uv_check_init(&w->loop, &w->check);
    uv_idle_init(&w->loop, &w->due);
    w->prepare.data = w->check.data = w->wake.data = w->timer.data = w;
    uv_prepare_start(&w->prepare, on_prepare);
    uv_check_start(&w->check, on_check);
    if (uv_async_init(&w->loop, &w->wake, on_wake) != 0)
        goto failed;
    w->wake.data = w;
    if (uv_poll_init(&w->loop, &w->timer, w->timer_fd) != 0)
        goto no_timer;
    w->timer.data = w;
    if (uv_poll_start(&w->timer, UV_READABLE, on_timer) == 0)
        return 0;
    uv_close((uv_handle_t *)&w->timer, NULL);
no_timer:
    uv_close((uv_handle_t *)&w->wake, NULL);
failed:
    uv_close((uv_handle_t *)&w->prepare, NULL);
    uv_close((uv_handle_t *)&w->check, NULL);
    uv_close((uv_handle_t *)&w->due, NULL);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    uv_loop_close(&w->loop);
    return GH_ERR_SYSTEM;
}

static int worker_create(struct gh_workers *ws, unsigned index, size_t slots, struct gh_worker **ret)
{
    struct gh_worker *w = calloc(1, sizeof *w);
    int rc = GH_ERR_SYSTEM;

    if (!w)
        return GH_ERR_MEMORY;
    w->set = ws;
    w->index = index;
    w->armed = GH_NEVER;
    gh_list_init(&w->hooks);
    gh_list_init(&w->polls);
    gh_list_init(&w->passing);
    gh_list_init(&w->errands);
    w->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (w->timer_fd >= 0)
        rc = gh_ring_create(slots, &w->mailbox);
    if (rc == 0)
        rc = gh_trace_create(&w->trace);
    if (rc == 0)
        rc = loop_open(w);
    if (rc < 0) {
        gh_trace_destroy(w->trace);
        gh_ring_destroy(w->mailbox);
        if (w->timer_fd >= 0)
            close(w->timer_fd);
        free(w);
        return rc;
    }
    pthread_mutex_init(&w->lock, NULL);
    *ret = w;
    return 0;
}

int gh_workers_create(const struct gh_workers_config *cfg, struct gh_workers **ret)
{
    struct gh_workers *ws;

    if (cfg->count < 1 || cfg->count > GH_WORKERS_MAX)
        return GH_ERR_RANGE;
    ws = calloc(1, sizeof *ws);
    if (!ws)
        return GH_ERR_MEMORY;
    snprintf(ws->name, sizeof ws->name, "%s", cfg->name ? cfg->name : "worker");
    while (ws->count < cfg->count) {
        int rc = worker_create(ws, ws->count, cfg->mailbox_slots ? cfg->mailbox_slots : MAILBOX_SLOTS, &ws->all[ws->count]);

        if (rc < 0) {
            gh_workers_destroy(ws);
            return rc;
        }
        ws->count++;
    }
    *ret = ws;
    return 0;
}

static void finish_offloads(struct gh_worker *w)
{
    while (w->offloads)
        uv_run(&w->loop, UV_RUN_ONCE);
}

static void *thread_main(void *arg)
{
    struct gh_worker *w = arg;
    char name[32];

    atomic_store(&w->thread, (uintptr_t)pthread_self());
    snprintf(name, sizeof name, "%.12s/%u", w->set->name, w->index);
    gh_process_name_thread(name);
    uv_run(&w->loop, UV_RUN_DEFAULT); /* until stop_errand */
    finish_offloads(w);
    pthread_mutex_lock(&w->lock);
    w->ended = true;
    pthread_mutex_unlock(&w->lock);
    work_through(w); /* a caller may wait for an errand */
    w->in_turn = false;
    atomic_store(&w->thread, 0);
    return NULL;
}

int gh_workers_start(struct gh_workers *ws)
{
    sigset_t all, old;
    bool created;

    if (ws->started)
        return GH_ERR_STATE;
    sigfillset(&all); /* signals are for the first thread, or come as events */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    ws->started = true;
    for (unsigned i = 0; i < ws->count; i++) {
        struct gh_worker *w = ws->all[i];

        w->ended = w->stopping = false;
        pthread_mutex_lock(&w->lock);
        created = w->started = pthread_create(&w->handle, NULL, thread_main, w) == 0;
        pthread_mutex_unlock(&w->lock);
        if (!created) {
            pthread_sigmask(SIG_SETMASK, &old, NULL);
            gh_workers_stop(ws);
            return GH_ERR_SYSTEM;
        }
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return 0;
}

static void send_errand(struct gh_worker *w, struct errand *e)
{
    gh_list_init(&e->link);
    pthread_mutex_lock(&w->lock);
    gh_list_append(&w->errands, &e->link);
    pthread_mutex_unlock(&w->lock);
    uv_async_send(&w->wake);
}

static void run_stop(struct gh_worker *w, struct errand *e)
{
    (void)e;
    w->stopping = true;
    uv_stop(&w->loop);
}

static bool idle(struct gh_worker *w)
{
    return gh_list_empty(&w->errands) && gh_list_empty(&w->passing) && gh_ring_passed(w->mailbox, gh_ring_mark(w->mailbox));
}

/* Delivers what is still on its way, on the caller's thread; a delivery may send more. */
static void settle(struct gh_workers *ws)
{
    bool busy;

    do {
        busy = false;
        for (unsigned i = 0; i < ws->count; i++) {
            if (idle(ws->all[i]))
                continue;
            busy = true;
            work_through(ws->all[i]);
            tell_passing(ws->all[i]);
        }
    } while (busy);
}

void gh_workers_stop(struct gh_workers *ws)
{
    struct errand stops[GH_WORKERS_MAX];

    if (!ws || !ws->started)
        return;
    for (unsigned i = 0; i < ws->count; i++) {
        stops[i].run = run_stop;
        if (ws->all[i]->started)
            send_errand(ws->all[i], &stops[i]);
    }
    for (unsigned i = 0; i < ws->count; i++) {
        if (ws->all[i]->started)
            pthread_join(ws->all[i]->handle, NULL);
        ws->all[i]->started = false;
    }
    ws->started = false;
    settle(ws);
}

static void on_poll_closed(uv_handle_t *h)
{
    free(gh_container_of((uv_poll_t *)h, struct gh_poll, handle));
}

static void worker_destroy(struct gh_worker *w)
{
    gh_list_each(it, &w->polls)
        gh_poll_close(gh_container_of(it, struct gh_poll, link));
    uv_close((uv_handle_t *)&w->timer, NULL);
    uv_close((uv_handle_t *)&w->wake, NULL);
    uv_close((uv_handle_t *)&w->prepare, NULL);
    uv_close((uv_handle_t *)&w->check, NULL);
    uv_close((uv_handle_t *)&w->due, NULL);
    while (uv_run(&w->loop, UV_RUN_NOWAIT) != 0)
        ;
    uv_loop_close(&w->loop);
    close(w->timer_fd);
    gh_ring_destroy(w->mailbox);
    gh_trace_destroy(w->trace);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void gh_workers_destroy(struct gh_workers *ws)
{
    if (!ws)
        return;
    gh_workers_stop(ws);
    for (unsigned i = 0; i < ws->count; i++) {
        ws->all[i]->stopping = true;
        finish_offloads(ws->all[i]);
    }
    settle(ws);
    for (unsigned i = 0; i < ws->count; i++)
        worker_destroy(ws->all[i]);
    free(ws);
}

unsigned gh_workers_count(const struct gh_workers *ws)
{
    return ws->count;
}

struct gh_worker *gh_workers_at(struct gh_workers *ws, unsigned index)
{
    return index < ws->count ? ws->all[index] : NULL;
}

unsigned gh_worker_index(const struct gh_worker *w)
{
    return w->index;
}

struct gh_workers *gh_worker_set(struct gh_worker *w)
{
    return w->set;
}

int64_t gh_worker_now(struct gh_worker *w)
{
    return w->in_turn ? w->now : gh_clock_now(); /* outside of a turn nothing keeps it */
}

int64_t gh_worker_wall(struct gh_worker *w)
{
    if (!w->in_turn)
        return gh_clock_wall();
    if (!w->wall)
        w->wall = gh_clock_wall();
    return w->wall;
}

bool gh_worker_is_here(const struct gh_worker *w)
{
    return atomic_load(&w->thread) == (uintptr_t)pthread_self();
}

void gh_worker_turn(struct gh_worker *w, bool wait)
{
    uintptr_t before = atomic_exchange(&w->thread, (uintptr_t)pthread_self());

    uv_run(&w->loop, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    w->in_turn = false;
    atomic_store(&w->thread, before);
}

/* ---- descriptors ---- */

static int uv_events(int events)
{
    return (events & GH_POLL_READ ? UV_READABLE : 0) | (events & GH_POLL_WRITE ? UV_WRITABLE : 0);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct gh_poll *p = gh_container_of(h, struct gh_poll, handle);
    int ready = (events & UV_READABLE ? GH_POLL_READ : 0) | (events & UV_WRITABLE ? GH_POLL_WRITE : 0);

    enter_turn(h->data);
    if (p->closed)
        return;
    if (status < 0) { /* libuv stops at EPOLLERR, which on a UDP socket is one ICMP error: the owner reads it and goes on */
        uv_poll_start(&p->handle, uv_events(p->events), on_poll);
        ready = p->events | GH_POLL_ERROR;
    }
    p->fn(p->arg, ready);
}

int gh_poll_open(struct gh_worker *w, int fd, int events, gh_poll_fn fn, void *arg, struct gh_poll **ret)
{
    struct gh_poll *p = calloc(1, sizeof *p);
    int rc;

    if (!p)
        return GH_ERR_MEMORY;
    rc = uv_poll_init(&w->loop, &p->handle, fd);
    if (rc != 0) {
        free(p);
        return rc == UV_EEXIST ? GH_ERR_EXISTS : GH_ERR_SYSTEM;
    }
    p->handle.data = w;
    p->fn = fn;
    p->arg = arg;
    gh_list_append(&w->polls, &p->link);
    rc = gh_poll_change(p, events);
    if (rc < 0) {
        gh_poll_close(p);
        return rc;
    }
    *ret = p;
    return 0;
}

int gh_poll_change(struct gh_poll *p, int events)
{
    p->events = events & (GH_POLL_READ | GH_POLL_WRITE);
    if (!p->events)
        return uv_poll_stop(&p->handle) == 0 ? 0 : GH_ERR_SYSTEM;
    return uv_poll_start(&p->handle, uv_events(p->events), on_poll) == 0 ? 0 : GH_ERR_SYSTEM;
}

void gh_poll_close(struct gh_poll *p)
{
    if (!p || p->closed)
        return;
    p->closed = true;
    gh_list_unlink(&p->link);
    uv_close((uv_handle_t *)&p->handle, on_poll_closed); /* stops at once, frees after the turn */
}

/* ---- deadlines and hooks ---- */

void gh_worker_deadline_start(struct gh_worker *w, struct gh_deadline *d, int64_t at)
{
    gh_deadline_start(&w->deadlines, d, at);
}

void gh_worker_deadline_stop(struct gh_worker *w, struct gh_deadline *d)
{
    gh_deadline_stop(&w->deadlines, d);
}

void gh_worker_hook_add(struct gh_worker *w, struct gh_turn_hook *h)
{
    gh_list_append(&w->hooks, &h->link);
}

void gh_worker_hook_remove(struct gh_turn_hook *h)
{
    gh_list_unlink(&h->link);
}

/* ---- between workers ---- */

int gh_mailbox_post(struct gh_worker *to, struct gh_message *m)
{
    if (!gh_ring_put(to->mailbox, m))
        return GH_ERR_FULL;
    uv_async_send(&to->wake); /* a system call only when no wake-up is on its way */
    return 0;
}

struct run_errand {
    struct errand errand;
    void (*fn)(struct gh_worker *w, void *arg);
    void *arg;
    uv_sem_t *done; /* NULL: nobody waits, and the errand is its own to free */
};

static void run_function(struct gh_worker *w, struct errand *e)
{
    struct run_errand *r = gh_container_of(e, struct run_errand, errand);

    r->fn(w, r->arg);
    if (r->done)
        uv_sem_post(r->done);
    else
        free(r);
}

int gh_worker_run(struct gh_worker *w, void (*fn)(struct gh_worker *w, void *arg), void *arg)
{
    struct run_errand *r = calloc(1, sizeof *r);

    if (!r)
        return GH_ERR_MEMORY;
    r->errand.run = run_function;
    r->fn = fn;
    r->arg = arg;
    send_errand(w, &r->errand);
    return 0;
}

int gh_worker_call(struct gh_worker *w, void (*fn)(struct gh_worker *w, void *arg), void *arg)
{
    uv_sem_t done;
    struct run_errand r = { .errand.run = run_function, .fn = fn, .arg = arg, .done = &done };
    bool taken;

    if (uv_sem_init(&done, 0) != 0)
        return GH_ERR_SYSTEM;
    gh_list_init(&r.errand.link);
    pthread_mutex_lock(&w->lock);
    taken = w->started && !w->ended;
    if (taken)
        gh_list_append(&w->errands, &r.errand.link);
    pthread_mutex_unlock(&w->lock);
    if (taken) {
        uv_async_send(&w->wake);
        uv_sem_wait(&done);
    }
    uv_sem_destroy(&done);
    return taken ? 0 : GH_ERR_STATE;
}

/* Two rounds over all workers. After the first, no worker is in the middle of anything that began before; but one may have
 * sent a message meanwhile. After the second, those are delivered, too: a pass waits for all that its mailbox held. */
struct pass {
    struct errand errand;
    struct gh_list link; /* in the worker's <passing> */
    struct quiesce *quiesce;
    size_t mark;
};

struct quiesce {
    struct gh_worker *on;
    void (*done)(struct gh_worker *on, void *arg);
    void *arg;
    _Atomic unsigned left;
    unsigned round, count;
    struct errand end;
    struct pass passes[];
};

static void run_pass(struct gh_worker *w, struct errand *e)
{
    struct pass *p = gh_container_of(e, struct pass, errand);

    p->mark = gh_ring_mark(w->mailbox);
    gh_list_append(&w->passing, &p->link);
}

static void run_quiesced(struct gh_worker *w, struct errand *e)
{
    struct quiesce *q = gh_container_of(e, struct quiesce, end);

    q->done(w, q->arg);
    free(q);
}

static void begin_round(struct quiesce *q, struct gh_workers *ws)
{
    unsigned count = q->count; /* the last pass may free <q> */

    q->round++;
    atomic_store(&q->left, count);
    for (unsigned i = 0; i < count; i++) {
        q->passes[i].quiesce = q;
        q->passes[i].errand.run = run_pass;
        gh_list_init(&q->passes[i].link);
        send_errand(ws->all[i], &q->passes[i].errand);
    }
}

static void tell_passing(struct gh_worker *w)
{
    gh_list_each(it, &w->passing) {
        struct pass *p = gh_container_of(it, struct pass, link);
        struct quiesce *q = p->quiesce;

        if (!gh_ring_passed(w->mailbox, p->mark))
            continue; /* a putter was interrupted; it wakes us when it is done */
        gh_list_unlink(it);
        if (atomic_fetch_sub(&q->left, 1) != 1)
            continue;
        if (q->round == 1)
            begin_round(q, w->set);
        else
            send_errand(q->on, &q->end);
    }
}

int gh_worker_quiesce(struct gh_worker *on, void (*done)(struct gh_worker *on, void *arg), void *arg)
{
    unsigned count = on->set->count;
    struct quiesce *q = calloc(1, sizeof *q + count * sizeof q->passes[0]);

    if (!q)
        return GH_ERR_MEMORY;
    q->on = on;
    q->done = done;
    q->arg = arg;
    q->count = count;
    q->end.run = run_quiesced;
    begin_round(q, on->set);
    return 0;
}

/* ---- what blocks ---- */

struct offload {
    uv_work_t request;
    struct gh_worker *w;
    void (*work)(void *arg);
    void (*done)(struct gh_worker *w, void *arg);
    void *arg;
};

static void on_work(uv_work_t *r)
{
    struct offload *o = gh_container_of(r, struct offload, request);

    o->work(o->arg);
}

static void on_work_done(uv_work_t *r, int status)
{
    struct offload *o = gh_container_of(r, struct offload, request);
    struct gh_worker *w = o->w;

    (void)status; /* nobody cancels */
    enter_turn(w);
    w->offloads--;
    o->done(w, o->arg);
    free(o);
}

int gh_worker_offload(struct gh_worker *w, void (*work)(void *arg), void (*done)(struct gh_worker *w, void *arg), void *arg)
{
    struct offload *o;

    if (w->stopping)
        return GH_ERR_STATE;
    o = calloc(1, sizeof *o);
    if (!o)
        return GH_ERR_MEMORY;
    o->w = w;
    o->work = work;
    o->done = done;
    o->arg = arg;
    if (uv_queue_work(&w->loop, &o->request, on_work, on_work_done) != 0) {
        free(o);
        return GH_ERR_SYSTEM;
    }
    w->offloads++;
    return 0;
}

/* ---- for the watchdog ---- */

struct gh_trace *gh_worker_trace(struct gh_worker *w)
{
    return w->trace;
}

uint64_t gh_worker_ticks(const struct gh_worker *w)
{
    return atomic_load_explicit(&w->ticks, memory_order_relaxed);
}

bool gh_workers_ticked(struct gh_workers *ws, uint64_t *seen)
{
    bool all = true;

    for (unsigned i = 0; i < ws->count; i++) {
        uint64_t ticks = gh_worker_ticks(ws->all[i]);

        all = all && ticks != seen[i];
        seen[i] = ticks;
        uv_async_send(&ws->all[i]->wake);
    }
    return all;
}
