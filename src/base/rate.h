/* base/rate.h - a rate with a burst (GCRA), for who is told what time it is */
#ifndef GH_BASE_RATE_H
#define GH_BASE_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* <interval> ns an event, <burst> events at once. */
struct gh_rate {
    int64_t interval, tolerance;
    int64_t next;
};

void gh_rate_init(struct gh_rate *r, uint32_t per_second, uint32_t burst); /* <per_second> 0: never */
bool gh_rate_may(const struct gh_rate *r, int64_t now);
void gh_rate_take(struct gh_rate *r, int64_t now);

#endif
