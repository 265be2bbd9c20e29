#include "core/dump_trace.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/log.h"
#include "core/trace_text.h"
#include "os/clock.h"

struct trace_dump {
    struct gh_log *log;
    unsigned worker;
    int64_t now;
    size_t len;
    char text[GH_LOG_VALUE - 8];
};

static void flush_trace(struct trace_dump *d)
{
    const struct gh_log_field fields[] = { gh_log_str("what", "trace"), gh_log_uint("worker", d->worker), gh_log_str("events", d->text) };

    if (d->len)
        gh_log(d->log, gh_log_wants(d->log, GH_LOG_INFO) ? GH_LOG_INFO : GH_LOG_ERROR, "core", "dump", fields, sizeof fields / sizeof *fields);
    d->len = 0;
}

static void add_trace(void *arg, const struct gh_trace_record *r)
{
    struct trace_dump *d = arg;
    char one[GH_TRACE_TEXT + 96], text[GH_TRACE_TEXT], session[20] = "-";
    int n;

    if (r->session)
        snprintf(session, sizeof session, "%" PRIx64, r->session);
    n = snprintf(one, sizeof one, "-%lld %s %s %s", (long long)(d->now - r->at) / 1000, gh_trace_event_name(r->event), session, gh_trace_text(r, text));
    if (n < 0 || (size_t)n >= sizeof one)
        return;
    if (d->len + (size_t)n + 3 > sizeof d->text)
        flush_trace(d);
    d->len += (size_t)snprintf(d->text + d->len, sizeof d->text - d->len, "%s%s", d->len ? "; " : "", one);
}

void gh_dump_trace(struct gh_log *log, unsigned worker, const struct gh_trace *t, size_t max)
{
    struct trace_dump d = { .log = log, .worker = worker, .now = gh_clock_now() };

    gh_trace_read(t, max, add_trace, &d);
    flush_trace(&d);
}
