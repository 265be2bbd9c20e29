/* services/relay/relay_packet.h - the data path: what each packet meets, in both directions */
#ifndef GH_SERVICES_RELAY_PACKET_H
#define GH_SERVICES_RELAY_PACKET_H

#include <stdbool.h>

#include "base/drop.h"
#include "base/span.h"
#include "services/relay/directory.h"

struct relay_worker;
struct session;

/* What one read of the TUN gave: whose its packets are is looked up once. */
struct relay_piece {
    bool known;
    unsigned flags; /* GH_FORWARD_OWN, or none */
    struct gh_directory_found to;
};

void relay_packet_from_peer(struct session *s, uint8_t *packet, size_t len);
/* <packet> has at least GH_TUN_PORT_HEADROOM writable bytes before it; <flags> are those of gh_forward_to_peer. */
void relay_packet_to_peer(struct session *s, uint8_t *packet, size_t len, unsigned flags);
/* From the TUN: see struct gh_tun_port_events. */
void relay_packet_in(void *arg, uint8_t *packet, size_t len, bool follows);
void relay_drop(void *arg, enum gh_drop why, uint64_t count);
/* Sends a packet made here into the tunnel, without a verdict. */
void relay_packet_send(struct session *s, struct gh_span packet);

#endif
