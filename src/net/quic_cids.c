/* Which connection an id leads to. */
#include <stdlib.h>

#include "base/error.h"
#include "net/quic_internal.h"

struct cid_entry {
    struct gh_map_node node;
    struct gh_list link; /* in the link's list */
    struct gh_quic_link *owner;
    struct gh_quic_cid cid;
    const struct gh_quic_addr *chosen_by; /* guarded: a client chose it, so it is nobody else's; NULL: all may come with it */
};

struct cid_key {
    const struct gh_quic_cid *cid;
    const struct gh_quic_addr *remote;
};

static bool same_cid(const struct gh_quic_cid *a, const struct gh_quic_cid *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

bool gh_quic_cids_equal(const struct gh_map_node *node, const void *key)
{
    const struct cid_entry *c = gh_container_of(node, const struct cid_entry, node);
    const struct cid_key *k = key;

    return same_cid(&c->cid, k->cid) && (!c->chosen_by || (c->chosen_by->port == k->remote->port && gh_ip_equals(&c->chosen_by->ip, &k->remote->ip)));
}

struct gh_quic_link *gh_quic_cids_find(struct gh_quic_endpoint *e, const struct gh_quic_cid *cid, const struct gh_quic_addr *remote)
{
    struct gh_map_node *n = gh_map_find(&e->cids, gh_hash_bytes(&e->seed, cid->data, cid->len), &(struct cid_key){ cid, remote });

    return n ? gh_container_of(n, struct cid_entry, node)->owner : NULL;
}

int gh_quic_cids_add(struct gh_quic_link *l, const struct gh_quic_cid *cid, const struct gh_quic_addr *chosen_by)
{
    struct cid_entry *c = calloc(1, sizeof *c);

    if (!c)
        return GH_ERR_MEMORY;
    c->owner = l;
    c->cid = *cid;
    c->chosen_by = chosen_by;
    gh_map_insert(&l->e->cids, &c->node, gh_hash_bytes(&l->e->seed, cid->data, cid->len));
    gh_list_append(&l->cids, &c->link);
    return 0;
}

static void cid_remove(struct cid_entry *c)
{
    gh_map_remove(&c->owner->e->cids, &c->node);
    gh_list_unlink(&c->link);
    free(c);
}

void gh_quic_cids_remove(struct gh_quic_link *l, const struct gh_quic_cid *cid)
{
    gh_list_each(it, &l->cids)
    {
        struct cid_entry *c = gh_container_of(it, struct cid_entry, link);

        if (same_cid(&c->cid, cid)) {
            cid_remove(c);
            return;
        }
    }
}

void gh_quic_cids_clear(struct gh_quic_link *l)
{
    gh_list_each(it, &l->cids)
        cid_remove(gh_container_of(it, struct cid_entry, link));
}
