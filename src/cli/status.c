#include "cli/status.h"

#include <stdlib.h>
#include <unistd.h>

#include "cli/admin_client.h"
#include "cli/watch.h"

const char gh_cli_status_usage[] =
    "status [--json] [--watch [SECONDS]] [--socket PATH]\n"
    "\n"
    "  --json         everything, as JSON (schema 1)\n"
    "  --watch        again every SECONDS (2), until Ctrl-C\n"
    "  --socket PATH  the admin socket; default: the one that the service opens in /run/gatehouse\n"
    "\n"
    "example: gatehouse status --json | jq .config.generation\n"
    "exit codes: 0 it answered, 2 usage, 4 nobody answers, 5 no permission";

static void print_duration(FILE *out, long long s)
{
    if (s >= 86400)
        fprintf(out, "%lld d %lld h", s / 86400, s / 3600 % 24);
    else if (s >= 3600)
        fprintf(out, "%lld h %lld min", s / 3600, s / 60 % 60);
    else if (s >= 60)
        fprintf(out, "%lld min %lld s", s / 60, s % 60);
    else
        fprintf(out, "%lld s", s);
}

static void print(FILE *out, const char *text)
{
    gh_admin_client_print(out, text, SIZE_MAX, false);
}

static void print_head(FILE *out, const json_t *status)
{
    const char *node = gh_admin_client_text(status, "node");

    fputs("version    ", out);
    print(out, gh_admin_client_text(status, "version"));
    if (*node) {
        fputs(" on ", out);
        print(out, node);
    }
    fputs(", up ", out);
    print_duration(out, gh_admin_client_number(status, "uptime_seconds"));
    fputc('\n', out);
}

static void print_identity(FILE *out, const json_t *status)
{
    const json_t *identity = json_object_get(status, "identity");
    const char *name = gh_admin_client_text(identity, "name"), *end = gh_admin_client_text(identity, "not_after");
    const char *pin = gh_admin_client_text(identity, "cert_pin");

    fputs("identity   ", out);
    print(out, *name ? name : "none");
    if (*end) {
        fputs(", certificate valid until ", out);
        print(out, end);
    }
    fputc('\n', out);
    if (*pin) {
        fputs("cert_pin   ", out);
        print(out, pin);
        fputc('\n', out);
    }
}

/* The paths of all sessions; "sessions" shows each. */
static void print_paths(FILE *out, const json_t *status)
{
    const json_t *paths = json_object_get(status, "paths"), *rtt = json_object_get(paths, "rtt_us"), *mtu = json_object_get(paths, "mtu");
    char low[32], high[32], loss[32];

    fprintf(out, "paths      %lld", gh_admin_client_number(paths, "count"));
    if (gh_admin_client_number(paths, "count")) {
        gh_watch_emit_rtt(low, sizeof low, gh_admin_client_number(rtt, "min"));
        gh_watch_emit_rtt(high, sizeof high, gh_admin_client_number(rtt, "max"));
        gh_watch_emit_loss(loss, sizeof loss, gh_admin_client_number(paths, "datagrams_sent"), gh_admin_client_number(paths, "datagrams_lost"));
        fprintf(out, ", rtt %s to %s, mtu %lld to %lld, loss %s", low, high, gh_admin_client_number(mtu, "min"), gh_admin_client_number(mtu, "max"), loss);
    }
    fputc('\n', out);
}

static void print_ready(FILE *out, const json_t *status, bool colour)
{
    bool ready = json_is_true(json_object_get(status, "ready"));
    const json_t *failing = json_object_get(status, "failing"), *row;
    size_t i;

    fprintf(out, "ready      %s%s%s\n", colour ? (ready ? "\033[32m" : "\033[31m") : "",
            ready ? "yes" : json_is_true(json_object_get(status, "draining")) ? "no, draining" : "no", colour ? "\033[0m" : "");
    json_array_foreach(failing, i, row) {
        fputs("           ", out);
        print(out, gh_admin_client_text(row, "name"));
        fputs(": ", out);
        print(out, gh_admin_client_text(row, "detail"));
        fputc('\n', out);
    }
}

static void print_config(FILE *out, const json_t *status, bool colour)
{
    const json_t *config = json_object_get(status, "config"), *reload = json_object_get(config, "last_reload");
    const char *policy = gh_admin_client_text(json_object_get(status, "policy"), "version");

    fprintf(out, "config     generation %lld%s\n", gh_admin_client_number(config, "generation"), json_is_object(reload) ? "" : ", never reloaded");
    if (json_is_object(reload) && json_is_true(json_object_get(reload, "ok"))) {
        fputs("           reloaded ", out);
        print(out, gh_admin_client_text(reload, "at"));
        fputc('\n', out);
    } else if (json_is_object(reload)) {
        fprintf(out, "           %sreload failed%s ", colour ? "\033[31m" : "", colour ? "\033[0m" : "");
        print(out, gh_admin_client_text(reload, "at"));
        fputs(", the old one still runs:\n           ", out);
        print(out, gh_admin_client_text(reload, "detail"));
        fputc('\n', out);
    }
    fputs("policy     ", out);
    print(out, *policy ? policy : "none");
    fputc('\n', out);
}

static void print_lists(FILE *out, const json_t *status)
{
    const json_t *row;
    const char *head;
    size_t i;

    head = "listens";
    json_array_foreach(json_object_get(status, "listeners"), i, row) {
        fprintf(out, "%-10s ", head);
        print(out, gh_admin_client_text(row, "service"));
        fputc(' ', out);
        print(out, gh_admin_client_text(row, "transport"));
        fputc(' ', out);
        print(out, gh_admin_client_text(row, "address"));
        fputc('\n', out);
        head = "";
    }
    head = "workers";
    json_array_foreach(json_object_get(status, "workers"), i, row) {
        fprintf(out, "%-10s %lld: %lld sessions, packets %lld in, %lld out, %lld handed over\n", head,
                gh_admin_client_number(row, "index"), gh_admin_client_number(row, "sessions"),
                gh_admin_client_number(row, "rx_packets"), gh_admin_client_number(row, "tx_packets"),
                gh_admin_client_number(row, "handed_over"));
        head = "";
    }
    head = "offload";
    json_array_foreach(json_object_get(status, "features"), i, row) {
        const char *why = gh_admin_client_text(row, "detail");

        fprintf(out, "%-10s ", head);
        print(out, gh_admin_client_text(row, "name"));
        if (json_is_true(json_object_get(row, "on")))
            fputs(json_is_false(json_object_get(row, "tested")) ? " on, untested" : " on", out);
        else
            fputs(" off", out);
        if (*why) {
            fputs(": ", out);
            print(out, why);
        }
        fputc('\n', out);
        head = "";
    }
}

static void print_drops(FILE *out, const json_t *status)
{
    json_t *drops = json_object_get(status, "drops"), *count;
    const char *name, *before = "";

    fputs("drops      ", out);
    json_object_foreach(drops, name, count) {
        fputs(before, out);
        print(out, name);
        fprintf(out, " %lld", json_integer_value(count));
        before = ", ";
    }
    fputs(*before ? "\n" : "none\n", out);
}

void gh_status_print(FILE *out, const json_t *status, bool colour)
{
    print_head(out, status);
    print_identity(out, status);
    print_ready(out, status, colour);
    print_config(out, status, colour);
    fprintf(out, "sessions   %lld, flows %lld\n", gh_admin_client_number(status, "sessions"), gh_admin_client_number(status, "flows"));
    print_paths(out, status);
    print_lists(out, status);
    print_drops(out, status);
}

/* What one picture needs. */
struct view {
    struct gh_admin_call call;
    bool json, colour;
};

static int show(void *arg, FILE *out)
{
    struct view *v = arg;
    json_t *status;
    int code = gh_admin_client_call(&v->call, stderr, &status);

    if (code != GH_EXIT_OK)
        return code;
    if (v->json)
        code = gh_admin_client_print_json(out, status);
    else
        gh_status_print(out, status, v->colour);
    json_decref(status);
    return code;
}

int gh_cli_status(const struct gh_cli_verb *verb, int argc, char **argv)
{
    const struct gh_admin_program *program = verb->arg ? verb->arg : &gh_admin_node;
    bool json = gh_cli_take_flag(&argc, argv, "--json");
    const char *socket = gh_cli_take_option(&argc, argv, "--socket");
    struct view v = {
        .call = { .program = program, .socket = socket ? socket : program->socket, .method = "GET", .path = "/v1/status" },
        .json = json,
    };
    const char *no_colour = getenv("NO_COLOR");
    int seconds = gh_watch_take(&argc, argv);

    if (seconds < 0)
        return gh_cli_usage(verb, "--watch takes seconds from 1 to 3600");
    if (argc > 1)
        return gh_cli_usage(verb, "takes no such argument");
    v.colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour);
    return gh_watch_run(seconds, show, &v, stdout);
}
