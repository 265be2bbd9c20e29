#include "loop/edges.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/error.h"

#define BATCH 256

struct gh_edges {
    int fd;
    struct gh_poll *poll;
    int at, count; /* of <events>, while they are told */
    struct epoll_event events[BATCH];
};

static unsigned name_events(uint32_t ready)
{
    unsigned events = 0;

    if (ready & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
        events |= GH_EDGE_READ;
    if (ready & EPOLLOUT)
        events |= GH_EDGE_WRITE;
    if (ready & (EPOLLRDHUP | EPOLLHUP))
        events |= GH_EDGE_END;
    if (ready & EPOLLPRI)
        events |= GH_EDGE_URGENT;
    if (ready & EPOLLERR)
        events |= GH_EDGE_FAILED;
    return events;
}

/* More than a batch waits for the next turn: the descriptor of the set stays readable. */
static void on_ready(void *arg, int ready)
{
    struct gh_edges *s = arg;

    (void)ready;
    s->count = epoll_wait(s->fd, s->events, BATCH, 0);
    for (s->at = 0; s->at < s->count;) {
        const struct epoll_event *now = &s->events[s->at++];
        struct gh_edge *e = now->data.ptr;

        if (e)
            e->fn(e, name_events(now->events));
    }
    s->count = 0;
}

int gh_edges_create(struct gh_worker *w, struct gh_edges **ret)
{
    struct gh_edges *s = calloc(1, sizeof *s);
    int rc = GH_ERR_SYSTEM;

    if (!s)
        return GH_ERR_MEMORY;
    s->fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->fd >= 0)
        rc = gh_poll_open(w, s->fd, GH_POLL_READ, on_ready, s, &s->poll);
    if (rc < 0) {
        if (s->fd >= 0)
            close(s->fd);
        free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void gh_edges_destroy(struct gh_edges *s)
{
    if (!s)
        return;
    gh_poll_close(s->poll);
    close(s->fd);
    free(s);
}

int gh_edges_add(struct gh_edges *s, int fd, struct gh_edge *e)
{
    struct epoll_event want = { .events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET, .data.ptr = e };

    if (epoll_ctl(s->fd, EPOLL_CTL_ADD, fd, &want) == 0)
        return 0;
    return errno == ENOSPC ? GH_ERR_FULL : GH_ERR_SYSTEM;
}

void gh_edges_forget(struct gh_edges *s, const struct gh_edge *e)
{
    for (int i = s->at; i < s->count; i++)
        if (s->events[i].data.ptr == e)
            s->events[i].data.ptr = NULL;
}

void gh_edges_remove(struct gh_edges *s, int fd)
{
    epoll_ctl(s->fd, EPOLL_CTL_DEL, fd, NULL);
}
