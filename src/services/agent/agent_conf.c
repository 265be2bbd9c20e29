#include "services/agent/agent_conf.h"

#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/hex.h"
#include "crypto/ech.h"
#include "crypto/hash.h"

enum {
    LINK,
    MODE,
    RELAY,
    RETURN_AFTER,
    TEMPLATE,
    SERVER_NAME,
    CERTIFICATE,
    KEY,
    USER,
    TOKEN,
    CA,
    PIN,
    TRANSPORT,
    QUIC_RETRY,
    HOP,
    HOP_INTERVAL,
    ECH,
    TUNNEL_NAME,
    TLS_FINGERPRINT,
    TRUST_DOMAIN,
    TUN,
    ALLOW_ROUTES,
    ROUTING,
    BLOCK_UNASSIGNED,
    TABLE,
    FWMARK,
    MTU,
    OFFLOAD_TUN,
    OFFLOAD_UDP,
    WIDE_AES,
    IDLE_TIMEOUT,
    KEEP_ALIVE,
    RECONNECT_MIN,
    RECONNECT_MAX,
    ASSIGN_TIMEOUT,
    SOCKET,
    DNS,
};

static const struct gh_conf_row rows[] = {
    [LINK] = { "link", GH_CONF_SECRET, .help = "a connection link, k2v5://…, as gatehoused prints it at its first start: it takes the place of relay, user, token, "
                                               "pin, ech and hop; what is said of these in addition counts before it, but for the first three" },
    [MODE] = { "mode", GH_CONF_ENUM, .dflt = "tun", .values = "tun|proxy",
                .help = "tun: a network device, for which the program needs CAP_NET_ADMIN; proxy: SOCKS5 and HTTP CONNECT at proxy.listen, for which it needs "
                        "no right at all; the relay must have relay.proxy" },
    [RELAY] = { "relay", GH_CONF_STRING_LIST, .min = "1", .max = "8",
                .help = "required without link; the relay to connect to: https://relay.gatehouse.example:4433, or host:port; or a list of them, the preferred one first: "
                        "the next is taken when those before it do not answer" },
    [RETURN_AFTER] = { "return_after", GH_CONF_DURATION, .dflt = "5m", .max = "24h",
                       .help = "how often an agent at a relay that is not its first looks for a preferred one; its flows begin anew there; 0: it stays" },
    [TEMPLATE] = { "template", GH_CONF_STRING, .dflt = "/.well-known/masque/ip/{target}/{ipproto}/", .min = "1", .max = "1024",
                   .help = "path of the tunnel on the relay, as a URI template" },
    [SERVER_NAME] = { "server_name", GH_CONF_STRING, .max = "253", .help = "name to ask for in TLS; the relay's host when unset" },
    [CERTIFICATE] = { "certificate", GH_CONF_PATH, .reload = true, .help = "PEM file with the agent's certificate; required without user and link" },
    [KEY] = { "key", GH_CONF_PATH, .reload = true, .key = true,
             .help = "PEM file with the agent's private key, mode 0600" },
    [USER] = { "user", GH_CONF_STRING, .max = "128", .help = "who we are where a token says it, as in the users file of the relay's door" },
    [TOKEN] = { "token", GH_CONF_SECRET, .help = "what proves that; 256 bytes at most" },
    [CA] = { "ca", GH_CONF_PATH, .reload = true, .help = "PEM file with the CAs that vouch for relays; may be left out when pin is given" },
    [PIN] = { "pin", GH_CONF_STRING_LIST, .max = "8", .reload = true,
              .help = "SHA-256 of the public key (SubjectPublicKeyInfo) of relays, as sha256:HEX or base64, one of which the relay must have; without ca "
                      "nothing else is asked of its certificate, with it both" },
    [TRANSPORT] = { "transport", GH_CONF_ENUM, .dflt = "auto", .values = "auto|quic|tcp|websocket|h2",
                    .help = "auto is QUIC where UDP gets through, HTTP/2 (or HTTP/1.1) over TCP where it does not, and a WebSocket over these where only that "
                            "passes, such as behind a proxy or a CDN; the others are one alone; h2 is another word for tcp" },
    [QUIC_RETRY] = { "quic_retry", GH_CONF_DURATION, .dflt = "3m", .min = "1s", .max = "24h",
                     .help = "how often a tunnel over TCP tries whether UDP gets through now, and one over a WebSocket whether TCP without does; it moves then" },
    [HOP] = { "hop", GH_CONF_STRING, .max = "11",
              .help = "further ports of the relay, such as 10020-10119, as door.hop_ports there: QUIC goes to one of them, chosen at random, then to another one; TCP "
                      "to one when the relay's own does not answer" },
    [HOP_INTERVAL] = { "hop_interval", GH_CONF_DURATION, .dflt = "30s", .min = "100ms", .max = "24h",
                       .help = "how long QUIC stays at a port, give or take a quarter; it leaves at once one where nothing is heard" },
    [ECH] = { "ech", GH_CONF_STRING, .max = "4096", .reload = true,
              .help = "the relay's ECHConfigList in base64, or the path of a file that has it: the name that is asked for is encrypted (Encrypted ClientHello)" },
    [TUNNEL_NAME] = { "tunnel_name", GH_CONF_STRING, .max = "253", .reload = true,
                      .help = "name to ask for in TLS, such as door.tunnel_name of the relay; the certificate need not have it; what server_name says when unset" },
    [TLS_FINGERPRINT] = { "tls_fingerprint", GH_CONF_ENUM, .dflt = "auto", .values = "auto|none|chrome|firefox", .reload = true,
                          .help = "the browser that the first message of a connection resembles, as far as that goes; none is OpenSSL's own; auto is what the link's fp "
                                  "names, else chrome with ech and without ca, else none. Browsers know no Ed25519: with one of them the relay needs another "
                                  "key, or a ca that has such a key as well" },
    [TRUST_DOMAIN] = { "trust_domain", GH_CONF_STRING, .max = "255",
                       .help = "required with ca or certificate; the DOMAIN of spiffe://DOMAIN/relay/NAME that the relay must prove" },
    [TUN] = { "tun", GH_CONF_STRING, .dflt = "gh-agent0", .min = "1", .max = "15", .help = "name of the TUN device" },
    [ALLOW_ROUTES] = { "allow_routes", GH_CONF_PREFIX_LIST, .dflt = "0.0.0.0/0, ::/0", .max = "256", .reload = true,
                       .help = "networks that the relay may take over; what it offers outside of them is ignored" },
    [ROUTING] = { "routing", GH_CONF_ENUM, .dflt = "auto", .values = "auto|none",
                  .help = "auto sets routes and rules; none sets addresses alone" },
    [BLOCK_UNASSIGNED] = { "block_unassigned", GH_CONF_BOOL, .dflt = "true",
                           .help = "answer with unreachable what the relay takes over of IPv4 or IPv6 while the tunnel has no address of that family; false "
                                   "lets it leave beside the tunnel, in clear" },
    [TABLE] = { "table", GH_CONF_UINT, .dflt = "5100", .min = "1", .max = "4294967295", .unit = "table number",
                .help = "routing table that the agent keeps for itself" },
    [FWMARK] = { "fwmark", GH_CONF_UINT, .dflt = "18248", .min = "1", .max = "4294967295", .unit = "mark",
                 .help = "mark of the agent's own packets, which keeps them outside the tunnel" },
    [MTU] = { "mtu", GH_CONF_UINT, .dflt = "0", .max = "65535", .unit = "bytes",
              .help = "largest packet inside the tunnel, at least 1280; 0 follows the path" },
    [OFFLOAD_TUN] = { "offload_tun", GH_CONF_BOOL, .dflt = "true", .help = "let the kernel hand over many segments as one packet" },
    [OFFLOAD_UDP] = { "offload_udp", GH_CONF_BOOL, .dflt = "true", .help = "send and receive many datagrams with one call" },
    [WIDE_AES] = { "wide_aes", GH_CONF_BOOL, .dflt = "true", .reload = true,
                   .help = "seal packets with vectors of 512 bits where the processor has them, and not with OpenSSL" },
    [IDLE_TIMEOUT] = { "idle_timeout", GH_CONF_DURATION, .dflt = "30s", .min = "1s", .max = "1h",
                       .help = "a connection without packets for so long is over" },
    [KEEP_ALIVE] = { "keep_alive", GH_CONF_DURATION, .dflt = "10s", .min = "0s", .max = "1h",
                     .help = "silence after which a packet keeps the connection alive, a little longer when it is the relay's turn; 0s leaves that to the relay" },
    [RECONNECT_MIN] = { "reconnect_min", GH_CONF_DURATION, .dflt = "200ms", .min = "10ms", .max = "1h",
                        .help = "the first wait before another attempt; waits double and are drawn at random below that" },
    [RECONNECT_MAX] = { "reconnect_max", GH_CONF_DURATION, .dflt = "30s", .min = "10ms", .max = "1h", .help = "the longest wait" },
    [ASSIGN_TIMEOUT] = { "assign_timeout", GH_CONF_DURATION, .dflt = "5s", .min = "100ms", .max = "5m",
                         .help = "how long the relay may take to assign an address" },
    [SOCKET] = { "socket", GH_CONF_PATH, .dflt = "${run_dir}/agent.sock", .max = "200", .help = "unix socket that answers status and down" },
    [DNS] = { "dns", GH_CONF_ENUM, .dflt = "ignore", .values = "ignore|accept",
              .help = "what becomes of nameservers that the relay tells of: ignore shows them in the status, accept also writes those that "
                      "are reached through the tunnel and know all names to resolv.conf in node.run_dir, to which /etc/resolv.conf may be linked" },
    { 0 },
};

_Static_assert(sizeof rows / sizeof *rows <= GH_CONF_ROWS_MAX, "more rows than a section can have");

static int parse_port(const char *text, uint16_t *ret)
{
    unsigned long v = 0;

    if (!*text || strlen(text) > 5)
        return GH_ERR_MALFORMED;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return GH_ERR_MALFORMED;
        v = v * 10 + (unsigned long)(*text - '0');
    }
    if (v < 1 || v > 65535)
        return GH_ERR_MALFORMED;
    *ret = (uint16_t)v;
    return 0;
}

int gh_agent_hop_parse(const char *text, uint16_t ret[2])
{
    char first[8] = { 0 };
    size_t len = strcspn(text, "-");

    if (len >= sizeof first || text[len] != '-')
        return GH_ERR_MALFORMED;
    memcpy(first, text, len);
    return parse_port(first, &ret[0]) == 0 && parse_port(text + len + 1, &ret[1]) == 0 && ret[0] <= ret[1] ? 0 : GH_ERR_MALFORMED;
}

int gh_agent_pin_parse(const char *text, uint8_t ret[32])
{
    static const char prefix[] = "sha256:";
    uint8_t bytes[64];
    size_t len = 0;

    if (strncmp(text, prefix, sizeof prefix - 1) == 0)
        text += sizeof prefix - 1;
    if (strlen(text) == 64)
        return gh_hex_decode(gh_span_str(text), GH_HEX_ANY, ret, 32) ? 0 : GH_ERR_MALFORMED;
    if (strlen(text) > 44 || gh_base64_decode(gh_span_str(text), bytes, &len) < 0 || len != 32)
        return GH_ERR_MALFORMED;
    memcpy(ret, bytes, 32);
    return 0;
}

/* What is between the lines of the block, or all of it when there are no such lines. */
static struct gh_span pem_body(struct gh_span text)
{
    static const char begin[] = "-----BEGIN ECHCONFIG-----", end[] = "-----END ECHCONFIG-----";
    const uint8_t *at = memmem(text.data, text.len, begin, sizeof begin - 1), *stop;

    if (!at)
        return text;
    at += sizeof begin - 1;
    stop = memmem(at, text.len - (size_t)(at - text.data), end, sizeof end - 1);
    return gh_span_of(at, stop ? (size_t)(stop - at) : 0);
}

int gh_agent_ech_parse(struct gh_span text, uint8_t *ret, size_t *ret_len)
{
    char letters[GH_AGENT_ECH_TEXT], name[GH_ECH_PUBLIC_NAME_MAX + 1];
    uint8_t list[GH_AGENT_ECH_TEXT];
    struct gh_span body = pem_body(text);
    size_t n = 0, len = 0;
    int rc;

    for (size_t i = 0; i < body.len; i++) {
        if (body.data[i] == ' ' || body.data[i] == '\t' || body.data[i] == '\r' || body.data[i] == '\n')
            continue;
        if (n == sizeof letters)
            return GH_ERR_MALFORMED;
        letters[n++] = (char)body.data[i];
    }
    if (n == 0 || gh_base64_decode(gh_span_of(letters, n), list, &len) < 0 || len > GH_ECH_LIST_MAX)
        return GH_ERR_MALFORMED;
    rc = gh_ech_list_public_name(gh_span_of(list, len), name);
    if (rc < 0)
        return rc;
    memcpy(ret, list, len);
    *ret_len = len;
    return 0;
}

static bool host_valid(const char *host, size_t len, bool bracketed)
{
    struct gh_ip ip;

    if (len == 0 || len > 253)
        return false;
    if (bracketed)
        return gh_ip_parse(host, len, &ip) == 0 && ip.family == 6;
    for (size_t i = 0; i < len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._", host[i]))
            return false;
    return true;
}

int gh_agent_relay_parse(const char *text, char ret_host[256], uint16_t *ret_port)
{
    static const char scheme[] = "https://";
    const char *host = text, *rest;
    bool bracketed;
    uint16_t port = 443;
    size_t len;

    if (strncmp(host, scheme, sizeof scheme - 1) == 0)
        host += sizeof scheme - 1;
    bracketed = *host == '[';
    if (bracketed)
        host++;
    len = strcspn(host, bracketed ? "]" : ":/");
    rest = host + len;
    if (bracketed && *rest++ != ']')
        return GH_ERR_MALFORMED;
    if (!host_valid(host, len, bracketed))
        return GH_ERR_MALFORMED;
    if (*rest == ':') {
        char digits[8] = { 0 };
        size_t n = strcspn(rest + 1, "/");

        if (n >= sizeof digits)
            return GH_ERR_MALFORMED;
        memcpy(digits, rest + 1, n);
        if (parse_port(digits, &port) < 0)
            return GH_ERR_MALFORMED;
        rest += n + 1;
    }
    /* a path belongs into the template */
    if (*rest && strcmp(rest, "/") != 0)
        return GH_ERR_MALFORMED;
    memcpy(ret_host, host, len);
    ret_host[len] = 0;
    *ret_port = port;
    return 0;
}

/* Either the list itself or an absolute path; "/…" may be both. */
static bool is_list(const char *ech)
{
    uint8_t list[GH_ECH_LIST_MAX];
    size_t len;

    return gh_agent_ech_parse(gh_span_str(ech), list, &len) == 0;
}

static void check_relay_proof(const struct gh_conf *conf, const struct gh_conf_section *section, const struct gh_link *link, struct gh_conf_errors *errors)
{
    const char *ech = gh_conf_string(conf, section, ECH);
    uint8_t pin[32];
    size_t count;
    const char *const *pins = gh_conf_strings(conf, section, PIN, &count);

    for (size_t i = 0; i < count; i++)
        if (gh_agent_pin_parse(pins[i], pin) < 0)
            gh_conf_fail(conf, section, PIN, errors, "agent.pin must be sha256: and 64 hexadecimal digits, or the base64 of 32 bytes, not %.100s", pins[i]);
    if (count == 0 && !*gh_conf_string(conf, section, CA) && !(link && link->has_pin))
        gh_conf_fail(conf, section, CA, errors, "agent.ca is missing: who vouches for the relay, unless agent.pin says which key it has?");
    if (*ech && ech[0] != '/' && !is_list(ech))
        gh_conf_fail(conf, section, ECH, errors, "agent.ech must be an ECHConfigList in base64, as gatehouse ech show prints it, or the absolute path of a file with it");
}

static struct gh_span secret_of(const struct gh_conf *conf, unsigned row)
{
    const struct gh_secret *s = gh_conf_secret(conf, &gh_agent_conf_section, row);

    return s && s->data ? gh_span_of(s->data, s->len) : gh_span_of(NULL, 0);
}

/* True and <ret>, or there is none, or it is wrong and that was said. */
static bool check_link(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors, struct gh_link *ret)
{
    static const unsigned others[] = { RELAY, USER, TOKEN };
    struct gh_span text = secret_of(conf, LINK);
    struct gh_link_error e;
    size_t count;

    if (text.len == 0)
        return false;
    if (gh_link_read(text, ret, &e) < 0) {
        gh_conf_fail(conf, section, LINK, errors, "agent.link, column %zu: %s", e.column, e.what);
        return false;
    }
    (void)gh_conf_strings(conf, section, RELAY, &count);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i] == RELAY ? count > 0 : others[i] == USER ? *gh_conf_string(conf, section, USER) : secret_of(conf, TOKEN).len > 0)
            gh_conf_fail(conf, section, others[i], errors, "agent.%s is what agent.link says already; leave one of them out", rows[others[i]].name);
    return true;
}

/* Who are we? A certificate says it, or a token. */
static void check_own_proof(const struct gh_conf *conf, const struct gh_conf_section *section, const struct gh_link *link, struct gh_conf_errors *errors)
{
    const char *certificate = gh_conf_string(conf, section, CERTIFICATE), *key = gh_conf_string(conf, section, KEY);
    const char *user = gh_conf_string(conf, section, USER);
    size_t token = secret_of(conf, TOKEN).len;

    if (!*certificate && !*user && !(link && *link->user))
        gh_conf_fail(conf, section, CERTIFICATE, errors, "agent.certificate is missing: who are we, unless agent.user and agent.token, or agent.link, say it?");
    if (*certificate && !*key)
        gh_conf_fail(conf, section, KEY, errors, "agent.key is missing: %s", rows[KEY].help);
    if (*key && !*certificate)
        gh_conf_fail(conf, section, KEY, errors, "agent.key has no agent.certificate that it belongs to");
    if (*certificate && strcmp(certificate, key) == 0)
        gh_conf_fail(conf, section, KEY, errors, "agent.key must be another file than agent.certificate: it stays with the parent process");
    if ((*user != 0) != (token > 0) || strchr(user, ':'))
        gh_conf_fail(conf, section, USER, errors, "agent.user and agent.token belong together, and there is no colon in a user's name");
    if (token > GH_LINK_TOKEN_MAX)
        gh_conf_fail(conf, section, TOKEN, errors, "agent.token has %zu bytes; it must have %u at most", token, GH_LINK_TOKEN_MAX);
    if ((*certificate || *gh_conf_string(conf, section, CA)) && !*gh_conf_string(conf, section, TRUST_DOMAIN))
        gh_conf_fail(conf, section, TRUST_DOMAIN, errors, "agent.trust_domain is missing: %s", rows[TRUST_DOMAIN].help);
}

static void check(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors)
{
    struct gh_link link;
    uint16_t hop[2];
    const struct gh_link *given = check_link(conf, section, errors, &link) ? &link : NULL;
    uint64_t mtu = gh_conf_uint(conf, section, MTU), table = gh_conf_uint(conf, section, TABLE);
    const char *template = gh_conf_string(conf, section, TEMPLATE);
    struct gh_agent_relay relay;
    size_t count;
    const char *const *relays = gh_conf_strings(conf, section, RELAY, &count);

    if (count == 0 && secret_of(conf, LINK).len == 0)
        gh_conf_fail(conf, section, RELAY, errors, "agent.relay is missing: the relay to connect to, such as https://relay.gatehouse.example:4433");
    for (size_t i = 0; i < count; i++)
        if (gh_agent_relay_parse(relays[i], relay.host, &relay.port) < 0)
            gh_conf_fail(conf, section, RELAY, errors, "agent.relay must be such as https://relay.gatehouse.example:4433 or [2001:db8::1]:4433, not %.100s", relays[i]);
    if (given || secret_of(conf, LINK).len == 0) {
        check_own_proof(conf, section, given, errors);
        check_relay_proof(conf, section, given, errors);
    }
    if (*gh_conf_string(conf, section, HOP) && gh_agent_hop_parse(gh_conf_string(conf, section, HOP), hop) < 0)
        gh_conf_fail(conf, section, HOP, errors, "agent.hop is \"%s\"; it must be a range such as 10020-10119", gh_conf_string(conf, section, HOP));
    if (template[0] != '/' && strncmp(template, "https://", 8) != 0)
        gh_conf_fail(conf, section, TEMPLATE, errors, "agent.template must begin with / or https://");
    /* RFC 9484, section 10.1: IPv6 needs 1280 bytes */
    if (mtu && mtu < 1280)
        gh_conf_fail(conf, section, MTU, errors, "agent.mtu is %llu; it must be 0 or at least 1280", (unsigned long long)mtu);
    if (table >= 253 && table <= 255)
        gh_conf_fail(conf, section, TABLE, errors, "agent.table is %llu, which the system uses; take another", (unsigned long long)table);
    if (gh_conf_duration(conf, section, KEEP_ALIVE) >= gh_conf_duration(conf, section, IDLE_TIMEOUT))
        gh_conf_fail(conf, section, KEEP_ALIVE, errors, "agent.keep_alive must be shorter than agent.idle_timeout");
    if (gh_conf_duration(conf, section, RECONNECT_MIN) > gh_conf_duration(conf, section, RECONNECT_MAX))
        gh_conf_fail(conf, section, RECONNECT_MIN, errors, "agent.reconnect_min must be no more than agent.reconnect_max");
    if (gh_conf_uint(conf, section, MODE) == GH_AGENT_PROXY && gh_conf_uint(conf, section, TRANSPORT) == GH_AGENT_WEBSOCKET)
        gh_conf_fail(conf, section, TRANSPORT, errors, "agent.transport: a WebSocket carries one tunnel alone; with agent.mode proxy it must be auto, quic or tcp");
    if (strpbrk(gh_conf_string(conf, section, TUN), "/ :"))
        gh_conf_fail(conf, section, TUN, errors, "agent.tun must be a device name, without slash, colon or space");
    gh_wipe(&link, sizeof link);
}

const struct gh_conf_section gh_agent_conf_section = { "agent", "The client: one tunnel to a relay, as a network device or as a proxy for what runs here.", rows, false,
                                                       check };

static const char *load_string(const struct gh_conf *conf, unsigned row)
{
    return gh_conf_string(conf, &gh_agent_conf_section, row);
}

static int64_t load_time(const struct gh_conf *conf, unsigned row)
{
    return gh_conf_duration(conf, &gh_agent_conf_section, row);
}

static int load_relays(const struct gh_conf *conf, struct gh_agent_conf *ret)
{
    size_t count;
    const char *const *relays = gh_conf_strings(conf, &gh_agent_conf_section, RELAY, &count);

    for (size_t i = 0; i < count && i < GH_AGENT_RELAYS; i++) {
        struct gh_agent_relay *r = &ret->relays[ret->relay_count++];
        int rc = gh_agent_relay_parse(relays[i], r->host, &r->port);

        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Who has neither ECH nor a pin alone has the relay's name in the open, and a relay that may have any kind of key. */
static enum gh_tls_shape load_shape(const struct gh_conf *conf)
{
    uint64_t word = gh_conf_uint(conf, &gh_agent_conf_section, TLS_FINGERPRINT);

    if (word > 0)
        return (enum gh_tls_shape)(word - 1);
    return *load_string(conf, ECH) || !*load_string(conf, CA) ? GH_TLS_SHAPE_CHROME : GH_TLS_SHAPE_NONE;
}

static int load_pins(const struct gh_conf *conf, struct gh_agent_conf *ret)
{
    size_t count;
    const char *const *pins = gh_conf_strings(conf, &gh_agent_conf_section, PIN, &count);

    for (size_t i = 0; i < count && i < GH_AGENT_PINS; i++) {
        int rc = gh_agent_pin_parse(pins[i], ret->pins[ret->pin_count++]);

        if (rc < 0)
            return rc;
    }
    return 0;
}

static int load_rows(const struct gh_conf *conf, struct gh_agent_conf *ret)
{
    const struct gh_conf_section *section = &gh_agent_conf_section;

    if (!gh_conf_has(conf, section))
        return GH_ERR_NOT_FOUND;
    *ret = (struct gh_agent_conf){
        .mode = (enum gh_agent_mode)gh_conf_uint(conf, section, MODE),
        .template = load_string(conf, TEMPLATE),
        .server_name = load_string(conf, SERVER_NAME),
        .certificate = load_string(conf, CERTIFICATE),
        .key = load_string(conf, KEY),
        .user = load_string(conf, USER),
        .token = secret_of(conf, TOKEN),
        .ca = load_string(conf, CA),
        .has_ca = *load_string(conf, CA),
        .transport = (enum gh_agent_transport)gh_conf_uint(conf, section, TRANSPORT),
        .quic_retry = load_time(conf, QUIC_RETRY),
        .hop_interval = load_time(conf, HOP_INTERVAL),
        .ech = load_string(conf, ECH),
        .tunnel_name = load_string(conf, TUNNEL_NAME),
        .trust_domain = load_string(conf, TRUST_DOMAIN),
        .shape = load_shape(conf),
        .shape_auto = gh_conf_uint(conf, section, TLS_FINGERPRINT) == 0,
        .tun = load_string(conf, TUN),
        .routing = gh_conf_uint(conf, section, ROUTING) == 0,
        .block_unassigned = gh_conf_bool(conf, section, BLOCK_UNASSIGNED),
        .table = (uint32_t)gh_conf_uint(conf, section, TABLE),
        .fwmark = (uint32_t)gh_conf_uint(conf, section, FWMARK),
        .mtu = (unsigned)gh_conf_uint(conf, section, MTU),
        .offload_tun = gh_conf_bool(conf, section, OFFLOAD_TUN),
        .offload_udp = gh_conf_bool(conf, section, OFFLOAD_UDP),
        .wide_aes = gh_conf_bool(conf, section, WIDE_AES),
        .idle_timeout = load_time(conf, IDLE_TIMEOUT),
        .keep_alive = load_time(conf, KEEP_ALIVE),
        .return_after = load_time(conf, RETURN_AFTER),
        .reconnect_min = load_time(conf, RECONNECT_MIN),
        .reconnect_max = load_time(conf, RECONNECT_MAX),
        .assign_timeout = load_time(conf, ASSIGN_TIMEOUT),
        .socket = load_string(conf, SOCKET),
        .dns = gh_conf_uint(conf, section, DNS) == 1,
    };
    if (*load_string(conf, HOP) && gh_agent_hop_parse(load_string(conf, HOP), ret->hop) < 0)
        return GH_ERR_MALFORMED;
    if (ret->transport == GH_AGENT_H2)
        ret->transport = GH_AGENT_TCP;
    if (ret->mode == GH_AGENT_PROXY) { /* nothing is routed, so nothing is marked, and there is no resolver to tell */
        ret->fwmark = 0;
        ret->dns = false;
    }
    ret->allow_routes = gh_conf_prefixes(conf, section, ALLOW_ROUTES, &ret->allow_route_count);
    if (load_pins(conf, ret) < 0)
        return GH_ERR_MALFORMED;
    return load_relays(conf, ret);
}

int gh_agent_conf_load(const struct gh_conf *conf, struct gh_agent_conf *ret)
{
    struct gh_span link = secret_of(conf, LINK);
    int rc = load_rows(conf, ret);

    if (rc == 0 && link.len) {
        rc = gh_link_parse(link, &ret->link);
        ret->has_link = rc == 0;
    }
    return rc == 0 ? gh_agent_conf_use_link(ret) : rc;
}

int gh_agent_conf_reload(const struct gh_conf *conf, const struct gh_agent_conf *old, struct gh_agent_conf *ret)
{
    int rc = load_rows(conf, ret);

    if (rc < 0)
        return rc;
    ret->has_link = old->has_link;
    ret->link = old->link;
    return gh_agent_conf_use_link(ret);
}

void gh_agent_conf_wipe(struct gh_agent_conf *c)
{
    gh_wipe(&c->link, sizeof c->link);
    c->token = gh_span_of(NULL, 0);
}
