#include "services/capture/capture_conf.h"

#include <string.h>

enum { LISTEN, USER, PASSWORD, MAX_CONNECTIONS, ASK_TIMEOUT, CONNECT_TIMEOUT, UDP_TIMEOUT, MAX_DESTINATIONS };

static const struct gh_conf_row rows[] = {
    [LISTEN] = { "listen", GH_CONF_ADDR_LIST, .dflt = "127.0.0.1:1080", .min = "1", .max = "8",
                 .help = "addresses where SOCKS5 and HTTP CONNECT are spoken, both on each; one that is not of the loopback device needs user and password" },
    [USER] = { "user", GH_CONF_STRING, .max = "255", .help = "name that programs must show (RFC 1929; Proxy-Authorization: Basic); without it everybody may" },
    [PASSWORD] = { "password", GH_CONF_SECRET, .max = "255", .help = "and the password with it" },
    [MAX_CONNECTIONS] = { "max_connections", GH_CONF_UINT, .dflt = "1024", .min = "1", .max = "65536", .unit = "connections",
                          .help = "of programs at a time; one more is reset" },
    [ASK_TIMEOUT] = { "ask_timeout", GH_CONF_DURATION, .dflt = "10s", .min = "100ms", .max = "5m",
                      .help = "how long a program may take to say what it wants" },
    [CONNECT_TIMEOUT] = { "connect_timeout", GH_CONF_DURATION, .dflt = "15s", .min = "100ms", .max = "5m",
                          .help = "how long a program waits for the relay: for a connection to it, and for its answer" },
    [UDP_TIMEOUT] = { "udp_timeout", GH_CONF_DURATION, .dflt = "2m", .min = "1s", .max = "1d",
                      .help = "silence after which one destination of a UDP association is given up" },
    [MAX_DESTINATIONS] = { "max_destinations", GH_CONF_UINT, .dflt = "64", .min = "1", .max = "1024", .unit = "destinations",
                           .help = "of one UDP association at a time; for one more the one that was silent longest is given up" },
    { 0 },
};

static bool is_loopback(const struct gh_ip *ip)
{
    static const struct gh_ip six = { .family = 6, .bytes = { [15] = 1 } };

    return ip->family == 4 ? ip->bytes[0] == 127 : gh_ip_equals(ip, &six);
}

static void check(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors)
{
    const struct gh_secret *secret = gh_conf_secret(conf, section, PASSWORD);
    bool user = *gh_conf_string(conf, section, USER), password = secret && secret->len > 0;
    size_t count;
    const struct gh_conf_addr *list = gh_conf_addrs(conf, section, LISTEN, &count);

    if (user != password)
        gh_conf_fail(conf, section, user ? USER : PASSWORD, errors, "proxy.user and proxy.password belong together: %s is missing", user ? "proxy.password" : "proxy.user");
    for (size_t i = 0; i < count && !user; i++) {
        struct gh_text text;
        char buf[96];

        if (is_loopback(&list[i].ip))
            continue;
        gh_text_init_fixed(&text, buf, sizeof buf);
        gh_conf_addr_emit(&list[i], &text);
        gh_conf_fail(conf, section, LISTEN, errors,
                     "proxy.listen: %s is not an address of the loopback device: whoever reaches it would go out as this agent; set proxy.user and proxy.password", buf);
    }
}

const struct gh_conf_section gh_capture_conf_section = {
    "proxy", "SOCKS5 and HTTP CONNECT for what runs on this machine, with agent.mode proxy.", rows, true, check
};

void gh_capture_conf_load(const struct gh_conf *conf, struct gh_capture_conf *ret)
{
    const struct gh_conf_section *section = &gh_capture_conf_section;

    *ret = (struct gh_capture_conf){
        .user = gh_conf_string(conf, section, USER),
        .password = gh_conf_secret(conf, section, PASSWORD),
        .max_connections = (unsigned)gh_conf_uint(conf, section, MAX_CONNECTIONS),
        .max_destinations = (unsigned)gh_conf_uint(conf, section, MAX_DESTINATIONS),
        .ask_timeout = gh_conf_duration(conf, section, ASK_TIMEOUT),
        .connect_timeout = gh_conf_duration(conf, section, CONNECT_TIMEOUT),
        .udp_timeout = gh_conf_duration(conf, section, UDP_TIMEOUT),
    };
    ret->listen = gh_conf_addrs(conf, section, LISTEN, &ret->listen_count);
}
