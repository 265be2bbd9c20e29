#include "cli/trace.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/ip_addr.h"
#include "cli/admin_client.h"
#include "cli/recorded.h"

const char gh_cli_trace_usage[] =
    "trace [--client NAME] [--to ADDRESS[:PORT]|PREFIX] [--proto tcp|udp|icmp|icmpv6|NUMBER] [--count N] [--json] [--socket PATH]\n"
    "       trace --recorded [N] [--json] [--socket PATH]\n"
    "\n"
    "  --client NAME   packets of this client\n"
    "  --to …          packets to this address, and those that come back from it\n"
    "  --proto …       packets of this protocol\n"
    "  --count N       ends after so many packets; without it Ctrl-C does\n"
    "  --recorded N    instead: the last N events (1000) that each worker's flight recorder has\n"
    "  --json          one JSON object a line (schema 1)\n"
    "  --socket PATH   the admin socket; default: /run/gatehouse/admin.sock\n"
    "\n"
    "Each packet is shown with the rule that decides, by the matcher that \"policy explain\" asks, its flow, worker, queue, path, MTU and\n"
    "verdict. Watching costs every packet a comparison: leave no trace running on a busy node.\n"
    "\n"
    "example: gatehouse trace --client client-1 --to 9.9.9.9:443 --proto tcp\n"
    "exit codes: 0 done, 2 usage, 4 nobody answers, 5 no permission, 75 too many are watching";

#define PAUSE_MS 100

static const struct {
    const char *name;
    unsigned number;
} protocols[] = { { "icmp", 1 }, { "tcp", 6 }, { "udp", 17 }, { "icmpv6", 58 }, { "sctp", 132 } };

static const char *protocol_name(long long number, char ret[16])
{
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (protocols[i].number == (unsigned long long)number)
            return protocols[i].name;
    snprintf(ret, 16, "ip/%lld", number);
    return ret;
}

static int protocol_number(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);

    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(protocols[i].name, text) == 0)
            return (int)protocols[i].number;
    return *text && !*end && n >= 1 && n <= 255 ? (int)n : GH_ERR_MALFORMED;
}

static int append(char *ret, size_t cap, const char *name, const char *value)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~:/";
    size_t len = strlen(ret);
    int n = snprintf(ret + len, cap - len, "%s%s=", len ? "&" : "", name);

    if (n < 0 || (size_t)n >= cap - len)
        return GH_ERR_MALFORMED;
    len += (size_t)n;
    for (; *value; value++) {
        if (len + 4 > cap)
            return GH_ERR_MALFORMED;
        len += (size_t)snprintf(ret + len, cap - len, strchr(plain, *value) ? "%c" : "%%%02x", (unsigned char)*value);
    }
    return 0;
}

/* An address or prefix with or without a port. */
static int append_target(char *ret, size_t cap, const char *to)
{
    char addr[80], text[GH_PREFIX_TEXT];
    const char *port = NULL, *colon = strrchr(to, ':');
    size_t len = strlen(to);
    struct gh_prefix p;
    char *end;

    if (*to == '[') {
        const char *close = strchr(to, ']');

        if (!close || (close[1] != 0 && close[1] != ':'))
            return GH_ERR_MALFORMED;
        port = close[1] ? close + 2 : NULL;
        len = (size_t)(close - to) - 1;
        to++;
    } else if (colon && strchr(to, ':') == colon) {
        port = colon + 1;
        len = (size_t)(colon - to);
    }
    if (len >= sizeof addr)
        return GH_ERR_MALFORMED;
    memcpy(addr, to, len);
    addr[len] = 0;
    if (gh_ip_parse(addr, len, &p.addr) == 0)
        p.len = (uint8_t)gh_ip_bits(&p.addr);
    else if (gh_prefix_parse(addr, len, &p) < 0)
        return GH_ERR_MALFORMED;
    if (append(ret, cap, "to", gh_prefix_emit(&p, text)) < 0)
        return GH_ERR_MALFORMED;
    if (!port)
        return 0;
    return strtoul(port, &end, 10) >= 1 && strtoul(port, &end, 10) <= 65535 && !*end ? append(ret, cap, "port", port) : GH_ERR_MALFORMED;
}

int gh_trace_query(const char *client, const char *to, const char *protocol, char *ret, size_t cap)
{
    char number[16];
    int rc = 0, n = protocol ? protocol_number(protocol) : 0;

    *ret = 0;
    if (n < 0)
        return n;
    snprintf(number, sizeof number, "%d", n);
    if (client)
        rc = append(ret, cap, "client", client);
    if (rc == 0 && to)
        rc = append_target(ret, cap, to);
    return rc == 0 && n ? append(ret, cap, "protocol", number) : rc;
}

static void print(FILE *out, const char *text)
{
    gh_admin_client_print(out, text, SIZE_MAX, false);
}

static void print_end(FILE *out, const json_t *p, const char *name, const char *port_name)
{
    const char *addr = gh_admin_client_text(p, name);
    long long port = gh_admin_client_number(p, port_name);

    fprintf(out, port && strchr(addr, ':') ? "[%s]" : "%s", addr);
    if (port)
        fprintf(out, ":%lld", port);
}

static void print_policy(FILE *out, const json_t *p)
{
    const json_t *policy = json_object_get(p, "policy"), *before = json_object_get(policy, "before"), *row;
    const char *rule = gh_admin_client_text(policy, "rule");
    size_t i;

    fputs("    policy ", out);
    print(out, gh_admin_client_text(p, "policy_version"));
    fputs(": ", out);
    print(out, gh_admin_client_text(policy, "action"));
    if (*rule) {
        fputs(" by rule ", out);
        print(out, rule);
        fputs(" of ", out);
        print(out, gh_admin_client_text(policy, "list"));
        fprintf(out, " (line %lld)", gh_admin_client_number(policy, "line"));
    } else {
        fputs(", ", out);
        print(out, gh_admin_client_text(policy, "reason"));
    }
    json_array_foreach(before, i, row) {
        fputs(i ? ", " : "; not ", out);
        print(out, gh_admin_client_text(row, "id"));
        fputs(" (", out);
        print(out, gh_admin_client_text(row, "why_not"));
        fputc(')', out);
    }
    fputc('\n', out);
}

static void print_way(FILE *out, const json_t *p)
{
    const json_t *flow = json_object_get(p, "flow");

    fputs("    ", out);
    if (json_is_object(flow))
        fprintf(out, "flow %lld (%lld out, %lld in)", gh_admin_client_number(flow, "number"), gh_admin_client_number(flow, "packets_out"),
                gh_admin_client_number(flow, "packets_in"));
    else
        fputs("no flow", out);
    fprintf(out, ", worker %lld, session ", gh_admin_client_number(p, "worker"));
    print(out, gh_admin_client_text(p, "session_id"));
    fprintf(out, ", mtu %lld", gh_admin_client_number(p, "mtu"));
    if (*gh_admin_client_text(p, "path")) {
        fputs(", path ", out);
        print_end(out, p, "path", "path_port");
    }
    if (*gh_admin_client_text(p, "queue")) {
        fputs(", ", out);
        print(out, gh_admin_client_text(p, "queue"));
    }
    fputc('\n', out);
}

void gh_trace_print(FILE *out, const json_t *packet)
{
    const char *drop = gh_admin_client_text(packet, "drop"), *next = gh_admin_client_text(packet, "next");
    char protocol[16];

    print(out, gh_admin_client_text(packet, "at"));
    fputc(' ', out);
    print(out, gh_admin_client_text(packet, "client_id"));
    fputc(' ', out);
    print_end(out, packet, "src", "src_port");
    fputs(" > ", out);
    print_end(out, packet, "dst", "dst_port");
    fprintf(out, " %s %lld bytes: ", protocol_name(gh_admin_client_number(packet, "protocol"), protocol), gh_admin_client_number(packet, "length"));
    print(out, gh_admin_client_text(packet, "verdict"));
    if (*drop || *next) {
        fputs(*drop ? ", " : " to the ", out);
        print(out, *drop ? drop : next);
    }
    fputc('\n', out);
    print_policy(out, packet);
    print_way(out, packet);
}

/* The packets of one answer; counts <left> down. False when it has come to its end. */
static bool show(const json_t *answer, bool json, long long *left)
{
    const json_t *row;
    size_t i;

    json_array_foreach(json_object_get(answer, "packets"), i, row) {
        if (json) {
            json_dumpf(row, stdout, JSON_COMPACT);
            putchar('\n');
        } else {
            gh_trace_print(stdout, row);
        }
        if (*left > 0 && --*left == 0)
            break;
    }
    if (gh_admin_client_number(answer, "lost"))
        fprintf(stderr, "%lld packets more were not kept\n", gh_admin_client_number(answer, "lost"));
    return fflush(stdout) == 0 && *left != 0;
}

/* From here on these wait in a descriptor: between the answer that begins a watch and the request that ends it, none of them ends us. Without a
 * reader of what we print, printing fails. -1 when there is no descriptor to be had. */
static int hold_signals(void)
{
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &mask, SFD_CLOEXEC);
}

/* The watch ends at the relay, also when it could not be read; then that is what is said, and not that it is over already. */
static int end_watch(struct gh_admin_call *call, int code)
{
    FILE *err = code == GH_EXIT_OK ? stderr : fopen("/dev/null", "we");
    json_t *answer;
    int rc;

    call->method = "DELETE";
    rc = err ? gh_admin_client_call(call, err, &answer) : code;
    if (err && rc == GH_EXIT_OK)
        json_decref(answer);
    if (err && err != stderr)
        fclose(err);
    return code == GH_EXIT_OK ? rc : code;
}

/* Until a signal, <left> packets (-1: no end), or nobody reads. */
static int follow(struct gh_admin_call *call, const char *id, int signals, bool json, long long left)
{
    struct pollfd fds[1] = { { .fd = signals, .events = POLLIN } };
    char path[128];
    json_t *answer;
    int code = GH_EXIT_OK;
    bool more = true;

    snprintf(path, sizeof path, "/v1/trace/watch/%s", id);
    call->path = path;
    while (more && code == GH_EXIT_OK) {
        bool asked = poll(fds, 1, PAUSE_MS) > 0;

        call->method = "GET";
        code = gh_admin_client_call(call, stderr, &answer);
        if (code != GH_EXIT_OK)
            break;
        more = show(answer, json, &left) && !asked;
        json_decref(answer);
    }
    return end_watch(call, code);
}

int gh_cli_trace(const struct gh_cli_verb *verb, int argc, char **argv)
{
    bool json = gh_cli_take_flag(&argc, argv, "--json");
    const char *socket = gh_cli_take_option(&argc, argv, "--socket"), *client = gh_cli_take_option(&argc, argv, "--client");
    const char *to = gh_cli_take_option(&argc, argv, "--to"), *protocol = gh_cli_take_option(&argc, argv, "--proto");
    const char *count = gh_cli_take_option(&argc, argv, "--count"), *recorded = gh_cli_take_option(&argc, argv, "--recorded");
    bool all = !recorded && gh_cli_take_flag(&argc, argv, "--recorded");
    struct gh_admin_call call = { .program = &gh_admin_node, .socket = socket ? socket : gh_admin_node.socket, .method = "POST" };
    char query[512], path[560], *end = NULL, id[32];
    long long left = count ? strtoll(count, &end, 10) : -1;
    json_t *answer;
    int code, signals;

    if (argc > 1)
        return gh_cli_usage(verb, "takes no such argument");
    if (recorded || all)
        return gh_recorded_show(&call, all ? "1000" : recorded, json);
    if (count && (*end || left < 1))
        return gh_cli_usage(verb, "--count takes a number from 1");
    if (gh_trace_query(client, to, protocol, query, sizeof query) < 0)
        return gh_cli_usage(verb, "--to takes an address, a prefix or ADDRESS:PORT ([IPv6]:PORT), --proto a protocol");
    snprintf(path, sizeof path, "/v1/trace/watch%s%s", *query ? "?" : "", query);
    call.path = path;
    signals = hold_signals();
    if (signals < 0) {
        fputs("gatehouse: no descriptor for signals\n", stderr);
        return GH_EXIT_CHECK_FAILED;
    }
    code = gh_admin_client_call(&call, stderr, &answer);
    if (code == GH_EXIT_OK) {
        snprintf(id, sizeof id, "%s", gh_admin_client_text(answer, "id"));
        json_decref(answer);
        if (isatty(STDERR_FILENO))
            fputs("watching; Ctrl-C ends it\n", stderr);
        code = follow(&call, id, signals, json, left);
    }
    close(signals);
    return code;
}
