/* CONNECT-UDP (RFC 9298): one connected socket, and its datagrams both ways. What does not fit is dropped, as on any path. */
#include "base/error.h"
#include "services/relay/relay_proxy.h"

#define CONTEXT_UDP 0u /* RFC 9298, section 4 */
#define BATCH 64u      /* datagrams of one turn */

void relay_proxy_udp_close(struct relay_proxy *p)
{
    gh_poll_close(p->poll);
    p->poll = NULL;
    gh_sock_close(p->fd);
    p->fd = -1;
}

/* RFC 9298, section 3.1: a host that said that it is not there ends the tunnel. True while the proxy lives. */
static bool survives(struct relay_proxy *p, int rc)
{
    if (rc == GH_ERR_TOO_LONG) {
        relay_drop(p->rw, GH_DROP_TOO_BIG, 1);
    } else if (rc == GH_ERR_AGAIN) {
        relay_drop(p->rw, GH_DROP_PROXY_QUEUE, 1);
    } else if (rc == GH_ERR_CLOSED) {
        relay_proxy_end(p, "unreachable", GH_HTTP_CONNECT_ERROR);
        return false;
    } else if (rc < 0) {
        relay_drop(p->rw, GH_DROP_UDP_WRITE, 1);
    }
    return true;
}

/* One HTTP datagram. True while the proxy lives. */
static bool take(struct relay_proxy *p, struct gh_span payload)
{
    struct gh_reader r = gh_reader_of(payload);
    uint64_t context = gh_read_varint(&r);
    struct gh_span udp = gh_read_span(&r, gh_reader_left(&r));
    int rc;

    if (!gh_reader_done(&r) || context != CONTEXT_UDP) {
        relay_drop(p->rw, GH_DROP_CONTEXT, 1);
        return true;
    }
    if (udp.len > GH_DGRAM_MAX) { /* RFC 9298, section 5: the stream MUST be aborted */
        relay_proxy_end(p, "aborted", GH_HTTP_DATAGRAM_ERROR);
        return false;
    }
    if (p->state != PROXY_OPEN) {
        relay_drop(p->rw, GH_DROP_NO_DATAGRAM, 1);
        return true;
    }
    rc = gh_dgram_send(p->fd, udp);
    if (rc == 0)
        relay_proxy_count(p, 0, udp.len);
    return survives(p, rc);
}

static void on_datagram(void *arg, struct gh_http_stream *stream, struct gh_span payload)
{
    (void)stream;
    (void)take(arg, payload);
}

static void on_body(void *arg, struct gh_http_stream *stream, struct gh_span data, bool end)
{
    struct relay_proxy *p = arg;
    struct gh_capsule c;
    int rc;

    (void)stream;
    for (;;) {
        rc = gh_capsule_next(&p->capsules, &data, &c);
        if (rc <= 0)
            break;
        if (!take(p, c.value))
            return;
    }
    if (rc == 0 && p->capsules.oversize) {
        relay_proxy_end(p, "aborted", GH_HTTP_DATAGRAM_ERROR);
        return;
    }
    if (rc == 0 && end)
        rc = gh_capsule_end(&p->capsules);
    if (rc < 0) {
        if (rc == GH_ERR_TOO_LONG)
            relay_drop(p->rw, GH_DROP_CAPSULE_LIMIT, 1);
        relay_proxy_end(p, "aborted", rc == GH_ERR_TOO_LONG ? GH_HTTP_EXCESSIVE_LOAD : GH_HTTP_MESSAGE_ERROR);
    } else if (end && p->state == PROXY_OPEN) { /* the socket lives as long as the request stream */
        relay_proxy_end(p, "finished", GH_HTTP_NO_ERROR);
    } else if (end) {
        relay_proxy_refuse(p, 400, NULL, GH_DROP_NONE);
    }
}

static void on_closed(void *arg, struct gh_http_stream *stream, uint64_t code)
{
    struct relay_proxy *p = arg;

    (void)stream;
    p->stream = NULL;
    /* nothing is unfinished in a stream of datagrams: some clients reset it with NO_ERROR */
    relay_proxy_end(p, code == 0 || code == gh_http_code(GH_HTTP_NO_ERROR) ? "finished" : "aborted", GH_HTTP_NO_ERROR);
}

const struct gh_http_events relay_proxy_udp_events = { NULL, on_body, on_datagram, NULL, on_closed };

static void on_poll(void *arg, int events)
{
    struct relay_proxy *p = arg;
    uint8_t *at = p->rw->out; /* one context id and one datagram */

    (void)events;
    at[0] = CONTEXT_UDP;
    for (unsigned i = 0; i < BATCH; i++) {
        ssize_t n = gh_dgram_receive(p->fd, at + 1, GH_DGRAM_MAX);
        int rc;

        if (n == GH_ERR_AGAIN)
            return;
        if (n < 0) {
            if (!survives(p, (int)n))
                return;
            continue;
        }
        rc = gh_http_send_datagram(p->stream, gh_span_of(at, (size_t)n + 1), 0);
        if (rc == 0)
            relay_proxy_count(p, 1, (size_t)n);
        else if (rc == GH_ERR_TOO_LONG || rc == GH_ERR_UNSUPPORTED)
            relay_drop(p->rw, rc == GH_ERR_TOO_LONG ? GH_DROP_TOO_BIG : GH_DROP_NO_DATAGRAM, 1);
        else
            relay_drop(p->rw, GH_DROP_QUEUE_FULL, 1);
    }
}

void relay_proxy_udp_start(struct relay_proxy *p)
{
    for (; p->addr_next < p->addr_count; p->addr_next++) {
        p->to = p->addrs[p->addr_next];
        if (relay_proxy_judge(p, &p->to) != GH_DROP_NONE)
            continue;
        p->fd = gh_dgram_connect(&p->to);
        if (p->fd >= 0)
            break;
    }
    if (p->fd < 0) {
        relay_proxy_refuse(p, 502, "destination_ip_unroutable", GH_DROP_NONE);
    } else if (gh_poll_open(p->rw->w, p->fd, GH_POLL_READ, on_poll, p, &p->poll) < 0) {
        relay_proxy_refuse(p, 503, "proxy_internal_error", GH_DROP_PROXY_LIMIT);
    } else {
        (void)relay_proxy_accept(p);
    }
}
