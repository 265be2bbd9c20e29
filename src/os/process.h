/* os/process.h - what a process may still do, and how it is called */
#ifndef GH_OS_PROCESS_H
#define GH_OS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* No program that is started later gains a right. 0 or GH_ERR_SYSTEM. */
int gh_process_no_new_privs(void);
/* <signal> for the caller when the thread that forked it ends. <parent> is who that was: GH_ERR_CLOSED when it is gone
 * already. A change of user forgets the setting, so call this after it. */
int gh_process_die_with_parent(int signal, pid_t parent);
/* At most 15 bytes count. */
void gh_process_name_thread(const char *name);
/* Raises the soft limit of descriptors to <want> or to the hard limit, whichever is less. */
int gh_process_limit_files(size_t want);
/* How many descriptors this process may have now. */
unsigned gh_process_descriptors(void);
/* No core file, and no debugger of the same user: for a process that holds keys. */
int gh_process_hide_memory(bool hide);
/* The user that this process runs as. */
uid_t gh_process_user(void);
/* 0, GH_ERR_NOT_FOUND or GH_ERR_SYSTEM. */
int gh_process_find_user(const char *name, uid_t *ret_uid, gid_t *ret_gid);
/* Becomes user and group for good, without supplementary groups. */
int gh_process_become(uid_t uid, gid_t gid);
/* Closes every descriptor above 2 that is not in <keep>. */
int gh_process_close_others(const int *keep, size_t count);

#endif
