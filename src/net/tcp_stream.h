/* net/tcp_stream.h - a connected stream socket, TCP or unix, as a gh_byte_stream of a worker */
#ifndef GH_NET_TCP_STREAM_H
#define GH_NET_TCP_STREAM_H

#include "net/byte_stream.h"

struct gh_worker;

/* Takes <fd>, a connected non-blocking socket, over, on failure too. <early>: bytes that were read from it before, which on_bytes
 * tells first. 0, GH_ERR_MEMORY or GH_ERR_SYSTEM. */
int gh_tcp_stream_create(struct gh_worker *worker, int fd, struct gh_span early, struct gh_byte_stream **ret);

#endif
