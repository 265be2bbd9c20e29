#include "cli/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/admin_client.h"
#include "core/node_conf.h"
#include "os/clock.h"

#define USAGE(program, file)                                                                                  \
    "doctor [--config FILE] [--fix] [--json]\n"                                                               \
    "       doctor --list\n"                                                                                  \
    "\n"                                                                                                      \
    "  --config FILE  the configuration whose certificates and folders are looked at (" file ")\n"            \
    "  --fix          puts right what can be put right without harm: modes of files and folders\n"            \
    "  --json         as JSON (schema 1)\n"                                                                   \
    "  --list         every check with its code, meaning and remedy, as in docs/doctor.md\n"                  \
    "\n"                                                                                                      \
    "example: " program " doctor --config " file " --fix\n"                                                   \
    "exit codes: 0 nothing is wrong (there may be warnings), 1 something is, 2 usage"

const char gh_cli_doctor_usage[] = USAGE("gatehouse", "/etc/gatehouse/gatehouse.yaml");
const char gh_cli_agent_doctor_usage[] = USAGE("gatehouse-agent", "/etc/gatehouse/agent.yaml");

const struct gh_doctor_check gh_doctor_checks[] = {
    { "GH-K01", "kernel", "TUN device", "Packets come and go through /dev/net/tun. Without it neither relay nor agent can start.",
      "Run: modprobe tun. In a container: give it /dev/net/tun and CAP_NET_ADMIN.", gh_doctor_tun, NULL },
    { "GH-K02", "kernel", "UDP offloads", "Many packets go to the kernel in one call (UDP_SEGMENT, UDP_GRO). Without them a tunnel works and costs several times the CPU.",
      "Use Linux 5.0 or newer; see whether a virtual network card or a filter breaks them.", gh_doctor_udp, NULL },
    { "GH-K03", "kernel", "Landlock", "The process that talks to the network is kept from all files but its state folder. Without Landlock modes alone keep it from them.",
      "Use Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK and landlock in the lsm= list of the kernel's command line.", gh_doctor_landlock, NULL },
    { "GH-K04", "kernel", "seccomp", "The process that talks to the network is kept from system calls that it does not need. Without seccomp it does not start.",
      "Use a kernel with CONFIG_SECCOMP_FILTER.", gh_doctor_seccomp, NULL },
    { "GH-K05", "kernel", "IPv6", "Tunnels carry IPv4 and IPv6. Without IPv6 in the kernel they carry IPv4.", "Set net.ipv6.conf.all.disable_ipv6 to 0.", gh_doctor_ipv6, NULL },
    { "GH-P01", "permissions", "Rights", "Devices, addresses and routes want CAP_NET_ADMIN.", "Start as root, or by the systemd unit. This check, too, wants to be run as root.", gh_doctor_rights, NULL },
    { "GH-P02", "permissions", "User", "The process that talks to the network runs as node.user. As root it may read root's files where Landlock is missing.",
      "Run: useradd --system gatehouse, or set node.user.", gh_doctor_user, NULL },
    { "GH-P03", "permissions", "State folder", "Keys of the node and leases are in node.state_dir; nobody else may read them.", "Run: chmod 0700 on the folder; --fix does.", gh_doctor_state_dir,
      gh_doctor_fix_state_dir },
    { "GH-P04", "permissions", "Mode of the configuration", "Who may write the configuration decides who reaches what.", "Run: chmod go-w on the file; --fix does.", gh_doctor_config_mode,
      gh_doctor_fix_config_mode },
    { "GH-C01", "configuration", "Configuration", "A file that does not parse starts nothing, and a reload of it changes nothing.", "Run: gatehouse check FILE, which shows every error with its place.",
      gh_doctor_config, NULL },
    { "GH-T01", "clock", "Clock", "Certificates are valid by the clock. One that is wrong refuses everybody, or lets in what expired.", "Install chrony or systemd-timesyncd.", gh_doctor_clock, NULL },
    { "GH-N01", "network", "Way out", "An agent must reach its relay, a relay the networks behind it.", "Look at: ip route, ip -6 route.", gh_doctor_route, NULL },
    { "GH-N02", "network", "MTU", "The tunnel lives inside packets of the way out. Below 1362 bytes it carries no IPv6, below 1280 nothing.", "Raise the MTU of the device, or of the tunnel that this machine is behind.",
      gh_doctor_mtu, NULL },
    { "GH-X01", "certificates", "Certificate", "The certificate of this node, now and for the next 14 days.", "Issue a new one: gatehouse ca issue. It is taken when the file changes.", gh_doctor_certificate, NULL },
    { "GH-X02", "certificates", "Role", "A relay's certificate says relay, an agent's says agent, both in the trust domain. The other end refuses anything else.",
      "Issue a certificate for this role: gatehouse ca issue relay NAME, or agent NAME.", gh_doctor_role, NULL },
    { "GH-X03", "certificates", "CA", "The CA that vouches for the other end, now and for the next 90 days.", "Make a new CA in time and list both in the file until every certificate is of the new one.", gh_doctor_ca, NULL },
    { "GH-X04", "certificates", "Private key", "The key that belongs to the certificate.", "Issue key and certificate together: gatehouse ca issue.", gh_doctor_key, NULL },
    { "GH-X05", "certificates", "Mode of the key", "Who reads the key can be this node.", "Run: chmod 0600 on the file; --fix does.", gh_doctor_key_mode, gh_doctor_fix_key_mode },
    { "GH-F01", "firewall", "nft", "The relay translates addresses by a table of its own, which nft writes.", "Install nftables, or set relay.nat to none.", gh_doctor_nft, NULL },
    { "GH-F02", "firewall", "Forwarding", "The relay switches forwarding on while it runs, and off again. Somebody else may switch it off meanwhile: then nothing passes.",
      "Find who writes net.ipv4.ip_forward (a file in /etc/sysctl.d, another firewall).", gh_doctor_forwarding, NULL },
    { "GH-F03", "firewall", "Reverse path filter", "A strict rp_filter looks at routes without the agent's mark.", "Nothing: the agent sets net.ipv4.conf.all.src_valid_mark while it runs.", gh_doctor_rp_filter, NULL },
    { "GH-V01", "other VPNs", "Other tunnels", "Another VPN may want the same routes; whichever sets them last wins.", "Stop the other VPN, or let only one of them have a default route.", gh_doctor_other_devices,
      NULL },
    { "GH-V02", "other VPNs", "Rules", "Rules with a lower priority number than an agent's (5100) are asked before its routes.", "Look at: ip rule, ip -6 rule.", gh_doctor_other_rules, NULL },
    { 0 },
};

void gh_doctor_say(struct gh_doctor_result *r, enum gh_doctor_status status, const char *format, ...)
{
    va_list args;

    r->status = status;
    va_start(args, format);
    vsnprintf(r->detail, sizeof r->detail, format, args);
    va_end(args);
}

const char *gh_doctor_path(const struct gh_doctor *d, const char *path, char ret[512])
{
    int n = snprintf(ret, 512, "%s%s", d->root, path);

    return n < 0 || n >= 512 ? "" : ret;
}

int gh_doctor_read(const struct gh_doctor *d, const char *path, char *ret, size_t cap)
{
    char full[512];
    int fd = open(gh_doctor_path(d, path, full), O_RDONLY | O_CLOEXEC | O_NONBLOCK), saved;
    size_t len = 0;
    ssize_t n = 1;

    if (fd < 0)
        return GH_ERR_SYSTEM;
    while (n > 0 && len < cap - 1) {
        n = read(fd, ret + len, cap - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    saved = errno;
    close(fd);
    errno = saved;
    if (n < 0)
        return GH_ERR_SYSTEM;
    if (len && ret[len - 1] == '\n')
        len--;
    ret[len] = 0;
    return (int)len;
}

const char *gh_doctor_option(const struct gh_doctor *d, const char *name)
{
    if (!d->conf || !d->own)
        return "";
    for (unsigned row = 0; d->own->rows[row].name; row++)
        if (strcmp(d->own->rows[row].name, name) == 0)
            return gh_conf_string(d->conf, d->own, row);
    return "";
}

bool gh_doctor_is_proxy(const struct gh_doctor *d)
{
    if (!d->agent || !d->conf || !d->own)
        return false;
    for (unsigned row = 0; d->own->rows[row].name; row++)
        if (strcmp(d->own->rows[row].name, "mode") == 0)
            return gh_conf_uint(d->conf, d->own, row) == 1;
    return false;
}

static const char *status_name(enum gh_doctor_status s)
{
    static const char *const names[] = { "ok", "skip", "warn", "fail" };

    return names[s];
}

void gh_doctor_emit_markdown(FILE *out)
{
    const char *group = "";

    for (const struct gh_doctor_check *c = gh_doctor_checks; c->code; c++) {
        if (strcmp(group, c->group) != 0)
            fprintf(out, "%s## %s\n\n| Code | Check | Meaning | Remedy |\n|---|---|---|---|\n", *group ? "\n" : "", c->group);
        group = c->group;
        fprintf(out, "| %s | %s | %s | %s |\n", c->code, c->title, c->meaning, c->remedy);
    }
}

/* ---- the configuration ---- */

static void load_conf(struct gh_doctor *d, const struct gh_conf_section *const *sections, struct gh_conf **ret)
{
    struct gh_conf_errors errors;
    struct gh_text text;

    if (access(d->config, F_OK) < 0) {
        d->conf_missing = true;
        return;
    }
    gh_conf_errors_init(&errors);
    if (gh_conf_parse_file(d->config, sections, (const char *const *)environ, &errors, ret) < 0) {
        gh_text_init(&text, 65536);
        gh_conf_errors_emit(&errors, &text);
        snprintf(d->conf_error, sizeof d->conf_error, "%.*s", (int)strcspn(gh_text_string(&text), "\n"), gh_text_string(&text));
        gh_text_fini(&text);
    }
    gh_conf_errors_fini(&errors);
    d->conf = *ret;
    for (size_t i = 0; sections[i]; i++)
        if (strcmp(sections[i]->name, d->agent ? "agent" : "relay") == 0 && *ret && gh_conf_has(*ret, sections[i]))
            d->own = sections[i];
}

/* ---- the verb ---- */

struct outcome {
    bool json, fix, colour;
    json_t *list;
    unsigned count[4], fixed;
};

static const char *colour_of(const struct outcome *o, enum gh_doctor_status s)
{
    static const char *const codes[] = { "\033[32m", "", "\033[33m", "\033[31m" };

    return o->colour ? codes[s] : "";
}

static void print_result(const struct outcome *o, const struct gh_doctor_check *c, const struct gh_doctor_result *r, bool fixed)
{
    printf("  %s%-4s%s  %s  %s: ", colour_of(o, r->status), status_name(r->status), o->colour ? "\033[0m" : "", c->code, c->title);
    gh_admin_client_print(stdout, r->detail, sizeof r->detail, false);
    puts(fixed ? " (fixed)" : "");
    if (r->status >= GH_DOCTOR_WARN)
        printf("              %s\n              %s\n", c->meaning, c->remedy);
}

static void add_json(struct outcome *o, const struct gh_doctor_check *c, const struct gh_doctor_result *r, bool fixed)
{
    json_array_append_new(o->list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "code", c->code, "group", c->group, "title", c->title, "status",
                                             status_name(r->status), "detail", r->detail, "meaning", c->meaning, "remedy", c->remedy, "fixed", fixed));
}

static void look(struct outcome *o, const struct gh_doctor *d, const struct gh_doctor_check *c)
{
    struct gh_doctor_result r = { GH_DOCTOR_SKIP, "" };
    bool fixed = false;

    c->run(d, &r);
    if (r.status == GH_DOCTOR_FAIL && o->fix && c->fix && c->fix(d) == 0) {
        c->run(d, &r);
        fixed = r.status != GH_DOCTOR_FAIL;
    }
    o->count[r.status]++;
    o->fixed += fixed;
    if (o->json)
        add_json(o, c, &r, fixed);
    else
        print_result(o, c, &r, fixed);
}

static int examine(struct outcome *o, const struct gh_doctor *d)
{
    const char *group = "";
    bool good;

    o->list = o->json ? json_array() : NULL;
    for (const struct gh_doctor_check *c = gh_doctor_checks; c->code; c++) {
        if (!o->json && strcmp(group, c->group) != 0)
            printf("%s\n", c->group);
        group = c->group;
        look(o, d, c);
    }
    good = o->count[GH_DOCTOR_FAIL] == 0;
    if (o->json) {
        json_t *body = json_pack("{s:i, s:b, s:o}", "schema", 1, "ok", good, "checks", o->list);

        gh_admin_client_print_json(stdout, body);
        json_decref(body);
    } else {
        printf("%u ok, %u warnings, %u wrong, %u left out%s\n", o->count[GH_DOCTOR_OK], o->count[GH_DOCTOR_WARN], o->count[GH_DOCTOR_FAIL],
               o->count[GH_DOCTOR_SKIP], o->fixed ? "; what was fixed counts as ok" : "");
    }
    return good ? GH_EXIT_OK : GH_EXIT_CHECK_FAILED;
}

int gh_cli_doctor(const struct gh_cli_verb *verb, int argc, char **argv)
{
    const struct gh_doctor_program *program = verb->arg;
    const char *config = gh_cli_take_option(&argc, argv, "--config"), *no_colour = getenv("NO_COLOR");
    struct gh_doctor d = { .root = "", .config = config ? config : program->config, .agent = program->agent, .wall = gh_clock_wall() };
    struct outcome o = { .json = gh_cli_take_flag(&argc, argv, "--json"), .fix = gh_cli_take_flag(&argc, argv, "--fix") };
    struct gh_conf *conf = NULL;
    int code;

    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        gh_doctor_emit_markdown(stdout);
        return GH_EXIT_OK;
    }
    if (argc > 1)
        return gh_cli_usage(verb, "takes no such argument");
    o.colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour);
    load_conf(&d, program->sections, &conf);
    code = examine(&o, &d);
    gh_conf_destroy(conf);
    return code;
}
