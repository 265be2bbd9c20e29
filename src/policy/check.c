#include "policy/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/names.h"

/* The ids of one list in order, so that lists can be compared. */
struct checked_list {
    const char *kind, *name;
    const struct gh_policy_row_rule **by_id;
    size_t count;
    bool all[2];  /* by direction: a rule of type default that stays takes everything */
    bool uses[2]; /* by direction: has rules */
};

struct checker {
    const struct gh_policy_rows *rows;
    struct gh_policy_findings *findings;
    struct checked_list *groups; /* parallel to by_name */
    const struct gh_policy_row_group **by_name;
    uint8_t *pairs; /* groups^2 bits: compared already */
    size_t rules;
};

static bool name_is_good(const char *s)
{
    size_t len = strlen(s);

    if (len == 0 || len > GH_POLICY_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    return true;
}

static void check_name(struct checker *c, const char *what, const struct gh_policy_row_text *name)
{
    if (!name_is_good(name->text))
        gh_policy_findings_error(c->findings, name->pos, "%s must have 1 to %u bytes and no control characters", what,
                                 GH_POLICY_NAME_MAX);
}

static void check_destinations(struct checker *c, const struct gh_policy_row_rule *r)
{
    bool icmp4 = r->protocol_count > 0, icmp6 = r->protocol_count > 0, v4 = false, v6 = false;

    for (size_t i = 0; i < r->destination_count; i++) {
        const struct gh_policy_row_prefix *d = &r->destinations[i];
        char text[GH_PREFIX_TEXT];

        if (!gh_prefix_valid(&d->prefix))
            gh_policy_findings_error(c->findings, d->pos, "%s has bits set behind its prefix length, or an impossible length",
                                     gh_prefix_emit(&d->prefix, text));
        v4 |= d->prefix.addr.family == 4;
        v6 |= d->prefix.addr.family == 6;
    }
    for (size_t i = 0; i < r->protocol_count; i++) {
        icmp4 &= r->protocols[i].number == GH_PROTOCOL_ICMP;
        icmp6 &= r->protocols[i].number == GH_PROTOCOL_ICMPV6;
    }
    if ((icmp4 && !v4) || (icmp6 && !v6))
        gh_policy_findings_warn(c->findings, r->pos, "rule '%s' never matches: %s has no %s destination here", r->id.text,
                                icmp4 ? "icmp" : "icmpv6", icmp4 ? "IPv4" : "IPv6");
}

static void check_services(struct checker *c, const struct gh_policy_row_rule *r)
{
    for (size_t i = 0; i < r->port_count; i++)
        if (r->ports[i].first == 0 || r->ports[i].first > r->ports[i].last)
            gh_policy_findings_error(c->findings, r->ports[i].pos, "ports are 1 to 65535, a range goes from the lower to the higher");
    for (size_t i = 0; i < r->protocol_count && r->port_count; i++) {
        const char *name = gh_policy_protocol_name(r->protocols[i].number);

        if (!gh_policy_protocol_has_ports(r->protocols[i].number))
            gh_policy_findings_error(c->findings, r->protocols[i].pos,
                                     "protocol %s (%u) has no ports: use tcp, udp, udplite, dccp or sctp, or leave 'ports' out",
                                     name ? name : "number", r->protocols[i].number);
    }
    if (r->icmp_count && r->port_count)
        gh_policy_findings_error(c->findings, r->icmp[0].pos, "a rule has 'ports' or 'icmp', not both: write two rules");
    for (size_t i = 0; i < r->icmp_count; i++)
        if (r->icmp[i].protocol != GH_PROTOCOL_ICMP && r->icmp[i].protocol != GH_PROTOCOL_ICMPV6)
            gh_policy_findings_error(c->findings, r->icmp[i].pos, "'icmp' needs protocol icmp or icmpv6");
    for (size_t i = 0; i < r->protocol_count && r->icmp_count; i++)
        if (r->protocols[i].number != GH_PROTOCOL_ICMP && r->protocols[i].number != GH_PROTOCOL_ICMPV6)
            gh_policy_findings_error(c->findings, r->protocols[i].pos, "a rule with 'icmp' has protocol icmp or icmpv6 and no other");
}

static void check_rule(struct checker *c, const struct gh_policy_row_rule *r)
{
    if (r->id.text)
        check_name(c, "the id of a rule", &r->id);
    if (r->broken)
        return;
    if (!r->id.text) {
        gh_policy_findings_error(c->findings, r->pos, "a rule needs an 'id'");
        return;
    }
    if (r->type == GH_POLICY_DEFAULT) {
        if (r->destination_count || r->port_count || r->protocol_count || r->icmp_count)
            gh_policy_findings_error(c->findings, r->pos,
                                     "rule '%s' of type default matches every packet: 'destinations', 'protocol', 'ports' and "
                                     "'icmp' belong to type ip_cidr",
                                     r->id.text);
        return;
    }
    if (r->destination_count == 0) {
        gh_policy_findings_error(c->findings, r->pos, "rule '%s' of type ip_cidr needs 'destinations'", r->id.text);
        return;
    }
    check_destinations(c, r);
    check_services(c, r);
}

static int compare_ids(const void *a, const void *b)
{
    const struct gh_policy_row_rule *x = *(const struct gh_policy_row_rule *const *)a;
    const struct gh_policy_row_rule *y = *(const struct gh_policy_row_rule *const *)b;
    int by_id = strcmp(x->id.text, y->id.text);

    return by_id ? by_id : (x > y) - (x < y); /* rows of one array: in the order of the file */
}

static int check_list(struct checker *c, const struct gh_policy_row_rule *rules, size_t count, struct checked_list *l)
{
    l->by_id = calloc(count ? count : 1, sizeof *l->by_id);
    if (!l->by_id)
        return GH_ERR_MEMORY;
    c->rules += count;
    for (size_t i = 0; i < count; i++) {
        const struct gh_policy_row_rule *r = &rules[i];

        check_rule(c, r);
        l->uses[r->direction] = true;
        l->all[r->direction] |= r->type == GH_POLICY_DEFAULT && r->expires_at == GH_POLICY_NEVER;
        if (r->id.text)
            l->by_id[l->count++] = r;
    }
    if (l->count > 1)
        qsort(l->by_id, l->count, sizeof *l->by_id, compare_ids);
    for (size_t i = 1; i < l->count; i++)
        if (strcmp(l->by_id[i]->id.text, l->by_id[i - 1]->id.text) == 0)
            gh_policy_findings_error(c->findings, l->by_id[i]->id.pos, "rule id '%s' is used twice in %s '%s' (first at %u:%u)",
                                     l->by_id[i]->id.text, l->kind, l->name, l->by_id[i - 1]->id.pos.line,
                                     l->by_id[i - 1]->id.pos.col);
    return 0;
}

static const struct gh_policy_row_rule *find_id(const struct checked_list *l, const char *id)
{
    size_t low = 0, high = l->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(l->by_id[mid]->id.text, id);

        if (order == 0)
            return l->by_id[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* Audit names a rule by its id, so an id means one rule wherever two lists meet in a client. */
static void check_shared_ids(struct checker *c, const struct checked_list *a, const struct checked_list *b, struct gh_policy_pos pos)
{
    const struct checked_list *few = a->count < b->count ? a : b, *many = few == a ? b : a;

    for (size_t i = 0; i < few->count; i++)
        if (find_id(many, few->by_id[i]->id.text))
            gh_policy_findings_error(c->findings, pos, "rule id '%s' is in %s '%s' and in %s '%s', which meet here: rename one",
                                     few->by_id[i]->id.text, a->kind, a->name, b->kind, b->name);
}

static struct checked_list *find_group(struct checker *c, const char *name)
{
    size_t low = 0, high = c->rows->group_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(c->by_name[mid]->name.text, name);

        if (order == 0)
            return &c->groups[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* Group against group once for the whole file, not once per client. */
static bool pair_is_new(struct checker *c, const struct checked_list *a, const struct checked_list *b)
{
    size_t i = (size_t)(a - c->groups), j = (size_t)(b - c->groups), bit;

    if (i > j) {
        size_t swap = i;

        i = j;
        j = swap;
    }
    bit = i * c->rows->group_count + j;
    if (c->pairs[bit / 8] >> bit % 8 & 1)
        return false;
    c->pairs[bit / 8] |= (uint8_t)(1u << bit % 8);
    return true;
}

static void check_client_groups(struct checker *c, const struct gh_policy_row_client *client, const struct checked_list *own)
{
    struct checked_list *seen[GH_POLICY_CLIENT_GROUPS_MAX];
    bool all[2] = { own->all[0], own->all[1] };
    size_t count = 0;

    for (size_t i = 0; i < client->group_count && i < GH_POLICY_CLIENT_GROUPS_MAX; i++) {
        const struct gh_policy_row_text *ref = &client->groups[i];
        struct checked_list *g = find_group(c, ref->text);
        bool twice = false;

        if (!g) {
            gh_policy_findings_error(c->findings, ref->pos, "unknown group '%s': write it under 'groups'", ref->text);
            continue;
        }
        for (size_t j = 0; j < count; j++)
            twice |= seen[j] == g;
        if (twice) {
            gh_policy_findings_error(c->findings, ref->pos, "group '%s' is named twice", ref->text);
            continue;
        }
        if ((g->uses[0] || g->uses[1]) && (!g->uses[0] || all[0]) && (!g->uses[1] || all[1]))
            gh_policy_findings_warn(c->findings, ref->pos,
                                    "group '%s' never decides for '%s': a rule of type default stands before it", ref->text,
                                    client->name.text);
        check_shared_ids(c, own, g, ref->pos);
        for (size_t j = 0; j < count; j++)
            if (pair_is_new(c, seen[j], g))
                check_shared_ids(c, seen[j], g, ref->pos);
        all[0] |= g->all[0];
        all[1] |= g->all[1];
        seen[count++] = g;
    }
    if (client->group_count > GH_POLICY_CLIENT_GROUPS_MAX)
        gh_policy_findings_error(c->findings, client->groups[GH_POLICY_CLIENT_GROUPS_MAX].pos, "a client has at most %u groups",
                                 GH_POLICY_CLIENT_GROUPS_MAX);
}

static int check_client(struct checker *c, const struct gh_policy_row_client *client)
{
    struct checked_list own = { .kind = "client", .name = client->name.text };
    int rc;

    check_name(c, "the name of a client", &client->name);
    if (client->rule_count == 0 && client->group_count == 0 && !client->broken)
        gh_policy_findings_error(c->findings, client->name.pos, "client '%s' needs 'rules' or 'groups'", client->name.text);
    rc = check_list(c, client->rules, client->rule_count, &own);
    if (rc == 0)
        check_client_groups(c, client, &own);
    free(own.by_id);
    return rc;
}

static int compare_groups(const void *a, const void *b)
{
    return strcmp((*(const struct gh_policy_row_group *const *)a)->name.text,
                  (*(const struct gh_policy_row_group *const *)b)->name.text);
}

static int check_groups(struct checker *c)
{
    size_t count = c->rows->group_count;

    c->by_name = calloc(count + 1, sizeof *c->by_name);
    c->groups = calloc(count + 1, sizeof *c->groups);
    c->pairs = calloc(count * count / 8 + 1, 1);
    if (!c->by_name || !c->groups || !c->pairs)
        return GH_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        c->by_name[i] = &c->rows->groups[i];
    if (count > 1)
        qsort(c->by_name, count, sizeof *c->by_name, compare_groups);
    for (size_t i = 0; i < count; i++) {
        const struct gh_policy_row_group *g = c->by_name[i];

        c->groups[i] = (struct checked_list){ .kind = "group", .name = g->name.text };
        check_name(c, "the name of a group", &g->name);
        if (i > 0 && strcmp(g->name.text, c->by_name[i - 1]->name.text) == 0)
            gh_policy_findings_error(c->findings, g->name.pos, "group '%s' is written twice", g->name.text);
        if (g->rule_count == 0 && !g->broken)
            gh_policy_findings_error(c->findings, g->name.pos, "group '%s' needs 'rules'", g->name.text);
        if (check_list(c, g->rules, g->rule_count, &c->groups[i]) < 0)
            return GH_ERR_MEMORY;
    }
    return 0;
}

static int compare_clients(const void *a, const void *b)
{
    return strcmp((*(const struct gh_policy_row_client *const *)a)->name.text,
                  (*(const struct gh_policy_row_client *const *)b)->name.text);
}

static int check_client_names(struct checker *c)
{
    size_t count = c->rows->client_count;
    const struct gh_policy_row_client **sorted = calloc(count + 1, sizeof *sorted);

    if (!sorted)
        return GH_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &c->rows->clients[i];
    if (count > 1)
        qsort(sorted, count, sizeof *sorted, compare_clients);
    for (size_t i = 1; i < count; i++)
        if (strcmp(sorted[i]->name.text, sorted[i - 1]->name.text) == 0)
            gh_policy_findings_error(c->findings, sorted[i]->name.pos, "client '%s' is written twice", sorted[i]->name.text);
    free(sorted);
    return 0;
}

int gh_policy_check(const struct gh_policy_rows *rows, struct gh_policy_findings *findings)
{
    struct checker c = { .rows = rows, .findings = findings };
    struct gh_policy_pos start = { 1, 1 };
    int rc;

    if (rows->client_count > GH_POLICY_CLIENTS_MAX || rows->group_count > GH_POLICY_GROUPS_MAX) {
        gh_policy_findings_error(findings, start, "a policy has at most %u clients and %u groups", GH_POLICY_CLIENTS_MAX,
                                 GH_POLICY_GROUPS_MAX);
        return 0;
    }
    rc = check_groups(&c);
    if (rc == 0)
        rc = check_client_names(&c);
    for (size_t i = 0; i < rows->client_count && rc == 0; i++)
        rc = check_client(&c, &rows->clients[i]);
    if (rc == 0 && c.rules > GH_POLICY_RULES_MAX)
        gh_policy_findings_error(findings, start, "a policy has at most %u rules, this one has %zu", GH_POLICY_RULES_MAX, c.rules);
    for (size_t i = 0; c.groups && i < rows->group_count; i++)
        free(c.groups[i].by_id);
    free(c.groups);
    free(c.by_name);
    free(c.pairs);
    return rc;
}
