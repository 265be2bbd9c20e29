#include "os/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <seccomp.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "os/process.h"
#include "os/sandbox_runtime.h"

/* ---- files ---- */

/* Kernels are newer than the headers that this is built with. */
#define FS_REFER (UINT64_C(1) << 13)     /* version 2 */
#define FS_TRUNCATE (UINT64_C(1) << 14)  /* 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* 5 */
#define NET_BIND (UINT64_C(1) << 0)      /* 4 */
#define NET_CONNECT (UINT64_C(1) << 1)
#define SCOPES (UINT64_C(3))             /* 6: abstract unix sockets, signals */

struct ruleset {
    uint64_t fs, net, scoped; /* an older kernel takes the longer structure when what it does not know is zero */
};

#define FS_ALL_OF_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define FS_OF_FILES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)
#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                                                                        \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR                     \
     | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | FS_TRUNCATE)

int gh_sandbox_landlock_version(void)
{
    long v = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return v < 0 ? 0 : (int)v;
}

static struct ruleset handled(int version, const struct gh_sandbox *s)
{
    struct ruleset r = { .fs = FS_ALL_OF_1 };

    if (version >= 2)
        r.fs |= FS_REFER;
    if (version >= 3)
        r.fs |= FS_TRUNCATE;
    if (version >= 4 && s->kind != GH_SANDBOX_LOOKUP) /* DNS falls back to TCP */
        r.net = s->connect ? NET_BIND : NET_BIND | NET_CONNECT;
    if (version >= 5)
        r.fs |= FS_IOCTL_DEV;
    if (version >= 6)
        r.scoped = SCOPES;
    return r;
}

static int add_path(int rules, uint64_t known, const struct gh_sandbox_path *p)
{
    struct landlock_path_beneath_attr at = { .allowed_access = FS_READ | (p->write ? FS_WRITE : 0) };
    struct stat s;
    int fd = p->path ? open(p->path, O_PATH | O_CLOEXEC) : p->fd, rc = 0;

    if (fd < 0)
        return 0;
    if (fstat(fd, &s) < 0)
        rc = GH_ERR_SYSTEM;
    else if (!S_ISDIR(s.st_mode))
        at.allowed_access &= FS_OF_FILES;
    at.allowed_access &= known;
    at.parent_fd = fd;
    if (rc == 0 && syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &at, 0) < 0)
        rc = GH_ERR_SYSTEM;
    if (p->path)
        close(fd);
    return rc;
}

static int restrict_files(const struct gh_sandbox *s, int version)
{
    const struct gh_sandbox_path all = { .path = "/", .write = gh_sandbox_runtime_writes() };
    struct ruleset want = handled(version, s);
    int rules = (int)syscall(SYS_landlock_create_ruleset, &want, sizeof want, 0), rc = 0;

    if (rules < 0)
        return GH_ERR_SYSTEM;
    for (size_t i = 0; i < s->path_count && rc == 0; i++)
        rc = add_path(rules, want.fs, &s->paths[i]);
    if (rc == 0 && gh_sandbox_runtime_reads())
        rc = add_path(rules, want.fs, &all);
    if (rc == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        rc = GH_ERR_SYSTEM;
    close(rules);
    return rc;
}

/* ---- system calls ---- */

/* Memory, threads, time, descriptors that are there. */
static const int everybody[] = {
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(lseek),
    SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(fcntl), SCMP_SYS(dup),
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(mlock), SCMP_SYS(munlock),
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday),
    SCMP_SYS(time), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(eventfd2), SCMP_SYS(pipe2),
    SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg),
    SCMP_SYS(shutdown), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
    SCMP_SYS(getrandom), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrusage), SCMP_SYS(getrlimit),
    SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(capget),
};

/* Files where Landlock lets it, new sockets. */
static const int node[] = {
    SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
    SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename),
    SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
    SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fchmod), SCMP_SYS(fchown), SCMP_SYS(flock), SCMP_SYS(getdents64),
    SCMP_SYS(fstatfs), SCMP_SYS(umask), SCMP_SYS(accept4), SCMP_SYS(listen), SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(splice),
};

/* What has no honest use here. io_uring is not in it, nor allowed: libuv asks for it at every start and goes on without. */
static const int deadly[] = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsmount),
    SCMP_SYS(fsconfig), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(reboot),
    SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(setuid), SCMP_SYS(setgid), SCMP_SYS(setreuid),
    SCMP_SYS(setregid), SCMP_SYS(setresuid), SCMP_SYS(setresgid), SCMP_SYS(setgroups), SCMP_SYS(setfsuid), SCMP_SYS(setfsgid),
    SCMP_SYS(capset), SCMP_SYS(open_by_handle_at),
    SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex),
    SCMP_SYS(sethostname), SCMP_SYS(setdomainname), SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(memfd_create),
};

static const unsigned long ioctls[] = { FIONREAD, FIONBIO, FIOCLEX, TCGETS, TIOCGWINSZ, TUNSETOFFLOAD, SIOCATMARK };

static bool contains(const int *list, size_t count, int call)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == call)
            return true;
    return false;
}

/* A call that this architecture does not have is none that anybody can make. */
static int rule(scmp_filter_ctx f, uint32_t action, int call, unsigned count, const struct scmp_arg_cmp *args)
{
    int rc = seccomp_rule_add_array(f, action, call, count, args);

    return rc == 0 || rc == -EDOM || rc == -EACCES ? 0 : GH_ERR_SYSTEM; /* EACCES: the default does the same */
}

static int rules(scmp_filter_ctx f, uint32_t action, const int *calls, size_t count)
{
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++)
        rc = rule(f, action, calls[i], 0, NULL);
    return rc;
}

static int allow_if(scmp_filter_ctx f, int call, struct scmp_arg_cmp arg)
{
    size_t count;
    const int *runtime = gh_sandbox_runtime_calls(&count);

    return contains(runtime, count, call) ? 0 : rule(f, SCMP_ACT_ALLOW, call, 1, &arg); /* allowed as a whole there */
}

static int allow_sockets(scmp_filter_ctx f, const struct gh_sandbox *s)
{
    static const int families[] = { AF_INET, AF_INET6 };
    struct scmp_arg_cmp routes[] = { SCMP_A0_32(SCMP_CMP_EQ, AF_NETLINK), SCMP_A2_32(SCMP_CMP_EQ, NETLINK_ROUTE) };
    struct scmp_arg_cmp datagrams[] = { SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX), SCMP_A1_32(SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM) };
    int rc = allow_if(f, SCMP_SYS(socketpair), SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));

    for (size_t i = 0; i < 2 && rc == 0; i++)
        rc = allow_if(f, SCMP_SYS(socket), SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)families[i]));
    if (rc == 0 && s->journal)
        rc = rule(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, datagrams);
    if (rc == 0 && s->kind == GH_SANDBOX_LOOKUP)
        rc = allow_if(f, SCMP_SYS(socket), SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
    if (rc == 0 && s->kind == GH_SANDBOX_LOOKUP)
        rc = rule(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, routes);
    return rc;
}

/* Calls that are right with the right arguments. */
static int allow_some(scmp_filter_ctx f, const struct gh_sandbox *s)
{
    enum gh_sandbox_kind kind = s->kind;
    struct scmp_arg_cmp limits[] = { SCMP_A0_32(SCMP_CMP_EQ, 0), SCMP_A2_64(SCMP_CMP_EQ, 0) };
    struct scmp_arg_cmp code = SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, kind == GH_SANDBOX_LOOKUP ? PROT_EXEC : 0);
    size_t count;
    const int *runtime = gh_sandbox_runtime_calls(&count);
    int rc = allow_if(f, SCMP_SYS(clone), SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));

    if (rc == 0)
        rc = allow_if(f, SCMP_SYS(tgkill), SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)getpid())); /* abort */
    if (rc == 0)
        rc = allow_if(f, SCMP_SYS(prctl), SCMP_A0_32(SCMP_CMP_EQ, PR_SET_NAME));
    for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls && rc == 0; i++)
        rc = allow_if(f, SCMP_SYS(ioctl), SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)ioctls[i]));
    for (int exec = 0; exec <= (kind == GH_SANDBOX_LOOKUP) && rc == 0; exec++) {
        code.datum_b = exec ? PROT_EXEC : 0;
        rc = allow_if(f, SCMP_SYS(mmap), code);
        if (rc == 0)
            rc = allow_if(f, SCMP_SYS(mprotect), code);
    }
    if (rc == 0 && !contains(runtime, count, SCMP_SYS(prlimit64)))
        rc = rule(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, limits); /* looks at its own */
    return rc == 0 && kind != GH_SANDBOX_READER ? allow_sockets(f, s) : rc;
}

static int refuse_deadly(scmp_filter_ctx f)
{
    size_t count;
    const int *runtime = gh_sandbox_runtime_calls(&count);
    int rc = rules(f, SCMP_ACT_ALLOW, runtime, count);

    for (size_t i = 0; i < sizeof deadly / sizeof *deadly && rc == 0; i++)
        if (!contains(runtime, count, deadly[i]))
            rc = rule(f, SCMP_ACT_KILL_PROCESS, deadly[i], 0, NULL);
    return rc;
}

static int restrict_calls(const struct gh_sandbox *s)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int rc = GH_ERR_SYSTEM;

    if (!f)
        return GH_ERR_MEMORY;
    /* another architecture's numbers would slip past these */
    if (seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 && seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1) == 0)
        rc = rules(f, SCMP_ACT_ALLOW, everybody, sizeof everybody / sizeof *everybody);
    (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree instead of a list, where the library can */
    if (rc == 0 && s->kind != GH_SANDBOX_READER)
        rc = rules(f, SCMP_ACT_ALLOW, node, sizeof node / sizeof *node);
    if (rc == 0)
        rc = allow_some(f, s);
    if (rc == 0)
        rc = refuse_deadly(f);
    if (rc == 0 && seccomp_load(f) < 0)
        rc = GH_ERR_SYSTEM;
    seccomp_release(f);
    return rc;
}

int gh_sandbox_enter(const struct gh_sandbox *s, struct gh_sandbox_report *ret)
{
    struct gh_sandbox_report report = { .landlock = gh_sandbox_landlock_version() };
    int rc = gh_process_no_new_privs();

    if (rc == 0 && report.landlock > 0)
        rc = restrict_files(s, report.landlock);
    if (rc == 0)
        rc = restrict_calls(s);
    report.seccomp = rc == 0;
    if (rc == 0 && ret)
        *ret = report;
    return rc;
}
