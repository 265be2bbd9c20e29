/* ports/lifecycle.h - what an operator may ask a node to do with itself
 *
 * Called on the worker that runs the admin service. A function may be NULL: this node cannot do that.
 */
#ifndef GH_PORTS_LIFECYCLE_H
#define GH_PORTS_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>

struct gh_reload_result {
    int64_t at;          /* wall seconds; 0: there was none since the start */
    bool ok;
    uint64_t generation; /* that runs now: the new one, or the old one when <ok> is false */
    const char *detail;  /* why it failed, "file:line:col: ..." lines; "" when it went well */
};

typedef void (*gh_reload_done_fn)(void *arg, const struct gh_reload_result *result);

struct gh_port_lifecycle {
    /* Reads the configuration again, as SIGHUP does. 0: <done> is called exactly once, now or later, on this worker, before
     * the admin service goes away. GH_ERR_STATE: one is under way. On an error <done> is not called. */
    int (*reload)(void *self, gh_reload_done_fn done, void *arg);
    /* Starts to drain and stop, as SIGTERM does. 0, or GH_ERR_STATE when that has begun already. */
    int (*stop)(void *self);
    void *self;
};

#endif
