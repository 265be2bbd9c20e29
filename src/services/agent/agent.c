#include "services/agent/agent.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "core/tls_load.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "os/sock.h"
#include "os/tun.h"
#include "services/agent/agent_internal.h"

#define UDP_BUFFER (8u * 1024 * 1024)
#define PRIORITY_DEFAULT 5100u
#define PRIORITY_MAX 32000u /* before the rules of the system's own tables */

static const char *const directions[] = { "out", "in", NULL };

static const struct gh_metric agent_metrics[] = {
    [AGENT_METRIC_UP] = { "gatehouse_agent_tunnel_up", GH_METRIC_GAUGE, "1 while the tunnel carries packets" },
    [AGENT_METRIC_TUNNELS] = { "gatehouse_agent_tunnels_total", GH_METRIC_COUNTER, "tunnels that came up" },
    [AGENT_METRIC_PACKETS] = { "gatehouse_agent_packets_total", GH_METRIC_COUNTER, "packets through the tunnel", "direction", directions },
    [AGENT_METRIC_BYTES] = { "gatehouse_agent_bytes_total", GH_METRIC_COUNTER, "bytes of these packets", "direction", directions },
    [AGENT_METRIC_QUEUE] = { "gatehouse_agent_tun_packets_total", GH_METRIC_COUNTER, "packets read from the device" },
    [AGENT_METRIC_HANDED_OVER] = { "gatehouse_agent_handed_over_total", GH_METRIC_COUNTER,
                                   "packets that another worker read than the one that has the tunnel" },
    { 0 },
};

static void unload(void *state);

static void watch(struct gh_node *node, const char *path)
{
    if (*path && gh_run_watch(gh_run_of(node), path) < 0)
        gh_log_event(gh_node_log(node), GH_LOG_WARN, "agent", "changes of a file will not be noticed", gh_log_str("file", path));
}

void agent_tls_put(struct gh_agent_tls *t)
{
    gh_tls_ctx_put(t->quic);
    gh_tls_ctx_put(t->tcp);
    gh_tls_ctx_put(t->h1);
    *t = (struct gh_agent_tls){ NULL };
}

/* One context for QUIC and some for TCP, as far as they are wanted. */
static int load_tls(struct gh_node *node, const struct gh_agent_conf *c, struct gh_agent_tls *ret)
{
    struct gh_tls_files files = { .certificate = c->certificate, .key = c->key, .ca = c->ca, .aead = gh_aead_choose(c->wide_aes),
                                  .pins = c->pins, .pin_count = c->pin_count, .shape = c->shape };
    struct gh_agent_tls made = { NULL };
    int rc = gh_tls_load(gh_run_of(node), gh_node_log(node), "agent", &files, &made.quic);

    files.alpn = c->mode == GH_AGENT_PROXY ? "h2" : "h2,http/1.1"; /* a connection of HTTP/1.1 carries one tunnel */
    if (rc == 0 && c->transport != GH_AGENT_QUIC)
        rc = gh_tls_load(gh_run_of(node), gh_node_log(node), "agent", &files, &made.tcp);
    files.alpn = "http/1.1";
    if (rc == 0 && (c->transport == GH_AGENT_AUTO || c->transport == GH_AGENT_WEBSOCKET))
        rc = gh_tls_load(gh_run_of(node), gh_node_log(node), "agent", &files, &made.h1);
    if (rc < 0) {
        agent_tls_put(&made);
        return rc;
    }
    watch(node, c->certificate);
    watch(node, c->key);
    watch(node, c->ca);
    *ret = made;
    return 0;
}

static int load_ech(struct gh_node *node, const struct gh_agent_conf *c, struct gh_agent_ech_list *ret)
{
    struct gh_run *run = gh_run_of(node);
    struct gh_text text = { 0 };
    const char *why = "it has no ECHConfigList in base64, or none that can be used";
    int rc;

    ret->len = 0;
    if (!*c->ech && c->has_link && c->link.ech_len <= sizeof ret->bytes) {
        ret->len = c->link.ech_len;
        memcpy(ret->bytes, c->link.ech, ret->len);
    }
    if (!*c->ech || gh_agent_ech_parse(gh_span_str(c->ech), ret->bytes, &ret->len) == 0)
        return 0;
    rc = gh_privileged_read_file(run->privileged, c->ech, GH_CONF_FILE_MAX, &text);
    if (rc < 0) {
        why = gh_privileged_why(run->privileged);
    } else {
        rc = gh_agent_ech_parse(gh_span_of(text.data, text.len), ret->bytes, &ret->len);
        gh_text_fini(&text);
    }
    if (rc < 0) {
        gh_run_reload_note(run, why);
        gh_log_event(gh_node_log(node), GH_LOG_ERROR, "agent", "agent.ech cannot be used", gh_log_str("file", c->ech), gh_log_str("reason", why));
        return rc;
    }
    watch(node, c->ech);
    return 0;
}

static struct gh_prefix *copy_prefixes(const struct gh_prefix *list, size_t count)
{
    struct gh_prefix *copy = calloc(count + 1, sizeof *copy);

    if (copy && count)
        memcpy(copy, list, count * sizeof *list);
    return copy;
}

/* What the workers use must live as long as they do, not as long as the configuration that it came from. */
static int copy_conf(struct agent *a, const struct gh_agent_conf *c)
{
    a->conf = *c;
    a->conf.certificate = a->conf.key = a->conf.ca = a->conf.ech = a->conf.user = NULL;
    a->conf.token = gh_span_of(NULL, 0);
    a->conf.tunnel_name = strdup(c->tunnel_name);
    a->conf.template = strdup(c->template);
    a->conf.server_name = strdup(c->server_name);
    a->conf.trust_domain = strdup(c->trust_domain);
    a->conf.tun = strdup(c->tun);
    a->conf.socket = strdup(c->socket);
    a->conf.allow_routes = copy_prefixes(c->allow_routes, c->allow_route_count);
    return a->conf.template && a->conf.server_name && a->conf.tunnel_name && a->conf.trust_domain && a->conf.tun && a->conf.socket && a->conf.allow_routes
               ? 0
               : GH_ERR_MEMORY;
}

static void free_const(const void *p)
{
    free((void *)(uintptr_t)p);
}

static int fail(struct agent *a, const char *what, int rc)
{
    gh_log_event(a->log, GH_LOG_ERROR, "agent", what, gh_log_str("reason", gh_privileged_why(a->run->privileged)), gh_log_result("error", rc));
    return rc;
}

/* Later there is one for each connection: the parent gives then what was asked for now. */
static void name_dials(struct agent *a)
{
    for (unsigned i = 0; i < AGENT_FAMILIES && a->conf.transport != GH_AGENT_QUIC; i++) {
        int fd = -1;

        if (gh_privileged_open_dial(a->run->privileged, i == 0 ? 4 : 6, a->conf.fwmark, &fd) == 0)
            gh_sock_close(fd); /* else there is no such family here */
    }
}

static int open_sockets(struct agent *a)
{
    struct gh_priv_socket s = { .count = 1, .mark = a->conf.fwmark, .buffer = UDP_BUFFER };
    int rc[AGENT_FAMILIES];

    for (unsigned i = 0; i < AGENT_FAMILIES; i++) {
        s.addr.family = i == 0 ? 4 : 6;
        rc[i] = gh_privileged_open_udp(a->run->privileged, &s, &a->udp[i]);
        if (rc[i] < 0)
            a->udp[i] = -1;
    }
    /* a machine without one of the families is fine */
    if (rc[0] < 0 && rc[1] < 0)
        return fail(a, "no UDP socket", rc[0]);
    gh_udp_selftest(&a->features);
    a->features.gso = a->features.gso && a->conf.offload_udp;
    a->features.gro = a->features.gro && a->conf.offload_udp;
    gh_log_event(a->log, GH_LOG_INFO, "agent", "offloads", gh_log_bool("gso", a->features.gso), gh_log_bool("gro", a->features.gro),
                 gh_log_bool("tested", a->features.tested), gh_log_str("aes", gh_aead_engine_name(gh_aead_choose(a->conf.wide_aes))));
    return 0;
}

static int open_device(struct agent *a)
{
    struct gh_priv_tun t = { .queues = (uint16_t)a->workers };
    int rc;

    snprintf(t.name, sizeof t.name, "%s", a->conf.tun);
    rc = gh_privileged_open_tun(a->run->privileged, &t, a->tun_fds, a->tun);
    return rc < 0 ? fail(a, "the device cannot be opened", rc) : 0;
}

/* Marked packets, which are the tunnel's own, never look at the agent's table. */
static int add_rules(struct agent *a)
{
    struct gh_priv_rule r = { a->conf.fwmark, a->conf.table, a->conf.table <= PRIORITY_MAX ? a->conf.table : PRIORITY_DEFAULT };
    int rc;

    if (!a->conf.routing)
        return 0;
    /* without it strict reverse-path filtering drops what the relay sends */
    if (gh_privileged_sysctl_set(a->run->privileged, GH_PRIV_SRC_VALID_MARK) < 0)
        gh_log_event(a->log, GH_LOG_WARN, "agent", "src_valid_mark cannot be set", gh_log_str("reason", gh_privileged_why(a->run->privileged)));
    rc = gh_privileged_rule_add(a->run->privileged, &r);
    return rc < 0 ? fail(a, "the routing rules cannot be added", rc) : 0;
}

static int open_dns_file(struct agent *a)
{
    char path[600];
    int rc;

    snprintf(path, sizeof path, "%s/resolv.conf", a->run->conf.run_dir);
    rc = gh_privileged_open_public(a->run->privileged, path, &a->dns_file);
    if (rc < 0)
        a->dns_file = -1;
    return rc < 0 ? fail(a, "resolv.conf cannot be made in the run folder", rc) : 0;
}

/* What is known of a relay before anybody asks. */
static int prepare_relay(struct agent *a, const struct gh_agent_conf *c, size_t i)
{
    const struct gh_agent_relay *r = &c->relays[i];
    int rc = gh_agent_request_init(&a->relays[i].request, r->host, r->port, c->template, a->instance);

    for (size_t k = 0; k < r->address_count; k++)
        a->relays[i].resolved.list[a->relays[i].resolved.count++] = (struct gh_endpoint){ .ip = r->addresses[k], .port = r->port };
    return rc == 0 && *c->user ? gh_agent_request_set_token(&a->relays[i].request, c->user, c->token) : rc;
}

/* Who we are: our certificate says it, or a token. */
static void read_self(struct agent *a, const struct gh_agent_conf *c, struct gh_self *ret)
{
    gh_self_read(a->run->privileged, c->certificate, c->trust_domain, GH_ROLE_AGENT, ret);
    if (!ret->name[0])
        snprintf(ret->name, sizeof ret->name, "%.*s", (int)sizeof ret->name - 1, c->user);
}

static void tell_unused(struct agent *a, const struct gh_link *l)
{
    char keys[256];

    if (*l->other)
        gh_log_event(a->log, GH_LOG_INFO, "agent", "the link says more than this release knows, which is ignored",
                     gh_log_str("keys", gh_link_other_keys(l, keys, sizeof keys)));
}

static int load_parts(struct agent *a, const struct gh_agent_conf *c)
{
    struct gh_agent_ech_list ech;
    int rc = copy_conf(a, c);

    if (rc == 0)
        rc = gh_random_bytes(a->instance, sizeof a->instance);
    if (rc < 0)
        return rc;
    if (c->has_link)
        tell_unused(a, &c->link);
    for (size_t i = 0; i < a->conf.relay_count && rc == 0; i++)
        rc = prepare_relay(a, c, i);
    if (rc < 0) {
        gh_log_event(a->log, GH_LOG_ERROR, "agent", "agent.template cannot be used", gh_log_str("template", a->conf.template), gh_log_result("error", rc));
        return rc;
    }
    rc = load_tls(a->node, c, &a->tls);
    read_self(a, c, &a->self);
    if (rc == 0)
        rc = load_ech(a->node, c, &ech);
    if (rc == 0) {
        gh_agent_ech_set(&a->ech, gh_span_of(ech.bytes, ech.len));
        agent_ech_load(a);
        name_dials(a);
        rc = open_sockets(a);
    }
    if (rc == 0 && agent_is_proxy(a))
        agent_opener_init(a);
    else if (rc == 0)
        rc = open_device(a);
    if (rc == 0 && !agent_is_proxy(a))
        rc = add_rules(a);
    if (rc == 0 && a->conf.socket[0] && gh_privileged_open_unix(a->run->privileged, a->conf.socket, 0600, &a->socket) < 0) {
        a->socket = -1;
        gh_log_event(a->log, GH_LOG_WARN, "agent", "status will not be served", gh_log_str("socket", a->conf.socket),
                     gh_log_str("reason", gh_privileged_why(a->run->privileged)));
    }
    return rc == 0 && a->conf.dns ? open_dns_file(a) : rc;
}

static int load(struct gh_node *node, const struct gh_conf *conf, void **ret_state)
{
    struct gh_agent_conf c;
    struct agent *a = calloc(1, sizeof *a);
    int rc = gh_agent_conf_load(conf, &c);

    if (rc < 0) { /* the file of an agent has an agent's section */
        gh_log_event(gh_node_log(node), GH_LOG_ERROR, "agent", "the configuration has no usable agent section", gh_log_result("error", rc));
        free(a);
        return rc;
    }
    if (!a)
        return GH_ERR_MEMORY;
    a->node = node;
    a->run = gh_run_of(node);
    a->log = gh_node_log(node);
    a->workers = gh_node_workers(node);
    a->metrics = gh_node_service_metrics(node, "agent");
    a->socket = a->udp[0] = a->udp[1] = a->monitor = a->dns_file = -1;
    for (unsigned i = 0; i < GH_WORKERS_MAX; i++) {
        a->tun_fds[i] = -1;
        a->queues[i].a = a;
        a->queues[i].index = i;
    }
    a->check = gh_ready_register(gh_node_ready(node), "tunnel");
    rc = a->check < 0 ? a->check : load_parts(a, &c);
    gh_agent_conf_wipe(&c);
    if (rc < 0) {
        unload(a);
        return rc;
    }
    gh_ready_set(gh_node_ready(node), a->check, false, "not connected yet");
    *ret_state = a;
    return 0;
}

static void unload(void *state)
{
    struct agent *a = state;

    for (unsigned i = 0; i < GH_WORKERS_MAX; i++)
        gh_sock_close(a->tun_fds[i]);
    gh_sock_close(a->udp[0]);
    gh_sock_close(a->udp[1]);
    gh_sock_close(a->socket);
    gh_sock_close(a->dns_file);
    free(a->dns);
    agent_tls_put(&a->tls);
    free_const(a->conf.template);
    free_const(a->conf.tunnel_name);
    free_const(a->conf.server_name);
    free_const(a->conf.trust_domain);
    free_const(a->conf.tun);
    free_const(a->conf.socket);
    free_const(a->conf.allow_routes);
    gh_agent_conf_wipe(&a->conf);
    gh_wipe(a->relays, sizeof a->relays);
    free(a);
}

static int start_first(struct agent *a, struct gh_worker *w)
{
    int rc;

    a->w = w;
    a->queues[0].worker = w;
    a->queues[0].drops = gh_metrics_drops(gh_node_metrics(a->node), 0);
    rc = agent_is_proxy(a) ? 0 : agent_packet_start(a);
    if (rc == 0 && !agent_is_proxy(a))
        rc = agent_queue_start(&a->queues[0], w);
    if (rc == 0)
        rc = agent_search_start(a);
    if (rc == 0)
        rc = agent_status_start(a);
    if (rc < 0) {
        agent_status_stop(a);
        agent_search_fini(a);
        agent_queue_stop(&a->queues[0]);
        agent_packet_stop(a);
    }
    return rc;
}

static int start(void *state, struct gh_worker *w)
{
    struct agent *a = state;
    unsigned index = gh_worker_index(w);

    if (index == 0)
        return start_first(a, w);
    return agent_is_proxy(a) ? 0 : agent_queue_start(&a->queues[index], w);
}

static void stop(void *state, struct gh_worker *w)
{
    struct agent *a = state;
    unsigned index = gh_worker_index(w);

    if (index > 0) {
        agent_queue_stop(&a->queues[index]);
        return;
    }
    agent_status_stop(a);
    agent_search_fini(a);
    agent_queue_stop(&a->queues[0]);
    agent_packet_stop(a);
}

/* ---- reload: certificates, pins, ECH and the allow list ---- */

static void discard(void *state, void *next)
{
    struct agent_change *n = next;

    (void)state;
    if (!n)
        return;
    agent_tls_put(&n->tls);
    free(n->tunnel_name);
    free(n->allow);
    free(n);
}

static int prepare(void *state, const struct gh_conf *conf, void **ret_next)
{
    struct agent *a = state;
    struct gh_agent_conf c;
    struct agent_change *n = calloc(1, sizeof *n);
    int rc = n ? gh_agent_conf_reload(conf, &a->conf, &c) : GH_ERR_MEMORY;

    if (rc == 0) {
        c.transport = a->conf.transport; /* others count after a restart */
        c.mode = a->conf.mode;
        n->a = a;
        n->allow = copy_prefixes(c.allow_routes, c.allow_route_count);
        n->allow_count = c.allow_route_count;
        n->tunnel_name = strdup(c.tunnel_name);
        n->has_ca = c.has_ca;
        rc = n->allow && n->tunnel_name ? load_tls(a->node, &c, &n->tls) : GH_ERR_MEMORY;
        read_self(a, &c, &n->self);
    }
    if (rc == 0)
        rc = load_ech(a->node, &c, &n->ech);
    gh_agent_conf_wipe(&c);
    if (rc < 0) {
        discard(state, n);
        return rc;
    }
    *ret_next = n;
    return 0;
}

static void apply(struct gh_worker *w, void *arg)
{
    struct agent_change *n = arg;

    (void)w;
    n->a->self = n->self;
    agent_search_reconfigure(n->a, n);
    free(n);
}

static void commit(void *state, void *next)
{
    struct agent *a = state;

    if (a->w && gh_worker_run(a->w, apply, next) == 0)
        return;
    gh_log_event(a->log, GH_LOG_ERROR, "agent", "the new configuration could not be handed to the worker");
    discard(state, next);
}

static void describe(void *state, struct gh_description *d)
{
    const struct agent *a = state;
    const char *const off = a->conf.offload_udp ? "the kernel lacks it or failed the self-test" : "agent.offload_udp is off";

    const char *const aes = a->conf.wide_aes ? "the processor lacks it or failed the self-test" : "agent.wide_aes is off";
    const char *const tun = a->conf.offload_tun ? "the kernel lacks it" : "agent.offload_tun is off";
    unsigned offloads = a->queues[0].port ? gh_tun_port_offloads(a->queues[0].port) : 0;

    gh_describe_feature(d, "udp_gso", a->features.gso, a->features.tested, off);
    gh_describe_feature(d, "udp_gro", a->features.gro, a->features.tested, off);
    gh_describe_feature(d, "wide_aes", gh_aead_choose(a->conf.wide_aes) == GH_AEAD_WIDE, a->conf.wide_aes, aes);
    if (agent_is_proxy(a)) {
        d->sessions += gh_metric_sum(a->metrics, AGENT_METRIC_UP, 0) ? 1 : 0;
        return;
    }
    gh_describe_feature(d, "tun_tso", offloads & GH_TUN_TSO4 && offloads & GH_TUN_TSO6, a->conf.offload_tun, tun);
    gh_describe_feature(d, "tun_uso", offloads & GH_TUN_USO, a->conf.offload_tun, tun);
    for (unsigned i = 0; i < d->worker_count; i++)
        d->workers[i].tx_packets += atomic_load(&a->queues[i].packets);
    d->sessions += gh_metric_sum(a->metrics, AGENT_METRIC_UP, 0) ? 1 : 0;
}

/* ---- the end ---- */

static void stop_link(struct gh_worker *w, void *arg)
{
    (void)w;
    agent_search_stop(arg);
}

static void drain(void *state)
{
    struct agent *a = state;

    if (!a->w || gh_worker_run(a->w, stop_link, a) < 0)
        atomic_store(&a->stopped, true);
}

static bool drained(const void *state)
{
    const struct agent *a = state;

    return atomic_load(&a->stopped);
}

/* What relays tell of their ECH. */
static bool may_keep_state(const struct gh_conf *conf)
{
    struct gh_agent_conf c;

    return gh_agent_conf_load(conf, &c) == 0 && *c.ech;
}

const struct gh_service gh_service_agent = {
    .name = "agent",
    .section = &gh_agent_conf_section,
    .metrics = agent_metrics,
    .load = load,
    .unload = unload,
    .start = start,
    .stop = stop,
    .prepare = prepare,
    .commit = commit,
    .discard = discard,
    .drain = drain,
    .drained = drained,
    .describe = describe,
    .connects = true,
    .may_keep_state = may_keep_state,
};
