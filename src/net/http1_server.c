#include "net/http1_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "net/http1_conn.h"
#include "net/tcp_stream.h"

#define ACCEPT_BATCH 16
#define PAUSE INT64_C(100000000) /* ns */

struct listener {
    struct gh_http1_server *server;
    struct gh_list link;
    struct gh_poll *poll;
    int fd;
};

static struct gh_http_peer peer_of(int fd, const struct sockaddr_storage *from)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    struct gh_http_peer peer = { .identity = "", .uid = UINT32_MAX };

    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;

        peer.addr = gh_ip_v4(&in->sin_addr);
        peer.port = ntohs(in->sin_port);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)from;

        if (memcmp(&in->sin6_addr, mapped, sizeof mapped) == 0)
            peer.addr = gh_ip_v4((const uint8_t *)&in->sin6_addr + sizeof mapped);
        else
            peer.addr = gh_ip_v6(&in->sin6_addr);
        peer.port = ntohs(in->sin6_port);
    } else {
        struct ucred cred;
        socklen_t len = sizeof cred;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
            peer.uid = cred.uid;
    }
    return peer;
}

/* Best effort: the connection is not kept to see whether the words arrive. */
static void turn_away(int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
                                 "retry-after: 1\r\nconnection: close\r\ncontent-length: 53\r\n\r\n"
                                 "{\"error\":\"503\",\"detail\":\"too many connections here\"}\n";
    char dropped[4096];

    (void)!send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(fd, SHUT_WR);
    (void)!recv(fd, dropped, sizeof dropped, MSG_DONTWAIT); /* unread input would turn the close into a reset */
    close(fd);
}

static void set_accepting(struct gh_http1_server *s, bool on)
{
    gh_list_each(it, &s->listeners) {
        struct listener *l = gh_container_of(it, struct listener, link);

        gh_poll_change(l->poll, on ? GH_POLL_READ : 0);
    }
}

static void on_pause_over(void *arg, int64_t now)
{
    (void)now;
    set_accepting(arg, true);
}

/* Without a descriptor or memory the connection stays in the queue and the loop would spin on it. */
static void pause_accepting(struct gh_http1_server *s)
{
    s->counters.accept_failed++;
    set_accepting(s, false);
    gh_worker_deadline_start(s->worker, &s->pause, gh_worker_now(s->worker) + PAUSE);
}

/* False when there is nothing more to accept now. */
static bool accept_one(struct gh_http1_server *s, int listen_fd)
{
    struct sockaddr_storage from = { 0 };
    socklen_t len = sizeof from;
    struct gh_http_peer peer;
    struct gh_byte_stream *io;
    int fd = accept4(listen_fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(s);
            return false;
        }
        return errno == EINTR || errno == ECONNABORTED;
    }
    s->counters.accepted++;
    if (s->count >= s->config.connections_max) {
        s->counters.refused_connections++;
        turn_away(fd);
        return true;
    }
    peer = peer_of(fd, &from);
    if (gh_tcp_stream_create(s->worker, fd, gh_span_of(NULL, 0), &io) < 0 || gh_http1_conn_open(s, io, &peer, NULL) < 0) {
        pause_accepting(s);
        return false;
    }
    return true;
}

static void on_acceptable(void *arg, int events)
{
    struct listener *l = arg;

    if (events & GH_POLL_ERROR) {
        pause_accepting(l->server);
        return;
    }
    for (int i = 0; i < ACCEPT_BATCH && accept_one(l->server, l->fd); i++)
        ;
}

static void close_listeners(struct gh_http1_server *s)
{
    gh_list_each(it, &s->listeners) {
        struct listener *l = gh_container_of(it, struct listener, link);

        gh_list_unlink(&l->link);
        gh_poll_close(l->poll);
        close(l->fd);
        free(l);
    }
    gh_worker_deadline_stop(s->worker, &s->pause);
}

static void fill_defaults(struct gh_http1_config *c)
{
    c->connections_max = c->connections_max ? c->connections_max : 64;
    c->header_timeout = c->header_timeout ? c->header_timeout : 5000;
    c->idle_timeout = c->idle_timeout ? c->idle_timeout : 30000;
    c->body_timeout = c->body_timeout ? c->body_timeout : 30000;
    c->body_max = c->body_max ? c->body_max : 1048576;
    c->out_max = c->out_max ? c->out_max : 65536;
}

int gh_http1_server_create(struct gh_worker *worker, const struct gh_http1_config *config, struct gh_http_handler handler,
                           struct gh_http1_server **ret)
{
    struct gh_http1_server *s = calloc(1, sizeof *s);

    if (!s)
        return GH_ERR_MEMORY;
    s->worker = worker;
    s->config = *config;
    s->handler = handler;
    fill_defaults(&s->config);
    gh_list_init(&s->conns);
    gh_list_init(&s->listeners);
    gh_deadline_init(&s->pause, on_pause_over, s);
    *ret = s;
    return 0;
}

int gh_http1_server_listen(struct gh_http1_server *s, int fd)
{
    struct listener *l = calloc(1, sizeof *l);
    int rc;

    if (!l) {
        close(fd);
        return GH_ERR_MEMORY;
    }
    l->server = s;
    l->fd = fd;
    rc = gh_poll_open(s->worker, fd, GH_POLL_READ, on_acceptable, l, &l->poll);
    if (rc < 0) {
        close(fd);
        free(l);
        return rc;
    }
    gh_list_append(&s->listeners, &l->link);
    return 0;
}

int gh_http1_server_take(struct gh_http1_server *s, struct gh_byte_stream *io, const struct gh_http_peer *peer,
                         const struct gh_http_identity *identity)
{
    s->counters.accepted++;
    if (s->count < s->config.connections_max)
        return gh_http1_conn_open(s, io, peer, identity);
    s->counters.refused_connections++;
    gh_byte_stream_close(io);
    return GH_ERR_FULL;
}

void gh_http1_server_drain(struct gh_http1_server *s)
{
    s->draining = true;
    close_listeners(s);
    gh_list_each(it, &s->conns)
        gh_http1_conn_drain(gh_container_of(it, struct gh_http1_conn, link));
}

void gh_http1_server_destroy(struct gh_http1_server *s)
{
    if (!s)
        return;
    close_listeners(s);
    while (!gh_list_empty(&s->conns))
        gh_http1_conn_close(gh_container_of(s->conns.next, struct gh_http1_conn, link));
    free(s);
}

const struct gh_http1_counters *gh_http1_server_counters(const struct gh_http1_server *s)
{
    return &s->counters;
}

unsigned gh_http1_server_connections(const struct gh_http1_server *s)
{
    return s->count;
}
