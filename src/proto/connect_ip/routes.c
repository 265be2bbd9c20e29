#include "proto/connect_ip/routes.h"

#include <stdlib.h>

#include "base/error.h"

static bool well_formed(const struct gh_ip_route *r)
{
    return (r->start.family == 4 || r->start.family == 6) && r->start.family == r->end.family &&
           gh_ip_compare(&r->start, &r->end) <= 0;
}

static int compare_class(const struct gh_ip_route *a, const struct gh_ip_route *b)
{
    if (a->start.family != b->start.family)
        return a->start.family < b->start.family ? -1 : 1;
    return (a->protocol > b->protocol) - (a->protocol < b->protocol);
}

bool gh_connect_ip_routes_ordered(const struct gh_ip_route *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int order;

        if (!well_formed(&list[i]))
            return false;
        if (i == 0)
            continue;
        order = compare_class(&list[i - 1], &list[i]);
        if (order > 0 || (order == 0 && gh_ip_compare(&list[i - 1].end, &list[i].start) >= 0))
            return false;
    }
    return true;
}

bool gh_connect_ip_routes_overlap(const struct gh_ip_route *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; list[i].protocol == 0 && j < count && list[j].start.family == list[i].start.family; j++)
            if (list[j].protocol != 0 && gh_ip_compare(&list[i].start, &list[j].end) <= 0 &&
                gh_ip_compare(&list[j].start, &list[i].end) <= 0)
                return true;
    return false;
}

static int compare_routes(const void *left, const void *right)
{
    const struct gh_ip_route *a = left, *b = right;
    int order = compare_class(a, b);

    return order ? order : gh_ip_compare(&a->start, &b->start);
}

/* True when <b>, which starts no earlier, overlaps <a> or follows it without a gap. */
static bool joins(const struct gh_ip_route *a, const struct gh_ip_route *b)
{
    struct gh_ip next = a->end;

    if (compare_class(a, b) != 0)
        return false;
    gh_ip_increment(&next); /* zero after the last address, which then covers <b> anyway */
    return gh_ip_compare(&b->start, &a->end) <= 0 || gh_ip_equals(&b->start, &next);
}

size_t gh_connect_ip_order_routes(struct gh_ip_route *list, size_t count)
{
    size_t n = 0;

    if (count == 0)
        return 0;
    qsort(list, count, sizeof *list, compare_routes);
    for (size_t i = 1; i < count; i++) {
        if (!joins(&list[n], &list[i]))
            list[++n] = list[i];
        else if (gh_ip_compare(&list[i].end, &list[n].end) > 0)
            list[n].end = list[i].end;
    }
    return n + 1;
}

struct gh_ip_route gh_connect_ip_route_of(const struct gh_prefix *p, uint8_t protocol)
{
    struct gh_ip_route r = { .protocol = protocol };

    gh_prefix_bounds(p, &r.start, &r.end);
    return r;
}

/* The last entry that does not lie behind (family, protocol, addr): the only one of its protocol that can hold it. */
static bool contains(const struct gh_ip_route *list, size_t count, const struct gh_ip *addr, uint8_t protocol)
{
    struct gh_ip_route want = { .start = *addr, .end = *addr, .protocol = protocol };
    size_t low = 0, high = count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (compare_routes(&list[mid], &want) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low > 0 && compare_class(&list[low - 1], &want) == 0 && gh_ip_compare(addr, &list[low - 1].end) <= 0;
}

bool gh_connect_ip_routes_contain(const struct gh_ip_route *list, size_t count, const struct gh_ip *addr, uint8_t protocol)
{
    if (count == 0)
        return false;
    if (contains(list, count, addr, 0) || (protocol != 0 && contains(list, count, addr, protocol)))
        return true;
    if (protocol != (addr->family == 4 ? GH_IP_ICMP : GH_IP_ICMPV6))
        return false;
    for (size_t i = 0; i < count; i++)
        if (list[i].start.family == addr->family && gh_ip_compare(&list[i].start, addr) <= 0 && gh_ip_compare(addr, &list[i].end) <= 0)
            return true;
    return false;
}

static void decrement(struct gh_ip *a)
{
    for (size_t i = gh_ip_len(a); i-- > 0;)
        if (a->bytes[i]-- > 0)
            return;
}

struct sink {
    struct gh_ip_route *list;
    size_t count, cap;
};

static int add(struct sink *s, struct gh_ip start, struct gh_ip end, uint8_t protocol)
{
    if (s->count == s->cap)
        return GH_ERR_FULL;
    s->list[s->count++] = (struct gh_ip_route){ start, end, protocol };
    return 0;
}

/* Adds a range without the address <outside>. */
static int add_around(struct sink *s, const struct gh_ip_route *r, const struct gh_ip *outside)
{
    struct gh_ip before, after;
    int rc = 0;

    if (!outside || outside->family != r->start.family || gh_ip_compare(outside, &r->start) < 0 || gh_ip_compare(outside, &r->end) > 0)
        return add(s, r->start, r->end, r->protocol);
    before = after = *outside;
    decrement(&before);
    gh_ip_increment(&after);
    if (gh_ip_compare(outside, &r->start) > 0)
        rc = add(s, r->start, before, r->protocol);
    if (rc == 0 && gh_ip_compare(outside, &r->end) < 0)
        rc = add(s, after, r->end, r->protocol);
    return rc;
}

int gh_connect_ip_limit_routes(const struct gh_ip_route *list, size_t count, const struct gh_prefix *allowed, size_t allowed_count,
                               const struct gh_ip *outside, struct gh_ip_route *ret, size_t cap)
{
    struct sink s = { ret, 0, cap };

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < allowed_count; j++) {
            struct gh_ip_route part = gh_connect_ip_route_of(&allowed[j], list[i].protocol);

            if (part.start.family != list[i].start.family || gh_ip_compare(&part.start, &list[i].end) > 0 ||
                gh_ip_compare(&list[i].start, &part.end) > 0)
                continue;
            if (gh_ip_compare(&list[i].start, &part.start) > 0)
                part.start = list[i].start;
            if (gh_ip_compare(&list[i].end, &part.end) < 0)
                part.end = list[i].end;
            if (add_around(&s, &part, outside) < 0)
                return GH_ERR_FULL;
        }
    }
    return (int)gh_connect_ip_order_routes(ret, s.count);
}

int gh_connect_ip_route_prefixes(const struct gh_ip_route *route, struct gh_prefix *ret, size_t cap)
{
    struct gh_ip at = route->start, first, last;
    size_t n = 0;

    for (;;) {
        struct gh_prefix p = { at, (uint8_t)gh_ip_bits(&at) };

        /* widen while the prefix still begins here and ends inside */
        while (p.len > 0) {
            struct gh_prefix wider = { at, (uint8_t)(p.len - 1) };

            gh_prefix_bounds(&wider, &first, &last);
            if (!gh_ip_equals(&first, &at) || gh_ip_compare(&last, &route->end) > 0)
                break;
            p = wider;
        }
        if (n == cap)
            return GH_ERR_FULL;
        ret[n++] = p;
        gh_prefix_bounds(&p, &first, &last);
        if (gh_ip_compare(&last, &route->end) >= 0)
            return (int)n;
        at = last;
        gh_ip_increment(&at);
    }
}
