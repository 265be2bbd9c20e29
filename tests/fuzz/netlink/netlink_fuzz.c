/* What the kernel says of routes, rules and addresses, and of changes: whatever the bytes are, what is told is whole, and it is the same
 * when the messages of a datagram come one by one.
 *
 * The first byte says what they are read for, the second the table or the device that counts. */
#include <linux/netlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "os/netlink_read.h"

#define REQUIRE(x)   \
    do {             \
        if (!(x))    \
            abort(); \
    } while (0)

#define SEQ 7u
#define PORT 77u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
    unsigned count, limit, table;
    uint64_t sum;
};

static void add(struct told *t, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++)
        t->sum = (t->sum ^ p[i]) * UINT64_C(0x100000001b3);
}

static void add_ip(struct told *t, const struct gh_ip *a)
{
    REQUIRE(a->family == 0 || a->family == 4 || a->family == 6);
    add(t, a->bytes, a->family ? gh_ip_len(a) : 0);
}

static void add_prefix(struct told *t, const struct gh_prefix *p)
{
    REQUIRE(p->addr.family && p->len <= gh_ip_bits(&p->addr));
    add_ip(t, &p->addr);
    add(t, &p->len, 1);
}

static bool next(struct told *t)
{
    REQUIRE(t->count < t->limit); /* nothing after "no more" */
    return ++t->count < t->limit;
}

static bool on_route(void *arg, const struct gh_nl_route *r)
{
    struct told *t = arg;

    REQUIRE(r->table == t->table && (r->type == GH_NL_UNICAST || r->ifindex == 0));
    REQUIRE((!r->via.family || r->via.family == r->dst.addr.family) && (!r->source.family || r->source.family == r->dst.addr.family));
    add_prefix(t, &r->dst);
    add_ip(t, &r->via);
    add_ip(t, &r->source);
    add(t, &r->metric, sizeof r->metric);
    add(t, &r->ifindex, sizeof r->ifindex);
    add(t, &r->mtu, sizeof r->mtu);
    return next(t);
}

static bool on_rule(void *arg, const struct gh_nl_rule *r)
{
    struct told *t = arg;

    REQUIRE(r->family == 4 || r->family == 6);
    add(t, &r->family, 1);
    add(t, &r->priority, sizeof r->priority);
    add(t, &r->table, sizeof r->table);
    add(t, &r->mark, sizeof r->mark);
    add(t, &r->suppress, sizeof r->suppress);
    return next(t);
}

static bool on_addr(void *arg, const struct gh_prefix *a)
{
    add_prefix(arg, a);
    return next(arg);
}

static int run(unsigned what, struct gh_span datagram, struct gh_nl_walk *w, struct gh_nl_found *f)
{
    static const gh_nl_message_fn fns[] = { gh_nl_walk_route, gh_nl_walk_rule, gh_nl_walk_addr, gh_nl_find_route };

    return gh_nl_answer(datagram, SEQ, PORT, fns[what], what == 3 ? (void *)f : (void *)w);
}

static struct gh_nl_walk walk_of(struct told *t)
{
    return (struct gh_nl_walk){ on_route, on_rule, on_addr, t, t->table, t->table, false };
}

/* The next message of <rest>, which is taken from it; empty at the end, or when what follows is none. */
static struct gh_span take(struct gh_span *rest)
{
    struct gh_span message = gh_span_of(rest->data, 0);
    uint32_t len;
    size_t step;

    if (rest->len < sizeof(struct nlmsghdr))
        return message;
    memcpy(&len, rest->data, sizeof len);
    if (len < sizeof(struct nlmsghdr) || len > rest->len)
        return message;
    message.len = len;
    step = (len + (size_t)3) & ~(size_t)3;
    step = step < rest->len ? step : rest->len;
    *rest = gh_span_of(rest->data + step, rest->len - step);
    return message;
}

static void read_answer(unsigned what, unsigned table, unsigned limit, struct gh_span datagram)
{
    struct told whole = { .limit = limit, .table = table }, single = whole;
    struct gh_nl_walk w = walk_of(&whole), x = walk_of(&single);
    struct gh_nl_found found = { 0 }, one = { 0 };
    int rc = run(what, datagram, &w, &found), last = 0;

    for (struct gh_span m = take(&datagram); last == 0 && m.len; m = take(&datagram))
        last = run(what, m, &x, &one);
    REQUIRE(rc == last && whole.count == single.count && whole.sum == single.sum);
    REQUIRE(found.kernel_type == one.kernel_type && found.route.mtu == one.route.mtu && found.route.ifindex == one.route.ifindex);
    if (found.kernel_type)
        add_prefix(&whole, &found.route.dst);
}

static void read_changes(int ifindex, struct gh_span datagram)
{
    bool all = gh_nl_is_change(datagram, ifindex), any = false;

    for (struct gh_span m = take(&datagram); m.len; m = take(&datagram))
        any |= gh_nl_is_change(m, ifindex);
    REQUIRE(all == any);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gh_span datagram;
    uint8_t *copy;

    if (size < 2 || size > 32768)
        return 0;
    copy = malloc(size - 2 ? size - 2 : 1); /* aligned, and exactly as long */
    REQUIRE(copy);
    memcpy(copy, data + 2, size - 2);
    datagram = gh_span_of(copy, size - 2);
    if (data[0] % 5 == 4)
        read_changes(data[1], datagram);
    else
        read_answer(data[0] % 5, data[1], 1 + data[0] / 5, datagram);
    free(copy);
    return 0;
}
