/* base/map.h - a hash map whose links live in the objects
 *
 * Open hashing with chains; grows by doubling up to the caller's need. Keys that a peer chooses must be hashed with
 * gh_hash_bytes under a random seed, so that nobody can aim at one chain (SipHash-1-3).
 */
#ifndef GH_BASE_MAP_H
#define GH_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gh_map_node {
    struct gh_map_node *next;
    uint64_t hash;
};

/* True when <node> has the key <key>. */
typedef bool (*gh_map_equals_fn)(const struct gh_map_node *node, const void *key);

struct gh_map {
    struct gh_map_node **buckets;
    size_t mask;  /* buckets - 1, a power of two less one */
    size_t count; /* nodes held */
    gh_map_equals_fn equals;
};

/* <buckets> is rounded up to a power of two. 0 or GH_ERR_MEMORY. */
int gh_map_init(struct gh_map *m, size_t buckets, gh_map_equals_fn equals);
void gh_map_fini(struct gh_map *m); /* the nodes stay the caller's */
struct gh_map_node *gh_map_find(const struct gh_map *m, uint64_t hash, const void *key);
/* The caller knows that the key is not in the map. Growth that fails is not an error: chains get longer. */
void gh_map_insert(struct gh_map *m, struct gh_map_node *node, uint64_t hash);
/* False when <node> was not in the map. */
bool gh_map_remove(struct gh_map *m, struct gh_map_node *node);
/* Calls <fn> for every node; <fn> may remove the node that it was given. */
void gh_map_each(struct gh_map *m, void (*fn)(struct gh_map_node *node, void *arg), void *arg);

struct gh_hash_seed {
    uint64_t k0, k1;
};

uint64_t gh_hash_bytes(const struct gh_hash_seed *seed, const void *data, size_t len);

#endif
