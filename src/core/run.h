/* core/run.h - the child's main: reads the configuration, runs the node, obeys signals and file changes
 *
 * SIGHUP or a changed file: read again, check, swap, log the generation; a bad file changes nothing. SIGTERM: drain, then let
 * go in the order of enum gh_release. A second SIGTERM: at once.
 */
#ifndef GH_CORE_RUN_H
#define GH_CORE_RUN_H

#include "core/lifecycle.h"
#include "core/node_conf.h"
#include "core/privileged.h"

struct gh_workers;
struct gh_port_sessions;

/* What services find behind gh_node_user. */
struct gh_run {
    struct gh_privileged *privileged;
    struct gh_workers *workers;
    struct gh_node *node;
    struct gh_node_conf conf;
    /* The result of the last reload, for status: "" when it was good. */
    char reload_error[512];
    int64_t reload_wall; /* 0: none yet */
    int64_t started_wall;
    /* Set by the service that has them, when it loads; NULL when none does. */
    const struct gh_port_sessions *sessions;
    const char *(*policy_version)(void *arg, char *buf, size_t cap); /* any thread; "" without a policy */
    void *policy_arg;
    /* Any thread: what SIGTERM and SIGHUP do. */
    void (*quit)(struct gh_run *run);
    int (*reload)(struct gh_run *run, void (*done)(void *arg, bool ok), void *arg); /* 0, or GH_ERR_STATE: one is under way; <done> on the thread that runs the node */
};

struct gh_run_config {
    const char *config_path;
    const struct gh_service *const *services; /* ends with NULL */
    struct gh_privileged *privileged;
    const char *const *env;
    unsigned max_workers; /* 0: as configured */
};

/* A service asks to be told when a file changes: its prepare and commit run as in any reload. */
int gh_run_watch(struct gh_run *run, const char *path);
static inline struct gh_run *gh_run_of(const struct gh_node *node)
{
    return gh_node_user(node);
}

#define GH_RUN_SECTIONS 32
/* The sections that a node of these services reads: its own, then theirs. Ends with NULL. */
void gh_run_sections(const struct gh_service *const *services, const struct gh_conf_section *ret[GH_RUN_SECTIONS]);

/* The exit code of the process (DESIGN 5). */
int gh_run_node(const struct gh_run_config *cfg);
/* Parses and checks alone; prints what is wrong to standard error. Exit code. */
int gh_run_check(const char *path, const struct gh_service *const *services, const char *const *env);

#endif
