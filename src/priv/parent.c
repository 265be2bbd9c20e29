#include "priv/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "os/folder.h"
#include "os/caps.h"
#include "os/fdpass.h"
#include "os/lock.h"
#include "os/process.h"
#include "priv/changes.h"
#include "priv/heap.h"
#include "priv/serve.h"
#include "priv/watch.h"

#define RUN_DIR "/run/gatehouse"
#define OWNER_WAIT_MS 1000 /* a killed owner's child may take a moment to end */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 5000
#define STEADY_MS 10000 /* a child that lived so long begins again without back-off */
#define EVENT_RETRY_MS 100
#define SETUP_FAILED 125 /* exit code of a child that could not give up its rights */

struct child {
    pid_t pid; /* 0: none */
    int requests, events;
    int64_t started;
    struct gh_serve_child state;
};

struct parent {
    const struct gh_priv_config *cfg;
    int lock, signals;
    sigset_t old_mask;
    struct gh_changes *changes;
    struct gh_watches *watches;
    struct gh_serve *serve;
    struct child main, reload;
    bool reload_again; /* asked for while one was checked */
    int64_t restart_at; /* INT64_MAX: the child lives */
    int64_t backoff;
    bool ending, child_ended;
    int exit_code;
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

__attribute__((format(printf, 2, 3))) static void say(const struct parent *p, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (p->cfg->log)
        p->cfg->log(p->cfg->log_arg, text);
    else
        fprintf(stderr, "%s: %s\n", p->cfg->name, text);
}

/* ---- the child ---- */

/* Runs in the child: from a copy of the parent to a process without rights. */
static int give_up_rights(struct parent *p, int requests, int events, pid_t parent)
{
    /* The lock stays open in the child: whoever gets it next knows that this child is gone, too. */
    const int keep[] = { requests, events, p->lock };
    static const int ignored[] = { SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGPIPE }; /* they come as events */
    int rc;

    gh_serve_wipe_keys(p->serve);
    gh_heap_wipe_no_more();
    rc = gh_process_close_others(keep, sizeof keep / sizeof keep[0]);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    sigprocmask(SIG_SETMASK, &p->old_mask, NULL);
    unsetenv("NOTIFY_SOCKET");
    if (p->cfg->uid)
        rc = gh_process_become(p->cfg->uid, p->cfg->gid);
    if (rc == 0)
        rc = gh_caps_drop_all();
    if (rc == 0)
        rc = gh_process_no_new_privs();
    if (rc == 0)
        rc = gh_process_hide_memory(false);
    if (rc == 0)
        rc = gh_process_die_with_parent(SIGKILL, parent);
    return rc;
}

static _Noreturn void be_child(struct parent *p, const struct child *c, int requests, int events, pid_t parent)
{
    struct gh_priv_client *client = NULL;
    int (*run)(struct gh_priv_client *c, int argc, char **argv) = c == &p->reload ? p->cfg->reload_main : p->cfg->child_main;
    int rc = give_up_rights(p, requests, events, parent), code;

    if (rc == 0)
        rc = gh_priv_client_create(requests, events, &client);
    if (rc < 0) {
        say(p, "the child could not give up its rights: %s", gh_error_text(rc));
        _exit(SETUP_FAILED);
    }
    code = run(client, p->cfg->argc, p->cfg->argv);
    gh_priv_client_destroy(client);
    exit(code);
}

static void child_close(struct child *c)
{
    if (c->requests >= 0)
        close(c->requests);
    if (c->events >= 0)
        close(c->events);
    c->requests = c->events = -1;
}

static int child_start(struct parent *p, struct child *c)
{
    int requests[2] = { -1, -1 }, events[2] = { -1, -1 };
    pid_t self = getpid();

    if (gh_fdpass_pair(requests) < 0 || gh_fdpass_pair(events) < 0)
        goto failed;
    fcntl(events[0], F_SETFL, O_NONBLOCK); /* a child that does not read them must not stop us */
    fcntl(requests[0], F_SETFL, O_NONBLOCK);
    gh_serve_child_init(p->serve, &c->state, c == &p->reload);
    if (c == &p->main)
        gh_serve_wipe_keys(p->serve); /* they were the last child's */
    fflush(NULL);
    c->pid = fork();
    if (c->pid == 0)
        be_child(p, c, requests[1], events[1], self);
    if (c->pid < 0)
        goto failed;
    close(requests[1]);
    close(events[1]);
    c->requests = requests[0];
    c->events = events[0];
    c->started = now_ms();
    return 0;
failed:
    c->pid = 0;
    for (int i = 0; i < 2; i++) {
        if (requests[i] >= 0)
            close(requests[i]);
        if (events[i] >= 0)
            close(events[i]);
    }
    gh_serve_child_fini(&c->state);
    return GH_ERR_SYSTEM;
}

static int send_event(const struct child *c, uint32_t kind, uint32_t id, int fd)
{
    struct gh_priv_event e;

    memset(&e, 0, sizeof e);
    e.kind = kind;
    e.id = id;
    e.fd = -1;
    return c->events < 0 ? GH_ERR_CLOSED : gh_fdpass_send(c->events, &e, sizeof e, &fd, fd >= 0 ? 1 : 0);
}

static void on_hangup(struct parent *p);

static void on_request(struct parent *p, struct child *c)
{
    struct gh_priv_request q;
    struct gh_answer a;
    int rc = gh_fdpass_receive(c->requests, &q, sizeof q, NULL, 0, NULL, MSG_DONTWAIT);

    if (rc == GH_ERR_AGAIN)
        return;
    if (rc == GH_ERR_CLOSED || rc == GH_ERR_SYSTEM) { /* its end comes as a signal */
        close(c->requests);
        c->requests = -1;
        return;
    }
    if (rc < 0) {
        memset(&q, 0, sizeof q);
        q.kind = GH_PRIV_KIND_COUNT; /* refused as what it is: nothing that we know */
    }
    gh_serve_answer(p->serve, &c->state, &q, &a);
    rc = gh_fdpass_send(c->requests, &a.reply, sizeof a.reply, a.fds, a.fd_count);
    if (a.fresh)
        for (size_t i = 0; i < a.fd_count; i++)
            close(a.fds[i]);
    if (rc < 0 && rc != GH_ERR_CLOSED)
        say(p, "an answer was lost: %s", strerror(errno));
    if (q.kind == GH_PRIV_RELOAD && a.reply.rc == 0)
        on_hangup(p);
}

/* ---- its end ---- */

static void schedule_restart(struct parent *p, int status)
{
    int64_t now = now_ms();

    if (now - p->main.started >= STEADY_MS)
        p->backoff = 0;
    say(p, "the child was ended by signal %d (%s); a new one starts in %d ms", WTERMSIG(status), strsignal(WTERMSIG(status)),
        (int)p->backoff);
    p->restart_at = now + p->backoff;
    p->backoff = p->backoff == 0 ? BACKOFF_FIRST_MS : p->backoff * 2 < BACKOFF_MAX_MS ? p->backoff * 2 : BACKOFF_MAX_MS;
}

static void on_main_end(struct parent *p, int status)
{
    if (WIFSIGNALED(status) && !p->ending) {
        schedule_restart(p, status);
        return;
    }
    p->ending = true;
    p->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void on_reload_end(struct parent *p, const struct gh_serve_child *state, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);

    if (code == 0 && p->main.pid && gh_serve_child_merge(&p->main.state, state) == 0)
        send_event(&p->main, GH_PRIV_EVENT_SIGNAL, SIGHUP, -1);
    else if (p->main.pid)
        send_event(&p->main, GH_PRIV_EVENT_RELOAD_FAILED, (uint32_t)code, -1);
}

static void reap(struct parent *p, struct child *c)
{
    int status;

    if (!c->pid || waitpid(c->pid, &status, WNOHANG) != c->pid)
        return;
    while (c->requests >= 0) { /* what it asked for last: a goodbye to the service manager, say */
        struct pollfd f = { .fd = c->requests, .events = POLLIN };

        if (poll(&f, 1, 0) <= 0)
            break;
        on_request(p, c);
    }
    c->pid = 0;
    child_close(c);
    if (c == &p->main)
        on_main_end(p, status);
    else
        on_reload_end(p, &c->state, status);
    gh_serve_child_fini(&c->state);
    if (c == &p->reload && p->reload_again)
        on_hangup(p);
}

/* ---- signals and files ---- */

static void on_end_signal(struct parent *p)
{
    if (p->ending && p->main.pid) {
        kill(p->main.pid, SIGKILL); /* the second one: at once */
        return;
    }
    p->ending = true;
    if (p->main.pid)
        send_event(&p->main, GH_PRIV_EVENT_SIGNAL, SIGTERM, -1);
    else
        p->restart_at = INT64_MAX;
}

static void on_hangup(struct parent *p)
{
    p->reload_again = p->main.pid && p->reload.pid;
    if (!p->main.pid || p->reload.pid) /* a new child reads everything anyway */
        return;
    if (!p->cfg->reload_main)
        send_event(&p->main, GH_PRIV_EVENT_SIGNAL, SIGHUP, -1);
    else if (child_start(p, &p->reload) < 0)
        send_event(&p->main, GH_PRIV_EVENT_RELOAD_FAILED, SETUP_FAILED, -1);
}

static void on_signals(struct parent *p)
{
    struct signalfd_siginfo s;

    while (read(p->signals, &s, sizeof s) == (ssize_t)sizeof s) {
        switch (s.ssi_signo) {
        case SIGTERM:
        case SIGINT:
            on_end_signal(p);
            break;
        case SIGHUP:
            on_hangup(p);
            break;
        case SIGQUIT:
            send_event(&p->main, GH_PRIV_EVENT_SIGNAL, SIGQUIT, -1);
            break;
        default:
            p->child_ended = true; /* SIGCHLD: reaped at the end of the turn */
        }
    }
}

static void tell_changed_files(struct parent *p, int64_t now)
{
    int id;

    gh_watches_look(p->watches, now);
    for (id = gh_watches_next(p->watches); id >= 0; id = gh_watches_next(p->watches)) {
        const char *path = gh_watches_path(p->watches, id);
        int fd = gh_serve_is_key(p->serve, path) ? -1 : gh_serve_open_file(path);
        int rc = send_event(&p->main, GH_PRIV_EVENT_FILE, (uint32_t)id, fd);

        if (fd >= 0)
            close(fd);
        if (rc == GH_ERR_AGAIN) {
            gh_watches_again(p->watches, id, now + EVENT_RETRY_MS);
            return;
        }
    }
}

/* ---- running ---- */

static int wait_ms(const struct parent *p)
{
    int64_t at = p->restart_at < gh_watches_deadline(p->watches) ? p->restart_at : gh_watches_deadline(p->watches);
    int64_t left = at == INT64_MAX ? -1 : at - now_ms();

    if (at != INT64_MAX && left < 0)
        left = 0;
    return left > 60000 ? 60000 : (int)left;
}

static void turn(struct parent *p)
{
    struct pollfd fds[] = {
        { .fd = p->signals, .events = POLLIN },
        { .fd = p->main.requests, .events = POLLIN },
        { .fd = p->reload.requests, .events = POLLIN },
        { .fd = gh_watches_fd(p->watches), .events = POLLIN },
    };
    int64_t now;

    if (poll(fds, 4, wait_ms(p)) < 0 && errno != EINTR)
        return;
    now = now_ms();
    if (fds[0].revents)
        on_signals(p);
    if (fds[1].revents && p->main.requests >= 0)
        on_request(p, &p->main);
    if (fds[2].revents && p->reload.requests >= 0)
        on_request(p, &p->reload);
    if (fds[3].revents)
        gh_watches_on_ready(p->watches, now);
    if (p->main.pid && now >= gh_watches_deadline(p->watches))
        tell_changed_files(p, now);
    if (p->child_ended) {
        p->child_ended = false;
        gh_serve_reap(p->serve);
        reap(p, &p->reload);
        reap(p, &p->main);
    }
    if (!p->ending && !p->main.pid && now_ms() >= p->restart_at) {
        p->restart_at = INT64_MAX;
        if (child_start(p, &p->main) < 0)
            p->restart_at = now + BACKOFF_MAX_MS;
    }
}

static int open_run_dir(const char *run_dir)
{
    const char *path = run_dir ? run_dir : RUN_DIR;
    int fd;

    if (gh_folder_make(path, 0755) < 0)
        return errno == EACCES || errno == EPERM || errno == EROFS ? GH_ERR_DENIED : GH_ERR_SYSTEM;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? GH_ERR_SYSTEM : fd;
}

static bool name_ok(const char *name)
{
    size_t len = strlen(name);

    return len >= 1 && len <= 32
           && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == len;
}

/* The lock, and what a dead owner left put back. */
static int take_over(const char *name, const char *run_dir, int wait, struct gh_changes **ret, int *ret_lock, int *ret_left)
{
    char file[48];
    int dir, lock, rc;

    if (!name_ok(name))
        return GH_ERR_RANGE;
    dir = open_run_dir(run_dir);
    if (dir < 0)
        return dir;
    snprintf(file, sizeof file, "%s.lock", name);
    lock = gh_lock_open(dir, file, wait);
    if (lock < 0) {
        close(dir);
        return lock;
    }
    rc = gh_changes_open(dir, name, ret, ret_left);
    if (rc < 0) {
        close(lock);
        return rc;
    }
    *ret_lock = lock;
    return 0;
}

int gh_priv_cleanup(const char *name, const char *run_dir)
{
    struct gh_changes *changes = NULL;
    int lock, left, rc = take_over(name, run_dir, OWNER_WAIT_MS, &changes, &lock, &left);

    if (rc < 0)
        return rc;
    gh_changes_close(changes);
    close(lock);
    return left;
}

static int prepare(struct parent *p)
{
    static const int wanted[] = { SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGCHLD };
    sigset_t mask;
    int left = 0, rc;

    sigemptyset(&mask);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        sigaddset(&mask, wanted[i]);
    sigprocmask(SIG_BLOCK, &mask, &p->old_mask);
    rc = gh_heap_wipe();
    if (rc < 0)
        return rc;
    rc = take_over(p->cfg->name, p->cfg->run_dir, OWNER_WAIT_MS, &p->changes, &p->lock, &left);
    if (rc < 0)
        return rc;
    if (left)
        say(p, "put back %d things that a killed instance had left", left);
    rc = gh_watches_create(&p->watches);
    if (rc == 0)
        rc = gh_serve_create(p->cfg, p->changes, p->watches, getenv("NOTIFY_SOCKET"), &p->serve);
    if (rc < 0)
        return rc;
    p->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    return p->signals < 0 ? GH_ERR_SYSTEM : 0;
}

static void stop_reload(struct parent *p)
{
    if (!p->reload.pid)
        return;
    kill(p->reload.pid, SIGKILL);
    waitpid(p->reload.pid, NULL, 0);
    child_close(&p->reload);
    gh_serve_child_fini(&p->reload.state);
}

int gh_priv_run(const struct gh_priv_config *cfg)
{
    struct parent p = { .cfg = cfg, .lock = -1, .signals = -1, .restart_at = 0 };
    int rc;

    p.main.requests = p.main.events = p.reload.requests = p.reload.events = -1;
    rc = prepare(&p);
    while (rc == 0 && !(p.ending && !p.main.pid))
        turn(&p);
    stop_reload(&p);
    gh_changes_close(p.changes); /* rules, routes, addresses first: they want the device that the next line closes */
    gh_serve_destroy(p.serve);
    gh_watches_destroy(p.watches);
    if (p.signals >= 0)
        close(p.signals);
    if (p.lock >= 0)
        close(p.lock);
    sigprocmask(SIG_SETMASK, &p.old_mask, NULL);
    return rc < 0 ? rc : p.exit_code;
}
