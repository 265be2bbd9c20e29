/* services/relay/relay_announced.h - the ECHConfigList that the node's door announces, as one worker tells it to agents */
#ifndef GH_SERVICES_RELAY_RELAY_ANNOUNCED_H
#define GH_SERVICES_RELAY_RELAY_ANNOUNCED_H

#include "crypto/ech.h"

struct relay_worker;

struct relay_announced {
    uint8_t list[GH_ECH_LIST_MAX];
    size_t len;       /* 0: there is none */
    uint64_t version; /* counts other ones */
};

/* relay_tunnel.c: the keys of the node's door as they are now; agents are told when they are other ones. On the worker's thread. */
void relay_tunnel_use_ech(struct relay_worker *rw);

#endif
