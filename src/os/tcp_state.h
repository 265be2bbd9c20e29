/* os/tcp_state.h - what the kernel knows of a TCP connection */
#ifndef GH_OS_TCP_STATE_H
#define GH_OS_TCP_STATE_H

#include <stdint.h>

struct gh_tcp_state {
    uint64_t segments_in, segments_out;
    uint32_t unacked; /* segments under way */
    int64_t rtt;      /* ns, smoothed */
};

/* 0 or GH_ERR_SYSTEM. */
int gh_tcp_state(int fd, struct gh_tcp_state *ret);

#endif
