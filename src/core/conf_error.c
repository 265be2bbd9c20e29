#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/conf_internal.h"

void gh_conf_errors_init(struct gh_conf_errors *e)
{
    *e = (struct gh_conf_errors){ 0 };
}

void gh_conf_errors_fini(struct gh_conf_errors *e)
{
    for (size_t i = 0; i < e->count; i++)
        free(e->list[i].text);
    free(e->list);
    free(e->file);
    *e = (struct gh_conf_errors){ 0 };
}

static void add(struct gh_conf_errors *e, unsigned line, unsigned col, const char *format, va_list args)
{
    char *text;

    if (!e->list)
        e->list = calloc(GH_CONF_ERRORS_MAX, sizeof *e->list);
    if (!e->list || e->count == GH_CONF_ERRORS_MAX || vasprintf(&text, format, args) < 0) {
        e->lost++;
        return;
    }
    for (char *c = text; *c; c++) /* one line an error, and nothing that moves a terminal's cursor */
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    e->list[e->count++] = (struct gh_conf_error){ line, col, text };
}

void gh_conf_errors_add(struct gh_conf_errors *e, unsigned line, unsigned col, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(e, line, col, format, args);
    va_end(args);
}

void gh_conf_fail(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row,
                  struct gh_conf_errors *errors, const char *format, ...)
{
    const struct gh_conf_part *part = gh_conf_part_of(conf, section);
    unsigned line = 0, col = 0;
    va_list args;

    if (part && row < part->rows && part->values[row].origin == GH_CONF_FROM_FILE) {
        line = part->values[row].line;
        col = part->values[row].col;
    } else if (part) {
        line = part->line;
        col = part->col;
    }
    va_start(args, format);
    add(errors, line, col, format, args);
    va_end(args);
}

/* By insertion: stable, and there are few. */
void gh_conf_errors_sort(struct gh_conf_errors *e)
{
    for (size_t i = 1; i < e->count; i++) {
        struct gh_conf_error x = e->list[i];
        size_t j = i;

        while (j > 0 && (e->list[j - 1].line > x.line || (e->list[j - 1].line == x.line && e->list[j - 1].col > x.col))) {
            e->list[j] = e->list[j - 1];
            j--;
        }
        e->list[j] = x;
    }
}

void gh_conf_errors_emit(const struct gh_conf_errors *e, struct gh_text *out)
{
    const char *file = e->file ? e->file : "configuration";

    for (size_t i = 0; i < e->count; i++) {
        const struct gh_conf_error *x = &e->list[i];

        if (x->line)
            gh_text_printf(out, "%s:%u:%u: %s\n", file, x->line, x->col, x->text);
        else
            gh_text_printf(out, "%s: %s\n", file, x->text);
    }
    if (e->lost)
        gh_text_printf(out, "%s: and %zu more\n", file, e->lost);
}
