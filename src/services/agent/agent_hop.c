#include "services/agent/agent_hop.h"

#include <stdbool.h>

uint16_t gh_agent_hop_port(const uint16_t range[2], uint16_t now, uint64_t random)
{
    bool inside = now >= range[0] && now <= range[1];
    uint64_t count = (uint64_t)range[1] - range[0] + 1 - inside, at;

    if (count == 0)
        return now;
    at = range[0] + random % count;
    return (uint16_t)(inside && at >= now ? at + 1 : at);
}

int64_t gh_agent_hop_wait(int64_t interval, uint64_t random)
{
    int64_t half = interval / 2;

    return interval - interval / 4 + (half > 0 ? (int64_t)(random % (uint64_t)half) : 0);
}
