#include "priv/sysctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

static const struct switch_row {
    const char *path;   /* what is set to 1 */
    const char *folder; /* interfaces that follow, or NULL */
    const char *along;  /* another switch that Linux turns with it, or NULL */
} switches[] = {
    [GH_PRIV_IP_FORWARD] = { "net/ipv4/ip_forward", "net/ipv4/conf", "net/ipv4/conf/all/accept_redirects" },
    [GH_PRIV_IPV6_FORWARDING] = { "net/ipv6/conf/all/forwarding", "net/ipv6/conf", NULL },
    [GH_PRIV_SRC_VALID_MARK] = { "net/ipv4/conf/all/src_valid_mark", NULL, NULL },
};

static int open_switch(const char *path, int flags)
{
    char full[GH_PRIV_PATH + 16];
    int fd;

    snprintf(full, sizeof full, "/proc/sys/%s", path);
    fd = open(full, flags | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    if (errno == ENOENT || errno == ENOTDIR)
        return GH_ERR_NOT_FOUND;
    return errno == EACCES || errno == EPERM || errno == EROFS ? GH_ERR_DENIED : GH_ERR_SYSTEM;
}

int gh_sysctl_read(const char *path, char *ret, size_t cap)
{
    char text[64];
    int fd = open_switch(path, O_RDONLY);
    ssize_t n;

    if (fd < 0)
        return fd;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n < 0)
        return GH_ERR_SYSTEM;
    text[n] = 0;
    text[strcspn(text, "\n")] = 0;
    if (strlen(text) >= cap)
        return GH_ERR_TOO_LONG;
    snprintf(ret, cap, "%s", text);
    return 0;
}

int gh_sysctl_write(const char *path, const char *value)
{
    int fd = open_switch(path, O_WRONLY);
    size_t len = strlen(value);
    ssize_t n;

    if (fd < 0)
        return fd;
    n = write(fd, value, len);
    close(fd);
    return n == (ssize_t)len ? 0 : GH_ERR_SYSTEM;
}

bool gh_sysctl_known(const char *path)
{
    char name[IF_NAMESIZE + 8], leaf[24];
    int family, end = 0;

    if (!strcmp(path, switches[GH_PRIV_IP_FORWARD].path))
        return true;
    if (sscanf(path, "net/ipv%d/conf/%23[^/]/%23[a-z_]%n", &family, name, leaf, &end) != 3 || path[end])
        return false;
    if (!strcmp(name, "..") || (family != 4 && family != 6))
        return false;
    return !strcmp(leaf, "forwarding") || !strcmp(leaf, "accept_ra") || !strcmp(leaf, "accept_redirects")
           || !strcmp(leaf, "src_valid_mark");
}

/* Notes the value of <path>, once. 1 noted, 0 noted before or not there. */
static int note(struct gh_changes *cs, const char *path, uint64_t generation)
{
    struct gh_change c = { .kind = GH_CHANGE_SYSCTL };
    struct gh_change_node *n;
    int rc;

    snprintf(c.path, sizeof c.path, "%s", path);
    n = gh_changes_find(cs, &c);
    if (n) {
        n->generation = generation;
        return 0;
    }
    if (gh_sysctl_read(path, c.value, sizeof c.value) < 0 || !gh_sysctl_known(path))
        return 0;
    rc = gh_changes_note(cs, &c, generation, &n);
    return rc < 0 ? rc : 1;
}

/* The switches of one interface that turn along when <row> does. */
static int note_interface(struct gh_changes *cs, const struct switch_row *row, const char *name, uint64_t generation)
{
    char path[128], value[32];
    int rc;

    snprintf(path, sizeof path, "%s/%s/forwarding", row->folder, name);
    if (strcmp(path, row->path) != 0) {
        rc = note(cs, path, generation);
        if (rc < 0)
            return rc;
    }
    if (row != &switches[GH_PRIV_IPV6_FORWARDING] || !strcmp(name, "all") || !strcmp(name, "default"))
        return 0;
    snprintf(path, sizeof path, "%s/%s/accept_ra", row->folder, name);
    if (gh_sysctl_read(path, value, sizeof value) < 0 || strcmp(value, "1") != 0)
        return 0;
    rc = note(cs, path, generation);
    return rc < 0 ? rc : gh_sysctl_write(path, "2"); /* 2: listen to routers although forwarding; else the way out is lost */
}

static int note_interfaces(struct gh_changes *cs, const struct switch_row *row, uint64_t generation)
{
    char folder[64];
    const struct dirent *e;
    DIR *d;
    int rc = 0;

    snprintf(folder, sizeof folder, "/proc/sys/%s", row->folder);
    d = opendir(folder);
    if (!d)
        return 0;
    for (e = readdir(d); e && rc == 0; e = readdir(d))
        if (e->d_name[0] != '.' && strlen(e->d_name) < IF_NAMESIZE)
            rc = note_interface(cs, row, e->d_name, generation);
    closedir(d);
    return rc;
}

/* Switches that a child before this one had turned belong to this one now. */
static void claim(struct gh_changes *cs, const struct switch_row *row, uint64_t generation)
{
    size_t len = row->folder ? strlen(row->folder) : 0;

    gh_list_each(it, gh_changes_list(cs)) {
        struct gh_change_node *n = gh_container_of(it, struct gh_change_node, link);

        if (n->change.kind != GH_CHANGE_SYSCTL)
            continue;
        if (!strcmp(n->change.path, row->path) || (len && !strncmp(n->change.path, row->folder, len)))
            n->generation = generation;
    }
}

int gh_sysctl_enable(struct gh_changes *cs, enum gh_priv_sysctl which, uint64_t generation)
{
    const struct switch_row *row = &switches[which];
    char value[32];
    int rc = gh_sysctl_read(row->path, value, sizeof value);

    if (rc < 0)
        return rc;
    if (!strcmp(value, "1")) {
        claim(cs, row, generation);
        return 0;
    }
    /* Noted first is put back last: interfaces after the switch that overwrites them. */
    if (row->folder)
        rc = note_interfaces(cs, row, generation);
    if (rc == 0 && row->along)
        rc = note(cs, row->along, generation);
    if (rc >= 0)
        rc = note(cs, row->path, generation);
    return rc < 0 ? rc : gh_sysctl_write(row->path, "1");
}
