#include "priv/client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "os/clock.h"
#include "os/fdpass.h"

#define SECOND INT64_C(1000000000)
#define SLICE 50000 /* microseconds: how much later than its time-out a call may end */

struct gh_priv_client {
    int requests, events;
    pthread_mutex_t lock; /* of what is below */
    pthread_cond_t free;
    bool busy;            /* a thread talks to the parent, since <since> */
    int64_t since;
    size_t owed;          /* answers for which nobody waits any more; who is busy has it */
    char error[GH_PRIV_TEXT];
};

/* How long whoever asks may be kept from its work: signatures are asked for in the middle of a worker's turn. */
static int64_t patience(uint32_t kind)
{
    if (kind == GH_PRIV_SIGN || kind == GH_PRIV_FORGET_KEY)
        return GH_PRIV_SIGN_PATIENCE * SECOND;
    if (kind == GH_PRIV_FIREWALL) /* several times, and in Python */
        return 6 * GH_PRIV_PATIENCE * SECOND;
    return (kind == GH_PRIV_NAT || kind == GH_PRIV_HOP ? 3 : 1) * GH_PRIV_PATIENCE * SECOND; /* another program does it */
}

static int init_lock(struct gh_priv_client *c)
{
    pthread_condattr_t attr;
    bool ok = pthread_condattr_init(&attr) == 0;

    if (!ok)
        return GH_ERR_MEMORY;
    ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 && pthread_cond_init(&c->free, &attr) == 0;
    pthread_condattr_destroy(&attr);
    if (!ok)
        return GH_ERR_MEMORY;
    pthread_mutex_init(&c->lock, NULL);
    return 0;
}

int gh_priv_client_create(int request_fd, int event_fd, struct gh_priv_client **ret)
{
    struct gh_priv_client *c = calloc(1, sizeof *c);
    const struct timeval slice = { .tv_usec = SLICE };

    if (!c || init_lock(c) < 0) {
        free(c);
        return GH_ERR_MEMORY;
    }
    if (setsockopt(request_fd, SOL_SOCKET, SO_RCVTIMEO, &slice, sizeof slice) < 0) {
        pthread_cond_destroy(&c->free);
        pthread_mutex_destroy(&c->lock);
        free(c);
        return GH_ERR_SYSTEM;
    }
    c->requests = request_fd;
    c->events = event_fd;
    *ret = c;
    return 0;
}

void gh_priv_client_destroy(struct gh_priv_client *c)
{
    if (!c)
        return;
    close(c->requests);
    close(c->events);
    pthread_cond_destroy(&c->free);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- whose turn it is ---- */

/* Whoever is impatient does not queue behind a call that already takes longer than it would wait itself. */
static int begin_call(struct gh_priv_client *c, int64_t wait, int64_t *ret_deadline)
{
    int64_t deadline = gh_clock_now() + wait, until;
    struct timespec at;

    pthread_mutex_lock(&c->lock);
    while (c->busy) {
        until = c->since + wait < deadline ? c->since + wait : deadline;
        at = (struct timespec){ until / SECOND, until % SECOND };
        if (gh_clock_now() >= until) {
            pthread_mutex_unlock(&c->lock);
            return GH_ERR_TIMEOUT;
        }
        (void)pthread_cond_timedwait(&c->free, &c->lock, &at);
    }
    c->busy = true;
    c->since = gh_clock_now();
    pthread_mutex_unlock(&c->lock);
    *ret_deadline = deadline;
    return 0;
}

static void end_call(struct gh_priv_client *c, int rc, const struct gh_priv_reply *reply)
{
    pthread_mutex_lock(&c->lock);
    c->busy = false;
    if (rc == 0 && reply->rc < 0)
        snprintf(c->error, sizeof c->error, "%.*s", GH_PRIV_TEXT - 1, reply->text);
    else if (rc < 0)
        snprintf(c->error, sizeof c->error, "the parent process %s", rc == GH_ERR_TIMEOUT ? "does not answer" : "is gone");
    pthread_cond_signal(&c->free);
    pthread_mutex_unlock(&c->lock);
}

/* ---- one request, one answer, in order ---- */

static int wait_for(int fd, short events, int64_t deadline)
{
    struct pollfd f = { .fd = fd, .events = events };
    int64_t left;
    int n;

    do {
        left = deadline - gh_clock_now();
        n = poll(&f, 1, left > 0 ? (int)(left / 1000000) + 1 : 0);
    } while ((n < 0 && errno == EINTR) || (n == 0 && gh_clock_now() < deadline));
    return n > 0 ? 0 : n == 0 ? GH_ERR_TIMEOUT : GH_ERR_SYSTEM;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

/* Answers that came after their time-out. 0, also when some are still owed. */
static int take_late(struct gh_priv_client *c)
{
    struct gh_priv_reply late;
    int fds[GH_PRIV_QUEUES], rc;
    size_t count = 0;

    while (c->owed) {
        rc = gh_fdpass_receive(c->requests, &late, sizeof late, fds, GH_PRIV_QUEUES, &count, MSG_DONTWAIT);
        if (rc == GH_ERR_AGAIN)
            return 0;
        if (rc == GH_ERR_CLOSED || rc == GH_ERR_SYSTEM)
            return rc;
        close_all(fds, rc == 0 ? count : 0);
        c->owed--;
    }
    return 0;
}

/* There is nearly always room: asking for it first would be another system call for each signature. */
static int send_request(const struct gh_priv_client *c, const struct gh_priv_request *q, int64_t deadline)
{
    int rc = 0;

    while (rc == 0) {
        ssize_t n = send(c->requests, q, sizeof *q, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n >= 0)
            return (size_t)n == sizeof *q ? 0 : GH_ERR_SYSTEM;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            rc = wait_for(c->requests, POLLOUT, deadline);
        else if (errno != EINTR)
            rc = errno == EPIPE || errno == ECONNRESET ? GH_ERR_CLOSED : GH_ERR_SYSTEM;
    }
    return rc;
}

/* The socket gives up by itself now and then (SO_RCVTIMEO): the clock is looked at then, and not by a poll before each answer. */
static int receive_answer(const struct gh_priv_client *c, struct gh_priv_reply *ret, int fds[GH_PRIV_QUEUES], size_t *ret_count, int64_t deadline)
{
    int rc;

    do
        rc = gh_fdpass_receive(c->requests, ret, sizeof *ret, fds, GH_PRIV_QUEUES, ret_count, 0);
    while (rc == GH_ERR_AGAIN && gh_clock_now() < deadline);
    return rc == GH_ERR_AGAIN ? GH_ERR_TIMEOUT : rc;
}

static int talk(struct gh_priv_client *c, const struct gh_priv_request *q, int64_t deadline, struct gh_priv_reply *ret, int fds[GH_PRIV_QUEUES],
                size_t *ret_count)
{
    int rc = take_late(c);

    /* who hangs is not asked for another signature: a worker would stand still for each */
    if (rc == 0 && c->owed && (q->kind == GH_PRIV_SIGN || q->kind == GH_PRIV_FORGET_KEY))
        rc = GH_ERR_TIMEOUT;
    if (rc == 0)
        rc = send_request(c, q, deadline);
    if (rc < 0)
        return rc;
    c->owed++;
    while (rc == 0) {
        rc = receive_answer(c, ret, fds, ret_count, deadline);
        if (rc == GH_ERR_TIMEOUT || --c->owed == 0)
            break;
        close_all(fds, rc == 0 ? *ret_count : 0); /* an earlier one's */
        rc = rc == GH_ERR_MALFORMED ? 0 : rc;
    }
    return rc;
}

int gh_priv_call(struct gh_priv_client *c, const struct gh_priv_request *q, struct gh_priv_reply *ret, int *ret_fds,
                 size_t fd_cap, size_t *ret_fd_count)
{
    struct gh_priv_reply reply;
    int fds[GH_PRIV_QUEUES], rc;
    size_t count = 0;
    int64_t deadline;

    memset(&reply, 0, sizeof reply);
    rc = begin_call(c, patience(q->kind), &deadline);
    if (rc < 0)
        return rc;
    rc = talk(c, q, deadline, &reply, fds, &count);
    end_call(c, rc, &reply);
    if (rc < 0)
        return rc;
    if (reply.rc == 0 && count > fd_cap)
        reply.rc = GH_ERR_MALFORMED;
    for (size_t i = 0; i < count; i++) {
        if (reply.rc == 0)
            ret_fds[i] = fds[i];
        else
            close(fds[i]);
    }
    if (ret_fd_count)
        *ret_fd_count = reply.rc == 0 ? count : 0;
    if (ret)
        *ret = reply;
    return reply.rc;
}

const char *gh_priv_client_error(struct gh_priv_client *c, char buf[GH_PRIV_TEXT])
{
    pthread_mutex_lock(&c->lock);
    memcpy(buf, c->error, GH_PRIV_TEXT);
    pthread_mutex_unlock(&c->lock);
    return buf;
}

int gh_priv_event_fd(const struct gh_priv_client *c)
{
    return c->events;
}

int gh_priv_event_next(struct gh_priv_client *c, struct gh_priv_event *ret)
{
    struct gh_priv_event e;
    size_t count = 0;
    int fd = -1, rc = gh_fdpass_receive(c->events, &e, sizeof e, &fd, 1, &count, MSG_DONTWAIT);

    if (rc == GH_ERR_AGAIN)
        return 0;
    if (rc < 0)
        return rc;
    e.fd = count ? fd : -1;
    *ret = e;
    return 1;
}

/* ---- the requests, spelled out ---- */

/* Whole and zeroed: the parent compares requests byte for byte. */
static struct gh_priv_request request(enum gh_priv_kind kind)
{
    struct gh_priv_request q;

    memset(&q, 0, sizeof q);
    q.kind = kind;
    return q;
}

static int put_path(struct gh_priv_request *q, const char *path)
{
    size_t len = strlen(path);

    if (len >= sizeof q->path)
        return GH_ERR_TOO_LONG;
    memcpy(q->path, path, len);
    return 0;
}

static int put_device(char ret[GH_PRIV_DEVICE], const char *name)
{
    size_t len = strlen(name);

    if (len >= GH_PRIV_DEVICE)
        return GH_ERR_TOO_LONG;
    memcpy(ret, name, len);
    return 0;
}

/* Exactly <want> descriptors, or none and an error. */
static int call_for_fds(struct gh_priv_client *c, const struct gh_priv_request *q, struct gh_priv_reply *ret, int *ret_fds,
                        size_t want)
{
    size_t count = 0;
    int fds[GH_PRIV_QUEUES], rc;

    if (want > GH_PRIV_QUEUES)
        return GH_ERR_RANGE;
    rc = gh_priv_call(c, q, ret, fds, want, &count);
    if (rc < 0)
        return rc;
    if (count != want) {
        for (size_t i = 0; i < count; i++)
            close(fds[i]);
        return GH_ERR_MALFORMED;
    }
    memcpy(ret_fds, fds, count * sizeof fds[0]);
    return 0;
}

static int open_path(struct gh_priv_client *c, enum gh_priv_kind kind, const char *path, unsigned mode, int *ret_fd)
{
    struct gh_priv_request q = request(kind);
    int rc = put_path(&q, path);

    q.mode = mode;
    return rc < 0 ? rc : call_for_fds(c, &q, NULL, ret_fd, 1);
}

int gh_priv_open_file(struct gh_priv_client *c, const char *path, int *ret_fd)
{
    return open_path(c, GH_PRIV_OPEN_FILE, path, 0, ret_fd);
}

int gh_priv_open_append(struct gh_priv_client *c, const char *path, int *ret_fd)
{
    return open_path(c, GH_PRIV_OPEN_APPEND, path, 0, ret_fd);
}

int gh_priv_open_state_dir(struct gh_priv_client *c, const char *path, int *ret_fd)
{
    return open_path(c, GH_PRIV_OPEN_STATE_DIR, path, 0, ret_fd);
}

int gh_priv_open_unix(struct gh_priv_client *c, const char *path, unsigned mode, int *ret_fd)
{
    return open_path(c, GH_PRIV_OPEN_UNIX, path, mode, ret_fd);
}

static int open_sockets(struct gh_priv_client *c, enum gh_priv_kind kind, const struct gh_priv_socket *s, int *ret_fds,
                        uint16_t *ret_port)
{
    struct gh_priv_request q = request(kind);
    struct gh_priv_reply reply;
    int rc;

    q.socket.addr = s->addr; /* field by field: padding stays zero */
    q.socket.port = s->port;
    q.socket.count = s->count;
    q.socket.mark = s->mark;
    q.socket.buffer = s->buffer;
    q.socket.instance = s->instance;
    rc = call_for_fds(c, &q, &reply, ret_fds, s->count);
    if (rc == 0 && ret_port)
        *ret_port = (uint16_t)reply.id;
    return rc;
}

int gh_priv_open_udp(struct gh_priv_client *c, const struct gh_priv_socket *s, int *ret_fds, uint16_t *ret_port)
{
    return open_sockets(c, GH_PRIV_OPEN_UDP, s, ret_fds, ret_port);
}

int gh_priv_open_tcp(struct gh_priv_client *c, const struct gh_priv_socket *s, int *ret_fds, uint16_t *ret_port)
{
    return open_sockets(c, GH_PRIV_OPEN_TCP, s, ret_fds, ret_port);
}

int gh_priv_open_tun(struct gh_priv_client *c, const struct gh_priv_tun *t, int *ret_fds, char ret_name[GH_PRIV_DEVICE])
{
    struct gh_priv_request q = request(GH_PRIV_OPEN_TUN);
    struct gh_priv_reply reply;
    int rc = put_device(q.tun.name, t->name);

    q.tun.queues = t->queues;
    if (rc == 0)
        rc = call_for_fds(c, &q, &reply, ret_fds, t->queues);
    if (rc == 0)
        memcpy(ret_name, reply.name, GH_PRIV_DEVICE);
    return rc;
}

int gh_priv_tun_config(struct gh_priv_client *c, const struct gh_priv_tun_config *t)
{
    struct gh_priv_request q = request(GH_PRIV_TUN_CONFIG);

    q.tun_config = *t;
    return gh_priv_call(c, &q, NULL, NULL, 0, NULL);
}

int gh_priv_routes_set(struct gh_priv_client *c, const char *device, uint32_t table, uint32_t metric,
                       const struct gh_prefix *routes, size_t count)
{
    struct gh_priv_request q = request(GH_PRIV_ROUTE);
    size_t done = 0;
    int rc = put_device(q.routes.device, device);

    q.routes.op = GH_PRIV_ROUTE_ADD;
    q.routes.table = table;
    q.routes.metric = metric;
    q.routes.first = 1;
    while (rc == 0 && !q.routes.last) {
        size_t n = count - done < GH_PRIV_PREFIXES ? count - done : GH_PRIV_PREFIXES;

        if (n)
            memcpy(q.routes.prefixes, routes + done, n * sizeof *routes);
        q.routes.count = (uint8_t)n;
        done += n;
        q.routes.last = done == count;
        rc = gh_priv_call(c, &q, NULL, NULL, 0, NULL);
        q.routes.first = 0;
    }
    return rc;
}

int gh_priv_rule_add(struct gh_priv_client *c, const struct gh_priv_rule *r)
{
    struct gh_priv_request q = request(GH_PRIV_RULE);

    q.rule = *r;
    return gh_priv_call(c, &q, NULL, NULL, 0, NULL);
}

int gh_priv_nat_set(struct gh_priv_client *c, const char *device, const struct gh_prefix *sources, size_t count)
{
    struct gh_priv_request q = request(GH_PRIV_NAT);
    int rc = put_device(q.nat.device, device);

    if (count > GH_PRIV_PREFIXES)
        return GH_ERR_TOO_LONG;
    if (count)
        memcpy(q.nat.sources, sources, count * sizeof *sources);
    q.nat.count = (uint8_t)count;
    return rc < 0 ? rc : gh_priv_call(c, &q, NULL, NULL, 0, NULL);
}

int gh_priv_sysctl_set(struct gh_priv_client *c, enum gh_priv_sysctl s)
{
    struct gh_priv_request q = request(GH_PRIV_SYSCTL);

    q.sysctl = s;
    return gh_priv_call(c, &q, NULL, NULL, 0, NULL);
}

int gh_priv_key_open(struct gh_priv_client *c, const char *path, uint32_t *ret_key, uint16_t ret_schemes[8],
                     size_t *ret_scheme_count)
{
    struct gh_priv_request q = request(GH_PRIV_KEY);
    struct gh_priv_reply reply;
    int rc = put_path(&q, path);

    if (rc == 0)
        rc = gh_priv_call(c, &q, &reply, NULL, 0, NULL);
    if (rc < 0)
        return rc;
    *ret_key = reply.id;
    memcpy(ret_schemes, reply.scheme, sizeof reply.scheme);
    *ret_scheme_count = reply.schemes < 8 ? reply.schemes : 8;
    return 0;
}

int gh_priv_sign(struct gh_priv_client *c, uint32_t key, uint16_t scheme, const void *data, size_t len, uint8_t *ret,
                 size_t *ret_len)
{
    struct gh_priv_request q = request(GH_PRIV_SIGN);
    struct gh_priv_reply reply;
    int rc;

    if (len > sizeof q.sign.data)
        return GH_ERR_TOO_LONG;
    q.sign.key = key;
    q.sign.scheme = scheme;
    q.sign.len = (uint16_t)len;
    memcpy(q.sign.data, data, len);
    rc = gh_priv_call(c, &q, &reply, NULL, 0, NULL);
    if (rc < 0)
        return rc;
    if (reply.len > sizeof reply.data)
        return GH_ERR_MALFORMED;
    memcpy(ret, reply.data, reply.len);
    *ret_len = reply.len;
    return 0;
}

int gh_priv_watch(struct gh_priv_client *c, const char *path, uint32_t *ret_id)
{
    struct gh_priv_request q = request(GH_PRIV_WATCH);
    struct gh_priv_reply reply;
    int rc = put_path(&q, path);

    if (rc == 0)
        rc = gh_priv_call(c, &q, &reply, NULL, 0, NULL);
    if (rc == 0)
        *ret_id = reply.id;
    return rc;
}

int gh_priv_notify(struct gh_priv_client *c, enum gh_priv_state s, const char *text)
{
    struct gh_priv_request q = request(GH_PRIV_NOTIFY);

    q.notify.state = s;
    snprintf(q.notify.text, sizeof q.notify.text, "%s", text ? text : "");
    return gh_priv_call(c, &q, NULL, NULL, 0, NULL);
}

int gh_priv_phase_run(struct gh_priv_client *c)
{
    struct gh_priv_request q = request(GH_PRIV_RUN);

    return gh_priv_call(c, &q, NULL, NULL, 0, NULL);
}

int gh_priv_reload(struct gh_priv_client *c)
{
    struct gh_priv_request q = request(GH_PRIV_RELOAD);

    return gh_priv_call(c, &q, NULL, NULL, 0, NULL);
}

int gh_priv_undo_all(struct gh_priv_client *c)
{
    struct gh_priv_request q = request(GH_PRIV_CLEANUP);

    return gh_priv_call(c, &q, NULL, NULL, 0, NULL);
}
