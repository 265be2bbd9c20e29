#include "base/rate.h"

void gh_rate_init(struct gh_rate *r, uint32_t per_second, uint32_t burst)
{
    int64_t interval = per_second ? INT64_C(1000000000) / per_second : 0;

    *r = (struct gh_rate){ .interval = interval, .tolerance = interval * (burst ? burst - 1 : 0), .next = INT64_MIN };
}

bool gh_rate_may(const struct gh_rate *r, int64_t now)
{
    return r->interval > 0 && r->next <= now + r->tolerance;
}

void gh_rate_take(struct gh_rate *r, int64_t now)
{
    r->next = (r->next > now ? r->next : now) + r->interval;
}
