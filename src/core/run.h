/* core/run.h - the child's main: reads the configuration, runs the node, obeys signals and file changes
 *
 * SIGHUP, a changed file, an operator's wish: the parent has a short-lived child of its own check the configuration (which may name
 * new files), then everything is read again, checked, swapped, and the generation logged; a bad file changes nothing. SIGTERM: drain,
 * then let go in the order of enum gh_release. A second SIGTERM: at once.
 */
#ifndef GH_CORE_RUN_H
#define GH_CORE_RUN_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/lifecycle.h"
#include "core/node_conf.h"
#include "core/privileged.h"
#include "core/pulse.h"
#include "os/sandbox.h"

struct gh_workers;
struct gh_port_opener;
struct gh_port_sessions;
struct gh_port_trace;
struct gh_port_tunnels;
struct gh_port_users;

#define GH_RUN_WHY 8192u

/* How the last reload went. */
struct gh_run_reload {
    int64_t wall; /* 0: there was none yet */
    bool ok;
    char why[GH_RUN_WHY]; /* lines; "" when it was good */
};

/* What services find behind gh_node_user. */
struct gh_run {
    struct gh_privileged *privileged;
    struct gh_workers *workers;
    struct gh_node *node;
    struct gh_node_conf conf;
    struct gh_pulse pulse;
    pthread_mutex_t lock;        /* of the two */
    struct gh_run_reload reload; /* read it with gh_run_last_reload */
    char reload_why[GH_RUN_WHY]; /* of the one that is under way */
    int64_t started_wall;
    struct gh_sandbox_report sandbox;
    /* Set by the service that has them, when it loads; NULL when none does. */
    const struct gh_port_sessions *sessions;
    const struct gh_port_trace *trace; /* packets that are watched; what was recorded is the workers' */
    const struct gh_port_tunnels *tunnels;
    const struct gh_port_users *users;
    const struct gh_port_opener *opener;
    const char *(*policy_version)(void *arg, char *buf, size_t cap); /* any thread; "" without a policy */
    void *policy_arg;
    _Atomic int exit_code; /* of the process, when a service made it end; 0 otherwise */
    /* Any thread: what SIGTERM and SIGHUP do. */
    void (*quit)(struct gh_run *run);
    int (*ask_reload)(struct gh_run *run, void (*done)(void *arg, bool ok), void *arg); /* 0, or GH_ERR_STATE: one is under way; <done> on the thread that runs the node */
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
/* Any thread. */
void gh_run_last_reload(struct gh_run *run, struct gh_run_reload *ret);
/* A service that refuses a reload in prepare says why, a line at a time, as in "policy.yaml:3:5: no such action". */
void gh_run_reload_note(struct gh_run *run, const char *line);
static inline struct gh_run *gh_run_of(const struct gh_node *node)
{
    return gh_node_user(node);
}

/* Any thread: a service ends the process, as SIGTERM does, with an exit code of DESIGN 5. The first one counts. */
void gh_run_leave(struct gh_run *run, int exit_code);

#define GH_RUN_SECTIONS 32
/* The sections that a node of these services reads: its own, then theirs. Ends with NULL. */
void gh_run_sections(const struct gh_service *const *services, const struct gh_conf_section *ret[GH_RUN_SECTIONS]);

/* The exit code of the process (DESIGN 5). */
int gh_run_node(const struct gh_run_config *cfg);
/* What the parent's short-lived child does before a reload: reads the configuration and names the files that it has. It says nothing:
 * the running child finds the same errors and has the log. Exit code. */
int gh_run_name_files(const struct gh_run_config *cfg);
/* Parses and checks alone; prints what is wrong to standard error. Exit code. */
int gh_run_check(const char *path, const struct gh_service *const *services, const char *const *env);

#endif
