/* os/sandbox.h - what the child gives up for good: files (Landlock) and system calls (seccomp)
 *
 * Call it while the process has one thread: Landlock counts for the caller and the threads that it starts later. Seccomp
 * refuses by default with ENOSYS, so that the C library takes another way; what only an intruder would call (exec, ptrace,
 * mount, a module, another identity, …) ends the process.
 */
#ifndef GH_OS_SANDBOX_H
#define GH_OS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/* A file or a folder with everything below it. One that is not there is no error: nothing below it can be opened. */
struct gh_sandbox_path {
    const char *path; /* NULL: <fd> counts */
    int fd;
    bool write; /* make, change, remove as well as read */
};

enum gh_sandbox_kind {
    GH_SANDBOX_NODE,   /* threads, descriptors that it was given, sockets of IPv4 and IPv6; no new executable memory */
    GH_SANDBOX_READER, /* the same without any file or socket of its own: it reads what it is given and asks the parent */
    GH_SANDBOX_LOOKUP, /* NODE, and what a name service module of the C library may want: unix and route sockets, code */
};

struct gh_sandbox {
    enum gh_sandbox_kind kind;
    const struct gh_sandbox_path *paths;
    size_t path_count;
    bool journal; /* unix sockets of datagrams: the journal's */
    bool connect; /* NODE: TCP connections to others */
};

struct gh_sandbox_report {
    int landlock; /* version of the kernel's interface; 0: the kernel has none, files are guarded by their modes alone */
    bool seccomp;
};

/* Also sets no_new_privs. 0 or GH_ERR_SYSTEM; without Landlock in the kernel it goes on and says so in <ret> (may be NULL). */
int gh_sandbox_enter(const struct gh_sandbox *s, struct gh_sandbox_report *ret);
/* 0: none. */
int gh_sandbox_landlock_version(void);

#endif
