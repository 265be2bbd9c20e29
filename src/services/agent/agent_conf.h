/* services/agent/agent_conf.h - the options of the agent, as typed values */
#ifndef GH_SERVICES_AGENT_AGENT_CONF_H
#define GH_SERVICES_AGENT_AGENT_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "core/conf.h"

extern const struct gh_conf_section gh_agent_conf_section;

#define GH_AGENT_RELAYS 8u
#define GH_AGENT_PINS 8u
#define GH_AGENT_ECH_TEXT 4096u /* longest text of an ECHConfigList */

enum gh_agent_mode { GH_AGENT_TUN, GH_AGENT_PROXY };
enum gh_agent_transport { GH_AGENT_AUTO, GH_AGENT_QUIC, GH_AGENT_H2 };

struct gh_agent_relay {
    char host[256]; /* name or address, without brackets */
    uint16_t port;
};

/* Strings and lists belong to the configuration that it was loaded from; times are ns. */
struct gh_agent_conf {
    struct gh_agent_relay relays[GH_AGENT_RELAYS]; /* the preferred one first */
    size_t relay_count;
    enum gh_agent_mode mode;
    int64_t return_after; /* to a preferred relay, 0: never */
    const char *template; /* URI template of RFC 9484, section 3; may be a path alone */
    const char *server_name; /* "": the relay's host */
    const char *certificate, *key, *ca, *trust_domain;
    bool has_ca; /* else the pins are all that the relay proves */
    enum gh_agent_transport transport;
    int64_t quic_retry; /* how often a tunnel over TCP looks for QUIC */
    const char *ech, *tunnel_name; /* an ECHConfigList or the file that has it, "": none; "": the relay's host */
    uint8_t pins[GH_AGENT_PINS][32];
    size_t pin_count;
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
/* "sha256:" and 64 digits, or the base64 of 32 bytes. 0 or GH_ERR_MALFORMED. */
int gh_agent_pin_parse(const char *text, uint8_t ret[32]);
/* An ECHConfigList as base64, perhaps between the lines of a PEM (RFC 9934); white space does not matter. <ret> takes GH_ECH_LIST_MAX
 * bytes. 0, GH_ERR_MALFORMED, or GH_ERR_UNSUPPORTED: there is nothing in it that we can use. */
int gh_agent_ech_parse(struct gh_span text, uint8_t *ret, size_t *ret_len);
int gh_agent_relay_parse(const char *text, char ret_host[256], uint16_t *ret_port);

#endif
