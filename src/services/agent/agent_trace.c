/* The flight recorder: what the agent went through. <session> of a record is the number of the connection. */
#include <inttypes.h>
#include <stdlib.h>

#include "core/dump_trace.h"
#include "core/trace_text.h"
#include "os/clock.h"
#include "services/agent/agent_internal.h"

#define ASSERTION_EVENTS 1024u
#define ASSERTION_PAUSE (60 * GH_NANOSECONDS)
#define EVENT_ROOM 256u /* bytes of an event as JSON, at most */

static void note(struct gh_worker *w, enum gh_trace_event event, uint64_t session, unsigned detail, uint64_t a, uint32_t b)
{
    gh_trace_note(gh_worker_trace(w), &(struct gh_trace_record){ gh_worker_now(w), session, a, b, (uint16_t)event, (uint16_t)detail });
}

void agent_note_link(const struct agent_link *l, enum gh_trace_event event, unsigned detail)
{
    note(l->a->w, event, l->number, detail, gh_trace_addr(&l->remote.ip), gh_trace_port(&l->remote.ip, 0, l->remote.port));
}

void agent_note_end(const struct agent_link *l, const char *word)
{
    note(l->a->w, GH_TRACE_SESSION_CLOSE, l->number, 0, gh_trace_word(word), 0);
}

void agent_note(struct agent *a, enum gh_trace_event event, uint64_t value)
{
    note(a->w, event, a->carrier ? a->carrier->number : 0, 0, value, 0);
}

void agent_note_state(struct agent *a)
{
    const char *name = agent_state_name(a);
    char word[12] = "";
    uint64_t first;
    uint32_t rest;

    if (a->noted_state == name)
        return;
    a->noted_state = name;
    for (size_t i = 0; i < sizeof word && name[i]; i++)
        word[i] = name[i];
    memcpy(&first, word, sizeof first);
    memcpy(&rest, word + sizeof first, sizeof rest);
    note(a->w, GH_TRACE_STATE, a->carrier ? a->carrier->number : 0, 0, first, rest);
}

/* What led to an assertion of the QUIC library. Who makes many of them does not make many lines. */
static void dump_assertion(struct agent *a)
{
    int64_t now = gh_worker_now(a->w);

    if (a->dumped && now - a->dumped < ASSERTION_PAUSE)
        return;
    a->dumped = now;
    gh_dump_trace(a->log, 0, gh_worker_trace(a->w), ASSERTION_EVENTS);
}

void agent_note_drop(struct agent_queue *q, enum gh_drop why, uint64_t count)
{
    if (why == GH_DROP_NONE)
        return;
    gh_counter_add(&q->drops[why], count);
    note(q->worker, GH_TRACE_DROP, 0, why, count, 0);
    if (why == GH_DROP_LIBRARY_ASSERT)
        dump_assertion(q->a);
}

/* ---- asked by the operator ---- */

struct emission {
    struct gh_text *to;
    unsigned worker;
    int64_t offset; /* from the monotonic to the wall clock */
    bool more;
};

static void emit_event(void *arg, const struct gh_trace_record *r)
{
    struct emission *e = arg;
    char text[GH_TRACE_TEXT];

    gh_text_printf(e->to, "%s{\"worker\":%u,\"at_ns\":%lld,\"event\":\"%s\",\"connection\":%" PRIu64 ",\"text\":", e->more ? "," : "", e->worker,
                   (long long)(r->at + e->offset), gh_trace_event_name(r->event), r->session);
    gh_text_append_json(e->to, gh_span_str(gh_trace_text(r, text)));
    gh_text_append(e->to, "}");
    e->more = true;
}

void agent_trace_emit(const struct agent *a, size_t max, struct gh_text *t)
{
    struct emission e = { .to = t, .offset = gh_clock_wall_nanoseconds() - gh_clock_now() };
    size_t room = t->limit / EVENT_ROOM / a->workers;

    gh_text_append(t, "{\"version\":1,\"events\":[");
    for (; e.worker < a->workers; e.worker++)
        gh_trace_read(gh_worker_trace(gh_workers_at(a->run->workers, e.worker)), max < room ? max : room, emit_event, &e);
    gh_text_append(t, "]}\n");
}
