#include "cli/agent.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "core/boot.h"
#include "core/conf.h"
#include "cli/ca_dir.h"
#include "cli/own_file.h"
#include "cli/recorded.h"
#include "cli/watch.h"
#include "crypto/hash.h"
#include "net/http1_client.h"
#include "os/folder.h"
#include "wire/link.h"

#define CONFIG "/etc/gatehouse/agent.yaml"
#define NOTHING "/dev/null"
#define NO_CONFIG "link.yaml" /* in the run folder */
#define DOWN_PATIENCE 300 /* tenths of a second */

#define CONFIG_OPTION "  -c, --config FILE  the agent's configuration (" CONFIG ")\n"
#define SOCKET_OPTION "  --socket PATH      its socket, instead of the one that FILE names\n"

const char gh_cli_agent_up_usage[] =
    "up [-c|--config FILE] [--mode tun|proxy] [--run-dir DIR]\n"
    "       up LINK | --link-file FILE [-c|--config FILE] [--mode tun|proxy] [--run-dir DIR]\n\n"
    "  LINK               a connection link, k2v5://…, which is all that is needed: without --config no file is read\n"
    "  --link-file FILE   the same from a file; - is standard input\n"
    CONFIG_OPTION
    "  --mode MODE        instead of agent.mode of FILE: tun, or proxy, which needs no root\n"
    "  --run-dir DIR      instead of node.run_dir of FILE\n\n"
    "Connects to the relay that FILE or the link names and stays in the foreground; ends with SIGTERM, SIGINT or `gatehouse-agent down`.\n\n"
    "There is a token in a link. One on the command line is in the shell's history, and in the list of processes until it was read, a moment after the\n"
    "start; from a file, standard input, agent.link in FILE or GATEHOUSE_AGENT_LINK_FILE it never is. Options that a link says nothing of come from FILE\n"
    "or from the environment, such as GATEHOUSE_AGENT_TRANSPORT=tcp.\n\n"
    "example: gatehouse-agent up --config /etc/gatehouse/agent.yaml\n"
    "         gatehouse-agent up --link-file link.txt\n"
    "exit codes: 0 ended as asked, 1 the configuration is bad or something could not be set up, 2 usage, 5 no permission, or another agent\n"
    "            with this certificate took over, 75 try later (one is running)";
const char gh_cli_agent_status_usage[] =
    "status [--json] [--watch [SECONDS]] [-c|--config FILE | --socket PATH]\n\n"
    "  --json             everything, as JSON (version 1)\n"
    "  --watch            again every SECONDS (2), until Ctrl-C\n"
    CONFIG_OPTION SOCKET_OPTION
    "\nAsks the running agent: state, identity, relay, paths with RTT, MTU and loss, addresses, routes, counters, last reload, offloads.\n\n"
    "example: gatehouse-agent status --json\n"
    "exit codes: 0 the tunnel is up, 75 it is not (yet), 2 usage, 4 no agent answers, 5 no permission; with --watch 0 at its end";
const char gh_cli_agent_down_usage[] =
    "down [-c|--config FILE | --socket PATH]\n\n"
    CONFIG_OPTION SOCKET_OPTION
    "\nEnds the running agent and waits until it has put everything back.\n\n"
    "example: gatehouse-agent down\n"
    "exit codes: 0 it ended, 2 usage, 4 no agent answers, 5 no permission, 75 it is still ending";
const char gh_cli_agent_trace_usage[] =
    "trace [--recorded [N]] [--json] [-c|--config FILE | --socket PATH]\n\n"
    "  --recorded N       the last N events (1000) that each worker's flight recorder has, which is what is shown in any case\n"
    "  --json             one JSON object a line (schema 1)\n"
    CONFIG_OPTION SOCKET_OPTION
    "\nWhat the agent went through: states, connections, handshakes, paths, drops. The relay's `gatehouse trace` watches packets.\n\n"
    "example: gatehouse-agent trace --recorded 100\n"
    "exit codes: 0 done, 1 the configuration is bad, 2 usage, 4 no agent answers, 5 no permission";
const char gh_cli_agent_cleanup_usage[] =
    "cleanup [-c|--config FILE | --run-dir DIR]\n\n"
    CONFIG_OPTION
    "  --run-dir DIR      instead of node.run_dir of FILE\n\n"
    "Removes device, routes and rules that an agent left when it was killed; the next `up` does the same.\n\n"
    "example: gatehouse-agent cleanup\n"
    "exit codes: 0 done, 1 something could not be put back, 2 usage, 75 an agent is running";

/* Takes -c, --config. */
static const char *take_config(int *argc, char **argv, bool *ret_given)
{
    const char *file = gh_cli_take_option(argc, argv, "--config");

    if (!file)
        file = gh_cli_take_option(argc, argv, "-c");
    *ret_given = file != NULL;
    return file ? file : CONFIG;
}

static bool find_row(const struct gh_conf_section *section, const char *name, unsigned *ret)
{
    for (unsigned i = 0; section->rows[i].name; i++)
        if (strcmp(section->rows[i].name, name) == 0) {
            *ret = i;
            return true;
        }
    return false;
}

/* The value of a path option, malloc'd; NULL when the file is bad, after a message. */
static char *read_option(const struct gh_cli_agent *agent, const char *file, bool given, const char *section, const char *option)
{
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    char *value = NULL;
    unsigned row;

    gh_conf_errors_init(&errors);
    if (!given && access(file, F_OK) < 0 && errno == ENOENT) /* an agent with a link has none */
        file = NOTHING;
    if (gh_conf_parse_file(file, agent->sections, (const char *const *)environ, &errors, &conf) < 0) {
        struct gh_text text;

        gh_text_init(&text, 65536);
        gh_conf_errors_emit(&errors, &text);
        fputs(gh_text_string(&text), stderr);
        gh_text_fini(&text);
    }
    for (size_t i = 0; conf && agent->sections[i] && !value; i++)
        if (strcmp(agent->sections[i]->name, section) == 0 && find_row(agent->sections[i], option, &row))
            value = strdup(gh_conf_string(conf, agent->sections[i], row));
    gh_conf_destroy(conf);
    gh_conf_errors_fini(&errors);
    return value;
}

static int explain_start(int rc)
{
    fprintf(stderr, "gatehouse-agent: %s\n",
            rc == GH_ERR_EXISTS   ? "an agent is running already"
            : rc == GH_ERR_DENIED ? "it needs a run folder that it may write (--run-dir), and root or CAP_NET_ADMIN unless agent.mode is proxy"
                                  : gh_error_text(rc));
    return rc == GH_ERR_EXISTS ? GH_EXIT_TRY_LATER : rc == GH_ERR_DENIED ? GH_EXIT_DENIED : GH_EXIT_CHECK_FAILED;
}

/* ---- a link ---- */

/* The first line of <file> into <ret>. False after a message. */
static bool read_link_file(const char *file, char ret[GH_LINK_MAX + 2])
{
    FILE *in = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
    bool good;

    if (!in) {
        fprintf(stderr, "gatehouse-agent up: %s: %s\n", file, strerror(errno));
        return false;
    }
    setvbuf(in, NULL, _IONBF, 0); /* no copy of it stays behind */
    good = fgets(ret, GH_LINK_MAX + 2, in) != NULL;
    if (in != stdin)
        fclose(in);
    if (good)
        ret[strcspn(ret, "\r\n")] = 0;
    else
        fprintf(stderr, "gatehouse-agent up: %s: there is no link in it\n", file);
    return good;
}

/* The environment carries it to where options are read: it is this process's own memory, not what /proc shows. */
static bool give_link(char text[GH_LINK_MAX + 2])
{
    struct gh_link_error e = { 0 };
    struct gh_link link;
    bool good = gh_link_read(gh_span_str(text), &link, &e) == 0;

    if (!good)
        fprintf(stderr, "gatehouse-agent up: the link, column %zu: %s\n", e.column, e.what);
    else
        good = setenv("GATEHOUSE_AGENT_LINK", text, 1) == 0;
    gh_wipe(&link, sizeof link);
    gh_wipe(text, GH_LINK_MAX + 2);
    return good;
}

/* 1: there is a link; 0: none; GH_EXIT_USAGE as a negative number. */
static int take_link(const struct gh_cli_verb *verb, int *argc, char **argv)
{
    const char *file = gh_cli_take_option(argc, argv, "--link-file");
    char text[GH_LINK_MAX + 2];

    if (file && *argc > 1)
        return -gh_cli_usage(verb, "up takes LINK or --link-file, and no other argument");
    if (*argc > 2 || (*argc == 2 && argv[1][0] == '-'))
        return -gh_cli_usage(verb, "up takes no other argument than LINK");
    if (file)
        return read_link_file(file, text) && give_link(text) ? 1 : -GH_EXIT_USAGE;
    if (*argc < 2)
        return 0;
    snprintf(text, sizeof text, "%s", argv[1]);
    memset(argv[1], '*', strlen(argv[1])); /* what ps shows */
    return give_link(text) ? 1 : -GH_EXIT_USAGE;
}

/* The parent opens a configuration, so there is one. */
static bool write_no_config(const struct gh_boot *boot, char ret[GH_CA_DIR_PATH])
{
    static const char text[] = "# Written by `gatehouse-agent up` with a link: all options are at their defaults, and the link is in no file.\n";
    char why[GH_CA_DIR_WHY];
    bool good = gh_folder_make(boot->run_dir, 0755) == 0;

    snprintf(ret, GH_CA_DIR_PATH, "%s/" NO_CONFIG, boot->run_dir);
    if (!good)
        fprintf(stderr, "gatehouse-agent up: %s: %s\n", boot->run_dir, strerror(errno));
    else if (gh_own_file_save(ret, text, sizeof text - 1, true, why) < 0)
        fprintf(stderr, "gatehouse-agent up: %s\n", why);
    else
        return true;
    return false;
}

int gh_cli_agent_up(const struct gh_cli_verb *verb, int argc, char **argv)
{
    const struct gh_cli_agent *agent = verb->arg;
    const char *run_dir = gh_cli_take_option(&argc, argv, "--run-dir"), *mode = gh_cli_take_option(&argc, argv, "--mode"), *file;
    char made[GH_CA_DIR_PATH];
    struct gh_boot boot;
    bool given;
    int code, link;

    file = take_config(&argc, argv, &given);
    link = take_link(verb, &argc, argv);
    if (link < 0)
        return -link;
    if (mode && strcmp(mode, "tun") != 0 && strcmp(mode, "proxy") != 0)
        return gh_cli_usage(verb, "--mode is tun or proxy");
    if (run_dir) /* the file's own values give way to them */
        setenv("GATEHOUSE_NODE_RUN_DIR", run_dir, 1);
    if (mode)
        setenv("GATEHOUSE_AGENT_MODE", mode, 1);
    if (link && !given)
        file = NOTHING;
    if (gh_boot_read(file, agent->sections, (const char *const *)environ, &boot) < 0)
        return GH_EXIT_CHECK_FAILED;
    if (link && !given) {
        if (!write_no_config(&boot, made))
            return GH_EXIT_DENIED;
        file = made;
    }
    code = agent->up(file, &boot);
    return code < 0 ? explain_start(code) : code;
}

int gh_cli_agent_cleanup(const struct gh_cli_verb *verb, int argc, char **argv)
{
    const struct gh_cli_agent *agent = verb->arg;
    const char *run_dir = gh_cli_take_option(&argc, argv, "--run-dir"), *file;
    char *from_file = NULL;
    bool given;
    int n;

    file = take_config(&argc, argv, &given);
    if (argc > 1)
        return gh_cli_usage(verb, "cleanup takes no other argument");
    /* without any file the default folder is looked at: the configuration may be gone, too */
    if (!run_dir && (given || access(file, R_OK) == 0)) {
        from_file = read_option(agent, file, given, "node", "run_dir");
        if (!from_file)
            return GH_EXIT_CHECK_FAILED;
    }
    n = agent->cleanup(run_dir ? run_dir : from_file);
    free(from_file);
    if (n == GH_ERR_EXISTS) {
        fprintf(stderr, "gatehouse-agent: an agent is running; end it with `gatehouse-agent down` first\n");
        return GH_EXIT_TRY_LATER;
    }
    if (n < 0) {
        fprintf(stderr, "gatehouse-agent: cleanup: %s\n", gh_error_text(n));
        return n == GH_ERR_DENIED ? GH_EXIT_DENIED : GH_EXIT_CHECK_FAILED;
    }
    printf(n ? "%d things put back\n" : "nothing to put back\n", n);
    return GH_EXIT_OK;
}

/* ---- talking to the agent ---- */

/* The socket's path, malloc'd; NULL after a message. */
static char *take_socket(const struct gh_cli_agent *agent, int *argc, char **argv)
{
    const char *path = gh_cli_take_option(argc, argv, "--socket"), *file;
    char *value;
    bool given;

    file = take_config(argc, argv, &given);
    if (path)
        return strdup(path);
    value = read_option(agent, file, given, "agent", "socket");
    if (value && !*value) {
        fprintf(stderr, "%s: agent.socket is empty, so the agent answers no questions\n", file);
        free(value);
        value = NULL;
    }
    return value;
}

static int call(const char *socket, const char *method, const char *path, struct gh_http1_answer *ret, bool quiet)
{
    const struct gh_http1_target to = { .unix_path = socket };
    const struct gh_http1_call c = { .method = method, .path = path };
    int rc = gh_http1_client_call(&to, &c, ret);

    if (rc == 0)
        return GH_EXIT_OK;
    if (!quiet)
        fprintf(stderr, "gatehouse-agent: %s: %s%s\n", socket, gh_error_text(rc),
                rc == GH_ERR_DENIED ? "; only root may ask" : rc == GH_ERR_NOT_FOUND || rc == GH_ERR_CLOSED ? "; is the agent running?" : "");
    return rc == GH_ERR_DENIED ? GH_EXIT_DENIED : GH_EXIT_UNREACHABLE;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s && *s ? s : "-";
}

static void print_list(FILE *out, const json_t *o, const char *key, const char *label)
{
    const json_t *list = json_object_get(o, key);

    fprintf(out, "%-10s", label);
    for (size_t i = 0; i < json_array_size(list); i++)
        fprintf(out, " %s", json_string_value(json_array_get(list, i)));
    fputs(json_array_size(list) ? "\n" : " -\n", out);
}

static long long number_of(const json_t *o, const char *key)
{
    return (long long)json_integer_value(json_object_get(o, key));
}

static void print_paths(FILE *out, const json_t *o)
{
    const char *head = "path";
    const json_t *row;
    size_t i;

    json_array_foreach(json_object_get(o, "paths"), i, row) {
        char rtt[32], loss[32];

        gh_watch_emit_rtt(rtt, sizeof rtt, number_of(row, "rtt_us"));
        gh_watch_emit_loss(loss, sizeof loss, number_of(row, "datagrams_sent"), number_of(row, "datagrams_lost"));
        fprintf(out, "%-10s %s by %s, %s%s, rtt %s", head, text_of(row, "remote"), text_of(row, "transport"), text_of(row, "state"),
                json_is_true(json_object_get(row, "carrier")) ? " (carries)" : "", rtt);
        if (number_of(row, "udp_payload"))
            fprintf(out, ", udp payload %lld, loss %s", number_of(row, "udp_payload"), loss);
        fputc('\n', out);
        head = "";
    }
}

static void print_features(FILE *out, const json_t *o)
{
    const char *head = "offload", *why;
    const json_t *row;
    size_t i;

    json_array_foreach(json_object_get(o, "features"), i, row) {
        why = json_string_value(json_object_get(row, "detail"));
        fprintf(out, "%-10s %s %s%s%s\n", head, text_of(row, "name"),
                !json_is_true(json_object_get(row, "on"))      ? "off"
                : json_is_true(json_object_get(row, "tested")) ? "on"
                                                               : "on, untested",
                why && *why ? ": " : "", why ? why : "");
        head = "";
    }
}

static void print_nameservers(FILE *out, const json_t *o)
{
    const json_t *dns = json_object_get(o, "dns"), *config, *server, *address;
    bool used = json_is_true(json_object_get(dns, "used"));
    size_t i, k, n;

    json_array_foreach(json_object_get(dns, "configurations"), i, config) {
        const json_t *domains = json_object_get(config, "domains");

        fprintf(out, "%-10s", i ? "" : "dns");
        json_array_foreach(json_object_get(config, "nameservers"), k, server) {
            if (*json_string_value(json_object_get(server, "name")))
                fprintf(out, " %s", text_of(server, "name"));
            json_array_foreach(json_object_get(server, "addresses"), n, address)
                fprintf(out, " %s", json_string_value(address));
        }
        json_array_foreach(domains, k, address)
            fprintf(out, "%s%s", k ? ", " : " for ", *json_string_value(address) ? json_string_value(address) : "all names");
        fputs(used ? "\n" : ", ignored\n", out);
    }
    if (json_array_size(json_object_get(o, "pref64")))
        print_list(out, o, "pref64", "nat64");
}

static void print_config(FILE *out, const json_t *o)
{
    const json_t *config = json_object_get(o, "config"), *reload = json_object_get(config, "last_reload");

    fprintf(out, "%-10s generation %lld", "config", number_of(config, "generation"));
    if (!json_is_object(reload))
        fputs(", never reloaded", out);
    else
        fprintf(out, ", %s %s", json_is_true(json_object_get(reload, "ok")) ? "reloaded" : "reload failed", text_of(reload, "at"));
    fputc('\n', out);
    if (json_is_object(reload) && !json_is_true(json_object_get(reload, "ok")))
        fprintf(out, "%-10s %s\n", "", text_of(reload, "detail"));
}

static void print_drops(FILE *out, const json_t *o)
{
    json_t *drops = json_object_get(o, "drops"), *count;
    const char *name, *before = " ";

    fprintf(out, "%-10s", "drops");
    json_object_foreach(drops, name, count) {
        fprintf(out, "%s%s %lld", before, name, (long long)json_integer_value(count));
        before = ", ";
    }
    fputs(json_object_size(drops) ? "\n" : " none\n", out);
}

/* What is missing, and why. */
static void print_ipv6(FILE *out, const json_t *o)
{
    const json_t *ipv6 = json_object_get(o, "ipv6");
    const char *reason = json_string_value(json_object_get(ipv6, "reason"));

    if (json_is_false(json_object_get(ipv6, "assigned")) && reason && *reason)
        fprintf(out, "%-10s none: %s\n", "ipv6", reason);
}

static void print_device(FILE *out, const json_t *o)
{
    fprintf(out, "%-10s %s, mtu %lld, the tunnel carries %lld\n", "device", text_of(o, "device"), number_of(o, "mtu"), number_of(o, "tunnel_mtu"));
    print_list(out, o, "addresses", "addresses");
    print_ipv6(out, o);
    print_list(out, o, "routes", "routes");
    if (json_array_size(json_object_get(o, "unreachable")))
        print_list(out, o, "unreachable", "blocked");
    print_nameservers(out, o);
    fprintf(out, "%-10s %lld packets, %lld bytes\n", "sent", number_of(o, "packets_out"), number_of(o, "bytes_out"));
    fprintf(out, "%-10s %lld packets, %lld bytes\n", "received", number_of(o, "packets_in"), number_of(o, "bytes_in"));
}

static void print_proxy(FILE *out, const json_t *o)
{
    const json_t *now = json_object_get(o, "proxied"), *row;
    size_t i;

    json_array_foreach(json_object_get(o, "listeners"), i, row)
        fprintf(out, "%-10s %s, SOCKS5 and HTTP CONNECT\n", i ? "" : "proxy", text_of(row, "address"));
    fprintf(out, "%-10s %lld over TCP, %lld over UDP; %lld and %lld so far\n", "tunnels", number_of(now, "tcp"), number_of(now, "udp"), number_of(now, "tcp_opened"),
            number_of(now, "udp_opened"));
}

static void print_status(FILE *out, const json_t *o)
{
    fprintf(out, "%-10s %s since %s\n", "tunnel", text_of(o, "state"), text_of(o, "since"));
    if (json_is_string(json_object_get(o, "not_after")))
        fprintf(out, "%-10s %s, certificate valid until %s\n", "identity", text_of(o, "identity"), text_of(o, "not_after"));
    else
        fprintf(out, "%-10s %s, by a token\n", "identity", text_of(o, "identity"));
    fprintf(out, "%-10s %s port %lld, %s, as %s\n", "relay", text_of(o, "relay"), number_of(o, "port"), text_of(o, "remote"), text_of(o, "relay_id"));
    fprintf(out, "%-10s %s, %s\n", "tls", text_of(o, "tls_group"), text_of(o, "cipher"));
    print_paths(out, o);
    if (strcmp(text_of(o, "mode"), "proxy") == 0)
        print_proxy(out, o);
    else
        print_device(out, o);
    print_drops(out, o);
    print_config(out, o);
    print_features(out, o);
    if (!json_is_true(json_object_get(o, "up")))
        fprintf(out, "%-10s %s\n", "reason", text_of(o, "reason"));
}

/* What one picture needs. */
struct view {
    const char *socket;
    bool json;
};

static int show(void *arg, FILE *out)
{
    const struct view *v = arg;
    struct gh_http1_answer answer = { 0 };
    json_t *o;
    int code = call(v->socket, "GET", "/v1/status", &answer, false);

    if (code != GH_EXIT_OK)
        return code;
    o = json_loads(answer.body, 0, NULL);
    if (answer.status != 200 || !json_is_object(o)) {
        fprintf(stderr, "gatehouse-agent: the agent answered %u\n", answer.status);
        code = GH_EXIT_TRY_LATER;
    } else {
        if (v->json)
            fputs(answer.body, out);
        else
            print_status(out, o);
        code = json_is_true(json_object_get(o, "up")) ? GH_EXIT_OK : GH_EXIT_TRY_LATER;
    }
    json_decref(o);
    gh_http1_answer_fini(&answer);
    return code;
}

int gh_cli_agent_status(const struct gh_cli_verb *verb, int argc, char **argv)
{
    bool json = gh_cli_take_flag(&argc, argv, "--json");
    int seconds = gh_watch_take(&argc, argv), code;
    char *socket;

    if (seconds < 0)
        return gh_cli_usage(verb, "--watch takes seconds from 1 to 3600");
    socket = take_socket(verb->arg, &argc, argv);
    if (argc > 1) {
        free(socket);
        return gh_cli_usage(verb, "status takes no other argument");
    }
    if (!socket)
        return GH_EXIT_CHECK_FAILED;
    code = gh_watch_run(seconds, show, &(struct view){ socket, json }, stdout);
    free(socket);
    return code;
}

int gh_cli_agent_trace(const struct gh_cli_verb *verb, int argc, char **argv)
{
    bool json = gh_cli_take_flag(&argc, argv, "--json");
    char *socket = take_socket(verb->arg, &argc, argv);
    const char *count = gh_cli_take_option(&argc, argv, "--recorded");
    int code = GH_EXIT_CHECK_FAILED;

    if (!count)
        (void)gh_cli_take_flag(&argc, argv, "--recorded");
    if (argc > 1)
        code = gh_cli_usage(verb, "trace takes no other argument");
    else if (socket)
        code = gh_recorded_show(&(struct gh_admin_call){ .program = &gh_admin_agent, .socket = socket }, count ? count : "1000", json);
    free(socket);
    return code;
}

int gh_cli_agent_down(const struct gh_cli_verb *verb, int argc, char **argv)
{
    const struct timespec tenth = { 0, 100000000 };
    struct gh_http1_answer answer = { 0 };
    char *socket = take_socket(verb->arg, &argc, argv);
    int code;

    if (argc > 1) {
        free(socket);
        return gh_cli_usage(verb, "down takes no other argument");
    }
    if (!socket)
        return GH_EXIT_CHECK_FAILED;
    code = call(socket, "POST", "/v1/down", &answer, false);
    if (code == GH_EXIT_OK && answer.status != 202) {
        fprintf(stderr, "gatehouse-agent: the agent answered %u\n", answer.status);
        code = GH_EXIT_TRY_LATER;
    }
    gh_http1_answer_fini(&answer);
    /* the socket is the last thing that goes when everything else is back */
    for (int i = 0; code == GH_EXIT_OK && access(socket, F_OK) == 0; i++) {
        if (i == DOWN_PATIENCE)
            code = GH_EXIT_TRY_LATER;
        nanosleep(&tenth, NULL);
    }
    free(socket);
    return code;
}
