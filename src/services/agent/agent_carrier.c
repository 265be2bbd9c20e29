/* What is different about a connection over QUIC and one over TCP. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "crypto/random.h"
#include "net/websocket_stream.h"
#include "services/agent/agent_internal.h"

static bool is_address(const char *host)
{
    struct gh_ip ip;

    return gh_ip_parse(host, strlen(host), &ip) == 0;
}

/* A relay behind a door is asked for by a name that its certificate need not have. */
static struct gh_tls_name name_of(const struct agent_link *l)
{
    const struct gh_agent_conf *c = &l->a->conf;
    const char *host = c->relays[l->relay].host, *proves = c->server_name[0] ? c->server_name : is_address(host) ? "" : host;
    struct gh_span ech = gh_agent_ech_now(&l->a->ech);

    return (struct gh_tls_name){ .server_name = c->tunnel_name[0] ? c->tunnel_name : proves,
                                 .certificate_name = proves,
                                 .ech = ech.len > 0,
                                 .ech_list = ech };
}

/* Another port of the range than the last. */
static uint16_t next_port(const struct agent_link *l)
{
    uint64_t random = (uint64_t)gh_worker_now(l->a->w);

    (void)gh_random_bytes(&random, sizeof random);
    return gh_agent_hop_port(l->a->conf.hop, l->port, random);
}

/* ---- TCP ---- */

static int tcp_peer(void *arg, const struct gh_cert *cert, struct gh_http_identity *ret)
{
    struct agent_link *l = arg;

    return agent_link_judge(l->a, l, &l->remote, cert, ret);
}

static void tcp_ready(void *arg)
{
    agent_link_ready(arg);
}

static void tcp_goaway(void *arg)
{
    agent_search_goaway(arg);
}

static void tcp_closed(void *arg, const struct gh_http_tcp_end *why)
{
    struct agent_link *l = arg;
    const struct agent_link_end e = { why->words, why->local || why->refused, why->ech_rejected, why->ech_retry };

    l->stream = NULL;
    agent_link_closed(l, &e);
}

static const struct gh_http_tcp_events tcp_events = { tcp_peer, tcp_ready, tcp_goaway, tcp_closed };

static int open_tcp(struct agent_link *l)
{
    struct agent *a = l->a;
    struct gh_http_tcp_target to = { .fd = -1, .remote = l->remote, .name = name_of(l) };
    int rc;

    l->h1 = l->websocket && a->websocket_h1;
    to.tls = l->h1 ? a->tls.h1 : a->tls.tcp;
    rc = gh_privileged_open_dial(a->run->privileged, l->remote.ip.family, a->conf.fwmark, &to.fd);

    if (l->kind == AGENT_TCP_HOP || l->kind == AGENT_WEBSOCKET_HOP)
        to.remote.port = l->port = next_port(l);
    return rc < 0 ? rc : gh_http_tcp_connect(a->tcp, &to, &tcp_events, l, &l->stream);
}

/* ---- QUIC ---- */

static int open_quic(struct agent_link *l)
{
    struct gh_http_endpoint *http = l->a->http[l->remote.ip.family == 4 ? 0 : 1];
    const struct gh_tls_name name = name_of(l);
    int rc = http ? gh_http_endpoint_connect(http, &l->remote, &name, &l->conn) : GH_ERR_UNSUPPORTED;

    if (rc == 0 && l->a->conf.hop[0])
        agent_carrier_hop(l); /* nothing was sent yet */
    return rc;
}

void agent_carrier_hop(struct agent_link *l)
{
    const uint16_t *range = l->a->conf.hop;

    l->port = next_port(l);
    gh_http_conn_hop(l->conn, &(struct gh_quic_hop){ range[0], range[1], l->port });
}

static const struct gh_quic *quic_of(const struct agent_link *l)
{
    return l->conn ? gh_http_conn_quic(l->conn) : NULL;
}

/* ---- both ---- */

int agent_carrier_open(struct agent_link *l)
{
    l->ech_turn = l->a->ech.turn;
    return l->tcp ? open_tcp(l) : open_quic(l);
}

void agent_carrier_close(struct agent_link *l, const char *words)
{
    if (l->stream)
        gh_http_tcp_close(l->stream);
    else if (l->conn)
        gh_http_conn_close(l->conn, words);
}

/* The stream that carries it is below <ret>. */
static int request_websocket(struct agent_link *l, const struct gh_http_head *head, const struct gh_http_events *events, void *arg, struct gh_http_stream **ret)
{
    struct gh_http_stream *s, *below;
    struct gh_http_head asked;
    int rc = gh_websocket_create(head, &gh_websocket_connect_ip, strcmp(gh_http_tcp_facts(l->stream)->version, "h2") != 0, &s, &asked);

    if (rc < 0)
        return rc;
    rc = gh_http_tcp_request(l->stream, &asked, &gh_websocket_client_events, s, &below);
    if (rc < 0) {
        gh_websocket_discard(s);
        return rc;
    }
    gh_websocket_attach(s, below);
    s->events = events;
    s->arg = arg;
    *ret = s;
    return 0;
}

void agent_carrier_ping(struct agent_link *l)
{
    if (l->websocket && l->tunnel.stream)
        gh_websocket_ping(l->tunnel.stream);
}

int agent_carrier_request(struct agent_link *l, const struct gh_http_head *head, const struct gh_http_events *events, void *arg, struct gh_http_stream **ret)
{
    if (l->websocket)
        return l->stream ? request_websocket(l, head, events, arg, ret) : GH_ERR_STATE;
    if (l->tcp)
        return l->stream ? gh_http_tcp_request(l->stream, head, events, arg, ret) : GH_ERR_STATE;
    return l->conn ? gh_http_conn_request(l->conn, head, events, arg, false, ret) : GH_ERR_STATE;
}

bool agent_carrier_learn(struct agent_link *l)
{
    const struct gh_http_tcp_facts *f = l->tcp ? gh_http_tcp_facts(l->stream) : NULL;
    struct gh_tls *tls = l->tcp ? NULL : gh_quic_tls(gh_http_conn_quic(l->conn));

    snprintf(l->tls_group, sizeof l->tls_group, "%s", f ? f->group : gh_tls_group(tls));
    snprintf(l->cipher, sizeof l->cipher, "%s", f ? f->cipher : gh_tls_cipher(tls));
    l->transport = !f ? "quic" : !l->websocket ? f->version : strcmp(f->version, "h2") == 0 ? "websocket-h2" : "websocket";
    l->ech = f ? f->ech : gh_tls_ech(tls) == GH_TLS_ECH_ACCEPTED;
    return f ? f->resumed : gh_tls_resumed(tls);
}

void agent_carrier_probe(struct agent_link *l)
{
    if (l->conn) /* TCP sends again by itself what was not answered, and HTTP/2 asks when nothing is sent */
        gh_http_conn_probe(l->conn);
}

size_t agent_carrier_udp_payload(const struct agent_link *l)
{
    const struct gh_quic *q = quic_of(l);

    return l->tcp ? SIZE_MAX : q ? gh_quic_plpmtu(q) : 0;
}

struct agent_pulse agent_carrier_pulse(const struct agent_link *l)
{
    const struct gh_quic *q = quic_of(l);
    const struct gh_quic_counters *n = q ? gh_quic_counters(q) : NULL;
    struct gh_tcp_state s;

    if (n)
        return (struct agent_pulse){ .heard = n->heard, .sent = n->packets_out, .datagrams = n->datagrams_out, .lost = n->datagrams_lost,
                                     .rtt = gh_quic_rtt(gh_http_conn_quic(l->conn)) };
    if (!l->stream || gh_http_tcp_state(l->stream, &s) < 0)
        return (struct agent_pulse){ .heard = l->heard, .sent = l->packets_out };
    /* a segment that is no more than an acknowledgement asks for none */
    return (struct agent_pulse){ .heard = s.segments_in, .sent = s.unacked ? s.segments_out : l->packets_out, .rtt = s.rtt };
}
