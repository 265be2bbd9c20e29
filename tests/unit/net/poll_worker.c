/* A stand-in for loop/worker.h on poll(2), enough for one worker that a test turns by hand; goes when dep_loop is there. */
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "loop/worker.h"

#define POLLS_MAX 64

struct gh_poll {
    struct gh_worker *worker;
    int fd, events;
    gh_poll_fn fn;
    void *arg;
};

struct gh_worker {
    struct gh_poll *polls[POLLS_MAX];
    size_t count;
    struct gh_deadline *deadlines;
    int64_t now;
};

struct gh_workers {
    struct gh_worker only;
};

static int64_t clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int gh_workers_create(const struct gh_workers_config *cfg, struct gh_workers **ret)
{
    struct gh_workers *ws = calloc(1, sizeof *ws);

    (void)cfg;
    if (!ws)
        return GH_ERR_MEMORY;
    ws->only.now = clock_now();
    *ret = ws;
    return 0;
}

void gh_workers_destroy(struct gh_workers *ws)
{
    free(ws);
}

struct gh_worker *gh_workers_at(struct gh_workers *ws, unsigned index)
{
    return index == 0 ? &ws->only : NULL;
}

int64_t gh_worker_now(struct gh_worker *w)
{
    return w->now;
}

int64_t gh_worker_wall(struct gh_worker *w)
{
    (void)w;
    return time(NULL);
}

int gh_poll_open(struct gh_worker *w, int fd, int events, gh_poll_fn fn, void *arg, struct gh_poll **ret)
{
    struct gh_poll *p = w->count < POLLS_MAX ? calloc(1, sizeof *p) : NULL;

    if (!p)
        return GH_ERR_MEMORY;
    *p = (struct gh_poll){ w, fd, events, fn, arg };
    w->polls[w->count++] = p;
    *ret = p;
    return 0;
}

int gh_poll_change(struct gh_poll *p, int events)
{
    p->events = events;
    return 0;
}

void gh_poll_close(struct gh_poll *p)
{
    struct gh_worker *w;

    if (!p)
        return;
    w = p->worker;
    for (size_t i = 0; i < w->count; i++)
        if (w->polls[i] == p)
            w->polls[i] = w->polls[--w->count];
    free(p);
}

void gh_worker_deadline_stop(struct gh_worker *w, struct gh_deadline *d)
{
    struct gh_deadline **at = &w->deadlines;

    if (!d->started)
        return;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    d->started = false;
}

void gh_worker_deadline_start(struct gh_worker *w, struct gh_deadline *d, int64_t at)
{
    gh_worker_deadline_stop(w, d);
    d->at = at;
    d->next = w->deadlines;
    d->started = true;
    w->deadlines = d;
}

static struct gh_deadline *earliest(struct gh_worker *w)
{
    struct gh_deadline *best = NULL;

    for (struct gh_deadline *d = w->deadlines; d; d = d->next)
        if (!best || d->at < best->at)
            best = d;
    return best;
}

static bool still_polled(const struct gh_worker *w, const struct gh_poll *p)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->polls[i] == p)
            return true;
    return false;
}

static int events_of(const struct pollfd *fd, int wanted)
{
    int events = 0;

    if (fd->revents & POLLERR)
        return GH_POLL_ERROR;
    if (fd->revents & (POLLIN | POLLHUP))
        events |= wanted & GH_POLL_READ;
    if (fd->revents & (POLLOUT | POLLHUP))
        events |= wanted & GH_POLL_WRITE;
    return events;
}

void gh_worker_turn(struct gh_worker *w, bool wait)
{
    struct pollfd fds[POLLS_MAX];
    struct gh_poll *polls[POLLS_MAX];
    size_t count = w->count;
    struct gh_deadline *d = earliest(w);
    int64_t left = d ? d->at - clock_now() : 1000000000;

    for (size_t i = 0; i < count; i++) {
        polls[i] = w->polls[i];
        /* who wants nothing is not asked for: a hang-up would wake us for ever */
        fds[i].fd = polls[i]->events ? polls[i]->fd : -1;
        fds[i].events = (short)((polls[i]->events & GH_POLL_READ ? POLLIN : 0) | (polls[i]->events & GH_POLL_WRITE ? POLLOUT : 0));
        fds[i].revents = 0;
    }
    poll(fds, count, !wait || left < 0 ? 0 : (int)(left / 1000000) + 1);
    w->now = clock_now();
    for (size_t i = 0; i < count; i++) {
        int events = still_polled(w, polls[i]) ? events_of(&fds[i], polls[i]->events) : 0;

        if (events)
            polls[i]->fn(polls[i]->arg, events);
    }
    for (d = earliest(w); d && d->at <= w->now; d = earliest(w)) {
        gh_worker_deadline_stop(w, d);
        d->fire(d->arg, w->now);
    }
}
