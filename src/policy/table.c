#include "policy/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct entry {
    struct gh_prefix prefix;
    uint32_t rule;
};

/* A list of candidates while it grows. */
struct link {
    uint32_t rule, next;
};

struct builder {
    const struct gh_policy_rule *rules;
    uint8_t family;
    struct entry *entries;
    size_t entry_count;
    struct gh_policy_node *nodes;
    uint32_t *entry_of; /* first entry of each node */
    uint32_t node_count;
    struct gh_policy_key *starts;
    uint32_t *deepest;
    uint32_t start_count;
    struct gh_policy_segment *segments;
    size_t segment_count, segment_cap;
    uint32_t *candidates;
    size_t candidate_count, candidate_cap;
    /* of the prefix in work */
    uint32_t *bounds, *heads, *tails, *open;
    size_t bound_count, bound_cap;
    struct link *links;
    size_t link_count, link_cap;
};

static int grow(void *array, size_t *cap, size_t need, size_t size)
{
    size_t want = *cap ? *cap * 2 : 64;
    void *bigger;

    if (need <= *cap)
        return 0;
    if (want < need)
        want = need;
    bigger = reallocarray(*(void **)array, want, size);
    if (!bigger)
        return GH_ERR_MEMORY;
    *(void **)array = bigger;
    *cap = want;
    return 0;
}

static struct gh_policy_key key_of(const struct gh_ip *a)
{
    struct gh_policy_key k = { 0, 0 };

    if (a->family == 4) {
        for (int i = 0; i < 4; i++)
            k.lo = k.lo << 8 | a->bytes[i];
        return k;
    }
    for (int i = 0; i < 8; i++) {
        k.hi = k.hi << 8 | a->bytes[i];
        k.lo = k.lo << 8 | a->bytes[i + 8];
    }
    return k;
}

static bool key_above(struct gh_policy_key a, struct gh_policy_key b)
{
    return a.hi != b.hi ? a.hi > b.hi : a.lo > b.lo;
}

static int compare_prefixes(const struct gh_prefix *a, const struct gh_prefix *b)
{
    int by_addr = gh_ip_compare(&a->addr, &b->addr);

    return by_addr ? by_addr : (int)a->len - (int)b->len;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int by_prefix = compare_prefixes(&x->prefix, &y->prefix);

    return by_prefix ? by_prefix : (x->rule > y->rule) - (x->rule < y->rule);
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int collect_entries(struct builder *b, uint32_t count, enum gh_policy_direction direction)
{
    size_t total = 0;

    for (uint32_t i = 0; i < count; i++)
        total += b->rules[i].type == GH_POLICY_DEFAULT ? 1 : b->rules[i].destination_count;
    b->entries = calloc(total ? total : 1, sizeof *b->entries);
    if (!b->entries)
        return GH_ERR_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        const struct gh_policy_rule *r = &b->rules[i];

        if (r->direction != direction)
            continue;
        if (r->type == GH_POLICY_DEFAULT)
            b->entries[b->entry_count++] = (struct entry){ { .addr.family = b->family }, i };
        for (size_t d = 0; d < r->destination_count; d++)
            if (r->destinations[d].addr.family == b->family)
                b->entries[b->entry_count++] = (struct entry){ r->destinations[d], i };
    }
    if (b->entry_count > 1)
        qsort(b->entries, b->entry_count, sizeof *b->entries, compare_entries);
    return 0;
}

/* One node per distinct prefix; the parent is the nearest one before it that covers it. */
static int make_nodes(struct builder *b)
{
    uint32_t above = GH_POLICY_NONE;

    b->nodes = calloc(b->entry_count + 1, sizeof *b->nodes);
    b->entry_of = calloc(b->entry_count + 1, sizeof *b->entry_of);
    if (!b->nodes || !b->entry_of)
        return GH_ERR_MEMORY;
    for (size_t i = 0; i < b->entry_count; i++) {
        const struct entry *e = &b->entries[i];
        struct gh_policy_node *n;

        if (i > 0 && compare_prefixes(&e->prefix, &b->entries[i - 1].prefix) == 0)
            continue;
        while (above != GH_POLICY_NONE && !gh_prefix_covers(&b->nodes[above].prefix, &e->prefix))
            above = b->nodes[above].parent;
        n = &b->nodes[b->node_count];
        n->prefix = e->prefix;
        n->parent = above;
        n->own_best = n->best = e->rule;
        if (above != GH_POLICY_NONE && b->nodes[above].best < n->best)
            n->best = b->nodes[above].best;
        above = b->node_count;
        b->entry_of[b->node_count++] = (uint32_t)i;
    }
    b->entry_of[b->node_count] = (uint32_t)b->entry_count;
    return 0;
}

static void mark_start(struct builder *b, struct gh_policy_key at, uint32_t node)
{
    const struct gh_policy_key *last = &b->starts[b->start_count - 1];

    if (last->hi != at.hi || last->lo != at.lo) /* else: what begins here now replaces what began here before */
        b->start_count++;
    b->starts[b->start_count - 1] = at;
    b->deepest[b->start_count - 1] = node;
}

/* Behind the last address of <node> its parent goes on. */
static void mark_end(struct builder *b, uint32_t node)
{
    struct gh_ip first, last;
    struct gh_policy_key k;

    gh_prefix_bounds(&b->nodes[node].prefix, &first, &last);
    gh_ip_increment(&last);
    if (gh_ip_is_zero(&last)) /* it was the last address of all */
        return;
    k = key_of(&last);
    mark_start(b, k, b->nodes[node].parent);
}

static int make_starts(struct builder *b)
{
    uint32_t above = GH_POLICY_NONE;

    b->starts = calloc(2 * (size_t)b->node_count + 1, sizeof *b->starts);
    b->deepest = calloc(2 * (size_t)b->node_count + 1, sizeof *b->deepest);
    if (!b->starts || !b->deepest)
        return GH_ERR_MEMORY;
    b->start_count = 1;
    b->deepest[0] = GH_POLICY_NONE;
    for (uint32_t n = 0; n < b->node_count; n++) {
        for (; above != b->nodes[n].parent; above = b->nodes[above].parent)
            mark_end(b, above);
        mark_start(b, key_of(&b->nodes[n].prefix.addr), n);
        above = n;
    }
    for (; above != GH_POLICY_NONE; above = b->nodes[above].parent)
        mark_end(b, above);
    return 0;
}

static int add_bound(struct builder *b, uint32_t at)
{
    int rc = grow(&b->bounds, &b->bound_cap, b->bound_count + 1, sizeof *b->bounds);

    if (rc == 0)
        b->bounds[b->bound_count++] = at;
    return rc;
}

/* Cuts the services where any rule of the node begins or ends. */
static int make_bounds(struct builder *b, uint32_t node)
{
    size_t kept = 0;
    int rc;

    b->bound_count = 0;
    rc = add_bound(b, 0);
    for (size_t e = b->entry_of[node]; e < b->entry_of[node + 1]; e++) {
        const struct gh_policy_rule *r = &b->rules[b->entries[e].rule];

        for (size_t s = 0; s < r->service_count && rc == 0; s++) {
            rc = add_bound(b, r->services[s].first);
            if (rc == 0 && r->services[s].last < GH_POLICY_SERVICE_MAX)
                rc = add_bound(b, r->services[s].last + 1);
        }
    }
    if (rc < 0)
        return rc;
    qsort(b->bounds, b->bound_count, sizeof *b->bounds, compare_numbers);
    for (size_t i = 0; i < b->bound_count; i++)
        if (i == 0 || b->bounds[i] != b->bounds[kept - 1])
            b->bounds[kept++] = b->bounds[i];
    b->bound_count = kept;
    return 0;
}

/* The piece that begins at <service>, or bound_count behind the last one. */
static uint32_t piece_of(const struct builder *b, uint32_t service)
{
    uint32_t low = 0, high = (uint32_t)b->bound_count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (b->bounds[mid] < service)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The first piece at or behind <i> that still takes candidates; paths are halved so that all calls together are linear. */
static uint32_t next_open(struct builder *b, uint32_t i)
{
    while (b->open[i] != i) {
        b->open[i] = b->open[b->open[i]];
        i = b->open[i];
    }
    return i;
}

static int add_candidate(struct builder *b, uint32_t piece, uint32_t rule)
{
    int rc = grow(&b->links, &b->link_cap, b->link_count + 1, sizeof *b->links);

    if (rc < 0)
        return rc;
    if (b->candidate_count + b->link_count >= GH_POLICY_CANDIDATES_MAX)
        return GH_ERR_FULL;
    b->links[b->link_count] = (struct link){ rule, GH_POLICY_NONE };
    if (b->tails[piece] == GH_POLICY_NONE)
        b->heads[piece] = (uint32_t)b->link_count;
    else
        b->links[b->tails[piece]].next = (uint32_t)b->link_count;
    b->tails[piece] = (uint32_t)b->link_count++;
    return 0;
}

/* A rule is a candidate where no earlier one outlives it; behind one that never expires nobody is. */
static int paint_rule(struct builder *b, uint32_t rule)
{
    const struct gh_policy_rule *r = &b->rules[rule];
    int rc = 0;

    for (size_t s = 0; s < r->service_count; s++) {
        uint32_t i = piece_of(b, r->services[s].first);
        uint32_t end = r->services[s].last < GH_POLICY_SERVICE_MAX ? piece_of(b, r->services[s].last + 1) : (uint32_t)b->bound_count;

        for (i = next_open(b, i); i < end && rc == 0; i = next_open(b, i + 1)) {
            uint32_t tail = b->tails[i];

            if (tail != GH_POLICY_NONE && b->rules[b->links[tail].rule].expires_at >= r->expires_at)
                continue;
            rc = add_candidate(b, i, rule);
            if (r->expires_at == GH_POLICY_NEVER)
                b->open[i] = i + 1;
        }
    }
    return rc;
}

static bool same_candidates(const struct builder *b, uint32_t x, uint32_t y)
{
    while (x != GH_POLICY_NONE && y != GH_POLICY_NONE && b->links[x].rule == b->links[y].rule) {
        x = b->links[x].next;
        y = b->links[y].next;
    }
    return x == y; /* both at their end */
}

/* Copies the pieces of the node in work to the table, neighbours with the same candidates as one. */
static int keep_pieces(struct builder *b, uint32_t node)
{
    int rc;

    b->nodes[node].segment = (uint32_t)b->segment_count;
    for (uint32_t i = 0; i < b->bound_count; i++) {
        struct gh_policy_segment *s;

        if (i > 0 && same_candidates(b, b->heads[i - 1], b->heads[i]))
            continue;
        rc = grow(&b->segments, &b->segment_cap, b->segment_count + 1, sizeof *b->segments);
        if (rc < 0)
            return rc;
        s = &b->segments[b->segment_count++];
        s->first = b->bounds[i];
        s->candidate = (uint32_t)b->candidate_count;
        for (uint32_t l = b->heads[i]; l != GH_POLICY_NONE; l = b->links[l].next) {
            rc = grow(&b->candidates, &b->candidate_cap, b->candidate_count + 1, sizeof *b->candidates);
            if (rc < 0)
                return rc;
            b->candidates[b->candidate_count++] = b->links[l].rule;
        }
        s->candidate_end = (uint32_t)b->candidate_count;
    }
    b->nodes[node].segment_end = (uint32_t)b->segment_count;
    return 0;
}

static int make_segments(struct builder *b, uint32_t node)
{
    uint32_t *work;
    int rc = make_bounds(b, node);

    if (rc < 0)
        return rc;
    work = reallocarray(b->heads, 3 * b->bound_count + 1, sizeof *work);
    if (!work)
        return GH_ERR_MEMORY;
    b->heads = work;
    b->tails = work + b->bound_count;
    b->open = work + 2 * b->bound_count; /* one more than pieces: a stop behind the last */
    b->link_count = 0;
    memset(work, 0xff, 2 * b->bound_count * sizeof *work);
    for (uint32_t i = 0; i <= b->bound_count; i++)
        b->open[i] = i;
    for (size_t e = b->entry_of[node]; e < b->entry_of[node + 1] && rc == 0; e++)
        if (e == b->entry_of[node] || b->entries[e].rule != b->entries[e - 1].rule) /* a prefix written twice in one rule */
            rc = paint_rule(b, b->entries[e].rule);
    return rc < 0 ? rc : keep_pieces(b, node);
}

static const void *keep(struct gh_arena *arena, const void *data, size_t count, size_t size, int *rc)
{
    void *copy = gh_arena_array(arena, count, size);

    if (!copy)
        *rc = GH_ERR_MEMORY;
    else if (count)
        memcpy(copy, data, count * size);
    return copy;
}

int gh_policy_table_build(const struct gh_policy_rule *rules, uint32_t count, enum gh_policy_direction direction, uint8_t family,
                          struct gh_arena *arena, struct gh_policy_table *ret)
{
    struct builder b = { .rules = rules, .family = family };
    struct gh_policy_table t = { 0 };
    int rc;

    rc = collect_entries(&b, count, direction);
    if (rc == 0 && b.entry_count == 0)
        goto out; /* an empty table has no nodes */
    if (rc == 0)
        rc = make_nodes(&b);
    if (rc == 0)
        rc = make_starts(&b);
    for (uint32_t n = 0; n < b.node_count && rc == 0; n++)
        rc = make_segments(&b, n);
    if (rc < 0)
        goto out;
    t.starts = keep(arena, b.starts, b.start_count, sizeof *b.starts, &rc);
    t.deepest = keep(arena, b.deepest, b.start_count, sizeof *b.deepest, &rc);
    t.nodes = keep(arena, b.nodes, b.node_count, sizeof *b.nodes, &rc);
    t.segments = keep(arena, b.segments, b.segment_count, sizeof *b.segments, &rc);
    t.candidates = keep(arena, b.candidates, b.candidate_count, sizeof *b.candidates, &rc);
    t.start_count = b.start_count;
    t.node_count = b.node_count;
    t.segment_count = (uint32_t)b.segment_count;
    t.candidate_count = (uint32_t)b.candidate_count;
out:
    if (rc == 0)
        *ret = t;
    free(b.entries);
    free(b.nodes);
    free(b.entry_of);
    free(b.starts);
    free(b.deepest);
    free(b.segments);
    free(b.candidates);
    free(b.bounds);
    free(b.heads); /* tails and open with it */
    free(b.links);
    return rc;
}

static uint32_t deepest_node(const struct gh_policy_table *t, const struct gh_ip *remote)
{
    struct gh_policy_key k = key_of(remote);
    uint32_t low = 0, high = t->start_count; /* starts[low] <= k < starts[high] */

    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;

        if (key_above(t->starts[mid], k))
            high = mid;
        else
            low = mid;
    }
    return t->deepest[low];
}

static uint32_t segment_of(const struct gh_policy_table *t, const struct gh_policy_node *n, uint32_t service)
{
    uint32_t low = n->segment, high = n->segment_end;

    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;

        if (t->segments[mid].first > service)
            high = mid;
        else
            low = mid;
    }
    return low;
}

uint32_t gh_policy_table_find(const struct gh_policy_table *t, const struct gh_policy_rule *rules, const struct gh_ip *remote,
                              uint32_t service, int64_t wall_seconds)
{
    uint32_t best = GH_POLICY_NONE, next;

    if (t->node_count == 0)
        return GH_POLICY_NONE;
    for (uint32_t i = deepest_node(t, remote); i != GH_POLICY_NONE; i = next) {
        const struct gh_policy_node *n = &t->nodes[i];
        const struct gh_policy_segment *s;

        if (n->best >= best)
            break; /* neither this prefix nor a wider one has an earlier rule */
        next = n->parent;
        if (n->own_best >= best)
            continue;
        s = &t->segments[segment_of(t, n, service)];
        for (uint32_t c = s->candidate; c < s->candidate_end && t->candidates[c] < best; c++)
            if (rules[t->candidates[c]].expires_at > wall_seconds)
                best = t->candidates[c];
    }
    return best;
}

static uint32_t node_of(const struct gh_policy_table *t, const struct gh_prefix *p)
{
    uint32_t low = 0, high = t->node_count;

    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;

        if (compare_prefixes(&t->nodes[mid].prefix, p) > 0)
            high = mid;
        else
            low = mid;
    }
    return low;
}

/* True when the piece of services at <service> is taken, in this prefix or a wider one, by a rule before <index> that stays.
 * <ret_last> gets the last service for which that was looked at. */
static bool piece_hidden(const struct gh_policy_table *t, const struct gh_policy_rule *rules, uint32_t node, uint32_t index,
                         uint32_t service, uint32_t *ret_last)
{
    bool hidden = false;

    *ret_last = GH_POLICY_SERVICE_MAX;
    for (uint32_t i = node; i != GH_POLICY_NONE; i = t->nodes[i].parent) {
        uint32_t at = segment_of(t, &t->nodes[i], service);
        const struct gh_policy_segment *s = &t->segments[at];

        if (at + 1 < t->nodes[i].segment_end && s[1].first - 1 < *ret_last)
            *ret_last = s[1].first - 1;
        if (s->candidate < s->candidate_end) {
            uint32_t last = t->candidates[s->candidate_end - 1];

            hidden |= last < index && rules[last].expires_at == GH_POLICY_NEVER;
        }
    }
    return hidden;
}

static bool prefix_hidden(const struct gh_policy_table *t, const struct gh_policy_rule *rules, const struct gh_prefix *p,
                          uint32_t index, size_t *budget)
{
    uint32_t node = node_of(t, p), last;

    for (size_t s = 0; s < rules[index].service_count; s++) {
        const struct gh_policy_services *range = &rules[index].services[s];

        for (uint32_t at = range->first; at <= range->last; at = last + 1) {
            if (*budget == 0 || !piece_hidden(t, rules, node, index, at, &last))
                return false;
            --*budget;
        }
    }
    return true;
}

bool gh_policy_table_hides(const struct gh_policy_table *t, const struct gh_policy_rule *rules, uint32_t index, size_t *budget)
{
    const struct gh_policy_rule *r = &rules[index];
    uint8_t family;

    if (t->node_count == 0)
        return true;
    family = t->nodes[0].prefix.addr.family;
    if (r->type == GH_POLICY_DEFAULT) {
        struct gh_prefix all = { .addr.family = family };

        return prefix_hidden(t, rules, &all, index, budget);
    }
    for (size_t d = 0; d < r->destination_count; d++)
        if (r->destinations[d].addr.family == family && !prefix_hidden(t, rules, &r->destinations[d], index, budget))
            return false;
    return true;
}
