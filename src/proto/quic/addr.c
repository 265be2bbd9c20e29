#include <arpa/inet.h>

#include "proto/quic/internal.h"

void gh_quic_sockaddr_of(const struct gh_quic_addr *a, struct gh_quic_sockaddr *ret)
{
    memset(ret, 0, sizeof *ret);
    if (a->ip.family == 4) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons(a->port);
        memcpy(&ret->v4.sin_addr, a->ip.bytes, 4);
        ret->len = sizeof ret->v4;
    } else {
        ret->v6.sin6_family = AF_INET6;
        ret->v6.sin6_port = htons(a->port);
        memcpy(&ret->v6.sin6_addr, a->ip.bytes, 16);
        ret->len = sizeof ret->v6;
    }
}

void gh_quic_addr_of(const ngtcp2_addr *sa, struct gh_quic_addr *ret)
{
    const struct gh_quic_sockaddr *s = (const void *)sa->addr;

    if (sa->addr->sa_family == AF_INET) {
        ret->ip = gh_ip_v4(&s->v4.sin_addr);
        ret->port = ntohs(s->v4.sin_port);
    } else {
        ret->ip = gh_ip_v6(&s->v6.sin6_addr);
        ret->port = ntohs(s->v6.sin6_port);
    }
}

bool gh_quic_addr_is(const struct gh_quic_addr *a, const ngtcp2_addr *sa)
{
    const struct gh_quic_sockaddr *s = (const void *)sa->addr;

    if (sa->addr->sa_family == AF_INET)
        return a->ip.family == 4 && htons(a->port) == s->v4.sin_port && memcmp(a->ip.bytes, &s->v4.sin_addr, 4) == 0;
    return a->ip.family == 6 && htons(a->port) == s->v6.sin6_port && memcmp(a->ip.bytes, &s->v6.sin6_addr, 16) == 0;
}

void gh_quic_cid_to(const struct gh_quic_cid *c, ngtcp2_cid *ret)
{
    ngtcp2_cid_init(ret, c->data, c->len);
}

void gh_quic_cid_from(const ngtcp2_cid *c, struct gh_quic_cid *ret)
{
    *ret = (struct gh_quic_cid){ .len = (uint8_t)c->datalen };
    memcpy(ret->data, c->data, c->datalen);
}
