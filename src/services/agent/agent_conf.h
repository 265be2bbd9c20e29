/* services/agent/agent_conf.h - the options of the agent, as typed values */
#ifndef GH_SERVICES_AGENT_AGENT_CONF_H
#define GH_SERVICES_AGENT_AGENT_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "core/conf.h"
#include "crypto/tls.h"
#include "wire/link.h"

extern const struct gh_conf_section gh_agent_conf_section;

#define GH_AGENT_RELAYS 8u
#define GH_AGENT_PINS 8u
#define GH_AGENT_ECH_TEXT 4096u /* longest text of an ECHConfigList */

enum gh_agent_mode { GH_AGENT_TUN, GH_AGENT_PROXY };
enum gh_agent_transport { GH_AGENT_AUTO, GH_AGENT_QUIC, GH_AGENT_TCP, GH_AGENT_WEBSOCKET, GH_AGENT_H2 /* read as TCP */ };

struct gh_agent_relay {
    char host[256]; /* name or address, without brackets */
    uint16_t port;
    struct gh_ip addresses[2]; /* where it is; the name is not looked up */
    size_t address_count;      /* 0: look it up */
};

/* Strings and lists belong to the configuration that it was loaded from; times are ns. */
struct gh_agent_conf {
    struct gh_agent_relay relays[GH_AGENT_RELAYS]; /* the preferred one first */
    size_t relay_count;
    enum gh_agent_mode mode;
    int64_t return_after; /* to a preferred relay, 0: never */
    const char *template; /* URI template of RFC 9484, section 3; may be a path alone */
    const char *server_name; /* "": the relay's host */
    const char *certificate, *key, *ca, *trust_domain; /* "": none */
    const char *user; /* "": a certificate says who we are */
    struct gh_span token;
    bool has_ca; /* else the pins are all that the relay proves */
    enum gh_agent_transport transport;
    uint16_t hop[2]; /* first and last of the relay's further ports; 0, 0: none */
    int64_t hop_interval;
    int64_t quic_retry; /* how often a tunnel over TCP looks for QUIC */
    const char *ech, *tunnel_name; /* an ECHConfigList or the file that has it, "": none, or the link's; "": the relay's host */
    uint8_t pins[GH_AGENT_PINS][32];
    size_t pin_count;
    enum gh_tls_shape shape; /* of its hello */
    bool shape_auto;         /* nobody chose that one */
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
    bool has_link;
    struct gh_link link; /* what user and token point to when it says them */
};

/* 0, or GH_ERR_NOT_FOUND when the configuration has no agent. */
int gh_agent_conf_load(const struct gh_conf *conf, struct gh_agent_conf *ret);
/* The same with the link of <old>, whatever <conf> says: another one counts after a restart. */
int gh_agent_conf_reload(const struct gh_conf *conf, const struct gh_agent_conf *old, struct gh_agent_conf *ret);
/* agent_conf_link.c: what no option says and the link does. 0 or GH_ERR_TOO_LONG. */
int gh_agent_conf_use_link(struct gh_agent_conf *c);
/* Wipes what is secret in it. */
void gh_agent_conf_wipe(struct gh_agent_conf *c);
/* "https://host:port", "host:port", "host" (port 443); IPv6 in brackets. 0 or GH_ERR_MALFORMED. */
/* "10020-10119". 0 or GH_ERR_MALFORMED. */
int gh_agent_hop_parse(const char *text, uint16_t ret[2]);
/* "sha256:" and 64 digits, or the base64 of 32 bytes. 0 or GH_ERR_MALFORMED. */
int gh_agent_pin_parse(const char *text, uint8_t ret[32]);
/* An ECHConfigList as base64, perhaps between the lines of a PEM (RFC 9934); white space does not matter. <ret> takes GH_ECH_LIST_MAX
 * bytes. 0, GH_ERR_MALFORMED, or GH_ERR_UNSUPPORTED: there is nothing in it that we can use. */
int gh_agent_ech_parse(struct gh_span text, uint8_t *ret, size_t *ret_len);
int gh_agent_relay_parse(const char *text, char ret_host[256], uint16_t *ret_port);

#endif
