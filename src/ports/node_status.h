/* ports/node_status.h - what a node says about itself
 *
 * Called on the worker that runs the admin service. What a status points to is borrowed until the caller returns to its loop.
 */
#ifndef GH_PORTS_NODE_STATUS_H
#define GH_PORTS_NODE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ports/lifecycle.h"

struct gh_status_listener {
    const char *service;   /* "relay", "admin" */
    const char *transport; /* "udp", "tcp", "unix" */
    const char *address;   /* "[::]:4433", "/run/gatehouse/admin.sock" */
};

struct gh_status_worker {
    uint32_t index, sessions;
    uint64_t rx_packets, tx_packets, handed_over;
};

struct gh_status_feature {
    const char *name; /* "udp_gso", "udp_gro", "tun_tso", "tun_uso" */
    bool on, tested;    /* tested: packets were sent and compared, or the kernel took it; otherwise its word is believed */
    const char *detail; /* why not; "" otherwise */
};

struct gh_node_status {
    const char *node;    /* its name; "" when it has none */
    uint64_t generation; /* of the configuration */
    const char *policy_version; /* "" without a policy */
    const char *identity; /* what the node's own certificate says; "" when nothing */
    int64_t not_after;    /* of the certificate, wall seconds; 0: unknown */
    const char *cert_pin; /* sha256:HEX of its SubjectPublicKeyInfo; "" or NULL: unknown */
    uint32_t sessions, flows;
    struct gh_reload_result reload; /* the last one */
    const struct gh_status_listener *listeners;
    size_t listener_count;
    const struct gh_status_worker *workers;
    size_t worker_count;
    const struct gh_status_feature *features;
    size_t feature_count;
    const uint64_t *drops; /* GH_DROP_COUNT of them, by enum gh_drop; NULL: none counted */
};

struct gh_port_status {
    void (*read)(void *self, struct gh_node_status *ret); /* <ret> is zero before; a NULL string means "" */
    void *self;
};

#endif
