#include "core/privileged.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "os/fdpass.h"

#define BLOCK_METRIC 65535u /* any route of ours to the same network is better */

static int call(struct gh_privileged *p, const struct gh_priv_request *q, struct gh_priv_reply *ret, int *ret_fds, size_t cap, size_t *ret_count)
{
    struct gh_priv_reply reply = { 0 };
    size_t count = 0;
    int rc = p->call(p->client, q, &reply, ret_fds, cap, &count);

    if (rc < 0)
        snprintf(p->why, sizeof p->why, "%s", reply.text[0] ? reply.text : gh_error_text(rc));
    if (rc >= 0 && cap && count != cap) {
        for (size_t i = 0; i < count; i++)
            close(ret_fds[i]);
        snprintf(p->why, sizeof p->why, "the parent answered with %zu descriptors instead of %zu", count, cap);
        return GH_ERR_INTERNAL;
    }
    if (ret)
        *ret = reply;
    if (ret_count)
        *ret_count = count;
    return rc;
}

static int with_path(struct gh_privileged *p, enum gh_priv_kind kind, const char *path, unsigned mode, struct gh_priv_reply *ret, int *ret_fd)
{
    struct gh_priv_request q = { .kind = (uint32_t)kind, .mode = mode };

    if (strlen(path) >= sizeof q.path) {
        snprintf(p->why, sizeof p->why, "the path is longer than %zu bytes", sizeof q.path - 1);
        return GH_ERR_TOO_LONG;
    }
    memcpy(q.path, path, strlen(path) + 1);
    return call(p, &q, ret, ret_fd, ret_fd ? 1 : 0, NULL);
}

const char *gh_privileged_why(const struct gh_privileged *p)
{
    return p->why;
}

int gh_privileged_open_file(struct gh_privileged *p, const char *path, int *ret_fd)
{
    return with_path(p, GH_PRIV_OPEN_FILE, path, 0, NULL, ret_fd);
}

int gh_privileged_read_dated(struct gh_privileged *p, const char *path, size_t limit, struct gh_text *ret, int64_t *ret_changed)
{
    char buf[16384];
    struct stat st = { 0 };
    ssize_t n = 1;
    int fd, rc = gh_privileged_open_file(p, path, &fd);

    if (rc < 0)
        return rc;
    (void)fstat(fd, &st);
    gh_text_init(ret, limit);
    while (n > 0 && !ret->failed) {
        n = read(fd, buf, sizeof buf);
        if (n > 0)
            gh_text_append_span(ret, gh_span_of(buf, (size_t)n));
    }
    close(fd);
    explicit_bzero(buf, sizeof buf);
    if (n < 0 || ret->failed) {
        gh_text_fini(ret);
        snprintf(p->why, sizeof p->why, "%s", n < 0 ? "it cannot be read" : "it is too long");
        return n < 0 ? GH_ERR_SYSTEM : GH_ERR_TOO_LONG;
    }
    *ret_changed = st.st_mtime;
    return 0;
}

int gh_privileged_read_file(struct gh_privileged *p, const char *path, size_t limit, struct gh_text *ret)
{
    int64_t changed;

    return gh_privileged_read_dated(p, path, limit, ret, &changed);
}

/* <why> is the node's thread's; a worker's handshake says nothing there. */
static int sign(void *arg, uint32_t key, uint16_t scheme, struct gh_span data, uint8_t *ret, size_t *ret_len)
{
    struct gh_privileged *p = arg;
    struct gh_priv_request q = { .kind = GH_PRIV_SIGN };
    struct gh_priv_reply reply = { 0 };
    size_t count = 0;
    int rc;

    if (data.len > sizeof q.sign.data)
        return GH_ERR_TOO_LONG;
    q.sign.key = key;
    q.sign.scheme = scheme;
    q.sign.len = (uint16_t)data.len;
    memcpy(q.sign.data, data.data, data.len);
    rc = p->call(p->client, &q, &reply, NULL, 0, &count);
    if (rc < 0)
        return rc;
    if (reply.len > GH_SIGN_MAX || reply.len > sizeof reply.data)
        return GH_ERR_MALFORMED;
    memcpy(ret, reply.data, reply.len);
    *ret_len = reply.len;
    return 0;
}

static void forget_key(void *arg, uint32_t key)
{
    struct gh_privileged *p = arg;
    struct gh_priv_request q = { .kind = GH_PRIV_FORGET_KEY };
    struct gh_priv_reply reply;
    size_t count;

    q.sign.key = key;
    (void)p->call(p->client, &q, &reply, NULL, 0, &count);
}

int gh_privileged_open_key(struct gh_privileged *p, const char *path, bool tls12, struct gh_signer *ret)
{
    struct gh_priv_reply reply;
    int rc = with_path(p, GH_PRIV_KEY, path, tls12, &reply, NULL);

    if (rc < 0)
        return rc;
    *ret = (struct gh_signer){ .sign = sign, .release = forget_key, .arg = p, .key = reply.id, .tls12 = tls12 };
    ret->scheme_count = reply.schemes < GH_SIGN_SCHEMES ? reply.schemes : GH_SIGN_SCHEMES;
    memcpy(ret->schemes, reply.scheme, ret->scheme_count * sizeof *ret->schemes);
    return 0;
}

int gh_privileged_open_append(struct gh_privileged *p, const char *path, int *ret_fd)
{
    return with_path(p, GH_PRIV_OPEN_APPEND, path, 0, NULL, ret_fd);
}

int gh_privileged_open_public(struct gh_privileged *p, const char *path, int *ret_fd)
{
    return with_path(p, GH_PRIV_OPEN_PUBLIC, path, 0, NULL, ret_fd);
}

int gh_privileged_open_state_dir(struct gh_privileged *p, const char *path, int *ret_fd)
{
    return with_path(p, GH_PRIV_OPEN_STATE_DIR, path, 0, NULL, ret_fd);
}

int gh_privileged_open_unix(struct gh_privileged *p, const char *path, unsigned mode, int *ret_fd)
{
    return with_path(p, GH_PRIV_OPEN_UNIX, path, mode, NULL, ret_fd);
}

int gh_privileged_open_netlink(struct gh_privileged *p, int ret_fds[2])
{
    const struct gh_priv_request q = { .kind = GH_PRIV_NETLINK };

    return call(p, &q, NULL, ret_fds, 2, NULL);
}

int gh_privileged_open_udp(struct gh_privileged *p, const struct gh_priv_socket *s, int *ret_fds)
{
    const struct gh_priv_request q = { .kind = GH_PRIV_OPEN_UDP, .socket = *s };

    return call(p, &q, NULL, ret_fds, s->count, NULL);
}

int gh_privileged_open_tcp(struct gh_privileged *p, const struct gh_priv_socket *s, int *ret_fds)
{
    const struct gh_priv_request q = { .kind = GH_PRIV_OPEN_TCP, .socket = *s };

    return call(p, &q, NULL, ret_fds, s->count, NULL);
}

int gh_privileged_open_dial(struct gh_privileged *p, uint8_t family, uint32_t mark, int *ret_fd)
{
    const struct gh_priv_request q = { .kind = GH_PRIV_OPEN_DIAL, .socket = { .addr.family = family, .count = 1, .mark = mark } };

    return call(p, &q, NULL, ret_fd, 1, NULL);
}

int gh_privileged_open_tun(struct gh_privileged *p, const struct gh_priv_tun *t, int *ret_fds, char ret_name[GH_PRIV_DEVICE])
{
    const struct gh_priv_request q = { .kind = GH_PRIV_OPEN_TUN, .tun = *t };
    struct gh_priv_reply reply;
    int rc = call(p, &q, &reply, ret_fds, t->queues, NULL);

    if (rc == 0)
        memcpy(ret_name, reply.name, GH_PRIV_DEVICE);
    return rc;
}

int gh_privileged_tun_config(struct gh_privileged *p, const struct gh_priv_tun_config *t)
{
    const struct gh_priv_request q = { .kind = GH_PRIV_TUN_CONFIG, .tun_config = *t };

    return call(p, &q, NULL, NULL, 0, NULL);
}

/* <device> "": unreachable. */
static int set_routes(struct gh_privileged *p, const char *device, uint32_t table, uint32_t metric, const struct gh_prefix *routes, size_t count)
{
    struct gh_priv_request q = { .kind = GH_PRIV_ROUTE };
    size_t at = 0, n;
    int rc = 0;

    snprintf(q.routes.device, sizeof q.routes.device, "%s", device);
    q.routes.op = GH_PRIV_ROUTE_ADD;
    q.routes.table = table;
    q.routes.metric = metric;
    do {
        n = count - at < GH_PRIV_PREFIXES ? count - at : GH_PRIV_PREFIXES;
        if (n)
            memcpy(q.routes.prefixes, routes + at, n * sizeof *routes);
        q.routes.count = (uint8_t)n;
        q.routes.first = at == 0;
        at += n;
        q.routes.last = at == count;
        rc = call(p, &q, NULL, NULL, 0, NULL);
    } while (rc == 0 && at < count);
    return rc;
}

int gh_privileged_routes_set(struct gh_privileged *p, const char *device, uint32_t table, const struct gh_prefix *routes, size_t count)
{
    return set_routes(p, device, table, 0, routes, count);
}

int gh_privileged_routes_block(struct gh_privileged *p, uint32_t table, const struct gh_prefix *routes, size_t count)
{
    return set_routes(p, "", table, BLOCK_METRIC, routes, count);
}

int gh_privileged_rule_add(struct gh_privileged *p, const struct gh_priv_rule *r)
{
    const struct gh_priv_request q = { .kind = GH_PRIV_RULE, .rule = *r };

    return call(p, &q, NULL, NULL, 0, NULL);
}

int gh_privileged_nat_set(struct gh_privileged *p, const char *device, const struct gh_prefix *sources, size_t count)
{
    struct gh_priv_request q = { .kind = GH_PRIV_NAT };

    if (count > GH_PRIV_PREFIXES)
        return GH_ERR_RANGE;
    snprintf(q.nat.device, sizeof q.nat.device, "%s", device);
    q.nat.count = (uint8_t)count;
    if (count)
        memcpy(q.nat.sources, sources, count * sizeof *sources);
    return call(p, &q, NULL, NULL, 0, NULL);
}

int gh_privileged_hop_set(struct gh_privileged *p, uint16_t port, uint16_t first, uint16_t last)
{
    const struct gh_priv_request q = { .kind = GH_PRIV_HOP, .hop = { port, first, last } };

    return call(p, &q, NULL, NULL, 0, NULL);
}

int gh_privileged_firewall_open(struct gh_privileged *p, const struct gh_priv_firewall *f, char ret_name[GH_PRIV_DEVICE])
{
    const struct gh_priv_request q = { .kind = GH_PRIV_FIREWALL, .firewall = *f };
    struct gh_priv_reply reply;
    int rc = call(p, &q, &reply, NULL, 0, NULL);

    if (rc == 0)
        memcpy(ret_name, reply.name, GH_PRIV_DEVICE);
    return rc;
}

int gh_privileged_sysctl_set(struct gh_privileged *p, enum gh_priv_sysctl s)
{
    const struct gh_priv_request q = { .kind = GH_PRIV_SYSCTL, .sysctl = (uint32_t)s };

    return call(p, &q, NULL, NULL, 0, NULL);
}

int gh_privileged_watch(struct gh_privileged *p, const char *path, uint32_t *ret_id)
{
    struct gh_priv_reply reply;
    int rc = with_path(p, GH_PRIV_WATCH, path, 0, &reply, NULL);

    if (rc == 0)
        *ret_id = reply.id;
    return rc;
}

int gh_privileged_watch_begin(struct gh_privileged *p)
{
    const struct gh_priv_request q = { .kind = GH_PRIV_WATCH_BEGIN };

    return call(p, &q, NULL, NULL, 0, NULL);
}

int gh_privileged_watch_end(struct gh_privileged *p)
{
    const struct gh_priv_request q = { .kind = GH_PRIV_WATCH_END };

    return call(p, &q, NULL, NULL, 0, NULL);
}

int gh_privileged_notify(struct gh_privileged *p, enum gh_priv_state s, const char *text)
{
    struct gh_priv_request q = { .kind = GH_PRIV_NOTIFY, .notify.state = (uint32_t)s };

    snprintf(q.notify.text, sizeof q.notify.text, "%s", text ? text : "");
    return call(p, &q, NULL, NULL, 0, NULL);
}

int gh_privileged_phase_run(struct gh_privileged *p)
{
    const struct gh_priv_request q = { .kind = GH_PRIV_RUN };

    return call(p, &q, NULL, NULL, 0, NULL);
}

int gh_privileged_reload(struct gh_privileged *p)
{
    const struct gh_priv_request q = { .kind = GH_PRIV_RELOAD };

    return call(p, &q, NULL, NULL, 0, NULL);
}

int gh_privileged_undo_all(struct gh_privileged *p)
{
    const struct gh_priv_request q = { .kind = GH_PRIV_CLEANUP };

    return call(p, &q, NULL, NULL, 0, NULL);
}

/* Its own errors: other threads ask, too, and <why> is of the thread that runs the node. */
void gh_privileged_lookup(struct gh_privileged *p, const char *host, uint16_t port, struct gh_resolved *ret)
{
    struct gh_priv_request q = { .kind = GH_PRIV_LOOKUP, .lookup.port = port };
    struct gh_priv_reply reply = { 0 };
    struct gh_resolved found = { .count = 0 };
    size_t count = 0;
    int fd = -1, rc = GH_ERR_TOO_LONG;

    if (gh_ip_parse(host, strlen(host), &found.list[0].ip) == 0) {
        found.list[0].port = port;
        found.count = 1;
        *ret = found;
        return;
    }
    if (strlen(host) < sizeof q.lookup.host) {
        memcpy(q.lookup.host, host, strlen(host) + 1);
        rc = p->call(p->client, &q, &reply, &fd, 1, &count);
    }
    if (rc == 0 && count == 1) {
        rc = gh_fdpass_receive(fd, &found, sizeof found, NULL, 0, NULL, 0);
        close(fd);
    }
    if (rc < 0 || found.count > GH_RESOLVE_ADDRESSES) {
        found = (struct gh_resolved){ .count = 0 };
        snprintf(found.error, sizeof found.error, "%.127s", rc == GH_ERR_CLOSED ? "the look-up took too long" : reply.text[0] ? reply.text : gh_error_text(rc));
    }
    found.error[sizeof found.error - 1] = 0;
    *ret = found;
}
