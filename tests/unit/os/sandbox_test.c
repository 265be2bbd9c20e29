/* What a process can still do in the sandbox, tried in a process of its own: its exit code, or the signal that ended it. */
#include "../test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "os/resolve.h"
#include "os/sandbox.h"
#include "os/sandbox_runtime.h"
#include "os/tree.h"

#define KILLED 256 /* + the signal */

static char folder[64];

/* 0 when <deed> returns true. */
static int in_sandbox(enum gh_sandbox_kind kind, bool (*deed)(void))
{
    const struct gh_sandbox_path own = { .path = folder, .fd = -1, .write = true };
    const struct gh_sandbox s = { kind, &own, 1 };
    struct gh_sandbox_report report = { 0 };
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* no core of a process that is killed on purpose */
        if (gh_sandbox_enter(&s, &report) < 0 || !report.seccomp)
            _exit(100);
        _exit(deed() ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? KILLED + WTERMSIG(status) : WEXITSTATUS(status);
}

#define DIES(deed) assert_int_equal(in_sandbox(GH_SANDBOX_NODE, (deed)), KILLED + SIGSYS)
#define WORKS(deed) assert_int_equal(in_sandbox(GH_SANDBOX_NODE, (deed)), 0)

static bool runs_a_program(void)
{
    char *argv[] = { (char[]){ "/bin/true" }, NULL }, *env[] = { NULL };

    execve("/bin/true", argv, env);
    return true;
}

static bool runs_a_descriptor(void)
{
    char *argv[] = { (char[]){ "true" }, NULL }, *env[] = { NULL };

    syscall(SYS_execveat, 0, "", argv, env, AT_EMPTY_PATH);
    return true;
}

static bool mounts(void)
{
    mount("none", "/mnt", "tmpfs", 0, NULL);
    return true;
}

static bool becomes_another(void)
{
    (void)!setresuid(1, 1, 1);
    return true;
}

static bool leaves_the_namespace(void)
{
    unshare(CLONE_NEWUSER);
    return true;
}

static bool traces(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    return true;
}

static void what_only_an_intruder_calls_ends_the_process(void **state)
{
    size_t count;

    (void)state;
    DIES(runs_a_program);
    DIES(runs_a_descriptor);
    DIES(mounts);
    DIES(becomes_another);
    DIES(leaves_the_namespace);
    gh_sandbox_runtime_calls(&count);
    if (count == 0) /* the strict rules are those of the plain build */
        DIES(traces);
}

static bool no_process(void)
{
    long rc = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

    if (rc == 0)
        _exit(0);
    return rc < 0 && errno == ENOSYS;
}

static bool no_foreign_sockets(void)
{
    const int families[] = { AF_NETLINK, AF_UNIX, AF_PACKET, AF_VSOCK, AF_ALG };

    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        errno = 0;
        if (socket(families[i], SOCK_DGRAM, 0) >= 0 || errno != ENOSYS)
            return false;
    }
    return true;
}

static bool no_code_is_made(void)
{
    void *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return data != MAP_FAILED && code == MAP_FAILED && mprotect(data, 4096, PROT_READ | PROT_EXEC) < 0;
}

static bool no_device_controls(void)
{
    int zero = 0;

    return ioctl(0, TIOCSTI, &zero) < 0 && errno == ENOSYS;
}

static bool no_signals_to_others(void)
{
    return kill(getppid(), 0) < 0 && errno == ENOSYS && syscall(SYS_tgkill, getppid(), getppid(), 0) < 0 && errno == ENOSYS;
}

/* Newer versions of libuv ask for a ring whenever a loop is made, and go on without one. */
static bool no_rings(void)
{
    uint8_t params[120] = { 0 };

    errno = 0;
    return syscall(SYS_io_uring_setup, 8, params) < 0 && errno == ENOSYS;
}

static void what_the_node_does_not_need_is_not_there(void **state)
{
    size_t count;

    (void)state;
    WORKS(no_foreign_sockets);
    WORKS(no_rings);
    gh_sandbox_runtime_calls(&count);
    if (count)
        return;
    WORKS(no_process);
    WORKS(no_code_is_made);
    WORKS(no_device_controls);
    WORKS(no_signals_to_others);
}

static bool refused(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd < 0 && (errno == EACCES || errno == ENOSYS);
}

static bool no_files(void)
{
    return refused("/etc/shadow", O_RDONLY) && refused("/etc/passwd", O_RDONLY) && refused("/proc/self/maps", O_RDONLY)
           && refused("/dev/null", O_RDWR) && refused("/", O_RDONLY | O_DIRECTORY) && refused("/tmp/gh-sandbox-test", O_WRONLY | O_CREAT);
}

static bool own_folder(void)
{
    char path[128], other[128], text[4] = "";
    int fd;
    bool ok;

    snprintf(path, sizeof path, "%s/a", folder);
    snprintf(other, sizeof other, "%s/b", folder);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ok = fd >= 0 && write(fd, "one", 3) == 3 && ftruncate(fd, 2) == 0 && fsync(fd) == 0 && pread(fd, text, 3, 0) == 2;
    ok = ok && rename(path, other) == 0 && unlink(other) == 0;
    return ok && symlink("/etc/shadow", path) < 0 && link("/etc/shadow", path) < 0;
}

/* What a site does, with the call that keeps names inside where the kernel has it. */
static bool names_of_strangers(void)
{
    int tree = gh_tree_open(folder), fd = openat(tree, "page", O_WRONLY | O_CREAT, 0600);
    struct gh_tree_file f;
    struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_BENEATH };
    bool kept = gh_tree_open_file(tree, "../page", &f) == GH_ERR_DENIED;

    kept = kept && gh_tree_open_file(tree, "page", &f) == 0 && !f.folder && syscall(SYS_openat2, tree, "page", &how, sizeof how) >= 0;
    return fd >= 0 && unlinkat(tree, "page", 0) == 0 && kept;
}

static void only_the_folders_given_can_be_opened(void **state)
{
    (void)state;
    if (gh_sandbox_landlock_version() == 0 || gh_sandbox_runtime_reads())
        skip();
    WORKS(no_files);
    WORKS(own_folder);
    WORKS(names_of_strangers);
    assert_int_equal(in_sandbox(GH_SANDBOX_READER, no_files), 0);
}

static bool no_socket(void)
{
    return socket(AF_INET, SOCK_DGRAM, 0) < 0 && errno == ENOSYS;
}

static void a_reader_has_no_sockets(void **state)
{
    (void)state;
    assert_int_equal(in_sandbox(GH_SANDBOX_READER, no_socket), 0);
}

static void *grow(void *arg)
{
    for (size_t n = 1; n < (size_t)64 << 20; n *= 4) {
        void *p = malloc(n);

        if (!p)
            return NULL;
        memset(p, 1, n);
        free(p);
    }
    return arg;
}

static bool threads_and_memory(void)
{
    static char marks[4];
    pthread_t t[4];
    void *ret = NULL;
    bool ok = true;

    for (int i = 0; i < 4; i++)
        ok &= pthread_create(&t[i], NULL, grow, &marks[i]) == 0;
    for (int i = 0; i < 4; i++)
        ok &= pthread_join(t[i], &ret) == 0 && ret == &marks[i];
    return ok && prctl(PR_SET_NAME, "worker", 0, 0, 0) == 0;
}

static bool sockets_and_time(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct itimerspec soon = { .it_value.tv_nsec = 1000 };
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), event = eventfd(0, EFD_CLOEXEC), poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event want = { .events = EPOLLIN };
    int a = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), b = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
    struct iovec piece = { (char[]){ "x" }, 1 };
    struct mmsghdr m = { .msg_hdr = { .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &piece, .msg_iovlen = 1 } };
    socklen_t len = sizeof to;
    uint64_t n = 0;
    struct timespec now;

    if (a < 0 || bind(a, (struct sockaddr *)&to, sizeof to) < 0 || getsockname(a, (struct sockaddr *)&to, &len) < 0)
        return false;
    if (b >= 0 && setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return false;
    if (sendmmsg(a, &m, 1, 0) != 1 || recvmmsg(a, &m, 1, 0, NULL) != 1)
        return false;
    if (timerfd_settime(timer, 0, &soon, NULL) < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, timer, &want) < 0 || epoll_wait(poller, &want, 1, 5000) != 1)
        return false;
    return read(timer, &n, sizeof n) == 8 && write(event, &n, sizeof n) == 8 && getrandom(&n, sizeof n, 0) == 8 && clock_gettime(CLOCK_REALTIME, &now) == 0;
}

static bool aborts(void)
{
    abort();
}

static void threads_memory_sockets_and_time_work(void **state)
{
    (void)state;
    WORKS(threads_and_memory);
    WORKS(sockets_and_time);
    assert_int_equal(in_sandbox(GH_SANDBOX_READER, threads_and_memory), 0);
    assert_int_equal(in_sandbox(GH_SANDBOX_NODE, aborts), KILLED + SIGABRT);
}

static bool finds_localhost(void)
{
    struct gh_resolved r;

    gh_resolve("127.0.0.1", 443, &r);
    if (r.count != 1)
        return false;
    gh_resolve("localhost", 443, &r); /* glibc knows it without a file */
    return r.count >= 1 || r.error[0];
}

static void a_look_up_works_in_its_own_sandbox_and_cannot_exec(void **state)
{
    (void)state;
    assert_int_equal(in_sandbox(GH_SANDBOX_LOOKUP, finds_localhost), 0);
    assert_int_equal(in_sandbox(GH_SANDBOX_LOOKUP, runs_a_program), KILLED + SIGSYS);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/gh-sandbox-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_only_an_intruder_calls_ends_the_process),
        cmocka_unit_test(what_the_node_does_not_need_is_not_there),
        cmocka_unit_test(only_the_folders_given_can_be_opened),
        cmocka_unit_test(a_reader_has_no_sockets),
        cmocka_unit_test(threads_memory_sockets_and_time_work),
        cmocka_unit_test(a_look_up_works_in_its_own_sandbox_and_cannot_exec),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
