/* os/lock.h - a lock file with one living owner
 *
 * The lock belongs to the open file: it is held until the last process that inherited the descriptor has ended, so it
 * cannot be left behind by a crash.
 */
#ifndef GH_OS_LOCK_H
#define GH_OS_LOCK_H

/* Creates the file (0600) when missing and takes the lock; tries for <wait_ms>. Descriptor >= 0, GH_ERR_EXISTS (held by
 * somebody else) or GH_ERR_SYSTEM, GH_ERR_DENIED, GH_ERR_NOT_FOUND. */
int gh_lock_open(int dir_fd, const char *name, int wait_ms);

#endif
