/* services/relay/relay.h - the relay: terminates tunnels and forwards packets under policy */
#ifndef GH_SERVICES_RELAY_RELAY_H
#define GH_SERVICES_RELAY_RELAY_H

#include "core/lifecycle.h"

extern const struct gh_service gh_service_relay;

#endif
