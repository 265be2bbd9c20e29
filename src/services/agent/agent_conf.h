/* services/agent/agent_conf.h - the options of the agent, as typed values */
#ifndef GH_SERVICES_AGENT_AGENT_CONF_H
#define GH_SERVICES_AGENT_AGENT_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "core/conf.h"

extern const struct gh_conf_section gh_agent_conf_section;

#define GH_AGENT_RELAYS 8u

struct gh_agent_relay {
    char host[256]; /* name or address, without brackets */
    uint16_t port;
};

/* Strings and lists belong to the configuration that it was loaded from; times are ns. */
struct gh_agent_conf {
    struct gh_agent_relay relays[GH_AGENT_RELAYS]; /* the preferred one first */
    size_t relay_count;
    int64_t return_after; /* to a preferred relay, 0: never */
    const char *template; /* URI template of RFC 9484, section 3; may be a path alone */
    const char *server_name; /* "": the relay's host */
    const char *certificate, *key, *ca, *trust_domain;
    const char *tun;
    const struct gh_prefix *allow_routes;
    size_t allow_route_count;
    bool routing; /* false: addresses alone */
    bool block_unassigned; /* what the relay takes over and the tunnel has no address for is unreachable */
    uint32_t table, fwmark;
    unsigned mtu;
    bool offload_tun, offload_udp, wide_aes;
    int64_t idle_timeout, keep_alive;
    int64_t reconnect_min, reconnect_max, assign_timeout;
    const char *socket; /* for status */
    bool dns; /* the relay's nameservers are written for a resolver */
};

/* 0, or GH_ERR_NOT_FOUND when the configuration has no agent. */
int gh_agent_conf_load(const struct gh_conf *conf, struct gh_agent_conf *ret);
/* "https://host:port", "host:port", "host" (port 443); IPv6 in brackets. 0 or GH_ERR_MALFORMED. */
int gh_agent_relay_parse(const char *text, char ret_host[256], uint16_t *ret_port);

#endif
