#include "os/resolve.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

void gh_resolved_interleave(struct gh_resolved *r)
{
    struct gh_endpoint out[GH_RESOLVE_ADDRESSES];
    bool taken[GH_RESOLVE_ADDRESSES] = { false };
    uint8_t want = r->count ? r->list[0].ip.family : 0;

    for (size_t n = 0; n < r->count; n++) {
        size_t pick = GH_RESOLVE_ADDRESSES;

        for (size_t i = 0; i < r->count; i++) {
            if (taken[i])
                continue;
            if (pick == GH_RESOLVE_ADDRESSES || (r->list[pick].ip.family != want && r->list[i].ip.family == want))
                pick = i;
        }
        out[n] = r->list[pick];
        taken[pick] = true;
        want = out[n].ip.family == 4 ? 6 : 4;
    }
    memcpy(r->list, out, r->count * sizeof *out);
}

void gh_resolve(const char *host, uint16_t port, struct gh_resolved *ret)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV }, *list = NULL;
    struct gh_resolved r = { .count = 0 };
    char service[8];
    int rc;

    snprintf(service, sizeof service, "%u", port);
    rc = getaddrinfo(host, service, &hints, &list);
    for (const struct addrinfo *at = list; rc == 0 && at && r.count < GH_RESOLVE_ADDRESSES; at = at->ai_next) {
        struct sockaddr_storage addr = { 0 };

        if (at->ai_addrlen > sizeof addr)
            continue;
        memcpy(&addr, at->ai_addr, at->ai_addrlen);
        if (gh_endpoint_of_sockaddr(&addr, &r.list[r.count]) == 0)
            r.count++;
    }
    if (rc == 0)
        freeaddrinfo(list);
    if (r.count == 0)
        snprintf(r.error, sizeof r.error, "%s", rc ? gai_strerror(rc) : "no usable address");
    gh_resolved_interleave(&r);
    *ret = r;
}
