/* core/pulse.h - do all workers still turn? For /livez and for the service manager's watchdog
 *
 * The thread that runs the node beats; anybody may ask.
 */
#ifndef GH_CORE_PULSE_H
#define GH_CORE_PULSE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "loop/worker.h"

#define GH_PULSE_PATIENCE INT64_C(5000000000) /* ns; a worker that does not turn for so long is stuck */

struct gh_pulse {
    struct gh_workers *workers;
    uint64_t seen[GH_WORKERS_MAX];
    int64_t interval, next; /* ns; <next>: 0 before the first beat */
    bool watchdog;          /* a service manager waits to be told */
    _Atomic int64_t last;   /* when all had turned; 0: nobody has beaten yet */
};

/* <env> has WATCHDOG_USEC and WATCHDOG_PID where a service manager set them (sd_watchdog_enabled(3)); they count when they are meant for
 * <main_pid>. NULL: none. */
void gh_pulse_init(struct gh_pulse *p, struct gh_workers *workers, const char *const *env, long main_pid);
/* Call it when <now> has reached gh_pulse_next, or at any time. True: every worker has turned, and the watchdog is to be told. */
bool gh_pulse_beat(struct gh_pulse *p, int64_t now);
int64_t gh_pulse_next(const struct gh_pulse *p);
/* Any thread. True before the first beat. */
bool gh_pulse_alive(const struct gh_pulse *p, int64_t now);

#endif
