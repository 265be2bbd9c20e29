#include "os/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t = { 0 };

    clock_gettime(id, &t); /* cannot fail for these two clocks */
    return (int64_t)t.tv_sec * GH_NANOSECONDS + t.tv_nsec;
}

int64_t gh_clock_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t gh_clock_wall(void)
{
    return read_clock(CLOCK_REALTIME) / GH_NANOSECONDS;
}

int64_t gh_clock_wall_nanoseconds(void)
{
    return read_clock(CLOCK_REALTIME);
}
