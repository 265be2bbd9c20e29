/* os/fdpass.h - messages with descriptors over a SOCK_SEQPACKET pair */
#ifndef GH_OS_FDPASS_H
#define GH_OS_FDPASS_H

#include <stddef.h>
#include <sys/types.h>

#define GH_FDPASS_MAX 64u /* descriptors in one message */

/* Close-on-exec, blocking. 0 or GH_ERR_SYSTEM. */
int gh_fdpass_pair(int ret[2]);
/* One message. 0, GH_ERR_AGAIN, GH_ERR_CLOSED, GH_ERR_RANGE or GH_ERR_SYSTEM. The descriptors stay the caller's. */
int gh_fdpass_send(int fd, const void *data, size_t len, const int *fds, size_t fd_count);
/* One message of exactly <len> bytes; at most <fd_cap> descriptors, close-on-exec. A longer or shorter message, or more
 * descriptors, is GH_ERR_MALFORMED and everything in it is closed. GH_ERR_CLOSED at the end, GH_ERR_AGAIN when <fd> does
 * not block or <flags> has MSG_DONTWAIT. */
int gh_fdpass_receive(int fd, void *data, size_t len, int *ret_fds, size_t fd_cap, size_t *ret_fd_count, int flags);

#endif
