#include "cli/policy_options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "policy/names.h"
#include "policy/timestamp.h"

enum { OPT_HELP = 1, OPT_JSON, OPT_CLIENT, OPT_DIRECTION, OPT_SRC, OPT_DST, OPT_TO, OPT_PROTOCOL, OPT_PORT, OPT_ICMP, OPT_AT, OPT_EXPECT,
       OPT_RULE };

static const struct option long_options[] = {
    { "help", no_argument, NULL, OPT_HELP },          { "json", no_argument, NULL, OPT_JSON },
    { "client", required_argument, NULL, OPT_CLIENT }, { "from", required_argument, NULL, OPT_CLIENT },
    { "direction", required_argument, NULL, OPT_DIRECTION }, { "src", required_argument, NULL, OPT_SRC },
    { "dst", required_argument, NULL, OPT_DST },       { "to", required_argument, NULL, OPT_TO },
    { "protocol", required_argument, NULL, OPT_PROTOCOL }, { "port", required_argument, NULL, OPT_PORT },
    { "icmp", required_argument, NULL, OPT_ICMP },     { "at", required_argument, NULL, OPT_AT },
    { "expect", required_argument, NULL, OPT_EXPECT }, { "rule", required_argument, NULL, OPT_RULE },
    { 0 },
};

static int refuse(const char *option, const char *text, const char *want)
{
    fprintf(stderr, "gatehouse policy: --%s '%s': %s\n", option, text, want);
    return GH_ERR_MALFORMED;
}

static int parse_choice(const char *option, const char *text, const char *const *names, int *ret)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], text) == 0) {
            *ret = i;
            return 0;
        }
    fprintf(stderr, "gatehouse policy: --%s '%s': use %s or %s\n", option, text, names[0], names[1]);
    return GH_ERR_MALFORMED;
}

static int parse_address(const char *option, const char *text, size_t len, struct gh_ip *ret)
{
    return gh_ip_parse(text, len, ret) == 0 ? 0 : refuse(option, text, "not an address such as 10.1.2.3 or fd00::1");
}

static int parse_port(const char *option, const char *text, struct gh_cli_policy_options *o)
{
    uint32_t v;

    if (gh_policy_number_parse(text, strlen(text), 65535, &v) < 0)
        return refuse(option, text, "not a port from 0 to 65535");
    o->query.dst_port = (uint16_t)v;
    o->port = true;
    return 0;
}

/* ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT */
static int parse_to(const char *text, struct gh_cli_policy_options *o)
{
    const char *colon = strrchr(text, ':'), *close;

    if (gh_ip_parse(text, strlen(text), &o->query.dst) == 0)
        return 0;
    if (*text == '[') {
        close = strchr(text, ']');
        if (!close || (close[1] != 0 && close[1] != ':'))
            return refuse("to", text, "write ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT");
        if (parse_address("to", text + 1, (size_t)(close - text) - 1, &o->query.dst) < 0)
            return GH_ERR_MALFORMED;
        return close[1] ? parse_port("to", close + 2, o) : 0;
    }
    if (!colon)
        return refuse("to", text, "write ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT");
    if (parse_address("to", text, (size_t)(colon - text), &o->query.dst) < 0)
        return GH_ERR_MALFORMED;
    return parse_port("to", colon + 1, o);
}

/* Which ICMP it is, is known after all options: here a name is kept as a type of the family that the address has. */
static int parse_icmp(const char *text, struct gh_cli_policy_options *o)
{
    const struct gh_ip *remote = o->query.direction == GH_POLICY_OUT ? &o->query.dst : &o->query.src;
    uint8_t protocol = o->protocol ? o->query.protocol : remote->family == 6 ? GH_PROTOCOL_ICMPV6 : GH_PROTOCOL_ICMP;
    const char *slash = strchr(text, '/');
    size_t head = slash ? (size_t)(slash - text) : strlen(text);
    int named = gh_policy_icmp_type(text, head, protocol);
    uint32_t type, code = 0;

    if (named >= 0)
        type = (uint32_t)named;
    else if (gh_policy_number_parse(text, head, 255, &type) < 0)
        return refuse("icmp", text, "not a type such as echo-request or 8, or TYPE/CODE");
    if (slash && gh_policy_number_parse(slash + 1, strlen(slash + 1), 255, &code) < 0)
        return refuse("icmp", text, "the code is not a number from 0 to 255");
    if (!o->protocol)
        o->query.protocol = protocol;
    o->query.icmp_type = (uint8_t)type;
    o->query.icmp_code = (uint8_t)code;
    return 0;
}

static int parse_option(int opt, const char *arg, const char **icmp, struct gh_cli_policy_options *o)
{
    int choice, rc = 0;

    switch (opt) {
    case OPT_HELP:
        o->help = true;
        return 0;
    case OPT_JSON:
        o->json = true;
        return 0;
    case OPT_CLIENT:
        o->client = arg;
        return 0;
    case OPT_DIRECTION:
        rc = parse_choice("direction", arg, gh_policy_direction_names, &choice);
        if (rc == 0)
            o->query.direction = (enum gh_policy_direction)choice;
        return rc;
    case OPT_SRC:
        return parse_address("src", arg, strlen(arg), &o->query.src);
    case OPT_DST:
        return parse_address("dst", arg, strlen(arg), &o->query.dst);
    case OPT_TO:
        return parse_to(arg, o);
    case OPT_PROTOCOL:
        o->protocol = true;
        return gh_policy_protocol_parse(arg, strlen(arg), &o->query.protocol) == 0 ? 0 :
                   refuse("protocol", arg, "not a protocol such as tcp, udp, icmp, icmpv6, or a number up to 255");
    case OPT_PORT:
        return parse_port("port", arg, o);
    case OPT_ICMP:
        *icmp = arg;
        o->icmp = true;
        return 0;
    case OPT_AT:
        return gh_timestamp_parse(arg, strlen(arg), &o->query.wall_seconds) == 0 ? 0 :
                   refuse("at", arg, "not a time such as 2030-01-31 or 2030-01-31T18:00:00Z");
    case OPT_EXPECT:
        rc = parse_choice("expect", arg, gh_policy_action_names, &choice);
        if (rc == 0)
            o->expect = (enum gh_policy_action)choice;
        o->expects = true;
        return rc;
    case OPT_RULE:
        o->rule = arg;
        return 0;
    default:
        return GH_ERR_MALFORMED; /* getopt has said why */
    }
}

int gh_cli_policy_options_parse(int argc, char **argv, struct gh_cli_policy_options *ret)
{
    struct gh_cli_policy_options o = { .query.wall_seconds = (int64_t)time(NULL) };
    const char *icmp = NULL;
    int opt, rc = 0;

    optind = 0; /* glibc: start anew */
    for (opt = getopt_long(argc, argv, "", long_options, NULL); opt != -1 && rc == 0;
         opt = getopt_long(argc, argv, "", long_options, NULL))
        rc = parse_option(opt, optarg, &icmp, &o);
    if (rc == 0 && icmp)
        rc = parse_icmp(icmp, &o);
    if (rc < 0)
        return rc;
    if (optind < argc)
        o.file = argv[optind++];
    if (optind < argc)
        o.tests = argv[optind++];
    if (optind < argc) {
        fprintf(stderr, "gatehouse policy %s: '%s' is one argument too many\n", argv[0], argv[optind]);
        return GH_ERR_MALFORMED;
    }
    *ret = o;
    return 0;
}

static int need(const char *what)
{
    fprintf(stderr, "gatehouse policy: %s\n", what);
    return GH_ERR_MALFORMED;
}

int gh_cli_policy_options_finish(struct gh_cli_policy_options *o)
{
    struct gh_policy_query *q = &o->query;
    bool is_icmp;

    if (!o->client)
        return need("say who: --client NAME");
    if (q->direction == GH_POLICY_OUT && q->dst.family == 0)
        return need("say where to: --dst ADDRESS");
    if (q->direction == GH_POLICY_IN && q->src.family == 0)
        return need("say who comes in: --src ADDRESS");
    if (!o->protocol && !o->icmp) {
        if (!o->port)
            return need("say what: --protocol NAME, --port NUMBER or --icmp TYPE");
        q->protocol = GH_PROTOCOL_TCP;
    }
    is_icmp = q->protocol == GH_PROTOCOL_ICMP || q->protocol == GH_PROTOCOL_ICMPV6;
    if (gh_policy_protocol_has_ports(q->protocol) != o->port)
        return need(o->port ? "--port goes with tcp, udp, udplite, dccp and sctp alone" : "this protocol needs --port NUMBER");
    if (o->icmp && !is_icmp)
        return need("--icmp goes with --protocol icmp or icmpv6 alone");
    if (is_icmp && !o->icmp)
        q->icmp_type = q->protocol == GH_PROTOCOL_ICMP ? 8 : 128; /* what ping sends */
    return 0;
}
