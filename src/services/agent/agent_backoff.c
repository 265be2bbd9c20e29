#include "services/agent/agent_backoff.h"

void gh_agent_backoff_init(struct gh_agent_backoff *b, int64_t min, int64_t max)
{
    *b = (struct gh_agent_backoff){ .min = min, .max = max, .limit = min };
}

void gh_agent_backoff_reset(struct gh_agent_backoff *b)
{
    b->limit = b->min;
}

int64_t gh_agent_backoff_next(struct gh_agent_backoff *b, uint64_t random)
{
    int64_t limit = b->limit;

    b->limit = limit > b->max / 2 ? b->max : limit * 2;
    return limit > 0 ? (int64_t)(random % (uint64_t)limit) : 0;
}
