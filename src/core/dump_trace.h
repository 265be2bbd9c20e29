/* core/dump_trace.h - the flight recorder of a worker, written to the log */
#ifndef GH_CORE_DUMP_TRACE_H
#define GH_CORE_DUMP_TRACE_H

#include <stddef.h>

struct gh_log;
struct gh_trace;

/* The last <max> events: lines "dump" whose <what> is trace, with several of them in <events>, oldest first: microseconds before now,
 * event, session, text. Written whatever the log's level is. Any thread. */
void gh_dump_trace(struct gh_log *log, unsigned worker, const struct gh_trace *t, size_t max);

#endif
