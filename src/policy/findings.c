#include "policy/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bool reserve(struct gh_policy_findings *f)
{
    size_t want = f->capacity ? f->capacity * 2 : 16;
    struct gh_policy_finding *items;

    if (f->count < f->capacity)
        return true;
    items = reallocarray(f->items, want, sizeof *items);
    if (!items)
        return false;
    f->items = items;
    f->capacity = want;
    return true;
}

static void add(struct gh_policy_findings *f, struct gh_policy_pos pos, bool warning, const char *format, va_list args)
{
    char *text = NULL;

    if (warning)
        f->warnings++;
    else
        f->errors++;
    if (f->count >= GH_POLICY_FINDINGS_MAX)
        return;
    if (!reserve(f) || vasprintf(&text, format, args) < 0) {
        f->memory = true;
        return;
    }
    for (char *c = text; *c; c++) /* the text quotes the file; it must not drive a terminal */
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    f->items[f->count++] = (struct gh_policy_finding){ pos, warning, text };
}

void gh_policy_findings_error(struct gh_policy_findings *f, struct gh_policy_pos pos, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(f, pos, false, format, args);
    va_end(args);
}

void gh_policy_findings_warn(struct gh_policy_findings *f, struct gh_policy_pos pos, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(f, pos, true, format, args);
    va_end(args);
}

static bool later(const struct gh_policy_pos *a, const struct gh_policy_pos *b)
{
    return a->line != b->line ? a->line > b->line : a->col > b->col;
}

void gh_policy_findings_sort(struct gh_policy_findings *f)
{
    /* Insertion: stable, and the list is short and nearly sorted. */
    for (size_t i = 1; i < f->count; i++) {
        struct gh_policy_finding x = f->items[i];
        size_t j = i;

        for (; j > 0 && later(&f->items[j - 1].pos, &x.pos); j--)
            f->items[j] = f->items[j - 1];
        f->items[j] = x;
    }
}

bool gh_policy_findings_good(const struct gh_policy_findings *f)
{
    return f->errors == 0 && !f->memory;
}

const char *gh_policy_finding_emit(const struct gh_policy_finding *f, const char *file, char *buf, size_t size)
{
    snprintf(buf, size, "%s:%u:%u: %s%s", file, f->pos.line, f->pos.col, f->warning ? "warning: " : "", f->text);
    return buf;
}

void gh_policy_findings_fini(struct gh_policy_findings *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++)
        free(f->items[i].text);
    free(f->items);
    *f = (struct gh_policy_findings){ 0 };
}
