#include <stdlib.h>
#include <unistd.h>

#include "relay_world.h"

#include "../unit/test.h"
#include "core/policy_load.h"
#include "os/fdpass.h"
#include "services/relay/relay_trust.h"

static const char allow_everything[] = "version: \"1.0\"\nmetadata: { name: sim }\ndefault_action: allow\nclients:\n  client-1:\n    rules:\n"
                                       "      - { id: all, type: default, action: allow }\n      - { id: in, type: default, action: allow, direction: in }\n";

static struct relay_policy *load_policy(const char *text, uint64_t generation)
{
    struct gh_policy_findings findings = { 0 };
    struct relay_policy *p = calloc(1, sizeof *p);
    char line[512];

    assert_non_null(p);
    p->generation = generation;
    if (gh_policy_load(gh_span_str(text), NULL, &findings, &p->policy) < 0)
        fail_msg("policy: %s", findings.count ? gh_policy_finding_emit(&findings.items[0], "policy", line, sizeof line) : "");
    gh_policy_findings_fini(&findings);
    return p;
}

static struct gh_prefix prefix(const char *text)
{
    struct gh_prefix p;

    assert_int_equal(gh_prefix_parse(text, strlen(text), &p), 0);
    return p;
}

static void configure(struct relay_world *w)
{
    struct relay *r = &w->relay;
    struct gh_relay_conf *c = &r->conf;

    w->routes[0] = prefix("0.0.0.0/0");
    w->routes[1] = prefix("::/0");
    r->pools[0] = prefix("10.100.0.0/24");
    r->pools[1] = prefix("fd00:100::/64");
    *c = (struct gh_relay_conf){
        .listen_count = 1, .trust_domain = "gatehouse.example", .crl = "", .pins_file = "", .identity = GH_RELAY_IDENTITY_SAN_URI,
        .pools = r->pools, .pool_count = 2, .routes = w->routes, .route_count = 2,
        .idle_timeout = 30 * SIM_S, .keep_alive = 10 * SIM_S,
        .max_sessions = 4, .max_half_open = 4, .max_flows = 1024, .max_flows_per_session = 512, .max_fragments = 64,
        .tcp_syn_timeout = 20 * SIM_S, .tcp_established_timeout = 7200 * SIM_S, .tcp_closing_timeout = 10 * SIM_S,
        .udp_new_timeout = 30 * SIM_S, .udp_timeout = 180 * SIM_S, .icmp_timeout = 10 * SIM_S, .fragment_timeout = 30 * SIM_S,
        .max_capsule_bytes = 65536, .queue_packets = 1024, .queue_bytes = 2u << 20,
    };
}

/* The parent of this world looks names up, at once, and does nothing else. */
static int parent_call(void *client, const struct gh_priv_request *q, struct gh_priv_reply *ret, int *ret_fds, size_t fd_cap, size_t *ret_count)
{
    struct gh_resolved found;
    int ends[2];

    (void)client;
    (void)ret;
    assert_int_equal(q->kind, GH_PRIV_LOOKUP);
    assert_int_equal(fd_cap, 1);
    gh_resolve(q->lookup.host, q->lookup.port, &found);
    assert_int_equal(gh_fdpass_pair(ends), 0);
    assert_int_equal(gh_fdpass_send(ends[1], &found, sizeof found, NULL, 0), 0);
    close(ends[1]);
    ret_fds[0] = ends[0];
    *ret_count = 1;
    return 0;
}

void relay_world_init(struct relay_world *w, uint64_t seed, const char *policy, void (*on_network)(void *arg, struct gh_span packet), void *arg)
{
    struct relay *r = &w->relay;
    struct relay_trust *trust = NULL;
    struct gh_pool_conf pc = { .prefixes = r->pools, .prefix_count = 2, .leases_max = 1024, .seed = { 1, 2 } };
    struct gh_directory_conf dc = { .sessions_max = 16, .readers = 1, .seed = { 3, 4 } };

    memset(w, 0, sizeof *w);
    sim_init(&w->sim, seed);
    w->worker = (struct gh_worker){ &w->sim, on_network, arg };
    gh_log_init(&w->log, -1, GH_LOG_JSON, GH_LOG_ERROR);
    assert_int_equal(gh_metrics_create(1, &w->node.metrics), 0);
    configure(w);
    w->parent.call = parent_call;
    w->run.privileged = &w->parent;
    r->run = &w->run;
    r->node = &w->node;
    r->log = &w->log;
    r->workers = 1;
    r->listen_count = 1;
    r->tls = w->sim.server.tls;
    atomic_init(&r->next_session, 1);
    pthread_mutex_init(&r->cards_lock, NULL);
    relay_trace_init(&r->trace);
    gh_list_init(&r->cards);
    assert_int_equal(gh_snapshot_init(&r->policy), 0);
    assert_int_equal(gh_snapshot_init(&r->trust), 0);
    assert_int_equal(relay_trust_load(r, &r->conf, &trust), 0);
    assert_int_equal(gh_snapshot_swap(&r->trust, trust, relay_trust_destroy), 0);
    r->policy_generation = 1;
    assert_int_equal(gh_snapshot_swap(&r->policy, load_policy(policy ? policy : allow_everything, 1), relay_policy_destroy), 0);
    assert_int_equal(gh_pool_create(&pc, &r->pool), 0);
    assert_int_equal(gh_directory_create(&dc, &r->directory), 0);
    assert_int_equal(relay_worker_start(r, &w->worker), 0);
}

void relay_world_fini(struct relay_world *w)
{
    struct relay *r = &w->relay;

    relay_worker_stop(r, &w->worker);
    gh_deadlines_fire(&w->sim.deadlines, GH_NEVER - 1); /* what was offloaded is done all the same */
    relay_parcels_fini(r->stopped[0]);
    free(r->stopped[0]);
    sim_fini(&w->sim);
    gh_directory_destroy(r->directory);
    gh_pool_destroy(r->pool);
    gh_snapshot_fini(&r->policy);
    relay_trace_fini(&r->trace);
    gh_snapshot_fini(&r->trust);
    pthread_mutex_destroy(&r->cards_lock);
    gh_metrics_destroy(w->node.metrics);
}

void relay_world_reload(struct relay_world *w, const char *policy)
{
    struct relay *r = &w->relay;

    assert_int_equal(gh_snapshot_swap(&r->policy, load_policy(policy ? policy : allow_everything, ++r->policy_generation), relay_policy_destroy), 0);
    relay_policy_refresh(relay_world_worker(w));
}

struct relay_worker *relay_world_worker(struct relay_world *w)
{
    return w->relay.at[0];
}

uint64_t relay_world_drops(const struct relay_world *w, enum gh_drop why)
{
    return gh_metrics_dropped(w->node.metrics, why);
}
