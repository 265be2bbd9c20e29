#include "net/quic_memory.h"

#include <stdlib.h>

void gh_quic_memory_init(struct gh_quic_memory *m)
{
    *m = (struct gh_quic_memory){ 0 };
}

void gh_quic_memory_fini(struct gh_quic_memory *m)
{
    for (size_t i = 0; i < GH_QUIC_MEMORY_SERVERS; i++)
        free(m->known[i]);
    gh_quic_memory_init(m);
}

static bool is_at(const struct gh_quic_known *k, const struct gh_endpoint *remote)
{
    return k && k->remote.port == remote->port && gh_ip_equals(&k->remote.ip, &remote->ip);
}

/* The entry of a server, moved to the front; a new one in the place of the oldest when <make>. NULL when there is none. */
static struct gh_quic_known *find(struct gh_quic_memory *m, const struct gh_endpoint *remote, bool make)
{
    struct gh_quic_known *k;
    size_t i = 0;

    while (i < GH_QUIC_MEMORY_SERVERS && !is_at(m->known[i], remote))
        i++;
    if (i == GH_QUIC_MEMORY_SERVERS) {
        k = make ? calloc(1, sizeof *k) : NULL;
        if (!k)
            return NULL;
        free(m->known[--i]);
        k->remote = *remote;
    } else {
        k = m->known[i];
    }
    memmove(m->known + 1, m->known, i * sizeof *m->known);
    m->known[0] = k;
    return k;
}

void gh_quic_memory_keep_token(struct gh_quic_memory *m, const struct gh_endpoint *remote, struct gh_span token)
{
    struct gh_quic_known *k = token.len <= GH_QUIC_MEMORY_TOKEN ? find(m, remote, true) : NULL;

    if (!k)
        return;
    memcpy(k->token, token.data, token.len);
    k->token_len = token.len;
}

size_t gh_quic_memory_take_token(struct gh_quic_memory *m, const struct gh_endpoint *remote, uint8_t ret[GH_QUIC_MEMORY_TOKEN])
{
    struct gh_quic_known *k = find(m, remote, false);
    size_t len = k ? k->token_len : 0;

    if (len) {
        memcpy(ret, k->token, len);
        k->token_len = 0;
    }
    return len;
}
