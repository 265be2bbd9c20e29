#include "os/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "os/failure.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* source address, traffic class, segment size; aligned as cmsghdr wants it */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo)) + 3 * CMSG_SPACE(sizeof(int))];
};

static bool set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

static bool set_options(int fd, int family, unsigned flags)
{
    if ((flags & GH_UDP_REUSEPORT) && !set(fd, SOL_SOCKET, SO_REUSEPORT, 1))
        return false;
    /* PROBE: DF is set and the kernel's idea of the path is not consulted, so that probes leave (RFC 8899). An IPv6 socket
     * that takes IPv4 too needs both families' options. */
    if (!set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE) || !set(fd, IPPROTO_IP, IP_RECVTOS, 1) ||
        !set(fd, IPPROTO_IP, IP_PKTINFO, 1))
        return false;
    if (family == AF_INET)
        return true;
    return set(fd, IPPROTO_IPV6, IPV6_V6ONLY, (flags & GH_UDP_V6ONLY) != 0) &&
           set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE) && set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1) &&
           set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) && set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
}

int gh_udp_open(const struct gh_endpoint *at, unsigned flags)
{
    int family = at->ip.family == 4 ? AF_INET : AF_INET6, len, rc, saved;
    struct sockaddr_storage addr;
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return gh_os_failure();
    len = gh_endpoint_to_sockaddr(at, family, &addr);
    if (set_options(fd, family, flags) && bind(fd, (const struct sockaddr *)&addr, (socklen_t)len) == 0)
        return fd;
    rc = gh_os_failure();
    saved = errno;
    gh_sock_close(fd);
    errno = saved;
    return rc;
}

int gh_udp_connect(const struct gh_endpoint *to)
{
    const struct gh_endpoint any = { .ip.family = to->ip.family };
    int fd = gh_udp_open(&any, 0), len, rc, saved;
    struct sockaddr_storage addr;

    if (fd < 0)
        return fd;
    len = gh_endpoint_to_sockaddr(to, to->ip.family == 4 ? AF_INET : AF_INET6, &addr);
    if (connect(fd, (const struct sockaddr *)&addr, (socklen_t)len) == 0)
        return fd;
    rc = gh_os_failure();
    saved = errno;
    gh_sock_close(fd);
    errno = saved;
    return rc;
}

static int set_buffer(int fd, int force, int plain, int bytes)
{
    int got = 0;
    socklen_t len = sizeof got;

    if (!set(fd, SOL_SOCKET, force, bytes) && !set(fd, SOL_SOCKET, plain, bytes))
        return -1;
    if (getsockopt(fd, SOL_SOCKET, plain, &got, &len) < 0)
        return -1;
    return got / 2; /* the kernel doubles the number for its bookkeeping */
}

int gh_udp_set_buffers(int fd, int bytes, int *ret_got)
{
    int receive = set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, bytes), send = set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, bytes);

    if (receive < 0 || send < 0)
        return GH_ERR_SYSTEM;
    *ret_got = receive < send ? receive : send;
    return 0;
}

int gh_udp_attach_steering(int fd, const struct sock_filter *program, size_t count)
{
    struct sock_fprog p = { (unsigned short)count, (struct sock_filter *)(uintptr_t)program };

    if (count > UINT16_MAX)
        return GH_ERR_RANGE;
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &p, sizeof p) < 0 ? GH_ERR_SYSTEM : 0;
}

int gh_udp_init(struct gh_udp *u, int fd, const struct gh_udp_features *features)
{
    struct gh_endpoint local;
    int family = 0;
    socklen_t len = sizeof family;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0 || gh_sock_local(fd, &local) < 0)
        return GH_ERR_SYSTEM;
    if (!set(fd, IPPROTO_UDP, UDP_GRO, features->gro) && features->gro)
        return GH_ERR_SYSTEM;
    *u = (struct gh_udp){ fd, family, local.port, features->gso };
    return 0;
}

void gh_udp_fini(struct gh_udp *u)
{
    if (!u)
        return;
    gh_sock_close(u->fd);
    u->fd = -1;
}

static void read_control(struct msghdr *h, struct gh_udp_message *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        const uint8_t *data = CMSG_DATA(c);

        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;

            memcpy(&info, data, sizeof info);
            m->local.ip = gh_ip_v4(&info.ipi_addr);
            m->local.scope = 0;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;

            memcpy(&info, data, sizeof info);
            if (IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr)) {
                m->local.ip = gh_ip_v4(info.ipi6_addr.s6_addr + 12);
            } else {
                m->local.ip = gh_ip_v6(&info.ipi6_addr);
                m->local.scope = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ? info.ipi6_ifindex : 0;
            }
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            m->ecn = data[0] & 3; /* one byte, other than what is sent */
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
            int tclass;

            memcpy(&tclass, data, sizeof tclass);
            m->ecn = (uint8_t)(tclass & 3);
        } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;

            memcpy(&size, data, sizeof size);
            if (size > 0 && (size_t)size < m->len)
                m->segment = (size_t)size;
        }
    }
}

int gh_udp_receive(struct gh_udp *u, uint8_t *slab, size_t count, struct gh_udp_message *ret)
{
    struct mmsghdr messages[GH_UDP_BATCH];
    struct iovec iov[GH_UDP_BATCH];
    struct sockaddr_storage from[GH_UDP_BATCH];
    union control control[GH_UDP_BATCH];
    int n;

    if (count > GH_UDP_BATCH)
        count = GH_UDP_BATCH;
    for (size_t i = 0; i < count; i++) {
        iov[i] = (struct iovec){ slab + i * GH_UDP_BUFFER, GH_UDP_BUFFER };
        messages[i].msg_hdr = (struct msghdr){ .msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &iov[i],
                                               .msg_iovlen = 1, .msg_control = control[i].bytes,
                                               .msg_controllen = sizeof control[i].bytes };
    }
    do
        n = recvmmsg(u->fd, messages, (unsigned)count, MSG_DONTWAIT, NULL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return gh_os_failure();
    for (int i = 0; i < n; i++) {
        struct msghdr *h = &messages[i].msg_hdr;

        ret[i] = (struct gh_udp_message){ .data = slab + (size_t)i * GH_UDP_BUFFER, .len = messages[i].msg_len,
                                          .segment = messages[i].msg_len,
                                          .truncated = (h->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 };
        gh_endpoint_of_sockaddr(&from[i], &ret[i].remote);
        read_control(h, &ret[i]);
        ret[i].local.port = u->port;
    }
    return n;
}

static void put_control(struct msghdr *h, int level, int type, const void *data, size_t len)
{
    struct cmsghdr c = { .cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type };
    char *at = (char *)h->msg_control + h->msg_controllen;

    memset(at, 0, CMSG_SPACE(len));
    memcpy(at, &c, sizeof c);
    memcpy(at + CMSG_LEN(0), data, len);
    h->msg_controllen += CMSG_SPACE(len);
}

/* Source address and ECN. IPv4 on an IPv6 socket takes IPv4's control messages. */
static void write_control(struct msghdr *h, const struct gh_udp_send *m)
{
    int ecn = m->ecn & 3;
    bool four = m->remote.ip.family == 4;

    if (m->local.ip.family == 4 && four) {
        struct in_pktinfo info = { 0 };

        memcpy(&info.ipi_spec_dst, m->local.ip.bytes, 4);
        put_control(h, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else if (m->local.ip.family == 6 && !four) {
        struct in6_pktinfo info = { .ipi6_ifindex = m->local.scope };

        memcpy(&info.ipi6_addr, m->local.ip.bytes, 16);
        put_control(h, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
    if (ecn)
        put_control(h, four ? IPPROTO_IP : IPPROTO_IPV6, four ? IP_TOS : IPV6_TCLASS, &ecn, sizeof ecn);
}

/* The whole span in one call. Bytes, or -1 with errno. */
static ssize_t send_segmented(struct gh_udp *u, const struct msghdr *base, struct gh_span piece, size_t segment)
{
    struct msghdr h = *base;
    struct iovec iov = { (void *)(uintptr_t)piece.data, piece.len };
    uint16_t size = (uint16_t)segment;
    ssize_t n;

    h.msg_iov = &iov;
    h.msg_iovlen = 1;
    if (piece.len > segment) /* for a single datagram some kernels do worse with it */
        put_control(&h, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
    do
        n = sendmsg(u->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

/* At most GH_UDP_BATCH datagrams, each for itself. Bytes of those that went, or -1 with errno when none did. */
static ssize_t send_singly(struct gh_udp *u, const struct msghdr *base, struct gh_span piece, size_t segment)
{
    struct mmsghdr messages[GH_UDP_BATCH];
    struct iovec iov[GH_UDP_BATCH];
    unsigned count = 0;
    ssize_t bytes = 0;
    int n;

    for (size_t at = 0; at < piece.len && count < GH_UDP_BATCH; at += segment, count++) {
        size_t left = piece.len - at;

        iov[count] = (struct iovec){ (void *)(uintptr_t)(piece.data + at), left < segment ? left : segment };
        messages[count].msg_hdr = *base;
        messages[count].msg_hdr.msg_iov = &iov[count];
        messages[count].msg_hdr.msg_iovlen = 1;
    }
    do
        n = sendmmsg(u->fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    for (int i = 0; i < n; i++)
        bytes += (ssize_t)iov[i].iov_len;
    return n < 0 ? -1 : bytes;
}

/* One call's worth: <piece> is within the limits of UDP_SEGMENT. Bytes, or -1 with errno. */
static ssize_t send_piece(struct gh_udp *u, const struct msghdr *base, struct gh_span piece, size_t segment)
{
    ssize_t n;

    if (piece.len <= segment)
        return send_segmented(u, base, piece, segment);
    if (!u->gso)
        return send_singly(u, base, piece, segment);
    n = send_segmented(u, base, piece, segment);
    if (n >= 0 || (errno != EIO && errno != EINVAL && errno != EMSGSIZE))
        return n;
    /* EIO: the device does not finish checksums. EINVAL: no such option, or, as EMSGSIZE, a segment that is larger than the
     * device's MTU, which says nothing about the offload. */
    n = send_singly(u, base, piece, segment);
    if (n >= 0)
        u->gso = false;
    return n;
}

ssize_t gh_udp_send(struct gh_udp *u, const struct gh_udp_send *m)
{
    struct sockaddr_storage to;
    union control control;
    struct msghdr h = { .msg_name = &to, .msg_control = control.bytes, .msg_controllen = 0 };
    int to_len = m->remote.ip.family ? gh_endpoint_to_sockaddr(&m->remote, u->family, &to) : GH_ERR_RANGE;
    size_t segment = m->segment ? m->segment : m->payload.len, limit, done = 0;

    if (to_len < 0)
        return to_len;
    if (segment > GH_UDP_PAYLOAD_MAX)
        return GH_ERR_TOO_LONG;
    if (segment == 0)
        return GH_ERR_RANGE;
    h.msg_namelen = (socklen_t)to_len;
    write_control(&h, m);
    limit = GH_UDP_PAYLOAD_MAX / segment < GH_UDP_BATCH ? GH_UDP_PAYLOAD_MAX / segment : GH_UDP_BATCH;
    limit *= segment;
    while (done < m->payload.len) {
        size_t left = m->payload.len - done, len = left < limit ? left : limit;
        ssize_t n = send_piece(u, &h, gh_span_of(m->payload.data + done, len), segment);

        if (n < 0 && errno == ENOBUFS)
            n = (ssize_t)len; /* the device's queue is full: lost, as by any queue further on */
        if (n < 0)
            return done ? (ssize_t)done : gh_os_failure();
        done += (size_t)n;
    }
    return (ssize_t)done;
}
