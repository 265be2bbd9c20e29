/* priv/parent.h - the privileged parent: starts the child, keeps what must outlive it, puts everything back
 *
 * The child is a fork that drops every capability and then runs <child_main>. A child that a signal ended is started again
 * (at once, then after 0.1 s doubling to 5 s) and gets the same sockets and devices when it asks for the same; a child
 * that returns or calls exit ends the parent with that code. What is changed on the machine is journalled in the run
 * folder before it is done, so that the next start can put it back after a crash.
 */
#ifndef GH_PRIV_PARENT_H
#define GH_PRIV_PARENT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h" /* what the functions here return */
#include "priv/client.h"

struct gh_priv_config {
    const char *name;    /* names lock and journal; letters, digits, '-', '_', at most 32 */
    const char *run_dir; /* NULL: /run/gatehouse */
    int (*child_main)(struct gh_priv_client *c, int argc, char **argv);
    /* On SIGHUP a short-lived child reads the configuration as <child_main> would and names the files in it (OPEN_FILE,
     * OPEN_APPEND, KEY, WATCH); so too when the child asks by RELOAD. When it ends with 0 the running child may open them and gets its SIGHUP; otherwise it gets
     * GH_PRIV_EVENT_RELOAD_FAILED. NULL: SIGHUP goes to the child as it is. */
    int (*reload_main)(struct gh_priv_client *c, int argc, char **argv);
    int argc;
    char **argv;
    uid_t uid; /* the child's user and group; 0: the parent's own */
    gid_t gid;
    void (*log)(void *arg, const char *text); /* one line without its end; NULL: standard error */
    void *log_arg;
};

/* Puts back what a dead owner left, then runs until the child ends. The exit code, or GH_ERR_EXISTS when a living owner
 * holds the name, GH_ERR_DENIED, GH_ERR_SYSTEM. Called by a process with one thread; takes its signals over. */
int gh_priv_run(const struct gh_priv_config *cfg);

/* Puts back what a dead owner left. Number of things undone, or GH_ERR_EXISTS when a living owner holds the name. */
int gh_priv_cleanup(const char *name, const char *run_dir);

#endif
