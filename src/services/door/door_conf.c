#include "services/door/door_conf.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { TO, PROXY_PROTOCOL, HEALTH_CHECK, ROUTE_UDP };

static void check_route(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors);

static const struct gh_conf_row route_rows[] = {
    [TO] = { "to", GH_CONF_STRING_LIST, .min = "1", .max = "16", .required = true,
             .help = "the backends, as HOST:PORT; a new connection goes to the one with the fewest. Or tunnel: this node's own tunnels, for a name that anybody may see" },
    [PROXY_PROTOCOL] = { "proxy_protocol", GH_CONF_BOOL, .dflt = "false",
                         .help = "tell the backend who the client is, by a PROXY protocol header (version 2); it must expect one" },
    [HEALTH_CHECK] = { "health_check", GH_CONF_DURATION, .dflt = "5s", .min = "0s", .max = "1h",
                       .help = "where there are several backends, how often each is connected to, to see that it is there; 0s never" },
    [ROUTE_UDP] = { "udp", GH_CONF_BOOL, .dflt = "false", .help = "QUIC to this name is carried there, too, datagram by datagram" },
    { 0 },
};

static const struct gh_conf_section route_section = { "local_routes", "Who is carried where, untouched.", route_rows, false, check_route };

enum { LISTEN, HOP_PORTS, FIREWALL, LOCAL_ROUTES, CAMOUFLAGE_RELAY, CAMOUFLAGE_PROXY, CAMOUFLAGE_CA, CAMOUFLAGE_SITE, CAMOUFLAGE_SERVER, CAMOUFLAGE_KEEP_HOST, CAMOUFLAGE_FORWARDED,
       CAMOUFLAGE_TIMEOUT, CERTIFICATE, KEY, ECH_KEYS_FILE, ECH_KEEP, TUNNEL_NAME, AUTH_USERS_FILE, AUTH_CALLBACK, AUTH_CALLBACK_CA, AUTH_CALLBACK_TIMEOUT, AUTH_CALLBACK_CACHE, AUTH_CALLBACK_REFUSED, AUTH_CALLBACK_CALLS,
       REPLAY_WINDOW, PEEK_TIMEOUT, CONNECT_TIMEOUT, MAX_HELLO, MAX_CONNECTIONS, RESERVE, PIPES, UDP, CAMOUFLAGE_UDP,
       UDP_TIMEOUT, MAX_UDP_FLOWS };

static const struct gh_conf_row rows[] = {
    [LISTEN] = { "listen", GH_CONF_ADDR_LIST, .dflt = ":443", .min = "1", .max = "8", .help = "addresses on which connections are taken" },
    [HOP_PORTS] = { "hop_ports", GH_CONF_STRING, .max = "11",
                    .help = "a range such as 10020-10119 of TCP and UDP ports of this host that lead to the first port of listen, too, so that clients can "
                            "go from port to port" },
    [FIREWALL] = { "firewall", GH_CONF_ENUM, .dflt = "off", .values = "auto|off",
                   .help = "auto: open TCP and UDP of listen and hop_ports in this host's own firewall (ufw, firewalld, or chains of nftables that drop what comes "
                           "in) and close at the end what was opened" },
    [LOCAL_ROUTES] = { "local_routes", GH_CONF_TABLE, .entry = &route_section, .reload = true,
                       .help = "which names live behind this host: NAME, *.NAME, perhaps with :PORT or /ALPN behind it, and where each is carried, "
                               "byte for byte" },
    [CAMOUFLAGE_RELAY] = { "camouflage.relay", GH_CONF_STRING, .max = "300", .reload = true,
                           .help = "the site, as HOST:PORT, that whoever is nobody of ours is carried to; its own TLS answers everything" },
    [CAMOUFLAGE_PROXY] = { "camouflage.proxy", GH_CONF_STRING, .max = "300", .reload = true,
                           .help = "the site, as http://HOST[:PORT] or https://HOST[:PORT], of which whoever is nobody of ours is served: TLS ends here, with a "
                                   "certificate of ours, and requests are handed on" },
    [CAMOUFLAGE_CA] = { "camouflage.ca", GH_CONF_PATH, .dflt = "/etc/ssl/certs/ca-certificates.crt", .min = "1", .reload = true,
                        .help = "proxy: PEM file with the CAs that vouch for a site of https, which must speak TLS 1.3" },
    [CAMOUFLAGE_SITE] = { "camouflage.site", GH_CONF_PATH, .folder = true,
                          .help = "a folder with files, of which whoever is nobody of ours is served, as relay and proxy do it; without any of the three there is one "
                                  "page that is built in. When another folder takes its place, even under the same name, a restart is needed" },
    [CAMOUFLAGE_SERVER] = { "camouflage.server", GH_CONF_STRING, .dflt = "nginx", .max = "100", .reload = true,
                            .help = "the field server in answers of site, and of proxy where the site itself does not answer; empty for none" },
    [CAMOUFLAGE_KEEP_HOST] = { "camouflage.keep_host", GH_CONF_BOOL, .dflt = "true", .reload = true,
                               .help = "proxy: ask the site for the name that the client asked for, not for the one in the URL" },
    [CAMOUFLAGE_FORWARDED] = { "camouflage.forwarded", GH_CONF_BOOL, .dflt = "false", .reload = true,
                               .help = "proxy: tell the site who the client is, by x-forwarded-for, x-forwarded-proto and x-forwarded-host" },
    [CAMOUFLAGE_TIMEOUT] = { "camouflage.timeout", GH_CONF_DURATION, .dflt = "60s", .min = "1s", .max = "24h", .reload = true,
                             .help = "proxy: how long a request may go on without a byte either way" },
    [CERTIFICATE] = { "certificate", GH_CONF_PATH, .reload = true,
                      .help = "PEM: what strangers are shown where TLS ends here; without it one for ten years is made at the first start and kept in the state folder" },
    [KEY] = { "key", GH_CONF_PATH, .reload = true, .key = true, .tls12 = true, .help = "PEM: the private key of certificate, which stays with the parent process" },
    [ECH_KEYS_FILE] = { "ech.keys_file", GH_CONF_PATH, .reload = true,
                        .help = "keys of Encrypted ClientHello, one or a list of them, as gatehouse ech makes and rotates them; what they open and is meant "
                                "for the tunnel's name is taken by the relay of this node" },
    [ECH_KEEP] = { "ech.keep", GH_CONF_DURATION, .dflt = "30d", .min = "0s", .max = "3650d", .reload = true,
                   .help = "how long a key still opens after the next one was made" },
    [TUNNEL_NAME] = { "tunnel_name", GH_CONF_STRING, .max = "253", .reload = true,
                      .help = "the server name that agents ask for inside ECH; without it one that nobody guesses, which stays the same" },
    [AUTH_USERS_FILE] = { "auth.users_file", GH_CONF_PATH, .reload = true,
                          .help = "users who prove themselves by a token instead of a certificate, as USER:HASH a line, which gatehouse user writes; hashes "
                                  "of Argon2id count inside ECH alone, for the tunnel's name" },
    [AUTH_CALLBACK] = { "auth.callback", GH_CONF_STRING, .max = "1000", .reload = true,
                        .help = "who is asked about a token that the file of users does not know, as https://HOST[:PORT]/PATH, or http:// where nobody listens in between: "
                                "POST of user=NAME&token=TOKEN, answered by 200 or 204, or by 401 or 403; without an answer nobody is let in. "
                                "Inside ECH alone, for the tunnel's name" },
    [AUTH_CALLBACK_CA] = { "auth.callback_ca", GH_CONF_PATH, .dflt = "/etc/ssl/certs/ca-certificates.crt", .min = "1", .reload = true,
                           .help = "PEM file with the CAs that vouch for a callback of https, which must speak TLS 1.3" },
    [AUTH_CALLBACK_TIMEOUT] = { "auth.callback_timeout", GH_CONF_DURATION, .dflt = "3s", .min = "100ms", .max = "30s", .reload = true,
                                .help = "how long an answer of the callback is waited for" },
    [AUTH_CALLBACK_CACHE] = { "auth.callback_cache", GH_CONF_DURATION, .dflt = "60s", .min = "0s", .max = "24h", .reload = true,
                              .help = "how long a token that the callback knows is not asked about again" },
    [AUTH_CALLBACK_REFUSED] = { "auth.callback_cache_refused", GH_CONF_DURATION, .dflt = "10s", .min = "0s", .max = "1h", .reload = true,
                                .help = "how long a token that the callback refused is not asked about again" },
    [AUTH_CALLBACK_CALLS] = { "auth.callback_calls", GH_CONF_UINT, .dflt = "64", .min = "1", .max = "1024", .unit = "calls", .reload = true,
                              .help = "tokens that are asked about at a time; one more is refused" },
    [REPLAY_WINDOW] = { "replay_window", GH_CONF_DURATION, .dflt = "24h", .min = "0s", .max = "30d", .reload = true,
                        .help = "how long a first flight that was taken for the tunnel is remembered: who sends it again is a stranger; 0s remembers none" },
    [PEEK_TIMEOUT] = { "peek_timeout", GH_CONF_DURATION, .dflt = "3s", .min = "100ms", .max = "30s", .reload = true,
                       .help = "how long a stranger may take over its first flight before it is carried to the camouflage as it is" },
    [CONNECT_TIMEOUT] = { "connect_timeout", GH_CONF_DURATION, .dflt = "5s", .min = "100ms", .max = "2m", .reload = true,
                          .help = "how long a backend may take to accept before the next one is tried" },
    [MAX_HELLO] = { "max_hello", GH_CONF_SIZE, .dflt = "64KiB", .min = "4KiB", .max = "128KiB", .reload = true,
                    .help = "longest first flight that is read to find its name; a longer one is a stranger's" },
    [MAX_CONNECTIONS] = { "max_connections", GH_CONF_UINT, .dflt = "0", .max = "1000000", .unit = "connections", .reload = true,
                          .help = "connections at a time; 0 is what the limit of descriptors is enough for" },
    [RESERVE] = { "reserve", GH_CONF_UINT, .dflt = "512", .max = "65536", .unit = "connections", .reload = true,
                  .help = "connections beyond max_connections that are still taken, to wait unanswered for a place" },
    [PIPES] = { "pipes", GH_CONF_UINT, .dflt = "256", .max = "4096", .unit = "pipes",
                .help = "pipes of one worker through which busy connections are spliced; what finds none is copied" },
    [UDP] = { "udp", GH_CONF_BOOL, .dflt = "true",
              .help = "take QUIC on the UDP ports of the same numbers, where there is something to serve there: tunnels, a route or a camouflage with udp" },
    [CAMOUFLAGE_UDP] = { "camouflage.udp", GH_CONF_BOOL, .dflt = "false", .reload = true,
                         .help = "whoever is nobody of ours meets the camouflage over UDP as well: carried to it, or over HTTP/3 where TLS ends here; otherwise there is silence" },
    [UDP_TIMEOUT] = { "udp_timeout", GH_CONF_DURATION, .dflt = "60s", .min = "1s", .max = "1h", .reload = true,
                      .help = "how long both sides of a carried UDP flow may be silent" },
    [MAX_UDP_FLOWS] = { "max_udp_flows", GH_CONF_UINT, .dflt = "4096", .min = "1", .max = "1000000", .unit = "flows", .reload = true,
                        .help = "carried UDP flows at a time; beyond them those that were never answered make room" },
    { 0 },
};

_Static_assert(sizeof rows / sizeof *rows <= GH_CONF_ROWS_MAX, "more rows than a section can have");

int door_origin_parse(const char *text, struct door_origin *ret)
{
    const char *colon = strrchr(text, ':'), *host = text;
    struct door_origin o = { .port = 0 };
    size_t len = colon ? (size_t)(colon - text) : 0;
    char name[GH_TLS_NAME_MAX], *end = NULL;
    struct gh_ip ip;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;

    if (len == 0 || len >= sizeof o.host || colon[1] < '1' || colon[1] > '9' || *end || port > 65535)
        return GH_ERR_MALFORMED;
    if (host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
        if (gh_ip_parse(host, len, &ip) < 0 || ip.family != 6)
            return GH_ERR_MALFORMED;
    } else if (gh_ip_parse(host, len, &ip) == 0 ? ip.family != 4 : gh_tls_host_name(gh_span_of(host, len), name) < 0) {
        return GH_ERR_MALFORMED;
    }
    memcpy(o.host, host, len);
    o.port = (uint16_t)port;
    *ret = o;
    return 0;
}

int door_url_parse(const char *text, struct door_url *ret)
{
    struct door_url u = { .secure = strncmp(text, "https://", 8) == 0 };
    const char *at = text + (u.secure ? 8 : 7), *bracket;
    size_t len;

    if (!u.secure && strncmp(text, "http://", 7) != 0)
        return GH_ERR_MALFORMED;
    len = strlen(at);
    if (len > 0 && at[len - 1] == '/')
        len--;
    if (len == 0 || len + sizeof ":443" > sizeof u.authority || memchr(at, '/', len))
        return GH_ERR_MALFORMED;
    memcpy(u.authority, at, len);
    bracket = strchr(u.authority, ']');
    if (!strchr(bracket ? bracket : u.authority, ':'))
        strcpy(u.authority + len, u.secure ? ":443" : ":80");
    if (door_origin_parse(u.authority, &u.origin) < 0)
        return GH_ERR_MALFORMED;
    u.authority[len] = 0;
    *ret = u;
    return 0;
}

int door_callback_url_parse(const char *text, struct door_url *ret, const char **ret_path)
{
    const char *host = strstr(text, "://"), *path = host ? strchr(host + 3, '/') : NULL;
    char site[sizeof ret->authority + 16];
    size_t len = path ? (size_t)(path - text) : strlen(text);

    for (const char *c = text; *c; c++)
        if (*c <= 0x20 || *c > 0x7e || *c == '#')
            return GH_ERR_MALFORMED;
    if (len >= sizeof site || strchr(text, '@'))
        return GH_ERR_MALFORMED;
    memcpy(site, text, len);
    site[len] = 0;
    if (door_url_parse(site, ret) < 0)
        return GH_ERR_MALFORMED;
    *ret_path = path ? path : "/";
    return 0;
}

/* "10020-10119" */
static int parse_range(const char *text, uint16_t ret[2])
{
    char *end;
    unsigned long first = strtoul(text, &end, 10), last;

    if (text[0] < '1' || text[0] > '9' || *end != '-' || end[1] < '1' || end[1] > '9')
        return GH_ERR_MALFORMED;
    last = strtoul(end + 1, &end, 10);
    if (*end || first > last || last > 65535)
        return GH_ERR_MALFORMED;
    ret[0] = (uint16_t)first;
    ret[1] = (uint16_t)last;
    return 0;
}

static bool is_tunnel(const char *const *to, size_t count)
{
    return count == 1 && strcmp(to[0], "tunnel") == 0;
}

static void check_route(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors)
{
    struct door_origin o;
    size_t count;
    const char *const *to = gh_conf_strings(conf, section, TO, &count);

    if (is_tunnel(to, count))
        return;
    for (size_t i = 0; i < count; i++)
        if (door_origin_parse(to[i], &o) < 0)
            gh_conf_fail(conf, section, TO, errors, "\"%.100s\" must be a backend such as 192.0.2.1:443, [2001:db8::1]:443 or web.internal:8443, or tunnel alone", to[i]);
}

static void check_patterns(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors)
{
    const struct gh_conf *entry;
    const char *name, *why;
    struct door_pattern *patterns;
    struct door_routes *routes = NULL;
    size_t count = 0, again = 0, bad = 0;

    while (gh_conf_entry(conf, section, LOCAL_ROUTES, count, &name))
        count++;
    patterns = calloc(count + 1, sizeof *patterns);
    for (size_t i = 0; patterns && i < count; i++) {
        entry = gh_conf_entry(conf, section, LOCAL_ROUTES, i, &name);
        if (door_pattern_parse(name, &patterns[i], &why) == 0)
            continue;
        gh_conf_fail(entry, &route_section, GH_CONF_ROWS_MAX, errors, "door.local_routes: \"%.100s\" must be %s", name, why);
        bad++;
    }
    if (patterns && bad == 0 && door_routes_create(patterns, count, &routes, &again) == GH_ERR_EXISTS) {
        entry = gh_conf_entry(conf, section, LOCAL_ROUTES, again, &name);
        gh_conf_fail(entry, &route_section, GH_CONF_ROWS_MAX, errors, "door.local_routes: \"%.100s\" is there twice, spelt another way; keep one", name);
    }
    door_routes_destroy(routes);
    free(patterns);
}

static void check_hop(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors)
{
    const char *text = gh_conf_string(conf, section, HOP_PORTS);
    size_t count;
    const struct gh_conf_addr *listen = gh_conf_addrs(conf, section, LISTEN, &count);
    uint16_t range[2];

    if (!*text)
        return;
    if (parse_range(text, range) < 0)
        gh_conf_fail(conf, section, HOP_PORTS, errors, "door.hop_ports is \"%s\"; it must be a range such as 10020-10119", text);
    else if (count && (listen[0].port == 0 || (listen[0].port >= range[0] && listen[0].port <= range[1])))
        gh_conf_fail(conf, section, HOP_PORTS, errors, "door.hop_ports: the first port of door.listen, %u, must be a port outside of the range", listen[0].port);
}

/* One site there can be. */
static void check_camouflage(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors)
{
    static const unsigned ways[] = { CAMOUFLAGE_RELAY, CAMOUFLAGE_PROXY, CAMOUFLAGE_SITE };
    const char *relay = gh_conf_string(conf, section, CAMOUFLAGE_RELAY), *proxy = gh_conf_string(conf, section, CAMOUFLAGE_PROXY);
    const char *server = gh_conf_string(conf, section, CAMOUFLAGE_SERVER), *first = NULL;
    struct door_origin o;
    struct door_url u;

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (!*gh_conf_string(conf, section, ways[i]))
            continue;
        if (first)
            gh_conf_fail(conf, section, ways[i], errors, "door.%s: door.%s is there already; keep one of them", rows[ways[i]].name, first);
        first = first ? first : rows[ways[i]].name;
    }
    for (const char *c = server; *c; c++)
        if (*c < 0x20 || *c > 0x7e || (c == server && *c == ' ') || (!c[1] && *c == ' ')) {
            gh_conf_fail(conf, section, CAMOUFLAGE_SERVER, errors, "door.camouflage.server must be printable letters, without a blank at either end");
            break;
        }
    if (*proxy && door_url_parse(proxy, &u) == 0 && u.secure && gh_ip_parse(u.origin.host, strlen(u.origin.host), &(struct gh_ip){ 0 }) == 0)
        gh_conf_fail(conf, section, CAMOUFLAGE_PROXY, errors, "door.camouflage.proxy is \"%.100s\"; https needs a name, which a certificate proves", proxy);
    if (*proxy && door_url_parse(proxy, &u) < 0)
        gh_conf_fail(conf, section, CAMOUFLAGE_PROXY, errors, "door.camouflage.proxy is \"%.100s\"; it must be such as http://192.0.2.1:8080 or "
                     "https://www.example.com, without a path", proxy);
    if (*relay && door_origin_parse(relay, &o) < 0)
        gh_conf_fail(conf, section, CAMOUFLAGE_RELAY, errors, "door.camouflage.relay is \"%.100s\"; it must be such as 192.0.2.1:443 or www.example.com:443", relay);
}

static void check(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors)
{
    const char *tunnel = gh_conf_string(conf, section, TUNNEL_NAME), *callback = gh_conf_string(conf, section, AUTH_CALLBACK), *path;
    char name[GH_TLS_NAME_MAX];
    struct door_url url;

    check_patterns(conf, section, errors);
    check_hop(conf, section, errors);
    check_camouflage(conf, section, errors);
    if (!*gh_conf_string(conf, section, CERTIFICATE) != !*gh_conf_string(conf, section, KEY))
        gh_conf_fail(conf, section, *gh_conf_string(conf, section, KEY) ? KEY : CERTIFICATE, errors, "door.certificate and door.key belong together: give both, or neither");
    else if (*gh_conf_string(conf, section, KEY) && strcmp(gh_conf_string(conf, section, CERTIFICATE), gh_conf_string(conf, section, KEY)) == 0)
        gh_conf_fail(conf, section, KEY, errors, "door.key must be another file than door.certificate: it stays with the parent process");
    if (*callback && door_callback_url_parse(callback, &url, &path) < 0)
        gh_conf_fail(conf, section, AUTH_CALLBACK, errors, "door.auth.callback is no URL; it must be such as https://auth.example.com/check");
    else if (*callback && url.secure && gh_ip_parse(url.origin.host, strlen(url.origin.host), &(struct gh_ip){ 0 }) == 0)
        gh_conf_fail(conf, section, AUTH_CALLBACK, errors, "door.auth.callback: https needs a name, which a certificate proves");
    if (*tunnel && gh_tls_host_name(gh_span_str(tunnel), name) < 0)
        gh_conf_fail(conf, section, TUNNEL_NAME, errors, "door.tunnel_name is \"%.100s\"; it must be a host name", tunnel);
}

const struct gh_conf_section gh_door_conf_section = { "door", "Owns port 443 and decides who is carried where.", rows, false, check, .top = true };

static void load_target(const struct gh_conf *entry, struct door_target_conf *ret)
{
    size_t count;
    const char *const *to = gh_conf_strings(entry, &route_section, TO, &count);

    ret->tunnel = is_tunnel(to, count);
    for (size_t i = 0; i < count && !ret->tunnel && i < DOOR_BACKENDS_MAX; i++)
        if (door_origin_parse(to[i], &ret->origins[ret->origin_count]) == 0)
            ret->origin_count++;
    ret->proxy_protocol = gh_conf_bool(entry, &route_section, PROXY_PROTOCOL);
    ret->health_check = gh_conf_duration(entry, &route_section, HEALTH_CHECK);
    ret->udp = gh_conf_bool(entry, &route_section, ROUTE_UDP);
}

int gh_door_conf_load(const struct gh_conf *conf, struct gh_door_conf *ret)
{
    const struct gh_conf_section *section = &gh_door_conf_section;
    const struct gh_conf *entry;
    struct gh_door_conf c = { 0 };
    const char *name, *why, *relay = gh_conf_string(conf, section, CAMOUFLAGE_RELAY);
    size_t count = 0;

    if (!gh_conf_has(conf, section))
        return GH_ERR_NOT_FOUND;
    while (gh_conf_entry(conf, section, LOCAL_ROUTES, count, &name))
        count++;
    c.patterns = calloc(count + 1, sizeof *c.patterns);
    c.targets = calloc(count + 1, sizeof *c.targets);
    if (!c.patterns || !c.targets) {
        gh_door_conf_fini(&c);
        return GH_ERR_MEMORY;
    }
    for (; c.target_count < count; c.target_count++) {
        entry = gh_conf_entry(conf, section, LOCAL_ROUTES, c.target_count, &name);
        (void)door_pattern_parse(name, &c.patterns[c.target_count], &why); /* good: it was checked */
        load_target(entry, &c.targets[c.target_count]);
    }
    if (*gh_conf_string(conf, section, HOP_PORTS))
        (void)parse_range(gh_conf_string(conf, section, HOP_PORTS), c.hop);
    c.firewall = gh_conf_uint(conf, section, FIREWALL) == 0;
    c.has_relay = *relay && door_origin_parse(relay, &c.relay.origins[0]) == 0;
    c.relay.origin_count = c.has_relay;
    c.has_proxy = *gh_conf_string(conf, section, CAMOUFLAGE_PROXY) && door_url_parse(gh_conf_string(conf, section, CAMOUFLAGE_PROXY), &c.proxy) == 0;
    c.camouflage_ca = gh_conf_string(conf, section, CAMOUFLAGE_CA);
    c.keep_host = gh_conf_bool(conf, section, CAMOUFLAGE_KEEP_HOST);
    c.forwarded = gh_conf_bool(conf, section, CAMOUFLAGE_FORWARDED);
    c.camouflage_timeout = gh_conf_duration(conf, section, CAMOUFLAGE_TIMEOUT);
    c.site = gh_conf_string(conf, section, CAMOUFLAGE_SITE);
    c.server = gh_conf_string(conf, section, CAMOUFLAGE_SERVER);
    c.listen = gh_conf_addrs(conf, section, LISTEN, &c.listen_count);
    c.certificate = gh_conf_string(conf, section, CERTIFICATE);
    c.key = gh_conf_string(conf, section, KEY);
    c.ech_keys_file = gh_conf_string(conf, section, ECH_KEYS_FILE);
    c.ech_keep = gh_conf_duration(conf, section, ECH_KEEP);
    c.tunnel_name = gh_conf_string(conf, section, TUNNEL_NAME);
    c.users_file = gh_conf_string(conf, section, AUTH_USERS_FILE);
    c.has_callback = *gh_conf_string(conf, section, AUTH_CALLBACK) &&
                     door_callback_url_parse(gh_conf_string(conf, section, AUTH_CALLBACK), &c.callback, &c.callback_path) == 0;
    c.callback_ca = gh_conf_string(conf, section, AUTH_CALLBACK_CA);
    c.callback_timeout = gh_conf_duration(conf, section, AUTH_CALLBACK_TIMEOUT);
    c.callback_cache = gh_conf_duration(conf, section, AUTH_CALLBACK_CACHE);
    c.callback_refused = gh_conf_duration(conf, section, AUTH_CALLBACK_REFUSED);
    c.callback_calls = (unsigned)gh_conf_uint(conf, section, AUTH_CALLBACK_CALLS);
    c.replay_window = gh_conf_duration(conf, section, REPLAY_WINDOW);
    c.peek_timeout = gh_conf_duration(conf, section, PEEK_TIMEOUT);
    c.connect_timeout = gh_conf_duration(conf, section, CONNECT_TIMEOUT);
    c.max_hello = (size_t)gh_conf_uint(conf, section, MAX_HELLO);
    c.max_connections = (unsigned)gh_conf_uint(conf, section, MAX_CONNECTIONS);
    c.reserve = (unsigned)gh_conf_uint(conf, section, RESERVE);
    c.pipes = (unsigned)gh_conf_uint(conf, section, PIPES);
    c.udp = gh_conf_bool(conf, section, UDP);
    c.relay_udp = gh_conf_bool(conf, section, CAMOUFLAGE_UDP);
    c.udp_timeout = gh_conf_duration(conf, section, UDP_TIMEOUT);
    c.max_udp_flows = (unsigned)gh_conf_uint(conf, section, MAX_UDP_FLOWS);
    *ret = c;
    return 0;
}

void gh_door_conf_fini(struct gh_door_conf *c)
{
    free(c->patterns);
    free(c->targets);
    c->patterns = NULL;
    c->targets = NULL;
}
