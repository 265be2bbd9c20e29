#include "services/relay/relay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "core/set_aside.h"
#include "core/tls_load.h"
#include "crypto/ech.h"
#include "crypto/hash.h"
#include "os/clock.h"
#include "os/sock.h"
#include "services/relay/relay_acceptor.h"
#include "services/relay/relay_trust.h"
#include "services/relay/relay_worker.h"

#define TUN_MTU 1418u          /* what a datagram of the largest UDP payload carries */
#define SOCKET_BUFFER (8u << 20)

static const char *const check_names[RELAY_CHECKS] = { "tls", "policy", "pool", "tun", "crl" };

static int complain(struct relay *r, const char *what, const char *subject, int rc)
{
    char line[GH_PRIV_PATH + GH_PRIV_TEXT + 64];

    snprintf(line, sizeof line, "%s: %s: %s", subject, what, gh_privileged_why(r->run->privileged));
    gh_run_reload_note(r->run, line);
    gh_log_event(r->log, GH_LOG_ERROR, "relay", what, gh_log_str("subject", subject), gh_log_str("reason", gh_privileged_why(r->run->privileged)),
                 gh_log_result("error", rc));
    return rc;
}

/* ---- what the configuration names ---- */

static int load_tls(struct relay *r, const struct gh_relay_conf *c, struct gh_tls_ctx **ret, struct gh_self *ret_self)
{
    const struct gh_tls_files files = { c->certificate, c->key, c->client_ca, true, gh_aead_choose(c->wide_aes), NULL,
                                        *c->client_ca ? GH_TLS_ASK_REQUIRED : GH_TLS_ASK_NONE, r->ech };

    gh_self_read(r->run->privileged, c->certificate, c->trust_domain, GH_ROLE_RELAY, ret_self);
    return gh_tls_load(r->run, r->log, "relay", &files, ret);
}

int relay_give_tickets(struct relay *r, struct gh_tls_ctx *tls)
{
    uint8_t key[GH_TLS_TICKET_KEY];
    int rc = gh_quic_group_ticket_key(r->key, key);

    if (rc == 0)
        rc = gh_tls_ctx_set_tickets(tls, key);
    gh_wipe(key, sizeof key);
    return rc < 0 ? complain(r, "session tickets cannot be made", r->conf.certificate, rc) : 0;
}

static void watch_files(struct relay *r)
{
    const char *const paths[] = { r->conf.certificate, r->conf.key, r->conf.client_ca, r->conf.policy, r->conf.crl, r->conf.pins_file };

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (*paths[i] && gh_run_watch(r->run, paths[i]) < 0)
            gh_log_event(r->log, GH_LOG_WARN, "relay", "changes of a file will not be noticed, only SIGHUP will", gh_log_str("file", paths[i]),
                         gh_log_str("reason", gh_privileged_why(r->run->privileged)));
}

static void restore_lease(void *arg, const struct gh_store_lease *lease)
{
    struct relay *r = arg;
    int rc = gh_pool_restore(r->pool, lease->tenant, gh_span_str(lease->identity), &lease->addr, lease->first_seen, lease->last_seen);

    if (rc < 0) /* the pools of the configuration are others now */
        gh_log_event(r->log, GH_LOG_WARN, "relay", "lease of another pool is forgotten", gh_log_str("client_id", lease->identity),
                     gh_log_ip("address", &lease->addr), gh_log_result("error", rc));
}

/* What can be made anew does not keep a node from serving; the damaged file stays beside it. */
static int set_aside(struct relay *r, const char *path, const char *lost, const char *why)
{
    static const char *const endings[] = GH_STORE_SQLITE_ENDINGS;
    char name[GH_SET_ASIDE_NAME] = "";
    int rc = gh_set_aside(path, endings, sizeof endings / sizeof *endings, gh_clock_wall(), name);

    if (rc < 0)
        gh_log_event(r->log, GH_LOG_ERROR, "relay", "a damaged file cannot be moved away", gh_log_str("file", path), gh_log_result("error", rc));
    else
        gh_log_event(r->log, GH_LOG_ERROR, "relay", "a damaged file of the state folder was moved away, the node goes on with a new one",
                     gh_log_str("file", path), gh_log_str("kept_as", name), gh_log_str("lost", lost), gh_log_str("reason", why));
    return rc;
}

static int open_key(struct relay *r)
{
    char path[600];
    int rc = gh_node_key_load(r->run->conf.state_dir, r->key);

    if (rc != GH_ERR_MALFORMED)
        return rc;
    snprintf(path, sizeof path, "%s/node.key", r->run->conf.state_dir);
    rc = set_aside(r, path, "agents of the run before notice its end by silence and cannot resume", "not a file of 32 bytes");
    return rc < 0 ? rc : gh_node_key_load(r->run->conf.state_dir, r->key);
}

static int open_leases(struct relay *r, const char *path, char why[GH_STORE_WHY])
{
    int rc = gh_store_sqlite_open(path, &r->store, why);

    if (rc == 0)
        rc = r->store->ops->leases_load(r->store, restore_lease, r, why);
    if (rc < 0) {
        gh_store_close(r->store);
        r->store = NULL;
    }
    return rc;
}

static int open_store(struct relay *r)
{
    char path[600], why[GH_STORE_WHY] = "";
    int dir = -1, rc = gh_privileged_open_state_dir(r->run->privileged, r->run->conf.state_dir, &dir);

    if (rc < 0)
        return complain(r, "state folder cannot be opened", r->run->conf.state_dir, rc);
    gh_sock_close(dir);
    rc = open_key(r);
    if (rc < 0) {
        gh_log_event(r->log, GH_LOG_ERROR, "relay", "the node's key can be neither read nor made: the state folder must be writable (node.key)",
                     gh_log_str("subject", r->run->conf.state_dir), gh_log_str("reason", rc == GH_ERR_SYSTEM ? strerror(errno) : gh_error_text(rc)));
        return rc;
    }
    snprintf(path, sizeof path, "%s/gatehouse.sqlite", r->run->conf.state_dir);
    rc = open_leases(r, path, why);
    if (rc == GH_ERR_MALFORMED && set_aside(r, path, "which agent has which address: they may get others", why) == 0)
        rc = open_leases(r, path, why);
    if (rc < 0)
        gh_log_event(r->log, GH_LOG_ERROR, "relay", "state cannot be read", gh_log_str("file", path), gh_log_str("reason", why));
    return rc;
}

static int create_tables(struct relay *r)
{
    struct gh_pool_conf pc = { .prefixes = r->pools, .prefix_count = r->conf.pool_count, .leases_max = 65536 };
    struct gh_directory_conf dc = { .sessions_max = r->conf.max_sessions, .readers = r->workers };
    int rc = gh_random_bytes(&pc.seed, sizeof pc.seed);

    if (rc == 0)
        rc = gh_random_bytes(&dc.seed, sizeof dc.seed);
    if (rc == 0)
        rc = gh_pool_create(&pc, &r->pool);
    if (rc == 0)
        rc = gh_directory_create(&dc, &r->directory);
    if (rc < 0)
        gh_log_event(r->log, GH_LOG_ERROR, "relay", "address pools cannot be used", gh_log_result("error", rc));
    return rc;
}

/* An address that means both families becomes one listener each. */
static int open_listeners(struct relay *r)
{
    struct gh_priv_socket s = { .count = (uint16_t)r->workers, .buffer = SOCKET_BUFFER };
    struct sock_filter program[GH_QUIC_STEERING_LEN];
    char text[64];
    int rc = 0;

    for (size_t i = 0; i < r->conf.listen_count && rc == 0; i++) {
        const struct gh_conf_addr *a = &r->conf.listen[i];

        for (uint8_t family = 4; family <= 6 && rc == 0; family += 2) {
            if (a->ip.family && a->ip.family != family)
                continue;
            if (r->listen_count == RELAY_LISTEN_MAX)
                return GH_ERR_RANGE;
            s.addr = a->ip;
            s.addr.family = family;
            s.port = a->port;
            rc = gh_privileged_open_udp(r->run->privileged, &s, r->udp[r->listen_count]);
            if (rc < 0) {
                snprintf(text, sizeof text, "UDP port %u", a->port);
                return complain(r, "address cannot be listened on", text, rc);
            }
            rc = gh_quic_group_init(&r->groups[r->listen_count], r->workers, r->key);
            if (rc == 0)
                gh_udp_attach_steering(r->udp[r->listen_count][0], program, gh_quic_group_steering(&r->groups[r->listen_count], program));
            r->listens[r->listen_count] = (struct gh_endpoint){ .ip = s.addr, .port = s.port };
            r->listen_count++;
        }
    }
    return rc;
}

static int open_tun(struct relay *r)
{
    struct gh_priv_tun t = { .queues = (uint16_t)r->workers };
    struct gh_priv_tun_config c = { .mtu = r->conf.mtu ? r->conf.mtu : TUN_MTU, .up = 1 };
    int rc;

    snprintf(t.name, sizeof t.name, "%s", r->conf.tun);
    rc = gh_privileged_open_tun(r->run->privileged, &t, r->tun_fds, r->tun);
    if (rc < 0)
        return complain(r, "TUN cannot be opened", r->conf.tun, rc);
    memcpy(c.name, r->tun, sizeof c.name);
    for (size_t i = 0; i < r->conf.pool_count && i < GH_PRIV_PREFIXES; i++)
        c.addrs[c.addr_count++] = (struct gh_prefix){ gh_pool_relay_addr(r->pool, i), r->pools[i].len };
    rc = gh_privileged_tun_config(r->run->privileged, &c);
    if (rc < 0)
        return complain(r, "TUN cannot be set up", r->tun, rc);
    for (int s = GH_PRIV_IP_FORWARD; s <= GH_PRIV_IPV6_FORWARDING && rc == 0; s++)
        rc = gh_privileged_sysctl_set(r->run->privileged, (enum gh_priv_sysctl)s);
    if (rc < 0)
        return complain(r, "forwarding cannot be switched on", r->tun, rc);
    rc = gh_privileged_nat_set(r->run->privileged, r->tun, r->pools, r->conf.nat ? r->conf.pool_count : 0);
    return rc < 0 ? complain(r, "NAT cannot be set up", r->tun, rc) : 0;
}

/* ---- life ---- */

static void unload(void *state)
{
    struct relay *r = state;

    for (size_t i = 0; i < RELAY_LISTEN_MAX; i++)
        for (size_t k = 0; k < GH_WORKERS_MAX; k++)
            gh_sock_close(r->udp[i][k]);
    for (size_t k = 0; k < GH_WORKERS_MAX; k++)
        gh_sock_close(r->tun_fds[k]);
    gh_directory_destroy(r->directory);
    gh_pool_destroy(r->pool);
    gh_store_close(r->store);
    gh_snapshot_fini(&r->policy);
    gh_snapshot_fini(&r->trust);
    gh_tls_ctx_put(r->tls);
    gh_ech_keys_put(r->ech);
    r->run->sessions = NULL;
    r->run->trace = NULL;
    r->run->tunnels = NULL;
    r->run->policy_version = NULL;
    relay_trace_fini(&r->trace);
    pthread_mutex_destroy(&r->cards_lock);
    for (unsigned i = 0; i < GH_WORKERS_MAX; i++) { /* no parcel is under way any more */
        if (r->stopped[i])
            relay_parcels_fini(r->stopped[i]);
        free(r->stopped[i]);
    }
    free(r);
}

static void set_checks(struct relay *r, bool ok, const char *why)
{
    for (int i = 0; i < RELAY_CHECKS; i++)
        gh_ready_set(r->ready, r->checks[i], ok, why);
}

static int load_parts(struct relay *r)
{
    struct relay_policy *policy = NULL;
    struct relay_trust *trust = NULL;
    int rc = load_tls(r, &r->conf, &r->tls, &r->self);

    if (rc == 0)
        rc = relay_trust_load(r, &r->conf, &trust);
    if (rc == 0)
        rc = gh_snapshot_swap(&r->trust, trust, relay_trust_destroy);
    if (rc == 0)
        rc = relay_policy_load(r, r->conf.policy, &policy);
    if (rc == 0)
        rc = gh_snapshot_swap(&r->policy, policy, relay_policy_destroy);
    if (rc == 0)
        relay_audit_policy(r, gh_policy_version(policy->policy), NULL);
    if (rc == 0)
        rc = create_tables(r);
    if (rc == 0)
        rc = open_store(r);
    if (rc == 0)
        rc = relay_give_tickets(r, r->tls);
    if (rc == 0)
        rc = open_listeners(r);
    if (rc == 0)
        rc = open_tun(r);
    return rc;
}

static void keep_pools(struct relay *r)
{
    memcpy(r->pools, r->conf.pools, r->conf.pool_count * sizeof *r->pools);
    r->conf.pools = r->pools; /* a reload must not move them */
}

static int load(struct gh_node *node, const struct gh_conf *conf, void **ret_state)
{
    struct relay *r = calloc(1, sizeof *r);
    int rc;

    if (!r)
        return GH_ERR_MEMORY;
    r->node = node;
    r->run = gh_run_of(node);
    r->log = gh_node_log(node);
    r->audit = gh_node_audit(node);
    r->metrics = gh_node_service_metrics(node, "relay");
    r->workers = gh_node_workers(node);
    r->ready = gh_node_ready(node);
    memset(r->udp, -1, sizeof r->udp);
    memset(r->tun_fds, -1, sizeof r->tun_fds);
    atomic_init(&r->next_session, 1);
    pthread_mutex_init(&r->cards_lock, NULL);
    relay_trace_init(&r->trace);
    gh_list_init(&r->cards);
    relay_directory_publish(r);
    relay_acceptor_publish(r);
    for (int i = 0; i < RELAY_CHECKS; i++)
        r->checks[i] = gh_ready_register(r->ready, check_names[i]);
    set_checks(r, false, "starting");
    rc = gh_snapshot_init(&r->policy);
    if (rc == 0)
        rc = gh_snapshot_init(&r->trust);
    if (rc == 0)
        rc = gh_relay_conf_load(conf, &r->conf);
    if (rc == 0) {
        keep_pools(r);
        atomic_store(&r->proxy, r->conf.proxy);
        gh_udp_selftest(&r->features);
        if (!r->conf.offload_udp)
            r->features.gso = r->features.gro = false;
        gh_log_event(r->log, GH_LOG_INFO, "relay", "offloads", gh_log_bool("gso", r->features.gso), gh_log_bool("gro", r->features.gro),
                     gh_log_str("aes", gh_aead_engine_name(gh_aead_choose(r->conf.wide_aes))));
        rc = load_parts(r);
    }
    if (rc < 0) {
        unload(r);
        return rc;
    }
    watch_files(r);
    set_checks(r, true, NULL);
    *ret_state = r;
    return 0;
}

/* ---- reload ---- */

struct next {
    struct gh_relay_conf conf;
    struct gh_self self;
    struct gh_tls_ctx *tls;
    struct relay_trust *trust;
    struct relay_policy *policy;
};

static void discard(void *state, void *arg)
{
    struct next *n = arg;

    (void)state;
    gh_tls_ctx_put(n->tls);
    relay_trust_destroy(n->trust);
    relay_policy_destroy(n->policy);
    free(n);
}

static int prepare(void *state, const struct gh_conf *conf, void **ret_next)
{
    struct relay *r = state;
    struct next *n = calloc(1, sizeof *n);
    int rc;

    if (!n)
        return GH_ERR_MEMORY;
    rc = gh_relay_conf_load(conf, &n->conf);
    if (rc == 0)
        rc = load_tls(r, &n->conf, &n->tls, &n->self);
    if (rc == 0)
        rc = relay_give_tickets(r, n->tls);
    if (rc == 0)
        rc = relay_trust_load(r, &n->conf, &n->trust);
    if (rc == 0)
        rc = relay_policy_load(r, n->conf.policy, &n->policy);
    if (rc < 0) {
        discard(state, n);
        return rc;
    }
    *ret_next = n;
    return 0;
}

struct told {
    struct relay *r;
    void (*fn)(struct relay_worker *rw);
};

static void tell(struct gh_worker *w, void *arg)
{
    struct told *t = arg;
    struct relay_worker *rw = t->r->at[gh_worker_index(w)];

    if (rw)
        t->fn(rw);
}

/* Runs <fn> on every worker, one after the other, and waits. */
static void tell_workers(struct relay *r, void (*fn)(struct relay_worker *rw))
{
    struct told t = { r, fn };

    for (unsigned i = 0; i < r->workers; i++)
        gh_worker_call(gh_workers_at(r->run->workers, i), tell, &t);
}

void relay_rejudge(struct relay *r)
{
    tell_workers(r, relay_trust_apply);
}

static void take_tls(struct relay_worker *rw)
{
    relay_worker_set_tls(rw, rw->r->tls);
    relay_tunnel_use_ech(rw);
}

int relay_open_ech(struct relay *r, const struct gh_ech_keys *keys)
{
    struct gh_ech_keys *old_keys = r->ech;
    struct gh_tls_ctx *old = r->tls, *made = NULL;
    struct gh_self self;
    int rc;

    if (!keys && !r->ech)
        return 0;
    r->ech = keys ? gh_ech_keys_get((struct gh_ech_keys *)(uintptr_t)keys) : NULL;
    rc = load_tls(r, &r->conf, &made, &self);
    if (rc == 0)
        rc = relay_give_tickets(r, made);
    if (rc < 0) {
        gh_tls_ctx_put(made);
        gh_ech_keys_put(r->ech);
        r->ech = old_keys;
        return rc;
    }
    r->tls = made;
    if (r->at[0]) /* they have started */
        tell_workers(r, take_tls);
    gh_tls_ctx_put(old);
    gh_ech_keys_put(old_keys);
    return 0;
}

static void take_reload(struct relay_worker *rw)
{
    relay_worker_set_tls(rw, rw->r->tls);
    relay_worker_set_limits(rw, rw->r->next_conf);
    rw->conf = *rw->r->next_conf;
    relay_policy_refresh(rw);
    relay_trust_apply(rw);
}

static void commit(void *state, void *arg)
{
    struct relay *r = state;
    struct next *n = arg;
    struct gh_tls_ctx *old = r->tls;
    const char *version = gh_policy_version(n->policy->policy);

    n->conf.pools = r->pools; /* they stay as they were */
    n->conf.pool_count = r->conf.pool_count;
    if (gh_snapshot_swap(&r->policy, n->policy, relay_policy_destroy) == 0) {
        relay_audit_policy(r, version, NULL);
        gh_log_event(r->log, GH_LOG_INFO, "relay", "policy loaded", gh_log_str("policy_version", version));
    } else {
        relay_policy_destroy(n->policy);
    }
    if (gh_snapshot_swap(&r->trust, n->trust, relay_trust_destroy) < 0) {
        gh_log_event(r->log, GH_LOG_ERROR, "relay", "out of memory: revocation lists and pins stay as they were");
        relay_trust_destroy(n->trust);
    }
    r->tls = n->tls;
    r->next_conf = &n->conf;
    tell_workers(r, take_reload);
    r->next_conf = NULL;
    r->conf = n->conf;
    atomic_store(&r->proxy, r->conf.proxy);
    pthread_mutex_lock(&r->cards_lock);
    r->self = n->self;
    pthread_mutex_unlock(&r->cards_lock);
    gh_tls_ctx_put(old);
    watch_files(r); /* they may have other names now */
    free(n);
}

/* ---- end ---- */

static void drain(void *state)
{
    struct relay *r = state;

    atomic_store(&r->draining, true);
}

static bool drained(const void *state)
{
    const struct relay *r = state;

    return atomic_load(&r->sessions) == 0 && atomic_load(&r->proxied) == 0;
}

static void end_drained(struct relay_worker *rw)
{
    relay_worker_end_sessions(rw, SESSION_DRAINED);
}

static void release(void *state, enum gh_release stage)
{
    struct relay *r = state;

    if (stage == GH_RELEASE_GOAWAY)
        tell_workers(r, relay_worker_goaway);
    else if (stage == GH_RELEASE_SESSIONS)
        tell_workers(r, end_drained);
}

/* Without connections to make, the child may not make any. */
static bool may_connect(const struct gh_conf *conf)
{
    struct gh_relay_conf c;

    return gh_relay_conf_load(conf, &c) == 0 && c.proxy != 0;
}

const struct gh_service gh_service_relay = {
    .name = "relay",
    .section = &gh_relay_conf_section,
    .keeps_state = true,
    .may_connect = may_connect,
    .metrics = relay_metrics,
    .load = load,
    .unload = unload,
    .start = relay_worker_start,
    .stop = relay_worker_stop,
    .prepare = prepare,
    .commit = commit,
    .discard = discard,
    .drain = drain,
    .drained = drained,
    .release = release,
    .describe = relay_describe,
};
