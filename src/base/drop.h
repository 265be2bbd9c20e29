/* base/drop.h - why a packet, a request or a connection was not served
 *
 * The one enum of reasons. Metrics, audit, explain, trace and documentation use these names.
 */
#ifndef GH_BASE_DROP_H
#define GH_BASE_DROP_H

#include <stdint.h>

#define GH_DROPS(X)                                                                   \
    X(MALFORMED, "malformed", "the inner packet does not parse")                      \
    X(LINK_LOCAL, "link_local", "link-local addresses never cross a tunnel")          \
    X(SOURCE, "source", "source address is not assigned to the sender")               \
    X(SCOPE, "scope", "outside of what the tunnel was asked for")                     \
    X(NO_ROUTE, "no_route", "no session and no network has the destination")          \
    X(NO_SESSION, "no_session", "the session is gone")                                \
    X(TTL, "ttl", "time to live used up")                                             \
    X(TOO_BIG, "too_big", "larger than the tunnel carries")                           \
    X(POLICY, "policy", "a rule denies it")                                           \
    X(POLICY_CHANGED, "policy_changed", "the flow was cut by a newer policy")         \
    X(UNKNOWN_CLIENT, "unknown_client", "policy knows no such client")                \
    X(NO_FLOW, "no_flow", "a reply or ICMP error without its flow")                   \
    X(FRAGMENT_ORPHAN, "fragment_orphan", "fragment without its first")               \
    X(FRAGMENT_OVERLAP, "fragment_overlap", "overlapping fragments")                  \
    X(FRAGMENT_LIMIT, "fragment_limit", "a packet in too many separate pieces")       \
    X(FLOW_LIMIT, "flow_limit", "flow table full")                                    \
    X(FLOW_LIMIT_SESSION, "flow_limit_session", "the session has its share of flows") \
    X(QUEUE_FULL, "queue_full", "session queue full")                                 \
    X(QUEUE_DELAY, "queue_delay", "session queue too old")                            \
    X(CONTEXT, "context", "HTTP datagram with an unknown context id")                 \
    X(DATAGRAM_STREAM, "datagram_stream", "HTTP datagram for an unknown stream")      \
    X(TUN_WRITE, "tun_write", "the TUN device refused the packet")                    \
    X(UDP_WRITE, "udp_write", "the socket refused the datagram")                      \
    X(UDP_TRUNCATED, "udp_truncated", "datagram longer than the buffer")              \
    X(MAILBOX_FULL, "mailbox_full", "the other worker's mailbox is full")             \
    X(POOL_EMPTY, "pool_empty", "no packet buffer free")                              \
    X(QUIC_INVALID, "quic_invalid", "not a QUIC packet that belongs to anyone")       \
    X(HANDSHAKE_LIMIT, "handshake_limit", "too many half-open handshakes")            \
    X(HANDSHAKE_SOURCE, "handshake_source", "too many handshakes from one source")     \
    X(SESSION_LIMIT, "session_limit", "too many sessions")                            \
    X(CAPSULE_LIMIT, "capsule_limit", "capsule longer than the limit")                \
    X(CAPSULE_RATE, "capsule_rate", "more capsules than a tunnel may send")           \
    X(ADDRESS_POOL, "address_pool", "address pool empty")                             \
    X(AUDIT_LOST, "audit_lost", "audit record lost, sink slow or full")               \
    X(LIBRARY_ASSERT, "library_assert", "an assertion of the QUIC library failed")    \
    X(DRAINING, "draining", "the node is draining")                                   \
    X(NO_DATAGRAM, "no_datagram", "the tunnel is not ready for packets")              \
    X(ICMP_LIMIT, "icmp_limit", "an ICMP answer was over its rate")                   \
    X(PROXY_LIMIT, "proxy_limit", "too many CONNECT and CONNECT-UDP tunnels")         \
    X(LOCAL_TARGET, "local_target", "the node or its link, which no rule names")      \
    X(PROXY_QUEUE, "proxy_queue", "a tunnel's other end does not take what came")

enum gh_drop {
    GH_DROP_NONE,
#define X(name, text, help) GH_DROP_##name,
    GH_DROPS(X)
#undef X
        GH_DROP_COUNT
};

/* The stable name used in metrics and audit, "none" for GH_DROP_NONE; and one line for people. Never NULL. */
const char *gh_drop_name(enum gh_drop d);
const char *gh_drop_help(enum gh_drop d);

#endif
