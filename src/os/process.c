#include "os/process.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"

int gh_process_no_new_privs(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? GH_ERR_SYSTEM : 0;
}

int gh_process_die_with_parent(int signal, pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, (unsigned long)signal, 0, 0, 0) < 0)
        return GH_ERR_SYSTEM;
    return getppid() == parent ? 0 : GH_ERR_CLOSED; /* it may have ended before the call took effect */
}

void gh_process_name_thread(const char *name)
{
    char text[16];

    snprintf(text, sizeof text, "%s", name);
    prctl(PR_SET_NAME, text, 0, 0, 0);
}

int gh_process_limit_files(size_t want)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) < 0)
        return GH_ERR_SYSTEM;
    if (l.rlim_cur >= want)
        return 0;
    l.rlim_cur = want < l.rlim_max ? want : l.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &l) < 0 ? GH_ERR_SYSTEM : 0;
}

unsigned gh_process_descriptors(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) < 0)
        return 1024;
    return l.rlim_cur > UINT_MAX ? UINT_MAX : (unsigned)l.rlim_cur;
}

int gh_process_hide_memory(bool hide)
{
    return prctl(PR_SET_DUMPABLE, hide ? 0 : 1, 0, 0, 0) < 0 ? GH_ERR_SYSTEM : 0;
}

uid_t gh_process_user(void)
{
    return getuid();
}

int gh_process_find_user(const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
    struct passwd entry, *found = NULL;
    char buf[4096];
    int error = getpwnam_r(name, &entry, buf, sizeof buf, &found);

    if (!found)
        return error == 0 || error == ENOENT || error == ESRCH ? GH_ERR_NOT_FOUND : GH_ERR_SYSTEM;
    *ret_uid = found->pw_uid;
    *ret_gid = found->pw_gid;
    return 0;
}

int gh_process_become(uid_t uid, gid_t gid)
{
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return errno == EPERM ? GH_ERR_DENIED : GH_ERR_SYSTEM;
    return 0;
}

static int compare_fds(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

int gh_process_close_others(const int *keep, size_t count)
{
    int sorted[16];
    unsigned from = 3;

    if (count > sizeof sorted / sizeof sorted[0])
        return GH_ERR_RANGE;
    for (size_t i = 0; i < count; i++)
        sorted[i] = keep[i];
    qsort(sorted, count, sizeof sorted[0], compare_fds);
    for (size_t i = 0; i < count; i++) {
        if (sorted[i] < (int)from)
            continue;
        if ((unsigned)sorted[i] > from && close_range(from, (unsigned)sorted[i] - 1, 0) < 0)
            return GH_ERR_SYSTEM;
        from = (unsigned)sorted[i] + 1;
    }
    return close_range(from, UINT32_MAX, 0) < 0 ? GH_ERR_SYSTEM : 0;
}
