/* services/agent/agent_backoff.h - how long to wait before the next attempt: full jitter below a doubling limit */
#ifndef GH_SERVICES_AGENT_AGENT_BACKOFF_H
#define GH_SERVICES_AGENT_AGENT_BACKOFF_H

#include <stdint.h>

/* A tunnel that lived so long, in ns, makes the next wait a first one again. */
#define GH_AGENT_STABLE (INT64_C(10) * 1000000000)

struct gh_agent_backoff {
    int64_t min, max; /* ns */
    int64_t limit;    /* of the next wait */
};

void gh_agent_backoff_init(struct gh_agent_backoff *b, int64_t min, int64_t max);
void gh_agent_backoff_reset(struct gh_agent_backoff *b);
/* A wait in [0, limit), drawn with <random>; the limit doubles up to the maximum. */
int64_t gh_agent_backoff_next(struct gh_agent_backoff *b, uint64_t random);

#endif
