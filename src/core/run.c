#include "core/run.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/list.h"
#include "core/audit_open.h"
#include "core/dump.h"
#include "core/secret.h"
#include "loop/worker.h"
#include "os/clock.h"
#include "os/process.h"

#define EXIT_CHECK_FAILED 1
#define EXIT_RETRY 75
#define FOLDERS_MAX 8u /* that services serve */
#define AUDIT_PATIENCE (2 * GH_NANOSECONDS)
#define POLL_MS 20 /* while draining: how often it is asked whether all is done */

struct runner {
    const struct gh_run_config *cfg;
    struct gh_run run;
    struct gh_log log;
    struct gh_audit *audit;
    int log_fd; /* ours to close; -1: standard error */
    int wake;   /* eventfd: somebody asked for the end */
    bool draining, now;
    int exit_code;
    _Atomic bool quit_wanted;
    _Atomic bool reload_wanted; /* by a worker; until its <reload_done> is called */
    bool reload_asked;          /* of the parent */
    const char *cause;          /* of the reload that was asked of the parent; NULL: it was a signal */
    void (*reload_done)(void *arg, bool ok);
    void *reload_arg;
};

void gh_run_sections(const struct gh_service *const *services, const struct gh_conf_section *ret[GH_RUN_SECTIONS])
{
    size_t n = 0;

    ret[n++] = &gh_conf_section_node;
    ret[n++] = &gh_conf_section_log;
    ret[n++] = &gh_conf_section_audit;
    ret[n++] = &gh_conf_section_admin;
    for (size_t i = 0; services[i] && n < GH_RUN_SECTIONS - 1; i++)
        if (services[i]->section && services[i]->section != &gh_conf_section_admin)
            ret[n++] = services[i]->section;
    ret[n] = NULL;
}

static void print_errors(const struct gh_conf_errors *errors)
{
    struct gh_text text;

    gh_text_init(&text, 1 << 20);
    gh_conf_errors_emit(errors, &text);
    fputs(gh_text_string(&text), stderr);
    gh_text_fini(&text);
}

int gh_run_check(const char *path, const struct gh_service *const *services, const char *const *env)
{
    const struct gh_conf_section *sections[GH_RUN_SECTIONS];
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    int rc;

    gh_run_sections(services, sections);
    gh_conf_errors_init(&errors);
    rc = gh_conf_parse_file(path, sections, env, &errors, &conf);
    if (rc < 0)
        print_errors(&errors);
    gh_conf_errors_fini(&errors);
    gh_conf_destroy(conf);
    return rc < 0 ? EXIT_CHECK_FAILED : 0;
}

/* A secret that the environment names by its file: the parent opens it, the child need not be able to. */
static int read_named(void *arg, const char *path, struct gh_text *ret, const char **ret_why)
{
    struct gh_privileged *p = arg;
    int rc = gh_privileged_read_file(p, path, GH_SECRET_MAX, ret);

    if (rc < 0) {
        *ret = (struct gh_text){ 0 };
        *ret_why = gh_privileged_why(p);
    }
    return rc;
}

/* Reads the file through the parent: the child need not be able to. */
static int read_conf(struct runner *r, struct gh_conf_errors *errors, struct gh_conf **ret)
{
    const struct gh_conf_section *sections[GH_RUN_SECTIONS];
    struct gh_text text;
    struct gh_conf_input in = { .file = r->cfg->config_path, .env = r->cfg->env, .sections = sections,
                                .read_file = read_named, .arg = r->cfg->privileged };
    int rc = gh_privileged_read_file(r->cfg->privileged, r->cfg->config_path, GH_CONF_FILE_MAX, &text);

    if (rc < 0) {
        gh_conf_errors_add(errors, 0, 0, "%s: %s", r->cfg->config_path, gh_privileged_why(r->cfg->privileged));
        return rc;
    }
    gh_run_sections(r->cfg->services, sections);
    in.yaml = gh_span_of(text.data, text.len);
    rc = gh_conf_parse(&in, errors, ret);
    gh_text_fini(&text);
    return rc;
}

static void name_file(struct gh_privileged *p, const struct gh_conf_row *row, const char *path)
{
    struct gh_signer signer;
    uint32_t id;
    int fd;

    if (row->key) /* only looked at: nothing to be released */
        (void)gh_privileged_open_key(p, path, false, &signer);
    if (row->key && row->tls12)
        (void)gh_privileged_open_key(p, path, true, &signer);
    if (!row->key && gh_privileged_open_file(p, path, &fd) == 0) /* named is enough: the running child says why it cannot be read */
        close(fd);
    (void)gh_privileged_watch(p, path, &id);
}

int gh_run_name_files(const struct gh_run_config *cfg)
{
    struct runner r = { .cfg = cfg };
    const struct gh_conf_section *sections[GH_RUN_SECTIONS];
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    int rc;

    if (gh_sandbox_enter(&(struct gh_sandbox){ .kind = GH_SANDBOX_READER }, NULL) < 0)
        return EXIT_CHECK_FAILED;
    gh_conf_errors_init(&errors);
    rc = read_conf(&r, &errors, &conf);
    gh_conf_errors_fini(&errors);
    if (rc < 0)
        return EXIT_CHECK_FAILED;
    gh_run_sections(cfg->services, sections);
    for (size_t i = 0; sections[i]; i++)
        for (unsigned row = 0; gh_conf_has(conf, sections[i]) && sections[i]->rows[row].name; row++) {
            const struct gh_conf_row *at = &sections[i]->rows[row];

            /* a path that a reload applies is a file that is read, or a key that signs */
            if (at->type == GH_CONF_PATH && at->reload && *gh_conf_string(conf, sections[i], row))
                name_file(cfg->privileged, at, gh_conf_string(conf, sections[i], row));
        }
    gh_conf_destroy(conf);
    return 0;
}

static void open_log(struct runner *r)
{
    const struct gh_node_conf *c = &r->run.conf;
    int fd = STDERR_FILENO;

    r->log_fd = -1;
    if (strcmp(c->log_file, "-") != 0) {
        if (gh_privileged_open_append(r->cfg->privileged, c->log_file, &r->log_fd) == 0)
            fd = r->log_fd;
        else
            fprintf(stderr, "gatehouse: log file %s: %s; lines go to standard error\n", c->log_file, gh_privileged_why(r->cfg->privileged));
    }
    gh_log_init(&r->log, fd, c->log_format, c->log_level);
}

/* The folders that the configuration serves. */
static size_t add_folders(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_sandbox_path *ret, size_t max)
{
    size_t count = 0;

    if (!section || !gh_conf_has(conf, section))
        return 0;
    for (unsigned row = 0; section->rows[row].name && count < max; row++)
        if (section->rows[row].folder && *gh_conf_string(conf, section, row))
            ret[count++] = (struct gh_sandbox_path){ .path = gh_conf_string(conf, section, row), .fd = -1 };
    return count;
}

/* While there is one thread: what starts later is bound, too. */
static int enter_sandbox(struct runner *r, const struct gh_conf *conf)
{
    struct gh_sandbox_path paths[1 + FOLDERS_MAX] = { { .path = NULL, .fd = -1, .write = true } }, *state = &paths[0];
    struct gh_sandbox s = { GH_SANDBOX_NODE, paths, 1, .journal = r->run.conf.audit_journal };
    bool keeps = r->run.conf.audit_chain;
    int rc;

    for (size_t i = 0; r->cfg->services[i]; i++) {
        const struct gh_service *service = r->cfg->services[i];

        keeps |= service->keeps_state;
        if (!service->section || gh_conf_has(conf, service->section)) {
            s.connect |= service->connects || (service->may_connect && service->may_connect(conf));
            keeps |= service->may_keep_state && service->may_keep_state(conf);
        }
        s.path_count += add_folders(conf, service->section, paths + s.path_count, 1 + FOLDERS_MAX - s.path_count);
    }
    if (s.connect)
        (void)gh_process_limit_files(SIZE_MAX); /* as many as there may be; fewer is no error */
    if (keeps) /* when it cannot be opened, its service says so */
        (void)gh_privileged_open_state_dir(r->cfg->privileged, r->run.conf.state_dir, &state->fd);
    rc = gh_sandbox_enter(&s, &r->run.sandbox);
    if (state->fd >= 0)
        close(state->fd);
    if (rc < 0)
        gh_log_event(&r->log, GH_LOG_ERROR, "core", "sandbox cannot be entered", gh_log_errno("error", errno));
    else
        gh_log_event(&r->log, r->run.sandbox.landlock ? GH_LOG_INFO : GH_LOG_WARN, "core",
                     r->run.sandbox.landlock ? "sandbox entered" : "the kernel has no Landlock: modes alone guard files",
                     gh_log_int("landlock", r->run.sandbox.landlock), gh_log_bool("seccomp", r->run.sandbox.seccomp));
    return rc;
}

static void describe(void *user, struct gh_description *d)
{
    const struct gh_run *run = user;

    gh_describe_feature(d, "landlock", run->sandbox.landlock > 0, true, "the kernel has none");
    gh_describe_feature(d, "seccomp", run->sandbox.seccomp, true, "not entered");
}

struct start_job {
    struct gh_node *node;
    int rc;
};

static void start_worker(struct gh_worker *w, void *arg)
{
    struct start_job *j = arg;

    j->rc = gh_node_start(j->node, w);
}

static void stop_worker(struct gh_worker *w, void *arg)
{
    gh_node_stop(arg, w);
}

static int start_workers(struct runner *r)
{
    struct start_job job = { .node = r->run.node };
    unsigned n = gh_workers_count(r->run.workers), i = 0;
    int rc = gh_workers_start(r->run.workers);

    if (rc < 0)
        return rc;
    for (; i < n && rc == 0; i++) {
        rc = gh_worker_call(gh_workers_at(r->run.workers, i), start_worker, &job);
        rc = rc < 0 ? rc : job.rc;
    }
    if (rc < 0)
        while (i-- > 1)
            gh_worker_call(gh_workers_at(r->run.workers, i - 1), stop_worker, r->run.node);
    return rc;
}

static void stop_workers(struct runner *r)
{
    for (unsigned i = gh_workers_count(r->run.workers); i-- > 0;)
        gh_worker_call(gh_workers_at(r->run.workers, i), stop_worker, r->run.node);
    gh_workers_stop(r->run.workers);
}

void gh_run_last_reload(struct gh_run *run, struct gh_run_reload *ret)
{
    pthread_mutex_lock(&run->lock);
    *ret = run->reload;
    pthread_mutex_unlock(&run->lock);
}

void gh_run_reload_note(struct gh_run *run, const char *line)
{
    size_t len;

    pthread_mutex_lock(&run->lock);
    len = strlen(run->reload_why);
    snprintf(run->reload_why + len, sizeof run->reload_why - len, "%s%s", len ? "\n" : "", line);
    pthread_mutex_unlock(&run->lock);
}

static void begin_reload(struct runner *r)
{
    pthread_mutex_lock(&r->run.lock);
    r->run.reload_why[0] = 0;
    pthread_mutex_unlock(&r->run.lock);
}

static void end_reload(struct runner *r, int rc)
{
    pthread_mutex_lock(&r->run.lock);
    r->run.reload.wall = gh_clock_wall();
    r->run.reload.ok = rc == 0;
    snprintf(r->run.reload.why, sizeof r->run.reload.why, "%s", rc == 0 ? "" : r->run.reload_why[0] ? r->run.reload_why : gh_error_text(rc));
    pthread_mutex_unlock(&r->run.lock);
}

static int take_conf(struct runner *r, struct gh_conf *next, const char *cause)
{
    int rc;

    /* what the next configuration does not name any more is none of ours; a refused one leaves everything watched */
    (void)gh_privileged_watch_begin(r->cfg->privileged);
    rc = gh_node_reload(r->run.node, next, cause);
    if (rc < 0)
        return rc;
    (void)gh_run_watch(&r->run, r->cfg->config_path);
    (void)gh_privileged_watch_end(r->cfg->privileged);
    gh_node_conf_load(gh_node_conf_current(r->run.node), &r->run.conf);
    gh_log_set_level(&r->log, r->run.conf.log_level);
    return 0;
}

static void refuse_conf(struct runner *r, const char *cause, const char *errors)
{
    gh_log_event(&r->log, GH_LOG_ERROR, "core", "Reload refused, the last good configuration stays", gh_log_str("errors", errors),
                 gh_log_str("cause", cause));
    gh_run_reload_note(&r->run, errors);
}

/* <checked>: what the parent's short-lived child found, 0 or its exit code. */
static bool reload(struct runner *r, const char *cause, int checked)
{
    struct gh_conf_errors errors;
    struct gh_conf *next = NULL;
    struct gh_text text;
    int rc;

    gh_privileged_notify(r->cfg->privileged, GH_PRIV_RELOADING, "reading the configuration again");
    begin_reload(r);
    gh_conf_errors_init(&errors);
    gh_text_init(&text, GH_RUN_WHY);
    rc = read_conf(r, &errors, &next);
    if (rc < 0) {
        gh_conf_errors_emit(&errors, &text);
        refuse_conf(r, cause, gh_text_string(&text));
    } else if (checked != 0) { /* it was bad a moment ago; its files are not granted */
        gh_text_printf(&text, "the check of the configuration ended with %d", checked);
        refuse_conf(r, cause, gh_text_string(&text));
        gh_conf_destroy(next);
        rc = GH_ERR_STATE;
    } else {
        rc = take_conf(r, next, cause);
    }
    end_reload(r, rc);
    malloc_trim(0); /* what was parsed leaves holes between what stays */
    gh_text_fini(&text);
    gh_conf_errors_fini(&errors);
    gh_privileged_notify(r->cfg->privileged, GH_PRIV_READY, rc == 0 ? "serving" : "serving; the last reload was refused");
    return rc == 0;
}

static void answer_reload(struct runner *r, bool ok)
{
    void (*done)(void *arg, bool ok) = r->reload_done;
    void *arg = r->reload_arg;

    if (!r->reload_asked)
        return;
    r->reload_asked = false;
    atomic_store(&r->reload_wanted, false); /* the next one may come while <done> runs */
    done(arg, ok);
}

/* The parent has checked the configuration, whoever wanted that. */
static void on_checked(struct runner *r, int checked)
{
    const char *cause = r->cause ? r->cause : "SIGHUP";

    r->cause = NULL;
    answer_reload(r, !r->draining && reload(r, cause, checked));
    /* also when the configuration is bad: whoever moved the file away wants it to end */
    gh_audit_open_again(r->cfg->privileged, &r->run.conf, &r->log, r->audit);
}

/* An event follows. */
static void ask_check(struct runner *r, const char *cause)
{
    int rc = r->draining ? GH_ERR_STATE : gh_privileged_reload(r->cfg->privileged);

    r->cause = cause;
    if (rc == 0)
        return;
    gh_log_event(&r->log, GH_LOG_ERROR, "core", "Reload refused, the last good configuration stays", gh_log_result("error", rc), gh_log_str("cause", cause));
    begin_reload(r);
    end_reload(r, rc);
    answer_reload(r, false);
}

int gh_run_watch(struct gh_run *run, const char *path)
{
    uint32_t id;

    return gh_privileged_watch(run->privileged, path, &id);
}

static void begin_drain(struct runner *r)
{
    if (r->draining) {
        r->now = true; /* asked twice */
        return;
    }
    r->draining = true;
    gh_log_event(&r->log, GH_LOG_INFO, "core", "draining", gh_log_duration("drain_timeout", r->run.conf.drain_timeout));
    gh_privileged_notify(r->cfg->privileged, GH_PRIV_STOPPING, "draining");
    gh_node_drain(r->run.node);
    gh_node_release(r->run.node, GH_RELEASE_READY, GH_RELEASE_GOAWAY);
}

/* What the parent has to say. False when it is gone. */
static bool obey(struct runner *r)
{
    struct gh_priv_event e;
    int rc;
    bool changed = false;

    for (;;) {
        rc = r->cfg->privileged->event_next(r->cfg->privileged->client, &e);
        if (rc != 1)
            break;
        if (e.kind == GH_PRIV_EVENT_FILE) {
            if (e.fd >= 0)
                close(e.fd); /* files are read again by name, all of them: they belong together */
            changed = true;
        } else if (e.kind == GH_PRIV_EVENT_RELOAD_FAILED) {
            on_checked(r, (int)e.id);
        } else if (e.id == SIGHUP) {
            on_checked(r, 0);
        } else if (e.id == SIGTERM || e.id == SIGINT) {
            begin_drain(r);
        } else if (e.id == SIGQUIT) {
            gh_dump(&r->run);
        }
    }
    if (changed && !r->draining)
        ask_check(r, "file changed");
    return rc >= 0;
}

/* What a worker asked for. */
static void obey_worker(struct runner *r)
{
    if (atomic_load(&r->reload_wanted) && !r->reload_asked) {
        r->reload_asked = true;
        ask_check(r, "operator");
    }
    if (atomic_load(&r->quit_wanted) && !r->draining)
        begin_drain(r);
}

/* How long the next wait may be, ms. */
static int patience(const struct runner *r)
{
    int64_t ms = (gh_pulse_next(&r->run.pulse) - gh_clock_now()) / 1000000 + 1;

    if (ms < 0)
        ms = 0;
    return r->draining && ms > POLL_MS ? POLL_MS : (int)ms;
}

static void run_until_end(struct runner *r)
{
    struct pollfd fds[] = { { .fd = r->cfg->privileged->event_fd(r->cfg->privileged->client), .events = POLLIN }, { .fd = r->wake, .events = POLLIN } };
    int64_t end = INT64_MAX;
    uint64_t n;

    while (!r->now) {
        if (gh_pulse_beat(&r->run.pulse, gh_clock_now()))
            gh_privileged_notify(r->cfg->privileged, GH_PRIV_WATCHDOG, NULL);
        if (poll(fds, 2, patience(r)) < 0 && errno != EINTR)
            break;
        if (fds[1].revents && read(r->wake, &n, sizeof n) > 0)
            obey_worker(r);
        if (fds[0].revents && !obey(r)) {
            r->exit_code = EXIT_RETRY;
            break;
        }
        if (!r->draining)
            continue;
        if (end == INT64_MAX)
            end = gh_clock_now() + r->run.conf.drain_timeout;
        if (gh_node_drained(r->run.node) || gh_clock_now() >= end)
            break;
    }
}

static void wake(struct runner *r)
{
    uint64_t one = 1;

    if (write(r->wake, &one, sizeof one) < 0)
        abort(); /* an eventfd that cannot take a one: the descriptor is not ours any more */
}

void gh_run_leave(struct gh_run *run, int exit_code)
{
    int none = 0;

    atomic_compare_exchange_strong(&run->exit_code, &none, exit_code);
    run->quit(run);
}

static void ask_quit(struct gh_run *run)
{
    struct runner *r = gh_container_of(run, struct runner, run);

    atomic_store(&r->quit_wanted, true);
    wake(r);
}

static int ask_reload(struct gh_run *run, void (*done)(void *arg, bool ok), void *arg)
{
    struct runner *r = gh_container_of(run, struct runner, run);

    if (atomic_load(&r->reload_wanted)) /* only worker 0 asks */
        return GH_ERR_STATE;
    r->reload_done = done;
    r->reload_arg = arg;
    atomic_store(&r->reload_wanted, true);
    wake(r);
    return 0;
}

/* From ready until the end. */
static int serve(struct runner *r)
{
    int rc = gh_node_load(r->run.node);

    if (rc < 0)
        return rc;
    rc = gh_privileged_phase_run(r->cfg->privileged);
    if (rc == 0)
        rc = start_workers(r);
    if (rc < 0) {
        gh_log_event(&r->log, GH_LOG_ERROR, "core", "workers cannot start", gh_log_result("error", rc));
        gh_workers_stop(r->run.workers);
        gh_node_unload(r->run.node);
        return rc;
    }
    gh_node_started(r->run.node);
    gh_log_event(&r->log, GH_LOG_INFO, "core", "started", gh_log_str("version", GH_VERSION), gh_log_uint("workers", gh_workers_count(r->run.workers)),
                 gh_log_uint("uid", gh_process_user()));
    gh_privileged_notify(r->cfg->privileged, GH_PRIV_READY, "serving");
    run_until_end(r);
    answer_reload(r, false); /* who waits for one that will not come any more */
    gh_node_drain(r->run.node);
    gh_node_release(r->run.node, GH_RELEASE_READY, GH_RELEASE_ADDRESSES);
    stop_workers(r);
    gh_node_release(r->run.node, GH_RELEASE_AUDIT, GH_RELEASE_TUN);
    gh_node_unload(r->run.node);
    return 0;
}

static int create_node(struct runner *r, struct gh_conf *conf)
{
    struct gh_workers_config wc = { .count = r->run.conf.workers, .name = "gatehouse" };
    struct gh_node_setup setup = { .services = r->cfg->services, .conf = conf, .log = &r->log, .audit = r->audit, .describe = describe, .user = &r->run };
    int rc;

    if (r->cfg->max_workers && wc.count > r->cfg->max_workers)
        wc.count = r->cfg->max_workers;
    setup.workers = wc.count;
    rc = gh_workers_create(&wc, &r->run.workers);
    if (rc < 0) {
        gh_conf_destroy(conf);
        return rc;
    }
    gh_pulse_init(&r->run.pulse, r->run.workers, r->cfg->env, getppid()); /* the parent is the service manager's main process */
    return gh_node_create(&setup, &r->run.node);
}

int gh_run_node(const struct gh_run_config *cfg)
{
    struct runner r = { .cfg = cfg, .run.privileged = cfg->privileged, .run.quit = ask_quit, .run.ask_reload = ask_reload };
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    int rc;

    signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&r.run.lock, NULL);
    gh_conf_errors_init(&errors);
    rc = read_conf(&r, &errors, &conf);
    if (rc < 0)
        print_errors(&errors);
    gh_conf_errors_fini(&errors);
    if (rc < 0)
        return EXIT_CHECK_FAILED;
    gh_node_conf_load(conf, &r.run.conf);
    r.run.started_wall = gh_clock_wall();
    r.run.privileged = cfg->privileged;
    r.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    open_log(&r);
    gh_run_watch(&r.run, cfg->config_path);
    rc = enter_sandbox(&r, conf);
    if (rc == 0)
        rc = gh_audit_open(cfg->privileged, &r.run.conf, &r.log, &r.audit);
    if (rc == 0)
        rc = create_node(&r, conf);
    else
        gh_conf_destroy(conf);
    if (rc == 0)
        rc = serve(&r);
    gh_node_destroy(r.run.node);
    gh_workers_destroy(r.run.workers);
    gh_audit_destroy(r.audit, AUDIT_PATIENCE);
    gh_log_fini(&r.log);
    if (r.log_fd >= 0)
        close(r.log_fd);
    if (r.wake >= 0)
        close(r.wake);
    pthread_mutex_destroy(&r.run.lock);
    if (rc < 0)
        return EXIT_CHECK_FAILED;
    return r.exit_code ? r.exit_code : atomic_load(&r.run.exit_code);
}
