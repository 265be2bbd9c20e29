/* Tunnels for one target or one protocol (RFC 9484, sections 4.1 and 4.6): what they cover, and names among the targets. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "os/sock.h"
#include "proto/connect_ip/routes.h"
#include "services/relay/relay_internal.h"

#define TARGETS 16u
#define EARLY 4096u /* capsules that an agent sends before it has its answer */

static const struct gh_prefix everything[2] = { { { .family = 4 }, 0 }, { { .family = 6 }, 0 } };

/* The part of what we serve that is asked for. GH_ERR_DENIED: nothing of it. */
static int limit(const struct gh_relay_conf *conf, const struct gh_prefix *targets, size_t count, int ipproto, struct relay_scope *ret)
{
    struct gh_ip_route *served = malloc((conf->route_count + 1) * sizeof *served);
    struct gh_ip_route *part = malloc(GH_CONNECT_IP_ROUTES * sizeof *part);
    int n = GH_ERR_MEMORY;

    if (served && part) {
        for (size_t i = 0; i < conf->route_count; i++)
            served[i] = gh_connect_ip_route_of(&conf->routes[i], ipproto == GH_IPPROTO_ANY ? 0 : (uint8_t)ipproto);
        n = gh_connect_ip_limit_routes(served, gh_connect_ip_order_routes(served, conf->route_count), targets, count, NULL, part,
                                       GH_CONNECT_IP_ROUTES);
    }
    free(served);
    if (n > 0) {
        *ret = (struct relay_scope){ part, (size_t)n };
        return 0;
    }
    free(part);
    return n == 0 ? GH_ERR_DENIED : n;
}

int relay_scope_of(const struct gh_relay_conf *conf, const struct gh_ip_scope *asked, struct relay_scope *ret)
{
    if (asked->ipproto == 0)
        return GH_ERR_DENIED; /* no upper protocol, and "any" in an advertisement */
    if (asked->kind == GH_IP_SCOPE_PREFIX)
        return limit(conf, &asked->prefix, 1, asked->ipproto, ret);
    if (asked->ipproto != GH_IPPROTO_ANY)
        return limit(conf, everything, 2, asked->ipproto, ret);
    *ret = (struct relay_scope){ NULL, 0 };
    return 0;
}

bool relay_scope_contains(const struct relay_scope *s, const struct gh_ip *outside, uint8_t protocol)
{
    return !s->routes || gh_connect_ip_routes_contain(s->routes, s->count, outside, protocol);
}

/* A request that waits for a name. Belongs to the job; the stream may go meanwhile. */
struct look_up {
    struct relay_worker *rw;
    struct gh_http_stream *stream; /* NULL: gone */
    struct gh_ip_scope asked;
    struct gh_prefix found[TARGETS];
    size_t count;
    uint8_t early[EARLY];
    size_t early_len;
    bool end;
};

static void on_body(void *arg, struct gh_http_stream *stream, struct gh_span data, bool end)
{
    struct look_up *l = arg;

    if (data.len > sizeof l->early - l->early_len) {
        gh_http_reset(stream, GH_HTTP_EXCESSIVE_LOAD);
        return;
    }
    if (data.len)
        memcpy(l->early + l->early_len, data.data, data.len);
    l->early_len += data.len;
    l->end |= end;
}

static void on_datagram(void *arg, struct gh_http_stream *stream, struct gh_span payload)
{
    struct look_up *l = arg;

    (void)stream;
    (void)payload;
    relay_drop(l->rw, GH_DROP_NO_DATAGRAM, 1);
}

static void on_closed(void *arg, struct gh_http_stream *stream, uint64_t code)
{
    (void)stream;
    (void)code;
    ((struct look_up *)arg)->stream = NULL;
}

static const struct gh_http_events waiting = { NULL, on_body, on_datagram, NULL, on_closed };

/* In the pool of threads: touches nothing but the job. */
static void resolve(void *arg)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM }, *list = NULL;
    struct look_up *l = arg;
    int rc = getaddrinfo(l->asked.name, NULL, &hints, &list);

    for (const struct addrinfo *at = list; rc == 0 && at && l->count < TARGETS; at = at->ai_next) {
        struct sockaddr_storage addr = { 0 };
        struct gh_endpoint e;

        if (at->ai_addrlen > sizeof addr)
            continue;
        memcpy(&addr, at->ai_addr, at->ai_addrlen);
        if (gh_endpoint_of_sockaddr(&addr, &e) == 0)
            l->found[l->count++] = (struct gh_prefix){ e.ip, (uint8_t)gh_ip_bits(&e.ip) };
    }
    if (rc == 0)
        freeaddrinfo(list);
}

static void resolved(struct gh_worker *w, void *arg)
{
    struct look_up *l = arg;
    struct gh_http_stream *stream = l->stream;
    struct relay_scope scope;
    int rc;

    (void)w;
    if (!stream) { /* nor may the relay be there any more */
        free(l);
        return;
    }
    stream->events = NULL;
    if (l->count == 0) {
        relay_answer(stream, 502, "gatehouse; error=dns_error");
        free(l);
        return;
    }
    rc = limit(&l->rw->r->conf, l->found, l->count, l->asked.ipproto, &scope);
    if (rc < 0)
        relay_answer(stream, rc == GH_ERR_DENIED ? 403 : 503, NULL);
    else
        rc = relay_request_open(l->rw, stream, &scope);
    if (rc == 0 && (l->early_len || l->end))
        stream->events->on_body(stream->arg, stream, gh_span_of(l->early, l->early_len), l->end);
    free(l);
}

void relay_scope_look_up(struct relay_worker *rw, struct gh_http_stream *stream, const struct gh_ip_scope *asked)
{
    struct look_up *l = calloc(1, sizeof *l);

    if (!l) {
        relay_answer(stream, 503, NULL);
        return;
    }
    l->rw = rw;
    l->stream = stream;
    l->asked = *asked;
    stream->events = &waiting;
    stream->arg = l;
    if (gh_worker_offload(rw->w, resolve, resolved, l) < 0) {
        stream->events = NULL;
        relay_answer(stream, 503, NULL);
        free(l);
    }
}
