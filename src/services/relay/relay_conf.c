#include "services/relay/relay_conf.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hex.h"
#include "proto/connect_ip/dns.h"
#include "wire/ip.h"

enum {
    LISTEN,
    CERTIFICATE,
    KEY,
    CLIENT_CA,
    TRUST_DOMAIN,
    IDENTITY,
    PIN,
    PINS,
    PINS_FILE,
    CRL,
    CRL_EXPIRED,
    POOLS,
    ROUTES,
    DNS,
    DNS_DOMAINS,
    DNS_SEARCH,
    PREF64,
    NAT,
    TUN,
    MTU,
    POLICY,
    OFFLOAD_TUN,
    OFFLOAD_UDP,
    WIDE_AES,
    IDLE_TIMEOUT,
    KEEP_ALIVE,
    MAX_SESSIONS,
    MAX_HALF_OPEN,
    RETRY,
    HANDSHAKES_PER_SOURCE,
    MAX_FLOWS,
    MAX_FLOWS_PER_SESSION,
    TCP_SYN_TIMEOUT,
    TCP_ESTABLISHED_TIMEOUT,
    TCP_CLOSING_TIMEOUT,
    UDP_NEW_TIMEOUT,
    UDP_TIMEOUT,
    ICMP_TIMEOUT,
    FRAGMENT_TIMEOUT,
    MAX_FRAGMENTS,
    MAX_CAPSULE_BYTES,
    CAPSULES_PER_SECOND,
    QUEUE_PACKETS,
    QUEUE_BYTES,
    QUEUE_TIME,
    QUEUE_TARGET,
    QUEUE_INTERVAL,
    PROXY,
    MAX_PROXIED,
    MAX_PROXIED_PER_CLIENT,
    PROXY_CONNECT_TIMEOUT,
    PROXY_TCP_TIMEOUT,
    PROXY_UDP_TIMEOUT,
};

static const struct gh_conf_row rows[] = {
    [LISTEN] = { "listen", GH_CONF_ADDR_LIST, .dflt = ":4433", .max = "16",
                 .help = "UDP addresses of the tunnel endpoint; none where agents come in by the door alone" },
    [CERTIFICATE] = { "certificate", GH_CONF_PATH, .min = "1", .required = true, .reload = true,
                      .help = "PEM file with the relay's certificate and what leads to the CA" },
    [KEY] = { "key", GH_CONF_PATH, .min = "1", .required = true, .reload = true, .key = true, .help = "PEM file with the relay's private key, mode 0600" },
    [CLIENT_CA] = { "client_ca", GH_CONF_PATH, .min = "1", .reload = true,
                    .help = "PEM file with the CAs that vouch for agents; without it nobody comes in by a certificate, and listen must be empty" },
    [TRUST_DOMAIN] = { "trust_domain", GH_CONF_STRING, .min = "1", .max = "255", .required = true, .reload = true,
                       .help = "the DOMAIN of spiffe://DOMAIN/agent/NAME that is served here" },
    [IDENTITY] = { "identity", GH_CONF_ENUM_SET, .dflt = "san_uri", .values = "san_uri|san_dns|cn", .min = "1", .reload = true,
                   .help = "what of an agent's certificate counts as its name; the first kind that it has is taken" },
    [PIN] = { "pin", GH_CONF_ENUM, .dflt = "none", .values = "none|required", .reload = true,
              .help = "whether the public key of an agent must be known beforehand, from pins or pins_file" },
    [PINS] = { "pins", GH_CONF_STRING_LIST, .dflt = "", .max = "1024", .reload = true,
               .help = "keys of agents for pin: required, each as \"NAME=sha256:HEX\": the SHA-256 of the SubjectPublicKeyInfo, which "
                       "gatehouse ca list --json shows; an agent may have several" },
    [PINS_FILE] = { "pins_file", GH_CONF_PATH, .reload = true,
                    .help = "index.jsonl of the CA's folder: for pin: required, the keys of certificates that are not revoked in it" },
    [CRL] = { "crl", GH_CONF_PATH, .reload = true,
              .help = "PEM file with revocation lists of client_ca, as gatehouse ca revoke writes it; who is in one is cut off" },
    [CRL_EXPIRED] = { "crl_expired", GH_CONF_ENUM, .dflt = "accept", .values = "accept|refuse", .reload = true,
                      .help = "when the time of a revocation list is up: accept goes on with it and says so in log and metrics, refuse lets "
                              "nobody in who is not in already, and the node is not ready" },
    [POOLS] = { "pools", GH_CONF_PREFIX_LIST, .dflt = "10.100.0.0/24, fd00:100::/64", .min = "1", .max = "16",
                .help = "networks of which agents get their addresses; the relay is the first address of each" },
    [ROUTES] = { "routes", GH_CONF_PREFIX_LIST, .dflt = "0.0.0.0/0, ::/0", .max = "256", .reload = true,
                 .help = "networks that the relay offers to agents" },
    [DNS] = { "dns", GH_CONF_STRING_LIST, .max = "8", .reload = true,
              .help = "addresses of nameservers that agents are told of (DNS_ASSIGN of draft-ietf-masque-connect-ip-dns), the preferred one first; "
                      "an agent uses them when its own configuration says so" },
    [DNS_DOMAINS] = { "dns_domains", GH_CONF_STRING_LIST, .max = "32", .reload = true,
                      .help = "domains that these nameservers know; all names when unset" },
    [DNS_SEARCH] = { "dns_search", GH_CONF_STRING_LIST, .max = "32", .reload = true, .help = "domains in which agents look for short names" },
    [PREF64] = { "pref64", GH_CONF_PREFIX_LIST, .max = "8", .reload = true,
                 .help = "prefixes of a NAT64 that agents are told of (PREF64 of the same draft), such as 64:ff9b::/96" },
    [NAT] = { "nat", GH_CONF_ENUM, .dflt = "auto", .values = "auto|none",
              .help = "auto hides agents behind the relay's own addresses; none is for networks that route the pools" },
    [TUN] = { "tun", GH_CONF_STRING, .dflt = "gh0", .min = "1", .max = "15", .help = "name of the TUN device" },
    [MTU] = { "mtu", GH_CONF_UINT, .dflt = "0", .max = "65535", .unit = "bytes",
              .help = "largest packet inside tunnels, at least 1280; 0 follows the path" },
    [POLICY] = { "policy", GH_CONF_PATH, .min = "1", .required = true, .reload = true, .help = "file with the rules of who reaches what" },
    [OFFLOAD_TUN] = { "offload_tun", GH_CONF_BOOL, .dflt = "true", .help = "let the kernel hand over many segments as one packet" },
    [OFFLOAD_UDP] = { "offload_udp", GH_CONF_BOOL, .dflt = "true", .help = "send and receive many datagrams with one call" },
    [WIDE_AES] = { "wide_aes", GH_CONF_BOOL, .dflt = "true", .reload = true,
                   .help = "seal packets with vectors of 512 bits where the processor has them, and not with OpenSSL" },
    [IDLE_TIMEOUT] = { "idle_timeout", GH_CONF_DURATION, .dflt = "30s", .min = "1s", .max = "1h",
                       .help = "a connection without packets for so long is over" },
    [KEEP_ALIVE] = { "keep_alive", GH_CONF_DURATION, .dflt = "10s", .min = "0s", .max = "1h",
                     .help = "silence after which a packet keeps the connection alive, a little longer when it is the agent's turn; 0s leaves that to the agent" },
    [MAX_SESSIONS] = { "max_sessions", GH_CONF_UINT, .dflt = "1000", .min = "1", .max = "1000000", .unit = "sessions", .reload = true,
                       .help = "agents served at a time" },
    [MAX_HALF_OPEN] = { "max_half_open", GH_CONF_UINT, .dflt = "256", .min = "1", .max = "65536", .unit = "handshakes", .reload = true,
                        .help = "handshakes under way at a time" },
    [RETRY] = { "retry", GH_CONF_ENUM, .dflt = "auto", .values = "auto|always|never", .reload = true,
                .help = "whether a stranger must prove its address by a round trip before its handshake begins; auto asks for that while a "
                        "quarter of max_half_open are under way" },
    [HANDSHAKES_PER_SOURCE] = { "handshakes_per_source", GH_CONF_UINT, .dflt = "50", .max = "1000000", .unit = "handshakes a second", .reload = true,
                                .help = "for one IPv4 address or IPv6 /64 at one worker; twenty seconds' worth may come at once, and one that "
                                        "fails counts eight more; 0 is no limit" },
    [MAX_FLOWS] = { "max_flows", GH_CONF_UINT, .dflt = "65536", .min = "16", .max = "16777216", .unit = "flows",
                    .help = "flows that one worker follows" },
    [MAX_FLOWS_PER_SESSION] = { "max_flows_per_session", GH_CONF_UINT, .dflt = "8192", .min = "1", .max = "16777216", .unit = "flows",
                                .help = "flows of one agent" },
    [TCP_SYN_TIMEOUT] = { "tcp_syn_timeout", GH_CONF_DURATION, .dflt = "30s", .min = "1s", .max = "10m",
                          .help = "silence that ends a TCP flow before it is established" },
    [TCP_ESTABLISHED_TIMEOUT] = { "tcp_established_timeout", GH_CONF_DURATION, .dflt = "2h", .min = "10s", .max = "7d",
                                  .help = "silence that ends an established TCP flow" },
    [TCP_CLOSING_TIMEOUT] = { "tcp_closing_timeout", GH_CONF_DURATION, .dflt = "30s", .min = "1s", .max = "10m",
                              .help = "silence that ends a TCP flow after a FIN or RST" },
    [UDP_NEW_TIMEOUT] = { "udp_new_timeout", GH_CONF_DURATION, .dflt = "30s", .min = "1s", .max = "1h",
                          .help = "silence that ends a UDP flow without a reply" },
    [UDP_TIMEOUT] = { "udp_timeout", GH_CONF_DURATION, .dflt = "180s", .min = "1s", .max = "1d",
                      .help = "silence that ends a UDP flow with replies" },
    [ICMP_TIMEOUT] = { "icmp_timeout", GH_CONF_DURATION, .dflt = "10s", .min = "1s", .max = "10m",
                       .help = "silence that ends an ICMP query" },
    [FRAGMENT_TIMEOUT] = { "fragment_timeout", GH_CONF_DURATION, .dflt = "30s", .min = "1s", .max = "30s",
                           .help = "how long later fragments follow their first" },
    [MAX_FRAGMENTS] = { "max_fragments", GH_CONF_UINT, .dflt = "1024", .min = "1", .max = "1048576", .unit = "packets",
                        .help = "fragmented packets that one worker follows" },
    [MAX_CAPSULE_BYTES] = { "max_capsule_bytes", GH_CONF_SIZE, .dflt = "65536", .min = "1024", .max = "1MiB", .reload = true,
                            .help = "longest capsule of an agent that is kept; a longer one ends its tunnel" },
    [CAPSULES_PER_SECOND] = { "capsules_per_second", GH_CONF_UINT, .dflt = "50", .max = "1000000", .unit = "capsules a second", .reload = true,
                              .help = "of one tunnel, other than packets; ten seconds' worth may come at once, more end the tunnel; 0 is no limit" },
    [QUEUE_PACKETS] = { "queue_packets", GH_CONF_UINT, .dflt = "1024", .min = "16", .max = "65536", .unit = "packets",
                        .help = "packets that wait for one agent" },
    [QUEUE_BYTES] = { "queue_bytes", GH_CONF_SIZE, .dflt = "2MiB", .min = "64KiB", .max = "256MiB",
                      .help = "memory of the packets that wait for one agent" },
    [QUEUE_TIME] = { "queue_time", GH_CONF_DURATION, .dflt = "50ms", .min = "1ms", .max = "10s", .help = "how long a packet may wait" },
    [QUEUE_TARGET] = { "queue_target", GH_CONF_DURATION, .dflt = "5ms", .min = "0s", .max = "1s",
                       .help = "how long the packets of one flow may go on waiting before some are dropped (CoDel); 0s never drops for that" },
    [QUEUE_INTERVAL] = { "queue_interval", GH_CONF_DURATION, .dflt = "100ms", .min = "1ms", .max = "10s",
                         .help = "how long they may wait longer than queue_target; about the longest round trip of most flows" },
    [PROXY] = { "proxy", GH_CONF_ENUM_SET, .dflt = "", .values = "connect|connect-udp", .reload = true,
                .help = "what else than CONNECT-IP is served: connect carries TCP (RFC 9110, section 9.3.6), connect-udp UDP (RFC 9298), to hosts that the "
                        "policy allows; connections then come from the relay's own addresses. When it is empty at the start, connect needs a restart" },
    [MAX_PROXIED] = { "max_proxied", GH_CONF_UINT, .dflt = "4096", .min = "1", .max = "1000000", .unit = "tunnels", .reload = true,
                      .help = "such tunnels at a time" },
    [MAX_PROXIED_PER_CLIENT] = { "max_proxied_per_client", GH_CONF_UINT, .dflt = "256", .min = "1", .max = "1000000", .unit = "tunnels", .reload = true,
                                 .help = "of one identity, at one worker" },
    [PROXY_CONNECT_TIMEOUT] = { "proxy_connect_timeout", GH_CONF_DURATION, .dflt = "10s", .min = "100ms", .max = "2m", .reload = true,
                                .help = "how long all attempts of one CONNECT to reach its host may take" },
    [PROXY_TCP_TIMEOUT] = { "proxy_tcp_timeout", GH_CONF_DURATION, .dflt = "2h", .min = "10s", .max = "7d", .reload = true,
                            .help = "silence that ends the tunnel of a CONNECT" },
    [PROXY_UDP_TIMEOUT] = { "proxy_udp_timeout", GH_CONF_DURATION, .dflt = "3m", .min = "2m", .max = "1d", .reload = true,
                            .help = "silence that ends the tunnel of a CONNECT-UDP (RFC 9298, section 3.1)" },
    { 0 },
};

_Static_assert(sizeof rows / sizeof *rows <= GH_CONF_ROWS_MAX, "more rows than a section can have");

static void check_pools(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors)
{
    char a[GH_PREFIX_TEXT], b[GH_PREFIX_TEXT];
    size_t count;
    const struct gh_prefix *pools = gh_conf_prefixes(conf, section, POOLS, &count);

    for (size_t i = 0; i < count; i++) {
        if (pools[i].len > gh_ip_bits(&pools[i].addr) - 2)
            gh_conf_fail(conf, section, POOLS, errors, "relay.pools: %s has no room for an agent; %s is the smallest",
                         gh_prefix_emit(&pools[i], a), pools[i].addr.family == 4 ? "a /30" : "a /126");
        for (size_t j = 0; j < i; j++)
            if (gh_prefix_covers(&pools[i], &pools[j]) || gh_prefix_covers(&pools[j], &pools[i]))
                gh_conf_fail(conf, section, POOLS, errors, "relay.pools: %s and %s overlap; keep one",
                             gh_prefix_emit(&pools[j], a), gh_prefix_emit(&pools[i], b));
    }
}

int gh_relay_conf_pin(const char *pin, char ret_name[GH_IDENTITY_NAME_MAX + 1], uint8_t ret_spki_sha256[32])
{
    size_t name = strcspn(pin, "=");
    uint8_t digest[32];

    if (name > GH_IDENTITY_NAME_MAX || !gh_identity_name_valid(gh_span_of(pin, name)) || strncmp(pin + name, "=sha256:", 8) != 0 ||
        !gh_hex_decode(gh_span_str(pin + name + 8), GH_HEX_ANY, digest, sizeof digest))
        return GH_ERR_MALFORMED;
    memcpy(ret_name, pin, name);
    ret_name[name] = 0;
    memcpy(ret_spki_sha256, digest, sizeof digest);
    return 0;
}

static void check_pins(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors)
{
    size_t count;
    const char *const *pins = gh_conf_strings(conf, section, PINS, &count);
    char name[GH_IDENTITY_NAME_MAX + 1];
    uint8_t spki[32];

    for (size_t i = 0; i < count; i++)
        if (gh_relay_conf_pin(pins[i], name, spki) < 0)
            gh_conf_fail(conf, section, PINS, errors, "relay.pins: \"%.100s\" must be such as \"client-1=sha256:\" and 64 hexadecimal digits", pins[i]);
    if (gh_conf_uint(conf, section, PIN) == 1 && count == 0 && !*gh_conf_string(conf, section, PINS_FILE))
        gh_conf_fail(conf, section, PIN, errors, "relay.pin is required and there is neither relay.pins nor relay.pins_file: nobody could connect");
}

static void check_names(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row, struct gh_conf_errors *errors)
{
    size_t count, servers;
    const char *const *names = gh_conf_strings(conf, section, row, &count);

    (void)gh_conf_strings(conf, section, DNS, &servers);
    if (count > 0 && servers == 0)
        gh_conf_fail(conf, section, row, errors, "relay.%s has no meaning without relay.dns", rows[row].name);
    for (size_t i = 0; i < count; i++)
        if (!gh_dns_name_valid(gh_span_str(names[i])))
            gh_conf_fail(conf, section, row, errors, "relay.%s: \"%.100s\" is no domain name; international ones are written as xn--...",
                         rows[row].name, names[i]);
}

static void check_dns(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors)
{
    size_t count;
    const char *const *servers = gh_conf_strings(conf, section, DNS, &count);
    const struct gh_prefix *prefixes;
    struct gh_ip ip;

    for (size_t i = 0; i < count; i++)
        if (gh_ip_parse(servers[i], strlen(servers[i]), &ip) < 0 || !gh_ip_is_unicast(&ip) || gh_ip_is_link_local(&ip))
            gh_conf_fail(conf, section, DNS, errors, "relay.dns: \"%.100s\" is no address that agents could reach", servers[i]);
    check_names(conf, section, DNS_DOMAINS, errors);
    check_names(conf, section, DNS_SEARCH, errors);
    prefixes = gh_conf_prefixes(conf, section, PREF64, &count);
    for (size_t i = 0; i < count; i++)
        if (!gh_pref64_valid(&prefixes[i]))
            gh_conf_fail(conf, section, PREF64, errors, "relay.pref64 takes IPv6 prefixes of 32, 40, 48, 56, 64 or 96 bits");
}

static void check_listen(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors)
{
    bool has_ca = *gh_conf_string(conf, section, CLIENT_CA);
    size_t count;

    (void)gh_conf_addrs(conf, section, LISTEN, &count);
    if (count && !has_ca)
        gh_conf_fail(conf, section, LISTEN, errors, "relay.client_ca is missing: who connects to relay.listen proves itself by a certificate; set it, or listen: []");
    if (*gh_conf_string(conf, section, CRL) && !has_ca)
        gh_conf_fail(conf, section, CRL, errors, "relay.crl has no meaning without relay.client_ca");
}

static void check(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors)
{
    uint64_t mtu = gh_conf_uint(conf, section, MTU);

    if (strcmp(gh_conf_string(conf, section, CERTIFICATE), gh_conf_string(conf, section, KEY)) == 0)
        gh_conf_fail(conf, section, KEY, errors, "relay.key must be another file than relay.certificate: it stays with the parent process");
    check_listen(conf, section, errors);
    check_pools(conf, section, errors);
    check_pins(conf, section, errors);
    check_dns(conf, section, errors);
    /* RFC 9484, section 10.1: IPv6 needs 1280 bytes */
    if (mtu && mtu < 1280)
        gh_conf_fail(conf, section, MTU, errors, "relay.mtu is %llu; it must be 0 or at least 1280", (unsigned long long)mtu);
    if (gh_conf_duration(conf, section, KEEP_ALIVE) >= gh_conf_duration(conf, section, IDLE_TIMEOUT))
        gh_conf_fail(conf, section, KEEP_ALIVE, errors, "relay.keep_alive must be shorter than relay.idle_timeout");
    if (gh_conf_uint(conf, section, MAX_FLOWS_PER_SESSION) > gh_conf_uint(conf, section, MAX_FLOWS))
        gh_conf_fail(conf, section, MAX_FLOWS_PER_SESSION, errors,
                     "relay.max_flows_per_session must be no more than relay.max_flows");
    if (strpbrk(gh_conf_string(conf, section, TUN), "/ :"))
        gh_conf_fail(conf, section, TUN, errors, "relay.tun must be a device name, without slash, colon or space");
}

const struct gh_conf_section gh_relay_conf_section = { "relay", "Terminates tunnels and forwards their packets.", rows, false, check };

static size_t load_size(const struct gh_conf *conf, unsigned row)
{
    return (size_t)gh_conf_uint(conf, &gh_relay_conf_section, row);
}

static unsigned load_uint(const struct gh_conf *conf, unsigned row)
{
    return (unsigned)gh_conf_uint(conf, &gh_relay_conf_section, row);
}

static int64_t load_time(const struct gh_conf *conf, unsigned row)
{
    return gh_conf_duration(conf, &gh_relay_conf_section, row);
}

static const char *load_string(const struct gh_conf *conf, unsigned row)
{
    return gh_conf_string(conf, &gh_relay_conf_section, row);
}

static void load_limits(const struct gh_conf *conf, struct gh_relay_conf *ret)
{
    ret->idle_timeout = load_time(conf, IDLE_TIMEOUT);
    ret->keep_alive = load_time(conf, KEEP_ALIVE);
    ret->max_sessions = load_uint(conf, MAX_SESSIONS);
    ret->max_half_open = load_uint(conf, MAX_HALF_OPEN);
    ret->retry = load_uint(conf, RETRY);
    ret->handshakes_per_source = load_uint(conf, HANDSHAKES_PER_SOURCE);
    ret->capsules_per_second = load_uint(conf, CAPSULES_PER_SECOND);
    ret->max_flows = load_uint(conf, MAX_FLOWS);
    ret->max_flows_per_session = load_uint(conf, MAX_FLOWS_PER_SESSION);
    ret->tcp_syn_timeout = load_time(conf, TCP_SYN_TIMEOUT);
    ret->tcp_established_timeout = load_time(conf, TCP_ESTABLISHED_TIMEOUT);
    ret->tcp_closing_timeout = load_time(conf, TCP_CLOSING_TIMEOUT);
    ret->udp_new_timeout = load_time(conf, UDP_NEW_TIMEOUT);
    ret->udp_timeout = load_time(conf, UDP_TIMEOUT);
    ret->icmp_timeout = load_time(conf, ICMP_TIMEOUT);
    ret->fragment_timeout = load_time(conf, FRAGMENT_TIMEOUT);
    ret->max_fragments = load_uint(conf, MAX_FRAGMENTS);
    ret->max_capsule_bytes = load_size(conf, MAX_CAPSULE_BYTES);
    ret->queue_packets = load_uint(conf, QUEUE_PACKETS);
    ret->queue_bytes = load_size(conf, QUEUE_BYTES);
    ret->queue_time = load_time(conf, QUEUE_TIME);
    ret->queue_target = load_time(conf, QUEUE_TARGET);
    ret->queue_interval = load_time(conf, QUEUE_INTERVAL);
    ret->proxy = load_uint(conf, PROXY); /* the order of its words is that of GH_RELAY_PROXY_… */
    ret->max_proxied = load_uint(conf, MAX_PROXIED);
    ret->max_proxied_per_client = load_uint(conf, MAX_PROXIED_PER_CLIENT);
    ret->proxy_connect_timeout = load_time(conf, PROXY_CONNECT_TIMEOUT);
    ret->proxy_tcp_timeout = load_time(conf, PROXY_TCP_TIMEOUT);
    ret->proxy_udp_timeout = load_time(conf, PROXY_UDP_TIMEOUT);
}

int gh_relay_conf_load(const struct gh_conf *conf, struct gh_relay_conf *ret)
{
    const struct gh_conf_section *section = &gh_relay_conf_section;

    if (!gh_conf_has(conf, section))
        return GH_ERR_NOT_FOUND;
    *ret = (struct gh_relay_conf){
        .certificate = load_string(conf, CERTIFICATE),
        .key = load_string(conf, KEY),
        .client_ca = load_string(conf, CLIENT_CA),
        .trust_domain = load_string(conf, TRUST_DOMAIN),
        .identity = load_uint(conf, IDENTITY), /* the order of its words is that of GH_RELAY_IDENTITY_… */
        .pin_required = gh_conf_uint(conf, section, PIN) == 1,
        .nat = gh_conf_uint(conf, section, NAT) == 0,
        .tun = load_string(conf, TUN),
        .mtu = load_uint(conf, MTU),
        .policy = load_string(conf, POLICY),
        .offload_tun = gh_conf_bool(conf, section, OFFLOAD_TUN),
        .offload_udp = gh_conf_bool(conf, section, OFFLOAD_UDP),
        .wide_aes = gh_conf_bool(conf, section, WIDE_AES),
    };
    ret->crl = load_string(conf, CRL);
    ret->crl_expired_refuse = gh_conf_uint(conf, section, CRL_EXPIRED) == 1;
    ret->pins_file = load_string(conf, PINS_FILE);
    ret->pins = gh_conf_strings(conf, section, PINS, &ret->pin_count);
    ret->listen = gh_conf_addrs(conf, section, LISTEN, &ret->listen_count);
    ret->pools = gh_conf_prefixes(conf, section, POOLS, &ret->pool_count);
    ret->routes = gh_conf_prefixes(conf, section, ROUTES, &ret->route_count);
    ret->dns = gh_conf_strings(conf, section, DNS, &ret->dns_count);
    ret->dns_domains = gh_conf_strings(conf, section, DNS_DOMAINS, &ret->dns_domain_count);
    ret->dns_search = gh_conf_strings(conf, section, DNS_SEARCH, &ret->dns_search_count);
    ret->pref64 = gh_conf_prefixes(conf, section, PREF64, &ret->pref64_count);
    load_limits(conf, ret);
    return 0;
}
