/* Datagrams between a client and its backend, as they came. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "services/door/door_udp.h"

#define RECEIVE 16u                        /* messages of one read */
#define ROUNDS 4u                          /* reads in a turn before others have theirs */
#define ID_PREFIX 4u                       /* bytes of an id by which it is looked up; shorter ones are not */
#define UNHEARD INT64_C(10000000000)       /* ns that a backend has to say something */

/* An id that leads to a flow. */
struct lead {
    struct gh_map_node node; /* in the directory, when <listed>: for whoever comes with it from another address */
    struct gh_quic_cid id;   /* len 0: none */
    struct door_udp_flow *flow;
    bool listed;
};

/* Where a flow goes: never changes. */
struct way {
    struct door_table *table; /* counted */
    struct door_target *target;
    struct door_backend *backend; /* counts this flow */
    struct gh_endpoint to;
};

struct door_udp_flow {
    struct gh_map_node node;
    struct gh_list age;
    struct door_udp *u;
    struct door_gate *gate;
    struct gh_endpoint local, remote; /* the client's 4-tuple */
    struct way way;
    struct gh_udp udp;                /* connected */
    struct gh_poll *poll;
    struct lead ids[DOOR_FLOW_IDS];   /* a ring */
    unsigned next_id;
    bool answered;
    int64_t last;                     /* when a datagram was carried */
    struct entry *entry;
};

/* Of the directory. */
struct entry {
    struct gh_map_node node;
    struct gh_endpoint local, remote;
    unsigned worker, flows;
};

struct tuple {
    const struct gh_endpoint *local, *remote;
};

static bool same_address(const struct gh_endpoint *a, const struct gh_endpoint *b)
{
    return a->port == b->port && gh_ip_equals(&a->ip, &b->ip);
}

static uint64_t hash_of(const struct gh_hash_seed *seed, const struct gh_endpoint *remote)
{
    uint8_t text[sizeof remote->ip.bytes + 2];

    memcpy(text, remote->ip.bytes, sizeof remote->ip.bytes);
    memcpy(text + sizeof remote->ip.bytes, &remote->port, 2);
    return gh_hash_bytes(seed, text, sizeof text);
}

/* ---- the directory ---- */

static bool entry_equals(const struct gh_map_node *node, const void *key)
{
    const struct entry *e = gh_container_of(node, const struct entry, node);
    const struct tuple *t = key;

    return same_address(&e->remote, t->remote) && same_address(&e->local, t->local);
}

/* The key is a datagram with a short header: the id begins behind its first byte, and nobody says where it ends. */
static bool lead_equals(const struct gh_map_node *node, const void *key)
{
    const struct gh_quic_cid *id = &gh_container_of(node, const struct lead, node)->id;
    const struct gh_span *payload = key;

    return payload->len > id->len && memcmp(payload->data + 1, id->data, id->len) == 0;
}

int door_directory_init(struct door_directory *dir)
{
    int rc = gh_random_bytes(&dir->seed, sizeof dir->seed);

    if (rc == 0)
        rc = gh_map_init(&dir->map, 64, entry_equals);
    if (rc == 0)
        rc = gh_map_init(&dir->ids, 64, lead_equals);
    if (rc == 0)
        pthread_mutex_init(&dir->lock, NULL);
    return rc;
}

void door_directory_fini(struct door_directory *dir)
{
    if (dir->ids.buckets) /* the last thing that was made */
        pthread_mutex_destroy(&dir->lock);
    gh_map_fini(&dir->map);
    gh_map_fini(&dir->ids);
}

static struct entry *look_up(struct door_directory *dir, const struct gh_endpoint *local, const struct gh_endpoint *remote)
{
    const struct tuple t = { local, remote };
    struct gh_map_node *n = gh_map_find(&dir->map, hash_of(&dir->seed, remote), &t);

    return n ? gh_container_of(n, struct entry, node) : NULL;
}

/* Where two workers have flows of one 4-tuple, the first one is told of what neither recognises. */
static void enter(struct door_udp_flow *f)
{
    struct door_directory *dir = &f->u->dw->d->directory;
    struct entry *e;

    pthread_mutex_lock(&dir->lock);
    e = look_up(dir, &f->local, &f->remote);
    if (e && e->worker == f->u->dw->index) {
        e->flows++;
        f->entry = e;
    } else if (!e) {
        e = calloc(1, sizeof *e);
        if (e) {
            *e = (struct entry){ .local = f->local, .remote = f->remote, .worker = f->u->dw->index, .flows = 1 };
            gh_map_insert(&dir->map, &e->node, hash_of(&dir->seed, &f->remote));
            f->entry = e;
        }
    }
    pthread_mutex_unlock(&dir->lock);
}

static void leave(struct door_udp_flow *f)
{
    struct door_directory *dir = &f->u->dw->d->directory;

    if (!f->entry)
        return;
    pthread_mutex_lock(&dir->lock);
    if (--f->entry->flows == 0) {
        gh_map_remove(&dir->map, &f->entry->node);
        free(f->entry);
    }
    pthread_mutex_unlock(&dir->lock);
}

static void unlist(struct lead *l)
{
    struct door_directory *dir = &l->flow->u->dw->d->directory;

    if (!l->listed)
        return;
    pthread_mutex_lock(&dir->lock);
    gh_map_remove(&dir->ids, &l->node);
    pthread_mutex_unlock(&dir->lock);
    l->listed = false;
}

static void list(struct lead *l)
{
    struct door_directory *dir = &l->flow->u->dw->d->directory;

    if (l->id.len < ID_PREFIX)
        return;
    pthread_mutex_lock(&dir->lock);
    gh_map_insert(&dir->ids, &l->node, gh_hash_bytes(&dir->seed, l->id.data, ID_PREFIX));
    pthread_mutex_unlock(&dir->lock);
    l->listed = true;
}

/* A client whose address has changed, or was changed on its way: where its flow goes. The server sees another address, too, and asks for a proof
 * of it (RFC 9000, section 9), so the former flow stays as it is. True: <ret> has a table of its own. */
static bool follow(struct door_directory *dir, struct gh_span payload, struct way *ret)
{
    struct gh_map_node *n;

    if (payload.len < 1 + ID_PREFIX || payload.data[0] & 0x80)
        return false;
    pthread_mutex_lock(&dir->lock);
    n = gh_map_find(&dir->ids, gh_hash_bytes(&dir->seed, payload.data + 1, ID_PREFIX), &payload);
    if (n) {
        *ret = gh_container_of(n, struct lead, node)->flow->way;
        door_table_get(ret->table);
    }
    pthread_mutex_unlock(&dir->lock);
    return n != NULL;
}

/* ---- which flow ---- */

/* What a datagram says about its connection. */
struct asked {
    const struct gh_endpoint *local, *remote;
    struct gh_span payload;
    const struct door_target *target; /* that it must lead to; NULL: any */
    bool by_id;
};

static bool has_id(const struct door_udp_flow *f, struct gh_span payload)
{
    struct gh_quic_cid dcid = { .len = 0 };
    bool is_long = (payload.data[0] & 0x80) != 0;

    if (is_long && (gh_quic_peek_dcid(payload, &dcid, &is_long) < 0 || dcid.len == 0))
        return false;
    for (unsigned i = 0; i < DOOR_FLOW_IDS; i++) {
        const struct gh_quic_cid *id = &f->ids[i].id;

        if (id->len == 0)
            continue;
        if (is_long ? id->len == dcid.len && memcmp(id->data, dcid.data, id->len) == 0
                    : payload.len > id->len && memcmp(payload.data + 1, id->data, id->len) == 0)
            return true;
    }
    return false;
}

static bool flow_equals(const struct gh_map_node *node, const void *key)
{
    const struct door_udp_flow *f = gh_container_of(node, const struct door_udp_flow, node);
    const struct asked *a = key;

    return same_address(&f->remote, a->remote) && same_address(&f->local, a->local) && (!a->target || f->way.target == a->target) &&
           (!a->by_id || has_id(f, a->payload));
}

static struct door_udp_flow *find(struct door_udp *u, const struct asked *a)
{
    struct gh_map_node *n = gh_map_find(&u->flows, hash_of(&u->seed, a->remote), a);

    return n ? gh_container_of(n, struct door_udp_flow, node) : NULL;
}

/* <servers>: the client will use it for all that it sends. */
static void learn(struct door_udp_flow *f, const struct gh_quic_cid *id, bool servers)
{
    struct lead *l = &f->ids[f->next_id];

    if (id->len == 0)
        return;
    for (unsigned i = 0; i < DOOR_FLOW_IDS; i++)
        if (f->ids[i].id.len == id->len && memcmp(f->ids[i].id.data, id->data, id->len) == 0)
            return;
    unlist(l);
    l->id = *id;
    if (servers)
        list(l);
    f->next_id = (f->next_id + 1) % DOOR_FLOW_IDS;
}

/* The id that a server chose: the source of its long header (RFC 8999, section 5.1). */
static void learn_source(struct door_udp_flow *f, struct gh_span datagram)
{
    struct gh_reader r = gh_reader_of(datagram);
    struct gh_quic_cid id = { .len = 0 };
    struct gh_span scid;

    if (!(gh_read_u8(&r) & 0x80))
        return;
    gh_read_u32(&r);
    gh_read_span(&r, gh_read_u8(&r));
    scid = gh_read_span(&r, gh_read_u8(&r));
    if (r.failed || scid.len > GH_QUIC_CID_MAX)
        return;
    id.len = (uint8_t)scid.len;
    if (scid.len)
        memcpy(id.data, scid.data, scid.len);
    learn(f, &id, true);
}

/* ---- life ---- */

static void touch(struct door_udp_flow *f)
{
    f->last = gh_worker_now(f->u->dw->w);
    gh_list_unlink(&f->age);
    gh_list_append(f->answered ? &f->u->answered : &f->u->unheard, &f->age);
}

static void destroy(struct door_udp_flow *f)
{
    struct door_udp *u = f->u;

    gh_poll_close(f->poll);
    gh_udp_fini(&f->udp);
    for (unsigned i = 0; i < DOOR_FLOW_IDS; i++)
        unlist(&f->ids[i]);
    leave(f);
    gh_map_remove(&u->flows, &f->node);
    gh_list_unlink(&f->age);
    u->flow_count--;
    atomic_fetch_sub_explicit(&f->way.backend->connections, 1, memory_order_relaxed);
    door_table_put(f->way.table);
    free(f);
}

static void to_client(struct door_udp_flow *f, const struct gh_udp_message *m)
{
    const struct gh_udp_send out = { { m->data, m->len }, m->len, f->local, f->remote, m->ecn };

    if (m->len == 0 || m->truncated)
        return;
    learn_source(f, out.payload);
    if (gh_quic_endpoint_send(f->gate->quic, &out) < 0)
        door_count(f->u->dw, DOOR_METRIC_UDP_DROPPED, DOOR_UDP_UNSENT);
    else
        door_count(f->u->dw, DOOR_METRIC_UDP_DATAGRAMS, 1);
    f->u->dw->bytes[1] += m->len;
}

/* What the backend's host says by ICMP is read away: the client hears nothing of it, as of a host that drops. */
static void on_backend(void *arg, int events)
{
    struct door_udp_flow *f = arg;
    struct gh_udp_message m[RECEIVE];
    int n = RECEIVE;

    (void)events;
    for (unsigned round = 0; round < ROUNDS && n == RECEIVE; round++) {
        n = gh_udp_receive(&f->udp, f->u->slab, RECEIVE, m);
        for (int i = 0; i < n; i++) {
            f->answered = true;
            to_client(f, &m[i]);
        }
    }
    if (f->answered)
        touch(f);
}

void door_udp_flow_send(struct door_udp_flow *f, struct gh_span datagram, uint8_t ecn)
{
    const struct gh_udp_send out = { .payload = datagram, .segment = datagram.len, .remote = f->way.to, .ecn = ecn };

    if (datagram.len == 0)
        return;
    if (gh_udp_send(&f->udp, &out) < 0)
        door_count(f->u->dw, DOOR_METRIC_UDP_DROPPED, DOOR_UDP_UNSENT);
    else
        door_count(f->u->dw, DOOR_METRIC_UDP_DATAGRAMS, 0);
    f->u->dw->bytes[0] += datagram.len;
    touch(f);
}

static int choose(struct door_udp *u, struct way *w)
{
    uint32_t tried = 0;
    int i;

    for (i = door_target_choose(w->target, tried); i >= 0; i = door_target_choose(w->target, tried)) {
        tried |= UINT32_C(1) << i;
        if (door_backend_addr(&w->target->backends[i], 0, &w->to))
            break;
        door_count(u->dw, DOOR_METRIC_DIALS, DOOR_DIAL_NO_ADDRESS);
    }
    if (i < 0)
        return GH_ERR_NOT_FOUND;
    w->backend = &w->target->backends[i];
    return 0;
}

static int connect_backend(struct door_udp_flow *f)
{
    const struct gh_udp_features plain = { .gso = false };
    int rc, fd = gh_udp_connect(&f->way.to);

    if (fd < 0)
        return fd;
    rc = gh_udp_init(&f->udp, fd, &plain);
    if (rc < 0) {
        gh_sock_close(fd);
        return rc;
    }
    rc = gh_poll_open(f->u->dw->w, fd, GH_POLL_READ, on_backend, f, &f->poll);
    if (rc < 0)
        gh_udp_fini(&f->udp);
    return rc;
}

/* Flows that a backend answered are safe from those that nobody did. */
static bool make_room(struct door_udp *u, const struct door_table *t)
{
    if (u->flow_count < t->max_udp_flows / u->dw->d->workers + 1)
        return true;
    door_count(u->dw, DOOR_METRIC_UDP_DROPPED, DOOR_UDP_FULL);
    if (gh_list_empty(&u->unheard))
        return false;
    destroy(gh_container_of(u->unheard.next, struct door_udp_flow, age));
    return true;
}

/* Takes over the way's table. */
static struct door_udp_flow *create(struct door_udp *u, struct door_gate *g, const struct gh_endpoint *local, const struct gh_endpoint *remote,
                                    const struct way *way)
{
    struct door_udp_flow *f = make_room(u, way->table) ? calloc(1, sizeof *f) : NULL;

    if (!f) {
        door_table_put(way->table);
        return NULL;
    }
    f->u = u;
    f->gate = g;
    f->local = *local;
    f->remote = *remote;
    f->way = *way;
    for (unsigned i = 0; i < DOOR_FLOW_IDS; i++)
        f->ids[i].flow = f;
    if (connect_backend(f) < 0) {
        door_count(u->dw, DOOR_METRIC_UDP_DROPPED, DOOR_UDP_UNSENT);
        door_table_put(way->table);
        free(f);
        return NULL;
    }
    atomic_fetch_add_explicit(&way->backend->connections, 1, memory_order_relaxed);
    gh_map_insert(&u->flows, &f->node, hash_of(&u->seed, &f->remote));
    gh_list_init(&f->age);
    u->flow_count++;
    enter(f);
    touch(f);
    return f;
}

struct door_udp_flow *door_udp_flow_open(struct door_udp *u, struct door_gate *g, const struct door_flight_key *client, struct door_table *t,
                                         struct door_target *target, const struct gh_quic_cid *dcid)
{
    const struct asked a = { .local = &client->local, .remote = &client->remote, .target = target };
    struct way way = { .table = t, .target = target };
    struct door_udp_flow *f = find(u, &a);

    if (!f) {
        if (choose(u, &way) < 0)
            return NULL;
        door_table_get(t);
        f = create(u, g, &client->local, &client->remote, &way);
    }
    if (f && dcid)
        learn(f, dcid, false);
    return f;
}

/* ---- from one worker to another ---- */

struct handed_over {
    struct gh_message message;
    struct door *d;
    struct gh_endpoint local, remote;
    uint8_t ecn;
    size_t len;
    uint8_t data[];
};

static bool feed_here(struct door_udp *u, const struct gh_quic_stranger *d)
{
    struct asked a = { &d->local, &d->remote, d->payload, NULL, true };
    struct door_udp_flow *f = find(u, &a);
    struct gh_quic_cid dcid;
    bool is_long = (d->payload.data[0] & 0x80) != 0;

    if (!f && is_long && d->payload.len >= GH_QUIC_PEEK_DATAGRAM_MIN && gh_quic_peek_dcid(d->payload, &dcid, &is_long) == 0)
        return false; /* perhaps another connection's first */
    a.by_id = false;
    if (!f)
        f = find(u, &a);
    if (f)
        door_udp_flow_send(f, d->payload, d->ecn);
    return f != NULL;
}

static void deliver(struct gh_worker *w, struct gh_message *m)
{
    struct handed_over *h = gh_container_of(m, struct handed_over, message);
    const struct gh_quic_stranger d = { h->local, h->remote, h->ecn, { h->data, h->len } };
    struct door_worker *dw = h->d->at[gh_worker_index(w)];

    if (dw && dw->udp)
        feed_here(dw->udp, &d);
    free(h);
}

static bool hand_over(struct door_udp *u, const struct gh_quic_stranger *d)
{
    struct door *door = u->dw->d;
    struct handed_over *h;
    struct entry *e;
    unsigned worker = u->dw->index;

    pthread_mutex_lock(&door->directory.lock);
    e = look_up(&door->directory, &d->local, &d->remote);
    if (e)
        worker = e->worker;
    pthread_mutex_unlock(&door->directory.lock);
    if (worker == u->dw->index)
        return false;
    h = malloc(sizeof *h + d->payload.len);
    if (!h)
        return true;
    *h = (struct handed_over){ { deliver }, door, d->local, d->remote, d->ecn, d->payload.len };
    memcpy(h->data, d->payload.data, d->payload.len);
    if (gh_mailbox_post(gh_workers_at(door->run->workers, worker), &h->message) < 0) {
        door_count(u->dw, DOOR_METRIC_UDP_DROPPED, DOOR_UDP_UNSENT);
        free(h);
    }
    return true;
}

bool door_udp_flow_feed(struct door_udp *u, struct door_gate *g, const struct gh_quic_stranger *d)
{
    struct door_udp_flow *f;
    struct way way;

    if (feed_here(u, d) || (!(d->payload.data[0] & 0x80) && hand_over(u, d)))
        return true;
    if (u->draining || !follow(&u->dw->d->directory, d->payload, &way))
        return false;
    f = create(u, g, &d->local, &d->remote, &way);
    if (f)
        door_udp_flow_send(f, d->payload, d->ecn);
    return true;
}

/* ---- all of them ---- */

int door_udp_flows_init(struct door_udp *u)
{
    gh_list_init(&u->answered);
    gh_list_init(&u->unheard);
    u->slab = malloc((size_t)RECEIVE * GH_UDP_BUFFER);
    return u->slab ? gh_map_init(&u->flows, 64, flow_equals) : GH_ERR_MEMORY;
}

static void expire(struct gh_list *list, int64_t before)
{
    while (!gh_list_empty(list)) {
        struct door_udp_flow *f = gh_container_of(list->next, struct door_udp_flow, age);

        if (f->last > before)
            return;
        destroy(f);
    }
}

void door_udp_flows_expire(struct door_udp *u, int64_t now, const struct door_table *t)
{
    expire(&u->answered, now - t->udp_timeout);
    expire(&u->unheard, now - (t->udp_timeout < UNHEARD ? t->udp_timeout : UNHEARD));
}

void door_udp_flows_fini(struct door_udp *u)
{
    if (u->answered.next) {
        expire(&u->answered, INT64_MAX);
        expire(&u->unheard, INT64_MAX);
    }
    gh_map_fini(&u->flows);
    free(u->slab);
    u->slab = NULL;
}
