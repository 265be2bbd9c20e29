#include "os/sandbox_runtime.h"

#include <seccomp.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

/* There when any object of the program counts its lines. */
extern void __gcov_init(void *info) __attribute__((weak));

static bool counts_lines(void)
{
    return &__gcov_init != NULL;
}

const int *gh_sandbox_runtime_calls(size_t *ret_count)
{
    /* the leak check stops all threads from a process that shares our memory; a report names files and lines */
    static const int sanitizer[] = {
        SCMP_SYS(clone),    SCMP_SYS(ptrace),     SCMP_SYS(process_vm_readv), SCMP_SYS(wait4),      SCMP_SYS(waitid),
        SCMP_SYS(kill),     SCMP_SYS(tgkill),     SCMP_SYS(prctl),            SCMP_SYS(getdents64), SCMP_SYS(open), SCMP_SYS(getdents),
        SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(dup),              SCMP_SYS(dup2),       SCMP_SYS(dup3),
        SCMP_SYS(mmap),     SCMP_SYS(mprotect),   SCMP_SYS(personality),      SCMP_SYS(pipe),       SCMP_SYS(socketpair),
        SCMP_SYS(ioctl),    SCMP_SYS(prlimit64),  SCMP_SYS(stat),             SCMP_SYS(lstat),      SCMP_SYS(access),
        SCMP_SYS(statfs),   SCMP_SYS(fstatfs),
    };
    static const int coverage[] = {
        SCMP_SYS(openat), SCMP_SYS(fcntl), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(umask), SCMP_SYS(access), SCMP_SYS(ftruncate),
    };

#ifdef SANITIZED
    *ret_count = sizeof sanitizer / sizeof *sanitizer;
    return sanitizer;
#endif
    (void)sanitizer;
    *ret_count = counts_lines() ? sizeof coverage / sizeof *coverage : 0;
    return coverage;
}

bool gh_sandbox_runtime_reads(void)
{
#ifdef SANITIZED
    return true;
#endif
    return counts_lines();
}

bool gh_sandbox_runtime_writes(void)
{
    return counts_lines();
}
