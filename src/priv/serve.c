#include "priv/serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "os/folder.h"
#include "os/process.h"
#include "os/netlink.h"
#include "os/sock.h"
#include "os/tun.h"
#include "os/udp.h"
#include "priv/check.h"
#include "priv/firewall.h"
#include "priv/keys.h"
#include "priv/lookup.h"
#include "priv/network.h"
#include "priv/notify.h"
#include "priv/sysctl.h"

#define GRANTS_MAX 1024u

struct grant {
    struct gh_list link;
    struct gh_priv_request request;
};

struct kept {
    struct gh_list link;
    struct gh_priv_request request;
    struct gh_priv_reply reply;
    int fds[GH_PRIV_QUEUES];
    size_t fd_count;
    uint64_t generation;
};

struct gh_serve {
    struct gh_changes *changes;
    struct gh_watches *watches;
    char *notify_socket;
    uid_t uid;
    gid_t gid;
    uint64_t generation;
    struct gh_list kept;
    struct gh_keys keys;
    struct gh_lookups lookups;
};

int gh_serve_create(const struct gh_priv_config *cfg, struct gh_changes *changes, struct gh_watches *watches,
                    const char *notify_socket, struct gh_serve **ret)
{
    struct gh_serve *s = calloc(1, sizeof *s);

    if (!s)
        return GH_ERR_MEMORY;
    s->changes = changes;
    s->watches = watches;
    s->uid = cfg->uid;
    s->gid = cfg->gid;
    gh_list_init(&s->kept);
    if (notify_socket) {
        s->notify_socket = strdup(notify_socket);
        if (!s->notify_socket) {
            free(s);
            return GH_ERR_MEMORY;
        }
    }
    *ret = s;
    return 0;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

static void give_up(struct kept *k)
{
    close_all(k->fds, k->fd_count);
    gh_list_unlink(&k->link);
    free(k);
}

void gh_serve_wipe_keys(struct gh_serve *s)
{
    gh_keys_wipe(&s->keys);
}

void gh_serve_destroy(struct gh_serve *s)
{
    if (!s)
        return;
    gh_lookups_stop(&s->lookups);
    gh_serve_wipe_keys(s);
    gh_list_each(it, &s->kept)
        give_up(gh_container_of(it, struct kept, link));
    free(s->notify_socket);
    free(s);
}

void gh_serve_child_init(struct gh_serve *s, struct gh_serve_child *c, bool reload)
{
    *c = (struct gh_serve_child){ .reload = reload };
    gh_list_init(&c->grants);
    if (reload)
        return;
    c->generation = ++s->generation;
    gh_watches_clear(s->watches);
    gh_serve_wipe_keys(s);
}

void gh_serve_child_fini(struct gh_serve_child *c)
{
    if (!c->grants.next)
        return;
    gh_list_each(it, &c->grants) {
        gh_list_unlink(it);
        free(gh_container_of(it, struct grant, link));
    }
    c->grant_count = 0;
}

/* ---- grants ---- */

static bool granted(const struct gh_serve_child *c, const struct gh_priv_request *q)
{
    gh_list_each(it, &c->grants) {
        if (!memcmp(&gh_container_of(it, struct grant, link)->request, q, sizeof *q))
            return true;
    }
    return false;
}

static int grant(struct gh_serve_child *c, const struct gh_priv_request *q)
{
    struct grant *g;

    if (granted(c, q))
        return 0;
    if (c->grant_count == GRANTS_MAX)
        return GH_ERR_FULL;
    g = malloc(sizeof *g);
    if (!g)
        return GH_ERR_MEMORY;
    g->request = *q;
    gh_list_append(&c->grants, &g->link);
    c->grant_count++;
    return 0;
}

int gh_serve_child_merge(struct gh_serve_child *to, const struct gh_serve_child *from)
{
    gh_list_each(it, &from->grants) {
        int rc = grant(to, &gh_container_of(it, struct grant, link)->request);

        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Requests that name something of the outside world: only what PHASE_CONFIG named, in PHASE_RUN. */
static bool is_naming(uint32_t kind)
{
    switch (kind) {
    case GH_PRIV_RUN:
    case GH_PRIV_TUN_CONFIG:
    case GH_PRIV_ROUTE:
    case GH_PRIV_SIGN:
    case GH_PRIV_FORGET_KEY:
    case GH_PRIV_NOTIFY:
    case GH_PRIV_CLEANUP:
    case GH_PRIV_RELOAD:
    case GH_PRIV_LOOKUP:
    case GH_PRIV_NETLINK:
    case GH_PRIV_WATCH_BEGIN:
    case GH_PRIV_WATCH_END:
        return false;
    default:
        return true;
    }
}

static bool allowed_when_reloading(uint32_t kind)
{
    return kind == GH_PRIV_OPEN_FILE || kind == GH_PRIV_OPEN_APPEND || kind == GH_PRIV_KEY || kind == GH_PRIV_WATCH;
}

/* ---- files ---- */

static int error_of(int e)
{
    switch (e) {
    case ENOENT:
    case ENOTDIR:
        return GH_ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return GH_ERR_DENIED;
    case EADDRINUSE:
    case EEXIST:
        return GH_ERR_EXISTS;
    default:
        return GH_ERR_SYSTEM;
    }
}

/* Opens and looks what it is before anybody reads it: a device or a pipe could block or worse. */
static int open_kind(const char *path, int flags, mode_t mode, bool (*wanted)(mode_t mode))
{
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode);
    struct stat st;

    if (fd < 0)
        return error_of(errno);
    if (fstat(fd, &st) == 0 && wanted(st.st_mode))
        return fd;
    close(fd);
    errno = EINVAL;
    return GH_ERR_RANGE;
}

static bool is_regular(mode_t mode)
{
    return S_ISREG(mode);
}

static bool is_log(mode_t mode)
{
    return S_ISREG(mode) || S_ISFIFO(mode) || S_ISCHR(mode);
}

static bool is_folder(mode_t mode)
{
    return S_ISDIR(mode);
}

int gh_serve_open_file(const char *path)
{
    return open_kind(path, O_RDONLY, 0, is_regular);
}

static int hand_over(const struct gh_serve *s, int fd)
{
    struct stat st;

    if (s->uid == 0 || fstat(fd, &st) < 0 || st.st_uid == s->uid)
        return 0;
    return fchown(fd, s->uid, s->gid);
}

static int open_append(const struct gh_serve *s, const char *path)
{
    int fd = open_kind(path, O_WRONLY | O_APPEND | O_CREAT, 0640, is_log);
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0)
        hand_over(s, fd);
    return fd;
}

/* The folder and the files in it go to the child's user when they are somebody else's yet: nobody but that one could have put
 * anything there. */
static int hand_over_folder(const struct gh_serve *s, int fd)
{
    uid_t to = s->uid ? s->uid : geteuid();
    gid_t group = s->uid ? s->gid : getegid();
    struct dirent *entry;
    struct stat st;
    DIR *dir;
    int copy, rc = 0;

    if (geteuid() != 0 || fstat(fd, &st) < 0 || st.st_uid == to)
        return 0;
    copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir) {
        if (copy >= 0)
            close(copy);
        return GH_ERR_SYSTEM;
    }
    for (entry = readdir(dir); entry && rc == 0; entry = readdir(dir)) {
        int file = openat(fd, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

        if (file < 0)
            continue;
        if (fstat(file, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && fchown(file, to, group) < 0)
            rc = error_of(errno);
        close(file);
    }
    closedir(dir);
    /* the folder last: a start that is cut short does it again */
    return rc == 0 && fchown(fd, to, group) < 0 ? error_of(errno) : rc;
}

static int open_state_dir(const struct gh_serve *s, const char *path)
{
    int rc;

    int fd;

    if (gh_folder_make(path, 0700) < 0)
        return error_of(errno);
    fd = open_kind(path, O_RDONLY | O_DIRECTORY, 0, is_folder);
    if (fd < 0)
        return fd;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) { /* goes with the last copy of this descriptor */
        close(fd);
        return GH_ERR_EXISTS;
    }
    rc = hand_over_folder(s, fd);
    if (rc < 0 && s->uid) {
        close(fd);
        return rc;
    }
    return fd;
}

static int open_unix(struct gh_serve *s, const struct gh_priv_request *q, uint64_t generation)
{
    struct gh_change c = { .kind = GH_CHANGE_FILE };
    struct gh_change_node *n;
    mode_t old = umask(0); /* <mode> as it is asked for */
    int fd = gh_sock_listen_unix(q->path, (mode_t)q->mode), rc;

    umask(old);
    if (fd < 0)
        return fd;
    if (s->uid && lchown(q->path, s->uid, s->gid) < 0) {
        gh_sock_close(fd);
        return GH_ERR_SYSTEM;
    }
    memcpy(c.path, q->path, sizeof c.path);
    n = gh_changes_find(s->changes, &c);
    rc = n ? 0 : gh_changes_note(s->changes, &c, generation, &n);
    if (rc < 0) {
        gh_sock_close(fd);
        return rc;
    }
    n->generation = generation;
    return fd;
}

/* Nobody else's file is touched: it must not be there. What an agent left that was killed was removed when the journal was opened. */
static int open_public(struct gh_serve *s, const struct gh_priv_request *q, uint64_t generation)
{
    struct gh_change c = { .kind = GH_CHANGE_FILE };
    struct gh_change_node *n;
    int fd = open_kind(q->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, is_regular), rc;

    if (fd < 0)
        return fd;
    memcpy(c.path, q->path, sizeof c.path);
    rc = fchmod(fd, 0644) < 0 ? GH_ERR_SYSTEM : gh_changes_note(s->changes, &c, generation, &n);
    if (rc < 0) {
        unlink(q->path);
        close(fd);
        return rc;
    }
    return fd;
}

/* ---- sockets and devices ---- */

static int open_one_socket(const struct gh_priv_request *q, const struct gh_endpoint *at)
{
    const struct gh_priv_socket *want = &q->socket;
    bool udp = q->kind == GH_PRIV_OPEN_UDP, six = at->ip.family == 6;
    unsigned flags = want->count > 1 ? (udp ? (unsigned)GH_UDP_REUSEPORT : (unsigned)GH_SOCK_REUSEPORT) : 0;
    int fd, got, rc;

    if (six)
        flags |= udp ? (unsigned)GH_UDP_V6ONLY : (unsigned)GH_SOCK_V6ONLY;
    fd = udp ? gh_udp_open(at, flags) : gh_sock_listen_tcp(at, flags);
    if (fd < 0)
        return fd;
    rc = want->mark ? gh_sock_set_mark(fd, want->mark) : 0;
    if (rc == 0 && want->buffer && udp)
        rc = gh_udp_set_buffers(fd, (int)want->buffer, &got);
    if (rc == 0)
        return fd;
    gh_sock_close(fd);
    return rc;
}

static int open_sockets(const struct gh_priv_request *q, struct kept *k)
{
    struct gh_endpoint at = { .ip = q->socket.addr, .port = q->socket.port };

    for (unsigned i = 0; i < q->socket.count; i++) {
        struct gh_endpoint bound;
        int fd = open_one_socket(q, &at);

        if (fd < 0)
            return fd;
        k->fds[k->fd_count++] = fd;
        if (gh_sock_local(fd, &bound) < 0)
            return GH_ERR_SYSTEM;
        at.port = bound.port; /* the first one found a free port for all */
    }
    k->reply.id = at.port;
    return 0;
}

static int open_dial(const struct gh_priv_socket *want)
{
    int fd = gh_sock_open_tcp(want->addr.family), rc;

    if (fd < 0)
        return fd;
    rc = want->mark ? gh_sock_set_mark(fd, want->mark) : 0;
    if (rc == 0)
        return fd;
    gh_sock_close(fd);
    return rc;
}

static int open_tun(const struct gh_priv_request *q, struct kept *k)
{
    char name[IF_NAMESIZE];

    memcpy(name, q->tun.name, sizeof name);
    for (unsigned i = 0; i < q->tun.queues; i++) {
        int fd, rc = gh_tun_open(name, true, &fd, name);

        if (rc < 0)
            return rc;
        k->fds[k->fd_count++] = fd;
    }
    memcpy(k->reply.name, name, sizeof name);
    return 0;
}

static int open_kept(struct gh_serve *s, const struct gh_serve_child *c, const struct gh_priv_request *q, struct kept *k)
{
    int fd;

    switch (q->kind) {
    case GH_PRIV_OPEN_UDP:
    case GH_PRIV_OPEN_TCP:
        return open_sockets(q, k);
    case GH_PRIV_OPEN_TUN:
        return open_tun(q, k);
    case GH_PRIV_OPEN_UNIX:
        fd = open_unix(s, q, c->generation);
        break;
    case GH_PRIV_OPEN_PUBLIC:
        fd = open_public(s, q, c->generation);
        break;
    default:
        fd = open_state_dir(s, q->path);
        break;
    }
    if (fd < 0)
        return fd;
    k->fds[k->fd_count++] = fd;
    return 0;
}

static struct kept *find_kept(struct gh_serve *s, const struct gh_priv_request *q)
{
    gh_list_each(it, &s->kept) {
        struct kept *k = gh_container_of(it, struct kept, link);

        if (!memcmp(&k->request, q, sizeof *q))
            return k;
    }
    return NULL;
}

static int answer_kept(struct gh_serve *s, const struct gh_serve_child *c, const struct gh_priv_request *q, struct gh_answer *ret)
{
    struct kept *k = find_kept(s, q);
    int rc;

    if (!k) {
        k = calloc(1, sizeof *k);
        if (!k)
            return GH_ERR_MEMORY;
        k->request = *q;
        gh_list_init(&k->link);
        rc = open_kept(s, c, q, k);
        if (rc < 0) {
            ret->reply.sys = errno;
            give_up(k);
            return rc;
        }
        gh_list_append(&s->kept, &k->link);
    } else if (q->kind == GH_PRIV_OPEN_UNIX || q->kind == GH_PRIV_OPEN_PUBLIC) { /* its file is claimed, too */
        struct gh_change file = { .kind = GH_CHANGE_FILE };
        struct gh_change_node *n;

        memcpy(file.path, q->path, sizeof file.path);
        n = gh_changes_find(s->changes, &file);
        if (n)
            n->generation = c->generation;
    }
    k->generation = c->generation;
    ret->reply = k->reply;
    memcpy(ret->fds, k->fds, k->fd_count * sizeof k->fds[0]);
    ret->fd_count = k->fd_count;
    return 0;
}

static bool owns_device(struct gh_serve *s, const char *name)
{
    gh_list_each(it, &s->kept) {
        const struct kept *k = gh_container_of(it, struct kept, link);

        if (k->request.kind == GH_PRIV_OPEN_TUN && !strcmp(k->reply.name, name))
            return true;
    }
    return false;
}

/* ---- keys ---- */

static int answer_key(struct gh_serve *s, const struct gh_serve_child *c, const struct gh_priv_request *q, struct gh_answer *ret)
{
    int fd = gh_serve_open_file(q->path), rc;

    if (fd < 0) {
        ret->reply.sys = errno;
        return fd;
    }
    if (!c->reload)
        gh_process_hide_memory(true);
    rc = gh_keys_load(&s->keys, fd, c->reload ? NULL : q->path, q->mode == 1, &ret->reply);
    close(fd);
    return rc;
}

bool gh_serve_is_key(const struct gh_serve *s, const char *path)
{
    return gh_keys_has(&s->keys, path);
}

/* ---- phases ---- */

static bool left_by_older(void *arg, const struct gh_change_node *n)
{
    const struct gh_serve_child *c = arg;

    /* addresses and routes follow their device, whose child may still be on its way to its peer */
    return n->generation != c->generation && n->change.kind != GH_CHANGE_ADDR && n->change.kind != GH_CHANGE_ROUTE;
}

static bool of_device(void *arg, const struct gh_change_node *n)
{
    return (n->change.kind == GH_CHANGE_ADDR || n->change.kind == GH_CHANGE_ROUTE) && !strcmp(n->change.device, arg);
}

/* Unreachable routes have no device to follow; they go with the rule that led to their table. */
static bool of_lost_table(void *arg, const struct gh_change_node *n)
{
    return n->change.kind == GH_CHANGE_ROUTE && n->change.ifindex == 0 && !gh_network_owns_table(arg, n->change.table);
}

static int enter_run(struct gh_serve *s, struct gh_serve_child *c)
{
    int rc;

    if (c->run)
        return GH_ERR_STATE;
    c->run = true;
    gh_list_each(it, &s->kept) {
        struct kept *k = gh_container_of(it, struct kept, link);

        if (k->generation == c->generation)
            continue;
        if (k->request.kind == GH_PRIV_OPEN_TUN)
            gh_changes_undo_all(s->changes, of_device, k->reply.name);
        give_up(k);
    }
    rc = gh_changes_undo_all(s->changes, left_by_older, c);
    return rc < 0 ? rc : gh_changes_undo_all(s->changes, of_lost_table, s->changes);
}

static int undo_everything(struct gh_serve *s)
{
    int rc = gh_changes_undo_all(s->changes, NULL, NULL);

    gh_list_each(it, &s->kept) {
        struct kept *k = gh_container_of(it, struct kept, link);

        if (k->request.kind == GH_PRIV_OPEN_TUN)
            give_up(k);
    }
    return rc;
}

static long long now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int fresh(int fd, struct gh_answer *ret)
{
    if (fd < 0) {
        ret->reply.sys = errno;
        return fd;
    }
    ret->fds[0] = fd;
    ret->fd_count = 1;
    ret->fresh = true;
    return 0;
}

/* Neither needs a right; but a child in its sandbox makes no such sockets. */
static int open_netlink(struct gh_answer *ret)
{
    ret->fds[0] = gh_netlink_monitor_open();
    ret->fds[1] = gh_netlink_socket();
    if (ret->fds[0] < 0 || ret->fds[1] < 0) {
        ret->reply.sys = errno;
        gh_sock_close(ret->fds[0]);
        gh_sock_close(ret->fds[1]);
        return GH_ERR_SYSTEM;
    }
    ret->fd_count = 2;
    ret->fresh = true;
    return 0;
}

static void forget_keys(void *arg)
{
    gh_serve_wipe_keys(arg);
}

static int answer_lookup(struct gh_serve *s, const struct gh_priv_lookup *q, struct gh_answer *ret)
{
    int fd = -1, rc = gh_lookup_start(&s->lookups, q, s->uid, s->gid, forget_keys, s, &fd);

    return rc < 0 ? rc : fresh(fd, ret);
}

void gh_serve_reap(struct gh_serve *s)
{
    gh_lookups_reap(&s->lookups);
}

static int may(struct gh_serve *s, const struct gh_serve_child *c, const struct gh_priv_request *q)
{
    if (c->reload && !allowed_when_reloading(q->kind))
        return GH_ERR_STATE;
    if (c->run && is_naming(q->kind) && !granted(c, q))
        return GH_ERR_DENIED;
    if (q->kind == GH_PRIV_TUN_CONFIG && !owns_device(s, q->tun_config.name))
        return GH_ERR_DENIED;
    if (q->kind == GH_PRIV_NAT && !owns_device(s, q->nat.device))
        return GH_ERR_DENIED;
    if (q->kind == GH_PRIV_ROUTE
        && !(q->routes.device[0] ? owns_device(s, q->routes.device) : gh_network_owns_table(s->changes, q->routes.table)))
        return GH_ERR_DENIED;
    return 0;
}

static int answer(struct gh_serve *s, struct gh_serve_child *c, const struct gh_priv_request *q, struct gh_answer *ret)
{
    char *error = ret->reply.text;
    int rc;

    switch (q->kind) {
    case GH_PRIV_RUN:
        return enter_run(s, c);
    case GH_PRIV_OPEN_FILE:
        return gh_serve_is_key(s, q->path) ? GH_ERR_DENIED : fresh(gh_serve_open_file(q->path), ret);
    case GH_PRIV_OPEN_APPEND:
        return fresh(open_append(s, q->path), ret);
    case GH_PRIV_OPEN_PUBLIC:
    case GH_PRIV_OPEN_STATE_DIR:
    case GH_PRIV_OPEN_UDP:
    case GH_PRIV_OPEN_TCP:
    case GH_PRIV_OPEN_UNIX:
    case GH_PRIV_OPEN_TUN:
        return answer_kept(s, c, q, ret);
    case GH_PRIV_OPEN_DIAL:
        return fresh(open_dial(&q->socket), ret);
    case GH_PRIV_NETLINK:
        return open_netlink(ret);
    case GH_PRIV_TUN_CONFIG:
        return gh_network_tun(s->changes, &q->tun_config, c->generation, error);
    case GH_PRIV_ROUTE:
        return gh_network_routes(s->changes, &q->routes, c->generation, error);
    case GH_PRIV_RULE:
        return gh_network_rule(s->changes, &q->rule, c->generation, error);
    case GH_PRIV_NAT:
        return gh_network_nat(s->changes, &q->nat, c->generation, error);
    case GH_PRIV_HOP:
        return gh_network_hop(s->changes, &q->hop, c->generation, error);
    case GH_PRIV_FIREWALL:
        return gh_firewall_open(s->changes, &q->firewall, c->generation, ret->reply.name, error);
    case GH_PRIV_SYSCTL:
        return gh_sysctl_enable(s->changes, (enum gh_priv_sysctl)q->sysctl, c->generation);
    case GH_PRIV_KEY:
        return answer_key(s, c, q, ret);
    case GH_PRIV_SIGN:
        return gh_keys_sign(&s->keys, &q->sign, &ret->reply);
    case GH_PRIV_FORGET_KEY:
        return gh_keys_forget(&s->keys, q->sign.key);
    case GH_PRIV_WATCH:
        rc = c->reload ? 0 : gh_watches_add(s->watches, q->path);
        ret->reply.id = rc < 0 ? 0 : (uint32_t)rc;
        return rc < 0 ? rc : 0;
    case GH_PRIV_WATCH_BEGIN:
        gh_watches_begin(s->watches);
        return 0;
    case GH_PRIV_WATCH_END:
        gh_watches_end(s->watches);
        return 0;
    case GH_PRIV_NOTIFY:
        return gh_notify_send(s->notify_socket, &q->notify, now_us());
    case GH_PRIV_CLEANUP:
        return undo_everything(s);
    case GH_PRIV_RELOAD: /* the parent does it, once this is answered */
        return c->run ? 0 : GH_ERR_STATE;
    case GH_PRIV_LOOKUP:
        return answer_lookup(s, &q->lookup, ret);
    default:
        return GH_ERR_UNSUPPORTED;
    }
}

void gh_serve_answer(struct gh_serve *s, struct gh_serve_child *c, const struct gh_priv_request *q, struct gh_answer *ret)
{
    int rc = gh_check_request(q);

    memset(ret, 0, sizeof *ret);
    errno = 0;
    if (rc == 0)
        rc = may(s, c, q);
    if (rc == 0 && !c->run && is_naming(q->kind))
        rc = grant(c, q);
    if (rc == 0)
        rc = answer(s, c, q, ret);
    ret->reply.rc = rc;
    if (rc < 0 && !ret->reply.text[0])
        snprintf(ret->reply.text, sizeof ret->reply.text, "%s", ret->reply.sys ? strerror(ret->reply.sys) : gh_error_text(rc));
}
