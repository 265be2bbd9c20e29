#include "net/quic_memory.h"

#include <stdio.h>
#include <stdlib.h>

void gh_quic_memory_init(struct gh_quic_memory *m)
{
    *m = (struct gh_quic_memory){ 0 };
}

static void kept_destroy(struct gh_quic_kept *k)
{
    if (!k)
        return;
    gh_tls_session_put(k->session);
    gh_tls_ctx_put(k->tls);
    free(k);
}

void gh_quic_memory_fini(struct gh_quic_memory *m)
{
    for (size_t i = 0; i < GH_QUIC_MEMORY_SERVERS; i++) {
        free(m->known[i]);
        kept_destroy(m->kept[i]);
    }
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

void gh_quic_memory_keep_session(struct gh_quic_memory *m, const struct gh_endpoint *remote, struct gh_tls_ctx *tls, const char *server_name,
                                 struct gh_tls_session *s)
{
    struct gh_quic_kept *k = strlen(server_name) < sizeof k->server_name ? calloc(1, sizeof *k) : NULL;

    if (!k) {
        gh_tls_session_put(s);
        return;
    }
    k->session = s;
    k->tls = gh_tls_ctx_get(tls);
    k->remote = *remote;
    snprintf(k->server_name, sizeof k->server_name, "%s", server_name);
    kept_destroy(m->kept[GH_QUIC_MEMORY_SERVERS - 1]);
    memmove(m->kept + 1, m->kept, (GH_QUIC_MEMORY_SERVERS - 1) * sizeof *m->kept);
    m->kept[0] = k;
}

static bool serves(const struct gh_quic_kept *k, const struct gh_endpoint *remote, const struct gh_tls_ctx *tls, const char *server_name)
{
    if (k->tls != tls || strcmp(k->server_name, server_name) != 0)
        return false;
    return *server_name || (k->remote.port == remote->port && gh_ip_equals(&k->remote.ip, &remote->ip));
}

static void forget(struct gh_quic_memory *m, size_t i)
{
    kept_destroy(m->kept[i]);
    memmove(m->kept + i, m->kept + i + 1, (GH_QUIC_MEMORY_SERVERS - 1 - i) * sizeof *m->kept);
    m->kept[GH_QUIC_MEMORY_SERVERS - 1] = NULL;
}

struct gh_tls_session *gh_quic_memory_take_session(struct gh_quic_memory *m, const struct gh_endpoint *remote, const struct gh_tls_ctx *tls,
                                                   const char *server_name)
{
    struct gh_quic_kept *best = NULL;

    for (size_t i = 0; i < GH_QUIC_MEMORY_SERVERS && m->kept[i]; i++)
        if (serves(m->kept[i], remote, tls, server_name) && (!best || m->kept[i]->lent < best->lent))
            best = m->kept[i];
    if (!best)
        return NULL;
    best->lent++;
    return gh_tls_session_get(best->session);
}

void gh_quic_memory_return_session(struct gh_quic_memory *m, struct gh_tls_session *s, bool answered)
{
    for (size_t i = 0; s && i < GH_QUIC_MEMORY_SERVERS && m->kept[i]; i++) {
        if (m->kept[i]->session != s)
            continue;
        if (answered)
            forget(m, i);
        else
            m->kept[i]->lent--;
        break;
    }
    gh_tls_session_put(s);
}
