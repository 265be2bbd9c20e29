/* services/relay/relay_trace.h - packets that an operator watches, and the relay's way into the flight recorder */
#ifndef GH_SERVICES_RELAY_RELAY_TRACE_H
#define GH_SERVICES_RELAY_RELAY_TRACE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/drop.h"
#include "loop/trace.h"
#include "ports/trace.h"
#include "proto/forward/flow.h"

struct relay_worker;
struct session;

#define RELAY_WATCHES 4u
#define RELAY_WATCHED 512u /* packets that wait to be read */

/* An operator who watches packets. Under the lock of all. */
struct relay_watch {
    uint64_t id; /* 0: free */
    struct gh_watch_filter filter;
    int64_t read_at;
    uint64_t lost;
    size_t count;
    char *lines[RELAY_WATCHED];
};

struct relay_trace {
    struct gh_port_trace port;
    pthread_mutex_t lock;
    struct relay_watch watches[RELAY_WATCHES];
    uint64_t last_id;
    _Atomic unsigned watching; /* how many do */
};

/* What became of one packet. */
struct relay_step {
    enum gh_direction direction;
    size_t len;
    enum gh_drop why;   /* NONE: it passed, or was <answered> */
    bool answered;
    const char *next;   /* "network", "tunnel", "session", "session on another worker"; NULL: nowhere */
    const char *queue;  /* "queued"; NULL: none */
};

void relay_trace_init(struct relay_trace *t);
void relay_trace_fini(struct relay_trace *t);
/* To be asked before relay_trace_packet. */
static inline bool relay_watching(const struct relay_trace *t)
{
    return atomic_load_explicit(&t->watching, memory_order_relaxed) != 0;
}
void relay_trace_packet(struct session *s, const struct relay_step *step, const struct gh_ip_packet *p);
/* Into the flight recorder. */
void relay_note(struct relay_worker *rw, enum gh_trace_event event, uint64_t session, unsigned detail, uint64_t a, uint32_t b);

#endif
