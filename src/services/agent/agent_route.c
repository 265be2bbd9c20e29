#include "services/agent/agent_route.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "proto/connect_ip/routes.h"

#define OF_ONE_RANGE 256u /* the most prefixes that one range can need: 2 * 128 - 2 */

struct sink {
    struct gh_prefix *list;
    size_t count;
};

static int add(struct sink *s, const struct gh_prefix *p)
{
    if (s->count == GH_AGENT_PREFIXES)
        return GH_ERR_FULL;
    s->list[s->count++] = *p;
    return 0;
}

static int add_halves(struct sink *s, uint8_t family)
{
    struct gh_prefix half = { { .family = family }, 1 };
    int rc = add(s, &half);

    half.addr.bytes[0] = 0x80;
    return rc < 0 ? rc : add(s, &half);
}

/* A narrow network around the relay: everything in it but the relay. */
static int add_around(struct sink *s, const struct gh_prefix *p, const struct gh_ip *relay)
{
    struct gh_ip_route whole = gh_connect_ip_route_of(p, 0), parts[2];
    struct gh_prefix pieces[OF_ONE_RANGE];
    int n = gh_connect_ip_limit_routes(&whole, 1, p, 1, relay, parts, 2), m, rc = 0;

    if (n < 0)
        return n;
    for (int i = 0; i < n; i++) {
        m = gh_connect_ip_route_prefixes(&parts[i], pieces, OF_ONE_RANGE);
        if (m < 0)
            return m;
        for (int j = 0; j < m && rc == 0; j++)
            rc = add(s, &pieces[j]);
    }
    return rc;
}

static int add_range(struct sink *s, const struct gh_ip_route *range, const struct gh_ip *relay)
{
    struct gh_prefix pieces[OF_ONE_RANGE];
    int n = gh_connect_ip_route_prefixes(range, pieces, OF_ONE_RANGE), rc = n < 0 ? n : 0;

    for (int i = 0; i < n && rc == 0; i++) {
        const struct gh_prefix *p = &pieces[i];

        if (p->len == 0)
            rc = add_halves(s, p->addr.family);
        else if (p->len > 1 && relay && gh_prefix_contains(p, relay))
            rc = add_around(s, p, relay);
        else
            rc = add(s, p);
    }
    return rc;
}

static int compare(const void *a, const void *b)
{
    const struct gh_prefix *x = a, *y = b;
    int order = gh_ip_compare(&x->addr, &y->addr);

    return order ? order : (int)x->len - (int)y->len;
}

/* Ranges of different protocols may name one network twice. */
static size_t unique(struct gh_prefix *list, size_t count)
{
    size_t kept = 0;

    if (count == 0)
        return 0;
    qsort(list, count, sizeof *list, compare);
    for (size_t i = 1; i < count; i++)
        if (compare(&list[kept], &list[i]) != 0)
            list[++kept] = list[i];
    return kept + 1;
}

int gh_agent_routes_create(const struct gh_ip_route *list, size_t count, const struct gh_prefix *allowed, size_t allowed_count,
                           const struct gh_ip *relay, struct gh_agent_routes *ret)
{
    struct gh_agent_routes r = { .ranges = calloc(GH_AGENT_RANGES, sizeof *r.ranges),
                                 .prefixes = calloc(GH_AGENT_PREFIXES, sizeof *r.prefixes) };
    struct sink s = { r.prefixes, 0 };
    int rc = GH_ERR_MEMORY;

    if (!r.ranges || !r.prefixes)
        goto out;
    rc = gh_connect_ip_limit_routes(list, count, allowed, allowed_count, NULL, r.ranges, GH_AGENT_RANGES);
    if (rc < 0)
        goto out;
    r.range_count = (size_t)rc;
    rc = 0;
    for (size_t i = 0; i < r.range_count && rc == 0; i++)
        rc = add_range(&s, &r.ranges[i], relay);
    r.prefix_count = unique(r.prefixes, s.count);
    while (r.ipv4_count < r.prefix_count && r.prefixes[r.ipv4_count].addr.family == 4)
        r.ipv4_count++;
    if (rc < 0)
        goto out;
    *ret = r;
    return 0;
out:
    gh_agent_routes_fini(&r);
    return rc;
}

void gh_agent_routes_fini(struct gh_agent_routes *r)
{
    free(r->ranges);
    free(r->prefixes);
    *r = (struct gh_agent_routes){ 0 };
}

struct gh_agent_prefixes gh_agent_routes_of(const struct gh_agent_routes *r, bool ipv4, bool ipv6)
{
    size_t first = ipv4 ? 0 : r->ipv4_count, end = ipv6 ? r->prefix_count : r->ipv4_count;

    return (struct gh_agent_prefixes){ r->prefixes ? r->prefixes + first : NULL, end > first ? end - first : 0 };
}

struct gh_prefix gh_agent_device_address(const struct gh_prefix *assigned)
{
    struct gh_prefix p = *assigned;
    unsigned bits = gh_ip_bits(&p.addr);

    if (p.len + 1u < bits) /* the first address of a larger network is the network's own */
        gh_ip_increment(&p.addr);
    p.len = (uint8_t)bits;
    return p;
}
