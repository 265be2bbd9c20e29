#include "os/dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/error.h"
#include "os/failure.h"

/* An ICMP error that came back (RFC 1122, section 4.1.3.3) says that there is nobody. */
static int failure(void)
{
    switch (errno) {
    case EWOULDBLOCK:
    case ENOBUFS:
        return GH_ERR_AGAIN;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
        return GH_ERR_CLOSED;
    default:
        return gh_os_failure();
    }
}

static int set_unfragmented(int fd, int family)
{
    int mode = family == AF_INET ? IP_PMTUDISC_DO : IPV6_PMTUDISC_DO;

    return family == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &mode, sizeof mode)
                             : setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &mode, sizeof mode);
}

int gh_dgram_connect(const struct gh_endpoint *to)
{
    int family = to->ip.family == 4 ? AF_INET : AF_INET6;
    struct sockaddr_storage addr;
    int len = gh_endpoint_to_sockaddr(to, family, &addr), fd, rc;

    if (len < 0)
        return len;
    fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return gh_os_failure();
    if (set_unfragmented(fd, family) < 0 || connect(fd, (const struct sockaddr *)&addr, (socklen_t)len) < 0) {
        rc = failure();
        gh_sock_close(fd);
        return rc;
    }
    return fd;
}

ssize_t gh_dgram_receive(int fd, void *buf, size_t cap)
{
    ssize_t n = recv(fd, buf, cap, 0);

    return n < 0 ? failure() : n;
}

int gh_dgram_send(int fd, struct gh_span payload)
{
    return send(fd, payload.data, payload.len, MSG_NOSIGNAL) < 0 ? failure() : 0;
}

int gh_dgram_bind(const struct gh_endpoint *at)
{
    int family = at->ip.family == 4 ? AF_INET : AF_INET6;
    struct sockaddr_storage addr;
    int len = gh_endpoint_to_sockaddr(at, family, &addr), fd, rc;

    if (len < 0)
        return len;
    fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return gh_os_failure();
    if (bind(fd, (const struct sockaddr *)&addr, (socklen_t)len) < 0) {
        rc = failure();
        gh_sock_close(fd);
        return rc;
    }
    return fd;
}

int gh_dgram_join(int fd, const struct gh_endpoint *to)
{
    struct sockaddr_storage addr;
    int len = gh_endpoint_to_sockaddr(to, to->ip.family == 4 ? AF_INET : AF_INET6, &addr);

    if (len < 0)
        return len;
    return connect(fd, (const struct sockaddr *)&addr, (socklen_t)len) < 0 ? failure() : 0;
}

ssize_t gh_dgram_receive_from(int fd, void *buf, size_t cap, struct gh_endpoint *ret_from)
{
    struct sockaddr_storage addr = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof addr;
    ssize_t n = recvfrom(fd, buf, cap, 0, (struct sockaddr *)&addr, &len);

    if (n < 0)
        return failure();
    return gh_endpoint_of_sockaddr(&addr, ret_from) < 0 ? GH_ERR_SYSTEM : n;
}

bool gh_dgram_is_own(const struct gh_ip *to)
{
    struct gh_endpoint local = { .port = 0 }, remote = { .ip = *to, .port = 9 };
    int fd = gh_dgram_connect(&remote);
    bool own = fd >= 0 && gh_sock_local(fd, &local) == 0 && gh_ip_equals(&local.ip, to);

    gh_sock_close(fd);
    return own;
}
