/* Requests for tunnels: what is refused, what a name means, and what a tunnel is for (RFC 9484, section 4). */
#include <stdlib.h>

#include "base/error.h"
#include "base/hex.h"
#include "crypto/random.h"
#include "net/websocket_stream.h"
#include "os/resolve.h"
#include "proto/connect_ip/head.h"
#include "proto/connect_ip/routes.h"
#include "services/relay/relay_internal.h"
#include "services/relay/relay_proxy.h"
#include "services/relay/relay_trust.h"
#include "wire/uri_template.h"

const char *relay_request_id(const struct gh_http_stream *stream, char ret[RELAY_REQUEST_ID])
{
    snprintf(ret, RELAY_REQUEST_ID, "%016llx-%llx", (unsigned long long)gh_http_peer(stream)->connection, (unsigned long long)stream->id);
    return ret;
}

void relay_refuse_full(struct tunnel *t, int rc)
{
    struct relay_worker *rw = t->rw;
    const char *client = gh_http_peer(t->stream)->identity;
    bool pool = rc == GH_ERR_FULL;
    char request[RELAY_REQUEST_ID];

    relay_drop(rw, pool ? GH_DROP_ADDRESS_POOL : GH_DROP_SESSION_LIMIT, 1);
    relay_audit_refused(rw->r, client, relay_request_id(t->stream, request), pool ? "no address left in the pool" : "no room for the session",
                      gh_drop_name(pool ? GH_DROP_ADDRESS_POOL : GH_DROP_SESSION_LIMIT));
    gh_log_event(rw->r->log, GH_LOG_WARN, "relay", pool ? "address pool is full: enlarge relay.pools" : "session refused",
                 gh_log_str("client_id", client), gh_log_result("error", rc));
    relay_tunnel_refuse(t, 503, pool ? "gatehouse; error=connection_limit_reached; details=\"address pool is full\"" : NULL);
}

/* RFC 9297, section 3.2: a message whose stream carries capsules has no content of its own; RFC 9114, section 4.1.2 */
static bool is_malformed(const struct gh_http_head *head)
{
    if (!gh_span_equals(head->protocol, gh_span_str("connect-ip")) && !gh_span_equals(head->protocol, gh_span_str("connect-udp")))
        return false;
    for (size_t i = 0; i < head->field_count; i++)
        if (gh_connect_ip_check_field(head->fields[i].name) < 0)
            return true;
    return false;
}

/* What the head says must be refused: a status; or 0 and what it asks for. RFC 9484 section 4.6, RFC 9220 section 3 */
static unsigned refusal(const struct gh_http_head *head, struct gh_ip_scope *ret)
{
    struct gh_uri_template template;
    int rc;

    if (!gh_span_equals(head->method, gh_span_str("CONNECT")))
        return 404;
    if (!gh_span_equals(head->protocol, gh_span_str("connect-ip")))
        return head->protocol.len ? 501 : 400;
    if (gh_uri_template_parse_path(gh_span_str(GH_URI_TEMPLATE_DEFAULT_PATH), &template) < 0)
        return 500;
    rc = gh_uri_template_parse_request(&template, head->path, ret);
    if (rc < 0)
        return rc == GH_ERR_NOT_FOUND ? 404 : 400;
    if (ret->ipproto == 0)
        return 403; /* no upper protocol; in routes 0 would mean any */
    return 0;
}

/* What a tunnel is for. */

static void scope_add(struct relay_scope *s, const struct gh_prefix *p, int ipproto)
{
    s->routes[s->count++] = gh_connect_ip_route_of(p, ipproto == GH_IPPROTO_ANY ? 0 : (uint8_t)ipproto);
}

/* A target that is no name. */
static void scope_of(const struct gh_ip_scope *asked, struct relay_scope *ret)
{
    static const struct gh_prefix all[] = { { .addr = { .family = 4 } }, { .addr = { .family = 6 } } };

    *ret = (struct relay_scope){ .count = 0 };
    if (asked->kind == GH_IP_SCOPE_PREFIX) {
        scope_add(ret, &asked->prefix, asked->ipproto);
        return;
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        scope_add(ret, &all[i], asked->ipproto);
}

/* Names. The answer waits for the look-up (RFC 9484, section 4.1). */

struct lookup {
    struct relay_worker *rw;
    struct tunnel *tunnel; /* NULL: it was closed meanwhile */
    struct gh_ip_scope asked;
    struct gh_resolved found;
};

static void look_up(void *arg)
{
    struct lookup *l = arg;

    gh_privileged_lookup(l->rw->r->run->privileged, l->asked.name, 0, &l->found);
}

/* The addresses of a name are the only targets. Whether one may be reached is policy's, with the first packet. */
static void scope_of_name(const struct lookup *l, struct relay_scope *ret)
{
    *ret = (struct relay_scope){ .count = 0 };
    for (size_t i = 0; i < l->found.count; i++) {
        struct gh_prefix p = { l->found.list[i].ip, (uint8_t)gh_ip_bits(&l->found.list[i].ip) };

        if (gh_ip_is_unicast(&p.addr) && !gh_ip_is_link_local(&p.addr))
            scope_add(ret, &p, l->asked.ipproto);
    }
    ret->count = gh_connect_ip_order_routes(ret->routes, ret->count);
}

static void looked_up(struct gh_worker *w, void *arg)
{
    struct lookup *l = arg;
    struct tunnel *t = l->tunnel;

    (void)w;
    atomic_fetch_sub(&l->rw->r->lookups, 1);
    if (t) {
        t->held = NULL;
        scope_of_name(l, &t->scope);
        if (t->scope.count == 0) {
            gh_log_event(l->rw->r->log, GH_LOG_INFO, "relay", "the name that a tunnel was asked for has no address",
                         gh_log_str("client_id", gh_http_peer(t->stream)->identity), gh_log_str("name", l->asked.name),
                         gh_log_str("reason", l->found.error));
            relay_tunnel_refuse(t, 502, "gatehouse; error=dns_error");
        } else {
            relay_session_open(t);
        }
    }
    free(l);
}

static void request_name(struct tunnel *t, const struct gh_ip_scope *asked)
{
    struct relay_worker *rw = t->rw;
    struct lookup *l = atomic_load(&rw->r->lookups) < RELAY_LOOKUPS_MAX ? calloc(1, sizeof *l) : NULL;

    if (l) {
        l->rw = rw;
        l->tunnel = t;
        l->asked = *asked;
    }
    if (!l || gh_worker_offload(rw->w, look_up, looked_up, l) < 0) {
        free(l);
        relay_drop(rw, GH_DROP_SESSION_LIMIT, 1);
        relay_tunnel_refuse(t, 503, NULL);
        return;
    }
    t->held = &l->tunnel;
    atomic_fetch_add(&rw->r->lookups, 1);
}

/* The instance that the agent names: 32 lower-case hexadecimal digits. A stranger names none, and gets one of its own. */
static int read_instance(const struct gh_http_head *head, uint8_t ret[RELAY_INSTANCE])
{
    struct gh_span text = gh_http_field_find(head, "gatehouse-instance");

    return gh_hex_decode(text, GH_HEX_LOWER, ret, RELAY_INSTANCE) ? 0 : gh_random_bytes(ret, RELAY_INSTANCE);
}

/* An agent whose own direction carries no IPv6 says so: a structured boolean (RFC 9651, section 3.3.6). */
static bool says_narrow(const struct gh_http_head *head)
{
    return gh_span_equals(gh_http_field_find(head, "gatehouse-narrow"), gh_span_str("?1"));
}

bool relay_request_is_tunnel(const struct gh_http_head *head)
{
    if (gh_websocket_is_asked(head, &gh_websocket_connect_ip))
        return true;
    return gh_span_equals(head->method, gh_span_str("CONNECT")) && gh_span_equals(head->protocol, gh_span_str("connect-ip"));
}

void relay_request(void *arg, struct gh_http_stream *stream, const struct gh_http_head *head)
{
    struct relay_worker *rw = arg;
    struct gh_ip_scope asked;
    struct tunnel *t;
    unsigned status;
    char why[GH_IDENTITY_WHY];

    if (gh_websocket_is_asked(head, &gh_websocket_connect_ip)) {
        gh_websocket_accept(stream, head, &gh_websocket_connect_ip, (struct gh_http_handler){ relay_request, rw });
        return;
    }
    if (is_malformed(head)) {
        gh_http_reset(stream, GH_HTTP_MESSAGE_ERROR);
        return;
    }
    if (relay_proxy_kind(rw->conf.proxy, head) != PROXY_NONE) {
        relay_proxy_request(rw, stream, head);
        return;
    }
    t = relay_tunnel_create(rw, stream);
    if (!t)
        return;
    t->peer_narrow = says_narrow(head);
    status = refusal(head, &asked);
    if (status) {
        relay_tunnel_refuse(t, status, NULL);
    } else if (relay_trust_judge(rw, gh_http_peer(stream), true, why) < 0) {
        /* the connection is older than the list or the pins */
        relay_audit_auth(rw->r, false, gh_http_peer(stream)->identity, &(struct gh_endpoint){ gh_http_peer(stream)->addr, gh_http_peer(stream)->port }, why);
        relay_tunnel_refuse(t, 403, NULL);
    } else if (atomic_load(&rw->r->draining)) {
        relay_drop(rw, GH_DROP_DRAINING, 1);
        relay_tunnel_refuse(t, 503, NULL);
    } else if (atomic_load(&rw->r->sessions) >= rw->conf.max_sessions) {
        relay_refuse_full(t, GH_ERR_STATE);
    } else if (read_instance(head, t->instance) < 0) {
        relay_refuse_full(t, GH_ERR_CRYPTO);
    } else if (asked.kind == GH_IP_SCOPE_NAME) {
        request_name(t, &asked);
    } else {
        if (asked.kind != GH_IP_SCOPE_ANY || asked.ipproto != GH_IPPROTO_ANY)
            scope_of(&asked, &t->scope);
        relay_session_open(t);
    }
}
