/* What the unix socket answers: GET /v1/status, GET /v1/trace, POST /v1/down. The socket's mode says who may ask. */
#include <stdlib.h>

#include "base/error.h"
#include "net/http_listener.h"
#include "services/agent/agent_internal.h"

#define STATUS_MAX (256u * 1024)
#define TRACE_MAX (60u << 20) /* a little below what a client takes */
#define EVENTS 1000u          /* of a worker, when nobody says how many */
#define CONNECTIONS 16u

static void emit_string(struct gh_text *t, const char *name, const char *value)
{
    gh_text_printf(t, ",\"%s\":", name);
    gh_text_append_json(t, gh_span_str(value));
}

static void emit_prefixes(struct gh_text *t, const char *name, struct gh_agent_prefixes p)
{
    char text[GH_PREFIX_TEXT];

    gh_text_printf(t, ",\"%s\":[", name);
    for (size_t i = 0; i < p.count; i++)
        gh_text_printf(t, "%s\"%s\"", i ? "," : "", gh_prefix_emit(&p.list[i], text));
    gh_text_append(t, "]");
}

static void emit_addresses(const struct agent *a, struct gh_text *t)
{
    char text[GH_IP_TEXT];

    gh_text_append(t, ",\"addresses\":[");
    for (size_t i = 0; i < a->assigned_count; i++) {
        struct gh_prefix p = gh_agent_device_address(&a->assigned[i]);

        gh_text_printf(t, "%s\"%s\"", i ? "," : "", gh_ip_emit(&p.addr, text));
    }
    gh_text_append(t, "]");
    emit_prefixes(t, "routes", agent_network_carried(a));
    emit_prefixes(t, "unreachable", agent_network_blocked(a));
}

static void emit_ipv6(const struct agent *a, struct gh_text *t)
{
    bool has = false;

    for (size_t i = 0; i < a->assigned_count; i++)
        has |= a->assigned[i].addr.family == 6;
    gh_text_printf(t, ",\"ipv6\":{\"assigned\":%s", has ? "true" : "false");
    emit_string(t, "reason", has ? "" : a->no_ipv6);
    gh_text_append(t, "}");
}

static void emit_time(struct gh_text *t, const char *name, int64_t wall)
{
    gh_text_printf(t, ",\"%s\":", name);
    if (wall == 0) {
        gh_text_append(t, "null");
        return;
    }
    gh_text_append(t, "\"");
    gh_text_append_time(t, wall * 1000);
    gh_text_append(t, "\"");
}

static void emit_path(struct agent *a, struct agent_link *l, struct gh_text *t)
{
    const struct agent_pulse p = agent_carrier_pulse(l);
    size_t udp = agent_carrier_udp_payload(l);
    char remote[GH_ENDPOINT_TEXT];

    gh_text_printf(t, "{\"connection\":%llu,\"state\":\"%s\",\"carrier\":%s", (unsigned long long)l->number, agent_link_state_name(l->state), l == a->carrier ? "true" : "false");
    emit_string(t, "relay", a->conf.relays[l->relay].host);
    emit_string(t, "remote", gh_endpoint_emit(&l->remote, remote));
    gh_text_printf(t, ",\"port\":%u,\"hops\":%u", l->port ? l->port : l->remote.port, l->hops);
    emit_string(t, "transport", l->transport[0] ? l->transport : l->tcp ? "tcp" : "quic");
    gh_text_printf(t, ",\"rtt_us\":%lld,\"mtu\":%zu,\"udp_payload\":%zu,\"datagrams_sent\":%llu,\"datagrams_lost\":%llu}",
                   (long long)p.rtt / 1000, gh_agent_tunnel_mtu(&l->tunnel), udp == SIZE_MAX ? 0 : udp, (unsigned long long)p.datagrams,
                   (unsigned long long)p.lost);
}

/* Connections to relays: the one that carries first. */
static void emit_paths(struct agent *a, struct gh_text *t)
{
    unsigned n = 0;

    gh_text_append(t, ",\"paths\":[");
    if (a->carrier) {
        emit_path(a, a->carrier, t);
        n++;
    }
    gh_list_each(it, &a->links)
    {
        struct agent_link *l = gh_container_of(it, struct agent_link, node);

        if (l == a->carrier)
            continue;
        if (n++)
            gh_text_append(t, ",");
        emit_path(a, l, t);
    }
    gh_text_append(t, "]");
}

static void emit_node(struct agent *a, struct gh_text *t)
{
    struct gh_description *d = calloc(1, sizeof *d);
    struct gh_run_reload *reload = malloc(sizeof *reload);

    if (!d || !reload) {
        t->failed = true;
    } else {
        gh_node_describe(a->node, d);
        gh_run_last_reload(a->run, reload);
        gh_text_append(t, ",\"listeners\":[");
        for (size_t i = 0; i < d->listener_count; i++) {
            gh_text_printf(t, "%s{\"service\":\"%s\",\"transport\":\"%s\"", i ? "," : "", d->listeners[i].service, d->listeners[i].transport);
            emit_string(t, "address", d->listeners[i].address);
            gh_text_append(t, "}");
        }
        gh_text_append(t, "],\"features\":[");
        for (size_t i = 0; i < d->feature_count; i++) {
            const struct gh_status_feature *f = &d->features[i];

            gh_text_printf(t, "%s{\"name\":\"%s\",\"on\":%s,\"tested\":%s", i ? "," : "", f->name, f->on ? "true" : "false",
                           f->tested ? "true" : "false");
            emit_string(t, "detail", f->detail);
            gh_text_append(t, "}");
        }
        gh_text_printf(t, "],\"config\":{\"generation\":%llu,\"last_reload\":%s", (unsigned long long)gh_node_generation(a->node),
                       reload->wall ? "{" : "null");
        if (reload->wall) {
            gh_text_printf(t, "\"ok\":%s", reload->ok ? "true" : "false");
            emit_time(t, "at", reload->wall);
            emit_string(t, "detail", reload->why);
            gh_text_append(t, "}");
        }
        gh_text_append(t, "}");
    }
    free(reload);
    free(d);
}

static void emit_numbers(const struct agent *a, struct gh_text *t)
{
    static const char *const names[] = { "out", "in" };

    for (unsigned d = 0; d < 2; d++)
        gh_text_printf(t, ",\"packets_%s\":%llu,\"bytes_%s\":%llu", names[d],
                       (unsigned long long)gh_metric_sum(a->metrics, AGENT_METRIC_PACKETS, d), names[d],
                       (unsigned long long)gh_metric_sum(a->metrics, AGENT_METRIC_BYTES, d));
    gh_text_printf(t, ",\"handed_over\":%llu,\"queues\":[", (unsigned long long)gh_metric_sum(a->metrics, AGENT_METRIC_HANDED_OVER, 0));
    for (unsigned i = 0; i < a->workers; i++)
        gh_text_printf(t, "%s%llu", i ? "," : "", (unsigned long long)atomic_load(&a->queues[i].packets));
    gh_text_append(t, "],\"drops\":{");
    for (int i = GH_DROP_NONE + 1, n = 0; i < GH_DROP_COUNT; i++) {
        uint64_t v = gh_metrics_dropped(gh_node_metrics(a->node), (enum gh_drop)i);

        if (v)
            gh_text_printf(t, "%s\"%s\":%llu", n++ ? "," : "", gh_drop_name((enum gh_drop)i), (unsigned long long)v);
    }
    gh_text_append(t, "}");
}

static void emit_status(struct agent *a, struct gh_text *t)
{
    const struct agent_link *l = a->carrier ? a->carrier : a->next;
    char remote[GH_ENDPOINT_TEXT];

    gh_text_printf(t, "{\"version\":1,\"state\":\"%s\",\"up\":%s", agent_state_name(a), a->carrier ? "true" : "false");
    emit_string(t, "release", GH_VERSION);
    emit_string(t, "mode", agent_is_proxy(a) ? "proxy" : "tun");
    emit_string(t, "relay", a->conf.relays[l ? l->relay : 0].host);
    gh_text_printf(t, ",\"port\":%u", a->conf.relays[l ? l->relay : 0].port);
    emit_string(t, "remote", l ? gh_endpoint_emit(&l->remote, remote) : "");
    emit_string(t, "transport", l ? l->transport : "");
    gh_text_printf(t, ",\"ech\":%s", l && l->ech ? "true" : "false");
    emit_string(t, "relay_id", l ? l->identity.name : "");
    emit_string(t, "tls_group", l ? l->tls_group : "");
    emit_string(t, "cipher", l ? l->cipher : "");
    emit_string(t, "device", a->tun);
    emit_string(t, "reason", a->why);
    emit_string(t, "identity", a->self.name);
    emit_time(t, "not_after", a->self.not_after);
    gh_text_printf(t, ",\"mtu\":%zu,\"tunnel_mtu\":%zu", a->mtu, a->carrier ? gh_agent_tunnel_mtu(&a->carrier->tunnel) : 0);
    emit_time(t, "since", a->up_wall);
    gh_text_printf(t, ",\"tunnels\":%llu,\"attempts\":%llu", (unsigned long long)a->tunnels, (unsigned long long)a->attempts);
    gh_text_printf(t, ",\"sandbox\":{\"landlock\":%d,\"seccomp\":%s}", a->run->sandbox.landlock, a->run->sandbox.seccomp ? "true" : "false");
    emit_addresses(a, t);
    emit_ipv6(a, t);
    emit_paths(a, t);
    agent_dns_emit_status(a, t);
    agent_opener_emit_status(a, t);
    emit_node(a, t);
    emit_numbers(a, t);
    gh_text_append(t, "}\n");
}

static void answer_text(struct gh_http_stream *s, unsigned status, const char *json)
{
    (void)gh_http_respond_text(s, status, "application/json", gh_span_str(json));
}

static void answer_status(struct agent *a, struct gh_http_stream *s)
{
    struct gh_text t;

    gh_text_init(&t, STATUS_MAX);
    emit_status(a, &t);
    if (t.failed)
        answer_text(s, 503, "{\"version\":1,\"error\":\"memory\"}\n");
    else
        answer_text(s, 200, gh_text_string(&t));
    gh_text_fini(&t);
}

/* <query>: nothing, or "?limit=N". */
static bool read_limit(struct gh_span query, size_t *ret)
{
    static const char name[] = "?limit=";
    const size_t len = sizeof name - 1;
    size_t n = 0;

    *ret = EVENTS;
    if (query.len == 0)
        return true;
    if (query.len <= len || query.len > len + 5 || memcmp(query.data, name, len) != 0)
        return false;
    for (size_t i = len; i < query.len; i++) {
        if (query.data[i] < '0' || query.data[i] > '9')
            return false;
        n = n * 10 + (size_t)(query.data[i] - '0');
    }
    *ret = n;
    return n >= 1 && n <= GH_TRACE_RECORDS;
}

static void answer_trace(struct agent *a, struct gh_http_stream *s, struct gh_span query)
{
    struct gh_text t;
    size_t limit;

    if (!read_limit(query, &limit)) {
        answer_text(s, 400, "{\"version\":1,\"error\":\"bad_request\",\"detail\":\"limit is a number from 1 to 65536\",\"hint\":\"/v1/trace?limit=1000\"}\n");
        return;
    }
    gh_text_init(&t, TRACE_MAX);
    agent_trace_emit(a, limit, &t);
    if (t.failed)
        answer_text(s, 503, "{\"version\":1,\"error\":\"memory\",\"detail\":\"there is not memory enough for so many\"}\n");
    else
        answer_text(s, 200, gh_text_string(&t));
    gh_text_fini(&t);
}

/* True when <path> is <name>, perhaps with a query. */
static bool is_path(struct gh_span path, const char *name, struct gh_span *ret_query)
{
    size_t len = strlen(name);

    if (path.len < len || memcmp(path.data, name, len) != 0 || (path.len > len && path.data[len] != '?'))
        return false;
    *ret_query = gh_span_of(path.data + len, path.len - len);
    return true;
}

void agent_status_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct agent *a = arg;
    struct gh_span query;
    bool get = gh_span_equals(head->method, gh_span_str("GET")), post = gh_span_equals(head->method, gh_span_str("POST"));

    if (gh_span_equals(head->path, gh_span_str("/v1/status"))) {
        if (get)
            answer_status(a, s);
        else
            answer_text(s, 405, "{\"version\":1,\"error\":\"method\",\"hint\":\"GET\"}\n");
    } else if (is_path(head->path, "/v1/trace", &query)) {
        if (get)
            answer_trace(a, s, query);
        else
            answer_text(s, 405, "{\"version\":1,\"error\":\"method\",\"hint\":\"GET\"}\n");
    } else if (gh_span_equals(head->path, gh_span_str("/v1/down"))) {
        if (!post) {
            answer_text(s, 405, "{\"version\":1,\"error\":\"method\",\"hint\":\"POST\"}\n");
            return;
        }
        gh_log_event(a->log, GH_LOG_INFO, "agent", "asked to end");
        answer_text(s, 202, "{\"version\":1,\"ok\":true}\n");
        a->run->quit(a->run);
    } else {
        answer_text(s, 404, "{\"version\":1,\"error\":\"not_found\",\"hint\":\"/v1/status, /v1/trace, /v1/down\"}\n");
    }
}

int agent_status_start(struct agent *a)
{
    struct gh_http_handler handler = { agent_status_request, a };
    int rc, fd = a->socket;

    if (fd < 0)
        return 0;
    rc = gh_http_listener_create(a->w, &(struct gh_http_listener_config){ .connections_max = CONNECTIONS, .out_max = TRACE_MAX + 4096 }, handler, &a->status);
    if (rc < 0)
        return rc;
    a->socket = -1; /* the listener's now */
    return gh_http_listener_add(a->status, fd);
}

void agent_status_stop(struct agent *a)
{
    gh_http_listener_destroy(a->status);
    a->status = NULL;
}
