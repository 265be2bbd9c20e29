#include "priv/program.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "os/process.h"

#define OUTPUT_MAX (16u << 20)

static _Noreturn void become(const char *program, const char *const argv[], int in, int out, pid_t parent)
{
    char *envp[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };
    sigset_t none;

    setsid(); /* Ctrl-C at the terminal is for us */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || gh_process_die_with_parent(SIGKILL, parent) < 0)
        _exit(126);
    execve(program, (char *const *)argv, envp);
    _exit(127);
}

/* Memory files for both sides: no pipe can fill up, and nothing is left when one of the two dies. */
static int file_with(const char *text, size_t len)
{
    int fd = memfd_create("program", MFD_CLOEXEC);

    if (fd < 0)
        return -1;
    if (write(fd, text, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    close(fd);
    return -1;
}

static int read_back(int fd, char **ret)
{
    struct stat st;
    char *text;
    ssize_t n;

    if (fstat(fd, &st) < 0 || st.st_size > OUTPUT_MAX)
        return GH_ERR_SYSTEM;
    text = malloc((size_t)st.st_size + 1);
    if (!text)
        return GH_ERR_MEMORY;
    n = pread(fd, text, (size_t)st.st_size, 0);
    text[n > 0 ? n : 0] = 0;
    *ret = text;
    return 0;
}

/* Without a descriptor of the process (an old kernel) it is waited for however long it takes. */
static int wait_for(pid_t pid)
{
    struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
    int status, rc = 0, n = 1;

    if (p.fd >= 0) {
        do
            n = poll(&p, 1, GH_PROGRAM_SECONDS * 1000);
        while (n < 0 && errno == EINTR);
        close(p.fd);
    }
    if (n == 0) {
        rc = GH_ERR_TIMEOUT;
        if (kill(-pid, SIGKILL) < 0)
            kill(pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return GH_ERR_SYSTEM;
    return rc < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0) ? rc : GH_ERR_SYSTEM;
}

int gh_program_run(const char *const paths[], const char *const argv[], const char *text, size_t len, char **ret_out)
{
    pid_t self = getpid(), pid;
    int in = -1, out = -1, rc = GH_ERR_SYSTEM, read_rc;

    if (ret_out)
        *ret_out = NULL;
    while (*paths && access(*paths, X_OK) < 0)
        paths++;
    if (!*paths)
        return GH_ERR_NOT_FOUND;
    in = file_with(text, len);
    out = file_with("", 0);
    if (in < 0 || out < 0)
        goto out;
    pid = fork();
    if (pid == 0)
        become(*paths, argv, in, out, self);
    if (pid < 0)
        goto out;
    rc = wait_for(pid);
    read_rc = ret_out ? read_back(out, ret_out) : 0;
    rc = rc < 0 ? rc : read_rc;
out:
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return rc;
}
