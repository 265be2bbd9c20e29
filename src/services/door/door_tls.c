/* Connections whose TLS ends here: the tunnel's name, found inside ECH. Whoever has no identity, or asks for no tunnel, meets what strangers meet. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "crypto/random.h"
#include "net/http1_server.h"
#include "net/http2.h"
#include "net/http_identity.h"
#include "net/tcp_stream.h"
#include "net/tls_io.h"
#include "ports/tunnel_acceptor.h"
#include "services/door/door_internal.h"

#define HANDSHAKE INT64_C(60000000000) /* ns; these are what servers of the web have */
#define HEAD_MS 60000u
#define IDLE_MS 75000u

static const char *const upgrades[] = { "connect-ip", "connect-udp", "websocket", NULL };

/* A connection between its first flight and its first request. */
struct door_guest {
    struct gh_list link;
    struct door_worker *dw;
    struct gh_byte_stream *io;
    struct gh_endpoint client;
    bool inside;             /* the tunnel's name, by ECH */
};

static void forget(struct door_guest *g)
{
    gh_list_unlink(&g->link);
    free(g);
}

void door_stranger(struct door_worker *dw, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct gh_http_handler h = door_camouflage_handler(dw->camouflage);

    h.on_request(h.arg, s, head);
}

void door_tls_answer(struct door_worker *dw, struct gh_http_stream *s, const struct gh_http_head *head)
{
    const struct gh_port_tunnels *t = dw->d->run->tunnels;

    if (!t || !t->wants(t->self, head))
        door_stranger(dw, s, head);
    else if (gh_http_peer(s)->identity[0])
        t->serve(t->self, dw->w, s, head);
    else if (!door_token_take(dw, s, head))
        door_stranger(dw, s, head);
}

static void on_refused(void *arg, struct gh_http_stream *s, unsigned status)
{
    door_camouflage_refuse(((struct door_worker *)arg)->camouflage, s, status);
}

static void on_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    door_tls_answer(arg, s, head);
}

/* False: none that counts. */
static bool identify(struct door_guest *g, struct gh_http_identity *ret)
{
    const struct gh_port_tunnels *t = g->dw->d->run->tunnels;
    struct gh_cert *cert = NULL;
    int rc = t ? gh_tls_stream_peer_certificate(gh_tls_io_engine(g->io), &cert) : GH_ERR_UNSUPPORTED;

    if (rc == 0)
        rc = t->judge(t->self, g->dw->w, cert, &g->client, ret);
    gh_cert_destroy(cert);
    return rc == 0;
}

static void on_handshake(void *arg, struct gh_byte_stream *io, int rc)
{
    struct door_guest *g = arg;
    struct door_worker *dw = g->dw;
    struct gh_http_peer peer = { .addr = g->client.ip, .port = g->client.port, .identity = "", .uid = UINT32_MAX, .inside = g->inside };
    struct gh_http_identity who = { .name = "" };
    bool known, h2;

    if (rc < 0) {
        door_count(dw, DOOR_METRIC_HANDSHAKES, DOOR_HANDSHAKE_FAILED);
        forget(g);
        gh_byte_stream_close(io);
        return;
    }
    known = identify(g, &who);
    h2 = gh_span_equals(gh_tls_stream_alpn(gh_tls_io_engine(io)), gh_span_str("h2"));
    door_count(dw, DOOR_METRIC_HANDSHAKES, known ? DOOR_HANDSHAKE_KNOWN : DOOR_HANDSHAKE_UNKNOWN);
    forget(g);
    (void)gh_random_bytes(&peer.connection, sizeof peer.connection);
    if (h2)
        (void)gh_http2_take(dw->h2, io, &peer, known ? &who : NULL);
    else
        (void)gh_http1_server_take(dw->h1, io, &peer, known ? &who : NULL);
}

void door_tls_take(struct door_worker *dw, int fd, const struct gh_endpoint *client, struct gh_tls_ctx *ctx, bool inside, struct gh_span early)
{
    struct door_guest *g = calloc(1, sizeof *g);
    struct gh_tls_stream *engine = NULL;
    struct gh_byte_stream *below = NULL;
    int rc = g ? 0 : GH_ERR_MEMORY;

    if (rc == 0) {
        g->dw = dw;
        g->client = *client;
        g->inside = inside;
        gh_list_append(&dw->guests, &g->link);
        rc = gh_tls_stream_create(ctx, NULL, &engine);
    }
    if (rc < 0) {
        gh_sock_close(fd);
    } else {
        rc = gh_tcp_stream_create(dw->w, fd, early, &below);
        if (rc < 0)
            gh_tls_stream_destroy(engine);
        else
            rc = gh_tls_io_create(dw->w, engine, below, HANDSHAKE, on_handshake, g, &g->io);
    }
    if (rc == 0)
        return;
    door_count(dw, DOOR_METRIC_ACCEPT_FAILED, 0);
    if (g)
        forget(g);
}

int door_tls_start(struct door_worker *dw)
{
    const struct gh_http_handler handler = { on_request, dw };
    const struct gh_http1_config h1 = { .upgrades = upgrades, .on_refused = on_refused, .capitals = true, .connections_max = 4096, .header_timeout = HEAD_MS,
                                        .idle_timeout = IDLE_MS, .body_timeout = HEAD_MS, .body_max = SIZE_MAX };
    int rc;

    gh_list_init(&dw->guests);
    rc = door_camouflage_create(dw->w, dw->d->camouflage, &dw->camouflage);
    if (rc == 0)
        rc = gh_http2_create(dw->w, &(struct gh_http2_config){ 0 }, handler, &dw->h2);
    return rc < 0 ? rc : gh_http1_server_create(dw->w, &h1, handler, &dw->h1);
}

void door_tls_refresh(struct door_worker *dw)
{
    int rc = door_camouflage_set(dw->camouflage, dw->d->camouflage);

    if (rc < 0)
        gh_log_event(dw->d->log, GH_LOG_ERROR, "door", "the camouflage stays as it was", gh_log_uint("worker", dw->index), gh_log_result("error", rc));
}

void door_tls_drain(struct door_worker *dw)
{
    gh_http2_drain(dw->h2);
    gh_http1_server_drain(dw->h1);
}

void door_tls_stop(struct door_worker *dw)
{
    if (!dw->guests.next)
        return;
    gh_list_each(it, &dw->guests) {
        struct door_guest *g = gh_container_of(it, struct door_guest, link);

        gh_byte_stream_close(g->io);
        forget(g);
    }
    gh_http2_destroy(dw->h2);
    gh_http1_server_destroy(dw->h1);
    door_camouflage_destroy(dw->camouflage);
    door_token_stop(dw);
    dw->h2 = NULL;
    dw->h1 = NULL;
    dw->camouflage = NULL;
}
