/* ports/readiness.h - what a node needs before it can serve
 *
 * Called on the worker that runs the admin service; strings are borrowed until the call returns.
 */
#ifndef GH_PORTS_READINESS_H
#define GH_PORTS_READINESS_H

#include <stdbool.h>

/* <name>: lower case and '_', stable ("tls", "policy", "pool", "tun"); <detail>: one line for people, "" when there is
 * nothing to say. */
typedef void (*gh_readiness_fn)(void *arg, const char *name, bool ok, const char *detail);

struct gh_port_readiness {
    void (*each)(void *self, gh_readiness_fn fn, void *arg); /* every check, in an order that stays the same */
    bool (*draining)(void *self);
    bool (*alive)(void *self); /* every worker ticks; may be NULL: who answers is alive */
    void *self;
};

#endif
