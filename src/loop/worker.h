/* loop/worker.h - one thread, one libuv loop, its own descriptors, deadlines and mailbox
 *
 * A set (struct gh_workers) holds the workers of one node; a process can hold many sets. Unless a line says "any thread",
 * a function is called on the worker's own thread, or before gh_workers_start and after gh_workers_stop.
 *
 * One turn of a worker: wait; callbacks of ready descriptors, mailbox and offload; due deadlines; turn hooks. <now> is
 * read once, when the first callback of a turn runs.
 */
#ifndef GH_LOOP_WORKER_H
#define GH_LOOP_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "loop/deadline.h"

#define GH_WORKERS_MAX 64u /* the connection id has six bits for the worker (DESIGN 3) */

struct gh_worker;
struct gh_workers;

struct gh_workers_config {
    unsigned count;       /* 1..GH_WORKERS_MAX */
    const char *name;     /* threads are "<name>/<index>", at most 15 bytes; NULL: "worker" */
    size_t mailbox_slots; /* per worker, rounded up to a power of two; 0: 4096 */
};

int gh_workers_create(const struct gh_workers_config *cfg, struct gh_workers **ret);
/* Starts the threads. 0, GH_ERR_STATE or GH_ERR_SYSTEM (nothing runs then). */
int gh_workers_start(struct gh_workers *ws);
/* Any thread that is no worker of the set. Every loop ends after its current turn and the offload jobs under way, and the
 * threads are joined. Descriptors still polled and deadlines still started are dropped without a call; messages still under way
 * are delivered on the caller's thread. */
void gh_workers_stop(struct gh_workers *ws);
void gh_workers_destroy(struct gh_workers *ws); /* stops first; accepts NULL; messages left are delivered before */

unsigned gh_workers_count(const struct gh_workers *ws);
struct gh_worker *gh_workers_at(struct gh_workers *ws, unsigned index);

unsigned gh_worker_index(const struct gh_worker *w);
struct gh_workers *gh_worker_set(struct gh_worker *w);
int64_t gh_worker_now(struct gh_worker *w);  /* monotonic nanoseconds of this turn */
int64_t gh_worker_wall(struct gh_worker *w); /* seconds since 1970 of this turn */
/* True on the worker's own thread. Any thread. */
bool gh_worker_is_here(const struct gh_worker *w);
/* Tests and tools: one turn on the calling thread, of a set that was not started; waits at most until something is ready
 * when <wait>. */
void gh_worker_turn(struct gh_worker *w, bool wait);

/* ---- descriptors ---- */

#define GH_POLL_READ 1
#define GH_POLL_WRITE 2
#define GH_POLL_ERROR 4 /* only reported */

struct gh_poll;
typedef void (*gh_poll_fn)(void *arg, int events);

/* Level-triggered. <events> may be 0. <fd> stays the caller's and must not be closed before gh_poll_close. */
int gh_poll_open(struct gh_worker *w, int fd, int events, gh_poll_fn fn, void *arg, struct gh_poll **ret);
int gh_poll_change(struct gh_poll *p, int events);
void gh_poll_close(struct gh_poll *p); /* no call after it, even for events of this turn; accepts NULL */

/* ---- deadlines: fired by one timerfd, nanosecond resolution ---- */

void gh_worker_deadline_start(struct gh_worker *w, struct gh_deadline *d, int64_t at);
void gh_worker_deadline_stop(struct gh_worker *w, struct gh_deadline *d);

/* ---- end of a turn: where batches are flushed ---- */

struct gh_turn_hook {
    struct gh_list link;
    void (*fn)(void *arg, int64_t now);
    void *arg;
};

/* Called once in every turn, in the order in which they were added. A hook may remove itself and no other. */
void gh_worker_hook_add(struct gh_worker *w, struct gh_turn_hook *h);
void gh_worker_hook_remove(struct gh_turn_hook *h);

/* ---- between workers ---- */

struct gh_message {
    void (*deliver)(struct gh_worker *to, struct gh_message *m); /* owns <m> from then on */
    uint32_t weight; /* packets in it; 0 counts as 1 */
};

/* The weight that is delivered in a turn, about, unless it runs an errand: what comes of it has to find room until the end of the turn. */
#define GH_MAILBOX_TURN 256u

/* Any thread. Order is kept per sender. 0, or GH_ERR_FULL (<m> stays the caller's, who counts it as mailbox_full). The
 * receiver is woken once for a batch. */
int gh_mailbox_post(struct gh_worker *to, struct gh_message *m);

/* Any thread: runs <fn> on the worker; never full. 0 or GH_ERR_MEMORY. */
int gh_worker_run(struct gh_worker *w, void (*fn)(struct gh_worker *w, void *arg), void *arg);
/* A thread that is no worker: runs <fn> on the worker and waits. 0 or GH_ERR_MEMORY, GH_ERR_STATE when not started. */
int gh_worker_call(struct gh_worker *w, void (*fn)(struct gh_worker *w, void *arg), void *arg);
/* Any thread: calls <done> on <on> when every worker of the set has passed the end of a turn and has delivered what was in
 * its mailbox at that time: nobody uses a pointer any more that could not be found before this call. 0 or GH_ERR_MEMORY. */
int gh_worker_quiesce(struct gh_worker *on, void (*done)(struct gh_worker *on, void *arg), void *arg);

/* ---- what blocks ---- */

/* Runs <work> in the process-wide pool of threads, then <done> on the worker. 0, GH_ERR_MEMORY or GH_ERR_STATE. */
int gh_worker_offload(struct gh_worker *w, void (*work)(void *arg), void (*done)(struct gh_worker *w, void *arg), void *arg);

/* ---- flight recorder ---- */

struct gh_trace;
/* Written by the worker, read by any thread (loop/trace.h). */
struct gh_trace *gh_worker_trace(struct gh_worker *w);

/* ---- for the watchdog ---- */

uint64_t gh_worker_ticks(const struct gh_worker *w); /* turns so far; any thread */
/* Any thread: true when every worker has passed a turn since the last call with the same <seen>, which holds one number
 * per worker, zero at first; asks every worker for another turn. */
bool gh_workers_ticked(struct gh_workers *ws, uint64_t *seen);

#endif
