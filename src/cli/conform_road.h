/* cli/conform_road.h - the road of proto/conform/peer.h over a UDP socket and the system's clock */
#ifndef GH_CLI_CONFORM_ROAD_H
#define GH_CLI_CONFORM_ROAD_H

#include "crypto/tls.h"
#include "os/sock.h"
#include "os/udp.h"
#include "proto/conform/peer.h"

struct gh_cli_conform_road {
    struct gh_endpoint remote;
    const char *server_name; /* "" for an address */
    struct gh_tls_ctx *tls;
    struct gh_udp udp;       /* of the connection, when it is open */
    bool open;
    uint8_t slab[4 * GH_UDP_BUFFER];
    uint8_t out[GH_QUIC_BATCH_MAX];
};

void gh_cli_conform_road(struct gh_cli_conform_road *r, struct gh_conform_road *ret);

#endif
