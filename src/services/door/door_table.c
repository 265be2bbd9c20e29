#include "services/door/door_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "services/door/door_callback.h"

static int target_init(struct door_target *t, const struct door_target_conf *c)
{
    t->backends = calloc(c->origin_count + 1, sizeof *t->backends);
    if (!t->backends)
        return GH_ERR_MEMORY;
    t->proxy_protocol = c->proxy_protocol;
    t->udp = c->udp;
    t->tunnel = c->tunnel;
    t->health_check = c->health_check;
    for (; t->count < c->origin_count; t->count++) {
        struct door_backend *b = &t->backends[t->count];

        b->origin = c->origins[t->count];
        pthread_mutex_init(&b->lock, NULL);
        if (gh_ip_parse(b->origin.host, strlen(b->origin.host), &b->addrs.list[0].ip) == 0) {
            b->addrs.list[0].port = b->origin.port;
            b->addrs.count = 1;
        } else {
            b->is_name = true;
        }
    }
    return 0;
}

static void target_fini(struct door_target *t)
{
    for (size_t i = 0; i < t->count; i++)
        pthread_mutex_destroy(&t->backends[i].lock);
    free(t->backends);
}

struct door_target *door_table_target(struct door_table *t, size_t index)
{
    return index < t->target_count ? &t->targets[index] : index == t->target_count ? &t->relay : NULL;
}

void door_table_refresh(struct door_table *t, door_lookup_fn lookup, void *arg)
{
    struct door_target *at;

    for (size_t i = 0; (at = door_table_target(t, i)) != NULL; i++) {
        for (size_t k = 0; k < at->count; k++) {
            struct door_backend *b = &at->backends[k];
            struct gh_resolved found;

            if (!b->is_name)
                continue;
            lookup(arg, b->origin.host, b->origin.port, &found);
            pthread_mutex_lock(&b->lock);
            if (found.count || b->addrs.count == 0)
                b->addrs = found;
            pthread_mutex_unlock(&b->lock);
        }
    }
}

int door_table_create(const struct gh_door_conf *conf, door_lookup_fn lookup, void *arg, struct door_table **ret)
{
    struct door_table *t = calloc(1, sizeof *t);
    size_t again;
    int rc = GH_ERR_MEMORY;

    if (!t)
        return rc;
    atomic_init(&t->refs, 1);
    t->peek_timeout = conf->peek_timeout;
    t->connect_timeout = conf->connect_timeout;
    t->max_hello = conf->max_hello;
    t->max_connections = conf->max_connections;
    t->reserve = conf->reserve;
    t->replay_window = conf->replay_window;
    t->relay_udp = conf->relay_udp;
    t->udp_timeout = conf->udp_timeout;
    t->max_udp_flows = conf->max_udp_flows;
    t->targets = calloc(conf->target_count + 1, sizeof *t->targets);
    if (t->targets)
        rc = door_routes_create(conf->patterns, conf->target_count, &t->routes, &again);
    for (; rc == 0 && t->target_count < conf->target_count; t->target_count++)
        rc = target_init(&t->targets[t->target_count], &conf->targets[t->target_count]);
    if (rc == 0)
        rc = target_init(&t->relay, &conf->relay);
    if (rc < 0) {
        door_table_put(t);
        return rc;
    }
    door_table_refresh(t, lookup, arg);
    *ret = t;
    return 0;
}

struct door_table *door_table_get(struct door_table *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void door_table_put(void *table)
{
    struct door_table *t = table;

    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; t->targets && i < t->target_count; i++)
        target_fini(&t->targets[i]);
    target_fini(&t->relay);
    free(t->targets);
    gh_ech_keys_put(t->ech);
    gh_tls_ctx_put(t->site);
    gh_tls_ctx_put(t->tunnel);
    door_users_destroy(t->users);
    door_callback_conf_put(t->callback);
    gh_tls_ctx_put(t->tunnel_quic);
    gh_tls_ctx_put(t->site_quic);
    door_routes_destroy(t->routes);
    free(t);
}

int door_target_choose(struct door_target *t, uint32_t tried)
{
    uint32_t turn = t->count > 1 ? atomic_fetch_add_explicit(&t->turn, 1, memory_order_relaxed) : 0, fewest = 0;
    int best = -1;
    bool best_down = false;

    for (size_t k = 0; k < t->count; k++) {
        size_t i = (k + turn) % t->count;
        uint32_t have = atomic_load_explicit(&t->backends[i].connections, memory_order_relaxed);
        bool down = atomic_load_explicit(&t->backends[i].down, memory_order_relaxed);

        if (tried >> i & 1 || (best >= 0 && (down > best_down || (down == best_down && have >= fewest))))
            continue;
        best = (int)i;
        best_down = down;
        fewest = have;
    }
    return best;
}

bool door_backend_addr(struct door_backend *b, size_t index, struct gh_endpoint *ret)
{
    bool there;

    if (b->is_name)
        pthread_mutex_lock(&b->lock);
    there = index < b->addrs.count;
    if (there)
        *ret = b->addrs.list[index];
    if (b->is_name)
        pthread_mutex_unlock(&b->lock);
    return there;
}
