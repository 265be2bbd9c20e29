#include "net/http_tcp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/list.h"
#include "loop/worker.h"
#include "net/http1_tunnel.h"
#include "net/http2.h"
#include "net/tcp_stream.h"
#include "net/tls_io.h"

#define MILLISECOND INT64_C(1000000)
#define PARTING (1000 * MILLISECOND) /* for the last words to be taken */

struct gh_http_tcp {
    struct gh_http_tcp_config cfg;
    struct gh_http2 *h2;
    struct gh_list conns;
};

struct gh_http_tcp_conn {
    struct gh_http_tcp *h;
    struct gh_list link;
    const struct gh_http_tcp_events *events;
    void *arg;
    struct gh_endpoint remote;
    struct gh_deadline timer;     /* for the connection to be made; then for its end, when we want that */
    struct gh_poll *poll;         /* CONNECTING */
    int fd;                       /* while it is CONNECTING ours, then <io>'s; -1 when that is gone */
    struct gh_tls_stream *engine; /* while CONNECTING */
    struct gh_byte_stream *io;    /* until HTTP has it */
    struct gh_http2_conn *h2;
    struct gh_http_stream *h1;    /* HTTP/1.1: the tunnel is the connection */
    struct gh_http_stream *stream; /* the request that was made while there was none, until it is over */
    const struct gh_http_events *stream_events; /* its owner's */
    void *stream_arg;
    struct gh_http_identity identity;
    struct gh_http_tcp_facts facts;
    struct gh_http_tcp_end end;
    uint8_t *retry;               /* what end.ech_retry points to */
    int64_t opened;
    bool tried_ech, greeted;
    bool websocket; /* what ends the request is said in it, and answered (RFC 6455, section 7.1.1) */
};

static void conn_destroy(struct gh_http_tcp_conn *c)
{
    bool own = c->poll || c->engine;

    gh_worker_deadline_stop(c->h->cfg.worker, &c->timer);
    gh_poll_close(c->poll);
    if (own)
        gh_sock_close(c->fd);
    gh_tls_stream_destroy(c->engine);
    gh_byte_stream_close(c->io);
    gh_list_unlink(&c->link);
    free(c->retry);
    free(c);
}

static void say(struct gh_http_tcp_conn *c, const char *words)
{
    if (!c->end.words[0])
        snprintf(c->end.words, sizeof c->end.words, "%s", words);
}

static void tell_closed(struct gh_http_tcp_conn *c)
{
    gh_worker_deadline_stop(c->h->cfg.worker, &c->timer);
    say(c, "the connection was closed");
    c->events->on_closed(c->arg, &c->end);
    conn_destroy(c);
}

static void on_timer(void *arg, int64_t now)
{
    struct gh_http_tcp_conn *c = arg;

    (void)now;
    say(c, "the server did not answer in time");
    if (c->h2)
        gh_http2_conn_abort(c->h2);
    else if (c->h1)
        gh_http1_tunnel_close(c->h1);
    else
        tell_closed(c);
}

/* ---- what HTTP tells ---- */

static void h2_ready(void *arg, struct gh_http2_conn *h2)
{
    struct gh_http_tcp_conn *c = arg;

    (void)h2;
    if (!c->end.local && !c->greeted) {
        c->greeted = true;
        c->events->on_ready(c->arg);
    }
}

static void h2_goaway(void *arg, struct gh_http2_conn *h2)
{
    struct gh_http_tcp_conn *c = arg;

    (void)h2;
    if (c->events->on_goaway && !c->end.local)
        c->events->on_goaway(c->arg);
}

static void h2_closed(void *arg, struct gh_http2_conn *h2, uint32_t code)
{
    struct gh_http_tcp_conn *c = arg;
    char words[96];

    (void)h2;
    c->h2 = NULL;
    c->fd = -1;
    snprintf(words, sizeof words, code ? "the connection broke (HTTP/2 error 0x%x)" : "the connection was closed by the relay, or broke", (unsigned)code);
    say(c, words);
    tell_closed(c);
}

static const struct gh_http2_client_events h2_events = { h2_ready, h2_goaway, h2_closed };

/* We look on: the request is to be ended with the connection, and HTTP/1.1 has no connection but the request. */

static void stream_answer(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct gh_http_tcp_conn *c = arg;

    if (c->stream_events->on_answer)
        c->stream_events->on_answer(c->stream_arg, s, head);
}

static void stream_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct gh_http_tcp_conn *c = arg;

    if (c->stream_events->on_body)
        c->stream_events->on_body(c->stream_arg, s, data, end);
}

static void stream_writable(void *arg, struct gh_http_stream *s)
{
    struct gh_http_tcp_conn *c = arg;

    if (c->stream_events->on_writable)
        c->stream_events->on_writable(c->stream_arg, s);
}

static void stream_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct gh_http_tcp_conn *c = arg;

    c->stream = NULL;
    if (c->stream_events->on_closed)
        c->stream_events->on_closed(c->stream_arg, s, code);
    if (!c->h1)
        return;
    c->h1 = NULL;
    c->fd = -1;
    say(c, "the connection was closed by the relay, or broke");
    tell_closed(c);
}

static const struct gh_http_events stream_events = { stream_answer, stream_body, NULL, stream_writable, stream_closed };

/* ---- TLS ---- */

static bool identify(struct gh_http_tcp_conn *c, struct gh_tls_stream *t)
{
    struct gh_cert *cert = NULL;
    int rc = gh_tls_stream_peer_certificate(t, &cert);

    if (rc == 0)
        rc = c->events->on_peer(c->arg, cert, &c->identity);
    gh_cert_destroy(cert);
    c->end.refused = rc < 0;
    return rc == 0;
}

static void learn_facts(struct gh_http_tcp_conn *c, struct gh_tls_stream *t, bool h2)
{
    c->facts.version = h2 ? "h2" : "http/1.1";
    snprintf(c->facts.group, sizeof c->facts.group, "%s", gh_tls_stream_group(t));
    snprintf(c->facts.cipher, sizeof c->facts.cipher, "%s", gh_tls_stream_cipher(t));
    c->facts.resumed = gh_tls_stream_resumed(t);
    c->facts.ech = gh_tls_stream_ech(t) == GH_TLS_ECH_ACCEPTED;
}

void gh_http_tcp_ech_words(bool told, const char *verify, char *buf, size_t cap)
{
    snprintf(buf, cap, "the server did not open our ECH%s%s%s",
             told ? ", and told us another key" : ": its key is not that of our ECHConfig, which may be old or another server's",
             *verify ? "; its certificate for the public name is not believed: " : "", verify);
}

/* Why a handshake failed. A hello that was not opened explains all that came after it. */
static void explain(struct gh_http_tcp_conn *c, struct gh_tls_stream *t, int rc)
{
    const char *verify = gh_tls_stream_verify_error(t);
    size_t len = 0;
    int alert = gh_tls_stream_alert_received(t);

    c->end.ech_rejected = c->tried_ech && rc == GH_ERR_CRYPTO && gh_tls_stream_ech(t) == GH_TLS_ECH_REJECTED;
    if (c->end.ech_rejected && gh_tls_stream_ech_retry(t, &c->retry, &len) == 0)
        c->end.ech_retry = gh_span_of(c->retry, len);
    if (c->end.ech_rejected)
        gh_http_tcp_ech_words(len > 0, verify, c->end.words, sizeof c->end.words);
    else if (*verify)
        snprintf(c->end.words, sizeof c->end.words, "the server's certificate is refused: %s", verify);
    else if (rc == GH_ERR_TIMEOUT)
        say(c, "the server did not complete the TLS handshake in time");
    else if (alert >= 0)
        snprintf(c->end.words, sizeof c->end.words, "the TLS handshake failed: the server sent alert %d", alert);
    else
        snprintf(c->end.words, sizeof c->end.words, "the TLS handshake failed: %s", gh_error_text(rc));
}

static int start_h2(struct gh_http_tcp_conn *c)
{
    const struct gh_http_peer peer = { .addr = c->remote.ip, .port = c->remote.port, .identity = "", .uid = UINT32_MAX };
    struct gh_byte_stream *io = c->io;

    c->io = NULL;
    return gh_http2_open(c->h->h2, io, &peer, &c->identity, &h2_events, c, &c->h2);
}

static void on_handshake(void *arg, struct gh_byte_stream *io, int rc)
{
    struct gh_http_tcp_conn *c = arg;
    struct gh_tls_stream *t = gh_tls_io_engine(io);
    bool h2 = gh_span_equals(gh_tls_stream_alpn(t), gh_span_str("h2"));

    if (rc < 0 || c->end.local) {
        if (rc < 0)
            explain(c, t, rc);
        tell_closed(c);
        return;
    }
    gh_worker_deadline_stop(c->h->cfg.worker, &c->timer);
    learn_facts(c, t, h2);
    if (!identify(c, t)) {
        say(c, "its certificate is refused");
        tell_closed(c);
    } else if (!h2) { /* the request takes the stream over */
        c->greeted = true;
        c->events->on_ready(c->arg);
    } else if (start_h2(c) < 0) {
        say(c, "no memory for the connection");
        tell_closed(c);
    }
}

/* ---- the socket ---- */

static void io_nothing(void *arg)
{
    (void)arg;
}

static void io_bytes(void *arg, struct gh_span data)
{
    (void)arg;
    (void)data;
}

/* Between the handshake and the request of HTTP/1.1. */
static void io_closed(void *arg, int why)
{
    struct gh_http_tcp_conn *c = arg;

    (void)why;
    say(c, "the connection broke");
    c->fd = -1;
    tell_closed(c);
}

static const struct gh_byte_stream_events io_events = { io_bytes, io_nothing, io_nothing, io_closed };

static void on_connected(struct gh_http_tcp_conn *c)
{
    struct gh_tls_stream *engine = c->engine;
    struct gh_byte_stream *below;
    int64_t left = c->opened + c->h->cfg.handshake_timeout - gh_worker_now(c->h->cfg.worker);
    int rc;

    gh_poll_close(c->poll);
    c->poll = NULL;
    c->engine = NULL;
    rc = gh_tcp_stream_create(c->h->cfg.worker, c->fd, gh_span_of(NULL, 0), &below);
    if (rc < 0)
        gh_tls_stream_destroy(engine);
    else
        rc = gh_tls_io_create(c->h->cfg.worker, engine, below, left > MILLISECOND ? left : MILLISECOND, on_handshake, c, &c->io);
    if (rc < 0) {
        c->fd = -1;
        say(c, gh_error_text(rc));
        tell_closed(c);
        return;
    }
    c->io->events = &io_events;
    c->io->arg = c;
    gh_worker_deadline_stop(c->h->cfg.worker, &c->timer); /* TLS has its own */
}

static void on_poll(void *arg, int events)
{
    struct gh_http_tcp_conn *c = arg;
    char words[160];
    int rc = gh_sock_connected(c->fd);

    (void)events;
    if (rc == GH_ERR_AGAIN)
        return;
    if (rc == 0 && !c->end.local) {
        on_connected(c);
        return;
    }
    snprintf(words, sizeof words, "TCP: %s", strerror(errno));
    say(c, words); /* unless we closed it */
    tell_closed(c);
}

/* ---- life ---- */

static int make_engine(struct gh_http_tcp_conn *c, const struct gh_http_tcp_target *to)
{
    const struct gh_tls_stream_request req = { .server_name = to->name.server_name,
                                               .certificate_name = to->name.certificate_name,
                                               .ech = to->name.ech,
                                               .ech_list = to->name.ech_list };

    c->tried_ech = to->name.ech && to->name.ech_list.len > 0;
    return gh_tls_stream_create(to->tls, &req, &c->engine);
}

int gh_http_tcp_connect(struct gh_http_tcp *h, const struct gh_http_tcp_target *to, const struct gh_http_tcp_events *events, void *arg,
                        struct gh_http_tcp_conn **ret)
{
    struct gh_http_tcp_conn *c = calloc(1, sizeof *c);
    int rc = c ? make_engine(c, to) : GH_ERR_MEMORY;

    if (rc == 0)
        rc = gh_sock_connect(to->fd, &to->remote);
    if (rc == 0)
        rc = gh_poll_open(h->cfg.worker, to->fd, GH_POLL_WRITE, on_poll, c, &c->poll);
    if (rc < 0) {
        int saved = errno;

        gh_sock_close(to->fd);
        if (c)
            gh_tls_stream_destroy(c->engine);
        free(c);
        errno = saved;
        return rc;
    }
    c->h = h;
    c->events = events;
    c->arg = arg;
    c->remote = to->remote;
    c->fd = to->fd;
    c->facts.version = "";
    c->opened = gh_worker_now(h->cfg.worker);
    gh_deadline_init(&c->timer, on_timer, c);
    gh_worker_deadline_start(h->cfg.worker, &c->timer, c->opened + h->cfg.handshake_timeout);
    gh_list_init(&c->link);
    gh_list_append(&h->conns, &c->link);
    *ret = c;
    return 0;
}

static int request_h1(struct gh_http_tcp_conn *c, const struct gh_http_head *head)
{
    const struct gh_http_peer peer = { .addr = c->remote.ip, .port = c->remote.port, .identity = "", .uid = UINT32_MAX };
    struct gh_byte_stream *io = c->io;
    int rc;

    if (!io)
        return GH_ERR_STATE;
    c->io = NULL;
    rc = gh_http1_tunnel_open(io, &peer, &c->identity, head, &c->h1);
    if (rc < 0) {
        c->fd = -1;
        return rc;
    }
    c->stream = c->h1;
    c->stream->events = &stream_events;
    c->stream->arg = c;
    return 0;
}

int gh_http_tcp_request(struct gh_http_tcp_conn *c, const struct gh_http_head *head, const struct gh_http_events *events, void *arg,
                        struct gh_http_stream **ret)
{
    int rc;

    if (c->end.local)
        return GH_ERR_STATE;
    if (c->stream && c->h2)
        return gh_http2_conn_request(c->h2, head, events, arg, false, ret);
    rc = c->h2 ? gh_http2_conn_request(c->h2, head, &stream_events, c, false, &c->stream) : request_h1(c, head);
    if (rc < 0)
        return rc;
    c->stream_events = events;
    c->stream_arg = arg;
    c->websocket = gh_span_equals(head->protocol, gh_span_str("websocket"));
    *ret = c->stream;
    return 0;
}

void gh_http_tcp_close(struct gh_http_tcp_conn *c)
{
    if (c->end.local)
        return;
    c->end.local = true;
    say(c, "closed here");
    if (c->stream && !c->websocket)
        (void)gh_http_send(c->stream, gh_span_of(NULL, 0), true); /* if that was not done */
    if (c->h2)
        gh_http2_conn_drain(c->h2);
    gh_worker_deadline_start(c->h->cfg.worker, &c->timer, gh_worker_now(c->h->cfg.worker) + (c->h2 || c->h1 ? PARTING : 0));
}

const struct gh_http_tcp_facts *gh_http_tcp_facts(const struct gh_http_tcp_conn *c)
{
    return &c->facts;
}

int gh_http_tcp_state(const struct gh_http_tcp_conn *c, struct gh_tcp_state *ret)
{
    return c->fd < 0 || c->poll ? GH_ERR_STATE : gh_tcp_state(c->fd, ret);
}

int gh_http_tcp_create(const struct gh_http_tcp_config *cfg, struct gh_http_tcp **ret)
{
    const struct gh_http2_config h2 = { .idle_timeout = (unsigned)(cfg->keep_alive / MILLISECOND),
                                        .ping_timeout = (unsigned)(cfg->answer_timeout / MILLISECOND) };
    struct gh_http_tcp *h = calloc(1, sizeof *h);
    int rc;

    if (!h)
        return GH_ERR_MEMORY;
    h->cfg = *cfg;
    gh_list_init(&h->conns);
    rc = gh_http2_create(cfg->worker, &h2, (struct gh_http_handler){ 0 }, &h->h2);
    if (rc < 0) {
        free(h);
        return rc;
    }
    *ret = h;
    return 0;
}

void gh_http_tcp_destroy(struct gh_http_tcp *h)
{
    if (!h)
        return;
    gh_list_each(it, &h->conns)
    {
        struct gh_http_tcp_conn *c = gh_container_of(it, struct gh_http_tcp_conn, link);

        if (c->h2)
            gh_http2_conn_abort(c->h2);
        else if (c->h1)
            gh_http1_tunnel_close(c->h1);
        else
            tell_closed(c);
    }
    gh_http2_destroy(h->h2);
    free(h);
}
