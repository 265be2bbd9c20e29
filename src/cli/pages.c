#include "cli/pages.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A line of text inside .nf: nothing in it is for roff. */
static void man_line(const char *line, size_t len, FILE *out)
{
    if (len && (*line == '.' || *line == '\''))
        fputs("\\&", out);
    for (size_t i = 0; i < len; i++) {
        if (line[i] == '\\')
            fputs("\\e", out);
        else if (line[i] == '-')
            fputs("\\-", out);
        else
            fputc(line[i], out);
    }
    fputc('\n', out);
}

static void man_text(const char *text, FILE *out)
{
    while (*text) {
        size_t len = strcspn(text, "\n");

        man_line(text, len, out);
        text += len + (text[len] == '\n');
    }
}

/* Verbs that answer --help themselves write to standard output. */
char *gh_cli_help_of(const struct gh_cli_verb *verb, const char *program)
{
    char *text = NULL, name[64], flag[] = "--help";
    size_t len;
    FILE *to = open_memstream(&text, &len), *kept = stdout;

    if (!to)
        return NULL;
    if (verb->usage) {
        gh_cli_print_usage(program, verb->usage, true, to);
    } else {
        snprintf(name, sizeof name, "%s", verb->name);
        fflush(stdout);
        stdout = to;
        (void)verb->run(2, (char *[]){ name, flag, NULL });
        stdout = kept;
    }
    if (fclose(to) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static const char *section_of(const char *program)
{
    return strcmp(program, "gatehouse") == 0 ? "1" : "8";
}

static int emit_man(const struct gh_cli_verb *verbs, const char *program, FILE *out)
{
    bool tool = strcmp(program, "gatehouse") == 0;

    fprintf(out, ".TH %s %s \"\" \"gatehouse %s\"\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.B %s\n.I VERB\n.RI [ option \" ...]\"\n", program,
            section_of(program), GH_VERSION, program, tool ? "the operator's tool of the Gatehouse gateway" : "the client of the Gatehouse gateway", program);
    fprintf(out, ".SH DESCRIPTION\n%s\n", tool ? "Makes certificates, checks configurations and policies, and asks a running node over its admin socket."
                                              : "Connects this machine to a relay, and keeps it connected. The configuration is described in gatehouse.yaml(5).");
    fputs(".PP\n.B \\-\\-version\n.RB [ \\-\\-json ]\nprints the release,\n.B VERB \\-\\-help\nwhat a verb takes.\n.SH VERBS\n", out);
    for (const struct gh_cli_verb *v = verbs; v->name; v++) {
        char *help = gh_cli_help_of(v, program);

        if (!help)
            return GH_EXIT_TRY_LATER;
        fprintf(out, ".SS %s\n", v->name);
        man_text(v->summary ? v->summary : "", out);
        fputs(".PP\n.nf\n", out);
        man_text(help, out);
        fputs(".fi\n", out);
        free(help);
    }
    fputs(".SH EXIT STATUS\n.TP\n0\nall is well\n.TP\n1\na check failed, or something could not be set up\n.TP\n2\nwrong usage\n.TP\n3\nwhat is there differs from what should be\n"
          ".TP\n4\nnobody answers\n.TP\n5\nno permission; an agent: another instance took over\n.TP\n75\ntry later\n"
          ".SH SEE ALSO\n.BR gatehouse (1),\n.BR gatehoused (8),\n.BR gatehouse\\-agent (8),\n.BR gatehouse.yaml (5)\n", out);
    return GH_EXIT_OK;
}

/* ---- completion ---- */

/* The next "--option" in <text>; its length, 0 at the end. */
static size_t next_option(const char **text, const char **ret)
{
    for (const char *at = *text; (at = strstr(at, "--")) != NULL; at += 2) {
        size_t len = 2;

        if (at > *text && (isalnum((unsigned char)at[-1]) || at[-1] == '-'))
            continue;
        while (islower((unsigned char)at[len]) || (at[len] == '-' && islower((unsigned char)at[len + 1])))
            len++;
        if (len == 2)
            continue;
        *ret = at;
        *text = at + len;
        return len;
    }
    return 0;
}

/* Each option of a verb once, in the order in which its help names them, then --help. */
static void emit_options(const char *help, FILE *out)
{
    const char *at = help, *option;
    size_t len;

    for (len = next_option(&at, &option); len; len = next_option(&at, &option)) {
        const char *before = help, *other;
        size_t n = next_option(&before, &other);

        while (n && other < option && (n != len || memcmp(other, option, len) != 0))
            n = next_option(&before, &other);
        if (other == option && !(len == 6 && memcmp(option, "--help", 6) == 0))
            fprintf(out, "%.*s ", (int)len, option);
    }
    fputs("--help", out);
}

static void emit_verbs(const struct gh_cli_verb *verbs, FILE *out)
{
    for (const struct gh_cli_verb *v = verbs; v->name; v++)
        fprintf(out, "%s%s", v == verbs ? "" : " ", v->name);
}

static int emit_bash(const struct gh_cli_verb *verbs, const char *program, FILE *out)
{
    char name[64];

    snprintf(name, sizeof name, "%s", program);
    for (char *p = name; *p; p++)
        *p = *p == '-' ? '_' : *p;
    fprintf(out, "# completion of %s for bash\n_%s()\n{\n    local word=${COMP_WORDS[COMP_CWORD]} words\n    COMPREPLY=()\n", program, name);
    fputs("    if [ \"$COMP_CWORD\" = 1 ]; then\n        words=\"", out);
    emit_verbs(verbs, out);
    fputs(" help --help --version\"\n    else\n        case ${COMP_WORDS[1]} in\n        help) words=\"", out);
    emit_verbs(verbs, out);
    fputs("\" ;;\n", out);
    for (const struct gh_cli_verb *v = verbs; v->name; v++) {
        char *help = gh_cli_help_of(v, program);

        if (!help)
            return GH_EXIT_TRY_LATER;
        fprintf(out, "        %s) words=\"", v->name);
        emit_options(help, out);
        fputs("\" ;;\n", out);
        free(help);
    }
    fputs("        *) words= ;;\n        esac\n        case $word in\n        -*) ;;\n        *) [ \"${COMP_WORDS[1]}\" = help ] || words= ;;\n        esac\n    fi\n"
          "    while IFS= read -r line; do\n        COMPREPLY+=(\"$line\")\n    done < <(compgen -W \"$words\" -- \"$word\")\n}\n", out);
    fprintf(out, "complete -o default -F _%s %s\n", name, program);
    return GH_EXIT_OK;
}

static void zsh_text(const char *text, FILE *out)
{
    for (; *text; text++)
        fprintf(out, *text == '\'' ? "'\\''" : *text == ':' || *text == '[' || *text == ']' || *text == '\\' ? "\\%c" : "%c", *text);
}

static int emit_zsh(const struct gh_cli_verb *verbs, const char *program, FILE *out)
{
    fprintf(out, "#compdef %s\n# completion of %s for zsh\nlocal -a verbs options\nverbs=(\n", program, program);
    for (const struct gh_cli_verb *v = verbs; v->name; v++) {
        fprintf(out, "    '%s:", v->name);
        zsh_text(v->summary ? v->summary : "", out);
        fputs("'\n", out);
    }
    fputs(")\nif (( CURRENT == 2 )); then\n    _describe verb verbs\n    return\nfi\ncase $words[2] in\n", out);
    for (const struct gh_cli_verb *v = verbs; v->name; v++) {
        char *help = gh_cli_help_of(v, program);

        if (!help)
            return GH_EXIT_TRY_LATER;
        fprintf(out, "%s) options=(", v->name);
        emit_options(help, out);
        fputs(") ;;\n", out);
        free(help);
    }
    fputs("esac\nif [[ $words[CURRENT] == -* ]]; then\n    compadd -- $options\nelse\n    _files\nfi\n", out);
    return GH_EXIT_OK;
}

int gh_cli_emit_page(const struct gh_cli_verb *verbs, const char *program, const char *what, FILE *out)
{
    if (strcmp(what, "man") == 0)
        return emit_man(verbs, program, out);
    if (strcmp(what, "bash") == 0)
        return emit_bash(verbs, program, out);
    if (strcmp(what, "zsh") == 0)
        return emit_zsh(verbs, program, out);
    fprintf(stderr, "%s: --emit takes man, bash or zsh\n", program);
    return GH_EXIT_USAGE;
}
