/* tests/unit/netns.h - a network namespace of the test's own, with or without root
 *
 * The calling process moves into it. Without root it also becomes root of a user namespace of its own.
 */
#ifndef GH_TEST_NETNS_H
#define GH_TEST_NETNS_H

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static inline bool netns_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return done;
}

/* False when this system does not permit it. */
static inline bool netns_enter(void)
{
    char map[64];
    unsigned uid = geteuid(), gid = getegid();

    if (unshare(CLONE_NEWNET) == 0)
        return true;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return false;
    snprintf(map, sizeof map, "0 %u 1", uid);
    if (!netns_write("/proc/self/setgroups", "deny") || !netns_write("/proc/self/uid_map", map))
        return false;
    snprintf(map, sizeof map, "0 %u 1", gid);
    return netns_write("/proc/self/gid_map", map);
}

/* A TUN device that lives as long as the descriptor; -1 when there is no /dev/net/tun. */
static inline int netns_tun(const char *name)
{
    struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return -1;
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    if (ioctl(fd, TUNSETIFF, &r) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

#endif
