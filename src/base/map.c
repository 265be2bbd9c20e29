#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

int gh_map_init(struct gh_map *m, size_t buckets, gh_map_equals_fn equals)
{
    size_t n = 16;

    while (n < buckets)
        n *= 2;
    *m = (struct gh_map){ .mask = n - 1, .equals = equals };
    m->buckets = calloc(n, sizeof *m->buckets);
    return m->buckets ? 0 : GH_ERR_MEMORY;
}

void gh_map_fini(struct gh_map *m)
{
    free(m->buckets);
    *m = (struct gh_map){ 0 };
}

struct gh_map_node *gh_map_find(const struct gh_map *m, uint64_t hash, const void *key)
{
    if (!m->buckets)
        return NULL;
    for (struct gh_map_node *n = m->buckets[hash & m->mask]; n; n = n->next)
        if (n->hash == hash && m->equals(n, key))
            return n;
    return NULL;
}

static void grow(struct gh_map *m)
{
    size_t n = (m->mask + 1) * 2;
    struct gh_map_node **buckets = calloc(n, sizeof *buckets);

    if (!buckets)
        return;
    for (size_t i = 0; i <= m->mask; i++) {
        for (struct gh_map_node *node = m->buckets[i], *next; node; node = next) {
            next = node->next;
            node->next = buckets[node->hash & (n - 1)];
            buckets[node->hash & (n - 1)] = node;
        }
    }
    free(m->buckets);
    m->buckets = buckets;
    m->mask = n - 1;
}

void gh_map_insert(struct gh_map *m, struct gh_map_node *node, uint64_t hash)
{
    if (m->count > m->mask)
        grow(m);
    node->hash = hash;
    node->next = m->buckets[hash & m->mask];
    m->buckets[hash & m->mask] = node;
    m->count++;
}

bool gh_map_remove(struct gh_map *m, struct gh_map_node *node)
{
    for (struct gh_map_node **at = &m->buckets[node->hash & m->mask]; *at; at = &(*at)->next) {
        if (*at == node) {
            *at = node->next;
            node->next = NULL;
            m->count--;
            return true;
        }
    }
    return false;
}

void gh_map_each(struct gh_map *m, void (*fn)(struct gh_map_node *node, void *arg), void *arg)
{
    for (size_t i = 0; m->buckets && i <= m->mask; i++) {
        for (struct gh_map_node *node = m->buckets[i], *next; node; node = next) {
            next = node->next;
            fn(node, arg);
        }
    }
}

static uint64_t rotl(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

/* Inlined so that <v> stays in registers: several hashes are computed for each packet. */
__attribute__((always_inline)) static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

uint64_t gh_hash_bytes(const struct gh_hash_seed *seed, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t v[4] = { seed->k0 ^ 0x736f6d6570736575u, seed->k1 ^ 0x646f72616e646f6du, seed->k0 ^ 0x6c7967656e657261u,
                      seed->k1 ^ 0x7465646279746573u };
    uint64_t word, last = (uint64_t)len << 56;

    for (; len >= 8; len -= 8, p += 8) {
        memcpy(&word, p, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (size_t i = 0; i < len; i++)
        last |= (uint64_t)p[i] << (8 * i);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
