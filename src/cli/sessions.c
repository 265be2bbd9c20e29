#include "cli/sessions.h"

#include <string.h>

#include "cli/admin_client.h"
#include "cli/watch.h"

const char gh_cli_sessions_usage[] =
    "sessions [list|kick ID] [--json] [--watch [SECONDS]] [--socket PATH]\n"
    "\n"
    "  list           who is connected (what is done when nothing is said)\n"
    "  kick ID        closes a session; its agent may come back unless policy or certificate forbid it\n"
    "  --json         as JSON (schema 1)\n"
    "  --watch        the list again every SECONDS (2), until Ctrl-C\n"
    "  --socket PATH  the admin socket; default: /run/gatehouse/admin.sock\n"
    "\n"
    "example: gatehouse sessions kick 5f0c1b6a7d2e4f90\n"
    "exit codes: 0 done, 1 no such session, 2 usage, 4 nobody answers, 5 no permission";

#define COLUMNS 11
#define CELL 160
#define WIDTH_MAX 48 /* of a column; a longer text is cut, --json has it whole */

struct row {
    char cells[COLUMNS][CELL];
};

static void join_addresses(const json_t *session, char *ret, size_t cap)
{
    const json_t *address;
    size_t i, len = 0;

    *ret = 0;
    json_array_foreach(json_object_get(session, "addresses"), i, address) {
        int n = snprintf(ret + len, cap - len, "%s%s", i ? "," : "", json_string_value(address) ? json_string_value(address) : "");

        if (n < 0 || (size_t)n >= cap - len)
            return;
        len += (size_t)n;
    }
}

static void emit_bytes(char *ret, size_t cap, long long bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes;
    size_t unit = 0;

    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    snprintf(ret, cap, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static void fill_row(const json_t *session, struct row *ret)
{
    const json_t *peer = json_object_get(session, "peer");
    const char *address = gh_admin_client_text(peer, "address");
    long long mtu = gh_admin_client_number(session, "mtu");

    snprintf(ret->cells[0], CELL, "%s", gh_admin_client_text(session, "id"));
    snprintf(ret->cells[1], CELL, "%s", gh_admin_client_text(session, "client_id"));
    join_addresses(session, ret->cells[2], CELL);
    snprintf(ret->cells[3], CELL, strchr(address, ':') ? "[%s]:%lld" : "%s:%lld", address, gh_admin_client_number(peer, "port"));
    if (!*address)
        snprintf(ret->cells[3], CELL, "-");
    snprintf(ret->cells[4], CELL, "%s", gh_admin_client_text(session, "since"));
    emit_bytes(ret->cells[5], CELL, gh_admin_client_number(session, "rx_bytes"));
    emit_bytes(ret->cells[6], CELL, gh_admin_client_number(session, "tx_bytes"));
    snprintf(ret->cells[7], CELL, "%lld", gh_admin_client_number(session, "flows"));
    gh_watch_emit_rtt(ret->cells[8], CELL, gh_admin_client_number(session, "rtt_us"));
    snprintf(ret->cells[9], CELL, mtu ? "%lld" : "-", mtu);
    gh_watch_emit_loss(ret->cells[10], CELL, gh_admin_client_number(session, "datagrams_sent"), gh_admin_client_number(session, "datagrams_lost"));
}

static void widen(size_t widths[COLUMNS], const struct row *row)
{
    for (size_t c = 0; c < COLUMNS; c++) {
        size_t len = 0;

        for (const char *p = row->cells[c]; *p; p++)
            len += (*p & 0xc0) != 0x80; /* characters, not bytes of UTF-8 */
        len = len > WIDTH_MAX ? WIDTH_MAX : len;
        widths[c] = len > widths[c] ? len : widths[c];
    }
}

static void print_row(FILE *out, const size_t widths[COLUMNS], const struct row *row)
{
    for (size_t c = 0; c < COLUMNS; c++) {
        gh_admin_client_print(out, row->cells[c], c + 1 < COLUMNS ? widths[c] : WIDTH_MAX, c + 1 < COLUMNS);
        fputs(c + 1 < COLUMNS ? "  " : "\n", out);
    }
}

void gh_sessions_print(FILE *out, const json_t *answer)
{
    struct row row = { { "SESSION", "CLIENT", "ADDRESSES", "PEER", "SINCE", "FROM", "TO", "FLOWS", "RTT", "MTU", "LOSS" } };
    const json_t *list = json_object_get(answer, "sessions"), *session;
    size_t widths[COLUMNS] = { 0 }, i;
    struct row head = row;

    if (json_array_size(list) == 0) {
        fputs("no sessions\n", out);
        return;
    }
    widen(widths, &head);
    json_array_foreach(list, i, session) {
        fill_row(session, &row);
        widen(widths, &row);
    }
    print_row(out, widths, &head);
    json_array_foreach(list, i, session) {
        fill_row(session, &row);
        print_row(out, widths, &row);
    }
}

/* What one picture needs. */
struct view {
    struct gh_admin_call *call;
    bool json;
};

static int show_sessions(void *arg, FILE *out)
{
    const struct view *v = arg;
    json_t *answer;
    int code;

    v->call->method = "GET";
    v->call->path = "/v1/sessions";
    code = gh_admin_client_call(v->call, stderr, &answer);
    if (code != GH_EXIT_OK)
        return code;
    if (v->json)
        code = gh_admin_client_print_json(out, answer);
    else
        gh_sessions_print(out, answer);
    json_decref(answer);
    return code;
}

static int kick_session(struct gh_admin_call *call, const char *id, bool json)
{
    char path[128];
    json_t *answer;
    int code;

    /* what the node would refuse is sent as it is, so that there is one rule about ids; but it must be one segment */
    if (!*id || strpbrk(id, "/?# ") || snprintf(path, sizeof path, "/v1/sessions/%s", id) >= (int)sizeof path) {
        fprintf(stderr, "%s: that is not a session's id\n  \"%s sessions\" lists them\n", call->program->name, call->program->name);
        return GH_EXIT_USAGE;
    }
    call->method = "DELETE";
    call->path = path;
    code = gh_admin_client_call(call, stderr, &answer);
    if (code != GH_EXIT_OK)
        return code;
    if (json)
        code = gh_admin_client_print_json(stdout, answer);
    else
        printf("session %s is being closed\n", id);
    json_decref(answer);
    return code;
}

int gh_cli_sessions(const struct gh_cli_verb *verb, int argc, char **argv)
{
    const struct gh_admin_program *program = verb->arg ? verb->arg : &gh_admin_node;
    bool json = gh_cli_take_flag(&argc, argv, "--json");
    const char *socket = gh_cli_take_option(&argc, argv, "--socket");
    struct gh_admin_call call = { .program = program, .socket = socket ? socket : program->socket };
    int seconds = gh_watch_take(&argc, argv);

    if (seconds < 0)
        return gh_cli_usage(verb, "--watch takes seconds from 1 to 3600");
    if (argc == 1 || (argc == 2 && strcmp(argv[1], "list") == 0))
        return gh_watch_run(seconds, show_sessions, &(struct view){ &call, json }, stdout);
    if (seconds == 0 && argc == 3 && strcmp(argv[1], "kick") == 0)
        return kick_session(&call, argv[2], json);
    return gh_cli_usage(verb, "say list, or kick and the id of a session");
}
