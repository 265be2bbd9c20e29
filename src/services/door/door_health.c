/* Names are looked up again, and backends that share a route are tried: by connecting, which is all that a door may know of them. */
#include <stdlib.h>

#include "base/error.h"
#include "services/door/door_internal.h"

#define TICK INT64_C(250000000)        /* ns */
#define LOOK_UP INT64_C(30000000000)   /* ns */
#define PATIENCE INT64_C(3000000000)   /* ns until a backend that says nothing is down */
#define PROBES_MAX 256u                /* under way */

struct probe {
    struct gh_edge edge; /* first */
    struct door_health *h;
    struct gh_list link;
    struct gh_deadline timer;
    struct door_table *table; /* counted */
    struct door_target *target;
    struct door_backend *backend;
    int fd;
};

struct door_health {
    struct door *d;
    struct gh_worker *w;
    struct gh_edges *edges;
    struct gh_deadline tick;
    struct gh_snapshot_reader table;
    struct gh_list probes;
    unsigned probe_count, down;
    int64_t look_up_at;
    bool looking_up, ended;
    uint64_t generation; /* of the table for which <due> counts */
    int64_t *due;        /* of each target of the table */
    size_t due_count;
};

static void end_probe(struct probe *p, bool up)
{
    struct door_health *h = p->h;
    bool was_down = atomic_exchange(&p->backend->down, !up);

    gh_edges_forget(h->edges, &p->edge);
    gh_sock_reset_on_close(p->fd); /* nothing was said: leave nothing behind */
    gh_sock_close(p->fd);
    gh_worker_deadline_stop(h->w, &p->timer);
    gh_list_unlink(&p->link);
    h->probe_count--;
    if (was_down == up)
        gh_log_event(h->d->log, up ? GH_LOG_INFO : GH_LOG_WARN, "door", up ? "backend is back" : "backend does not accept",
                     gh_log_str("host", p->backend->origin.host), gh_log_uint("port", p->backend->origin.port));
    door_table_put(p->table);
    free(p);
}

static void on_probe(struct gh_edge *e, unsigned events)
{
    struct probe *p = gh_container_of(e, struct probe, edge);
    int rc = gh_sock_connected(p->fd);

    if (rc == GH_ERR_AGAIN && !(events & GH_EDGE_FAILED))
        return;
    end_probe(p, rc == 0);
}

static void on_patience(void *arg, int64_t now)
{
    (void)now;
    end_probe(arg, false);
}

static void probe(struct door_health *h, struct door_table *t, struct door_target *target, struct door_backend *b)
{
    struct gh_endpoint to;
    struct probe *p = h->probe_count < PROBES_MAX && door_backend_addr(b, 0, &to) ? calloc(1, sizeof *p) : NULL;

    if (!p)
        return;
    p->fd = gh_sock_connect_tcp(&to);
    if (p->fd < 0) {
        atomic_store(&b->down, true);
        free(p);
        return;
    }
    p->edge.fn = on_probe;
    p->h = h;
    p->table = door_table_get(t);
    p->target = target;
    p->backend = b;
    gh_deadline_init(&p->timer, on_patience, p);
    gh_list_append(&h->probes, &p->link);
    h->probe_count++;
    if (gh_edges_add(h->edges, p->fd, &p->edge) < 0)
        end_probe(p, !atomic_load(&b->down)); /* not known: as it was */
    else
        gh_worker_deadline_start(h->w, &p->timer, gh_worker_now(h->w) + PATIENCE);
}

struct look_up {
    struct door_health *h;
    struct door_table *table;
};

static void look_up(void *arg)
{
    struct look_up *l = arg;

    door_table_refresh(l->table, door_lookup, l->h->d);
}

static void looked_up(struct gh_worker *w, void *arg)
{
    struct look_up *l = arg;
    struct door_health *h = l->h;

    door_table_put(l->table);
    free(l);
    h->looking_up = false;
    h->look_up_at = gh_worker_now(w) + LOOK_UP;
    if (h->ended)
        free(h);
}

static void begin_look_up(struct door_health *h, struct door_table *t)
{
    struct look_up *l = malloc(sizeof *l);

    if (!l)
        return;
    *l = (struct look_up){ h, door_table_get(t) };
    h->looking_up = gh_worker_offload(h->w, look_up, looked_up, l) == 0;
    if (h->looking_up)
        return;
    door_table_put(t);
    free(l);
}

/* A new table begins anew. */
static bool remember(struct door_health *h, const struct door_table *t)
{
    uint64_t generation = gh_snapshot_generation(&h->d->table);

    if (h->due && h->generation == generation)
        return true;
    free(h->due);
    h->due_count = t->target_count + 1;
    h->due = calloc(h->due_count, sizeof *h->due);
    h->generation = generation;
    return h->due != NULL;
}

static void on_tick(void *arg, int64_t now)
{
    struct door_health *h = arg;
    struct door_table *t = gh_snapshot_refresh(&h->d->table, &h->table);
    struct door_target *target;
    unsigned down = 0;

    gh_worker_deadline_start(h->w, &h->tick, now + TICK);
    if (!h->looking_up && now >= h->look_up_at)
        begin_look_up(h, t);
    for (size_t i = 0; (target = door_table_target(t, i)) != NULL; i++) {
        for (size_t k = 0; k < target->count; k++)
            down += atomic_load(&target->backends[k].down);
        if (target->count < 2 || target->health_check == 0 || !remember(h, t) || i >= h->due_count || now < h->due[i])
            continue;
        h->due[i] = now + target->health_check;
        for (size_t k = 0; k < target->count; k++)
            probe(h, t, target, &target->backends[k]);
    }
    gh_metric_set_value(h->d->metrics, 0, DOOR_METRIC_BACKENDS_DOWN, 0, down);
}

int door_health_start(struct door *d, struct gh_worker *w)
{
    struct door_health *h = calloc(1, sizeof *h);

    if (!h)
        return GH_ERR_MEMORY;
    h->d = d;
    h->w = w;
    h->edges = gh_pump_pool_edges(d->at[gh_worker_index(w)]->pool);
    gh_list_init(&h->probes);
    gh_deadline_init(&h->tick, on_tick, h);
    h->look_up_at = gh_worker_now(w) + LOOK_UP; /* they were looked up a moment ago */
    gh_worker_deadline_start(w, &h->tick, gh_worker_now(w));
    d->health = h;
    return 0;
}

void door_health_stop(struct door *d)
{
    struct door_health *h = d->health;

    if (!h)
        return;
    d->health = NULL;
    gh_worker_deadline_stop(h->w, &h->tick);
    gh_list_each(it, &h->probes) {
        struct probe *p = gh_container_of(it, struct probe, link);

        end_probe(p, !atomic_load(&p->backend->down));
    }
    gh_snapshot_release(&h->table);
    free(h->due);
    h->ended = true;
    if (!h->looking_up) /* else the look-up does it */
        free(h);
}
