/* services/agent/agent_hop.h - which of the relay's ports a connection goes to, and when to another one */
#ifndef GH_SERVICES_AGENT_AGENT_HOP_H
#define GH_SERVICES_AGENT_AGENT_HOP_H

#include <stdint.h>

/* One of <range>, both ends among it, drawn with <random>; another one than <now> where there is more than one. */
uint16_t gh_agent_hop_port(const uint16_t range[2], uint16_t now, uint64_t random);
/* Between 3/4 and 5/4 of <interval>: nobody is to see a clock in it. */
int64_t gh_agent_hop_wait(int64_t interval, uint64_t random);

#endif
