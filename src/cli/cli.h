/* cli/cli.h - a table of verbs, and the exit codes that scripts may rely on */
#ifndef GH_CLI_CLI_H
#define GH_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

/* DESIGN 5 */
enum gh_exit {
    GH_EXIT_OK = 0,
    GH_EXIT_CHECK_FAILED = 1,
    GH_EXIT_USAGE = 2,
    GH_EXIT_DRIFT = 3,
    GH_EXIT_UNREACHABLE = 4,
    GH_EXIT_DENIED = 5,
    GH_EXIT_TRY_LATER = 75,
};

struct gh_cli_verb {
    const char *name; /* NULL ends the table */
    int (*run)(int argc, char **argv); /* argv[0] is the verb; returns an exit code */
    const char *summary; /* one line */
    /* "check [--json] FILE…", further forms in lines that begin with seven spaces and the verb, an empty line, what options mean, and
     * an example; printed by VERB --help, with the program's name before each form. NULL: the verb answers --help itself. */
    const char *usage;
    const void *arg;     /* what bin gives to <run_with>, such as the sections of its configuration */
    int (*run_with)(const struct gh_cli_verb *verb, int argc, char **argv); /* called when <run> is NULL, with this row */
};

/* Runs the verb that argv[1] names. Knows --help, help [VERB], --version [--json], VERB --help; suggests for a typo. */
int gh_cli_main(const struct gh_cli_verb *verbs, int argc, char **argv);

/* Removes <option> from argv and tells whether it was there. */
bool gh_cli_take_flag(int *argc, char **argv, const char *option);
/* Removes "--name VALUE" or "--name=VALUE" and returns the value, NULL when absent; GH_EXIT_USAGE cases leave it in argv. */
const char *gh_cli_take_option(int *argc, char **argv, const char *option);
/* Prints "program VERB: message", and the verb's forms, to standard error; returns GH_EXIT_USAGE. */
int gh_cli_usage(const struct gh_cli_verb *verb, const char *message);
/* "usage: program VERB …"; with <all> also what comes after the forms. */
void gh_cli_print_usage(const char *program, const char *usage, bool all, FILE *out);
/* As the user called it: without folders. */
const char *gh_cli_program(void);
/* Path of <program> beside the running binary, or its bare name when there is none, into <ret>. */
const char *gh_cli_sibling(const char *program, char *ret, size_t cap);

#endif
