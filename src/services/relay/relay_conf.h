/* services/relay/relay_conf.h - the options of the relay, as typed values */
#ifndef GH_SERVICES_RELAY_RELAY_CONF_H
#define GH_SERVICES_RELAY_RELAY_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "core/conf.h"
#include "crypto/identity.h"

extern const struct gh_conf_section gh_relay_conf_section;

/* What of a certificate counts as its identity (DESIGN 4, decision 8). */
#define GH_RELAY_IDENTITY_SAN_URI 1u
#define GH_RELAY_IDENTITY_SAN_DNS 2u
#define GH_RELAY_IDENTITY_CN 4u

/* What else than CONNECT-IP is served. */
#define GH_RELAY_PROXY_CONNECT 1u
#define GH_RELAY_PROXY_CONNECT_UDP 2u

/* Strings and lists belong to the configuration that it was loaded from; times are ns. */
struct gh_relay_conf {
    const struct gh_conf_addr *listen;
    size_t listen_count;
    const char *certificate, *key, *client_ca, *trust_domain;
    const char *crl;         /* "": none */
    bool crl_expired_refuse; /* else a list that is out of date goes on to be used */
    unsigned identity;  /* GH_RELAY_IDENTITY_… */
    bool pin_required;
    const char *const *pins; /* "NAME=sha256:HEX" */
    size_t pin_count;
    const char *pins_file;   /* "": none */
    const struct gh_prefix *pools, *routes;
    size_t pool_count, route_count;
    const char *const *dns, *const *dns_domains, *const *dns_search; /* valid addresses and names */
    size_t dns_count, dns_domain_count, dns_search_count;
    const struct gh_prefix *pref64;
    size_t pref64_count;
    bool nat;
    const char *tun;
    unsigned mtu; /* 0: as large as the path carries */
    const char *policy;
    bool offload_tun, offload_udp, wide_aes;
    int64_t idle_timeout, keep_alive;
    unsigned retry; /* enum gh_quic_retry_mode */
    unsigned handshakes_per_source, capsules_per_second; /* 0: no limit */
    unsigned max_sessions, max_half_open, max_flows, max_flows_per_session;
    int64_t tcp_syn_timeout, tcp_established_timeout, tcp_closing_timeout, udp_new_timeout, udp_timeout, icmp_timeout;
    int64_t fragment_timeout;
    unsigned max_fragments;
    size_t max_capsule_bytes;
    unsigned proxy; /* GH_RELAY_PROXY_… */
    unsigned max_proxied, max_proxied_per_client;
    int64_t proxy_connect_timeout, proxy_tcp_timeout, proxy_udp_timeout;
    unsigned queue_packets;
    size_t queue_bytes;
    int64_t queue_time, queue_target, queue_interval;
};

/* 0, or GH_ERR_NOT_FOUND when the configuration has no relay. */
int gh_relay_conf_load(const struct gh_conf *conf, struct gh_relay_conf *ret);

/* The parts of an item of relay.pins. 0 or GH_ERR_MALFORMED. */
int gh_relay_conf_pin(const char *pin, char ret_name[GH_IDENTITY_NAME_MAX + 1], uint8_t ret_spki_sha256[32]);

#endif
