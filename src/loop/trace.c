#include "loop/trace.h"

#include <stdlib.h>

#include "base/error.h"

static const char *const names[] = {
#define X(name, text, detail, a, b) text,
    GH_TRACE_EVENTS(X)
#undef X
};

int gh_trace_create(struct gh_trace **ret)
{
    struct gh_trace *t = calloc(1, sizeof *t); /* large: fresh pages, which cost nothing until they are written */

    if (!t)
        return GH_ERR_MEMORY;
    *ret = t;
    return 0;
}

void gh_trace_destroy(struct gh_trace *t)
{
    free(t);
}

const char *gh_trace_event_name(unsigned event)
{
    return event < GH_TRACE_EVENT_COUNT ? names[event] : "unknown";
}

size_t gh_trace_read(const struct gh_trace *t, size_t max, gh_trace_fn fn, void *arg)
{
    uint64_t end = t ? atomic_load_explicit(&t->written, memory_order_acquire) : 0;
    size_t given = 0;

    if (max > GH_TRACE_RECORDS)
        max = GH_TRACE_RECORDS;
    for (uint64_t at = end > max ? end - max : 0; at < end; at++) {
        const _Atomic uint64_t *w = t->words[at % GH_TRACE_RECORDS];
        uint64_t word[4];
        struct gh_trace_record r;

        for (int i = 0; i < 4; i++)
            word[i] = atomic_load_explicit(&w[i], memory_order_acquire);
        if (atomic_load_explicit(&t->begun, memory_order_relaxed) > at + GH_TRACE_RECORDS)
            continue; /* another record was begun here */
        r = (struct gh_trace_record){
            .at = (int64_t)word[0], .session = word[1], .a = word[2],
            .b = (uint32_t)(word[3] >> 32), .event = (uint16_t)(word[3] >> 16), .detail = (uint16_t)word[3],
        };
        fn(arg, &r);
        given++;
    }
    return given;
}
