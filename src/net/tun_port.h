/* net/tun_port.h - one queue of a TUN on a worker: large reads cut into packets, packets merged into large writes
 *
 * Reads are handed out packet by packet, each with GH_TUN_PORT_HEADROOM writable bytes in front of it. Writes are copied,
 * gathered, and leave at the end of the turn.
 */
#ifndef GH_NET_TUN_PORT_H
#define GH_NET_TUN_PORT_H

#include <stdbool.h>

#include "base/drop.h"
#include "base/span.h"
#include "loop/worker.h"

#define GH_TUN_PORT_HEADROOM 16u

struct gh_tun_port;

struct gh_tun_port_events {
    /* A packet from the kernel, complete with checksums, writable until it returns. <follows>: it was cut from the same piece as the one before, so
     * that both have the same headers but for lengths, numbers and checksums, and no flag that opens or ends a flow. */
    void (*on_packet)(void *arg, uint8_t *packet, size_t len, bool follows);
    void (*on_drop)(void *arg, enum gh_drop why, uint64_t count);
};

struct gh_tun_port_config {
    struct gh_worker *worker;
    int fd;       /* taken over */
    bool offload; /* TSO and USO, as far as the kernel has them */
    const struct gh_tun_port_events *events;
    void *arg;
};

struct gh_tun_port_counters {
    uint64_t reads, writes, packets_in, packets_out, bytes_in, bytes_out;
};

int gh_tun_port_create(const struct gh_tun_port_config *cfg, struct gh_tun_port **ret);
void gh_tun_port_destroy(struct gh_tun_port *p);
void gh_tun_port_send(struct gh_tun_port *p, struct gh_span packet);
void gh_tun_port_flush(struct gh_tun_port *p);
const struct gh_tun_port_counters *gh_tun_port_counters(const struct gh_tun_port *p);
/* What the kernel agreed to: enum gh_tun_offload bits. */
unsigned gh_tun_port_offloads(const struct gh_tun_port *p);

#endif
