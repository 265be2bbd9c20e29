/* Tunnels that come in by the door (ports/tunnel_acceptor.h). */
#include "base/error.h"
#include "core/tls_load.h"
#include "services/relay/relay_acceptor.h"
#include "services/relay/relay_internal.h"
#include "services/relay/relay_worker.h"

static int door_tls(void *self, const struct gh_ech_keys *keys, struct gh_tls_ctx **ret)
{
    struct relay *r = self;
    const struct gh_tls_files files = { r->conf.certificate, r->conf.key, r->conf.client_ca, true, gh_aead_choose(r->conf.wide_aes), "h2,http/1.1",
                                        GH_TLS_ASK_REQUESTED, keys };

    return gh_tls_load(r->run, r->log, "relay", &files, ret);
}

static int door_tls_quic(void *self, const struct gh_ech_keys *keys, struct gh_tls_ctx **ret)
{
    struct relay *r = self;
    const struct gh_tls_files files = { r->conf.certificate, r->conf.key, r->conf.client_ca, true, gh_aead_choose(r->conf.wide_aes), NULL,
                                        GH_TLS_ASK_REQUESTED, keys };
    struct gh_tls_ctx *made;
    int rc = gh_tls_load(r->run, r->log, "relay", &files, &made);

    if (rc < 0)
        return rc;
    rc = relay_give_tickets(r, made);
    if (rc < 0)
        gh_tls_ctx_put(made);
    else
        *ret = made;
    return rc;
}

static bool door_listens(void *self, const struct gh_endpoint *at)
{
    const struct relay *r = self;

    for (size_t i = 0; i < r->listen_count; i++) {
        const struct gh_endpoint *own = &r->listens[i];

        if (own->port == at->port && own->ip.family == at->ip.family &&
            (gh_ip_is_zero(&own->ip) || gh_ip_is_zero(&at->ip) || gh_ip_equals(&own->ip, &at->ip)))
            return true;
    }
    return false;
}

static int door_open(void *self, struct gh_http_endpoint_config *cfg, struct gh_http_endpoint **ret)
{
    struct relay *r = self;
    struct relay_worker *rw = r->at[gh_worker_index(cfg->endpoint.worker)];

    return rw ? relay_worker_open_door(rw, cfg, ret) : GH_ERR_STATE;
}

static void door_close(void *self, struct gh_worker *w, struct gh_http_endpoint *endpoint)
{
    struct relay *r = self;

    relay_worker_close_door(r->at[gh_worker_index(w)], endpoint);
}

static int door_judge(void *self, struct gh_worker *w, const struct gh_cert *cert, const struct gh_endpoint *remote, struct gh_http_identity *ret)
{
    struct relay *r = self;

    return relay_peer(r->at[gh_worker_index(w)], cert, remote, ret);
}

static bool door_wants(void *self, const struct gh_http_head *head)
{
    (void)self;
    return gh_span_equals(head->method, gh_span_str("CONNECT")) && gh_span_equals(head->protocol, gh_span_str("connect-ip"));
}

static void door_serve(void *self, struct gh_worker *w, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct relay *r = self;

    relay_request(r->at[gh_worker_index(w)], s, head);
}

/* An agent encrypts its hello by QUIC, too. */
static void door_use_keys(void *self, const struct gh_ech_keys *keys)
{
    (void)relay_open_ech(self, keys);
}

void relay_acceptor_publish(struct relay *r)
{
    r->tunnels = (struct gh_port_tunnels){ door_tls, door_tls_quic, door_listens, door_open, door_close, door_judge, door_wants, door_serve, r };
    r->tunnels.use_keys = door_use_keys;
    r->run->tunnels = &r->tunnels;
}
