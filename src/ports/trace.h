/* ports/trace.h - what a node recorded of itself, and packets watched as they pass
 *
 * Called on the worker that runs the admin service. Strings are borrowed until the call returns.
 */
#ifndef GH_PORTS_TRACE_H
#define GH_PORTS_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/ip_addr.h"

#define GH_WATCH_CLIENT 129u

/* An event of the flight recorder. */
struct gh_recorded {
    unsigned worker;
    int64_t wall_ns;
    const char *event, *text;
    uint64_t session; /* 0: of none */
};

typedef void (*gh_recorded_fn)(void *arg, const struct gh_recorded *row);

/* Which packets: those between <client> and <to>, both ways. */
struct gh_watch_filter {
    char client[GH_WATCH_CLIENT]; /* "": any */
    struct gh_prefix to;          /* family 0: any */
    uint16_t port;                /* of the other end; 0: any */
    uint8_t protocol;             /* 0: any */
};

/* One packet, as a JSON object without its line end. */
typedef void (*gh_watched_fn)(void *arg, const char *json, size_t len);

struct gh_port_trace {
    /* The last <max> events of each worker, each worker's in order. May be NULL. */
    void (*recorded)(void *self, size_t max, gh_recorded_fn fn, void *arg);
    /* Begins to watch. 0, GH_ERR_FULL or GH_ERR_MEMORY. Who does not read for 10 s is forgotten. */
    int (*watch)(void *self, const struct gh_watch_filter *f, uint64_t *ret_id);
    /* What passed since the last call; <ret_lost>: packets for which there was no room. 0 or GH_ERR_NOT_FOUND. */
    int (*read)(void *self, uint64_t id, gh_watched_fn fn, void *arg, uint64_t *ret_lost);
    int (*unwatch)(void *self, uint64_t id); /* 0 or GH_ERR_NOT_FOUND */
    void *self;
};

#endif
