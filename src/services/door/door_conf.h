/* services/door/door_conf.h - the options of the door, as typed values */
#ifndef GH_SERVICES_DOOR_DOOR_CONF_H
#define GH_SERVICES_DOOR_DOOR_CONF_H

#include "core/conf.h"
#include "services/door/door_route.h"

extern const struct gh_conf_section gh_door_conf_section;

#define DOOR_BACKENDS_MAX 16u /* of one route */
#define DOOR_HOST_MAX 256u    /* bytes, NUL included */

struct door_origin {
    char host[DOOR_HOST_MAX]; /* a name or an address */
    uint16_t port;
};

/* "https://www.example.com:8443" */
struct door_url {
    bool secure;
    struct door_origin origin;
    char authority[DOOR_HOST_MAX + 8]; /* as it is written */
};

/* Where bytes of a route go. */
struct door_target_conf {
    struct door_origin origins[DOOR_BACKENDS_MAX];
    size_t origin_count;
    bool proxy_protocol;
    bool udp;
    bool tunnel; /* TLS ends here: it is this node's tunnel that is asked for, in clear; no origins */
    int64_t health_check; /* ns between two looks; 0: never */
};

/* Lists belong to the configuration that it was loaded from; times are ns. */
struct gh_door_conf {
    const struct gh_conf_addr *listen;
    size_t listen_count;
    uint16_t hop[2]; /* first and last; 0, 0: none */
    bool firewall;   /* the host's own is opened for us */
    struct door_pattern *patterns; /* one for each target, in the order of the file */
    struct door_target_conf *targets;
    size_t target_count;
    const char *certificate, *key; /* "": one is made */
    const char *ech_keys_file, *tunnel_name; /* "": none; one that follows from the node's key */
    int64_t ech_keep, replay_window;
    const char *users_file; /* "": none */
    bool has_callback;
    struct door_url callback;
    const char *callback_path, *callback_ca; /* the second is a file: for https */
    int64_t callback_timeout, callback_cache, callback_refused;
    unsigned callback_calls;
    bool udp;
    bool has_relay, relay_udp;
    struct door_target_conf relay; /* camouflage.relay */
    bool has_proxy;
    struct door_url proxy;         /* camouflage.proxy */
    const char *camouflage_ca;     /* a file: for https */
    bool keep_host, forwarded;
    int64_t camouflage_timeout;
    const char *site;              /* camouflage.site, "" for none; a reload must not apply it: the sandbox knows the first one */
    const char *server;            /* camouflage.server */
    int64_t peek_timeout, connect_timeout, udp_timeout;
    size_t max_hello;
    unsigned max_connections, reserve; /* max_connections 0: what the descriptors are enough for */
    unsigned pipes, max_udp_flows;
};

/* 0, GH_ERR_MEMORY, or GH_ERR_NOT_FOUND when the configuration has no door. Free with gh_door_conf_fini. */
int gh_door_conf_load(const struct gh_conf *conf, struct gh_door_conf *ret);
void gh_door_conf_fini(struct gh_door_conf *c);

/* "host:port", "[2001:db8::1]:443". 0 or GH_ERR_MALFORMED. */
int door_origin_parse(const char *text, struct door_origin *ret);
/* "http://host", "https://host:port/"; no path, no query, no name of a user. 0 or GH_ERR_MALFORMED. */
int door_url_parse(const char *text, struct door_url *ret);
/* "https://host:port/path?query"; <ret_path> lies in <text>, or is "/". 0 or GH_ERR_MALFORMED. */
int door_callback_url_parse(const char *text, struct door_url *ret, const char **ret_path);

#endif
