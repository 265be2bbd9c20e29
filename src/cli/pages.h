/* cli/pages.h - manual page and shell completion of a program, made of its table of verbs
 *
 * The build writes them: PROGRAM --emit man|bash|zsh.
 */
#ifndef GH_CLI_PAGES_H
#define GH_CLI_PAGES_H

#include "cli/cli.h"

/* <what>: "man", "bash" or "zsh". An exit code. */
int gh_cli_emit_page(const struct gh_cli_verb *verbs, const char *program, const char *what, FILE *out);
/* What --help of the verb prints, without its summary, on the heap; NULL when memory is out. */
char *gh_cli_help_of(const struct gh_cli_verb *verb, const char *program);

#endif
