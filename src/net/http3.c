#include "net/http_endpoint.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/list.h"
#include "proto/h3/h3.h"

#define ALERT_BAD_CERTIFICATE (0x100u + 42u) /* RFC 9001, section 4.8; RFC 8446, section 6.2 */

struct gh_http_endpoint {
    struct gh_http_endpoint_config cfg;
    struct gh_quic_endpoint *endpoint;
    struct gh_list conns;
    unsigned count;
    bool draining;
    bool inside; /* connections to come */
};

struct gh_http_conn {
    struct gh_http_endpoint *h;
    struct gh_list link;
    struct gh_quic_link *quic_link;
    struct gh_quic *quic;
    struct gh_h3 *h3;
    struct gh_http_peer peer;
    struct gh_http_identity identity;
    bool server, refused, ready, inside;
};

struct stream {
    struct gh_http_stream base; /* first: the services' pointer */
    struct gh_http_conn *conn;
    struct gh_h3_stream *s;
};

static struct stream *stream_of(const struct gh_http_stream *s)
{
    return (struct stream *)(uintptr_t)s;
}

static void wake(struct gh_http_conn *c)
{
    gh_quic_link_wake(c->quic_link);
}

/* What services do to a stream. */

static int op_respond(struct gh_http_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end)
{
    struct stream *st = stream_of(s);

    wake(st->conn);
    return gh_h3_respond(st->s, status, fields, count, end);
}

static int op_send(struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct stream *st = stream_of(s);

    wake(st->conn);
    return gh_h3_send(st->s, data, end);
}

static int op_send_datagram(struct gh_http_stream *s, struct gh_span payload, uint32_t flow)
{
    struct stream *st = stream_of(s);

    wake(st->conn);
    return gh_h3_send_datagram(st->s, payload, flow, gh_worker_now(st->conn->h->cfg.endpoint.worker));
}

static size_t op_datagram_max(const struct gh_http_stream *s)
{
    return gh_h3_datagram_max(stream_of(s)->s);
}

static void op_reset(struct gh_http_stream *s, enum gh_http_reset why)
{
    struct stream *st = stream_of(s);

    wake(st->conn);
    gh_h3_reset(st->s, gh_http_code(why));
}

static const struct gh_http_peer *op_peer(const struct gh_http_stream *s)
{
    return &stream_of(s)->conn->peer;
}

static size_t op_plpmtu(const struct gh_http_stream *s)
{
    return gh_quic_plpmtu(stream_of(s)->conn->quic);
}

static void op_hold(struct gh_http_stream *s)
{
    gh_h3_hold(stream_of(s)->s);
}

static void op_widen(struct gh_http_stream *s)
{
    struct stream *st = stream_of(s);

    gh_quic_widen(st->conn->quic, GH_HTTP_WIDE);
    wake(st->conn);
}

static void op_consume(struct gh_http_stream *s, size_t bytes)
{
    struct stream *st = stream_of(s);

    wake(st->conn);
    gh_h3_consume(st->s, bytes);
}

static uint64_t op_pieces(const struct gh_http_stream *s)
{
    const struct gh_quic_counters *n = gh_quic_counters(stream_of(s)->conn->quic);

    return n->packets_in + n->packets_out;
}

static void op_path(const struct gh_http_stream *s, struct gh_http_path *ret)
{
    struct gh_quic *q = stream_of(s)->conn->quic;
    const struct gh_quic_counters *n = gh_quic_counters(q);

    ret->rtt = gh_quic_rtt(q);
    ret->pieces = op_pieces(s);
    ret->datagrams_out = n->datagrams_out;
    ret->datagrams_lost = n->datagrams_lost;
    ret->plpmtu = gh_quic_plpmtu(q);
}

static void op_close_connection(struct gh_http_stream *s, const char *reason)
{
    gh_http_conn_close(stream_of(s)->conn, reason);
}

static const struct gh_http_ops ops = {
    .respond = op_respond,
    .send = op_send,
    .send_datagram = op_send_datagram,
    .datagram_max = op_datagram_max,
    .reset = op_reset,
    .peer = op_peer,
    .plpmtu = op_plpmtu,
    .hold = op_hold,
    .consume = op_consume,
    .widen = op_widen,
    .path = op_path,
    .pieces = op_pieces,
    .close_connection = op_close_connection,
};

/* What HTTP/3 tells. */

static struct stream *stream_create(struct gh_http_conn *c, struct gh_h3_stream *s)
{
    struct stream *st = calloc(1, sizeof *st);

    if (!st)
        return NULL;
    st->base.ops = &ops;
    st->conn = c;
    st->s = s;
    st->base.id = (uint64_t)gh_h3_stream_id(s);
    gh_h3_stream_set_user(s, st);
    return st;
}

static void refuse(struct gh_http_conn *c, const char *why)
{
    struct gh_endpoint remote = gh_quic_link_remote(c->quic_link);

    c->refused = true;
    c->h->cfg.events->on_refused(c->h->cfg.arg, &remote, why);
}

static uint64_t number_of(struct gh_http_endpoint *h)
{
    const struct gh_random_source *random = &h->cfg.endpoint.quic.random;
    uint64_t number;

    return random->fill(random->arg, &number, sizeof number) < 0 ? 0 : number;
}

static void on_handshake(void *arg)
{
    struct gh_http_conn *c = arg;
    struct gh_endpoint remote = gh_quic_link_remote(c->quic_link);
    struct gh_cert *cert = NULL;
    int rc = gh_tls_peer_certificate(gh_quic_tls(c->quic), &cert);

    if (rc == 0)
        rc = c->h->cfg.events->on_peer(c->h->cfg.arg, cert, &remote, &c->identity);
    gh_cert_destroy(cert);
    c->peer = (struct gh_http_peer){ .addr = remote.ip,
                                     .port = remote.port,
                                     .identity = c->identity.name,
                                     .not_after = c->identity.not_after,
                                     .certificate = &c->identity.certificate,
                                     .uid = UINT32_MAX,
                                     .inside = c->inside,
                                     .connection = number_of(c->h) };
    if (rc < 0 && c->server && c->h->cfg.anybody) {
        c->identity = (struct gh_http_identity){ .name = "" };
        c->peer.not_after = 0;
        c->peer.certificate = NULL;
    } else if (rc < 0) {
        c->refused = true; /* on_peer said why to whoever wants to know */
        gh_quic_close(c->quic, false, ALERT_BAD_CERTIFICATE, "certificate refused");
    }
}

static void on_settings(void *arg)
{
    struct gh_http_conn *c = arg;

    if (c->server || c->refused || c->ready)
        return;
    c->ready = true;
    c->h->cfg.events->on_ready(c->h->cfg.arg, c);
}

static void on_request(void *arg, struct gh_h3_stream *s, const struct gh_http_head *head)
{
    struct gh_http_conn *c = arg;
    struct stream *st;

    if (c->refused || (!c->identity.name[0] && !c->h->cfg.anybody)) {
        gh_h3_reset(s, GH_H3_REQUEST_REJECTED);
        return;
    }
    st = stream_create(c, s);
    if (!st) {
        gh_h3_reset(s, GH_H3_EXCESSIVE_LOAD);
        return;
    }
    c->h->cfg.handler.on_request(c->h->cfg.handler.arg, &st->base, head);
}

static void on_answer(void *arg, struct gh_h3_stream *s, const struct gh_http_head *head)
{
    (void)arg;
    gh_http_tell_answer(gh_h3_stream_user(s), head); /* the user is a stream, or nobody */
}

static void on_body(void *arg, struct gh_h3_stream *s, struct gh_span data, bool end)
{
    (void)arg;
    gh_http_tell_body(gh_h3_stream_user(s), data, end); /* the user is a stream, or nobody */
}

static bool on_datagram(void *arg, struct gh_h3_stream *s, struct gh_span payload)
{
    struct stream *st = gh_h3_stream_user(s);

    (void)arg;
    if (!st || !st->base.events || !st->base.events->on_datagram)
        return false;
    st->base.events->on_datagram(st->base.arg, &st->base, payload);
    return true;
}

static void on_writable(void *arg, struct gh_h3_stream *s)
{
    (void)arg;
    gh_http_tell_writable(gh_h3_stream_user(s)); /* the user is a stream, or nobody */
}

static void on_stream_closed(void *arg, struct gh_h3_stream *s, uint64_t code)
{
    struct stream *st = gh_h3_stream_user(s);

    (void)arg;
    if (!st)
        return;
    gh_h3_stream_set_user(s, NULL);
    gh_http_tell_closed(&st->base, code);
    free(st);
}

static void on_goaway(void *arg)
{
    struct gh_http_conn *c = arg;

    if (c->h->cfg.events->on_goaway)
        c->h->cfg.events->on_goaway(c->h->cfg.arg, c);
}

static void on_h3_drop(void *arg, enum gh_drop why)
{
    struct gh_http_conn *c = arg;

    c->h->cfg.events->on_drop(c->h->cfg.arg, why, 1);
}

static const struct gh_h3_events h3_events = { on_handshake, on_settings, on_request,       on_answer, on_body,
                                               on_datagram,  on_writable, on_stream_closed, on_goaway, on_h3_drop };

/* Connections. */

static void conn_destroy(struct gh_http_conn *c)
{
    gh_list_unlink(&c->link);
    c->h->count--;
    gh_h3_destroy(c->h3);
    free(c);
}

static int conn_create(struct gh_http_endpoint *h, struct gh_quic_link *l, bool server, struct gh_http_conn **ret)
{
    struct gh_http_conn *c = calloc(1, sizeof *c);
    struct gh_h3_config cfg = { server, h->cfg.endpoint.quic.max_streams_bidi, &h3_events, c };
    int rc;

    if (!c)
        return GH_ERR_MEMORY;
    c->h = h;
    c->quic_link = l;
    c->server = server;
    c->inside = h->inside;
    gh_list_init(&c->link);
    rc = gh_h3_create(&cfg, &c->h3);
    if (rc < 0) {
        free(c);
        return rc;
    }
    gh_list_append(&h->conns, &c->link);
    h->count++;
    *ret = c;
    return 0;
}

static int on_accept(void *arg, struct gh_quic_link *l, const struct gh_quic_app **ret_app, void **ret_app_arg, struct gh_tls_ctx **ret_tls)
{
    struct gh_http_endpoint *h = arg;
    struct gh_http_conn *c;
    int rc = conn_create(h, l, true, &c);

    if (rc < 0)
        return rc;
    *ret_app = &gh_h3_app;
    *ret_app_arg = c->h3;
    *ret_tls = h->cfg.tls;
    gh_tls_ctx_set_wall(h->cfg.tls, gh_worker_wall(h->cfg.endpoint.worker));
    return 0;
}

static void on_attached(void *app_arg, struct gh_quic *q)
{
    struct gh_http_conn *c = gh_h3_arg(app_arg);

    c->quic = q;
    gh_h3_attach(app_arg, q);
}

static void tell_refusal(struct gh_http_conn *c, const struct gh_quic_close *why)
{
    char text[256];
    const char *verify = c->quic ? gh_tls_verify_error(gh_quic_tls(c->quic)) : "";

    if (!c->server || c->refused || c->identity.name[0] || !c->quic || gh_quic_is_abandoned(c->quic))
        return;
    if (why->kind != GH_QUIC_CLOSED_HANDSHAKE && why->kind != GH_QUIC_CLOSED_PEER)
        return;
    if (why->kind == GH_QUIC_CLOSED_HANDSHAKE && why->code == 0 && !*verify)
        return; /* a time-out, or noise: the counters know */
    if (why->kind == GH_QUIC_CLOSED_PEER && (why->application || why->code < 0x100 || why->code > 0x1ff))
        return; /* it went away, no alert of TLS (RFC 9001, section 4.8): that is nobody's failure */
    snprintf(text, sizeof text, "%s%s%s", why->reason, *verify ? ": " : "", verify);
    refuse(c, text);
}

static void on_conn_closed(void *app_arg, struct gh_quic_link *l, const struct gh_quic_close *why)
{
    struct gh_http_conn *c = gh_h3_arg(app_arg);

    (void)l;
    gh_h3_close_streams(c->h3, why->code ? why->code : GH_H3_INTERNAL_ERROR);
    tell_refusal(c, why);
    if (!c->server && c->h->cfg.events->on_closed)
        c->h->cfg.events->on_closed(c->h->cfg.arg, c, why);
    conn_destroy(c);
}

static void on_drop(void *arg, enum gh_drop why, uint64_t count)
{
    struct gh_http_endpoint *h = arg;

    h->cfg.events->on_drop(h->cfg.arg, why, count);
}

static const struct gh_quic_endpoint_events endpoint_events = { on_accept, on_attached, on_conn_closed, on_drop };

int gh_http_endpoint_create(const struct gh_http_endpoint_config *cfg, struct gh_http_endpoint **ret)
{
    struct gh_http_endpoint *h = calloc(1, sizeof *h);
    struct gh_quic_endpoint_config ec = cfg->endpoint;
    int rc;

    if (!h)
        return GH_ERR_MEMORY;
    h->cfg = *cfg;
    gh_list_init(&h->conns);
    ec.events = &endpoint_events;
    ec.arg = h;
    rc = gh_quic_endpoint_create(&ec, &h->endpoint);
    if (rc < 0) {
        free(h);
        return rc;
    }
    if (cfg->tls)
        gh_tls_ctx_get(cfg->tls);
    *ret = h;
    return 0;
}

void gh_http_endpoint_destroy(struct gh_http_endpoint *h)
{
    if (!h)
        return;
    gh_quic_endpoint_destroy(h->endpoint);
    gh_tls_ctx_put(h->cfg.tls);
    free(h);
}

void gh_http_endpoint_set_tls(struct gh_http_endpoint *h, struct gh_tls_ctx *tls)
{
    struct gh_tls_ctx *old = h->cfg.tls;

    h->cfg.tls = gh_tls_ctx_get(tls);
    gh_tls_ctx_put(old);
}

void gh_http_endpoint_set_inside(struct gh_http_endpoint *h, bool inside)
{
    h->inside = inside;
}

void gh_http_endpoint_set_max_requests(struct gh_http_endpoint *h, uint64_t max)
{
    h->cfg.endpoint.quic.max_streams_bidi = max;
    gh_quic_endpoint_set_max_streams(h->endpoint, max);
}

void gh_http_endpoint_drain(struct gh_http_endpoint *h)
{
    h->draining = true;
    gh_quic_endpoint_refuse_new(h->endpoint);
    gh_list_each(it, &h->conns)
    {
        struct gh_http_conn *c = gh_container_of(it, struct gh_http_conn, link);

        if (!gh_quic_is_closed(c->quic))
            gh_h3_drain(c->h3);
        wake(c);
    }
}

void gh_http_endpoint_close_all(struct gh_http_endpoint *h, const char *reason)
{
    gh_list_each(it, &h->conns)
        gh_http_conn_close(gh_container_of(it, struct gh_http_conn, link), reason);
    gh_quic_endpoint_flush(h->endpoint);
}

unsigned gh_http_endpoint_connections(const struct gh_http_endpoint *h)
{
    return h->count;
}

struct gh_quic_endpoint *gh_http_endpoint_quic(struct gh_http_endpoint *h)
{
    return h->endpoint;
}

int gh_http_endpoint_connect(struct gh_http_endpoint *h, const struct gh_endpoint *remote, const struct gh_tls_name *name, struct gh_http_conn **ret)
{
    struct gh_http_conn *c;
    int rc = conn_create(h, NULL, false, &c);

    if (rc < 0)
        return rc;
    rc = gh_quic_endpoint_connect(h->endpoint, remote, h->cfg.tls, name, &gh_h3_app, c->h3, &c->quic_link);
    if (rc < 0) {
        conn_destroy(c);
        return rc;
    }
    *ret = c;
    return 0;
}

int gh_http_conn_request(struct gh_http_conn *c, const struct gh_http_head *head, const struct gh_http_events *events, void *arg,
                     bool end, struct gh_http_stream **ret)
{
    struct gh_h3_stream *s;
    struct stream *st;
    int rc = gh_h3_request(c->h3, head, end, &s);

    if (rc < 0)
        return rc;
    st = stream_create(c, s);
    if (!st) {
        gh_h3_reset(s, GH_H3_REQUEST_CANCELLED);
        return GH_ERR_MEMORY;
    }
    st->base.events = events;
    st->base.arg = arg;
    wake(c);
    *ret = &st->base;
    return 0;
}

void gh_http_conn_hop(struct gh_http_conn *c, const struct gh_quic_hop *hop)
{
    gh_quic_link_hop(c->quic_link, hop);
}

void gh_http_conn_probe(struct gh_http_conn *c)
{
    gh_quic_probe(c->quic);
    wake(c); /* else the timer that runs is that of the keep-alive */
}

void gh_http_conn_close(struct gh_http_conn *c, const char *reason)
{
    gh_quic_close(c->quic, true, GH_H3_NO_ERROR, reason);
    wake(c);
}

struct gh_quic *gh_http_conn_quic(struct gh_http_conn *c)
{
    return c->quic;
}
