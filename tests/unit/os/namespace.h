/* tests/unit/os/namespace.h - a network namespace of a test's own, without netlink */
#ifndef GH_TEST_NAMESPACE_H
#define GH_TEST_NAMESPACE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static inline void namespace_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        if (write(fd, text, strlen(text)) < 0)
            perror(path);
        close(fd);
    }
}

/* False when this machine does not permit it. Every call makes another one; sockets stay where they were made. */
static inline bool namespace_enter(void)
{
    char map[64];
    uid_t uid = getuid();
    gid_t gid = getgid();

    if (unshare(CLONE_NEWNET) == 0)
        return true;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return false;
    namespace_write("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", uid);
    namespace_write("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %u 1", gid);
    namespace_write("/proc/self/gid_map", map);
    return true;
}

static inline bool namespace_request(int family, unsigned long request, void *arg)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && ioctl(fd, request, arg) == 0;

    if (!ok)
        perror("ioctl");
    if (fd >= 0)
        close(fd);
    return ok;
}

static inline bool namespace_link_up(const char *name, int mtu)
{
    struct ifreq req = { 0 };

    snprintf(req.ifr_name, sizeof req.ifr_name, "%s", name);
    req.ifr_mtu = mtu;
    if (!namespace_request(AF_INET, SIOCSIFMTU, &req))
        return false;
    if (!namespace_request(AF_INET, SIOCGIFFLAGS, &req))
        return false;
    req.ifr_flags |= IFF_UP;
    return namespace_request(AF_INET, SIOCSIFFLAGS, &req);
}

/* The kernel ends the tentative state of an IPv6 address on a work queue; until then nobody may bind to it. */
static inline bool namespace_address_ready(const struct in6_addr *addr)
{
    struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = *addr };
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok = false;

    for (int tries = 0; fd >= 0 && !ok && tries < 10000; tries++) {
        ok = bind(fd, (const struct sockaddr *)&at, sizeof at) == 0;
        if (!ok)
            poll(NULL, 0, 1);
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

/* A /24 or a /64. */
static inline bool namespace_add_address(const char *name, const char *text)
{
    struct ifreq req = { 0 };
    struct in6_ifreq req6 = { .ifr6_prefixlen = 64, .ifr6_ifindex = (int)if_nametoindex(name) };
    struct sockaddr_in addr = { .sin_family = AF_INET };

    if (inet_pton(AF_INET6, text, &req6.ifr6_addr) == 1)
        return namespace_request(AF_INET6, SIOCSIFADDR, &req6) && namespace_address_ready(&req6.ifr6_addr);
    if (inet_pton(AF_INET, text, &addr.sin_addr) != 1)
        return false;
    snprintf(req.ifr_name, sizeof req.ifr_name, "%s", name);
    memcpy(&req.ifr_addr, &addr, sizeof addr);
    if (!namespace_request(AF_INET, SIOCSIFADDR, &req))
        return false;
    addr.sin_addr.s_addr = htonl(0xffffff00);
    memcpy(&req.ifr_netmask, &addr, sizeof addr);
    return namespace_request(AF_INET, SIOCSIFNETMASK, &req);
}

#endif
