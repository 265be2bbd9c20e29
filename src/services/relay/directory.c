/* Readers and the writer
 *
 * Two hash tables of fixed size with chains of nodes. A published node's key and value never change; what changes are the links:
 * a bucket's head, and a node's <next>, both atomic. The writer inserts at the head and unlinks by pointing past a node, whose own
 * <next> stays, so a reader that stands on it walks on into the chain it was taken from.
 *
 * No reader waits: enter and leave are one store each. A chain is finite for a reader, since inserts happen at the head, behind it, and
 * a node is not linked again before it was freed.
 *
 * No reader misses what is replaced: the newer node stands at the head before the older one is unlinked. A reader that set out from the former
 * head, and passed where the older one was after that, has seen neither; then the head is another than it set out from, and it looks again. (The former
 * head is not freed and made anew meanwhile, because the reader's section keeps it.) It does so only as often as the writer changes this chain.
 *
 * No reader touches freed memory. Let W be the writer's unlink of node n, in the order S of all sequentially consistent operations.
 * After W the writer raises <epoch> to e, stamps n with e, and frees n only when it has read from every reader's mark either 0
 * or a value >= e.
 *   - Mark >= e: that reader loaded <epoch> after it was raised, hence after W; its later loads of links see W. What it read of n in
 *     earlier sections came before its store of this mark, which the writer's load synchronises with.
 *   - Mark 0, stored by leave: the reader's section is over, and leave's store synchronises with the writer's load.
 *   - Mark 0, because a store by enter was not there yet: then enter's store comes after the writer's load in S, which comes after W;
 *     the reader's loads of links come after its store, so they see W. It may have loaded an old epoch: that only delays others.
 * All of these operations are seq_cst, not fences: on x86 loads cost nothing more, and the race detector understands them.
 */
#include "services/relay/directory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/list.h"

struct node {
    _Atomic(struct node *) next;
    struct entry *entry; /* set before the node is published */
};

typedef _Atomic(struct node *) link_t;

struct entry {
    struct gh_list link;    /* live or retired */
    uint64_t retired_epoch; /* while retired */
    struct node identity_node;
    struct node addr_nodes[GH_DIRECTORY_ADDRS_MAX];
    struct gh_ip addrs[GH_DIRECTORY_ADDRS_MAX];
    size_t addr_count;
    struct gh_directory_found found;
    uint32_t tenant;
    size_t identity_len;
    uint8_t identity[]; /* identity_len bytes */
};

/* Each reader's mark has a cache line of its own, because every batch writes it. */
struct reader {
    _Alignas(64) _Atomic uint64_t mark; /* 0 outside, else the epoch at enter */
};

struct gh_directory {
    pthread_mutex_t mutex;
    bool locked; /* guarded by the mutex: catches callers that forgot it */
    struct gh_hash_seed seed;
    uint32_t sessions_max, reader_count;
    _Atomic uint32_t count;
    uint32_t retired_count;
    struct gh_list live, retired; /* retired: oldest first */
    size_t addr_mask, identity_mask;
    link_t *addr_buckets, *identity_buckets;
    _Atomic uint64_t epoch; /* starts at 1 */
    struct reader readers[GH_DIRECTORY_READERS_MAX];
};

static link_t *addr_bucket(const struct gh_directory *d, const struct gh_ip *a)
{
    uint8_t key[17];

    key[0] = a->family;
    memcpy(key + 1, a->bytes, 16);
    return &d->addr_buckets[gh_hash_bytes(&d->seed, key, sizeof key) & d->addr_mask];
}

static link_t *identity_bucket(const struct gh_directory *d, uint32_t tenant, struct gh_span identity)
{
    uint8_t key[4 + GH_DIRECTORY_IDENTITY_MAX];

    memcpy(key, &tenant, 4);
    memcpy(key + 4, identity.data, identity.len);
    return &d->identity_buckets[gh_hash_bytes(&d->seed, key, 4 + identity.len) & d->identity_mask];
}

static size_t power_of_two(size_t n)
{
    size_t p = 16;

    while (p < n)
        p *= 2;
    return p;
}

int gh_directory_create(const struct gh_directory_conf *conf, struct gh_directory **ret)
{
    struct gh_directory *d;

    if (conf->sessions_max == 0 || conf->sessions_max > (1u << 24) || conf->readers == 0 ||
        conf->readers > GH_DIRECTORY_READERS_MAX)
        return GH_ERR_RANGE;
    d = aligned_alloc(64, (sizeof *d + 63) / 64 * 64);
    if (!d)
        return GH_ERR_MEMORY;
    memset(d, 0, sizeof *d);
    d->seed = conf->seed;
    d->sessions_max = conf->sessions_max;
    d->reader_count = conf->readers;
    d->identity_mask = power_of_two(conf->sessions_max) - 1;
    d->addr_mask = power_of_two((size_t)conf->sessions_max * 2) - 1; /* one address a family is the usual case */
    gh_list_init(&d->live);
    gh_list_init(&d->retired);
    atomic_init(&d->epoch, 1);
    pthread_mutex_init(&d->mutex, NULL); /* cannot fail without attributes */
    d->addr_buckets = calloc(d->addr_mask + 1, sizeof *d->addr_buckets);
    d->identity_buckets = calloc(d->identity_mask + 1, sizeof *d->identity_buckets);
    if (!d->addr_buckets || !d->identity_buckets) {
        gh_directory_destroy(d);
        return GH_ERR_MEMORY;
    }
    *ret = d;
    return 0;
}

static void free_entries(struct gh_list *head)
{
    gh_list_each(it, head)
        free(gh_container_of(it, struct entry, link));
}

void gh_directory_destroy(struct gh_directory *d)
{
    if (!d)
        return;
    free_entries(&d->live);
    free_entries(&d->retired);
    free(d->addr_buckets);
    free(d->identity_buckets);
    pthread_mutex_destroy(&d->mutex);
    free(d);
}

void gh_directory_enter(struct gh_directory *d, uint32_t reader)
{
    atomic_store(&d->readers[reader].mark, atomic_load(&d->epoch));
}

void gh_directory_leave(struct gh_directory *d, uint32_t reader)
{
    atomic_store_explicit(&d->readers[reader].mark, 0, memory_order_release);
}

static bool entry_has(const struct entry *e, uint32_t tenant, struct gh_span identity)
{
    return e->tenant == tenant && gh_span_equals(gh_span_of(e->identity, e->identity_len), identity);
}

static const struct node *find_addr(const struct gh_directory *d, const struct gh_ip *addr)
{
    link_t *bucket = addr_bucket(d, addr);
    const struct node *head;

    do {
        head = atomic_load(bucket);
        for (const struct node *n = head; n; n = atomic_load(&n->next)) {
            const struct entry *e = n->entry;

            if (gh_ip_equals(&e->addrs[n - e->addr_nodes], addr))
                return n;
        }
    } while (atomic_load(bucket) != head);
    return NULL;
}

static const struct node *find_identity(const struct gh_directory *d, uint32_t tenant, struct gh_span identity)
{
    link_t *bucket = identity_bucket(d, tenant, identity);
    const struct node *head;

    do {
        head = atomic_load(bucket);
        for (const struct node *n = head; n; n = atomic_load(&n->next))
            if (entry_has(n->entry, tenant, identity))
                return n;
    } while (atomic_load(bucket) != head);
    return NULL;
}

bool gh_directory_find_addr(const struct gh_directory *d, const struct gh_ip *addr, struct gh_directory_found *ret)
{
    const struct node *n = find_addr(d, addr);

    if (n)
        *ret = n->entry->found;
    return n != NULL;
}

static bool identity_fits(struct gh_span identity)
{
    return identity.len > 0 && identity.len <= GH_DIRECTORY_IDENTITY_MAX;
}

bool gh_directory_find_identity(const struct gh_directory *d, uint32_t tenant, struct gh_span identity,
                                struct gh_directory_found *ret)
{
    const struct node *n = identity_fits(identity) ? find_identity(d, tenant, identity) : NULL;

    if (n)
        *ret = n->entry->found;
    return n != NULL;
}

void gh_directory_lock(struct gh_directory *d)
{
    pthread_mutex_lock(&d->mutex);
    d->locked = true;
}

void gh_directory_unlock(struct gh_directory *d)
{
    d->locked = false;
    pthread_mutex_unlock(&d->mutex);
}

static void publish(link_t *bucket, struct node *n)
{
    atomic_store_explicit(&n->next, atomic_load(bucket), memory_order_relaxed); /* nobody sees n yet */
    atomic_store(bucket, n);
}

static void unlink_node(link_t *bucket, const struct node *n)
{
    link_t *at = bucket;

    while (atomic_load(at) != n)
        at = &atomic_load(at)->next;
    atomic_store(at, atomic_load(&n->next));
}

static void entry_publish(struct gh_directory *d, struct entry *e)
{
    for (size_t i = 0; i < e->addr_count; i++)
        publish(addr_bucket(d, &e->addrs[i]), &e->addr_nodes[i]);
    publish(identity_bucket(d, e->tenant, gh_span_of(e->identity, e->identity_len)), &e->identity_node);
    gh_list_append(&d->live, &e->link);
    atomic_fetch_add(&d->count, 1);
}

static void entry_retire(struct gh_directory *d, struct entry *e)
{
    for (size_t i = 0; i < e->addr_count; i++)
        unlink_node(addr_bucket(d, &e->addrs[i]), &e->addr_nodes[i]);
    unlink_node(identity_bucket(d, e->tenant, gh_span_of(e->identity, e->identity_len)), &e->identity_node);
    e->retired_epoch = atomic_fetch_add(&d->epoch, 1) + 1; /* no new section can find it */
    gh_list_unlink(&e->link);
    gh_list_append(&d->retired, &e->link); /* a section in progress may stand on it */
    d->retired_count++;
    atomic_fetch_sub(&d->count, 1);
}

static uint64_t oldest_mark(struct gh_directory *d)
{
    uint64_t oldest = UINT64_MAX;

    for (uint32_t i = 0; i < d->reader_count; i++) {
        uint64_t mark = atomic_load(&d->readers[i].mark);

        if (mark != 0 && mark < oldest)
            oldest = mark;
    }
    return oldest;
}

int gh_directory_reclaim(struct gh_directory *d)
{
    uint64_t oldest;

    if (!d->locked)
        return GH_ERR_STATE;
    oldest = oldest_mark(d);
    gh_list_each(it, &d->retired) {
        struct entry *e = gh_container_of(it, struct entry, link);

        if (e->retired_epoch > oldest)
            break; /* the rest was retired later */
        gh_list_unlink(&e->link);
        free(e); /* every reader has passed */
        d->retired_count--;
    }
    return (int)d->retired_count;
}

/* The address is free, or its holder is the identity of <new>. */
static bool addr_allowed(const struct gh_directory *d, const struct gh_directory_entry *new, size_t index)
{
    const struct node *n = find_addr(d, &new->addrs[index]);

    for (size_t i = 0; i < index; i++)
        if (gh_ip_equals(&new->addrs[i], &new->addrs[index]))
            return false;
    return !n || entry_has(n->entry, new->tenant, new->identity);
}

static struct entry *entry_create(const struct gh_directory_entry *from)
{
    struct entry *e = calloc(1, sizeof *e + from->identity.len);

    if (!e)
        return NULL;
    gh_list_init(&e->link);
    e->identity_node.entry = e;
    e->addr_count = from->addr_count;
    for (size_t i = 0; i < from->addr_count; i++) {
        e->addr_nodes[i].entry = e;
        e->addrs[i] = from->addrs[i];
    }
    e->found = (struct gh_directory_found){ from->worker, from->session };
    e->tenant = from->tenant;
    e->identity_len = from->identity.len;
    memcpy(e->identity, from->identity.data, from->identity.len);
    return e;
}

int gh_directory_insert(struct gh_directory *d, const struct gh_directory_entry *entry, struct gh_directory_found *ret_displaced)
{
    const struct node *old;
    struct entry *e;

    if (!d->locked)
        return GH_ERR_STATE;
    if (!identity_fits(entry->identity) || entry->addr_count > GH_DIRECTORY_ADDRS_MAX)
        return GH_ERR_RANGE;
    for (size_t i = 0; i < entry->addr_count; i++)
        if (!addr_allowed(d, entry, i))
            return GH_ERR_EXISTS;
    old = find_identity(d, entry->tenant, entry->identity);
    if (!old && atomic_load(&d->count) >= d->sessions_max)
        return GH_ERR_FULL;
    if ((uint32_t)gh_directory_reclaim(d) >= d->sessions_max)
        return GH_ERR_AGAIN;
    e = entry_create(entry);
    if (!e)
        return GH_ERR_MEMORY;
    entry_publish(d, e); /* at the head: readers find it before the old one */
    if (!old)
        return 0;
    *ret_displaced = old->entry->found;
    entry_retire(d, old->entry);
    return 1;
}

static bool same_session(const struct gh_directory_found *a, const struct gh_directory_found *b)
{
    return a->worker == b->worker && a->session.index == b->session.index && a->session.generation == b->session.generation;
}

int gh_directory_remove(struct gh_directory *d, uint32_t tenant, struct gh_span identity, const struct gh_directory_found *session)
{
    const struct node *n;

    if (!d->locked)
        return GH_ERR_STATE;
    n = identity_fits(identity) ? find_identity(d, tenant, identity) : NULL;
    if (!n || !same_session(&n->entry->found, session))
        return GH_ERR_NOT_FOUND;
    entry_retire(d, n->entry);
    gh_directory_reclaim(d);
    return 0;
}

int gh_directory_each(struct gh_directory *d, bool (*fn)(void *arg, const struct gh_directory_entry *entry), void *arg)
{
    if (!d->locked)
        return GH_ERR_STATE;
    gh_list_each(it, &d->live) {
        const struct entry *e = gh_container_of(it, struct entry, link);
        struct gh_directory_entry seen = { .tenant = e->tenant,
                                           .worker = e->found.worker,
                                           .session = e->found.session,
                                           .identity = gh_span_of(e->identity, e->identity_len),
                                           .addrs = e->addrs,
                                           .addr_count = e->addr_count };

        if (!fn(arg, &seen))
            break;
    }
    return 0;
}

uint32_t gh_directory_count(const struct gh_directory *d)
{
    return atomic_load(&d->count);
}
