/* loop/trace.h - the flight recorder of a worker: its last events, in a ring
 *
 * One writer, its worker; any thread may read what is there at a moment. A record costs four stores; nothing is allocated, and the
 * memory of a ring that is never filled is never touched. What a number means is said by the event.
 */
#ifndef GH_LOOP_TRACE_H
#define GH_LOOP_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GH_TRACE_RECORDS 65536u

/* event, name, what <detail> is, what <a> is, what <b> is ("" for nothing). A word: its first eight letters; with "…" in <b> the next four. */
#define GH_TRACE_EVENTS(X)                                                                       \
    X(DECISION, "decision", "drop reason, none: allowed", "remote address", "port and protocol") \
    X(DROP, "drop", "drop reason", "count", "")                                                  \
    X(FLOW_OPEN, "flow_open", "direction", "remote address", "port and protocol")                \
    X(FLOW_CLOSE, "flow_close", "", "how it ended, a word", "port and protocol")                  \
    X(SESSION_OPEN, "session_open", "", "peer's address", "its port")                            \
    X(SESSION_CLOSE, "session_close", "", "how it ended, a word", "")                            \
    X(HANDSHAKE, "handshake", "1: accepted", "peer's address", "its port")                       \
    X(PATH, "path", "", "peer's new address", "its port")                                        \
    X(POLICY, "policy", "", "generation", "")                                                    \
    X(STATE, "state", "", "state of the agent, a word", "…")                                     \
    X(CONNECT, "connect", "", "relay's address", "its port")                                     \
    X(NETWORK, "network", "", "", "")                                                            \
    X(MTU, "mtu", "", "bytes that a packet in the tunnel may have", "")

enum gh_trace_event {
#define X(name, text, detail, a, b) GH_TRACE_##name,
    GH_TRACE_EVENTS(X)
#undef X
        GH_TRACE_EVENT_COUNT
};

struct gh_trace_record {
    int64_t at;       /* monotonic, ns */
    uint64_t session; /* 0: of none */
    uint64_t a;
    uint32_t b;
    uint16_t event, detail;
};

struct gh_trace {
    _Atomic uint64_t begun, written; /* records since the start */
    _Atomic uint64_t words[GH_TRACE_RECORDS][4];
};

int gh_trace_create(struct gh_trace **ret);
void gh_trace_destroy(struct gh_trace *t);
const char *gh_trace_event_name(unsigned event); /* never NULL */

/* The worker's own thread. <t> may be NULL: nobody records. */
static inline void gh_trace_note(struct gh_trace *t, const struct gh_trace_record *r)
{
    uint64_t at;
    _Atomic uint64_t *w;

    if (!t)
        return;
    at = atomic_load_explicit(&t->begun, memory_order_relaxed);
    w = t->words[at % GH_TRACE_RECORDS];
    /* who reads one of these words sees, too, that the record before it in this place is gone */
    atomic_store_explicit(&t->begun, at + 1, memory_order_relaxed);
    atomic_store_explicit(&w[0], (uint64_t)r->at, memory_order_release);
    atomic_store_explicit(&w[1], r->session, memory_order_release);
    atomic_store_explicit(&w[2], r->a, memory_order_release);
    atomic_store_explicit(&w[3], (uint64_t)r->b << 32 | (uint32_t)r->event << 16 | r->detail, memory_order_release);
    atomic_store_explicit(&t->written, at + 1, memory_order_release);
}

static inline uint64_t gh_trace_word(const char *word)
{
    uint64_t v = 0;
    size_t len = strlen(word);

    memcpy(&v, word, len < sizeof v ? len : sizeof v);
    return v;
}

typedef void (*gh_trace_fn)(void *arg, const struct gh_trace_record *r);

/* Any thread: the last <max> records, oldest first; those that are overwritten meanwhile are left out. Returns how many were given. */
size_t gh_trace_read(const struct gh_trace *t, size_t max, gh_trace_fn fn, void *arg);

#endif
