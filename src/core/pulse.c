#include "core/pulse.h"

#include <stdlib.h>
#include <string.h>

#define INTERVAL INT64_C(1000000000)
#define BEATS 4 /* of one time-out of the watchdog */

static const char *env_of(const char *const *env, const char *name)
{
    size_t len = strlen(name);

    for (; env && *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return *env + len + 1;
    return NULL;
}

void gh_pulse_init(struct gh_pulse *p, struct gh_workers *workers, const char *const *env, long main_pid)
{
    const char *usec = env_of(env, "WATCHDOG_USEC"), *pid = env_of(env, "WATCHDOG_PID");
    long long timeout = usec ? strtoll(usec, NULL, 10) : 0;

    memset(p, 0, sizeof *p);
    p->workers = workers;
    p->interval = INTERVAL;
    atomic_init(&p->last, 0);
    if (timeout <= 0 || timeout > INT64_MAX / 1000 || (pid && strtol(pid, NULL, 10) != main_pid))
        return;
    p->watchdog = true;
    if (timeout * 1000 / BEATS < p->interval)
        p->interval = timeout * 1000 / BEATS;
}

bool gh_pulse_beat(struct gh_pulse *p, int64_t now)
{
    if (now < p->next)
        return false;
    p->next = now + p->interval;
    if (!gh_workers_ticked(p->workers, p->seen)) {
        if (atomic_load(&p->last) == 0)
            atomic_store(&p->last, now); /* patience begins here */
        return false;
    }
    atomic_store(&p->last, now);
    return p->watchdog;
}

int64_t gh_pulse_next(const struct gh_pulse *p)
{
    return p->next;
}

bool gh_pulse_alive(const struct gh_pulse *p, int64_t now)
{
    int64_t last = atomic_load(&p->last);

    return last == 0 || now - last < GH_PULSE_PATIENCE;
}
