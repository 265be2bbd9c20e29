/* services/agent/agent.h - the client: one tunnel to a relay, as a network device */
#ifndef GH_SERVICES_AGENT_AGENT_H
#define GH_SERVICES_AGENT_AGENT_H

#include "core/lifecycle.h"

extern const struct gh_service gh_service_agent;

#endif
