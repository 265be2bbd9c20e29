/* The relay's rows in /metrics, and what of other folders' counters goes there. */
#include "services/relay/relay_internal.h"

static const char *const directions[] = { "from_agents", "to_agents", NULL };
static const char *const flow_events[] = { "opened", "closed", NULL };
static const char *const ways[] = { "in", "out", NULL };
static const char *const results[] = { "completed", "failed", NULL };

const struct gh_metric relay_metrics[] = {
    [RELAY_METRIC_SESSIONS] = { "gatehouse_relay_sessions", GH_METRIC_GAUGE, "Sessions now." },
    [RELAY_METRIC_PACKETS] = { "gatehouse_relay_packets_total", GH_METRIC_COUNTER, "Packets that passed.", "direction", directions },
    [RELAY_METRIC_BYTES] = { "gatehouse_relay_bytes_total", GH_METRIC_COUNTER, "Bytes of IP packets that passed.", "direction", directions },
    [RELAY_METRIC_FLOWS] = { "gatehouse_relay_flows_total", GH_METRIC_COUNTER, "Flows opened and closed.", "event", flow_events },
    [RELAY_METRIC_HANDED_OVER] = { "gatehouse_relay_handed_over_total", GH_METRIC_COUNTER, "Packets given to the worker of their session." },
    [RELAY_METRIC_IDENTITIES] = { "gatehouse_relay_handshakes_total", GH_METRIC_COUNTER, "Handshakes completed with a certificate that was accepted." },
    [RELAY_METRIC_REVOKED] = { "gatehouse_relay_revoked_certificates", GH_METRIC_GAUGE, "Certificates in the revocation lists of relay.crl." },
    [RELAY_METRIC_CRL_NEXT_UPDATE] = { "gatehouse_relay_crl_next_update_seconds", GH_METRIC_GAUGE, "Moment at which relay.crl is out of date, Unix time; 0 without a list." },
    [RELAY_METRIC_NARROW] = { "gatehouse_relay_narrow_tunnels_total", GH_METRIC_COUNTER, "Tunnels opened without IPv6, or aborted, because their path is too narrow for it." },
    [RELAY_METRIC_QUIC_CONNECTIONS] = { "gatehouse_quic_connections", GH_METRIC_GAUGE, "QUIC connections now, half-open ones too." },
    [RELAY_METRIC_QUIC_DATAGRAMS] = { "gatehouse_quic_udp_datagrams_total", GH_METRIC_COUNTER, "UDP datagrams received and sent.", "direction", ways },
    [RELAY_METRIC_QUIC_BYTES] = { "gatehouse_quic_udp_bytes_total", GH_METRIC_COUNTER, "UDP payload received and sent.", "direction", ways },
    [RELAY_METRIC_QUIC_CALLS] = { "gatehouse_quic_system_calls_total", GH_METRIC_COUNTER, "System calls that received and sent them.", "direction", ways },
    [RELAY_METRIC_QUIC_HANDSHAKES] = { "gatehouse_quic_handshakes_total", GH_METRIC_COUNTER, "Handshakes of strangers that ended.", "result", results },
    [RELAY_METRIC_QUIC_RESUMED] = { "gatehouse_quic_resumed_total", GH_METRIC_COUNTER, "Handshakes that resumed an earlier session." },
    [RELAY_METRIC_QUIC_KEY_UPDATES] = { "gatehouse_quic_key_updates_total", GH_METRIC_COUNTER, "Key updates that the relay began." },
    [RELAY_METRIC_QUIC_PROBES] = { "gatehouse_quic_probes_total", GH_METRIC_COUNTER, "Probes of silent paths, sent while packets waited." },
    [RELAY_METRIC_QUIC_BLACK_HOLES] = { "gatehouse_quic_black_holes_total", GH_METRIC_COUNTER, "Paths that stopped to carry large packets." },
    [RELAY_METRIC_QUIC_RETRIES] = { "gatehouse_quic_retries_total", GH_METRIC_COUNTER, "Strangers that were asked to prove their address." },
    [RELAY_METRIC_QUIC_TOKENS_INVALID] = { "gatehouse_quic_invalid_tokens_total", GH_METRIC_COUNTER, "First packets refused: the token of their Retry was not valid." },
    [RELAY_METRIC_QUIC_RESETS] = { "gatehouse_quic_stateless_resets_total", GH_METRIC_COUNTER, "Packets of lost connections answered with a stateless reset." },
    [RELAY_METRIC_QUIC_HANDED_OVER] = { "gatehouse_quic_handed_over_total", GH_METRIC_COUNTER, "UDP datagrams that another worker's socket read." },
    [RELAY_METRIC_QUIC_LOST] = { "gatehouse_quic_datagrams_lost_total", GH_METRIC_COUNTER, "DATAGRAM frames in packets that were declared lost." },
    { 0 },
};

static void put(struct relay_worker *rw, unsigned row, unsigned label, uint64_t value)
{
    gh_metric_set_value(rw->r->metrics, rw->index, row, label, (int64_t)value);
}

void relay_metrics_publish(struct relay_worker *rw)
{
    struct gh_quic_endpoint_counters sum = { 0 };
    uint64_t links = 0;

    for (size_t i = 0; i < RELAY_HTTP_MAX; i++) {
        const struct gh_quic_endpoint *e = rw->http[i] ? gh_http_endpoint_quic(rw->http[i]) : NULL;
        const struct gh_quic_endpoint_counters *c = e ? gh_quic_endpoint_counters(e) : NULL;

        if (!c)
            continue;
        links += gh_quic_endpoint_links(e);
        sum.datagrams_in += c->datagrams_in;
        sum.datagrams_out += c->datagrams_out;
        sum.bytes_in += c->bytes_in;
        sum.bytes_out += c->bytes_out;
        sum.receives += c->receives;
        sum.sends += c->sends;
        sum.handshakes_done += c->handshakes_done;
        sum.handshakes_failed += c->handshakes_failed;
        sum.resumed += c->resumed;
        sum.key_updates += c->key_updates;
        sum.probes += c->probes;
        sum.black_holes += c->black_holes;
        sum.retries_out += c->retries_out;
        sum.tokens_invalid += c->tokens_invalid;
        sum.resets_out += c->resets_out;
        sum.handed_over += c->handed_over;
        sum.datagrams_lost += c->datagrams_lost;
    }
    put(rw, RELAY_METRIC_QUIC_CONNECTIONS, 0, links);
    put(rw, RELAY_METRIC_QUIC_DATAGRAMS, 0, sum.datagrams_in);
    put(rw, RELAY_METRIC_QUIC_DATAGRAMS, 1, sum.datagrams_out);
    put(rw, RELAY_METRIC_QUIC_BYTES, 0, sum.bytes_in);
    put(rw, RELAY_METRIC_QUIC_BYTES, 1, sum.bytes_out);
    put(rw, RELAY_METRIC_QUIC_CALLS, 0, sum.receives);
    put(rw, RELAY_METRIC_QUIC_CALLS, 1, sum.sends);
    put(rw, RELAY_METRIC_QUIC_HANDSHAKES, 0, sum.handshakes_done);
    put(rw, RELAY_METRIC_QUIC_HANDSHAKES, 1, sum.handshakes_failed);
    put(rw, RELAY_METRIC_QUIC_RESUMED, 0, sum.resumed);
    put(rw, RELAY_METRIC_QUIC_KEY_UPDATES, 0, sum.key_updates);
    put(rw, RELAY_METRIC_QUIC_PROBES, 0, sum.probes);
    put(rw, RELAY_METRIC_QUIC_BLACK_HOLES, 0, sum.black_holes);
    put(rw, RELAY_METRIC_QUIC_RETRIES, 0, sum.retries_out);
    put(rw, RELAY_METRIC_QUIC_TOKENS_INVALID, 0, sum.tokens_invalid);
    put(rw, RELAY_METRIC_QUIC_RESETS, 0, sum.resets_out);
    put(rw, RELAY_METRIC_QUIC_HANDED_OVER, 0, sum.handed_over);
    put(rw, RELAY_METRIC_QUIC_LOST, 0, sum.datagrams_lost);
}
