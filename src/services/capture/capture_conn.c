/* One program's connection: what it asks for, the tunnel for it, and its end. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/tcp_stream.h"
#include "services/capture/capture_internal.h"

#define MILLISECOND INT64_C(1000000)
#define PARTING (1000 * MILLISECOND) /* for the last words to be read before the connection is closed */
#define RETRY (50 * MILLISECOND)     /* nobody tells when a relay takes one more */

static const struct gh_byte_stream_events ask_events;
static const struct gh_http_events tunnel_events;
static const struct gh_tunnel_pump_events pump_events;

/* ---- life ---- */

static void forget_tunnel(struct capture_conn *k, enum gh_http_reset why)
{
    struct gh_http_stream *stream = k->stream;

    k->stream = NULL;
    if (!stream)
        return;
    k->c->opener->forget(k->c->opener->self, stream);
    gh_http_reset(stream, why);
}

void capture_conn_destroy(struct capture_conn *k)
{
    struct capture *c = k->c;

    if (k->state == CAPTURE_OPEN) {
        gh_tunnel_pump_abort(&k->pump);
        capture_count(c, CAPTURE_METRIC_TUNNELS, CAPTURE_TCP, -1);
    } else if (k->io) {
        gh_byte_stream_close(k->io);
    }
    forget_tunnel(k, GH_HTTP_REQUEST_CANCELLED);
    capture_udp_close(k->udp);
    gh_tunnel_pump_fini(&k->pump);
    gh_capture_ask_fini(&k->ask);
    gh_worker_deadline_stop(c->w, &k->timer);
    gh_list_unlink(&k->wait);
    gh_list_unlink(&k->link);
    c->count--;
    capture_count(c, CAPTURE_METRIC_CONNECTIONS, 0, -1);
    free(k->early);
    free(k);
}

static void wait_until(struct capture_conn *k, int64_t from_now)
{
    gh_worker_deadline_start(k->c->w, &k->timer, gh_worker_now(k->c->w) + from_now);
}

/* Words to the program: some hundred bytes into a socket that has taken as little before. False: it takes none, and is cut. */
static bool say(struct capture_conn *k, const struct gh_writer *out)
{
    size_t len = gh_writer_len(out);

    if (len == 0 || (!out->failed && gh_byte_stream_write(k->io, gh_span_of(out->start, len)) == (ssize_t)len))
        return true;
    capture_conn_destroy(k);
    return false;
}

/* The last words are said: closing over what still comes would reset them away. */
static void part(struct capture_conn *k)
{
    k->state = CAPTURE_ENDING;
    gh_list_unlink(&k->wait);
    gh_byte_stream_shutdown_write(k->io);
    gh_byte_stream_want_read(k->io, true);
    wait_until(k, PARTING);
}

static void refuse(struct capture_conn *k, const struct gh_capture_failure *f)
{
    uint8_t buf[GH_CAPTURE_SAID];
    struct gh_writer out = gh_writer_of(buf, sizeof buf);

    capture_count(k->c, CAPTURE_METRIC_REQUESTS, f->reply == GH_SOCKS5_NOT_ALLOWED ? CAPTURE_DENIED : CAPTURE_FAILED, 1);
    gh_capture_ask_emit_failure(&k->ask, &out, f);
    if (say(k, &out))
        part(k);
}

static void refuse_for(struct capture_conn *k, unsigned status, const char *error)
{
    const struct gh_capture_failure f = gh_capture_failure_make(status, error);

    refuse(k, &f);
}

static void on_timer(void *arg, int64_t now)
{
    struct capture_conn *k = arg;

    (void)now;
    switch (k->state) {
    case CAPTURE_ASKING:
        capture_count(k->c, CAPTURE_METRIC_REFUSED, CAPTURE_LATE, 1);
        capture_conn_destroy(k);
        break;
    case CAPTURE_WAITING:
        refuse_for(k, 503, "");
        break;
    case CAPTURE_REQUESTED:
        forget_tunnel(k, GH_HTTP_REQUEST_CANCELLED);
        gh_tunnel_pump_fini(&k->pump);
        refuse_for(k, 504, "connection_timeout");
        break;
    default:
        capture_conn_destroy(k);
    }
}

/* ---- the tunnel ---- */

/* False when the connection is gone, or about to be. */
static bool try_open(struct capture_conn *k)
{
    struct capture *c = k->c;
    int rc = c->opener->open(c->opener->self, &k->request.to, false, &tunnel_events, k, &k->stream);

    if (rc == 0) {
        k->state = CAPTURE_REQUESTED;
        gh_list_unlink(&k->wait);
        gh_tunnel_pump_init(&k->pump, k->stream, &pump_events, k);
        wait_until(k, c->connect_timeout);
    } else if (rc != GH_ERR_STATE && rc != GH_ERR_FULL) {
        refuse_for(k, rc == GH_ERR_RANGE ? 502 : 503, rc == GH_ERR_RANGE ? "destination_not_found" : "");
    }
    return rc != GH_ERR_STATE && rc != GH_ERR_FULL;
}

void capture_conn_retry(struct capture *c)
{
    gh_worker_deadline_stop(c->w, &c->retry);
    while (!gh_list_empty(&c->waiting))
        if (!try_open(gh_container_of(c->waiting.next, struct capture_conn, wait)))
            break;
    if (!gh_list_empty(&c->waiting))
        gh_worker_deadline_start(c->w, &c->retry, gh_worker_now(c->w) + RETRY);
}

static void begin_tunnel(struct capture_conn *k)
{
    struct capture *c = k->c;

    k->state = CAPTURE_WAITING;
    gh_list_append(&c->waiting, &k->wait); /* behind those that wait already */
    wait_until(k, c->connect_timeout);
    if (c->waiting.next == &k->wait)
        capture_conn_retry(c);
}

static void on_answer(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct capture_conn *k = arg;
    uint8_t buf[GH_CAPTURE_SAID];
    struct gh_writer out = gh_writer_of(buf, sizeof buf);
    struct gh_byte_stream *io = k->io;

    (void)s;
    if (k->state != CAPTURE_REQUESTED || head->status < 200)
        return;
    if (head->status > 299) {
        const struct gh_capture_failure f = gh_capture_failure_of(head);

        forget_tunnel(k, GH_HTTP_REQUEST_CANCELLED);
        gh_tunnel_pump_fini(&k->pump);
        refuse(k, &f);
        return;
    }
    gh_capture_ask_emit_success(&k->ask, &out, NULL);
    if (!say(k, &out))
        return;
    gh_worker_deadline_stop(k->c->w, &k->timer);
    capture_count(k->c, CAPTURE_METRIC_REQUESTS, CAPTURE_OPENED, 1);
    capture_count(k->c, CAPTURE_METRIC_TUNNELS, CAPTURE_TCP, 1);
    k->state = CAPTURE_OPEN;
    k->io = NULL;
    gh_tunnel_pump_start(&k->pump, io, gh_span_of(k->early, k->early_len), false);
}

static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct capture_conn *k = arg;

    (void)s;
    gh_tunnel_pump_on_body(&k->pump, data, end);
}

static void on_tunnel_writable(void *arg, struct gh_http_stream *s)
{
    struct capture_conn *k = arg;

    (void)s;
    if (k->state == CAPTURE_OPEN)
        gh_tunnel_pump_on_writable(&k->pump);
}

static void on_tunnel_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct capture_conn *k = arg;
    struct capture *c = k->c;

    (void)s;
    k->stream = NULL;
    if (k->state == CAPTURE_OPEN) {
        gh_tunnel_pump_on_closed(&k->pump, code);
    } else if (k->state == CAPTURE_REQUESTED) {
        gh_tunnel_pump_fini(&k->pump);
        refuse_for(k, 502, "");
    }
    if (!gh_list_empty(&c->waiting)) /* not from inside an event of the connection */
        gh_worker_deadline_start(c->w, &c->retry, gh_worker_now(c->w));
}

static const struct gh_http_events tunnel_events = { on_answer, on_body, NULL, on_tunnel_writable, on_tunnel_closed };

static void on_pumped(void *arg, unsigned way, size_t bytes)
{
    struct capture_conn *k = arg;

    capture_count(k->c, CAPTURE_METRIC_BYTES, way, (int64_t)bytes);
}

static void on_pump_end(void *arg, enum gh_tunnel_pump_end why, struct gh_http_stream *stream)
{
    struct capture_conn *k = arg;

    k->stream = stream;
    if (why == GH_TUNNEL_PUMP_FLOODED)
        capture_drop(k->c, GH_DROP_PROXY_QUEUE);
    /* RFC 9114, section 4.4: an error of the TCP connection is one of the stream */
    forget_tunnel(k, GH_HTTP_CONNECT_ERROR);
    capture_conn_destroy(k);
}

static const struct gh_tunnel_pump_events pump_events = { on_pumped, on_pump_end };

/* ---- what the program says before there is a tunnel ---- */

static void associate(struct capture_conn *k)
{
    struct gh_endpoint at;
    struct gh_socks5_addr bound = { .port = 0 };
    uint8_t buf[GH_CAPTURE_SAID];
    struct gh_writer out = gh_writer_of(buf, sizeof buf);

    if (capture_udp_open(k->c, k->io, k->request.to.port, &k->udp, &at) < 0) {
        refuse_for(k, 503, "");
        return;
    }
    bound.ip = at.ip;
    bound.port = at.port;
    gh_capture_ask_emit_success(&k->ask, &out, &bound);
    k->state = CAPTURE_ASSOCIATED;
    gh_worker_deadline_stop(k->c->w, &k->timer);
    if (say(k, &out))
        gh_byte_stream_want_read(k->io, true); /* its end is the association's (RFC 1928, section 7) */
}

static void begin(struct capture_conn *k, struct gh_span early)
{
    gh_byte_stream_want_read(k->io, false);
    if (k->request.associate) {
        associate(k);
        return;
    }
    if (early.len) {
        k->early = malloc(early.len);
        if (!k->early) {
            refuse_for(k, 503, "");
            return;
        }
        memcpy(k->early, early.data, early.len);
        k->early_len = early.len;
    }
    begin_tunnel(k);
}

static void give_up(struct capture_conn *k, int rc, bool said)
{
    capture_count(k->c, CAPTURE_METRIC_REFUSED, rc == GH_ERR_DENIED ? CAPTURE_LOGIN : CAPTURE_PROTOCOL, 1);
    if (said)
        part(k);
    else
        capture_conn_destroy(k);
}

static void on_bytes(void *arg, struct gh_span data)
{
    struct capture_conn *k = arg;
    uint8_t buf[GH_CAPTURE_SAID];
    struct gh_writer out = gh_writer_of(buf, sizeof buf);
    bool said;
    int rc;

    if (k->state != CAPTURE_ASKING)
        return; /* ENDING, ASSOCIATED: nobody listens */
    rc = gh_capture_ask_feed(&k->ask, &data, &out, &k->request);
    said = gh_writer_len(&out) > 0;
    if (!say(k, &out))
        return;
    if (rc < 0)
        give_up(k, rc, said);
    else if (rc > 0)
        begin(k, data);
}

static void on_end(void *arg)
{
    struct capture_conn *k = arg;

    /* before there is a tunnel nothing is read, so that the end waits, and passes by itself */
    capture_conn_destroy(k);
}

static void on_writable(void *arg)
{
    (void)arg;
}

static void on_closed(void *arg, int why)
{
    (void)why;
    capture_conn_destroy(arg);
}

static const struct gh_byte_stream_events ask_events = { on_bytes, on_end, on_writable, on_closed };

void capture_conn_accept(struct capture *c, int fd)
{
    struct capture_conn *k;

    if (c->count >= c->max_connections) {
        gh_sock_reset_on_close(fd);
        gh_sock_close(fd);
        capture_count(c, CAPTURE_METRIC_REFUSED, CAPTURE_LIMIT, 1);
        return;
    }
    k = calloc(1, sizeof *k);
    if (!k) {
        gh_sock_close(fd);
        return;
    }
    if (gh_tcp_stream_create(c->w, fd, gh_span_of(NULL, 0), &k->io) < 0) {
        free(k);
        return;
    }
    k->c = c;
    k->io->events = &ask_events;
    k->io->arg = k;
    gh_capture_ask_init(&k->ask, &c->login);
    gh_deadline_init(&k->timer, on_timer, k);
    gh_list_init(&k->wait);
    gh_list_init(&k->link);
    gh_list_append(&c->conns, &k->link);
    c->count++;
    capture_count(c, CAPTURE_METRIC_CONNECTIONS, 0, 1);
    wait_until(k, c->ask_timeout);
    gh_byte_stream_want_read(k->io, true);
}
