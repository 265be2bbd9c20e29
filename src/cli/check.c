#include "cli/check.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/conf.h"

#define USAGE                                                                                              \
    "check [--json] FILE …\n\n"                                                                            \
    "  reads each file as the program that it is for would, environment included, and prints every error\n" \
    "  --json  as JSON, a line for each file\n\n"

const char gh_cli_check_usage[] = USAGE "example: gatehouse check /etc/gatehouse/gatehouse.yaml\n"
                                        "exit codes: 0 all is well, 1 a file has errors, 2 usage";
const char gh_cli_agent_check_usage[] = USAGE "example: gatehouse-agent check /etc/gatehouse/agent.yaml\n"
                                              "exit codes: 0 all is well, 1 a file has errors, 2 usage";

static void emit_error_json(const char *file, unsigned line, unsigned col, struct gh_span message, struct gh_text *out)
{
    gh_text_append(out, "{\"file\":");
    gh_text_append_json(out, gh_span_str(file));
    if (line)
        gh_text_printf(out, ",\"line\":%u,\"column\":%u", line, col);
    gh_text_append(out, ",\"message\":");
    gh_text_append_json(out, message);
    gh_text_append(out, "}");
}

static void emit_head_json(const char *path, bool ok, struct gh_text *out)
{
    gh_text_append(out, "{\"version\":1,\"file\":");
    gh_text_append_json(out, gh_span_str(path));
    gh_text_printf(out, ",\"ok\":%s,\"errors\":[", ok ? "true" : "false");
}

int gh_cli_check_file(const char *path, const struct gh_conf_section *const *sections, bool json, FILE *out)
{
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    struct gh_text text;
    int rc;

    gh_conf_errors_init(&errors);
    gh_text_init(&text, 1u << 20);
    rc = gh_conf_parse_file(path, sections, (const char *const *)environ, &errors, &conf);
    if (json) {
        emit_head_json(path, rc == 0, &text);
        for (size_t i = 0; i < errors.count; i++) {
            gh_text_append(&text, i ? "," : "");
            emit_error_json(path, errors.list[i].line, errors.list[i].col, gh_span_str(errors.list[i].text), &text);
        }
        gh_text_append(&text, "]}\n");
    } else if (rc == 0) {
        gh_text_printf(&text, "%s: ok\n", path);
    } else {
        gh_conf_errors_emit(&errors, &text);
    }
    fputs(gh_text_string(&text), out);
    gh_text_fini(&text);
    gh_conf_destroy(conf);
    gh_conf_errors_fini(&errors);
    return rc == 0 ? GH_EXIT_OK : GH_EXIT_CHECK_FAILED;
}

int gh_cli_check_here(const struct gh_cli_verb *verb, int argc, char **argv)
{
    bool json = gh_cli_take_flag(&argc, argv, "--json");
    int code = GH_EXIT_OK;

    if (argc < 2 || argv[1][0] == '-')
        return gh_cli_usage(verb, "name at least one file");
    for (int i = 1; i < argc; i++)
        if (gh_cli_check_file(argv[i], verb->arg, json, stdout) != GH_EXIT_OK)
            code = GH_EXIT_CHECK_FAILED;
    return code;
}

/* Runs <argv> with both outputs in <out>. The program's exit code, or GH_EXIT_UNREACHABLE when it cannot be run. */
static int run(char *const argv[], struct gh_text *out)
{
    posix_spawn_file_actions_t actions;
    int ends[2], status = 0, rc;
    char buf[4096];
    pid_t pid;
    ssize_t n;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return GH_EXIT_TRY_LATER;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    rc = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    while (rc == 0 && (n = read(ends[0], buf, sizeof buf), n > 0 || (n < 0 && errno == EINTR)))
        if (n > 0)
            gh_text_append_span(out, gh_span_of(buf, (size_t)n));
    close(ends[0]);
    if (rc != 0) {
        gh_text_printf(out, "%s cannot be run: %s\n", argv[0], strerror(rc));
        return GH_EXIT_UNREACHABLE;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : GH_EXIT_TRY_LATER;
}

/* "FILE:LINE:COL: text" and "FILE: text" as the checkers print them. */
static void emit_line_json(const char *path, const char *line, size_t len, struct gh_text *out)
{
    size_t head = strlen(path);
    unsigned at_line = 0, at_col = 0;
    char *copy = strndup(line, len);
    int used = 0;

    if (!copy) {
        out->failed = true;
        return;
    }
    if (strncmp(copy, path, head) == 0 && copy[head] == ':') {
        const char *rest = copy + head + 1;

        if (sscanf(rest, "%9u:%9u:%n", &at_line, &at_col, &used) == 2 && used > 0)
            rest += used;
        else
            at_line = at_col = 0;
        rest += strspn(rest, " ");
        emit_error_json(path, at_line, at_col, gh_span_str(rest), out);
    } else {
        emit_error_json(path, 0, 0, gh_span_str(copy), out);
    }
    free(copy);
}

static void emit_json(const char *path, int code, const struct gh_text *said, struct gh_text *out)
{
    const char *at = gh_text_string(said), *comma = "";

    emit_head_json(path, code == GH_EXIT_OK, out);
    while (*at && code != GH_EXIT_OK) {
        size_t len = strcspn(at, "\n");

        if (len) {
            gh_text_append(out, comma);
            emit_line_json(path, at, len, out);
            comma = ",";
        }
        at += len + (at[len] == '\n');
    }
    gh_text_append(out, "]}\n");
}

static bool is_for_agent(const char *path)
{
    struct gh_text text;
    bool agent;

    gh_text_init(&text, GH_CONF_FILE_MAX);
    agent = gh_conf_read_file(path, &text) == 0 && gh_conf_peek(gh_span_of(text.data, text.len), "agent");
    gh_text_fini(&text);
    return agent;
}

static int check_one(char *path, bool json)
{
    char program[4096], check[] = "check", config[] = "--config", flag[] = "--check";
    char *as_node[] = { program, flag, config, path, NULL }, *as_agent[] = { program, check, path, NULL };
    bool agent = is_for_agent(path);
    struct gh_text said, out;
    int code;

    gh_cli_sibling(agent ? "gatehouse-agent" : "gatehoused", program, sizeof program);
    gh_text_init(&said, 1u << 20);
    gh_text_init(&out, 4u << 20);
    code = run(agent ? as_agent : as_node, &said);
    if (json)
        emit_json(path, code, &said, &out);
    fputs(gh_text_string(json ? &out : &said), stdout);
    gh_text_fini(&said);
    gh_text_fini(&out);
    return code;
}

int gh_cli_check(const struct gh_cli_verb *verb, int argc, char **argv)
{
    bool json = gh_cli_take_flag(&argc, argv, "--json");
    int worst = GH_EXIT_OK;

    if (argc < 2 || argv[1][0] == '-')
        return gh_cli_usage(verb, "name at least one file");
    for (int i = 1; i < argc; i++) {
        int code = check_one(argv[i], json);

        if (code > worst)
            worst = code;
    }
    return worst;
}
