/* Tunnels that come in by the door (ports/tunnel_acceptor.h). */
#include "core/tls_load.h"
#include "services/relay/relay_internal.h"
#include "services/relay/relay_proxy.h"

static int door_tls(void *self, const struct gh_ech_keys *keys, struct gh_tls_ctx **ret)
{
    struct relay *r = self;
    const struct gh_tls_files files = { r->conf.certificate, r->conf.key, r->conf.client_ca, true, gh_aead_choose(r->conf.wide_aes), "h2,http/1.1",
                                        GH_TLS_ASK_REQUESTED, keys };

    return gh_tls_load(r->run, r->log, "relay", &files, ret);
}

static int door_judge(void *self, struct gh_worker *w, const struct gh_cert *cert, const struct gh_endpoint *remote, struct gh_http_identity *ret)
{
    struct relay *r = self;

    return relay_peer(r->at[gh_worker_index(w)], cert, remote, ret);
}

static bool door_wants(void *self, const struct gh_http_head *head)
{
    struct relay *r = self;

    if (relay_proxy_kind(atomic_load(&r->proxy), head) != PROXY_NONE)
        return true;
    return relay_request_is_tunnel(head);
}

static void door_serve(void *self, struct gh_worker *w, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct relay *r = self;

    relay_request(r->at[gh_worker_index(w)], s, head);
}

void relay_acceptor_publish(struct relay *r)
{
    r->tunnels = (struct gh_port_tunnels){ door_tls, door_judge, door_wants, door_serve, r };
    r->run->tunnels = &r->tunnels;
}
