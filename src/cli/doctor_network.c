/* Devices, routes, firewall, and others who use them. */
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/doctor.h"
#include "os/netlink.h"

#define MTU_V4 1280u /* below this a tunnel is not possible at all */
#define MTU_V6 1362u /* 1314 bytes of UDP payload, 8 of UDP, 40 of IPv6: then IPv6 fits into the tunnel */
#define OURS_FIRST 5100u /* rules of the agent */
#define OURS_LAST 5101u

/* Where packets to the internet go. 0 or GH_ERR_…. */
static int way_out(uint8_t family, struct gh_nl_route *ret, char device[IF_NAMESIZE])
{
    static const uint8_t v4[4] = { 192, 0, 2, 1 }, v6[16] = { 0x20, 1, 0x0d, 0xb8 };
    const struct gh_ip to = family == 4 ? gh_ip_v4(v4) : gh_ip_v6(v6);
    struct gh_netlink *nl = NULL;
    int rc = gh_netlink_create(&nl);

    if (rc == 0)
        rc = gh_netlink_route_get(nl, &to, 0, ret);
    gh_netlink_destroy(nl);
    if (rc == 0 && !if_indextoname(ret->ifindex, device))
        rc = GH_ERR_NOT_FOUND;
    return rc;
}

void gh_doctor_route(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    struct gh_nl_route v4, v6;
    char a[IF_NAMESIZE] = "none", b[IF_NAMESIZE] = "none";
    int four = way_out(4, &v4, a), six = way_out(6, &v6, b);

    (void)d;
    gh_doctor_say(r, four < 0 && six < 0 ? GH_DOCTOR_FAIL : GH_DOCTOR_OK, "IPv4 by %s, IPv6 by %s", a, b);
}

void gh_doctor_mtu(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    struct gh_nl_route route;
    char device[IF_NAMESIZE], path[64], text[16];
    unsigned mtu;

    if (way_out(4, &route, device) < 0 && way_out(6, &route, device) < 0) {
        gh_doctor_say(r, GH_DOCTOR_SKIP, "there is no way out");
        return;
    }
    snprintf(path, sizeof path, "/sys/class/net/%s/mtu", device);
    if (gh_doctor_read(d, path, text, sizeof text) < 0) {
        gh_doctor_say(r, GH_DOCTOR_SKIP, "%s cannot be read", path);
        return;
    }
    mtu = (unsigned)strtoul(text, NULL, 10);
    if (route.mtu && route.mtu < mtu)
        mtu = route.mtu;
    gh_doctor_say(r, mtu < MTU_V4 ? GH_DOCTOR_FAIL : mtu < MTU_V6 ? GH_DOCTOR_WARN : GH_DOCTOR_OK, "%u bytes on %s%s", mtu, device,
                  mtu < MTU_V6 && mtu >= MTU_V4 ? ": tunnels carry IPv4 alone" : "");
}

void gh_doctor_nft(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    static const char *const programs[] = { "/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft" };
    char path[512];

    if (d->agent) {
        gh_doctor_say(r, GH_DOCTOR_SKIP, "an agent changes no firewall");
        return;
    }
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        if (access(gh_doctor_path(d, programs[i], path), X_OK) == 0) {
            gh_doctor_say(r, GH_DOCTOR_OK, "%s", programs[i]);
            return;
        }
    gh_doctor_say(r, GH_DOCTOR_FAIL, "there is no nft in /usr/sbin, /sbin, /usr/bin, /usr/local/sbin");
}

void gh_doctor_forwarding(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    char v4[8] = "?", v6[8] = "?";
    bool on;

    if (d->agent) {
        gh_doctor_say(r, GH_DOCTOR_SKIP, "an agent forwards nothing");
        return;
    }
    (void)gh_doctor_read(d, "/proc/sys/net/ipv4/ip_forward", v4, sizeof v4);
    (void)gh_doctor_read(d, "/proc/sys/net/ipv6/conf/all/forwarding", v6, sizeof v6);
    on = strcmp(v4, "1") == 0 && (strcmp(v6, "1") == 0 || strcmp(v6, "?") == 0);
    if (on)
        gh_doctor_say(r, GH_DOCTOR_OK, "on");
    else if (access("/run/gatehouse/gatehoused.journal", F_OK) == 0)
        gh_doctor_say(r, GH_DOCTOR_FAIL, "somebody switched it off while the relay runs (ip_forward %s, ipv6 forwarding %s)", v4, v6);
    else
        gh_doctor_say(r, GH_DOCTOR_OK, "off; the relay switches it on while it runs");
}

void gh_doctor_rp_filter(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    char all[8], mark[8] = "0";

    if (!d->agent)
        gh_doctor_say(r, GH_DOCTOR_SKIP, "of an agent alone");
    else if (gh_doctor_read(d, "/proc/sys/net/ipv4/conf/all/rp_filter", all, sizeof all) < 0)
        gh_doctor_say(r, GH_DOCTOR_SKIP, "it cannot be read");
    else if (strcmp(all, "1") != 0)
        gh_doctor_say(r, GH_DOCTOR_OK, "rp_filter is %s", all);
    else if (gh_doctor_read(d, "/proc/sys/net/ipv4/conf/all/src_valid_mark", mark, sizeof mark) >= 0 && strcmp(mark, "1") == 0)
        gh_doctor_say(r, GH_DOCTOR_OK, "rp_filter is strict, and src_valid_mark is on");
    else
        gh_doctor_say(r, GH_DOCTOR_OK, "rp_filter is strict; the agent switches src_valid_mark on while it runs");
}

static bool is_other_tunnel(const struct gh_doctor *d, const char *name)
{
    char path[384], text[256];

    if (strncmp(name, "gh", 2) == 0)
        return false;
    snprintf(path, sizeof path, "/sys/class/net/%s/uevent", name);
    if (gh_doctor_read(d, path, text, sizeof text) >= 0 && strstr(text, "DEVTYPE=wireguard"))
        return true;
    snprintf(path, sizeof path, "/sys/class/net/%s/tun_flags", name);
    return gh_doctor_read(d, path, text, sizeof text) >= 0;
}

void gh_doctor_other_devices(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    char path[512], found[160] = "";
    DIR *dir = opendir(gh_doctor_path(d, "/sys/class/net", path));
    struct dirent *entry;

    if (!dir) {
        gh_doctor_say(r, GH_DOCTOR_SKIP, "/sys/class/net: %s", strerror(errno));
        return;
    }
    for (entry = readdir(dir); entry; entry = readdir(dir)) {
        size_t len = strlen(found);

        if (*entry->d_name != '.' && is_other_tunnel(d, entry->d_name))
            snprintf(found + len, sizeof found - len, "%s%.60s", len ? ", " : "", entry->d_name);
    }
    closedir(dir);
    if (*found)
        gh_doctor_say(r, GH_DOCTOR_WARN, "other tunnels are up: %s", found);
    else
        gh_doctor_say(r, GH_DOCTOR_OK, "none");
}

struct rules {
    char found[160];
    unsigned priority;
};

static bool look_at_rule(void *arg, const struct gh_nl_rule *rule)
{
    struct rules *f = arg;
    size_t len = strlen(f->found);

    /* 0, 32766 and 32767 are the kernel's own */
    if (rule->priority == 0 || rule->priority >= 32766 || (rule->priority >= OURS_FIRST && rule->priority <= OURS_LAST))
        return true;
    if (rule->priority < OURS_FIRST)
        snprintf(f->found + len, sizeof f->found - len, "%s%u (table %u)", len ? ", " : "", rule->priority, rule->table);
    return true;
}

void gh_doctor_other_rules(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    struct rules f = { .found = "" };
    struct gh_netlink *nl = NULL;
    int rc = gh_netlink_create(&nl);

    (void)d;
    if (rc == 0)
        rc = gh_netlink_rules(nl, 4, look_at_rule, &f);
    if (rc == 0)
        rc = gh_netlink_rules(nl, 6, look_at_rule, &f);
    gh_netlink_destroy(nl);
    if (rc < 0)
        gh_doctor_say(r, GH_DOCTOR_SKIP, "the rules cannot be read: %s", gh_error_text(rc));
    else if (*f.found)
        gh_doctor_say(r, GH_DOCTOR_WARN, "rules before an agent's: priority %s", f.found);
    else
        gh_doctor_say(r, GH_DOCTOR_OK, "none before an agent's");
}
