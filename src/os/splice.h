/* os/splice.h - bytes from socket to socket that never come to user space
 *
 * A pipe holds references to what the kernel received. Where GH_ERR_SYSTEM is returned, errno says why.
 */
#ifndef GH_OS_SPLICE_H
#define GH_OS_SPLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct gh_pipe {
    int read_fd, write_fd; /* -1, -1: none */
    size_t size;           /* bytes that it can hold when every page is full */
    size_t held;           /* bytes in it; the caller counts */
};

/* <size> is what is asked for; the kernel may give less. 0, GH_ERR_FULL or GH_ERR_SYSTEM. */
int gh_pipe_open(size_t size, struct gh_pipe *ret);
/* A larger one, of exactly <size>; what it holds stays. 0 or GH_ERR_SYSTEM: the system gives no more, and it is as it was. */
int gh_pipe_widen(struct gh_pipe *p, size_t size);
void gh_pipe_close(struct gh_pipe *p); /* accepts one that is not open */

/* From the socket into the pipe, at most <max> bytes. Count, GH_ERR_AGAIN: nothing is there, or the pipe is full; GH_ERR_CLOSED: the end;
 * GH_ERR_SYSTEM. */
ssize_t gh_splice_receive(int sock, struct gh_pipe *p, size_t max);
/* All that the pipe holds into the socket. <more>: further bytes follow at once. Count, GH_ERR_AGAIN, GH_ERR_CLOSED: the peer is gone, or GH_ERR_SYSTEM. */
ssize_t gh_splice_send(struct gh_pipe *p, int sock, bool more);

#endif
