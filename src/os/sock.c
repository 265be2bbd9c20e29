#include "os/sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "os/failure.h"

#define BACKLOG 4096

bool gh_endpoint_equals(const struct gh_endpoint *a, const struct gh_endpoint *b)
{
    return gh_ip_equals(&a->ip, &b->ip) && a->port == b->port && a->scope == b->scope;
}

const char *gh_endpoint_emit(const struct gh_endpoint *e, char buf[GH_ENDPOINT_TEXT])
{
    char ip[GH_IP_TEXT], scope[16] = "";

    if (e->ip.family == 0) {
        snprintf(buf, GH_ENDPOINT_TEXT, "*:%u", e->port);
        return buf;
    }
    gh_ip_emit(&e->ip, ip);
    if (e->scope)
        snprintf(scope, sizeof scope, "%%%u", e->scope);
    snprintf(buf, GH_ENDPOINT_TEXT, e->ip.family == 4 ? "%s%s:%u" : "[%s%s]:%u", ip, scope, e->port);
    return buf;
}

int gh_endpoint_to_sockaddr(const struct gh_endpoint *e, int family, struct sockaddr_storage *ret)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(e->port) };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(e->port) };

    if (family == AF_INET) {
        if (e->ip.family == 6)
            return GH_ERR_RANGE;
        memcpy(&four.sin_addr, e->ip.bytes, 4);
        memcpy(ret, &four, sizeof four);
        return sizeof four;
    }
    if (family != AF_INET6)
        return GH_ERR_RANGE;
    if (e->ip.family == 6) {
        memcpy(&six.sin6_addr, e->ip.bytes, 16);
        six.sin6_scope_id = e->scope;
    } else if (e->ip.family == 4) {
        memset(six.sin6_addr.s6_addr + 10, 0xff, 2);
        memcpy(six.sin6_addr.s6_addr + 12, e->ip.bytes, 4);
    }
    memcpy(ret, &six, sizeof six);
    return sizeof six;
}

int gh_endpoint_of_sockaddr(const struct sockaddr_storage *addr, struct gh_endpoint *ret)
{
    struct sockaddr_in6 six;
    struct sockaddr_in four;

    if (addr->ss_family == AF_INET) {
        memcpy(&four, addr, sizeof four);
        *ret = (struct gh_endpoint){ gh_ip_v4(&four.sin_addr), ntohs(four.sin_port), 0 };
        return 0;
    }
    if (addr->ss_family != AF_INET6)
        return GH_ERR_UNSUPPORTED;
    memcpy(&six, addr, sizeof six);
    if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr))
        *ret = (struct gh_endpoint){ gh_ip_v4(six.sin6_addr.s6_addr + 12), ntohs(six.sin6_port), 0 };
    else
        *ret = (struct gh_endpoint){ gh_ip_v6(&six.sin6_addr), ntohs(six.sin6_port), six.sin6_scope_id };
    return 0;
}

static int make(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    return fd >= 0 ? fd : gh_os_failure();
}

/* Closes <fd> and keeps the errno that the result was made of. */
static int give_up(int fd, int rc)
{
    int saved = errno;

    gh_sock_close(fd);
    errno = saved;
    return rc;
}

int gh_sock_listen_tcp(const struct gh_endpoint *at, unsigned flags)
{
    int family = at->ip.family == 4 ? AF_INET : AF_INET6, on = 1, v6only = (flags & GH_SOCK_V6ONLY) != 0;
    struct sockaddr_storage addr;
    int len = gh_endpoint_to_sockaddr(at, family, &addr);
    int fd = make(family);

    if (fd < 0)
        return fd;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return give_up(fd, gh_os_failure());
    if ((flags & GH_SOCK_REUSEPORT) && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0)
        return give_up(fd, gh_os_failure());
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only) < 0)
        return give_up(fd, gh_os_failure());
    if (bind(fd, (const struct sockaddr *)&addr, (socklen_t)len) < 0 || listen(fd, BACKLOG) < 0)
        return give_up(fd, gh_os_failure());
    return fd;
}

static int unix_address(const char *path, struct sockaddr_un *ret)
{
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof ret->sun_path)
        return GH_ERR_RANGE;
    memset(ret, 0, sizeof *ret);
    ret->sun_family = AF_UNIX;
    memcpy(ret->sun_path, path, len);
    return 0;
}

/* A socket for the address of <path>. */
static int make_unix(const char *path, struct sockaddr_un *ret)
{
    int rc = unix_address(path, ret);

    return rc < 0 ? rc : make(AF_UNIX);
}

int gh_sock_connect_unix(const char *path)
{
    struct sockaddr_un addr;
    int fd = make_unix(path, &addr);

    if (fd < 0)
        return fd;
    if (connect(fd, (const struct sockaddr *)&addr, sizeof addr) < 0)
        return give_up(fd, errno == ECONNREFUSED || errno == ENOENT ? GH_ERR_NOT_FOUND : gh_os_failure());
    return fd;
}

/* A socket file that was left behind keeps its name taken. */
static void remove_stale(const char *path)
{
    struct stat st;
    int fd;

    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    fd = gh_sock_connect_unix(path);
    if (fd == GH_ERR_NOT_FOUND)
        unlink(path);
    gh_sock_close(fd);
}

int gh_sock_listen_unix(const char *path, mode_t mode)
{
    struct sockaddr_un addr;
    int fd = make_unix(path, &addr);

    if (fd < 0)
        return fd;
    remove_stale(path);
    /* The file is born with the descriptor's mode: there is no moment in which others may connect. */
    if (fchmod(fd, mode) < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, BACKLOG) < 0)
        return give_up(fd, gh_os_failure());
    return fd;
}

int gh_sock_open_tcp(uint8_t family)
{
    return make(family == 4 ? AF_INET : AF_INET6);
}

int gh_sock_connect(int fd, const struct gh_endpoint *to)
{
    struct sockaddr_storage addr;
    int len = gh_endpoint_to_sockaddr(to, to->ip.family == 4 ? AF_INET : AF_INET6, &addr);

    return connect(fd, (const struct sockaddr *)&addr, (socklen_t)len) < 0 && errno != EINPROGRESS ? gh_os_failure() : 0;
}

int gh_sock_connect_tcp(const struct gh_endpoint *to)
{
    int fd = gh_sock_open_tcp(to->ip.family), rc = fd < 0 ? fd : gh_sock_connect(fd, to);

    return rc < 0 && fd >= 0 ? give_up(fd, rc) : fd;
}

int gh_sock_connected(int fd)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(int), peer_len = sizeof peer;
    int error = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        return GH_ERR_SYSTEM;
    if (error) {
        errno = error;
        return GH_ERR_SYSTEM;
    }
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0)
        return 0;
    return errno == ENOTCONN ? GH_ERR_AGAIN : GH_ERR_SYSTEM;
}

int gh_sock_accept(int fd, struct gh_endpoint *ret_peer)
{
    struct sockaddr_storage addr = { 0 };
    socklen_t len = sizeof addr;
    int peer;

    do
        peer = accept4(fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (peer < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (peer < 0)
        return gh_os_failure();
    if (ret_peer && gh_endpoint_of_sockaddr(&addr, ret_peer) < 0)
        memset(ret_peer, 0, sizeof *ret_peer);
    return peer;
}

int gh_sock_local(int fd, struct gh_endpoint *ret)
{
    struct sockaddr_storage addr = { 0 };
    socklen_t len = sizeof addr;

    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        return GH_ERR_SYSTEM;
    return gh_endpoint_of_sockaddr(&addr, ret);
}

int gh_sock_remote(int fd, struct gh_endpoint *ret)
{
    struct sockaddr_storage addr = { 0 };
    socklen_t len = sizeof addr;

    if (getpeername(fd, (struct sockaddr *)&addr, &len) < 0)
        return GH_ERR_SYSTEM;
    return gh_endpoint_of_sockaddr(&addr, ret);
}

int gh_sock_peer_credentials(int fd, struct gh_credentials *ret)
{
    struct ucred cred;
    socklen_t len = sizeof cred;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return GH_ERR_SYSTEM;
    *ret = (struct gh_credentials){ cred.pid, cred.uid, cred.gid };
    return 0;
}

int gh_sock_set_mark(int fd, uint32_t mark)
{
    return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0 ? gh_os_failure() : 0;
}

int gh_sock_set_nodelay(int fd)
{
    int on = 1;

    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ? gh_os_failure() : 0;
}

int gh_sock_set_keepalive(int fd, int idle, int interval, int count)
{
    int on = 1;

    if (idle && (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) < 0 ||
                 setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval) < 0 ||
                 setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count) < 0))
        return gh_os_failure();
    return setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) < 0 ? gh_os_failure() : 0;
}

ssize_t gh_sock_receive(int fd, void *buf, size_t cap)
{
    ssize_t n;

    do
        n = recv(fd, buf, cap, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n == 0 && cap > 0)
        return GH_ERR_CLOSED;
    return n < 0 ? gh_os_failure() : n;
}

ssize_t gh_sock_send(int fd, struct gh_span data)
{
    ssize_t n;

    do
        n = send(fd, data.data, data.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EPIPE)
        return GH_ERR_CLOSED;
    return n < 0 ? gh_os_failure() : n;
}

bool gh_sock_at_urgent(int fd)
{
    return sockatmark(fd) == 1;
}

int gh_sock_receive_urgent(int fd)
{
    uint8_t byte;

    return recv(fd, &byte, 1, MSG_OOB | MSG_DONTWAIT) == 1 ? byte : GH_ERR_AGAIN;
}

int gh_sock_send_urgent(int fd, uint8_t byte)
{
    if (send(fd, &byte, 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
        return 0;
    return errno == EPIPE ? GH_ERR_CLOSED : gh_os_failure();
}

int gh_sock_shutdown_write(int fd)
{
    return shutdown(fd, SHUT_WR) < 0 ? gh_os_failure() : 0;
}

int gh_sock_reset_on_close(int fd)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) < 0 ? gh_os_failure() : 0;
}

void gh_sock_close(int fd)
{
    if (fd >= 0)
        close(fd);
}
