#include "priv/lookup.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "os/caps.h"
#include "os/fdpass.h"
#include "os/process.h"
#include "os/resolve.h"
#include "os/sandbox.h"

/* /etc/resolv.conf is a link into /run where a program keeps it. Code: modules that nsswitch.conf names. */
static const struct gh_sandbox_path files[] = {
    { "/etc/resolv.conf", -1, false },  { "/etc/hosts", -1, false },        { "/etc/nsswitch.conf", -1, false },
    { "/etc/gai.conf", -1, false },     { "/etc/host.conf", -1, false },    { "/etc/services", -1, false },
    { "/etc/protocols", -1, false },    { "/etc/ld.so.cache", -1, false },  { "/etc/mdns.allow", -1, false },
    { "/run/systemd/resolve", -1, false }, { "/run/resolvconf", -1, false }, { "/run/NetworkManager", -1, false },
    { "/lib", -1, false },              { "/lib64", -1, false },            { "/usr/lib", -1, false },
    { "/usr/lib64", -1, false },        { "/usr/share/zoneinfo", -1, false },
};

static int give_up_rights(int end, uid_t uid, gid_t gid, pid_t parent)
{
    const struct gh_sandbox sandbox = { GH_SANDBOX_LOOKUP, files, sizeof files / sizeof *files };
    static const int usual[] = { SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGCHLD, SIGALRM };
    sigset_t mask;
    int rc = gh_process_close_others(&end, 1);

    sigemptyset(&mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        signal(usual[i], SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    alarm(GH_LOOKUP_SECONDS);
    if (rc == 0 && uid)
        rc = gh_process_become(uid, gid);
    if (rc == 0)
        rc = gh_caps_drop_all();
    if (rc == 0)
        rc = gh_process_die_with_parent(SIGKILL, parent);
    return rc == 0 ? gh_sandbox_enter(&sandbox, NULL) : rc;
}

static _Noreturn void look_up(const struct gh_priv_lookup *q, int end)
{
    struct gh_resolved *found = calloc(1, sizeof *found);

    if (!found)
        _exit(1);
    gh_resolve(q->host, q->port, found);
    _exit(gh_fdpass_send(end, found, sizeof *found, NULL, 0) < 0);
}

int gh_lookup_start(struct gh_lookups *l, const struct gh_priv_lookup *q, uid_t uid, gid_t gid, void (*forget)(void *arg), void *arg, int *ret_fd)
{
    pid_t *place = NULL, parent = getpid(), pid;
    int ends[2];

    for (size_t i = 0; i < GH_LOOKUPS_MAX && !place; i++)
        place = l->pids[i] ? NULL : &l->pids[i];
    if (!place)
        return GH_ERR_FULL;
    if (gh_fdpass_pair(ends) < 0)
        return GH_ERR_SYSTEM;
    pid = fork();
    if (pid == 0) {
        forget(arg);
        if (give_up_rights(ends[1], uid, gid, parent) < 0)
            _exit(1);
        look_up(q, ends[1]);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return GH_ERR_SYSTEM;
    }
    *place = pid;
    *ret_fd = ends[0];
    return 0;
}

void gh_lookups_reap(struct gh_lookups *l)
{
    for (size_t i = 0; i < GH_LOOKUPS_MAX; i++)
        if (l->pids[i] && waitpid(l->pids[i], NULL, WNOHANG) != 0)
            l->pids[i] = 0;
}

void gh_lookups_stop(struct gh_lookups *l)
{
    for (size_t i = 0; i < GH_LOOKUPS_MAX; i++) {
        if (!l->pids[i])
            continue;
        kill(l->pids[i], SIGKILL);
        waitpid(l->pids[i], NULL, 0);
        l->pids[i] = 0;
    }
}
