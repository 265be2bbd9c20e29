#include "proto/quic/guard.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

/* The one writable static outside bin and priv (DESIGN 2): which guard the running thread is under. */
static _Thread_local struct gh_guard *top;

struct gh_guard **gh_guard_top(void)
{
    return &top;
}

void gh_guard_leave(struct gh_guard *g)
{
    top = g->outer;
}

_Noreturn void __real___assert_fail(const char *expr, const char *file, unsigned line, const char *func);
_Noreturn void __wrap___assert_fail(const char *expr, const char *file, unsigned line, const char *func);

void __wrap___assert_fail(const char *expr, const char *file, unsigned line, const char *func)
{
    struct gh_guard *g = top;

    if (!g)
        __real___assert_fail(expr, file, line, func);
    top = g->outer;
    snprintf(g->text, sizeof g->text, "%s:%u: %s", file, line, expr);
    longjmp(g->env, 1);
}
