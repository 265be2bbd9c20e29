/* CONNECT: one TCP connection, and the bytes both ways, which the pump moves. */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "net/tcp_stream.h"
#include "services/relay/relay_proxy.h"

#define LINGER INT64_C(30000000000) /* for what the client sent before it closed */

static void dial(struct relay_proxy *p);

void relay_proxy_tcp_close(struct relay_proxy *p)
{
    gh_poll_close(p->poll);
    p->poll = NULL;
    gh_sock_close(p->fd);
    p->fd = -1;
    gh_tunnel_pump_abort(&p->pump);
}

/* ---- the bytes ---- */

static void on_body(void *arg, struct gh_http_stream *stream, struct gh_span data, bool end)
{
    struct relay_proxy *p = arg;

    (void)stream;
    gh_tunnel_pump_on_body(&p->pump, data, end);
}

static void on_writable(void *arg, struct gh_http_stream *stream)
{
    struct relay_proxy *p = arg;

    (void)stream;
    gh_tunnel_pump_on_writable(&p->pump);
}

static void lingered(void *arg, int64_t now)
{
    (void)now;
    relay_proxy_end(arg, "idle", GH_HTTP_CONNECT_ERROR);
}

static void on_closed(void *arg, struct gh_http_stream *stream, uint64_t code)
{
    struct relay_proxy *p = arg;

    (void)stream;
    p->stream = NULL;
    if (p->state != PROXY_OPEN) {
        relay_proxy_end(p, code == 0 ? "finished" : "aborted", GH_HTTP_CONNECT_ERROR);
        return;
    }
    if (code == 0 && p->pump.in_end && p->pump.in_len) {
        p->state = PROXY_LINGER;
        relay_proxy_wait(p, lingered, gh_worker_now(p->rw->w) + LINGER);
    }
    gh_tunnel_pump_on_closed(&p->pump, code);
}

const struct gh_http_events relay_proxy_tcp_events = { NULL, on_body, NULL, on_writable, on_closed };

/* Ways of the pump are seen from the host, those of a proxy from the client. */
static void on_pumped(void *arg, unsigned way, size_t bytes)
{
    relay_proxy_count(arg, 1 - way, bytes);
}

static void on_pump_end(void *arg, enum gh_tunnel_pump_end why, struct gh_http_stream *stream)
{
    struct relay_proxy *p = arg;

    p->stream = stream;
    switch (why) {
    case GH_TUNNEL_PUMP_FINISHED:
        relay_proxy_end(p, "finished", GH_HTTP_NO_ERROR);
        break;
    case GH_TUNNEL_PUMP_LOCAL: /* RFC 9114, section 4.4; RFC 9113, section 8.5: an error of the TCP connection is one of the stream */
        relay_proxy_end(p, p->pump.error == GH_ERR_CLOSED ? "reset" : "timed_out", GH_HTTP_CONNECT_ERROR);
        break;
    case GH_TUNNEL_PUMP_TUNNEL:
        relay_proxy_end(p, "aborted", GH_HTTP_CONNECT_ERROR);
        break;
    case GH_TUNNEL_PUMP_FLOODED:
        relay_drop(p->rw, GH_DROP_PROXY_QUEUE, 1);
        relay_proxy_end(p, "aborted", GH_HTTP_EXCESSIVE_LOAD);
        break;
    case GH_TUNNEL_PUMP_FAILED:
        relay_proxy_end(p, "aborted", GH_HTTP_INTERNAL_ERROR);
        break;
    }
}

const struct gh_tunnel_pump_events relay_proxy_pump_events = { on_pumped, on_pump_end };

/* ---- the connection ---- */

static void connected(struct relay_proxy *p)
{
    struct gh_byte_stream *io;
    int fd = p->fd;

    gh_poll_close(p->poll);
    p->poll = NULL;
    p->fd = -1;
    gh_worker_deadline_stop(p->rw->w, &p->timer);
    (void)gh_sock_set_nodelay(fd);
    if (gh_tcp_stream_create(p->rw->w, fd, gh_span_of(NULL, 0), &io) < 0)
        relay_proxy_refuse(p, 503, "proxy_internal_error", GH_DROP_PROXY_LIMIT);
    else if (relay_proxy_accept(p) < 0)
        gh_byte_stream_close(io);
    else
        gh_tunnel_pump_start(&p->pump, io, gh_span_of(NULL, 0), false);
}

/* RFC 9209, section 2.3 */
static const char *error_of(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return "connection_refused";
    case ETIMEDOUT:
        return "connection_timeout";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "destination_ip_unroutable";
    default:
        return "destination_unavailable";
    }
}

static void failed(struct relay_proxy *p, const char *error)
{
    gh_poll_close(p->poll);
    p->poll = NULL;
    gh_sock_close(p->fd);
    p->fd = -1;
    p->dial_error = error;
    dial(p);
}

static void on_poll(void *arg, int events)
{
    struct relay_proxy *p = arg;
    int rc = gh_sock_connected(p->fd);

    (void)events;
    if (rc == 0)
        connected(p);
    else if (rc != GH_ERR_AGAIN)
        failed(p, error_of(errno));
}

static void timed_out(void *arg, int64_t now)
{
    (void)now;
    failed(arg, "connection_timeout");
}

/* The next address. Policy is asked again: it may have changed while the one before was tried. */
static void dial(struct relay_proxy *p)
{
    int64_t now = gh_worker_now(p->rw->w);

    while (p->addr_next < p->addr_count && p->dial_until > now) {
        size_t left = p->addr_count - p->addr_next;

        p->to = p->addrs[p->addr_next++];
        if (relay_proxy_judge(p, &p->to) != GH_DROP_NONE)
            continue;
        p->fd = gh_sock_connect_tcp(&p->to);
        if (p->fd < 0) {
            p->dial_error = error_of(errno);
        } else if (gh_poll_open(p->rw->w, p->fd, GH_POLL_WRITE, on_poll, p, &p->poll) < 0) {
            gh_sock_close(p->fd);
            p->dial_error = "proxy_internal_error";
        } else {
            relay_proxy_wait(p, timed_out, now + (p->dial_until - now) / (int64_t)left);
            return;
        }
        p->fd = -1;
    }
    gh_worker_deadline_stop(p->rw->w, &p->timer);
    relay_proxy_refuse(p, strcmp(p->dial_error, "connection_timeout") == 0 ? 504 : 502, p->dial_error, GH_DROP_NONE);
}

void relay_proxy_tcp_start(struct relay_proxy *p)
{
    p->state = PROXY_DIAL;
    p->dial_error = "destination_unavailable";
    p->dial_until = gh_worker_now(p->rw->w) + p->rw->conf.proxy_connect_timeout;
    dial(p);
}
