#include "os/tcp_state.h"

#include <linux/tcp.h> /* has more than the C library's */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"

int gh_tcp_state(int fd, struct gh_tcp_state *ret)
{
    struct tcp_info i;
    socklen_t len = sizeof i;

    memset(&i, 0, sizeof i); /* an older kernel fills less */
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len) < 0)
        return GH_ERR_SYSTEM;
    *ret = (struct gh_tcp_state){ .segments_in = i.tcpi_segs_in,
                                  .segments_out = i.tcpi_segs_out,
                                  .unacked = i.tcpi_unacked,
                                  .rtt = (int64_t)i.tcpi_rtt * 1000 };
    return 0;
}
