/* What the kernel can, what this user may, what the clock says. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/doctor.h"
#include "core/node_conf.h"
#include "os/caps.h"
#include "os/folder.h"
#include "os/process.h"
#include "os/sandbox.h"
#include "os/udp.h"

#define BUILT INT64_C(1767225600) /* 2026-01-01: no clock of a machine that runs this is right and earlier */

void gh_doctor_tun(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    char path[512];
    int fd = gh_doctor_is_proxy(d) ? -1 : open(gh_doctor_path(d, "/dev/net/tun", path), O_RDWR | O_CLOEXEC);

    if (gh_doctor_is_proxy(d)) {
        gh_doctor_say(r, GH_DOCTOR_SKIP, "agent.mode is proxy: no device is needed");
    } else if (fd >= 0) {
        close(fd);
        gh_doctor_say(r, GH_DOCTOR_OK, "/dev/net/tun can be opened");
    } else {
        gh_doctor_say(r, GH_DOCTOR_FAIL, "/dev/net/tun: %s", strerror(errno));
    }
}

void gh_doctor_udp(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    struct gh_udp_features f;

    (void)d;
    gh_udp_selftest(&f);
    gh_doctor_say(r, f.gso && f.gro ? GH_DOCTOR_OK : GH_DOCTOR_WARN, "segmentation %s, coalescing %s%s", f.gso ? "works" : "does not work",
                  f.gro ? "works" : "does not work", f.tested ? "" : " (as the kernel says; loopback is down)");
}

void gh_doctor_landlock(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    int version = gh_sandbox_landlock_version();

    (void)d;
    if (version)
        gh_doctor_say(r, GH_DOCTOR_OK, "version %d", version);
    else
        gh_doctor_say(r, GH_DOCTOR_WARN, "the kernel has none, or it is not switched on");
}

void gh_doctor_seccomp(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    char actions[256];

    if (gh_doctor_read(d, "/proc/sys/kernel/seccomp/actions_avail", actions, sizeof actions) < 0)
        gh_doctor_say(r, GH_DOCTOR_FAIL, "the kernel has none");
    else if (!strstr(actions, "kill_process"))
        gh_doctor_say(r, GH_DOCTOR_FAIL, "the kernel cannot end a process (it can: %s)", actions);
    else
        gh_doctor_say(r, GH_DOCTOR_OK, "there");
}

void gh_doctor_ipv6(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    char value[16];

    if (gh_doctor_read(d, "/proc/sys/net/ipv6/conf/all/disable_ipv6", value, sizeof value) < 0)
        gh_doctor_say(r, GH_DOCTOR_WARN, "the kernel has none: tunnels carry IPv4 alone");
    else if (strcmp(value, "0") != 0)
        gh_doctor_say(r, GH_DOCTOR_WARN, "switched off by net.ipv6.conf.all.disable_ipv6: tunnels carry IPv4 alone");
    else
        gh_doctor_say(r, GH_DOCTOR_OK, "on");
}

void gh_doctor_rights(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    if (gh_doctor_is_proxy(d))
        gh_doctor_say(r, GH_DOCTOR_SKIP, "agent.mode is proxy: no right is needed");
    else if (gh_caps_net_admin())
        gh_doctor_say(r, GH_DOCTOR_OK, "CAP_NET_ADMIN is there");
    else
        gh_doctor_say(r, GH_DOCTOR_FAIL, "this user (uid %u) has no CAP_NET_ADMIN", (unsigned)gh_process_user());
}

static const char *state_dir(const struct gh_doctor *d)
{
    struct gh_node_conf c;

    if (!d->conf)
        return "/var/lib/gatehouse";
    gh_node_conf_load(d->conf, &c);
    return c.state_dir;
}

void gh_doctor_user(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    struct gh_node_conf c = { .user = "" };
    const char *name;
    uid_t uid;
    gid_t gid;

    if (d->conf)
        gh_node_conf_load(d->conf, &c);
    name = *c.user ? c.user : "gatehouse";
    if (gh_process_find_user(name, &uid, &gid) < 0)
        gh_doctor_say(r, *c.user ? GH_DOCTOR_FAIL : GH_DOCTOR_WARN, "there is no user %s", name);
    else if (uid == 0)
        gh_doctor_say(r, GH_DOCTOR_WARN, "node.user is root");
    else
        gh_doctor_say(r, GH_DOCTOR_OK, "%s (uid %u)", name, (unsigned)uid);
}

void gh_doctor_state_dir(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    const char *dir = state_dir(d);
    char path[512];
    struct stat s;

    if (stat(gh_doctor_path(d, dir, path), &s) < 0)
        gh_doctor_say(r, errno == ENOENT ? GH_DOCTOR_OK : GH_DOCTOR_FAIL, "%s: %s", dir, errno == ENOENT ? "will be made at the first start" : strerror(errno));
    else if (!S_ISDIR(s.st_mode))
        gh_doctor_say(r, GH_DOCTOR_FAIL, "%s is no folder", dir);
    else if (s.st_mode & 077)
        gh_doctor_say(r, GH_DOCTOR_FAIL, "%s has mode %04o: others may read what is in it", dir, (unsigned)s.st_mode & 07777);
    else
        gh_doctor_say(r, GH_DOCTOR_OK, "%s, mode %04o", dir, (unsigned)s.st_mode & 07777);
}

int gh_doctor_fix_state_dir(const struct gh_doctor *d)
{
    char path[512];

    return chmod(gh_doctor_path(d, state_dir(d), path), 0700) < 0 ? GH_ERR_SYSTEM : 0;
}

void gh_doctor_clock(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    struct timex t = { .modes = 0 };

    if (d->wall < BUILT)
        gh_doctor_say(r, GH_DOCTOR_FAIL, "the clock stands at %lld, before this program was made", (long long)d->wall);
    else if (adjtimex(&t) < 0)
        gh_doctor_say(r, GH_DOCTOR_SKIP, "the kernel does not tell whether it is synchronised");
    else if (t.status & STA_UNSYNC)
        gh_doctor_say(r, GH_DOCTOR_WARN, "nobody keeps it right (no NTP)");
    else
        gh_doctor_say(r, GH_DOCTOR_OK, "synchronised");
}
