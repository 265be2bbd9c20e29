#include "cli/cli.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "cli/pages.h"
#include "core/nearest.h"

#define INDENT "       " /* under "usage: " */

static const char *program_of(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path ? path : "gatehouse";
}

static void print_verbs(const struct gh_cli_verb *verbs, const char *program, FILE *out)
{
    fprintf(out, "usage: %s VERB [option …]\n\n", program);
    for (const struct gh_cli_verb *v = verbs; v->name; v++)
        fprintf(out, "  %-12s %s\n", v->name, v->summary ? v->summary : "");
    fprintf(out, "\n%s VERB --help shows what a verb takes, with an example.\n", program);
}

const char *gh_cli_program(void)
{
    return program_of(program_invocation_name);
}

void gh_cli_print_usage(const char *program, const char *usage, bool all, FILE *out)
{
    size_t verb = strcspn(usage, " \n");
    const char *at = usage;

    fprintf(out, "usage: %s ", program);
    while (*at && *at != '\n') { /* a line that goes on has no verb */
        size_t len = strcspn(at, "\n");

        if (at != usage && strncmp(at, INDENT, strlen(INDENT)) == 0 && strncmp(at + strlen(INDENT), usage, verb) == 0)
            fprintf(out, INDENT "%s %.*s\n", program, (int)(len - strlen(INDENT)), at + strlen(INDENT));
        else
            fprintf(out, "%.*s\n", (int)len, at);
        at += len + (at[len] == '\n');
    }
    if (all && *at)
        fprintf(out, "%s\n", at);
}

static void print_help(const struct gh_cli_verb *verb, const char *program, FILE *out)
{
    if (verb->summary)
        fprintf(out, "%s %s: %s\n\n", program, verb->name, verb->summary);
    gh_cli_print_usage(program, verb->usage ? verb->usage : verb->name, true, out);
}

int gh_cli_usage(const struct gh_cli_verb *verb, const char *message)
{
    const char *program = gh_cli_program();

    fprintf(stderr, "%s %s: %s\n", program, verb->name, message);
    gh_cli_print_usage(program, verb->usage ? verb->usage : verb->name, false, stderr);
    fprintf(stderr, "%s %s --help says more\n", program, verb->name);
    return GH_EXIT_USAGE;
}

static bool is_option(const char *arg, const char *name, size_t name_len)
{
    return strncmp(arg, name, name_len) == 0 && (arg[name_len] == 0 || arg[name_len] == '=');
}

static void remove_args(int *argc, char **argv, int at, int count)
{
    for (int i = at; i + count <= *argc; i++)
        argv[i] = i + count < *argc ? argv[i + count] : NULL;
    *argc -= count;
}

bool gh_cli_take_flag(int *argc, char **argv, const char *option)
{
    for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], option) != 0)
            continue;
        remove_args(argc, argv, i, 1);
        return true;
    }
    return false;
}

const char *gh_cli_take_option(int *argc, char **argv, const char *option)
{
    size_t len = strlen(option);

    for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        const char *value;

        if (!is_option(argv[i], option, len))
            continue;
        value = argv[i][len] == '=' ? argv[i] + len + 1 : i + 1 < *argc ? argv[i + 1] : NULL;
        if (value)
            remove_args(argc, argv, i, argv[i][len] == '=' ? 1 : 2);
        return value;
    }
    return NULL;
}

const char *gh_cli_sibling(const char *program, char *ret, size_t cap)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    const char *slash;
    int len;

    snprintf(ret, cap, "%s", program);
    if (n <= 0)
        return ret;
    self[n] = 0;
    slash = strrchr(self, '/');
    if (!slash)
        return ret;
    len = snprintf(ret, cap, "%.*s/%s", (int)(slash - self), self, program);
    if (len < 0 || (size_t)len >= cap || access(ret, X_OK) != 0)
        snprintf(ret, cap, "%s", program);
    return ret;
}

static const struct gh_cli_verb *verb_of(const struct gh_cli_verb *verbs, const char *name)
{
    for (const struct gh_cli_verb *v = verbs; v->name; v++)
        if (strcmp(v->name, name) == 0)
            return v;
    return NULL;
}

static int unknown_verb(const struct gh_cli_verb *verbs, const char *program, const char *name)
{
    struct gh_nearest n = gh_nearest_of(name, strlen(name));

    for (const struct gh_cli_verb *v = verbs; v->name; v++)
        gh_nearest_offer(&n, v->name);
    if (n.best)
        fprintf(stderr, "%s: there is no verb \"%s\"; did you mean \"%s\"?\n", program, name, n.best);
    else
        fprintf(stderr, "%s: there is no verb \"%s\"; %s --help lists them\n", program, name, program);
    return GH_EXIT_USAGE;
}

static int print_version(const char *program, bool json)
{
    if (json)
        printf("{\"version\":1,\"program\":\"%s\",\"release\":\"%s\"}\n", program, GH_VERSION);
    else
        printf("%s %s\n", program, GH_VERSION);
    return GH_EXIT_OK;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int help(const struct gh_cli_verb *verbs, const char *program, const char *name)
{
    const struct gh_cli_verb *verb = name ? verb_of(verbs, name) : NULL;

    if (name && !verb)
        return unknown_verb(verbs, program, name);
    if (verb && !verb->usage && verb->run)
        return verb->run(2, (char *[]){ (char *)(uintptr_t)verb->name, (char[]){ "--help" }, NULL });
    if (verb)
        print_help(verb, program, stdout);
    else
        print_verbs(verbs, program, stdout);
    return GH_EXIT_OK;
}

int gh_cli_main(const struct gh_cli_verb *verbs, int argc, char **argv)
{
    const char *program = program_of(argc > 0 ? argv[0] : NULL), *name = argc > 1 ? argv[1] : NULL;
    const struct gh_cli_verb *verb;
    int code;

    if (!name) {
        print_verbs(verbs, program, stderr);
        return GH_EXIT_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return help(verbs, program, argc > 2 ? argv[2] : NULL);
    if (strcmp(name, "--version") == 0)
        return print_version(program, argc > 2 && strcmp(argv[2], "--json") == 0);
    if (strcmp(name, "--emit") == 0) /* the build: manual page and completion */
        return gh_cli_emit_page(verbs, program, argc > 2 ? argv[2] : "", stdout);
    verb = verb_of(verbs, name);
    if (!verb)
        return unknown_verb(verbs, program, name);
    if (verb->usage && wants_help(argc - 1, argv + 1)) {
        print_help(verb, program, stdout);
        return GH_EXIT_OK;
    }
    code = verb->run ? verb->run(argc - 1, argv + 1) : verb->run_with(verb, argc - 1, argv + 1);
    /* output that did not arrive (a full disk behind >) is a failure too */
    if (fflush(stdout) != 0 && code == GH_EXIT_OK)
        code = GH_EXIT_TRY_LATER;
    return code;
}
