/* net/pump.h - bytes between two stream sockets, both ways and untouched
 *
 * The end of one direction, a reset and back-pressure pass through as what they are: a FIN becomes a FIN when all before it was sent,
 * a reset a reset at once, behind what was sent before it. There is no time-out: two ends that are silent stay connected.
 *
 * Urgent data stays urgent, and where it was: whether a host has read it shows in how it closes.
 *
 * Small things are copied through one buffer that all pumps of a pool share; a direction that goes on filling it is spliced through a
 * pipe that it borrows while it is busy. What one socket has not taken waits in the pump, at most GH_PUMP_COPY bytes or one pipe.
 */
#ifndef GH_NET_PUMP_H
#define GH_NET_PUMP_H

#include "base/list.h"
#include "base/span.h"
#include "loop/edges.h"
#include "os/splice.h"

#define GH_PUMP_COPY 65536u /* bytes of the buffer */

/* What the pumps of one worker share. */
struct gh_pump_pool;

struct gh_pump_counters {
    uint64_t copied, spliced; /* bytes */
    uint64_t pipes;           /* open now */
    uint64_t pipes_missing;   /* times that a direction was copied because no pipe was to be had */
};

/* <pipes_max> pipes at most are open at a time, two descriptors each. 0, GH_ERR_MEMORY or GH_ERR_SYSTEM. */
int gh_pump_pool_create(struct gh_worker *w, unsigned pipes_max, struct gh_pump_pool **ret);
void gh_pump_pool_destroy(struct gh_pump_pool *p); /* no pump is left; accepts NULL */
struct gh_edges *gh_pump_pool_edges(struct gh_pump_pool *p);
/* The buffer, GH_PUMP_COPY bytes, good until the next call of a pump. */
uint8_t *gh_pump_pool_buffer(struct gh_pump_pool *p);
const struct gh_pump_counters *gh_pump_pool_counters(const struct gh_pump_pool *p);

struct gh_pump_side {
    struct gh_edge edge; /* first */
    int fd;              /* -1: none */
    bool edged;          /* in the set of the pool */
    bool readable, writable; /* <readable>: the owner sets it when it was told before the start */
    bool delays;         /* small pieces may wait in the kernel (Nagle): switched off before the second of them */
    bool written;        /* the first was sent */
    bool ending;         /* the end will come: read until it does */
    bool urgent;         /* a byte of urgent data has come, and goes where it is in the stream */
    bool ended;          /* its end was read */
    bool shut;           /* the end of the other one was passed to it */
    bool bulk;           /* what it sends is spliced */
    size_t run;          /* bytes in a row that filled the buffer, or went through the pipe */
    struct gh_pipe *pipe;           /* what it sent, on its way to the other side */
    uint8_t *held;                  /* the same, copied */
    size_t held_at, held_len;
    uint64_t bytes;      /* that came from it */
};

struct gh_pump {
    struct gh_pump_side side[2];
    struct gh_pump_pool *pool;
    struct gh_list busy;  /* has more to do in the next turn */
    bool started, over;
    /* Both sockets are closed, and the pump may be freed. <reset>: one of them was reset, and so was the other. */
    void (*on_end)(struct gh_pump *p, bool reset);
};

void gh_pump_init(struct gh_pump *p, struct gh_pump_pool *pool, void (*on_end)(struct gh_pump *p, bool reset));
/* The pump closes <fd> from now on. Until the pump starts, the owner sets edge.fn and asks for gh_pump_watch when it wants to be told. */
void gh_pump_set_fd(struct gh_pump *p, unsigned side, int fd);
/* 0, GH_ERR_FULL or GH_ERR_SYSTEM. Nothing when it is watched already. */
int gh_pump_watch(struct gh_pump *p, unsigned side);
/* Bytes that the owner has read from <side>, or puts in front: they are copied behind those that wait. 0 or GH_ERR_MEMORY. */
int gh_pump_push(struct gh_pump *p, unsigned side, struct gh_span bytes);
/* Before the start: gives the other socket what was pushed. 1 when it took something, so that it is connected, 0 when it did not, or
 * GH_ERR_SYSTEM, errno says why. */
int gh_pump_try(struct gh_pump *p, unsigned side);
/* Both sockets are there; the second may still be connecting. on_end may come before this returns, also when it fails. */
void gh_pump_start(struct gh_pump *p);
/* <side> was found to be broken, by the owner: what it sent before goes to the other, as far as that takes it, and then the pump ends with
 * a reset. Before or after the start. */
void gh_pump_fail(struct gh_pump *p, unsigned side);
/* Gives up one socket and what it sent, before the pump starts; another may be set. */
void gh_pump_close_side(struct gh_pump *p, unsigned side, bool reset);
/* Takes a socket out, before the pump starts: it is the caller's again. */
int gh_pump_release(struct gh_pump *p, unsigned side);
/* Closes what is open, with a reset or as it is; no on_end. */
void gh_pump_close(struct gh_pump *p, bool reset);

#endif
