/* Requests for tunnels: what is refused, what a name means, and what a tunnel is for (RFC 9484, section 4). */
#include <stdlib.h>

#include "base/error.h"
#include "os/resolve.h"
#include "proto/connect_ip/head.h"
#include "proto/connect_ip/routes.h"
#include "services/relay/relay_internal.h"
#include "wire/uri_template.h"

#define LOOKUPS_MAX 64u    /* names that are looked up at once */
#define EARLY_MAX 16384u   /* bytes of capsules that may come before the name is known */

static void answer(struct gh_http_stream *stream, unsigned status, const char *proxy_status)
{
    struct gh_http_field fields[2];
    size_t n = 0;

    if (proxy_status)
        fields[n++] = (struct gh_http_field){ gh_span_str("proxy-status"), gh_span_str(proxy_status) };
    if (status == 503 || status == 429)
        fields[n++] = (struct gh_http_field){ gh_span_str("retry-after"), gh_span_str("5") };
    gh_http_respond(stream, status, fields, n, true);
}

void relay_refuse_full(struct relay_worker *rw, struct gh_http_stream *stream, const char *client, int rc)
{
    bool pool = rc == GH_ERR_FULL;

    relay_drop(rw, pool ? GH_DROP_ADDRESS_POOL : GH_DROP_SESSION_LIMIT, 1);
    relay_audit_error(rw->r, client, pool ? "no address left in the pool" : "no room for the session", gh_drop_name(pool ? GH_DROP_ADDRESS_POOL : GH_DROP_SESSION_LIMIT));
    gh_log_event(rw->r->log, GH_LOG_WARN, "relay", pool ? "address pool is full: enlarge relay.pools" : "session refused",
                 gh_log_str("client_id", client), gh_log_result("error", rc));
    answer(stream, 503, pool ? "gatehouse; error=connection_limit_reached; details=\"address pool is full\"" : NULL);
}

/* RFC 9297, section 3.2: a message whose stream carries capsules has no content of its own; RFC 9114, section 4.1.2 */
static bool is_malformed(const struct gh_http_head *head)
{
    if (!gh_span_equals(head->protocol, gh_span_str("connect-ip")))
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

/* Names. The answer waits for the look-up (RFC 9484, section 4.1); capsules that are faster than it are kept. */

struct lookup {
    struct relay *r;
    struct relay_worker *rw;
    struct gh_http_stream *stream; /* NULL: it was closed meanwhile */
    struct gh_ip_scope asked;
    struct gh_resolved found;
    bool ended;
    size_t early_len;
    uint8_t early[EARLY_MAX];
};

static void on_early(void *arg, struct gh_http_stream *stream, struct gh_span data, bool end)
{
    struct lookup *l = arg;

    if (data.len > sizeof l->early - l->early_len) {
        relay_drop(l->rw, GH_DROP_CAPSULE_LIMIT, 1);
        gh_http_reset(stream, GH_HTTP_EXCESSIVE_LOAD);
        return;
    }
    if (data.len > 0)
        memcpy(l->early + l->early_len, data.data, data.len);
    l->early_len += data.len;
    l->ended |= end;
}

static void on_early_datagram(void *arg, struct gh_http_stream *stream, struct gh_span payload)
{
    (void)arg; /* RFC 9484, section 7.1: nothing was promised before the answer */
    (void)stream;
    (void)payload;
}

static void on_gone(void *arg, struct gh_http_stream *stream, uint64_t code)
{
    struct lookup *l = arg;

    (void)stream;
    (void)code;
    l->stream = NULL;
}

static const struct gh_http_events lookup_events = { NULL, on_early, on_early_datagram, NULL, on_gone };

static void look_up(void *arg)
{
    struct lookup *l = arg;

    gh_resolve(l->asked.name, 0, &l->found);
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
    struct gh_http_stream *stream = l->stream;
    struct relay_scope scope;

    (void)w;
    atomic_fetch_sub(&l->r->lookups, 1); /* the worker's part may be gone, but not while its stream is there */
    if (stream) {
        stream->events = NULL;
        scope_of_name(l, &scope);
        if (scope.count == 0) {
            gh_log_event(l->rw->r->log, GH_LOG_INFO, "relay", "the name that a tunnel was asked for has no address",
                         gh_log_str("client_id", gh_http_peer(stream)->identity), gh_log_str("name", l->asked.name),
                         gh_log_str("reason", l->found.error));
            answer(stream, 502, "gatehouse; error=dns_error");
        } else {
            relay_session_open(l->rw, stream, &scope);
            if (stream->events && (l->early_len > 0 || l->ended))
                stream->events->on_body(stream->arg, stream, gh_span_of(l->early, l->early_len), l->ended);
        }
    }
    free(l);
}

static void request_name(struct relay_worker *rw, struct gh_http_stream *stream, const struct gh_ip_scope *asked)
{
    struct lookup *l = atomic_load(&rw->r->lookups) < LOOKUPS_MAX ? calloc(1, sizeof *l) : NULL;

    if (!l) {
        relay_drop(rw, GH_DROP_SESSION_LIMIT, 1);
        answer(stream, 503, NULL);
        return;
    }
    l->r = rw->r;
    l->rw = rw;
    l->stream = stream;
    l->asked = *asked;
    if (gh_worker_offload(rw->w, look_up, looked_up, l) < 0) {
        free(l);
        answer(stream, 503, NULL);
        return;
    }
    atomic_fetch_add(&rw->r->lookups, 1);
    stream->events = &lookup_events;
    stream->arg = l;
}

void relay_request(void *arg, struct gh_http_stream *stream, const struct gh_http_head *head)
{
    struct relay_worker *rw = arg;
    struct gh_ip_scope asked;
    struct relay_scope scope;
    unsigned status = refusal(head, &asked);

    if (is_malformed(head)) {
        gh_http_reset(stream, GH_HTTP_MESSAGE_ERROR);
    } else if (status) {
        answer(stream, status, NULL);
    } else if (atomic_load(&rw->r->draining)) {
        relay_drop(rw, GH_DROP_DRAINING, 1);
        answer(stream, 503, NULL);
    } else if (atomic_load(&rw->r->sessions) >= rw->r->conf.max_sessions) {
        relay_refuse_full(rw, stream, gh_http_peer(stream)->identity, GH_ERR_STATE);
    } else if (asked.kind == GH_IP_SCOPE_NAME) {
        request_name(rw, stream, &asked);
    } else if (asked.kind == GH_IP_SCOPE_ANY && asked.ipproto == GH_IPPROTO_ANY) {
        relay_session_open(rw, stream, NULL);
    } else {
        scope_of(&asked, &scope);
        relay_session_open(rw, stream, &scope);
    }
}
