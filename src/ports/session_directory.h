/* ports/session_directory.h - the sessions of a node, as an operator sees them
 *
 * Called on the worker that runs the admin service; a row and what it points to are borrowed until the call returns.
 */
#ifndef GH_PORTS_SESSION_DIRECTORY_H
#define GH_PORTS_SESSION_DIRECTORY_H

#include <stddef.h>
#include <stdint.h>

struct gh_ip;
struct gh_prefix;

#define GH_SESSION_ID_MAX 64 /* letters, digits, '-' and '_' */

struct gh_session_row {
    const char *id;        /* the session_id of the audit lines */
    const char *client_id;
    uint32_t tenant;
    const struct gh_ip *peer; /* of the connection that carries traffic; NULL when there is none now */
    uint16_t peer_port;
    const struct gh_prefix *addresses; /* assigned to the session */
    size_t address_count;
    int64_t since;         /* wall seconds */
    uint64_t rx_packets, rx_bytes; /* from the agent */
    uint64_t tx_packets, tx_bytes; /* to the agent */
    uint32_t flows, connections, worker;
    /* Of the connection that carries it, a moment ago; 0: not known yet */
    uint32_t rtt_us, mtu, udp_payload; /* mtu: the longest inner packet */
    uint64_t datagrams_sent, datagrams_lost;
};

typedef void (*gh_session_fn)(void *arg, const struct gh_session_row *row);

struct gh_port_sessions {
    void (*list)(void *self, gh_session_fn fn, void *arg);
    /* Starts to close a session; it may be gone a moment later. 0, GH_ERR_NOT_FOUND, or another error. */
    int (*kick)(void *self, const char *id);
    void *self;
};

#endif
