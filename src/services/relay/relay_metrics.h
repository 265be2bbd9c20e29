/* services/relay/relay_metrics.h - what the relay counts for /metrics (docs/ops/metrics.md) */
#ifndef GH_SERVICES_RELAY_RELAY_METRICS_H
#define GH_SERVICES_RELAY_RELAY_METRICS_H

#include "core/metrics.h"

struct relay_worker;

/* rows of relay_metrics */
enum {
    RELAY_METRIC_SESSIONS,
    RELAY_METRIC_PACKETS,
    RELAY_METRIC_BYTES,
    RELAY_METRIC_FLOWS,
    RELAY_METRIC_HANDED_OVER,
    RELAY_METRIC_IDENTITIES,
    RELAY_METRIC_REVOKED,
    RELAY_METRIC_CRL_NEXT_UPDATE,
    RELAY_METRIC_NARROW,
    RELAY_METRIC_QUIC_CONNECTIONS,
    RELAY_METRIC_QUIC_DATAGRAMS,
    RELAY_METRIC_QUIC_BYTES,
    RELAY_METRIC_QUIC_CALLS,
    RELAY_METRIC_QUIC_HANDSHAKES,
    RELAY_METRIC_QUIC_RESUMED,
    RELAY_METRIC_QUIC_KEY_UPDATES,
    RELAY_METRIC_QUIC_PROBES,
    RELAY_METRIC_QUIC_BLACK_HOLES,
    RELAY_METRIC_QUIC_RETRIES,
    RELAY_METRIC_QUIC_TOKENS_INVALID,
    RELAY_METRIC_QUIC_RESETS,
    RELAY_METRIC_QUIC_HANDED_OVER,
    RELAY_METRIC_QUIC_LOST,
};

extern const struct gh_metric relay_metrics[];
void relay_metrics_publish(struct relay_worker *rw); /* the endpoints' counters, as they are now */

#endif
